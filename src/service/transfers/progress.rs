//! Progress of the running transfers, in memory.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use uuid::Uuid;

use crate::domain::printer_content::{TransferProgress, TransferState};

/// A transfer that moves no byte for this long gives up its place.
const STALLED_AFTER: Duration = Duration::from_secs(1);

/// Progress of one transfer.
#[derive(Debug)]
pub(super) struct Progress {
    started: Instant,
    sent_bytes: AtomicU64,
    /// Milliseconds from `started` to the last byte.
    last_byte_ms: AtomicU64,
    /// The last byte is sent. What is left is up to the printer.
    is_sent: AtomicBool,
}

impl Progress {
    /// Starts at zero bytes.
    pub fn new() -> Self {
        Self {
            started: Instant::now(),
            sent_bytes: AtomicU64::default(),
            last_byte_ms: AtomicU64::default(),
            is_sent: AtomicBool::default(),
        }
    }

    /// Records bytes that the printer accepted. Returns true if these were the last ones of a file of this size.
    pub fn add(&self, bytes: u64, size: u64) -> bool {
        let before = self.sent_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.touch();
        let is_last = before < size && before + bytes >= size;
        self.is_sent.fetch_or(is_last, Ordering::Relaxed);
        is_last
    }

    /// Records that the transfer moves.
    pub fn touch(&self) {
        let ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last_byte_ms.store(ms, Ordering::Relaxed);
    }

    /// Returns how long no byte has moved.
    fn silent_for(&self) -> Duration {
        self.started.elapsed().saturating_sub(Duration::from_millis(self.last_byte_ms.load(Ordering::Relaxed)))
    }

    /// Returns how long the transfer keeps its place if no more byte moves. Zero: it has none.
    pub fn stalls_in(&self) -> Duration {
        STALLED_AFTER.saturating_sub(self.silent_for())
    }

    /// Returns whether the transfer uses a place: a printer that stores a whole file uses none.
    pub fn is_moving(&self) -> bool {
        !self.is_sent.load(Ordering::Relaxed) && !self.stalls_in().is_zero()
    }

    /// Returns the progress of a file of this size.
    pub fn snapshot(&self, size: u64) -> TransferProgress {
        let sent_bytes = self.sent_bytes.load(Ordering::Relaxed).min(size);
        TransferProgress { state: TransferState::Running, sent_bytes, size }
    }
}

/// The running transfers, by printer and content.
#[derive(Debug, Default)]
pub(super) struct ActiveTransfers(Mutex<HashMap<Uuid, (String, Arc<Progress>)>>);

impl ActiveTransfers {
    /// Returns the progress of a running transfer.
    pub fn get(&self, printer_id: Uuid, sha256: &str) -> Option<Arc<Progress>> {
        let active = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        active.get(&printer_id).filter(|(content, _)| content == sha256).map(|(_, progress)| progress.clone())
    }

    /// Returns the printers that get a file now.
    pub fn printers(&self) -> HashSet<Uuid> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).keys().copied().collect()
    }

    /// Adds a transfer that begins.
    pub fn insert(&self, printer_id: Uuid, sha256: &str, progress: Arc<Progress>) {
        let mut active = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        active.insert(printer_id, (sha256.to_owned(), progress));
    }

    /// Removes the transfer of a printer.
    pub fn remove(&self, printer_id: Uuid) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&printer_id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_never_exceeds_the_size() {
        let progress = Progress::new();
        assert!(!progress.add(70, 100));
        assert!(progress.is_moving());
        assert!(progress.add(70, 100));
        assert_eq!(progress.snapshot(100).sent_bytes, 100);
        assert!(!progress.add(70, 100), "the last byte is sent only once");
        assert!(!progress.is_moving(), "a file that is sent whole uses no place");
    }
}
