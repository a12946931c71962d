//! The switch of the planner: one row.

use chrono::{DateTime, Utc};

use super::{Db, Error, audit, bulk, fenced, reading};
use crate::domain::{audit::AuditEntry, planner::PlanSwitch};

/// Returns the switch. Without a row it was never used.
pub async fn get(db: &Db) -> Result<PlanSwitch, Error> {
    let sql = "select is_stopped, reason, changed_at, changed_by from plan_switch";
    let row: Option<(bool, Option<String>, DateTime<Utc>, String)> =
        reading!(db, |pool| sqlx::query_as(sql).fetch_optional(pool).await)?;
    Ok(row.map_or_else(PlanSwitch::default, |(is_stopped, reason, at, by)| PlanSwitch {
        is_stopped,
        reason,
        since: Some(at),
        by: Some(by),
    }))
}

/// Stores the switch with its audit entry, which is also its event.
pub async fn set(db: &Db, switch: &PlanSwitch, entry: &AuditEntry) -> Result<(), Error> {
    let sql = "insert into plan_switch (id, is_stopped, reason, changed_at, changed_by) values (1, $1, $2, $3, $4)
         on conflict (id) do update set is_stopped = $1, reason = $2, changed_at = $3, changed_by = $4";
    fenced!(db, |tx| {
        sqlx::query(sql)
            .bind(switch.is_stopped)
            .bind(switch.reason.as_deref().map(bulk::without_nul))
            .bind(switch.since)
            .bind(switch.by.as_deref().map(bulk::without_nul))
            .execute(&mut *tx)
            .await?;
        audit::append!(tx, db, entry);
    });
    Ok(())
}
