//! The one source of wall-clock time and of ids.
//!
//! Wall time is for people, for the database and across restarts; deadlines run on the monotonic clock
//! ([`std::time::Instant`]). Times are whole microseconds, which is what PostgreSQL keeps, so that what is read back
//! equals what was written.

use chrono::{DateTime, SubsecRound, Utc};
use uuid::Uuid;

/// Now, in whole microseconds.
#[expect(clippy::disallowed_methods, reason = "this is the function that the lint sends people to")]
pub fn now() -> DateTime<Utc> {
    Utc::now().trunc_subsecs(6)
}

/// A new id: a version 7 UUID, so that ids sort by the time they were made.
pub fn new_id() -> Uuid {
    Uuid::now_v7()
}
