//! Requests the permit of a send, and uses it.
//!
//! A permit is used only for a few seconds after its request ([`PERMIT_AGE`]). If it arrives later, another server may have
//! taken over the farm. The actor then returns it unused and requests it again: a slow database delays commands and loses
//! none.

use std::time::Instant;

use tokio::sync::oneshot;
use uuid::Uuid;

use super::{
    actor::Actor,
    confirm::not_started_again,
    in_flight::Phase,
    message::{ActorEvent, SendRequest},
    request,
    settings::PERMIT_AGE,
};
use crate::{
    clock,
    domain::{
        command::{Outcome, Reason, Step},
        message::Message,
        state::PrinterState,
    },
};

impl Actor {
    /// Requests the permit for the next send. No byte is sent before it is granted.
    pub(super) fn request_permit(&mut self) {
        let (permit, reply) = oneshot::channel();
        let printer_id = self.published.printer_id();
        let Some(command) = self.commands.current_mut() else { return };
        command.phase = Phase::Permit;
        command.permit_requested_at = Some(Instant::now());
        let request = SendRequest {
            printer_id,
            command_id: command.spec.command_id,
            attempt: command.attempts + 1,
            is_repeated: command.permit_unused,
            step: command.step,
            resolved: command.resolved,
            state_before: command.before.as_ref().map_or(PrinterState::Unknown, |before| before.state),
            print_id: command.print_id,
            file_path: command.target().filter(|_| command.starts_print()).map(|file| file.path.clone()),
            permit,
        };
        self.requests.push(Box::pin(request::await_permit(command.spec.command_id, reply)));
        // Without a dispatcher the reply channel closes, which means "do not send".
        self.outbox.send(ActorEvent::SendRequest(request));
    }

    /// Handles a granted or refused permit: sends, requests it again, or ends the command.
    pub(super) fn on_permit(&mut self, command_id: Uuid, granted: bool) {
        if granted {
            // The printer may have been taken out of service since the permit was requested.
            self.apply_wanted_state();
            // Events from before the send must not count as its effect.
            self.process_received_frames();
            self.settle_print();
        }
        let overtaken = self.commands.is_overtaken();
        let octoprint = self.octoprint.clone();
        let Some(command) = self.commands.current_with_id(command_id) else { return };
        if command.phase != Phase::Permit {
            return;
        }
        if !granted {
            if command.permit_unused && command.is_unsent() {
                // The row is `sent`, but no byte was sent: the batch was stopped, or the command expired.
                let expired = Instant::now() >= command.spec.expires;
                let (outcome, reason) =
                    if expired { (Outcome::Expired, None) } else { (Outcome::Skipped, Some(Reason::BatchStopped)) };
                self.finish_command(outcome, reason, None);
            } else if command.is_unsent() {
                // The command log has ended the command: it was stopped, expired, overtaken or removed.
                self.commands.take_current();
                self.published.touch();
            } else {
                self.finish_without_permit();
            }
            return;
        }
        if command.permit_requested_at.is_some_and(|requested| requested.elapsed() >= PERMIT_AGE) {
            tracing::warn!(command.id = %command_id, "a permit to send arrived too late and is requested again");
            command.permit_unused = true;
            self.request_permit();
            return;
        }
        command.permit_unused = false;
        let too_late = command.is_unsent() && Instant::now() >= command.spec.expires;
        command.attempts += 1;
        if too_late {
            // The permit took long, or a clock that was set back in the meantime granted it.
            self.finish_command(Outcome::Expired, None, None);
            return;
        }
        if overtaken {
            // No byte was sent, and another command overtakes this one.
            let (outcome, reason) = if command.attempts == 1 {
                (Outcome::Skipped, command.overtaking_reason())
            } else {
                (Outcome::Unconfirmed, command.overtaken_reason())
            };
            self.finish_command(outcome, Some(reason), None);
            return;
        }
        let is_unsent_restart = command.is_restart() && command.attempts == 1;
        let refusal = self.out_of_service.clone().filter(|_| command.step.runs_print() || is_unsent_restart);
        if let Some(refusal) = refusal {
            self.finish_out_of_service(refusal);
            return;
        }
        command.sends += 1;
        command.sent_at = Some(clock::now());
        command.phase = Phase::Send;
        command.accepted_at = None;
        command.lost_at = None;
        let (step, file) = (command.step, command.spec.file.clone());
        let not_after = command.permit_requested_at.map(|requested| requested + PERMIT_AGE);
        if step == Step::Start || step == Step::Resume {
            self.published.change().last_start_at = Some(Instant::now());
        }
        // An effect that is observed from here on proves nothing about an earlier command.
        self.commands.unsettled_mut().clear();
        self.requests.push(Box::pin(request::send_step(octoprint, command_id, step, file, not_after)));
    }

    /// Ends a command whose printer was taken out of service while its permit was requested. No byte of this send was
    /// sent.
    fn finish_out_of_service(&mut self, refusal: Message) {
        let Some(command) = self.commands.current() else { return };
        let (outcome, reason, detail) = if command.is_restart() && command.step == Step::Start {
            (Outcome::Unconfirmed, Reason::CancelledNotStarted, not_started_again(refusal))
        } else {
            (Outcome::Rejected, Reason::OutOfService, refusal)
        };
        self.finish_command(outcome, Some(reason), Some(detail));
    }
}
