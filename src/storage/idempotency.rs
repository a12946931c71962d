//! Idempotency keys of requests, bound to the resource or the response of the request.

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::{Db, Error, bulk, reading, transaction, writing};
use crate::domain::idempotency::{KEY_LIFETIME_H, KeyBinding, KeyUse};

/// Binds a key to the data that this transaction of `transaction!` writes. Fails if another request has bound the key.
macro_rules! bind {
    ($tx:ident, $key:expr, $at:expr, $location:expr) => {{
        let key: &$crate::domain::idempotency::KeyUse = $key;
        let at: chrono::DateTime<chrono::Utc> = $at;
        let location: String = $location;
        let bound = sqlx::query($crate::storage::idempotency::BIND_SQL)
            .bind(key.scope)
            .bind(&key.key)
            .bind(key.use_id)
            .bind(&key.fingerprint)
            .bind(at)
            .bind(location)
            .bind($crate::storage::idempotency::outdated_before(at))
            .execute(&mut *$tx)
            .await?;
        if bound.rows_affected() == 0 {
            return Err($crate::storage::error::key_taken_error().into());
        }
    }};
}
pub(super) use bind;

/// An outdated binding counts as absent. If the same request binds its key again, the first location is kept.
pub(super) const BIND_SQL: &str = "
    insert into idempotency_keys (scope, key, use_id, fingerprint, created_at, location)
    values ($1, $2, $3, $4, $5, $6)
    on conflict (scope, key) do update set
        use_id = excluded.use_id, fingerprint = excluded.fingerprint, created_at = excluded.created_at,
        location = case when idempotency_keys.use_id = excluded.use_id then idempotency_keys.location
                   else excluded.location end,
        status = null, body = null, body_bytes = null, body_gone = false
    where idempotency_keys.use_id = excluded.use_id or idempotency_keys.created_at < $7";

/// Returns the time before which bindings are outdated.
pub(super) fn outdated_before(now: DateTime<Utc>) -> DateTime<Utc> {
    now - TimeDelta::hours(KEY_LIFETIME_H)
}

/// Returns what a key is bound to. `None` if it is not bound, or not any more.
pub async fn get(db: &Db, scope: Uuid, key: &str, now: DateTime<Utc>) -> Result<Option<KeyBinding>, Error> {
    let sql = "select fingerprint, location, status, body, body_gone from idempotency_keys
               where scope = $1 and key = $2 and created_at >= $3";
    type BindingRow = (Vec<u8>, Option<String>, Option<i64>, Option<String>, bool);
    let row: Option<BindingRow> = reading!(db, |pool| sqlx::query_as(sql)
        .bind(scope)
        .bind(key)
        .bind(outdated_before(now))
        .fetch_optional(pool)
        .await)?;
    let into_binding = |(fingerprint, location, status, body, body_gone): BindingRow| KeyBinding {
        fingerprint,
        location,
        status: status.and_then(|status| u16::try_from(status).ok()),
        body,
        body_gone,
    };
    Ok(row.map(into_binding))
}

/// Limits for the stored responses of one scope: their size in bytes, and their number.
const MAX_BODY_BYTES: i64 = 8 * 1024 * 1024;
const MAX_BODIES: i64 = 1_000;

/// Deletes the oldest response bodies of a scope beyond the limits. The keys stay bound.
const DELETE_OLD_BODIES_SQL: &str = "
    update idempotency_keys set body = null, body_bytes = null, body_gone = true
    where scope = $1 and key in (
        select key from (
            select key, cast(sum(body_bytes) over (order by created_at desc, key) as bigint) as bytes,
                row_number() over (order by created_at desc, key) as n
            from idempotency_keys where scope = $1 and body_bytes is not null) newest
        where bytes > $2 or n > $3)";

/// Stores the response to a request, and binds its key if no other request has bound it. Does not change the binding of
/// another request. Deletes the oldest response bodies of the scope beyond the limits.
pub async fn store_response(
    db: &Db,
    key: &KeyUse,
    status: u16,
    body: Option<&str>,
    at: DateTime<Utc>,
) -> Result<(), Error> {
    let sql = "insert into idempotency_keys (scope, key, use_id, fingerprint, created_at, status, body, body_bytes)
               values ($1, $2, $3, $4, $5, $6, $7, $9)
               on conflict (scope, key) do update set
                   use_id = excluded.use_id, fingerprint = excluded.fingerprint, created_at = excluded.created_at,
                   location = case when idempotency_keys.use_id = excluded.use_id
                              then idempotency_keys.location else null end,
                   status = excluded.status, body = excluded.body, body_bytes = excluded.body_bytes,
                   body_gone = false
               where idempotency_keys.use_id = excluded.use_id or idempotency_keys.created_at < $8";
    let bytes = body.map(|body| i64::try_from(body.len()).unwrap_or(i64::MAX));
    transaction!(db, |tx| {
        sqlx::query(sql)
            .bind(key.scope)
            .bind(&key.key)
            .bind(key.use_id)
            .bind(&key.fingerprint)
            .bind(at)
            .bind(i64::from(status))
            .bind(body.map(bulk::without_nul))
            .bind(outdated_before(at))
            .bind(bytes)
            .execute(&mut *tx)
            .await?;
        if bytes.is_some() {
            sqlx::query(DELETE_OLD_BODIES_SQL)
                .bind(key.scope)
                .bind(MAX_BODY_BYTES)
                .bind(MAX_BODIES)
                .execute(&mut *tx)
                .await?;
        }
    });
    Ok(())
}

/// Deletes outdated keys. Returns their number.
pub async fn delete_outdated(db: &Db, now: DateTime<Utc>) -> Result<u64, Error> {
    let sql = "delete from idempotency_keys where created_at < $1";
    Ok(writing!(db, |pool| sqlx::query(sql)
        .bind(outdated_before(now))
        .execute(pool)
        .await
        .map(|done| done.rows_affected()))?)
}
