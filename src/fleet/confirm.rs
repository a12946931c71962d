//! Confirms the effects of sent commands.
//!
//! The actor watches for the effect of a command, and settles a command without a reply by reading the printer. It also judges
//! again the commands that ended with an unknown effect.

use std::time::Instant;

use super::{
    actor::Actor,
    in_flight::{MAX_SENDS_PER_STEP, MOVING_LIMIT, Phase, UNCHANGED_FOR, UnsettledWatch},
    message::{ActorEvent, UnsettledCommand},
    request,
};
use crate::{
    clock,
    domain::{
        command::{Effect, Outcome, Reason, SettledEffect, Step},
        effect::{self, Decision, Evidence, Observation, Verdict},
        message::Message,
        print::ActorKind,
        state::PrinterState,
    },
};

impl Actor {
    pub(super) fn advance_watch(&mut self) -> bool {
        let now = Instant::now();
        let Some(command) = self.commands.current() else { return false };
        let Phase::Watch { since } = command.phase else { return false };
        let overtaken = self.commands.is_overtaken();
        let is_fresh = self.is_fresh(command.fresh_after, now);
        if overtaken && !is_fresh {
            self.start_reading(now);
        }
        let verdict = self.verdict();
        let Some(command) = self.commands.current_mut() else { return false };
        match verdict {
            Verdict::Confirmed => self.on_effect_observed(),
            Verdict::Gone(reason) => {
                self.finish_command(Outcome::Unconfirmed, Some(reason), None);
                true
            }
            Verdict::Lost if command.step.may_be_repeated() && command.sends < MAX_SENDS_PER_STEP && !overtaken => {
                self.send_again(now)
            }
            Verdict::Lost | Verdict::Pending { .. } => {
                command.moving = matches!(verdict, Verdict::Pending { moving: true });
                if overtaken && is_fresh {
                    let reason = command.overtaken_reason();
                    self.finish_command(Outcome::Unconfirmed, Some(reason), None);
                    return true;
                }
                let limit = if command.moving { MOVING_LIMIT } else { command.spec.confirm_within };
                if now.duration_since(since) >= limit {
                    self.finish_command(Outcome::Unconfirmed, Some(effect::overdue_reason(self.state)), None);
                    return true;
                }
                self.read_if_due(now);
                self.recount_prints();
                false
            }
        }
    }

    pub(super) fn advance_settle(&mut self) -> bool {
        let now = Instant::now();
        let overtaken = self.commands.is_overtaken();
        let Some(command) = self.commands.current() else { return false };
        let Phase::Settle { since } = command.phase else { return false };
        let others_may_send = command.others_may_send(now);
        let is_fresh = self.is_fresh(command.fresh_after, now);
        if is_fresh {
            let observation = self.observation();
            let verdict = self.verdict();
            let Some(command) = self.commands.current_mut() else { return false };
            let before = command.before.clone().unwrap_or_else(|| observation.clone());
            match verdict {
                Verdict::Confirmed => return self.on_effect_observed(),
                _ if others_may_send && !overtaken => {}
                Verdict::Gone(reason) => {
                    self.finish_command(Outcome::Unknown, Some(reason), None);
                    return true;
                }
                Verdict::Pending { .. } | Verdict::Lost => {
                    command.moving = matches!(verdict, Verdict::Pending { moving: true });
                    let may_resend = effect::may_resend(command.step, &before, &observation)
                        && command.sends < MAX_SENDS_PER_STEP
                        && now < command.spec.expires;
                    if may_resend && !overtaken {
                        return self.send_again(now);
                    }
                }
            }
        }
        let Some(command) = self.commands.current() else { return false };
        let limit = if command.moving { MOVING_LIMIT } else { command.spec.confirm_within };
        if (overtaken && is_fresh) || (now.duration_since(since) >= limit && !others_may_send) {
            let restarting = command.is_restart() && command.step == Step::Cancel && is_fresh;
            let (outcome, reason) = if restarting {
                (Outcome::Unconfirmed, Reason::CancelledNotStarted)
            } else {
                (Outcome::Unknown, Reason::NoAnswer)
            };
            self.finish_command(outcome, Some(reason), None);
            return true;
        }
        self.read_if_due(now);
        self.recount_prints();
        false
    }

    /// Sends a harmless step again, with a new permit.
    pub(super) fn send_again(&mut self, now: Instant) -> bool {
        let observation = self.observation();
        let Some(command) = self.commands.current_mut() else { return false };
        let refusal = self.out_of_service.clone().filter(|_| command.step.runs_print());
        if let Some(refusal) = refusal {
            self.finish_command(Outcome::Unconfirmed, Some(Reason::OutOfService), Some(refusal));
            return true;
        }
        if now >= command.spec.expires {
            let state = observation.state;
            self.finish_command(Outcome::Unconfirmed, Some(effect::overdue_reason(state)), None);
            return true;
        }
        command.before = Some(observation);
        command.doubtful = true;
        command.evidence = Evidence::default();
        self.request_permit();
        true
    }

    /// Handles the observed effect of the current step: the command ends, or the second half of a restart follows.
    pub(super) fn on_effect_observed(&mut self) -> bool {
        let now = Instant::now();
        let observation = self.observation();
        let retiring = self.retiring;
        let overtaken = self.commands.is_overtaken();
        let refusal = self.out_of_service.clone();
        let Some(command) = self.commands.current_mut() else { return false };
        if command.step == Step::Pause
            && self.tracker.current().and_then(|print| print.paused_by).is_some_and(|by| by.kind == ActorKind::Unknown)
        {
            let command_id = command.spec.command_id;
            if let Some(fact) = self.tracker.credit_pause(command_id) {
                self.record_facts(vec![fact]);
            }
        }
        let Some(command) = self.commands.current_mut() else { return false };
        if !(command.is_restart() && command.step == Step::Cancel) {
            self.finish_command(Outcome::Confirmed, None, None);
            return true;
        }
        let before = command.first_before.clone().unwrap_or_else(|| observation.clone());
        // The actor never continues a command of the previous run of the server.
        let may_continue = command.spec.recovery.is_none() && !retiring && !overtaken && refusal.is_none();
        let next = effect::decide_restart_start(&before, &command.evidence, &observation);
        match next {
            Decision::Send(step) if may_continue => {
                self.prepare_step(step, observation);
                true
            }
            Decision::Wait if may_continue => {
                command.moving = true;
                self.read_if_due(now);
                false
            }
            Decision::Send(_) | Decision::Wait | Decision::Unchanged | Decision::Reject(_) => {
                let detail = refusal.filter(|_| !overtaken).map(not_started_again);
                self.finish_command(Outcome::Unconfirmed, Some(Reason::CancelledNotStarted), detail);
                true
            }
        }
    }

    pub(super) fn verdict(&self) -> Verdict {
        let observation = self.observation();
        match self.commands.current() {
            Some(command) if self.connection.has_reading() => {
                let before = command.before.as_ref().unwrap_or(&observation);
                effect::judge(command.step, command.target(), before, &command.evidence, &observation)
            }
            _ => Verdict::Pending { moving: false },
        }
    }

    /// Reads the file's print counters again, to compare them with those before the start. No event reports this print.
    pub(super) fn recount_prints(&mut self) {
        let octoprint = self.octoprint.clone();
        let idle = self.state == PrinterState::Operational;
        let Some(command) = self.commands.current_mut() else { return };
        if command.step == Step::Start
            && idle
            && command.prints_before.is_some()
            && command.reads == 4
            && let Some(file) = command.target().cloned()
        {
            command.reads += 1;
            self.requests.push(Box::pin(request::count_prints(octoprint, command.spec.command_id, file)));
        }
    }

    /// Continues to watch a command that ended with an unknown effect in the previous run of the server.
    pub(super) fn watch_unsettled(&mut self, command: UnsettledCommand) {
        let file = self.tracker.selected().cloned();
        self.commands.keep_unsettled(UnsettledWatch {
            command_id: command.command_id,
            step: command.step,
            target: command.file.or_else(|| file.clone()),
            before: Observation {
                state: command.state_before,
                file,
                print_id: command.print_id,
                paused_by_printyard: false,
            },
            evidence: Evidence::default(),
            unanswered: command.unanswered,
            start: None,
            observed_since: None,
            until: command.until,
        });
    }

    /// Judges again the commands that ended with an unknown effect, and the last command that ended as done.
    pub(super) fn judge_unsettled(&mut self) {
        self.report_undone();
        if !self.commands.has_unsettled() || !self.connection.has_reading() {
            return;
        }
        let now = Instant::now();
        let observation = self.observation();
        let mut settled = Vec::new();
        self.commands.unsettled_mut().retain_mut(|command| {
            let read_since = *command.observed_since.get_or_insert(now);
            let effect = match effect::judge(
                command.step,
                command.target.as_ref(),
                &command.before,
                &command.evidence,
                &observation,
            ) {
                Verdict::Confirmed => Some(Effect::Done),
                // The printer has another job now, or none. Whether this command had its effect before can no longer be known.
                Verdict::Gone(_) => return false,
                Verdict::Lost => Some(Effect::None),
                Verdict::Pending { moving: false }
                    if command.unanswered && now.duration_since(read_since) >= UNCHANGED_FOR =>
                {
                    Some(Effect::None)
                }
                Verdict::Pending { .. } => None,
            };
            if let Some(effect) = effect {
                settled.push((command.command_id, effect));
            }
            effect.is_none() && now < command.until
        });
        for (command_id, effect) in settled {
            let settled = SettledEffect { effect, state: observation.state, at: clock::now() };
            self.outbox.send(ActorEvent::Settled { command_id, settled });
        }
    }
    /// Records that a pause or resume was undone within seconds, by a plugin or at the printer.
    fn report_undone(&mut self) {
        if !self.connection.has_reading() || !self.commands.is_idle() {
            return;
        }
        let print_id = self.tracker.current().map(|print| print.id);
        if let Some(command_id) = self.commands.take_undone(self.state, print_id, Instant::now()) {
            let settled = SettledEffect { effect: Effect::None, state: self.state, at: clock::now() };
            self.outbox.send(ActorEvent::Settled { command_id, settled });
        }
    }
}

/// Returns the text for a restart whose second half a printer out of service refuses.
pub(super) fn not_started_again(refusal: Message) -> Message {
    Message::new("refusal-not-started-again").with_message("why", refusal)
}
