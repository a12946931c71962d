//! Merged facts of a printer that sends facts faster than they can be stored.

use chrono::{DateTime, Utc};

/// Number of merged facts, and the time range in which they were observed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MergedFacts {
    /// Finished prints. They have no rows and no events.
    pub prints: u64,
    /// Pauses, resumes and stall warnings of other prints. They have no events.
    pub changes: u64,
    pub from: DateTime<Utc>,
    pub until: DateTime<Utc>,
}

impl MergedFacts {
    /// Returns an empty value for this time.
    pub fn new(time: DateTime<Utc>) -> Self {
        Self { prints: 0, changes: 0, from: time, until: time }
    }

    /// Extends the time range to include `time`.
    pub fn include(&mut self, time: DateTime<Utc>) {
        self.from = self.from.min(time);
        self.until = self.until.max(time);
    }
}
