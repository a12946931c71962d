//! `POST /api/job`: every cell of the measured table of states and commands, including quirks.

use std::time::Instant;

use serde_json::json;

use super::{Ended, Job, Machine, STEP, State};
use crate::simulator::config::Flavor;

/// `command` and `action` of the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobCommand {
    Start,
    Restart,
    Cancel,
    Pause(PauseAction),
}

/// `action` of `pause`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PauseAction {
    /// Also used if there is no action.
    Toggle,
    Pause,
    Resume,
    /// An action that OctoPrint does not know. OctoPrint refuses it only if there is a job.
    Unknown,
}

/// Why OctoPrint refuses a command. The letters are those of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// A
    NotOperational,
    /// B
    AlreadyActive,
    /// C
    NotPaused,
    /// D, with the command's name.
    NotActive(&'static str),
    /// E
    UnknownAction,
}

impl Refusal {
    /// Returns the status of the response.
    pub fn status(self) -> u16 {
        if self == Self::UnknownAction { 400 } else { 409 }
    }

    /// Returns the text of the response.
    pub fn text(self) -> String {
        match self {
            Self::NotOperational => "Printer is not operational".to_owned(),
            Self::AlreadyActive => "Printer already has an active print job, did you mean 'restart'?".to_owned(),
            Self::NotPaused => "Printer does not have an active print job or is not paused".to_owned(),
            Self::NotActive(command) => {
                format!("Printer is neither printing nor paused, '{command}' command cannot be performed")
            }
            Self::UnknownAction => "Unknown action".to_owned(),
        }
    }
}

impl Machine {
    /// Carries out a job command. `Ok(false)` is a 204 without an effect.
    ///
    /// # Errors
    /// A refusal, as in the table.
    pub fn command(&mut self, command: JobCommand, now: Instant) -> Result<bool, Refusal> {
        self.advance(now);
        if !self.state.is_operational() {
            return Err(Refusal::NotOperational);
        }
        let busy = self.state.is_busy();
        match command {
            JobCommand::Start if busy => Err(Refusal::AlreadyActive),
            JobCommand::Start => Ok(self.start(now)),
            JobCommand::Restart if self.state != State::Paused => Err(Refusal::NotPaused),
            JobCommand::Restart => Ok(self.flavor == Flavor::V1_11 && self.start(now)),
            JobCommand::Cancel if !busy => Err(Refusal::NotActive("cancel")),
            JobCommand::Cancel => Ok(self.cancel(now)),
            JobCommand::Pause(_) if !busy => Err(Refusal::NotActive("pause")),
            JobCommand::Pause(action) => match action {
                PauseAction::Unknown => Err(Refusal::UnknownAction),
                PauseAction::Pause => Ok(self.pause(now)),
                PauseAction::Resume => Ok(self.resume(now)),
                // 2.0.0rc7 treats a paused print as a printing one, and pauses it again.
                PauseAction::Toggle if self.state == State::Paused => {
                    Ok(self.flavor == Flavor::V1_11 && self.resume(now))
                }
                PauseAction::Toggle => Ok(self.pause(now)),
            },
        }
    }

    /// Starts from `Operational`. From `Paused`, starts the file from its beginning.
    pub(super) fn start(&mut self, now: Instant) -> bool {
        if self.selected.is_none() {
            return false;
        }
        self.job = Some(Job { sent: 0, line_done: now, began: now, held: std::time::Duration::ZERO, held_since: None });
        self.last = None;
        self.head = crate::simulator::gcode::Head::default();
        self.enter(State::Starting);
        self.tell_of_file("PrintStarted", self.people());
        let script = self.script_time("beforePrintStarted", now);
        self.until = Some(now + STEP + script);
        true
    }

    pub(super) fn pause(&mut self, now: Instant) -> bool {
        match self.state {
            State::Starting => {
                // The start continues while `Pausing` is reported, and will win.
                self.pause_lost = true;
                self.enter(State::Pausing);
                true
            }
            State::Printing | State::Resuming => {
                let ready = self.queue_empty(now);
                self.enter(State::Pausing);
                self.until = ready.map(|ready| {
                    let at = ready + self.pause_answer;
                    at + self.script_time("afterPrintPaused", at)
                });
                true
            }
            _ => false,
        }
    }

    pub(super) fn resume(&mut self, now: Instant) -> bool {
        if self.state != State::Paused {
            return false;
        }
        if let Some(job) = &mut self.job
            && let Some(since) = job.held_since.take()
        {
            job.held += now.saturating_duration_since(since);
        }
        self.enter(State::Resuming);
        self.tell_of_file("PrintResumed", self.people());
        let script = self.script_time("beforePrintResumed", now);
        self.until = Some(now + STEP + script);
        true
    }

    pub(super) fn cancel(&mut self, now: Instant) -> bool {
        if self.state == State::Cancelling || !self.state.is_busy() {
            return false;
        }
        if self.state == State::Transferring {
            // Measured: there is no print event, and the partial file is removed.
            self.until = Some(now + STEP);
            return true;
        }
        let ready = self.queue_empty(now);
        if let (State::Pausing, false, false, Some(at)) = (self.state, self.pause_lost, self.pause_told, self.until) {
            // Measured: the position that the pause requested still arrives, and causes the event. It arrives before
            // the script that would have followed.
            let at = ready.map_or(at, |ready| at.min(ready + self.pause_answer));
            let paused = self.paused_event();
            self.late.push((at, paused));
        }
        self.cancelled_in_start = self.state == State::Starting;
        self.pause_lost = false;
        self.pause_told = false;
        self.tell_of_file("PrintCancelling", json!({"owner": "admin", "user": "admin"}));
        self.enter(State::Cancelling);
        self.tell_cancelled(now);
        // `afterPrintCancelled` is sent when the printer is `Operational` again.
        self.until = ready.map(|ready| ready + STEP);
        true
    }

    /// Sends `PrintCancelled`, and `PrintFailed` too, as OctoPrint does.
    pub(super) fn tell_cancelled(&mut self, now: Instant) {
        let position = json!({"x": null, "y": null, "z": null, "e": null, "t": null, "f": null});
        let sent = self.job.as_ref().map_or(0, |job| job.sent);
        let time = self.print_time(now);
        let payload = json!({
            "position": position, "fileposition": sent, "time": time, "reason": "cancelled", "owner": "admin",
        });
        let mut cancelled = payload.clone();
        if let Some(cancelled) = cancelled.as_object_mut() {
            cancelled.remove("reason");
            cancelled.insert("user".to_owned(), "admin".into());
        }
        self.tell_of_file("PrintCancelled", cancelled);
        self.tell_of_file("PrintFailed", payload);
        self.last = None;
        self.note_failure();
    }

    /// Counts a failed print of the selected file.
    pub(super) fn note_failure(&mut self) {
        if let Some(path) = self.selected.as_ref().map(|file| file.path.clone()) {
            self.ended.push(Ended { path, success: false, print_time: 0.0 });
        }
    }

    /// Returns when the line in flight, or the script that is being sent, is done. `None`: never, because the firmware
    /// hangs.
    fn queue_empty(&self, now: Instant) -> Option<Instant> {
        if self.awol {
            return None;
        }
        let line_done = self.job.as_ref().map_or(now, |job| job.line_done);
        let ready = match self.state {
            State::Starting | State::Resuming | State::Finishing => self.until.unwrap_or(now),
            State::Pausing if self.pause_lost => self.until.unwrap_or(now),
            State::Printing | State::Pausing => line_done,
            _ => now,
        };
        Some(ready.max(now))
    }
}
