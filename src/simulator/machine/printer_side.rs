//! What does not come through `POST /api/job`: selecting, the connection, the firmware and people at the machine.

use std::time::Instant;

use serde_json::{Value, json};

use super::{CONNECT_STEP, Event, Machine, Selected, State};
use crate::simulator::{
    config::{Act, Flavor},
    gcode::{self, Op},
};

/// OctoPrint's answer to a selection that it cannot make, also when the printer is merely offline.
pub const CANNOT_SELECT: &str = "Printer is already printing, cannot select a new file";

/// What the firmware says of a thermal runaway, as recorded.
const THERMAL_RUNAWAY: &str = "Thermal Runaway, system stopped! Heater_ID: bed - Printer halted. kill() called!";
const EMERGENCY: &str = "Closing serial port due to emergency stop M112.";

/// `GET /api/printer/error`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trouble {
    pub error: String,
    pub reason: &'static str,
    pub consequence: &'static str,
}

impl Machine {
    /// Selects a file. False where OctoPrint says [`CANNOT_SELECT`].
    pub fn select(&mut self, file: Selected) -> bool {
        if self.state != State::Operational {
            return false;
        }
        let payload = json!({
            "name": file.name, "path": file.path, "origin": "local", "size": null, "owner": "admin", "user": "admin",
        });
        self.selected = Some(file);
        self.last = None;
        if self.flavor == Flavor::V2_0 {
            // Measured: 2.x says it twice.
            self.tell("FileSelected", payload.clone());
        }
        self.tell("FileSelected", payload);
        true
    }

    /// Lets go of the selected file. False while it prints, or where none is selected.
    pub fn unselect(&mut self) -> bool {
        if self.state.is_busy() || self.selected.take().is_none() {
            return false;
        }
        self.last = None;
        self.tell("FileDeselected", Value::Null);
        true
    }

    /// Connects; nothing happens where a connection is there, also in print.
    pub fn connect(&mut self, now: Instant) -> bool {
        if !matches!(self.state, State::Offline | State::OfflineAfterError) {
            return false;
        }
        self.trouble = Trouble::default();
        self.tell("Connecting", Value::Null);
        self.enter(State::Opening);
        self.until = Some(now + CONNECT_STEP);
        true
    }

    /// Disconnects, which kills a job and lets go of the file.
    pub fn disconnect(&mut self, now: Instant) -> bool {
        if matches!(self.state, State::Offline | State::OfflineAfterError) {
            return false;
        }
        let failed = self.failed_event("", now);
        self.tell("Disconnecting", Value::Null);
        self.tell("Disconnected", Value::Null);
        self.drop_everything(State::Offline);
        self.events.extend(failed);
        true
    }

    /// The firmware halts: OctoPrint closes the connection.
    pub fn fail(&mut self, error: &str, now: Instant) {
        if !self.state.is_operational() {
            return;
        }
        let failed = self.failed_event(error, now);
        // Measured: 1.11 tells it first or last, 2.0.0rc7 always last.
        let (first, last) = if self.flavor == Flavor::V1_11 { (failed, None) } else { (None, failed) };
        self.events.extend(first);
        let text = if self.flavor == Flavor::V1_11 { format!("Error: {error}") } else { "Error".to_owned() };
        self.tell("PrinterStateChanged", json!({"state_id": "ERROR", "state_string": text}));
        self.tell("Error", json!({"error": error, "reason": "firmware", "consequence": "emergency"}));
        self.tell_deselected();
        self.tell("Disconnected", Value::Null);
        self.drop_everything(State::OfflineAfterError);
        self.events.extend(last);
        self.set_trouble(error, "firmware", "emergency");
    }

    /// `M112`, which is told without the event `Error`.
    pub(super) fn emergency_stop(&mut self, now: Instant) {
        self.lose(EMERGENCY, now);
    }

    /// The serial line breaks, or OctoPrint closes it.
    fn lose(&mut self, error: &str, now: Instant) {
        let failed = self.failed_event(error, now);
        self.tell_deselected();
        self.tell("Disconnected", Value::Null);
        self.drop_everything(State::OfflineAfterError);
        self.events.extend(failed);
        self.set_trouble(error, "connection", "disconnect");
    }

    /// 2.0 tells that the file goes with the connection.
    fn tell_deselected(&mut self) {
        if self.flavor == Flavor::V2_0 && self.selected.is_some() {
            self.tell("FileDeselected", Value::Null);
        }
    }

    /// A job ends with the connection: its `PrintFailed`, which counts.
    fn failed_event(&mut self, error: &str, now: Instant) -> Option<Event> {
        self.job.as_ref()?;
        if matches!(self.state, State::Cancelling | State::Finishing) {
            return None;
        }
        let time = self.print_time(now);
        // Measured: 2.0.0rc7 has no words for it.
        let error = if self.flavor == Flavor::V1_11 || error.is_empty() { error } else { "unknown" };
        let payload = self.file_payload(json!({"time": time, "reason": "error", "error": error, "owner": "admin"}));
        self.note_failure();
        Some(Event { kind: "PrintFailed", payload })
    }

    fn set_trouble(&mut self, error: &str, reason: &'static str, consequence: &'static str) {
        // Measured on 2.x: the state tells of the error, its text is nowhere.
        if self.flavor == Flavor::V1_11 {
            self.trouble = Trouble { error: error.to_owned(), reason, consequence };
        }
    }

    fn drop_everything(&mut self, state: State) {
        self.job = None;
        self.last = None;
        self.selected = None;
        self.until = None;
        self.late.clear();
        self.pause_lost = false;
        self.cancelled_in_start = false;
        self.pause_told = false;
        self.awol = false;
        self.enter(state);
    }

    /// OctoPrint starts anew and connects by itself: nothing is selected, the job is lost, and nobody was told.
    pub fn restart_server(&mut self, now: Instant) {
        let scripts = std::mem::take(&mut self.scripts);
        *self = Self { scripts, ..Self::new(now, self.flavor, self.scale, self.pause_answer) };
    }

    /// The printer pauses the job: `M600` (told at once), `M25`, `M0`, `//action:pause`.
    pub(super) fn paused_by_printer(&mut self, filament: bool, now: Instant) {
        if filament {
            self.tell("FilamentChange", Value::Null);
        }
        if self.state != State::Printing || !self.pause(now) {
            return;
        }
        if filament {
            let told = self.file_payload(json!({"fileposition": self.job.as_ref().map_or(0, |job| job.sent)}));
            self.tell("PrintPaused", told);
            self.pause_told = true;
        }
    }

    /// The board restarts: OctoPrint cancels the job, which cannot wait for a line in flight.
    fn reset(&mut self, now: Instant) {
        self.awol = false;
        if self.state.is_busy() && self.state != State::Cancelling {
            self.cancel(now);
            let failed = self.events.iter().rposition(|event| event.kind == "PrintFailed");
            let at = failed.unwrap_or(self.events.len());
            self.events.insert(at, Event { kind: "PrinterReset", payload: Value::Null });
            self.until = Some(now + super::STEP);
        } else if self.state.is_operational() {
            self.tell("PrinterReset", Value::Null);
            if self.state == State::Cancelling {
                self.until = Some(now + super::STEP);
            }
        }
    }

    /// What somebody does at the machine.
    pub fn act(&mut self, act: &Act, now: Instant) {
        self.advance(now);
        match act {
            Act::Pause => {
                self.pause(now);
            }
            Act::Resume => {
                self.resume(now);
            }
            Act::Cancel => {
                self.cancel(now);
            }
            Act::StartSelected => {
                if self.state == State::Operational {
                    self.start(now);
                }
            }
            Act::SendToSd => {
                if self.state == State::Operational && self.selected.is_some() {
                    self.tell_of_file("TransferStarted", json!({}));
                    self.enter(State::Transferring);
                }
            }
            Act::Disconnect => {
                self.disconnect(now);
            }
            Act::Connect => {
                self.connect(now);
            }
            Act::Reset => self.reset(now),
            Act::FirmwareError(error) => self.fail(error, now),
            Act::M600 => self.paused_by_printer(true, now),
            Act::GoAwol => self.awol = self.state.is_operational(),
            Act::RestartServer => self.restart_server(now),
        }
    }

    /// One line of `POST /api/printer/command`. False while the printer is not connected.
    pub fn gcode(&mut self, line: &str, now: Instant) -> bool {
        self.advance(now);
        if !self.state.is_operational() {
            return false;
        }
        if let Some(command) = line.strip_prefix("!!DEBUG:") {
            self.debug(command.trim(), now);
            return true;
        }
        match gcode::parse(line.as_bytes()) {
            Op::Pause => self.paused_by_printer(false, now),
            Op::ChangeFilament => self.paused_by_printer(true, now),
            Op::EmergencyStop => self.emergency_stop(now),
            op @ Op::Heat { .. } => {
                // Also M109: what holds the job is its own line in flight, one from outside only heats.
                self.work(op, now);
            }
            _ => {}
        }
        true
    }

    fn debug(&mut self, command: &str, now: Instant) {
        match command {
            "trigger_fatal_error_marlin" => self.fail(THERMAL_RUNAWAY, now),
            "mintemp_error" => self.fail("MINTEMP triggered! - Not SD printing", now),
            "maxtemp_error" => self.fail("MAXTEMP triggered! - Not SD printing", now),
            "toggle_klipper_connection" => self.fail("Lost communication with MCU 'mcu'", now),
            "drop_connection" => self.lose("SerialTimeoutException: ", now),
            "action_pause" => self.act(&Act::Pause, now),
            "action_resume" => self.act(&Act::Resume, now),
            "action_custom cancel" => self.act(&Act::Cancel, now),
            "action_disconnect" => self.act(&Act::Disconnect, now),
            "reset" => self.act(&Act::Reset, now),
            "go_awol" => self.act(&Act::GoAwol, now),
            _ => {
                if let Some(error) = command.strip_prefix("send Error:") {
                    self.fail(error, now);
                }
            }
        }
    }
}
