//! How a print ends: by its events, by its last state, or by a reading after its end.

use super::{JobMark, PrintResult};
use crate::domain::{reading::JobReading, state::PrinterState};

/// The end of a print: result, reason and print time.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Ending {
    pub result: PrintResult,
    pub reason: Option<String>,
    /// The print time in seconds, if the file was printed to its end.
    pub time_s: Option<i64>,
}

impl Ending {
    /// Returns an end with an unknown result.
    pub fn unknown(reason: Option<String>) -> Self {
        Self { result: PrintResult::Unknown, reason, time_s: None }
    }

    /// Returns an end with the result `cancelled`.
    pub fn cancelled(reason: Option<String>) -> Self {
        Self { result: PrintResult::Cancelled, reason, time_s: None }
    }

    /// Returns how a print ended, by what a reading shows after its end.
    pub fn from_reading(reading: &JobReading, mark: &JobMark) -> Self {
        let (result, reason) = match reading.state {
            PrinterState::Operational if mark.is_done() => (PrintResult::Done, None),
            PrinterState::Operational if mark.completion.is_none() && mark.file.is_some() => {
                (PrintResult::Cancelled, None)
            }
            PrinterState::Offline | PrinterState::Error => (PrintResult::Failed, reading.error.clone()),
            _ => (PrintResult::Unknown, None),
        };
        Self { result, reason, time_s: mark.print_time_s }
    }
}
