//! Messages between the fleet and the dispatcher: commands to actors, reports from them.
//!
//! `fleet` never names `storage`. It requests a permit before every send ([`SendRequest`]) and reports the
//! progress of commands ([`Report`]). Observations go to the recorder by a queue of its own (`recorder_queue.rs`), so that
//! a busy recorder never delays a command.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::domain::{
    command::{Command, ExpectedJob, FileRef, Outcome, Reason, Settled, Step},
    noisy::Noisy,
    print::{Mark, PrintFact},
    state::PrinterState,
};

/// A command for one printer, with the limits under which it may go.
#[derive(Debug, Clone)]
pub struct ActorCommand {
    pub command_id: Uuid,
    pub command: Command,
    pub expected_job: Option<ExpectedJob>,
    pub file: Option<FileRef>,
    /// The printer was named by id.
    pub named: bool,
    pub force: bool,
    /// The plate is taken to be clear, whatever is known.
    pub assume_clear: bool,
    pub confirm_within: Duration,
    /// A printer that does not reply is waited for until the command expires.
    pub wait_when_unreachable: bool,
    /// Not sent after this.
    pub expires: Instant,
    /// It was sent by the previous run of the server: settle it as a command whose reply was lost.
    pub recover: Option<Recover>,
}

/// The entry of the command log for a command that was sent when the previous run of the server ended.
#[derive(Debug, Clone)]
pub struct Recover {
    pub step: Step,
    pub resolved: Option<Command>,
    pub attempts: i64,
    pub state_before: Option<PrinterState>,
    pub print_id: Option<Uuid>,
    pub file: Option<FileRef>,
    pub accepted_at: Option<DateTime<Utc>>,
    /// An earlier server may still send until then: only an observed effect counts before.
    pub others_send_until: Option<Instant>,
}

/// A command that ended with an unknown effect, which is still watched for.
#[derive(Debug, Clone)]
pub struct UnsettledCommand {
    pub command_id: Uuid,
    pub step: Step,
    /// The file that a start named.
    pub file: Option<FileRef>,
    pub state_before: PrinterState,
    pub print_id: Option<Uuid>,
    /// It ended as `unknown`.
    pub unanswered: bool,
    pub until: Instant,
}

/// A message to an actor.
#[derive(Debug)]
pub enum ActorMessage {
    /// Carry this out. While another command is in flight, only a cancel comes, which overtakes it.
    Perform(Box<ActorCommand>),
    /// The command log has ended this command before it was sent: forget it.
    Drop(Uuid),
    /// Watch for the effect of a command that ended with an unknown one in the previous run of the server.
    WatchUnsettled(Box<UnsettledCommand>),
    /// Something was done to the printer beside the job client (a file was selected): look at it.
    Look,
    /// A page shows this printer: read it more often for a while.
    Watched,
    /// The wanted state of the actor has changed (`wanted.rs`): wake up.
    Wake,
}

/// Asks whether a step may be sent now; no byte leaves before the answer is `true`.
#[derive(Debug)]
pub struct SendRequest {
    pub printer_id: Uuid,
    pub command_id: Uuid,
    /// The number that this send gets, from 1.
    pub attempt: i64,
    /// The permit of this attempt was given before, came too late, and is handed back unused.
    pub is_repeated: bool,
    pub step: Step,
    pub resolved: Option<Command>,
    pub state_before: PrinterState,
    pub print_id: Option<Uuid>,
    /// What a start is to print.
    pub file_path: Option<String>,
    pub permit: oneshot::Sender<bool>,
}

/// The progress of a command.
#[derive(Debug, Clone)]
pub struct Report {
    pub printer_id: Uuid,
    pub command_id: Uuid,
    pub outcome: Outcome,
    pub reason: Option<Reason>,
    pub detail: Option<String>,
    pub resolved: Option<Command>,
    pub print_id: Option<Uuid>,
    pub state_before: Option<PrinterState>,
    pub state_after: Option<PrinterState>,
    pub accepted_at: Option<DateTime<Utc>>,
    pub at: DateTime<Utc>,
}

/// A message of an actor to the dispatcher.
#[derive(Debug)]
pub enum ActorEvent {
    SendRequest(SendRequest),
    Report(Report),
    /// An effect that was observed after the end.
    Settled {
        command_id: Uuid,
        settled: Settled,
    },
    /// The actor panicked and was started again: its commands must be handed over again.
    Restarted {
        printer_id: Uuid,
    },
}

/// What the recorder is handed about prints, in order.
#[derive(Debug)]
pub enum RecorderMessage {
    Print {
        printer_id: Uuid,
        fact: PrintFact,
    },
    /// Facts that were merged, in place of the first of them.
    Noisy {
        printer_id: Uuid,
        noisy: Noisy,
    },
    /// A flush marker: answered once all messages before it are stored.
    Flush(oneshot::Sender<()>),
}

impl RecorderMessage {
    /// The printer that it is about.
    pub fn printer_id(&self) -> Option<Uuid> {
        match self {
            Self::Print { printer_id, .. } | Self::Noisy { printer_id, .. } => Some(*printer_id),
            Self::Flush(_) => None,
        }
    }
}

/// The state of a printer at one moment, and where its print was.
#[derive(Debug, Clone)]
pub struct StoredObservation {
    pub printer_id: Uuid,
    pub state: PrinterState,
    pub mark: Mark,
    pub at: DateTime<Utc>,
    pub octoprint_version: Option<Arc<str>>,
}
