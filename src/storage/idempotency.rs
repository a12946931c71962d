//! Keys of requests that may be repeated, bound to what came of them.

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::{Db, Error, group, reading, transaction, writing};
use crate::domain::idempotency::{Bound, KEPT_H, KeyUse};

/// Binds a key to what is written in this transaction of `transaction!`. It fails where another request has bound it.
macro_rules! bind {
    ($tx:ident, $key:expr, $at:expr, $location:expr) => {{
        let key: &$crate::domain::idempotency::KeyUse = $key;
        let at: chrono::DateTime<chrono::Utc> = $at;
        let location: String = $location;
        let bound = sqlx::query($crate::storage::idempotency::BIND)
            .bind(key.scope)
            .bind(&key.key)
            .bind(key.use_id)
            .bind(&key.fingerprint)
            .bind(at)
            .bind(location)
            .bind($crate::storage::idempotency::outdated(at))
            .execute(&mut *$tx)
            .await?;
        if bound.rows_affected() == 0 {
            return Err($crate::storage::error::key_taken().into());
        }
    }};
}
pub(super) use bind;

/// One that is outdated counts as none. What the same request binds once more stays with what it was bound to first.
pub(super) const BIND: &str = "
    insert into idempotency_keys (scope, key, use_id, fingerprint, created_at, location)
    values ($1, $2, $3, $4, $5, $6)
    on conflict (scope, key) do update set
        use_id = excluded.use_id, fingerprint = excluded.fingerprint, created_at = excluded.created_at,
        location = case when idempotency_keys.use_id = excluded.use_id then idempotency_keys.location
                   else excluded.location end,
        status = null, body = null, body_bytes = null, body_gone = false
    where idempotency_keys.use_id = excluded.use_id or idempotency_keys.created_at < $7";

/// What was bound before this is kept no longer.
pub(super) fn outdated(now: DateTime<Utc>) -> DateTime<Utc> {
    now - TimeDelta::hours(KEPT_H)
}

/// What a key is bound to. None: nothing, or not any more.
pub async fn get(db: &Db, scope: Uuid, key: &str, now: DateTime<Utc>) -> Result<Option<Bound>, Error> {
    let sql = "select fingerprint, location, status, body, body_gone from idempotency_keys
               where scope = $1 and key = $2 and created_at >= $3";
    type Row = (Vec<u8>, Option<String>, Option<i64>, Option<String>, bool);
    let row: Option<Row> =
        reading!(db, |pool| sqlx::query_as(sql).bind(scope).bind(key).bind(outdated(now)).fetch_optional(pool).await)?;
    let bound = |(fingerprint, location, status, body, body_gone): Row| Bound {
        fingerprint,
        location,
        status: status.and_then(|status| u16::try_from(status).ok()),
        body,
        body_gone,
    };
    Ok(row.map(bound))
}

/// Bytes of the answers of one scope that are kept, and how many.
const BODY_BYTES: i64 = 8 * 1024 * 1024;
const BODIES: i64 = 1_000;

/// Drops the oldest answers of a scope beyond the bounds. The keys stay bound.
const DROP_BODIES: &str = "
    update idempotency_keys set body = null, body_bytes = null, body_gone = true
    where scope = $1 and key in (
        select key from (
            select key, cast(sum(body_bytes) over (order by created_at desc, key) as bigint) as bytes,
                row_number() over (order by created_at desc, key) as n
            from idempotency_keys where scope = $1 and body_bytes is not null) newest
        where bytes > $2 or n > $3)";

/// Notes the answer to a request, and binds its key where nothing has bound it. What another request has bound stays. Drops
/// the oldest answers of the scope beyond its bounds.
pub async fn note_answer(
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
            .bind(body.map(group::clean))
            .bind(outdated(at))
            .bind(bytes)
            .execute(&mut *tx)
            .await?;
        if bytes.is_some() {
            sqlx::query(DROP_BODIES).bind(key.scope).bind(BODY_BYTES).bind(BODIES).execute(&mut *tx).await?;
        }
    });
    Ok(())
}

/// Removes what is kept no longer. Returns how many.
pub async fn delete_outdated(db: &Db, now: DateTime<Utc>) -> Result<u64, Error> {
    let sql = "delete from idempotency_keys where created_at < $1";
    Ok(writing!(db, |pool| sqlx::query(sql).bind(outdated(now)).execute(pool).await.map(|done| done.rows_affected()))?)
}
