//! The register of printers. API keys are kept sealed and leave this module sealed.

mod search;
mod tags;

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, types::Json};
use uuid::Uuid;

use super::{
    Db, Error, audit,
    commands::{self, OPEN, Touched},
    error::Place,
    events,
    group::{self, Kind},
    reading, transaction,
};
use crate::domain::{
    audit::Entry,
    command::Reason,
    printer::{Printer, PrinterDetails},
};

pub use search::{PrinterFilter, Selection, page, select};
pub use tags::retag;

/// What an update does to the stored key.
#[derive(Clone, PartialEq, Eq)]
pub enum KeyChange {
    Keep,
    Clear,
    /// The sealed key.
    Set(Vec<u8>),
}

impl std::fmt::Debug for KeyChange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Keep => "Keep",
            Self::Clear => "Clear",
            Self::Set(_) => "Set(…)",
        })
    }
}

/// The start of every query for printers `p`. `more`: columns beside those of [`Row`], each with a comma behind it.
fn select_sql(db: &Db, more: &str) -> String {
    format!(
        "select {more} id, name, url, enabled, model, material, color, nozzle_mm, bed_mm, power_group, notes, version,
             created_at, updated_at, {} from printers p",
        db.tags_column()
    )
}

#[derive(sqlx::FromRow)]
struct Row {
    id: Uuid,
    name: String,
    url: String,
    enabled: bool,
    model: Option<String>,
    material: Option<String>,
    color: Option<String>,
    nozzle_mm: Option<f64>,
    bed_mm: Option<Json<Value>>,
    power_group: Option<String>,
    notes: String,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    tags: Json<Vec<String>>,
}

impl Row {
    fn read(self) -> Result<Printer, Error> {
        let place = Place { table: "printers", row: self.id };
        let mut tags = self.tags.0;
        tags.sort();
        Ok(Printer {
            id: self.id,
            details: PrinterDetails {
                name: self.name,
                url: self.url,
                tags,
                enabled: self.enabled,
                model: self.model,
                material: self.material,
                color: self.color,
                nozzle_mm: self.nozzle_mm,
                bed_mm: self.bed_mm.map(|Json(mm)| place.json("bed_mm", mm)).transpose()?,
                power_group: self.power_group,
                notes: self.notes,
            },
            version: self.version,
            created_at: self.created_at,
            updated_at: self.updated_at,
        })
    }
}

/// A printer that is to be registered, with its sealed key, and what is written down of it.
pub struct NewPrinter {
    pub printer: Printer,
    pub sealed_key: Option<Vec<u8>>,
    pub entry: Entry,
}

/// Registers printers, all of them or none. Errors: [`Error::NameTaken`], [`Error::UrlTaken`] of any.
pub async fn insert(db: &Db, new: &[NewPrinter]) -> Result<(), Error> {
    let Err(error) = try_insert(db, new).await else { return Ok(()) };
    if !is_taken(&error) {
        return Err(error.into());
    }
    for NewPrinter { printer, .. } in new {
        if let Some(taken) = what_is_taken(db, printer).await? {
            return Err(taken);
        }
    }
    // None is there already: two of them are the same.
    let repeated = |field: fn(&Printer) -> &str| {
        let all: HashSet<&str> = new.iter().map(|new| field(&new.printer)).collect();
        all.len() < new.len()
    };
    if repeated(|printer| &printer.details.name) {
        return Err(Error::NameTaken);
    }
    Err(if repeated(|printer| &printer.details.url) { Error::UrlTaken } else { error.into() })
}

async fn try_insert(db: &Db, new: &[NewPrinter]) -> Result<(), sqlx::Error> {
    let tags_sql = insert_tags_sql(db);
    let tags = tag_records(new.iter().map(|new| &new.printer))?;
    transaction!(db, |tx| {
        for NewPrinter { printer, sealed_key, .. } in new {
            let details = &printer.details;
            sqlx::query(
                "insert into printers
                     (id, name, url, api_key, enabled, model, material, color, nozzle_mm, bed_mm, power_group, notes,
                      version, created_at, updated_at)
                 values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)",
            )
            .bind(printer.id)
            .bind(&details.name)
            .bind(&details.url)
            .bind(sealed_key)
            .bind(details.enabled)
            .bind(&details.model)
            .bind(&details.material)
            .bind(&details.color)
            .bind(details.nozzle_mm)
            .bind(details.bed_mm.map(Json))
            .bind(&details.power_group)
            .bind(&details.notes)
            .bind(printer.version)
            .bind(printer.created_at)
            .bind(printer.updated_at)
            .execute(&mut *tx)
            .await?;
        }
        sqlx::query(AssertSqlSafe(tags_sql)).bind(tags).execute(&mut *tx).await?;
        for new in new {
            audit::append!(tx, db, &new.entry);
        }
    });
    Ok(())
}

/// Writes the new content of a printer over `expected_version`. False: it has another version by now, or is gone.
/// Errors: [`Error::NameTaken`], [`Error::UrlTaken`].
pub async fn update(
    db: &Db,
    printer: &Printer,
    expected_version: i64,
    key: KeyChange,
    entry: &Entry,
) -> Result<bool, Error> {
    match try_update(db, printer, expected_version, key, entry).await {
        Ok(changed) => Ok(changed),
        Err(error) if is_taken(&error) => Err(what_is_taken(db, printer).await?.unwrap_or_else(|| error.into())),
        Err(error) => Err(error.into()),
    }
}

async fn try_update(
    db: &Db,
    printer: &Printer,
    expected_version: i64,
    key: KeyChange,
    entry: &Entry,
) -> Result<bool, sqlx::Error> {
    let details = &printer.details;
    let tags_sql = insert_tags_sql(db);
    let tags = tag_records([printer])?;
    let (keep, key) = match key {
        KeyChange::Keep => (true, None),
        KeyChange::Clear => (false, None),
        KeyChange::Set(sealed) => (false, Some(sealed)),
    };
    transaction!(db, |tx| {
        let changed = sqlx::query(
            "update printers set
                 name = $3, url = $4, enabled = $5, model = $6, material = $7, color = $8, nozzle_mm = $9,
                 bed_mm = $10, power_group = $11, notes = $12, version = $13, updated_at = $14,
                 api_key = case when $15 then api_key else $16 end
             where id = $1 and version = $2",
        )
        .bind(printer.id)
        .bind(expected_version)
        .bind(&details.name)
        .bind(&details.url)
        .bind(details.enabled)
        .bind(&details.model)
        .bind(&details.material)
        .bind(&details.color)
        .bind(details.nozzle_mm)
        .bind(details.bed_mm.map(Json))
        .bind(&details.power_group)
        .bind(&details.notes)
        .bind(printer.version)
        .bind(printer.updated_at)
        .bind(keep)
        .bind(key)
        .execute(&mut *tx)
        .await?
        .rows_affected();
        if changed == 0 {
            return Ok(false);
        }
        sqlx::query("delete from printer_tags where printer_id = $1").bind(printer.id).execute(&mut *tx).await?;
        sqlx::query(AssertSqlSafe(tags_sql)).bind(tags).execute(&mut *tx).await?;
        audit::append!(tx, db, entry);
    });
    Ok(true)
}

fn insert_tags_sql(db: &Db) -> String {
    let source = db.records(&[("printer_id", Kind::Uuid), ("tag", Kind::Text)]);
    format!("insert into printer_tags (printer_id, tag) select distinct x.printer_id, x.tag from {source}")
}

fn tag_records<'a>(printers: impl IntoIterator<Item = &'a Printer>) -> Result<group::Parameter, sqlx::Error> {
    let tags = printers.into_iter().flat_map(|printer| printer.details.tags.iter().map(|tag| (printer.id, tag)));
    group::parameter(tags.map(|(id, tag)| json!({"printer_id": id, "tag": tag})))
}

fn is_taken(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|error| error.is_unique_violation())
}

/// Which of the unique columns a refused write ran into. Asked of the data: the databases name their constraints
/// differently.
async fn what_is_taken(db: &Db, printer: &Printer) -> Result<Option<Error>, Error> {
    let sql = "select name, url from printers where (name = $1 or url = $2) and id <> $3";
    let others: Vec<(String, String)> = reading!(db, |pool| sqlx::query_as(sql)
        .bind(&printer.details.name)
        .bind(&printer.details.url)
        .bind(printer.id)
        .fetch_all(pool)
        .await)?;
    Ok(if others.iter().any(|(name, _)| *name == printer.details.name) {
        Some(Error::NameTaken)
    } else {
        (!others.is_empty()).then_some(Error::UrlTaken)
    })
}

/// One printer.
pub async fn get(db: &Db, id: Uuid) -> Result<Option<Printer>, Error> {
    let sql = format!("{} where id = $1", select_sql(db, ""));
    let row: Option<Row> = reading!(db, |pool| sqlx::query_as(AssertSqlSafe(sql)).bind(id).fetch_optional(pool).await)?;
    row.map(Row::read).transpose()
}

/// Those of the printers that exist, by name.
pub async fn get_many(db: &Db, ids: &[Uuid]) -> Result<Vec<Printer>, Error> {
    let sql = format!("{} where id in {} order by name, id", select_sql(db, ""), db.uuids(1));
    let ids = group::ids(ids.iter().copied());
    let rows: Vec<Row> = reading!(db, |pool| sqlx::query_as(AssertSqlSafe(sql)).bind(ids).fetch_all(pool).await)?;
    rows.into_iter().map(Row::read).collect()
}

/// The sealed key of a printer, where it has one.
pub async fn sealed_key(db: &Db, id: Uuid) -> Result<Option<Vec<u8>>, Error> {
    let sql = "select api_key from printers where id = $1";
    let row: Option<(Option<Vec<u8>>,)> = reading!(db, |pool| sqlx::query_as(sql).bind(id).fetch_optional(pool).await)?;
    Ok(row.and_then(|(key,)| key))
}

/// The version of every printer.
pub async fn versions(db: &Db) -> Result<HashMap<Uuid, i64>, Error> {
    let sql = "select id, version from printers";
    let rows: Vec<(Uuid, i64)> = reading!(db, |pool| sqlx::query_as(sql).fetch_all(pool).await)?;
    Ok(rows.into_iter().collect())
}

/// A printer with its sealed key.
pub type WithKey = (Printer, Option<Vec<u8>>);

#[derive(sqlx::FromRow)]
struct RowWithKey {
    #[sqlx(flatten)]
    row: Row,
    api_key: Option<Vec<u8>>,
}

/// Every printer with its sealed key, by name.
pub async fn all(db: &Db) -> Result<Vec<WithKey>, Error> {
    let sql = format!("{} order by name, id", select_sql(db, "api_key,"));
    let rows: Vec<RowWithKey> = reading!(db, |pool| sqlx::query_as(AssertSqlSafe(sql)).fetch_all(pool).await)?;
    rows.into_iter().map(|with| Ok((with.row.read()?, with.api_key))).collect()
}

/// Those of these printers that exist, each with its sealed key.
pub async fn with_keys(db: &Db, ids: &[Uuid]) -> Result<Vec<WithKey>, Error> {
    let sql = format!("{} where id in {} order by id", select_sql(db, "api_key,"), db.uuids(1));
    let ids = group::ids(ids.iter().copied());
    let rows: Vec<RowWithKey> =
        reading!(db, |pool| sqlx::query_as(AssertSqlSafe(sql)).bind(ids).fetch_all(pool).await)?;
    rows.into_iter().map(|with| Ok((with.row.read()?, with.api_key))).collect()
}

/// Removes a printer with its tags, its sighting and its plate, and ends its commands: queued rows as `skipped`, sent
/// ones as `unknown`. Returns the batches of those rows, each once; None: there is no such printer.
pub async fn remove(db: &Db, id: Uuid, at: DateTime<Utc>, entry: &Entry) -> Result<Option<Vec<Uuid>>, Error> {
    let end = format!(
        "update commands set
             outcome = case when outcome = 'queued' then 'skipped' else 'unknown' end,
             reason = $2, detail = $3, finished_at = $4
         where id in (select id from commands where printer_id = $1 and {OPEN} order by id{}) and {OPEN}
         returning id, batch_id, printer_id",
        db.for_update()
    );
    let mut batches: Vec<Uuid> = transaction!(db, |tx| {
        let gone = sqlx::query("delete from printers where id = $1").bind(id).execute(&mut *tx).await?;
        if gone.rows_affected() == 0 {
            return Ok(None);
        }
        sqlx::query("delete from sightings where printer_id = $1").bind(id).execute(&mut *tx).await?;
        sqlx::query("delete from plates where printer_id = $1").bind(id).execute(&mut *tx).await?;
        let ended: Vec<Touched> = sqlx::query_as(AssertSqlSafe(end))
            .bind(id)
            .bind(Reason::PrinterRemoved.as_str())
            .bind(Reason::PrinterRemoved.sentence())
            .bind(at)
            .fetch_all(&mut *tx)
            .await?;
        audit::append!(tx, db, entry);
        events::append!(tx, db, &commands::told(&ended, at));
        ended.into_iter().map(|row| row.batch_id).collect()
    });
    batches.sort();
    batches.dedup();
    Ok(Some(batches))
}
