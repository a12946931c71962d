//! Facts that the tracker reports when a print begins, pauses, resumes or ends.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{
    super::{By, Mark, Moment, PrintFact, PrintResult, StartSent},
    Doubt, Ending, Finding, OpenPrint, Tracker,
};
use crate::domain::{command::FileRef, state::PrinterState};

impl Tracker {
    pub(in crate::domain::print) fn follow_pause(
        &mut self,
        state: PrinterState,
        moment: &Moment,
        facts: &mut Vec<PrintFact>,
    ) {
        let before = self.state;
        let Some(current) = self.current.as_mut() else { return };
        match state {
            PrinterState::Paused if before != Some(PrinterState::Paused) && current.paused_by.is_none() => {
                let by = match (moment.pausing, before) {
                    (Some(command), _) => By::command(command),
                    (None, Some(_)) => By::printer(),
                    (None, None) => By::unknown(),
                };
                current.paused_by = Some(by);
                facts.push(PrintFact::Paused { id: current.id, by });
            }
            PrinterState::Printing | PrinterState::Resuming if current.paused_by.take().is_some() => {
                let by = moment.resuming.map_or_else(By::printer, By::command);
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
    pub(in crate::domain::print) fn start_of<'a>(
        &self,
        file: Option<&FileRef>,
        began: DateTime<Utc>,
        ended: bool,
        moment: &'a Moment,
    ) -> Option<&'a StartSent> {
        let start = moment.starting.as_ref().filter(|start| self.started_by != Some(start.command_id))?;
        let same_file = match (&start.file, file) {
            (Some(wanted), Some(file)) => wanted.path == file.path,
            (Some(_), None) => !self.gap,
            (None, _) => true,
        };
        // A print that begins while the printer is watched and a start is in flight is the effect of that start.
        let watched = !self.gap && !start.by_previous_run;
        (same_file && start.is_followed_by(began, watched || ended)).then_some(start)
    }

    /// Returns the author of a print and the print's id.
    pub(in crate::domain::print) fn author(&mut self, start: Option<&StartSent>, fresh_id: Uuid) -> (By, Uuid) {
        match start {
            Some(start) => {
                self.started_by = Some(start.command_id);
                (By::command(start.command_id), start.print_id.unwrap_or(fresh_id))
            }
            None => (self.no_command(), fresh_id),
        }
    }

    /// Returns the author of a change that no command caused.
    pub(in crate::domain::print) fn no_command(&self) -> By {
        if self.gap { By::unknown() } else { By::printer() }
    }

    pub(in crate::domain::print) fn begin(
        &mut self,
        fresh_id: Uuid,
        start: Option<&StartSent>,
        moment: &Moment,
        facts: &mut Vec<PrintFact>,
    ) {
        let (by, id) = self.author(start, fresh_id);
        let file = self.selected.clone();
        (self.doubt, self.starting) = (None, None);
        self.mark = Mark { started_by: self.started_by, ..Mark::of_begun(id, file.clone()) };
        self.marked_at = Some(moment.at);
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
        facts.push(PrintFact::Began { id, file, at: moment.at, by });
    }

    /// Ends the print. Its events decide how it ended, otherwise a reading, otherwise `otherwise`.
    pub(in crate::domain::print) fn end(&mut self, otherwise: Ending, moment: &Moment, facts: &mut Vec<PrintFact>) {
        let Some(current) = self.current.take() else { return };
        let by_state = self.ending_by_state();
        let (at, shown, idle, by_command) = match self.doubt.take() {
            Some(Doubt { since, finding: Finding::Ended(shown), mark, idle, by_command }) => {
                // Events after the reading may contain more.
                let shown = if shown.result == PrintResult::Unknown { by_state } else { shown };
                (since, shown, Some(mark).filter(|_| idle), by_command)
            }
            _ => (moment.at, otherwise, None, None),
        };
        let shown = if current.cut_off { Ending { result: PrintResult::Failed, ..shown } } else { shown };
        let Ending { result, reason, time_s } = current.ending.unwrap_or(shown);
        let reason = reason.or(current.error.filter(|_| result == PrintResult::Failed));
        let by = match by_command.or_else(|| moment.ending_command()) {
            // A print that is done or has failed would have ended like this without the command.
            Some(command) if matches!(result, PrintResult::Cancelled | PrintResult::Unknown) => By::command(command),
            _ => self.no_command(),
        };
        let left = idle.unwrap_or_else(|| Mark::left(current.file, result, time_s));
        let left = Mark { started_by: self.started_by, ..left };
        self.mark = left.clone();
        self.marked_at = Some(at);
        facts.push(PrintFact::Ended { id: current.id, at, result, reason, by, left });
    }
}
