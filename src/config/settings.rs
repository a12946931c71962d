//! Settings of the services, with their defaults.

use std::time::Duration;

use chrono::TimeDelta;

use super::StartStagger;
use crate::domain::{calendar::Calendar, webhook::RetrySchedule};

/// Settings that the operator can change for the fleet, for retention and for webhooks.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// A print counts as stalled if its position has not changed for this long.
    pub stall_after: Duration,
    /// Whether an occupied plate blocks a start.
    pub plate_gate: bool,
    /// Whether users can search the network for printers.
    pub discovery: bool,
    /// Audit entries are kept for this long.
    pub audit_retention: TimeDelta,
    /// Prints are kept for this long.
    pub print_retention: TimeDelta,
    /// Schedule of repeated webhook deliveries. Tests shorten it.
    pub webhook_schedule: RetrySchedule,
    /// An upload fails if its printer accepts no byte for this long. `None`: the client's limit. Tests shorten it.
    pub upload_idle_timeout: Option<Duration>,
    /// Bytes that the contents of the library may have together.
    pub files_quota: u64,
    /// Maximum number of transfers to printers that move bytes at the same time.
    pub max_transfers: usize,
    /// Whether files of the library may be sent to a printer that prints.
    pub transfer_while_printing: bool,
    /// The stagger that the start sheet proposes.
    pub start_stagger: StartStagger,
    /// The days of statistics.
    pub calendar: Calendar,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            stall_after: Duration::from_secs(300),
            plate_gate: true,
            discovery: true,
            audit_retention: TimeDelta::days(730),
            print_retention: TimeDelta::days(1_825),
            webhook_schedule: RetrySchedule::default(),
            upload_idle_timeout: None,
            files_quota: 50_000_000_000,
            max_transfers: 8,
            transfer_while_printing: false,
            start_stagger: StartStagger::default(),
            calendar: Calendar::UTC,
        }
    }
}
