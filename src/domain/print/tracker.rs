//! Print tracker: follows the prints of one printer by its readings and events.

mod changes;

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::{
    JobMark, MarkPhase, Print, PrintActor, PrintFact, PrintResult, SentStart, TrackerContext,
    ending::Ending,
    event_lag::{EventLag, FirstReading},
};
use crate::domain::{
    command::FileRef,
    reading::{JobReading, PrinterEvent},
    state::PrinterState,
};

/// A reading that contradicts the events is accepted after this time, because events contain how a print ended.
const EVENT_GRACE: TimeDelta = TimeDelta::seconds(3);
/// A connection is opened at most this many seconds before its first reading.
const YOUNG_S: i64 = 6;

/// The active print of a printer.
#[derive(Debug, Clone, PartialEq)]
pub struct OpenPrint {
    pub id: Uuid,
    pub file: Option<FileRef>,
    pub paused_by: Option<PrintActor>,
    pub started_by: PrintActor,
    /// `PrintStarted` has arrived for this print.
    pub(super) announced: bool,
    /// The print has begun again, without an end in between.
    pub(super) restarted: bool,
    /// How the print ends. The event of it arrives before the end.
    pub(super) ending: Option<Ending>,
    /// The last error of the firmware. The print may continue after it.
    pub(super) error: Option<String>,
    /// The connection to the printer was closed. An event or a reading will show how the print ended.
    pub(super) cut_off: bool,
}

/// A reading that the events have not confirmed yet.
#[derive(Debug, Clone)]
pub(super) struct UnconfirmedReading {
    pub since: DateTime<Utc>,
    finding: Finding,
    /// The mark of the reading.
    pub(super) mark: JobMark,
    /// The reading showed an idle printer. If not set, it showed another print.
    pub(super) is_idle: bool,
    /// The command that may have ended the print.
    by_command: Option<Uuid>,
}

/// A change in a reading that neither events nor earlier readings have shown.
#[derive(Debug, Clone)]
enum Finding {
    /// The active print has ended.
    Ended(Ending),
    /// A print began and was done since the last reading.
    Ran,
}

/// Follows the prints of one printer.
#[derive(Debug, Clone, Default)]
pub struct PrintTracker {
    pub(super) current: Option<OpenPrint>,
    pub(super) state: Option<PrinterState>,
    pub(super) selected: Option<FileRef>,
    /// A reading showed the selected file, and events with an earlier one may still arrive.
    pub(super) is_selection_ahead: bool,
    pub(super) mark: JobMark,
    /// When the mark was last updated.
    pub(super) marked_at: Option<DateTime<Utc>>,
    /// When the mark was last read from the printer.
    pub(super) read_at: Option<DateTime<Utc>>,
    /// Events may have been missed since the last reading or event.
    pub(super) in_gap: bool,
    /// Set while a print of an unknown file begins by events. The next event contains the file. The value is the start
    /// that may have caused the print.
    pub(super) starting: Option<Option<SentStart>>,
    /// Events that arrived within the gap.
    pub(super) waiting: Vec<PrinterEvent>,
    pub(super) event_lag: EventLag,
    /// The command that started the last print. Each command starts one print.
    pub(super) started_by: Option<Uuid>,
    pub(super) unconfirmed: Option<UnconfirmedReading>,
}

impl PrintTracker {
    /// Continues from stored data: the print that had not ended, and the last mark with its time.
    pub fn resume(print: Option<&Print>, mark: Option<(JobMark, DateTime<Utc>)>) -> Self {
        let (mark, marked_at) = mark.unzip();
        let mark = mark.unwrap_or_default();
        let started_by = mark.started_by;
        let mut tracker =
            Self { selected: mark.file.clone(), started_by, mark, marked_at, in_gap: true, ..Self::default() };
        if let Some(print) = print {
            if tracker.mark.phase != MarkPhase::Print(print.id) {
                // The mark is older than the print, or absent. Only the start of the print is known.
                tracker.mark = JobMark::for_new_print(print.id, print.file.clone());
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

    /// Returns the active print.
    pub fn current(&self) -> Option<&OpenPrint> {
        self.current.as_ref()
    }

    /// Returns the selected file of the last reading or event.
    pub fn selected(&self) -> Option<&FileRef> {
        self.selected.as_ref()
    }

    /// Returns the mark that must be stored, so that the server can continue from it.
    pub fn mark(&self) -> &JobMark {
        &self.mark
    }

    /// Returns whether a reading contradicts the events, so that another reading is needed soon.
    pub fn has_unconfirmed_reading(&self) -> bool {
        self.unconfirmed.is_some()
    }

    /// Begins a gap: events may be missed from now on until the next reading.
    pub fn begin_gap(&mut self) {
        (self.in_gap, self.starting) = (true, None);
        self.waiting.clear();
    }

    /// Removes and returns the events that arrived within a gap. They may be older or newer than the reading that ended
    /// it. The caller must process them again.
    pub fn take_waiting(&mut self) -> Vec<PrinterEvent> {
        std::mem::take(&mut self.waiting)
    }

    /// Credits a pause to a command. Its reply was lost, and the pause was confirmed later.
    pub fn credit_pause(&mut self, command_id: Uuid) -> Option<PrintFact> {
        let current = self.current.as_mut()?;
        let by = PrintActor::command(command_id);
        if current.paused_by == Some(by) {
            return None;
        }
        current.paused_by = Some(by);
        Some(PrintFact::PauseCredited { id: current.id, by })
    }

    /// Processes a reply to `GET /api/job`.
    pub fn on_reading(&mut self, reading: &JobReading, context: &TrackerContext) -> Vec<PrintFact> {
        let mut facts = Vec::new();
        let mark = JobMark::from_reading(reading);
        let known = self.current.as_ref().map(|current| current.id);
        let mut found = false;
        if self.in_gap {
            found = self.after_gap(reading, &mark, context, &mut facts);
        } else {
            self.give_up_events(context.at);
            if !self.accept_reading(reading, &mark, context, &mut facts) {
                return facts;
            }
        }
        if self.selected != mark.file {
            self.is_selection_ahead = context.pushed && (!self.in_gap || self.has_other_file_waiting(&mark));
            self.selected.clone_from(&mark.file);
        }
        if reading.state.is_active() {
            if self.current.is_none() {
                self.begin_by_reading(context.fresh_ids[1], mark.clone(), context, &mut facts);
            }
            self.follow_pause(reading.state, context, &mut facts);
        }
        if self.in_gap || !context.pushed {
            self.restart_event_lag(&mark, known, found, context);
        }
        self.in_gap = false;
        self.store_reading(reading.state, mark, context.at);
        facts
    }

    /// Expects events from now on. `known`: the print that was active before. `found`: the reading showed the end of a
    /// print that began within the gap.
    fn restart_event_lag(&mut self, mark: &JobMark, known: Option<Uuid>, found: bool, context: &TrackerContext) {
        let ends = mark.state.is_some_and(is_ending);
        // A print that is about to end is new only if its beginning waits before any other beginning or end.
        let mut beginnings = self.waiting.iter().filter_map(|event| match event {
            PrinterEvent::StateChanged { state: PrinterState::Starting, .. } => Some(true),
            PrinterEvent::StateChanged { state: PrinterState::Operational, .. } => Some(false),
            _ => None,
        });
        let is_new = if ends || found { beginnings.next() == Some(true) } else { beginnings.any(|begins| begins) };
        let is_young = mark.print_time_s.unwrap_or_default() <= YOUNG_S;
        let first = match &mut self.current {
            None if found && is_new && context.pushed && is_young && mark.is_done() => FirstReading::Ran,
            None => FirstReading::Idle,
            Some(current) if Some(current.id) != known && is_new && is_young => FirstReading::New,
            Some(current) if Some(current.id) != known && context.pushed && is_young => {
                if ends {
                    FirstReading::Ending
                } else {
                    FirstReading::Recent
                }
            }
            Some(current) => {
                current.announced = true;
                FirstReading::Old
            }
        };
        self.event_lag.restart(first, context.at);
    }

    /// Stores what a reading shows.
    fn store_reading(&mut self, state: PrinterState, mark: JobMark, at: DateTime<Utc>) {
        if !state.is_active() && !state.is_idle() {
            return;
        }
        self.state = Some(state);
        let shown = Some(self.latest_state(state));
        let phase = match &mut self.current {
            Some(current) => {
                current.file = current.file.take().or_else(|| mark.file.clone());
                MarkPhase::Print(current.id)
            }
            None => MarkPhase::Idle,
        };
        self.mark = JobMark { phase, state: shown, started_by: self.started_by, ..mark };
        (self.marked_at, self.read_at) = (Some(at), Some(at));
    }

    /// Processes a finding of a reading. Returns `false` if the tracker waits for the events of it.
    fn accept_reading(
        &mut self,
        reading: &JobReading,
        mark: &JobMark,
        context: &TrackerContext,
        facts: &mut Vec<PrintFact>,
    ) -> bool {
        if let Some(unconfirmed) = &self.unconfirmed {
            // A printer that was idle and is active again has begun another print.
            let is_over = unconfirmed.is_idle && reading.state.is_active();
            if !is_over && context.at - unconfirmed.since < EVENT_GRACE {
                return false;
            }
            facts.extend(self.accept_unconfirmed(context));
        }
        let Some(finding) = self.find_change(reading, mark) else { return true };
        self.unconfirmed = Some(UnconfirmedReading {
            since: context.at,
            finding,
            mark: JobMark { phase: MarkPhase::Idle, ..mark.clone() },
            is_idle: !reading.state.is_active(),
            by_command: context.ending_command(),
        });
        if context.pushed {
            return false;
        }
        facts.extend(self.accept_unconfirmed(context));
        true
    }

    /// Accepts a reading whose events have not arrived.
    pub fn accept_unconfirmed(&mut self, context: &TrackerContext) -> Vec<PrintFact> {
        let mut facts = Vec::new();
        let Some(UnconfirmedReading { since, finding, mark, is_idle, .. }) = self.unconfirmed.clone() else {
            return facts;
        };
        // If the print is cut off, the event of the closed connection was already counted as the transition.
        if !self.current.as_ref().is_some_and(|current| current.cut_off) {
            self.event_lag.count_transition(context.at);
        }
        let context = &TrackerContext { at: since, ..context.clone() };
        match finding {
            Finding::Ended(ending) => {
                self.end_print(ending, context, &mut facts);
                if !is_idle {
                    self.begin_by_reading(context.fresh_ids[0], mark, context, &mut facts);
                }
            }
            Finding::Ran => {
                self.unconfirmed = None;
                self.begin_and_end(context.fresh_ids[0], mark, None, self.marked_at, context, &mut facts);
                self.event_lag.count_transition(context.at);
            }
        }
        facts
    }

    /// Begins a print that a reading shows.
    fn begin_by_reading(&mut self, id: Uuid, mark: JobMark, context: &TrackerContext, facts: &mut Vec<PrintFact>) {
        let began = context.at - TimeDelta::seconds(mark.print_time_s.unwrap_or_default());
        let start = self.matching_start(mark.file.as_ref(), began, false, context);
        self.selected.clone_from(&mark.file);
        if self.starting.is_none() {
            self.event_lag.count_transition(context.at);
        }
        self.begin_print(id, start, context, facts);
        if let Some(current) = &self.current {
            self.mark = JobMark { phase: MarkPhase::Print(current.id), started_by: self.started_by, ..mark };
        }
    }

    /// Returns the change in a reading that neither events nor earlier readings have shown.
    fn find_change(&self, reading: &JobReading, mark: &JobMark) -> Option<Finding> {
        let Some(current) = &self.current else {
            let ran = reading.state == PrinterState::Operational
                && self.mark.phase == MarkPhase::Idle
                && mark.is_done()
                && !self.mark.explains(mark);
            return ran.then_some(Finding::Ran);
        };
        // A printer that is connecting was disconnected before.
        if reading.state.is_idle() || reading.state == PrinterState::Connecting {
            return Some(Finding::Ended(self.ending_by_reading(reading, mark)));
        }
        let other_file = matches!((&current.file, &mark.file), (Some(then), Some(now)) if then.path != now.path);
        let other = reading.state.is_active()
            && (other_file || self.is_started_over(mark) || self.has_ended_before(reading.state));
        other.then(|| Finding::Ended(self.ending_by_state()))
    }

    /// Returns whether the print has ended, although the printer is active. Its end was announced or had begun, and the
    /// state is another one. Failures are left out, because they are announced before the state changes.
    pub(super) fn has_ended_before(&self, state: PrinterState) -> bool {
        let announced = self.current.as_ref().and_then(|current| current.ending.as_ref());
        let ended = announced.is_some_and(|ending| ending.result != PrintResult::Failed)
            || self.mark.state.is_some_and(is_ending);
        ended && !is_ending(state)
    }

    /// Returns the state for the mark of the active print. An end that has begun is kept. An earlier state comes from a
    /// late event. A later cancellation belongs to the script after a done print, or to the next print.
    pub(super) fn latest_state(&self, state: PrinterState) -> PrinterState {
        let is_current = self.current.as_ref().is_some_and(|current| self.mark.phase == MarkPhase::Print(current.id));
        let ending = self.mark.state.filter(|last| is_current && is_ending(*last) && state.is_active());
        ending.unwrap_or(state)
    }

    /// Returns how a print ended, by the state at the beginning of its end, otherwise by the mark that is left.
    pub(super) fn ending_by_reading(&self, reading: &JobReading, mark: &JobMark) -> Ending {
        let by_state = self.ending_by_state();
        if by_state.result == PrintResult::Unknown { Ending::from_reading(reading, mark) } else { by_state }
    }

    /// Returns how a print ends if no event reports it, by the state at the beginning of its end.
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
