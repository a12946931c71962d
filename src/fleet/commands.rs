//! The commands of one printer: the command in flight, the commands that overtake it, and earlier unsettled commands.
//!
//! A cancel waits for the end of the command that it overtakes. An emergency stop does not wait: it sets that command aside.

use std::time::Instant;

use uuid::Uuid;

use super::{
    in_flight::{InFlightCommand, Phase, UNDONE_WITHIN, UNSETTLED_KEPT, UnsettledWatch},
    message::ActorCommand,
};
use crate::domain::{
    command::{Command, Step},
    print::SentStart,
    state::PrinterState,
};

/// A pause or resume that ended as done.
struct DoneCommand {
    command_id: Uuid,
    step: Step,
    print_id: Option<Uuid>,
    until: Instant,
}

/// The commands of one printer.
pub(super) struct Commands {
    in_flight: Option<InFlightCommand>,
    /// The command that an emergency stop has set aside. It is judged again once the stop has ended.
    set_aside: Option<InFlightCommand>,
    /// The cancel that overtakes the command in flight.
    overtaking: Option<Box<ActorCommand>>,
    unsettled: Vec<UnsettledWatch>,
    /// The last pause or resume that ended as done. It is kept while a change that undoes it is recorded.
    last_done: Option<DoneCommand>,
    /// The start that the previous run of the server sent. It is kept until its print is observed.
    previous_start: Option<SentStart>,
}

impl Commands {
    /// Starts without commands. `previous_start` is the start that the previous run of the server sent.
    pub fn new(previous_start: Option<SentStart>) -> Self {
        Self {
            in_flight: None,
            set_aside: None,
            overtaking: None,
            unsettled: Vec::new(),
            last_done: None,
            previous_start,
        }
    }

    /// Whether no command is in flight, and none is set aside.
    pub fn is_idle(&self) -> bool {
        self.in_flight.is_none() && self.set_aside.is_none()
    }

    /// Whether a permit was requested or a reply is awaited. If the actor ended now, the next process could not know
    /// whether the printer got the command.
    pub fn is_sending(&self) -> bool {
        let mut held = self.in_flight.iter().chain(&self.set_aside);
        held.any(|command| matches!(command.phase, Phase::Permit | Phase::Send))
    }

    /// Returns the command in flight.
    pub fn current(&self) -> Option<&InFlightCommand> {
        self.in_flight.as_ref()
    }

    /// Returns the command in flight.
    pub fn current_mut(&mut self) -> Option<&mut InFlightCommand> {
        self.in_flight.as_mut()
    }

    /// Returns the command in flight if it has this id.
    pub fn current_with_id(&mut self, command_id: Uuid) -> Option<&mut InFlightCommand> {
        self.in_flight.as_mut().filter(|command| command.spec.command_id == command_id)
    }

    /// Puts a command in flight. No other command may be in flight.
    pub fn begin(&mut self, command: InFlightCommand) {
        self.last_done = None;
        self.in_flight = Some(command);
    }

    /// Removes the command in flight and returns it. The command has ended, or it was not sent.
    pub fn take_current(&mut self) -> Option<InFlightCommand> {
        self.in_flight.take()
    }

    /// Returns the cancel that overtakes the command in flight.
    pub fn overtaking(&self) -> Option<&ActorCommand> {
        self.overtaking.as_deref()
    }

    /// Whether a cancel overtakes the command in flight, or an emergency stop has overtaken it. It is not sent any more.
    pub fn is_overtaken(&self) -> bool {
        self.overtaking.is_some() || self.in_flight.as_ref().is_some_and(|command| command.was_set_aside)
    }

    /// Puts an emergency stop in flight, and sets the command in flight aside.
    pub fn begin_emergency_stop(&mut self, stop: InFlightCommand) {
        self.set_aside = self.in_flight.take();
        if let Some(command) = &mut self.set_aside {
            command.was_set_aside = true;
        }
        self.begin(stop);
    }

    /// Whether this command is set aside.
    pub fn is_set_aside(&self, command_id: Uuid) -> bool {
        self.set_aside.as_ref().is_some_and(|command| command.spec.command_id == command_id)
    }

    /// Exchanges the command in flight and the command that is set aside.
    pub fn exchange_set_aside(&mut self) {
        std::mem::swap(&mut self.in_flight, &mut self.set_aside);
    }

    /// Puts the command that was set aside in flight again. Only a reading that is started from now on counts for it.
    pub fn resume_set_aside(&mut self, now: Instant) {
        self.in_flight = self.set_aside.take();
        if let Some(command) = &mut self.in_flight {
            command.fresh_after = Some(now);
        }
    }

    /// Whether the actor has this command.
    pub fn contains(&self, command_id: Uuid) -> bool {
        let mut held = self.in_flight.iter().chain(&self.set_aside).map(|command| command.spec.command_id);
        held.any(|id| id == command_id)
            || self.overtaking.as_ref().is_some_and(|cancel| cancel.command_id == command_id)
    }

    /// Returns the commands whose request was sent and whose effect is open.
    fn awaiting_effect(&self) -> impl Iterator<Item = &InFlightCommand> {
        self.in_flight.iter().chain(&self.set_aside).filter(|command| command.awaits_effect())
    }

    /// Returns the commands whose request was sent and whose effect is open.
    fn awaiting_effect_mut(&mut self) -> impl Iterator<Item = &mut InFlightCommand> {
        self.in_flight.iter_mut().chain(&mut self.set_aside).filter(|command| command.awaits_effect())
    }

    /// Stores a cancel that overtakes the command in flight.
    pub fn overtake(&mut self, cancel: Box<ActorCommand>) {
        self.overtaking = Some(cancel);
    }

    /// Removes the waiting cancel and returns it.
    pub fn take_overtaking(&mut self) -> Option<Box<ActorCommand>> {
        self.overtaking.take()
    }

    /// Keeps a pause or resume that ended as done. A change that undoes it within [`UNDONE_WITHIN`] is noticed.
    pub fn keep_done(&mut self, command: &InFlightCommand, print_id: Option<Uuid>, now: Instant) {
        let step = match command.command() {
            Command::Pause => Step::Pause,
            Command::Resume => Step::Resume,
            Command::Start
            | Command::Toggle
            | Command::Cancel
            | Command::Restart
            | Command::Connect
            | Command::Disconnect
            | Command::EmergencyStop => return,
        };
        let command_id = command.spec.command_id;
        self.last_done = Some(DoneCommand { command_id, step, print_id, until: now + UNDONE_WITHIN });
    }

    /// Removes and returns the kept command if this state of the same print undoes it. Printyard sent no command for the
    /// change.
    pub fn take_undone(&mut self, state: PrinterState, print_id: Option<Uuid>, now: Instant) -> Option<Uuid> {
        let done = self.last_done.as_ref()?;
        if now >= done.until || done.print_id != print_id {
            self.last_done = None;
            return None;
        }
        let is_undone = match state {
            PrinterState::Resuming | PrinterState::Printing => done.step == Step::Pause,
            PrinterState::Pausing | PrinterState::Paused => done.step == Step::Resume,
            _ => false,
        };
        is_undone.then(|| self.last_done.take()).flatten().map(|done| done.command_id)
    }

    /// Continues to watch a command with an unknown effect. Beyond [`UNSETTLED_KEPT`] commands, the oldest is dropped.
    pub fn keep_unsettled(&mut self, command: UnsettledWatch) {
        if self.unsettled.len() >= UNSETTLED_KEPT {
            self.unsettled.remove(0);
        }
        self.unsettled.push(command);
    }

    /// Returns the watched commands with an unknown effect.
    pub fn unsettled_mut(&mut self) -> &mut Vec<UnsettledWatch> {
        &mut self.unsettled
    }

    /// Whether effects of earlier commands are unknown.
    pub fn has_unsettled(&self) -> bool {
        !self.unsettled.is_empty()
    }

    /// Returns the command at this step whose request was sent and whose effect is open.
    pub fn sent_command_id(&self, step: Step) -> Option<Uuid> {
        self.awaiting_effect().find(|command| command.step == step).map(|command| command.spec.command_id)
    }

    /// Returns the start that was sent and whose print has not been observed. It belongs to the command in flight, to the
    /// previous run of the server, or to a command without a reply.
    pub fn sent_start(&self) -> Option<SentStart> {
        if let Some(command) = self.awaiting_effect().find(|command| command.step == Step::Start) {
            let command_id = command.spec.command_id;
            let before = self.previous_start.as_ref().filter(|start| start.command_id == command_id);
            return Some(before.cloned().unwrap_or_else(|| SentStart {
                command_id,
                file: command.target().cloned(),
                sent_at: command.sent_at,
                by_previous_run: command.spec.recovery.is_some(),
                print_id: None,
            }));
        }
        self.previous_start.clone().or_else(|| self.unsettled.iter().rev().find_map(|command| command.start.clone()))
    }

    /// Forgets the start of the previous run if this command sent it. The command has ended, or its print was observed.
    pub fn forget_start(&mut self, command_id: Uuid) {
        self.previous_start = self.previous_start.take().filter(|start| start.command_id != command_id);
    }

    /// Forgets the start of the previous run if that run had observed its print. A reading has settled it.
    pub fn forget_observed_start(&mut self) {
        self.previous_start = self.previous_start.take().filter(|start| start.print_id.is_none());
    }

    /// Records the printer's state as evidence for the sent commands and for the unsettled commands.
    pub fn note_state(&mut self, state: PrinterState) {
        for command in self.awaiting_effect_mut() {
            command.evidence.add_state(state);
        }
        for command in &mut self.unsettled {
            command.evidence.add_state(state);
        }
    }

    /// Records whether the file that prints is hidden: no reading and no event names it.
    pub fn note_file_hidden(&mut self, is_hidden: bool) {
        for command in self.awaiting_effect_mut() {
            command.evidence.is_file_hidden = is_hidden;
        }
    }

    /// Records that a print began. `by` is the command that started it, if a command did.
    pub fn note_print_began(&mut self, print_id: Uuid, by: Option<Uuid>) {
        let Some(by) = by else { return };
        for command in self.in_flight.iter_mut().chain(&mut self.set_aside).filter(|it| it.spec.command_id == by) {
            command.started_print = Some(print_id);
        }
        self.forget_start(by);
    }

    /// Records that the tracker found a print to have begun. It proves nothing about a command of the previous run of the
    /// server, because the send of that command was not observed.
    pub fn note_inferred_start(&mut self, path: &str) {
        if self.in_flight.iter().chain(&self.set_aside).all(|command| command.spec.recovery.is_none()) {
            self.note_observed_start(path);
        }
    }

    /// Records that the beginning of a print was observed.
    pub fn note_observed_start(&mut self, path: &str) {
        for command in self.awaiting_effect_mut() {
            command.evidence.started = Some(path.to_owned());
        }
        for command in &mut self.unsettled {
            command.evidence.started = Some(path.to_owned());
        }
    }

    /// Returns when the command in flight must be decided, and when its next reading is due. A reading in progress needs no
    /// wake-up.
    pub fn wake_times(&self, is_reading: bool) -> impl Iterator<Item = Instant> {
        let command = self.in_flight.as_ref();
        let read_due = command.and_then(|command| command.next_read).filter(|_| !is_reading);
        command.and_then(InFlightCommand::deadline).into_iter().chain(read_due)
    }
}
