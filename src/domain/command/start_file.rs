//! The file that a start prints: a file on the printer, or a content of the library.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::domain::{
    reading::LOCAL_ORIGIN,
    validation::{ValidationErrors, check_line},
};

/// A file on a printer.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FileRef {
    pub path: String,
    #[serde(default = "local")]
    pub origin: String,
}

impl FileRef {
    /// Returns the reference if it names a file.
    pub fn validate(self) -> Result<Self, ValidationErrors> {
        let mut invalid = ValidationErrors::default();
        self.check(&mut invalid, "");
        invalid.into_result(self)
    }

    /// Checks path and origin, because both become parts of a URL.
    pub fn check(&self, invalid: &mut ValidationErrors, pointer: &str) {
        let (path, origin) = (format!("{pointer}/path"), format!("{pointer}/origin"));
        check_line(invalid, &path, &self.path, 1, 1_000);
        if !is_file_path(&self.path) {
            invalid.add(path, "path", "rule-file-path");
        }
        check_line(invalid, &origin, &self.origin, 1, 50);
        if self.origin.contains('/') || !is_file_path(&self.origin) {
            invalid.add(origin, "origin", "rule-file-origin");
        }
    }
}

/// A content of the library, as a command names it. The content stays the same if the file gets another one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LibraryContent {
    pub file_id: Uuid,
    /// 64 hexadecimal digits.
    pub sha256: String,
    /// Name of the file in the library.
    pub name: String,
    /// Bytes of the file on a printer.
    pub print_size: u64,
}

/// The file that a start names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum StartFile {
    OnPrinter(FileRef),
    /// It is transferred to the printers that do not have it.
    InLibrary(LibraryContent),
}

/// The file of a start, as a client names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileSelector {
    OnPrinter(FileRef),
    /// The id of a library file.
    InLibrary(Uuid),
}

impl StartFile {
    /// Returns the content of the library.
    pub fn content(&self) -> Option<&LibraryContent> {
        match self {
            Self::InLibrary(content) => Some(content),
            Self::OnPrinter(_) => None,
        }
    }
}

/// Returns whether a path names a file. `.` and `..` would lead to another place. Control characters are refused,
/// because URL parsing removes some of them, which could create a `..`.
pub fn is_file_path(path: &str) -> bool {
    let parts = || path.split('/').filter(|part| !part.is_empty());
    parts().next().is_some() && !parts().any(|part| matches!(part, "." | "..")) && !path.contains(char::is_control)
}

fn local() -> String {
    LOCAL_ORIGIN.to_owned()
}
