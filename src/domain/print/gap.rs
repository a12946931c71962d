//! What must have happened to a printer's prints while nobody watched.

use chrono::{DateTime, Utc};

use super::{By, Mark, Moment, PrintFact, PrintResult, Tracker};
use crate::domain::{command::FileRef, reading::JobReading, state::PrinterState};

const NOT_WATCHED: &str = "not watched";

impl Tracker {
    /// Takes up the watch again. A print counts as the same only where nothing speaks against it.
    pub(super) fn after_gap(&mut self, reading: &JobReading, mark: &Mark, moment: Moment, facts: &mut Vec<PrintFact>) {
        let last = self.mark.clone();
        let not_watched = || Some(NOT_WATCHED.to_owned());
        // Nobody saw who paused what is paused now.
        self.state = None;
        let same = match reading.state {
            state if state.is_active() => self.is_same_after_gap(mark, moment.at),
            PrinterState::Operational => mark.file.is_none() || (self.has_file(mark) && !self.is_started_over(mark)),
            // It may have ended well before its printer was switched off, unless the end was seen to begin.
            PrinterState::Offline | PrinterState::Error => self.current.as_ref().is_some_and(|print| print.cut_off),
            _ => true,
        };
        if !same {
            self.end(moment, PrintResult::Unknown, not_watched(), facts);
        }
        let Some(last) = last else { return };
        if reading.state == PrinterState::Operational && self.current.is_none() {
            let ran = mark.completion == Some(100.0);
            let moved = last.file != mark.file
                || last.completion != mark.completion
                || (ran && last.print_time_s != mark.print_time_s);
            if moved {
                let result = if ran { PrintResult::Done } else { PrintResult::Unknown };
                self.begin_and_end(mark, result, not_watched(), moment, facts);
            }
        }
    }

    /// A print began and was done between two looks, where no events are pushed. One that events told of has made the
    /// mark void.
    pub(super) fn ran_between_looks(&self, now: &Mark) -> bool {
        let Some(last) = &self.mark else { return false };
        self.current.is_none()
            && self.state == Some(PrinterState::Operational)
            && now.completion == Some(100.0)
            && (last.file != now.file || last.completion != now.completion || last.print_time_s != now.print_time_s)
    }

    /// A print of Printyard's own that was found by its file's counter alone.
    pub fn found(&mut self, file: FileRef, result: PrintResult, moment: Moment) -> Vec<PrintFact> {
        let by = moment.starting.map_or_else(By::printer, By::command);
        let (id, at) = (moment.fresh_id, moment.at);
        self.mark = None;
        let began = PrintFact::Began { id, file: Some(file), at, by };
        vec![began, PrintFact::Ended { id, at, result, reason: None, by: By::printer() }]
    }

    /// A print of which nothing but its end is seen.
    pub(super) fn begin_and_end(
        &mut self,
        mark: &Mark,
        result: PrintResult,
        reason: Option<String>,
        moment: Moment,
        facts: &mut Vec<PrintFact>,
    ) {
        let by = match (moment.starting, self.gap) {
            // Nothing but a start that is done is known to be of this file.
            (Some(command), _) if result == PrintResult::Done => By::command(command),
            (_, true) => By::unknown(),
            (_, false) => By::printer(),
        };
        let id = moment.fresh_id;
        facts.push(PrintFact::Began { id, file: mark.file.clone(), at: moment.at, by });
        let by = if self.gap { By::unknown() } else { By::printer() };
        facts.push(PrintFact::Ended { id, at: moment.at, result, reason, by });
    }

    fn has_file(&self, now: &Mark) -> bool {
        let known = self.current.as_ref().and_then(|current| current.file.as_ref());
        known.is_none_or(|known| now.file.as_ref() == Some(known))
    }

    fn is_same_after_gap(&self, now: &Mark, at: DateTime<Utc>) -> bool {
        if !self.has_file(now) || self.is_started_over(now) {
            return false;
        }
        let Some(last) = &self.mark else { return true };
        let (Some(printed), Some(marked_at)) = (now.print_time_s, self.marked_at) else { return true };
        // Younger than the gap is wide, and moved: it may have begun within the gap.
        let gap_s = (at - marked_at).num_seconds();
        let stood_still = last.file_position == now.file_position;
        // Already older than the gap when it was seen last: another copy could not have come as far.
        let older = last.print_time_s.is_some_and(|age| age > gap_s + 1);
        stood_still || older || printed + 5 >= gap_s
    }

    /// The position went backwards: the file began anew.
    pub(super) fn is_started_over(&self, now: &Mark) -> bool {
        let Some(last) = &self.mark else { return false };
        self.current.is_some()
            && last.file == now.file
            && (matches!((last.file_position, now.file_position), (Some(then), Some(now)) if now < then)
                || matches!((last.print_time_s, now.print_time_s), (Some(then), Some(now)) if now + 1 < then))
    }
}
