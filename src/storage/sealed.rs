//! Sealed (encrypted) values, for a change of the secret key: API keys and other secrets of printers, signing secrets
//! of webhooks.

use serde_json::json;
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use super::{
    Db, Error,
    bulk::{self, ColumnType},
    reading, writing,
};

/// Where sealed values are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SealedTable {
    /// API keys, each sealed for the id of its printer.
    Printers,
    /// Other secrets of printers, each sealed for its own id.
    PrinterSecrets,
    /// Signing secrets of webhooks, each sealed for its own id.
    Webhooks,
}

impl SealedTable {
    /// All variants.
    pub const ALL: [Self; 3] = [Self::Printers, Self::PrinterSecrets, Self::Webhooks];

    /// Returns the table, the column, and SQL for the owner's display name.
    fn sql_location(self) -> (&'static str, &'static str, &'static str) {
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

/// A sealed value, and the id that it was sealed for.
#[derive(Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct StoredSecret {
    pub id: Uuid,
    /// Display name of its owner.
    pub name: String,
    pub sealed: Vec<u8>,
}

/// The same value, sealed with the current key.
#[derive(Clone, PartialEq, Eq)]
pub struct ResealedSecret {
    pub id: Uuid,
    /// The stored value that this one replaces.
    pub previous: Vec<u8>,
    pub sealed: Vec<u8>,
}

/// Counts the sealed values.
pub async fn count_values(db: &Db) -> Result<usize, Error> {
    let sql = "select (select count(*) from printers where api_key is not null)
                      + (select count(*) from printer_secrets) + (select count(*) from webhook_secrets)";
    let (count,): (i64,) = reading!(db, |pool| sqlx::query_as(sql).fetch_one(pool).await)?;
    Ok(usize::try_from(count).unwrap_or_default())
}

/// Returns a page of sealed values in the order of their ids, after `after`.
pub async fn list_page(
    db: &Db,
    sealed_table: SealedTable,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<StoredSecret>, Error> {
    let (table, column, name) = sealed_table.sql_location();
    let sql = format!(
        "select id, {name} as name, {column} as sealed from {table} where {column} is not null and id > $1
         order by id limit $2"
    );
    // Ids are derived from the time, so none is the nil id.
    let after = after.unwrap_or(Uuid::nil());
    Ok(reading!(db, |pool| sqlx::query_as(AssertSqlSafe(sql)).bind(after).bind(limit).fetch_all(pool).await)?)
}

/// Replaces stored values with values sealed with the current key. A value that was changed after it was read stays as
/// it is. The versions of the owners stay too, because no visible content changes. Returns the number of replaced
/// values.
pub async fn reseal(db: &Db, sealed_table: SealedTable, values: &[ResealedSecret]) -> Result<u64, Error> {
    let (table, column, _) = sealed_table.sql_location();
    let source =
        db.records_source(&[("row_id", ColumnType::Uuid), ("was", ColumnType::Bytes), ("sealed", ColumnType::Bytes)]);
    let sql = format!(
        "update {table} set {column} = x.sealed from {source} where {table}.id = x.row_id and {table}.{column} = x.was"
    );
    let records = bulk::json_parameter(values.iter().map(
        |value| json!({"row_id": value.id, "was": bulk::format_bytes(&value.previous), "sealed": bulk::format_bytes(&value.sealed)}),
    ))?;
    let done = writing!(db, |pool| {
        sqlx::query(AssertSqlSafe(sql)).bind(records).execute(pool).await.map(|done| done.rows_affected())
    })?;
    Ok(done)
}
