//! Counts the commands of batches.

use std::collections::HashMap;

use sqlx::AssertSqlSafe;
use uuid::Uuid;

use crate::{
    domain::{
        batch::{OutcomeCounts, ResultSummary},
        command::{Command, Outcome, Reason},
    },
    storage::{Db, Error, bulk, commands::RowVisibility, error::RowRef, reading},
};

/// Counts the visible rows of each batch by outcome. A batch that does not exist, or has no visible row, is left out.
pub async fn count_outcomes(
    db: &Db,
    ids: &[Uuid],
    visible: &RowVisibility,
) -> Result<HashMap<Uuid, OutcomeCounts>, Error> {
    let sql = format!(
        "select c.batch_id, c.outcome, count(*) from commands c where c.batch_id in {} and {}
         group by c.batch_id, c.outcome",
        db.uuids_subquery(1),
        RowVisibility::condition_sql(db, 2)
    );
    let found: Vec<(Uuid, String, i64)> = reading!(db, |pool| sqlx::query_as(AssertSqlSafe(sql))
        .bind(bulk::uuid_list(ids.iter().copied()))
        .bind(visible.tags.is_some())
        .bind(bulk::text_list(visible.tags.iter().flatten()))
        .bind(visible.is_batch_creator)
        .fetch_all(pool)
        .await)?;
    let mut pairs: HashMap<Uuid, Vec<(Outcome, i64)>> = HashMap::new();
    for (id, outcome, n) in found {
        let row_ref = RowRef { table: "commands", row: id };
        pairs.entry(id).or_default().push((row_ref.parse("outcome", &outcome, Outcome::parse)?, n));
    }
    Ok(pairs.into_iter().map(|(id, pairs)| (id, OutcomeCounts::from_pairs(pairs))).collect())
}

/// Summarises the visible rows of each batch. A batch that does not exist, or has no visible row, is left out.
pub async fn summarise_results(
    db: &Db,
    ids: &[Uuid],
    visible: &RowVisibility,
) -> Result<HashMap<Uuid, ResultSummary>, Error> {
    let sql = format!(
        "select c.batch_id, c.command, c.outcome, c.reason, count(*), min(c.printer_name) from commands c
         where c.batch_id in {} and {} group by c.batch_id, c.command, c.outcome, c.reason",
        db.uuids_subquery(1),
        RowVisibility::condition_sql(db, 2)
    );
    let found: Vec<(Uuid, String, String, Option<String>, i64, String)> =
        reading!(db, |pool| sqlx::query_as(AssertSqlSafe(sql))
            .bind(bulk::uuid_list(ids.iter().copied()))
            .bind(visible.tags.is_some())
            .bind(bulk::text_list(visible.tags.iter().flatten()))
            .bind(visible.is_batch_creator)
            .fetch_all(pool)
            .await)?;
    let mut summaries: HashMap<Uuid, ResultSummary> = HashMap::new();
    for (id, command, outcome, reason, n, name) in found {
        let row_ref = RowRef { table: "commands", row: id };
        let command = row_ref.parse("command", &command, Command::parse)?;
        let outcome = row_ref.parse("outcome", &outcome, Outcome::parse)?;
        let reason = row_ref.parse_optional("reason", reason.as_deref(), Reason::parse)?;
        let summary = summaries.entry(id).or_default();
        summary.counts.add(command, outcome, reason, n);
        if summary.printer_name.is_empty() || name < summary.printer_name {
            summary.printer_name = name;
        }
    }
    Ok(summaries)
}
