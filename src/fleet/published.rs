//! The published state of an actor: the printer's entry in the snapshot of the farm, and the data for the recorder.

use std::sync::{Arc, atomic::Ordering};

use uuid::Uuid;

use super::{
    message::StoredObservation,
    recorder_queue::RecorderQueue,
    view::{LiveJob, LivePrinter, View},
};
use crate::{
    clock,
    domain::{
        command::Command,
        print::JobMark,
        state::{PrinterState, Reachability},
    },
};
/// The published state of one printer.
pub(super) struct PublishedState {
    live: LivePrinter,
    /// The entry differs from the one in the snapshot.
    is_dirty: bool,
    /// The job of the entry differs, too.
    is_job_stale: bool,
    /// The last observation that was sent to the recorder.
    stored: (PrinterState, JobMark),
    /// The last reachability that was sent to the recorder.
    stored_reachability: Reachability,
}

impl PublishedState {
    /// The state before the first observation. `stored` is the observation in the database.
    pub fn new(live: LivePrinter, stored: (PrinterState, JobMark)) -> Self {
        Self { live, is_dirty: true, is_job_stale: true, stored, stored_reachability: Reachability::Unknown }
    }

    /// Returns the current entry.
    pub fn live(&self) -> &LivePrinter {
        &self.live
    }

    /// The printer of this state.
    pub fn printer_id(&self) -> Uuid {
        self.live.id
    }

    /// Returns the entry for a change. The next [`PublishedState::publish`] puts it into the snapshot.
    pub fn change(&mut self) -> &mut LivePrinter {
        self.is_dirty = true;
        &mut self.live
    }

    /// Returns the entry for a change that needs no new version: the change is published with the next one.
    pub fn change_quietly(&mut self) -> &mut LivePrinter {
        &mut self.live
    }

    /// Marks the entry for the next publication.
    pub fn touch(&mut self) {
        self.is_dirty = true;
    }

    /// Marks the job of the entry as stale: the next publication builds it again.
    pub fn touch_job(&mut self) {
        self.is_job_stale = true;
    }

    /// Updates the time of the last observation, without a new version.
    pub fn mark_observed(&mut self) {
        self.live.observed_at_us.store(clock::now().timestamp_micros(), Ordering::Relaxed);
    }

    /// Puts the entry into the snapshot if it has changed. `job` builds the job if that is stale.
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

    /// Sends the observation to the recorder if it differs from the stored one. The server continues from it after a restart.
    /// While a print is active, every reading is stored, so that the time of the print counts up to it.
    pub fn store_observation(&mut self, state: PrinterState, mark: &JobMark, recorder: &RecorderQueue) {
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

    /// Sends the reachability of the printer to the recorder if it has changed.
    pub fn store_reachability(&mut self, recorder: &RecorderQueue) {
        let reachability = self.live.reachability;
        if self.stored_reachability == reachability || reachability == Reachability::Unknown {
            return;
        }
        self.stored_reachability = reachability;
        recorder.add_reachability(self.live.id, reachability, clock::now());
    }
}
