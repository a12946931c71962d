//! User accounts, and the set-up link for the first admin. Only hashes of passwords are stored.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{AssertSqlSafe, types::Json};
use uuid::Uuid;

use super::{Db, Error, audit, bulk, error::RowRef, reading, transaction};
use crate::domain::{
    access::Role,
    audit::AuditEntry,
    user::{User, UserDetails, name_key},
};

const COLUMNS: &str = "id, name, role, tags, enabled, version, created_at, updated_at, last_login_at";

#[derive(sqlx::FromRow)]
struct UserRow {
    id: Uuid,
    name: String,
    role: String,
    tags: Json<Value>,
    enabled: bool,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    last_login_at: Option<DateTime<Utc>>,
}

impl UserRow {
    fn into_user(self) -> Result<User, Error> {
        let row_ref = RowRef { table: "users", row: self.id };
        Ok(User {
            id: self.id,
            details: UserDetails {
                name: self.name,
                role: row_ref.parse("role", &self.role, Role::parse)?,
                tags: row_ref.parse_json("tags", self.tags.0)?,
                enabled: self.enabled,
            },
            version: self.version,
            created_at: self.created_at,
            updated_at: self.updated_at,
            last_login_at: self.last_login_at,
        })
    }
}

/// Inserts a user within a transaction of [`transaction!`].
macro_rules! insert_row {
    ($tx:ident, $user:expr, $password_hash:expr) => {{
        let (user, password_hash): (&$crate::domain::user::User, Option<&str>) = ($user, $password_hash);
        sqlx::query(
            "insert into users (id, name, name_key, password_hash, role, tags, enabled, version, created_at, updated_at)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        )
        .bind(user.id)
        .bind($crate::storage::bulk::without_nul(&user.details.name))
        .bind($crate::domain::user::name_key(&user.details.name))
        .bind(password_hash)
        .bind(user.details.role.as_str())
        .bind($crate::storage::bulk::text_list(&user.details.tags))
        .bind(user.details.enabled)
        .bind(user.version)
        .bind(user.created_at)
        .bind(user.updated_at)
        .execute(&mut *$tx)
        .await?;
    }};
}

pub(super) use insert_row;

/// Stores a new user. Errors: [`Error::NameTaken`].
pub async fn insert(db: &Db, user: &User, password_hash: Option<&str>, entry: &AuditEntry) -> Result<(), Error> {
    try_insert(db, user, password_hash, entry).await.map_err(map_name_conflict)
}

async fn try_insert(db: &Db, user: &User, password_hash: Option<&str>, entry: &AuditEntry) -> Result<(), sqlx::Error> {
    transaction!(db, |tx| {
        insert_row!(tx, user, password_hash);
        audit::append!(tx, db, entry);
    });
    Ok(())
}

/// Change of a user.
#[derive(Debug, Clone, Copy)]
pub struct UserUpdate<'a> {
    /// New content.
    pub user: &'a User,
    /// Version on which the change is based.
    pub expected_version: i64,
    /// `None` keeps the password.
    pub password_hash: Option<&'a str>,
    pub sessions: SessionsToEnd,
    /// Refuse the change if no other admin can log in by password. Set if the change ends the rights of an admin.
    pub require_other_admin: bool,
}

/// Which sessions of a user a change ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionsToEnd {
    None,
    All,
    /// All except the session in which the change was made.
    Others(Uuid),
}

/// Result of [`update`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UserUpdateResult {
    Stored,
    /// The user has another version or no longer exists.
    Stale,
    /// No admin would be left.
    LastAdmin,
}

/// Stores a change of a user, and ends sessions. Errors: [`Error::NameTaken`].
pub async fn update(db: &Db, change: &UserUpdate<'_>, entry: &AuditEntry) -> Result<UserUpdateResult, Error> {
    try_update(db, change, entry).await.map_err(map_name_conflict)
}

async fn try_update(db: &Db, change: &UserUpdate<'_>, entry: &AuditEntry) -> Result<UserUpdateResult, sqlx::Error> {
    let UserUpdate { user, expected_version, password_hash, sessions, require_other_admin: keep_an_admin } = change;
    let (ends, except) = match sessions {
        SessionsToEnd::None => (false, None),
        SessionsToEnd::All => (true, None),
        SessionsToEnd::Others(except) => (true, Some(*except)),
    };
    // Locked in one order. If two admins demote each other at once, the second change reads the result of the first.
    let admins = format!(
        "select id from users where role = 'admin' and enabled and password_hash is not null order by id{}",
        db.for_update()
    );
    transaction!(db, |tx| {
        if *keep_an_admin {
            let admins: Vec<Uuid> = sqlx::query_scalar(AssertSqlSafe(admins)).fetch_all(&mut *tx).await?;
            if admins.iter().all(|admin| *admin == user.id) {
                return Ok(UserUpdateResult::LastAdmin);
            }
        }
        let changed = sqlx::query(
            "update users set name = $3, name_key = $4, role = $5, tags = $6, enabled = $7, version = $8, updated_at = $9,
                 password_hash = coalesce($10, password_hash)
             where id = $1 and version = $2",
        )
        .bind(user.id)
        .bind(expected_version)
        .bind(bulk::without_nul(&user.details.name))
        .bind(name_key(&user.details.name))
        .bind(user.details.role.as_str())
        .bind(bulk::text_list(&user.details.tags))
        .bind(user.details.enabled)
        .bind(user.version)
        .bind(user.updated_at)
        .bind(password_hash)
        .execute(&mut *tx)
        .await?;
        if changed.rows_affected() == 0 {
            return Ok(UserUpdateResult::Stale);
        }
        if ends {
            sqlx::query("delete from sessions where user_id = $1 and id is distinct from $2")
                .bind(user.id)
                .bind(except)
                .execute(&mut *tx)
                .await?;
        }
        audit::append!(tx, db, entry);
    });
    Ok(UserUpdateResult::Stored)
}

/// Converts a conflict of a name or an identity into [`Error::NameTaken`].
pub(super) fn map_name_conflict(error: sqlx::Error) -> Error {
    if error.as_database_error().is_some_and(|error| error.is_unique_violation()) {
        Error::NameTaken
    } else {
        error.into()
    }
}

/// Returns one user.
pub async fn get(db: &Db, id: Uuid) -> Result<Option<User>, Error> {
    let sql = format!("select {COLUMNS} from users where id = $1");
    let row: Option<UserRow> =
        reading!(db, |pool| sqlx::query_as(AssertSqlSafe(sql)).bind(id).fetch_optional(pool).await)?;
    row.map(UserRow::into_user).transpose()
}

/// Returns the user with this name, and the hash of their password.
pub async fn find_by_name(db: &Db, name: &str) -> Result<Option<(User, Option<String>)>, Error> {
    #[derive(sqlx::FromRow)]
    struct UserWithHashRow {
        #[sqlx(flatten)]
        row: UserRow,
        password_hash: Option<String>,
    }
    let sql = format!("select {COLUMNS}, password_hash from users where name_key = $1");
    let key = bulk::without_nul(&name_key(name));
    let row: Option<UserWithHashRow> =
        reading!(db, |pool| sqlx::query_as(AssertSqlSafe(sql)).bind(key).fetch_optional(pool).await)?;
    row.map(|row| Ok((row.row.into_user()?, row.password_hash))).transpose()
}

/// Returns a page of users, newest first, older than `after`.
pub async fn list_page(db: &Db, after: Option<Uuid>, limit: i64) -> Result<Vec<User>, Error> {
    let sql = format!("select {COLUMNS} from users where $1 is null or id < $1 order by id desc limit $2");
    let rows: Vec<UserRow> =
        reading!(db, |pool| sqlx::query_as(AssertSqlSafe(sql)).bind(after).bind(limit).fetch_all(pool).await)?;
    rows.into_iter().map(UserRow::into_user).collect()
}

/// Returns whether any user exists.
pub async fn any_exists(db: &Db) -> Result<bool, Error> {
    let sql = "select count(*) from (select id from users limit 1) as u";
    let (count,): (i64,) = reading!(db, |pool| sqlx::query_as(sql).fetch_one(pool).await)?;
    Ok(count > 0)
}

/// Stores the set-up link for the first admin. Deletes the previous link.
pub async fn store_setup_link(db: &Db, hash: &[u8], expires_at: DateTime<Utc>) -> Result<(), Error> {
    transaction!(db, |tx| {
        sqlx::query("delete from setup_links").execute(&mut *tx).await?;
        sqlx::query("insert into setup_links (hash, expires_at) values ($1, $2)")
            .bind(hash)
            .bind(expires_at)
            .execute(&mut *tx)
            .await?;
    });
    Ok(())
}

/// Returns whether this is the current set-up link and has not expired.
pub async fn is_setup_link(db: &Db, hash: &[u8], at: DateTime<Utc>) -> Result<bool, Error> {
    let sql = "select count(*) from setup_links where hash = $1 and expires_at > $2";
    let (count,): (i64,) = reading!(db, |pool| sqlx::query_as(sql).bind(hash).bind(at).fetch_one(pool).await)?;
    Ok(count > 0)
}

/// Creates the first admin and deletes the link, in one transaction. Returns `false` if the link is unknown or expired,
/// or if a user exists.
pub async fn create_first_admin(
    db: &Db,
    hash: &[u8],
    user: &User,
    password_hash: &str,
    at: DateTime<Utc>,
    entry: &AuditEntry,
) -> Result<bool, Error> {
    transaction!(db, |tx| {
        // If two requests use the link at once, the second waits here and finds no link.
        let used = sqlx::query(
            "delete from setup_links where hash = $1 and expires_at > $2 and not exists (select 1 from users)",
        )
        .bind(hash)
        .bind(at)
        .execute(&mut *tx)
        .await?;
        if used.rows_affected() == 0 {
            return Ok(false);
        }
        insert_row!(tx, user, Some(password_hash));
        audit::append!(tx, db, entry);
    });
    Ok(true)
}
