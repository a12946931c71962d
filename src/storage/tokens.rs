//! API tokens. Only hashes of the secrets are stored.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{AssertSqlSafe, types::Json};
use uuid::Uuid;

use super::{Db, Error, audit, bulk, error::RowRef, reading, transaction, writing};
use crate::domain::{
    access::{Role, Token},
    audit::AuditEntry,
};

const COLUMNS: &str = "id, name, role, tags, created_at, expires_at, last_used_at, root_id, requires_key, created_by";

#[derive(sqlx::FromRow)]
struct TokenRow {
    id: Uuid,
    name: String,
    role: String,
    tags: Json<Value>,
    created_at: DateTime<Utc>,
    expires_at: Option<DateTime<Utc>>,
    last_used_at: Option<DateTime<Utc>>,
    root_id: Option<Uuid>,
    requires_key: bool,
    created_by: Option<String>,
}

impl TokenRow {
    fn into_token(self) -> Result<Token, Error> {
        let row_ref = RowRef { table: "tokens", row: self.id };
        Ok(Token {
            id: self.id,
            name: self.name,
            role: row_ref.parse("role", &self.role, Role::parse)?,
            tags: row_ref.parse_json("tags", self.tags.0)?,
            created_at: self.created_at,
            expires_at: self.expires_at,
            last_used_at: self.last_used_at,
            root_id: self.root_id.unwrap_or(self.id),
            requires_key: self.requires_key,
            created_by: self.created_by,
        })
    }
}

/// Inserts a token within a transaction of [`transaction!`].
macro_rules! insert_row {
    ($tx:ident, $token:expr, $hash:expr, $rotated_from:expr) => {{
        let (token, rotated_from): (&Token, Option<Uuid>) = ($token, $rotated_from);
        let sql = format!(
            "insert into tokens ({COLUMNS}, hash, rotated_from)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)"
        );
        sqlx::query(AssertSqlSafe(sql))
            .bind(token.id)
            .bind(bulk::without_nul(&token.name))
            .bind(token.role.as_str())
            .bind(bulk::text_list(&token.tags))
            .bind(token.created_at)
            .bind(token.expires_at)
            .bind(token.last_used_at)
            .bind(token.root_id)
            .bind(token.requires_key)
            .bind(token.created_by.as_deref().map(bulk::without_nul))
            .bind($hash)
            .bind(rotated_from)
            .execute(&mut *$tx)
            .await?;
    }};
}

/// Stores a token under the hash of its secret.
pub async fn insert(db: &Db, token: &Token, hash: &[u8], entry: &AuditEntry) -> Result<(), Error> {
    transaction!(db, |tx| {
        insert_row!(tx, token, hash, None);
        audit::append!(tx, db, entry);
    });
    Ok(())
}

/// Returns the token of a secret, unless it is revoked. The caller checks whether it has expired.
pub async fn find_by_hash(db: &Db, hash: &[u8]) -> Result<Option<Token>, Error> {
    let sql = format!("select {COLUMNS} from tokens where hash = $1 and revoked_at is null");
    let row: Option<TokenRow> =
        reading!(db, |pool| sqlx::query_as(AssertSqlSafe(sql)).bind(hash).fetch_optional(pool).await)?;
    row.map(TokenRow::into_token).transpose()
}

/// Returns one token, unless it is revoked.
pub async fn get(db: &Db, id: Uuid) -> Result<Option<Token>, Error> {
    let sql = format!("select {COLUMNS} from tokens where id = $1 and revoked_at is null");
    let row: Option<TokenRow> =
        reading!(db, |pool| sqlx::query_as(AssertSqlSafe(sql)).bind(id).fetch_optional(pool).await)?;
    row.map(TokenRow::into_token).transpose()
}

/// Returns a page of the tokens that are not revoked, newest first, older than `after`.
pub async fn list_page(db: &Db, after: Option<Uuid>, limit: i64) -> Result<Vec<Token>, Error> {
    let sql = format!(
        "select {COLUMNS} from tokens where revoked_at is null and ($1 is null or id < $1) order by id desc limit $2"
    );
    let rows: Vec<TokenRow> =
        reading!(db, |pool| sqlx::query_as(AssertSqlSafe(sql)).bind(after).bind(limit).fetch_all(pool).await)?;
    rows.into_iter().map(TokenRow::into_token).collect()
}

/// Stores a token that replaces another one. The old token works until `until` at the latest. Returns `false` if the
/// old token was revoked or does not exist.
pub async fn rotate(
    db: &Db,
    old: Uuid,
    until: DateTime<Utc>,
    token: &Token,
    hash: &[u8],
    entry: &AuditEntry,
) -> Result<bool, Error> {
    transaction!(db, |tx| {
        let found = sqlx::query(
            "update tokens set expires_at = case when expires_at < $2 then expires_at else $2 end
             where id = $1 and revoked_at is null",
        )
        .bind(old)
        .bind(until)
        .execute(&mut *tx)
        .await?;
        if found.rows_affected() == 0 {
            return Ok(false);
        }
        insert_row!(tx, token, hash, Some(old));
        audit::append!(tx, db, entry);
    });
    Ok(true)
}

/// Revokes a token and ends the sessions that were opened with it. Returns `false` if it was revoked before or does not
/// exist.
pub async fn revoke(db: &Db, id: Uuid, at: DateTime<Utc>, entry: &AuditEntry) -> Result<bool, Error> {
    transaction!(db, |tx| {
        let done = sqlx::query("update tokens set revoked_at = $2 where id = $1 and revoked_at is null")
            .bind(id)
            .bind(at)
            .execute(&mut *tx)
            .await?;
        if done.rows_affected() == 0 {
            return Ok(false);
        }
        sqlx::query("delete from sessions where token_id = $1").bind(id).execute(&mut *tx).await?;
        audit::append!(tx, db, entry);
    });
    Ok(true)
}

/// Records that a token was used. Call it now and then, not for each request: it is a write.
pub async fn record_use(db: &Db, id: Uuid, at: DateTime<Utc>) -> Result<(), Error> {
    let sql = "update tokens set last_used_at = $2 where id = $1 and (last_used_at is null or last_used_at < $2)";
    writing!(db, |pool| sqlx::query(sql).bind(id).bind(at).execute(pool).await.map(drop))?;
    Ok(())
}

/// Deletes the tokens that were revoked or expired before `ended_before`. Returns their number.
pub async fn delete_ended(db: &Db, ended_before: DateTime<Utc>) -> Result<u64, Error> {
    let sql = "delete from tokens where revoked_at < $1 or expires_at < $1";
    Ok(writing!(db, |pool| sqlx::query(sql).bind(ended_before).execute(pool).await.map(|done| done.rows_affected()))?)
}
