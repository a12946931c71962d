//! Printers under attention: their columns, and their change.

use chrono::{DateTime, Utc};
use serde_json::json;
use uuid::Uuid;

use crate::{
    domain::{
        attention::{Attention, AttentionReason},
        audit::AuditEntry,
        event::{EventType, NewEvent},
    },
    storage::{
        Db, Error, audit,
        error::{RowRef, unreadable},
        events, fenced,
    },
};

/// Returns the attention of a row.
pub(super) fn parse_attention(
    row_ref: &RowRef<Uuid>,
    reason: Option<&str>,
    since: Option<DateTime<Utc>>,
) -> Result<Option<Attention>, Error> {
    match (row_ref.parse_optional("attention", reason, AttentionReason::parse)?, since) {
        (None, None) => Ok(None),
        (Some(reason), Some(since)) => Ok(Some(Attention { reason, since })),
        _ => Err(unreadable("printers", "attention", row_ref.row)),
    }
}

/// Puts a printer under attention. An earlier reason stays. Returns `false` if it is under attention already, or no longer
/// exists.
pub async fn set_attention(db: &Db, id: Uuid, attention: Attention) -> Result<bool, Error> {
    let sql = "update printers set attention = $2, attention_since = $3 where id = $1 and attention is null";
    let data = json!({"reason": attention.reason, "since": attention.since});
    let data = data.as_object().cloned();
    let event = NewEvent { printer_id: Some(id), data, ..NewEvent::new(EventType::PrinterAttention, attention.since) };
    fenced!(db, |tx| {
        let set =
            sqlx::query(sql).bind(id).bind(attention.reason.as_str()).bind(attention.since).execute(&mut *tx).await?;
        if set.rows_affected() == 0 {
            return Ok(false);
        }
        events::append!(tx, db, std::slice::from_ref(&event));
    });
    Ok(true)
}

/// Ends the attention of a printer. Returns `false` if it is not under attention.
pub async fn clear_attention(db: &Db, id: Uuid, entry: &AuditEntry) -> Result<bool, Error> {
    let sql = "update printers set attention = null, attention_since = null where id = $1 and attention is not null";
    fenced!(db, |tx| {
        if sqlx::query(sql).bind(id).execute(&mut *tx).await?.rows_affected() == 0 {
            return Ok(false);
        }
        audit::append!(tx, db, entry);
    });
    Ok(true)
}
