//! Confirms the effects of sent commands.
//!
//! The actor watches for the effect of a command, and settles a command without a reply by reading the printer. It also judges
//! again the commands that ended with an unknown effect.

use std::time::Instant;

use super::{
    actor::Actor,
    in_flight::{MAX_SENDS_OF_A_STEP, MOVING_LIMIT, Phase, UNTOUCHED, Unsettled},
    message::{ActorEvent, UnsettledCommand},
    request,
};
use crate::{
    clock,
    domain::{
        command::{Effect, Outcome, Reason, Settled, Step},
        effect::{self, Decision, Evidence, Observation, Verdict},
        print::ActorKind,
        state::PrinterState,
    },
};

impl Actor {
    pub(super) fn watch(&mut self) -> bool {
        let now = Instant::now();
        let Some(command) = self.commands.current() else { return false };
        let Phase::Watch { since } = command.phase else { return false };
        let overtaken = self.commands.is_overtaken();
        let read = self.is_fresh(command.look_after, now);
        if overtaken && !read {
            self.want_reading(now);
        }
        let verdict = self.verdict();
        let Some(command) = self.commands.current_mut() else { return false };
        match verdict {
            Verdict::Confirmed => self.effect_seen(),
            Verdict::Gone(reason) => {
                self.finish(Outcome::Unconfirmed, Some(reason), None);
                true
            }
            Verdict::Lost if command.step.may_be_repeated() && command.sends < MAX_SENDS_OF_A_STEP && !overtaken => {
                self.send_again(now)
            }
            Verdict::Lost | Verdict::Pending { .. } => {
                command.moving = matches!(verdict, Verdict::Pending { moving: true });
                if overtaken && read {
                    let reason = command.overtaken_reason();
                    self.finish(Outcome::Unconfirmed, Some(reason), None);
                    return true;
                }
                let limit = if command.moving { MOVING_LIMIT } else { command.spec.confirm_within };
                if now.duration_since(since) >= limit {
                    self.finish(Outcome::Unconfirmed, Some(effect::overdue(self.state)), None);
                    return true;
                }
                self.look_again(now);
                self.count_again();
                false
            }
        }
    }

    pub(super) fn settle(&mut self) -> bool {
        let now = Instant::now();
        let overtaken = self.commands.is_overtaken();
        let Some(command) = self.commands.current() else { return false };
        let Phase::Settle { since } = command.phase else { return false };
        let others_may_send = command.others_may_send(now);
        let read = self.is_fresh(command.look_after, now);
        if read {
            let observation = self.observation();
            let verdict = self.verdict();
            let Some(command) = self.commands.current_mut() else { return false };
            let before = command.before.clone().unwrap_or_else(|| observation.clone());
            match verdict {
                Verdict::Confirmed => return self.effect_seen(),
                _ if others_may_send && !overtaken => {}
                Verdict::Gone(reason) => {
                    self.finish(Outcome::Unknown, Some(reason), None);
                    return true;
                }
                Verdict::Pending { .. } | Verdict::Lost => {
                    command.moving = matches!(verdict, Verdict::Pending { moving: true });
                    let again = effect::may_resend(command.step, &before, &observation)
                        && command.sends < MAX_SENDS_OF_A_STEP
                        && now < command.spec.expires;
                    if again && !overtaken {
                        return self.send_again(now);
                    }
                }
            }
        }
        let Some(command) = self.commands.current() else { return false };
        let limit = if command.moving { MOVING_LIMIT } else { command.spec.confirm_within };
        if (overtaken && read) || (now.duration_since(since) >= limit && !others_may_send) {
            let restarting = command.is_restart() && command.step == Step::Cancel && read;
            let (outcome, reason) = if restarting {
                (Outcome::Unconfirmed, Reason::CancelledNotStarted)
            } else {
                (Outcome::Unknown, Reason::NoAnswer)
            };
            self.finish(outcome, Some(reason), None);
            return true;
        }
        self.look_again(now);
        self.count_again();
        false
    }

    /// Sends a harmless step again, with a new permit.
    pub(super) fn send_again(&mut self, now: Instant) -> bool {
        let observation = self.observation();
        let Some(command) = self.commands.current_mut() else { return false };
        if now >= command.spec.expires {
            let state = observation.state;
            self.finish(Outcome::Unconfirmed, Some(effect::overdue(state)), None);
            return true;
        }
        command.before = Some(observation);
        command.doubtful = true;
        command.evidence = Evidence::default();
        self.request_permit();
        true
    }

    /// Handles the observed effect of the current step: the command ends, or the second half of a restart follows.
    pub(super) fn effect_seen(&mut self) -> bool {
        let now = Instant::now();
        let observation = self.observation();
        let retiring = self.retiring;
        let overtaken = self.commands.is_overtaken();
        let Some(command) = self.commands.current_mut() else { return false };
        if command.step == Step::Pause
            && self.tracker.current().and_then(|print| print.paused_by).is_some_and(|by| by.kind == ActorKind::Unknown)
        {
            let command_id = command.spec.command_id;
            if let Some(fact) = self.tracker.credit_pause(command_id) {
                self.record(vec![fact]);
            }
        }
        let Some(command) = self.commands.current_mut() else { return false };
        if !(command.is_restart() && command.step == Step::Cancel) {
            self.finish(Outcome::Confirmed, None, None);
            return true;
        }
        let before = command.first_before.clone().unwrap_or_else(|| observation.clone());
        // The actor never continues a command of the previous run of the server.
        let may_go_on = command.spec.recover.is_none() && !retiring && !overtaken;
        let next = effect::decide_restart_start(&before, &command.evidence, &observation);
        match next {
            Decision::Send(step) if may_go_on => {
                self.prepare(step, observation);
                true
            }
            Decision::Wait if may_go_on => {
                command.moving = true;
                self.look_again(now);
                false
            }
            Decision::Send(_) | Decision::Wait | Decision::Unchanged | Decision::Reject(_) => {
                self.finish(Outcome::Unconfirmed, Some(Reason::CancelledNotStarted), None);
                true
            }
        }
    }

    pub(super) fn verdict(&self) -> Verdict {
        let observation = self.observation();
        match self.commands.current() {
            Some(command) if self.connection.is_in_touch() => {
                let before = command.before.as_ref().unwrap_or(&observation);
                effect::judge(command.step, command.target(), before, &command.evidence, &observation)
            }
            _ => Verdict::Pending { moving: false },
        }
    }

    /// Reads the file's print counters again, to compare them with those before the start. No event reports this print.
    pub(super) fn count_again(&mut self) {
        let octoprint = self.octoprint.clone();
        let idle = self.state == PrinterState::Operational;
        let Some(command) = self.commands.current_mut() else { return };
        if command.step == Step::Start
            && idle
            && command.prints_before.is_some()
            && command.looks == 4
            && let Some(file) = command.target().cloned()
        {
            command.looks += 1;
            self.requests.push(Box::pin(request::count(octoprint, command.spec.command_id, file)));
        }
    }

    /// Continues to watch a command that ended with an unknown effect in the previous run of the server.
    pub(super) fn watch_unsettled(&mut self, command: UnsettledCommand) {
        let file = self.tracker.selected().cloned();
        self.commands.keep_unsettled(Unsettled {
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
            read_since: None,
            until: command.until,
        });
    }

    /// Judges again the commands that ended with an unknown effect, and the last command that ended as done.
    pub(super) fn judge_unsettled(&mut self) {
        self.judge_done();
        if !self.commands.has_unsettled() || !self.connection.is_in_touch() {
            return;
        }
        let now = Instant::now();
        let observation = self.observation();
        let mut settled = Vec::new();
        self.commands.unsettled().retain_mut(|command| {
            let read_since = *command.read_since.get_or_insert(now);
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
                    if command.unanswered && now.duration_since(read_since) >= UNTOUCHED =>
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
            let settled = Settled { effect, state: observation.state, at: clock::now() };
            self.outbox.send(ActorEvent::Settled { command_id, settled });
        }
    }
    /// Records that a pause or resume was undone within seconds, by a plugin or at the printer.
    fn judge_done(&mut self) {
        if !self.connection.is_in_touch() || !self.commands.is_idle() {
            return;
        }
        let print_id = self.tracker.current().map(|print| print.id);
        if let Some(command_id) = self.commands.take_undone(self.state, print_id, Instant::now()) {
            let settled = Settled { effect: Effect::None, state: self.state, at: clock::now() };
            self.outbox.send(ActorEvent::Settled { command_id, settled });
        }
    }
}
