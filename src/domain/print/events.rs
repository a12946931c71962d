//! Print tracking by events.

use chrono::{DateTime, Utc};

use super::{
    Mark, MarkOf, Moment, PrintFact, PrintResult,
    stream::Turn,
    tracker::{Ending, Tracker},
};
use crate::domain::{command::FileRef, reading::PrinterEvent, state::PrinterState};

/// Tolerance for print times, in seconds: the duration of a request, and rounding to whole seconds.
const SLACK_S: i64 = 7;
/// The highest number of events that are kept until the first reading after a gap. No more arrive within one request.
const WAITING: usize = 64;

impl Tracker {
    /// Processes an event. `PrintPaused` has no effect, because it arrives late, and also for a pause that was lost.
    pub fn on_event(&mut self, event: &PrinterEvent, moment: &Moment) -> Vec<PrintFact> {
        let mut facts = Vec::new();
        if self.gap {
            // They are processed after the first reading has shown which print they belong to.
            if self.waiting.len() < WAITING {
                self.waiting.push(event.clone());
            }
            return facts;
        }
        self.give_up_events(moment.at);
        match event {
            PrinterEvent::StateChanged { state, .. } => self.on_state(*state, moment, &mut facts),
            PrinterEvent::FileSelected { path, origin } => {
                self.select(Some(FileRef { path: path.clone(), origin: origin.clone() }));
            }
            PrinterEvent::FileDeselected => self.select(None),
            PrinterEvent::PrintStarted { path, origin } => {
                self.on_started(FileRef { path: path.clone(), origin: origin.clone() }, moment, &mut facts);
            }
            PrinterEvent::PrintDone { path, time_s } => {
                let ending = Ending { result: PrintResult::Done, reason: None, time_s: *time_s };
                self.will_end(path, ending, moment);
            }
            PrinterEvent::PrintCancelled { path, time_s } => {
                self.will_end(path, Ending { time_s: *time_s, ..Ending::cancelled(None) }, moment);
            }
            PrinterEvent::PrintFailed { path, reason, error, time_s } => {
                let cancelled = reason.as_deref() == Some("cancelled");
                let result = if cancelled { PrintResult::Cancelled } else { PrintResult::Failed };
                // 2.0.0rc7 sends `unknown` for every error. Its event `Error` contains the text.
                let reason = error.clone().filter(|error| !cancelled && !error.is_empty() && error != "unknown");
                self.will_end(path, Ending { result, reason, time_s: *time_s }, moment);
            }
            PrinterEvent::Error { error } => {
                // An error may occur without a print.
                let behind = self.stream.is_behind();
                if let Some(current) = self.current.as_mut().filter(|_| !behind) {
                    current.error = Some(error.clone());
                }
            }
            PrinterEvent::PrintPaused { .. }
            | PrinterEvent::PrintResumed { .. }
            | PrinterEvent::Connected
            | PrinterEvent::Disconnected => {}
        }
        if self.current.as_ref().is_some_and(|current| current.cut_off && current.ending.is_some()) {
            self.end(Ending::unknown(None), moment, &mut facts);
        }
        facts
    }

    fn on_state(&mut self, state: PrinterState, moment: &Moment, facts: &mut Vec<PrintFact>) {
        let closed = matches!(state, PrinterState::Offline | PrinterState::Error);
        let was_cut_off = self.current.as_ref().is_some_and(|current| current.cut_off);
        if was_cut_off && !closed && (state.is_idle() || state.is_active()) {
            // The printer is connected again, and no event reported how the print failed.
            self.end(Ending::unknown(None), moment, facts);
        }
        let turn = self.stream.follow(state);
        match turn {
            // The next event is `PrintStarted`, which contains the file.
            Turn::Begins if self.is_file_open() && state == PrinterState::Starting => {
                self.starting = Some(moment.starting.clone());
            }
            Turn::Begins => self.begin_as_told(moment, facts),
            Turn::Ends => match &mut self.current {
                // Measured: the event with the reason arrives before or after this one.
                Some(current) if closed && current.ending.is_none() => current.cut_off = true,
                _ => self.end(self.ending_by_state(), moment, facts),
            },
            Turn::Nothing => {
                if let Some(current) = self.current.as_mut().filter(|_| state == PrinterState::Starting) {
                    current.restarted = current.announced;
                }
            }
        }
        if state.is_idle() {
            self.starting = None;
        } else if self.starting.is_some() && state.is_active() && state != PrinterState::Starting {
            self.begin_as_told(moment, facts);
        }
        if self.stream.is_behind() || !(state.is_active() || state.is_idle()) {
            return;
        }
        if self.current.is_some() {
            (self.mark.state, self.marked_at) = (Some(self.latest_state(state)), Some(moment.at));
        }
        self.follow_pause(state, moment, facts);
        self.state = Some(state);
    }

    /// Stops waiting for events that are too late.
    pub(super) fn give_up_events(&mut self, at: DateTime<Utc>) {
        // The events of a print that is cut off have already ended it.
        let is_active = self.current.as_ref().is_some_and(|current| !current.cut_off);
        self.stream.give_up(is_active || self.starting.is_some(), at);
    }

    /// Returns whether the next print that events begin may have another file than the selected one.
    fn is_file_open(&self) -> bool {
        self.selected.is_none() || self.is_selection_ahead
    }

    fn begin_as_told(&mut self, moment: &Moment, facts: &mut Vec<PrintFact>) {
        let starting = self.starting.take().unwrap_or_else(|| moment.starting.clone());
        let moment = &Moment { starting, ..moment.clone() };
        let start = self.start_of(self.selected.as_ref(), moment.at, false, moment);
        self.begin(moment.fresh_ids[1], start, moment, facts);
    }

    fn on_started(&mut self, file: FileRef, moment: &Moment, facts: &mut Vec<PrintFact>) {
        if !self.stream.is_of_current() {
            return;
        }
        (self.selected, self.is_selection_ahead) = (Some(file.clone()), false);
        // The print started again without an end: OctoPrint 1.11 does this when it restarts a paused print.
        if self.current.as_ref().is_some_and(|current| current.restarted) {
            if let Some(current) = self.current.as_mut() {
                current.ending.get_or_insert_with(|| Ending::cancelled(Some("started again".to_owned())));
            }
            self.end(Ending::unknown(None), moment, facts);
        }
        if self.current.is_none() {
            self.begin_as_told(moment, facts);
        }
        if let Some(current) = self.current.as_mut() {
            current.announced = true;
            current.file = Some(file);
        }
    }

    fn select(&mut self, file: Option<FileRef>) {
        if self.current.is_none() && !self.stream.is_behind() {
            self.mark = Mark { file: file.clone(), of: MarkOf::Left, started_by: self.started_by, ..Mark::default() };
        }
        (self.selected, self.is_selection_ahead) = (file, false);
    }

    /// Stores how the print will end. A late event of an earlier print has another path or another print time.
    fn will_end(&mut self, path: &str, ending: Ending, moment: &Moment) {
        let fits = ending.time_s.is_none_or(|time_s| self.may_be_so_old(time_s, moment.at));
        let Some(current) = &self.current else {
            self.stream.is_end_of_current(fits);
            return;
        };
        let was_undecided = self.stream.is_undecided();
        let is_its_own = current.cut_off || self.stream.is_end_of_current(fits);
        if was_undecided && !is_its_own {
            // The print that began to end is an earlier one.
            self.mark.state = None;
        }
        if let Some(current) = self.current.as_mut()
            && is_its_own
            && current.ending.is_none()
            && current.file.as_ref().is_none_or(|file| path.is_empty() || file.path == path)
        {
            current.ending = Some(ending);
        }
    }

    /// Returns whether the active print may have this print time.
    fn may_be_so_old(&self, time_s: i64, at: DateTime<Utc>) -> bool {
        let (Some(known_s), Some(read_at)) = (self.mark.print_time_s, self.read_at) else { return true };
        let most_s = known_s + (at - read_at).num_seconds() + SLACK_S;
        (known_s - 1..=most_s).contains(&time_s)
    }
}
