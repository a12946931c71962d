//! `POST /api/job`: every cell of the measured table of states and commands, including quirks.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{EndedPrint, Machine, MachineState, PrintJob, TRANSITION_TIME};
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
    pub fn run_command(&mut self, command: JobCommand, now: Instant) -> Result<bool, Refusal> {
        self.advance(now);
        if !self.state.is_operational() {
            return Err(Refusal::NotOperational);
        }
        let busy = self.state.is_busy();
        match command {
            JobCommand::Start if busy => Err(Refusal::AlreadyActive),
            JobCommand::Start => Ok(self.start(now)),
            JobCommand::Restart if self.state != MachineState::Paused => Err(Refusal::NotPaused),
            JobCommand::Restart => Ok(self.flavor == Flavor::V1_11 && self.start(now)),
            JobCommand::Cancel if !busy => Err(Refusal::NotActive("cancel")),
            JobCommand::Cancel => Ok(self.cancel(now)),
            JobCommand::Pause(_) if !busy => Err(Refusal::NotActive("pause")),
            JobCommand::Pause(action) => match action {
                PauseAction::Unknown => Err(Refusal::UnknownAction),
                PauseAction::Pause => Ok(self.pause(now)),
                PauseAction::Resume => Ok(self.resume(now)),
                // 2.0.0rc7 treats a paused print as a printing one, and pauses it again.
                PauseAction::Toggle if self.state == MachineState::Paused => {
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
        self.job = Some(PrintJob {
            sent_bytes: 0,
            line_done_at: now,
            started_at: now,
            printed_before: Duration::ZERO,
            paused_for: Duration::ZERO,
            paused_since: None,
        });
        self.last_progress = None;
        self.head = crate::simulator::gcode::PrintHead::default();
        self.enter_state(MachineState::Starting);
        self.emit_file_event("PrintStarted", self.user_fields());
        let script = self.run_script("beforePrintStarted", now);
        self.state_ends_at = Some(now + TRANSITION_TIME + script);
        true
    }

    pub(super) fn pause(&mut self, now: Instant) -> bool {
        match self.state {
            MachineState::Starting => {
                // The start continues while `Pausing` is reported, and will win.
                self.pause_lost = true;
                self.enter_state(MachineState::Pausing);
                true
            }
            MachineState::Printing | MachineState::Resuming => {
                let ready = self.queue_empty_at(now);
                self.enter_state(MachineState::Pausing);
                self.state_ends_at = ready.map(|ready| {
                    let at = ready + self.pause_reply_delay;
                    at + self.run_script("afterPrintPaused", at)
                });
                true
            }
            _ => false,
        }
    }

    pub(super) fn resume(&mut self, now: Instant) -> bool {
        if self.state != MachineState::Paused {
            return false;
        }
        if let Some(job) = &mut self.job
            && let Some(since) = job.paused_since.take()
        {
            job.paused_for += now.saturating_duration_since(since);
        }
        self.enter_state(MachineState::Resuming);
        self.emit_file_event("PrintResumed", self.user_fields());
        let script = self.run_script("beforePrintResumed", now);
        self.state_ends_at = Some(now + TRANSITION_TIME + script);
        true
    }

    pub(super) fn cancel(&mut self, now: Instant) -> bool {
        if self.state == MachineState::Cancelling || !self.state.is_busy() {
            return false;
        }
        if self.state == MachineState::Transferring {
            // Measured: there is no print event, and the partial file is removed.
            self.state_ends_at = Some(now + TRANSITION_TIME);
            return true;
        }
        let ready = self.queue_empty_at(now);
        if let (MachineState::Pausing, false, false, Some(at)) =
            (self.state, self.pause_lost, self.pause_reported, self.state_ends_at)
        {
            // Measured: the position that the pause requested still arrives, and causes the event. It arrives before
            // the script that would have followed.
            let at = ready.map_or(at, |ready| at.min(ready + self.pause_reply_delay));
            let paused = self.paused_event();
            self.delayed_events.push((at, paused));
        }
        self.cancelled_in_start = self.state == MachineState::Starting;
        self.pause_lost = false;
        self.pause_reported = false;
        self.emit_file_event("PrintCancelling", json!({"owner": "admin", "user": "admin"}));
        self.enter_state(MachineState::Cancelling);
        self.emit_cancelled(now);
        // `afterPrintCancelled` is sent when the printer is `Operational` again.
        self.state_ends_at = ready.map(|ready| ready + TRANSITION_TIME);
        true
    }

    /// Sends `PrintCancelled`, and `PrintFailed` too, as OctoPrint does.
    pub(super) fn emit_cancelled(&mut self, now: Instant) {
        let position = json!({"x": null, "y": null, "z": null, "e": null, "t": null, "f": null});
        let sent = self.job.as_ref().map_or(0, |job| job.sent_bytes);
        let time = self.print_time(now);
        let payload = json!({
            "position": position, "fileposition": sent, "time": time, "reason": "cancelled", "owner": "admin",
        });
        let mut cancelled = payload.clone();
        if let Some(cancelled) = cancelled.as_object_mut() {
            cancelled.remove("reason");
            cancelled.insert("user".to_owned(), "admin".into());
        }
        self.emit_file_event("PrintCancelled", cancelled);
        self.emit_file_event("PrintFailed", payload);
        self.last_progress = None;
        self.count_failure();
    }

    /// Counts a failed print of the selected file.
    pub(super) fn count_failure(&mut self) {
        if let Some(path) = self.selected.as_ref().map(|file| file.path.clone()) {
            self.ended_prints.push(EndedPrint { path, success: false, print_time: 0.0 });
        }
    }

    /// Returns when the line in flight, or the script that is being sent, is done. `None`: never, because the firmware
    /// hangs.
    fn queue_empty_at(&self, now: Instant) -> Option<Instant> {
        if self.firmware_hung {
            return None;
        }
        let line_done = self.job.as_ref().map_or(now, |job| job.line_done_at);
        let ready = match self.state {
            MachineState::Starting | MachineState::Resuming | MachineState::Finishing => {
                self.state_ends_at.unwrap_or(now)
            }
            MachineState::Pausing if self.pause_lost => self.state_ends_at.unwrap_or(now),
            MachineState::Printing | MachineState::Pausing => line_done,
            _ => now,
        };
        Some(ready.max(now))
    }
}
