//! What is wrong with an input: every field that broke a rule, by name.

use serde::Serialize;

/// One broken rule. `pointer` is a JSON pointer into the body (`/select/printer_ids/3`), or the name of a query
/// parameter where the input was a query.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct FieldError {
    pub pointer: String,
    /// Stable word for programs.
    pub code: &'static str,
    /// One sentence for people: the rule.
    pub detail: String,
}

/// Everything that is wrong with one input. Never empty when it is returned as an error.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Invalid(pub Vec<FieldError>);

impl Invalid {
    /// Notes one broken rule.
    pub fn add(&mut self, pointer: impl Into<String>, code: &'static str, detail: impl Into<String>) {
        self.0.push(FieldError { pointer: pointer.into(), code, detail: detail.into() });
    }

    /// An error with one broken rule.
    pub fn one(pointer: impl Into<String>, code: &'static str, detail: impl Into<String>) -> Self {
        let mut invalid = Self::default();
        invalid.add(pointer, code, detail);
        invalid
    }

    /// `value` when nothing was wrong, all that was wrong otherwise.
    pub fn or_ok<T>(self, value: T) -> Result<T, Self> {
        if self.0.is_empty() { Ok(value) } else { Err(self) }
    }
}

/// Rules for a text that people write and pages show: length in characters, no control characters but line breaks.
pub fn check_text(invalid: &mut Invalid, pointer: &str, text: &str, min: usize, max: usize) {
    let length = text.chars().count();
    if length < min || length > max {
        invalid.add(pointer, "length", format!("must be {min} to {max} characters long, and is {length}"));
    }
    if text.chars().any(|c| c.is_control() && c != '\n' && c != '\t') {
        invalid.add(pointer, "control_character", "must not contain control characters");
    }
}

/// As [`check_text`], for what is shown, logged and sent as one line: a line break in it could pass for a second one.
pub fn check_line(invalid: &mut Invalid, pointer: &str, text: &str, min: usize, max: usize) {
    check_text(invalid, pointer, text, min, max);
    if text.contains(['\n', '\t']) {
        invalid.add(pointer, "control_character", "must not contain line breaks or tabs");
    }
}
