//! Library contents on printers: the transfer of each, and where its file lies.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{command::string_enum, message::Message};

/// Folder on printers for the files of Printyard.
pub const PRINTER_FOLDER: &str = "printyard";

string_enum! {
    /// State of a content on a printer, as it is stored.
    PrinterContentState {
        /// A user asked for it. It is sent when the printer is idle.
        Queued = "queued",
        /// Its transfer began and has not ended.
        Sending = "sending",
        /// The printer has it.
        Present = "present",
        /// The transfer failed. A new request begins it again.
        Failed = "failed",
        /// The file is to be deleted from the printer.
        Removing = "removing",
    }
}

string_enum! {
    /// State of a transfer.
    TransferState { Queued = "queued", Running = "running", Done = "done", Failed = "failed", }
}

/// A content on a printer.
#[derive(Debug, Clone, PartialEq)]
pub struct PrinterContent {
    pub printer_id: Uuid,
    pub sha256: String,
    /// Name of the file on the printer.
    pub name: String,
    /// Bytes of the file on the printer.
    pub print_size: u64,
    /// `None` until the printer has the file.
    pub path: Option<String>,
    pub state: PrinterContentState,
    /// Select the file when the printer has it.
    pub select_after: bool,
    /// Who asked for the transfer, if no command needs it.
    pub requested_by: Option<String>,
    /// Why the transfer failed.
    pub detail: Option<Message>,
    pub updated_at: DateTime<Utc>,
}

/// Progress of a transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Transfer)]
pub struct TransferProgress {
    pub state: TransferState,
    /// Bytes that the printer has accepted.
    pub sent_bytes: u64,
    /// Bytes of the file on the printer.
    pub size: u64,
}

/// Returns the folder on a printer for a content.
pub fn content_folder(sha256: &str) -> String {
    format!("{PRINTER_FOLDER}/{sha256}")
}

/// Returns the JSON text that marks an upload as the file of a content. OctoPrint returns it with the entry of the file.
pub fn upload_tag(sha256: &str) -> String {
    json!({"printyard": {"sha256": sha256}}).to_string()
}

/// Returns the content that a path on a printer names, if it is a path of Printyard.
pub fn content_of_path(path: &str) -> Option<&str> {
    let (sha256, name) = path.strip_prefix(PRINTER_FOLDER)?.strip_prefix('/')?.split_once('/')?;
    (is_sha256(sha256) && !name.is_empty()).then_some(sha256)
}

/// Returns a path on a printer as pages show it: without the folder of Printyard and its content.
pub fn shown_path(path: &str) -> &str {
    content_of_path(path).and_then(|sha256| path.get(PRINTER_FOLDER.len() + sha256.len() + 2..)).unwrap_or(path)
}

/// Returns whether a text is a SHA-256 in hexadecimal digits.
pub fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_of_printyard_name_a_content() {
        let sha256 = "0123456789abcdef".repeat(4);
        let path = format!("{}/vase.gcode", content_folder(&sha256));
        assert_eq!(content_of_path(&path), Some(sha256.as_str()));
        for other in
            ["vase.gcode", "printyard/vase.gcode", "printyard/", &format!("printyard/{sha256}"), &format!("x/{path}")]
        {
            assert_eq!(content_of_path(other), None, "{other}");
        }
    }
}
