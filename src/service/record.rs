//! The recorder: it writes down what actors see. Prints and plates as soon as the database is free, sightings once a
//! second, both in groups.

use std::{collections::HashMap, time::Duration};

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    domain::print::PrintFact,
    fleet::message::Fact,
    storage::{self, Db, sightings::Sighting},
};

/// Sightings of one printer within this are written as one.
const COALESCE: Duration = Duration::from_secs(1);
/// Facts that are taken at once.
const GROUP: usize = 1_024;
/// Between groups of prints: a farm that starts at once is a few statements instead of thousands, and the ledger's
/// own writes go before.
const PAUSE: Duration = Duration::from_millis(25);
/// Attempts to write a group while the database does not answer.
const ATTEMPTS: u32 = 50;

/// Runs until `stop` falls, then writes what is left.
pub async fn run(db: Db, mut facts: mpsc::Receiver<Fact>, stop: CancellationToken) {
    let mut sightings: HashMap<Uuid, Sighting> = HashMap::new();
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
                let (prints, barriers) = sort(&mut group, &mut sightings);
                write(&db, &prints).await;
                for barrier in barriers {
                    // Whoever waited may have gone.
                    let _ = barrier.send(());
                }
                if prints.len() > 1 {
                    tokio::time::sleep(PAUSE).await;
                }
            }
            _ = flush.tick() => save(&db, &mut sightings).await,
        }
    }
    while let Ok(fact) = facts.try_recv() {
        group.push(fact);
    }
    let (prints, _) = sort(&mut group, &mut sightings);
    write(&db, &prints).await;
    save(&db, &mut sightings).await;
}

/// Tells prints, which are returned in their order, from sightings, of which the last one counts, and from those who
/// wait for both.
fn sort(
    group: &mut Vec<Fact>,
    sightings: &mut HashMap<Uuid, Sighting>,
) -> (Vec<(Uuid, PrintFact)>, Vec<oneshot::Sender<()>>) {
    let (mut prints, mut barriers) = (Vec::new(), Vec::new());
    for fact in group.drain(..) {
        match fact {
            Fact::Barrier(reply) => barriers.push(reply),
            Fact::Print { printer_id, fact } => prints.push((printer_id, fact)),
            Fact::Seen { printer_id, state, mark, at, octoprint_version } => {
                let octoprint_version = octoprint_version.map(|version| version.to_string());
                sightings.insert(printer_id, Sighting { printer_id, state, mark, observed_at: at, octoprint_version });
            }
        }
    }
    (prints, barriers)
}

async fn write(db: &Db, prints: &[(Uuid, PrintFact)]) {
    if prints.is_empty() {
        return;
    }
    for _ in 0..ATTEMPTS {
        match storage::sights::record(db, prints).await {
            Ok(()) => return,
            Err(error) => tracing::error!(?error, prints = prints.len(), "prints could not be written down"),
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
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
