//! How an actor carries out a command: it obeys `domain/effect.rs`, asks the ledger before every send, and watches
//! until it has seen the effect or may say that it has not.

use std::time::Instant;

use uuid::Uuid;

use super::{
    actor::Actor,
    errand,
    flight::{Flight, LATE_LIMIT, Late, Phase},
    message::{Order, Report, Up},
};
use crate::{
    clock,
    domain::{
        command::{Command, Effect, Outcome, Reason, Step},
        effect::{self, Decision, Evidence, Guards},
        plate::PlateState,
        print::PrintResult,
    },
    octoprint::Prints,
};

impl Actor {
    /// Takes an order. While another one is in flight only a cancel comes, and overtakes it.
    pub(super) fn take(&mut self, order: Box<Order>) {
        let now = Instant::now();
        let Some(flight) = &self.slot else {
            self.slot = Some(Flight::new(order, now));
            return;
        };
        // The dispatcher hands a command over again where it cannot know that the actor has it.
        let overtaking = self.next.as_ref().map(|next| next.command_id);
        if flight.order.command_id == order.command_id || overtaking == Some(order.command_id) {
            return;
        }
        if order.command != Command::Cancel || self.next.is_some() {
            let command_id = order.command_id;
            self.report_unsent(command_id, Outcome::Rejected, Reason::CommandInFlight);
            return;
        }
        self.next = Some(order);
        let Some(flight) = &mut self.slot else { return };
        match flight.phase {
            // What is in flight is judged once more, on a new reading.
            Phase::Watch { .. } | Phase::Settle { .. } => flight.look_after = Some(now),
            Phase::Look | Phase::Hold { .. } | Phase::Count if flight.is_unsent() => self.slot = None,
            // Refused by a stale look and about to be decided anew: nothing was done.
            Phase::Look | Phase::Hold { .. } | Phase::Count => {
                self.finish(Outcome::Rejected, Some(Reason::OvertakenByCancel), None);
            }
            Phase::Ask | Phase::Wire => {}
        }
    }

    /// The ledger has ended it before it was sent.
    pub(super) fn drop_unsent(&mut self, command_id: Uuid) {
        if self.next.as_ref().is_some_and(|order| order.command_id == command_id) {
            self.next = None;
        }
        let held = self.slot.as_ref().is_some_and(|flight| {
            flight.order.command_id == command_id && flight.is_unsent() && flight.phase != Phase::Ask
        });
        if held {
            self.slot = None;
            self.dirty = true;
        }
    }

    /// Moves the command in flight as far as what is known allows.
    pub(super) fn conduct(&mut self) {
        loop {
            if self.slot.is_none()
                && let Some(order) = self.next.take()
            {
                let mut flight = Flight::new(order, Instant::now());
                // Decided on a new reading: what was known is from before the command that it overtook.
                flight.look_after = Some(flight.arrived);
                self.slot = Some(flight);
                self.dirty = true;
            }
            let Some(flight) = &self.slot else { return };
            let moved = match flight.phase {
                Phase::Look => self.look(),
                Phase::Hold { .. } => self.hold(),
                Phase::Watch { .. } => self.watch(),
                Phase::Settle { .. } => self.settle(),
                Phase::Count | Phase::Ask | Phase::Wire => false,
            };
            if !moved {
                return;
            }
        }
    }

    pub(super) fn look(&mut self) -> bool {
        let now = Instant::now();
        let Some(flight) = &self.slot else { return false };
        if now >= flight.order.expires {
            self.finish(Outcome::Expired, None, None);
            return true;
        }
        if !self.is_fresh(flight.look_after, now) {
            if flight.next_look.is_none_or(|due| now >= due) {
                self.want_reading(now);
            }
            return false;
        }
        self.decide()
    }

    pub(super) fn hold(&mut self) -> bool {
        let now = Instant::now();
        let Some(Flight { phase: Phase::Hold { since }, .. }) = self.slot else { return false };
        if now.duration_since(since) >= super::flight::MOVING_LIMIT {
            self.finish(Outcome::Rejected, Some(Reason::WaitedTooLong), None);
            return true;
        }
        if self.is_fresh(None, now) {
            return self.decide();
        }
        self.look_again(now);
        false
    }

    /// Asks the table, and does what it says. `false` when there is nothing to do but wait.
    pub(super) fn decide(&mut self) -> bool {
        let now = Instant::now();
        let sight = self.sight();
        let gate = self.around.settings.plate_gate;
        let plate_clear = !gate || self.live.plate.state == PlateState::Clear;
        let enabled = !self.retiring;
        let Some(flight) = &mut self.slot else { return false };
        let guards = Guards {
            enabled,
            plate_clear: plate_clear || flight.order.assume_clear,
            expected_job: flight.order.expected_job.clone(),
            file: flight.order.file.clone(),
            named: flight.order.named,
            force: flight.order.force,
        };
        if flight.order.command == Command::Toggle && flight.resolved.is_none() {
            flight.resolved = effect::resolve_toggle(sight.state).ok();
        }
        flight.print_id = sight.print_id;
        flight.seen_before = Some(sight.state);
        match effect::decide(flight.command(), &sight, &guards) {
            Decision::Send(step) => {
                flight.first_before.get_or_insert_with(|| sight.clone());
                self.prepare(step, sight);
                true
            }
            Decision::Wait => {
                if !matches!(flight.phase, Phase::Hold { .. }) {
                    flight.phase = Phase::Hold { since: now };
                    self.dirty = true;
                }
                self.look_again(now);
                false
            }
            Decision::Unchanged => {
                self.finish(Outcome::Unchanged, None, None);
                true
            }
            // Somebody may be selecting one at this moment, and a reading from before it may have come after the news of it.
            Decision::Reject(Reason::NoFileSelected) if flight.look_after.is_none() => {
                flight.look_after = Some(flight.arrived);
                flight.phase = Phase::Look;
                true
            }
            Decision::Reject(reason) => {
                self.finish(Outcome::Rejected, Some(reason), None);
                true
            }
        }
    }

    /// Gets a step ready. Where no event will tell of a print, its file's counters are read first.
    pub(super) fn prepare(&mut self, step: Step, before: effect::Sight) {
        let pushed = self.is_pushed();
        let octoprint = self.octoprint.clone();
        let Some(flight) = &mut self.slot else { return };
        if flight.step != step || flight.before.is_none() {
            flight.sends = 0;
        }
        flight.step = step;
        flight.before = Some(before);
        flight.evidence = Evidence::default();
        flight.began = None;
        flight.moving = false;
        if step == Step::Start
            && !pushed
            && flight.phase != Phase::Count
            && let Some(file) = flight.target().cloned()
        {
            flight.phase = Phase::Count;
            self.errands.push(Box::pin(errand::count(octoprint, flight.order.command_id, file)));
            return;
        }
        self.ask();
    }

    pub(super) fn on_counted(&mut self, command_id: Uuid, prints: Option<Prints>) {
        let moment = self.moment();
        let Some(flight) = self.flight(command_id) else { return };
        if flight.phase == Phase::Count {
            flight.prints_before = prints;
            self.ask();
            return;
        }
        let (Some(before), Some(now), Some(file)) = (flight.prints_before, prints, flight.target().cloned()) else {
            return;
        };
        if now.success + now.failure <= before.success + before.failure {
            return;
        }
        flight.evidence.started = Some(file.path.clone());
        if flight.began.is_none() && self.tracker.current().is_none() {
            // It came and went between two looks, and left everything as it was: the counter alone tells of it.
            let result = if now.success > before.success { PrintResult::Done } else { PrintResult::Unknown };
            let facts = self.tracker.found(file, result, &moment);
            self.tell(facts);
        }
    }

    /// Reads the printer on behalf of the command in flight, when that is due.
    pub(super) fn look_again(&mut self, now: Instant) {
        let pushed = self.is_pushed();
        let under_way = self.reading_since.is_some();
        let Some(flight) = &mut self.slot else { return };
        if flight.next_look.is_none() {
            flight.plan_look(now, pushed);
        }
        if flight.next_look.is_some_and(|due| now >= due) && !under_way {
            flight.plan_look(now, pushed);
            self.want_reading(now);
        }
    }

    /// Ends the command in flight. Whoever hears of the end finds the printer as it is now: it is shown first.
    pub(super) fn finish(&mut self, outcome: Outcome, reason: Option<Reason>, detail: Option<String>) {
        let doubtful = self.slot.as_ref().is_some_and(|flight| flight.doubtful);
        let outcome = if doubtful && outcome.effect() == Some(Effect::None) { Outcome::Unknown } else { outcome };
        let Some(report) = self.report_of(outcome, reason, detail) else { return };
        let start = self.start_sent().filter(|_| outcome == Outcome::Unknown);
        let Some(flight) = self.slot.take() else { return };
        let ended = flight.order.command_id;
        self.start_before = self.start_before.take().filter(|start| start.command_id != ended);
        self.dirty = true;
        self.publish();
        self.outbox.send(Up::Report(report));
        if outcome.effect() == Some(Effect::Maybe)
            && let Some(before) = flight.before.clone()
            && !flight.is_restart()
        {
            let now = Instant::now();
            self.keep_late(Late {
                command_id: flight.order.command_id,
                step: flight.step,
                target: flight.target().cloned(),
                before,
                evidence: flight.evidence,
                unanswered: outcome == Outcome::Unknown,
                start: start.filter(|start| start.command_id == ended),
                read_since: None,
                until: now + LATE_LIMIT,
            });
        }
    }

    /// Tells how far the command in flight is.
    pub(super) fn report(&mut self, outcome: Outcome) {
        if let Some(report) = self.report_of(outcome, None, None) {
            self.outbox.send(Up::Report(report));
        }
    }

    fn report_of(&self, outcome: Outcome, reason: Option<Reason>, detail: Option<String>) -> Option<Report> {
        let flight = self.slot.as_ref()?;
        let current = self.tracker.current().map(|print| print.id);
        Some(Report {
            printer_id: self.live.id,
            command_id: flight.order.command_id,
            outcome,
            reason,
            detail: detail.or_else(|| reason.map(|reason| reason.sentence().to_owned())),
            resolved: flight.resolved,
            print_id: if flight.step == Step::Start { flight.began.or(current) } else { flight.print_id },
            state_before: flight.seen_before,
            state_after: self.in_touch.then_some(self.state),
            accepted_at: flight.accepted_at,
            at: clock::now(),
        })
    }

    pub(super) fn report_unsent(&mut self, command_id: Uuid, outcome: Outcome, reason: Reason) {
        let report = Report {
            printer_id: self.live.id,
            command_id,
            outcome,
            reason: Some(reason),
            detail: Some(reason.sentence().to_owned()),
            resolved: None,
            print_id: None,
            state_before: None,
            state_after: None,
            accepted_at: None,
            at: clock::now(),
        };
        self.outbox.send(Up::Report(report));
    }

    pub(super) fn flight(&mut self, command_id: Uuid) -> Option<&mut Flight> {
        self.slot.as_mut().filter(|flight| flight.order.command_id == command_id)
    }
}

impl Flight {
    /// Why a command that a cancel overtook ends without its effect seen.
    pub(super) fn overtaken_reason(&self) -> Reason {
        if self.is_restart() { Reason::CancelledNotStarted } else { Reason::OvertakenByCancel }
    }
}
