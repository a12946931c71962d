//! Layout of a copy's row.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::types::Json;
use uuid::Uuid;

use crate::{
    domain::copy::{Copy, CopyState, Quality},
    storage::{
        Error,
        error::{RowRef, unreadable},
    },
};

/// Columns of [`CopyRow`].
pub(super) const COLUMNS: &str = "id, order_id, part, replaces, attempt, state, printer_id, file_id, sha256, command_id, \
     batch_id, print_id, parts, assigned_at, started_at, finished_at, result, quality, good, scrap, reason, why";

#[derive(sqlx::FromRow)]
pub(super) struct CopyRow {
    id: Uuid,
    order_id: Uuid,
    part: Option<String>,
    replaces: Option<Uuid>,
    attempt: i64,
    state: String,
    printer_id: Uuid,
    file_id: Uuid,
    sha256: String,
    command_id: Uuid,
    batch_id: Uuid,
    print_id: Option<Uuid>,
    parts: i64,
    assigned_at: DateTime<Utc>,
    started_at: Option<DateTime<Utc>>,
    finished_at: Option<DateTime<Utc>>,
    result: Option<Json<Value>>,
    quality: String,
    good: i64,
    scrap: i64,
    reason: Option<String>,
    why: Json<Value>,
}

impl CopyRow {
    pub(super) fn into_copy(self) -> Result<Copy, Error> {
        let row_ref = RowRef { table: "copies", row: self.id };
        let number = |column, value: i64| u32::try_from(value).map_err(|_| unreadable("copies", column, self.id));
        Ok(Copy {
            attempt: number("attempt", self.attempt)?,
            parts: number("parts", self.parts)?,
            good: number("good", self.good)?,
            scrap: number("scrap", self.scrap)?,
            state: row_ref.parse("state", &self.state, CopyState::parse)?,
            quality: row_ref.parse("quality", &self.quality, Quality::parse)?,
            result: self.result.map(|Json(result)| row_ref.parse_json("result", result)).transpose()?,
            why: row_ref.parse_json("why", self.why.0)?,
            id: self.id,
            order_id: self.order_id,
            part: self.part,
            replaces: self.replaces,
            printer_id: self.printer_id,
            file_id: self.file_id,
            sha256: self.sha256,
            command_id: self.command_id,
            batch_id: self.batch_id,
            print_id: self.print_id,
            assigned_at: self.assigned_at,
            started_at: self.started_at,
            finished_at: self.finished_at,
            reason: self.reason,
        })
    }
}
