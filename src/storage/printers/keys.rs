//! The sealed keys of all printers, for a change of the key that seals them.

use serde_json::json;
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use super::super::{
    Db, Error,
    group::{self, Kind},
    reading, writing,
};

/// A sealed key with the printer that it belongs to.
#[derive(Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct StoredKey {
    pub id: Uuid,
    pub name: String,
    pub api_key: Vec<u8>,
}

/// The same key, sealed once more.
#[derive(Clone, PartialEq, Eq)]
pub struct Resealed {
    pub id: Uuid,
    /// What has to be stored still.
    pub was: Vec<u8>,
    pub sealed: Vec<u8>,
}

/// How many printers have a key.
pub async fn count_keys(db: &Db) -> Result<usize, Error> {
    let sql = "select count(*) from printers where api_key is not null";
    let (count,): (i64,) = reading!(db, |pool| sqlx::query_as(sql).fetch_one(pool).await)?;
    Ok(usize::try_from(count).unwrap_or_default())
}

/// A page of sealed keys by the id of their printers, after `after`.
pub async fn page_of_keys(db: &Db, after: Option<Uuid>, limit: i64) -> Result<Vec<StoredKey>, Error> {
    let sql = "select id, name, api_key from printers where api_key is not null and id > $1 order by id limit $2";
    // No printer has the smallest of ids: they are made of a time.
    let after = after.unwrap_or(Uuid::nil());
    Ok(reading!(db, |pool| sqlx::query_as(sql).bind(after).bind(limit).fetch_all(pool).await)?)
}

/// Puts keys that were sealed once more in the place of what is stored, where that is still what was read: a key that
/// somebody changed in the meantime stays as they left it. The printers keep their versions, for nothing that anybody
/// sees has changed. Returns how many were replaced.
pub async fn reseal(db: &Db, keys: &[Resealed]) -> Result<u64, Error> {
    let source = db.records(&[("row_id", Kind::Uuid), ("was", Kind::Bytes), ("sealed", Kind::Bytes)]);
    let sql = format!(
        "update printers set api_key = x.sealed from {source}
         where printers.id = x.row_id and printers.api_key = x.was"
    );
    let records = group::parameter(
        keys.iter()
            .map(|key| json!({"row_id": key.id, "was": group::bytes(&key.was), "sealed": group::bytes(&key.sealed)})),
    )?;
    let done = writing!(db, |pool| {
        sqlx::query(AssertSqlSafe(sql)).bind(records).execute(pool).await.map(|done| done.rows_affected())
    })?;
    Ok(done)
}
