//! Print tracking by events.

use chrono::{DateTime, Utc};

use super::{
    JobMark, MarkPhase, PrintFact, PrintResult, TrackerContext, ending::Ending, event_lag::Transition,
    tracker::PrintTracker,
};
use crate::domain::{command::FileRef, reading::PrinterEvent, state::PrinterState};

/// Tolerance for print times, in seconds: the duration of a request, and rounding to whole seconds.
const SLACK_S: i64 = 7;
/// The highest number of events that are kept until the first reading after a gap. No more arrive within one request.
const MAX_WAITING_EVENTS: usize = 64;

impl PrintTracker {
    /// Processes an event. `PrintPaused` has no effect, because it arrives late, and also for a pause that was lost.
    pub fn on_event(&mut self, event: &PrinterEvent, context: &TrackerContext) -> Vec<PrintFact> {
        let mut facts = Vec::new();
        if self.in_gap {
            // They are processed after the first reading has shown which print they belong to.
            if self.waiting.len() < MAX_WAITING_EVENTS {
                self.waiting.push(event.clone());
            }
            return facts;
        }
        self.give_up_events(context.at);
        match event {
            PrinterEvent::StateChanged { state, .. } => self.on_state_changed(*state, context, &mut facts),
            PrinterEvent::FileSelected { path, origin } => {
                self.on_file_selected(Some(FileRef { path: path.clone(), origin: origin.clone() }));
            }
            PrinterEvent::FileDeselected => self.on_file_selected(None),
            PrinterEvent::PrintStarted { path, origin } => {
                self.on_print_started(FileRef { path: path.clone(), origin: origin.clone() }, context, &mut facts);
            }
            PrinterEvent::PrintDone { path, time_s } => {
                let ending = Ending { result: PrintResult::Done, reason: None, time_s: *time_s };
                self.store_ending(path, ending, context);
            }
            PrinterEvent::PrintCancelled { path, time_s } => {
                self.store_ending(path, Ending { time_s: *time_s, ..Ending::cancelled(None) }, context);
            }
            PrinterEvent::PrintFailed { path, reason, error, time_s } => {
                let cancelled = reason.as_deref() == Some("cancelled");
                let result = if cancelled { PrintResult::Cancelled } else { PrintResult::Failed };
                // 2.0.0rc7 sends `unknown` for every error. Its event `Error` contains the text.
                let reason = error.clone().filter(|error| !cancelled && !error.is_empty() && error != "unknown");
                self.store_ending(path, Ending { result, reason, time_s: *time_s }, context);
            }
            PrinterEvent::Error { error } => {
                // An error may occur without a print.
                let behind = self.event_lag.is_behind();
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
            self.end_print(Ending::unknown(None), context, &mut facts);
        }
        facts
    }

    fn on_state_changed(&mut self, state: PrinterState, context: &TrackerContext, facts: &mut Vec<PrintFact>) {
        let closed = matches!(state, PrinterState::Offline | PrinterState::Error);
        let was_cut_off = self.current.as_ref().is_some_and(|current| current.cut_off);
        if was_cut_off && !closed && (state.is_idle() || state.is_active()) {
            // The printer is connected again, and no event reported how the print failed.
            self.end_print(Ending::unknown(None), context, facts);
        }
        let turn = self.event_lag.on_state_event(state);
        match turn {
            // The next event is `PrintStarted`, which contains the file.
            Transition::Begins if self.may_have_other_file() && state == PrinterState::Starting => {
                self.starting = Some(context.starting.clone());
            }
            Transition::Begins => self.begin_by_event(context, facts),
            Transition::Ends => match &mut self.current {
                // Measured: the event with the reason arrives before or after this one.
                Some(current) if closed && current.ending.is_none() => current.cut_off = true,
                _ => self.end_print(self.ending_by_state(), context, facts),
            },
            Transition::Nothing => {
                if let Some(current) = self.current.as_mut().filter(|_| state == PrinterState::Starting) {
                    current.restarted = current.announced;
                }
            }
        }
        if state.is_idle() {
            self.starting = None;
        } else if self.starting.is_some() && state.is_active() && state != PrinterState::Starting {
            self.begin_by_event(context, facts);
        }
        if self.event_lag.is_behind() || !(state.is_active() || state.is_idle()) {
            return;
        }
        if self.current.is_some() {
            (self.mark.state, self.marked_at) = (Some(self.latest_state(state)), Some(context.at));
        }
        self.follow_pause(state, context, facts);
        self.state = Some(state);
    }

    /// Stops waiting for events that are too late.
    pub(super) fn give_up_events(&mut self, at: DateTime<Utc>) {
        // The events of a print that is cut off have already ended it.
        let is_active = self.current.as_ref().is_some_and(|current| !current.cut_off);
        self.event_lag.give_up(is_active || self.starting.is_some(), at);
    }

    /// Returns whether the next print that events begin may have another file than the selected one.
    fn may_have_other_file(&self) -> bool {
        self.selected.is_none() || self.is_selection_ahead
    }

    fn begin_by_event(&mut self, context: &TrackerContext, facts: &mut Vec<PrintFact>) {
        let starting = self.starting.take().unwrap_or_else(|| context.starting.clone());
        let context = &TrackerContext { starting, ..context.clone() };
        let start = self.matching_start(self.selected.as_ref(), context.at, false, context);
        self.begin_print(context.fresh_ids[1], start, context, facts);
    }

    fn on_print_started(&mut self, file: FileRef, context: &TrackerContext, facts: &mut Vec<PrintFact>) {
        if !self.event_lag.accepts_event() {
            return;
        }
        (self.selected, self.is_selection_ahead) = (Some(file.clone()), false);
        // The print started again without an end: OctoPrint 1.11 does this when it restarts a paused print.
        if self.current.as_ref().is_some_and(|current| current.restarted) {
            if let Some(current) = self.current.as_mut() {
                current.ending.get_or_insert_with(|| Ending::cancelled(Some("started again".to_owned())));
            }
            self.end_print(Ending::unknown(None), context, facts);
        }
        if self.current.is_none() {
            self.begin_by_event(context, facts);
        }
        if let Some(current) = self.current.as_mut() {
            current.announced = true;
            current.file = Some(file);
        }
    }

    fn on_file_selected(&mut self, file: Option<FileRef>) {
        if self.current.is_none() && !self.event_lag.is_behind() {
            self.mark = JobMark {
                file: file.clone(),
                phase: MarkPhase::Left,
                started_by: self.started_by,
                ..JobMark::default()
            };
        }
        (self.selected, self.is_selection_ahead) = (file, false);
    }

    /// Stores how the print will end. A late event of an earlier print has another path or another print time.
    fn store_ending(&mut self, path: &str, ending: Ending, context: &TrackerContext) {
        let fits = ending.time_s.is_none_or(|time_s| self.is_plausible_print_time(time_s, context.at));
        let Some(current) = &self.current else {
            self.event_lag.accepts_end_event(fits);
            return;
        };
        let was_undecided = self.event_lag.is_undecided();
        let is_current = current.cut_off || self.event_lag.accepts_end_event(fits);
        if was_undecided && !is_current {
            // The print that began to end is an earlier one.
            self.mark.state = None;
        }
        if let Some(current) = self.current.as_mut()
            && is_current
            && current.ending.is_none()
            && current.file.as_ref().is_none_or(|file| path.is_empty() || file.path == path)
        {
            current.ending = Some(ending);
        }
    }

    /// Returns whether the active print may have this print time.
    fn is_plausible_print_time(&self, time_s: i64, at: DateTime<Utc>) -> bool {
        let (Some(known_s), Some(read_at)) = (self.mark.print_time_s, self.read_at) else { return true };
        let max_s = known_s + (at - read_at).num_seconds() + SLACK_S;
        (known_s - 1..=max_s).contains(&time_s)
    }
}
