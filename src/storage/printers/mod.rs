//! Printer registry. Secrets are stored and returned sealed (encrypted).

mod attention;
mod production;
mod profile;
mod search;
mod secrets;
mod tags;

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::{AssertSqlSafe, types::Json};
use uuid::Uuid;

use super::{
    Db, Error, audit,
    bulk::{self, ColumnType},
    commands::{self, ChangedRow, OPEN},
    error::RowRef,
    events, reading, transaction,
};
use crate::domain::{
    audit::AuditEntry,
    command::Reason,
    printer::{Printer, PrinterDetails},
    printer_tool::PrinterTool,
};

pub use attention::{clear_attention, set_attention};
use production::ProductionColumns;
pub use production::{ProductionChange, change_production};
use profile::{ProfileColumns, bind_profile};
pub use search::{NamedPrinter, PrinterFilter, PrinterSelection, get_named, list_page, select_printers};
pub use secrets::{ApiKeyChange, SealedAccess, SealedSecret, SecretChanges};
use secrets::{SecretRow, insert_secrets};
pub use tags::retag;

/// Returns the start of every query for printers `p`. `extra_columns` are added to those of [`PrinterRow`], each
/// followed by a comma.
fn select_sql(db: &Db, extra_columns: &str) -> String {
    format!(
        "select {extra_columns} id, name, url, enabled, {}, version, created_at, updated_at, proxy_user, header_names,
             ca_certificate, service, service_until, service_note, auto_since, other_tools, attention, attention_since,
             exists (select 1 from printer_secrets s where s.printer_id = p.id and s.kind = 'camera_url') as has_camera_url,
             {} from printers p",
        profile::column_names(),
        db.tags_column()
    )
}

#[derive(sqlx::FromRow)]
struct PrinterRow {
    id: Uuid,
    name: String,
    url: String,
    enabled: bool,
    #[sqlx(flatten)]
    profile: ProfileColumns,
    #[sqlx(flatten)]
    production: ProductionColumns,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    proxy_user: Option<String>,
    header_names: Option<Json<Vec<String>>>,
    ca_certificate: Option<String>,
    has_camera_url: bool,
    tags: Json<Vec<String>>,
    other_tools: Option<Json<Vec<PrinterTool>>>,
    attention: Option<String>,
    attention_since: Option<DateTime<Utc>>,
}

impl PrinterRow {
    fn into_printer(self) -> Result<Printer, Error> {
        let row_ref = RowRef { table: "printers", row: self.id };
        let mut tags = self.tags.0;
        tags.sort();
        Ok(Printer {
            id: self.id,
            details: PrinterDetails {
                name: self.name,
                url: self.url,
                tags,
                enabled: self.enabled,
                profile: self.profile.into_profile(&row_ref)?,
                production: self.production.into_production(&row_ref)?,
                other_tools: self.other_tools.map(|tools| tools.0).unwrap_or_default(),
                proxy_user: self.proxy_user,
                header_names: self.header_names.map(|names| names.0).unwrap_or_default(),
                ca_certificate: self.ca_certificate,
                has_camera_url: self.has_camera_url,
            },
            attention: attention::parse_attention(&row_ref, self.attention.as_deref(), self.attention_since)?,
            version: self.version,
            created_at: self.created_at,
            updated_at: self.updated_at,
        })
    }
}

/// A printer to be registered, with its sealed secrets and its audit entry.
pub struct NewPrinter {
    pub printer: Printer,
    pub sealed: SealedAccess,
    pub entry: AuditEntry,
}

/// Registers printers: all or none. Errors: [`Error::NameTaken`] or [`Error::UrlTaken`] if any of them conflicts.
pub async fn insert(db: &Db, new: &[NewPrinter]) -> Result<(), Error> {
    let Err(error) = try_insert(db, new).await else { return Ok(()) };
    if !is_unique_violation(&error) {
        return Err(error.into());
    }
    for NewPrinter { printer, .. } in new {
        if let Some(conflict) = find_conflict(db, printer).await? {
            return Err(conflict);
        }
    }
    // No stored printer conflicts, so two of the new printers have the same value.
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
    let sql = format!(
        "insert into printers
             (id, name, url, api_key, enabled, version, created_at, updated_at, proxy_user, header_names, ca_certificate,
              service, service_until, service_note, auto_since, other_tools, {})
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, {})",
        profile::column_names(),
        profile::parameters(17),
    );
    let tags_sql = insert_tags_sql(db);
    let tags = tag_records(new.iter().map(|new| &new.printer))?;
    transaction!(db, |tx| {
        for NewPrinter { printer, sealed, .. } in new {
            let details = &printer.details;
            let insert = sqlx::query(AssertSqlSafe(sql.as_str()))
                .bind(printer.id)
                .bind(&details.name)
                .bind(&details.url)
                .bind(&sealed.api_key)
                .bind(details.enabled)
                .bind(printer.version)
                .bind(printer.created_at)
                .bind(printer.updated_at)
                .bind(&details.proxy_user)
                .bind(stored_header_names(details))
                .bind(&details.ca_certificate)
                .bind(details.production.service.as_str())
                .bind(details.production.until)
                .bind(&details.production.note)
                .bind(details.production.auto_since)
                .bind(stored_tools(details));
            bind_profile!(insert, details.profile).execute(&mut *tx).await?;
            insert_secrets!(tx, printer.id, &sealed.secrets);
        }
        sqlx::query(AssertSqlSafe(tags_sql)).bind(tags).execute(&mut *tx).await?;
        for new in new {
            audit::append!(tx, db, &new.entry);
        }
    });
    Ok(())
}

/// Stores the new content of a printer if it still has `expected_version`. Returns `false` if it has another version or
/// no longer exists. Errors: [`Error::NameTaken`], [`Error::UrlTaken`].
pub async fn update(
    db: &Db,
    printer: &Printer,
    expected_version: i64,
    secrets: impl Into<SecretChanges>,
    entry: &AuditEntry,
) -> Result<bool, Error> {
    match try_update(db, printer, expected_version, secrets.into(), entry).await {
        Ok(changed) => Ok(changed),
        Err(error) if is_unique_violation(&error) => {
            Err(find_conflict(db, printer).await?.unwrap_or_else(|| error.into()))
        }
        Err(error) => Err(error.into()),
    }
}

async fn try_update(
    db: &Db,
    printer: &Printer,
    expected_version: i64,
    secrets: SecretChanges,
    entry: &AuditEntry,
) -> Result<bool, sqlx::Error> {
    let details = &printer.details;
    let sql = format!(
        "update printers set
             name = $3, url = $4, enabled = $5, version = $6, updated_at = $7,
             api_key = case when $8 then api_key else $9 end, proxy_user = $10, header_names = $11, ca_certificate = $12,
             service = $13, service_until = $14, service_note = $15, auto_since = $16,
             other_tools = $17, {}
         where id = $1 and version = $2",
        profile::assignments(18),
    );
    let tags_sql = insert_tags_sql(db);
    let tags = tag_records([printer])?;
    let (keep, key) = match secrets.api_key {
        ApiKeyChange::Keep => (true, None),
        ApiKeyChange::Clear => (false, None),
        ApiKeyChange::Set(sealed) => (false, Some(sealed)),
    };
    transaction!(db, |tx| {
        let update = sqlx::query(AssertSqlSafe(sql))
            .bind(printer.id)
            .bind(expected_version)
            .bind(&details.name)
            .bind(&details.url)
            .bind(details.enabled)
            .bind(printer.version)
            .bind(printer.updated_at)
            .bind(keep)
            .bind(key)
            .bind(&details.proxy_user)
            .bind(stored_header_names(details))
            .bind(&details.ca_certificate)
            .bind(details.production.service.as_str())
            .bind(details.production.until)
            .bind(&details.production.note)
            .bind(details.production.auto_since)
            .bind(stored_tools(details));
        let changed = bind_profile!(update, details.profile).execute(&mut *tx).await?.rows_affected();
        if changed == 0 {
            return Ok(false);
        }
        sqlx::query("delete from printer_tags where printer_id = $1").bind(printer.id).execute(&mut *tx).await?;
        sqlx::query(AssertSqlSafe(tags_sql)).bind(tags).execute(&mut *tx).await?;
        for (kind, secret) in secrets.others {
            sqlx::query("delete from printer_secrets where printer_id = $1 and kind = $2")
                .bind(printer.id)
                .bind(kind.as_str())
                .execute(&mut *tx)
                .await?;
            insert_secrets!(tx, printer.id, secret.iter());
        }
        audit::append!(tx, db, entry);
    });
    Ok(true)
}

/// Returns the names of headers as they are stored: null for none.
fn stored_header_names(details: &PrinterDetails) -> Option<Json<&[String]>> {
    (!details.header_names.is_empty()).then_some(Json(&details.header_names))
}

/// Returns the tools beside tool 0 as they are stored: null for none.
fn stored_tools(details: &PrinterDetails) -> Option<Json<&[PrinterTool]>> {
    (!details.other_tools.is_empty()).then_some(Json(&details.other_tools))
}

fn insert_tags_sql(db: &Db) -> String {
    let source = db.records_source(&[("printer_id", ColumnType::Uuid), ("tag", ColumnType::Text)]);
    format!("insert into printer_tags (printer_id, tag) select distinct x.printer_id, x.tag from {source}")
}

fn tag_records<'a>(printers: impl IntoIterator<Item = &'a Printer>) -> Result<bulk::JsonParameter, sqlx::Error> {
    let tags = printers.into_iter().flat_map(|printer| printer.details.tags.iter().map(|tag| (printer.id, tag)));
    bulk::json_parameter(tags.map(|(id, tag)| json!({"printer_id": id, "tag": tag})))
}

fn is_unique_violation(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|error| error.is_unique_violation())
}

/// Finds the unique column that a refused write violated. It reads the data, because the databases name their
/// constraints differently.
async fn find_conflict(db: &Db, printer: &Printer) -> Result<Option<Error>, Error> {
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

/// Returns one printer.
pub async fn get(db: &Db, id: Uuid) -> Result<Option<Printer>, Error> {
    let sql = format!("{} where id = $1", select_sql(db, ""));
    let row: Option<PrinterRow> =
        reading!(db, |pool| sqlx::query_as(AssertSqlSafe(sql)).bind(id).fetch_optional(pool).await)?;
    row.map(PrinterRow::into_printer).transpose()
}

/// Returns those of the printers that exist, by name.
pub async fn get_many(db: &Db, ids: &[Uuid]) -> Result<Vec<Printer>, Error> {
    let sql = format!("{} where id in {} order by name, id", select_sql(db, ""), db.uuids_subquery(1));
    let ids = bulk::uuid_list(ids.iter().copied());
    let rows: Vec<PrinterRow> =
        reading!(db, |pool| sqlx::query_as(AssertSqlSafe(sql)).bind(ids).fetch_all(pool).await)?;
    rows.into_iter().map(PrinterRow::into_printer).collect()
}

/// Returns the version of every printer.
pub async fn list_versions(db: &Db) -> Result<HashMap<Uuid, i64>, Error> {
    let sql = "select id, version from printers";
    let rows: Vec<(Uuid, i64)> = reading!(db, |pool| sqlx::query_as(sql).fetch_all(pool).await)?;
    Ok(rows.into_iter().collect())
}

#[derive(sqlx::FromRow)]
struct SealedPrinterRow {
    #[sqlx(flatten)]
    row: PrinterRow,
    api_key: Option<Vec<u8>>,
    secrets: Json<Vec<SecretRow>>,
}

/// Returns every printer, by name.
pub async fn list_printers(db: &Db) -> Result<Vec<Printer>, Error> {
    let sql = format!("{} order by name, id", select_sql(db, ""));
    let rows: Vec<PrinterRow> = reading!(db, |pool| sqlx::query_as(AssertSqlSafe(sql)).fetch_all(pool).await)?;
    rows.into_iter().map(PrinterRow::into_printer).collect()
}

/// Returns those of these printers that exist, each with its sealed secrets.
pub async fn get_many_with_secrets(db: &Db, ids: &[Uuid]) -> Result<Vec<(Printer, SealedAccess)>, Error> {
    let extra_columns = format!("api_key, {},", db.secrets_column());
    let sql = format!("{} where id in {} order by id", select_sql(db, &extra_columns), db.uuids_subquery(1));
    let ids = bulk::uuid_list(ids.iter().copied());
    let rows: Vec<SealedPrinterRow> =
        reading!(db, |pool| sqlx::query_as(AssertSqlSafe(sql)).bind(ids).fetch_all(pool).await)?;
    let read = |SealedPrinterRow { row, api_key, secrets }| {
        let secrets = secrets::parse_secrets(row.id, secrets)?;
        Ok((row.into_printer()?, SealedAccess { api_key, secrets }))
    };
    rows.into_iter().map(read).collect()
}

/// Removes a printer with its tags, its stored observation and its plate, and ends its commands. Queued rows become
/// `skipped`, sent rows `unknown`. Returns the batches of those rows, each once. Returns `None` if the printer does not
/// exist.
pub async fn remove(db: &Db, id: Uuid, at: DateTime<Utc>, entry: &AuditEntry) -> Result<Option<Vec<Uuid>>, Error> {
    let end = format!(
        "update commands set
             outcome = case when outcome = 'queued' then 'skipped' else 'unknown' end,
             reason = $2, finished_at = $3
         where id in (select id from commands where printer_id = $1 and {OPEN} order by id{}) and {OPEN}
         returning id, batch_id, printer_id",
        db.for_update()
    );
    let mut batches: Vec<Uuid> = transaction!(db, |tx| {
        let gone = sqlx::query("delete from printers where id = $1").bind(id).execute(&mut *tx).await?;
        if gone.rows_affected() == 0 {
            return Ok(None);
        }
        sqlx::query("delete from printer_observations where printer_id = $1").bind(id).execute(&mut *tx).await?;
        sqlx::query("delete from plates where printer_id = $1").bind(id).execute(&mut *tx).await?;
        sqlx::query("delete from printer_contents where printer_id = $1").bind(id).execute(&mut *tx).await?;
        let ended: Vec<ChangedRow> = sqlx::query_as(AssertSqlSafe(end))
            .bind(id)
            .bind(Reason::PrinterRemoved.as_str())
            .bind(at)
            .fetch_all(&mut *tx)
            .await?;
        audit::append!(tx, db, entry);
        events::append!(tx, db, &commands::finish_events(&ended, at));
        ended.into_iter().map(|row| row.batch_id).collect()
    });
    batches.sort();
    batches.dedup();
    Ok(Some(batches))
}
