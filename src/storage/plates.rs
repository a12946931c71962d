//! State of the printers' build plates.

use chrono::{DateTime, Utc};
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use super::{Db, Error, audit, bulk, error::RowRef, fenced, reading};
use crate::domain::{
    audit::AuditEntry,
    plate::{ClearResult, ClearedPlate, Plate, PlateState},
};

#[derive(sqlx::FromRow)]
struct PlateRow {
    printer_id: Uuid,
    state: String,
    print_id: Option<Uuid>,
    since: Option<DateTime<Utc>>,
    cleared_by: Option<String>,
}

/// Returns the plates of these printers that were ever occupied.
pub async fn get_many(db: &Db, printer_ids: &[Uuid]) -> Result<Vec<(Uuid, Plate)>, Error> {
    let read = |row: PlateRow| {
        let state = RowRef { table: "plates", row: row.printer_id }.parse("state", &row.state, PlateState::parse)?;
        let print_id = row.print_id.filter(|_| state == PlateState::Occupied);
        Ok((row.printer_id, Plate { state, print_id, since: row.since, cleared_by: row.cleared_by }))
    };
    load_rows(db, printer_ids, "state").await?.into_iter().map(read).collect()
}

/// Returns the print that was last removed from each of these printers' plates, if the plate is clear.
pub async fn list_cleared(db: &Db, printer_ids: &[Uuid]) -> Result<Vec<(Uuid, ClearedPlate)>, Error> {
    let rows = load_rows(db, printer_ids, "'clear'").await?;
    let read = |row: PlateRow| {
        let (by, at) = row.cleared_by.zip(row.since)?;
        Some((row.printer_id, ClearedPlate { print_id: row.print_id, by, at }))
    };
    Ok(rows.into_iter().filter_map(read).collect())
}

/// Returns the rows of these printers whose state is `state`, an SQL expression.
async fn load_rows(db: &Db, printer_ids: &[Uuid], state: &str) -> Result<Vec<PlateRow>, Error> {
    let sql = format!(
        "select printer_id, state, print_id, since, cleared_by from plates
         where state = {state} and printer_id in {}",
        db.uuids_subquery(1)
    );
    let ids = bulk::uuid_list(printer_ids.iter().copied());
    Ok(reading!(db, |pool| sqlx::query_as(AssertSqlSafe(sql)).bind(ids).fetch_all(pool).await)?)
}

/// Marks a plate as clear, by compare-and-set on the print that is on it. `expected_print` is the print that the caller
/// expects on it; `None` accepts any print. Returns the removed print, which the row keeps. Changes nothing while that
/// print has not ended. A printer that the planner may use keeps also that an empty plate was checked.
pub async fn mark_clear(
    db: &Db,
    printer_id: Uuid,
    expected_print: Option<Uuid>,
    by: &str,
    at: DateTime<Utc>,
    entry: &AuditEntry,
) -> Result<Result<ClearedPlate, ClearResult>, Error> {
    let lock = format!("select print_id from plates where printer_id = $1 and state = 'occupied'{}", db.for_update());
    let clear = "update plates set state = 'clear', since = $2, cleared_by = $3 where printer_id = $1";
    let checked = "insert into plates (printer_id, state, since, cleared_by) values ($1, 'clear', $2, $3)
         on conflict (printer_id) do update set since = $2, cleared_by = $3
         where plates.state = 'clear' and (plates.since is null or plates.since < $4)";
    let by = bulk::without_nul(by);
    let removed = fenced!(db, |tx| {
        let row: Option<(Option<Uuid>,)> =
            sqlx::query_as(AssertSqlSafe(lock)).bind(printer_id).fetch_optional(&mut *tx).await?;
        if let Some((print_id,)) = row {
            // Runs after the lock: on PostgreSQL, it then reads a print that began before the lock.
            let open = "select count(*) from prints where id = $1 and ended_at is null";
            let (open,): (i64,) = sqlx::query_as(open).bind(print_id).fetch_one(&mut *tx).await?;
            if open > 0 {
                return Ok(Err(ClearResult::Printing));
            }
            if expected_print.is_some() && expected_print != print_id {
                return Ok(Err(ClearResult::PlateChanged));
            }
            sqlx::query(clear).bind(printer_id).bind(at).bind(&by).execute(&mut *tx).await?;
            audit::append!(tx, db, entry);
            Some(print_id)
        } else {
            let opted_in = "select auto_since from printers where id = $1 and auto_since is not null";
            let opted_in: Option<(DateTime<Utc>,)> =
                sqlx::query_as(opted_in).bind(printer_id).fetch_optional(&mut *tx).await?;
            if let Some((since,)) = opted_in {
                let stored =
                    sqlx::query(checked).bind(printer_id).bind(at).bind(&by).bind(since).execute(&mut *tx).await?;
                if stored.rows_affected() > 0 {
                    audit::append!(tx, db, entry);
                }
            }
            None
        }
    });
    Ok(match removed {
        Some(print_id) => Ok(ClearedPlate { print_id, by, at }),
        None => Err(ClearResult::AlreadyClear),
    })
}
