//! Changes that do not come through `POST /api/job`: selection, connection, firmware, and acts of people at the
//! machine.

use std::time::Instant;

use serde_json::{Value, json};

use super::{CONNECT_STEP, Event, Machine, Selected, State};
use crate::simulator::{
    config::{Act, Flavor},
    gcode::{self, Op},
};

/// OctoPrint's error for a selection that is not possible, even if the printer is only offline.
pub const CANNOT_SELECT: &str = "Printer is already printing, cannot select a new file";

/// Text of the firmware for a thermal runaway, as recorded.
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
    /// Selects a file. Returns `false` if OctoPrint responds with [`CANNOT_SELECT`].
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
            // Measured: 2.x sends it twice.
            self.tell("FileSelected", payload.clone());
        }
        self.tell("FileSelected", payload);
        true
    }

    /// Unselects the file. Returns `false` while it prints, or if no file is selected.
    pub fn unselect(&mut self) -> bool {
        if self.state.is_busy() || self.selected.take().is_none() {
            return false;
        }
        self.last = None;
        self.tell("FileDeselected", Value::Null);
        true
    }

    /// Connects. Does nothing if there is a connection, even during a print.
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

    /// Disconnects. This ends a job and unselects the file.
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

    /// Halts the firmware: OctoPrint closes the connection.
    pub fn fail(&mut self, error: &str, now: Instant) {
        if !self.state.is_operational() {
            return;
        }
        let failed = self.failed_event(error, now);
        // Measured: 1.11 sends it first or last, 2.0.0rc7 always last.
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

    /// Runs `M112`, which sends no `Error` event.
    pub(super) fn emergency_stop(&mut self, now: Instant) {
        self.lose(EMERGENCY, now);
    }

    /// Ends a serial connection that breaks, or that OctoPrint closes.
    fn lose(&mut self, error: &str, now: Instant) {
        let failed = self.failed_event(error, now);
        self.tell_deselected();
        self.tell("Disconnected", Value::Null);
        self.drop_everything(State::OfflineAfterError);
        self.events.extend(failed);
        self.set_trouble(error, "connection", "disconnect");
    }

    /// Only 2.0 sends an event for the file that is unselected with the connection.
    fn tell_deselected(&mut self) {
        if self.flavor == Flavor::V2_0 && self.selected.is_some() {
            self.tell("FileDeselected", Value::Null);
        }
    }

    /// Returns `PrintFailed` for the job that ends with the connection, and counts the failure.
    fn failed_event(&mut self, error: &str, now: Instant) -> Option<Event> {
        self.job.as_ref()?;
        if matches!(self.state, State::Cancelling | State::Finishing) {
            return None;
        }
        let time = self.print_time(now);
        // Measured: 2.0.0rc7 has no text for it.
        let error = if self.flavor == Flavor::V1_11 || error.is_empty() { error } else { "unknown" };
        let payload = self.file_payload(json!({"time": time, "reason": "error", "error": error, "owner": "admin"}));
        self.note_failure();
        Some(Event { kind: "PrintFailed", payload })
    }

    fn set_trouble(&mut self, error: &str, reason: &'static str, consequence: &'static str) {
        // Measured on 2.x: the state reports the error, but no response contains its text.
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

    /// Restarts OctoPrint, which then connects by itself. No file is selected, the job is lost, and no event is sent.
    pub fn restart_server(&mut self, now: Instant) {
        let scripts = std::mem::take(&mut self.scripts);
        *self = Self { scripts, ..Self::new(now, self.flavor, self.scale, self.pause_answer) };
    }

    /// Pauses the job from the printer: `M600` (its event is sent at once), `M25`, `M0`, `M226`.
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

    /// Restarts the board: OctoPrint cancels the job and does not wait for a line in flight.
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

    /// Performs an act at the machine.
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

    /// Runs one line of `POST /api/printer/command`. Returns `false` while the printer is not connected.
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
                // Also `M109`: a job waits only for its own line in flight, so a line from outside only heats.
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
