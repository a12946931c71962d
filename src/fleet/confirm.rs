//! How an actor finds out what became of what it sent: it watches for the effect, settles what had no answer, and looks
//! again, later, at what ended as a maybe.

use std::time::Instant;

use uuid::Uuid;

use super::{
    actor::Actor,
    errand,
    flight::{LATE_KEPT, Late, MAX_SENDS_OF_A_STEP, MOVING_LIMIT, Phase, UNTOUCHED},
    message::{LateOrder, Up},
};
use crate::{
    clock,
    domain::{
        command::{Effect, Outcome, Reason, Settled, Step},
        effect::{self, Decision, Evidence, Sight, Verdict},
        print::ActorKind,
        state::PrinterState,
    },
};

impl Actor {
    pub(super) fn watch(&mut self) -> bool {
        let now = Instant::now();
        let Some(flight) = &self.slot else { return false };
        let Phase::Watch { since } = flight.phase else { return false };
        let overtaken = self.next.is_some();
        let read = self.is_fresh(flight.look_after, now);
        if overtaken && !read {
            self.want_reading(now);
        }
        let verdict = self.verdict();
        let Some(flight) = &mut self.slot else { return false };
        match verdict {
            Verdict::Confirmed => self.effect_seen(),
            Verdict::Gone(reason) => {
                self.finish(Outcome::Unconfirmed, Some(reason), None);
                true
            }
            Verdict::Lost if flight.step.may_be_repeated() && flight.sends < MAX_SENDS_OF_A_STEP && !overtaken => {
                self.send_again(now)
            }
            Verdict::Lost | Verdict::Pending { .. } => {
                flight.moving = matches!(verdict, Verdict::Pending { moving: true });
                if overtaken && read {
                    let reason = flight.overtaken_reason();
                    self.finish(Outcome::Unconfirmed, Some(reason), None);
                    return true;
                }
                let limit = if flight.moving { MOVING_LIMIT } else { flight.order.confirm_within };
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
        let overtaken = self.next.is_some();
        let Some(flight) = &self.slot else { return false };
        let Phase::Settle { since } = flight.phase else { return false };
        let others_may_send = flight.others_may_send(now);
        let read = self.is_fresh(flight.look_after, now);
        if read {
            let sight = self.sight();
            let verdict = self.verdict();
            let Some(flight) = &mut self.slot else { return false };
            let before = flight.before.clone().unwrap_or_else(|| sight.clone());
            match verdict {
                Verdict::Confirmed => return self.effect_seen(),
                _ if others_may_send && !overtaken => {}
                Verdict::Gone(reason) => {
                    self.finish(Outcome::Unknown, Some(reason), None);
                    return true;
                }
                Verdict::Pending { .. } | Verdict::Lost => {
                    flight.moving = matches!(verdict, Verdict::Pending { moving: true });
                    let again = effect::may_resend(flight.step, &before, &sight)
                        && flight.sends < MAX_SENDS_OF_A_STEP
                        && now < flight.order.expires;
                    if again && !overtaken {
                        return self.send_again(now);
                    }
                }
            }
        }
        let Some(flight) = &self.slot else { return false };
        let limit = if flight.moving { MOVING_LIMIT } else { flight.order.confirm_within };
        if (overtaken && read) || (now.duration_since(since) >= limit && !others_may_send) {
            let restarting = flight.is_restart() && flight.step == Step::Cancel && read;
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

    /// Sends a harmless step once more, by the same road as the first time.
    pub(super) fn send_again(&mut self, now: Instant) -> bool {
        let sight = self.sight();
        let Some(flight) = &mut self.slot else { return false };
        if now >= flight.order.expires {
            let state = sight.state;
            self.finish(Outcome::Unconfirmed, Some(effect::overdue(state)), None);
            return true;
        }
        flight.before = Some(sight);
        flight.doubtful = true;
        flight.evidence = Evidence::default();
        self.ask();
        true
    }

    /// The effect of the current step was seen: the end, or the second half of a restart.
    pub(super) fn effect_seen(&mut self) -> bool {
        let now = Instant::now();
        let sight = self.sight();
        let retiring = self.retiring;
        let overtaken = self.next.is_some();
        let Some(flight) = &mut self.slot else { return false };
        if flight.step == Step::Pause
            && self.tracker.current().and_then(|print| print.paused_by).is_some_and(|by| by.kind == ActorKind::Unknown)
        {
            let command_id = flight.order.command_id;
            if let Some(fact) = self.tracker.credit_pause(command_id) {
                self.tell(vec![fact]);
            }
        }
        let Some(flight) = &mut self.slot else { return false };
        if !(flight.is_restart() && flight.step == Step::Cancel) {
            self.finish(Outcome::Confirmed, None, None);
            return true;
        }
        let before = flight.first_before.clone().unwrap_or_else(|| sight.clone());
        // What was sent in an earlier life of the server is never gone on with.
        let may_go_on = flight.order.recover.is_none() && !retiring && !overtaken;
        let next = effect::decide_restart_start(&before, &flight.evidence, &sight);
        match next {
            Decision::Send(step) if may_go_on => {
                self.prepare(step, sight);
                true
            }
            Decision::Wait if may_go_on => {
                flight.moving = true;
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
        let sight = self.sight();
        match &self.slot {
            Some(flight) if self.in_touch => {
                let before = flight.before.as_ref().unwrap_or(&sight);
                effect::judge(flight.step, flight.target(), before, &flight.evidence, &sight)
            }
            _ => Verdict::Pending { moving: false },
        }
    }

    /// Compares the file's print counters with those before the start, where no event tells of it.
    pub(super) fn count_again(&mut self) {
        let octoprint = self.octoprint.clone();
        let idle = self.state == PrinterState::Operational;
        let Some(flight) = &mut self.slot else { return };
        if flight.step == Step::Start
            && idle
            && flight.prints_before.is_some()
            && flight.looks == 4
            && let Some(file) = flight.target().cloned()
        {
            flight.looks += 1;
            self.errands.push(Box::pin(errand::count(octoprint, flight.order.command_id, file)));
        }
    }

    /// A state was seen: evidence for what is on its way, and for what ended as a maybe.
    pub(super) fn note_for_flights(&mut self, state: PrinterState) {
        if let Some(flight) = &mut self.slot
            && flight.is_out()
        {
            flight.evidence.note(state);
        }
        for late in &mut self.late {
            late.evidence.note(state);
        }
    }

    /// A print began, by this command or without one.
    pub(super) fn note_began(&mut self, id: Uuid, by: Option<Uuid>) {
        if let Some(flight) = &mut self.slot
            && by == Some(flight.order.command_id)
        {
            flight.began = Some(id);
        }
        self.start_before = self.start_before.take().filter(|start| by != Some(start.command_id));
    }

    /// A print was found to have begun. It proves nothing about a command of an earlier life of the server: nobody
    /// watched when it was sent.
    pub(super) fn note_found(&mut self, path: &str) {
        if self.slot.as_ref().is_none_or(|flight| flight.order.recover.is_none()) {
            self.note_started(path);
        }
    }

    /// A print was seen to begin.
    pub(super) fn note_started(&mut self, path: &str) {
        if let Some(flight) = &mut self.slot
            && flight.is_out()
        {
            flight.evidence.started = Some(path.to_owned());
        }
        for late in &mut self.late {
            late.evidence.started = Some(path.to_owned());
        }
    }

    /// Takes up the watch over what ended as a maybe before the server was started.
    pub(super) fn watch_late(&mut self, order: LateOrder) {
        let file = self.tracker.selected().cloned();
        self.keep_late(Late {
            command_id: order.command_id,
            step: order.step,
            target: order.file.or_else(|| file.clone()),
            before: Sight { state: order.state_before, file, print_id: order.print_id, paused_by_printyard: false },
            evidence: Evidence::default(),
            unanswered: order.unanswered,
            start: None,
            read_since: None,
            until: order.until,
        });
    }

    /// Watches on for an effect that shows late; the oldest one gives way.
    pub(super) fn keep_late(&mut self, late: Late) {
        if self.late.len() >= LATE_KEPT {
            self.late.remove(0);
        }
        self.late.push(late);
    }

    /// Looks again at what ended as a maybe.
    pub(super) fn judge_late(&mut self) {
        if self.late.is_empty() || !self.in_touch {
            return;
        }
        let now = Instant::now();
        let sight = self.sight();
        let mut settled = Vec::new();
        self.late.retain_mut(|late| {
            let read_since = *late.read_since.get_or_insert(now);
            let effect = match effect::judge(late.step, late.target.as_ref(), &late.before, &late.evidence, &sight) {
                Verdict::Confirmed => Some(Effect::Done),
                // The job is another one, or none: whether this had its effect before will never be known.
                Verdict::Gone(_) => return false,
                Verdict::Lost => Some(Effect::None),
                Verdict::Pending { moving: false }
                    if late.unanswered && now.duration_since(read_since) >= UNTOUCHED =>
                {
                    Some(Effect::None)
                }
                Verdict::Pending { .. } => None,
            };
            if let Some(effect) = effect {
                settled.push((late.command_id, effect));
            }
            effect.is_none() && now < late.until
        });
        for (command_id, effect) in settled {
            let settled = Settled { effect, state: sight.state, at: clock::now() };
            self.outbox.send(Up::Settled { command_id, settled });
        }
    }
}
