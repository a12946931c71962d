//! Parts: item numbers with the files that make them.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{AssertSqlSafe, types::Json};

use super::{Db, Error, audit, bulk, error::RowRef, fenced, reading};
use crate::domain::{
    audit::AuditEntry,
    part::{Judgement, Part, PartDetails, PartFilter},
};

const COLUMNS: &str = "number, revision, title, requirements, judgement, files, version, created_at, updated_at";

#[derive(sqlx::FromRow)]
struct PartRow {
    number: String,
    revision: String,
    title: String,
    requirements: Json<Value>,
    judgement: String,
    files: Json<Value>,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl PartRow {
    fn into_part(self) -> Result<Part, Error> {
        let number = self.number;
        let row_ref = RowRef { table: "parts", row: number.as_str() };
        let details = PartDetails {
            revision: self.revision,
            title: self.title,
            requirements: row_ref.parse_json("requirements", self.requirements.0)?,
            judgement: row_ref.parse("judgement", &self.judgement, Judgement::parse)?,
            files: row_ref.parse_json("files", self.files.0)?,
        };
        Ok(Part { number, details, version: self.version, created_at: self.created_at, updated_at: self.updated_at })
    }
}

/// Stores a part. A new part has the version 1. Another part must have the version before: returns `false` if it has
/// another one, or if a part with this number exists already.
pub async fn put(db: &Db, part: &Part, entry: &AuditEntry) -> Result<bool, Error> {
    let details = &part.details;
    let search_key = bulk::without_nul(&format!("{}\n{}", part.number, details.title).to_lowercase());
    fenced!(db, |tx| {
        let stored = sqlx::query(
            "insert into parts (number, revision, title, requirements, judgement, files, search_key, version, created_at,
                 updated_at)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
             on conflict (number) do update set revision = excluded.revision, title = excluded.title,
                 requirements = excluded.requirements, judgement = excluded.judgement, files = excluded.files,
                 search_key = excluded.search_key, version = excluded.version, updated_at = excluded.updated_at
                 where parts.version = excluded.version - 1",
        )
        .bind(&part.number)
        .bind(&details.revision)
        .bind(&details.title)
        .bind(bulk::json_value(&details.requirements))
        .bind(details.judgement.as_str())
        .bind(bulk::json_value(&details.files))
        .bind(search_key)
        .bind(part.version)
        .bind(part.created_at)
        .bind(part.updated_at)
        .execute(&mut *tx)
        .await?;
        if stored.rows_affected() == 0 {
            return Ok(false);
        }
        sqlx::query("delete from part_files where number = $1").bind(&part.number).execute(&mut *tx).await?;
        for file in &details.files {
            sqlx::query(
                "insert into part_files (number, file_id) values ($1, $2) on conflict (number, file_id) do nothing",
            )
            .bind(&part.number)
            .bind(file.file_id)
            .execute(&mut *tx)
            .await?;
        }
        audit::append!(tx, db, entry);
    });
    Ok(true)
}

/// Removes a part. Orders keep its files. Returns `false` if it has another version or does not exist.
pub async fn remove(db: &Db, number: &str, version: i64, entry: &AuditEntry) -> Result<bool, Error> {
    fenced!(db, |tx| {
        let gone = sqlx::query("delete from parts where number = $1 and version = $2")
            .bind(number)
            .bind(version)
            .execute(&mut *tx)
            .await?;
        if gone.rows_affected() == 0 {
            return Ok(false);
        }
        audit::append!(tx, db, entry);
    });
    Ok(true)
}

/// Returns one part.
pub async fn get(db: &Db, number: &str) -> Result<Option<Part>, Error> {
    let sql = format!("select {COLUMNS} from parts where number = $1");
    let number = bulk::without_nul(number);
    let row: Option<PartRow> =
        reading!(db, |pool| sqlx::query_as(AssertSqlSafe(sql)).bind(number).fetch_optional(pool).await)?;
    row.map(PartRow::into_part).transpose()
}

/// Returns a page of parts by number, after `after`.
pub async fn list_page(db: &Db, filter: &PartFilter, after: Option<&str>, limit: i64) -> Result<Vec<Part>, Error> {
    let sql = format!(
        "select {COLUMNS} from parts where ($1 is null or search_key like $1 escape '\\') and ($2 is null or number > $2)
         order by number limit $3"
    );
    let pattern = filter.text.as_deref().map(|text| bulk::contains_pattern(&text.to_lowercase()));
    let rows: Vec<PartRow> = reading!(db, |pool| sqlx::query_as(AssertSqlSafe(sql))
        .bind(pattern)
        .bind(after.map(bulk::without_nul))
        .bind(limit)
        .fetch_all(pool)
        .await)?;
    rows.into_iter().map(PartRow::into_part).collect()
}
