//! Writes of orders. Each stores the change, its audit entry, and the events of the order, in one transaction.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use crate::{
    clock,
    domain::{
        audit::{AuditActor, AuditEntry},
        event::{EventType, NewEvent},
        order::{Adjustment, CountedOrder, Order, OrderTurn},
    },
    storage::{Db, Error, audit, bulk, events, fenced, reading, retention},
};

/// Orders that one statement of [`delete_older_than`] deletes, with their copies.
const DELETED_AT_ONCE: i64 = 100;

/// Result of [`insert`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderInsert {
    Inserted,
    /// Another order has the business key.
    KeyTaken,
}

/// Stores new orders: all or none. Each has the fingerprint of its request and its audit entry.
pub async fn insert(db: &Db, new: &[(Order, Vec<u8>, AuditEntry)]) -> Result<OrderInsert, Error> {
    match try_insert(db, new).await {
        Ok(()) => Ok(OrderInsert::Inserted),
        Err(sqlx::Error::Database(error)) if error.is_unique_violation() => Ok(OrderInsert::KeyTaken),
        Err(error) => Err(error.into()),
    }
}

async fn try_insert(db: &Db, new: &[(Order, Vec<u8>, AuditEntry)]) -> Result<(), sqlx::Error> {
    let created = |(order, _, entry): &(Order, Vec<u8>, AuditEntry)| {
        let counted = CountedOrder { order: order.clone(), sums: Default::default() };
        let event = NewEvent::for_order(EventType::OrderCreated, order.created_at, &counted, Map::new());
        NewEvent { actor: Some(entry.actor.clone()), ..event }
    };
    let created: Vec<NewEvent> = new.iter().map(created).collect();
    fenced!(db, |tx| {
        for (order, fingerprint, _) in new {
            sqlx::query(
                "insert into orders (id, source, external_ref, line, fingerprint, part, files, title, quantity,
                     requirements, priority, on_failure, judgement, metadata, tag_limit, version, created_at, updated_at,
                     created_by)
                 values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)",
            )
            .bind(order.id)
            .bind(&order.source)
            .bind(&order.external_ref)
            .bind(&order.line)
            .bind(fingerprint)
            .bind(&order.part)
            .bind(bulk::json_value(&order.files))
            .bind(&order.details.title)
            .bind(i64::from(order.details.quantity))
            .bind(bulk::json_value(&order.details.requirements))
            .bind(i64::from(order.details.priority))
            .bind(bulk::json_value(&order.details.on_failure))
            .bind(order.details.judgement.as_str())
            .bind(bulk::json_value(&order.details.metadata))
            .bind(bulk::json_value(&order.tag_limit))
            .bind(order.version)
            .bind(order.created_at)
            .bind(order.updated_at)
            .bind(bulk::without_nul(&order.created_by))
            .execute(&mut *tx)
            .await?;
            for tag in &order.tag_limit {
                sqlx::query("insert into order_tags (order_id, tag) values ($1, $2)")
                    .bind(order.id)
                    .bind(tag)
                    .execute(&mut *tx)
                    .await?;
            }
            // The remaining columns, and the contents.
            update_order!(tx, order);
        }
        audit::append_all!(tx, db, new.iter().map(|(_, _, entry)| entry));
        events::append!(tx, db, &created);
    });
    Ok(())
}

/// Writes what can change of an order, within a transaction.
macro_rules! update_order {
    ($tx:ident, $order:expr) => {{
        let order: &$crate::domain::order::Order = $order;
        let details = &order.details;
        sqlx::query(
            "update orders set part_revision = $2, files = $3, title = $4, quantity = $5, requirements = $6, priority = $7,
                 not_before = $8, due_at = $9, max_printers = $10, max_surplus = $11, on_failure = $12, judgement = $13,
                 metadata = $14, hold = $15, ended_as = $16, version = $17, updated_at = $18, started_at = $19,
                 completed_at = $20, attempts_since = $21, running = $22
             where id = $1",
        )
        .bind(order.id)
        .bind(&order.part_revision)
        .bind($crate::storage::bulk::json_value(&order.files))
        .bind(&details.title)
        .bind(i64::from(details.quantity))
        .bind($crate::storage::bulk::json_value(&details.requirements))
        .bind(i64::from(details.priority))
        .bind(details.not_before)
        .bind(details.due_at)
        .bind(details.max_printers.map(i64::from))
        .bind(details.max_surplus.map(i64::from))
        .bind($crate::storage::bulk::json_value(&details.on_failure))
        .bind(details.judgement.as_str())
        .bind($crate::storage::bulk::json_value(&details.metadata))
        .bind(order.hold.map($crate::domain::order::HoldReason::as_str))
        .bind(order.ended_as.map($crate::domain::order::OrderEnd::as_str))
        .bind(order.version)
        .bind(order.updated_at)
        .bind(order.started_at)
        .bind(order.completed_at)
        .bind(order.attempts_since)
        .bind(order.running.map($crate::domain::order::RunningCopies::as_str))
        .execute(&mut *$tx)
        .await?;
        for file in &order.files {
            sqlx::query(
                "insert into order_contents (order_id, sha256, file_id) values ($1, $2, $3)
                 on conflict (order_id, sha256, file_id) do nothing",
            )
            .bind(order.id)
            .bind(&file.sha256)
            .bind(file.file_id)
            .execute(&mut *$tx)
            .await?;
        }
    }};
}

/// Locks an order and reads it with its sums, within a transaction. `None`: it does not exist.
macro_rules! lock_order {
    ($tx:ident, $db:expr, $id:expr) => {{
        let (db, id): (&$crate::storage::Db, uuid::Uuid) = ($db, $id);
        if db.is_postgres() {
            sqlx::query("select id from orders where id = $1 for update").bind(id).execute(&mut *$tx).await?;
        }
        let sql = $crate::storage::orders::counted_sql("where o.id = $1", "");
        let row: Option<$crate::storage::orders::CountedRow> =
            sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(id).fetch_optional(&mut *$tx).await?;
        row.map($crate::storage::orders::CountedRow::into_counted).transpose()?
    }};
}

/// Stores what a change means for a locked order, within a transaction: its columns if they changed, its completion or
/// reopening, and the events. `$make_events` gets the order after the change. Returns the order.
macro_rules! follow_order {
    ($tx:ident, $db:expr, $before:expr, $order:expr, $at:expr, $actor:expr, $make_events:expr) => {{
        let (before, mut order): (&$crate::domain::order::CountedOrder, $crate::domain::order::Order) =
            ($before, $order);
        let at: chrono::DateTime<chrono::Utc> = $at;
        let sql = $crate::storage::orders::counted_sql("where o.id = $1", "");
        let row: $crate::storage::orders::CountedRow =
            sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(order.id).fetch_one(&mut *$tx).await?;
        let sums = row.into_counted()?.sums;
        let turns = order.follow_sums(&sums, at);
        if order != before.order || sums != before.sums {
            order.updated_at = at;
            $crate::storage::orders::update_order!($tx, &order);
        }
        let counted = $crate::domain::order::CountedOrder { order, sums };
        let make_events = $make_events;
        let mut events: Vec<$crate::domain::event::NewEvent> = make_events(&counted);
        events.extend(turns.into_iter().map(|turn| $crate::storage::orders::turn_event(turn, &counted, at)));
        for event in &mut events {
            event.actor.clone_from($actor);
        }
        $crate::storage::events::append!($tx, $db, &events);
        counted
    }};
}
pub(in crate::storage) use {follow_order, lock_order, update_order};

/// Returns the event of a turn.
pub(in crate::storage) fn turn_event(turn: OrderTurn, counted: &CountedOrder, at: DateTime<Utc>) -> NewEvent {
    let kind = match turn {
        OrderTurn::Started => EventType::OrderStarted,
        OrderTurn::Completed => EventType::OrderCompleted,
        OrderTurn::Reopened => EventType::OrderReopened,
    };
    NewEvent::for_order(kind, at, counted, Map::new())
}

/// A decision about an order that is locked.
#[derive(Debug, Clone)]
pub struct Decision {
    pub order: Order,
    pub event: EventType,
    /// What is special about the event.
    pub data: Map<String, Value>,
    pub entry: AuditEntry,
    pub adjustment: Option<Adjustment>,
}

/// Result of [`change`].
#[derive(Debug, Clone)]
pub enum OrderChange<R> {
    Changed(CountedOrder),
    /// The decision was to change nothing.
    Unchanged(CountedOrder),
    Refused(R),
    NotFound,
}

/// Changes an order. `decide` gets its current state, and no other change happens before its decision is stored. It
/// returns `None` to change nothing.
pub async fn change<R>(
    db: &Db,
    id: Uuid,
    at: DateTime<Utc>,
    decide: impl FnOnce(&CountedOrder) -> Result<Option<Decision>, R>,
) -> Result<OrderChange<R>, Error> {
    fenced!(db, |tx| {
        let Some(before) = lock_order!(tx, db, id) else { return Ok(OrderChange::NotFound) };
        let decision = match decide(&before) {
            Ok(Some(decision)) => decision,
            Ok(None) => return Ok(OrderChange::Unchanged(before)),
            Err(refusal) => return Ok(OrderChange::Refused(refusal)),
        };
        if let Some(adjustment) = &decision.adjustment {
            sqlx::query(
                "insert into order_adjustments (id, order_id, good, scrap, reason, created_by, created_at)
                 values ($1, $2, $3, $4, $5, $6, $7)",
            )
            .bind(clock::new_id())
            .bind(id)
            .bind(i64::from(adjustment.good))
            .bind(i64::from(adjustment.scrap))
            .bind(bulk::without_nul(&adjustment.reason))
            .bind(bulk::without_nul(&decision.entry.actor.name))
            .bind(at)
            .execute(&mut *tx)
            .await?;
        }
        audit::append!(tx, db, &decision.entry);
        let actor: Option<AuditActor> = Some(decision.entry.actor.clone());
        let Decision { order, event, data, .. } = decision;
        let own_event = |counted: &CountedOrder| vec![NewEvent::for_order(event, at, counted, data)];
        Ok(OrderChange::Changed(follow_order!(tx, db, &before, order, at, &actor, own_event)))
    })
}

/// Deletes the orders that were created before `older_than`, by position, with their copies. Times after `now` are in the
/// future and do not count. Orders that have not ended, or ended since, stay. Returns the number of deleted orders.
pub async fn delete_older_than(db: &Db, older_than: DateTime<Utc>, now: DateTime<Utc>) -> Result<u64, Error> {
    let last = retention::last_old_row_sql("orders", "id", "created_at");
    let last: Option<(Uuid,)> =
        reading!(db, |pool| sqlx::query_as(AssertSqlSafe(last)).bind(older_than).bind(now).fetch_optional(pool).await)?;
    let Some((last,)) = last else { return Ok(0) };
    let sql = "delete from orders where id in
               (select o.id from orders o where o.id <= $1 and o.ended_as is not null
                    and (o.completed_at < $2 or o.completed_at > $3)
                    and not exists (select 1 from copies c where c.order_id = o.id
                        and c.state in ('assigned', 'uploading', 'starting', 'printing'))
                order by o.id limit $4)";
    Ok(retention::delete_in_groups!(db, sql, DELETED_AT_ONCE, last, older_than, now))
}
