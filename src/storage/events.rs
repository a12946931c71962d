//! Event feed: events in one order without gaps, stored in the transaction of the change that they describe.
//!
//! `events_head` contains the last number. Each append locks it until the commit, so a number is visible only after all
//! smaller ones. A reader that continues from the last number it read misses nothing, even with many writers
//! (PostgreSQL). It is locked *last*, after `audit_head`: two different lock orders would deadlock.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Map, Value, json};
use sqlx::{AssertSqlSafe, types::Json};
use uuid::Uuid;

use super::{
    Db, Error,
    bulk::{self, ColumnType, format_time},
    commands,
    error::RowRef,
    fenced, reading, retention, snapshot,
};
use crate::domain::{
    audit::AuditActor,
    batch::{BatchCounts, OutcomeCounts},
    event::{Cursor, Event, EventType, NewEvent, command_event_data},
};

/// Maximum number of events that one page searches, however few of them match.
pub const WINDOW: i64 = 5_000;

/// Newest events that [`contains_recent`] searches: more than can be appended between a write and its repetition.
const RECENT: i64 = 100_000;

/// Events that one statement of [`delete_older_than`] deletes.
const DELETED_AT_ONCE: i64 = 5_000;

/// Appends events within a transaction of `transaction!`, after everything else in it. `$last` is the id of the last
/// event. [`contains_recent`] uses it to find a group whose commit got no reply.
macro_rules! append {
    ($tx:ident, $db:expr, $events:expr) => {
        $crate::storage::events::append!($tx, $db, $events, $crate::clock::new_id())
    };
    ($tx:ident, $db:expr, $events:expr, $last:expr) => {{
        let events: &[$crate::domain::event::NewEvent] = $events;
        if let Some((_, others)) = events.split_last() {
            let ids = others.iter().map(|_| $crate::clock::new_id()).chain([$last]);
            let ids: Vec<uuid::Uuid> = ids.collect();
            let (seq,): (i64,) = sqlx::query_as($crate::storage::events::MOVE_HEAD)
                .bind(i64::try_from(ids.len()).unwrap_or(i64::MAX))
                .bind(ids.last())
                .fetch_one(&mut *$tx)
                .await?;
            let event_records = $crate::storage::events::event_records(events, &ids, seq)?;
            let insert = $crate::storage::events::insert_sql($db);
            sqlx::query(sqlx::AssertSqlSafe(insert)).bind(event_records).execute(&mut *$tx).await?;
        }
    }};
}
pub(super) use append;

/// Appends an event that is stored only in the feed, under this id.
pub async fn append_single(db: &Db, event: &NewEvent, id: Uuid) -> Result<(), Error> {
    fenced!(db, |tx| {
        append!(tx, db, std::slice::from_ref(event), id);
    });
    Ok(())
}

/// Returns whether the feed has an event that was appended a moment ago. Only the newest events are searched.
pub async fn contains_recent(db: &Db, id: Uuid) -> Result<bool, Error> {
    let sql = "select count(*) from events where id = $1 and seq > (select seq - $2 from events_head where id = 1)";
    let (n,): (i64,) = reading!(db, |pool| sqlx::query_as(sql).bind(id).bind(RECENT).fetch_one(pool).await)?;
    Ok(n > 0)
}

/// Moves the end of the feed by `$1` events, the last of which has the id `$2`. Locks the end until the commit. Returns
/// the number of the last event.
pub(super) const MOVE_HEAD: &str = "update events_head set seq = seq + $1, event_id = $2 where id = 1 returning seq";

/// Columns of a record, with their types.
const RECORD_COLUMNS: &[(&str, ColumnType)] = &[
    ("seq", ColumnType::BigInt),
    ("id", ColumnType::Uuid),
    ("type", ColumnType::Text),
    ("at", ColumnType::Time),
    ("actor", ColumnType::Json),
    ("printer_id", ColumnType::Uuid),
    ("printer_name", ColumnType::Text),
    ("subject", ColumnType::Uuid),
    ("external_ref", ColumnType::Text),
    ("batch_id", ColumnType::Uuid),
    ("command_id", ColumnType::Uuid),
    ("data", ColumnType::Json),
];

/// Returns the statement that inserts records. It reads the printer's name and the external reference of the event's
/// batch from other tables. For an event of a command it reads only the reference, because a thousand commands may end
/// at once.
pub(super) fn insert_sql(db: &Db) -> String {
    format!(
        "insert into events (seq, id, type, at, actor, printer_id, printer_name, subject, external_ref, data)
         select x.seq, x.id, x.type, x.at, x.actor, x.printer_id,
             case when x.data is null then null
                  else coalesce((select p.name from printers p where p.id = x.printer_id), x.printer_name) end, x.subject,
             coalesce(x.external_ref, (select b.external_ref from batches b where b.id = x.batch_id),
                      (select b.external_ref from commands c join batches b on b.id = c.batch_id
                       where c.id = x.command_id)),
             x.data
         from {}",
        db.records_source(RECORD_COLUMNS)
    )
}

/// A [`NewEvent`] as a bulk record. Absent fields read as null.
#[derive(Serialize)]
struct EventRecord<'a> {
    seq: i64,
    id: Uuid,
    r#type: EventType,
    at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    actor: Option<&'a AuditActor>,
    #[serde(skip_serializing_if = "Option::is_none")]
    printer_id: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    printer_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    external_ref: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    batch_id: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    command_id: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a Map<String, Value>>,
}

/// Builds the records of events with their ids. `last` is the number of the last event.
pub(super) fn event_records(events: &[NewEvent], ids: &[Uuid], last: i64) -> Result<bulk::JsonParameter, sqlx::Error> {
    let first = last - i64::try_from(ids.len()).unwrap_or(i64::MAX) + 1;
    bulk::json_parameter(events.iter().zip(ids).zip(first..).map(|((event, id), seq)| EventRecord {
        seq,
        id: *id,
        r#type: event.kind,
        at: format_time(event.at),
        actor: event.actor.as_ref(),
        printer_id: event.printer_id,
        printer_name: event.printer_name.as_deref(),
        subject: event.subject,
        external_ref: event.external_ref.as_deref(),
        batch_id: event.batch_id,
        command_id: event.command_id,
        data: event.data.as_ref(),
    }))
}

#[derive(sqlx::FromRow)]
struct EventRow {
    seq: i64,
    id: Uuid,
    r#type: String,
    at: DateTime<Utc>,
    actor: Option<Json<Value>>,
    printer_id: Option<Uuid>,
    printer_name: Option<String>,
    subject: Option<Uuid>,
    external_ref: Option<String>,
    data: Option<Json<Value>>,
}

impl EventRow {
    fn into_event(self) -> Result<Event, Error> {
        let row_ref = RowRef { table: "events", row: self.id };
        let mut data: Map<String, Value> =
            self.data.map(|Json(data)| row_ref.parse_json("data", data)).transpose()?.unwrap_or_default();
        if let Some(id) = self.printer_id {
            data.insert("printer_id".to_owned(), id.to_string().into());
            data.insert("printer_name".to_owned(), self.printer_name.into());
        }
        let kind = row_ref.parse("type", &self.r#type, EventType::parse)?;
        if let (Some(id), EventType::BatchCreated | EventType::BatchFinished) = (self.subject, kind) {
            data.insert("batch_id".to_owned(), id.to_string().into());
        }
        if let Some(stored) = data.get_mut("counts") {
            let counts: OutcomeCounts = row_ref.parse_json("data", stored.take())?;
            *stored = json!(BatchCounts::from(&counts));
        }
        Ok(Event {
            seq: self.seq,
            id: self.id,
            kind,
            at: self.at,
            actor: self.actor.map(|Json(actor)| row_ref.parse_json("actor", actor)).transpose()?,
            printer_id: self.printer_id,
            subject: self.subject,
            external_ref: self.external_ref,
            data,
        })
    }
}

/// Returns the end of the feed.
pub async fn head_cursor(db: &Db) -> Result<Cursor, Error> {
    let sql = "select seq, event_id from events_head where id = 1";
    let (seq, event_id): (i64, Option<Uuid>) = reading!(db, |pool| sqlx::query_as(sql).fetch_one(pool).await)?;
    Ok(Cursor::after(seq, event_id))
}

/// Range of the stored events, read in one statement. With two reads, an event that is appended between them would be
/// skipped.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct StoredRange {
    /// Number of the oldest event. `None` if the feed is empty.
    pub oldest: Option<i64>,
    /// Id of the event at the given position.
    pub id_at_position: Option<Uuid>,
    /// Number of the last event that was ever appended.
    pub head: i64,
}

impl StoredRange {
    /// Returns the position before the oldest event.
    pub fn start_position(&self) -> i64 {
        self.oldest.map_or(self.head, |oldest| oldest - 1)
    }
}

/// Returns the range of the stored events, and the id of the event at position `seq`.
pub async fn stored_range(db: &Db, seq: i64) -> Result<StoredRange, Error> {
    let sql =
        "select (select min(seq) from events) as oldest, (select id from events where seq = $1) as id_at_position,
                   h.seq as head from events_head h where h.id = 1";
    Ok(reading!(db, |pool| sqlx::query_as(sql).bind(seq).fetch_one(pool).await)?)
}

/// Returns the position before the first event at or after `at`, in the order of the feed. Returns the end of the feed
/// if there is no such event. Reads the feed up to that event (0.2 s for a million events).
pub async fn cursor_before(db: &Db, at: DateTime<Utc>) -> Result<Cursor, Error> {
    let sql = "select x.seq, e.id
               from (select coalesce((select min(seq) - 1 from events where at >= $1), h.seq) as seq
                     from events_head h where h.id = 1) x
               left join events e on e.seq = x.seq";
    let (seq, id): (i64, Option<Uuid>) = reading!(db, |pool| sqlx::query_as(sql).bind(at).fetch_one(pool).await)?;
    Ok(Cursor::after(seq, id))
}

/// A page of the feed.
#[derive(Debug, Clone, PartialEq)]
pub struct FeedPage {
    pub events: Vec<Event>,
    /// End of the searched range. No matching event is between the last returned event and this position.
    pub searched_to: Cursor,
    /// The feed continues after `searched_to`.
    pub has_more: bool,
}

/// Returns at most `limit` events after `after`, in order, only of the given types if any. Searches at most [`WINDOW`]
/// events, so a page of rare events may be empty although more follow.
pub async fn list_page(db: &Db, after: i64, kinds: Option<&[EventType]>, limit: i64) -> Result<FeedPage, Error> {
    let select = format!(
        "select seq, id, type, at, actor, printer_id, printer_name, subject, external_ref, data from events
         where seq > $1 and seq <= $2 and (not $3 or type in {}) order by seq limit $4",
        db.texts_subquery(5)
    );
    let (head, rows, searched_to) = snapshot!(db, |tx| {
        let (head,): (i64,) = sqlx::query_as("select seq from events_head where id = 1").fetch_one(&mut *tx).await?;
        let window = after.saturating_add(WINDOW).min(head);
        let rows: Vec<EventRow> = sqlx::query_as(AssertSqlSafe(select))
            .bind(after)
            .bind(window)
            .bind(kinds.is_some())
            .bind(limit)
            .bind(bulk::text_list(kinds.unwrap_or_default()))
            .fetch_all(&mut *tx)
            .await?;
        let full = i64::try_from(rows.len()).unwrap_or(i64::MAX) >= limit;
        let searched_to = if full { rows.last().map_or(after, |row| row.seq) } else { window.max(after) };
        let id: Option<(Uuid,)> =
            sqlx::query_as("select id from events where seq = $1").bind(searched_to).fetch_optional(&mut *tx).await?;
        (head, rows, Cursor::after(searched_to, id.map(|(id,)| id)))
    });
    let mut events = rows.into_iter().map(EventRow::into_event).collect::<Result<Vec<_>, _>>()?;
    add_command_data(db, &mut events).await?;
    Ok(FeedPage { events, searched_to, has_more: searched_to.seq < head })
}

/// Returns one event by its number.
pub async fn get(db: &Db, seq: i64) -> Result<Option<Event>, Error> {
    let page = list_page(db, seq - 1, None, 1).await?;
    Ok(page.events.into_iter().find(|event| event.seq == seq))
}

/// Adds the data of command events, which is stored in the rows of the commands.
async fn add_command_data(db: &Db, events: &mut [Event]) -> Result<(), Error> {
    let ids: Vec<Uuid> =
        events.iter().filter(|event| event.kind.is_about_command()).filter_map(|event| event.subject).collect();
    if ids.is_empty() {
        return Ok(());
    }
    let rows: HashMap<Uuid, _> = commands::get_many(db, &ids).await?.into_iter().map(|row| (row.id, row)).collect();
    for event in events.iter_mut().filter(|event| event.kind.is_about_command()) {
        if let Some(row) = event.subject.and_then(|id| rows.get(&id)) {
            let mut row = row.clone();
            if event.kind == EventType::CommandFinished {
                // An effect that was observed later has its own event.
                row.settled = None;
            }
            event.data.extend(command_event_data(&row));
        }
    }
    Ok(())
}

/// Deletes the events older than `older_than`, by position. Times after `now` are in the future and do not count. The
/// last event stays, so a reader with its cursor can check that it reads the same feed. Returns the number of deleted
/// events.
pub async fn delete_older_than(db: &Db, older_than: DateTime<Utc>, now: DateTime<Utc>) -> Result<u64, Error> {
    let last = retention::last_old_row_sql("events", "seq", "at");
    let last: Option<(i64,)> =
        reading!(db, |pool| sqlx::query_as(AssertSqlSafe(last)).bind(older_than).bind(now).fetch_optional(pool).await)?;
    let Some((last,)) = last else { return Ok(0) };
    let sql = "delete from events where seq in (select seq from events where seq <= $1 order by seq limit $2)
                   and seq < (select seq from events_head where id = 1)";
    Ok(retention::delete_in_groups!(db, sql, DELETED_AT_ONCE, last))
}
