//! Which rows of the audit concern which printer.
//!
//! Not written with the rows: a batch of a thousand printers would touch a thousand pages of this index before its first
//! request goes (40 to 60 ms on SQLite with 300 such batches in it; tried). It follows in the background, many rows at once, which
//! touch the same pages; `audit_indexed` says how far it is, and a reader looks through the rows after that one by one.

use std::collections::{BTreeSet, HashMap};

use serde_json::json;
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use super::{
    super::{
        Db, Error,
        group::{self, Kind},
        reading, transaction, writing,
    },
    COLUMNS, Stored,
};

/// Rows that one transaction lists.
const ROWS: i64 = 500;
/// It ends after so many pairs of row and printer: whoever wants to send a command waits for it.
const PAIRS: usize = 20_000;

/// Lists the rows that are not listed yet under the printers that they concern. Returns how many.
pub async fn catch_up(db: &Db) -> Result<u64, Error> {
    let mark = "select seq from audit_indexed where id = 1";
    let lock = format!("{mark}{}", db.for_update());
    let next = format!("select {COLUMNS} from audit where seq > $1 order by seq limit $2");
    let insert = format!(
        "insert into audit_printers (printer_id, seq) select x.printer_id, x.seq from {} order by x.printer_id, x.seq",
        db.records(&[("printer_id", Kind::Uuid), ("seq", Kind::BigInt)])
    );
    let mut listed = 0;
    loop {
        // Looked at without a lock first: mostly there is nothing to do.
        let behind = format!("select count(*) from (select seq from audit where seq > ({mark}) limit 1) as a");
        let (behind,): (i64,) = reading!(db, |pool| sqlx::query_as(AssertSqlSafe(behind)).fetch_one(pool).await)?;
        if behind == 0 {
            return Ok(listed);
        }
        listed += transaction!(db, |tx| {
            let (from,): (i64,) = sqlx::query_as(AssertSqlSafe(lock.clone())).fetch_one(&mut *tx).await?;
            let rows: Vec<Stored> =
                sqlx::query_as(AssertSqlSafe(next.clone())).bind(from).bind(ROWS).fetch_all(&mut *tx).await?;
            let (mut pairs, mut last, mut taken) = (Vec::new(), from, 0);
            for row in rows {
                pairs.extend(row.printers().into_iter().map(|id| json!({"printer_id": id, "seq": row.seq})));
                (last, taken) = (row.seq, taken + 1);
                if pairs.len() >= PAIRS {
                    break;
                }
            }
            sqlx::query(AssertSqlSafe(insert.clone())).bind(group::parameter(pairs)?).execute(&mut *tx).await?;
            sqlx::query("update audit_indexed set seq = $1 where id = 1").bind(last).execute(&mut *tx).await?;
            taken
        });
    }
}

/// Removes what is listed of rows that are gone, a part at a time: a reader finds no row for it in any case.
pub(super) async fn forget_removed(db: &Db) -> Result<(), Error> {
    let sql = "delete from audit_printers where seq in
               (select seq from audit_printers where seq <= (select base_seq from audit_head where id = 1)
                order by seq limit $1)";
    let most = i64::try_from(PAIRS).unwrap_or(i64::MAX);
    loop {
        let gone =
            writing!(db, |pool| sqlx::query(sql).bind(most).execute(pool).await.map(|done| done.rows_affected()))?;
        if gone == 0 {
            return Ok(());
        }
    }
}

/// What the list says of rows after `from`, up to `to`: how far it goes at all, and under how many printers each stands.
pub(super) async fn listed(db: &Db, from: i64, to: i64) -> Result<(i64, HashMap<i64, usize>), Error> {
    let mark = "select seq from audit_indexed where id = 1";
    let (mark,): (i64,) = reading!(db, |pool| sqlx::query_as(mark).fetch_one(pool).await)?;
    let counts = "select seq, count(*) from audit_printers where seq > $1 and seq <= $2 group by seq";
    let counts: Vec<(i64, i64)> =
        reading!(db, |pool| sqlx::query_as(counts).bind(from).bind(to).fetch_all(pool).await)?;
    let counts = counts.into_iter().map(|(seq, n)| (seq, usize::try_from(n).unwrap_or(0)));
    Ok((mark, counts.collect()))
}

impl Stored {
    /// The printers that the row names; none where it cannot be read.
    pub(super) fn printers(&self) -> BTreeSet<Uuid> {
        self.record().map(|record| record.entry.printer_ids.into_iter().collect()).unwrap_or_default()
    }
}
