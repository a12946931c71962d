//! Ends commands without a report of an actor, and stores effects that are observed after the end.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use super::{
    super::{Db, Error, error::RowRef, events, fenced},
    ChangedRow, OPEN,
    write::finish_events,
};
use crate::{
    domain::{
        command::{Outcome, Reason, SettledEffect},
        event::{EventType, NewEvent},
        message::Message,
    },
    storage::bulk,
};

/// Ends queued rows with a final outcome. Returns the rows that were still queued.
pub async fn end_queued(
    db: &Db,
    ids: &[Uuid],
    outcome: Outcome,
    reason: Option<Reason>,
    detail: Option<&Message>,
    at: DateTime<Utc>,
) -> Result<Vec<ChangedRow>, Error> {
    debug_assert!(outcome.is_final(), "{outcome} is not a final outcome");
    let sql = format!(
        "update commands set outcome = $2, reason = $3, detail = $4, finished_at = $5
         where id in (select id from commands where id in {} and outcome = 'queued' order by id{})
         and outcome = 'queued' returning id, batch_id, printer_id",
        db.uuids_subquery(1),
        db.for_update()
    );
    Ok(fenced!(db, |tx| {
        let ended: Vec<ChangedRow> = sqlx::query_as(AssertSqlSafe(sql))
            .bind(bulk::uuid_list(ids.iter().copied()))
            .bind(outcome.as_str())
            .bind(reason.map(Reason::as_str))
            .bind(detail.map(Message::to_json))
            .bind(at)
            .fetch_all(&mut *tx)
            .await?;
        events::append!(tx, db, &finish_events(&ended, at));
        ended
    }))
}

/// Stores the effect that was observed after the end, once. The row must have ended as `unconfirmed`, `unknown`,
/// `confirmed` or `unchanged`. Returns `false` if nothing was stored.
pub async fn store_settled_effect(db: &Db, id: Uuid, settled: &SettledEffect) -> Result<bool, Error> {
    let sql = "update commands set settled_effect = $2, settled_state = $3, settled_at = $4
               where id = $1 and settled_at is null
                   and outcome in ('unconfirmed', 'unknown', 'confirmed', 'unchanged')
               returning id, batch_id, printer_id";
    fenced!(db, |tx| {
        let row: Option<ChangedRow> = sqlx::query_as(sql)
            .bind(id)
            .bind(settled.effect.as_str())
            .bind(settled.state.as_str())
            .bind(settled.at)
            .fetch_optional(&mut *tx)
            .await?;
        let Some(row) = row else { return Ok(false) };
        let event = NewEvent::for_command(EventType::CommandSettled, settled.at, row.id, row.batch_id, row.printer_id);
        events::append!(tx, db, &[event]);
    });
    Ok(true)
}

/// Ends open rows whose permit or outcome the database refuses to record, without any data of the printer. The outcome
/// is `rejected` if nothing was sent, otherwise `unknown`. Returns the outcome of every row that is now final.
pub async fn end_not_recorded(db: &Db, ids: &[Uuid], at: DateTime<Utc>) -> Result<HashMap<Uuid, Outcome>, Error> {
    let sql = format!(
        "update commands set outcome = case when outcome = 'queued' then 'rejected' else 'unknown' end,
             reason = $2, finished_at = $3
         where id in (select id from commands where id in {} and {OPEN} order by id{}) and {OPEN}
         returning id, batch_id, printer_id",
        db.uuids_subquery(1),
        db.for_update()
    );
    let select =
        format!("select id, outcome from commands where id in {} and finished_at is not null", db.uuids_subquery(1));
    let ended: Vec<(Uuid, String)> = fenced!(db, |tx| {
        let ended: Vec<ChangedRow> = sqlx::query_as(AssertSqlSafe(sql))
            .bind(bulk::uuid_list(ids.iter().copied()))
            .bind(Reason::NotRecorded.as_str())
            .bind(at)
            .fetch_all(&mut *tx)
            .await?;
        events::append!(tx, db, &finish_events(&ended, at));
        sqlx::query_as(AssertSqlSafe(select)).bind(bulk::uuid_list(ids.iter().copied())).fetch_all(&mut *tx).await?
    });
    let read = |(id, outcome): (Uuid, String)| {
        Ok((id, RowRef { table: "commands", row: id }.parse("outcome", &outcome, Outcome::parse)?))
    };
    ended.into_iter().map(read).collect()
}
