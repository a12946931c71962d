//! Index of audit rows by printer.
//!
//! It is not written together with the rows. Otherwise a batch for a thousand printers would change a thousand pages of
//! this index before its first request. That took 40 to 60 ms on SQLite with 300 such batches stored (tried). A
//! background task fills the index for many rows at once, which share pages. `audit_indexed` contains the last indexed
//! row. A reader searches the rows after it one by one.

use std::collections::{BTreeSet, HashMap};

use serde_json::json;
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use super::{
    super::{Db, Error, reading, transaction, writing},
    COLUMNS, UncheckedRow,
};
use crate::storage::bulk::{self, ColumnType};

/// Rows that one transaction indexes.
const MAX_ROWS: i64 = 500;
/// A transaction ends after this many pairs of row and printer, because sends of commands wait for it.
const MAX_PAIRS: usize = 20_000;

/// Indexes the rows that are not indexed yet. Returns their number.
pub async fn index_new_rows(db: &Db) -> Result<u64, Error> {
    let mark = "select seq from audit_indexed where id = 1";
    let lock = format!("{mark}{}", db.for_update());
    let next = format!("select {COLUMNS} from audit where seq > $1 order by seq limit $2");
    let insert = format!(
        "insert into audit_printers (printer_id, seq) select x.printer_id, x.seq from {} order by x.printer_id, x.seq",
        db.records_source(&[("printer_id", ColumnType::Uuid), ("seq", ColumnType::BigInt)])
    );
    let mut indexed = 0;
    loop {
        // Checked without a lock first: usually there is nothing to do.
        let behind = format!("select count(*) from (select seq from audit where seq > ({mark}) limit 1) as a");
        let (behind,): (i64,) = reading!(db, |pool| sqlx::query_as(AssertSqlSafe(behind)).fetch_one(pool).await)?;
        if behind == 0 {
            return Ok(indexed);
        }
        indexed += transaction!(db, |tx| {
            let (from,): (i64,) = sqlx::query_as(AssertSqlSafe(lock.clone())).fetch_one(&mut *tx).await?;
            let rows: Vec<UncheckedRow> =
                sqlx::query_as(AssertSqlSafe(next.clone())).bind(from).bind(MAX_ROWS).fetch_all(&mut *tx).await?;
            let (mut pairs, mut last, mut taken) = (Vec::new(), from, 0);
            for row in rows {
                pairs.extend(row.printer_ids().into_iter().map(|id| json!({"printer_id": id, "seq": row.seq})));
                (last, taken) = (row.seq, taken + 1);
                if pairs.len() >= MAX_PAIRS {
                    break;
                }
            }
            sqlx::query(AssertSqlSafe(insert.clone())).bind(bulk::json_parameter(pairs)?).execute(&mut *tx).await?;
            sqlx::query("update audit_indexed set seq = $1 where id = 1").bind(last).execute(&mut *tx).await?;
            taken
        });
    }
}

/// Deletes the index entries of removed rows, in parts. Readers skip them, because they find no row for them.
pub(super) async fn delete_removed(db: &Db) -> Result<(), Error> {
    let sql = "delete from audit_printers where seq in
               (select seq from audit_printers where seq <= (select base_seq from audit_head where id = 1)
                order by seq limit $1)";
    let most = i64::try_from(MAX_PAIRS).unwrap_or(i64::MAX);
    loop {
        let gone =
            writing!(db, |pool| sqlx::query(sql).bind(most).execute(pool).await.map(|done| done.rows_affected()))?;
        if gone == 0 {
            return Ok(());
        }
    }
}

/// Returns the last indexed row, and the number of printers that the index has for each row after `from` up to `to`.
pub(super) async fn count_indexed(db: &Db, from: i64, to: i64) -> Result<(i64, HashMap<i64, usize>), Error> {
    let mark = "select seq from audit_indexed where id = 1";
    let (mark,): (i64,) = reading!(db, |pool| sqlx::query_as(mark).fetch_one(pool).await)?;
    let counts = "select seq, count(*) from audit_printers where seq > $1 and seq <= $2 group by seq";
    let counts: Vec<(i64, i64)> =
        reading!(db, |pool| sqlx::query_as(counts).bind(from).bind(to).fetch_all(pool).await)?;
    let counts = counts.into_iter().map(|(seq, n)| (seq, usize::try_from(n).unwrap_or(0)));
    Ok((mark, counts.collect()))
}

impl UncheckedRow {
    /// Returns the printers that the row names. Empty if the row cannot be read.
    pub(super) fn printer_ids(&self) -> BTreeSet<Uuid> {
        self.parse_record().map(|record| record.entry.printer_ids.into_iter().collect()).unwrap_or_default()
    }
}
