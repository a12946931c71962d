//! Sealed values, for a change of the secret key: API keys and other secrets of printers, and signing secrets of webhooks.

use serde_json::json;
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use super::{
    Db, Error,
    group::{self, Kind},
    reading, writing,
};

/// Where sealed values lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shelf {
    /// API keys, each sealed for the id of its printer.
    Printers,
    /// Other secrets of printers, each sealed for an id of its own.
    PrinterSecrets,
    /// Secrets that sign, each sealed for an id of its own.
    Webhooks,
}

impl Shelf {
    /// Every shelf.
    pub const ALL: [Self; 3] = [Self::Printers, Self::PrinterSecrets, Self::Webhooks];

    /// Table, column, and what people call its owner.
    fn place(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Printers => ("printers", "api_key", "name"),
            Self::PrinterSecrets => {
                let name = "(select p.name from printers p where p.id = printer_secrets.printer_id)";
                ("printer_secrets", "sealed", name)
            }
            Self::Webhooks => {
                let url = "(select 'the webhook ' || w.url from webhooks w where w.id = webhook_secrets.webhook_id)";
                ("webhook_secrets", "sealed", url)
            }
        }
    }
}

/// A sealed value with the id that it was sealed for.
#[derive(Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Stored {
    pub id: Uuid,
    /// Whose it is.
    pub name: String,
    pub sealed: Vec<u8>,
}

/// The same value, sealed once more.
#[derive(Clone, PartialEq, Eq)]
pub struct Resealed {
    pub id: Uuid,
    /// What has to be stored still.
    pub was: Vec<u8>,
    pub sealed: Vec<u8>,
}

/// How many values are sealed.
pub async fn count(db: &Db) -> Result<usize, Error> {
    let sql = "select (select count(*) from printers where api_key is not null)
                      + (select count(*) from printer_secrets) + (select count(*) from webhook_secrets)";
    let (count,): (i64,) = reading!(db, |pool| sqlx::query_as(sql).fetch_one(pool).await)?;
    Ok(usize::try_from(count).unwrap_or_default())
}

/// A page of sealed values by their ids, after `after`.
pub async fn page(db: &Db, shelf: Shelf, after: Option<Uuid>, limit: i64) -> Result<Vec<Stored>, Error> {
    let (table, column, name) = shelf.place();
    let sql = format!(
        "select id, {name} as name, {column} as sealed from {table} where {column} is not null and id > $1
         order by id limit $2"
    );
    // Nothing has the smallest of ids: they are made of a time.
    let after = after.unwrap_or(Uuid::nil());
    Ok(reading!(db, |pool| sqlx::query_as(AssertSqlSafe(sql)).bind(after).bind(limit).fetch_all(pool).await)?)
}

/// Puts values that were sealed once more in the place of what is stored, where that is still what was read: one that
/// somebody changed in the meantime stays as they left it. Their owners keep their versions, for nothing that anybody
/// sees has changed. Returns how many were replaced.
pub async fn reseal(db: &Db, shelf: Shelf, values: &[Resealed]) -> Result<u64, Error> {
    let (table, column, _) = shelf.place();
    let source = db.records(&[("row_id", Kind::Uuid), ("was", Kind::Bytes), ("sealed", Kind::Bytes)]);
    let sql = format!(
        "update {table} set {column} = x.sealed from {source} where {table}.id = x.row_id and {table}.{column} = x.was"
    );
    let records = group::parameter(values.iter().map(
        |value| json!({"row_id": value.id, "was": group::bytes(&value.was), "sealed": group::bytes(&value.sealed)}),
    ))?;
    let done = writing!(db, |pool| {
        sqlx::query(AssertSqlSafe(sql)).bind(records).execute(pool).await.map(|done| done.rows_affected())
    })?;
    Ok(done)
}
