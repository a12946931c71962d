//! Print tracking: gives each print an id, which OctoPrint does not.
//!
//! The [`PrintTracker`] follows one printer by its readings and its events. It reports when a print began, paused, resumed
//! and ended, and which command caused it. A path does not distinguish copy 17 from copy 18. So after a gap, a print
//! counts as the same one only if no observation contradicts this. Every fact includes the data that must be stored
//! with it ([`JobMark`]), so that the server can continue after a kill at any moment.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

mod ending;
mod events;
mod fact;
mod gap;
mod mark;
mod tracker;

pub use context::{SentStart, TrackerContext};
pub use fact::PrintFact;
pub use mark::{JobMark, MarkPhase};
pub use tracker::{OpenPrint, PrintTracker};

use super::command::{FileRef, string_enum};

string_enum! {
    /// How a print ended.
    PrintResult { Done = "done", Failed = "failed", Cancelled = "cancelled", Unknown = "unknown", }
}

string_enum! {
    /// Who did something to a print.
    ActorKind { Command = "command", Printer = "printer", Unknown = "unknown", }
}

/// Who started or paused a print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = By)]
pub struct PrintActor {
    pub kind: ActorKind,
    pub command_id: Option<Uuid>,
}

impl PrintActor {
    /// Returns the author for one of Printyard's commands.
    pub fn command(id: Uuid) -> Self {
        Self { kind: ActorKind::Command, command_id: Some(id) }
    }

    /// Returns the author for a person at the printer or another program.
    pub fn printer() -> Self {
        Self { kind: ActorKind::Printer, command_id: None }
    }

    /// Returns the author for a change that was not observed.
    pub fn unknown() -> Self {
        Self { kind: ActorKind::Unknown, command_id: None }
    }
}

/// A stored print.
#[derive(Debug, Clone, PartialEq)]
pub struct Print {
    pub id: Uuid,
    pub printer_id: Uuid,
    /// `None`: the print was never observed with its file.
    pub file: Option<FileRef>,
    pub started_at: DateTime<Utc>,
    pub ended_at: Option<DateTime<Utc>>,
    pub result: Option<PrintResult>,
    /// The reason as the firmware or OctoPrint reports it.
    pub reason: Option<String>,
    pub started_by: PrintActor,
    pub paused_by: Option<PrintActor>,
    /// The batch of the command that started the print.
    pub batch_id: Option<Uuid>,
    /// The external reference of that batch.
    pub external_ref: Option<String>,
}

/// State of a print, as a filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PrintState {
    /// It has not ended.
    Open,
    /// It ended with this result.
    Ended(PrintResult),
}

/// Filter for a page of prints. Absent fields do not restrict.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PrintFilter {
    pub printer_id: Option<Uuid>,
    /// Started by a command of this batch.
    pub batch_id: Option<Uuid>,
    /// Started by a command of a batch with this reference.
    pub external_ref: Option<String>,
    pub state: Option<PrintState>,
    /// Started at this time or later.
    pub since: Option<DateTime<Utc>>,
    /// Started before this time.
    pub until: Option<DateTime<Utc>>,
    /// Only prints on registered printers with this tag.
    pub tag: Option<String>,
    /// Tags that the caller may see. Only prints on registered printers with any of them.
    pub visible_tags: Option<Vec<String>>,
}

/// The command that started a print, its batch, and the batch's reference. All are `None` if no command started the
/// print.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PrintOrigin {
    pub command_id: Option<Uuid>,
    pub batch_id: Option<Uuid>,
    pub external_ref: Option<String>,
}

/// Returns path and origin of a reading's file.
pub fn file_ref(file: &super::reading::JobFile) -> FileRef {
    FileRef { path: file.path.clone(), origin: file.origin.clone() }
}

mod context;
mod event_lag;
#[cfg(test)]
mod tests;
