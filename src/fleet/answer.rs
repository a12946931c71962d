//! What an answer to a command means, and what it means that none came.

use std::time::Instant;

use uuid::Uuid;

use super::{actor::Actor, flight::Phase};
use crate::{
    clock,
    domain::command::{Outcome, Reason, Step},
    octoprint::Error,
};

impl Actor {
    pub(super) fn on_sent(&mut self, command_id: Uuid, result: Result<(), Error>) {
        let now = Instant::now();
        let pushed = self.is_pushed();
        let Some(flight) = self.slot.as_mut().filter(|flight| flight.order.command_id == command_id) else { return };
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
                self.report(Outcome::Accepted);
            }
            Err(error) if error.may_have_acted() => {
                flight.phase = Phase::Settle { since: now };
                flight.doubtful = true;
                flight.lost_at = Some(now);
                flight.look_after = Some(now);
                flight.looks = 0;
                flight.next_look = Some(now);
                tracing::warn!(printer.id = %self.live.id, command.id = %command_id, %error, "reply lost");
            }
            Err(error) => self.on_refused(error, now),
        }
    }

    /// The printer refused it, or was not reached: nothing was done.
    pub(super) fn on_refused(&mut self, error: Error, now: Instant) {
        let detail = Some(format!("The printer {error}."));
        let Some(flight) = &mut self.slot else { return };
        if flight.is_restart() && flight.step == Step::Start {
            self.finish(Outcome::Unconfirmed, Some(Reason::CancelledNotStarted), detail);
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
                self.finish(Outcome::Rejected, Some(Reason::PrinterRefused), detail);
            }
            Error::NotFound if flight.order.file.is_some() => {
                self.finish(Outcome::Rejected, Some(Reason::FileNotFound), detail);
            }
            Error::Unauthorized => self.finish(Outcome::Unauthorized, None, detail),
            Error::Offline { .. } | Error::Blocked(_) => {
                if flight.order.wait_when_unreachable && flight.attempts == 1 {
                    // Not one byte left, so the row may wait on; its next send is its second.
                    flight.phase = Phase::Look;
                    flight.look_after = Some(now);
                } else {
                    self.finish(Outcome::Unreachable, None, detail);
                }
            }
            Error::NotFound
            | Error::Protocol { .. }
            | Error::NoSocket { .. }
            | Error::Invalid { .. }
            | Error::Timeout { .. }
            | Error::Lost { .. }
            | Error::Server { .. } => {
                self.finish(Outcome::Rejected, Some(Reason::PrinterProtocol), detail);
            }
        }
    }

    /// The ledger refused a further send of a command that was sent before.
    pub(super) fn finish_without_leave(&mut self) {
        let Some(flight) = &self.slot else { return };
        if flight.is_restart() && flight.step == Step::Start {
            self.finish(Outcome::Unconfirmed, Some(Reason::CancelledNotStarted), None);
        } else if flight.conflict && flight.lost_at.is_none() {
            self.finish(Outcome::Rejected, Some(Reason::PrinterRefused), None);
        } else {
            self.finish(Outcome::Unknown, Some(Reason::NoAnswer), None);
        }
    }

    /// What a failed reading means for the command in flight.
    pub(super) fn conduct_read_failure(&mut self, error: &Error, started: Instant) {
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
                self.finish(outcome, reason, detail);
            }
            // A cancel waits: nothing more can be learned about what it overtakes.
            Phase::Watch { .. } if overtaken => {
                let reason = flight.overtaken_reason();
                self.finish(Outcome::Unconfirmed, Some(reason), None);
            }
            Phase::Settle { .. } if overtaken => {
                self.finish(Outcome::Unknown, Some(Reason::NoAnswer), None);
            }
            Phase::Watch { .. } | Phase::Settle { .. } | Phase::Count | Phase::Ask | Phase::Wire => {}
        }
    }
}
