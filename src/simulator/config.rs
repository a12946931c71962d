//! Configuration of a simulated farm, and the faults and actions that tests apply from outside the API.
//!
//! All types are plain values. So a test, the demo and the HTTP control of another process use the same names for the
//! same faults.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// OctoPrint version to imitate. The versions differ only as in the measured table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Flavor {
    /// OctoPrint 1.11.8.
    #[default]
    V1_11,
    /// OctoPrint 2.0.0rc7 without the new version header. `restart` does nothing, and a toggle of a paused print does
    /// nothing. `error` is always present.
    V2_0,
}

/// Number of printers, and their behaviour.
#[derive(Debug, Clone)]
pub struct FarmConfig {
    pub printers: usize,
    /// Delay of every response. A command acts at the end of the delay, just before its response is sent.
    pub latency: Duration,
    /// Port of the first printer. The others use the ports after it. `None`: any free ports.
    pub base_port: Option<u16>,
    pub flavor: Flavor,
    /// 1.0 is real time; 10.0 prints, heats and dwells ten times faster.
    pub time_scale: f64,
    /// Whether each printer has `bracket.gcode`, `calibration/cube.gcode` and `long/vase.gcode`.
    pub with_sample_files: bool,
    /// File that is selected from the start, if `with_sample_files` provides it.
    pub selected_file: Option<String>,
    /// How long a pause waits for the printer's position: measured as 0.03 to 0.13 s or 1.03 s. Not scaled.
    pub pause_reply_delay: Duration,
    /// Further files that each printer has: path and content.
    pub files: Vec<(String, Vec<u8>)>,
    /// State of each printer at the start, in the order of the printers. Printers after the last entry are idle.
    pub scenarios: Vec<Scenario>,
    /// Port of an extra listener that controls every printer, even while the printer's own port refuses or hangs.
    /// `Some(0)`: any port.
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
            selected_file: None,
            pause_reply_delay: Duration::from_millis(40),
            files: Vec::new(),
            scenarios: Vec::new(),
            control_port: None,
        }
    }
}

/// State of a printer at the start of its farm.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Scenario {
    pub job: InitialJob,
    pub fault: Option<Fault>,
    /// Whether the printer refuses its key. Keys that it issues to applications are valid.
    pub is_key_revoked: bool,
}

/// What a printer does at the start of its farm.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum InitialJob {
    /// Nothing. The file of [`FarmConfig::selected_file`] is selected.
    #[default]
    Idle,
    /// It is in the middle of this print.
    Printing(InitialPrint),
    /// A person has paused this print at the printer.
    Paused(InitialPrint),
    /// It has printed this file to its end, in this time.
    Done { path: String, print_time: Duration },
    /// The firmware has halted with this text.
    Halted(String),
}

/// A print that began before the farm started.
#[derive(Debug, Clone, PartialEq)]
pub struct InitialPrint {
    /// Path of the file.
    pub path: String,
    /// Part of the file that is printed, from 0 to 1.
    pub done: f64,
    /// Print time so far, as the printer reports it.
    pub print_time: Duration,
    /// Temperatures of tool and bed, which are also their targets.
    pub temperatures_c: [f64; 2],
}

/// A fault of a printer's server, or of the connection to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The listener and every connection are closed, as if the process had died. The print continues unobserved.
    Refuse,
    /// Connections are accepted, and requests get no response, as after `kill -STOP`. When the fault is cleared, the
    /// requests are carried out, even if the client is gone. A stopped OctoPrint does the same.
    Hang,
    /// Additional delay of responses.
    Slow(Duration),
    /// Responses are sent at one byte a second.
    Drip,
    /// The connection is reset after the request was read, before anything is done.
    Reset,
    /// The command is carried out, and the connection is reset without a response.
    ResetAfterActing,
    /// The response is `Not found` without a status line, as from OctoPrint's intermediary server. Nothing is done.
    Garbage,
    /// The response has this status. Nothing is done.
    Status(u16),
    /// The request is carried out, and the response has this status.
    StatusAfterActing(u16),
    /// The event socket is closed, and new ones are refused with 404.
    DropSocket,
    /// Delay of the frames of the event socket. Readings overtake them.
    LateEvents(Duration),
    /// Every key is refused: 403 for GET, 400 `CSRF validation failed` for other methods.
    WrongKey,
    /// The event socket is accepted and closed at once.
    CloseSocket,
    /// The event socket greets, replies to pings, and accepts no login. OctoPrint 1.11.8 does so for a user with a
    /// colon in the name.
    SilentSocket,
    /// Each number in a response is replaced by `NaN`, as Python writes it.
    NotANumber,
    /// Requests are read at this many bytes a second.
    ReadSlowly(u64),
    /// A connection is not read any more after this many bytes, like an OctoPrint whose disk hangs.
    StopReading(u64),
    /// This fault, only for reads and logins at paths that begin with this text. Commands are not affected.
    Reading(String, Box<Fault>),
    /// Several faults of the kind [`Fault::Reading`].
    Readings(Vec<Fault>),
}

impl Fault {
    /// Returns the fault of a read at this path.
    pub(super) fn for_read(&self, path: &str) -> Option<&Self> {
        match self {
            Self::Reading(beginning, fault) if path.starts_with(beginning.as_str()) => Some(fault),
            Self::Readings(faults) => faults.iter().find_map(|fault| fault.for_read(path)),
            _ => None,
        }
    }

    /// Parses a fault. `null` is `Ok(None)`. A fault without a value is a text such as `"hang"`. Other faults are
    /// objects: `{"reading": "/api/job", "fault": …}`, `{"slow_ms": 500}`, `{"late_events_ms": 500}`,
    /// `{"read_slowly": 50000}`, `{"stop_reading": 1000000}`, `{"status": 500}`, `{"status_after_acting": 500}`.
    ///
    /// # Errors
    /// The text contains the value that is not a fault.
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

/// What a person does at the machine, or what the machine does by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MachineAction {
    Pause,
    Resume,
    Cancel,
    /// Starts the selected file.
    StartSelected,
    /// Skips the rest of the file, so that the print is done.
    FinishPrint,
    /// Sends the selected file to the SD card, until cancelled.
    SendToSd,
    Disconnect,
    Connect,
    /// The board restarts: the job is cancelled.
    Reset,
    /// The firmware halts with this text.
    FirmwareError(String),
    /// Filament runs out, and the printer pauses the job.
    M600,
    /// The firmware hangs: the state stays `Printing`, with a frozen position, until a disconnect.
    GoAwol,
    /// OctoPrint itself restarts: connections and sessions end, no file is selected, and the job is lost.
    RestartServer,
}

impl MachineAction {
    /// Parses `{"act": "pause"}`, or `{"act": "firmware_error", "text": "..."}`.
    pub fn from_json(value: &Value) -> Option<Self> {
        Some(match value.get("act").and_then(Value::as_str)? {
            "pause" => Self::Pause,
            "resume" => Self::Resume,
            "cancel" => Self::Cancel,
            "start_selected" => Self::StartSelected,
            "finish_print" => Self::FinishPrint,
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

/// A request that changed something, or could have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceivedRequest {
    /// When it was carried out, or would have been.
    pub at: Instant,
    pub method: String,
    pub path: String,
    /// `start`, `cancel`, `pause`, `select`, `upload`, `connect`, the G-code of a printer command …
    pub command: String,
    pub action: Option<String>,
    /// Whether it changed something. A start without a file did not, although its response was 204.
    pub acted: bool,
    /// Status of the response; 0 if there was none.
    pub status: u16,
}

impl ReceivedRequest {
    /// Returns the entry as in `GET /sim/log`, with the time in milliseconds since the start of the farm.
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
