//! The recorder: it writes down what actors see, in groups: prints and plates at once where somebody waits for them and
//! within a moment otherwise, sightings once a second.

mod seen;
mod status;

use std::{collections::BTreeMap, time::Duration};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub use self::status::RecorderStatus;

use self::seen::Seen;
use crate::{
    clock,
    domain::{
        audit::{Action, ActorKind, Entry},
        print::{self, PrintFact, PrintResult},
    },
    fleet::message::Fact,
    storage::{self, Db},
};

/// Sightings of one printer within this are written as one.
const COALESCE: Duration = Duration::from_secs(1);
/// Facts that are taken at once.
const GROUP: usize = 1_024;
/// What happens to prints waits this long for company: a farm that starts at once is a few statements instead of
/// thousands, and the ledger's own writes go before.
const GATHER: Duration = Duration::from_millis(100);
/// Attempts to write a group while the database does not answer.
const ATTEMPTS: u32 = 50;

/// Runs until `stop` falls, then writes what is left.
pub async fn run(db: Db, mut facts: mpsc::Receiver<Fact>, status: RecorderStatus, stop: CancellationToken) {
    let mut seen = Seen::since_before(&db).await;
    let mut group = Vec::with_capacity(GROUP);
    let (mut prints, mut prints_due) = (Vec::new(), Instant::now());
    let mut flush = tokio::time::interval(COALESCE);
    flush.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            n = facts.recv_many(&mut group, GROUP) => {
                if n == 0 {
                    break;
                }
                if prints.is_empty() {
                    prints_due = Instant::now() + GATHER;
                }
                let barriers = seen.sort(&mut group, &mut prints);
                if !barriers.is_empty() || prints.len() >= GROUP {
                    write(&db, &mut prints, &status).await;
                }
                for barrier in barriers {
                    // Whoever waited may have gone.
                    let _ = barrier.send(());
                }
            }
            () = sleep_until(prints_due), if !prints.is_empty() => write(&db, &mut prints, &status).await,
            _ = flush.tick() => seen.save(&db).await,
        }
    }
    while let Ok(fact) = facts.try_recv() {
        group.push(fact);
    }
    seen.sort(&mut group, &mut prints);
    write(&db, &mut prints, &status).await;
    seen.save(&db).await;
}

async fn write(db: &Db, prints: &mut Vec<(Uuid, PrintFact)>, status: &RecorderStatus) {
    let prints = std::mem::take(prints);
    if prints.is_empty() {
        return;
    }
    let entries = unasked(&prints, clock::now());
    for _ in 0..ATTEMPTS {
        match storage::sights::record(db, &prints, &entries).await {
            Ok(()) => {
                status.set_failed(false);
                return;
            }
            Err(error) => {
                status.set_failed(true);
                tracing::error!(?error, prints = prints.len(), "prints could not be written down");
            }
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// What the audit is told: what no command of ours brought about, one entry for each kind of thing and group. That a print
/// is done is no change that anybody made, and stands with the prints.
fn unasked(prints: &[(Uuid, PrintFact)], at: DateTime<Utc>) -> Vec<Entry> {
    let mut entries: BTreeMap<Action, Entry> = BTreeMap::new();
    for (printer_id, fact) in prints {
        let (action, id, by, file, end) = match fact {
            PrintFact::Began { id, by, file, .. } => (Action::PrintStarted, id, by, file.as_ref(), None),
            PrintFact::Paused { id, by } => (Action::PrintPaused, id, by, None, None),
            PrintFact::Resumed { id, by } => (Action::PrintResumed, id, by, None, None),
            PrintFact::Stalled { .. } | PrintFact::Ended { result: PrintResult::Done, .. } => continue,
            PrintFact::Ended { id, by, result, reason, .. } => {
                (Action::PrintEnded, id, by, None, Some((result, reason.as_deref())))
            }
        };
        if by.kind == print::ActorKind::Command {
            continue;
        }
        let entry = entries.entry(action).or_insert_with(|| {
            let entry = Entry::unasked(ActorKind::Printer, action, at);
            Entry { changes: [("prints".to_owned(), json!([]))].into_iter().collect(), ..entry }
        });
        let mut told = json!({"id": id, "printer_id": printer_id, "by": by.kind});
        if let Some(file) = file {
            told["file"] = json!(file.path);
        }
        if let Some((result, reason)) = end {
            told["result"] = json!(result);
            if let Some(reason) = reason {
                told["reason"] = json!(reason);
            }
        }
        entry.printer_ids.push(*printer_id);
        if let Some(list) = entry.changes.get_mut("prints").and_then(Value::as_array_mut) {
            list.push(told);
        }
    }
    entries.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{command::FileRef, print::By};

    #[test]
    fn what_commands_did_is_told_by_their_batch_and_the_rest_in_one_entry_for_each_kind() {
        let (at, n) = (DateTime::UNIX_EPOCH, Uuid::from_u128);
        let began = |id: u128, by: By| {
            let file = Some(FileRef { path: "a.gcode".into(), origin: "local".into() });
            (n(100 + id), PrintFact::Began { id: n(id), file, at, by })
        };
        let ended = |id: u128, result: PrintResult, by: By| {
            (n(100 + id), PrintFact::Ended { id: n(id), at, result, reason: Some("M112".into()), by })
        };
        let facts = [
            began(1, By::command(n(9))),
            began(2, By::printer()),
            began(3, By::unknown()),
            ended(1, PrintResult::Done, By::printer()),
            ended(2, PrintResult::Cancelled, By::command(n(9))),
            ended(3, PrintResult::Failed, By::printer()),
            (n(104), PrintFact::Paused { id: n(4), by: By::command(n(9)) }),
        ];
        let entries = unasked(&facts, at);
        let told: Vec<_> = entries.iter().map(|entry| (entry.action, entry.printer_ids.clone())).collect();
        assert_eq!(told, [(Action::PrintStarted, vec![n(102), n(103)]), (Action::PrintEnded, vec![n(103)])]);
        assert_eq!(entries[0].changes["prints"][0]["file"], "a.gcode");
        assert_eq!(entries[0].changes["prints"][1]["by"], "unknown");
        assert_eq!(
            (&entries[1].changes["prints"][0]["result"], &entries[1].changes["prints"][0]["reason"]),
            (&json!("failed"), &json!("M112"))
        );
    }
}
