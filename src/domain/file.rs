//! Files of the library: names for contents, with what the contents say about themselves.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    command::{is_file_path, string_enum},
    gcode::{GcodeFacts, ToolFacts},
    message::Message,
    part::{MAX_PRINT_TIME_S, check_range},
    validation::{ValidationErrors, check_line},
};

/// The largest file, in bytes: OctoPrint's own limit for uploads.
pub const MAX_FILE_BYTES: u64 = 1024 * 1024 * 1024;
/// Maximum length of a file name, in characters.
const MAX_NAME: usize = 255;
/// Maximum length of a folder, in characters.
const MAX_FOLDER: usize = 500;
/// Maximum number of tools that a correction names.
const MAX_TOOLS: usize = 64;

string_enum! {
    /// The format of a content.
    FileFormat {
        /// G-code as text.
        Gcode = "gcode",
        /// Binary G-code. Printers get it as text.
        Bgcode = "bgcode",
        /// A sliced 3MF project. Printers get the G-code of its plate.
        Gcode3mf = "gcode_3mf",
    }
}

string_enum! {
    /// Whether the facts of a content are known.
    AnalysisState { Pending = "pending", Done = "done", Failed = "failed", }
}

impl FileFormat {
    /// Returns the format that the extension of a file name stands for.
    pub fn from_name(name: &str) -> Option<Self> {
        let name = name.to_lowercase();
        let ends_with = |extensions: &[&str]| extensions.iter().any(|extension| name.ends_with(extension));
        if ends_with(&[".gcode.3mf"]) {
            Some(Self::Gcode3mf)
        } else if ends_with(&[".bgcode", ".bgc"]) {
            Some(Self::Bgcode)
        } else if ends_with(&[".gcode", ".gco", ".g"]) {
            Some(Self::Gcode)
        } else {
            None
        }
    }
}

/// Returns the name that a file of the library gets on a printer. OctoPrint accepts G-code as text only.
pub fn name_on_printer(name: &str) -> String {
    let lower = name.to_lowercase();
    let extension =
        [".gcode.3mf", ".bgcode", ".bgc", ".gcode", ".gco", ".g"].into_iter().find(|end| lower.ends_with(end));
    let stem = extension.and_then(|end| name.get(..name.len() - end.len())).unwrap_or(name);
    format!("{stem}.gcode")
}

/// A content: bytes that any number of files name.
#[derive(Debug, Clone, PartialEq)]
pub struct Content {
    /// 64 hexadecimal digits.
    pub sha256: String,
    /// Bytes.
    pub size: u64,
    pub format: FileFormat,
    /// Bytes of the text that printers get.
    pub print_size: u64,
    /// SHA-1 of that text, in hexadecimal digits.
    pub print_sha1: String,
    pub analysis: AnalysisState,
    pub facts: FileFacts,
    /// Sizes of the thumbnails, in pixels: width and height.
    pub thumbnails: Vec<(u32, u32)>,
}

/// What a content says about itself. `None`: it does not say.
pub type FileFacts = GcodeFacts;

/// A file of the library.
#[derive(Debug, Clone, PartialEq)]
pub struct LibraryFile {
    pub id: Uuid,
    pub name: String,
    /// Parts are separated by `/`. Empty: the top folder.
    pub folder: String,
    pub content: Content,
    pub overrides: FileOverrides,
    pub version: i64,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    /// Name of the user or token that uploaded the content.
    pub created_by: String,
}

impl LibraryFile {
    /// Returns the facts of the content, corrected by the overrides.
    pub fn facts(&self) -> FileFacts {
        let mut facts = self.content.facts.clone();
        let FileOverrides { printer_model, nozzle_mm, layer_height_mm, estimated_print_time_s, tools } =
            self.overrides.clone();
        if printer_model.is_some() {
            facts.printer_model = printer_model;
        }
        if let Some(nozzle_mm) = nozzle_mm {
            facts.nozzle_mm = nozzle_mm;
        }
        facts.layer_height_mm = layer_height_mm.or(facts.layer_height_mm);
        facts.estimated_print_time_s = estimated_print_time_s.or(facts.estimated_print_time_s);
        for correction in tools.into_iter().flatten() {
            let known = facts.tools.iter().position(|tool| tool.tool == correction.tool);
            let at = known.unwrap_or_else(|| {
                facts.tools.push(ToolFacts { tool: correction.tool, ..ToolFacts::default() });
                facts.tools.len() - 1
            });
            let tool = &mut facts.tools[at];
            tool.material = correction.material.or(tool.material.take());
            tool.color = correction.color.or(tool.color.take());
            tool.filament_mm = correction.filament_mm.or(tool.filament_mm);
            tool.filament_g = correction.filament_g.or(tool.filament_g);
        }
        facts.tools.sort_by_key(|tool| tool.tool);
        facts
    }

    /// Returns folder and name.
    pub fn path(&self) -> String {
        if self.folder.is_empty() { self.name.clone() } else { format!("{}/{}", self.folder, self.name) }
    }
}

/// Corrections of what a content says about itself. Absent fields keep the facts.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FileOverrides {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub printer_model: Option<String>,
    /// Millimetres, one for each tool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nozzle_mm: Option<Vec<f64>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layer_height_mm: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimated_print_time_s: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tools: Option<Vec<ToolFacts>>,
}

impl FileOverrides {
    /// Checks the values. Pointers refer to the body of `PATCH /files/{id}`.
    pub fn check(&self, invalid: &mut ValidationErrors) {
        let mut length = |pointer: String, value: f64, max: f64| {
            if !(value > 0.0 && value <= max) {
                let rule = Message::new("rule-range").with("min", 0).with("max", max).with("value", value);
                invalid.add(pointer, "range", rule);
            }
        };
        for (i, nozzle) in self.nozzle_mm.iter().flatten().enumerate() {
            length(format!("/overrides/nozzle_mm/{i}"), *nozzle, 10.0);
        }
        if let Some(height) = self.layer_height_mm {
            length("/overrides/layer_height_mm".to_owned(), height, 10.0);
        }
        for (i, tool) in self.tools.iter().flatten().enumerate() {
            for (name, value) in [("filament_mm", tool.filament_mm), ("filament_g", tool.filament_g)] {
                if let Some(value) = value.filter(|value| *value != 0.0) {
                    length(format!("/overrides/tools/{i}/{name}"), value, 1e9);
                }
            }
        }
        if let Some(seconds) = self.estimated_print_time_s {
            check_range(invalid, "/overrides/estimated_print_time_s", seconds, 1, MAX_PRINT_TIME_S);
        }
        if let Some(model) = &self.printer_model {
            check_line(invalid, "/overrides/printer_model", model, 1, 100);
        }
        for (i, tool) in self.tools.iter().flatten().enumerate() {
            for (name, value) in [("material", &tool.material), ("color", &tool.color)] {
                if let Some(value) = value {
                    check_line(invalid, &format!("/overrides/tools/{i}/{name}"), value, 1, 100);
                }
            }
        }
        let lists =
            [("nozzle_mm", self.nozzle_mm.as_ref().map(Vec::len)), ("tools", self.tools.as_ref().map(Vec::len))];
        for (name, length) in lists {
            if length.is_some_and(|length| length > MAX_TOOLS) {
                let rule = Message::new("rule-max-items").with("max", MAX_TOOLS);
                invalid.add(format!("/overrides/{name}"), "too_many", rule);
            }
        }
    }
}

/// Checks the name of a library file. Its extension names a format that printers or Printyard can read.
pub fn check_file_name(invalid: &mut ValidationErrors, pointer: &str, name: &str) {
    check_line(invalid, pointer, name, 1, MAX_NAME);
    if matches!(name, "." | "..") || name.contains(['/', '\\']) {
        invalid.add(pointer, "filename", "rule-file-name");
    }
}

/// Checks a folder of the library.
pub fn check_folder(invalid: &mut ValidationErrors, pointer: &str, folder: &str) {
    check_line(invalid, pointer, folder, 0, MAX_FOLDER);
    let is_clean = folder.is_empty() || (is_file_path(folder) && !folder.split('/').any(|part| part.trim().is_empty()));
    if !is_clean {
        invalid.add(pointer, "path", "rule-folder-path");
    }
}

/// Returns a folder in its stored form: without empty parts, and with `/` between the parts. Slicers on Windows send
/// backslashes.
pub fn normalize_folder(folder: &str) -> String {
    let folder = folder.replace('\\', "/");
    folder.split('/').map(str::trim).filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/")
}

/// Filter for a page of library files. Absent fields do not restrict.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FileFilter {
    /// A part of the name or the folder, in any case.
    pub text: Option<String>,
    /// Only files directly in this folder.
    pub folder: Option<String>,
    pub sha256: Option<String>,
    /// Name of the slicer, in any case.
    pub slicer: Option<String>,
    /// Model of the printer, in any case. Overrides count.
    pub printer_model: Option<String>,
}

/// A folder of the library, with the number of files in it and below.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LibraryFolder {
    pub folder: String,
    pub files: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_extension_names_the_format_and_printers_get_text() {
        let cases = [
            ("vase.gcode", Some(FileFormat::Gcode), "vase.gcode"),
            ("Vase.GCO", Some(FileFormat::Gcode), "Vase.gcode"),
            ("vase.bgcode", Some(FileFormat::Bgcode), "vase.gcode"),
            ("vase.gcode.3mf", Some(FileFormat::Gcode3mf), "vase.gcode"),
            ("vase.3mf", None, "vase.3mf.gcode"),
            ("vase", None, "vase.gcode"),
        ];
        for (name, format, on_printer) in cases {
            assert_eq!(FileFormat::from_name(name), format, "{name}");
            assert_eq!(name_on_printer(name), on_printer, "{name}");
        }
    }

    #[test]
    fn a_folder_from_windows_has_slashes_and_no_empty_parts() {
        assert_eq!(normalize_folder("parts\\\\brackets\\"), "parts/brackets");
        assert_eq!(normalize_folder("/a//b/ "), "a/b");
        let mut invalid = ValidationErrors::default();
        check_folder(&mut invalid, "/folder", "a/../b");
        assert_eq!(invalid.0.len(), 1);
    }
}
