//! Batches: created with all their rows in one transaction, stopped and finished by compare-and-set.

mod counts;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Map, Value, json};
use sqlx::{AssertSqlSafe, types::Json};
use uuid::Uuid;

use super::{
    Db, Error, audit,
    bulk::{self, ColumnType, format_optional_time, format_time},
    commands::{self, ChangedRow, OPEN},
    error::RowRef,
    events, fenced, reading, retention,
};
use crate::domain::{
    audit::{Action, ActorKind, AuditEntry, object_fields},
    batch::{Batch, BatchFilter, BatchOrigin, BatchResult, BatchSpec, BatchState, OutcomeCounts},
    command::{Command, CommandRow, Outcome, Reason},
    event::NewEvent,
};
pub use counts::{count_outcomes, summarise_results};

const COLUMNS: &str = "id, spec, state, created_at, finished_at, created_by, retry_of";

/// Batches that one statement of [`delete_older_than`] deletes. With 5,000 rows each, more would block the command log
/// for long.
const DELETED_AT_ONCE: i64 = 20;

#[derive(sqlx::FromRow)]
struct BatchRow {
    id: Uuid,
    spec: Json<Value>,
    state: String,
    created_at: DateTime<Utc>,
    finished_at: Option<DateTime<Utc>>,
    created_by: String,
    retry_of: Option<Uuid>,
}

impl BatchRow {
    fn into_batch(self) -> Result<Batch, Error> {
        let row_ref = RowRef { table: "batches", row: self.id };
        Ok(Batch {
            id: self.id,
            spec: row_ref.parse_json("spec", self.spec.0)?,
            state: row_ref.parse("state", &self.state, BatchState::parse)?,
            created_at: self.created_at,
            finished_at: self.finished_at,
            created_by: self.created_by,
            retry_of: self.retry_of,
        })
    }
}

/// Result of [`stop`].
#[derive(Debug, Clone, PartialEq)]
pub struct StopResult {
    /// State before the stop. A batch that was finished or stopped before does not change.
    pub state_before: BatchState,
    /// The command rows that became `skipped`.
    pub skipped: Vec<Uuid>,
    /// No row was open any more, and `finished_at` is set. Otherwise [`finish_ended`] will set it.
    pub finished: bool,
}

/// Appends the end of a batch to the audit log, within a transaction of `transaction!`. The entry contains the counts
/// by outcome and the printers on which the command is not done.
macro_rules! note_end {
    ($tx:ident, $db:expr, $id:expr, $state:expr, $at:expr) => {{
        let (id, state, at): (Uuid, &str, DateTime<Utc>) = ($id, $state, $at);
        let counts: Vec<(String, i64)> =
            sqlx::query_as("select outcome, count(*) from commands where batch_id = $1 group by outcome")
                .bind(id)
                .fetch_all(&mut *$tx)
                .await?;
        let not_done: Vec<(Uuid,)> = sqlx::query_as(
            "select printer_id from commands
             where batch_id = $1 and outcome not in ('confirmed', 'unchanged') order by position",
        )
        .bind(id)
        .fetch_all(&mut *$tx)
        .await?;
        $crate::storage::audit::append!(
            $tx,
            $db,
            &$crate::storage::batches::batch_end_entry(id, state, &counts, not_done, at)
        );
    }};
}

/// Finishes those of the batches whose rows are all final, within a transaction. Returns their ids.
macro_rules! finish_over {
    ($tx:ident, $db:expr, $batch_ids:expr, $at:expr) => {{
        let (batch_ids, at): (&[Uuid], DateTime<Utc>) = ($batch_ids, $at);
        let ended: Vec<(Uuid, String)> = sqlx::query_as(sqlx::AssertSqlSafe($crate::storage::batches::finish_sql($db)))
            .bind($crate::storage::bulk::uuid_list(batch_ids.iter().copied()))
            .bind(at)
            .fetch_all(&mut *$tx)
            .await?;
        for (id, state) in &ended {
            $crate::storage::batches::note_end!($tx, $db, *id, state, at);
        }
        ended.into_iter().map(|(id, _)| id).collect::<Vec<Uuid>>()
    }};
}

pub(super) use {finish_over, note_end};

pub(super) fn batch_end_entry(
    id: Uuid,
    state: &str,
    counts: &[(String, i64)],
    not_done: Vec<(Uuid,)>,
    at: DateTime<Utc>,
) -> AuditEntry {
    let known = counts.iter().filter_map(|(outcome, n)| Some((Outcome::parse(outcome)?, *n)));
    let result = OutcomeCounts::from_pairs(known).result().map(BatchResult::as_str);
    let counts: Map<String, Value> = counts.iter().map(|(outcome, n)| (outcome.clone(), json!(n))).collect();
    AuditEntry {
        subject: Some(id),
        printer_ids: not_done.into_iter().map(|(id,)| id).collect(),
        changes: object_fields(&json!({"state": state, "result": result, "counts": counts})),
        ..AuditEntry::without_request(ActorKind::Scheduler, Action::BatchFinished, at)
    }
}

/// A batch to be stored.
#[derive(Debug, Clone)]
pub struct PreparedBatch {
    pub batch: Batch,
    pub rows: Vec<CommandRow>,
    /// Its audit entry.
    pub entry: AuditEntry,
}

/// A batch as a bulk record.
#[derive(Serialize)]
struct BatchRecord<'a> {
    id: Uuid,
    command: Command,
    #[serde(skip_serializing_if = "Option::is_none")]
    external_ref: Option<&'a str>,
    due_at: String,
    spec: &'a BatchSpec,
    state: &'static str,
    created_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    finished_at: Option<String>,
    created_by: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_of: Option<Uuid>,
    origin: BatchOrigin,
}

const BATCH_RECORD: &[(&str, ColumnType)] = &[
    ("id", ColumnType::Uuid),
    ("command", ColumnType::Text),
    ("external_ref", ColumnType::Text),
    ("due_at", ColumnType::Time),
    ("spec", ColumnType::Json),
    ("state", ColumnType::Text),
    ("created_at", ColumnType::Time),
    ("finished_at", ColumnType::Time),
    ("created_by", ColumnType::Text),
    ("retry_of", ColumnType::Uuid),
    ("origin", ColumnType::Text),
];

/// The statements that store batches with their rows, and their parameters.
pub(super) struct BatchInsert {
    pub batches_sql: String,
    pub batch_records: bulk::JsonParameter,
    pub rows_sql: String,
    pub rows: commands::CommandInsert,
    /// Events of the rows that are refused at once.
    pub finish_events: Vec<NewEvent>,
}

/// Stores prepared batches within a transaction, with their audit entries and events.
macro_rules! insert_batches {
    ($tx:ident, $db:expr, $insert:expr, $new:expr) => {{
        let (insert, new): ($crate::storage::batches::BatchInsert, &[$crate::storage::batches::PreparedBatch]) =
            ($insert, $new);
        sqlx::query(sqlx::AssertSqlSafe(insert.batches_sql)).bind(insert.batch_records).execute(&mut *$tx).await?;
        sqlx::query(sqlx::AssertSqlSafe(insert.rows_sql))
            .bind(insert.rows.records)
            .bind(insert.rows.batch_id)
            .bind(insert.rows.released_at)
            .bind(insert.rows.expires_at)
            .execute(&mut *$tx)
            .await?;
        $crate::storage::audit::append_all!($tx, $db, new.iter().map(|new| &new.entry));
        $crate::storage::events::append!($tx, $db, &insert.finish_events);
    }};
}
pub(super) use insert_batches;

impl BatchInsert {
    /// Builds the statements.
    pub fn new(db: &Db, new: &[PreparedBatch]) -> Result<Self, Error> {
        let records = bulk::json_parameter(new.iter().map(|PreparedBatch { batch, .. }| BatchRecord {
            id: batch.id,
            command: batch.spec.command,
            external_ref: batch.spec.external_ref.as_deref(),
            due_at: format_time(batch.due_at()),
            spec: &batch.spec,
            state: batch.state.as_str(),
            created_at: format_time(batch.created_at),
            finished_at: format_optional_time(batch.finished_at),
            created_by: &batch.created_by,
            retry_of: batch.retry_of,
            origin: batch.spec.origin,
        }))?;
        let batches_sql = format!(
            "insert into batches
                 (id, command, external_ref, due_at, spec, state, created_at, finished_at, created_by, retry_of, origin)
             select x.id, x.command, x.external_ref, x.due_at, x.spec, x.state, x.created_at, x.finished_at, x.created_by,
                 x.retry_of, x.origin
             from {}",
            db.given_records_source(BATCH_RECORD, &records)
        );
        let rows = commands::CommandInsert::from_rows(new.iter().flat_map(|new| &new.rows))?;
        let mut finish_events = Vec::new();
        for PreparedBatch { batch, rows, .. } in new {
            let rows: Vec<ChangedRow> = rows
                .iter()
                .filter(|row| row.outcome.is_final())
                .map(|row| ChangedRow { id: row.id, batch_id: row.batch_id, printer_id: row.printer_id })
                .collect();
            finish_events.extend(commands::finish_events(&rows, batch.created_at));
        }
        Ok(Self { batches_sql, batch_records: records, rows_sql: rows.insert_sql(db), rows, finish_events })
    }
}

/// Stores batches with all their rows in one transaction: all or none.
pub async fn create(db: &Db, new: &[PreparedBatch]) -> Result<(), Error> {
    let insert = BatchInsert::new(db, new)?;
    fenced!(db, |tx| {
        insert_batches!(tx, db, insert, new);
        for PreparedBatch { batch, .. } in new {
            if let Some(at) = batch.finished_at {
                note_end!(tx, db, batch.id, batch.state.as_str(), at);
            }
        }
    });
    Ok(())
}

/// Returns one batch.
pub async fn get(db: &Db, id: Uuid) -> Result<Option<Batch>, Error> {
    let sql = format!("select {COLUMNS} from batches where id = $1");
    let row: Option<BatchRow> =
        reading!(db, |pool| sqlx::query_as(AssertSqlSafe(sql)).bind(id).fetch_optional(pool).await)?;
    row.map(BatchRow::into_batch).transpose()
}

/// Returns a page of batches, newest first, older than `after`.
pub async fn list_page(db: &Db, filter: &BatchFilter, after: Option<Uuid>, limit: i64) -> Result<Vec<Batch>, Error> {
    // A plain condition, so that the database uses the index.
    let external_ref = if filter.external_ref.is_some() { "external_ref = $3" } else { "$3 is null" };
    let sql = format!(
        "select {COLUMNS} from batches
         where ($1 is null or state = $1) and ($2 is null or command = $2) and {external_ref}
             and ($4 is null or created_at >= $4) and ($5 is null or id < $5)
             and ($9 is null or lower(created_by) = lower($9)) and origin = $10
             and (not $7 or exists (select 1 from commands c join printer_tags t on t.printer_id = c.printer_id
                                    where c.batch_id = batches.id and t.tag in {}))
         order by id desc limit $6",
        db.texts_subquery(8)
    );
    let rows: Vec<BatchRow> = reading!(db, |pool| sqlx::query_as(AssertSqlSafe(sql))
        .bind(filter.state.map(BatchState::as_str))
        .bind(filter.command.map(Command::as_str))
        .bind(&filter.external_ref)
        .bind(filter.since)
        .bind(after)
        .bind(limit)
        .bind(filter.visible_tags.is_some())
        .bind(bulk::text_list(filter.visible_tags.iter().flatten()))
        .bind(&filter.created_by)
        .bind(filter.origin.unwrap_or(BatchOrigin::Client).as_str())
        .fetch_all(pool)
        .await)?;
    rows.into_iter().map(BatchRow::into_batch).collect()
}

/// Returns the batches that have not ended, oldest first: scheduled, running, and stopped ones with open rows. A batch
/// that cannot be read does not hide the others.
pub async fn list_unfinished(db: &Db) -> Result<Vec<(Uuid, Result<Batch, Error>)>, Error> {
    let sql = format!("select {COLUMNS} from batches where finished_at is null order by id");
    let rows: Vec<BatchRow> = reading!(db, |pool| sqlx::query_as(AssertSqlSafe(sql)).fetch_all(pool).await)?;
    Ok(rows.into_iter().map(|row| (row.id, row.into_batch())).collect())
}

/// Changes a scheduled batch to running. Returns `false` if it was not scheduled any more.
pub async fn mark_running(db: &Db, id: Uuid) -> Result<bool, Error> {
    let sql = "update batches set state = 'running' where id = $1 and state = 'scheduled'";
    Ok(fenced!(db, |tx| { sqlx::query(sql).bind(id).execute(&mut *tx).await?.rows_affected() > 0 }))
}

/// Stops a batch: every queued row becomes `skipped`, and no send is committed after this returns. Returns `None` if
/// the batch does not exist.
pub async fn stop(db: &Db, id: Uuid, at: DateTime<Utc>, entry: &AuditEntry) -> Result<Option<StopResult>, Error> {
    let lock = format!("select state from batches where id = $1{}", db.for_update());
    let skip = format!(
        "update commands set outcome = 'skipped', reason = $2, finished_at = $3
         where id in (select id from commands where batch_id = $1 and outcome = 'queued' order by id{})
             and outcome = 'queued' returning id, batch_id, printer_id",
        db.for_update()
    );
    let (before, skipped) = fenced!(db, |tx| {
        let state: Option<(String,)> = sqlx::query_as(AssertSqlSafe(lock)).bind(id).fetch_optional(&mut *tx).await?;
        let Some((state,)) = state else { return Ok(None) };
        let state_before = RowRef { table: "batches", row: id }.parse("state", &state, BatchState::parse)?;
        if matches!(state_before, BatchState::Finished | BatchState::Stopped) {
            return Ok(Some(StopResult { state_before, skipped: Vec::new(), finished: false }));
        }
        sqlx::query("update batches set state = 'stopped' where id = $1").bind(id).execute(&mut *tx).await?;
        let skipped: Vec<ChangedRow> = sqlx::query_as(AssertSqlSafe(skip))
            .bind(id)
            .bind(Reason::BatchStopped.as_str())
            .bind(at)
            .fetch_all(&mut *tx)
            .await?;
        audit::append!(tx, db, entry);
        events::append!(tx, db, &commands::finish_events(&skipped, at));
        (state_before, skipped)
    });
    // Separate, and after the commit. A report may end the last row at this moment. Then either this statement reads
    // that row as final, or the report's own statement reads the skipped rows.
    let finished = !finish_ended(db, &[id], at).await?.is_empty();
    Ok(Some(StopResult { state_before: before, skipped: skipped.into_iter().map(|row| row.id).collect(), finished }))
}

/// Finishes those of the batches whose rows are all final: sets `finished_at`, and the state unless it is `stopped`.
/// Returns the finished batches. Over all calls, each batch is returned once. Each end is in the audit log, in the same
/// transaction.
pub async fn finish_ended(db: &Db, batch_ids: &[Uuid], at: DateTime<Utc>) -> Result<Vec<Uuid>, Error> {
    Ok(fenced!(db, |tx| { finish_over!(tx, db, batch_ids, at) }))
}

pub(super) fn finish_sql(db: &Db) -> String {
    format!(
        "update batches set finished_at = $2, state = case when state = 'stopped' then state else 'finished' end
         where id in (select id from batches where id in {} and finished_at is null order by id{})
             and finished_at is null
             and not exists (select 1 from commands where batch_id = batches.id and {OPEN})
         returning id, state",
        db.uuids_subquery(1),
        db.for_update()
    )
}

/// Deletes the batches that were created before `older_than`, by position, with their commands. Times after `now` are
/// in the future and do not count. Batches that have not ended, or ended since, stay. Returns the number of deleted
/// batches.
pub async fn delete_older_than(db: &Db, older_than: DateTime<Utc>, now: DateTime<Utc>) -> Result<u64, Error> {
    let last = retention::last_old_row_sql("batches", "id", "created_at");
    let last: Option<(Uuid,)> =
        reading!(db, |pool| sqlx::query_as(AssertSqlSafe(last)).bind(older_than).bind(now).fetch_optional(pool).await)?;
    let Some((last,)) = last else { return Ok(0) };
    let sql = "delete from batches where id in
               (select id from batches where id <= $1 and (finished_at < $2 or finished_at > $3) order by id limit $4)";
    Ok(retention::delete_in_groups!(db, sql, DELETED_AT_ONCE, last, older_than, now))
}
