//! Changes of copies. Each stores the copy, what it means for its order, and their events, in one transaction.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use super::row::{COLUMNS, CopyRow};
use crate::{
    domain::{
        audit::{AuditActor, AuditEntry},
        copy::Copy,
        event::{EventType, NewEvent},
        order::{CountedOrder, HoldReason},
    },
    storage::{
        Db, Error, audit, bulk, fenced,
        orders::{follow_order, lock_order},
    },
};

/// A decision about a copy whose order is locked.
#[derive(Debug, Clone)]
pub struct CopyDecision {
    pub copy: Copy,
    /// `None`: the change is not published.
    pub event: Option<EventType>,
    /// What is special about the event.
    pub data: Map<String, Value>,
    /// The audit entry of a change by a person.
    pub entry: Option<AuditEntry>,
}

/// Result of [`change`].
#[derive(Debug, Clone)]
pub enum CopyChange<R> {
    Changed { copy: Box<Copy>, order: Box<CountedOrder> },
    Unchanged { copy: Box<Copy>, order: Box<CountedOrder> },
    Refused(R),
    NotFound,
}

/// Changes a copy. `decide` gets its current state, and no other change of its order happens before its decision is
/// stored. It returns `None` to change nothing. If the copy failed, its attempts are used up and the order still needs
/// parts, the order is put on hold.
pub async fn change<R>(
    db: &Db,
    id: Uuid,
    at: DateTime<Utc>,
    decide: impl FnOnce(&Copy, &CountedOrder) -> Result<Option<CopyDecision>, R>,
) -> Result<CopyChange<R>, Error> {
    let select = format!("select {COLUMNS} from copies where id = $1");
    fenced!(db, |tx| {
        // The order of a copy never changes. It is locked before the copy is read.
        let order_id: Option<(Uuid,)> =
            sqlx::query_as("select order_id from copies where id = $1").bind(id).fetch_optional(&mut *tx).await?;
        let Some((order_id,)) = order_id else { return Ok(CopyChange::NotFound) };
        let Some(order_before) = lock_order!(tx, db, order_id) else { return Ok(CopyChange::NotFound) };
        let row: CopyRow = sqlx::query_as(AssertSqlSafe(select)).bind(id).fetch_one(&mut *tx).await?;
        let before = row.into_copy()?;
        let decision = match decide(&before, &order_before) {
            Ok(Some(decision)) => decision,
            Ok(None) => {
                return Ok(CopyChange::Unchanged { copy: Box::new(before), order: Box::new(order_before) });
            }
            Err(refusal) => return Ok(CopyChange::Refused(refusal)),
        };
        let CopyDecision { copy, event, data, entry } = decision;
        sqlx::query(
            "update copies set state = $2, print_id = $3, started_at = $4, finished_at = $5, result = $6, quality = $7,
                 good = $8, scrap = $9, reason = $10
             where id = $1",
        )
        .bind(copy.id)
        .bind(copy.state.as_str())
        .bind(copy.print_id)
        .bind(copy.started_at)
        .bind(copy.finished_at)
        .bind(copy.result.as_ref().map(bulk::json_value))
        .bind(copy.quality.as_str())
        .bind(i64::from(copy.good))
        .bind(i64::from(copy.scrap))
        .bind(copy.reason.as_deref().map(bulk::without_nul))
        .execute(&mut *tx)
        .await?;
        let mut order = order_before.order.clone();
        let is_lost_work = before.state.is_active() && copy.state.needs_replacement();
        let mut sums = order_before.sums;
        sums.printing -= i64::from(before.parts);
        let is_lost_work = is_lost_work && order.quantities(&sums).queued > 0;
        let is_held = is_lost_work && order.hold.is_none() && order.uses_up_attempts(copy.attempt);
        if is_held {
            order.hold = Some(HoldReason::AttemptsUsedUp);
        }
        if let Some(entry) = &entry {
            audit::append!(tx, db, entry);
        }
        let actor: Option<AuditActor> = entry.map(|entry| entry.actor);
        let make_events = |counted: &CountedOrder| {
            let own = event.map(|kind| NewEvent::for_copy(kind, at, counted, &copy, data));
            let held = is_held.then(|| {
                let reason = json!({"reason": HoldReason::AttemptsUsedUp, "copy_id": copy.id});
                NewEvent::for_order(EventType::OrderHeld, at, counted, reason.as_object().cloned().unwrap_or_default())
            });
            own.into_iter().chain(held).collect::<Vec<_>>()
        };
        let counted = follow_order!(tx, db, &order_before, order, at, &actor, make_events);
        Ok(CopyChange::Changed { copy: Box::new(copy), order: Box::new(counted) })
    })
}
