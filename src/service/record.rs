//! The recorder: it writes down what actors see, prints and plates at once, sightings in groups.

use std::{collections::HashMap, time::Duration};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    domain::print::{Print, PrintFact},
    fleet::message::Fact,
    storage::{self, Db, sightings::Sighting},
};

/// Sightings of one printer within this are written as one.
const COALESCE: Duration = Duration::from_secs(1);
/// Facts that are taken at once.
const GROUP: usize = 1_024;
/// Attempts to write one fact while the database does not answer.
const ATTEMPTS: u32 = 50;

/// Runs until `stop` falls, then writes what is left.
pub async fn run(db: Db, mut facts: mpsc::Receiver<Fact>, stop: CancellationToken) {
    let mut pending: HashMap<Uuid, Sighting> = HashMap::new();
    let mut group = Vec::with_capacity(GROUP);
    let mut flush = tokio::time::interval(COALESCE);
    flush.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            n = facts.recv_many(&mut group, GROUP) => {
                if n == 0 {
                    break;
                }
                for fact in group.drain(..) {
                    take(&db, fact, &mut pending).await;
                }
            }
            _ = flush.tick() => save(&db, &mut pending).await,
        }
    }
    while let Ok(fact) = facts.try_recv() {
        take(&db, fact, &mut pending).await;
    }
    save(&db, &mut pending).await;
}

async fn take(db: &Db, fact: Fact, pending: &mut HashMap<Uuid, Sighting>) {
    match fact {
        Fact::Seen { printer_id, state, mark, at, octoprint_version } => {
            pending.insert(printer_id, Sighting { printer_id, state, mark, observed_at: at, octoprint_version });
        }
        Fact::Print { printer_id, fact } => {
            let mut attempts = 0;
            while let Err(error) = write(db, printer_id, &fact).await {
                attempts += 1;
                tracing::error!(printer.id = %printer_id, ?error, "a print could not be written down");
                if attempts >= ATTEMPTS {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    }
}

async fn write(db: &Db, printer_id: Uuid, fact: &PrintFact) -> Result<(), storage::Error> {
    match fact {
        PrintFact::Began { id, file, at, by } => {
            let print = Print {
                id: *id,
                printer_id,
                file: file.clone(),
                started_at: *at,
                ended_at: None,
                result: None,
                reason: None,
                started_by: *by,
                paused_by: None,
            };
            storage::prints::begin(db, &print).await?;
            storage::plates::occupy(db, printer_id, *id, *at).await
        }
        PrintFact::Paused { id, by } => storage::prints::set_paused_by(db, *id, Some(*by)).await.map(drop),
        PrintFact::Resumed { id } => storage::prints::set_paused_by(db, *id, None).await.map(drop),
        PrintFact::Ended { id, at, result, reason } => {
            storage::prints::end(db, *id, *at, *result, reason.as_deref()).await.map(drop)
        }
    }
}

async fn save(db: &Db, pending: &mut HashMap<Uuid, Sighting>) {
    if pending.is_empty() {
        return;
    }
    let sightings: Vec<Sighting> = pending.drain().map(|(_, sighting)| sighting).collect();
    if let Err(error) = storage::sightings::save(db, &sightings).await {
        tracing::error!(?error, "sightings could not be written down");
        // The newer one wins when the printer is seen again meanwhile.
        for sighting in sightings {
            pending.entry(sighting.printer_id).or_insert(sighting);
        }
    }
}
