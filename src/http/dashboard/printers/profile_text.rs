//! Texts of the fields of a printer's profile: labels, hints and values.
//!
//! The label of a field has the id `field-<name>`. A form uses `field-<name>-input` instead if there is one, and shows
//! `field-<name>-hint` in an empty input.

use crate::{
    domain::printer_profile::{FieldKind, FieldValue, ProfileField},
    http::{
        dashboard::page::field_label,
        messages::{current_language, find_text},
    },
};

/// Returns the label of an input.
pub fn input_label(field: &ProfileField) -> String {
    find_text(&format!("field-{}-input", field.name)).map_or_else(|| field_label(field.name), str::to_owned)
}

/// Returns the text that an empty input shows.
pub fn input_hint(field: &ProfileField) -> &'static str {
    find_text(&format!("field-{}-hint", field.name)).unwrap_or(field.example)
}

/// Returns the label on the page of a printer. There, the value has the unit.
pub fn fact_label(field: &ProfileField) -> String {
    let label = field_label(field.name);
    label.strip_suffix(" (mm)").map(str::to_owned).unwrap_or(label)
}

/// Returns the value on the page of a printer. The page does not show colors and sizes.
pub fn fact(field: &ProfileField, value: &FieldValue) -> Option<String> {
    match (field.kind, value) {
        (FieldKind::Line { .. } | FieldKind::Text { .. }, FieldValue::Text(text)) => text.clone(),
        (FieldKind::Millimetres { .. }, FieldValue::Number(mm)) => mm.map(|mm| format!("{mm} mm")),
        _ => None,
    }
}

/// Returns the label in the middle of a line.
pub fn inline_label(field: &ProfileField) -> String {
    let label = field_label(field.name);
    if current_language().capitalizes_nouns() {
        return label;
    }
    let mut characters = label.chars();
    characters.next().map_or_else(String::new, |first| first.to_lowercase().chain(characters).collect())
}
