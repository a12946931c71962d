//! Bulk writes of observed facts about prints. When a whole farm starts, a thousand prints begin within a second.

use std::collections::{HashMap, HashSet};

use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use super::{
    Db, Error, audit, events, fenced,
    group::{self, Kind, stamp},
};
use crate::{
    clock,
    domain::{
        audit::Entry,
        event::NewEvent,
        print::{By, PrintFact, PrintOrigin},
    },
};

/// Stores facts about prints in one transaction. A print that began occupies its plate, if the printer exists. What the
/// printer shows since then (its mark) is stored with it. Otherwise the next reading after a restart could look like
/// another print. The facts of one print are applied in order. A print ends once and has one end event. `entries` are
/// the audit entries of facts that no command caused; the feed has events for all facts. `group` is the id of the last
/// event. [`events::has`] finds it if the reply to the commit was lost.
pub async fn record(db: &Db, group: Uuid, facts: &[(Uuid, PrintFact)], entries: &[Entry]) -> Result<(), Error> {
    let now = clock::now();
    let Groups { began, plates, paused, ended, marks } = Groups::of(facts);
    let by = [("kind", Kind::Text), ("command_id", Kind::Uuid)];
    let begin = format!(
        "insert into prints (id, printer_id, file_path, file_origin, started_at, started_by_kind, started_by_command,
             batch_id, external_ref)
         select x.id, x.printer_id, x.path, x.origin, x.at, x.kind, x.command_id, c.batch_id, b.external_ref
         from {} left join commands c on c.id = x.command_id left join batches b on b.id = c.batch_id
         order by x.id on conflict (id) do nothing",
        db.records(&[
            ("id", Kind::Uuid),
            ("printer_id", Kind::Uuid),
            ("path", Kind::Text),
            ("origin", Kind::Text),
            ("at", Kind::Time),
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
        db.records(&[("printer_id", Kind::Uuid), ("print_id", Kind::Uuid), ("at", Kind::Time)])
    );
    let pause = format!(
        "update prints as p set paused_by_kind = x.kind, paused_by_command = x.command_id from {} where p.id = x.id",
        db.records(&[("id", Kind::Uuid), by[0], by[1]])
    );
    let end = format!(
        "update prints set ended_at = x.at, result = x.result, reason = x.reason from {}
         where prints.id = x.id and prints.ended_at is null returning prints.id",
        db.records(&[("id", Kind::Uuid), ("at", Kind::Time), ("result", Kind::Text), ("reason", Kind::Text)])
    );
    let mark = format!(
        "update sightings as s set mark = x.mark, observed_at = x.at from {} where s.printer_id = x.printer_id",
        db.records(&[("printer_id", Kind::Uuid), ("mark", Kind::Json), ("at", Kind::Time)])
    );
    let origins =
        format!("select id, started_by_command, batch_id, external_ref from prints where id in {}", db.uuids(1));
    let ids: HashSet<Uuid> = facts.iter().map(|(_, fact)| fact.id()).collect();
    fenced!(db, |tx| {
        for (sql, records) in [(begin, began), (mark, marks), (occupy, plates), (pause, paused)] {
            if !records.is_empty() {
                sqlx::query(AssertSqlSafe(sql)).bind(group::parameter(records)?).execute(&mut *tx).await?;
            }
        }
        let has_ended: HashSet<Uuid> = if ended.is_empty() {
            HashSet::new()
        } else {
            let ids: Vec<Uuid> =
                sqlx::query_scalar(AssertSqlSafe(end)).bind(group::parameter(ended)?).fetch_all(&mut *tx).await?;
            ids.into_iter().collect()
        };
        let origins: Vec<Origin> =
            sqlx::query_as(AssertSqlSafe(origins)).bind(group::ids(ids)).fetch_all(&mut *tx).await?;
        let origins: HashMap<Uuid, PrintOrigin> = origins.into_iter().map(Origin::read).collect();
        let nobody = PrintOrigin::default();
        let is_new = |fact: &PrintFact| !matches!(fact, PrintFact::Ended { id, .. } if !has_ended.contains(id));
        let news = facts.iter().filter(|(_, fact)| is_new(fact)).flat_map(|(printer_id, fact)| {
            NewEvent::of_print(*printer_id, fact, origins.get(&fact.id()).unwrap_or(&nobody), now)
        });
        let news: Vec<NewEvent> = news.collect();
        for entry in entries {
            audit::append!(tx, db, entry);
        }
        events::append!(tx, db, &news, group);
    });
    Ok(())
}

#[derive(sqlx::FromRow)]
struct Origin {
    id: Uuid,
    started_by_command: Option<Uuid>,
    batch_id: Option<Uuid>,
    external_ref: Option<String>,
}

impl Origin {
    fn read(self) -> (Uuid, PrintOrigin) {
        let Self { id, started_by_command: command_id, batch_id, external_ref } = self;
        (id, PrintOrigin { command_id, batch_id, external_ref })
    }
}

/// Bulk records of each statement.
#[derive(Default)]
struct Groups {
    began: Vec<Value>,
    plates: Vec<Value>,
    paused: Vec<Value>,
    ended: Vec<Value>,
    marks: Vec<Value>,
}

impl Groups {
    fn of(facts: &[(Uuid, PrintFact)]) -> Self {
        let mut groups = Self::default();
        let mut plates = HashMap::new();
        let mut paused = HashMap::new();
        let mut marks = HashMap::new();
        for (printer_id, fact) in facts {
            if let Some((mark, at)) = fact.mark() {
                marks.insert(*printer_id, json!({"printer_id": printer_id, "mark": mark, "at": stamp(at)}));
            }
            match fact {
                PrintFact::Began { id, file, at, by } => {
                    let (path, origin) = file.as_ref().map(|file| (&file.path, &file.origin)).unzip();
                    groups.began.push(json!({
                        "id": id, "printer_id": printer_id, "path": path, "origin": origin, "at": stamp(*at),
                        "kind": by.kind, "command_id": by.command_id,
                    }));
                    let plate = json!({"printer_id": printer_id, "print_id": id, "at": stamp(*at)});
                    plates.insert(*printer_id, plate);
                }
                PrintFact::Paused { id, by } | PrintFact::PauseCredited { id, by } => {
                    drop(paused.insert(*id, pause(*id, Some(*by))))
                }
                PrintFact::Resumed { id, .. } => drop(paused.insert(*id, pause(*id, None))),
                // A warning changes no stored data.
                PrintFact::Stalled { .. } => {}
                PrintFact::Ended { id, at, result, reason, .. } => groups.ended.push(json!({
                    "id": id, "at": stamp(*at), "result": result, "reason": reason,
                })),
            }
        }
        groups.plates = plates.into_values().collect();
        groups.marks = marks.into_values().collect();
        groups.paused = paused.into_values().collect();
        groups
    }
}

fn pause(id: Uuid, by: Option<By>) -> Value {
    json!({"id": id, "kind": by.map(|by| by.kind), "command_id": by.and_then(|by| by.command_id)})
}
