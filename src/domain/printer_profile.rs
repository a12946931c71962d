//! The descriptive fields of a printer, in one list. The database, the API, the forms and the import derive from it.

use std::fmt::{self, Display, Formatter};

use serde::Serialize;

use super::{
    message::Message,
    validation::{ValidationErrors, check_line, check_text},
};

/// A field of [`PrinterProfile`].
#[derive(Debug, PartialEq)]
pub struct ProfileField {
    /// Name of the column, the JSON property, the input of the form and the column of an import.
    pub name: &'static str,
    pub kind: FieldKind,
    /// Value that a form shows in an empty input.
    pub example: &'static str,
    /// Lines of the doc comment.
    docs: &'static [&'static str],
}

/// Type of a field, with its limits.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum FieldKind {
    /// One line of 1 to `max` characters.
    Line { max: usize },
    /// `#rrggbb`.
    Color,
    /// A length above 0 mm, at most `max`.
    Millimetres { max: f64 },
    /// Width, depth and height, each above 0 mm and at most `max`.
    Size { max: f64 },
    /// Lines of at most `max` characters together. Never null: an empty field is an empty text.
    Text { max: usize },
}

/// Value of a field. `None` is an empty field.
#[derive(Debug, Clone, PartialEq)]
pub enum FieldValue {
    Text(Option<String>),
    Number(Option<f64>),
    Size(Option<[f64; 3]>),
}

/// Declares the struct and the list of its fields: name, type, kind, and the example of the form. The doc comment of a
/// field is its description in the API document.
macro_rules! printer_profile {
    ($($(#[doc = $doc:literal])* $name:ident: $type:ty = $kind:expr, $example:literal;)+) => {
        /// Descriptive fields of a printer.
        #[derive(Debug, Clone, Default, PartialEq, Serialize)]
        pub struct PrinterProfile {
            $($(#[doc = $doc])* pub $name: $type,)+
        }

        /// The fields of [`PrinterProfile`], in their order everywhere.
        pub const PROFILE_FIELDS: &[ProfileField] = &[
            $(ProfileField { name: stringify!($name), kind: $kind, example: $example, docs: &[$($doc),*] },)+
        ];

        impl PrinterProfile {
            /// Returns every field with its value.
            pub fn values(&self) -> impl Iterator<Item = (&'static ProfileField, FieldValue)> + use<> {
                PROFILE_FIELDS.iter().zip([$(self.$name.get(),)+])
            }

            /// Sets the value of a field. Ignores a value of another kind than the field's.
            pub fn set(&mut self, field: &ProfileField, value: FieldValue) {
                $(if field.name == stringify!($name) {
                    return self.$name.set(value);
                })+
            }
        }
    };
}

printer_profile! {
    model: Option<String> = FieldKind::Line { max: 100 }, "MK4";
    material: Option<String> = FieldKind::Line { max: 100 }, "PETG";
    /// `#rrggbb`.
    color: Option<String> = FieldKind::Color, "#1a2b3c";
    nozzle_mm: Option<f64> = FieldKind::Millimetres { max: 10.0 }, "0.4";
    /// Width, depth and height, in millimetres.
    bed_mm: Option<[f64; 3]> = FieldKind::Size { max: 10_000.0 }, "250 x 210 x 210";
    /// Name of a group of printers on one electrical circuit, for `max_heating`.
    power_group: Option<String> = FieldKind::Line { max: 100 }, "";
    notes: String = FieldKind::Text { max: 10_000 }, "";
}

impl PrinterProfile {
    /// Checks every field.
    pub fn check(&self, invalid: &mut ValidationErrors) {
        for (field, value) in self.values() {
            field.check(&value, invalid);
        }
    }
}

impl ProfileField {
    /// Returns the field with this name.
    pub fn find(name: &str) -> Option<&'static Self> {
        PROFILE_FIELDS.iter().find(|field| field.name == name)
    }

    /// Returns the description in the API document.
    pub fn description(&self) -> Option<String> {
        let lines: Vec<&str> = self.docs.iter().map(|line| line.trim()).collect();
        (!lines.is_empty()).then(|| lines.join("\n"))
    }

    /// Parses a value that a person wrote. `None` is an empty input. Fails if a number cannot be read; other rules are
    /// checked by [`PrinterProfile::check`].
    pub fn parse(&self, text: Option<&str>) -> Result<FieldValue, ValidationErrors> {
        let unreadable = |rule| ValidationErrors::single(self.pointer(), "number", rule);
        Ok(match self.kind {
            FieldKind::Line { .. } | FieldKind::Color | FieldKind::Text { .. } => {
                FieldValue::Text(text.map(str::to_owned))
            }
            FieldKind::Millimetres { .. } => {
                FieldValue::Number(text.map(parse_millimetres).transpose().map_err(unreadable)?)
            }
            FieldKind::Size { .. } => FieldValue::Size(text.map(parse_size).transpose().map_err(unreadable)?),
        })
    }

    fn check(&self, value: &FieldValue, invalid: &mut ValidationErrors) {
        let pointer = self.pointer();
        match (self.kind, value) {
            (FieldKind::Line { max }, FieldValue::Text(Some(text))) => check_line(invalid, &pointer, text, 1, max),
            (FieldKind::Text { max }, FieldValue::Text(Some(text))) => check_text(invalid, &pointer, text, 0, max),
            (FieldKind::Color, FieldValue::Text(Some(text))) => {
                let hex = text.strip_prefix('#').unwrap_or_default();
                if hex.len() != 6 || !hex.bytes().all(|b| b.is_ascii_hexdigit()) {
                    invalid.add(pointer, "color", "rule-color");
                }
            }
            (FieldKind::Millimetres { max }, FieldValue::Number(Some(mm))) => check_mm(invalid, pointer, *mm, max),
            (FieldKind::Size { max }, FieldValue::Size(Some(size))) => {
                for (i, mm) in size.iter().enumerate() {
                    check_mm(invalid, format!("{pointer}/{i}"), *mm, max);
                }
            }
            _ => {}
        }
    }

    fn pointer(&self) -> String {
        format!("/{}", self.name)
    }
}

impl FieldKind {
    /// Returns whether the text can have several lines. Such a field is never null.
    pub fn is_multiline(self) -> bool {
        matches!(self, Self::Text { .. })
    }
}

/// Writes the value as a person would: see [`ProfileField::parse`].
impl Display for FieldValue {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(Some(text)) => f.write_str(text),
            Self::Number(Some(number)) => number.fmt(f),
            Self::Size(Some(size)) => f.write_str(&size.map(|mm| mm.to_string()).join(" x ")),
            Self::Text(None) | Self::Number(None) | Self::Size(None) => Ok(()),
        }
    }
}

/// New values of some fields. An empty value clears its field.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ProfilePatch(Vec<(&'static ProfileField, FieldValue)>);

impl ProfilePatch {
    /// Returns whether the patch has a value for a field.
    pub fn contains(&self, field: &ProfileField) -> bool {
        self.0.iter().any(|(other, _)| other.name == field.name)
    }

    /// Adds a value.
    pub fn add(&mut self, field: &'static ProfileField, value: FieldValue) {
        self.0.push((field, value));
    }

    /// Sets the values in a profile.
    pub fn apply(self, profile: &mut PrinterProfile) {
        for (field, value) in self.0 {
            profile.set(field, value);
        }
    }
}

/// Type of a field in [`PrinterProfile`].
trait FieldType {
    fn get(&self) -> FieldValue;
    fn set(&mut self, value: FieldValue);
}

impl FieldType for Option<String> {
    fn get(&self) -> FieldValue {
        FieldValue::Text(self.clone())
    }

    fn set(&mut self, value: FieldValue) {
        if let FieldValue::Text(text) = value {
            *self = text;
        }
    }
}

impl FieldType for String {
    fn get(&self) -> FieldValue {
        FieldValue::Text(Some(self.clone()))
    }

    fn set(&mut self, value: FieldValue) {
        if let FieldValue::Text(text) = value {
            *self = text.unwrap_or_default();
        }
    }
}

impl FieldType for Option<f64> {
    fn get(&self) -> FieldValue {
        FieldValue::Number(*self)
    }

    fn set(&mut self, value: FieldValue) {
        if let FieldValue::Number(number) = value {
            *self = number;
        }
    }
}

impl FieldType for Option<[f64; 3]> {
    fn get(&self) -> FieldValue {
        FieldValue::Size(*self)
    }

    fn set(&mut self, value: FieldValue) {
        if let FieldValue::Size(size) = value {
            *self = size;
        }
    }
}

fn check_mm(invalid: &mut ValidationErrors, pointer: String, mm: f64, max: f64) {
    if !(mm > 0.0 && mm <= max) {
        invalid.add(pointer, "range", Message::new("rule-millimetres-range").with("max", max));
    }
}

/// Parses a length that people wrote. A decimal comma is allowed: `0,4`. The error is the message id of the broken
/// rule.
fn parse_millimetres(text: &str) -> Result<f64, &'static str> {
    text.replace(',', ".").trim().parse().map_err(|_| "rule-millimetres")
}

/// Parses width, depth and height that people wrote: `250 x 210 x 210`. The error is the message id of the broken rule.
fn parse_size(text: &str) -> Result<[f64; 3], &'static str> {
    let numbers: Result<Vec<f64>, _> = text.split(['x', 'X', '×', '*', ';']).map(parse_millimetres).collect();
    numbers.ok().and_then(|numbers| numbers.try_into().ok()).ok_or("rule-bed")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// Returns a value of a kind, and how a person writes it.
    fn sample(kind: FieldKind) -> (&'static str, Value) {
        match kind {
            FieldKind::Line { .. } | FieldKind::Text { .. } => ("by the door", json!("by the door")),
            FieldKind::Color => ("#1a2b3c", json!("#1a2b3c")),
            FieldKind::Millimetres { .. } => ("0.4", json!(0.4)),
            FieldKind::Size { .. } => ("250 x 210.5 x 220", json!([250.0, 210.5, 220.0])),
        }
    }

    #[test]
    fn the_list_matches_the_names_and_the_types_of_the_struct() {
        let empty = json!(PrinterProfile::default());
        let names: Vec<&str> = PROFILE_FIELDS.iter().map(|field| field.name).collect();
        let mut sorted = names.clone();
        sorted.sort_unstable();
        assert_eq!(empty.as_object().expect("an object").keys().collect::<Vec<_>>(), sorted);
        assert_eq!(PrinterProfile::default().values().map(|(field, _)| field.name).collect::<Vec<_>>(), names);
        for field in PROFILE_FIELDS {
            let mut profile = PrinterProfile::default();
            let (text, value) = sample(field.kind);
            profile.set(field, field.parse(Some(text)).expect("a readable value"));
            let mut expected = empty.clone();
            expected[field.name] = value;
            assert_eq!(json!(profile), expected, "{}", field.name);
            let (_, stored) = profile.values().find(|(other, _)| *other == field).expect("a value");
            assert_eq!(stored.to_string(), text);
            assert_eq!(empty[field.name].is_null(), !field.kind.is_multiline(), "{}", field.name);
            let mut invalid = ValidationErrors::default();
            profile.check(&mut invalid);
            assert_eq!(invalid, ValidationErrors::default(), "{}", field.name);
            let mut patch = ProfilePatch::default();
            patch.add(field, field.parse(None).expect("an empty value"));
            patch.apply(&mut profile);
            assert_eq!(profile, PrinterProfile::default(), "{}", field.name);
        }
    }

    #[test]
    fn the_doc_comment_is_the_description() {
        let description = |name| ProfileField::find(name).and_then(ProfileField::description);
        assert_eq!(description("color").as_deref(), Some("`#rrggbb`."));
        assert_eq!(description("model"), None);
    }

    #[test]
    fn a_size_is_parsed_in_many_notations() {
        for text in ["250x210x210", "250 × 210 × 210", "250.0 x 210 X 210,0"] {
            assert_eq!(parse_size(text), Ok([250.0, 210.0, 210.0]), "{text}");
        }
        for text in ["", "250", "250 x 210", "1x2x3x4", "a x b x c"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn every_broken_rule_names_its_field() {
        let profile = PrinterProfile {
            model: Some(String::new()),
            color: Some("red".to_owned()),
            nozzle_mm: Some(f64::NAN),
            bed_mm: Some([1.0, 2.0, 0.0]),
            notes: "\0".to_owned(),
            ..PrinterProfile::default()
        };
        let mut invalid = ValidationErrors::default();
        profile.check(&mut invalid);
        let pointers: Vec<&str> = invalid.0.iter().map(|error| error.pointer.as_str()).collect();
        assert_eq!(pointers, ["/model", "/color", "/nozzle_mm", "/bed_mm/2", "/notes"]);
    }
}
