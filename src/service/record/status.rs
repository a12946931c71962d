//! Whether the recorder keeps up with what actors observe.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// A fact that waits for longer means that the recorder is behind.
const LATE: Duration = Duration::from_secs(5);

/// A handle on the state of the recorder. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct RecorderStatus {
    failed: Arc<AtomicBool>,
}

impl RecorderStatus {
    /// Facts about prints that are not stored yet.
    pub fn behind(&self) -> usize {
        0
    }

    /// How long the oldest of them has waited, by the monotonic clock. `None` while nothing waits.
    pub fn oldest_waits(&self) -> Option<Duration> {
        None
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
