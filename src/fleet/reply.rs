//! Handles the reply to a sent command, and the loss of a reply.

use std::time::Instant;

use uuid::Uuid;

use super::{actor::Actor, in_flight::Phase};
use crate::{
    clock,
    domain::command::{Outcome, Reason, Step},
    octoprint::Error,
};

impl Actor {
    pub(super) fn on_sent(&mut self, command_id: Uuid, result: Result<(), Error>) {
        let now = Instant::now();
        let pushed = self.connection.is_pushed();
        let Some(command) = self.commands.current_mut().filter(|command| command.spec.command_id == command_id) else {
            return;
        };
        if command.phase != Phase::Send {
            return;
        }
        if !pushed && command.step == Step::Start && command.spec.file.is_some() {
            match &result {
                // OctoPrint refuses to select a file while another one prints.
                Ok(()) => self.tracker.assume_selected(command.spec.file.clone()),
                Err(error) if error.may_have_acted() => self.tracker.assume_selected(None),
                Err(_) => {}
            }
        }
        match result {
            Ok(()) => {
                command.phase = Phase::Watch { since: now };
                command.accepted_at = Some(clock::now());
                command.evidence.is_accepted = true;
                command.reads = 0;
                command.plan_read(now, pushed);
                // If another command has overtaken this one, it is judged again on a new reading.
                let overtaken = self.commands.is_overtaken();
                if let Some(command) = self.commands.current_mut()
                    && overtaken
                {
                    command.fresh_after = Some(now);
                }
                self.report_progress(Outcome::Accepted);
            }
            Err(error) if error.may_have_acted() => {
                command.phase = Phase::Settle { since: now };
                command.doubtful = true;
                command.lost_at = Some(now);
                command.fresh_after = Some(now);
                command.reads = 0;
                command.next_read = Some(now);
                tracing::warn!(printer.id = %self.published.printer_id(), command.id = %command_id, %error, "reply lost");
            }
            Err(error) => self.on_refused(error, now),
        }
    }

    /// Handles a command that the printer refused or did not receive: nothing was done.
    pub(super) fn on_refused(&mut self, error: Error, now: Instant) {
        let detail = Some(error.message());
        let overtaken = self.commands.is_overtaken();
        let Some(command) = self.commands.current_mut() else { return };
        if command.is_restart() && command.step == Step::Start {
            self.finish_command(Outcome::Unconfirmed, Some(Reason::CancelledNotStarted), detail);
            return;
        }
        match error {
            Error::Conflict { .. } if overtaken => {
                // It is not decided again.
                let reason = command.overtaking_reason();
                self.finish_command(Outcome::Rejected, Some(reason), None);
            }
            Error::Conflict { .. } if !command.had_conflict => {
                command.had_conflict = true;
                command.phase = Phase::Read;
                command.fresh_after = Some(now);
                command.next_read = None;
            }
            Error::Conflict { .. } | Error::Refused { .. } => {
                self.finish_command(Outcome::Rejected, Some(Reason::PrinterRefused), detail);
            }
            Error::NotFound if command.spec.file.is_some() => {
                self.finish_command(Outcome::Rejected, Some(Reason::FileNotFound), detail);
            }
            Error::Unauthorized | Error::ProxyLogin => self.finish_command(Outcome::Unauthorized, None, detail),
            Error::Offline { .. } | Error::Blocked(_) => {
                if command.spec.wait_when_unreachable && command.attempts == 1 && !overtaken {
                    // No byte was sent, so the row may continue to wait. Its next send is its second.
                    command.phase = Phase::Read;
                    command.fresh_after = Some(now);
                } else {
                    self.finish_command(Outcome::Unreachable, None, detail);
                }
            }
            Error::NotFound
            | Error::Protocol { .. }
            | Error::Redirected { .. }
            | Error::NoSocket { .. }
            | Error::Invalid { .. }
            | Error::Timeout { .. }
            | Error::Silent { .. }
            | Error::Lost { .. }
            | Error::Server { .. } => {
                self.finish_command(Outcome::Rejected, Some(Reason::PrinterProtocol), detail);
            }
        }
    }

    /// Ends a command whose permit for a further send was refused.
    pub(super) fn finish_without_permit(&mut self) {
        let Some(command) = self.commands.current() else { return };
        if command.is_restart() && command.step == Step::Start {
            self.finish_command(Outcome::Unconfirmed, Some(Reason::CancelledNotStarted), None);
        } else if command.had_conflict && command.lost_at.is_none() {
            self.finish_command(Outcome::Rejected, Some(Reason::PrinterRefused), None);
        } else {
            self.finish_command(Outcome::Unknown, Some(Reason::NoAnswer), None);
        }
    }

    /// Applies a failed reading to the command in flight.
    pub(super) fn on_read_failure_in_flight(&mut self, error: &Error, started: Instant) {
        let now = Instant::now();
        let overtaken = self.commands.is_overtaken();
        let Some(command) = self.commands.current_mut() else { return };
        match command.phase {
            Phase::Read | Phase::Hold { .. } => {
                if started < command.arrived {
                    // The reading was started before the command arrived. The command gets a reading of its own.
                    return;
                }
                let detail = Some(error.message());
                if command.is_unsent() && command.spec.wait_when_unreachable && !error.is_unauthorized() {
                    command.plan_read(now, true);
                    return;
                }
                let (outcome, reason) = match error {
                    Error::Unauthorized | Error::ProxyLogin => (Outcome::Unauthorized, None),
                    Error::Offline { .. }
                    | Error::Blocked(_)
                    | Error::Timeout { .. }
                    | Error::Silent { .. }
                    | Error::Lost { .. } => (Outcome::Unreachable, None),
                    Error::Protocol { .. }
                    | Error::Redirected { .. }
                    | Error::NotFound
                    | Error::Server { .. }
                    | Error::Refused { .. }
                    | Error::Conflict { .. }
                    | Error::NoSocket { .. }
                    | Error::Invalid { .. } => (Outcome::Rejected, Some(Reason::PrinterProtocol)),
                };
                self.finish_command(outcome, reason, detail);
            }
            // Nothing more can be learned about an overtaken command.
            Phase::Watch { .. } if overtaken => {
                let reason = command.overtaken_reason();
                self.finish_command(Outcome::Unconfirmed, Some(reason), None);
            }
            Phase::Settle { .. } if overtaken => {
                self.finish_command(Outcome::Unknown, Some(Reason::NoAnswer), None);
            }
            Phase::Watch { .. } | Phase::Settle { .. } | Phase::Count | Phase::Permit | Phase::Send => {}
        }
    }
}
