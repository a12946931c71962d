//! Prints with an identity, which OctoPrint's do not have.
//!
//! The [`Tracker`] follows one printer by its readings and its events. It reports when a print began, paused, resumed and
//! ended, and which command did it. A path does not distinguish copy 17 from copy 18, so a print counts as the same
//! after a gap only where nothing contradicts it. Every fact has what is to be stored with it ([`Mark`]), so that a
//! server that is killed at any moment continues from there.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

mod events;
mod fact;
mod gap;
mod mark;
mod moment;
mod stream;
mod tracker;

pub use fact::PrintFact;
pub use mark::{Mark, MarkOf};
pub use moment::{Moment, StartSent};
pub use tracker::{OpenPrint, Tracker};

use super::command::{FileRef, words};

words! {
    /// How a print ended.
    PrintResult { Done = "done", Failed = "failed", Cancelled = "cancelled", Unknown = "unknown", }
}

words! {
    /// Who did something to a print.
    ActorKind { Command = "command", Printer = "printer", Unknown = "unknown", }
}

/// Who started or paused a print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct By {
    pub kind: ActorKind,
    pub command_id: Option<Uuid>,
}

impl By {
    /// One of Printyard's commands.
    pub fn command(id: Uuid) -> Self {
        Self { kind: ActorKind::Command, command_id: Some(id) }
    }

    /// A person at the printer, or another program.
    pub fn printer() -> Self {
        Self { kind: ActorKind::Printer, command_id: None }
    }

    /// It was not observed.
    pub fn unknown() -> Self {
        Self { kind: ActorKind::Unknown, command_id: None }
    }
}

/// One print, as it is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Print {
    pub id: Uuid,
    pub printer_id: Uuid,
    /// Unknown where the print was never seen with its file.
    pub file: Option<FileRef>,
    pub started_at: DateTime<Utc>,
    pub ended_at: Option<DateTime<Utc>>,
    pub result: Option<PrintResult>,
    /// The firmware's or OctoPrint's own words.
    pub reason: Option<String>,
    pub started_by: By,
    pub paused_by: Option<By>,
    /// The batch of the command that started it.
    pub batch_id: Option<Uuid>,
    /// The reference of that batch.
    pub external_ref: Option<String>,
}

/// The command that started a print, its batch, and the batch's reference. All absent where no command started it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PrintOrigin {
    pub command_id: Option<Uuid>,
    pub batch_id: Option<Uuid>,
    pub external_ref: Option<String>,
}

/// The identity of a reading's file.
pub fn file_ref(file: &super::reading::JobFile) -> FileRef {
    FileRef { path: file.path.clone(), origin: file.origin.clone() }
}

#[cfg(test)]
mod tests;
