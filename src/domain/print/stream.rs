//! How far the events of a printer are behind its readings.
//!
//! Events come in order, but late: a reading may show that a print began or ended before the event of it arrives. Each
//! of these is a turn. The turns that readings have shown are counted, so that the events of the same turns change
//! nothing.

use chrono::{DateTime, TimeDelta, Utc};

use crate::domain::state::PrinterState;

/// Events that did not come within this time are not waited for any more. The event socket counts as lost sooner.
const LATEST: TimeDelta = TimeDelta::seconds(30);

/// What an event means for the record of prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    Begins,
    Ends,
    /// It repeats what is known.
    Nothing,
}

/// What the first reading of a connection showed, as far as events may still tell of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum First {
    /// No print was active.
    Idle,
    /// No print was active, and one has begun and ended that may be the first of the events that wait.
    Ran,
    /// A print was active that began before the connection: its beginning does not come.
    Old,
    /// A print was active that may have begun since: it is so young.
    Recent,
    /// The same, and it was about to end.
    Ending,
    /// The same, and a print has begun to end since: that one, or the one before.
    Undecided,
    /// A print was active, and its beginning is among the events that wait.
    New,
}

/// The place of the event stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// No event came since the first reading. `turns`: those that later readings showed.
    Unheard { first: First, turns: usize },
    /// By its events a print is active, or none. `behind`: turns that readings showed and events did not.
    Heard { active: bool, behind: usize },
}

/// Compares the events of a printer with its readings.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stream {
    place: Place,
    /// The newest reading that the events may be behind.
    since: Option<DateTime<Utc>>,
}

impl Default for Stream {
    fn default() -> Self {
        Self { place: Place::Unheard { first: First::Idle, turns: 0 }, since: None }
    }
}

impl Stream {
    /// Begins anew at a reading.
    pub fn restart(&mut self, first: First, at: DateTime<Utc>) {
        *self = Self { place: Place::Unheard { first, turns: 0 }, since: Some(at) };
    }

    /// Gives up on events that are too late. `active`: a print is active.
    pub fn give_up(&mut self, active: bool, at: DateTime<Utc>) {
        if self.since.is_some_and(|since| at - since > LATEST) {
            *self = Self { place: Place::Heard { active, behind: 0 }, since: None };
        }
    }

    /// A reading showed a turn.
    pub fn overtaken(&mut self, at: DateTime<Utc>) {
        self.since = Some(at);
        match &mut self.place {
            Place::Unheard { turns, .. } => *turns += 1,
            Place::Heard { behind, .. } => *behind += 1,
        }
    }

    /// Takes a state that an event reports.
    pub fn follow(&mut self, state: PrinterState) -> Turn {
        let active = state.is_active();
        if !active && !state.is_idle() {
            return Turn::Nothing;
        }
        let ends = matches!(state, PrinterState::Finishing | PrinterState::Cancelling);
        if let (Place::Unheard { first: First::Recent, turns }, true) = (self.place, ends) {
            // The next event has a print time, and says which print this is.
            self.place = Place::Unheard { first: First::Undecided, turns };
            return Turn::Nothing;
        }
        let (before, behind) = self.heard(state);
        let turn = match (before == active, behind) {
            (true, _) => Turn::Nothing,
            (false, 0) if active => Turn::Begins,
            (false, 0) => Turn::Ends,
            (false, _) => Turn::Nothing,
        };
        let behind = if before == active { behind } else { behind.saturating_sub(1) };
        self.place = Place::Heard { active, behind };
        turn
    }

    /// Takes an event of a print that is active, and says whether it is the print that readings show.
    pub fn is_of_current(&mut self) -> bool {
        let (active, behind) = self.heard(PrinterState::Printing);
        self.place = Place::Heard { active, behind };
        active && behind == 0
    }

    /// As [`Stream::is_of_current`], of an event that a print ends. `fits`: its print time is one of the print that readings
    /// show.
    pub fn is_end_of_current(&mut self, fits: bool) -> bool {
        if let Place::Unheard { first: First::Recent | First::Ending | First::Undecided, turns } = self.place {
            let behind = turns + if fits { 0 } else { 2 };
            self.place = Place::Heard { active: true, behind };
            return behind == 0;
        }
        self.is_of_current()
    }

    /// Readings show a later print than the events.
    pub fn is_behind(&self) -> bool {
        matches!(self.place, Place::Heard { behind, .. } | Place::Unheard { turns: behind, .. } if behind > 0)
    }

    /// A print has begun to end, and the next event says which.
    pub fn is_undecided(&self) -> bool {
        matches!(self.place, Place::Unheard { first: First::Undecided, .. })
    }

    /// The place before an event that reports `state`.
    fn heard(&self, state: PrinterState) -> (bool, usize) {
        match self.place {
            Place::Heard { active, behind } => (active, behind),
            Place::Unheard { first, turns } => {
                // Every print begins with Starting, and what comes before that ends with Operational.
                let begins = matches!(state, PrinterState::Starting | PrinterState::Operational);
                let (before, behind) = match first {
                    First::Idle if state == PrinterState::Starting || state.is_idle() => (false, 0),
                    First::Idle => (true, 1),
                    First::Ran => (false, 2),
                    First::Old => (true, 0),
                    First::Recent | First::New if begins => (false, 1),
                    First::Ending | First::Undecided if state == PrinterState::Starting => (false, 1),
                    First::Recent | First::Ending | First::Undecided => (true, 0),
                    First::New => (true, 2),
                };
                (before, turns + behind)
            }
        }
    }
}
