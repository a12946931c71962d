//! Parts: item numbers of an ERP, each with the files that make it on different printer models.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    command::string_enum,
    message::Message,
    printer::{MAX_TAGS, check_tag},
    requirements::Requirements,
    validation::{ValidationErrors, check_line},
};

/// Maximum number of characters of a part number.
pub const MAX_NUMBER: usize = 100;
/// Maximum number of characters of a title.
pub const MAX_TITLE: usize = 200;
/// Maximum number of characters of a revision.
const MAX_REVISION: usize = 100;
/// Maximum number of files of a part or an order.
pub const MAX_FILES: usize = 50;
/// Maximum number of models of a file.
const MAX_MODELS: usize = 50;
/// Maximum number of parts that one copy makes.
pub const MAX_PARTS_PER_PLATE: u32 = 1_000;
/// Maximum number of printers that requirements name.
const MAX_REQUIRED_PRINTERS: usize = 500;
/// Longest print time that a client may state, in seconds: 60 days.
pub const MAX_PRINT_TIME_S: u64 = 60 * 86_400;

string_enum! {
    /// How the parts of a finished copy become good or scrap.
    Judgement {
        /// Every part of a finished copy counts as good.
        Auto = "auto",
        /// A person judges every finished copy.
        Manual = "manual",
    }
}

/// A file that makes a part on some printer models.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PlateFile {
    /// A file of the library.
    pub file_id: Uuid,
    /// Models of printers. Empty in a request: the model that the file names.
    pub models: Vec<String>,
    /// Number of parts that one copy makes.
    pub parts_per_plate: u32,
    /// `None`: the estimate of the file.
    pub estimated_print_time_s: Option<u64>,
}

/// A part.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// The item number, as the ERP has it.
    pub number: String,
    pub details: PartDetails,
    /// Incremented with every change.
    pub version: i64,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// The fields of a part that a client sets.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PartDetails {
    pub revision: String,
    pub title: String,
    pub requirements: Requirements,
    pub judgement: Judgement,
    pub files: Vec<PlateFile>,
}

impl PartDetails {
    /// Checks the fields. Pointers refer to the body of `PUT /parts/{number}`.
    pub fn check(&self, invalid: &mut ValidationErrors) {
        check_line(invalid, "/revision", &self.revision, 0, MAX_REVISION);
        check_line(invalid, "/title", &self.title, 0, MAX_TITLE);
        check_requirements(invalid, &self.requirements);
        check_files(invalid, &self.files);
    }
}

/// Checks a part number: 1 to 100 characters without control characters.
pub fn check_number(invalid: &mut ValidationErrors, pointer: &str, number: &str) {
    check_line(invalid, pointer, number, 1, MAX_NUMBER);
}

/// Checks the files of a part or an order. At least one file is needed.
pub fn check_files(invalid: &mut ValidationErrors, files: &[PlateFile]) {
    if !(1..=MAX_FILES).contains(&files.len()) {
        let rule = Message::new("rule-item-count").with("max", MAX_FILES).with("count", files.len());
        invalid.add("/files", "length", rule);
    }
    for (i, file) in files.iter().enumerate() {
        if file.models.len() > MAX_MODELS {
            let rule = Message::new("rule-max-items").with("max", MAX_MODELS);
            invalid.add(format!("/files/{i}/models"), "too_many", rule);
        }
        for (n, model) in file.models.iter().enumerate() {
            check_line(invalid, &format!("/files/{i}/models/{n}"), model, 1, 100);
        }
        let parts = u64::from(file.parts_per_plate);
        check_range(invalid, &format!("/files/{i}/parts_per_plate"), parts, 1, u64::from(MAX_PARTS_PER_PLATE));
        if let Some(seconds) = file.estimated_print_time_s {
            check_range(invalid, &format!("/files/{i}/estimated_print_time_s"), seconds, 1, MAX_PRINT_TIME_S);
        }
    }
}

/// Checks what is required of printers. Whether the printers exist is not checked.
pub fn check_requirements(invalid: &mut ValidationErrors, requirements: &Requirements) {
    let Requirements { material, color, nozzle_mm, tags_all, tags_any, printer_ids } = requirements;
    if let Some(material) = material {
        check_line(invalid, "/requirements/material", material, 1, 100);
    }
    if let Some(color) = color {
        let digits = color.strip_prefix('#').unwrap_or_default();
        if digits.len() != 6 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            invalid.add("/requirements/color", "color", "rule-color");
        }
    }
    if let Some(nozzle_mm) = nozzle_mm.filter(|mm| !(*mm > 0.0 && *mm <= 10.0)) {
        let rule = Message::new("rule-range").with("min", 0).with("max", 10).with("value", nozzle_mm);
        invalid.add("/requirements/nozzle_mm", "range", rule);
    }
    for (name, tags) in [("tags_all", tags_all), ("tags_any", tags_any)] {
        if tags.len() > MAX_TAGS {
            let rule = Message::new("rule-max-items").with("max", MAX_TAGS);
            invalid.add(format!("/requirements/{name}"), "too_many", rule);
        }
        for (i, tag) in tags.iter().enumerate() {
            check_tag(invalid, &format!("/requirements/{name}/{i}"), tag);
        }
    }
    if printer_ids.len() > MAX_REQUIRED_PRINTERS {
        let rule = Message::new("rule-max-items").with("max", MAX_REQUIRED_PRINTERS);
        invalid.add("/requirements/printer_ids", "too_many", rule);
    }
}

/// Checks that a number is in a range.
pub fn check_range(invalid: &mut ValidationErrors, pointer: &str, value: u64, min: u64, max: u64) {
    if value < min || value > max {
        let rule = Message::new("rule-range").with("min", min).with("max", max).with("value", value);
        invalid.add(pointer, "range", rule);
    }
}

/// Filter for a page of parts. Absent fields do not restrict.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PartFilter {
    /// A part of the number or the title, in any case.
    pub text: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_broken_rule_names_its_field() {
        let file = PlateFile {
            file_id: Uuid::nil(),
            models: vec![String::new()],
            parts_per_plate: 0,
            estimated_print_time_s: Some(0),
        };
        let part = PartDetails {
            revision: "a\nb".into(),
            title: "x".repeat(MAX_TITLE + 1),
            requirements: Requirements {
                material: Some(String::new()),
                color: Some("red".into()),
                nozzle_mm: Some(f64::NAN),
                tags_all: vec!["a,b".into()],
                tags_any: vec![String::new()],
                printer_ids: vec![Uuid::nil(); MAX_REQUIRED_PRINTERS + 1],
            },
            judgement: Judgement::Auto,
            files: vec![file],
        };
        let mut invalid = ValidationErrors::default();
        part.check(&mut invalid);
        let pointers: Vec<&str> = invalid.0.iter().map(|error| error.pointer.as_str()).collect();
        let expected = [
            "/revision",
            "/title",
            "/requirements/material",
            "/requirements/color",
            "/requirements/nozzle_mm",
            "/requirements/tags_all/0",
            "/requirements/tags_any/0",
            "/requirements/printer_ids",
            "/files/0/models/0",
            "/files/0/parts_per_plate",
            "/files/0/estimated_print_time_s",
        ];
        assert_eq!(pointers, expected);
        let mut invalid = ValidationErrors::default();
        check_files(&mut invalid, &[]);
        assert_eq!(invalid.0[0].pointer, "/files");
    }

    #[test]
    fn a_number_may_contain_slashes_and_spaces() {
        for (number, is_good) in [("MO/00412 #7 ü", true), ("", false), ("a\u{1}", false), (&"x".repeat(101), false)] {
            let mut invalid = ValidationErrors::default();
            check_number(&mut invalid, "/number", number);
            assert_eq!(invalid.0.is_empty(), is_good, "{number:?}");
        }
    }
}
