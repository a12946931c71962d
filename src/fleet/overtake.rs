//! Accepts commands, also while another one is in flight: a cancel or an emergency stop overtakes it.
//!
//! A cancel waits until the command in flight is judged again on a new reading. An emergency stop waits for nothing: it sets
//! that command aside and is sent at once. The command that was set aside is never sent again, and is judged after the stop.

use std::time::Instant;

use uuid::Uuid;

use super::{
    actor::Actor,
    in_flight::{InFlightCommand, Phase},
    message::ActorCommand,
};
use crate::domain::command::{Command, Outcome, Reason};

impl Actor {
    /// Accepts a command. While another command is in flight, the dispatcher sends only a cancel or an emergency stop, which
    /// overtakes it.
    pub(super) fn accept_command(&mut self, command: Box<ActorCommand>) {
        let now = Instant::now();
        // The dispatcher sends a command again if it cannot know that the actor has it.
        if self.commands.contains(command.command_id) {
            return;
        }
        let Some(current) = self.commands.current() else {
            self.commands.begin(InFlightCommand::new(command, now));
            return;
        };
        let in_flight = current.spec.command;
        if command.command == Command::EmergencyStop && command.command.overtakes(in_flight) {
            self.accept_emergency_stop(command, now);
            return;
        }
        let may_cancel = command.command == Command::Cancel && in_flight != Command::EmergencyStop;
        if !may_cancel || self.commands.overtaking().is_some() {
            let command_id = command.command_id;
            self.report_unsent(command_id, Outcome::Rejected, Reason::CommandInFlight);
            return;
        }
        self.commands.overtake(command);
        let Some(current) = self.commands.current_mut() else { return };
        match current.phase {
            // The sent command is judged again, on a new reading.
            Phase::Watch { .. } | Phase::Settle { .. } => current.fresh_after = Some(now),
            Phase::Read | Phase::Hold { .. } | Phase::Count if current.is_unsent() => {
                self.commands.take_current();
            }
            // OctoPrint refused the command because the reading was stale, and it was about to be decided again. Nothing was
            // done.
            Phase::Read | Phase::Hold { .. } | Phase::Count => {
                self.finish_command(Outcome::Rejected, Some(Reason::OvertakenByCancel), None);
            }
            Phase::Permit | Phase::Send => {}
        }
    }

    /// Puts an emergency stop in flight at once. The command log has ended the unsent commands that it overtakes.
    fn accept_emergency_stop(&mut self, command: Box<ActorCommand>, now: Instant) {
        self.commands.take_overtaking();
        let phase = self.commands.current().map(|current| (current.phase, current.is_unsent()));
        match phase {
            Some((Phase::Read | Phase::Hold { .. } | Phase::Count, true)) => {
                self.commands.take_current();
            }
            // OctoPrint refused the command, and it was about to be decided again. Nothing was done.
            Some((Phase::Read | Phase::Hold { .. } | Phase::Count, false)) => {
                self.finish_command(Outcome::Rejected, Some(Reason::OvertakenByEmergencyStop), None);
            }
            Some((Phase::Permit | Phase::Send | Phase::Watch { .. } | Phase::Settle { .. }, _)) | None => {}
        }
        self.commands.begin_emergency_stop(InFlightCommand::new(command, now));
        self.published.touch();
    }

    /// Handles the result of a request of this command, which an emergency stop may have set aside.
    pub(super) fn handle_result_of(&mut self, command_id: Uuid, handle: impl FnOnce(&mut Self)) {
        let is_set_aside = self.commands.is_set_aside(command_id);
        if is_set_aside {
            self.commands.exchange_set_aside();
        }
        handle(self);
        if is_set_aside {
            self.commands.exchange_set_aside();
            self.published.touch();
        }
    }

    /// Drops a command that the command log has ended before it was sent.
    pub(super) fn drop_unsent(&mut self, command_id: Uuid) {
        if self.commands.overtaking().is_some_and(|cancel| cancel.command_id == command_id) {
            self.commands.take_overtaking();
        }
        let may_drop = self.commands.current().is_some_and(|command| {
            command.spec.command_id == command_id && command.is_unsent() && command.phase != Phase::Permit
        });
        if may_drop {
            self.commands.take_current();
            self.published.touch();
        }
    }
}

impl InFlightCommand {
    /// Returns why a command that was overtaken ends without an observed effect.
    pub(super) fn overtaken_reason(&self) -> Reason {
        if self.is_restart() { Reason::CancelledNotStarted } else { self.overtaking_reason() }
    }

    /// Returns which command overtook this one.
    pub(super) fn overtaking_reason(&self) -> Reason {
        if self.was_set_aside { Reason::OvertakenByEmergencyStop } else { Reason::OvertakenByCancel }
    }
}
