//! Facts that the tracker reports when a print begins, pauses, resumes or ends.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{
    super::ending::Ending,
    super::{JobMark, PrintActor, PrintFact, PrintResult, SentStart, TrackerContext},
    Finding, OpenPrint, PrintTracker, UnconfirmedReading,
};
use crate::domain::{command::FileRef, state::PrinterState};

impl PrintTracker {
    pub(in crate::domain::print) fn follow_pause(
        &mut self,
        state: PrinterState,
        context: &TrackerContext,
        facts: &mut Vec<PrintFact>,
    ) {
        let before = self.state;
        let Some(current) = self.current.as_mut() else { return };
        match state {
            PrinterState::Paused if before != Some(PrinterState::Paused) && current.paused_by.is_none() => {
                let by = match (context.pausing, before) {
                    (Some(command), _) => PrintActor::command(command),
                    (None, Some(_)) => PrintActor::printer(),
                    (None, None) => PrintActor::unknown(),
                };
                current.paused_by = Some(by);
                facts.push(PrintFact::Paused { id: current.id, by });
            }
            PrinterState::Printing | PrinterState::Resuming if current.paused_by.take().is_some() => {
                let by = context.resuming.map_or_else(PrintActor::printer, PrintActor::command);
                facts.push(PrintFact::Resumed { id: current.id, by });
            }
            _ => {}
        }
    }

    /// Sets the selected file after a start that names a file was sent, because no event reports the selection. `None`:
    /// its reply was lost, so the selection is unknown until the next reading.
    pub fn assume_selected(&mut self, file: Option<FileRef>) {
        self.selected = file;
    }

    /// Returns the sent start if it caused a print of this file. `began` is the latest time at which the print began.
    /// `ended`: the print is over, and may have begun long before.
    pub(in crate::domain::print) fn matching_start<'a>(
        &self,
        file: Option<&FileRef>,
        began: DateTime<Utc>,
        ended: bool,
        context: &'a TrackerContext,
    ) -> Option<&'a SentStart> {
        let start = context.starting.as_ref().filter(|start| self.started_by != Some(start.command_id))?;
        let same_file = match (&start.file, file) {
            (Some(wanted), Some(file)) => wanted.path == file.path,
            (Some(_), None) => !self.in_gap,
            (None, _) => true,
        };
        // A print that begins while the printer is watched and a start is in flight is the effect of that start.
        let watched = !self.in_gap && !start.by_previous_run;
        (same_file && start.fits_print(began, watched || ended)).then_some(start)
    }

    /// Returns the author of a print and the print's id.
    pub(in crate::domain::print) fn resolve_author(
        &mut self,
        start: Option<&SentStart>,
        fresh_id: Uuid,
    ) -> (PrintActor, Uuid) {
        match start {
            Some(start) => {
                self.started_by = Some(start.command_id);
                (PrintActor::command(start.command_id), start.print_id.unwrap_or(fresh_id))
            }
            None => (self.non_command_author(), fresh_id),
        }
    }

    /// Returns the author of a change that no command caused.
    pub(in crate::domain::print) fn non_command_author(&self) -> PrintActor {
        if self.in_gap { PrintActor::unknown() } else { PrintActor::printer() }
    }

    pub(in crate::domain::print) fn begin_print(
        &mut self,
        fresh_id: Uuid,
        start: Option<&SentStart>,
        context: &TrackerContext,
        facts: &mut Vec<PrintFact>,
    ) {
        let (by, id) = self.resolve_author(start, fresh_id);
        let file = self.selected.clone();
        (self.unconfirmed, self.starting) = (None, None);
        self.mark = JobMark { started_by: self.started_by, ..JobMark::for_new_print(id, file.clone()) };
        self.marked_at = Some(context.at);
        self.current = Some(OpenPrint {
            id,
            file: file.clone(),
            paused_by: None,
            started_by: by,
            announced: false,
            restarted: false,
            ending: None,
            error: None,
            cut_off: false,
        });
        facts.push(PrintFact::Began { id, file, at: context.at, by });
    }

    /// Ends the print. Its events decide how it ended, otherwise a reading, otherwise `fallback`.
    pub(in crate::domain::print) fn end_print(
        &mut self,
        fallback: Ending,
        context: &TrackerContext,
        facts: &mut Vec<PrintFact>,
    ) {
        let Some(current) = self.current.take() else { return };
        let by_state = self.ending_by_state();
        let (at, shown, idle_mark, by_command) = match self.unconfirmed.take() {
            Some(UnconfirmedReading { since, finding: Finding::Ended(shown), mark, is_idle, by_command }) => {
                // Events after the reading may contain more.
                let shown = if shown.result == PrintResult::Unknown { by_state } else { shown };
                (since, shown, Some(mark).filter(|_| is_idle), by_command)
            }
            _ => (context.at, fallback, None, None),
        };
        let shown = if current.cut_off { Ending { result: PrintResult::Failed, ..shown } } else { shown };
        let Ending { result, reason, time_s } = current.ending.unwrap_or(shown);
        let reason = reason.or(current.error.filter(|_| result == PrintResult::Failed));
        let by = match by_command.or_else(|| context.ending_command()) {
            // A print that is done or has failed would have ended like this without the command.
            Some(command) if matches!(result, PrintResult::Cancelled | PrintResult::Unknown) => {
                PrintActor::command(command)
            }
            _ => self.non_command_author(),
        };
        let mark_after = idle_mark.unwrap_or_else(|| JobMark::after_print(current.file, result, time_s));
        let mark_after = JobMark { started_by: self.started_by, ..mark_after };
        self.mark = mark_after.clone();
        self.marked_at = Some(at);
        facts.push(PrintFact::Ended { id: current.id, at, result, reason, by, mark_after });
    }
}
