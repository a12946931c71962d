//! Messages between the fleet and the dispatcher: commands to actors, and reports from actors.
//!
//! `fleet` never names `storage`. It requests a permit before every send ([`SendRequest`]), and reports the progress of
//! commands ([`CommandReport`]). Observations go to the recorder through a separate queue (`recorder_queue.rs`), so a busy recorder
//! never delays a command.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::domain::{
    command::{Command, ExpectedJob, FileRef, SettledEffect, Step},
    command_report::CommandReport,
    merged_facts::MergedFacts,
    print::{JobMark, PrintFact},
    state::PrinterState,
};

/// A command for one printer, with the limits for its sends.
#[derive(Debug, Clone)]
pub struct ActorCommand {
    pub command_id: Uuid,
    pub command: Command,
    pub expected_job: Option<ExpectedJob>,
    pub file: Option<FileRef>,
    /// The request selected the printer by its id.
    pub named: bool,
    pub force: bool,
    /// Treat the plate as clear, whatever its known state is.
    pub assume_clear: bool,
    pub confirm_within: Duration,
    /// If the printer does not reply, wait for it until the command expires.
    pub wait_when_unreachable: bool,
    /// The command is not sent after this time.
    pub expires: Instant,
    /// The previous run of the server sent the command. Settle it like a command whose reply was lost.
    pub recovery: Option<Recovery>,
}

/// The command log's entry of a command that was sent when the previous run of the server ended.
#[derive(Debug, Clone)]
pub struct Recovery {
    pub step: Step,
    pub resolved: Option<Command>,
    pub attempts: i64,
    pub state_before: Option<PrinterState>,
    pub print_id: Option<Uuid>,
    pub file: Option<FileRef>,
    pub accepted_at: Option<DateTime<Utc>>,
    /// Until this time an earlier server may still send the command, so only an observed effect counts.
    pub others_send_until: Option<Instant>,
}

/// A command that ended with an unknown effect and is still watched.
#[derive(Debug, Clone)]
pub struct UnsettledCommand {
    pub command_id: Uuid,
    pub step: Step,
    /// The file that a start named.
    pub file: Option<FileRef>,
    pub state_before: PrinterState,
    pub print_id: Option<Uuid>,
    /// The command ended as `unknown`.
    pub unanswered: bool,
    pub until: Instant,
}

/// A message to an actor.
#[derive(Debug)]
pub enum ActorMessage {
    /// Execute this command. While another command is in flight, the dispatcher sends only a cancel or an emergency stop,
    /// which overtakes it.
    Perform(Box<ActorCommand>),
    /// Forget this command: the command log has ended it before it was sent.
    Drop(Uuid),
    /// Watch for the effect of a command that ended with an unknown effect in the previous run of the server.
    WatchUnsettled(Box<UnsettledCommand>),
    /// Read the printer: a request outside the job client has changed it (a file was selected).
    Read,
    /// Read the printer more often for a while: a page shows it.
    Viewed,
    /// Wake up: the wanted state of the actor has changed (`wanted_state.rs`).
    Wake,
}

/// Requests a permit to send a step. No byte is sent before the reply `true`.
#[derive(Debug)]
pub struct SendRequest {
    pub printer_id: Uuid,
    pub command_id: Uuid,
    /// The number of this send, from 1.
    pub attempt: i64,
    /// The permit of this attempt was granted before. It arrived too late and is returned unused.
    pub is_repeated: bool,
    pub step: Step,
    pub resolved: Option<Command>,
    pub state_before: PrinterState,
    pub print_id: Option<Uuid>,
    /// The file that a start prints.
    pub file_path: Option<String>,
    pub permit: oneshot::Sender<bool>,
}

/// A message from an actor to the dispatcher.
#[derive(Debug)]
pub enum ActorEvent {
    SendRequest(SendRequest),
    Report(CommandReport),
    /// An effect that was observed after the end of the command.
    Settled {
        command_id: Uuid,
        settled: SettledEffect,
    },
    /// The actor panicked and was restarted: its commands must be sent to it again.
    Restarted {
        printer_id: Uuid,
    },
}

/// A message to the recorder about prints. The messages are in order.
#[derive(Debug)]
pub enum RecorderMessage {
    Print {
        printer_id: Uuid,
        fact: PrintFact,
    },
    /// Merged facts, at the position of the first of them.
    Noisy {
        printer_id: Uuid,
        noisy: MergedFacts,
    },
    /// A flush marker. It is answered once all messages before it are stored.
    Flush(oneshot::Sender<()>),
}

impl RecorderMessage {
    /// Returns the printer that the message is about.
    pub fn printer_id(&self) -> Option<Uuid> {
        match self {
            Self::Print { printer_id, .. } | Self::Noisy { printer_id, .. } => Some(*printer_id),
            Self::Flush(_) => None,
        }
    }
}

/// The state of a printer at one moment, and the progress mark of its print.
#[derive(Debug, Clone)]
pub struct StoredObservation {
    pub printer_id: Uuid,
    pub state: PrinterState,
    pub mark: JobMark,
    pub at: DateTime<Utc>,
    pub octoprint_version: Option<Arc<str>>,
}
