//! Status of the recorder: whether it keeps up with the observations of the actors.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use crate::fleet::recorder_queue::RecorderQueue;

/// The recorder is behind if a fact waits longer than this.
const MAX_FACT_AGE: Duration = Duration::from_secs(5);

/// Handle for the status of the recorder. Cheap to clone.
#[derive(Clone, Default)]
pub struct RecorderStatus {
    queue: RecorderQueue,
    failed: Arc<AtomicBool>,
}

impl RecorderStatus {
    /// Creates the status of the recorder that reads this queue.
    pub fn new(queue: RecorderQueue) -> Self {
        Self { queue, failed: Arc::default() }
    }

    /// Returns the number of facts about prints that are not stored yet.
    pub fn behind(&self) -> usize {
        self.queue.backlog().facts
    }

    /// Returns how long the oldest of them has waited, by the monotonic clock. `None`: no fact waits.
    pub fn oldest_wait(&self) -> Option<Duration> {
        self.queue.backlog().since.map(|since| since.elapsed())
    }

    /// Returns whether the last write failed.
    pub fn last_write_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    /// Returns whether the last write succeeded and no fact waits longer than 5 s.
    pub fn is_ok(&self) -> bool {
        !self.last_write_failed() && self.oldest_wait().is_none_or(|waits| waits <= MAX_FACT_AGE)
    }

    /// Sets whether the last write failed. Returns the previous value.
    pub(super) fn set_failed(&self, failed: bool) -> bool {
        self.failed.swap(failed, Ordering::Relaxed)
    }
}
