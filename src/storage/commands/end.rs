//! Ends commands without a report of an actor, and stores effects that are observed after the end.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use super::{
    super::{Db, Error, error::Place, events, fenced, group},
    OPEN, Touched,
    write::told,
};
use crate::domain::{
    command::{Outcome, Reason, Settled},
    event::{EventType, NewEvent},
};

/// Ends queued rows with a final outcome. Returns the rows that were still queued.
pub async fn end_queued(
    db: &Db,
    ids: &[Uuid],
    outcome: Outcome,
    reason: Option<Reason>,
    detail: Option<&str>,
    at: DateTime<Utc>,
) -> Result<Vec<Touched>, Error> {
    debug_assert!(outcome.is_final(), "{outcome} is not a final outcome");
    let sql = format!(
        "update commands set outcome = $2, reason = $3, detail = $4, finished_at = $5
         where id in (select id from commands where id in {} and outcome = 'queued' order by id{})
         and outcome = 'queued' returning id, batch_id, printer_id",
        db.uuids(1),
        db.for_update()
    );
    Ok(fenced!(db, |tx| {
        let ended: Vec<Touched> = sqlx::query_as(AssertSqlSafe(sql))
            .bind(group::ids(ids.iter().copied()))
            .bind(outcome.as_str())
            .bind(reason.map(Reason::as_str))
            .bind(detail.map(group::clean))
            .bind(at)
            .fetch_all(&mut *tx)
            .await?;
        events::append!(tx, db, &told(&ended, at));
        ended
    }))
}

/// Ends queued rows as `skipped`. Returns the rows that were still queued.
pub async fn skip_queued(
    db: &Db,
    ids: &[Uuid],
    reason: Reason,
    detail: Option<&str>,
    at: DateTime<Utc>,
) -> Result<Vec<Touched>, Error> {
    end_queued(db, ids, Outcome::Skipped, Some(reason), detail, at).await
}

/// Stores the effect that was observed after the end, once. The row must have ended as `unconfirmed`, `unknown`,
/// `confirmed` or `unchanged`. Returns `false` if nothing was stored.
pub async fn settle(db: &Db, id: Uuid, settled: &Settled) -> Result<bool, Error> {
    let sql = "update commands set settled_effect = $2, settled_state = $3, settled_at = $4
               where id = $1 and settled_at is null
                   and outcome in ('unconfirmed', 'unknown', 'confirmed', 'unchanged')
               returning id, batch_id, printer_id";
    fenced!(db, |tx| {
        let row: Option<Touched> = sqlx::query_as(sql)
            .bind(id)
            .bind(settled.effect.as_str())
            .bind(settled.state.as_str())
            .bind(settled.at)
            .fetch_optional(&mut *tx)
            .await?;
        let Some(row) = row else { return Ok(false) };
        let event = NewEvent::of_command(EventType::CommandSettled, settled.at, row.id, row.batch_id, row.printer_id);
        events::append!(tx, db, &[event]);
    });
    Ok(true)
}

/// Ends open rows whose permit or outcome the database refuses to record, without any data of the printer. The outcome
/// is `rejected` if nothing was sent, otherwise `unknown`. Returns the outcome of every row that is now final.
pub async fn end_not_recorded(db: &Db, ids: &[Uuid], at: DateTime<Utc>) -> Result<HashMap<Uuid, Outcome>, Error> {
    let sql = format!(
        "update commands set outcome = case when outcome = 'queued' then 'rejected' else 'unknown' end,
             reason = $2, detail = $3, finished_at = $4
         where id in (select id from commands where id in {} and {OPEN} order by id{}) and {OPEN}
         returning id, batch_id, printer_id",
        db.uuids(1),
        db.for_update()
    );
    let select = format!("select id, outcome from commands where id in {} and finished_at is not null", db.uuids(1));
    let ended: Vec<(Uuid, String)> = fenced!(db, |tx| {
        let ended: Vec<Touched> = sqlx::query_as(AssertSqlSafe(sql))
            .bind(group::ids(ids.iter().copied()))
            .bind(Reason::NotRecorded.as_str())
            .bind(Reason::NotRecorded.sentence())
            .bind(at)
            .fetch_all(&mut *tx)
            .await?;
        events::append!(tx, db, &told(&ended, at));
        sqlx::query_as(AssertSqlSafe(select)).bind(group::ids(ids.iter().copied())).fetch_all(&mut *tx).await?
    });
    let read = |(id, outcome): (Uuid, String)| {
        Ok((id, Place { table: "commands", row: id }.word("outcome", &outcome, Outcome::parse)?))
    };
    ended.into_iter().map(read).collect()
}
