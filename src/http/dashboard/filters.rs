//! Filters of templates: texts in the reader's language.

use std::fmt::Display;

use askama::{Result, Values, filter_fn};

use crate::http::messages::{self, Message};

/// The text of an id: `{{ "farm-find"|t }}`.
#[filter_fn]
pub(super) fn t(id: &str, _: &dyn Values) -> Result<String> {
    Ok(messages::plain(id).unwrap_or(id).to_owned())
}

/// A text with arguments: `{{ "batch-by"|message|with("name", by) }}`.
#[filter_fn]
pub(super) fn message(id: &'static str, _: &dyn Values) -> Result<Message> {
    Ok(Message { id, arguments: Vec::new() })
}

/// An argument of a text.
#[filter_fn]
pub(super) fn with<V: Display>(mut message: Message, _: &dyn Values, name: &'static str, value: V) -> Result<Message> {
    message.arguments.push((name, value.to_string()));
    Ok(message)
}

/// A text that depends on a number: `{{ total|counted("printer-count") }}`.
#[filter_fn]
pub(super) fn counted(n: impl Display, _: &dyn Values, id: &str) -> Result<String> {
    Ok(messages::t_with(id, &[("n", &n)]))
}
