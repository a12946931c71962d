//! Readings and events of a printer.
//!
//! A [`JobReading`] is the reply to a request (`GET /api/job`). A [`PrinterEvent`] arrives on the event socket without
//! a request. Both are plain values: `fleet` records the source and the time.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::state::PrinterState;

/// The `origin` of a file in OctoPrint's own storage. The other values are `sdcard` (1.x) and `printer` (2.x). The text
/// is stored as OctoPrint sends it.
pub const LOCAL_ORIGIN: &str = "local";

/// A G-code file as a job names it. OctoPrint has no other identity of a job than `path` and `origin`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct JobFile {
    pub name: String,
    pub path: String,
    pub origin: String,
    /// Bytes.
    pub size: Option<u64>,
    /// When OctoPrint got the file.
    pub date: Option<DateTime<Utc>>,
}

/// How far a print is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Progress {
    /// 0 to 100, by position in the file.
    pub completion: Option<f64>,
    pub print_time_s: Option<i64>,
    pub print_time_left_s: Option<i64>,
    /// Bytes.
    pub file_position: Option<u64>,
}

/// One reply to `GET /api/job`. The parser is tolerant: a field that is absent, null or of another type is `None`.
#[derive(Debug, Clone, PartialEq)]
pub struct JobReading {
    pub state: PrinterState,
    /// The state as text, as OctoPrint sends it.
    pub state_text: String,
    /// Set by 1.x after a firmware error. 2.x leaves it empty (measured on 2.0.0rc7 and 2.1.0.dev).
    pub error: Option<String>,
    /// The selected file. It is set while the printer is idle, too.
    pub file: Option<JobFile>,
    pub user: Option<String>,
    pub estimated_print_time_s: Option<f64>,
    pub progress: Progress,
}

impl JobReading {
    /// Returns a reading with a state and no job.
    pub fn without_job(state: PrinterState, state_text: String) -> Self {
        Self {
            state,
            state_text,
            error: None,
            file: None,
            user: None,
            estimated_print_time_s: None,
            progress: Progress::default(),
        }
    }
}

/// One heater, degrees Celsius.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Temperature {
    pub actual: Option<f64>,
    pub target: Option<f64>,
}

impl Temperature {
    /// A heater counts as heating while its target is more than this above its actual temperature, in degrees Celsius.
    pub const HEATING_GAP_C: f64 = 3.0;

    /// Returns whether the heater draws full current now.
    pub fn is_heating(self) -> bool {
        matches!((self.actual, self.target), (Some(actual), Some(target)) if target > actual + Self::HEATING_GAP_C)
    }
}

/// Heaters by OctoPrint's names (`tool0`, `bed`, `chamber`).
pub type Temperatures = BTreeMap<String, Temperature>;

/// Temperatures of the heaters at a time in the past.
#[derive(Debug, Clone, PartialEq)]
pub struct PastTemperatures {
    /// Seconds before the newest sample. Only differences are used, because the printer's clock may be wrong.
    pub before_newest_s: i64,
    pub temperatures: Temperatures,
}

/// An event of OctoPrint's event socket. Events to which Printyard does not subscribe are left out.
#[derive(Debug, Clone, PartialEq)]
pub enum PrinterEvent {
    StateChanged {
        state: PrinterState,
        text: String,
    },
    FileSelected {
        path: String,
        origin: String,
    },
    FileDeselected,
    PrintStarted {
        path: String,
        origin: String,
    },
    PrintDone {
        path: String,
        /// Print time in seconds, without pauses.
        time_s: Option<i64>,
    },
    /// `reason` is `cancelled` for a cancelled print, for which OctoPrint sends both `PrintCancelled` and
    /// `PrintFailed`.
    PrintFailed {
        path: String,
        reason: Option<String>,
        error: Option<String>,
        time_s: Option<i64>,
    },
    PrintCancelled {
        path: String,
        time_s: Option<i64>,
    },
    PrintPaused {
        path: String,
    },
    PrintResumed {
        path: String,
    },
    /// An error with the text of the firmware.
    Error {
        error: String,
    },
    Connected,
    Disconnected,
}
