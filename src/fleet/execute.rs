//! Executes a command on its printer.
//!
//! The actor follows the decisions of `domain/effect.rs`, requests a permit before every send, and reports the outcome.

use std::time::Instant;

use uuid::Uuid;

use super::{
    actor::Actor,
    in_flight::{InFlightCommand, MOVING_LIMIT, Phase, UNSETTLED_LIMIT, Unsettled},
    message::{ActorCommand, ActorEvent, Report},
    request,
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
    /// Accepts a command. While another command is in flight, the dispatcher sends only a cancel, which overtakes it.
    pub(super) fn take(&mut self, command: Box<ActorCommand>) {
        let now = Instant::now();
        let Some(current) = self.commands.current() else {
            self.commands.begin(InFlightCommand::new(command, now));
            return;
        };
        // The dispatcher sends a command again if it cannot know that the actor has it.
        let overtaking = self.commands.overtaking().map(|cancel| cancel.command_id);
        if current.spec.command_id == command.command_id || overtaking == Some(command.command_id) {
            return;
        }
        if command.command != Command::Cancel || overtaking.is_some() {
            let command_id = command.command_id;
            self.report_unsent(command_id, Outcome::Rejected, Reason::CommandInFlight);
            return;
        }
        self.commands.overtake(command);
        let Some(current) = self.commands.current_mut() else { return };
        match current.phase {
            // The sent command is judged again, on a new reading.
            Phase::Watch { .. } | Phase::Settle { .. } => current.look_after = Some(now),
            Phase::Look | Phase::Hold { .. } | Phase::Count if current.is_unsent() => {
                self.commands.take();
            }
            // OctoPrint refused the command because the reading was stale, and it was about to be decided again. Nothing was
            // done.
            Phase::Look | Phase::Hold { .. } | Phase::Count => {
                self.finish(Outcome::Rejected, Some(Reason::OvertakenByCancel), None);
            }
            Phase::Permit | Phase::Wire => {}
        }
    }

    /// Drops a command that the command log has ended before it was sent.
    pub(super) fn drop_unsent(&mut self, command_id: Uuid) {
        if self.commands.overtaking().is_some_and(|cancel| cancel.command_id == command_id) {
            self.commands.take_overtaking();
        }
        let held = self.commands.current().is_some_and(|command| {
            command.spec.command_id == command_id && command.is_unsent() && command.phase != Phase::Permit
        });
        if held {
            self.commands.take();
            self.published.touch();
        }
    }

    /// Advances the command in flight as far as the observations allow.
    pub(super) fn execute(&mut self) {
        loop {
            if self.commands.is_idle()
                && let Some(cancel) = self.commands.take_overtaking()
            {
                let mut command = InFlightCommand::new(cancel, Instant::now());
                // The cancel is decided on a new reading: the known state is from before the overtaken command.
                command.look_after = Some(command.arrived);
                self.commands.begin(command);
                self.published.touch();
            }
            let Some(command) = self.commands.current() else { return };
            let moved = match command.phase {
                Phase::Look => self.look(),
                Phase::Hold { .. } => self.hold(),
                Phase::Watch { .. } => self.watch(),
                Phase::Settle { .. } => self.settle(),
                Phase::Count | Phase::Permit | Phase::Wire => false,
            };
            if !moved {
                return;
            }
        }
    }

    pub(super) fn look(&mut self) -> bool {
        let now = Instant::now();
        let Some(command) = self.commands.current() else { return false };
        if now >= command.spec.expires {
            self.finish(Outcome::Expired, None, None);
            return true;
        }
        if !self.is_fresh(command.look_after, now) {
            if command.next_look.is_none_or(|due| now >= due) {
                self.want_reading(now);
            }
            return false;
        }
        self.decide()
    }

    pub(super) fn hold(&mut self) -> bool {
        let now = Instant::now();
        let Some(Phase::Hold { since }) = self.commands.current().map(|command| command.phase) else { return false };
        if now.duration_since(since) >= MOVING_LIMIT {
            self.finish(Outcome::Rejected, Some(Reason::WaitedTooLong), None);
            return true;
        }
        let after = self.commands.current().and_then(|command| command.look_after);
        if self.is_fresh(after, now) {
            return self.decide();
        }
        self.look_again(now);
        false
    }

    /// Decides the command in flight and executes the decision. Returns `false` if the command must wait.
    pub(super) fn decide(&mut self) -> bool {
        let now = Instant::now();
        let observation = self.observation();
        let gate = self.context.settings.plate_gate;
        let plate_clear = !gate || self.published.live().plate.state == PlateState::Clear;
        let enabled = !self.retiring;
        let Some(command) = self.commands.current_mut() else { return false };
        let guards = Guards {
            enabled,
            plate_clear: plate_clear || command.spec.assume_clear,
            expected_job: command.spec.expected_job.clone(),
            file: command.spec.file.clone(),
            named: command.spec.named,
            force: command.spec.force,
        };
        if command.spec.command == Command::Toggle && command.resolved.is_none() {
            command.resolved = effect::resolve_toggle(observation.state).ok();
        }
        command.print_id = observation.print_id;
        command.seen_before = Some(observation.state);
        let decision = effect::decide(command.command(), &observation, &guards);
        let is_decided = is_independent(decision) || self.schedule.is_begun_after(command.arrived);
        match decision {
            Decision::Send(step) => {
                command.first_before.get_or_insert_with(|| observation.clone());
                self.prepare(step, observation);
                true
            }
            Decision::Wait => {
                if !matches!(command.phase, Phase::Hold { .. }) {
                    command.phase = Phase::Hold { since: now };
                    self.published.touch();
                }
                self.look_again(now);
                false
            }
            // The decision not to send needs a reading that was started after the command arrived: an event may have been
            // lost.
            Decision::Unchanged | Decision::Reject(_) if !is_decided => {
                if command.is_unsent() && command.spec.command == Command::Toggle {
                    command.resolved = None;
                }
                command.look_after.get_or_insert(command.arrived);
                self.want_reading(now);
                false
            }
            Decision::Unchanged => {
                self.finish(Outcome::Unchanged, None, None);
                true
            }
            Decision::Reject(reason) => {
                self.finish(Outcome::Rejected, Some(reason), None);
                true
            }
        }
    }

    /// Prepares a step. If no event would report the print, the file's print counters are read first.
    pub(super) fn prepare(&mut self, step: Step, before: effect::Observation) {
        let pushed = self.connection.is_pushed();
        let octoprint = self.octoprint.clone();
        let Some(command) = self.commands.current_mut() else { return };
        if command.step != step || command.before.is_none() {
            command.sends = 0;
        }
        command.step = step;
        command.before = Some(before);
        command.evidence = Evidence::default();
        command.began = None;
        command.moving = false;
        if step == Step::Start
            && !pushed
            && command.phase != Phase::Count
            && let Some(file) = command.target().cloned()
        {
            command.phase = Phase::Count;
            self.requests.push(Box::pin(request::count(octoprint, command.spec.command_id, file)));
            return;
        }
        self.request_permit();
    }

    pub(super) fn on_counted(&mut self, command_id: Uuid, prints: Option<Prints>) {
        let moment = self.moment();
        let Some(command) = self.commands.with_id(command_id) else { return };
        if command.phase == Phase::Count {
            command.prints_before = prints;
            self.request_permit();
            return;
        }
        let (Some(before), Some(now), Some(file)) = (command.prints_before, prints, command.target().cloned()) else {
            return;
        };
        if now.success + now.failure <= before.success + before.failure {
            return;
        }
        command.evidence.started = Some(file.path.clone());
        if command.began.is_none() && self.tracker.current().is_none() {
            // The print began and ended between two readings that look the same. Only the counter shows it.
            let result = if now.success > before.success { PrintResult::Done } else { PrintResult::Unknown };
            let facts = self.tracker.found(file, result, &moment);
            self.record(facts);
        }
    }

    /// Reads the printer for the command in flight if a reading is due.
    pub(super) fn look_again(&mut self, now: Instant) {
        let pushed = self.connection.is_pushed();
        let is_reading = self.schedule.is_reading();
        let Some(command) = self.commands.current_mut() else { return };
        if command.next_look.is_none() {
            command.plan_look(now, pushed);
        }
        if command.next_look.is_some_and(|due| now >= due) && !is_reading {
            command.plan_look(now, pushed);
            self.want_reading(now);
        }
    }

    /// Ends the command in flight. The printer's state is published first, so that a reader of the outcome finds it.
    pub(super) fn finish(&mut self, outcome: Outcome, reason: Option<Reason>, detail: Option<String>) {
        let doubtful = self.commands.current().is_some_and(|command| command.doubtful);
        let outcome = if doubtful && outcome.effect() == Some(Effect::None) { Outcome::Unknown } else { outcome };
        let Some(report) = self.report_of(outcome, reason, detail) else { return };
        let start = self.commands.start_sent().filter(|_| outcome == Outcome::Unknown);
        let Some(command) = self.commands.take() else { return };
        let ended = command.spec.command_id;
        self.commands.forget_start(ended);
        self.published.touch();
        self.publish();
        self.outbox.send(ActorEvent::Report(report));
        if outcome.effect() == Some(Effect::Done) {
            let print_id = self.tracker.current().map(|print| print.id);
            self.commands.keep_done(&command, print_id, Instant::now());
        }
        if outcome.effect() == Some(Effect::Maybe)
            && let Some(before) = command.before.clone()
            && !command.is_restart()
        {
            let now = Instant::now();
            self.commands.keep_unsettled(Unsettled {
                command_id: command.spec.command_id,
                step: command.step,
                target: command.target().cloned(),
                before,
                evidence: command.evidence,
                unanswered: outcome == Outcome::Unknown,
                start: start.filter(|start| start.command_id == ended),
                read_since: None,
                until: now + UNSETTLED_LIMIT,
            });
        }
    }

    /// Reports the progress of the command in flight.
    pub(super) fn report(&mut self, outcome: Outcome) {
        if let Some(report) = self.report_of(outcome, None, None) {
            self.outbox.send(ActorEvent::Report(report));
        }
    }

    fn report_of(&self, outcome: Outcome, reason: Option<Reason>, detail: Option<String>) -> Option<Report> {
        let command = self.commands.current()?;
        let current = self.tracker.current().map(|print| print.id);
        Some(Report {
            printer_id: self.published.printer_id(),
            command_id: command.spec.command_id,
            outcome,
            reason,
            detail: detail.or_else(|| reason.map(|reason| reason.sentence().to_owned())),
            resolved: command.resolved,
            print_id: if command.step == Step::Start { command.began.or(current) } else { command.print_id },
            state_before: command.seen_before,
            state_after: self.connection.is_in_touch().then_some(self.state),
            accepted_at: command.accepted_at,
            at: clock::now(),
        })
    }

    pub(super) fn report_unsent(&mut self, command_id: Uuid, outcome: Outcome, reason: Reason) {
        let report = Report {
            printer_id: self.published.printer_id(),
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
        self.outbox.send(ActorEvent::Report(report));
    }
}

impl InFlightCommand {
    /// Returns why a command that a cancel overtook ends without an observed effect.
    pub(super) fn overtaken_reason(&self) -> Reason {
        if self.is_restart() { Reason::CancelledNotStarted } else { Reason::OvertakenByCancel }
    }
}

/// Whether no reading of the printer would change this decision.
fn is_independent(decision: Decision) -> bool {
    matches!(decision, Decision::Reject(Reason::PrinterDisabled | Reason::PlateNotClear))
}
