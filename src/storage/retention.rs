//! Removal of old rows, by their position.
//!
//! A stored time is what the clock said, and the clock may have been wrong. So not every row with an old time is removed, but
//! the longest prefix, in the order of the rows, that holds no row of the time that is kept. A time from the future says
//! nothing of a row: it neither ends the prefix nor is it the prefix's last one.

use chrono::{DateTime, TimeDelta, Utc};

use super::{Db, Error, reading, writing};
use crate::domain::clock_check::{STEADY_FOR, StoredClock};

/// A query: the position of the last row that may be removed. Rows older than `$1` go, and those newer than `$2` are from the
/// future.
pub(super) fn last_old_row(table: &str, position: &str, time: &str) -> String {
    format!(
        "select old.{position} from {table} old
         where old.{time} < $1 and old.{position} <= coalesce(
             (select kept.{position} from {table} kept where kept.{time} >= $1 and kept.{time} <= $2
              order by kept.{position} limit 1),
             (select last.{position} from {table} last order by last.{position} desc limit 1))
         order by old.{position} desc limit 1"
    )
}

/// Runs a statement that deletes at most `$group` rows until it finds fewer, so that no other writer waits for long. Its last
/// parameter is that number. Returns how many rows went.
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

/// What earlier runs of the server know of the clock. None: nothing is stored at all.
pub async fn stored_clock(db: &Db) -> Result<Option<StoredClock>, Error> {
    let sql = "select checked_at, steady_s from retention_clock where id = 1";
    let row: Option<(DateTime<Utc>, i64)> = reading!(db, |pool| sqlx::query_as(sql).fetch_optional(pool).await)?;
    if let Some((newest, steady_s)) = row {
        return Ok(Some(StoredClock { newest, steady: TimeDelta::seconds(steady_s) }));
    }
    // A database of a version before: the feed has every change.
    let sql = "select at from events order by seq desc limit 1";
    let row: Option<(DateTime<Utc>,)> = reading!(db, |pool| sqlx::query_as(sql).fetch_optional(pool).await)?;
    Ok(row.map(|(newest,)| StoredClock { newest, steady: STEADY_FOR }))
}

/// Stores what is known of the clock.
pub async fn store_clock(db: &Db, clock: StoredClock) -> Result<(), Error> {
    let sql = "insert into retention_clock (id, checked_at, steady_s) values (1, $1, $2)
               on conflict (id) do update set checked_at = excluded.checked_at, steady_s = excluded.steady_s";
    let steady_s = clock.steady.num_seconds();
    writing!(db, |pool| sqlx::query(sql).bind(clock.newest).bind(steady_s).execute(pool).await.map(drop))?;
    Ok(())
}
