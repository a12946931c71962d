//! How an actor asks for the permit of a send, and uses it.
//!
//! A permit is used only for a few seconds after it was requested. When it comes later, another server may have taken over
//! the farm, so it is handed back unused and requested again: a slow database delays commands and loses none.

use std::time::Instant;

use tokio::sync::oneshot;
use uuid::Uuid;

use super::{
    actor::Actor,
    errand,
    flight::Phase,
    message::{Ready, Up},
    settings::{ANSWERS_FIRST, PERMIT_AGE},
};
use crate::{
    clock,
    domain::{
        command::{Outcome, Reason, Step},
        state::PrinterState,
    },
};

impl Actor {
    /// Requests the permit for the next send. No byte is written before it is granted.
    pub(super) fn ask(&mut self) {
        let (go, answer) = oneshot::channel();
        let printer_id = self.live.id;
        let Some(flight) = &mut self.slot else { return };
        flight.phase = Phase::Ask;
        flight.asked_at = Some(Instant::now());
        let ready = Ready {
            printer_id,
            command_id: flight.order.command_id,
            attempt: flight.attempts + 1,
            is_repeated: flight.permit_unused,
            step: flight.step,
            resolved: flight.resolved,
            state_before: flight.before.as_ref().map_or(PrinterState::Unknown, |before| before.state),
            print_id: flight.print_id,
            file_path: flight.target().filter(|_| flight.places_a_print()).map(|file| file.path.clone()),
            go,
        };
        self.errands.push(Box::pin(errand::ask(flight.order.command_id, answer)));
        // Without a dispatcher the reply channel closes, which reads as "do not send".
        self.outbox.send(Up::Ready(ready));
    }

    /// The permit was granted or refused: sends, asks again, or ends the command.
    pub(super) fn on_asked(&mut self, command_id: Uuid, go: bool) {
        if go {
            // Events from before the send must not count as its effect.
            self.hear_out();
            self.settle_print();
        }
        let overtaken = self.next.is_some();
        let octoprint = self.octoprint.clone();
        let Some(flight) = self.flight(command_id) else { return };
        if flight.phase != Phase::Ask {
            return;
        }
        if !go {
            if flight.permit_unused && flight.is_unsent() {
                // Its row is `sent`, and no byte was written: its batch was stopped, or it expired.
                let expired = Instant::now() >= flight.order.expires;
                let (outcome, reason) =
                    if expired { (Outcome::Expired, None) } else { (Outcome::Skipped, Some(Reason::BatchStopped)) };
                self.finish(outcome, reason, None);
            } else if flight.is_unsent() {
                // The command log has ended it: stopped, expired, overtaken or removed.
                self.slot = None;
                self.dirty = true;
            } else {
                self.finish_without_leave();
            }
            return;
        }
        if flight.asked_at.is_some_and(|asked| asked.elapsed() >= PERMIT_AGE) {
            tracing::warn!(command.id = %command_id, "a permit to send came too late, and is asked for again");
            flight.permit_unused = true;
            self.ask();
            return;
        }
        flight.permit_unused = false;
        let too_late = flight.is_unsent() && Instant::now() >= flight.order.expires;
        flight.attempts += 1;
        if too_late {
            // The permit took long, or was granted by a clock that was set back meanwhile.
            self.finish(Outcome::Expired, None, None);
            return;
        }
        if overtaken {
            // No byte was written, and a cancel waits.
            let (outcome, reason) = if flight.attempts == 1 {
                (Outcome::Skipped, Reason::OvertakenByCancel)
            } else {
                (Outcome::Unconfirmed, flight.overtaken_reason())
            };
            self.finish(outcome, Some(reason), None);
            return;
        }
        flight.sends += 1;
        flight.sent_at = Some(clock::now());
        flight.phase = Phase::Wire;
        flight.accepted_at = None;
        flight.lost_at = None;
        let (step, file) = (flight.step, flight.order.file.clone());
        let not_after = flight.asked_at.map(|asked| asked + PERMIT_AGE);
        self.news_due = Some(Instant::now() + ANSWERS_FIRST);
        if step == Step::Start || step == Step::Resume {
            self.live.heated_up = Some(Instant::now());
            self.dirty = true;
        }
        // An effect that is observed from here on proves nothing about an earlier command.
        self.late.clear();
        let due = self.around.answers_due.clone();
        self.errands.push(Box::pin(errand::send(octoprint, command_id, step, file, not_after, due)));
    }
}
