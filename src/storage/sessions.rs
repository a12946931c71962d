//! Browser sessions. Only hashes of the cookies' secrets are stored, and no rights: those belong to the user or the
//! token.

use chrono::{DateTime, Utc};
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use super::{Db, Error, audit, bulk, reading, transaction, writing};
use crate::domain::{access::Session, audit::AuditEntry};

const COLUMNS: &str = "id, user_id, token_id, admin_hash, created_at, last_seen_at, expires_at, address, agent";

#[derive(sqlx::FromRow)]
struct SessionRow {
    id: Uuid,
    user_id: Option<Uuid>,
    token_id: Option<Uuid>,
    admin_hash: Option<Vec<u8>>,
    created_at: DateTime<Utc>,
    last_seen_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    address: Option<String>,
    agent: String,
}

impl From<SessionRow> for Session {
    fn from(row: SessionRow) -> Self {
        Self {
            id: row.id,
            user_id: row.user_id,
            token_id: row.token_id,
            admin_hash: row.admin_hash,
            created_at: row.created_at,
            last_seen_at: row.last_seen_at,
            expires_at: row.expires_at,
            address: row.address,
            agent: row.agent,
        }
    }
}

/// Stores a session under the hash of its secret, and deletes the previous session of the browser. Updates the last
/// login of the user, for every kind of login.
pub async fn insert(
    db: &Db,
    hash: &[u8],
    session: &Session,
    previous_hash: Option<&[u8]>,
    entry: &AuditEntry,
) -> Result<(), Error> {
    let sql = format!("insert into sessions ({COLUMNS}, hash) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)");
    transaction!(db, |tx| {
        sqlx::query("delete from sessions where hash = $1").bind(previous_hash).execute(&mut *tx).await?;
        sqlx::query(AssertSqlSafe(sql))
            .bind(session.id)
            .bind(session.user_id)
            .bind(session.token_id)
            .bind(&session.admin_hash)
            .bind(session.created_at)
            .bind(session.last_seen_at)
            .bind(session.expires_at)
            .bind(&session.address)
            .bind(bulk::without_nul(&session.agent))
            .bind(hash)
            .execute(&mut *tx)
            .await?;
        sqlx::query("update users set last_login_at = $2 where id = $1")
            .bind(session.user_id)
            .bind(session.created_at)
            .execute(&mut *tx)
            .await?;
        audit::append!(tx, db, entry);
    });
    Ok(())
}

/// Returns the session of a secret. The caller checks whether it has expired.
pub async fn find_by_hash(db: &Db, hash: &[u8]) -> Result<Option<Session>, Error> {
    let sql = format!("select {COLUMNS} from sessions where hash = $1");
    let row: Option<SessionRow> =
        reading!(db, |pool| sqlx::query_as(AssertSqlSafe(sql)).bind(hash).fetch_optional(pool).await)?;
    Ok(row.map(Session::from))
}

/// Returns the sessions of a user that have not expired, the most recently used first.
pub async fn list_by_user(db: &Db, user_id: Uuid, at: DateTime<Utc>) -> Result<Vec<Session>, Error> {
    let sql = format!(
        "select {COLUMNS} from sessions where user_id = $1 and expires_at > $2 order by last_seen_at desc, id limit 500"
    );
    let rows: Vec<SessionRow> =
        reading!(db, |pool| sqlx::query_as(AssertSqlSafe(sql)).bind(user_id).bind(at).fetch_all(pool).await)?;
    Ok(rows.into_iter().map(Session::from).collect())
}

/// Records that a session was used, and its new expiry time. Call it now and then, not for each request: it is a write.
pub async fn record_use(db: &Db, id: Uuid, at: DateTime<Utc>, expires_at: DateTime<Utc>) -> Result<(), Error> {
    let sql = "update sessions set last_seen_at = $2, expires_at = $3 where id = $1 and last_seen_at < $2";
    writing!(db, |pool| sqlx::query(sql).bind(id).bind(at).bind(expires_at).execute(pool).await.map(drop))?;
    Ok(())
}

/// Ends a session. Returns `false` if it does not exist.
pub async fn delete(db: &Db, hash: &[u8], entry: &AuditEntry) -> Result<bool, Error> {
    transaction!(db, |tx| {
        let gone = sqlx::query("delete from sessions where hash = $1").bind(hash).execute(&mut *tx).await?;
        if gone.rows_affected() == 0 {
            return Ok(false);
        }
        audit::append!(tx, db, entry);
    });
    Ok(true)
}

/// Ends a session of a user. Returns `false` if the user has no session with this id.
pub async fn delete_of_user(db: &Db, user_id: Uuid, id: Uuid, entry: &AuditEntry) -> Result<bool, Error> {
    transaction!(db, |tx| {
        let sql = "delete from sessions where user_id = $1 and id = $2";
        let gone = sqlx::query(sql).bind(user_id).bind(id).execute(&mut *tx).await?;
        if gone.rows_affected() == 0 {
            return Ok(false);
        }
        audit::append!(tx, db, entry);
    });
    Ok(true)
}

/// Deletes the sessions that expired at `at` or before, and those not used since `idle_since`. Returns their number.
pub async fn delete_expired(db: &Db, at: DateTime<Utc>, idle_since: DateTime<Utc>) -> Result<u64, Error> {
    let sql = "delete from sessions where expires_at <= $1 or last_seen_at <= $2";
    Ok(writing!(db, |pool| sqlx::query(sql)
        .bind(at)
        .bind(idle_since)
        .execute(pool)
        .await
        .map(|done| done.rows_affected()))?)
}
