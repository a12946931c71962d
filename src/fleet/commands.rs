//! The commands of one printer: the one in flight, the cancel that overtakes it, and the unsettled ones before.

use std::time::Instant;

use uuid::Uuid;

use super::{
    in_flight::{InFlightCommand, UNDONE_WITHIN, UNSETTLED_KEPT, Unsettled},
    message::ActorCommand,
};
use crate::domain::{
    command::{Command, Step},
    print::StartSent,
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
    slot: Option<InFlightCommand>,
    /// The cancel that overtakes the command in flight.
    next: Option<Box<ActorCommand>>,
    unsettled: Vec<Unsettled>,
    /// The pause or resume that was done last, while a change against it is recorded.
    done: Option<DoneCommand>,
    /// The start that the previous run of the server had sent, until its print is observed.
    start_before: Option<StartSent>,
}

impl Commands {
    /// No command; `start_before` is the start that the previous run of the server had sent.
    pub fn new(start_before: Option<StartSent>) -> Self {
        Self { slot: None, next: None, unsettled: Vec::new(), done: None, start_before }
    }

    /// No command is in flight.
    pub fn is_idle(&self) -> bool {
        self.slot.is_none()
    }

    /// The command in flight.
    pub fn current(&self) -> Option<&InFlightCommand> {
        self.slot.as_ref()
    }

    /// The command in flight.
    pub fn current_mut(&mut self) -> Option<&mut InFlightCommand> {
        self.slot.as_mut()
    }

    /// The command in flight, if it has this id.
    pub fn with_id(&mut self, command_id: Uuid) -> Option<&mut InFlightCommand> {
        self.slot.as_mut().filter(|command| command.spec.command_id == command_id)
    }

    /// Begins a command. Another one must not be in flight.
    pub fn begin(&mut self, command: InFlightCommand) {
        self.done = None;
        self.slot = Some(command);
    }

    /// Takes the command in flight out: it has ended, or was not sent.
    pub fn take(&mut self) -> Option<InFlightCommand> {
        self.slot.take()
    }

    /// The cancel that overtakes the command in flight.
    pub fn overtaking(&self) -> Option<&ActorCommand> {
        self.next.as_deref()
    }

    /// A cancel overtakes the command in flight.
    pub fn is_overtaken(&self) -> bool {
        self.next.is_some()
    }

    /// Lets a cancel overtake the command in flight.
    pub fn overtake(&mut self, cancel: Box<ActorCommand>) {
        self.next = Some(cancel);
    }

    /// Takes the waiting cancel out.
    pub fn take_overtaking(&mut self) -> Option<Box<ActorCommand>> {
        self.next.take()
    }

    /// A pause or resume has ended as done: for a while, a change against it is noticed.
    pub fn keep_done(&mut self, command: &InFlightCommand, print_id: Option<Uuid>, now: Instant) {
        let step = match command.command() {
            Command::Pause => Step::Pause,
            Command::Resume => Step::Resume,
            Command::Start
            | Command::Toggle
            | Command::Cancel
            | Command::Restart
            | Command::Connect
            | Command::Disconnect => return,
        };
        let command_id = command.spec.command_id;
        self.done = Some(DoneCommand { command_id, step, print_id, until: now + UNDONE_WITHIN });
    }

    /// The command that was done and is undone by this state of the same print, without a command of Printyard.
    pub fn take_undone(&mut self, state: PrinterState, print_id: Option<Uuid>, now: Instant) -> Option<Uuid> {
        let done = self.done.as_ref()?;
        if now >= done.until || done.print_id != print_id {
            self.done = None;
            return None;
        }
        let is_undone = match state {
            PrinterState::Resuming | PrinterState::Printing => done.step == Step::Pause,
            PrinterState::Pausing | PrinterState::Paused => done.step == Step::Resume,
            _ => false,
        };
        is_undone.then(|| self.done.take()).flatten().map(|done| done.command_id)
    }

    /// Continues to watch a command with an unknown effect. The oldest one gives way.
    pub fn keep_unsettled(&mut self, command: Unsettled) {
        if self.unsettled.len() >= UNSETTLED_KEPT {
            self.unsettled.remove(0);
        }
        self.unsettled.push(command);
    }

    /// The commands with an unknown effect.
    pub fn unsettled(&mut self) -> &mut Vec<Unsettled> {
        &mut self.unsettled
    }

    /// Whether effects of earlier commands are unknown.
    pub fn has_unsettled(&self) -> bool {
        !self.unsettled.is_empty()
    }

    /// The command of this step whose request was sent and whose effect is open.
    pub fn sent(&self, step: Step) -> Option<Uuid> {
        let sent = self.slot.as_ref().filter(|command| command.is_out() && command.step == step);
        sent.map(|command| command.spec.command_id)
    }

    /// The start that was sent and whose print has not been observed: of the command in flight, of the previous run of
    /// the server, or of a command without a reply.
    pub fn start_sent(&self) -> Option<StartSent> {
        if let Some(command) = self.slot.as_ref().filter(|command| command.is_out() && command.step == Step::Start) {
            let command_id = command.spec.command_id;
            let before = self.start_before.as_ref().filter(|start| start.command_id == command_id);
            return Some(before.cloned().unwrap_or_else(|| StartSent {
                command_id,
                file: command.target().cloned(),
                sent_at: command.sent_at,
                by_previous_run: command.spec.recover.is_some(),
                print_id: None,
            }));
        }
        self.start_before.clone().or_else(|| self.unsettled.iter().rev().find_map(|command| command.start.clone()))
    }

    /// The start of the previous run was this command, which has ended or whose print was observed.
    pub fn forget_start(&mut self, command_id: Uuid) {
        self.start_before = self.start_before.take().filter(|start| start.command_id != command_id);
    }

    /// A reading settles the start of the previous run, whose print had been observed.
    pub fn forget_observed_start(&mut self) {
        self.start_before = self.start_before.take().filter(|start| start.print_id.is_none());
    }

    /// The printer shows this state: evidence for the sent command and for unsettled ones.
    pub fn note_state(&mut self, state: PrinterState) {
        if let Some(command) = self.slot.as_mut().filter(|command| command.is_out()) {
            command.evidence.note(state);
        }
        for command in &mut self.unsettled {
            command.evidence.note(state);
        }
    }

    /// Whether any channel names the file that prints.
    pub fn note_file_hidden(&mut self, is_hidden: bool) {
        if let Some(command) = self.slot.as_mut().filter(|command| command.is_out()) {
            command.evidence.is_file_hidden = is_hidden;
        }
    }

    /// A print began, by this command or without one.
    pub fn note_began(&mut self, print_id: Uuid, by: Option<Uuid>) {
        let Some(by) = by else { return };
        if let Some(command) = self.with_id(by) {
            command.began = Some(print_id);
        }
        self.forget_start(by);
    }

    /// A print was found to have begun. It proves nothing about a command of the previous run of the server, whose send
    /// was not observed.
    pub fn note_found(&mut self, path: &str) {
        if self.slot.as_ref().is_none_or(|command| command.spec.recover.is_none()) {
            self.note_started(path);
        }
    }

    /// The beginning of a print was observed.
    pub fn note_started(&mut self, path: &str) {
        if let Some(command) = self.slot.as_mut().filter(|command| command.is_out()) {
            command.evidence.started = Some(path.to_owned());
        }
        for command in &mut self.unsettled {
            command.evidence.started = Some(path.to_owned());
        }
    }

    /// When the command in flight is decided or read for. A reading under way brings the reading by itself.
    pub fn wakes(&self, is_reading: bool) -> impl Iterator<Item = Instant> {
        let command = self.slot.as_ref();
        let read_due = command.and_then(|command| command.next_look).filter(|_| !is_reading);
        command.and_then(InFlightCommand::deadline).into_iter().chain(read_due)
    }
}
