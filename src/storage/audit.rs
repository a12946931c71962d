//! Audit log: append-only rows, chained by hash, stored in the transaction of the change that they describe.
//!
//! `audit_head` contains the end of the chain. Each append locks it, so rows have one order. A missing row at the end
//! is therefore detected like one in the middle. It is locked *last* in every transaction. A transaction that held it
//! and waited for a row of the command log would deadlock with the opposite order (PostgreSQL; tried).

mod index;
mod prune;

use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use sqlx::AssertSqlSafe;

use super::{Db, Error, bulk, reading, transaction};
use crate::domain::audit::{Action, AuditEntry, AuditFilter, AuditRecord, CheckedRecord};
pub use index::index_new_rows;
pub use prune::delete_older_than;

const COLUMNS: &str = "seq, at, actor, action, record, hash";

/// Rows per query when the whole log is read.
const CHUNK: i64 = 1_000;

/// Appends an entry within a transaction of [`transaction!`]. Also binds the idempotency key of the request, and
/// appends the event of the entry to the feed.
macro_rules! append {
    ($tx:ident, $db:expr, $entry:expr) => {{
        let entry: &$crate::domain::audit::AuditEntry = $entry;
        $crate::storage::audit::append_all!($tx, $db, [entry]);
    }};
}
/// Like `append!`, for several entries in order.
macro_rules! append_all {
    ($tx:ident, $db:expr, $entries:expr) => {{
        let lock = $crate::storage::audit::lock_head($db);
        let (mut seq, mut hash): (i64, String) = sqlx::query_as(sqlx::AssertSqlSafe(lock)).fetch_one(&mut *$tx).await?;
        let mut events = Vec::new();
        for entry in $entries {
            let entry: &$crate::domain::audit::AuditEntry = entry;
            // A change without a location in the API is safe to repeat. For such a change, the response is stored
            // instead.
            if let (Some(key), Some(location)) = (entry.idempotency_key.as_deref(), entry.location()) {
                $crate::storage::idempotency::bind!($tx, key, entry.at, location);
            }
            let row = $crate::storage::audit::AuditRow::next_in_chain(seq, &hash, entry)?;
            sqlx::query("insert into audit (seq, at, actor, action, record, hash) values ($1, $2, $3, $4, $5, $6)")
                .bind(row.seq)
                .bind(row.at)
                .bind(&row.actor)
                .bind(&row.action)
                .bind(&row.record)
                .bind(&row.hash)
                .execute(&mut *$tx)
                .await?;
            (seq, hash) = (row.seq, row.hash);
            events.extend($crate::domain::event::NewEvent::from_audit_entry(entry));
        }
        sqlx::query("update audit_head set seq = $1, hash = $2 where id = 1")
            .bind(seq)
            .bind(&hash)
            .execute(&mut *$tx)
            .await?;
        $crate::storage::events::append!($tx, $db, &events);
    }};
}
pub(super) use {append, append_all};

/// Returns the statement that reads and locks the end of the chain.
pub(super) fn lock_head(db: &Db) -> String {
    format!("select seq, hash from audit_head where id = 1{}", db.for_update())
}

/// A stored row.
#[derive(sqlx::FromRow)]
pub(super) struct AuditRow {
    pub seq: i64,
    pub at: DateTime<Utc>,
    pub actor: String,
    pub action: String,
    pub record: String,
    pub hash: String,
}

impl AuditRow {
    /// Builds the row that appends an entry to the end of the chain.
    pub fn next_in_chain(seq: i64, hash: &str, entry: &AuditEntry) -> Result<Self, sqlx::Error> {
        let seq = seq + 1;
        let record = AuditRecord { seq, entry: entry.clone() };
        // PostgreSQL cannot store U+0000. JSON writes it as an escape, which PostgreSQL can store as text.
        let text = serde_json::to_string(&record).map_err(|error| sqlx::Error::Encode(error.into()))?;
        Ok(Self {
            seq,
            at: entry.at,
            actor: bulk::without_nul(&entry.actor.name),
            action: entry.action.as_str().to_owned(),
            hash: chain_hash(hash, &text),
            record: text,
        })
    }

    /// Returns the stored record if the columns match it.
    fn parse_record(&self) -> Option<AuditRecord> {
        serde_json::from_str(&self.record).ok().filter(|record: &AuditRecord| {
            record.seq == self.seq
                && record.entry.at == self.at
                && bulk::without_nul(&record.entry.actor.name) == self.actor
                && record.entry.action.as_str() == self.action
        })
    }
}

/// A row that may be damaged. A row that cannot be read must not hide the others.
struct UncheckedRow {
    seq: i64,
    at: Option<DateTime<Utc>>,
    action: Option<String>,
    hash: Option<String>,
    row: Option<AuditRow>,
}

impl<'r, R: sqlx::Row> sqlx::FromRow<'r, R> for UncheckedRow
where
    AuditRow: sqlx::FromRow<'r, R>,
    for<'n> &'n str: sqlx::ColumnIndex<R>,
    i64: sqlx::Decode<'r, R::Database> + sqlx::Type<R::Database>,
    String: sqlx::Decode<'r, R::Database> + sqlx::Type<R::Database>,
    DateTime<Utc>: sqlx::Decode<'r, R::Database> + sqlx::Type<R::Database>,
{
    fn from_row(row: &'r R) -> sqlx::Result<Self> {
        Ok(Self {
            seq: row.try_get("seq")?,
            at: row.try_get("at").ok(),
            action: row.try_get("action").ok(),
            hash: row.try_get("hash").ok(),
            row: AuditRow::from_row(row).ok(),
        })
    }
}

impl UncheckedRow {
    fn parse_record(&self) -> Option<AuditRecord> {
        self.row.as_ref()?.parse_record()
    }

    fn into_checked(self) -> CheckedRecord {
        match self.parse_record() {
            Some(record) => CheckedRecord::Intact(record),
            None => CheckedRecord::Damaged { seq: self.seq, at: self.at, action: self.action },
        }
    }
}

fn chain_hash(before: &str, record: &str) -> String {
    let digest = Sha256::new().chain_update(before).chain_update([0]).chain_update(record).finalize();
    digest.iter().fold(String::with_capacity(64), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Appends an entry on its own, for actions that change no table: a login, a file uploaded to a printer.
pub async fn append_single(db: &Db, entry: &AuditEntry) -> Result<(), Error> {
    transaction!(db, |tx| {
        append!(tx, db, entry);
    });
    Ok(())
}

/// Returns a page of records, newest first, before `before`.
pub async fn list_page(
    db: &Db,
    filter: &AuditFilter,
    before: Option<i64>,
    limit: i64,
) -> Result<Vec<CheckedRecord>, Error> {
    let columns = "a.seq, a.at, a.actor, a.action, a.record, a.hash";
    let condition = "a.seq < $1 and ($2 is null or a.at >= $2) and ($3 is null or a.at < $3)
        and ($4 is null or a.actor = $4) and ($5 is null or a.action = $5)";
    let sql = if filter.printer_id.is_some() {
        // Rows that the index does not cover yet are searched as text. The id must be inside `printer_ids`.
        let mark = "(select i.seq from audit_indexed i where i.id = 1)";
        format!(
            "select * from (
                 select {columns} from audit a where {condition} and a.seq > {mark} and a.record like $8
                 union all
                 select {columns} from audit_printers p join audit a on a.seq = p.seq
                 where p.printer_id = $7 and p.seq < $1 and p.seq <= {mark} and {condition}
             ) as a order by seq desc limit $6"
        )
    } else {
        format!(
            "select {columns} from audit a where {condition} and $7 is null and $8 is null order by a.seq desc limit $6"
        )
    };
    let rows: Vec<UncheckedRow> = reading!(db, |pool| sqlx::query_as(AssertSqlSafe(sql))
        .bind(before.unwrap_or(i64::MAX))
        .bind(filter.since)
        .bind(filter.until)
        .bind(filter.actor.as_deref().map(bulk::without_nul))
        .bind(filter.action.map(Action::as_str))
        .bind(limit)
        .bind(filter.printer_id)
        .bind(filter.printer_id.map(|id| format!("%\"printer_ids\":[%\"{id}\"%],\"subject\":%")))
        .fetch_all(pool)
        .await)?;
    Ok(rows.into_iter().map(UncheckedRow::into_checked).collect())
}

/// Result of a check of the whole chain.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditVerification {
    pub rows: i64,
    pub last_seq: i64,
    pub last_hash: String,
    /// Rows that retention removed, oldest first, as far as the entries of these removals are kept.
    pub removed: Vec<AuditRemoval>,
    /// Rows up to this number were removed. 0 means none.
    pub removed_up_to: i64,
    /// Detected faults in the order of the chain, at most [`MAX_FAULTS`].
    pub faults: Vec<String>,
}

/// Rows that retention removed in one transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRemoval {
    /// Clock time of the removal.
    pub at: DateTime<Utc>,
    pub first_seq: i64,
    pub last_seq: i64,
    pub rows: i64,
}

impl AuditRemoval {
    /// Returns the removal that an entry describes.
    fn from_entry(entry: &AuditEntry) -> Option<Self> {
        let number = |name: &str| entry.changes.get(name).and_then(serde_json::Value::as_i64);
        if entry.action != Action::AuditPruned {
            return None;
        }
        let (first_seq, last_seq, rows) = (number("first_seq")?, number("last_seq")?, number("rows")?);
        Some(Self { at: entry.at, first_seq, last_seq, rows })
    }
}

/// Maximum number of faults that are reported.
pub const MAX_FAULTS: usize = 20;

/// Checks the whole chain and finds rows that were altered, are missing, or were inserted.
pub async fn verify(db: &Db) -> Result<AuditVerification, Error> {
    let head = "select seq, hash, base_seq, base_hash from audit_head where id = 1";
    let head: Option<(i64, String, i64, String)> =
        reading!(db, |pool| sqlx::query_as(head).fetch_optional(pool).await)?;
    let mut verification = AuditVerification::default();
    let Some((head_seq, head_hash, base_seq, base_hash)) = head else {
        verification.faults.push("the end of the chain (table audit_head) is missing".to_owned());
        return Ok(verification);
    };
    (verification.last_seq, verification.last_hash, verification.removed_up_to) = (base_seq, base_hash, base_seq);
    let mut last_read = i64::MIN;
    let sql = format!("select {COLUMNS} from audit where seq > $1 order by seq limit $2");
    loop {
        let sql = AssertSqlSafe(sql.clone());
        let rows: Vec<UncheckedRow> =
            reading!(db, |pool| sqlx::query_as(sql).bind(last_read).bind(CHUNK).fetch_all(pool).await)?;
        let Some(last) = rows.last() else { break };
        let (indexed, indexed_counts) = index::count_indexed(db, last_read, last.seq).await?;
        last_read = last.seq;
        for row in rows {
            // Appended after the head was read.
            if row.seq > head_seq && verification.last_seq >= head_seq {
                continue;
            }
            verification.check_row(&row);
            if row.seq <= indexed && indexed_counts.get(&row.seq).copied().unwrap_or(0) != row.printer_ids().len() {
                verification.add_fault(format!("row {} is not listed under the printers that it names", row.seq));
            }
        }
    }
    if verification.last_seq < head_seq {
        verification.add_fault(format!("rows {} to {head_seq} are missing", verification.last_seq + 1));
    } else if verification.last_hash != head_hash {
        verification.add_fault(format!("row {head_seq} is not the one that was written last"));
    }
    if let Some(last) = verification.removed.last().filter(|last| last.last_seq != base_seq) {
        let recorded = last.last_seq;
        verification
            .add_fault(format!("rows up to {base_seq} were removed, and by the entries it was rows up to {recorded}"));
    }
    Ok(verification)
}

impl AuditVerification {
    fn check_row(&mut self, stored: &UncheckedRow) {
        self.rows += 1;
        let Some(row) = &stored.row else {
            self.add_fault(format!("row {} cannot be read", stored.seq));
            (self.last_seq, self.last_hash) = (stored.seq, stored.hash.clone().unwrap_or_default());
            return;
        };
        if row.seq > self.last_seq + 1 {
            let (first, last) = (self.last_seq + 1, row.seq - 1);
            self.add_fault(if first == last {
                format!("row {first} is missing")
            } else {
                format!("rows {first} to {last} are missing")
            });
        } else if row.seq <= self.last_seq {
            self.add_fault(format!("row {} does not belong there", row.seq));
        } else if chain_hash(&self.last_hash, &row.record) != row.hash {
            self.add_fault(format!("row {} was altered", row.seq));
        }
        let record = row.parse_record();
        self.removed.extend(record.as_ref().and_then(|record| AuditRemoval::from_entry(&record.entry)));
        if record.is_none() {
            self.add_fault(format!("the columns of row {} do not say what its record says", row.seq));
        }
        (self.last_seq, self.last_hash) = (row.seq, row.hash.clone());
    }

    fn add_fault(&mut self, text: String) {
        if self.faults.len() < MAX_FAULTS {
            self.faults.push(text);
        }
    }
}
