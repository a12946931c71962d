//! What an actor publishes: the printer's entry in the snapshot of the farm, and what the recorder stores.

use std::sync::{Arc, atomic::Ordering};

use uuid::Uuid;

use super::{
    message::StoredObservation,
    recorder_queue::RecorderQueue,
    view::{Live, LiveJob, View},
};
use crate::{
    clock,
    domain::{
        command::Command,
        print::Mark,
        state::{PrinterState, Reachability},
    },
};
/// The published state of one printer.
pub(super) struct PublishedState {
    live: Live,
    /// The entry differs from the one in the snapshot.
    is_dirty: bool,
    /// Its job does, too.
    is_job_stale: bool,
    /// What the recorder got last to store.
    stored: (PrinterState, Mark),
    /// The reachability that the recorder got last.
    stored_reachability: Reachability,
}

impl PublishedState {
    /// What is known before the first observation. `stored` is what the database has.
    pub fn new(live: Live, stored: (PrinterState, Mark)) -> Self {
        Self { live, is_dirty: true, is_job_stale: true, stored, stored_reachability: Reachability::Unknown }
    }

    /// The entry as it is now.
    pub fn live(&self) -> &Live {
        &self.live
    }

    /// The printer.
    pub fn printer_id(&self) -> Uuid {
        self.live.id
    }

    /// Changes the entry. The next [`PublishedState::publish`] puts it into the snapshot.
    pub fn change(&mut self) -> &mut Live {
        self.is_dirty = true;
        &mut self.live
    }

    /// Changes the entry without a new version: it goes with the next change.
    pub fn change_quietly(&mut self) -> &mut Live {
        &mut self.live
    }

    /// The entry is to be published again.
    pub fn touch(&mut self) {
        self.is_dirty = true;
    }

    /// The job of the entry is to be made again.
    pub fn touch_job(&mut self) {
        self.is_job_stale = true;
    }

    /// Updates when the printer was observed last, without a new version.
    pub fn mark_observed(&mut self) {
        self.live.heard.store(clock::now().timestamp_micros(), Ordering::Relaxed);
    }

    /// Puts the entry into the snapshot, if it has changed. `job` makes the job where it has changed.
    pub fn publish(
        &mut self,
        view: &View,
        state: PrinterState,
        in_flight: Option<Command>,
        job: impl FnOnce() -> Option<LiveJob>,
    ) {
        if !std::mem::take(&mut self.is_dirty) {
            return;
        }
        let online = self.live.reachability == Reachability::Online;
        self.live.state = if online { state } else { PrinterState::Unknown };
        if online && state != PrinterState::Unknown {
            self.live.last_state = state;
        }
        self.live.in_flight = in_flight;
        if std::mem::take(&mut self.is_job_stale) {
            self.live.job = job().map(Arc::new);
        }
        view.update(self.live.clone());
    }

    /// Has the recorder store the observation where it differs from the stored one: after a restart the server continues
    /// from it. Of an active print each reading is stored, so that its time counts until then.
    pub fn store(&mut self, state: PrinterState, mark: &Mark, recorder: &RecorderQueue) {
        if !state.is_active() && self.stored.0 == state && self.stored.1 == *mark {
            return;
        }
        self.stored = (state, mark.clone());
        recorder.add_observation(StoredObservation {
            printer_id: self.live.id,
            state,
            mark: mark.clone(),
            at: clock::now(),
            octoprint_version: self.live.octoprint_version.clone(),
        });
    }

    /// Has the recorder store that the printer can or cannot be reached, where that is new.
    pub fn store_reachability(&mut self, recorder: &RecorderQueue) {
        let reachability = self.live.reachability;
        if self.stored_reachability == reachability || reachability == Reachability::Unknown {
            return;
        }
        self.stored_reachability = reachability;
        recorder.add_reach(self.live.id, reachability, clock::now());
    }
}
