//! One command on its way to one printer: the phases between its arrival and its final outcome.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::message::Order;
use crate::{
    domain::{
        command::{Command, FileRef, Step},
        effect::{Evidence, Sight},
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
    /// The ledger was asked; no byte has left.
    Ask,
    /// The request is on the wire.
    Wire,
    /// OctoPrint accepted it; its effect has not been seen.
    Watch { since: Instant },
    /// No answer came; the printer is read instead.
    Settle { since: Instant },
}

/// A command in flight.
#[derive(Debug)]
pub struct Flight {
    pub order: Box<Order>,
    pub phase: Phase,
    /// What a toggle turned out to be.
    pub resolved: Option<Command>,
    pub step: Step,
    /// What was seen before the current step was sent.
    pub before: Option<Sight>,
    /// The state that was decided on.
    pub seen_before: Option<PrinterState>,
    /// What was seen before the first step: a restart starts this file again.
    pub first_before: Option<Sight>,
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

impl Flight {
    /// A command that has just arrived.
    pub fn new(order: Box<Order>, now: Instant) -> Self {
        let names_a_job = order.expected_job.is_some();
        let mut flight = Self {
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
            order,
        };
        if let Some(recover) = flight.order.recover.clone() {
            flight.phase = Phase::Settle { since: now };
            flight.doubtful = true;
            flight.resolved = recover.resolved;
            flight.step = recover.step;
            flight.attempts = recover.attempts;
            flight.sends = MAX_SENDS_OF_A_STEP.min(u8::try_from(recover.attempts).unwrap_or(MAX_SENDS_OF_A_STEP));
            flight.accepted_at = recover.accepted_at;
            flight.lost_at = Some(now);
            flight.look_after = Some(now);
            flight.next_look = Some(now);
            flight.print_id = recover.print_id;
            flight.before = Some(Sight {
                state: recover.state_before.unwrap_or(PrinterState::Unknown),
                file: recover.file.clone(),
                print_id: recover.print_id,
                paused_by_printyard: false,
            });
            flight.first_before.clone_from(&flight.before);
        }
        flight
    }

    /// The command, a toggle as what it turned out to be.
    pub fn command(&self) -> Command {
        self.resolved.unwrap_or(self.order.command)
    }

    /// No byte has left, and none was allowed to.
    pub fn is_unsent(&self) -> bool {
        self.attempts == 0
    }

    /// An earlier server may still send this command.
    pub fn others_may_send(&self, now: Instant) -> bool {
        self.order.recover.as_ref().and_then(|recover| recover.others_send_until).is_some_and(|until| now < until)
    }

    /// A request left, and its effect is still open.
    pub fn is_out(&self) -> bool {
        matches!(self.phase, Phase::Wire | Phase::Watch { .. } | Phase::Settle { .. })
    }

    /// The file that a start is to print: the one named, or the one that was selected.
    pub fn target(&self) -> Option<&FileRef> {
        self.order.file.as_ref().or_else(|| self.first_before.as_ref().and_then(|before| before.file.as_ref()))
    }

    /// A print of the target is to begin by it.
    pub fn places_a_print(&self) -> bool {
        matches!(self.order.command, Command::Start | Command::Restart)
    }

    /// It is in the second half of a restart, or waits for it.
    pub fn is_restart(&self) -> bool {
        self.order.command == Command::Restart
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
            Phase::Look | Phase::Count => Some(self.order.expires),
            Phase::Hold { since } => Some(since + MOVING_LIMIT),
            Phase::Ask | Phase::Wire => None,
            Phase::Watch { since } | Phase::Settle { since } => {
                let limit = if self.moving { MOVING_LIMIT } else { self.order.confirm_within };
                let others = self.order.recover.as_ref().and_then(|recover| recover.others_send_until);
                Some(others.map_or(since + limit, |until| until.max(since + limit)))
            }
        }
    }
}

/// A command that ended as a maybe, watched on for an effect that shows late.
#[derive(Debug)]
pub struct Late {
    pub command_id: Uuid,
    pub step: Step,
    pub target: Option<FileRef>,
    pub before: Sight,
    pub evidence: Evidence,
    /// It was `unknown`, not `unconfirmed`: a printer that is seen untouched for a while was not reached.
    pub unanswered: bool,
    /// A start without a reply, whose print may still begin.
    pub start: Option<StartSent>,
    /// First reading after the end.
    pub read_since: Option<Instant>,
    pub until: Instant,
}

/// How long an effect that shows late is added.
pub const LATE_LIMIT: Duration = Duration::from_secs(24 * 3_600);

/// How long a printer must be seen untouched before a command without an answer counts as not carried out.
pub const UNTOUCHED: Duration = Duration::from_secs(30);

/// Commands that ended as a maybe and are watched on for one printer.
pub const LATE_KEPT: usize = 4;
