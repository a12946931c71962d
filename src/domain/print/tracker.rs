//! Follows the prints of one printer by its readings and its events.

mod changes;

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::{
    By, Mark, MarkOf, Moment, Print, PrintFact, PrintResult, StartSent,
    stream::{First, Stream},
};
use crate::domain::{
    command::FileRef,
    reading::{JobReading, PrinterEvent},
    state::PrinterState,
};

/// A reading that contradicts the events is believed after this time: the events know how a print ended.
const GRACE: TimeDelta = TimeDelta::seconds(3);
/// A connection is opened at most so long before its first reading.
const YOUNG_S: i64 = 6;

/// The print that a printer has now.
#[derive(Debug, Clone, PartialEq)]
pub struct OpenPrint {
    pub id: Uuid,
    pub file: Option<FileRef>,
    pub paused_by: Option<By>,
    pub started_by: By,
    /// `PrintStarted` has come for it.
    pub(super) announced: bool,
    /// It has begun again, without an end between.
    pub(super) restarted: bool,
    /// How it ends, by an event that comes before the end.
    pub(super) ending: Option<Ending>,
    /// The firmware's last error. The print may survive it.
    pub(super) error: Option<String>,
    /// Its connection has been closed. How it ended is about to be reported, or read.
    pub(super) cut_off: bool,
}

/// How a print ends.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Ending {
    pub result: PrintResult,
    pub reason: Option<String>,
    /// The print time, where it was printed to its end.
    pub time_s: Option<i64>,
}

/// A reading that the events have not confirmed yet.
#[derive(Debug, Clone)]
pub(super) struct Doubt {
    pub since: DateTime<Utc>,
    finding: Finding,
    /// What the reading showed.
    pub(super) mark: Mark,
    /// It showed an idle printer; otherwise it showed another print.
    pub(super) idle: bool,
    /// The command that may have ended the print.
    by_command: Option<Uuid>,
}

/// What a reading shows beyond what is known.
#[derive(Debug, Clone)]
enum Finding {
    /// The print that was active has ended.
    Ended(Ending),
    /// A print began and was done since the last reading.
    Ran,
}

/// Follows the prints of one printer.
#[derive(Debug, Clone, Default)]
pub struct Tracker {
    pub(super) current: Option<OpenPrint>,
    pub(super) state: Option<PrinterState>,
    pub(super) selected: Option<FileRef>,
    /// A reading showed that file, and events of an earlier one may be on their way.
    pub(super) is_selection_ahead: bool,
    pub(super) mark: Mark,
    /// The last sign of it.
    pub(super) marked_at: Option<DateTime<Utc>>,
    /// When it was read.
    pub(super) read_at: Option<DateTime<Utc>>,
    /// Events may have been missed since the last reading or event.
    pub(super) gap: bool,
    /// A print of an unknown file begins by its events, the next of which names the file. With the start that may have caused
    /// it.
    pub(super) starting: Option<Option<StartSent>>,
    /// Events that came within the gap.
    pub(super) waiting: Vec<PrinterEvent>,
    pub(super) stream: Stream,
    /// The command that started a print last: each starts one.
    pub(super) started_by: Option<Uuid>,
    pub(super) doubt: Option<Doubt>,
}

impl Tracker {
    /// Continues from what is stored: the print that had not ended, and the last mark with its time.
    pub fn resume(print: Option<&Print>, mark: Option<(Mark, DateTime<Utc>)>) -> Self {
        let (mark, marked_at) = mark.unzip();
        let mark = mark.unwrap_or_default();
        let started_by = mark.started_by;
        let mut tracker =
            Self { selected: mark.file.clone(), started_by, mark, marked_at, gap: true, ..Self::default() };
        if let Some(print) = print {
            if tracker.mark.of != MarkOf::Print(print.id) {
                // An older one, or none: what is known of the print is its start.
                tracker.mark = Mark::of_begun(print.id, print.file.clone());
                tracker.marked_at = Some(print.started_at);
            }
            tracker.started_by = print.started_by.command_id.or(started_by);
            let closed = matches!(tracker.mark.state, Some(PrinterState::Offline | PrinterState::Error));
            tracker.current = Some(OpenPrint {
                id: print.id,
                file: print.file.clone(),
                paused_by: print.paused_by,
                started_by: print.started_by,
                announced: true,
                restarted: false,
                ending: None,
                error: None,
                cut_off: closed,
            });
        }
        tracker
    }

    /// The active print.
    pub fn current(&self) -> Option<&OpenPrint> {
        self.current.as_ref()
    }

    /// The selected file, by the last reading or event.
    pub fn selected(&self) -> Option<&FileRef> {
        self.selected.as_ref()
    }

    /// What is to be stored, so that the server continues from it.
    pub fn mark(&self) -> &Mark {
        &self.mark
    }

    /// A reading contradicts the events: another one is needed soon.
    pub fn is_in_doubt(&self) -> bool {
        self.doubt.is_some()
    }

    /// Events may be missed from here to the next reading.
    pub fn lose_sight(&mut self) {
        (self.gap, self.starting) = (true, None);
        self.waiting.clear();
    }

    /// The events that came within a gap. They are older or newer than the reading that ended it, and are to be
    /// given again.
    pub fn take_waiting(&mut self) -> Vec<PrinterEvent> {
        std::mem::take(&mut self.waiting)
    }

    /// A pause of Printyard's was confirmed after the fact, since its reply was lost: the pause belongs to it.
    pub fn credit_pause(&mut self, command_id: Uuid) -> Option<PrintFact> {
        let current = self.current.as_mut()?;
        let by = By::command(command_id);
        if current.paused_by == Some(by) {
            return None;
        }
        current.paused_by = Some(by);
        Some(PrintFact::PauseCredited { id: current.id, by })
    }

    /// Takes an answer of `GET /api/job`.
    pub fn on_reading(&mut self, reading: &JobReading, moment: &Moment) -> Vec<PrintFact> {
        let mut facts = Vec::new();
        let mark = Mark::of_reading(reading);
        let known = self.current.as_ref().map(|current| current.id);
        let mut found = false;
        if self.gap {
            found = self.after_gap(reading, &mark, moment, &mut facts);
        } else {
            self.give_up_events(moment.at);
            if !self.believe(reading, &mark, moment, &mut facts) {
                return facts;
            }
        }
        if self.selected != mark.file {
            self.is_selection_ahead = moment.pushed && (!self.gap || self.has_other_file_waiting(&mark));
            self.selected.clone_from(&mark.file);
        }
        if reading.state.is_active() {
            if self.current.is_none() {
                self.begin_as_read(moment.fresh_ids[1], mark.clone(), moment, &mut facts);
            }
            self.follow_pause(reading.state, moment, &mut facts);
        }
        if self.gap || !moment.pushed {
            self.restart_stream(&mark, known, found, moment);
        }
        self.gap = false;
        self.note(reading.state, mark, moment.at);
        facts
    }

    /// Expects events from now on. `known`: the print that was active before. `found`: the reading showed the end of a print
    /// that began within the gap.
    fn restart_stream(&mut self, mark: &Mark, known: Option<Uuid>, found: bool, moment: &Moment) {
        let ends = mark.state.is_some_and(is_ending);
        // A print that is about to end began before its end, and one that waits behind an end is another one.
        let mut turns = self.waiting.iter().filter_map(|event| match event {
            PrinterEvent::StateChanged { state: PrinterState::Starting, .. } => Some(true),
            PrinterEvent::StateChanged { state: PrinterState::Operational, .. } => Some(false),
            _ => None,
        });
        let is_new = if ends || found { turns.next() == Some(true) } else { turns.any(|begins| begins) };
        let is_young = mark.print_time_s.unwrap_or_default() <= YOUNG_S;
        let first = match &mut self.current {
            None if found && is_new && moment.pushed && is_young && mark.is_done() => First::Ran,
            None => First::Idle,
            Some(current) if Some(current.id) != known && is_new && is_young => First::New,
            Some(current) if Some(current.id) != known && moment.pushed && is_young => {
                if ends {
                    First::Ending
                } else {
                    First::Recent
                }
            }
            Some(current) => {
                current.announced = true;
                First::Old
            }
        };
        self.stream.restart(first, moment.at);
    }

    /// Keeps what a reading shows.
    fn note(&mut self, state: PrinterState, mark: Mark, at: DateTime<Utc>) {
        if !state.is_active() && !state.is_idle() {
            return;
        }
        self.state = Some(state);
        let shown = Some(self.latest_state(state));
        let of = match &mut self.current {
            Some(current) => {
                current.file = current.file.take().or_else(|| mark.file.clone());
                MarkOf::Print(current.id)
            }
            None => MarkOf::Idle,
        };
        self.mark = Mark { of, state: shown, started_by: self.started_by, ..mark };
        (self.marked_at, self.read_at) = (Some(at), Some(at));
    }

    /// Takes what a reading shows beyond what is known. `false`: the events of it are waited for.
    fn believe(&mut self, reading: &JobReading, mark: &Mark, moment: &Moment, facts: &mut Vec<PrintFact>) -> bool {
        if let Some(doubt) = &self.doubt {
            // A printer that was idle and is active again has begun another print.
            let is_over = doubt.idle && reading.state.is_active();
            if !is_over && moment.at - doubt.since < GRACE {
                return false;
            }
            facts.extend(self.settle(moment));
        }
        let Some(finding) = self.finding(reading, mark) else { return true };
        self.doubt = Some(Doubt {
            since: moment.at,
            finding,
            mark: Mark { of: MarkOf::Idle, ..mark.clone() },
            idle: !reading.state.is_active(),
            by_command: moment.ending_command(),
        });
        if moment.pushed {
            return false;
        }
        facts.extend(self.settle(moment));
        true
    }

    /// Believes a reading whose events have not come.
    pub fn settle(&mut self, moment: &Moment) -> Vec<PrintFact> {
        let mut facts = Vec::new();
        let Some(Doubt { since, finding, mark, idle, .. }) = self.doubt.clone() else { return facts };
        // The event of a closed connection was the turn.
        if !self.current.as_ref().is_some_and(|current| current.cut_off) {
            self.stream.overtaken(moment.at);
        }
        let moment = &Moment { at: since, ..moment.clone() };
        match finding {
            Finding::Ended(ending) => {
                self.end(ending, moment, &mut facts);
                if !idle {
                    self.begin_as_read(moment.fresh_ids[0], mark, moment, &mut facts);
                }
            }
            Finding::Ran => {
                self.doubt = None;
                self.begin_and_end(moment.fresh_ids[0], mark, None, self.marked_at, moment, &mut facts);
                self.stream.overtaken(moment.at);
            }
        }
        facts
    }

    /// Begins a print that a reading shows.
    fn begin_as_read(&mut self, id: Uuid, mark: Mark, moment: &Moment, facts: &mut Vec<PrintFact>) {
        let began = moment.at - TimeDelta::seconds(mark.print_time_s.unwrap_or_default());
        let start = self.start_of(mark.file.as_ref(), began, false, moment);
        self.selected.clone_from(&mark.file);
        if self.starting.is_none() {
            self.stream.overtaken(moment.at);
        }
        self.begin(id, start, moment, facts);
        if let Some(current) = &self.current {
            self.mark = Mark { of: MarkOf::Print(current.id), started_by: self.started_by, ..mark };
        }
    }

    /// What a reading shows that neither an earlier reading nor an event has shown.
    fn finding(&self, reading: &JobReading, mark: &Mark) -> Option<Finding> {
        let Some(current) = &self.current else {
            let ran = reading.state == PrinterState::Operational
                && self.mark.of == MarkOf::Idle
                && mark.is_done()
                && !self.mark.explains(mark);
            return ran.then_some(Finding::Ran);
        };
        // A connection that is opened was closed before.
        if reading.state.is_idle() || reading.state == PrinterState::Connecting {
            return Some(Finding::Ended(self.ending_shown(reading, mark)));
        }
        let other_file = matches!((&current.file, &mark.file), (Some(then), Some(now)) if then.path != now.path);
        let other = reading.state.is_active()
            && (other_file || self.is_started_over(mark) || self.has_ended_before(reading.state));
        other.then(|| Finding::Ended(self.ending_by_state()))
    }

    /// The end of the print was announced or had begun, and the printer is active with something else. A failure is
    /// announced before it shows.
    pub(super) fn has_ended_before(&self, state: PrinterState) -> bool {
        let announced = self.current.as_ref().and_then(|current| current.ending.as_ref());
        let ended = announced.is_some_and(|ending| ending.result != PrintResult::Failed)
            || self.mark.state.is_some_and(is_ending);
        ended && !is_ending(state)
    }

    /// The state for the mark of the active print. An end that has begun goes on: an earlier state is of an event that is
    /// late, and a later cancellation is of the script after a print that was done, or of the next print.
    pub(super) fn latest_state(&self, state: PrinterState) -> PrinterState {
        let is_current = self.current.as_ref().is_some_and(|current| self.mark.of == MarkOf::Print(current.id));
        let ending = self.mark.state.filter(|last| is_current && is_ending(*last) && state.is_active());
        ending.unwrap_or(state)
    }

    /// How the print ended that is over by a reading: by the state that its end began with, or by what is left.
    pub(super) fn ending_shown(&self, reading: &JobReading, mark: &Mark) -> Ending {
        let by_state = self.ending_by_state();
        if by_state.result == PrintResult::Unknown { Ending::shown(reading, mark) } else { by_state }
    }

    /// How a print ends of which no event says it, by the state that its end began with.
    pub(super) fn ending_by_state(&self) -> Ending {
        match self.mark.state {
            Some(PrinterState::Finishing) => {
                let time_s = self.mark.print_time_s.filter(|_| self.mark.is_done());
                Ending { result: PrintResult::Done, reason: None, time_s }
            }
            Some(PrinterState::Cancelling) => Ending::cancelled(None),
            _ => Ending::unknown(None),
        }
    }
}

fn is_ending(state: PrinterState) -> bool {
    matches!(state, PrinterState::Finishing | PrinterState::Cancelling)
}

impl Ending {
    /// It is not known how.
    pub fn unknown(reason: Option<String>) -> Self {
        Self { result: PrintResult::Unknown, reason, time_s: None }
    }

    /// It was cancelled.
    pub fn cancelled(reason: Option<String>) -> Self {
        Self { result: PrintResult::Cancelled, reason, time_s: None }
    }

    /// How a print ended that is over by a reading.
    pub fn shown(reading: &JobReading, mark: &Mark) -> Self {
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
