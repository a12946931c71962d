//! Compares the dispatcher's memory with the command log, and applies the state from the log.

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};

use chrono::TimeDelta;
use uuid::Uuid;

use super::{
    Dispatcher, TICK,
    retry::{GroupPart, RowGroup},
};
use crate::{
    clock,
    domain::{
        batch::BatchState,
        command::{CommandRow, Outcome, Reason},
        command_report::CommandReport,
        message::Message,
    },
    fleet::in_flight::MOVING_LIMIT,
    storage::{self, commands},
};

/// Time after their expiry at which commands are compared with the log, and interval of this comparison.
const OVERDUE_AFTER: Duration = Duration::from_secs(10);
/// Maximum number of refused ends in one attempt.
const MAX_ENDS_AT_ONCE: usize = 100;
/// Longest pause between attempts to record a refused end.
const MAX_RECORD_PAUSE: Duration = Duration::from_secs(60);

/// The end of a command that the database refuses. It stays in memory and is tried again. Meanwhile the command blocks
/// its printer's queue, except for a cancel.
#[derive(Debug)]
pub(super) struct UnrecordedEnd {
    pub id: Uuid,
    /// The report to record. `None`: the permit was refused, or the row cannot be read.
    pub report: Option<CommandReport>,
}

impl From<Uuid> for UnrecordedEnd {
    fn from(id: Uuid) -> Self {
        Self { id, report: None }
    }
}

impl Dispatcher {
    /// Counts the unfinished batches of the command log for their principals. An unreadable batch does not count.
    pub async fn count_unfinished(&self) -> Result<(), storage::Error> {
        for batch in storage::batches::list_unfinished(&self.db).await?.into_iter().filter_map(|(_, batch)| batch.ok())
        {
            self.handle.open.add(&batch);
        }
        Ok(())
    }

    /// Ends commands whose rows the database refuses, with a statement that stores no data from the printer. The outcome
    /// is `rejected` if nothing was sent, and `unknown` otherwise. An end that is refused again is tried later.
    pub(super) async fn end_as_not_recorded(&mut self, ends: Vec<UnrecordedEnd>) {
        let mut group = RowGroup::new(ends);
        while let Some(part) = self
            .next_part("commands that are not recorded", &mut group, |ends: Vec<UnrecordedEnd>| async {
                let ids: Vec<Uuid> = ends.iter().map(|end| end.id).collect();
                let ended = commands::end_not_recorded(&self.db, &ids, clock::now()).await;
                (ends, ended)
            })
            .await
        {
            match part {
                GroupPart::Done(ends, stored) => {
                    let mut by_outcome: HashMap<Option<Outcome>, Vec<Uuid>> = HashMap::new();
                    for UnrecordedEnd { id, .. } in ends {
                        let outcome = stored.get(&id).copied();
                        if let (Some(row), Some(outcome)) = (self.rows.get_mut(&id), outcome) {
                            (row.outcome, row.reason, row.detail) = (outcome, Some(Reason::NotRecorded), None);
                        }
                        by_outcome.entry(outcome).or_default().push(id);
                    }
                    for (outcome, ids) in by_outcome {
                        tracing::error!(commands = ?ids, ?outcome, "commands ended as not recorded");
                        self.drop_commands(&ids);
                        self.remove_ended(&ids, outcome).await;
                    }
                }
                GroupPart::Refused(end) if self.unrecorded.iter().all(|other| other.id != end.id) => {
                    self.unrecorded.push_back(end);
                }
                GroupPart::Refused(_) => {}
            }
        }
    }

    /// Tries to record refused ends again, if an attempt is due.
    pub(super) async fn retry_unrecorded(&mut self) {
        let (due, pause) = self.next_record_attempt;
        if self.unrecorded.is_empty() || Instant::now() < due {
            return;
        }
        let before = self.unrecorded.len();
        let tried: Vec<UnrecordedEnd> = self.unrecorded.drain(..before.min(MAX_ENDS_AT_ONCE)).collect();
        let (reports, others): (Vec<_>, Vec<_>) = tried.into_iter().partition(|end| end.report.is_some());
        self.write_reports(reports.into_iter().filter_map(|end| end.report).collect()).await;
        self.end_as_not_recorded(others).await;
        let pause = if self.unrecorded.len() < before { TICK } else { MAX_RECORD_PAUSE.min(pause * 2) };
        self.next_record_attempt = (Instant::now() + pause, pause);
    }

    /// Reads rows of the command log. The second list contains the ids of unreadable rows.
    pub(super) async fn read_rows(&self, ids: &[Uuid]) -> (HashMap<Uuid, CommandRow>, Vec<Uuid>) {
        let (mut rows, mut unreadable) = (HashMap::new(), Vec::new());
        let mut group = RowGroup::new(ids.to_vec());
        while let Some(part) = self
            .next_part("commands", &mut group, |ids| async {
                let rows = commands::get_many(&self.db, &ids).await;
                (ids, rows)
            })
            .await
        {
            match part {
                GroupPart::Done(_, found) => rows.extend(found.into_iter().map(|row| (row.id, row))),
                GroupPart::Refused(id) => unreadable.push(id),
            }
        }
        (rows, unreadable)
    }

    /// Reads commands again, and applies the state in the command log. Ended commands are removed. Commands that were
    /// sent without the dispatcher's knowledge go to their actors, which settle them.
    pub(super) async fn sync_with_log(&mut self, ids: &[Uuid]) {
        self.apply_log(ids, false).await;
    }

    /// Reads commands again, and hands the open ones to their actors. An actor ignores a command that it already has.
    pub(super) async fn redeliver_open(&mut self, ids: &[Uuid]) {
        self.apply_log(ids, true).await;
    }

    async fn apply_log(&mut self, ids: &[Uuid], redelivers: bool) {
        if ids.is_empty() {
            return;
        }
        let (mut stored, unreadable) = self.read_rows(ids).await;
        let mut ended: HashMap<Option<Outcome>, Vec<Uuid>> = HashMap::new();
        for row in self.active_batches.values_mut().flat_map(|active| active.queued.iter_mut()) {
            if let Some(stored) = stored.get(&row.id).filter(|stored| stored.outcome.is_final()) {
                row.clone_from(stored);
            }
        }
        let mut redelivered = Vec::new();
        for id in ids.iter().filter(|id| !unreadable.contains(id)) {
            let Some(row) = stored.remove(id) else {
                ended.entry(None).or_default().push(*id);
                continue;
            };
            if row.outcome.is_final() {
                // A stop or a removal does not count as a failure of the batch.
                let is_withdrawn = matches!(row.reason, Some(Reason::BatchStopped | Reason::PrinterRemoved));
                ended.entry(Some(row.outcome).filter(|_| !is_withdrawn)).or_default().push(*id);
                if let Some(known) = self.rows.get_mut(id) {
                    *known = row;
                }
            } else if let Some(known) = self.rows.get_mut(id)
                && (redelivers || (known.outcome == Outcome::Queued && row.outcome != Outcome::Queued))
            {
                if row.outcome != Outcome::Queued {
                    self.printer_queues.mark_sent(row.printer_id, *id);
                }
                *known = row;
                redelivered.push(*id);
            }
        }
        for (outcome, ids) in ended {
            self.drop_commands(&ids);
            Box::pin(self.remove_ended(&ids, outcome)).await;
        }
        for id in redelivered {
            self.deliver(id).await;
        }
        let unreadable = unreadable.into_iter().map(UnrecordedEnd::from).collect();
        Box::pin(self.end_as_not_recorded(unreadable)).await;
    }

    /// Compares all rows of a batch that is stopped or finished in the command log.
    pub(super) async fn sync_batch_with_log(&mut self, id: Uuid) {
        let Some(active) = self.active_batches.get_mut(&id) else { return };
        active.batch.state = BatchState::Stopped;
        active.stopping = false;
        let mut ids: Vec<Uuid> = active.queued.iter().map(|row| row.id).collect();
        ids.extend(active.open.keys());
        self.sync_with_log(&ids).await;
        Box::pin(self.close_if_over(vec![id])).await;
    }

    /// Compares overdue commands with the log, so that no command waits forever for a lost event.
    pub(super) async fn compare_overdue(&mut self) {
        if Instant::now() < self.compare_at {
            return;
        }
        self.compare_at = Instant::now() + OVERDUE_AFTER;
        self.sync_with_log(&self.overdue(OVERDUE_AFTER, |_| true)).await;
        // An actor holds no unsent command for longer, so a queue must not either.
        let limit = OVERDUE_AFTER + MOVING_LIMIT;
        let unsent = self.overdue(limit, |row| row.outcome == Outcome::Queued);
        self.end_rows(&unsent, Outcome::Expired, None, Some(&Message::new("refusal-expired"))).await;
        // No sent command takes longer to confirm, including both halves of a restart.
        let sent = self.overdue(limit * 3, |row| row.outcome != Outcome::Queued);
        self.redeliver_open(&sent).await;
    }

    fn overdue(&self, by: Duration, concerns: impl Fn(&CommandRow) -> bool) -> Vec<Uuid> {
        let before = clock::now() - TimeDelta::from_std(by).unwrap_or_default();
        let unrecorded: HashSet<Uuid> = self.unrecorded.iter().map(|end| end.id).collect();
        let overdue = self.rows.values().filter(|row| row.expires_at.is_some_and(|at| at < before));
        overdue.filter(|row| concerns(row) && !unrecorded.contains(&row.id)).map(|row| row.id).collect()
    }
}
