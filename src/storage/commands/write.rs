//! Bulk writes to the command log: one statement for any number of rows, each row by compare-and-set.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use super::{
    super::{Db, Error, audit, batches::finish_over, events, fenced},
    OPEN,
};
use crate::{
    domain::{
        command::{Command, Outcome, Reason, Step},
        command_report::CommandReport,
        event::{EventType, NewEvent},
        message::Message,
        state::PrinterState,
    },
    storage::bulk::{self, ColumnType, format_optional_time, format_time},
};

/// A row that a bulk write changed, and its batch and printer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, sqlx::FromRow)]
pub struct ChangedRow {
    pub id: Uuid,
    pub batch_id: Uuid,
    pub printer_id: Uuid,
}

/// Builds the feed events of rows that have ended.
pub(in crate::storage) fn finish_events(ended: &[ChangedRow], at: DateTime<Utc>) -> Vec<NewEvent> {
    let finished =
        |row: &ChangedRow| NewEvent::for_command(EventType::CommandFinished, at, row.id, row.batch_id, row.printer_id);
    ended.iter().map(finished).collect()
}

/// A request that is ready to be sent and needs a permit.
#[derive(Debug, Clone, PartialEq)]
pub struct SendCommit {
    pub id: Uuid,
    /// Number of this send, from 1.
    pub attempt: i64,
    /// The permit of this attempt was granted before and not used.
    pub is_repeated: bool,
    pub step: Step,
    /// The command that `toggle` resolved to. A value from before is kept.
    pub resolved: Option<Command>,
    /// The value of the first send is kept.
    pub state_before: Option<PrinterState>,
    pub print_id: Option<Uuid>,
    /// File that a start prints.
    pub file_path: Option<String>,
    pub at: DateTime<Utc>,
}

/// A [`SendCommit`] as a bulk record. Absent fields read as null.
#[derive(Serialize)]
struct SendCommitRecord<'a> {
    row_id: Uuid,
    attempt: i64,
    repeated: i64,
    step: Step,
    #[serde(skip_serializing_if = "Option::is_none")]
    resolved: Option<Command>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state_before: Option<PrinterState>,
    #[serde(skip_serializing_if = "Option::is_none")]
    print_id: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file_path: Option<&'a str>,
    at: String,
}

/// A [`CommandReport`] as a bulk record. Absent fields read as null.
#[derive(Serialize)]
struct ReportRecord {
    row_id: Uuid,
    outcome: Outcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Reason>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resolved: Option<Command>,
    #[serde(skip_serializing_if = "Option::is_none")]
    print_id: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state_before: Option<PrinterState>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state_after: Option<PrinterState>,
    #[serde(skip_serializing_if = "Option::is_none")]
    accepted_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    finished_at: Option<String>,
}

/// Commits that requests are about to be sent. Only the returned rows may be sent.
///
/// A first send needs a row that is queued and not expired at `at`. A later send needs a row that is not final, with
/// exactly the sends before it committed. When a stop of the batch has returned, no later commit of a send succeeds. If
/// an id occurs twice in `sends`, only the first occurrence counts.
pub async fn commit_sends(db: &Db, sends: &[SendCommit]) -> Result<Vec<Uuid>, Error> {
    db.fence().check_sending()?;
    let mut seen = HashSet::new();
    let sends: Vec<&SendCommit> = sends.iter().filter(|send| seen.insert(send.id)).collect();
    let ids: Vec<Uuid> = sends.iter().map(|send| send.id).collect();
    let records = bulk::json_parameter(sends.into_iter().map(|send| SendCommitRecord {
        row_id: send.id,
        attempt: send.attempt,
        repeated: i64::from(send.is_repeated),
        step: send.step,
        resolved: send.resolved,
        state_before: send.state_before,
        print_id: send.print_id,
        file_path: send.file_path.as_deref(),
        at: format_time(send.at),
    }))?;
    // Usually all sends are committed. Returning a thousand ids would only delay the sends.
    if commit_all_or_none(db, &ids, records.clone()).await? {
        return Ok(ids);
    }
    let update = format!("{} returning id", send_sql(db, &records));
    let lock = lock_batches_sql(db);
    let committed: Vec<(Uuid,)> = fenced!(db, |tx| {
        if db.is_postgres() {
            sqlx::query(AssertSqlSafe(lock)).bind(bulk::uuid_list(ids)).execute(&mut *tx).await?;
        }
        sqlx::query_as(AssertSqlSafe(update)).bind(records).fetch_all(&mut *tx).await?
    });
    Ok(committed.into_iter().map(|(id,)| id).collect())
}

/// Commits all of the sends and returns `true`, or none and returns `false`.
async fn commit_all_or_none(db: &Db, ids: &[Uuid], records: bulk::JsonParameter) -> Result<bool, Error> {
    let (lock, update) = (lock_batches_sql(db), send_sql(db, &records));
    fenced!(db, |tx| {
        if db.is_postgres() {
            sqlx::query(AssertSqlSafe(lock)).bind(bulk::uuid_list(ids.iter().copied())).execute(&mut *tx).await?;
        }
        let done = sqlx::query(AssertSqlSafe(update)).bind(records).execute(&mut *tx).await?;
        if usize::try_from(done.rows_affected()) != Ok(ids.len()) {
            return Ok(false);
        }
    });
    Ok(true)
}

/// PostgreSQL would let a send succeed beside a stop that commits at the same time. A stop locks its batch first, so a
/// send does too.
fn lock_batches_sql(db: &Db) -> String {
    format!(
        "select b.id from batches b where b.id in (select c.batch_id from commands c where c.id in {})
         order by b.id for share",
        db.uuids_subquery(1)
    )
}

fn send_sql(db: &Db, records: &bulk::JsonParameter) -> String {
    let source = db.command_records_source(
        &[
            ("row_id", ColumnType::Uuid),
            ("attempt", ColumnType::BigInt),
            ("repeated", ColumnType::BigInt),
            ("step", ColumnType::Text),
            ("resolved", ColumnType::Text),
            ("state_before", ColumnType::Text),
            ("print_id", ColumnType::Uuid),
            ("file_path", ColumnType::Text),
            ("at", ColumnType::Time),
        ],
        records,
    );
    format!(
        "update commands as c set
             outcome = 'sent', attempts = x.attempt, step = x.step, sent_at = coalesce(c.sent_at, x.at),
             state_before = coalesce(c.state_before, x.state_before),
             resolved_command = coalesce(c.resolved_command, x.resolved),
             print_id = coalesce(x.print_id, c.print_id), file_path = coalesce(x.file_path, c.file_path)
         from {source}
         where c.id = x.row_id
             and ((x.repeated = 0 and c.attempts = x.attempt - 1
                     and ((x.attempt = 1 and c.outcome = 'queued') or (x.attempt > 1 and c.outcome in ('sent', 'accepted'))))
                 or (x.repeated = 1 and c.attempts = x.attempt and c.outcome in ('sent', 'accepted')))
             and (x.attempt > 1 or c.expires_at is null or c.expires_at > x.at)
             and exists (select 1 from batches b where b.id = c.batch_id and b.state <> 'stopped')"
    )
}

/// Result of [`store_reports`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UpdateSummary {
    /// Number of rows that changed.
    pub changed: u64,
    /// Changed rows that ended.
    pub ended: HashSet<Uuid>,
    /// Batches that ended with these rows.
    pub finished: Vec<Uuid>,
}

/// Stores the results and the progress of commands. Returns which rows changed.
///
/// A row that is final does not change. A row never returns to an earlier outcome, and only [`commit_sends`] changes it
/// to `sent`. Batches of `ending_batches` whose last rows end here are finished in the same transaction.
///
/// Several reports for one id are applied in order.
pub async fn store_reports(
    db: &Db,
    reports: &[CommandReport],
    ending_batches: &[Uuid],
) -> Result<UpdateSummary, Error> {
    let (final_reports, progress_reports): (Vec<CommandReport>, Vec<CommandReport>) =
        merge_reports(reports).into_iter().partition(|report| report.outcome.is_final());
    // Progress first: an acceptance must not wait until the events of ended commands are stored.
    let progress = store_report_group(db, progress_reports, &[], false).await?;
    let ended = store_report_group(db, final_reports, ending_batches, true).await?;
    Ok(UpdateSummary { changed: progress.changed + ended.changed, ..ended })
}

/// Stores reports with one statement. Either all of them are final and get events in the feed, or none is final.
async fn store_report_group(
    db: &Db,
    reports: Vec<CommandReport>,
    ending_batches: &[Uuid],
    are_final: bool,
) -> Result<UpdateSummary, Error> {
    if reports.is_empty() {
        return Ok(UpdateSummary::default());
    }
    let mut columns = vec![
        ("row_id", ColumnType::Uuid),
        ("outcome", ColumnType::Text),
        ("resolved", ColumnType::Text),
        ("print_id", ColumnType::Uuid),
        ("state_before", ColumnType::Text),
        ("state_after", ColumnType::Text),
        ("accepted_at", ColumnType::Time),
    ];
    let (set, condition) = if are_final {
        columns.extend([("reason", ColumnType::Text), ("detail", ColumnType::Text), ("finished_at", ColumnType::Time)]);
        let set = ", reason = coalesce(x.reason, c.reason), detail = coalesce(x.detail, c.detail),
             finished_at = x.finished_at";
        (set, "")
    } else {
        // The update does not touch the index of open rows, as long as it does not name the column of that index.
        ("", " and (x.outcome = c.outcome or (x.outcome = 'accepted' and c.outcome = 'sent'))")
    };
    let known: Option<Vec<ChangedRow>> = reports.iter().map(known_row).collect();
    let ended_at = reports.iter().filter_map(CommandReport::finished_at).max();
    let records = reports.into_iter().map(|report| ReportRecord {
        row_id: report.command_id,
        outcome: report.outcome,
        reason: report.reason,
        resolved: report.resolved,
        print_id: report.print_id,
        state_before: report.state_before,
        state_after: report.state_after,
        accepted_at: format_optional_time(report.accepted_at),
        finished_at: format_optional_time(report.finished_at()),
        detail: report.detail.as_ref().map(Message::to_json),
    });
    let records = bulk::json_parameter(records)?;
    let source = db.command_records_source(&columns, &records);
    let sql = format!(
        "update commands as c set
             outcome = x.outcome, resolved_command = coalesce(c.resolved_command, x.resolved),
             print_id = coalesce(x.print_id, c.print_id), state_before = coalesce(c.state_before, x.state_before),
             state_after = coalesce(x.state_after, c.state_after),
             accepted_at = coalesce(c.accepted_at, x.accepted_at){set}
         from {source}
         where c.id = x.row_id and c.{OPEN}{condition}"
    );
    let Some(at) = ended_at else {
        let changed = fenced!(db, |tx| {
            sqlx::query(AssertSqlSafe(sql)).bind(records).execute(&mut *tx).await?.rows_affected()
        });
        return Ok(UpdateSummary { changed, ..UpdateSummary::default() });
    };
    // Usually all rows change. Returning a thousand rows would cost as much as the statement.
    if let Some(rows) = known
        && let Some(finished) = end_all_or_none(db, &sql, records.clone(), &rows, ending_batches, at).await?
    {
        let ended = rows.iter().map(|row| row.id).collect();
        return Ok(UpdateSummary { changed: rows.len() as u64, ended, finished });
    }
    let sql = format!("{sql} returning id, batch_id, printer_id");
    let lock = lock_batches_for_update_sql(db);
    Ok(fenced!(db, |tx| {
        if db.is_postgres() && !ending_batches.is_empty() {
            sqlx::query(AssertSqlSafe(lock))
                .bind(bulk::uuid_list(ending_batches.iter().copied()))
                .execute(&mut *tx)
                .await?;
        }
        let ended: Vec<ChangedRow> = sqlx::query_as(AssertSqlSafe(sql)).bind(records).fetch_all(&mut *tx).await?;
        if db.is_postgres() && !ending_batches.is_empty() {
            sqlx::query(AssertSqlSafe(audit::lock_head(db))).execute(&mut *tx).await?;
        }
        events::append!(tx, db, &finish_events(&ended, at));
        let finished = if ending_batches.is_empty() { Vec::new() } else { finish_over!(tx, db, ending_batches, at) };
        UpdateSummary { changed: ended.len() as u64, ended: ended.into_iter().map(|row| row.id).collect(), finished }
    }))
}

/// Ends all of the rows and returns the batches that ended with them. If any row cannot end, ends none and returns
/// `None`.
async fn end_all_or_none(
    db: &Db,
    sql: &str,
    records: bulk::JsonParameter,
    rows: &[ChangedRow],
    ending_batches: &[Uuid],
    at: DateTime<Utc>,
) -> Result<Option<Vec<Uuid>>, Error> {
    let lock = lock_batches_for_update_sql(db);
    Ok(Some(fenced!(db, |tx| {
        if db.is_postgres() && !ending_batches.is_empty() {
            sqlx::query(AssertSqlSafe(lock))
                .bind(bulk::uuid_list(ending_batches.iter().copied()))
                .execute(&mut *tx)
                .await?;
        }
        let changed = sqlx::query(AssertSqlSafe(sql.to_owned())).bind(records).execute(&mut *tx).await?;
        if usize::try_from(changed.rows_affected()) != Ok(rows.len()) {
            return Ok(None);
        }
        if db.is_postgres() && !ending_batches.is_empty() {
            sqlx::query(AssertSqlSafe(audit::lock_head(db))).execute(&mut *tx).await?;
        }
        events::append!(tx, db, &finish_events(rows, at));
        if ending_batches.is_empty() { Vec::new() } else { finish_over!(tx, db, ending_batches, at) }
    })))
}

/// Returns the statement that locks batches. On PostgreSQL, every transaction locks batches first, then commands, the
/// end of the audit log, and the end of the feed. Another order would deadlock.
fn lock_batches_for_update_sql(db: &Db) -> String {
    format!("select id from batches where id in {} order by id{}", db.uuids_subquery(1), db.for_update())
}

/// Returns the row of a report, as far as the report names it.
fn known_row(report: &CommandReport) -> Option<ChangedRow> {
    let (batch_id, printer_id) = report.batch_id.zip(report.printer_id)?;
    Some(ChangedRow { id: report.command_id, batch_id, printer_id })
}

/// Merges the reports of each id into one, as if they were applied in order. An update with two records for one row
/// would use either of them.
fn merge_reports(reports: &[CommandReport]) -> Vec<CommandReport> {
    let mut index: HashMap<Uuid, usize> = HashMap::new();
    let mut merged: Vec<CommandReport> = Vec::with_capacity(reports.len());
    for report in reports {
        let Some(&i) = index.get(&report.command_id) else {
            index.insert(report.command_id, merged.len());
            merged.push(report.clone());
            continue;
        };
        let before = &mut merged[i];
        if before.outcome.is_final() || (before.outcome == Outcome::Accepted && !report.outcome.is_final()) {
            continue;
        }
        *before = CommandReport {
            command_id: report.command_id,
            printer_id: report.printer_id.or(before.printer_id),
            batch_id: report.batch_id.or(before.batch_id),
            outcome: report.outcome,
            reason: report.reason.or(before.reason),
            detail: report.detail.clone().or(before.detail.take()),
            resolved: before.resolved.or(report.resolved),
            print_id: report.print_id.or(before.print_id),
            state_before: before.state_before.or(report.state_before),
            state_after: report.state_after.or(before.state_after),
            accepted_at: before.accepted_at.or(report.accepted_at),
            at: report.at,
        };
    }
    merged
}
