//! Executes a command on its printer.
//!
//! The actor follows the decisions of `domain/effect.rs`, requests a permit before every send, and reports the outcome.

use std::time::Instant;

use uuid::Uuid;

use super::{
    actor::Actor,
    in_flight::{InFlightCommand, MOVING_LIMIT, Phase, UNSETTLED_LIMIT, UnsettledWatch},
    message::ActorEvent,
    request,
};
use crate::{
    clock,
    domain::{
        command::{Command, Effect, Outcome, Reason, Step},
        command_report::CommandReport,
        effect::{self, Decision, Evidence, Guards},
        message::Message,
        plate::PlateState,
        print::PrintResult,
        printer_file::PrintCounts,
        state::PrinterState,
    },
};

impl Actor {
    /// Advances the command in flight as far as the observations allow.
    pub(super) fn execute(&mut self) {
        loop {
            if self.commands.current().is_none() {
                self.commands.resume_set_aside(Instant::now());
            }
            if self.commands.is_idle()
                && let Some(cancel) = self.commands.take_overtaking()
            {
                let mut command = InFlightCommand::new(cancel, Instant::now());
                // The cancel is decided on a new reading: the known state is from before the overtaken command.
                command.fresh_after = Some(command.arrived);
                self.commands.begin(command);
                self.published.touch();
            }
            let Some(command) = self.commands.current() else { return };
            let advanced = match command.phase {
                Phase::Read => self.advance_read(),
                Phase::Hold { .. } => self.advance_hold(),
                Phase::Watch { .. } => self.advance_watch(),
                Phase::Settle { .. } => self.advance_settle(),
                Phase::Count | Phase::Permit | Phase::Send => false,
            };
            if !advanced {
                return;
            }
        }
    }

    pub(super) fn advance_read(&mut self) -> bool {
        let now = Instant::now();
        let Some(command) = self.commands.current() else { return false };
        if now >= command.spec.expires {
            self.finish_command(Outcome::Expired, None, None);
            return true;
        }
        if self.refuse_out_of_service() {
            return true;
        }
        let Some(command) = self.commands.current() else { return false };
        if !command.needs_no_fresh_state() && !self.is_fresh(command.fresh_after, now) {
            if command.next_read.is_none_or(|due| now >= due) {
                self.start_reading(now);
            }
            return false;
        }
        self.decide()
    }

    pub(super) fn advance_hold(&mut self) -> bool {
        let now = Instant::now();
        let Some(Phase::Hold { since }) = self.commands.current().map(|command| command.phase) else { return false };
        if now.duration_since(since) >= MOVING_LIMIT {
            self.finish_command(Outcome::Rejected, Some(Reason::WaitedTooLong), None);
            return true;
        }
        if self.refuse_out_of_service() {
            return true;
        }
        let after = self.commands.current().and_then(|command| command.fresh_after);
        if self.is_fresh(after, now) {
            return self.decide();
        }
        self.read_if_due(now);
        false
    }

    /// Rejects a command that would make a print run if the printer is out of service. That needs no reading: such a
    /// printer may be switched off. A toggle is decided on a reading.
    fn refuse_out_of_service(&mut self) -> bool {
        let runs_print = self.commands.current().is_some_and(|command| command.command().runs_print());
        let Some(refusal) = self.out_of_service.clone().filter(|_| runs_print) else { return false };
        self.finish_command(Outcome::Rejected, Some(Reason::OutOfService), Some(refusal));
        true
    }

    /// Decides the command in flight and executes the decision. Returns `false` if the command must wait.
    pub(super) fn decide(&mut self) -> bool {
        let now = Instant::now();
        let mut observation = self.observation();
        if !self.connection.has_reading() {
            // An emergency stop needs no reading. A state from before the connection was lost proves nothing about it.
            observation.state = PrinterState::Unknown;
        }
        let gate = self.context.settings.plate_gate;
        let plate_clear = !gate || self.published.live().plate.state == PlateState::Clear;
        let enabled = !self.retiring;
        let refusal = self.out_of_service.clone();
        let Some(command) = self.commands.current_mut() else { return false };
        let guards = Guards {
            enabled,
            out_of_service: refusal.is_some(),
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
        command.state_before = Some(observation.state);
        let decision = effect::decide(command.command(), &observation, &guards);
        let is_decided = needs_no_reading(decision) || self.schedule.is_started_after(command.arrived);
        match decision {
            Decision::Send(step) => {
                command.first_before.get_or_insert_with(|| observation.clone());
                self.prepare_step(step, observation);
                true
            }
            Decision::Wait => {
                if !matches!(command.phase, Phase::Hold { .. }) {
                    command.phase = Phase::Hold { since: now };
                    self.published.touch();
                }
                self.read_if_due(now);
                false
            }
            // The decision not to send needs a reading that was started after the command arrived: an event may have been
            // lost.
            Decision::Unchanged | Decision::Reject(_) if !is_decided => {
                if command.is_unsent() && command.spec.command == Command::Toggle {
                    command.resolved = None;
                }
                command.fresh_after.get_or_insert(command.arrived);
                self.start_reading(now);
                false
            }
            Decision::Unchanged => {
                self.finish_command(Outcome::Unchanged, None, None);
                true
            }
            Decision::Reject(reason) => {
                let detail = refusal.filter(|_| reason == Reason::OutOfService);
                let detail = detail.or_else(|| refusal_detail(command.spec.command, reason));
                self.finish_command(Outcome::Rejected, Some(reason), detail);
                true
            }
        }
    }

    /// Prepares a step. If no event would report the print, the file's print counters are read first.
    pub(super) fn prepare_step(&mut self, step: Step, before: effect::Observation) {
        let pushed = self.connection.is_pushed();
        let octoprint = self.octoprint.clone();
        let Some(command) = self.commands.current_mut() else { return };
        if command.step != step || command.before.is_none() {
            command.sends = 0;
        }
        command.step = step;
        command.before = Some(before);
        command.evidence = Evidence::default();
        command.started_print = None;
        command.moving = false;
        if step == Step::Start
            && !pushed
            && command.phase != Phase::Count
            && let Some(file) = command.target().cloned()
        {
            command.phase = Phase::Count;
            self.requests.push(Box::pin(request::count_prints(octoprint, command.spec.command_id, file)));
            return;
        }
        self.request_permit();
    }

    pub(super) fn on_counted(&mut self, command_id: Uuid, prints: Option<PrintCounts>) {
        let moment = self.moment();
        let Some(command) = self.commands.current_with_id(command_id) else { return };
        if command.phase == Phase::Count {
            command.prints_before = prints;
            if !self.is_ending {
                self.request_permit();
            }
            return;
        }
        let (Some(before), Some(now), Some(file)) = (command.prints_before, prints, command.target().cloned()) else {
            return;
        };
        if now.success + now.failure <= before.success + before.failure {
            return;
        }
        command.evidence.started = Some(file.path.clone());
        if command.started_print.is_none() && self.tracker.current().is_none() {
            // The print began and ended between two readings that look the same. Only the counter shows it.
            let result = if now.success > before.success { PrintResult::Done } else { PrintResult::Unknown };
            let facts = self.tracker.record_from_counters(file, result, &moment);
            self.record_facts(facts);
        }
    }

    /// Reads the printer for the command in flight if a reading is due.
    pub(super) fn read_if_due(&mut self, now: Instant) {
        let pushed = self.connection.is_pushed();
        let is_reading = self.schedule.is_reading();
        let Some(command) = self.commands.current_mut() else { return };
        if command.next_read.is_none() {
            command.plan_read(now, pushed);
        }
        if command.next_read.is_some_and(|due| now >= due) && !is_reading {
            command.plan_read(now, pushed);
            self.start_reading(now);
        }
    }

    /// Ends the command in flight. The printer's state is published first, so that a reader of the outcome finds it.
    pub(super) fn finish_command(&mut self, outcome: Outcome, reason: Option<Reason>, detail: Option<Message>) {
        let doubtful = self.commands.current().is_some_and(|command| command.doubtful);
        let outcome = if doubtful && outcome.effect() == Some(Effect::None) { Outcome::Unknown } else { outcome };
        let Some(report) = self.build_report(outcome, reason, detail) else { return };
        let start = self.commands.sent_start().filter(|_| outcome == Outcome::Unknown);
        let Some(command) = self.commands.take_current() else { return };
        let command_id = command.spec.command_id;
        self.commands.forget_start(command_id);
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
            self.commands.keep_unsettled(UnsettledWatch {
                command_id: command.spec.command_id,
                step: command.step,
                target: command.target().cloned(),
                before,
                evidence: command.evidence,
                unanswered: outcome == Outcome::Unknown,
                start: start.filter(|start| start.command_id == command_id),
                observed_since: None,
                until: now + UNSETTLED_LIMIT,
            });
        }
    }

    /// Reports the progress of the command in flight.
    pub(super) fn report_progress(&mut self, outcome: Outcome) {
        if let Some(report) = self.build_report(outcome, None, None) {
            self.outbox.send(ActorEvent::Report(report));
        }
    }

    fn build_report(&self, outcome: Outcome, reason: Option<Reason>, detail: Option<Message>) -> Option<CommandReport> {
        let command = self.commands.current()?;
        let current = self.tracker.current().map(|print| print.id);
        Some(CommandReport {
            printer_id: Some(self.published.printer_id()),
            batch_id: None,
            command_id: command.spec.command_id,
            outcome,
            reason,
            detail,
            resolved: command.resolved,
            print_id: if command.step == Step::Start { command.started_print.or(current) } else { command.print_id },
            state_before: command.state_before,
            state_after: self.connection.has_reading().then_some(self.state),
            accepted_at: command.accepted_at,
            at: clock::now(),
        })
    }

    pub(super) fn report_unsent(&mut self, command_id: Uuid, outcome: Outcome, reason: Reason) {
        let report = CommandReport {
            printer_id: Some(self.published.printer_id()),
            batch_id: None,
            command_id,
            outcome,
            reason: Some(reason),
            detail: None,
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

/// Returns what the reason of a refusal does not say.
fn refusal_detail(command: Command, reason: Reason) -> Option<Message> {
    let is_unconnected_stop = command == Command::EmergencyStop && reason == Reason::NotOperational;
    is_unconnected_stop.then(|| Message::new("refusal-emergency-stop-not-connected"))
}

/// Whether no reading of the printer would change this decision.
fn needs_no_reading(decision: Decision) -> bool {
    matches!(decision, Decision::Reject(Reason::PrinterDisabled | Reason::PlateNotClear))
}
