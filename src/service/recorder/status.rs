//! Whether the recorder keeps up with what actors observe.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use crate::fleet::recorder_queue::RecorderQueue;

/// A fact that waits for longer means that the recorder is behind.
const LATE: Duration = Duration::from_secs(5);

/// A handle on the state of the recorder. Cheap to clone.
#[derive(Clone, Default)]
pub struct RecorderStatus {
    queue: RecorderQueue,
    failed: Arc<AtomicBool>,
}

impl RecorderStatus {
    /// The state of the recorder that takes from this queue.
    pub fn new(queue: RecorderQueue) -> Self {
        Self { queue, failed: Arc::default() }
    }

    /// Facts about prints that are not stored yet.
    pub fn behind(&self) -> usize {
        self.queue.backlog().facts
    }

    /// How long the oldest of them has waited, by the monotonic clock. `None` while nothing waits.
    pub fn oldest_waits(&self) -> Option<Duration> {
        self.queue.backlog().since.map(|since| since.elapsed())
    }

    /// The last write failed.
    pub fn last_write_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    /// The last write succeeded, and nothing waits for longer than 5 s.
    pub fn is_ok(&self) -> bool {
        !self.last_write_failed() && self.oldest_waits().is_none_or(|waits| waits <= LATE)
    }

    /// Sets whether the last write failed. Returns what it was before.
    pub(super) fn set_failed(&self, failed: bool) -> bool {
        self.failed.swap(failed, Ordering::Relaxed)
    }
}
