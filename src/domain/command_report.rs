//! Reports about the progress and the end of commands.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{
    command::{Command, Outcome, Reason},
    message::Message,
    state::PrinterState,
};

/// The progress or the end of a command. Actors report it, the dispatcher stores it in the command log.
///
/// Absent fields do not change the stored values. A reason and its detail are stored only with a final outcome.
#[derive(Debug, Clone, PartialEq)]
pub struct CommandReport {
    pub command_id: Uuid,
    /// Actors know the printer only. What is absent is read from the command log.
    pub printer_id: Option<Uuid>,
    pub batch_id: Option<Uuid>,
    pub outcome: Outcome,
    pub reason: Option<Reason>,
    pub detail: Option<Message>,
    pub resolved: Option<Command>,
    pub print_id: Option<Uuid>,
    /// The first reported value is kept.
    pub state_before: Option<PrinterState>,
    pub state_after: Option<PrinterState>,
    /// The first reported value is kept.
    pub accepted_at: Option<DateTime<Utc>>,
    pub at: DateTime<Utc>,
}

impl CommandReport {
    /// Returns a report with an outcome and nothing else.
    pub fn new(command_id: Uuid, outcome: Outcome, at: DateTime<Utc>) -> Self {
        Self {
            command_id,
            printer_id: None,
            batch_id: None,
            outcome,
            reason: None,
            detail: None,
            resolved: None,
            print_id: None,
            state_before: None,
            state_after: None,
            accepted_at: None,
            at,
        }
    }

    /// Returns when the command ended. `None`: it has not ended.
    pub fn finished_at(&self) -> Option<DateTime<Utc>> {
        self.outcome.is_final().then_some(self.at)
    }
}
