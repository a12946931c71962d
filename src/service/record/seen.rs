//! What was seen of printers and is not written down yet: the last of each, and what of it is news.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::{
    clock,
    domain::{
        event::{EventType, NewEvent},
        print::PrintFact,
        state::{PrinterState, Reachability},
    },
    fleet::message::Fact,
    storage::{
        self, Db,
        sightings::{Sighting, Told},
    },
};

/// Sightings that wait to be written.
#[derive(Default)]
pub(super) struct Seen {
    sightings: HashMap<Uuid, Sighting>,
    reach: HashMap<Uuid, (Reachability, DateTime<Utc>)>,
    /// What the feed has told last of each printer.
    told: HashMap<Uuid, Told>,
}

impl Seen {
    /// Takes up where an earlier life of the server left off.
    pub async fn since_before(db: &Db) -> Self {
        // What cannot be read is told once more.
        let told = storage::sightings::told(db).await.unwrap_or_else(|error| {
            tracing::error!(?error, "what was seen before could not be read");
            HashMap::new()
        });
        Self { told, ..Self::default() }
    }

    /// Tells prints, which go behind `prints` in their order, from sightings, of which the last one counts, and from
    /// those who wait for prints, which are returned.
    pub fn sort(&mut self, group: &mut Vec<Fact>, prints: &mut Vec<(Uuid, PrintFact)>) -> Vec<oneshot::Sender<()>> {
        let mut barriers = Vec::new();
        for fact in group.drain(..) {
            match fact {
                Fact::Barrier(reply) => barriers.push(reply),
                Fact::Print { printer_id, fact } => prints.push((printer_id, fact)),
                Fact::Seen { printer_id, state, mark, at, octoprint_version } => {
                    let octoprint_version = octoprint_version.map(|version| version.to_string());
                    let sighting = Sighting { printer_id, state, mark, observed_at: at, octoprint_version };
                    self.sightings.insert(printer_id, sighting);
                }
                Fact::Reach { printer_id, reachability, at } => drop(self.reach.insert(printer_id, (reachability, at))),
            }
        }
        barriers
    }

    /// Writes down what waits, and tells the feed what of it is news.
    pub async fn save(&mut self, db: &Db) {
        if self.sightings.is_empty() && self.reach.is_empty() {
            return;
        }
        let sightings: Vec<Sighting> = std::mem::take(&mut self.sightings).into_values().collect();
        let reach = std::mem::take(&mut self.reach);
        let events = self.news(&sightings, &reach);
        let changed: Vec<(Uuid, Reachability)> =
            reach.iter().map(|(id, (reachability, _))| (*id, *reachability)).collect();
        match storage::sightings::save(db, &sightings, &changed, &events).await {
            Ok(()) => {
                for sighting in &sightings {
                    self.told.entry(sighting.printer_id).or_default().state = Some(sighting.state);
                }
                for (id, reachability) in changed {
                    self.told.entry(id).or_default().reachability = Some(reachability);
                }
            }
            Err(error) => {
                tracing::error!(?error, "sightings could not be written down");
                // The newer one wins when the printer is seen again meanwhile.
                for sighting in sightings {
                    self.sightings.entry(sighting.printer_id).or_insert(sighting);
                }
                for (id, seen) in reach {
                    self.reach.entry(id).or_insert(seen);
                }
            }
        }
    }

    fn news(&self, sightings: &[Sighting], reach: &HashMap<Uuid, (Reachability, DateTime<Utc>)>) -> Vec<NewEvent> {
        let told = |id: &Uuid| self.told.get(id).copied().unwrap_or_default();
        let reached = reach.iter().filter(|(id, (reachability, _))| {
            told(id).reachability.is_none_or(|before| is_online(before) != is_online(*reachability))
        });
        let mut events: Vec<NewEvent> = reached
            .map(|(id, (reachability, at))| {
                let kind = if is_online(*reachability) { EventType::PrinterOnline } else { EventType::PrinterOffline };
                event(kind, *id, *at, json!({"reachability": reachability, "before": told(id).reachability}))
            })
            .collect();
        let changed = sightings.iter().filter(|sighting| told(&sighting.printer_id).state != Some(sighting.state));
        events.extend(changed.map(|sighting| {
            let before: Option<PrinterState> = told(&sighting.printer_id).state;
            let data = json!({"state": sighting.state, "before": before});
            event(EventType::PrinterStateChanged, sighting.printer_id, clock::now(), data)
        }));
        events
    }
}

fn is_online(reachability: Reachability) -> bool {
    reachability == Reachability::Online
}

fn event(kind: EventType, printer_id: Uuid, at: DateTime<Utc>, data: Value) -> NewEvent {
    let data: Option<Map<String, Value>> = data.as_object().cloned();
    NewEvent { printer_id: Some(printer_id), data, ..NewEvent::new(kind, at) }
}
