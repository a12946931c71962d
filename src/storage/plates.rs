//! What lies on the printers' plates.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{Db, Error, audit, error::Place, fenced, group, reading};
use crate::domain::{
    audit::Entry,
    plate::{Plate, PlateState},
};

#[derive(sqlx::FromRow)]
struct Row {
    printer_id: Uuid,
    state: String,
    print_id: Option<Uuid>,
    since: Option<DateTime<Utc>>,
    cleared_by: Option<String>,
}

/// Every plate that was ever occupied, of the printers that are registered.
pub async fn all(db: &Db) -> Result<Vec<(Uuid, Plate)>, Error> {
    let sql = "select printer_id, state, print_id, since, cleared_by from plates
               where printer_id in (select id from printers)";
    let rows: Vec<Row> = reading!(db, |pool| sqlx::query_as(sql).fetch_all(pool).await)?;
    let read = |row: Row| {
        let state = Place { table: "plates", row: row.printer_id }.word("state", &row.state, PlateState::parse)?;
        let plate = Plate { state, print_id: row.print_id, since: row.since, cleared_by: row.cleared_by };
        Ok((row.printer_id, plate))
    };
    rows.into_iter().map(read).collect()
}

/// Somebody says that the plate is clear. False: it was not occupied, or not by `expected_print_id` (absent: by a
/// print without identity) any more.
pub async fn clear(
    db: &Db,
    printer_id: Uuid,
    expected_print_id: Option<Uuid>,
    by: &str,
    at: DateTime<Utc>,
    entry: &Entry,
) -> Result<bool, Error> {
    let sql = "update plates set state = 'clear', print_id = null, since = $4, cleared_by = $3
               where printer_id = $1 and state = 'occupied' and print_id is not distinct from $2";
    fenced!(db, |tx| {
        let changed = sqlx::query(sql)
            .bind(printer_id)
            .bind(expected_print_id)
            .bind(group::clean(by))
            .bind(at)
            .execute(&mut *tx)
            .await?;
        if changed.rows_affected() == 0 {
            return Ok(false);
        }
        audit::append!(tx, db, entry);
    });
    Ok(true)
}
