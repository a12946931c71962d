//! Browsers that have logged in. Only hashes of the cookies' secrets are kept.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::types::Json;
use uuid::Uuid;

use super::{Db, Error, error::Place, group, reading, writing};
use crate::domain::access::{Role, Session};

#[derive(sqlx::FromRow)]
struct Row {
    token_id: Option<Uuid>,
    name: String,
    role: String,
    tags: Json<Value>,
    created_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
}

/// Keeps a session under the hash of its secret.
pub async fn insert(db: &Db, hash: &[u8], session: &Session) -> Result<(), Error> {
    let sql = "insert into sessions (hash, token_id, name, role, tags, created_at, expires_at)
               values ($1, $2, $3, $4, $5, $6, $7)";
    writing!(db, |pool| sqlx::query(sql)
        .bind(hash)
        .bind(session.token_id)
        .bind(&session.name)
        .bind(session.role.as_str())
        .bind(group::texts(&session.tags))
        .bind(session.created_at)
        .bind(session.expires_at)
        .execute(pool)
        .await
        .map(drop))?;
    Ok(())
}

/// The session of a secret. Whether it has expired is for the caller to see.
pub async fn by_hash(db: &Db, hash: &[u8]) -> Result<Option<Session>, Error> {
    let sql = "select token_id, name, role, tags, created_at, expires_at from sessions where hash = $1";
    let row: Option<Row> = reading!(db, |pool| sqlx::query_as(sql).bind(hash).fetch_optional(pool).await)?;
    // The hash is a secret's: the row is named by the person whose session it is.
    row.map(|row| {
        let place = Place { table: "sessions", row: row.name.as_str() };
        Ok(Session {
            role: place.word("role", &row.role, Role::parse)?,
            tags: place.json("tags", row.tags.0)?,
            token_id: row.token_id,
            name: row.name,
            created_at: row.created_at,
            expires_at: row.expires_at,
        })
    })
    .transpose()
}

/// Ends a session. False: there was none.
pub async fn delete(db: &Db, hash: &[u8]) -> Result<bool, Error> {
    let sql = "delete from sessions where hash = $1";
    let gone = writing!(db, |pool| sqlx::query(sql).bind(hash).execute(pool).await.map(|done| done.rows_affected()))?;
    Ok(gone > 0)
}

/// Deletes the sessions that expired at `at` or before. Returns how many.
pub async fn delete_expired(db: &Db, at: DateTime<Utc>) -> Result<u64, Error> {
    let sql = "delete from sessions where expires_at <= $1";
    Ok(writing!(db, |pool| sqlx::query(sql).bind(at).execute(pool).await.map(|done| done.rows_affected()))?)
}
