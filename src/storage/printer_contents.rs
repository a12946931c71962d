//! Library contents on printers: which printer has which content, and what is to be sent or deleted.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, types::Json};
use uuid::Uuid;

use super::{
    Db, Error,
    bulk::{self, ColumnType, format_time},
    error::{RowRef, unreadable},
    fenced, reading,
};
use crate::domain::{
    command::LibraryContent,
    message::Message,
    printer_content::{PrinterContent, PrinterContentState},
};

const COLUMNS: &str =
    "printer_id, sha256, name, print_size, path, state, select_after, requested_by, detail, updated_at";

#[derive(sqlx::FromRow)]
struct PrinterContentRow {
    printer_id: Uuid,
    sha256: String,
    name: String,
    print_size: i64,
    path: Option<String>,
    state: String,
    select_after: bool,
    requested_by: Option<String>,
    detail: Option<String>,
    updated_at: DateTime<Utc>,
}

impl PrinterContentRow {
    fn into_content(self) -> Result<PrinterContent, Error> {
        let row_ref = RowRef { table: "printer_contents", row: self.printer_id };
        Ok(PrinterContent {
            print_size: u64::try_from(self.print_size)
                .map_err(|_| unreadable("printer_contents", "print_size", self.printer_id))?,
            state: row_ref.parse("state", &self.state, PrinterContentState::parse)?,
            printer_id: self.printer_id,
            sha256: self.sha256,
            name: self.name,
            path: self.path,
            select_after: self.select_after,
            requested_by: self.requested_by,
            detail: self.detail.as_deref().map(Message::from_json),
            updated_at: self.updated_at,
        })
    }
}

fn parse_rows(rows: Vec<PrinterContentRow>) -> Result<Vec<PrinterContent>, Error> {
    rows.into_iter().map(PrinterContentRow::into_content).collect()
}

/// A command that waits until its printer has a content.
#[derive(Debug, Clone, PartialEq)]
pub struct AwaitedContent {
    pub command_id: Uuid,
    pub batch_id: Uuid,
    pub printer_id: Uuid,
    pub content: LibraryContent,
}

/// Returns the commands of running batches that wait for a content on their printer, oldest first.
pub async fn list_awaited(db: &Db) -> Result<Vec<AwaitedContent>, Error> {
    let sql = "select c.id, c.batch_id, c.printer_id, c.file from commands c join batches b on b.id = c.batch_id
               where c.finished_at is null and c.file_sha256 is not null and c.released_at is null and b.state = 'running'
               order by c.id";
    let rows: Vec<(Uuid, Uuid, Uuid, Json<Value>)> = reading!(db, |pool| sqlx::query_as(sql).fetch_all(pool).await)?;
    let parse = |(command_id, batch_id, printer_id, file): (Uuid, Uuid, Uuid, Json<Value>)| {
        let content = RowRef { table: "commands", row: command_id }.parse_json("file", file.0)?;
        Ok(AwaitedContent { command_id, batch_id, printer_id, content })
    };
    rows.into_iter().map(parse).collect()
}

/// Returns what is to be sent or deleted, apart from what commands await. The oldest request comes first.
pub async fn list_unfinished(db: &Db) -> Result<Vec<PrinterContent>, Error> {
    let sql = format!(
        "select {COLUMNS} from printer_contents where state in ('queued', 'sending', 'removing') order by updated_at, printer_id"
    );
    let rows = reading!(db, |pool| sqlx::query_as(AssertSqlSafe(sql)).fetch_all(pool).await)?;
    parse_rows(rows)
}

/// Returns the contents whose transfer began and has not ended.
pub async fn list_sending(db: &Db) -> Result<Vec<(Uuid, String)>, Error> {
    let sql = "select printer_id, sha256 from printer_contents where state = 'sending'";
    Ok(reading!(db, |pool| sqlx::query_as(sql).fetch_all(pool).await)?)
}

/// Returns where a content is on printers, or is to be sent.
pub async fn list_by_content(db: &Db, sha256: &str) -> Result<Vec<PrinterContent>, Error> {
    let sql = format!("select {COLUMNS} from printer_contents where sha256 = $1 order by printer_id");
    let rows = reading!(db, |pool| sqlx::query_as(AssertSqlSafe(sql)).bind(sha256).fetch_all(pool).await)?;
    parse_rows(rows)
}

/// Returns the contents that these printers have, according to the last transfer.
pub async fn list_present(db: &Db, sha256: &[String]) -> Result<Vec<(Uuid, String)>, Error> {
    let sql = format!(
        "select printer_id, sha256 from printer_contents where state = 'present' and sha256 in {}",
        db.texts_subquery(1)
    );
    let texts = bulk::text_list(sha256);
    Ok(reading!(db, |pool| sqlx::query_as(AssertSqlSafe(sql)).bind(texts).fetch_all(pool).await)?)
}

/// A [`PrinterContent`] as a bulk record.
#[derive(Serialize)]
struct PrinterContentRecord<'a> {
    printer_id: Uuid,
    sha256: &'a str,
    name: &'a str,
    print_size: i64,
    path: Option<&'a str>,
    state: PrinterContentState,
    select_after: i64,
    requested_by: Option<&'a str>,
    detail: Option<String>,
    updated_at: String,
}

/// Stores the states of contents on printers, in one statement. A printer and a content occur once.
pub async fn put_many(db: &Db, contents: &[PrinterContent]) -> Result<(), Error> {
    if contents.is_empty() {
        return Ok(());
    }
    let source = db.records_source(&[
        ("printer_id", ColumnType::Uuid),
        ("sha256", ColumnType::Text),
        ("name", ColumnType::Text),
        ("print_size", ColumnType::BigInt),
        ("path", ColumnType::Text),
        ("state", ColumnType::Text),
        ("select_after", ColumnType::BigInt),
        ("requested_by", ColumnType::Text),
        ("detail", ColumnType::Text),
        ("updated_at", ColumnType::Time),
    ]);
    let sql = format!(
        "insert into printer_contents (printer_id, sha256, name, print_size, path, state, select_after, requested_by, detail,
             created_at, updated_at, used_at)
         select x.printer_id, x.sha256, x.name, x.print_size, x.path, x.state, x.select_after = 1, x.requested_by, x.detail,
             x.updated_at, x.updated_at, x.updated_at
         from {source} where true order by x.printer_id, x.sha256
         on conflict (printer_id, sha256) do update set name = excluded.name, print_size = excluded.print_size,
             path = coalesce(excluded.path, printer_contents.path), state = excluded.state,
             select_after = excluded.select_after, requested_by = excluded.requested_by, detail = excluded.detail,
             updated_at = excluded.updated_at, used_at = excluded.used_at"
    );
    let records = bulk::json_parameter(contents.iter().map(|content| PrinterContentRecord {
        printer_id: content.printer_id,
        sha256: &content.sha256,
        name: &content.name,
        print_size: i64::try_from(content.print_size).unwrap_or(i64::MAX),
        path: content.path.as_deref(),
        state: content.state,
        select_after: i64::from(content.select_after),
        requested_by: content.requested_by.as_deref(),
        detail: content.detail.as_ref().map(Message::to_json),
        updated_at: format_time(content.updated_at),
    }))?;
    fenced!(db, |tx| {
        sqlx::query(AssertSqlSafe(sql)).bind(records).execute(&mut *tx).await?;
    });
    Ok(())
}

/// Stores the state of a content on a printer.
pub async fn put(db: &Db, content: &PrinterContent) -> Result<(), Error> {
    put_many(db, std::slice::from_ref(content)).await
}

/// Forgets contents on printers, in one statement.
pub async fn delete_many(db: &Db, contents: &[(Uuid, String)]) -> Result<(), Error> {
    if contents.is_empty() {
        return Ok(());
    }
    let source = db.records_source(&[("printer_id", ColumnType::Uuid), ("sha256", ColumnType::Text)]);
    let sql = format!(
        "delete from printer_contents where (printer_id, sha256) in (select x.printer_id, x.sha256 from {source})"
    );
    let records = contents.iter().map(|(printer_id, sha256)| json!({"printer_id": printer_id, "sha256": sha256}));
    let records = bulk::json_parameter(records)?;
    fenced!(db, |tx| {
        sqlx::query(AssertSqlSafe(sql)).bind(records).execute(&mut *tx).await?;
    });
    Ok(())
}

/// Marks contents to be deleted from their printers: those that no open command names, and that no file of the library
/// names or that were not used since `unused_since`. Contents at `selected` paths stay. Returns the number of marks.
pub async fn mark_unneeded(
    db: &Db,
    selected: &[String],
    unused_since: DateTime<Utc>,
    at: DateTime<Utc>,
) -> Result<u64, Error> {
    let sql = format!(
        "update printer_contents set state = 'removing', updated_at = $3
         where state in ('present', 'failed')
             and (used_at < $2 or not exists (select 1 from files f where f.sha256 = printer_contents.sha256))
             and not exists (select 1 from commands c where c.finished_at is null
                 and c.printer_id = printer_contents.printer_id and c.file_sha256 = printer_contents.sha256)
             and (path is null or path not in {})",
        db.texts_subquery(1)
    );
    Ok(fenced!(db, |tx| {
        sqlx::query(AssertSqlSafe(sql))
            .bind(bulk::text_list(selected))
            .bind(unused_since)
            .bind(at)
            .execute(&mut *tx)
            .await?
            .rows_affected()
    }))
}
