//! The recorder stores observations of actors and facts about prints.
//!
//! Facts are stored at once; facts that arrive meanwhile form the next group. Observations are stored once a second.

mod observations;
mod status;

use std::{collections::BTreeMap, time::Duration};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use tokio::{
    sync::{oneshot, watch},
    time::{MissedTickBehavior, interval, sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub use self::status::RecorderStatus;

use self::observations::ObservationBuffer;
use crate::{
    clock,
    domain::{
        audit::{Action, ActorKind, AuditEntry},
        event::NewEvent,
        print::{self, PrintFact, PrintResult},
    },
    fleet::{message::RecorderMessage, recorder_queue::RecorderQueue},
    storage::{self, Db, Error},
};

/// Interval at which observations are stored. Of each printer, only the last one in an interval is stored.
const STORE_INTERVAL: Duration = Duration::from_secs(1);
/// Maximum number of messages in one transaction. SQLite has one writer, so an outcome waits for at most one of these.
const MAX_GROUP: usize = 128;
/// Longest wait of a transaction of facts while the dispatcher stores outcomes. Outcomes have priority.
const MAX_OUTCOME_WAIT: Duration = Duration::from_millis(50);
/// Pause between attempts while the database is unavailable.
const RETRY_PAUSE: Duration = Duration::from_millis(200);
/// Time limit for the remaining writes after `stop`.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);

/// Runs until `stop` is cancelled, then stores the rest within 5 s.
///
/// `storing` is true while the dispatcher stores requests to send or outcomes.
pub async fn run(
    db: Db,
    queue: RecorderQueue,
    storing: watch::Receiver<bool>,
    status: RecorderStatus,
    stop: CancellationToken,
) {
    let observations = ObservationBuffer::default();
    let recorder = Recorder { db, queue: queue.clone(), storing, status, observations };
    let too_late = async {
        stop.cancelled().await;
        sleep(SHUTDOWN_TIMEOUT).await;
    };
    tokio::select! {
        () = recorder.work(&stop) => {}
        () = too_late => {
            let facts = queue.backlog().facts;
            tracing::error!(facts, "the server stops before all facts about prints are stored");
        }
    }
}

struct Recorder {
    db: Db,
    queue: RecorderQueue,
    storing: watch::Receiver<bool>,
    status: RecorderStatus,
    observations: ObservationBuffer,
}

impl Recorder {
    async fn work(mut self, stop: &CancellationToken) {
        let mut flush = interval(STORE_INTERVAL);
        flush.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                group = self.queue.take(MAX_GROUP) => self.store_group(group).await,
                _ = flush.tick() => drop(self.store_observations().await),
            }
        }
        self.queue.close();
        while self.store_observations().await.is_err() {
            sleep(RETRY_PAUSE).await;
        }
    }

    /// Stores a group in order, and tries again while the database is unavailable. A part that the database refuses is
    /// split until the refused fact is found. Only that fact is dropped.
    async fn store_group(&mut self, group: Vec<RecorderMessage>) {
        let (mut parts, replies) = build_writes(group);
        let mut is_repeated = false;
        if !parts.is_empty() {
            let _ = timeout(MAX_OUTCOME_WAIT, self.storing.wait_for(|is_storing| !is_storing)).await;
        }
        while let Some(part) = parts.pop() {
            match part.write(&self.db, std::mem::take(&mut is_repeated)).await {
                Ok(()) => {
                    self.record_result(&Ok(()));
                    if let WriteContent::Facts(facts) = &part.content {
                        self.observations.update_marks(facts);
                    }
                }
                Err(error) if is_transient(&error) => {
                    self.record_result(&Err(error));
                    parts.push(part);
                    is_repeated = true;
                    sleep(RETRY_PAUSE).await;
                }
                Err(error) => parts.extend(part.split(&error)),
            }
        }
        self.queue.mark_stored();
        for reply in replies {
            // The caller may have stopped waiting.
            let _ = reply.send(());
        }
    }

    /// Stores the waiting facts and then the observations. The mark of an observation belongs to a print, so the print
    /// is stored first.
    async fn store_observations(&mut self) -> Result<(), Error> {
        loop {
            let group = self.queue.try_take(MAX_GROUP);
            let is_last = group.len() < MAX_GROUP;
            self.store_group(group).await;
            if is_last {
                break;
            }
        }
        self.observations.add(self.queue.take_observed());
        if self.observations.is_empty() {
            return Ok(());
        }
        let result = self.observations.save(&self.db).await;
        self.record_result(&result);
        result
    }

    /// Records whether a write failed. Logs only the first failure and the recovery.
    fn record_result(&self, result: &Result<(), Error>) {
        match (result, self.status.set_failed(result.is_err())) {
            (Err(error), false) => tracing::error!(?error, "observations cannot be stored; the recorder tries again"),
            (Ok(()), true) => tracing::info!("observations are stored again"),
            (Err(_), true) | (Ok(()), false) => {}
        }
    }
}

/// Returns whether the write must be kept and repeated. Either it may succeed later, or another server has taken over
/// and this process ends soon.
fn is_transient(error: &Error) -> bool {
    error.is_transient() || matches!(error, Error::Superseded)
}

/// Content of one transaction.
struct RecorderWrite {
    /// Id of the last event that the transaction appends to the feed.
    id: Uuid,
    content: WriteContent,
}

enum WriteContent {
    Facts(Vec<(Uuid, PrintFact)>),
    Noisy(NewEvent),
}

impl From<WriteContent> for RecorderWrite {
    fn from(content: WriteContent) -> Self {
        Self { id: clock::new_id(), content }
    }
}

/// Returns the parts of a group, the last one first, and the reply channels of its flush messages.
fn build_writes(group: Vec<RecorderMessage>) -> (Vec<RecorderWrite>, Vec<oneshot::Sender<()>>) {
    let (mut contents, mut replies) = (Vec::new(), Vec::new());
    for message in group {
        match message {
            RecorderMessage::Print { printer_id, fact } => match contents.last_mut() {
                Some(WriteContent::Facts(facts)) => facts.push((printer_id, fact)),
                Some(WriteContent::Noisy(_)) | None => contents.push(WriteContent::Facts(vec![(printer_id, fact)])),
            },
            RecorderMessage::Noisy { printer_id, noisy } => {
                contents.push(WriteContent::Noisy(NewEvent::from_merged_facts(printer_id, &noisy)));
            }
            RecorderMessage::Flush(reply) => replies.push(reply),
        }
    }
    (contents.into_iter().rev().map(RecorderWrite::from).collect(), replies)
}

impl RecorderWrite {
    /// Stores the part. A repeated write stores nothing if the first one was committed and only its reply was lost.
    async fn write(&self, db: &Db, is_repeated: bool) -> Result<(), Error> {
        if is_repeated && storage::events::contains_recent(db, self.id).await? {
            return Ok(());
        }
        match &self.content {
            WriteContent::Facts(facts) => {
                storage::print_facts::store_facts(db, self.id, facts, &audit_entries(facts, clock::now())).await
            }
            WriteContent::Noisy(event) => storage::events::append_single(db, event, self.id).await,
        }
    }

    /// Splits a part that the database refuses; the second half comes first. A part with a single fact is dropped.
    fn split(self, error: &Error) -> Vec<Self> {
        match self.content {
            WriteContent::Facts(mut facts) if facts.len() > 1 => {
                let second = facts.split_off(facts.len() / 2);
                vec![WriteContent::Facts(second).into(), WriteContent::Facts(facts).into()]
            }
            WriteContent::Facts(facts) => {
                for (printer_id, fact) in facts {
                    let print_id = fact.id();
                    tracing::error!(printer.id = %printer_id, print.id = %print_id, ?error, "a fact about a print is refused and dropped");
                }
                Vec::new()
            }
            WriteContent::Noisy(event) => {
                let printer_id = event.printer_id;
                tracing::error!(printer.id = ?printer_id, ?error, "a summary of prints is refused and dropped");
                Vec::new()
            }
        }
    }
}

/// Returns audit entries for changes that no command caused, one for each action in a group. The successful end of a
/// print has no entry, because the list of prints shows it.
fn audit_entries(prints: &[(Uuid, PrintFact)], at: DateTime<Utc>) -> Vec<AuditEntry> {
    let mut entries: BTreeMap<Action, AuditEntry> = BTreeMap::new();
    for (printer_id, fact) in prints {
        let (action, id, by, file, end) = match fact {
            PrintFact::Began { id, by, file, .. } => (Action::PrintStarted, id, by, file.as_ref(), None),
            PrintFact::Paused { id, by } => (Action::PrintPaused, id, by, None, None),
            PrintFact::Resumed { id, by } => (Action::PrintResumed, id, by, None, None),
            PrintFact::PauseCredited { .. }
            | PrintFact::Stalled { .. }
            | PrintFact::Ended { result: PrintResult::Done, .. } => continue,
            PrintFact::Ended { id, by, result, reason, .. } => {
                (Action::PrintEnded, id, by, None, Some((result, reason.as_deref())))
            }
        };
        if by.kind == print::ActorKind::Command {
            continue;
        }
        let entry = entries.entry(action).or_insert_with(|| {
            let entry = AuditEntry::without_request(ActorKind::Printer, action, at);
            AuditEntry { changes: [("prints".to_owned(), json!([]))].into_iter().collect(), ..entry }
        });
        let mut change = json!({"id": id, "printer_id": printer_id, "by": by.kind});
        if let Some(file) = file {
            change["file"] = json!(file.path);
        }
        if let Some((result, reason)) = end {
            change["result"] = json!(result);
            if let Some(reason) = reason {
                change["reason"] = json!(reason);
            }
        }
        entry.printer_ids.push(*printer_id);
        if let Some(list) = entry.changes.get_mut("prints").and_then(Value::as_array_mut) {
            list.push(change);
        }
    }
    entries.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        command::FileRef,
        print::{JobMark, PrintActor},
    };

    #[test]
    fn changes_without_a_command_get_one_audit_entry_for_each_action() {
        let (at, n) = (DateTime::UNIX_EPOCH, Uuid::from_u128);
        let began = |id: u128, by: PrintActor| {
            let file = Some(FileRef { path: "a.gcode".into(), origin: "local".into() });
            (n(100 + id), PrintFact::Began { id: n(id), file, at, by })
        };
        let ended = |id: u128, result: PrintResult, by: PrintActor| {
            (
                n(100 + id),
                PrintFact::Ended {
                    id: n(id),
                    at,
                    result,
                    reason: Some("M112".into()),
                    by,
                    mark_after: JobMark::default(),
                },
            )
        };
        let facts = [
            began(1, PrintActor::command(n(9))),
            began(2, PrintActor::printer()),
            began(3, PrintActor::unknown()),
            ended(1, PrintResult::Done, PrintActor::printer()),
            ended(2, PrintResult::Cancelled, PrintActor::command(n(9))),
            ended(3, PrintResult::Failed, PrintActor::printer()),
            (n(104), PrintFact::Paused { id: n(4), by: PrintActor::command(n(9)) }),
        ];
        let entries = audit_entries(&facts, at);
        let summary: Vec<_> = entries.iter().map(|entry| (entry.action, entry.printer_ids.clone())).collect();
        assert_eq!(summary, [(Action::PrintStarted, vec![n(102), n(103)]), (Action::PrintEnded, vec![n(103)])]);
        assert_eq!(entries[0].changes["prints"][0]["file"], "a.gcode");
        assert_eq!(entries[0].changes["prints"][1]["by"], "unknown");
        assert_eq!(
            (&entries[1].changes["prints"][0]["result"], &entries[1].changes["prints"][0]["reason"]),
            (&json!("failed"), &json!("M112"))
        );
    }
}
