//! A command in flight: the phases between its arrival and its final outcome.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::message::ActorCommand;
use crate::domain::{
    command::{Command, FileRef, Step},
    effect::{Evidence, Observation},
    print::SentStart,
    printer_file::PrintCounts,
    state::PrinterState,
};

/// How long a transitional state may hold a command, and how long a command waits for an effect that is in transition.
pub const MOVING_LIMIT: Duration = Duration::from_secs(900);

/// Maximum number of sends of one step after a lost reply or a lost effect, including the first send.
pub const MAX_SENDS_PER_STEP: u8 = 3;

/// The phase of a command, as its actor knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// A new reading of the printer is due before the command is decided.
    Read,
    /// The command waits for the end of a transitional state.
    Hold { since: Instant },
    /// The file's print counters are read before a start, because no event would report the print.
    Count,
    /// The permit was requested. No byte was sent.
    Permit,
    /// The request is being sent, or its reply is awaited.
    Send,
    /// OctoPrint accepted the command. Its effect has not been observed.
    Watch { since: Instant },
    /// No reply arrived. The printer is read instead.
    Settle { since: Instant },
}

/// A command in flight.
#[derive(Debug)]
pub struct InFlightCommand {
    /// The command as the dispatcher sent it.
    pub spec: Box<ActorCommand>,
    pub phase: Phase,
    /// The command that a toggle was resolved to.
    pub resolved: Option<Command>,
    pub step: Step,
    /// The observation before the current step was sent.
    pub before: Option<Observation>,
    /// The state on which the command was decided.
    pub state_before: Option<PrinterState>,
    /// The observation before the first step. A restart starts its file again.
    pub first_before: Option<Observation>,
    pub evidence: Evidence,
    /// Committed sends of all steps together. The command log has the same count.
    pub attempts: i64,
    /// Sends of the current step.
    pub sends: u8,
    /// When the permit of the next send was requested.
    pub permit_requested_at: Option<Instant>,
    /// The permit of the next send arrived too late, was not used, and is requested again.
    pub permit_unused: bool,
    /// OctoPrint answered 409, so the reading was stale. A second 409 is a refusal.
    pub had_conflict: bool,
    pub arrived: Instant,
    /// Only a reading that was started after this time counts as fresh.
    pub fresh_after: Option<Instant>,
    /// When the printer is read next for this command.
    pub next_read: Option<Instant>,
    pub reads: u32,
    /// When this process last sent the current step.
    pub sent_at: Option<DateTime<Utc>>,
    pub accepted_at: Option<DateTime<Utc>>,
    /// OctoPrint may have executed an earlier send. So the command never ends with an outcome that rules out an effect.
    pub doubtful: bool,
    /// When the reply was lost.
    pub lost_at: Option<Instant>,
    /// Prints of the file, counted before the start.
    pub prints_before: Option<PrintCounts>,
    /// The print that the command started. It may have ended already.
    pub started_print: Option<Uuid>,
    /// The printer is in transition to the effect.
    pub moving: bool,
    /// An emergency stop has overtaken the command. It is judged on the next reading, and never sent again.
    pub was_set_aside: bool,
    pub print_id: Option<Uuid>,
}

impl InFlightCommand {
    /// Creates a command that has just arrived.
    pub fn new(spec: Box<ActorCommand>, now: Instant) -> Self {
        let names_a_job = spec.expected_job.is_some();
        let mut command = Self {
            phase: Phase::Read,
            resolved: None,
            step: Step::Cancel,
            before: None,
            state_before: None,
            first_before: None,
            evidence: Evidence::default(),
            attempts: 0,
            sends: 0,
            permit_requested_at: None,
            permit_unused: false,
            had_conflict: false,
            arrived: now,
            fresh_after: names_a_job.then_some(now),
            next_read: None,
            reads: 0,
            sent_at: None,
            accepted_at: None,
            doubtful: false,
            lost_at: None,
            prints_before: None,
            started_print: None,
            moving: false,
            was_set_aside: false,
            print_id: None,
            spec,
        };
        if let Some(recovery) = command.spec.recovery.clone() {
            command.phase = Phase::Settle { since: now };
            command.doubtful = true;
            command.resolved = recovery.resolved;
            command.step = recovery.step;
            command.attempts = recovery.attempts;
            command.sends = MAX_SENDS_PER_STEP.min(u8::try_from(recovery.attempts).unwrap_or(MAX_SENDS_PER_STEP));
            command.accepted_at = recovery.accepted_at;
            command.evidence.is_accepted = recovery.accepted_at.is_some();
            command.lost_at = Some(now);
            command.fresh_after = Some(now);
            command.next_read = Some(now);
            command.print_id = recovery.print_id;
            command.before = Some(Observation {
                state: recovery.state_before.unwrap_or(PrinterState::Unknown),
                file: recovery.file.clone(),
                print_id: recovery.print_id,
                paused_by_printyard: false,
            });
            command.first_before.clone_from(&command.before);
        }
        command
    }

    /// Returns the command. For a toggle, it is the resolved command.
    pub fn command(&self) -> Command {
        self.resolved.unwrap_or(self.spec.command)
    }

    /// Whether the command is decided on the known state, however old that is. Only a refusal needs a new reading.
    pub fn needs_no_fresh_state(&self) -> bool {
        self.spec.command == Command::EmergencyStop && self.fresh_after.is_none()
    }

    /// Whether no byte was sent and no permit was used.
    pub fn is_unsent(&self) -> bool {
        self.attempts == 0
    }

    /// Whether an earlier server may still send this command.
    pub fn others_may_send(&self, now: Instant) -> bool {
        self.spec.recovery.as_ref().and_then(|recovery| recovery.others_send_until).is_some_and(|until| now < until)
    }

    /// Whether a request was sent and its effect is still open.
    pub fn awaits_effect(&self) -> bool {
        matches!(self.phase, Phase::Send | Phase::Watch { .. } | Phase::Settle { .. })
    }

    /// Returns the file that a start prints: the named file, or the selected one.
    pub fn target(&self) -> Option<&FileRef> {
        self.spec.file.as_ref().or_else(|| self.first_before.as_ref().and_then(|before| before.file.as_ref()))
    }

    /// Whether the command starts a print of its target.
    pub fn starts_print(&self) -> bool {
        matches!(self.spec.command, Command::Start | Command::Restart)
    }

    /// Whether the command is a restart, in either half.
    pub fn is_restart(&self) -> bool {
        self.spec.command == Command::Restart
    }

    /// Plans the next reading for this command: soon at first, then less often.
    pub fn plan_read(&mut self, now: Instant, pushed: bool) {
        const POLLED_MS: [u64; 5] = [120, 250, 500, 1_000, 2_000];
        const PUSHED_MS: [u64; 3] = [1_500, 3_000, 5_000];
        let delays: &[u64] = if pushed { &PUSHED_MS } else { &POLLED_MS };
        let index = usize::try_from(self.reads).unwrap_or(usize::MAX).min(delays.len() - 1);
        self.reads = self.reads.saturating_add(1);
        self.next_read = Some(now + Duration::from_millis(delays[index]));
    }

    /// Returns when this command must be decided, whatever was observed.
    pub fn deadline(&self) -> Option<Instant> {
        match self.phase {
            Phase::Read | Phase::Count => Some(self.spec.expires),
            Phase::Hold { since } => Some(since + MOVING_LIMIT),
            Phase::Permit | Phase::Send => None,
            Phase::Watch { since } | Phase::Settle { since } => {
                let limit = if self.moving { MOVING_LIMIT } else { self.spec.confirm_within };
                let others = self.spec.recovery.as_ref().and_then(|recovery| recovery.others_send_until);
                Some(others.map_or(since + limit, |until| until.max(since + limit)))
            }
        }
    }
}

/// A command that ended with an unknown effect. The actor watches for a late effect.
#[derive(Debug)]
pub struct UnsettledWatch {
    pub command_id: Uuid,
    pub step: Step,
    pub target: Option<FileRef>,
    pub before: Observation,
    pub evidence: Evidence,
    /// The outcome was `unknown`, not `unconfirmed`. If the printer then stays unchanged for [`UNCHANGED_FOR`], the request did
    /// not reach it.
    pub unanswered: bool,
    /// A start without a reply. Its print may still begin.
    pub start: Option<SentStart>,
    /// When the printer was first observed after the end.
    pub observed_since: Option<Instant>,
    pub until: Instant,
}

/// How long after the end of a command a late effect is still added to it.
pub const UNSETTLED_LIMIT: Duration = Duration::from_secs(24 * 3_600);

/// How long a printer must be observed unchanged until a command without a reply counts as not executed.
pub const UNCHANGED_FOR: Duration = Duration::from_secs(30);

/// A change that undoes a pause or resume within this time is recorded with the command. A plugin that pauses for each picture
/// resumes by itself, even if a person has paused the print in the meantime.
pub const UNDONE_WITHIN: Duration = Duration::from_secs(10);

/// Maximum number of commands with an unknown effect that are watched for one printer.
pub const UNSETTLED_KEPT: usize = 4;
