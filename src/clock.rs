//! The only source of wall-clock time and of ids.
//!
//! Wall-clock time is for people, for the database and across restarts. Deadlines use the monotonic clock
//! ([`std::time::Instant`]). Times are whole microseconds, as PostgreSQL stores them, so that a time is read as it was
//! written.

use chrono::{DateTime, SubsecRound, Utc};
use uuid::Uuid;

/// Returns the current time in whole microseconds.
#[expect(clippy::disallowed_methods, reason = "this is the function that the lint sends people to")]
pub fn now() -> DateTime<Utc> {
    Utc::now().trunc_subsecs(6)
}

/// Returns a new id: a version 7 UUID, so that ids sort by creation time.
pub fn new_id() -> Uuid {
    Uuid::now_v7()
}
