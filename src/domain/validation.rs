//! Validation errors of an input: each field that breaks a rule, with its name.

use super::message::Message;

/// One broken rule. `pointer` is a JSON pointer into the body (`/select/printer_ids/3`), or the name of a query
/// parameter where the input was a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    pub pointer: String,
    /// A stable code for programs.
    pub code: &'static str,
    /// The rule. Its text continues a sentence that begins with the name of the field.
    pub detail: Message,
}

/// All errors of one input. Never empty when it is returned as an error.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ValidationErrors(pub Vec<FieldError>);

impl ValidationErrors {
    /// Adds one broken rule.
    pub fn add(&mut self, pointer: impl Into<String>, code: &'static str, detail: impl Into<Message>) {
        self.0.push(FieldError { pointer: pointer.into(), code, detail: detail.into() });
    }

    /// Returns an error with one broken rule.
    pub fn single(pointer: impl Into<String>, code: &'static str, detail: impl Into<Message>) -> Self {
        let mut invalid = Self::default();
        invalid.add(pointer, code, detail);
        invalid
    }

    /// Returns `value` if no rule is broken, otherwise the errors.
    pub fn into_result<T>(self, value: T) -> Result<T, Self> {
        if self.0.is_empty() { Ok(value) } else { Err(self) }
    }
}

/// Checks a text that people write and pages show. `min` and `max` count characters. Line breaks and tabs are allowed,
/// other control characters are not.
pub fn check_text(invalid: &mut ValidationErrors, pointer: &str, text: &str, min: usize, max: usize) {
    let length = text.chars().count();
    if length < min || length > max {
        let rule = Message::new("rule-length").with("min", min).with("max", max).with("length", length);
        invalid.add(pointer, "length", rule);
    }
    if text.chars().any(|c| c.is_control() && c != '\n' && c != '\t') {
        invalid.add(pointer, "control_character", "rule-no-control-characters");
    }
}

/// Like [`check_text`], for text that is shown, logged or sent as one line. Line breaks and tabs are refused, because
/// the text after them could pass for a second line.
pub fn check_line(invalid: &mut ValidationErrors, pointer: &str, text: &str, min: usize, max: usize) {
    check_text(invalid, pointer, text, min, max);
    if text.contains(['\n', '\t']) {
        invalid.add(pointer, "control_character", "rule-one-line");
    }
}
