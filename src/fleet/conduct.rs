//! How an actor carries out a command: it obeys `domain/effect.rs`, asks the ledger before every send, and watches
//! until it has seen the effect or may say that it has not.

use std::time::Instant;

use tokio::sync::oneshot;
use uuid::Uuid;

use super::{
    actor::Actor,
    errand,
    flight::{Flight, LATE_LIMIT, Late, MAX_SENDS_OF_A_STEP, Phase, UNTOUCHED},
    message::{Order, Ready, Report, Up},
};
use crate::{
    clock,
    domain::{
        command::{Command, Effect, Outcome, Reason, Settled, Step},
        effect::{self, Decision, Evidence, Guards, Verdict},
        plate::PlateState,
        print::{ActorKind, PrintResult},
        state::PrinterState,
    },
    octoprint::{Error, Prints},
};

/// Commands that ended as a maybe and are watched on for one printer.
const LATE_KEPT: usize = 4;

impl Actor {
    /// Takes an order. While another one is in flight only a cancel comes, and overtakes it.
    pub(super) async fn take(&mut self, order: Box<Order>) {
        let now = Instant::now();
        self.dirty = true;
        if self.slot.is_none() {
            self.slot = Some(Flight::new(*order, now));
            return;
        }
        if order.command != Command::Cancel || self.next.is_some() {
            let command_id = order.command_id;
            self.report_unsent(command_id, Outcome::Rejected, Reason::CommandInFlight).await;
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
                self.finish(Outcome::Rejected, Some(Reason::OvertakenByCancel), None).await;
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
    pub(super) async fn conduct(&mut self) {
        loop {
            if self.slot.is_none()
                && let Some(order) = self.next.take()
            {
                let mut flight = Flight::new(*order, Instant::now());
                // Decided on a new reading: what was known is from before the command that it overtook.
                flight.look_after = Some(flight.arrived);
                self.slot = Some(flight);
                self.dirty = true;
            }
            let Some(flight) = &self.slot else { return };
            let moved = match flight.phase {
                Phase::Look => self.look().await,
                Phase::Hold { .. } => self.hold().await,
                Phase::Watch { .. } => self.watch().await,
                Phase::Settle { .. } => self.settle().await,
                Phase::Count | Phase::Ask | Phase::Wire => false,
            };
            if !moved {
                return;
            }
        }
    }

    async fn look(&mut self) -> bool {
        let now = Instant::now();
        let Some(flight) = &self.slot else { return false };
        if now >= flight.order.expires {
            self.finish(Outcome::Expired, None, None).await;
            return true;
        }
        if !self.is_fresh(flight.look_after, now) {
            if flight.next_look.is_none_or(|due| now >= due) {
                self.want_reading(now);
            }
            return false;
        }
        self.decide().await
    }

    async fn hold(&mut self) -> bool {
        let now = Instant::now();
        let Some(Flight { phase: Phase::Hold { since }, .. }) = self.slot else { return false };
        if now.duration_since(since) >= super::flight::MOVING_LIMIT {
            self.finish(Outcome::Rejected, Some(Reason::WaitedTooLong), None).await;
            return true;
        }
        if self.is_fresh(None, now) {
            return self.decide().await;
        }
        self.look_again(now);
        false
    }

    /// Asks the table, and does what it says. `false` when there is nothing to do but wait.
    async fn decide(&mut self) -> bool {
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
        match effect::decide(flight.command(), &sight, &guards) {
            Decision::Send(step) => {
                flight.first_before.get_or_insert_with(|| sight.clone());
                self.prepare(step, sight).await;
                true
            }
            Decision::Wait => {
                if !matches!(flight.phase, Phase::Hold { .. }) {
                    flight.phase = Phase::Hold { since: now };
                }
                self.look_again(now);
                false
            }
            Decision::Unchanged => {
                self.finish(Outcome::Unchanged, None, None).await;
                true
            }
            Decision::Reject(reason) => {
                self.finish(Outcome::Rejected, Some(reason), None).await;
                true
            }
        }
    }

    /// Gets a step ready. Where no event will tell of a print, its file's counters are read first.
    async fn prepare(&mut self, step: Step, before: effect::Sight) {
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
        self.ask().await;
    }

    pub(super) async fn on_counted(&mut self, command_id: Uuid, prints: Option<Prints>) {
        let moment = self.moment();
        let Some(flight) = self.flight(command_id) else { return };
        if flight.phase == Phase::Count {
            flight.prints_before = prints;
            self.ask().await;
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
            let facts = self.tracker.found(file, result, moment);
            self.tell(facts).await;
        }
    }

    /// Asks the ledger for leave to send. No byte leaves before it is given.
    async fn ask(&mut self) {
        let (go, answer) = oneshot::channel();
        let printer_id = self.live.id;
        let Some(flight) = &mut self.slot else { return };
        flight.phase = Phase::Ask;
        let ready = Ready {
            printer_id,
            command_id: flight.order.command_id,
            attempt: flight.attempts + 1,
            step: flight.step,
            resolved: flight.resolved,
            state_before: flight.before.as_ref().map_or(PrinterState::Unknown, |before| before.state),
            print_id: flight.print_id,
            go,
        };
        self.errands.push(Box::pin(errand::ask(flight.order.command_id, answer)));
        // When the ledger is gone the answer is dropped, which reads as "do not send".
        let _ = self.around.ledger.send(Up::Ready(ready)).await;
    }

    pub(super) async fn on_asked(&mut self, command_id: Uuid, go: bool) {
        let overtaken = self.next.is_some();
        let octoprint = self.octoprint.clone();
        let Some(flight) = self.flight(command_id) else { return };
        if flight.phase != Phase::Ask {
            return;
        }
        if !go {
            if flight.is_unsent() {
                // The ledger has ended it: stopped, expired, overtaken or removed.
                self.slot = None;
                self.dirty = true;
            } else {
                self.finish_without_leave().await;
            }
            return;
        }
        flight.attempts += 1;
        if overtaken {
            // Nothing has left yet, and somebody wants this printer to stop.
            let (outcome, reason) = if flight.attempts == 1 {
                (Outcome::Skipped, Reason::OvertakenByCancel)
            } else {
                (Outcome::Unconfirmed, flight.overtaken_reason())
            };
            self.finish(outcome, Some(reason), None).await;
            return;
        }
        flight.sends += 1;
        flight.phase = Phase::Wire;
        flight.accepted_at = None;
        flight.lost_at = None;
        let (step, file) = (flight.step, flight.order.file.clone());
        if step == Step::Start || step == Step::Resume {
            self.live.heated_up = Some(Instant::now());
            self.dirty = true;
        }
        // Another act of ours: what shows from here on proves nothing about an earlier one.
        self.late.clear();
        self.errands.push(Box::pin(errand::send(octoprint, command_id, step, file)));
    }

    /// The ledger refused a further send of a command that was sent before.
    async fn finish_without_leave(&mut self) {
        let Some(flight) = &self.slot else { return };
        if flight.is_restart() && flight.step == Step::Start {
            self.finish(Outcome::Unconfirmed, Some(Reason::CancelledNotStarted), None).await;
        } else if flight.conflict && flight.lost_at.is_none() {
            self.finish(Outcome::Rejected, Some(Reason::PrinterRefused), None).await;
        } else {
            self.finish(Outcome::Unknown, Some(Reason::NoAnswer), None).await;
        }
    }

    pub(super) async fn on_sent(&mut self, command_id: Uuid, result: Result<(), Error>) {
        let now = Instant::now();
        let pushed = self.is_pushed();
        let Some(flight) = self.flight(command_id) else { return };
        if flight.phase != Phase::Wire {
            return;
        }
        match result {
            Ok(()) => {
                flight.phase = Phase::Watch { since: now };
                flight.accepted_at = Some(clock::now());
                flight.looks = 0;
                flight.plan_look(now, pushed);
                // A cancel that came meanwhile has it judged once more, on a new reading.
                let overtaken = self.next.is_some();
                if let Some(flight) = &mut self.slot
                    && overtaken
                {
                    flight.look_after = Some(now);
                }
                self.report(Outcome::Accepted, None, None).await;
            }
            Err(error) if error.may_have_acted() => {
                flight.phase = Phase::Settle { since: now };
                flight.lost_at = Some(now);
                flight.look_after = Some(now);
                flight.looks = 0;
                flight.next_look = Some(now);
                tracing::warn!(printer.id = %self.live.id, command.id = %command_id, %error, "reply lost");
            }
            Err(error) => self.on_refused(error, now).await,
        }
    }

    /// The printer refused it, or was not reached: nothing was done.
    async fn on_refused(&mut self, error: Error, now: Instant) {
        let detail = Some(format!("The printer {error}."));
        let Some(flight) = &mut self.slot else { return };
        if flight.is_restart() && flight.step == Step::Start {
            self.finish(Outcome::Unconfirmed, Some(Reason::CancelledNotStarted), detail).await;
            return;
        }
        match error {
            Error::Conflict { .. } if !flight.conflict => {
                flight.conflict = true;
                flight.phase = Phase::Look;
                flight.look_after = Some(now);
                flight.next_look = None;
            }
            Error::Conflict { .. } | Error::Refused { .. } => {
                self.finish(Outcome::Rejected, Some(Reason::PrinterRefused), detail).await;
            }
            Error::NotFound if flight.order.file.is_some() => {
                self.finish(Outcome::Rejected, Some(Reason::FileNotFound), detail).await;
            }
            Error::Unauthorized => self.finish(Outcome::Unauthorized, None, detail).await,
            Error::Offline { .. } | Error::Blocked(_) => {
                if flight.order.wait_when_unreachable && flight.attempts == 1 {
                    // Not one byte left, so the row may wait on; its next send is its second.
                    flight.phase = Phase::Look;
                    flight.look_after = Some(now);
                } else {
                    self.finish(Outcome::Unreachable, None, detail).await;
                }
            }
            Error::NotFound
            | Error::Protocol { .. }
            | Error::NoSocket { .. }
            | Error::Invalid { .. }
            | Error::Timeout { .. }
            | Error::Lost { .. }
            | Error::Server { .. } => {
                self.finish(Outcome::Rejected, Some(Reason::PrinterProtocol), detail).await;
            }
        }
    }

    async fn watch(&mut self) -> bool {
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
            Verdict::Confirmed => self.effect_seen().await,
            Verdict::Gone(reason) => {
                self.finish(Outcome::Unconfirmed, Some(reason), None).await;
                true
            }
            Verdict::Lost if flight.step.may_be_repeated() && flight.sends < MAX_SENDS_OF_A_STEP && !overtaken => {
                self.send_again(now).await
            }
            Verdict::Lost | Verdict::Pending { .. } => {
                flight.moving = matches!(verdict, Verdict::Pending { moving: true });
                if overtaken && read {
                    let reason = flight.overtaken_reason();
                    self.finish(Outcome::Unconfirmed, Some(reason), None).await;
                    return true;
                }
                let limit = if flight.moving { super::flight::MOVING_LIMIT } else { flight.order.confirm_within };
                if now.duration_since(since) >= limit {
                    let state = self.sight().state;
                    self.finish(Outcome::Unconfirmed, Some(effect::overdue(state)), None).await;
                    return true;
                }
                self.look_again(now);
                self.count_again();
                false
            }
        }
    }

    async fn settle(&mut self) -> bool {
        let now = Instant::now();
        let overtaken = self.next.is_some();
        let Some(flight) = &self.slot else { return false };
        let Phase::Settle { since } = flight.phase else { return false };
        let read = self.is_fresh(flight.look_after, now);
        if read {
            let sight = self.sight();
            let verdict = self.verdict();
            let Some(flight) = &mut self.slot else { return false };
            let before = flight.before.clone().unwrap_or_else(|| sight.clone());
            match verdict {
                Verdict::Confirmed => return self.effect_seen().await,
                Verdict::Gone(reason) => {
                    self.finish(Outcome::Unknown, Some(reason), None).await;
                    return true;
                }
                Verdict::Pending { .. } | Verdict::Lost => {
                    flight.moving = matches!(verdict, Verdict::Pending { moving: true });
                    let again = effect::may_resend(flight.step, &before, &sight)
                        && flight.sends < MAX_SENDS_OF_A_STEP
                        && now < flight.order.expires;
                    if again && !overtaken {
                        return self.send_again(now).await;
                    }
                }
            }
        }
        let Some(flight) = &self.slot else { return false };
        let limit = if flight.moving { super::flight::MOVING_LIMIT } else { flight.order.confirm_within };
        if (overtaken && read) || now.duration_since(since) >= limit {
            let restarting = flight.is_restart() && flight.step == Step::Cancel && read;
            let (outcome, reason) = if restarting {
                (Outcome::Unconfirmed, Reason::CancelledNotStarted)
            } else {
                (Outcome::Unknown, Reason::NoAnswer)
            };
            self.finish(outcome, Some(reason), None).await;
            return true;
        }
        self.look_again(now);
        self.count_again();
        false
    }

    /// Sends a harmless step once more, by the same road as the first time.
    async fn send_again(&mut self, now: Instant) -> bool {
        let sight = self.sight();
        let Some(flight) = &mut self.slot else { return false };
        if now >= flight.order.expires {
            let state = sight.state;
            self.finish(Outcome::Unconfirmed, Some(effect::overdue(state)), None).await;
            return true;
        }
        flight.before = Some(sight);
        flight.evidence = Evidence::default();
        self.ask().await;
        true
    }

    /// The effect of the current step was seen: the end, or the second half of a restart.
    async fn effect_seen(&mut self) -> bool {
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
                self.tell(vec![fact]).await;
            }
        }
        let Some(flight) = &mut self.slot else { return false };
        if !(flight.is_restart() && flight.step == Step::Cancel) {
            self.finish(Outcome::Confirmed, None, None).await;
            return true;
        }
        let before = flight.first_before.clone().unwrap_or_else(|| sight.clone());
        // What was sent in an earlier life of the server is never gone on with.
        let may_go_on = flight.order.recover.is_none() && !retiring && !overtaken;
        let next = effect::decide_restart_start(&before, &flight.evidence, &sight);
        match next {
            Decision::Send(step) if may_go_on => {
                self.prepare(step, sight).await;
                true
            }
            Decision::Wait if may_go_on => {
                flight.moving = true;
                self.look_again(now);
                false
            }
            Decision::Send(_) | Decision::Wait | Decision::Unchanged | Decision::Reject(_) => {
                self.finish(Outcome::Unconfirmed, Some(Reason::CancelledNotStarted), None).await;
                true
            }
        }
    }

    /// What a failed reading means for the command in flight.
    pub(super) async fn conduct_read_failure(&mut self, error: &Error, started: Instant) {
        let now = Instant::now();
        let overtaken = self.next.is_some();
        let Some(flight) = &mut self.slot else { return };
        match flight.phase {
            Phase::Look | Phase::Hold { .. } => {
                if started < flight.arrived {
                    // Begun before the command came: it has its own try.
                    return;
                }
                let detail = Some(format!("The printer {error}."));
                if flight.is_unsent() && flight.order.wait_when_unreachable && *error != Error::Unauthorized {
                    flight.plan_look(now, true);
                    return;
                }
                let (outcome, reason) = match error {
                    Error::Unauthorized => (Outcome::Unauthorized, None),
                    Error::Offline { .. } | Error::Blocked(_) | Error::Timeout { .. } | Error::Lost { .. } => {
                        (Outcome::Unreachable, None)
                    }
                    Error::Protocol { .. }
                    | Error::NotFound
                    | Error::Server { .. }
                    | Error::Refused { .. }
                    | Error::Conflict { .. }
                    | Error::NoSocket { .. }
                    | Error::Invalid { .. } => (Outcome::Rejected, Some(Reason::PrinterProtocol)),
                };
                self.finish(outcome, reason, detail).await;
            }
            // A cancel waits: nothing more can be learned about what it overtakes.
            Phase::Watch { .. } if overtaken => {
                let reason = flight.overtaken_reason();
                self.finish(Outcome::Unconfirmed, Some(reason), None).await;
            }
            Phase::Settle { .. } if overtaken => {
                self.finish(Outcome::Unknown, Some(Reason::NoAnswer), None).await;
            }
            Phase::Watch { .. } | Phase::Settle { .. } | Phase::Count | Phase::Ask | Phase::Wire => {}
        }
    }

    fn verdict(&self) -> Verdict {
        let sight = self.sight();
        match &self.slot {
            Some(flight) if self.in_touch => {
                let before = flight.before.clone().unwrap_or_else(|| sight.clone());
                effect::judge(flight.step, flight.target(), &before, &flight.evidence, &sight)
            }
            _ => Verdict::Pending { moving: false },
        }
    }

    /// Reads the printer on behalf of the command in flight, when that is due.
    fn look_again(&mut self, now: Instant) {
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

    /// Compares the file's print counters with those before the start, where no event tells of it.
    fn count_again(&mut self) {
        let octoprint = self.octoprint.clone();
        let idle = self.sight().state == PrinterState::Operational;
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

    /// Looks again at what ended as a maybe.
    pub(super) async fn judge_late(&mut self) {
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
            let _ = self.around.ledger.send(Up::Settled { command_id, settled }).await;
        }
    }

    /// Ends the command in flight.
    async fn finish(&mut self, outcome: Outcome, reason: Option<Reason>, detail: Option<String>) {
        self.report(outcome, reason, detail).await;
        let Some(flight) = self.slot.take() else { return };
        self.dirty = true;
        if outcome.effect() == Some(Effect::Maybe)
            && let Some(before) = flight.before.clone()
            && !flight.is_restart()
        {
            if self.late.len() >= LATE_KEPT {
                self.late.remove(0);
            }
            let now = Instant::now();
            self.late.push(Late {
                command_id: flight.order.command_id,
                step: flight.step,
                target: flight.target().cloned(),
                before,
                evidence: flight.evidence,
                unanswered: outcome == Outcome::Unknown,
                read_since: None,
                until: now + LATE_LIMIT,
            });
        }
    }

    async fn report(&mut self, outcome: Outcome, reason: Option<Reason>, detail: Option<String>) {
        let sight = self.sight();
        let printer_id = self.live.id;
        let Some(flight) = &self.slot else { return };
        let known = self.in_touch.then_some(sight.state);
        let report = Report {
            printer_id,
            command_id: flight.order.command_id,
            outcome,
            reason,
            detail: detail.or_else(|| reason.map(|reason| reason.sentence().to_owned())),
            resolved: flight.resolved,
            print_id: if flight.step == Step::Start { flight.began.or(sight.print_id) } else { flight.print_id },
            state_after: known,
            accepted_at: flight.accepted_at,
            at: clock::now(),
        };
        let _ = self.around.ledger.send(Up::Report(report)).await;
    }

    async fn report_unsent(&mut self, command_id: Uuid, outcome: Outcome, reason: Reason) {
        let report = Report {
            printer_id: self.live.id,
            command_id,
            outcome,
            reason: Some(reason),
            detail: Some(reason.sentence().to_owned()),
            resolved: None,
            print_id: None,
            state_after: None,
            accepted_at: None,
            at: clock::now(),
        };
        let _ = self.around.ledger.send(Up::Report(report)).await;
    }

    fn flight(&mut self, command_id: Uuid) -> Option<&mut Flight> {
        self.slot.as_mut().filter(|flight| flight.order.command_id == command_id)
    }
}

impl Flight {
    /// Why a command that a cancel overtook ends without its effect seen.
    fn overtaken_reason(&self) -> Reason {
        if self.is_restart() { Reason::CancelledNotStarted } else { Reason::OvertakenByCancel }
    }
}
