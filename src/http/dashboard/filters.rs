//! Filters of templates: texts in the reader's language.

use std::fmt::Display;

use askama::{Result, Values, filter_fn};

use crate::{
    domain::message::Message,
    http::messages::{self, Text},
};

/// The text of an id: `{{ "farm-search"|t }}`.
#[filter_fn]
pub(super) fn t(id: &str, _: &dyn Values) -> Result<String> {
    Ok(messages::find_text(id).unwrap_or(id).to_owned())
}

/// A text with arguments: `{{ "batch-by"|message|with("name", by) }}`.
#[filter_fn]
pub(super) fn message(id: &'static str, _: &dyn Values) -> Result<Text> {
    Ok(Text(Message::new(id)))
}

/// An argument of a text.
#[filter_fn]
pub(super) fn with<V: Display>(text: Text, _: &dyn Values, name: &'static str, value: V) -> Result<Text> {
    Ok(Text(text.0.with(name, value)))
}

/// A text that depends on a number: `{{ total|counted("printer-count") }}`.
#[filter_fn]
pub(super) fn counted(n: impl Display, _: &dyn Values, id: &str) -> Result<String> {
    Ok(messages::t_with(id, &[("n", &n)]))
}
