//! Webhooks and their signing secrets. Secrets are stored and returned sealed (encrypted).

mod deliveries;

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{AssertSqlSafe, types::Json};
use uuid::Uuid;

use super::{Db, Error, audit, bulk, error::RowRef, reading, transaction};
use crate::domain::{
    audit::AuditEntry,
    message::Message,
    webhook::{DisabledReason, Webhook, WebhookDetails},
};

pub use deliveries::{
    AttemptResult, NewDelivery, PositionAdvance, advance_positions, claim_due, count_pending, delete_old_deliveries,
    get_delivery, list_deliveries, next_due, redeliver, store_attempt,
};

const COLUMNS: &str = "id, url, description, types, enabled, ordered, tags, created_by, position, disabled_reason,
    failing_since, last_success_at, last_error, version, created_at, updated_at";

#[derive(sqlx::FromRow)]
struct WebhookRow {
    id: Uuid,
    url: String,
    description: String,
    types: Json<Value>,
    enabled: bool,
    ordered: bool,
    tags: Json<Value>,
    created_by: String,
    position: i64,
    disabled_reason: Option<String>,
    failing_since: Option<DateTime<Utc>>,
    last_success_at: Option<DateTime<Utc>>,
    last_error: Option<String>,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl WebhookRow {
    fn into_webhook(self) -> Result<Webhook, Error> {
        let row_ref = RowRef { table: "webhooks", row: self.id };
        Ok(Webhook {
            id: self.id,
            details: WebhookDetails {
                url: self.url,
                description: self.description,
                types: row_ref.parse_json("types", self.types.0)?,
                enabled: self.enabled,
                ordered: self.ordered,
            },
            tags: row_ref.parse_json("tags", self.tags.0)?,
            created_by: self.created_by,
            position: self.position,
            disabled_reason: row_ref.parse_optional(
                "disabled_reason",
                self.disabled_reason.as_deref(),
                DisabledReason::parse,
            )?,
            failing_since: self.failing_since,
            last_success_at: self.last_success_at,
            last_error: self.last_error.as_deref().map(Message::from_json),
            version: self.version,
            created_at: self.created_at,
            updated_at: self.updated_at,
        })
    }
}

/// A signing secret, sealed for its own id.
#[derive(Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct SigningSecret {
    pub id: Uuid,
    pub sealed: Vec<u8>,
    /// When it stops signing. `None` for the current secret.
    pub until: Option<DateTime<Utc>>,
}

/// Inserts a secret within a transaction of [`transaction!`].
macro_rules! insert_secret {
    ($tx:ident, $webhook_id:expr, $secret:expr) => {{
        let secret: &SigningSecret = $secret;
        sqlx::query("insert into webhook_secrets (id, webhook_id, sealed, until) values ($1, $2, $3, $4)")
            .bind(secret.id)
            .bind($webhook_id)
            .bind(&secret.sealed)
            .bind(secret.until)
            .execute(&mut *$tx)
            .await?;
    }};
}
/// Stores a webhook with its secret. Returns `false` if there are `max_webhooks` already. It starts at the end of the
/// feed.
pub async fn insert(
    db: &Db,
    webhook: &Webhook,
    secret: &SigningSecret,
    max_webhooks: i64,
    entry: &AuditEntry,
) -> Result<bool, Error> {
    let sql = format!(
        "insert into webhooks ({COLUMNS})
         select $1, $2, $3, $4, $5, $6, $7, $8, h.seq, null, null, null, null, $9, $10, $10 from events_head h
         where h.id = 1 and (select count(*) from webhooks) < $11"
    );
    let details = &webhook.details;
    transaction!(db, |tx| {
        let made = sqlx::query(AssertSqlSafe(sql))
            .bind(webhook.id)
            .bind(&details.url)
            .bind(&details.description)
            .bind(Json(&details.types))
            .bind(details.enabled)
            .bind(details.ordered)
            .bind(bulk::text_list(&webhook.tags))
            .bind(bulk::without_nul(&webhook.created_by))
            .bind(webhook.version)
            .bind(webhook.created_at)
            .bind(max_webhooks)
            .execute(&mut *tx)
            .await?;
        if made.rows_affected() == 0 {
            return Ok(false);
        }
        insert_secret!(tx, webhook.id, secret);
        audit::append!(tx, db, entry);
    });
    Ok(true)
}

/// Returns every webhook, oldest first.
pub async fn list_webhooks(db: &Db) -> Result<Vec<Webhook>, Error> {
    let sql = format!("select {COLUMNS} from webhooks order by id");
    let rows: Vec<WebhookRow> = reading!(db, |pool| sqlx::query_as(AssertSqlSafe(sql)).fetch_all(pool).await)?;
    rows.into_iter().map(WebhookRow::into_webhook).collect()
}

/// Returns one webhook.
pub async fn get(db: &Db, id: Uuid) -> Result<Option<Webhook>, Error> {
    let sql = format!("select {COLUMNS} from webhooks where id = $1");
    let row: Option<WebhookRow> =
        reading!(db, |pool| sqlx::query_as(AssertSqlSafe(sql)).bind(id).fetch_optional(pool).await)?;
    row.map(WebhookRow::into_webhook).transpose()
}

/// Stores the settings of a webhook if it still has `expected_version`. Enabling it resets its failures. Returns
/// `false` if it has another version or no longer exists.
pub async fn update(db: &Db, webhook: &Webhook, expected_version: i64, entry: &AuditEntry) -> Result<bool, Error> {
    let details = &webhook.details;
    transaction!(db, |tx| {
        let changed = sqlx::query(
            "update webhooks set
                 url = $3, description = $4, types = $5, ordered = $6, version = $7, updated_at = $8,
                 failing_since = case when $9 and not enabled then null else failing_since end,
                 disabled_reason = case when $9 then null else disabled_reason end, enabled = $9
             where id = $1 and version = $2",
        )
        .bind(webhook.id)
        .bind(expected_version)
        .bind(&details.url)
        .bind(&details.description)
        .bind(Json(&details.types))
        .bind(details.ordered)
        .bind(webhook.version)
        .bind(webhook.updated_at)
        .bind(details.enabled)
        .execute(&mut *tx)
        .await?
        .rows_affected();
        if changed == 0 {
            return Ok(false);
        }
        audit::append!(tx, db, entry);
    });
    Ok(true)
}

/// Disables a webhook by a rule of the server. Returns `false` if it was disabled before or does not exist.
pub async fn disable(
    db: &Db,
    id: Uuid,
    reason: DisabledReason,
    at: DateTime<Utc>,
    entry: &AuditEntry,
) -> Result<bool, Error> {
    transaction!(db, |tx| {
        let changed = sqlx::query(
            "update webhooks set enabled = false, disabled_reason = $2, version = version + 1, updated_at = $3
             where id = $1 and enabled",
        )
        .bind(id)
        .bind(reason.as_str())
        .bind(at)
        .execute(&mut *tx)
        .await?
        .rows_affected();
        if changed == 0 {
            return Ok(false);
        }
        audit::append!(tx, db, entry);
    });
    Ok(true)
}

/// Deletes a webhook with its secrets and deliveries. Returns `false` if it does not exist.
pub async fn remove(db: &Db, id: Uuid, entry: &AuditEntry) -> Result<bool, Error> {
    transaction!(db, |tx| {
        let gone = sqlx::query("delete from webhooks where id = $1").bind(id).execute(&mut *tx).await?;
        if gone.rows_affected() == 0 {
            return Ok(false);
        }
        audit::append!(tx, db, entry);
    });
    Ok(true)
}

/// Returns the secrets of a webhook that sign at this time, the current one first.
pub async fn list_secrets(db: &Db, webhook_id: Uuid, now: DateTime<Utc>) -> Result<Vec<SigningSecret>, Error> {
    let sql = "select id, sealed, until from webhook_secrets where webhook_id = $1 and (until is null or until > $2)
               order by id desc";
    Ok(reading!(db, |pool| sqlx::query_as(sql).bind(webhook_id).bind(now).fetch_all(pool).await)?)
}

/// Stores a new secret for a webhook. The previous current secret signs until `until`; older ones are deleted. Returns
/// `false` if the webhook does not exist.
pub async fn rotate_secret(
    db: &Db,
    webhook_id: Uuid,
    secret: &SigningSecret,
    until: DateTime<Utc>,
    entry: &AuditEntry,
) -> Result<bool, Error> {
    let lock = format!("select id from webhooks where id = $1{}", db.for_update());
    transaction!(db, |tx| {
        let found: Option<(Uuid,)> =
            sqlx::query_as(AssertSqlSafe(lock)).bind(webhook_id).fetch_optional(&mut *tx).await?;
        if found.is_none() {
            return Ok(false);
        }
        sqlx::query("delete from webhook_secrets where webhook_id = $1 and until is not null")
            .bind(webhook_id)
            .execute(&mut *tx)
            .await?;
        sqlx::query("update webhook_secrets set until = $2 where webhook_id = $1")
            .bind(webhook_id)
            .bind(until)
            .execute(&mut *tx)
            .await?;
        insert_secret!(tx, webhook_id, secret);
        audit::append!(tx, db, entry);
    });
    Ok(true)
}
