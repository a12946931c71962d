//! The epoch of the sending server, and the process that holds it.

use chrono::{DateTime, Utc};

/// The process that holds, or last held, the epoch of the sending server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EpochHolder {
    /// 0: no server has run yet. Each take-over increments it.
    pub epoch: i64,
    pub host: String,
    /// Process id on that host.
    pub pid: i64,
    /// When the process took the epoch.
    pub since: Option<DateTime<Utc>>,
    /// When the process shut down. `None` while it runs, and after a crash.
    pub released_at: Option<DateTime<Utc>>,
}
