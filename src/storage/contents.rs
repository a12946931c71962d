//! What contents of the library say about themselves.

use serde_json::Value;
use sqlx::types::Json;

use super::{
    Db, Error,
    error::{RowRef, unreadable},
    reading,
};
use crate::domain::gcode::{ExtrusionCurve, GcodeFacts};

/// Returns the facts of a content, with its filament by position. `None`: the library does not have it.
pub async fn get_facts(db: &Db, sha256: &str) -> Result<Option<GcodeFacts>, Error> {
    let sql = "select facts, extrusion from contents where sha256 = $1";
    let row: Option<(Json<Value>, Option<Vec<u8>>)> =
        reading!(db, |pool| sqlx::query_as(sql).bind(sha256).fetch_optional(pool).await)?;
    let Some((facts, extrusion)) = row else { return Ok(None) };
    let facts: GcodeFacts = RowRef { table: "contents", row: sha256 }.parse_json("facts", facts.0)?;
    let extrusion = match extrusion {
        Some(bytes) => ExtrusionCurve::from_bytes(&bytes).ok_or_else(|| unreadable("contents", "extrusion", sha256))?,
        None => ExtrusionCurve::default(),
    };
    Ok(Some(GcodeFacts { extrusion, ..facts }))
}
