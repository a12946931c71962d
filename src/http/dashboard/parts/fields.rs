//! The inputs of the form of a part, as they were typed.

use crate::{
    domain::{
        part::{Judgement, MAX_FILES, Part, PartDetails, PlateFile},
        requirements::Requirements,
        validation::ValidationErrors,
    },
    http::dashboard::{
        form::{FormData, parse_decimal},
        print_minutes,
    },
};

/// A file of the part.
pub(super) struct FileRow {
    pub file_id: String,
    pub models: String,
    pub parts_per_plate: String,
    pub print_minutes: String,
}

/// The inputs of the form.
pub(super) struct PartFields {
    pub number: String,
    pub revision: String,
    pub title: String,
    pub judgement: String,
    /// At least one row. The last ones may be empty.
    pub files: Vec<FileRow>,
    pub material: String,
    pub color: String,
    pub nozzle_mm: String,
    pub tags_all: String,
    pub tags_any: String,
    /// Names of printers, one per line.
    pub printers: String,
}

impl FileRow {
    fn empty() -> Self {
        Self {
            file_id: String::new(),
            models: String::new(),
            parts_per_plate: "1".to_owned(),
            print_minutes: String::new(),
        }
    }

    /// Returns the name of an input of a row.
    pub fn field(row: usize, name: &str) -> String {
        format!("files-{row}-{name}")
    }

    fn from_form(form: &FormData, row: usize) -> Self {
        let text = |name| form.text(&Self::field(row, name)).unwrap_or_default().to_owned();
        Self {
            file_id: text("file_id"),
            models: text("models"),
            parts_per_plate: text("parts_per_plate"),
            print_minutes: text("print_minutes"),
        }
    }
}

impl PartFields {
    /// Returns the fields of a new part.
    pub fn for_new_part(number: String, file_id: String) -> Self {
        let requirements = Requirements::default();
        Self {
            number,
            files: vec![FileRow { file_id, ..FileRow::empty() }],
            judgement: Judgement::Auto.as_str().to_owned(),
            ..Self::new(&requirements)
        }
    }

    /// Returns the fields of a stored part, with the names of the printers that it requires.
    pub fn from_part(part: &Part, printers: Vec<String>) -> Self {
        let PartDetails { revision, title, requirements, judgement, files } = &part.details;
        let row = |file: &PlateFile| FileRow {
            file_id: file.file_id.to_string(),
            models: file.models.join(", "),
            parts_per_plate: file.parts_per_plate.to_string(),
            print_minutes: file.estimated_print_time_s.map(print_minutes::format).unwrap_or_default(),
        };
        Self {
            number: part.number.clone(),
            revision: revision.clone(),
            title: title.clone(),
            judgement: judgement.as_str().to_owned(),
            files: files.iter().map(row).collect(),
            printers: printers.join("\n"),
            ..Self::new(requirements)
        }
    }

    fn new(requirements: &Requirements) -> Self {
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        Self {
            number: String::new(),
            revision: String::new(),
            title: String::new(),
            judgement: String::new(),
            files: Vec::new(),
            material: text(&requirements.material),
            color: text(&requirements.color),
            nozzle_mm: requirements.nozzle_mm.map(|mm| mm.to_string()).unwrap_or_default(),
            tags_all: requirements.tags_all.join(", "),
            tags_any: requirements.tags_any.join(", "),
            printers: String::new(),
        }
    }

    /// Returns the fields of a form. Rows without a file are left out, so that errors name the row by its position. Without
    /// any file, the first row keeps what was typed.
    pub fn from_form(form: &FormData) -> Self {
        let text = |name| form.text(name).unwrap_or_default().to_owned();
        let rows = (0..MAX_FILES).map(|row| FileRow::from_form(form, row));
        let mut files: Vec<FileRow> = rows.filter(|row| !row.file_id.is_empty()).collect();
        if files.is_empty() {
            files.push(FileRow::from_form(form, 0));
        }
        Self {
            number: text("number"),
            revision: text("revision"),
            title: text("title"),
            judgement: text("judgement"),
            files,
            material: text("material"),
            color: text("color"),
            nozzle_mm: text("nozzle_mm"),
            tags_all: text("tags_all"),
            tags_any: text("tags_any"),
            printers: text("printers"),
        }
    }

    /// Adds an empty row.
    pub fn add_file_row(&mut self) {
        if self.files.len() < MAX_FILES {
            self.files.push(FileRow::empty());
        }
    }

    /// Returns the details that the fields describe, without printers. Texts that are no numbers are reported.
    pub fn parse(&self, invalid: &mut ValidationErrors) -> PartDetails {
        let chosen = self.files.iter().filter(|row| !row.file_id.is_empty());
        let files = chosen.enumerate().map(|(at, row)| parse_file(at, row, invalid)).collect();
        let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let nozzle_mm = text(&self.nozzle_mm).and_then(|text| {
            let number = parse_decimal(&text);
            if number.is_none() {
                invalid.add("/requirements/nozzle_mm", "type", "rule-number");
            }
            number
        });
        PartDetails {
            revision: self.revision.clone(),
            title: self.title.clone(),
            judgement: Judgement::parse(&self.judgement).unwrap_or(Judgement::Auto),
            files,
            requirements: Requirements {
                material: text(&self.material),
                color: text(&self.color),
                nozzle_mm,
                tags_all: split_list(&self.tags_all),
                tags_any: split_list(&self.tags_any),
                printer_ids: Vec::new(),
            },
        }
    }
}

fn parse_file(at: usize, row: &FileRow, invalid: &mut ValidationErrors) -> PlateFile {
    let file_id = row.file_id.parse().unwrap_or_else(|_| {
        invalid.add(format!("/files/{at}/file_id"), "not_found", "rule-file-id");
        uuid::Uuid::nil()
    });
    let parts_per_plate = row.parts_per_plate.parse().unwrap_or_else(|_| {
        invalid.add(format!("/files/{at}/parts_per_plate"), "type", "rule-integer");
        1
    });
    let pointer = format!("/files/{at}/print_minutes");
    let estimated_print_time_s = print_minutes::parse(&row.print_minutes, &pointer, invalid);
    PlateFile { file_id, models: split_list(&row.models), parts_per_plate, estimated_print_time_s }
}

/// Splits a list that is separated by commas.
fn split_list(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|entry| !entry.is_empty()).map(str::to_owned).collect()
}
