//! A hung firmware leaves OctoPrint "Printing", healthy, with a frozen file position (measured: `go_awol`).
//!
//! The watch warns, and never sends anything.

use std::time::{Duration, Instant};

use super::{
    reading::{JobReading, Temperatures},
    state::PrinterState,
};

/// Follows the file position of one printer.
#[derive(Debug, Clone, Copy, Default)]
pub struct StallWatch {
    position: Option<u64>,
    /// Since when the position has stood, while nothing explained it.
    since: Option<Instant>,
}

impl StallWatch {
    /// Takes in a reading made at `at`. Returns since when the print stands, once that is `limit` ago. A heater below
    /// its target explains a stand-still: the printer waits for it.
    pub fn note(
        &mut self,
        reading: &JobReading,
        temperatures: &Temperatures,
        at: Instant,
        limit: Duration,
    ) -> Option<Instant> {
        let explained = temperatures.values().any(|heater| heater.is_heating());
        let moved = reading.progress.file_position != self.position;
        self.position = reading.progress.file_position;
        if reading.state != PrinterState::Printing || explained || moved {
            self.since = None;
        }
        if reading.state == PrinterState::Printing && !explained {
            self.since.get_or_insert(at);
        }
        self.since.filter(|since| at.duration_since(*since) >= limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::reading::{Progress, Temperature};

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
    fn a_print_whose_position_stands_is_stalled_after_the_limit() {
        let (start, limit) = (Instant::now(), Duration::from_secs(300));
        let at = |s| start + Duration::from_secs(s);
        let mut watch = StallWatch::default();
        let heaters = Temperatures::new();
        assert_eq!(watch.note(&reading(PrinterState::Printing, 7), &heaters, at(0), limit), None);
        assert_eq!(watch.note(&reading(PrinterState::Printing, 7), &heaters, at(299), limit), None);
        assert_eq!(watch.note(&reading(PrinterState::Printing, 7), &heaters, at(300), limit), Some(start));
        assert_eq!(watch.note(&reading(PrinterState::Printing, 8), &heaters, at(301), limit), None);
        assert_eq!(watch.note(&reading(PrinterState::Paused, 8), &heaters, at(900), limit), None);
    }

    #[test]
    fn waiting_for_a_heater_is_no_stall() {
        let (start, limit) = (Instant::now(), Duration::from_secs(300));
        let cold = Temperatures::from([("bed".to_owned(), Temperature { actual: Some(40.0), target: Some(60.0) })]);
        let mut watch = StallWatch::default();
        watch.note(&reading(PrinterState::Printing, 7), &cold, start, limit);
        let later = start + Duration::from_secs(400);
        assert_eq!(watch.note(&reading(PrinterState::Printing, 7), &cold, later, limit), None);
    }
}
