//! Command log: one row for each command to each printer.
//!
//! Rows are written in bulk, by compare-and-set. A stop, expiry, removal of the printer, an overtaking cancel and the
//! send itself each require the outcome that they read. So exactly one of them wins. A final outcome never changes.

mod end;
mod release;
mod row;
mod write;

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::{AssertSqlSafe, types::Json};
use uuid::Uuid;

use super::{
    Db, Error,
    bulk::{self, ColumnType},
    reading,
};
use crate::domain::command::{CommandRow, Outcome, RequestedCommand};

pub use end::{end_not_recorded, end_queued, store_settled_effect};
pub use release::release_queued;
pub(super) use row::CommandInsert;
use row::{COLUMNS, RawCommandRow, parse_rows};
pub(super) use write::finish_events;
pub use write::{ChangedRow, SendCommit, UpdateSummary, commit_sends, store_reports};

/// Condition for rows that are not final. The partial index has exactly the same text.
pub(super) const OPEN: &str = "finished_at is null";

/// Builds the parameter for a list of outcomes.
fn outcome_texts(outcomes: &[Outcome]) -> Json<Vec<String>> {
    bulk::text_list(outcomes)
}

/// Returns one row.
pub async fn get(db: &Db, id: Uuid) -> Result<Option<CommandRow>, Error> {
    let sql = format!("select {COLUMNS} from commands where id = $1");
    let row: Option<RawCommandRow> =
        reading!(db, |pool| sqlx::query_as(AssertSqlSafe(sql)).bind(id).fetch_optional(pool).await)?;
    row.map(RawCommandRow::into_command).transpose()
}

/// Returns those of the rows that exist, in no particular order.
pub async fn get_many(db: &Db, ids: &[Uuid]) -> Result<Vec<CommandRow>, Error> {
    let sql = format!("select {COLUMNS} from commands where id in {}", db.uuids_subquery(1));
    let ids = bulk::uuid_list(ids.iter().copied());
    let rows: Vec<RawCommandRow> =
        reading!(db, |pool| sqlx::query_as(AssertSqlSafe(sql)).bind(ids).fetch_all(pool).await)?;
    parse_rows(rows)
}

/// Which rows a caller may see. The default is all rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RowVisibility {
    /// Only rows of registered printers with any of these tags.
    pub tags: Option<Vec<String>>,
    /// The caller created the batch. Then the targets refused as `forbidden` or `not_found` are visible too.
    pub is_batch_creator: bool,
}

impl RowVisibility {
    /// Returns the condition on a row `c`. `$n` is whether [`RowVisibility::tags`] is given, `$n + 1` the tags, `$n + 2`
    /// [`RowVisibility::is_batch_creator`].
    pub(super) fn condition_sql(db: &Db, n: usize) -> String {
        format!(
            "(not ${n} or c.printer_id in (select t.printer_id from printer_tags t where t.tag in {})
                 or (${} and c.reason in ('forbidden', 'not_found')))",
            db.texts_subquery(n + 1),
            n + 2
        )
    }
}

/// Returns a page of the rows of a batch in order, after `after_position`. `outcomes` limits it to these outcomes.
pub async fn list_by_batch(
    db: &Db,
    batch_id: Uuid,
    after_position: Option<i64>,
    limit: i64,
    outcomes: Option<&[Outcome]>,
    visible: &RowVisibility,
) -> Result<Vec<CommandRow>, Error> {
    let sql = format!(
        "select {COLUMNS} from commands c where batch_id = $1 and position > $2 and (not $3 or outcome in {}) and {}
         order by position limit $5",
        db.texts_subquery(4),
        RowVisibility::condition_sql(db, 6)
    );
    let rows: Vec<RawCommandRow> = reading!(db, |pool| sqlx::query_as(AssertSqlSafe(sql))
        .bind(batch_id)
        .bind(after_position.unwrap_or(i64::MIN))
        .bind(outcomes.is_some())
        .bind(outcome_texts(outcomes.unwrap_or_default()))
        .bind(limit)
        .bind(visible.tags.is_some())
        .bind(bulk::text_list(visible.tags.iter().flatten()))
        .bind(visible.is_batch_creator)
        .fetch_all(pool)
        .await)?;
    parse_rows(rows)
}

/// Returns the rows of a batch with one of `outcomes`, final or not, in order.
pub async fn list_by_outcome(
    db: &Db,
    batch_id: Uuid,
    outcomes: &[Outcome],
    visible: &RowVisibility,
) -> Result<Vec<CommandRow>, Error> {
    list_by_batch(db, batch_id, None, i64::MAX, Some(outcomes), visible).await
}

/// Returns the rows of a batch that are not final, in order.
pub async fn list_open_of_batch(db: &Db, batch_id: Uuid) -> Result<Vec<CommandRow>, Error> {
    let sql = format!("select {COLUMNS} from commands where batch_id = $1 and {OPEN} order by position");
    let rows: Vec<RawCommandRow> =
        reading!(db, |pool| sqlx::query_as(AssertSqlSafe(sql)).bind(batch_id).fetch_all(pool).await)?;
    parse_rows(rows)
}

/// Returns the last final command of each printer, among batches that have not ended or ended after `since`.
pub async fn list_last_of_each_printer(db: &Db, since: DateTime<Utc>) -> Result<Vec<CommandRow>, Error> {
    let sql = format!(
        "select {COLUMNS} from (
             select c.*, row_number() over (partition by c.printer_id order by c.id desc) as nth
             from batches b join commands c on c.batch_id = b.id
             where (b.finished_at > $1 or b.finished_at is null) and c.finished_at is not null
         ) as ended where nth = 1"
    );
    let rows: Vec<RawCommandRow> =
        reading!(db, |pool| sqlx::query_as(AssertSqlSafe(sql)).bind(since).fetch_all(pool).await)?;
    parse_rows(rows)
}

#[derive(sqlx::FromRow)]
struct RequestedCommandRow {
    #[sqlx(flatten)]
    row: RawCommandRow,
    requested_by: String,
    requested_at: DateTime<Utc>,
}

/// Returns the rows of one printer at these places (batch and position), newest batch first. The places come from the
/// audit log. An index of the command log by printer would work too. But then an insert of 1,000 rows would wait for
/// 1,000 pages of that index.
pub async fn list_at_positions(
    db: &Db,
    printer_id: Uuid,
    positions: &[(Uuid, i64)],
) -> Result<Vec<RequestedCommand>, Error> {
    let batch_column = |column: &str| format!("(select b.{column} from batches b where b.id = commands.batch_id)");
    let sql = format!(
        "select {COLUMNS}, {} as requested_by, {} as requested_at from commands
         where (batch_id, position) in (select x.batch_id, x.position from {}) and printer_id = $2
         order by batch_id desc",
        batch_column("created_by"),
        batch_column("created_at"),
        db.records_source(&[("batch_id", ColumnType::Uuid), ("position", ColumnType::BigInt)])
    );
    let records = positions.iter().map(|(batch_id, position)| json!({"batch_id": batch_id, "position": position}));
    let records = bulk::json_parameter(records)?;
    let rows: Vec<RequestedCommandRow> =
        reading!(db, |pool| sqlx::query_as(AssertSqlSafe(sql)).bind(records).bind(printer_id).fetch_all(pool).await)?;
    let read = |requested: RequestedCommandRow| {
        Ok(RequestedCommand {
            row: requested.row.into_command()?,
            requested_by: requested.requested_by,
            requested_at: requested.requested_at,
        })
    };
    rows.into_iter().map(read).collect()
}

/// Returns every row that is not final, oldest first. The server settles these rows when it starts.
pub async fn list_open(db: &Db) -> Result<Vec<CommandRow>, Error> {
    let sql = format!("select {COLUMNS} from commands where {OPEN}");
    let rows: Vec<RawCommandRow> = reading!(db, |pool| sqlx::query_as(AssertSqlSafe(sql)).fetch_all(pool).await)?;
    parse_oldest_first(rows)
}

/// Returns the rows that ended as `unconfirmed` or `unknown` after `at`, and whose effect has not been observed since.
pub async fn list_unsettled_since(db: &Db, at: DateTime<Utc>) -> Result<Vec<CommandRow>, Error> {
    let sql = format!(
        "select {COLUMNS} from commands
         where outcome in ('unconfirmed', 'unknown') and settled_at is null and finished_at > $1"
    );
    let rows: Vec<RawCommandRow> =
        reading!(db, |pool| sqlx::query_as(AssertSqlSafe(sql)).bind(at).fetch_all(pool).await)?;
    parse_oldest_first(rows)
}

/// Sorted here: with `order by id`, SQLite walks the whole command log by its primary key to find a few open rows.
fn parse_oldest_first(rows: Vec<RawCommandRow>) -> Result<Vec<CommandRow>, Error> {
    let mut rows = parse_rows(rows)?;
    rows.sort_by_key(|row| row.id);
    Ok(rows)
}
