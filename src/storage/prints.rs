//! All observed prints, whether Printyard started them or not. Rows outlive their printers.

use chrono::{DateTime, Utc};
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use super::{
    Db, Error, bulk,
    error::{RowRef, unreadable},
    orders::active_states,
    reading, retention,
};
use crate::domain::{
    command::FileRef,
    print::{ActorKind, Print, PrintActor, PrintFilter, PrintResult, PrintState, SentStart},
    print_reasons::ReasonCount,
    reading::LOCAL_ORIGIN,
};

const COLUMNS: &str = "id, printer_id, file_path, file_origin, started_at, ended_at, result, reason, \
     started_by_kind, started_by_command, paused_by_kind, paused_by_command, batch_id, external_ref";

#[derive(sqlx::FromRow)]
struct PrintRow {
    id: Uuid,
    printer_id: Uuid,
    file_path: Option<String>,
    file_origin: Option<String>,
    started_at: DateTime<Utc>,
    ended_at: Option<DateTime<Utc>>,
    result: Option<String>,
    reason: Option<String>,
    started_by_kind: String,
    started_by_command: Option<Uuid>,
    paused_by_kind: Option<String>,
    paused_by_command: Option<Uuid>,
    batch_id: Option<Uuid>,
    external_ref: Option<String>,
}

impl PrintRow {
    fn into_print(self) -> Result<Print, Error> {
        let row_ref = RowRef { table: "prints", row: self.id };
        let file = match (self.file_path, self.file_origin) {
            (None, None) => None,
            (Some(path), Some(origin)) => Some(FileRef { path, origin }),
            _ => return Err(unreadable("prints", "file_path", self.id)),
        };
        let paused_kind = row_ref.parse_optional("paused_by_kind", self.paused_by_kind.as_deref(), ActorKind::parse)?;
        Ok(Print {
            id: self.id,
            printer_id: self.printer_id,
            file,
            started_at: self.started_at,
            ended_at: self.ended_at,
            result: row_ref.parse_optional("result", self.result.as_deref(), PrintResult::parse)?,
            reason: self.reason,
            started_by: PrintActor {
                kind: row_ref.parse("started_by_kind", &self.started_by_kind, ActorKind::parse)?,
                command_id: self.started_by_command,
            },
            paused_by: paused_kind.map(|kind| PrintActor { kind, command_id: self.paused_by_command }),
            batch_id: self.batch_id,
            external_ref: self.external_ref,
        })
    }
}

/// Returns the prints of these printers that have not ended, oldest first.
pub async fn list_open(db: &Db, printer_ids: &[Uuid]) -> Result<Vec<Print>, Error> {
    let sql = format!(
        "select {COLUMNS} from prints where ended_at is null and printer_id in {} order by id",
        db.uuids_subquery(1)
    );
    let ids = bulk::uuid_list(printer_ids.iter().copied());
    let rows: Vec<PrintRow> = reading!(db, |pool| sqlx::query_as(AssertSqlSafe(sql)).bind(ids).fetch_all(pool).await)?;
    rows.into_iter().map(PrintRow::into_print).collect()
}

/// Returns the prints that have not ended and whose printer was removed.
pub async fn list_open_of_removed(db: &Db) -> Result<Vec<Print>, Error> {
    let sql = format!(
        "select {COLUMNS} from prints where ended_at is null and printer_id not in (select id from printers) order by id"
    );
    let rows: Vec<PrintRow> = reading!(db, |pool| sqlx::query_as(AssertSqlSafe(sql)).fetch_all(pool).await)?;
    rows.into_iter().map(PrintRow::into_print).collect()
}

/// Returns the sent starts, by printer, whose prints are not recorded. Their commands are not settled yet, or were
/// confirmed just before the server died. Batches that ended before `since` are left out.
pub async fn list_sent_starts(db: &Db, since: DateTime<Utc>) -> Result<Vec<(Uuid, SentStart)>, Error> {
    // No index contains `started_by_command`, so only the few starts without a recorded print are searched by it.
    let sql = "with unrecorded as materialized (
                   select c.printer_id, c.id, c.file_path, c.sent_at, c.print_id, p.id as recorded
                   from batches b join commands c on c.batch_id = b.id left join prints p on p.id = c.print_id
                   where (b.finished_at > $1 or b.finished_at is null) and c.step = 'start'
                       and (c.outcome in ('sent', 'accepted')
                           or (c.outcome = 'confirmed' and c.print_id is not null and p.id is null)))
               select * from unrecorded u
               where not exists (select 1 from prints q where q.started_by_command = u.id)
               order by u.id";
    let rows: Vec<SentStartRow> = reading!(db, |pool| sqlx::query_as(sql).bind(since).fetch_all(pool).await)?;
    Ok(rows.into_iter().map(SentStartRow::into_sent_start).collect())
}

#[derive(sqlx::FromRow)]
struct SentStartRow {
    printer_id: Uuid,
    id: Uuid,
    file_path: Option<String>,
    sent_at: Option<DateTime<Utc>>,
    print_id: Option<Uuid>,
    recorded: Option<Uuid>,
}

impl SentStartRow {
    fn into_sent_start(self) -> (Uuid, SentStart) {
        let start = SentStart {
            command_id: self.id,
            file: self.file_path.map(|path| FileRef { path, origin: LOCAL_ORIGIN.to_owned() }),
            sent_at: self.sent_at,
            by_previous_run: true,
            print_id: self.print_id.filter(|_| self.recorded.is_none()),
        };
        (self.printer_id, start)
    }
}

/// Returns the paths of the files of these prints, as their printers name them. A print whose file is not known is left
/// out.
pub async fn list_file_paths(db: &Db, ids: &[Uuid]) -> Result<Vec<(Uuid, String)>, Error> {
    let sql =
        format!("select id, file_path from prints where file_path is not null and id in {}", db.uuids_subquery(1));
    let ids = bulk::uuid_list(ids.iter().copied());
    let rows: Vec<(Uuid, String)> =
        reading!(db, |pool| sqlx::query_as(AssertSqlSafe(sql)).bind(ids).fetch_all(pool).await)?;
    Ok(rows)
}

/// Returns one print.
pub async fn get(db: &Db, id: Uuid) -> Result<Option<Print>, Error> {
    let sql = format!("select {COLUMNS} from prints where id = $1");
    let row: Option<PrintRow> =
        reading!(db, |pool| sqlx::query_as(AssertSqlSafe(sql)).bind(id).fetch_optional(pool).await)?;
    row.map(PrintRow::into_print).transpose()
}

/// Returns the ids of the prints of active copies that have ended.
pub async fn list_ended_of_active_copies(db: &Db) -> Result<Vec<Uuid>, Error> {
    let sql = format!(
        "select id from prints where ended_at is not null
             and id in (select print_id from copies where state in ({}) and print_id is not null)",
        active_states()
    );
    let rows: Vec<(Uuid,)> = reading!(db, |pool| sqlx::query_as(AssertSqlSafe(sql)).fetch_all(pool).await)?;
    Ok(rows.into_iter().map(|(id,)| id).collect())
}

/// Returns a page of prints, newest first, older than `after`.
pub async fn list_page(db: &Db, filter: &PrintFilter, after: Option<Uuid>, limit: i64) -> Result<Vec<Print>, Error> {
    // Plain conditions, so that the database uses the indexes.
    let state = match filter.state {
        Some(PrintState::Open) => "$2 is null and ended_at is null",
        Some(PrintState::Ended(_)) => "result = $2",
        None => "$2 is null",
    };
    let printer = if filter.printer_id.is_some() { "printer_id = $1" } else { "$1 is null" };
    let batch = if filter.batch_id.is_some() { "batch_id = $10" } else { "$10 is null" };
    let reference = if filter.external_ref.is_some() { "external_ref = $11" } else { "$11 is null" };
    let page_start = if after.is_some() { "id < $3" } else { "$3 is null" };
    let sql = format!(
        "select {COLUMNS} from prints
         where {printer} and {batch} and {reference} and {state} and {page_start} and ($4 is null or started_at >= $4) and ($5 is null or started_at < $5)
             and (not $6 or printer_id in (select t.printer_id from printer_tags t where t.tag in {}))
             and ($8 is null or printer_id in (select t.printer_id from printer_tags t where t.tag = $8))
         order by id desc limit $9",
        db.texts_subquery(7)
    );
    let result = match filter.state {
        Some(PrintState::Ended(result)) => Some(result.as_str()),
        Some(PrintState::Open) | None => None,
    };
    let rows: Vec<PrintRow> = reading!(db, |pool| sqlx::query_as(AssertSqlSafe(sql))
        .bind(filter.printer_id)
        .bind(result)
        .bind(after)
        .bind(filter.since)
        .bind(filter.until)
        .bind(filter.visible_tags.is_some())
        .bind(bulk::text_list(filter.visible_tags.iter().flatten()))
        .bind(filter.tag.as_deref().map(bulk::without_nul))
        .bind(limit)
        .bind(filter.batch_id)
        .bind(filter.external_ref.as_deref().map(bulk::without_nul))
        .fetch_all(pool)
        .await)?;
    rows.into_iter().map(PrintRow::into_print).collect()
}

/// Maximum number of different reasons that [`count_reasons`] returns.
const MAX_REASONS: i64 = 1_000;

#[derive(sqlx::FromRow)]
struct ReasonRow {
    result: String,
    reason: Option<String>,
    count: i64,
}

/// Counts the prints that ended from `from` to `until` without success, by result and reason. With `printer_ids`, only
/// prints of these printers.
pub async fn count_reasons(
    db: &Db,
    from: DateTime<Utc>,
    until: DateTime<Utc>,
    printer_ids: Option<&[Uuid]>,
) -> Result<Vec<ReasonCount>, Error> {
    let printer = if printer_ids.is_some() {
        format!("printer_id in {}", db.uuids_subquery(3))
    } else {
        "$3 is not null".to_owned()
    };
    let sql = format!(
        "select result, reason, count(*) as count from prints
         where result in ('failed', 'cancelled', 'unknown') and ended_at >= $1 and ended_at < $2 and {printer}
         group by result, reason order by count(*) desc limit $4"
    );
    let ids = bulk::uuid_list(printer_ids.unwrap_or_default().iter().copied());
    let rows: Vec<ReasonRow> = reading!(db, |pool| sqlx::query_as(AssertSqlSafe(sql))
        .bind(from)
        .bind(until)
        .bind(ids)
        .bind(MAX_REASONS)
        .fetch_all(pool)
        .await)?;
    let counts = rows.into_iter().filter_map(|ReasonRow { result, reason, count }| {
        Some(ReasonCount { result: PrintResult::parse(&result)?, reason, count })
    });
    Ok(counts.collect())
}

/// Prints that one statement of [`delete_older_than`] deletes.
const DELETED_AT_ONCE: i64 = 1_000;

/// Deletes the prints that began before `older_than`, by position. Times after `now` are in the future and do not
/// count. A print stays if it has not ended, ended since, is not in the statistics yet, is on a plate, or belongs to a copy. Returns the
/// number of deleted prints.
pub async fn delete_older_than(db: &Db, older_than: DateTime<Utc>, now: DateTime<Utc>) -> Result<u64, Error> {
    let last = retention::last_old_row_sql("prints", "id", "started_at");
    let last: Option<(Uuid,)> =
        reading!(db, |pool| sqlx::query_as(AssertSqlSafe(last)).bind(older_than).bind(now).fetch_optional(pool).await)?;
    let Some((last,)) = last else { return Ok(0) };
    let sql = "delete from prints where id in
               (select id from prints where id <= $1 and (ended_at < $2 or ended_at > $3) and counted
                    and not exists (select 1 from plates where plates.print_id = prints.id)
                    and not exists (select 1 from copies where copies.print_id = prints.id)
                order by id limit $4)";
    Ok(retention::delete_in_groups!(db, sql, DELETED_AT_ONCE, last, older_than, now))
}
