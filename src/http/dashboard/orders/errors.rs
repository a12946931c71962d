//! Errors of a form by field, so that the page shows each one beside its field.

use crate::{
    domain::validation::{FieldError, ValidationErrors},
    http::dashboard::{
        messages::text_of,
        page::{Failure, broken_rule},
    },
    service::Error,
};

/// The errors of a form: the name of the field, and a sentence. An empty name: no field.
#[derive(Default)]
pub(in crate::http::dashboard) struct FormErrors(Vec<(String, String)>);

impl FormErrors {
    /// Returns the errors that a user can correct in the form. Any other error gets its own page.
    pub fn from_error(error: Error) -> Result<Self, Failure> {
        match error {
            Error::Invalid(ValidationErrors(errors)) => Ok(Self::from_rules(&errors)),
            Error::Unprocessable { code: "models_required", detail } => {
                Ok(Self(vec![("models".to_owned(), text_of(&detail))]))
            }
            Error::Conflict { detail, .. } | Error::Unprocessable { detail, .. } => {
                Ok(Self(vec![(String::new(), text_of(&detail))]))
            }
            error @ (Error::Stale | Error::Forbidden(_)) => Ok(Self(vec![(String::new(), text_of(&error.message()))])),
            other => Err(other.into()),
        }
    }

    /// As [`Self::from_error`], for a form with several files: their inputs are named `files-0-models`.
    pub fn from_error_by_row(error: Error) -> Result<Self, Failure> {
        let Error::Invalid(ValidationErrors(errors)) = error else { return Self::from_error(error) };
        let errors = errors.iter().map(|error| (row_field_name(&error.pointer), rule_text(error)));
        Ok(Self(errors.collect()))
    }

    /// Returns an error that belongs to no field.
    pub fn from_text(text: &str) -> Self {
        Self(vec![(String::new(), text.to_owned())])
    }

    /// Returns the errors of broken rules.
    pub fn from_rules(errors: &[FieldError]) -> Self {
        let errors = errors.iter().map(|error| (field_name(&error.pointer).to_owned(), rule_text(error)));
        Self(errors.collect())
    }

    /// Returns whether there is no error.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the sentences about a field. `None`: the field has no error.
    pub fn for_field(&self, field: &str) -> Option<String> {
        let sentences = self.0.iter().filter(|(name, _)| name == field).map(|(_, text)| text.as_str());
        Some(sentences.collect::<Vec<_>>().join(" ")).filter(|text| !text.is_empty())
    }
}

/// Returns a sentence about a broken rule, which begins with the label of the field.
fn rule_text(error: &FieldError) -> String {
    broken_rule(&FieldError { pointer: format!("/{}", field_name(&error.pointer)), ..error.clone() })
}

/// Returns the name of the input for a pointer, with the row of a file.
fn row_field_name(pointer: &str) -> String {
    let names: Vec<&str> = pointer.trim_start_matches('/').split('/').collect();
    match names.as_slice() {
        ["files", row, name, ..] => format!("files-{row}-{name}"),
        ["requirements", name, ..] | [name, ..] => (*name).to_owned(),
        [] => String::new(),
    }
}

/// Returns the name of the input for a pointer. The inputs of an order's only file have the names of its fields.
fn field_name(pointer: &str) -> &str {
    let names: Vec<&str> = pointer.trim_start_matches('/').split('/').collect();
    match names.as_slice() {
        ["files", _, name, ..] | ["requirements", name, ..] | [name, ..] => name,
        [] => "",
    }
}
