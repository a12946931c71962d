//! What goes between the live side and the ledger: orders down, reports up.
//!
//! `fleet` never names `storage`. It asks before every send ([`Ready`] is answered by go or drop), and it tells what
//! became of it ([`Report`]). What actors observe goes to the recorder by a queue of its own (`recorder_queue.rs`), so
//! that a busy recorder never delays a command.

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
pub struct Order {
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
    /// A printer that does not answer is waited for until the order expires.
    pub wait_when_unreachable: bool,
    /// Not sent after this.
    pub expires: Instant,
    /// It was sent in an earlier life of the server: settle it, as one whose reply was lost.
    pub recover: Option<Recover>,
}

/// What the ledger knows of a command that was on its way when the server died.
#[derive(Debug, Clone)]
pub struct Recover {
    pub step: Step,
    pub resolved: Option<Command>,
    pub attempts: i64,
    pub state_before: Option<PrinterState>,
    pub print_id: Option<Uuid>,
    pub file: Option<FileRef>,
    pub accepted_at: Option<DateTime<Utc>>,
    /// An earlier server may still send until then: only an effect that is seen counts before.
    pub others_send_until: Option<Instant>,
}

/// A command that ended as a maybe, to be watched on.
#[derive(Debug, Clone)]
pub struct LateOrder {
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

/// What an actor is told.
#[derive(Debug)]
pub enum Mail {
    /// Carry this out. While another command is in flight, only a cancel comes, which overtakes it.
    Perform(Box<Order>),
    /// The ledger has ended this command before it was sent: forget it.
    Drop(Uuid),
    /// Watch on for the effect of a command that ended as a maybe in an earlier life of the server.
    WatchLate(Box<LateOrder>),
    /// Something was done to the printer beside the job client (a file was selected): look at it.
    Look,
    /// Somebody looks at this printer: read it more often for a while.
    Watched,
    /// The wanted state of the actor has changed (`wanted.rs`): wake up.
    Wake,
}

/// Asks whether a step may be sent now; no byte leaves before the answer is `true`.
#[derive(Debug)]
pub struct Ready {
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
    pub go: oneshot::Sender<bool>,
}

/// Where a command is now.
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

/// What an actor tells the ledger.
#[derive(Debug)]
pub enum Up {
    Ready(Ready),
    Report(Report),
    /// An effect that showed after the end.
    Settled {
        command_id: Uuid,
        settled: Settled,
    },
    /// The actor died and was started anew: what it held must be given again.
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

/// The state of a printer at one moment, and where its print was.
#[derive(Debug, Clone)]
pub struct Observation {
    pub printer_id: Uuid,
    pub state: PrinterState,
    pub mark: Mark,
    pub at: DateTime<Utc>,
    pub octoprint_version: Option<Arc<str>>,
}
