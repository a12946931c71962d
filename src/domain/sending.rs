//! The one server that sends to the farm's printers.

use chrono::{DateTime, Utc};

/// The process that holds, or held last, the epoch of the sending server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// 0: no server has run yet. Each take-over increments it.
    pub epoch: i64,
    pub host: String,
    /// Process id on that host.
    pub pid: i64,
    /// When it took the epoch.
    pub since: Option<DateTime<Utc>>,
    /// When it ended in good order; none while it runs, and where it died.
    pub released_at: Option<DateTime<Utc>>,
}
