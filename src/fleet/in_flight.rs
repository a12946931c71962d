//! A command in flight: the phases between its arrival and its final outcome.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::message::ActorCommand;
use crate::{
    domain::{
        command::{Command, FileRef, Step},
        effect::{Evidence, Observation},
        print::StartSent,
        state::PrinterState,
    },
    octoprint::Prints,
};

/// How long a passing state may hold a command, and how long an effect that is on its way is waited for.
pub const MOVING_LIMIT: Duration = Duration::from_secs(900);

/// Sends of one step after a lost reply or a lost effect, the first one included.
pub const MAX_SENDS_OF_A_STEP: u8 = 3;

/// Where a command is, as the actor sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// A fresh look at the printer is due before anything is decided.
    Look,
    /// A passing state is waited out.
    Hold { since: Instant },
    /// The file's print counters are read before a start, where no event would tell of it.
    Count,
    /// The permit was requested; no byte was sent.
    Permit,
    /// The request is on the wire.
    Wire,
    /// OctoPrint accepted it; its effect has not been seen.
    Watch { since: Instant },
    /// No reply came; the printer is read instead.
    Settle { since: Instant },
}

/// A command in flight.
#[derive(Debug)]
pub struct InFlightCommand {
    /// The command as the dispatcher gave it.
    pub spec: Box<ActorCommand>,
    pub phase: Phase,
    /// What a toggle turned out to be.
    pub resolved: Option<Command>,
    pub step: Step,
    /// What was seen before the current step was sent.
    pub before: Option<Observation>,
    /// The state that was decided on.
    pub seen_before: Option<PrinterState>,
    /// What was seen before the first step: a restart starts this file again.
    pub first_before: Option<Observation>,
    pub evidence: Evidence,
    /// Sends committed, all steps together; the ledger counts the same.
    pub attempts: i64,
    /// Sends of the current step.
    pub sends: u8,
    /// When the permit of the next send was asked for.
    pub asked_at: Option<Instant>,
    /// The permit of the next send came too late, was not used, and is asked for again.
    pub permit_unused: bool,
    /// A 409 showed that the look was stale; the second one is a refusal.
    pub conflict: bool,
    pub arrived: Instant,
    /// Only a reading that was begun after this counts as fresh.
    pub look_after: Option<Instant>,
    /// When the printer is read next on behalf of this command.
    pub next_look: Option<Instant>,
    pub looks: u32,
    /// When this process sent the current step last.
    pub sent_at: Option<DateTime<Utc>>,
    pub accepted_at: Option<DateTime<Utc>>,
    /// An earlier send may have been carried out: it never ends as if nothing was done.
    pub doubtful: bool,
    /// The reply was lost at this moment.
    pub lost_at: Option<Instant>,
    /// Prints of the file, counted before the start.
    pub prints_before: Option<Prints>,
    /// The print that it began, which may have ended already.
    pub began: Option<Uuid>,
    /// The effect is on its way.
    pub moving: bool,
    pub print_id: Option<Uuid>,
}

impl InFlightCommand {
    /// A command that has just arrived.
    pub fn new(spec: Box<ActorCommand>, now: Instant) -> Self {
        let names_a_job = spec.expected_job.is_some();
        let mut command = Self {
            phase: Phase::Look,
            resolved: None,
            step: Step::Cancel,
            before: None,
            seen_before: None,
            first_before: None,
            evidence: Evidence::default(),
            attempts: 0,
            sends: 0,
            asked_at: None,
            permit_unused: false,
            conflict: false,
            arrived: now,
            look_after: names_a_job.then_some(now),
            next_look: None,
            looks: 0,
            sent_at: None,
            accepted_at: None,
            doubtful: false,
            lost_at: None,
            prints_before: None,
            began: None,
            moving: false,
            print_id: None,
            spec,
        };
        if let Some(recover) = command.spec.recover.clone() {
            command.phase = Phase::Settle { since: now };
            command.doubtful = true;
            command.resolved = recover.resolved;
            command.step = recover.step;
            command.attempts = recover.attempts;
            command.sends = MAX_SENDS_OF_A_STEP.min(u8::try_from(recover.attempts).unwrap_or(MAX_SENDS_OF_A_STEP));
            command.accepted_at = recover.accepted_at;
            command.lost_at = Some(now);
            command.look_after = Some(now);
            command.next_look = Some(now);
            command.print_id = recover.print_id;
            command.before = Some(Observation {
                state: recover.state_before.unwrap_or(PrinterState::Unknown),
                file: recover.file.clone(),
                print_id: recover.print_id,
                paused_by_printyard: false,
            });
            command.first_before.clone_from(&command.before);
        }
        command
    }

    /// The command, a toggle as what it turned out to be.
    pub fn command(&self) -> Command {
        self.resolved.unwrap_or(self.spec.command)
    }

    /// No byte has left, and none was allowed to.
    pub fn is_unsent(&self) -> bool {
        self.attempts == 0
    }

    /// An earlier server may still send this command.
    pub fn others_may_send(&self, now: Instant) -> bool {
        self.spec.recover.as_ref().and_then(|recover| recover.others_send_until).is_some_and(|until| now < until)
    }

    /// A request left, and its effect is still open.
    pub fn is_out(&self) -> bool {
        matches!(self.phase, Phase::Wire | Phase::Watch { .. } | Phase::Settle { .. })
    }

    /// The file that a start is to print: the one named, or the one that was selected.
    pub fn target(&self) -> Option<&FileRef> {
        self.spec.file.as_ref().or_else(|| self.first_before.as_ref().and_then(|before| before.file.as_ref()))
    }

    /// A print of the target is to begin by it.
    pub fn places_a_print(&self) -> bool {
        matches!(self.spec.command, Command::Start | Command::Restart)
    }

    /// It is in the second half of a restart, or waits for it.
    pub fn is_restart(&self) -> bool {
        self.spec.command == Command::Restart
    }

    /// Plans the next reading made on its behalf: soon at first, then less often.
    pub fn plan_look(&mut self, now: Instant, pushed: bool) {
        const POLLED_MS: [u64; 5] = [120, 250, 500, 1_000, 2_000];
        const PUSHED_MS: [u64; 3] = [1_500, 3_000, 5_000];
        let delays: &[u64] = if pushed { &PUSHED_MS } else { &POLLED_MS };
        let index = usize::try_from(self.looks).unwrap_or(usize::MAX).min(delays.len() - 1);
        self.looks = self.looks.saturating_add(1);
        self.next_look = Some(now + Duration::from_millis(delays[index]));
    }

    /// When this command must be decided, whatever is seen.
    pub fn deadline(&self) -> Option<Instant> {
        match self.phase {
            Phase::Look | Phase::Count => Some(self.spec.expires),
            Phase::Hold { since } => Some(since + MOVING_LIMIT),
            Phase::Permit | Phase::Wire => None,
            Phase::Watch { since } | Phase::Settle { since } => {
                let limit = if self.moving { MOVING_LIMIT } else { self.spec.confirm_within };
                let others = self.spec.recover.as_ref().and_then(|recover| recover.others_send_until);
                Some(others.map_or(since + limit, |until| until.max(since + limit)))
            }
        }
    }
}

/// A command that ended with an unknown effect, watched for an effect that shows later.
#[derive(Debug)]
pub struct Unsettled {
    pub command_id: Uuid,
    pub step: Step,
    pub target: Option<FileRef>,
    pub before: Observation,
    pub evidence: Evidence,
    /// It was `unknown`, not `unconfirmed`: a printer that is seen untouched for a while was not reached.
    pub unanswered: bool,
    /// A start without a reply, whose print may still begin.
    pub start: Option<StartSent>,
    /// First reading after the end.
    pub read_since: Option<Instant>,
    pub until: Instant,
}

/// How long an effect that shows later is added.
pub const UNSETTLED_LIMIT: Duration = Duration::from_secs(24 * 3_600);

/// How long a printer must be observed unchanged before a command without a reply counts as not executed.
pub const UNTOUCHED: Duration = Duration::from_secs(30);

/// A change against a pause or resume is recorded with it when it comes this soon: a plugin that pauses for each picture
/// resumes by itself, also where a person has paused meanwhile.
pub const UNDONE_WITHIN: Duration = Duration::from_secs(10);

/// Commands with an unknown effect that are watched for one printer.
pub const UNSETTLED_KEPT: usize = 4;
