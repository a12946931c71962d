//! Facts of one printer that were merged because they came faster than they could be stored.

use chrono::{DateTime, Utc};

/// What was merged: how much, and when it was observed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Noisy {
    /// Finished prints. They have no rows and no events of their own.
    pub prints: u64,
    /// Pauses, resumes and stall warnings of other prints that have no events of their own.
    pub changes: u64,
    pub from: DateTime<Utc>,
    pub until: DateTime<Utc>,
}

impl Noisy {
    /// Nothing yet, observed at that time.
    pub fn at(time: DateTime<Utc>) -> Self {
        Self { prints: 0, changes: 0, from: time, until: time }
    }

    /// Widens the time range.
    pub fn include(&mut self, time: DateTime<Utc>) {
        self.from = self.from.min(time);
        self.until = self.until.max(time);
    }
}
