//! The wanted state of an actor: its client, its retirement, its end, its service state, and the print that was removed from
//! its plate.
//!
//! Other tasks may set it at any time, and the actor reads it in each turn. A full mailbox or a restart of the actor loses
//! nothing. Of several changes, the newest counts.

use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use crate::{
    domain::{message::Message, plate::ClearedPlate},
    octoprint::OctoPrint,
};

/// The wanted state of one actor, shared with its fleet.
#[derive(Default)]
pub(super) struct SharedWantedState {
    /// Grows with each change.
    version: AtomicU64,
    state: Mutex<WantedState>,
}

/// The wanted state at one version.
#[derive(Clone, Default)]
pub(super) struct WantedState {
    pub version: u64,
    /// A client for a changed address or key, and the version of that change.
    pub client: Option<(u64, OctoPrint)>,
    /// The printer is disabled: finish the sent commands, then end.
    pub is_retired: bool,
    /// The server stops: finish the sends in progress, begin no other, then end.
    pub is_ending: bool,
    pub cleared_plate: Option<ClearedPlate>,
    /// Why the printer refuses to print, if it is out of service.
    pub out_of_service: Option<Message>,
}

impl SharedWantedState {
    /// Sets another client. The actor continues if it was retiring.
    pub fn connect(&self, octoprint: OctoPrint) {
        self.change(|state| {
            state.client = Some((state.version, octoprint));
            state.is_retired = false;
        });
    }

    /// Retires the actor.
    pub fn retire(&self) {
        self.change(|state| state.is_retired = true);
    }

    /// Makes the actor end: the server stops.
    pub fn end(&self) {
        self.change(|state| state.is_ending = true);
    }

    /// Records that a print was removed from the plate.
    pub fn clear_plate(&self, cleared: ClearedPlate) {
        self.change(|state| state.cleared_plate = Some(cleared));
    }

    /// Takes the printer out of service with this refusal, or returns it to service. Returns `false` if nothing changes.
    pub fn set_out_of_service(&self, refusal: Option<Message>) -> bool {
        if self.state().out_of_service == refusal {
            return false;
        }
        self.change(|state| state.out_of_service = refusal);
        true
    }

    /// Returns why the printer refuses to print, if it is out of service.
    pub fn out_of_service(&self) -> Option<Message> {
        self.state().out_of_service.clone()
    }

    /// Whether the printer is disabled.
    pub fn is_retired(&self) -> bool {
        self.state().is_retired
    }

    /// Returns the state if it has changed since `version`.
    pub fn changed_since(&self, version: u64) -> Option<WantedState> {
        (self.version.load(Ordering::Acquire) != version).then(|| self.state().clone())
    }

    fn change(&self, change: impl FnOnce(&mut WantedState)) {
        let mut state = self.state();
        state.version += 1;
        change(&mut state);
        self.version.store(state.version, Ordering::Release);
    }

    fn state(&self) -> MutexGuard<'_, WantedState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
