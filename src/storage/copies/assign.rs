//! Assigns a copy to a printer: the copy, its batch and its start command in one transaction.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use crate::{
    domain::{
        audit::AuditActor,
        copy::{Copy, CopyState, Quality},
        event::NewEvent,
        order::{CountedOrder, OrderFile},
    },
    storage::{
        Db, Error,
        batches::{BatchInsert, PreparedBatch, insert_batches},
        bulk, fenced,
        orders::{follow_order, lock_order, unreplaced_condition},
    },
};

/// A copy to be assigned.
#[derive(Debug, Clone)]
pub struct Assignment {
    pub copy_id: Uuid,
    pub order_id: Uuid,
    pub printer_id: Uuid,
    pub file: OrderFile,
    /// Why the planner chose this printer.
    pub why: Map<String, Value>,
    /// A batch with one command: the start on this printer.
    pub batch: PreparedBatch,
    pub at: DateTime<Utc>,
}

/// Result of [`assign`]. Nothing is stored unless it is `Assigned`.
#[derive(Debug, Clone, PartialEq)]
pub enum AssignmentResult {
    Assigned(Box<Copy>),
    /// The order is gone, has ended, is on hold, or needs no more parts.
    NotNeeded,
    /// The printer has another active copy.
    PrinterTaken,
}

/// Assigns a copy. If an earlier copy of the order failed and was not replaced, the new copy replaces it.
pub async fn assign(db: &Db, assignment: &Assignment) -> Result<AssignmentResult, Error> {
    match try_assign(db, assignment).await {
        Err(TryError::Sql(sqlx::Error::Database(error))) if error.is_unique_violation() => {
            Ok(AssignmentResult::PrinterTaken)
        }
        Err(TryError::Sql(error)) => Err(error.into()),
        Err(TryError::Storage(error)) => Err(error),
        Ok(result) => Ok(result),
    }
}

/// An error that is not converted yet, because a unique violation is a result here.
enum TryError {
    Sql(sqlx::Error),
    Storage(Error),
}

impl From<sqlx::Error> for TryError {
    fn from(error: sqlx::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<Error> for TryError {
    fn from(error: Error) -> Self {
        Self::Storage(error)
    }
}

async fn try_assign(db: &Db, assignment: &Assignment) -> Result<AssignmentResult, TryError> {
    let Assignment { copy_id, order_id, printer_id, file, why, batch, at } = assignment;
    let new = std::slice::from_ref(batch);
    let insert = BatchInsert::new(db, new)?;
    let command_id = batch.rows.first().map_or(Uuid::nil(), |row| row.id);
    let failed_sql = format!(
        "select c.id, c.attempt, c.finished_at from copies c where c.order_id = $1 and {} order by c.id limit 1",
        unreplaced_condition()
    );
    fenced!(db, |tx| {
        let Some(before) = lock_order!(tx, db, *order_id) else { return Ok(AssignmentResult::NotNeeded) };
        if before.order.hold.is_some() || before.quantities().queued == 0 {
            return Ok(AssignmentResult::NotNeeded);
        }
        let failed: Option<(Uuid, i64, Option<DateTime<Utc>>)> =
            sqlx::query_as(AssertSqlSafe(failed_sql)).bind(order_id).fetch_optional(&mut *tx).await?;
        let attempt = failed.map_or(1, |(_, attempt, ended_at)| {
            before.order.next_attempt(u32::try_from(attempt).unwrap_or(u32::MAX), ended_at)
        });
        let copy = Copy {
            id: *copy_id,
            order_id: *order_id,
            part: before.order.part.clone(),
            replaces: failed.map(|(id, ..)| id),
            attempt,
            state: CopyState::Assigned,
            printer_id: *printer_id,
            file_id: file.file_id,
            sha256: file.sha256.clone(),
            command_id,
            batch_id: batch.batch.id,
            print_id: None,
            parts: file.parts_per_plate,
            assigned_at: *at,
            started_at: None,
            finished_at: None,
            result: None,
            quality: Quality::Unjudged,
            good: 0,
            scrap: 0,
            reason: None,
            why: why.clone(),
        };
        sqlx::query(
            "insert into copies (id, order_id, part, replaces, attempt, state, printer_id, file_id, sha256, command_id,
                 batch_id, parts, assigned_at, quality, good, scrap, why)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, 0, 0, $15)",
        )
        .bind(copy.id)
        .bind(copy.order_id)
        .bind(&copy.part)
        .bind(copy.replaces)
        .bind(i64::from(copy.attempt))
        .bind(copy.state.as_str())
        .bind(copy.printer_id)
        .bind(copy.file_id)
        .bind(&copy.sha256)
        .bind(copy.command_id)
        .bind(copy.batch_id)
        .bind(i64::from(copy.parts))
        .bind(copy.assigned_at)
        .bind(copy.quality.as_str())
        .bind(bulk::json_value(&copy.why))
        .execute(&mut *tx)
        .await?;
        insert_batches!(tx, db, insert, new);
        let actor: Option<AuditActor> = Some(batch.entry.actor.clone());
        let no_events = |_: &CountedOrder| Vec::<NewEvent>::new();
        let order = before.order.clone();
        follow_order!(tx, db, &before, order, *at, &actor, no_events);
        Ok(AssignmentResult::Assigned(Box::new(copy)))
    })
}
