//! Print tracking over gaps: finds what happened while events and readings were missing.

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::{
    JobMark, MarkPhase, PrintActor, PrintFact, PrintResult, TrackerContext, ending::Ending, tracker::PrintTracker,
};
use crate::domain::{
    command::FileRef,
    reading::{JobReading, PrinterEvent},
    state::PrinterState,
};

const NOT_OBSERVED: &str = "end not seen";
/// Tolerance in seconds when prints before and after a gap are compared: duration of readings, and rounding to whole
/// seconds.
const TOLERANCE_S: i64 = 5;
/// A gap that is no longer than the time between two polls of an idle printer.
const SHORT_GAP: TimeDelta = TimeDelta::seconds(5);

impl PrintTracker {
    /// Compares the first reading after a gap with the known state. A print counts as the same only if no observation
    /// contradicts this. Returns `true` if the reading showed the end of a print that began within the gap.
    pub(super) fn after_gap(
        &mut self,
        reading: &JobReading,
        mark: &JobMark,
        context: &TrackerContext,
        facts: &mut Vec<PrintFact>,
    ) -> bool {
        let last_observed_at = self.marked_at;
        facts.extend(self.accept_unconfirmed(context));
        // It was not observed who paused a print that is paused now.
        self.state = None;
        let not_observed = || Some(NOT_OBSERVED.to_owned());
        let had_print = self.current.is_some();
        let same = match reading.state {
            state if state.is_active() => self.is_same_after_gap(state, mark, context.at),
            PrinterState::Operational => {
                mark.file.is_none() || (self.has_same_file(mark) && !self.is_started_over(mark))
            }
            // The print may have ended long before its printer was switched off, unless its connection was observed to
            // break.
            PrinterState::Offline | PrinterState::Error | PrinterState::Connecting => {
                self.current.as_ref().is_some_and(|print| print.cut_off)
            }
            _ => true,
        };
        if had_print && !same {
            self.end_print(Ending { reason: not_observed(), ..self.ending_by_state() }, context, facts);
        } else if had_print && (reading.state.is_idle() || reading.state == PrinterState::Connecting) {
            self.end_print(self.ending_by_reading(reading, mark), context, facts);
        }
        let another = match (had_print, same) {
            // The reading shows a print that was done. It cannot be the print that was active.
            (true, false) => mark.is_done(),
            (true, true) => false,
            (false, _) => !self.mark.explains(mark) && (mark.is_done() || !self.is_short_gap(context)),
        };
        let another = another && reading.state == PrinterState::Operational;
        if another {
            if let Some(PrintFact::Ended { mark_after: left, .. }) = facts.last_mut() {
                // The reading shows the other print. If the server is killed before that print is stored, the next
                // reading finds it again.
                *left = JobMark {
                    file: left.file.take(),
                    phase: MarkPhase::Left,
                    started_by: left.started_by,
                    ..JobMark::default()
                };
            }
            self.begin_and_end(
                context.fresh_ids[1],
                JobMark { phase: MarkPhase::Idle, ..mark.clone() },
                not_observed(),
                last_observed_at,
                context,
                facts,
            );
        }
        another
    }

    /// Returns the facts of a print that Printyard started, and that only the print counters of its file show.
    pub fn record_from_counters(
        &mut self,
        file: FileRef,
        result: PrintResult,
        context: &TrackerContext,
    ) -> Vec<PrintFact> {
        let start = self.matching_start(Some(&file), context.at, true, context);
        let (by, id) = self.resolve_author(start, context.fresh_ids[0]);
        let at = context.at;
        // This print explains whatever an idle printer shows next.
        self.mark = JobMark { file: Some(file.clone()), started_by: self.started_by, ..JobMark::default() };
        let began = PrintFact::Began { id, file: Some(file), at, by };
        vec![
            began,
            PrintFact::Ended { id, at, result, reason: None, by: PrintActor::printer(), mark_after: self.mark.clone() },
        ]
    }

    /// Records a print of which only the end is observed. `mark_after` was read from the idle printer. The print began
    /// after `last_observed_at`.
    pub(super) fn begin_and_end(
        &mut self,
        id: Uuid,
        mark_after: JobMark,
        reason: Option<String>,
        last_observed_at: Option<DateTime<Utc>>,
        context: &TrackerContext,
        facts: &mut Vec<PrintFact>,
    ) {
        let result = if mark_after.is_done() { PrintResult::Done } else { PrintResult::Unknown };
        let began = context.at - TimeDelta::seconds(mark_after.print_time_s.unwrap_or_default());
        let start = self.matching_start(mark_after.file.as_ref(), began, true, context);
        // If the print was not done, it is unknown whether it was begun by the sent start.
        let start = start.filter(|start| result == PrintResult::Done && start.may_begin_after(last_observed_at));
        let (by, id) = self.resolve_author(start, id);
        let at = context.at;
        let mark_after = JobMark { started_by: self.started_by, ..mark_after };
        self.mark = mark_after.clone();
        self.marked_at = Some(at);
        facts.push(PrintFact::Began { id, file: mark_after.file.clone(), at, by });
        let by = self.non_command_author();
        facts.push(PrintFact::Ended { id, at, result, reason, by, mark_after });
    }

    /// Returns whether the waiting events begin a print of another file than the selected one.
    pub(super) fn has_other_file_waiting(&self, now: &JobMark) -> bool {
        let selected = now.file.as_ref().map(|file| file.path.as_str());
        let is_other = |event: &PrinterEvent| matches!(event, PrinterEvent::PrintStarted { path, .. } if Some(path.as_str()) != selected);
        self.waiting.iter().any(is_other)
    }

    /// Returns whether another file or progress is only a selection, as between two polls: the printer was observed a
    /// moment ago, and no start was sent that may have printed since.
    fn is_short_gap(&self, context: &TrackerContext) -> bool {
        let is_short = self.marked_at.is_some_and(|at| (TimeDelta::zero()..=SHORT_GAP).contains(&(context.at - at)));
        is_short && context.starting.is_none()
    }

    fn has_same_file(&self, now: &JobMark) -> bool {
        let known = self.current.as_ref().and_then(|current| current.file.as_ref());
        known.is_none_or(|known| now.file.as_ref() == Some(known))
    }

    fn is_same_after_gap(&self, state: PrinterState, now: &JobMark, at: DateTime<Utc>) -> bool {
        if self.has_ended_before(state) || !self.has_same_file(now) || self.is_started_over(now) {
            return false;
        }
        // The print time does not advance while the print is paused, or while a script runs after it.
        let was_paused = matches!(self.mark.state, Some(PrinterState::Pausing | PrinterState::Paused))
            || self.current.as_ref().is_some_and(|current| current.paused_by.is_some());
        if state == PrinterState::Finishing || (was_paused && state == PrinterState::Paused) {
            return true;
        }
        let last = &self.mark;
        let (Some(printed), Some(marked_at)) = (now.print_time_s, self.marked_at) else { return true };
        // A print that moved, and whose print time is shorter than the gap, may have begun within the gap.
        let gap_s = (at - marked_at).num_seconds();
        let progress = |mark: &JobMark| (mark.file_position.filter(|position| *position > 0), mark.print_time_s);
        let is_unmoved = progress(last).0.is_some() && progress(last) == progress(now);
        // The print time was already longer than the gap at the last reading. A copy that began within the gap cannot
        // have reached it.
        let is_older = last.print_time_s.is_some_and(|age| age > gap_s + 1);
        is_unmoved || is_older || printed + TOLERANCE_S >= gap_s
    }

    /// Returns whether the position went backwards: the file was started again.
    pub(super) fn is_started_over(&self, now: &JobMark) -> bool {
        let last = &self.mark;
        self.current.as_ref().is_some_and(|current| last.phase == MarkPhase::Print(current.id))
            && last.file == now.file
            && (matches!((last.file_position, now.file_position), (Some(then), Some(now)) if now < then)
                || matches!((last.print_time_s, now.print_time_s), (Some(then), Some(now)) if now + 1 < then))
    }
}
