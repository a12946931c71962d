//! The printer behind a simulated OctoPrint, as a state machine without a clock.
//!
//! The caller passes the time. [`Machine::advance`] processes everything that was due until then, in order, each at its
//! due time. So the result does not depend on how late it is called, and no line of G-code needs a timer. Each request
//! advances the machine first. One sleeping task per *working* printer takes care of the events.
//!
//! * `commands.rs`: the measured table of `POST /api/job`
//! * `printer_side.rs`: connection, errors, G-code from outside, acts of people at the machine
//! * `running.rs`: the lines of a file and of the scripts

mod commands;
mod heat;
mod printer_side;
mod progress;
mod running;
mod state;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

#[cfg(test)]
use commands::Refusal;
pub use commands::{JobCommand, PauseAction};
use heat::HeaterModel;
pub use printer_side::{CANNOT_SELECT, Trouble};
pub use progress::Progress;
use serde::Serialize;
use serde_json::{Value, json};
pub use state::State;

use super::{config::Flavor, files::Blob, gcode::Head};

/// Time from a command to the next state, if there is no script and no line in flight.
const STEP: Duration = Duration::from_millis(5);
/// Duration of each of the two steps of connecting.
const CONNECT_STEP: Duration = Duration::from_millis(25);
/// Longest duration of a line. It keeps the sums of times from overflowing, whatever the G-code.
const LONGEST_LINE: Duration = Duration::from_secs(365 * 24 * 3600);
/// Time from the start of printing to the report of a pause that was lost in `Starting`.
const LOST_PAUSE_REPORT: Duration = Duration::from_millis(100);

/// An event for the event socket.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Event {
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub payload: Value,
}

/// A print that has ended, for the counters of its file.
#[derive(Debug, Clone, PartialEq)]
pub struct Ended {
    pub path: String,
    pub success: bool,
    /// Print time of a success, in seconds.
    pub print_time: f64,
}

/// The selected file.
#[derive(Debug, Clone)]
pub struct Selected {
    pub name: String,
    pub path: String,
    /// Seconds since 1970.
    pub date: i64,
    pub blob: Arc<Blob>,
}

/// A print in progress.
#[derive(Debug, Clone)]
struct Job {
    /// Position in the file after the line in flight.
    sent: usize,
    /// When the line in flight is acknowledged.
    line_done: Instant,
    began: Instant,
    /// Duration of the ended pauses.
    held: Duration,
    held_since: Option<Instant>,
}

/// A printer, and the state that its OctoPrint reports.
#[derive(Debug)]
pub struct Machine {
    flavor: Flavor,
    scale: f64,
    pause_answer: Duration,
    state: State,
    /// When a transient state ends. Also `None` for a state that never ends (hung firmware).
    until: Option<Instant>,
    /// `Pausing` is reported, but the start continues: the pause was too early and is lost.
    pause_lost: bool,
    /// The job was cancelled in `Starting`. Measured: then `Printing` is reported for some 8 ms before `Operational`.
    cancelled_in_start: bool,
    /// `PrintPaused` was sent before `Paused` was reached (`M600`).
    pause_told: bool,
    /// The firmware does not reply any more.
    awol: bool,
    selected: Option<Selected>,
    job: Option<Job>,
    /// Progress of the last print, which is still reported.
    last: Option<Progress>,
    trouble: Trouble,
    tool: HeaterModel,
    bed: HeaterModel,
    head: Head,
    scripts: BTreeMap<String, String>,
    /// Delayed events. They are sent whatever happens meanwhile.
    late: Vec<(Instant, Event)>,
    events: Vec<Event>,
    ended: Vec<Ended>,
}

impl Machine {
    /// Creates a connected, idle printer.
    pub fn new(now: Instant, flavor: Flavor, scale: f64, pause_answer: Duration) -> Self {
        Self {
            flavor,
            scale: if scale.is_finite() && scale > 0.0 { scale } else { 1.0 },
            pause_answer,
            state: State::Operational,
            until: None,
            pause_lost: false,
            cancelled_in_start: false,
            pause_told: false,
            awol: false,
            selected: None,
            job: None,
            last: None,
            trouble: Trouble::default(),
            tool: HeaterModel::new(now),
            bed: HeaterModel::new(now),
            head: Head::default(),
            scripts: BTreeMap::new(),
            late: Vec::new(),
            events: Vec::new(),
            ended: Vec::new(),
        }
    }

    /// Returns the state as of the last [`Machine::advance`].
    pub fn state(&self) -> State {
        self.state
    }

    /// Returns the selected file, which prints or would print.
    pub fn selected(&self) -> Option<&Selected> {
        self.selected.as_ref()
    }

    /// Returns why the connection was closed.
    pub fn trouble(&self) -> &Trouble {
        &self.trouble
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
        Some([self.tool.had(at, self.scale)?, self.bed.had(at, self.scale)?])
    }

    /// Returns the events since the last call.
    pub fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// Returns the prints that ended since the last call.
    pub fn take_ended(&mut self) -> Vec<Ended> {
        std::mem::take(&mut self.ended)
    }

    /// Returns when the next change without a command is due.
    pub fn next_due(&self) -> Option<Instant> {
        let line = match &self.job {
            Some(job) if self.state == State::Printing && !self.awol => Some(job.line_done),
            _ => None,
        };
        let late = self.late.iter().map(|(at, _)| *at).min();
        [line, late, self.until].into_iter().flatten().min()
    }

    /// Processes everything that was due until `now`.
    pub fn advance(&mut self, now: Instant) {
        while let Some(due) = self.next_due().filter(|due| *due <= now) {
            if let Some(index) = self.late.iter().position(|(at, _)| *at == due) {
                let (_, event) = self.late.remove(index);
                self.events.push(event);
            } else if self.until == Some(due) {
                self.until = None;
                self.leave_transient_state(due);
            } else {
                self.next_line(due);
            }
        }
    }

    fn leave_transient_state(&mut self, at: Instant) {
        match self.state {
            State::Opening => {
                self.enter(State::Connecting);
                self.until = Some(at + CONNECT_STEP);
            }
            State::Connecting => {
                self.enter(State::Operational);
                self.tell("Connected", json!({"port": "VIRTUAL", "baudrate": 115_200}));
            }
            State::Pausing if !self.pause_lost => {
                if let Some(job) = &mut self.job {
                    job.held_since = Some(at);
                }
                if !std::mem::take(&mut self.pause_told) {
                    let paused = self.paused_event();
                    self.events.push(paused);
                }
                self.enter(State::Paused);
            }
            State::Starting | State::Pausing | State::Resuming => {
                if let Some(job) = &mut self.job {
                    job.line_done = at;
                }
                self.enter(State::Printing);
                if std::mem::take(&mut self.pause_lost) {
                    let paused = self.paused_event();
                    self.late.push((at + LOST_PAUSE_REPORT, paused));
                }
            }
            State::Cancelling | State::Finishing => {
                self.job = None;
                if std::mem::take(&mut self.cancelled_in_start) {
                    self.enter(State::Printing);
                }
                self.enter(State::Operational);
            }
            State::Transferring => {
                self.selected = None;
                self.tell("TransferFailed", Value::Null);
                self.enter(State::Operational);
            }
            State::Offline | State::OfflineAfterError | State::Operational | State::Printing | State::Paused => {}
        }
    }

    fn enter(&mut self, state: State) {
        self.state = state;
        let id = match (self.flavor, state) {
            (Flavor::V2_0, State::OfflineAfterError) => "CLOSED_WITH_ERROR",
            _ => state.id(),
        };
        self.tell("PrinterStateChanged", json!({"state_id": id, "state_string": state.text()}));
    }

    fn tell(&mut self, kind: &'static str, payload: Value) {
        self.events.push(Event { kind, payload });
    }

    /// Sends an event about the selected file. `more` adds fields.
    fn tell_of_file(&mut self, kind: &'static str, more: Value) {
        let payload = self.file_payload(more);
        self.tell(kind, payload);
    }

    fn file_payload(&self, more: Value) -> Value {
        let mut payload = match &self.selected {
            Some(file) => json!({
                "name": file.name, "path": file.path, "origin": "local", "size": file.blob.bytes().len(),
            }),
            None => json!({}),
        };
        if let (Some(payload), Value::Object(more)) = (payload.as_object_mut(), more) {
            payload.extend(more);
        }
        payload
    }

    /// `owner` and `user`, which 2.x leaves out of `PrintStarted`.
    fn people(&self) -> Value {
        match self.flavor {
            Flavor::V1_11 => json!({"owner": "admin", "user": "admin"}),
            Flavor::V2_0 => json!({}),
        }
    }

    fn paused_event(&self) -> Event {
        let position = json!({"x": 0.0, "y": 0.0, "z": 0.0, "e": 0.0, "t": 0, "f": null});
        let sent = self.job.as_ref().map_or(0, |job| job.sent);
        let payload = self.file_payload(json!({"position": position, "fileposition": sent}));
        Event { kind: "PrintPaused", payload }
    }

    fn scaled(&self, time: Duration) -> Duration {
        Duration::try_from_secs_f64(time.as_secs_f64() / self.scale).unwrap_or(LONGEST_LINE).min(LONGEST_LINE)
    }
}
