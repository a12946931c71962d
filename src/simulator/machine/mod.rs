//! The printer behind a simulated OctoPrint, as a state machine without a clock.
//!
//! The caller passes the time. [`Machine::advance`] processes everything that was due until then, in order, each at its
//! due time. So the result does not depend on how late it is called, and no line of G-code needs a timer. Each request
//! advances the machine first. One sleeping task per *working* printer takes care of the events.
//!
//! * `commands.rs`: the measured table of `POST /api/job`
//! * `printer_side.rs`: connection, errors, G-code from outside, actions of people at the machine
//! * `gcode_runner.rs`: the lines of a file and of the scripts
//! * `initial_print.rs`: prints that began before the machine was created

mod commands;
mod gcode_runner;
mod heater;
mod initial_print;
mod printer_side;
mod progress;
mod state;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

#[cfg(test)]
use commands::Refusal;
pub use commands::{JobCommand, PauseAction};
use heater::HeaterModel;
pub use printer_side::{CANNOT_SELECT, ConnectionError};
pub use progress::Progress;
use serde::Serialize;
use serde_json::{Value, json};
pub use state::MachineState;

use super::{
    config::Flavor,
    files::{EndedPrint, SelectedFile},
    gcode::PrintHead,
};

/// Time from a command to the next state, if there is no script and no line in flight.
const TRANSITION_TIME: Duration = Duration::from_millis(5);
/// Duration of each of the two steps of connecting.
const CONNECT_STEP: Duration = Duration::from_millis(25);
/// Longest duration of a line. It keeps the sums of times from overflowing, whatever the G-code.
const LONGEST_LINE: Duration = Duration::from_secs(365 * 24 * 3600);
/// Time from the start of printing to the report of a pause that was lost in `Starting`.
const LOST_PAUSE_REPORT: Duration = Duration::from_millis(100);

/// An event for the event socket.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PushEvent {
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub payload: Value,
}

/// A print in progress.
#[derive(Debug, Clone)]
struct PrintJob {
    /// Position in the file after the line in flight.
    sent_bytes: usize,
    /// When the line in flight is acknowledged.
    line_done_at: Instant,
    started_at: Instant,
    /// Print time before `started_at`, if the print began before the machine was created.
    printed_before: Duration,
    /// Duration of the ended pauses.
    paused_for: Duration,
    paused_since: Option<Instant>,
}

/// A printer, and the state that its OctoPrint reports.
#[derive(Debug)]
pub struct Machine {
    flavor: Flavor,
    scale: f64,
    pause_reply_delay: Duration,
    state: MachineState,
    /// When a transient state ends. Also `None` for a state that never ends (hung firmware).
    state_ends_at: Option<Instant>,
    /// `Pausing` is reported, but the start continues: the pause was too early and is lost.
    pause_lost: bool,
    /// The job was cancelled in `Starting`. Measured: then `Printing` is reported for some 8 ms before `Operational`.
    cancelled_in_start: bool,
    /// `PrintPaused` was sent before `Paused` was reached (`M600`).
    pause_reported: bool,
    /// The firmware does not reply any more.
    firmware_hung: bool,
    selected: Option<SelectedFile>,
    job: Option<PrintJob>,
    /// Progress of the last print, which is still reported.
    last_progress: Option<Progress>,
    connection_error: ConnectionError,
    tool: HeaterModel,
    bed: HeaterModel,
    head: PrintHead,
    scripts: BTreeMap<String, String>,
    /// Delayed events. They are sent whatever happens meanwhile.
    delayed_events: Vec<(Instant, PushEvent)>,
    pending_events: Vec<PushEvent>,
    ended_prints: Vec<EndedPrint>,
}

impl Machine {
    /// Creates a connected, idle printer.
    pub fn new(now: Instant, flavor: Flavor, scale: f64, pause_reply_delay: Duration) -> Self {
        Self {
            flavor,
            scale: if scale.is_finite() && scale > 0.0 { scale } else { 1.0 },
            pause_reply_delay,
            state: MachineState::Operational,
            state_ends_at: None,
            pause_lost: false,
            cancelled_in_start: false,
            pause_reported: false,
            firmware_hung: false,
            selected: None,
            job: None,
            last_progress: None,
            connection_error: ConnectionError::default(),
            tool: HeaterModel::new(now),
            bed: HeaterModel::new(now),
            head: PrintHead::default(),
            scripts: BTreeMap::new(),
            delayed_events: Vec::new(),
            pending_events: Vec::new(),
            ended_prints: Vec::new(),
        }
    }

    /// Returns the state as of the last [`Machine::advance`].
    pub fn state(&self) -> MachineState {
        self.state
    }

    /// Returns the selected file, which prints or would print.
    pub fn selected(&self) -> Option<&SelectedFile> {
        self.selected.as_ref()
    }

    /// Returns why the connection was closed.
    pub fn connection_error(&self) -> &ConnectionError {
        &self.connection_error
    }

    /// Returns the G-code scripts by their OctoPrint names.
    pub fn scripts(&self) -> &BTreeMap<String, String> {
        &self.scripts
    }

    /// Sets a script (`beforePrintStarted` …). An empty text removes it.
    pub fn set_script(&mut self, name: &str, gcode: &str) {
        if gcode.trim().is_empty() {
            self.scripts.remove(name);
        } else {
            self.scripts.insert(name.to_owned(), gcode.to_owned());
        }
    }

    /// Returns (actual, target) of `tool0` and of `bed`.
    pub fn temperatures(&self, now: Instant) -> [(f64, f64); 2] {
        [&self.tool, &self.bed].map(|heater| (heater.actual(now, self.scale), heater.target()))
    }

    /// Returns the same at a moment in the past. `None` if it is not stored any more.
    pub fn past_temperatures(&self, at: Instant) -> Option<[(f64, f64); 2]> {
        Some([self.tool.reading_at(at, self.scale)?, self.bed.reading_at(at, self.scale)?])
    }

    /// Returns the events since the last call.
    pub fn take_events(&mut self) -> Vec<PushEvent> {
        std::mem::take(&mut self.pending_events)
    }

    /// Returns the prints that ended since the last call.
    pub fn take_ended_prints(&mut self) -> Vec<EndedPrint> {
        std::mem::take(&mut self.ended_prints)
    }

    /// Returns when the next change without a command is due.
    pub fn next_due(&self) -> Option<Instant> {
        let line = match &self.job {
            Some(job) if self.state == MachineState::Printing && !self.firmware_hung => Some(job.line_done_at),
            _ => None,
        };
        let delayed_event = self.delayed_events.iter().map(|(at, _)| *at).min();
        [line, delayed_event, self.state_ends_at].into_iter().flatten().min()
    }

    /// Processes everything that was due until `now`.
    pub fn advance(&mut self, now: Instant) {
        while let Some(due) = self.next_due().filter(|due| *due <= now) {
            if let Some(index) = self.delayed_events.iter().position(|(at, _)| *at == due) {
                let (_, event) = self.delayed_events.remove(index);
                self.pending_events.push(event);
            } else if self.state_ends_at == Some(due) {
                self.state_ends_at = None;
                self.leave_transient_state(due);
            } else {
                self.run_next_line(due);
            }
        }
    }

    fn leave_transient_state(&mut self, at: Instant) {
        match self.state {
            MachineState::Opening => {
                self.enter_state(MachineState::Connecting);
                self.state_ends_at = Some(at + CONNECT_STEP);
            }
            MachineState::Connecting => {
                self.enter_state(MachineState::Operational);
                self.emit_event("Connected", json!({"port": "VIRTUAL", "baudrate": 115_200}));
            }
            MachineState::Pausing if !self.pause_lost => {
                if let Some(job) = &mut self.job {
                    job.paused_since = Some(at);
                }
                if !std::mem::take(&mut self.pause_reported) {
                    let paused = self.paused_event();
                    self.pending_events.push(paused);
                }
                self.enter_state(MachineState::Paused);
            }
            MachineState::Starting | MachineState::Pausing | MachineState::Resuming => {
                if let Some(job) = &mut self.job {
                    job.line_done_at = at;
                }
                self.enter_state(MachineState::Printing);
                if std::mem::take(&mut self.pause_lost) {
                    let paused = self.paused_event();
                    self.delayed_events.push((at + LOST_PAUSE_REPORT, paused));
                }
            }
            MachineState::Cancelling | MachineState::Finishing => {
                self.job = None;
                if std::mem::take(&mut self.cancelled_in_start) {
                    self.enter_state(MachineState::Printing);
                }
                self.enter_state(MachineState::Operational);
            }
            MachineState::Transferring => {
                self.selected = None;
                self.emit_event("TransferFailed", Value::Null);
                self.enter_state(MachineState::Operational);
            }
            MachineState::Offline
            | MachineState::OfflineAfterError
            | MachineState::Operational
            | MachineState::Printing
            | MachineState::Paused => {}
        }
    }

    fn enter_state(&mut self, state: MachineState) {
        self.state = state;
        let (id, text) = match (self.flavor, state) {
            (Flavor::V2_0, MachineState::OfflineAfterError) => ("CLOSED_WITH_ERROR", state.text()),
            // Measured: only a reading shows that there was an error.
            (Flavor::V1_11, MachineState::OfflineAfterError) => (state.id(), MachineState::Offline.text()),
            _ => (state.id(), state.text()),
        };
        self.emit_event("PrinterStateChanged", json!({"state_id": id, "state_string": text}));
    }

    fn emit_event(&mut self, kind: &'static str, payload: Value) {
        self.pending_events.push(PushEvent { kind, payload });
    }

    /// Sends an event about the selected file. `extra_fields` adds fields.
    fn emit_file_event(&mut self, kind: &'static str, extra_fields: Value) {
        let payload = self.file_payload(extra_fields);
        self.emit_event(kind, payload);
    }

    fn file_payload(&self, extra_fields: Value) -> Value {
        let mut payload = match &self.selected {
            Some(file) => json!({
                "name": file.name, "path": file.path, "origin": "local", "size": file.blob.bytes().len(),
            }),
            None => json!({}),
        };
        if let (Some(payload), Value::Object(extra_fields)) = (payload.as_object_mut(), extra_fields) {
            payload.extend(extra_fields);
        }
        payload
    }

    /// `owner` and `user`, which 2.x leaves out of `PrintStarted`.
    fn user_fields(&self) -> Value {
        match self.flavor {
            Flavor::V1_11 => json!({"owner": "admin", "user": "admin"}),
            Flavor::V2_0 => json!({}),
        }
    }

    fn paused_event(&self) -> PushEvent {
        let position = json!({"x": 0.0, "y": 0.0, "z": 0.0, "e": 0.0, "t": 0, "f": null});
        let sent = self.job.as_ref().map_or(0, |job| job.sent_bytes);
        let payload = self.file_payload(json!({"position": position, "fileposition": sent}));
        PushEvent { kind: "PrintPaused", payload }
    }

    fn scale_time(&self, time: Duration) -> Duration {
        Duration::try_from_secs_f64(time.as_secs_f64() / self.scale).unwrap_or(LONGEST_LINE).min(LONGEST_LINE)
    }
}
