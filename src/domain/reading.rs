//! What was read from a printer, and what it said by itself.
//!
//! A [`JobReading`] is the answer to a question (`GET /api/job`), a [`PrinterEvent`] is news that nobody asked for
//! (the event socket). Both are plain values: where they came from and when is the live side's to know.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::state::PrinterState;

/// Where OctoPrint keeps a file: `local`, `sdcard` (1.x) or `printer` (2.x); kept as the text that it uses.
pub const LOCAL: &str = "local";

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

/// One answer to `GET /api/job`, read tolerantly: whatever was absent, null or of another shape is `None`.
#[derive(Debug, Clone, PartialEq)]
pub struct JobReading {
    pub state: PrinterState,
    /// OctoPrint's own words.
    pub state_text: String,
    /// Present on 1.x after a firmware error; 2.x leaves it empty (measured on 2.0.0rc7 and 2.1.0.dev).
    pub error: Option<String>,
    /// The selected file, whether it prints or not.
    pub file: Option<JobFile>,
    pub user: Option<String>,
    pub estimated_print_time_s: Option<f64>,
    pub progress: Progress,
}

impl JobReading {
    /// A state without a job.
    pub fn of_state(state: PrinterState, state_text: String) -> Self {
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
    /// A heater counts as heating while its target is more than this above what it has, in degrees Celsius.
    pub const HEATING_GAP_C: f64 = 3.0;

    /// It draws full current now.
    pub fn is_heating(self) -> bool {
        matches!((self.actual, self.target), (Some(actual), Some(target)) if target > actual + Self::HEATING_GAP_C)
    }
}

/// Heaters by OctoPrint's names (`tool0`, `bed`, `chamber`).
pub type Temperatures = BTreeMap<String, Temperature>;

/// What the heaters had at a moment of the past.
#[derive(Debug, Clone, PartialEq)]
pub struct PastTemperatures {
    /// Seconds before the newest moment that is told: a printer's clock may be wrong, its steps are not.
    pub before_newest_s: i64,
    pub temperatures: Temperatures,
}

/// What OctoPrint's event socket tells, as far as Printyard subscribes to it.
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
        /// How long it printed, without pauses.
        time_s: Option<i64>,
    },
    /// `reason` is `cancelled` for a cancelled print, of which OctoPrint sends both `PrintCancelled` and `PrintFailed`.
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
    /// The firmware's own words.
    Error {
        error: String,
    },
    Connected,
    Disconnected,
}
