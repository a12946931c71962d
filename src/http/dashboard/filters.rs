//! What templates can do with a text: say it in the reader's language, and put values into it.

use std::fmt::Display;

use askama::{Result, Values, filter_fn};

use super::language;

/// A text in the reader's language: `{{ "Find"|t }}`.
#[filter_fn]
pub(super) fn t(english: &str, _: &dyn Values) -> Result<String> {
    Ok(language::t(english).to_owned())
}

/// A value in a place of a text: `{{ "{n} printers"|t|with("n", total) }}`.
#[filter_fn]
pub(super) fn with<V: Display>(text: impl Display, _: &dyn Values, name: &str, value: V) -> Result<String> {
    Ok(language::fill(&text.to_string(), &[(name, &value)]))
}

/// A text that depends on a number: `{{ total|counted("{n} printer", "{n} printers") }}`.
#[filter_fn]
pub(super) fn counted(n: impl Display, _: &dyn Values, one: &str, many: &str) -> Result<String> {
    let n: i64 = n.to_string().parse().unwrap_or_default();
    Ok(language::counted(n, one, many))
}
