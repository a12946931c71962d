//! Bulk writes of observed facts about prints. When a whole farm starts, a thousand prints begin within a second.

use std::collections::{HashMap, HashSet};

use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use super::{
    Db, Error, audit,
    bulk::{self, ColumnType, format_time},
    events, fenced,
};
use crate::{
    clock,
    domain::{
        audit::AuditEntry,
        event::NewEvent,
        print::{PrintActor, PrintFact, PrintOrigin},
    },
};

/// Stores facts about prints in one transaction. A print that began occupies its plate, if the printer exists. What the
/// printer shows since then (its mark) is stored with it. Otherwise the next reading after a restart could look like
/// another print. The facts of one print are applied in order. A print ends once and has one end event. `entries` are
/// the audit entries of facts that no command caused; the feed has events for all facts. `last_event_id` is the id of
/// the last event. [`super::events::contains_recent`] finds it if the reply to the commit was lost.
pub async fn store_facts(
    db: &Db,
    last_event_id: Uuid,
    facts: &[(Uuid, PrintFact)],
    entries: &[AuditEntry],
) -> Result<(), Error> {
    let now = clock::now();
    let FactRecords { began, plates, paused, ended, marks } = FactRecords::from_facts(facts);
    let by = [("kind", ColumnType::Text), ("command_id", ColumnType::Uuid)];
    let begin = format!(
        "insert into prints (id, printer_id, file_path, file_origin, started_at, started_by_kind, started_by_command,
             batch_id, external_ref)
         select x.id, x.printer_id, x.path, x.origin, x.at, x.kind, x.command_id, c.batch_id, b.external_ref
         from {} left join commands c on c.id = x.command_id left join batches b on b.id = c.batch_id
         order by x.id on conflict (id) do nothing",
        db.records_source(&[
            ("id", ColumnType::Uuid),
            ("printer_id", ColumnType::Uuid),
            ("path", ColumnType::Text),
            ("origin", ColumnType::Text),
            ("at", ColumnType::Time),
            by[0],
            by[1],
        ])
    );
    let occupy = format!(
        "insert into plates (printer_id, state, print_id, since)
         select x.printer_id, 'occupied', x.print_id, x.at from {}
         where x.printer_id in (select id from printers) order by x.printer_id
         on conflict (printer_id) do update set
             state = excluded.state, print_id = excluded.print_id, since = excluded.since, cleared_by = null",
        db.records_source(&[
            ("printer_id", ColumnType::Uuid),
            ("print_id", ColumnType::Uuid),
            ("at", ColumnType::Time)
        ])
    );
    let pause = format!(
        "update prints as p set paused_by_kind = x.kind, paused_by_command = x.command_id from {} where p.id = x.id",
        db.records_source(&[("id", ColumnType::Uuid), by[0], by[1]])
    );
    let end = format!(
        "update prints set ended_at = x.at, result = x.result, reason = x.reason from {}
         where prints.id = x.id and prints.ended_at is null returning prints.id",
        db.records_source(&[
            ("id", ColumnType::Uuid),
            ("at", ColumnType::Time),
            ("result", ColumnType::Text),
            ("reason", ColumnType::Text)
        ])
    );
    let mark = format!(
        "update printer_observations as o set job_mark = x.job_mark, observed_at = x.at from {}
         where o.printer_id = x.printer_id",
        db.records_source(&[
            ("printer_id", ColumnType::Uuid),
            ("job_mark", ColumnType::Json),
            ("at", ColumnType::Time)
        ])
    );
    let origins = format!(
        "select id, started_by_command, batch_id, external_ref from prints where id in {}",
        db.uuids_subquery(1)
    );
    let ids: HashSet<Uuid> = facts.iter().map(|(_, fact)| fact.id()).collect();
    fenced!(db, |tx| {
        for (sql, records) in [(begin, began), (mark, marks), (occupy, plates), (pause, paused)] {
            if !records.is_empty() {
                sqlx::query(AssertSqlSafe(sql)).bind(bulk::json_parameter(records)?).execute(&mut *tx).await?;
            }
        }
        let has_ended: HashSet<Uuid> = if ended.is_empty() {
            HashSet::new()
        } else {
            let ids: Vec<Uuid> =
                sqlx::query_scalar(AssertSqlSafe(end)).bind(bulk::json_parameter(ended)?).fetch_all(&mut *tx).await?;
            ids.into_iter().collect()
        };
        let origins: Vec<OriginRow> =
            sqlx::query_as(AssertSqlSafe(origins)).bind(bulk::uuid_list(ids)).fetch_all(&mut *tx).await?;
        let origins: HashMap<Uuid, PrintOrigin> = origins.into_iter().map(OriginRow::into_origin).collect();
        let no_origin = PrintOrigin::default();
        let is_new = |fact: &PrintFact| !matches!(fact, PrintFact::Ended { id, .. } if !has_ended.contains(id));
        let new_events = facts.iter().filter(|(_, fact)| is_new(fact)).flat_map(|(printer_id, fact)| {
            NewEvent::from_print_fact(*printer_id, fact, origins.get(&fact.id()).unwrap_or(&no_origin), now)
        });
        let new_events: Vec<NewEvent> = new_events.collect();
        for entry in entries {
            audit::append!(tx, db, entry);
        }
        events::append!(tx, db, &new_events, last_event_id);
    });
    Ok(())
}

#[derive(sqlx::FromRow)]
struct OriginRow {
    id: Uuid,
    started_by_command: Option<Uuid>,
    batch_id: Option<Uuid>,
    external_ref: Option<String>,
}

impl OriginRow {
    fn into_origin(self) -> (Uuid, PrintOrigin) {
        let Self { id, started_by_command: command_id, batch_id, external_ref } = self;
        (id, PrintOrigin { command_id, batch_id, external_ref })
    }
}

/// Bulk records of each statement.
#[derive(Default)]
struct FactRecords {
    began: Vec<Value>,
    plates: Vec<Value>,
    paused: Vec<Value>,
    ended: Vec<Value>,
    marks: Vec<Value>,
}

impl FactRecords {
    fn from_facts(facts: &[(Uuid, PrintFact)]) -> Self {
        let mut records = Self::default();
        let mut plates = HashMap::new();
        let mut paused = HashMap::new();
        let mut marks = HashMap::new();
        for (printer_id, fact) in facts {
            if let Some((mark, at)) = fact.mark() {
                marks.insert(*printer_id, json!({"printer_id": printer_id, "job_mark": mark, "at": format_time(at)}));
            }
            match fact {
                PrintFact::Began { id, file, at, by } => {
                    let (path, origin) = file.as_ref().map(|file| (&file.path, &file.origin)).unzip();
                    records.began.push(json!({
                        "id": id, "printer_id": printer_id, "path": path, "origin": origin, "at": format_time(*at),
                        "kind": by.kind, "command_id": by.command_id,
                    }));
                    let plate = json!({"printer_id": printer_id, "print_id": id, "at": format_time(*at)});
                    plates.insert(*printer_id, plate);
                }
                PrintFact::Paused { id, by } | PrintFact::PauseCredited { id, by } => {
                    drop(paused.insert(*id, pause_record(*id, Some(*by))))
                }
                PrintFact::Resumed { id, .. } => drop(paused.insert(*id, pause_record(*id, None))),
                // A warning changes no stored data.
                PrintFact::Stalled { .. } => {}
                PrintFact::Ended { id, at, result, reason, .. } => records.ended.push(json!({
                    "id": id, "at": format_time(*at), "result": result, "reason": reason,
                })),
            }
        }
        records.plates = plates.into_values().collect();
        records.marks = marks.into_values().collect();
        records.paused = paused.into_values().collect();
        records
    }
}

fn pause_record(id: Uuid, by: Option<PrintActor>) -> Value {
    json!({"id": id, "kind": by.map(|by| by.kind), "command_id": by.and_then(|by| by.command_id)})
}
