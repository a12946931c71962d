//! Changes that do not come through `POST /api/job`: selection, connection, firmware, and actions of people at the
//! machine.

use std::time::Instant;

use serde_json::{Value, json};

use super::{CONNECT_STEP, Machine, MachineState, PushEvent, SelectedFile};
use crate::simulator::{
    config::{Flavor, MachineAction},
    gcode::{self, GcodeOperation},
};

/// OctoPrint's error for a selection that is not possible, even if the printer is only offline.
pub const CANNOT_SELECT: &str = "Printer is already printing, cannot select a new file";

/// Text of the firmware for a thermal runaway, as recorded.
const THERMAL_RUNAWAY: &str = "Thermal Runaway, system stopped! Heater_ID: bed - Printer halted. kill() called!";
const EMERGENCY_STOP_TEXT: &str = "Closing serial port due to emergency stop M112.";

/// `GET /api/printer/error`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConnectionError {
    pub error: String,
    pub reason: &'static str,
    pub consequence: &'static str,
}

impl Machine {
    /// Selects a file. Returns `false` if OctoPrint responds with [`CANNOT_SELECT`].
    pub fn select(&mut self, file: SelectedFile) -> bool {
        if self.state != MachineState::Operational {
            return false;
        }
        let payload = json!({
            "name": file.name, "path": file.path, "origin": "local", "size": null, "owner": "admin", "user": "admin",
        });
        self.selected = Some(file);
        self.last_progress = None;
        if self.flavor == Flavor::V2_0 {
            // Measured: 2.x sends it twice.
            self.emit_event("FileSelected", payload.clone());
        }
        self.emit_event("FileSelected", payload);
        true
    }

    /// Unselects the file. Returns `false` while it prints, or if no file is selected.
    pub fn unselect(&mut self) -> bool {
        if self.state.is_busy() || self.selected.take().is_none() {
            return false;
        }
        self.last_progress = None;
        self.emit_event("FileDeselected", Value::Null);
        true
    }

    /// Connects. Does nothing if there is a connection, even during a print.
    pub fn connect(&mut self, now: Instant) -> bool {
        if !matches!(self.state, MachineState::Offline | MachineState::OfflineAfterError) {
            return false;
        }
        self.connection_error = ConnectionError::default();
        self.emit_event("Connecting", Value::Null);
        self.enter_state(MachineState::Opening);
        self.state_ends_at = Some(now + CONNECT_STEP);
        true
    }

    /// Disconnects. This ends a job and unselects the file.
    pub fn disconnect(&mut self, now: Instant) -> bool {
        if matches!(self.state, MachineState::Offline | MachineState::OfflineAfterError) {
            return false;
        }
        let failed = self.failed_event("", now);
        self.emit_event("Disconnecting", Value::Null);
        self.emit_event("Disconnected", Value::Null);
        self.reset_to_state(MachineState::Offline);
        self.pending_events.extend(failed);
        true
    }

    /// Halts the firmware: OctoPrint closes the connection.
    pub fn halt_firmware(&mut self, error: &str, now: Instant) {
        if !self.state.is_operational() {
            return;
        }
        let failed = self.failed_event(error, now);
        // Measured: 1.11 sends it first or last, 2.0.0rc7 always last.
        let (first, last) = if self.flavor == Flavor::V1_11 { (failed, None) } else { (None, failed) };
        self.pending_events.extend(first);
        let text = if self.flavor == Flavor::V1_11 { format!("Error: {error}") } else { "Error".to_owned() };
        self.emit_event("PrinterStateChanged", json!({"state_id": "ERROR", "state_string": text}));
        self.emit_event("Error", json!({"error": error, "reason": "firmware", "consequence": "emergency"}));
        self.emit_deselected();
        self.emit_event("Disconnected", Value::Null);
        self.reset_to_state(MachineState::OfflineAfterError);
        self.pending_events.extend(last);
        self.set_connection_error(error, "firmware", "emergency");
    }

    /// Runs `M112`: OctoPrint turns the heaters off and closes the connection. It sends no `Error` event.
    pub(super) fn emergency_stop(&mut self, now: Instant) {
        // Measured: 1.11 sends `PrintFailed` only from `Printing`, 2.0.0rc7 in every state of a job.
        let fails = self.flavor == Flavor::V2_0 || self.state == MachineState::Printing;
        let failed = if fails { self.job_failed_event(EMERGENCY_STOP_TEXT, now) } else { None };
        for heater in [&mut self.tool, &mut self.bed] {
            heater.set_target(0.0, now, self.scale);
        }
        if self.selected.is_some() {
            self.emit_event("FileDeselected", Value::Null);
        }
        self.emit_event("Disconnected", Value::Null);
        self.reset_to_state(MachineState::OfflineAfterError);
        self.emit_event("EStop", Value::Null);
        self.pending_events.extend(failed);
        // Measured: `GET /api/printer/error` is empty, in contrast to `GET /api/job`.
        self.set_connection_error(EMERGENCY_STOP_TEXT, "", "");
    }

    /// Ends a serial connection that breaks, or that OctoPrint closes.
    fn lose_connection(&mut self, error: &str, now: Instant) {
        let failed = self.failed_event(error, now);
        self.emit_deselected();
        self.emit_event("Disconnected", Value::Null);
        self.reset_to_state(MachineState::OfflineAfterError);
        self.pending_events.extend(failed);
        self.set_connection_error(error, "connection", "disconnect");
    }

    /// Only 2.0 sends an event for the file that is unselected with the connection.
    fn emit_deselected(&mut self) {
        if self.flavor == Flavor::V2_0 && self.selected.is_some() {
            self.emit_event("FileDeselected", Value::Null);
        }
    }

    /// Returns `PrintFailed` for the job that ends with the connection, and counts the failure.
    fn failed_event(&mut self, error: &str, now: Instant) -> Option<PushEvent> {
        if matches!(self.state, MachineState::Cancelling | MachineState::Finishing) {
            return None;
        }
        self.job_failed_event(error, now)
    }

    /// Returns the same in any state of a job.
    fn job_failed_event(&mut self, error: &str, now: Instant) -> Option<PushEvent> {
        self.job.as_ref()?;
        let time = self.print_time(now);
        // Measured: 2.0.0rc7 has no text for it.
        let error = if self.flavor == Flavor::V1_11 || error.is_empty() { error } else { "unknown" };
        let payload = self.file_payload(json!({"time": time, "reason": "error", "error": error, "owner": "admin"}));
        self.count_failure();
        Some(PushEvent { kind: "PrintFailed", payload })
    }

    fn set_connection_error(&mut self, error: &str, reason: &'static str, consequence: &'static str) {
        // Measured on 2.x: the state reports the error, but no response contains its text.
        if self.flavor == Flavor::V1_11 {
            self.connection_error = ConnectionError { error: error.to_owned(), reason, consequence };
        }
    }

    fn reset_to_state(&mut self, state: MachineState) {
        self.job = None;
        self.last_progress = None;
        self.selected = None;
        self.state_ends_at = None;
        self.delayed_events.clear();
        self.pause_lost = false;
        self.cancelled_in_start = false;
        self.pause_reported = false;
        self.firmware_hung = false;
        self.enter_state(state);
    }

    /// Restarts OctoPrint, which then connects by itself. No file is selected, the job is lost, and no event is sent.
    pub fn restart_server(&mut self, now: Instant) {
        let scripts = std::mem::take(&mut self.scripts);
        *self = Self { scripts, ..Self::new(now, self.flavor, self.scale, self.pause_reply_delay) };
    }

    /// Pauses the job from the printer: `M600` (its event is sent at once), `M25`, `M0`, `M226`.
    pub(super) fn pause_from_printer(&mut self, filament: bool, now: Instant) {
        if filament {
            self.emit_event("FilamentChange", Value::Null);
        }
        if self.state != MachineState::Printing || !self.pause(now) {
            return;
        }
        if filament {
            let payload = self.file_payload(json!({"fileposition": self.job.as_ref().map_or(0, |job| job.sent_bytes)}));
            self.emit_event("PrintPaused", payload);
            self.pause_reported = true;
        }
    }

    /// Restarts the board: OctoPrint cancels the job and does not wait for a line in flight.
    fn reset_board(&mut self, now: Instant) {
        self.firmware_hung = false;
        if self.state.is_busy() && self.state != MachineState::Cancelling {
            self.cancel(now);
            let failed = self.pending_events.iter().rposition(|event| event.kind == "PrintFailed");
            let at = failed.unwrap_or(self.pending_events.len());
            self.pending_events.insert(at, PushEvent { kind: "PrinterReset", payload: Value::Null });
            self.state_ends_at = Some(now + super::TRANSITION_TIME);
        } else if self.state.is_operational() {
            self.emit_event("PrinterReset", Value::Null);
            if self.state == MachineState::Cancelling {
                self.state_ends_at = Some(now + super::TRANSITION_TIME);
            }
        }
    }

    /// Performs an action at the machine.
    pub fn perform(&mut self, action: &MachineAction, now: Instant) {
        self.advance(now);
        match action {
            MachineAction::Pause => {
                self.pause(now);
            }
            MachineAction::Resume => {
                self.resume(now);
            }
            MachineAction::Cancel => {
                self.cancel(now);
            }
            MachineAction::StartSelected => {
                if self.state == MachineState::Operational {
                    self.start(now);
                }
            }
            MachineAction::FinishPrint => self.skip_to_end(now),
            MachineAction::SendToSd => {
                if self.state == MachineState::Operational && self.selected.is_some() {
                    self.emit_file_event("TransferStarted", json!({}));
                    self.enter_state(MachineState::Transferring);
                }
            }
            MachineAction::Disconnect => {
                self.disconnect(now);
            }
            MachineAction::Connect => {
                self.connect(now);
            }
            MachineAction::Reset => self.reset_board(now),
            MachineAction::FirmwareError(error) => self.halt_firmware(error, now),
            MachineAction::M600 => self.pause_from_printer(true, now),
            MachineAction::GoAwol => self.firmware_hung = self.state.is_operational(),
            MachineAction::RestartServer => self.restart_server(now),
        }
    }

    /// Runs one line of `POST /api/printer/command`. Returns `false` while the printer is not connected.
    pub fn run_gcode(&mut self, line: &str, now: Instant) -> bool {
        self.advance(now);
        if !self.state.is_operational() {
            return false;
        }
        if let Some(command) = line.strip_prefix("!!DEBUG:") {
            self.run_debug_command(command.trim(), now);
            return true;
        }
        match gcode::parse(line.as_bytes()) {
            GcodeOperation::Pause => self.pause_from_printer(false, now),
            GcodeOperation::ChangeFilament => self.pause_from_printer(true, now),
            GcodeOperation::EmergencyStop => self.emergency_stop(now),
            op @ GcodeOperation::Heat { .. } => {
                // Also `M109`: a job waits only for its own line in flight, so a line from outside only heats.
                self.run_line(op, now);
            }
            _ => {}
        }
        true
    }

    fn run_debug_command(&mut self, command: &str, now: Instant) {
        match command {
            "trigger_fatal_error_marlin" => self.halt_firmware(THERMAL_RUNAWAY, now),
            "mintemp_error" => self.halt_firmware("MINTEMP triggered! - Not SD printing", now),
            "maxtemp_error" => self.halt_firmware("MAXTEMP triggered! - Not SD printing", now),
            "toggle_klipper_connection" => self.halt_firmware("Lost communication with MCU 'mcu'", now),
            "drop_connection" => self.lose_connection("SerialTimeoutException: ", now),
            "action_pause" => self.perform(&MachineAction::Pause, now),
            "action_resume" => self.perform(&MachineAction::Resume, now),
            "action_custom cancel" => self.perform(&MachineAction::Cancel, now),
            "action_disconnect" => self.perform(&MachineAction::Disconnect, now),
            "reset" => self.perform(&MachineAction::Reset, now),
            "go_awol" => self.perform(&MachineAction::GoAwol, now),
            _ => {
                if let Some(error) = command.strip_prefix("send Error:") {
                    self.halt_firmware(error, now);
                }
            }
        }
    }
}
