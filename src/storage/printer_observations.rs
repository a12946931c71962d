//! Last stored observation of each printer, so that a restart continues from it.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, types::Json};
use uuid::Uuid;

use super::{
    Db, Error,
    error::Place,
    events, fenced,
    group::{self, Kind, stamp},
    reading,
};
use crate::domain::{
    event::NewEvent,
    print::Mark,
    state::{PrinterState, Reachability},
};

/// Observation of a printer at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Sighting {
    pub printer_id: Uuid,
    pub state: PrinterState,
    pub mark: Mark,
    pub observed_at: DateTime<Utc>,
    pub octoprint_version: Option<String>,
}

/// State and reachability of a printer as last published in the feed. `None` before the first time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Told {
    pub state: Option<PrinterState>,
    pub reachability: Option<Reachability>,
}

#[derive(sqlx::FromRow)]
struct Row {
    printer_id: Uuid,
    state: String,
    mark: Json<Value>,
    observed_at: DateTime<Utc>,
    octoprint_version: Option<String>,
}

/// Stores the last observation of each printer in `sightings`, the changed reachabilities in `reach`, and the feed
/// events for both. Leaves out printers that were removed.
pub async fn save(
    db: &Db,
    sightings: &[Sighting],
    reach: &[(Uuid, Reachability)],
    events: &[NewEvent],
) -> Result<(), Error> {
    let source = db.records(&[
        ("printer_id", Kind::Uuid),
        ("state", Kind::Text),
        ("mark", Kind::Json),
        ("observed_at", Kind::Time),
        ("octoprint_version", Kind::Text),
    ]);
    let sql = format!(
        "insert into sightings (printer_id, state, mark, observed_at, octoprint_version)
         select x.printer_id, x.state, x.mark, x.observed_at, x.octoprint_version from {source}
         where x.printer_id in (select id from printers) order by x.printer_id
         on conflict (printer_id) do update set
             state = excluded.state, mark = excluded.mark, observed_at = excluded.observed_at,
             octoprint_version = coalesce(excluded.octoprint_version, sightings.octoprint_version)"
    );
    // PostgreSQL refuses a bulk write that names one printer twice.
    let last: HashMap<Uuid, &Sighting> = sightings.iter().map(|sighting| (sighting.printer_id, sighting)).collect();
    let records = last.into_values().map(|sighting| {
        json!({
            "printer_id": sighting.printer_id,
            "state": sighting.state,
            "mark": sighting.mark,
            "observed_at": stamp(sighting.observed_at),
            "octoprint_version": sighting.octoprint_version,
        })
    });
    let records = group::parameter(records)?;
    let reach_sql = format!(
        "update sightings as s set reachability = x.reachability from {} where s.printer_id = x.printer_id",
        db.records(&[("printer_id", Kind::Uuid), ("reachability", Kind::Text)])
    );
    let has_reach = !reach.is_empty();
    let reach = reach.iter().map(|(id, reachability)| json!({"printer_id": id, "reachability": reachability}));
    let reach = group::parameter(reach)?;
    let registered = format!("select id from printers where id in {}", db.uuids(1));
    let ids = group::ids(events.iter().filter_map(|event| event.printer_id));
    fenced!(db, |tx| {
        sqlx::query(AssertSqlSafe(sql)).bind(records).execute(&mut *tx).await?;
        if has_reach {
            sqlx::query(AssertSqlSafe(reach_sql)).bind(reach).execute(&mut *tx).await?;
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
pub async fn last_published(db: &Db) -> Result<HashMap<Uuid, Told>, Error> {
    let sql = "select printer_id, state, reachability from sightings";
    let rows: Vec<(Uuid, String, Option<String>)> = reading!(db, |pool| sqlx::query_as(sql).fetch_all(pool).await)?;
    let read = |(id, state, reachability): (Uuid, String, Option<String>)| {
        let place = Place { table: "sightings", row: id };
        let state = Some(place.word("state", &state, PrinterState::parse)?);
        Ok((
            id,
            Told { state, reachability: place.word_if("reachability", reachability.as_deref(), Reachability::parse)? },
        ))
    };
    rows.into_iter().map(read).collect()
}

/// Returns the last observation of each of these printers, if the printer was ever observed.
pub async fn get_many(db: &Db, printer_ids: &[Uuid]) -> Result<Vec<Sighting>, Error> {
    let sql = format!(
        "select printer_id, state, mark, observed_at, octoprint_version from sightings where printer_id in {}",
        db.uuids(1)
    );
    let ids = group::ids(printer_ids.iter().copied());
    let rows: Vec<Row> = reading!(db, |pool| sqlx::query_as(AssertSqlSafe(sql)).bind(ids).fetch_all(pool).await)?;
    let read = |row: Row| {
        let place = Place { table: "sightings", row: row.printer_id };
        Ok(Sighting {
            printer_id: row.printer_id,
            state: place.word("state", &row.state, PrinterState::parse)?,
            mark: place.json("mark", row.mark.0)?,
            observed_at: row.observed_at,
            octoprint_version: row.octoprint_version,
        })
    };
    rows.into_iter().map(read).collect()
}
