//! Last stored observation of each printer, so that a restart continues from it.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, types::Json};
use uuid::Uuid;

use super::{
    Db, Error,
    bulk::{self, ColumnType, format_time},
    error::RowRef,
    events, fenced, reading,
};
use crate::domain::{
    event::NewEvent,
    print::JobMark,
    state::{PrinterState, Reachability},
};

/// Observation of a printer at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct PrinterObservation {
    pub printer_id: Uuid,
    pub state: PrinterState,
    pub mark: JobMark,
    pub observed_at: DateTime<Utc>,
    pub octoprint_version: Option<String>,
}

/// State and reachability of a printer as last published in the feed. `None` before the first time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FeedState {
    pub state: Option<PrinterState>,
    pub reachability: Option<Reachability>,
}

#[derive(sqlx::FromRow)]
struct ObservationRow {
    printer_id: Uuid,
    state: String,
    job_mark: Json<Value>,
    observed_at: DateTime<Utc>,
    octoprint_version: Option<String>,
}

/// Stores the last observation of each printer, the changed reachabilities, and the feed events for both. Leaves out
/// printers that were removed.
pub async fn store_observations(
    db: &Db,
    observations: &[PrinterObservation],
    reachabilities: &[(Uuid, Reachability)],
    events: &[NewEvent],
) -> Result<(), Error> {
    let source = db.records_source(&[
        ("printer_id", ColumnType::Uuid),
        ("state", ColumnType::Text),
        ("job_mark", ColumnType::Json),
        ("observed_at", ColumnType::Time),
        ("octoprint_version", ColumnType::Text),
    ]);
    let sql = format!(
        "insert into printer_observations (printer_id, state, job_mark, observed_at, octoprint_version)
         select x.printer_id, x.state, x.job_mark, x.observed_at, x.octoprint_version from {source}
         where x.printer_id in (select id from printers) order by x.printer_id
         on conflict (printer_id) do update set
             state = excluded.state, job_mark = excluded.job_mark, observed_at = excluded.observed_at,
             octoprint_version = coalesce(excluded.octoprint_version,
                                          printer_observations.octoprint_version)"
    );
    // PostgreSQL refuses a bulk write that names one printer twice.
    let last: HashMap<Uuid, &PrinterObservation> =
        observations.iter().map(|observation| (observation.printer_id, observation)).collect();
    let records = last.into_values().map(|observation| {
        json!({
            "printer_id": observation.printer_id,
            "state": observation.state,
            "job_mark": observation.mark,
            "observed_at": format_time(observation.observed_at),
            "octoprint_version": observation.octoprint_version,
        })
    });
    let records = bulk::json_parameter(records)?;
    let reach_sql = format!(
        "update printer_observations as o set reachability = x.reachability from {} where o.printer_id = x.printer_id",
        db.records_source(&[("printer_id", ColumnType::Uuid), ("reachability", ColumnType::Text)])
    );
    let has_reachabilities = !reachabilities.is_empty();
    let reachabilities =
        reachabilities.iter().map(|(id, reachability)| json!({"printer_id": id, "reachability": reachability}));
    let reachabilities = bulk::json_parameter(reachabilities)?;
    let registered = format!("select id from printers where id in {}", db.uuids_subquery(1));
    let ids = bulk::uuid_list(events.iter().filter_map(|event| event.printer_id));
    fenced!(db, |tx| {
        sqlx::query(AssertSqlSafe(sql)).bind(records).execute(&mut *tx).await?;
        if has_reachabilities {
            sqlx::query(AssertSqlSafe(reach_sql)).bind(reachabilities).execute(&mut *tx).await?;
        }
        let registered: Vec<(Uuid,)> = sqlx::query_as(AssertSqlSafe(registered)).bind(ids).fetch_all(&mut *tx).await?;
        let registered: HashSet<Uuid> = registered.into_iter().map(|(id,)| id).collect();
        let is_registered = |event: &&NewEvent| event.printer_id.is_some_and(|id| registered.contains(&id));
        let events: Vec<NewEvent> = events.iter().filter(is_registered).cloned().collect();
        events::append!(tx, db, &events);
    });
    Ok(())
}

/// Returns what the feed last published about every printer that was ever observed.
pub async fn last_published(db: &Db) -> Result<HashMap<Uuid, FeedState>, Error> {
    let sql = "select printer_id, state, reachability from printer_observations";
    let rows: Vec<(Uuid, String, Option<String>)> = reading!(db, |pool| sqlx::query_as(sql).fetch_all(pool).await)?;
    let read = |(id, state, reachability): (Uuid, String, Option<String>)| {
        let row_ref = RowRef { table: "printer_observations", row: id };
        let state = Some(row_ref.parse("state", &state, PrinterState::parse)?);
        Ok((
            id,
            FeedState {
                state,
                reachability: row_ref.parse_optional("reachability", reachability.as_deref(), Reachability::parse)?,
            },
        ))
    };
    rows.into_iter().map(read).collect()
}

/// Returns the last observation of each of these printers, if the printer was ever observed.
pub async fn get_many(db: &Db, printer_ids: &[Uuid]) -> Result<Vec<PrinterObservation>, Error> {
    let sql = format!(
        "select printer_id, state, job_mark, observed_at, octoprint_version from printer_observations
         where printer_id in {}",
        db.uuids_subquery(1)
    );
    let ids = bulk::uuid_list(printer_ids.iter().copied());
    let rows: Vec<ObservationRow> =
        reading!(db, |pool| sqlx::query_as(AssertSqlSafe(sql)).bind(ids).fetch_all(pool).await)?;
    let read = |row: ObservationRow| {
        let row_ref = RowRef { table: "printer_observations", row: row.printer_id };
        Ok(PrinterObservation {
            printer_id: row.printer_id,
            state: row_ref.parse("state", &row.state, PrinterState::parse)?,
            mark: row_ref.parse_json("job_mark", row.job_mark.0)?,
            observed_at: row.observed_at,
            octoprint_version: row.octoprint_version,
        })
    };
    rows.into_iter().map(read).collect()
}
