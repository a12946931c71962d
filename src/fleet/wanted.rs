//! What an actor is to follow: its client, its retirement, and the print that was removed from its plate.
//!
//! It is set at any time, and the actor reads it at each of its turns. A full mailbox or a restart of the actor loses nothing,
//! and of several changes the newest counts.

use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use crate::{domain::plate::ClearedPlate, octoprint::OctoPrint};

/// What one actor is to follow, shared with its fleet.
#[derive(Default)]
pub(super) struct Wanted {
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
    /// The printer is disabled: finish what was sent, then end.
    pub is_retired: bool,
    pub cleared: Option<ClearedPlate>,
}

impl Wanted {
    /// Another client is to be used, and the actor continues if it was to retire.
    pub fn connect(&self, octoprint: OctoPrint) {
        self.change(|state| {
            state.client = Some((state.version, octoprint));
            state.is_retired = false;
        });
    }

    /// The actor is to end.
    pub fn retire(&self) {
        self.change(|state| state.is_retired = true);
    }

    /// A print was removed from the plate.
    pub fn clear_plate(&self, cleared: ClearedPlate) {
        self.change(|state| state.cleared = Some(cleared));
    }

    /// Whether the actor is to end.
    pub fn is_retired(&self) -> bool {
        self.state().is_retired
    }

    /// The state, where it has changed since `version`.
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
