//! Ends commands: records each end in the command log and removes the command from memory. Then the printer queues and
//! batches continue.

use std::collections::HashSet;

use serde_json::json;
use uuid::Uuid;

use super::{
    Dispatcher,
    active_batches::ActiveBatch,
    is_failure, log_storage_error,
    retry::{GroupPart, RowGroup},
};
use crate::{
    clock,
    domain::{
        audit::{Action, ActorKind, AuditEntry, object_fields},
        batch::{BatchState, OnFailure},
        command::{CommandRow, Outcome, Reason},
        command_report::CommandReport,
        message::Message,
    },
    fleet::ActorUnavailable,
    storage::{self, batches::StopResult, commands},
};

impl Dispatcher {
    pub(super) async fn end_queued(&mut self, ids: &[Uuid], outcome: Outcome, reason: Reason) {
        self.end_rows(ids, outcome, Some(reason), None).await;
    }

    /// Ends those rows that are still queued in the command log. The others take their state from the log. `detail` is set
    /// where it says more than the reason.
    pub(super) async fn end_rows(
        &mut self,
        ids: &[Uuid],
        outcome: Outcome,
        reason: Option<Reason>,
        detail: Option<&Message>,
    ) {
        let mut group = RowGroup::new(ids.to_vec());
        while let Some(part) = self
            .next_part("end of commands", &mut group, |ids| async {
                let ended = commands::end_queued(&self.db, &ids, outcome, reason, detail, clock::now()).await;
                (ids, ended)
            })
            .await
        {
            match part {
                GroupPart::Done(ids, changed) => {
                    let ended: Vec<Uuid> = changed.iter().map(|row| row.id).collect();
                    for id in &ended {
                        if let Some(row) = self.rows.get_mut(id) {
                            (row.outcome, row.reason, row.detail) = (outcome, reason, detail.cloned());
                        }
                    }
                    self.drop_commands(&ended);
                    self.remove_ended(&ended, Some(outcome)).await;
                    let ended: HashSet<Uuid> = ended.into_iter().collect();
                    let others: Vec<Uuid> = ids.into_iter().filter(|id| !ended.contains(id)).collect();
                    self.sync_with_log(&others).await;
                }
                GroupPart::Refused(id) => self.end_as_not_recorded(vec![id.into()]).await,
            }
        }
    }

    /// Ends a row in any state, with the same statement as an actor's report.
    pub(super) async fn end_now(&mut self, id: Uuid, outcome: Outcome, reason: Reason) {
        let report = CommandReport { reason: Some(reason), ..CommandReport::new(id, outcome, clock::now()) };
        let report = self.with_row(report);
        self.write_reports(vec![report]).await;
    }

    /// Removes rows that have ended in the command log. Their printers' queues continue, and their batches may end.
    pub(super) async fn remove_ended(&mut self, ids: &[Uuid], outcome: Option<Outcome>) {
        if ids.is_empty() {
            return;
        }
        let mut batches = HashSet::new();
        let mut failed = HashSet::new();
        let mut next = Vec::new();
        let all: HashSet<Uuid> = ids.iter().copied().collect();
        let mut ended = Vec::with_capacity(ids.len());
        for active in self.active_batches.values_mut() {
            let before = active.queued.len();
            ended.extend(active.queued.iter().filter(|row| all.contains(&row.id)).cloned());
            active.queued.retain(|row| !all.contains(&row.id));
            if active.queued.len() != before {
                batches.insert(active.batch.id);
            }
        }
        self.unrecorded.retain(|unrecorded| !all.contains(&unrecorded.id));
        for id in ids {
            let Some(row) = self.rows.remove(id) else { continue };
            batches.insert(row.batch_id);
            if let Some(active) = self.active_batches.get_mut(&row.batch_id) {
                active.open.remove(id);
            }
            if outcome.is_some_and(is_failure) {
                failed.insert(row.batch_id);
            }
            next.extend(self.printer_queues.end_command(row.printer_id, *id));
            ended.push(row);
        }
        self.publish_ended(ended, outcome);
        for ticket in next {
            self.deliver(ticket.command_id).await;
        }
        self.stop_failed_batches(failed.into_iter().collect()).await;
        self.close_if_over(batches.into_iter().collect()).await;
    }

    /// Publishes how the last command of each printer ended.
    fn publish_ended(&self, ended: Vec<CommandRow>, outcome: Option<Outcome>) {
        let at = clock::now();
        let final_rows = ended.into_iter().map(|mut row| {
            if !row.outcome.is_final() {
                row.outcome = outcome.unwrap_or(Outcome::Skipped);
            }
            row.finished_at = row.finished_at.or(Some(at));
            row
        });
        self.fleet.view().show_commands(final_rows);
    }

    /// Makes actors drop commands that have ended in the command log. If an actor requests a permit first, the log
    /// refuses it.
    pub(super) fn drop_commands(&mut self, ids: &[Uuid]) {
        for row in ids.iter().filter_map(|id| self.rows.get(id)) {
            if self.fleet.drop_command(row.printer_id, row.id) == Err(ActorUnavailable::Busy) {
                self.pending_drops.push((row.printer_id, row.id));
            }
        }
    }

    /// Stops the batches that have `on_failure: stop`.
    pub(super) async fn stop_failed_batches(&mut self, batches: Vec<Uuid>) {
        for id in batches {
            let Some(active) = self.active_batches.get_mut(&id) else { continue };
            if active.batch.spec.on_failure != OnFailure::Stop || active.batch.state == BatchState::Stopped {
                continue;
            }
            // Nothing more is released until the stop is in the log. The next tick tries again.
            active.stopping = true;
            let stopped = self.retry("stop of a batch", || self.commit_stop(id)).await;
            match stopped {
                Ok(stopped) => {
                    let skipped = stopped.map(|stopped| stopped.skipped).unwrap_or_default();
                    self.drop_commands(&skipped);
                    Box::pin(self.remove_ended(&skipped, None)).await;
                    // Another stop may have skipped rows, or an earlier attempt of this one whose reply was lost.
                    Box::pin(self.sync_batch_with_log(id)).await;
                }
                Err(error) => log_storage_error("stop of a batch", &error),
            }
        }
    }

    pub(super) async fn commit_stop(&self, id: Uuid) -> Result<Option<StopResult>, storage::Error> {
        let now = clock::now();
        let changes = object_fields(&json!({"on_failure": OnFailure::Stop}));
        let entry = AuditEntry::without_request(ActorKind::Scheduler, Action::BatchStopped, now);
        storage::batches::stop(&self.db, id, now, &AuditEntry { subject: Some(id), changes, ..entry }).await
    }

    /// Removes batches that have ended from memory.
    pub(super) fn drop_finished(&mut self, batches: &[Uuid]) {
        for id in batches {
            self.active_batches.remove(id);
        }
        self.handle.open.remove(batches);
    }

    /// Marks batches as finished if all their rows are final, and publishes that the given batches changed.
    pub(super) async fn close_if_over(&mut self, batches: Vec<Uuid>) {
        let is_over = |id: &Uuid| self.active_batches.get(id).is_some_and(ActiveBatch::is_over);
        let mut group = RowGroup::new(batches.iter().copied().filter(is_over).collect());
        while let Some(part) = self
            .next_part("end of batches", &mut group, |over| async {
                let finished = storage::batches::finish_ended(&self.db, &over, clock::now()).await;
                (over, finished)
            })
            .await
        {
            match part {
                // If the log does not mark a batch as finished, it has a row that memory lacks. The batch is loaded
                // again.
                GroupPart::Done(over, _) => self.drop_finished(&over),
                // The next tick tries again.
                GroupPart::Refused(_) => {}
            }
        }
        for id in batches {
            // `send` fails if no request follows the batch. That is harmless.
            let _ = self.handle.changed.send(id);
        }
    }
}
