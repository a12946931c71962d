//! What a simulated farm is made of, and what can be done to it from outside of the API.
//!
//! Everything here is a plain value, so that a test, the demo and the HTTP control of another process speak of the
//! same faults in the same words.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// Which OctoPrint is imitated. They answer alike but for the differences of the measured table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Flavor {
    /// OctoPrint 1.11.8.
    #[default]
    V1_11,
    /// OctoPrint 2.0.0rc7 without the new version header: `restart` does nothing, nor does a toggle of a paused print,
    /// `error` is always there.
    V2_0,
}

/// How many printers, and how they behave.
#[derive(Debug, Clone)]
pub struct FarmConfig {
    pub printers: usize,
    /// Every answer is late by this much; a command acts at the end of it, just before its answer leaves.
    pub latency: Duration,
    /// The first printer's port, the others follow. `None`: any free ports.
    pub base_port: Option<u16>,
    pub flavor: Flavor,
    /// 1.0 is real time; 10.0 prints, heats and dwells ten times faster.
    pub time_scale: f64,
    /// Each printer then holds `bracket.gcode`, `calibration/cube.gcode` and `long/vase.gcode`.
    pub with_sample_files: bool,
    /// A file that is selected from the start, where `with_sample_files` gave it.
    pub select: Option<String>,
    /// How long a pause waits for the printer's position: measured as 0.03 to 0.13 s or 1.03 s. Not scaled.
    pub pause_answer: Duration,
    /// One more listener, which steers every printer also while its own is refusing or hanging. `Some(0)`: any port.
    pub control_port: Option<u16>,
}

impl Default for FarmConfig {
    fn default() -> Self {
        Self {
            printers: 1,
            latency: Duration::ZERO,
            base_port: None,
            flavor: Flavor::V1_11,
            time_scale: 1.0,
            with_sample_files: false,
            select: None,
            pause_answer: Duration::from_millis(40),
            control_port: None,
        }
    }
}

/// What is wrong with a printer's server or with the way to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The listener is closed and every connection cut, as if the process had died. The print goes on unseen.
    Refuse,
    /// Connections are accepted and nothing is answered, as under `kill -STOP`. What was asked meanwhile is carried
    /// out when the fault is cleared, even if the asker has gone: that is what a stopped OctoPrint does.
    Hang,
    /// Answers are late by this much more.
    Slow(Duration),
    /// One byte of the answer a second.
    Drip,
    /// The connection is reset after the request was read and before anything was done.
    Reset,
    /// The command is carried out and the connection reset without an answer.
    ResetAfterActing,
    /// `Not found` without a status line, as OctoPrint's intermediary server answers. Nothing is done.
    Garbage,
    /// Answered with this status. Nothing is done.
    Status(u16),
    /// Carried out, and answered with this status.
    StatusAfterActing(u16),
    /// The event socket is closed, and refused with 404.
    DropSocket,
    /// Frames of the event socket are late by this much: readings overtake them.
    LateEvents(Duration),
    /// No key is good: 403 for GET, 400 `CSRF validation failed` for the rest.
    WrongKey,
    /// The event socket is accepted and closed at once.
    CloseSocket,
    /// The event socket greets, answers pings and takes no login, as OctoPrint 1.11.8 does to a user with a colon in the name.
    SilentSocket,
    /// `NaN` in place of each number of an answer, as Python writes it.
    NotANumber,
    /// What is sent to it is read at this many bytes a second.
    ReadSlowly(u64),
    /// It reads no more of a connection after so many bytes, as an OctoPrint does whose disk hangs.
    StopReading(u64),
    /// This fault, only for what reads or logs in at paths that begin so. Commands are not met.
    Reading(String, Box<Fault>),
    /// Several faults of this kind ([`Fault::Reading`]).
    Readings(Vec<Fault>),
}

impl Fault {
    /// The fault of a request that reads at this path.
    pub(super) fn of_reading(&self, path: &str) -> Option<&Self> {
        match self {
            Self::Reading(beginning, fault) if path.starts_with(beginning.as_str()) => Some(fault),
            Self::Readings(faults) => faults.iter().find_map(|fault| fault.of_reading(path)),
            _ => None,
        }
    }

    /// Reads `"hang"`, `{"reading": "/api/job", "fault": …}`, `{"slow_ms": 500}`, `{"late_events_ms": 500}`, `{"read_slowly": 50000}`, `{"stop_reading": 1000000}`, `{"status": 500}`, `{"status_after_acting": 500}`; `Ok(None)` for null.
    ///
    /// # Errors
    /// The text says what is not understood.
    pub fn from_json(value: &Value) -> Result<Option<Self>, String> {
        let status = |name: &str| value.get(name).and_then(Value::as_u64).and_then(|code| u16::try_from(code).ok());
        let word = match value {
            Value::Null => return Ok(None),
            Value::String(word) => word.as_str(),
            _ => "",
        };
        Ok(Some(match word {
            "refuse" => Self::Refuse,
            "hang" => Self::Hang,
            "drip" => Self::Drip,
            "reset" => Self::Reset,
            "reset_after_acting" => Self::ResetAfterActing,
            "garbage" => Self::Garbage,
            "drop_socket" => Self::DropSocket,
            "wrong_key" => Self::WrongKey,
            "close_socket" => Self::CloseSocket,
            "silent_socket" => Self::SilentSocket,
            "not_a_number" => Self::NotANumber,
            _ => {
                if let Some(path) = value.get("reading").and_then(Value::as_str) {
                    let fault = Self::from_json(value.get("fault").unwrap_or(&Value::Null))?;
                    return Ok(fault.map(|fault| Self::Reading(path.to_owned(), Box::new(fault))));
                }
                if let Some(ms) = value.get("slow_ms").and_then(Value::as_u64) {
                    Self::Slow(Duration::from_millis(ms))
                } else if let Some(ms) = value.get("late_events_ms").and_then(Value::as_u64) {
                    Self::LateEvents(Duration::from_millis(ms))
                } else if let Some(bytes_per_s) = value.get("read_slowly").and_then(Value::as_u64) {
                    Self::ReadSlowly(bytes_per_s)
                } else if let Some(bytes) = value.get("stop_reading").and_then(Value::as_u64) {
                    Self::StopReading(bytes)
                } else if let Some(code) = status("status") {
                    Self::Status(code)
                } else if let Some(code) = status("status_after_acting") {
                    Self::StatusAfterActing(code)
                } else {
                    return Err(format!("no such fault: {value}"));
                }
            }
        }))
    }
}

/// What somebody at the machine does, or the machine by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    Pause,
    Resume,
    Cancel,
    /// Starts the selected file.
    StartSelected,
    /// Sends the selected file to the SD card, until it is cancelled.
    SendToSd,
    Disconnect,
    Connect,
    /// The board restarts: the job is cancelled.
    Reset,
    /// The firmware halts with this text.
    FirmwareError(String),
    /// Filament runs out: paused by the printer.
    M600,
    /// The firmware hangs: `Printing` for good, with a frozen position. Ends by disconnecting.
    GoAwol,
    /// OctoPrint itself restarts: connections and sessions are gone, nothing is selected, the job is lost.
    RestartServer,
}

impl Act {
    /// Reads `{"act": "pause"}`; `{"act": "firmware_error", "text": "..."}`.
    pub fn from_json(value: &Value) -> Option<Self> {
        Some(match value.get("act").and_then(Value::as_str)? {
            "pause" => Self::Pause,
            "resume" => Self::Resume,
            "cancel" => Self::Cancel,
            "start_selected" => Self::StartSelected,
            "send_to_sd" => Self::SendToSd,
            "disconnect" => Self::Disconnect,
            "connect" => Self::Connect,
            "reset" => Self::Reset,
            "firmware_error" => {
                Self::FirmwareError(value.get("text").and_then(Value::as_str).unwrap_or("Printer halted").to_owned())
            }
            "m600" => Self::M600,
            "go_awol" => Self::GoAwol,
            "restart_server" => Self::RestartServer,
            _ => return None,
        })
    }
}

/// A request that changed something, or might have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// When it was carried out, or would have been.
    pub at: Instant,
    pub method: String,
    pub path: String,
    /// `start`, `cancel`, `pause`, `select`, `upload`, `connect`, the G-code of a printer command …
    pub command: String,
    pub action: Option<String>,
    /// It changed something: a start without a file, answered with 204, did not.
    pub acted: bool,
    /// What the client was answered; 0 for no answer at all.
    pub status: u16,
}

impl Received {
    /// As `GET /sim/log` shows it, with the time in milliseconds since the farm's start.
    pub fn to_json(&self, farm_start: Instant) -> Value {
        json!({
            "at_ms": u64::try_from(self.at.saturating_duration_since(farm_start).as_millis()).unwrap_or(u64::MAX),
            "method": self.method,
            "path": self.path,
            "command": self.command,
            "action": self.action,
            "acted": self.acted,
            "status": self.status,
        })
    }
}
