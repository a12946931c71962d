//! Files on a printer: entries of its list, and the result of an upload.

use chrono::{DateTime, Utc};

use super::command::is_file_path;

/// A file as OctoPrint describes it.
#[derive(Debug, Clone, PartialEq)]
pub struct FileEntry {
    /// With folders, separated by `/`. Path and `origin` together are the only identity of the file.
    pub path: String,
    /// `local`, `sdcard` (1.x), `printer` (2.x).
    pub origin: String,
    /// The last part of the path.
    pub name: String,
    /// Bytes.
    pub size: Option<u64>,
    /// When OctoPrint received it.
    pub date: Option<DateTime<Utc>>,
    /// How often it was printed. Overwriting the file resets the counters (measured on 1.11.8).
    pub prints: PrintCounts,
    /// Seconds, from OctoPrint's analysis. The analysis is ready up to 2 s after the upload, and waits while a print runs.
    pub estimated_print_time_s: Option<f64>,
    /// The SHA-1 of the content in hexadecimal, on 1.11 only.
    pub hash: Option<String>,
    /// The SHA-256 of the library content, if Printyard uploaded the file.
    pub content: Option<String>,
}

/// How often a file was printed. A cancelled print counts as a failure.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PrintCounts {
    /// Prints that reached their end.
    pub success: u64,
    /// Prints that failed or were cancelled.
    pub failure: u64,
}

/// The result of an upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadResult {
    /// The path that OctoPrint gave the file.
    pub path: String,
    /// Where the file is stored, for example `local`.
    pub origin: String,
    /// The last part of the path.
    pub name: String,
    /// The file is selected now. (On 1.11.8 this is `false` if a print was requested and has started.)
    pub effective_select: bool,
    /// The file prints now. **If the printer was offline, printing or paused, this is `false`, but the upload still
    /// succeeds.**
    pub effective_print: bool,
}

/// Returns whether a path is a valid folder. An empty path is the top folder.
pub fn is_folder(path: &str) -> bool {
    path.is_empty() || is_file_path(path)
}
