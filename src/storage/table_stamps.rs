//! Stamps of tables: short reads that say whether rows changed.

use chrono::{DateTime, Utc};

use super::{Db, Error, reading};

/// The stamp of a table: counts, sums of versions, and newest times. Another stamp means that rows changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableStamp {
    counts: [i64; 3],
    newest: [Option<DateTime<Utc>>; 2],
}

/// Returns the stamp of the printer registry, with the attention of printers.
pub async fn get_printers(db: &Db) -> Result<TableStamp, Error> {
    let sql = "select count(*), cast(coalesce(sum(version), 0) as bigint), count(attention), max(updated_at),
                   max(attention_since)
               from printers";
    get(db, sql).await
}

/// Returns the stamp of the library's files.
pub async fn get_files(db: &Db) -> Result<TableStamp, Error> {
    let sql =
        "select count(*), cast(coalesce(sum(version), 0) as bigint), (select count(*) from contents), max(updated_at),
                   max(created_at)
               from files";
    get(db, sql).await
}

async fn get(db: &Db, sql: &'static str) -> Result<TableStamp, Error> {
    type Row = (i64, i64, i64, Option<DateTime<Utc>>, Option<DateTime<Utc>>);
    let (rows, versions, others, first, second): Row = reading!(db, |pool| sqlx::query_as(sql).fetch_one(pool).await)?;
    Ok(TableStamp { counts: [rows, versions, others], newest: [first, second] })
}
