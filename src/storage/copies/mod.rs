//! Copies of orders. A copy and its start command are written in one transaction.

mod assign;
mod change;
mod row;

use sqlx::AssertSqlSafe;
use uuid::Uuid;

use super::{Db, Error, bulk, orders::active_states, reading};
use crate::domain::copy::{Copy, CopyFilter, CopyState, Quality};
pub use assign::{Assignment, AssignmentResult, assign};
pub use change::{CopyChange, CopyDecision, change};
use row::{COLUMNS, CopyRow};

/// Returns one copy.
pub async fn get(db: &Db, id: Uuid) -> Result<Option<Copy>, Error> {
    let sql = format!("select {COLUMNS} from copies where id = $1");
    let row: Option<CopyRow> =
        reading!(db, |pool| sqlx::query_as(AssertSqlSafe(sql)).bind(id).fetch_optional(pool).await)?;
    row.map(CopyRow::into_copy).transpose()
}

/// Returns every active copy, oldest first.
pub async fn list_active(db: &Db) -> Result<Vec<Copy>, Error> {
    let sql = format!("select {COLUMNS} from copies where state in ({})", active_states());
    let rows: Vec<CopyRow> = reading!(db, |pool| sqlx::query_as(AssertSqlSafe(sql)).fetch_all(pool).await)?;
    let mut copies = rows.into_iter().map(CopyRow::into_copy).collect::<Result<Vec<_>, _>>()?;
    copies.sort_by_key(|copy| copy.id);
    Ok(copies)
}

/// Returns a page of copies, newest first, older than `after`.
pub async fn list_page(db: &Db, filter: &CopyFilter, after: Option<Uuid>, limit: i64) -> Result<Vec<Copy>, Error> {
    // Plain conditions, so that the database uses the indexes.
    let order = if filter.order_id.is_some() { "c.order_id = $1" } else { "$1 is null" };
    let printer = if filter.printer_id.is_some() { "c.printer_id = $2" } else { "$2 is null" };
    let sql = format!(
        "select {COLUMNS} from copies c
         where {order} and {printer} and ($3 is null or c.state = $3) and ($4 is null or c.assigned_at >= $4)
             and ($5 is null or c.id < $5) and ($9 is null or c.quality = $9)
             and (not $7 or (exists (select 1 from order_tags t where t.order_id = c.order_id)
                 and not exists (select 1 from order_tags t where t.order_id = c.order_id and t.tag not in {})))
         order by c.id desc limit $6",
        db.texts_subquery(8)
    );
    let rows: Vec<CopyRow> = reading!(db, |pool| sqlx::query_as(AssertSqlSafe(sql))
        .bind(filter.order_id)
        .bind(filter.printer_id)
        .bind(filter.state.map(CopyState::as_str))
        .bind(filter.since)
        .bind(after)
        .bind(limit)
        .bind(filter.visible_tags.is_some())
        .bind(bulk::text_list(filter.visible_tags.iter().flatten()))
        .bind(filter.quality.map(Quality::as_str))
        .fetch_all(pool)
        .await)?;
    rows.into_iter().map(CopyRow::into_copy).collect()
}
