//! The status of each part of the server, as `/readyz` and the problem `not_ready` show it.

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use crate::service::health::Health;

/// The parts of the server, each with its status.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct HealthParts {
    database: DatabasePart,
    dispatcher: DispatcherPart,
    pub recorder: RecorderPart,
    pub sending: SendingPart,
}

/// Whether the database accepts writes. The server writes one row every 5 s.
#[derive(Debug, Clone, Serialize, ToSchema)]
struct DatabasePart {
    /// The last write succeeded at most 15 s ago.
    ok: bool,
    /// Milliseconds since the last successful write. Before the first write: since the server started.
    write_age_ms: u64,
}

/// Whether the command dispatcher works.
#[derive(Debug, Clone, Serialize, ToSchema)]
struct DispatcherPart {
    ok: bool,
}

/// Whether observed prints are stored in time.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct RecorderPart {
    ok: bool,
    /// Observations of prints that are not stored yet.
    pub behind: usize,
}

/// Whether this server sends commands to the printers.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct SendingPart {
    ok: bool,
    /// Number of the current take-over. Each server that takes over the farm increments it.
    pub epoch: i64,
    /// Host name and process id of the sending server.
    holder: String,
    /// When that server took over.
    since: DateTime<Utc>,
}

impl From<Health> for HealthParts {
    fn from(health: Health) -> Self {
        let Health { database, dispatcher_ok, recorder, sending } = health;
        Self {
            database: DatabasePart {
                ok: database.failure.is_none(),
                write_age_ms: u64::try_from(database.write_age.as_millis()).unwrap_or(u64::MAX),
            },
            dispatcher: DispatcherPart { ok: dispatcher_ok },
            recorder: RecorderPart { ok: recorder.ok, behind: recorder.behind },
            sending: SendingPart { ok: sending.ok, epoch: sending.epoch, holder: sending.holder, since: sending.since },
        }
    }
}

impl HealthParts {
    /// Returns the name of each part and whether it works.
    pub fn part_statuses(&self) -> [(&'static str, bool); 4] {
        [
            ("database", self.database.ok),
            ("dispatcher", self.dispatcher.ok),
            ("recorder", self.recorder.ok),
            ("sending", self.sending.ok),
        ]
    }
}
