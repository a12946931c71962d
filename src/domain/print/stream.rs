//! Tracks how far the events of a printer are behind its readings.
//!
//! Events arrive in order, but late. A reading may show that a print began or ended before its event arrives. Each
//! beginning and each end is a turn. Turns that readings have shown are counted, so that the events of the same turns
//! have no effect.

use chrono::{DateTime, TimeDelta, Utc};

use crate::domain::state::PrinterState;

/// After this time, the tracker stops waiting for missing events. The event socket counts as lost sooner.
const LATEST: TimeDelta = TimeDelta::seconds(30);

/// The effect of an event on the recorded prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    Begins,
    Ends,
    /// The event repeats what is known.
    Nothing,
}

/// What the first reading of a connection showed, as far as later events may report it, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum First {
    /// No print was active.
    Idle,
    /// No print was active. A print has begun and ended, and its beginning may be the first of the waiting events.
    Ran,
    /// A print was active that began before the connection. The event of its beginning will not arrive.
    Old,
    /// A print was active that may have begun after the connection was opened, because its print time is short.
    Recent,
    /// Like `Recent`, and the print was about to end.
    Ending,
    /// Like `Recent`, and a print has begun to end since: this one or the one before it.
    Undecided,
    /// A print was active, and the waiting events contain its beginning.
    New,
}

/// The position of the events relative to the readings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// No event has arrived since the first reading. `turns`: the number of turns that later readings showed.
    Unheard { first: First, turns: usize },
    /// `active`: the events show an active print. `behind`: the number of turns that readings showed and events did
    /// not.
    Heard { active: bool, behind: usize },
}

/// Compares the events of a printer with its readings.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stream {
    place: Place,
    /// Time of the newest reading that the events may be behind.
    since: Option<DateTime<Utc>>,
}

impl Default for Stream {
    fn default() -> Self {
        Self { place: Place::Unheard { first: First::Idle, turns: 0 }, since: None }
    }
}

impl Stream {
    /// Starts again at a reading.
    pub fn restart(&mut self, first: First, at: DateTime<Utc>) {
        *self = Self { place: Place::Unheard { first, turns: 0 }, since: Some(at) };
    }

    /// Stops waiting for events that are too late. `active`: whether a print is active.
    pub fn give_up(&mut self, active: bool, at: DateTime<Utc>) {
        if self.since.is_some_and(|since| at - since > LATEST) {
            *self = Self { place: Place::Heard { active, behind: 0 }, since: None };
        }
    }

    /// Counts a turn that a reading showed.
    pub fn overtaken(&mut self, at: DateTime<Utc>) {
        self.since = Some(at);
        match &mut self.place {
            Place::Unheard { turns, .. } => *turns += 1,
            Place::Heard { behind, .. } => *behind += 1,
        }
    }

    /// Processes a state that an event reports.
    pub fn follow(&mut self, state: PrinterState) -> Turn {
        let active = state.is_active();
        if !active && !state.is_idle() {
            return Turn::Nothing;
        }
        let ends = matches!(state, PrinterState::Finishing | PrinterState::Cancelling);
        if let (Place::Unheard { first: First::Recent, turns }, true) = (self.place, ends) {
            // The next event has a print time, which shows which print this is.
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

    /// Processes an event of an active print. Returns whether it is the print that readings show.
    pub fn is_of_current(&mut self) -> bool {
        let (active, behind) = self.heard(PrinterState::Printing);
        self.place = Place::Heard { active, behind };
        active && behind == 0
    }

    /// Like [`Stream::is_of_current`], for an event that ends a print. `fits`: its print time fits the print that
    /// readings show.
    pub fn is_end_of_current(&mut self, fits: bool) -> bool {
        if let Place::Unheard { first: First::Recent | First::Ending | First::Undecided, turns } = self.place {
            let behind = turns + if fits { 0 } else { 2 };
            self.place = Place::Heard { active: true, behind };
            return behind == 0;
        }
        self.is_of_current()
    }

    /// Returns whether readings show a later print than the events.
    pub fn is_behind(&self) -> bool {
        matches!(self.place, Place::Heard { behind, .. } | Place::Unheard { turns: behind, .. } if behind > 0)
    }

    /// Returns whether a print has begun to end and only the next event shows which one.
    pub fn is_undecided(&self) -> bool {
        matches!(self.place, Place::Unheard { first: First::Undecided, .. })
    }

    /// Returns the state before an event that reports `state`: whether a print was active, and the number of turns
    /// behind.
    fn heard(&self, state: PrinterState) -> (bool, usize) {
        match self.place {
            Place::Heard { active, behind } => (active, behind),
            Place::Unheard { first, turns } => {
                // Every print begins with Starting. The events before it end with Operational.
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
