//! Print statistics for each printer and day. Each print is counted once.
//!
//! SQLite needs seconds to sum up a million prints, which is too slow for a page. So a background task counts the
//! prints that have ended, many at once, and marks them in `prints.counted`. A reader adds the few prints that are not
//! counted yet. Retention deletes a print only after it was counted, and its sums stay.
//!
//! The days are those of a calendar, whose time zone is stored beside the sums. If the setting has changed, `rezone.rs`
//! takes the prints out of the sums, and they are counted again.

mod rezone;

use std::{
    collections::{BTreeMap, HashSet},
    ops::Range,
};

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use self::rezone::{StoredZone, rezone};
use super::{
    Db, Error,
    bulk::{self, ColumnType, JsonParameter},
    reading, snapshot, transaction,
};
use crate::domain::{
    calendar::Calendar,
    print::PrintResult,
    print_stats::{PrintTally, tallies_by_day},
};

/// Prints that one transaction counts. Sends of commands wait for it.
const MAX_PRINTS: i64 = 500;
/// Prints that a reader adds. This is far more than end between two counts.
const MAX_UNCOUNTED: i64 = 20_000;
/// Query for prints that have ended and are not counted. The partial index has exactly the same text.
const UNCOUNTED: &str =
    "select id, printer_id, started_at, ended_at, result from prints where ended_at is not null and not counted";

const COUNT_COLUMNS: [&str; 5] = ["printed_s", "done", "failed", "cancelled", "unknown"];

#[derive(sqlx::FromRow)]
struct EndedPrintRow {
    id: Uuid,
    printer_id: Uuid,
    started_at: DateTime<Utc>,
    ended_at: DateTime<Utc>,
    result: Option<String>,
}

impl EndedPrintRow {
    /// A result of a later version counts as unknown, so that the other prints are still counted.
    fn result(&self) -> PrintResult {
        self.result.as_deref().and_then(PrintResult::parse).unwrap_or(PrintResult::Unknown)
    }
}

/// Counts the prints that ended since the last call, by day of the calendar. Returns their number.
pub async fn count_ended_prints(db: &Db, calendar: Calendar) -> Result<u64, Error> {
    rezone(db, calendar).await?;
    let next = format!("{UNCOUNTED} order by id limit $1");
    let found = format!("{next}{}", db.for_update());
    let (add, mark) = (add_sql(db), mark_sql(db, true));
    let mut counted = 0;
    loop {
        // Checked without a lock first: usually there is little to do.
        let query = AssertSqlSafe(next.clone());
        let waiting: Vec<EndedPrintRow> = reading!(db, |pool| sqlx::query_as(query).bind(1_i64).fetch_all(pool).await)?;
        if waiting.is_empty() {
            return Ok(counted);
        }
        counted += transaction!(db, |tx| {
            let ended: Vec<EndedPrintRow> =
                sqlx::query_as(AssertSqlSafe(found.clone())).bind(MAX_PRINTS).fetch_all(&mut *tx).await?;
            let records = day_records(&ended, calendar, 1)?;
            sqlx::query(AssertSqlSafe(add.clone())).bind(records).execute(&mut *tx).await?;
            let ids = bulk::uuid_list(ended.iter().map(|print| print.id));
            sqlx::query(AssertSqlSafe(mark.clone())).bind(ids).execute(&mut *tx).await?.rows_affected()
        });
    }
}

/// Returns the statement that adds the records of [`day_records`] to the sums.
fn add_sql(db: &Db) -> String {
    let columns: Vec<(&str, ColumnType)> = [("day", ColumnType::BigInt), ("printer_id", ColumnType::Uuid)]
        .into_iter()
        .chain(COUNT_COLUMNS.map(|name| (name, ColumnType::BigInt)))
        .collect();
    let names = columns.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
    let sums = COUNT_COLUMNS.map(|name| format!("{name} = print_days.{name} + excluded.{name}")).join(", ");
    format!(
        "insert into print_days ({names}) select {names} from {} order by day, printer_id
         on conflict (day, printer_id) do update set {sums}",
        db.records_source(&columns)
    )
}

/// Returns the statement that marks prints as counted or not.
fn mark_sql(db: &Db, counted: bool) -> String {
    format!("update prints set counted = {counted} where id in {}", db.uuids_subquery(1))
}

/// Returns what prints add to each day, times `sign`, as a parameter.
fn day_records(prints: &[EndedPrintRow], calendar: Calendar, sign: i64) -> Result<JsonParameter, sqlx::Error> {
    let mut days: BTreeMap<(i64, Uuid), PrintTally> = BTreeMap::new();
    for print in prints {
        for (day, tally) in tallies_by_day(calendar, print.started_at, print.ended_at, Some(print.result())) {
            *days.entry((day, print.printer_id)).or_default() += tally;
        }
    }
    bulk::json_parameter(days.into_iter().map(|((day, printer_id), tally)| {
        json!({
            "day": day, "printer_id": printer_id, "printed_s": sign * tally.printed_s, "done": sign * tally.done,
            "failed": sign * tally.failed, "cancelled": sign * tally.cancelled, "unknown": sign * tally.unknown,
        })
    }))
}

#[derive(sqlx::FromRow)]
struct DaySumsRow {
    printer_id: Uuid,
    step: i64,
    printed_s: i64,
    done: i64,
    failed: i64,
    cancelled: i64,
    unknown: i64,
}

#[derive(sqlx::FromRow)]
struct OpenPrintRow {
    printer_id: Uuid,
    started_at: DateTime<Utc>,
    observed_at: DateTime<Utc>,
}

/// Result of [`sum_printed`].
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PrintedTotals {
    pub by_printer_and_step: BTreeMap<(Uuid, i64), PrintTally>,
    /// More prints are not counted yet than a reader adds, or some are counted by days of another time zone.
    pub is_behind: bool,
    /// The last day with sums of deleted prints by days of an earlier time zone.
    pub kept_until: Option<i64>,
}

/// Returns what printers printed within `days` of the calendar, by printer and by step of `step` days from the first day. With `printer_ids`,
/// the result has these printers. Otherwise it has all printers, including removed ones. A print that has not ended
/// counts until the last observation of its printer.
pub async fn sum_printed(
    db: &Db,
    days: Range<i64>,
    step: i64,
    printer_ids: Option<&[Uuid]>,
    calendar: Calendar,
) -> Result<PrintedTotals, Error> {
    let condition = if printer_ids.is_some() {
        format!("printer_id in {}", db.uuids_subquery(4))
    } else {
        "$4 is not null".to_owned()
    };
    let sums = COUNT_COLUMNS.map(|name| format!("cast(sum({name}) as bigint) as {name}")).join(", ");
    let counted = format!(
        "select printer_id, (day - $1) / $3 as step, {sums} from print_days
         where day >= $1 and day < $2 and {condition} group by printer_id, (day - $1) / $3"
    );
    // Not limited to printers: the database would choose the index of prints by printer, which is the slowest way.
    let rest = format!("{UNCOUNTED} order by id desc limit $1");
    let open = "select p.printer_id, p.started_at, o.observed_at
                from prints p join printer_observations o on o.printer_id = p.printer_id
                where p.ended_at is null";
    let ids = bulk::uuid_list(printer_ids.unwrap_or_default().iter().copied());
    // Read from one snapshot. Otherwise a print that is counted between two statements would be missing, or counted
    // twice.
    type ReadRows = (Vec<DaySumsRow>, Vec<EndedPrintRow>, Vec<OpenPrintRow>, StoredZone);
    let (counted, rest, open, zone): ReadRows = snapshot!(db, |tx| {
        let counted = sqlx::query_as(AssertSqlSafe(counted)).bind(days.start).bind(days.end).bind(step).bind(ids);
        let counted = counted.fetch_all(&mut *tx).await?;
        let rest = sqlx::query_as(AssertSqlSafe(rest)).bind(MAX_UNCOUNTED).fetch_all(&mut *tx).await?;
        let zone = sqlx::query_as(rezone::READ_ZONE).fetch_one(&mut *tx).await?;
        (counted, rest, sqlx::query_as(open).fetch_all(&mut *tx).await?, zone)
    });
    let is_behind = i64::try_from(rest.len()).is_ok_and(|rest| rest == MAX_UNCOUNTED) || zone.calendar()? != calendar;
    let mut steps: BTreeMap<(Uuid, i64), PrintTally> = counted
        .into_iter()
        .map(|sums| {
            let DaySumsRow { printer_id, step, printed_s, done, failed, cancelled, unknown } = sums;
            ((printer_id, step), PrintTally { printed_s, done, failed, cancelled, unknown })
        })
        .collect();
    let ended = rest.into_iter().map(|print| {
        let result = print.result();
        (print.printer_id, print.started_at, print.ended_at, Some(result))
    });
    let open = open.into_iter().map(|print| (print.printer_id, print.started_at, print.observed_at, None));
    let wanted_ids: Option<HashSet<&Uuid>> = printer_ids.map(|ids| ids.iter().collect());
    let is_wanted = |id: &Uuid| wanted_ids.as_ref().is_none_or(|among| among.contains(id));
    for (printer_id, started, until, result) in ended.chain(open).filter(|(id, ..)| is_wanted(id)) {
        for (day, tally) in
            tallies_by_day(calendar, started, until, result).into_iter().filter(|(day, _)| days.contains(day))
        {
            *steps.entry((printer_id, (day - days.start) / step)).or_default() += tally;
        }
    }
    Ok(PrintedTotals { by_printer_and_step: steps, is_behind, kept_until: zone.kept_until })
}
