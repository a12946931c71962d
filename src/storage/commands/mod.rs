//! Command log: one row for each command to each printer.
//!
//! Rows are written in bulk, by compare-and-set. A stop, expiry, removal of the printer, an overtaking cancel and the
//! send itself each require the outcome that they read. So exactly one of them wins. A final outcome never changes.

mod end;
mod row;
mod write;

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::{AssertSqlSafe, types::Json};
use uuid::Uuid;

use super::{
    Db, Error,
    group::{self, Kind},
    reading,
};
use crate::domain::command::{CommandRow, Outcome};

pub use end::{end_not_recorded, end_queued, settle, skip_queued};
pub(super) use row::Made;
use row::{COLUMNS, Row, read_all};
pub(super) use write::told;
pub use write::{Report, Reported, Send, Touched, commit_sends, release, report};

/// Condition for rows that are not final. The partial index has exactly the same text.
pub(super) const OPEN: &str = "finished_at is null";

/// Builds the parameter for a list of outcomes.
fn words(outcomes: &[Outcome]) -> Json<Vec<String>> {
    group::texts(outcomes)
}

/// Returns one row.
pub async fn get(db: &Db, id: Uuid) -> Result<Option<CommandRow>, Error> {
    let sql = format!("select {COLUMNS} from commands where id = $1");
    let row: Option<Row> = reading!(db, |pool| sqlx::query_as(AssertSqlSafe(sql)).bind(id).fetch_optional(pool).await)?;
    row.map(Row::read).transpose()
}

/// Returns those of the rows that exist, in no particular order.
pub async fn get_many(db: &Db, ids: &[Uuid]) -> Result<Vec<CommandRow>, Error> {
    let sql = format!("select {COLUMNS} from commands where id in {}", db.uuids(1));
    let ids = group::ids(ids.iter().copied());
    let rows: Vec<Row> = reading!(db, |pool| sqlx::query_as(AssertSqlSafe(sql)).bind(ids).fetch_all(pool).await)?;
    read_all(rows)
}

/// Which rows a caller may see. The default is all rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Visible {
    /// Only rows of registered printers with any of these tags.
    pub tags: Option<Vec<String>>,
    /// The caller created the batch. Then the targets refused as `forbidden` or `not_found` are visible too.
    pub own: bool,
}

impl Visible {
    /// Returns the condition on a row `c`. `$n` is whether [`Visible::tags`] is given, `$n + 1` the tags, `$n + 2`
    /// [`Visible::own`].
    pub(super) fn condition(db: &Db, n: usize) -> String {
        format!(
            "(not ${n} or c.printer_id in (select t.printer_id from printer_tags t where t.tag in {})
                 or (${} and c.reason in ('forbidden', 'not_found')))",
            db.texts(n + 1),
            n + 2
        )
    }
}

/// Returns a page of the rows of a batch in order, after `after_position`. `outcomes` limits it to these outcomes.
pub async fn of_batch(
    db: &Db,
    batch_id: Uuid,
    after_position: Option<i64>,
    limit: i64,
    outcomes: Option<&[Outcome]>,
    visible: &Visible,
) -> Result<Vec<CommandRow>, Error> {
    let sql = format!(
        "select {COLUMNS} from commands c where batch_id = $1 and position > $2 and (not $3 or outcome in {}) and {}
         order by position limit $5",
        db.texts(4),
        Visible::condition(db, 6)
    );
    let rows: Vec<Row> = reading!(db, |pool| sqlx::query_as(AssertSqlSafe(sql))
        .bind(batch_id)
        .bind(after_position.unwrap_or(i64::MIN))
        .bind(outcomes.is_some())
        .bind(words(outcomes.unwrap_or_default()))
        .bind(limit)
        .bind(visible.tags.is_some())
        .bind(group::texts(visible.tags.iter().flatten()))
        .bind(visible.own)
        .fetch_all(pool)
        .await)?;
    read_all(rows)
}

/// Returns the rows of a batch with one of `outcomes`, final or not, in order.
pub async fn outcomes_of(
    db: &Db,
    batch_id: Uuid,
    outcomes: &[Outcome],
    visible: &Visible,
) -> Result<Vec<CommandRow>, Error> {
    of_batch(db, batch_id, None, i64::MAX, Some(outcomes), visible).await
}

/// Returns the rows of a batch that are not final, in order.
pub async fn open_of_batch(db: &Db, batch_id: Uuid) -> Result<Vec<CommandRow>, Error> {
    let sql = format!("select {COLUMNS} from commands where batch_id = $1 and {OPEN} order by position");
    let rows: Vec<Row> = reading!(db, |pool| sqlx::query_as(AssertSqlSafe(sql)).bind(batch_id).fetch_all(pool).await)?;
    read_all(rows)
}

/// Returns the last final command of each printer, among batches that have not ended or ended after `since`.
pub async fn last_of_each(db: &Db, since: DateTime<Utc>) -> Result<Vec<CommandRow>, Error> {
    let sql = format!(
        "select {COLUMNS} from (
             select c.*, row_number() over (partition by c.printer_id order by c.id desc) as nth
             from batches b join commands c on c.batch_id = b.id
             where (b.finished_at > $1 or b.finished_at is null) and c.finished_at is not null
         ) as ended where nth = 1"
    );
    let rows: Vec<Row> = reading!(db, |pool| sqlx::query_as(AssertSqlSafe(sql)).bind(since).fetch_all(pool).await)?;
    read_all(rows)
}

/// A command, with its requester and the time of the request.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    pub row: CommandRow,
    pub by: String,
    pub at: DateTime<Utc>,
}

#[derive(sqlx::FromRow)]
struct AskedRow {
    #[sqlx(flatten)]
    row: Row,
    asked_by: String,
    asked_at: DateTime<Utc>,
}

/// Returns the rows of one printer at these places (batch and position), newest batch first. The places come from the
/// audit log. An index of the command log by printer would work too. But then an insert of 1,000 rows would wait for
/// 1,000 pages of that index.
pub async fn at_places(db: &Db, printer_id: Uuid, places: &[(Uuid, i64)]) -> Result<Vec<Asked>, Error> {
    let of_batch = |column: &str| format!("(select b.{column} from batches b where b.id = commands.batch_id)");
    let sql = format!(
        "select {COLUMNS}, {} as asked_by, {} as asked_at from commands
         where (batch_id, position) in (select x.batch_id, x.position from {}) and printer_id = $2
         order by batch_id desc",
        of_batch("created_by"),
        of_batch("created_at"),
        db.records(&[("batch_id", Kind::Uuid), ("position", Kind::BigInt)])
    );
    let records = places.iter().map(|(batch_id, position)| json!({"batch_id": batch_id, "position": position}));
    let records = group::parameter(records)?;
    let rows: Vec<AskedRow> =
        reading!(db, |pool| sqlx::query_as(AssertSqlSafe(sql)).bind(records).bind(printer_id).fetch_all(pool).await)?;
    let read = |asked: AskedRow| Ok(Asked { row: asked.row.read()?, by: asked.asked_by, at: asked.asked_at });
    rows.into_iter().map(read).collect()
}

/// Returns every row that is not final, oldest first. The server settles these rows when it starts.
pub async fn open(db: &Db) -> Result<Vec<CommandRow>, Error> {
    let sql = format!("select {COLUMNS} from commands where {OPEN}");
    let rows: Vec<Row> = reading!(db, |pool| sqlx::query_as(AssertSqlSafe(sql)).fetch_all(pool).await)?;
    oldest_first(rows)
}

/// Returns the rows that ended as `unconfirmed` or `unknown` after `at`, and whose effect has not been observed since.
pub async fn unsettled_since(db: &Db, at: DateTime<Utc>) -> Result<Vec<CommandRow>, Error> {
    let sql = format!(
        "select {COLUMNS} from commands
         where outcome in ('unconfirmed', 'unknown') and settled_at is null and finished_at > $1"
    );
    let rows: Vec<Row> = reading!(db, |pool| sqlx::query_as(AssertSqlSafe(sql)).bind(at).fetch_all(pool).await)?;
    oldest_first(rows)
}

/// Sorted here: with `order by id`, SQLite walks the whole command log by its primary key to find a few open rows.
fn oldest_first(rows: Vec<Row>) -> Result<Vec<CommandRow>, Error> {
    let mut rows = read_all(rows)?;
    rows.sort_by_key(|row| row.id);
    Ok(rows)
}
