//! Deletes old rows by their position.
//!
//! A stored time comes from the clock, and the clock may have been wrong. So an old time alone is not enough to delete
//! a row. Retention deletes the longest prefix, in the order of the rows, without a row of the kept period. Rows with a
//! time in the future are ignored. They do not end the prefix, and the prefix does not end with one.

use chrono::{DateTime, TimeDelta, Utc};

use super::{Db, Error, reading, writing};
use crate::domain::clock_check::{STEADY_FOR, StoredClock};

/// Returns a query for the position of the last row that may be deleted. Rows older than `$1` are deleted. Rows newer
/// than `$2` are from the future.
pub(super) fn last_old_row_sql(table: &str, position: &str, time: &str) -> String {
    format!(
        "select old.{position} from {table} old
         where old.{time} < $1 and old.{position} <= coalesce(
             (select kept.{position} from {table} kept where kept.{time} >= $1 and kept.{time} <= $2
              order by kept.{position} limit 1),
             (select last.{position} from {table} last order by last.{position} desc limit 1))
         order by old.{position} desc limit 1"
    )
}

/// Runs a statement that deletes at most `$group` rows until it deletes fewer, so other writers never wait long. The
/// last parameter of the statement is that number. Returns the number of deleted rows.
macro_rules! delete_in_groups {
    ($db:expr, $sql:expr, $group:expr, $($bound:expr),+) => {{
        let group: i64 = $group;
        let mut deleted = 0;
        loop {
            let n = $crate::storage::writing!($db, |pool| sqlx::query($sql)
                $(.bind($bound))+
                .bind(group)
                .execute(pool)
                .await
                .map(|done| done.rows_affected()))?;
            deleted += n;
            if i64::try_from(n).unwrap_or(i64::MAX) < group {
                break deleted;
            }
        }
    }};
}
pub(super) use delete_in_groups;

/// Returns what previous runs of the server stored about the clock. `None` means that nothing is stored at all.
pub async fn stored_clock(db: &Db) -> Result<Option<StoredClock>, Error> {
    let sql = "select checked_at, steady_s from retention_clock where id = 1";
    let row: Option<(DateTime<Utc>, i64)> = reading!(db, |pool| sqlx::query_as(sql).fetch_optional(pool).await)?;
    if let Some((newest, steady_s)) = row {
        return Ok(Some(StoredClock { newest, steady: TimeDelta::seconds(steady_s) }));
    }
    // An earlier version stored no such row. The newest event is used instead, because the feed records every change.
    let sql = "select at from events order by seq desc limit 1";
    let row: Option<(DateTime<Utc>,)> = reading!(db, |pool| sqlx::query_as(sql).fetch_optional(pool).await)?;
    Ok(row.map(|(newest,)| StoredClock { newest, steady: STEADY_FOR }))
}

/// Stores the state of the clock check.
pub async fn store_clock(db: &Db, clock: StoredClock) -> Result<(), Error> {
    let sql = "insert into retention_clock (id, checked_at, steady_s) values (1, $1, $2)
               on conflict (id) do update set checked_at = excluded.checked_at, steady_s = excluded.steady_s";
    let steady_s = clock.steady.num_seconds();
    writing!(db, |pool| sqlx::query(sql).bind(clock.newest).bind(steady_s).execute(pool).await.map(drop))?;
    Ok(())
}
