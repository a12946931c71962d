//! Reads of orders.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use super::row::{CountedRow, active_states, counted_sql};
use crate::{
    domain::order::{BusinessKey, CountedOrder, FailedCopy, OpenOrder, OrderFilter, OrderState},
    storage::{Db, Error, bulk, error::unreadable, reading, snapshot},
};

/// Returns one order.
pub async fn get(db: &Db, id: Uuid) -> Result<Option<CountedOrder>, Error> {
    Ok(get_many(db, &[id]).await?.pop())
}

/// Returns those of the orders that exist, in no particular order.
pub async fn get_many(db: &Db, ids: &[Uuid]) -> Result<Vec<CountedOrder>, Error> {
    let sql = counted_sql(&format!("where o.id in {}", db.uuids_subquery(1)), "");
    let ids = bulk::uuid_list(ids.iter().copied());
    let rows: Vec<CountedRow> =
        reading!(db, |pool| sqlx::query_as(AssertSqlSafe(sql)).bind(ids).fetch_all(pool).await)?;
    rows.into_iter().map(CountedRow::into_counted).collect()
}

/// Returns the order with this business key, and the fingerprint of the request that made it.
pub async fn find_by_key(db: &Db, key: &BusinessKey) -> Result<Option<(Uuid, Vec<u8>)>, Error> {
    let sql = "select id, fingerprint from orders where source = $1 and external_ref = $2 and line = $3";
    Ok(reading!(db, |pool| sqlx::query_as(sql)
        .bind(&key.source)
        .bind(&key.external_ref)
        .bind(&key.line)
        .fetch_optional(pool)
        .await)?)
}

/// Returns the condition for orders `o` in a state.
fn state_condition(state: OrderState) -> String {
    let active = active_states();
    let has_active = format!("exists (select 1 from copies c where c.order_id = o.id and c.state in ({active}))");
    match state {
        OrderState::Completed | OrderState::ShortClosed | OrderState::Cancelled => format!("o.ended_as = '{state}'"),
        OrderState::OnHold => "o.ended_as is null and o.hold is not null".to_owned(),
        OrderState::Running => format!("o.ended_as is null and o.hold is null and {has_active}"),
        OrderState::Queued => format!("o.ended_as is null and o.hold is null and not {has_active}"),
    }
}

/// Returns a page of orders, newest first, older than `after`.
pub async fn list_page(
    db: &Db,
    filter: &OrderFilter,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<CountedOrder>, Error> {
    read_page(db, filter, Page { after, skipped: 0, limit }, |table| format!("{table}.id desc")).await
}

/// Returns a page of orders without the first `skipped`: open orders first, the most urgent first, then those that ended
/// last.
pub async fn list_by_urgency(
    db: &Db,
    filter: &OrderFilter,
    skipped: i64,
    limit: i64,
) -> Result<Vec<CountedOrder>, Error> {
    let page = Page { after: None, skipped, limit };
    read_page(db, filter, page, |table| {
        let if_open = |value: &str| format!("case when {table}.ended_as is null then {value} end");
        [
            format!("case when {table}.ended_as is null then 0 else 1 end"),
            if_open(&format!("-{table}.priority")),
            if_open(&format!("case when {table}.due_at is null then 1 else 0 end")),
            if_open(&format!("{table}.due_at")),
            format!("{table}.completed_at desc"),
            format!("{table}.id"),
        ]
        .join(", ")
    })
    .await
}

/// Which part of a list is read.
struct Page {
    after: Option<Uuid>,
    skipped: i64,
    limit: i64,
}

/// Reads a page of orders. `sort` returns the order of the rows of a table.
async fn read_page(
    db: &Db,
    filter: &OrderFilter,
    page: Page,
    sort: impl Fn(&str) -> String,
) -> Result<Vec<CountedOrder>, Error> {
    // Plain conditions, so that the database uses the indexes.
    let reference = if filter.external_ref.is_some() { "o.external_ref = $2" } else { "$2 is null" };
    let updated = if filter.updated_since.is_some() { "o.updated_at >= $4" } else { "$4 is null" };
    let state = filter.state.map_or_else(|| "true".to_owned(), state_condition);
    let picked = format!(
        "where ($1 is null or o.source = $1) and {reference} and ($3 is null or o.line = $3) and {updated}
             and ($5 is null or o.due_at < $5) and ($6 is null or o.id < $6) and {state}
             and (not $8 or o.id in {})
             and (not $10 or (exists (select 1 from order_tags t where t.order_id = o.id)
                 and not exists (select 1 from order_tags t where t.order_id = o.id and t.tag not in {})))
         order by {} limit $7 offset $12",
        db.uuids_subquery(9),
        db.texts_subquery(11),
        sort("o")
    );
    let sql = counted_sql(&picked, &format!("order by {}", sort("p")));
    let rows: Vec<CountedRow> = reading!(db, |pool| sqlx::query_as(AssertSqlSafe(sql))
        .bind(filter.source.as_deref().map(bulk::without_nul))
        .bind(filter.external_ref.as_deref().map(bulk::without_nul))
        .bind(filter.line.as_deref().map(bulk::without_nul))
        .bind(filter.updated_since)
        .bind(filter.due_before)
        .bind(page.after)
        .bind(page.limit)
        .bind(filter.ids.is_some())
        .bind(bulk::uuid_list(filter.ids.iter().flatten().copied()))
        .bind(filter.visible_tags.is_some())
        .bind(bulk::text_list(filter.visible_tags.iter().flatten()))
        .bind(page.skipped)
        .fetch_all(pool)
        .await)?;
    rows.into_iter().map(CountedRow::into_counted).collect()
}

#[derive(sqlx::FromRow)]
struct FailedRow {
    id: Uuid,
    order_id: Uuid,
    printer_id: Uuid,
    attempt: i64,
    finished_at: Option<DateTime<Utc>>,
}

/// The version of a row, and the time of its last change. Another stamp means that the row changed.
pub type RowStamp = (i64, DateTime<Utc>);

/// Returns the stamps of all open orders. A stamp changes with the order, and with the sums of its copies.
pub async fn list_open_stamps(db: &Db) -> Result<Vec<(Uuid, RowStamp)>, Error> {
    let sql = "select id, version, updated_at from orders where ended_as is null";
    let rows: Vec<(Uuid, i64, DateTime<Utc>)> = reading!(db, |pool| sqlx::query_as(sql).fetch_all(pool).await)?;
    Ok(rows.into_iter().map(|(id, version, updated_at)| (id, (version, updated_at))).collect())
}

/// Returns those of these orders that still need parts, oldest first, with what a planner needs. All statements read the
/// same state. Orders on hold are included.
pub async fn list_open(db: &Db, ids: &[Uuid]) -> Result<Vec<OpenOrder>, Error> {
    let among = db.uuids_subquery(1);
    let orders_sql = counted_sql(&format!("where o.ended_as is null and o.id in {among}"), "order by p.id");
    let failed_sql = format!(
        "select c.id, c.order_id, c.printer_id, c.attempt, c.finished_at
         from orders o join copies c on c.order_id = o.id
         where o.ended_as is null and o.id in {among} and {} order by c.id",
        unreplaced_condition()
    );
    let active_sql = format!(
        "select order_id, printer_id from copies where state in ({}) and order_id in {among} order by id",
        active_states()
    );
    let ids = bulk::uuid_list(ids.iter().copied());
    let (orders, failed, active) = snapshot!(db, |tx| {
        let orders: Vec<CountedRow> = sqlx::query_as(AssertSqlSafe(orders_sql)).bind(&ids).fetch_all(&mut *tx).await?;
        let failed: Vec<FailedRow> = sqlx::query_as(AssertSqlSafe(failed_sql)).bind(&ids).fetch_all(&mut *tx).await?;
        let active: Vec<(Uuid, Uuid)> =
            sqlx::query_as(AssertSqlSafe(active_sql)).bind(&ids).fetch_all(&mut *tx).await?;
        (orders, failed, active)
    });
    let mut printers: HashMap<Uuid, Vec<Uuid>> = HashMap::new();
    for (order_id, printer_id) in active {
        printers.entry(order_id).or_default().push(printer_id);
    }
    let mut failed_of: HashMap<Uuid, Vec<FailedCopy>> = HashMap::new();
    for FailedRow { id, order_id, printer_id, attempt, finished_at } in failed {
        let attempt = u32::try_from(attempt).map_err(|_| unreadable("copies", "attempt", id))?;
        failed_of.entry(order_id).or_default().push(FailedCopy { id, printer_id, attempt, ended_at: finished_at });
    }
    let mut open = Vec::new();
    for row in orders {
        let counted = row.into_counted()?;
        if counted.quantities().queued > 0 {
            let id = counted.order.id;
            open.push(OpenOrder {
                counted,
                failed: failed_of.remove(&id).unwrap_or_default(),
                printers: printers.remove(&id).unwrap_or_default(),
            });
        }
    }
    Ok(open)
}

/// Returns the condition for copies `c` that another copy is to replace.
pub(in crate::storage) fn unreplaced_condition() -> &'static str {
    "c.state in ('failed', 'cancelled', 'lost')
         and not exists (select 1 from copies r where r.replaces = c.id and r.state <> 'released')"
}
