//! Files of the library, and the contents that they name. The bytes of contents are in the data folder, not here.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{AssertSqlSafe, types::Json};
use uuid::Uuid;

use super::{
    Db, Error, audit, bulk,
    error::{RowRef, unreadable},
    reading, transaction, writing,
};
use crate::domain::{
    audit::AuditEntry,
    file::{AnalysisState, Content, FileFilter, FileFormat, LibraryFile, LibraryFolder},
    gcode::ExtrusionCurve,
};

/// Columns of [`FileRow`], from `files f join contents c`.
const COLUMNS: &str = "f.id, f.name, f.folder, f.sha256, f.overrides, f.version, f.created_at, f.updated_at, f.created_by, \
     c.size, c.format, c.print_size, c.print_sha1, c.analysis, c.facts";

#[derive(sqlx::FromRow)]
struct FileRow {
    id: Uuid,
    name: String,
    folder: String,
    sha256: String,
    overrides: Json<Value>,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    created_by: String,
    size: i64,
    format: String,
    print_size: i64,
    print_sha1: String,
    analysis: String,
    facts: Json<Value>,
    thumbnails: Json<Vec<(u32, u32)>>,
}

impl FileRow {
    fn into_file(self) -> Result<LibraryFile, Error> {
        let row_ref = RowRef { table: "files", row: self.id };
        let mut thumbnails = self.thumbnails.0;
        thumbnails.sort_unstable();
        Ok(LibraryFile {
            content: Content {
                size: parse_size(self.size, self.id)?,
                format: row_ref.parse("format", &self.format, FileFormat::parse)?,
                print_size: parse_size(self.print_size, self.id)?,
                print_sha1: self.print_sha1,
                analysis: row_ref.parse("analysis", &self.analysis, AnalysisState::parse)?,
                facts: row_ref.parse_json("facts", self.facts.0)?,
                sha256: self.sha256,
                thumbnails,
            },
            overrides: row_ref.parse_json("overrides", self.overrides.0)?,
            id: self.id,
            name: self.name,
            folder: self.folder,
            version: self.version,
            created_at: self.created_at,
            updated_at: self.updated_at,
            created_by: self.created_by,
        })
    }
}

fn parse_size(size: i64, row: Uuid) -> Result<u64, Error> {
    u64::try_from(size).map_err(|_| unreadable("contents", "size", row))
}

fn select_sql(db: &Db) -> String {
    let thumbnails = if db.is_postgres() {
        "(select coalesce(jsonb_agg(jsonb_build_array(t.width, t.height)), '[]'::jsonb) from thumbnails t where t.sha256 = f.sha256)"
    } else {
        "(select json_group_array(json_array(t.width, t.height)) from thumbnails t where t.sha256 = f.sha256)"
    };
    format!("select {COLUMNS}, {thumbnails} as thumbnails from files f join contents c on c.sha256 = f.sha256")
}

/// A thumbnail that the server encoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Thumbnail {
    /// Pixels.
    pub width: u32,
    pub height: u32,
    pub png: Vec<u8>,
}

/// What is stored with a new content.
#[derive(Debug, Clone)]
pub struct ContentParts {
    pub thumbnails: Vec<Thumbnail>,
    pub extrusion: ExtrusionCurve,
}

/// Stores a file and its content. A file with the same folder and name gets the content, and its overrides end. A
/// content that exists is kept, and its time is renewed. The version of a new file is 1. A changed file must have the
/// version before: returns `false` if it has another one.
pub async fn put(db: &Db, file: &LibraryFile, parts: &ContentParts, entry: &AuditEntry) -> Result<bool, Error> {
    let content = &file.content;
    transaction!(db, |tx| {
        let inserted = sqlx::query(
            "insert into contents (sha256, size, format, print_size, print_sha1, analysis, facts, slicer_key, extrusion,
                 created_at)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
             on conflict (sha256) do update set created_at = excluded.created_at, facts = excluded.facts,
                 analysis = excluded.analysis, print_size = excluded.print_size, print_sha1 = excluded.print_sha1,
                 slicer_key = excluded.slicer_key, extrusion = excluded.extrusion",
        )
        .bind(&content.sha256)
        .bind(i64::try_from(content.size).unwrap_or(i64::MAX))
        .bind(content.format.as_str())
        .bind(i64::try_from(content.print_size).unwrap_or(i64::MAX))
        .bind(&content.print_sha1)
        .bind(content.analysis.as_str())
        .bind(bulk::json_value(&content.facts))
        .bind(content.facts.slicer.as_ref().map(|slicer| bulk::without_nul(&slicer.name.to_lowercase())))
        .bind(parts.extrusion.to_bytes())
        .bind(file.updated_at)
        .execute(&mut *tx)
        .await?;
        debug_assert_eq!(inserted.rows_affected(), 1);
        for thumbnail in &parts.thumbnails {
            sqlx::query(
                "insert into thumbnails (sha256, width, height, png) values ($1, $2, $3, $4)
                 on conflict (sha256, width, height) do update set png = excluded.png",
            )
            .bind(&content.sha256)
            .bind(i64::from(thumbnail.width))
            .bind(i64::from(thumbnail.height))
            .bind(&thumbnail.png)
            .execute(&mut *tx)
            .await?;
        }
        let stored = sqlx::query(
            "insert into files (id, name, folder, sha256, overrides, search_key, model_key, version, created_at, updated_at,
                 created_by)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
             on conflict (folder, name) do update set sha256 = excluded.sha256, overrides = excluded.overrides,
                 model_key = excluded.model_key, version = excluded.version, updated_at = excluded.updated_at,
                 created_by = excluded.created_by
                 where files.id = excluded.id and files.version = excluded.version - 1",
        )
        .bind(file.id)
        .bind(bulk::without_nul(&file.name))
        .bind(bulk::without_nul(&file.folder))
        .bind(&content.sha256)
        .bind(bulk::json_value(&file.overrides))
        .bind(search_key(file))
        .bind(model_key(file))
        .bind(file.version)
        .bind(file.created_at)
        .bind(file.updated_at)
        .bind(bulk::without_nul(&file.created_by))
        .execute(&mut *tx)
        .await?;
        if stored.rows_affected() == 0 {
            return Ok(false);
        }
        audit::append!(tx, db, entry);
    });
    Ok(true)
}

fn search_key(file: &LibraryFile) -> String {
    bulk::without_nul(&file.path().to_lowercase())
}

fn model_key(file: &LibraryFile) -> Option<String> {
    file.facts().printer_model.map(|model| bulk::without_nul(&model.to_lowercase()))
}

/// Stores a change of name, folder or overrides. Returns `false` if the file has another version than `file.version - 1`.
///
/// # Errors
/// [`Error::NameTaken`] if another file has this folder and name.
pub async fn update(db: &Db, file: &LibraryFile, entry: &AuditEntry) -> Result<bool, Error> {
    try_update(db, file, entry).await.map_err(|error| match &error {
        sqlx::Error::Database(database) if database.is_unique_violation() => Error::NameTaken,
        _ => error.into(),
    })
}

async fn try_update(db: &Db, file: &LibraryFile, entry: &AuditEntry) -> Result<bool, sqlx::Error> {
    transaction!(db, |tx| {
        let changed = sqlx::query(
            "update files set name = $3, folder = $4, overrides = $5, search_key = $6, model_key = $7, version = $2,
                 updated_at = $8
             where id = $1 and version = $2 - 1",
        )
        .bind(file.id)
        .bind(file.version)
        .bind(bulk::without_nul(&file.name))
        .bind(bulk::without_nul(&file.folder))
        .bind(bulk::json_value(&file.overrides))
        .bind(search_key(file))
        .bind(model_key(file))
        .bind(file.updated_at)
        .execute(&mut *tx)
        .await?;
        if changed.rows_affected() == 0 {
            return Ok(false);
        }
        audit::append!(tx, db, entry);
    });
    Ok(true)
}

/// Result of [`remove`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileRemoval {
    Removed,
    NotFound,
    /// An open command needs the content, or an open order or a part needs the file.
    InUse,
}

/// Removes a file. Its content stays until the clean-up.
pub async fn remove(db: &Db, id: Uuid, entry: &AuditEntry) -> Result<FileRemoval, Error> {
    let in_use = "select (select count(*) from commands c join files f on f.sha256 = c.file_sha256
                      where f.id = $1 and c.finished_at is null
                          and not exists (select 1 from files o where o.sha256 = f.sha256 and o.id <> f.id))
                  + (select count(*) from part_files p where p.file_id = $1)
                  + (select count(*) from order_contents c join orders o on o.id = c.order_id
                      where c.file_id = $1 and o.ended_as is null)";
    transaction!(db, |tx| {
        let (uses,): (i64,) = sqlx::query_as(in_use).bind(id).fetch_one(&mut *tx).await?;
        if uses > 0 {
            return Ok(FileRemoval::InUse);
        }
        let gone = sqlx::query("delete from files where id = $1").bind(id).execute(&mut *tx).await?;
        if gone.rows_affected() == 0 {
            return Ok(FileRemoval::NotFound);
        }
        audit::append!(tx, db, entry);
    });
    Ok(FileRemoval::Removed)
}

/// Returns one file.
pub async fn get(db: &Db, id: Uuid) -> Result<Option<LibraryFile>, Error> {
    let sql = format!("{} where f.id = $1", select_sql(db));
    let row: Option<FileRow> =
        reading!(db, |pool| sqlx::query_as(AssertSqlSafe(sql)).bind(id).fetch_optional(pool).await)?;
    row.map(FileRow::into_file).transpose()
}

/// Returns format and checksum of the text that printers get of a content.
pub async fn get_print_text(db: &Db, sha256: &str) -> Result<Option<PrintText>, Error> {
    let sql = "select format, print_size, print_sha1 from contents where sha256 = $1";
    let row: Option<(String, i64, String)> =
        reading!(db, |pool| sqlx::query_as(sql).bind(sha256).fetch_optional(pool).await)?;
    let parse = |(format, size, sha1): (String, i64, String)| {
        let row_ref = RowRef { table: "contents", row: sha256 };
        let format = row_ref.parse("format", &format, FileFormat::parse)?;
        Ok(PrintText { format, size: parse_size(size, Uuid::nil())?, sha1 })
    };
    row.map(parse).transpose()
}

/// The text that printers get of a content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrintText {
    /// The format of the stored content.
    pub format: FileFormat,
    /// Bytes.
    pub size: u64,
    /// Hexadecimal digits.
    pub sha1: String,
}

/// Returns those of these files that exist, in no particular order.
pub async fn get_many(db: &Db, ids: &[Uuid]) -> Result<Vec<LibraryFile>, Error> {
    let sql = format!("{} where f.id in {}", select_sql(db), db.uuids_subquery(1));
    let ids = bulk::uuid_list(ids.iter().copied());
    let rows: Vec<FileRow> = reading!(db, |pool| sqlx::query_as(AssertSqlSafe(sql)).bind(ids).fetch_all(pool).await)?;
    rows.into_iter().map(FileRow::into_file).collect()
}

/// Returns the file with this folder and name.
pub async fn get_by_name(db: &Db, folder: &str, name: &str) -> Result<Option<LibraryFile>, Error> {
    let sql = format!("{} where f.folder = $1 and f.name = $2", select_sql(db));
    let row: Option<FileRow> = reading!(db, |pool| sqlx::query_as(AssertSqlSafe(sql))
        .bind(bulk::without_nul(folder))
        .bind(bulk::without_nul(name))
        .fetch_optional(pool)
        .await)?;
    row.map(FileRow::into_file).transpose()
}

/// Returns the newest file of each of these contents.
pub async fn list_by_content(db: &Db, sha256: &[String]) -> Result<Vec<LibraryFile>, Error> {
    let sql = format!("{} where f.sha256 in {} order by f.updated_at, f.id", select_sql(db), db.texts_subquery(1));
    let texts = bulk::text_list(sha256);
    let rows: Vec<FileRow> = reading!(db, |pool| sqlx::query_as(AssertSqlSafe(sql)).bind(texts).fetch_all(pool).await)?;
    rows.into_iter().map(FileRow::into_file).collect()
}

/// Returns a page of files, the newest content first, after the file with this time and id.
pub async fn list_page(
    db: &Db,
    filter: &FileFilter,
    after: Option<(DateTime<Utc>, Uuid)>,
    limit: i64,
) -> Result<Vec<LibraryFile>, Error> {
    let page_start = if after.is_some() {
        "(f.updated_at < $6 or (f.updated_at = $6 and f.id < $7))"
    } else {
        "$6 is null and $7 is null"
    };
    let sql = format!(
        "{} where ($1 is null or f.search_key like $1 escape '\\') and ($2 is null or f.folder = $2)
             and ($3 is null or f.sha256 = $3) and ($4 is null or c.slicer_key = $4)
             and ($5 is null or f.model_key = $5) and {page_start}
         order by f.updated_at desc, f.id desc limit $8",
        select_sql(db)
    );
    let lower = |text: &Option<String>| text.as_deref().map(|text| bulk::without_nul(&text.to_lowercase()));
    let rows: Vec<FileRow> = reading!(db, |pool| sqlx::query_as(AssertSqlSafe(sql))
        .bind(lower(&filter.text).map(|text| bulk::contains_pattern(&text)))
        .bind(filter.folder.as_deref().map(bulk::without_nul))
        .bind(filter.sha256.as_deref().map(bulk::without_nul))
        .bind(lower(&filter.slicer))
        .bind(lower(&filter.printer_model))
        .bind(after.map(|(at, _)| at))
        .bind(after.map(|(_, id)| id))
        .bind(limit)
        .fetch_all(pool)
        .await)?;
    rows.into_iter().map(FileRow::into_file).collect()
}

/// Returns the folders that contain files, by name, each with the number of its files.
pub async fn list_folders(db: &Db) -> Result<Vec<LibraryFolder>, Error> {
    let sql = "select folder, count(*) from files group by folder order by folder";
    let rows: Vec<(String, i64)> = reading!(db, |pool| sqlx::query_as(sql).fetch_all(pool).await)?;
    let folder = |(folder, files): (String, i64)| LibraryFolder { folder, files: u64::try_from(files).unwrap_or(0) };
    Ok(rows.into_iter().map(folder).collect())
}

/// Returns the bytes of all contents.
pub async fn total_size(db: &Db) -> Result<u64, Error> {
    let sql = "select cast(coalesce(sum(size), 0) as bigint) from contents";
    let (size,): (i64,) = reading!(db, |pool| sqlx::query_as(sql).fetch_one(pool).await)?;
    Ok(u64::try_from(size).unwrap_or(0))
}

/// Returns a thumbnail of a content with this size.
pub async fn thumbnail(db: &Db, sha256: &str, size: (u32, u32)) -> Result<Option<Vec<u8>>, Error> {
    let sql = "select png from thumbnails where sha256 = $1 and width = $2 and height = $3";
    let row: Option<(Vec<u8>,)> = reading!(db, |pool| sqlx::query_as(sql)
        .bind(sha256)
        .bind(i64::from(size.0))
        .bind(i64::from(size.1))
        .fetch_optional(pool)
        .await)?;
    Ok(row.map(|(png,)| png))
}

/// Returns which of these contents have a row.
pub async fn known_contents(db: &Db, sha256: &[String]) -> Result<Vec<String>, Error> {
    let sql = format!("select sha256 from contents where sha256 in {}", db.texts_subquery(1));
    let texts = bulk::text_list(sha256);
    let rows: Vec<(String,)> =
        reading!(db, |pool| sqlx::query_as(AssertSqlSafe(sql)).bind(texts).fetch_all(pool).await)?;
    Ok(rows.into_iter().map(|(sha256,)| sha256).collect())
}

/// Returns all contents with a row.
pub async fn list_contents(db: &Db) -> Result<Vec<String>, Error> {
    let rows: Vec<(String,)> =
        reading!(db, |pool| sqlx::query_as("select sha256 from contents").fetch_all(pool).await)?;
    Ok(rows.into_iter().map(|(sha256,)| sha256).collect())
}

/// Deletes the rows of contents that no file, no open command and no open order names, and that were uploaded before
/// `older_than`.
/// Returns the deleted contents.
pub async fn delete_unused_contents(db: &Db, older_than: DateTime<Utc>) -> Result<Vec<String>, Error> {
    let sql = "delete from contents where created_at < $1
                   and not exists (select 1 from files f where f.sha256 = contents.sha256)
                   and not exists (select 1 from commands c where c.finished_at is null and c.file_sha256 = contents.sha256)
                   and not exists (select 1 from order_contents c join orders o on o.id = c.order_id
                       where c.sha256 = contents.sha256 and o.ended_as is null)
               returning sha256";
    let rows: Vec<(String,)> = writing!(db, |pool| sqlx::query_as(sql).bind(older_than).fetch_all(pool).await)?;
    Ok(rows.into_iter().map(|(sha256,)| sha256).collect())
}
