//! Releases commands: their turn has come, and their time to be sent begins.

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use super::{
    super::{Db, Error, fenced},
    write::ChangedRow,
};
use crate::storage::bulk::{self, ColumnType, format_time};

/// Releases queued rows, each until its own expiry time. The path of a file that was transferred is stored with it.
/// Returns the rows that were still queued.
pub async fn release_queued(
    db: &Db,
    rows: &[(Uuid, DateTime<Utc>, Option<&str>)],
    at: DateTime<Utc>,
) -> Result<Vec<ChangedRow>, Error> {
    let records = rows.iter().map(|(id, expires_at, path)| match path {
        Some(path) => json!({"row_id": id, "expires_at": format_time(*expires_at), "file_path": path}),
        None => json!({"row_id": id, "expires_at": format_time(*expires_at)}),
    });
    let records = bulk::json_parameter(records)?;
    let columns = [("row_id", ColumnType::Uuid), ("expires_at", ColumnType::Time), ("file_path", ColumnType::Text)];
    let source = db.command_records_source(&columns, &records);
    let sql = format!(
        "update commands as c set released_at = $2, expires_at = x.expires_at,
             file_path = coalesce(x.file_path, c.file_path) from {source}
         where c.id = x.row_id and c.outcome = 'queued' returning id, batch_id, printer_id"
    );
    Ok(fenced!(db, |tx| { sqlx::query_as(AssertSqlSafe(sql)).bind(records).bind(at).fetch_all(&mut *tx).await? }))
}
