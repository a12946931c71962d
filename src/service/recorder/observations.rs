//! Buffer of the newest observation of each printer that is not stored yet, and of the resulting events.

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::is_transient;
use crate::{
    clock,
    domain::{
        event::{EventType, NewEvent},
        print::PrintFact,
        state::Reachability,
    },
    fleet::recorder_queue::LatestObservations,
    storage::{
        self, Db, Error,
        printer_observations::{FeedState, PrinterObservation},
    },
};

/// Observations that wait to be stored.
#[derive(Default)]
pub(super) struct ObservationBuffer {
    observations: HashMap<Uuid, PrinterObservation>,
    reachabilities: HashMap<Uuid, (Reachability, DateTime<Utc>)>,
    /// The last published events of each printer. `None` until they are read: without them, events would be repeated.
    published: Option<HashMap<Uuid, FeedState>>,
}

impl ObservationBuffer {
    /// Adds observations. Only the newest one of each printer is kept.
    pub fn add(&mut self, observed: LatestObservations) {
        self.observations.extend(observed.observations.into_iter().map(|(printer_id, observation)| {
            let stored = PrinterObservation {
                printer_id,
                state: observation.state,
                mark: observation.mark,
                observed_at: observation.at,
                octoprint_version: observation.octoprint_version.map(|version| version.to_string()),
            };
            (printer_id, stored)
        }));
        self.reachabilities.extend(observed.reachability);
    }

    /// Updates the marks of waiting observations from stored facts, because the facts are newer.
    pub fn update_marks(&mut self, facts: &[(Uuid, PrintFact)]) {
        for (printer_id, fact) in facts {
            if let (Some((mark, at)), Some(older)) = (fact.mark(), self.observations.get_mut(printer_id)) {
                (older.mark, older.observed_at) = (mark, at);
            }
        }
    }

    /// Returns whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.observations.is_empty() && self.reachabilities.is_empty()
    }

    /// Stores the waiting observations with their events. A group that the database refuses is split until the refused
    /// printers are found. Their observations are dropped.
    ///
    /// # Errors
    /// A transient error. Observations that are not stored are kept.
    pub async fn save(&mut self, db: &Db) -> Result<(), Error> {
        if self.published.is_none() {
            self.published = Some(storage::printer_observations::last_published(db).await?);
        }
        let printers: BTreeSet<Uuid> = self.observations.keys().chain(self.reachabilities.keys()).copied().collect();
        let mut parts = vec![printers.into_iter().collect::<Vec<_>>()];
        while let Some(mut part) = parts.pop() {
            match self.write(db, &part).await {
                Ok(()) => part.iter().for_each(|printer_id| self.mark_stored(*printer_id)),
                Err(error) if is_transient(&error) => {
                    // If only the reply was lost, the events are in the feed. So the published events are read again.
                    self.published = None;
                    return Err(error);
                }
                Err(error) => match part.as_slice() {
                    [] => {}
                    [printer_id] => {
                        tracing::error!(printer.id = %printer_id, ?error, "an observation is refused and dropped");
                        self.observations.remove(printer_id);
                        self.reachabilities.remove(printer_id);
                    }
                    [_, _, ..] => {
                        let second = part.split_off(part.len() / 2);
                        parts.extend([second, part]);
                    }
                },
            }
        }
        Ok(())
    }

    async fn write(&self, db: &Db, printers: &[Uuid]) -> Result<(), Error> {
        let observations: Vec<PrinterObservation> =
            printers.iter().filter_map(|printer_id| self.observations.get(printer_id).cloned()).collect();
        let reach: Vec<(Uuid, Reachability)> = printers
            .iter()
            .filter_map(|printer_id| Some((*printer_id, self.reachabilities.get(printer_id)?.0)))
            .collect();
        storage::printer_observations::store_observations(db, &observations, &reach, &self.pending_events(printers))
            .await
    }

    /// Removes the stored observations of a printer from the buffer, and remembers their events as published.
    fn mark_stored(&mut self, printer_id: Uuid) {
        let published = self.published.get_or_insert_default().entry(printer_id).or_default();
        if let Some(observation) = self.observations.remove(&printer_id) {
            published.state = Some(observation.state);
        }
        if let Some((reachability, _)) = self.reachabilities.remove(&printer_id) {
            published.reachability = Some(reachability);
        }
    }

    fn pending_events(&self, printers: &[Uuid]) -> Vec<NewEvent> {
        let published = |printer_id: &Uuid| {
            self.published.as_ref().and_then(|published| published.get(printer_id)).copied().unwrap_or_default()
        };
        let reached = printers.iter().filter_map(|printer_id| {
            let (reachability, at) = self.reachabilities.get(printer_id)?;
            let before = published(printer_id).reachability;
            if before.is_some_and(|before| is_online(before) == is_online(*reachability)) {
                return None;
            }
            let kind = if is_online(*reachability) { EventType::PrinterOnline } else { EventType::PrinterOffline };
            Some(printer_event(kind, *printer_id, *at, json!({"reachability": reachability, "before": before})))
        });
        let changed = printers.iter().filter_map(|printer_id| {
            let state = self.observations.get(printer_id)?.state;
            let before = published(printer_id).state;
            let data = json!({"state": state, "before": before});
            (before != Some(state))
                .then(|| printer_event(EventType::PrinterStateChanged, *printer_id, clock::now(), data))
        });
        reached.chain(changed).collect()
    }
}

fn is_online(reachability: Reachability) -> bool {
    reachability == Reachability::Online
}

fn printer_event(kind: EventType, printer_id: Uuid, at: DateTime<Utc>, data: Value) -> NewEvent {
    let data: Option<Map<String, Value>> = data.as_object().cloned();
    NewEvent { printer_id: Some(printer_id), data, ..NewEvent::new(kind, at) }
}
