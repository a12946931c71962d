//! Deletes old rows at the beginning of the chain. Each removal is recorded at the end of the chain.

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::AssertSqlSafe;

use super::{
    super::{Db, Error, reading, retention, transaction},
    append, index,
};
use crate::domain::audit::{Action, ActorKind, AuditEntry, object_fields};

/// Rows that one transaction deletes. Appends wait for it.
const MAX_ROWS: i64 = 5_000;

/// Deletes the rows older than `older_than`, by position. Times after `now` are in the future and do not count. The
/// last row stays, because the chain continues from it. Each removal appends an entry with its range. Returns the
/// number of deleted rows.
pub async fn delete_older_than(db: &Db, older_than: DateTime<Utc>, now: DateTime<Utc>) -> Result<u64, Error> {
    let head = "select seq from audit_head where id = 1";
    let (head,): (i64,) = reading!(db, |pool| sqlx::query_as(head).fetch_one(pool).await)?;
    let last = retention::last_old_row_sql("audit", "seq", "at");
    let last: Option<(i64,)> =
        reading!(db, |pool| sqlx::query_as(AssertSqlSafe(last)).bind(older_than).bind(now).fetch_optional(pool).await)?;
    let mut deleted = 0;
    if let Some((last,)) = last {
        loop {
            let rows = delete_up_to(db, last.min(head - 1), now).await?;
            if rows == 0 {
                break;
            }
            deleted += rows;
        }
    }
    // Also deletes what an interrupted run left.
    index::delete_removed(db).await?;
    Ok(deleted)
}

/// Deletes at most [`MAX_ROWS`] rows up to `last`, and moves the beginning of the chain.
async fn delete_up_to(db: &Db, last: i64, now: DateTime<Utc>) -> Result<u64, Error> {
    let lock = format!("select base_seq from audit_head where id = 1{}", db.for_update());
    let end = "select seq, hash from (select seq, hash from audit where seq <= $1 order by seq limit $2) as a
               order by seq desc limit 1";
    let rows = transaction!(db, |tx| {
        let (base,): (i64,) = sqlx::query_as(AssertSqlSafe(lock)).fetch_one(&mut *tx).await?;
        let end: Option<(i64, String)> = sqlx::query_as(end).bind(last).bind(MAX_ROWS).fetch_optional(&mut *tx).await?;
        let Some((seq, hash)) = end else { return Ok(0) };
        sqlx::query("update audit_head set base_seq = $1, base_hash = $2 where id = 1")
            .bind(seq)
            .bind(hash)
            .execute(&mut *tx)
            .await?;
        let gone = sqlx::query("delete from audit where seq <= $1").bind(seq).execute(&mut *tx).await?.rows_affected();
        let range = json!({"first_seq": base + 1, "last_seq": seq, "rows": gone});
        let entry = AuditEntry::without_request(ActorKind::Scheduler, Action::AuditPruned, now);
        append!(tx, db, &AuditEntry { changes: object_fields(&range), ..entry });
        gone
    });
    Ok(rows)
}
