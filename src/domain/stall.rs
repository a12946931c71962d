//! Stall detection: warns if the file position of a print does not change.
//!
//! If the firmware hangs, OctoPrint still reports "Printing" without an error, but its file position is frozen
//! (measured: `go_awol`). The watch only warns and never sends a command.

use std::time::{Duration, Instant};

use super::{reading::JobReading, state::PrinterState};

/// Follows the file position of one printer.
#[derive(Debug, Clone, Copy, Default)]
pub struct StallWatch {
    position: Option<u64>,
    /// Since when the position has not changed, without an explanation.
    since: Option<Instant>,
}

impl StallWatch {
    /// Processes a reading that was made at `at`. Returns since when the position has not changed, if that is at least
    /// `limit` ago. A heating printer waits for its heaters, so it does not count as stalled.
    pub fn on_reading(
        &mut self,
        reading: &JobReading,
        is_heating: bool,
        at: Instant,
        limit: Duration,
    ) -> Option<Instant> {
        let moved = reading.progress.file_position != self.position;
        self.position = reading.progress.file_position;
        if reading.state != PrinterState::Printing || is_heating || moved {
            self.since = None;
        }
        if reading.state == PrinterState::Printing && !is_heating {
            self.since.get_or_insert(at);
        }
        self.since.filter(|since| at.duration_since(*since) >= limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::reading::Progress;

    fn reading(state: PrinterState, position: u64) -> JobReading {
        JobReading {
            state,
            state_text: String::new(),
            error: None,
            file: None,
            user: None,
            estimated_print_time_s: None,
            progress: Progress { file_position: Some(position), ..Progress::default() },
        }
    }

    #[test]
    fn a_print_with_an_unchanged_position_is_stalled_after_the_limit() {
        let (start, limit) = (Instant::now(), Duration::from_secs(300));
        let at = |s| start + Duration::from_secs(s);
        let mut watch = StallWatch::default();
        assert_eq!(watch.on_reading(&reading(PrinterState::Printing, 7), false, at(0), limit), None);
        assert_eq!(watch.on_reading(&reading(PrinterState::Printing, 7), false, at(299), limit), None);
        assert_eq!(watch.on_reading(&reading(PrinterState::Printing, 7), false, at(300), limit), Some(start));
        assert_eq!(watch.on_reading(&reading(PrinterState::Printing, 8), false, at(301), limit), None);
        assert_eq!(watch.on_reading(&reading(PrinterState::Paused, 8), false, at(900), limit), None);
    }

    #[test]
    fn waiting_for_a_heater_is_no_stall() {
        let (start, limit) = (Instant::now(), Duration::from_secs(300));
        let mut watch = StallWatch::default();
        watch.on_reading(&reading(PrinterState::Printing, 7), true, start, limit);
        let later = start + Duration::from_secs(400);
        assert_eq!(watch.on_reading(&reading(PrinterState::Printing, 7), true, later, limit), None);
    }
}
