//! Prints have an identity: OctoPrint's have none.
//!
//! The [`Tracker`] follows one printer by what is read and what its events tell, and says when a print began,
//! paused, resumed and ended, whoever did it. A path cannot tell copy 17 from copy 18, so after a gap in watching a
//! print counts as the same only where nothing speaks against it.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

mod fact;
mod gap;

pub use fact::PrintFact;

use super::{
    command::{FileRef, words},
    reading::{JobReading, PrinterEvent},
    state::PrinterState,
};

words! {
    /// How a print ended.
    PrintResult { Done = "done", Failed = "failed", Cancelled = "cancelled", Unknown = "unknown", }
}

words! {
    /// Who did something to a print.
    ActorKind { Command = "command", Printer = "printer", Unknown = "unknown", }
}

/// Who started or paused a print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct By {
    pub kind: ActorKind,
    pub command_id: Option<Uuid>,
}

impl By {
    /// One of Printyard's commands.
    pub fn command(id: Uuid) -> Self {
        Self { kind: ActorKind::Command, command_id: Some(id) }
    }

    /// Somebody at the printer, or another program.
    pub fn printer() -> Self {
        Self { kind: ActorKind::Printer, command_id: None }
    }

    /// Nobody was watching.
    pub fn unknown() -> Self {
        Self { kind: ActorKind::Unknown, command_id: None }
    }
}

/// One print, as it is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Print {
    pub id: Uuid,
    pub printer_id: Uuid,
    /// Unknown where the print was never seen with its file.
    pub file: Option<FileRef>,
    pub started_at: DateTime<Utc>,
    pub ended_at: Option<DateTime<Utc>>,
    pub result: Option<PrintResult>,
    /// The firmware's or OctoPrint's own words.
    pub reason: Option<String>,
    pub started_by: By,
    pub paused_by: Option<By>,
    /// The batch of the command that started it.
    pub batch_id: Option<Uuid>,
    /// The reference of that batch.
    pub external_ref: Option<String>,
}

/// The command that started a print, its batch, and the batch's reference. All absent where no command started it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PrintOrigin {
    pub command_id: Option<Uuid>,
    pub batch_id: Option<Uuid>,
    pub external_ref: Option<String>,
}

/// Where the file of a print stood when it was last read; survives a restart.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Mark {
    pub file: Option<FileRef>,
    /// 0 to 100.
    pub completion: Option<f64>,
    pub file_position: Option<u64>,
    pub print_time_s: Option<i64>,
}

impl Mark {
    /// The mark of a reading.
    pub fn of(reading: &JobReading) -> Self {
        Self {
            file: reading.file.as_ref().map(file_ref),
            completion: reading.progress.completion,
            file_position: reading.progress.file_position,
            print_time_s: reading.progress.print_time_s,
        }
    }
}

/// The identity of a reading's file.
pub fn file_ref(file: &super::reading::JobFile) -> FileRef {
    FileRef { path: file.path.clone(), origin: file.origin.clone() }
}

/// The print that a printer has now.
#[derive(Debug, Clone, PartialEq)]
pub struct OpenPrint {
    pub id: Uuid,
    pub file: Option<FileRef>,
    pub paused_by: Option<By>,
    pub started_by: By,
    /// `PrintStarted` has come for it.
    announced: bool,
    /// How it ends, told before it has.
    ending: Option<(PrintResult, Option<String>)>,
    /// The firmware's last words. It may survive them.
    words: Option<String>,
    /// Its connection has been closed; how it ended is about to be told, or read.
    cut_off: bool,
}

/// What the tracker must know of a moment: the time, a fresh id, and whose commands are on the wire.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    pub at: DateTime<Utc>,
    /// Used if a print begins.
    pub fresh_id: Uuid,
    /// Printyard's own start that was sent and is not settled.
    pub starting: Option<Uuid>,
    /// Printyard's own pause that was sent and is not settled.
    pub pausing: Option<Uuid>,
    /// Printyard's own resume that was sent and is not settled.
    pub resuming: Option<Uuid>,
    /// Printyard's own cancel that was sent and is not settled.
    pub cancelling: Option<Uuid>,
}

/// Follows the prints of one printer.
#[derive(Debug, Clone, Default)]
pub struct Tracker {
    current: Option<OpenPrint>,
    state: Option<PrinterState>,
    selected: Option<FileRef>,
    mark: Option<Mark>,
    /// When the mark was made; the width of a gap is judged by it.
    marked_at: Option<DateTime<Utc>>,
    /// Nobody watched until the next reading.
    gap: bool,
}

impl Tracker {
    /// Takes up the watch where it was left, from what was kept.
    pub fn resume(print: Option<&Print>, mark: Option<(Mark, DateTime<Utc>)>) -> Self {
        let (mark, marked_at) = mark.unzip();
        Self {
            current: print.map(|print| OpenPrint {
                id: print.id,
                file: print.file.clone(),
                paused_by: print.paused_by,
                started_by: print.started_by,
                announced: true,
                ending: None,
                words: None,
                cut_off: false,
            }),
            selected: mark.as_ref().and_then(|mark: &Mark| mark.file.clone()),
            state: None,
            mark,
            marked_at,
            gap: true,
        }
    }

    /// The print that is under way.
    pub fn current(&self) -> Option<&OpenPrint> {
        self.current.as_ref()
    }

    /// The file that is selected, as far as events and readings told.
    pub fn selected(&self) -> Option<&FileRef> {
        self.selected.as_ref()
    }

    /// Events may have been missed from here to the next reading.
    pub fn lose_sight(&mut self) {
        self.gap = true;
    }

    /// A pause of Printyard's was confirmed after the fact (its reply was lost): it is whose pause this is.
    pub fn credit_pause(&mut self, command_id: Uuid) -> Option<PrintFact> {
        let current = self.current.as_mut()?;
        let by = By::command(command_id);
        if current.paused_by == Some(by) {
            return None;
        }
        current.paused_by = Some(by);
        Some(PrintFact::Paused { id: current.id, by })
    }

    /// Takes in an answer of `GET /api/job`.
    pub fn on_reading(&mut self, reading: &JobReading, moment: Moment) -> Vec<PrintFact> {
        let mut facts = Vec::new();
        let mark = Mark::of(reading);
        if self.gap {
            self.after_gap(reading, &mark, moment, &mut facts);
        } else if reading.state.is_active() && self.is_started_over(&mark) {
            self.end(moment, PrintResult::Unknown, None, &mut facts);
        } else if reading.state == PrinterState::Operational && self.ran_between_looks(&mark) {
            self.begin_and_end(&mark, PrintResult::Done, None, moment, &mut facts);
        }
        self.selected.clone_from(&mark.file);
        let told_by_reading = match reading.state {
            PrinterState::Operational if mark.completion == Some(100.0) => (PrintResult::Done, None),
            PrinterState::Operational if mark.completion.is_none() && mark.file.is_some() => {
                (PrintResult::Cancelled, None)
            }
            PrinterState::Offline | PrinterState::Error => (PrintResult::Failed, reading.error.clone()),
            _ => (PrintResult::Unknown, None),
        };
        self.move_to(reading.state, told_by_reading, moment, &mut facts);
        self.gap = false;
        if let (Some(current), Some(file)) = (self.current.as_mut(), &mark.file)
            && current.file.is_none()
        {
            current.file = Some(file.clone());
        }
        self.mark = Some(mark);
        self.marked_at = Some(moment.at);
        facts
    }

    /// Takes in an event. Of `PrintPaused` nothing is believed: it comes late, and even for a pause that was lost.
    pub fn on_event(&mut self, event: &PrinterEvent, moment: Moment) -> Vec<PrintFact> {
        let mut facts = Vec::new();
        match event {
            PrinterEvent::StateChanged { state, .. } => {
                let closed = matches!(state, PrinterState::Offline | PrinterState::Error);
                match self.current.as_mut().filter(|current| closed && current.ending.is_none()) {
                    // Measured: what it failed of comes before or after this, in any order.
                    Some(current) => {
                        current.cut_off = true;
                        self.state = Some(*state);
                    }
                    None => self.move_to(*state, (PrintResult::Unknown, None), moment, &mut facts),
                }
            }
            PrinterEvent::FileSelected { path, origin } => {
                self.selected = Some(FileRef { path: path.clone(), origin: origin.clone() });
            }
            PrinterEvent::FileDeselected => self.selected = None,
            PrinterEvent::PrintStarted { path, origin } => {
                let file = FileRef { path: path.clone(), origin: origin.clone() };
                self.selected = Some(file.clone());
                // Begun once more without an end between: OctoPrint 1.11 restarts a paused print so.
                let again = self.current.as_ref().is_some_and(|current| {
                    current.announced || current.file.as_ref().is_some_and(|known| *known != file)
                });
                if again {
                    self.end(moment, PrintResult::Cancelled, Some("started again".to_owned()), &mut facts);
                }
                if self.current.is_none() {
                    self.begin(moment, &mut facts);
                }
                if let Some(current) = self.current.as_mut() {
                    current.announced = true;
                    current.file = Some(file);
                }
            }
            PrinterEvent::PrintDone { path } => self.will_end(path, PrintResult::Done, None),
            PrinterEvent::PrintCancelled { path } => self.will_end(path, PrintResult::Cancelled, None),
            PrinterEvent::PrintFailed { path, reason, error } => {
                let cancelled = reason.as_deref() == Some("cancelled");
                let result = if cancelled { PrintResult::Cancelled } else { PrintResult::Failed };
                // 2.0.0rc7 says `unknown` for every error; its event `Error` had the words.
                let error = error.clone().filter(|error| !cancelled && !error.is_empty() && error != "unknown");
                self.will_end(path, result, error);
                if self.current.as_ref().is_some_and(|current| current.cut_off) {
                    self.end(moment, result, None, &mut facts);
                }
            }
            PrinterEvent::Error { error } => {
                if let Some(current) = self.current.as_mut() {
                    current.words = Some(error.clone());
                }
            }
            PrinterEvent::PrintPaused { .. }
            | PrinterEvent::PrintResumed { .. }
            | PrinterEvent::Connected
            | PrinterEvent::Disconnected => {}
        }
        facts
    }

    /// Moves along with the printer's state; `told` is how a print ended if no event said so.
    fn move_to(
        &mut self,
        state: PrinterState,
        told: (PrintResult, Option<String>),
        moment: Moment,
        facts: &mut Vec<PrintFact>,
    ) {
        if state == PrinterState::Unknown {
            return;
        }
        let before = self.state.replace(state);
        if state.is_active() {
            // Also in Finishing or Cancelling: a short print between two looks is seen at its end only.
            if self.current.is_none() {
                self.begin(moment, facts);
            }
            self.follow_pause(before, state, moment, facts);
        } else if state != PrinterState::Connecting {
            self.end(moment, told.0, told.1, facts);
        }
    }

    fn follow_pause(
        &mut self,
        before: Option<PrinterState>,
        state: PrinterState,
        moment: Moment,
        facts: &mut Vec<PrintFact>,
    ) {
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

    fn begin(&mut self, moment: Moment, facts: &mut Vec<PrintFact>) {
        let by = match (moment.starting, self.gap) {
            (Some(command), _) => By::command(command),
            (None, true) => By::unknown(),
            (None, false) => By::printer(),
        };
        let file = self.selected.clone();
        self.mark = None;
        self.current = Some(OpenPrint {
            id: moment.fresh_id,
            file: file.clone(),
            paused_by: None,
            started_by: by,
            announced: false,
            ending: None,
            words: None,
            cut_off: false,
        });
        facts.push(PrintFact::Began { id: moment.fresh_id, file, at: moment.at, by });
    }

    /// How the print ends. What is told late of the print before has another path, or comes where nothing ends yet.
    fn will_end(&mut self, path: &str, result: PrintResult, reason: Option<String>) {
        if let Some(current) = self.current.as_mut()
            && current.ending.is_none()
            && current.file.as_ref().is_none_or(|file| path.is_empty() || file.path == path)
        {
            current.ending = Some((result, reason));
        }
    }

    /// Ends the print, as its events told it, or else as `told` by the state.
    fn end(&mut self, moment: Moment, told: PrintResult, reason: Option<String>, facts: &mut Vec<PrintFact>) {
        let Some(current) = self.current.take() else { return };
        // Of a print that is over: what is read next must not look like another one.
        self.mark = None;
        let told = if current.cut_off { PrintResult::Failed } else { told };
        let (result, reason) = current.ending.unwrap_or((told, reason));
        let reason = reason.or(current.words.filter(|_| result == PrintResult::Failed));
        let by = match moment.cancelling.or(moment.starting) {
            // What is done or has failed would have ended so without it.
            Some(command) if matches!(result, PrintResult::Cancelled | PrintResult::Unknown) => By::command(command),
            _ if self.gap => By::unknown(),
            _ => By::printer(),
        };
        facts.push(PrintFact::Ended { id: current.id, at: moment.at, result, reason, by });
    }
}

#[cfg(test)]
mod tests;
