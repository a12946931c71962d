//! Moves the sums of prints to the days of another time zone.
//!
//! A sum of a day cannot be cut at another midnight, so prints that still exist are taken out of the sums by the days of
//! the old zone, and counted again by the days of the new one. The sums of deleted prints stay where they are. A print is
//! in the sums exactly while it is marked as counted, so a kill at any moment loses nothing.

use sqlx::AssertSqlSafe;
use uuid::Uuid;

use super::{
    COUNT_COLUMNS, Db, EndedPrintRow, Error, MAX_PRINTS, add_sql, bulk, day_records, mark_sql, reading, transaction,
};
use crate::{domain::calendar::Calendar, storage::error::unreadable};

/// Query for the time zone of the sums.
pub(super) const READ_ZONE: &str = "select time_zone, kept_until from print_day_zone where id = 1";
const COUNTED: &str = "select id, printer_id, started_at, ended_at, result from prints
     where ended_at is not null and counted and id > $1 order by id limit $2";

/// The time zone of the sums.
#[derive(sqlx::FromRow)]
pub(super) struct StoredZone {
    time_zone: String,
    /// The last day with sums of deleted prints by days of an earlier zone.
    pub kept_until: Option<i64>,
}

impl StoredZone {
    /// Returns the calendar by whose days prints are counted.
    pub fn calendar(&self) -> Result<Calendar, Error> {
        Calendar::parse(&self.time_zone).ok_or_else(|| unreadable("print_day_zone", "time_zone", Uuid::nil()))
    }
}

/// Takes all prints out of the sums if these have the days of another calendar. Afterwards, prints are counted by days
/// of this calendar.
pub(super) async fn rezone(db: &Db, calendar: Calendar) -> Result<(), Error> {
    let stored: StoredZone = reading!(db, |pool| sqlx::query_as(READ_ZONE).fetch_one(pool).await)?;
    let counted_by = stored.calendar()?;
    if counted_by == calendar {
        return Ok(());
    }
    tracing::info!(
        from = counted_by.name(),
        to = calendar.name(),
        "prints are counted again by days of another time zone"
    );
    let mut after = Uuid::nil();
    while let Some(last) = take_out(db, counted_by, after).await? {
        after = last;
    }
    store_zone(db, calendar).await
}

/// Takes the next prints out of the sums. Returns the id of the last one.
async fn take_out(db: &Db, counted_by: Calendar, after: Uuid) -> Result<Option<Uuid>, Error> {
    let found = format!("{COUNTED}{}", db.for_update());
    let (add, mark) = (add_sql(db), mark_sql(db, false));
    let last = transaction!(db, |tx| {
        let prints: Vec<EndedPrintRow> =
            sqlx::query_as(AssertSqlSafe(found)).bind(after).bind(MAX_PRINTS).fetch_all(&mut *tx).await?;
        let records = day_records(&prints, counted_by, -1)?;
        sqlx::query(AssertSqlSafe(add)).bind(records).execute(&mut *tx).await?;
        let ids = bulk::uuid_list(prints.iter().map(|print| print.id));
        sqlx::query(AssertSqlSafe(mark)).bind(ids).execute(&mut *tx).await?;
        prints.last().map(|print| print.id)
    });
    Ok(last)
}

/// Stores the new zone. What is left in the sums comes from deleted prints.
async fn store_zone(db: &Db, calendar: Calendar) -> Result<(), Error> {
    // An update of the time zone database can move prints of the past to another day, which leaves a negative rest.
    let empty = COUNT_COLUMNS.map(|name| format!("{name} <= 0")).join(" and ");
    let clear = format!("delete from print_days where {empty}");
    let limits = COUNT_COLUMNS.map(|name| format!("{name} = case when {name} < 0 then 0 else {name} end")).join(", ");
    let negative = COUNT_COLUMNS.map(|name| format!("{name} < 0")).join(" or ");
    let limit = format!("update print_days set {limits} where {negative}");
    let store = "update print_day_zone set time_zone = $1, kept_until = (select max(day) from print_days) where id = 1";
    transaction!(db, |tx| {
        sqlx::query(AssertSqlSafe(clear)).execute(&mut *tx).await?;
        sqlx::query(AssertSqlSafe(limit)).execute(&mut *tx).await?;
        sqlx::query(store).bind(calendar.name()).execute(&mut *tx).await?;
    });
    Ok(())
}
