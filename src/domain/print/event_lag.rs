//! Tracks how far the events of a printer are behind its readings.
//!
//! Events arrive in order, but late. A reading may show that a print began or ended before its event arrives. Each
//! beginning and each end is a transition. Transitions that readings have shown are counted, so that the events of the
//! same transitions have no effect.

use chrono::{DateTime, TimeDelta, Utc};

use crate::domain::state::PrinterState;

/// After this time, the tracker stops waiting for missing events. The event socket counts as lost sooner.
const MAX_EVENT_DELAY: TimeDelta = TimeDelta::seconds(30);

/// The effect of an event on the recorded prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transition {
    Begins,
    Ends,
    /// The event repeats what is known.
    Nothing,
}

/// What the first reading of a connection showed, as far as later events may report it, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FirstReading {
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
enum EventPosition {
    /// No event has arrived since the first reading. `transitions`: the number that later readings showed.
    NoEventYet { first: FirstReading, transitions: usize },
    /// `active`: the events show an active print. `behind`: the number of transitions that readings showed and events
    /// did not.
    Following { active: bool, behind: usize },
}

/// Compares the events of a printer with its readings.
#[derive(Debug, Clone, Copy)]
pub(super) struct EventLag {
    position: EventPosition,
    /// Time of the newest reading that the events may be behind.
    since: Option<DateTime<Utc>>,
}

impl Default for EventLag {
    fn default() -> Self {
        Self { position: EventPosition::NoEventYet { first: FirstReading::Idle, transitions: 0 }, since: None }
    }
}

impl EventLag {
    /// Starts again at a reading.
    pub fn restart(&mut self, first: FirstReading, at: DateTime<Utc>) {
        *self = Self { position: EventPosition::NoEventYet { first, transitions: 0 }, since: Some(at) };
    }

    /// Stops waiting for events that are too late. `active`: whether a print is active.
    pub fn give_up(&mut self, active: bool, at: DateTime<Utc>) {
        if self.since.is_some_and(|since| at - since > MAX_EVENT_DELAY) {
            *self = Self { position: EventPosition::Following { active, behind: 0 }, since: None };
        }
    }

    /// Counts a transition that a reading showed.
    pub fn count_transition(&mut self, at: DateTime<Utc>) {
        self.since = Some(at);
        match &mut self.position {
            EventPosition::NoEventYet { transitions, .. } => *transitions += 1,
            EventPosition::Following { behind, .. } => *behind += 1,
        }
    }

    /// Processes a state that an event reports.
    pub fn on_state_event(&mut self, state: PrinterState) -> Transition {
        let active = state.is_active();
        if !active && !state.is_idle() {
            return Transition::Nothing;
        }
        let ends = matches!(state, PrinterState::Finishing | PrinterState::Cancelling);
        if let (EventPosition::NoEventYet { first: FirstReading::Recent, transitions }, true) = (self.position, ends) {
            // The next event has a print time, which shows which print this is.
            self.position = EventPosition::NoEventYet { first: FirstReading::Undecided, transitions };
            return Transition::Nothing;
        }
        let (before, behind) = self.state_before_event(state);
        let transition = match (before == active, behind) {
            (true, _) => Transition::Nothing,
            (false, 0) if active => Transition::Begins,
            (false, 0) => Transition::Ends,
            (false, _) => Transition::Nothing,
        };
        let behind = if before == active { behind } else { behind.saturating_sub(1) };
        self.position = EventPosition::Following { active, behind };
        transition
    }

    /// Processes an event of an active print. Returns whether it is the print that readings show.
    pub fn accepts_event(&mut self) -> bool {
        let (active, behind) = self.state_before_event(PrinterState::Printing);
        self.position = EventPosition::Following { active, behind };
        active && behind == 0
    }

    /// Like [`EventLag::accepts_event`], for an event that ends a print. `fits`: its print time fits the print that
    /// readings show.
    pub fn accepts_end_event(&mut self, fits: bool) -> bool {
        if let EventPosition::NoEventYet {
            first: FirstReading::Recent | FirstReading::Ending | FirstReading::Undecided,
            transitions,
        } = self.position
        {
            let behind = transitions + if fits { 0 } else { 2 };
            self.position = EventPosition::Following { active: true, behind };
            return behind == 0;
        }
        self.accepts_event()
    }

    /// Returns whether readings show a later print than the events.
    pub fn is_behind(&self) -> bool {
        matches!(self.position, EventPosition::Following { behind, .. } | EventPosition::NoEventYet { transitions: behind, .. } if behind > 0)
    }

    /// Returns whether a print has begun to end and only the next event shows which one.
    pub fn is_undecided(&self) -> bool {
        matches!(self.position, EventPosition::NoEventYet { first: FirstReading::Undecided, .. })
    }

    /// Returns the state before an event that reports `state`: whether a print was active, and the number of
    /// transitions behind.
    fn state_before_event(&self, state: PrinterState) -> (bool, usize) {
        match self.position {
            EventPosition::Following { active, behind } => (active, behind),
            EventPosition::NoEventYet { first, transitions } => {
                // Every print begins with Starting. The events before it end with Operational.
                let begins = matches!(state, PrinterState::Starting | PrinterState::Operational);
                let (before, behind) = match first {
                    FirstReading::Idle if state == PrinterState::Starting || state.is_idle() => (false, 0),
                    FirstReading::Idle => (true, 1),
                    FirstReading::Ran => (false, 2),
                    FirstReading::Old => (true, 0),
                    FirstReading::Recent | FirstReading::New if begins => (false, 1),
                    FirstReading::Ending | FirstReading::Undecided if state == PrinterState::Starting => (false, 1),
                    FirstReading::Recent | FirstReading::Ending | FirstReading::Undecided => (true, 0),
                    FirstReading::New => (true, 2),
                };
                (before, transitions + behind)
            }
        }
    }
}
