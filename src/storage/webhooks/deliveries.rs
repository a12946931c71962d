//! Webhook deliveries: created, claimed, reported and deleted.
//!
//! A delivery is created in the transaction that moves the webhook's position in the feed. So a crash repeats none and
//! loses none. It is claimed by compare-and-set, so two nodes do not send it at the same time.
//!
//! A transaction that locks several rows locks the webhook first: a removal uses the same order.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use super::super::{Db, Error, audit, error::RowRef, fenced, reading, retention, transaction, writing};
use crate::{
    domain::{
        audit::AuditEntry,
        event::EventType,
        message::Message,
        webhook::{Delivery, DeliveryFilter, DeliveryState},
    },
    storage::bulk::{self, ColumnType, format_time},
};

const COLUMNS: &str = "id, webhook_id, event_seq, event_id, type, state, attempts, next_at, status, error, response,
    latency_ms, created_at, finished_at";

/// Deliveries that one statement deletes.
const DELETED_AT_ONCE: i64 = 5_000;

#[derive(sqlx::FromRow)]
struct DeliveryRow {
    id: Uuid,
    webhook_id: Uuid,
    event_seq: i64,
    event_id: Uuid,
    r#type: String,
    state: String,
    attempts: i64,
    next_at: Option<DateTime<Utc>>,
    status: Option<i64>,
    error: Option<String>,
    response: Option<String>,
    latency_ms: Option<i64>,
    created_at: DateTime<Utc>,
    finished_at: Option<DateTime<Utc>>,
}

impl DeliveryRow {
    fn into_delivery(self) -> Result<Delivery, Error> {
        let row_ref = RowRef { table: "webhook_deliveries", row: self.id };
        Ok(Delivery {
            id: self.id,
            webhook_id: self.webhook_id,
            event_seq: self.event_seq,
            event_id: self.event_id,
            kind: row_ref.parse("type", &self.r#type, EventType::parse)?,
            state: row_ref.parse("state", &self.state, DeliveryState::parse)?,
            attempts: self.attempts,
            next_at: self.next_at,
            status: self.status.and_then(|status| u16::try_from(status).ok()),
            error: self.error.as_deref().map(Message::from_json),
            response: self.response,
            latency_ms: self.latency_ms,
            created_at: self.created_at,
            finished_at: self.finished_at,
        })
    }
}

fn parse_rows(rows: Vec<DeliveryRow>) -> Result<Vec<Delivery>, Error> {
    rows.into_iter().map(DeliveryRow::into_delivery).collect()
}

/// A new delivery of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDelivery {
    pub id: Uuid,
    pub event_seq: i64,
    pub event_id: Uuid,
    pub kind: EventType,
}

/// A move of a webhook's position in the feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PositionAdvance {
    pub webhook_id: Uuid,
    /// Position that the webhook must still have.
    pub from: i64,
    pub to: i64,
    pub deliveries: Vec<NewDelivery>,
}

const RECORD_COLUMNS: &[(&str, ColumnType)] = &[
    ("id", ColumnType::Uuid),
    ("webhook_id", ColumnType::Uuid),
    ("event_seq", ColumnType::BigInt),
    ("event_id", ColumnType::Uuid),
    ("type", ColumnType::Text),
    ("created_at", ColumnType::Time),
];

#[derive(Serialize)]
struct DeliveryRecord {
    id: Uuid,
    webhook_id: Uuid,
    event_seq: i64,
    event_id: Uuid,
    r#type: EventType,
    created_at: String,
}

/// Moves webhooks forward and creates their deliveries, in one transaction. Skips a webhook that is disabled, or that
/// another node has moved already. Returns the webhooks that were moved.
pub async fn advance_positions(db: &Db, steps: &[PositionAdvance], now: DateTime<Utc>) -> Result<Vec<Uuid>, Error> {
    let mut steps: Vec<&PositionAdvance> = steps.iter().collect();
    // In one order, so that two nodes wait for each other and never deadlock.
    steps.sort_by_key(|step| step.webhook_id);
    let insert = format!(
        "insert into webhook_deliveries
             (id, webhook_id, event_seq, event_id, type, state, attempts, next_at, sending, created_at)
         select x.id, x.webhook_id, x.event_seq, x.event_id, x.type, 'pending', 0, x.created_at, false, x.created_at
         from {}",
        db.records_source(RECORD_COLUMNS)
    );
    let moved = fenced!(db, |tx| {
        let (mut moved, mut records) = (Vec::new(), Vec::new());
        for step in steps {
            let done = sqlx::query("update webhooks set position = $3 where id = $1 and position = $2 and enabled")
                .bind(step.webhook_id)
                .bind(step.from)
                .bind(step.to)
                .execute(&mut *tx)
                .await?;
            if done.rows_affected() == 1 {
                moved.push(step.webhook_id);
                records.extend(step.deliveries.iter().map(|new| DeliveryRecord {
                    id: new.id,
                    webhook_id: step.webhook_id,
                    event_seq: new.event_seq,
                    event_id: new.event_id,
                    r#type: new.kind,
                    created_at: format_time(now),
                }));
            }
        }
        if !records.is_empty() {
            sqlx::query(AssertSqlSafe(insert)).bind(bulk::json_parameter(records)?).execute(&mut *tx).await?;
        }
        moved
    });
    Ok(moved)
}

/// Returns the number of pending deliveries of each webhook.
pub async fn count_pending(db: &Db) -> Result<Vec<(Uuid, i64)>, Error> {
    let sql = "select webhook_id, count(*) from webhook_deliveries where state = 'pending' group by webhook_id";
    Ok(reading!(db, |pool| sqlx::query_as(sql).fetch_all(pool).await)?)
}

/// Returns when the next delivery of a webhook is due, or `None` if it has none. If `ordered`, that is the oldest
/// delivery.
pub async fn next_due(db: &Db, webhook_id: Uuid, ordered: bool) -> Result<Option<DateTime<Utc>>, Error> {
    let column = if ordered { "event_seq" } else { "next_at" };
    let sql = format!(
        "select next_at from webhook_deliveries where webhook_id = $1 and state = 'pending' order by {column} limit 1"
    );
    let row: Option<(DateTime<Utc>,)> =
        reading!(db, |pool| sqlx::query_as(AssertSqlSafe(sql)).bind(webhook_id).fetch_optional(pool).await)?;
    Ok(row.map(|(at,)| at))
}

/// Claims at most `limit` deliveries that are due; if `ordered`, only the oldest one. Without a report, they count as
/// lost and are due again at `lost_at`. A disabled webhook has none.
pub async fn claim_due(
    db: &Db,
    webhook_id: Uuid,
    ordered: bool,
    limit: i64,
    now: DateTime<Utc>,
    lost_at: DateTime<Utc>,
) -> Result<Vec<Delivery>, Error> {
    let (which, limit) =
        if ordered { ("order by event_seq", 1) } else { ("and next_at <= $2 order by next_at", limit) };
    let sql = format!(
        "update webhook_deliveries set attempts = attempts + 1, sending = true, next_at = $3
         where id in (select id from webhook_deliveries where webhook_id = $1 and state = 'pending' {which} limit $4)
             and state = 'pending' and next_at <= $2
             and exists (select 1 from webhooks w where w.id = $1 and w.enabled)
         returning {COLUMNS}"
    );
    let rows: Vec<DeliveryRow> = fenced!(db, |tx| {
        sqlx::query_as(AssertSqlSafe(sql))
            .bind(webhook_id)
            .bind(now)
            .bind(lost_at)
            .bind(limit)
            .fetch_all(&mut *tx)
            .await?
    });
    let mut deliveries = parse_rows(rows)?;
    deliveries.sort_by_key(|delivery| delivery.event_seq);
    Ok(deliveries)
}

/// Result of an attempt.
#[derive(Debug, Clone, PartialEq)]
pub struct AttemptResult {
    pub id: Uuid,
    pub webhook_id: Uuid,
    /// Number of this attempt. Nothing is stored if another attempt has begun since.
    pub number: i64,
    pub state: DeliveryState,
    /// A request was made, so the result describes the receiver.
    pub is_about_receiver: bool,
    /// When the delivery is due again. `None` if it has ended.
    pub next_at: Option<DateTime<Utc>>,
    pub status: Option<u16>,
    pub error: Option<Message>,
    pub response: Option<String>,
    pub latency_ms: Option<i64>,
    pub at: DateTime<Utc>,
}

/// Stores the result of an attempt, and the failure state of its webhook. Returns since when deliveries have failed.
/// Returns `None` if this one succeeded, does not describe the receiver, or was overtaken by another attempt.
pub async fn store_attempt(db: &Db, attempt: &AttemptResult) -> Result<Option<DateTime<Utc>>, Error> {
    let is_delivered = attempt.state == DeliveryState::Delivered;
    let since = fenced!(db, |tx| {
        let failing: Option<(Option<DateTime<Utc>>,)> = sqlx::query_as(
            "update webhooks set
                 failing_since = case when $2 then null else coalesce(failing_since, $3) end,
                 last_success_at = case when $2 then $3 else last_success_at end,
                 last_error = case when $2 then null else $4 end
             where id = $1 and $5 returning failing_since",
        )
        .bind(attempt.webhook_id)
        .bind(is_delivered)
        .bind(attempt.at)
        .bind(attempt.error.as_ref().map(Message::to_json))
        .bind(attempt.is_about_receiver)
        .fetch_optional(&mut *tx)
        .await?;
        let written = sqlx::query(
            "update webhook_deliveries set
                 state = $3, next_at = $4, sending = false, status = $5, error = $6, response = $7, latency_ms = $8,
                 finished_at = $9
             where id = $1 and attempts = $2 and sending",
        )
        .bind(attempt.id)
        .bind(attempt.number)
        .bind(attempt.state.as_str())
        .bind(attempt.next_at)
        .bind(attempt.status.map(i64::from))
        .bind(attempt.error.as_ref().map(Message::to_json))
        .bind(attempt.response.as_deref().map(bulk::without_nul))
        .bind(attempt.latency_ms)
        .bind(attempt.next_at.is_none().then_some(attempt.at))
        .execute(&mut *tx)
        .await?;
        if written.rows_affected() == 0 {
            // Rolls back the update of the webhook.
            return Ok(None);
        }
        failing.and_then(|(since,)| since)
    });
    Ok(since)
}

/// Returns a page of the deliveries of a webhook, newest first, older than `after`.
pub async fn list_deliveries(
    db: &Db,
    webhook_id: Uuid,
    filter: &DeliveryFilter,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Delivery>, Error> {
    let sql = format!(
        "select {COLUMNS} from webhook_deliveries
         where webhook_id = $1 and ($2 is null or state = $2) and ($3 is null or type = $3) and ($4 is null or id < $4)
         order by id desc limit $5"
    );
    let rows: Vec<DeliveryRow> = reading!(db, |pool| sqlx::query_as(AssertSqlSafe(sql))
        .bind(webhook_id)
        .bind(filter.state.map(DeliveryState::as_str))
        .bind(filter.kind.map(EventType::as_str))
        .bind(after)
        .bind(limit)
        .fetch_all(pool)
        .await)?;
    parse_rows(rows)
}

/// Returns one delivery of a webhook.
pub async fn get_delivery(db: &Db, webhook_id: Uuid, id: Uuid) -> Result<Option<Delivery>, Error> {
    let sql = format!("select {COLUMNS} from webhook_deliveries where webhook_id = $1 and id = $2");
    let row: Option<DeliveryRow> =
        reading!(db, |pool| sqlx::query_as(AssertSqlSafe(sql)).bind(webhook_id).bind(id).fetch_optional(pool).await)?;
    row.map(DeliveryRow::into_delivery).transpose()
}

/// Makes a delivery due at once, and resets its attempts. Does not interrupt an attempt in progress. Returns `None` if
/// the delivery does not exist.
pub async fn redeliver(
    db: &Db,
    webhook_id: Uuid,
    id: Uuid,
    now: DateTime<Utc>,
    entry: &AuditEntry,
) -> Result<Option<Delivery>, Error> {
    let sql = format!(
        "update webhook_deliveries set
             state = 'pending', finished_at = null,
             attempts = case when sending and next_at > $3 then attempts else 0 end,
             next_at = case when sending and next_at > $3 then next_at else $3 end,
             sending = sending and next_at > $3
         where webhook_id = $1 and id = $2 returning {COLUMNS}"
    );
    let row: Option<DeliveryRow> = transaction!(db, |tx| {
        let row: Option<DeliveryRow> =
            sqlx::query_as(AssertSqlSafe(sql)).bind(webhook_id).bind(id).bind(now).fetch_optional(&mut *tx).await?;
        if row.is_none() {
            return Ok(None);
        }
        audit::append!(tx, db, entry);
        row
    });
    row.map(DeliveryRow::into_delivery).transpose()
}

/// Deletes the deliveries of events that are no longer stored. Also deletes the ended deliveries of each webhook beyond
/// its newest `max_per_webhook`. Returns the number of deleted deliveries.
pub async fn delete_old_deliveries(db: &Db, max_per_webhook: i64) -> Result<u64, Error> {
    // Their bodies are built from the events.
    let old = "delete from webhook_deliveries where id in
                   (select id from webhook_deliveries
                    where webhook_id = $1 and event_seq < (select seq from events order by seq limit 1)
                    order by event_seq limit $2)";
    let mut deleted = 0;
    let many = "delete from webhook_deliveries where state <> 'pending' and webhook_id = $1 and id <=
                    (select d.id from webhook_deliveries d where d.webhook_id = $1 order by d.id desc limit 1 offset $2)";
    for webhook in super::list_webhooks(db).await? {
        deleted += retention::delete_in_groups!(db, old, DELETED_AT_ONCE, webhook.id);
        deleted += writing!(db, |pool| sqlx::query(many)
            .bind(webhook.id)
            .bind(max_per_webhook)
            .execute(pool)
            .await
            .map(|done| done.rows_affected()))?;
    }
    Ok(deleted)
}
