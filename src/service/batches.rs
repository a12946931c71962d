//! Batches of commands: created in one transaction before anything is sent, then followed, stopped and retried.

mod emergency_stop;
mod retry;

pub use self::retry::RetryRequest;

use std::{collections::HashMap, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{
    Services,
    access::Principal,
    dispatch::AdmissionError,
    dry_run::{DryRunRow, planned_transfer},
    error::Error,
    selection::{SelectedPrinter, visible_rows},
};
use crate::{
    clock,
    domain::{
        access::Role,
        audit::{Action, AuditEntry, object_fields},
        batch::{
            Batch, BatchFilter, BatchSpec, BatchState, OutcomeCounts, PlatePolicy, ResultSummary, SelectedBy, Selector,
        },
        command::{Command, CommandRow, FileSelector, Outcome},
        message::Message,
        validation::ValidationErrors,
    },
    storage::{self, batches::PreparedBatch, commands::RowVisibility},
};

/// Maximum number of commands in a response about a batch. Further commands are paged.
pub const COMMANDS_SHOWN: i64 = 500;
/// How far ahead a batch may be planned.
const MAX_AHEAD: TimeDelta = TimeDelta::days(400);

/// A batch with its counts and its first commands.
#[derive(Debug, Clone)]
pub struct BatchView {
    pub batch: Batch,
    pub counts: OutcomeCounts,
    pub commands: Vec<CommandRow>,
    /// Pass this position as `after` to get the next page.
    pub next: Option<i64>,
}

impl BatchView {
    /// Returns whether every command has a final outcome.
    pub fn is_final(&self) -> bool {
        self.counts.final_total() == self.counts.total()
    }
}

/// Result of a request to create a batch.
#[derive(Debug)]
pub enum CreateBatchResult {
    Batch(BatchView),
    DryRun { spec: BatchSpec, rows: Vec<DryRunRow> },
}

/// Request to create a batch.
#[derive(Debug, Clone)]
pub struct NewBatch {
    pub spec: BatchSpec,
    /// For a start: the file of all printers that have none of their own.
    pub file: Option<FileSelector>,
    pub selector: Selector,
    pub expect_total: Option<usize>,
    pub dry_run: bool,
}

/// Pause before a batch is read again, if the dispatcher is done with it and its end is not stored yet.
const END_POLL_INTERVAL: Duration = Duration::from_millis(200);

impl Services {
    /// Creates a batch, or returns a dry run. When this returns, the batch is in the command log. Nothing is sent
    /// earlier.
    pub async fn create_batch(&self, who: &Principal, new: NewBatch) -> Result<CreateBatchResult, Error> {
        who.require(Role::Operator)?;
        if new.spec.command == Command::EmergencyStop {
            return Err(ValidationErrors::single("/command", "not_for_batches", "rule-emergency-stop-endpoint").into());
        }
        let mut spec = new.spec;
        spec.named = new.selector.names_printers();
        spec.token_id = who.token_id;
        spec.user_id = who.user_id;
        spec.root_token_id = who.root_token_id;
        if let Selector::Filter { states, .. } = &new.selector {
            spec.states.clone_from(states);
        }
        spec.selected_by = spec.selected_by.or_else(|| SelectedBy::from_selector(&new.selector));
        let now = clock::now();
        let mut invalid = ValidationErrors::default();
        spec.check(&mut invalid);
        if spec.not_before.is_some_and(|at| at > now + MAX_AHEAD) {
            invalid.add("/not_before", "range", Message::new("rule-max-ahead").with("days", MAX_AHEAD.num_days()));
        }
        invalid.into_result(())?;
        let mut selected = self.select_printers(who, &new.selector).await?;
        self.resolve_start_files(&mut spec, new.file, &mut selected).await?;
        if new.expect_total.is_some_and(|total| total != selected.len()) {
            return Err(Error::SelectionChanged { total: selected.len() });
        }
        if new.dry_run {
            let present = self.contents_on_printers(&selected).await?;
            let plan = |selected| {
                let row = self.dry_run(&spec, selected);
                DryRunRow { transfer: planned_transfer(&row.selected, &present), ..row }
            };
            let rows = selected.into_iter().map(plan).collect();
            return Ok(CreateBatchResult::DryRun { spec, rows });
        }
        let targets = selected.into_iter().map(|selected| (selected, spec.command)).collect();
        self.store_batch(who, spec, targets, None).await.map(CreateBatchResult::Batch)
    }

    /// Stores a batch and wakes the dispatcher.
    async fn store_batch(
        &self,
        who: &Principal,
        spec: BatchSpec,
        targets: Vec<(SelectedPrinter, Command)>,
        retry_of: Option<Uuid>,
    ) -> Result<BatchView, Error> {
        let now = clock::now();
        let is_scheduled = spec.not_before.is_some_and(|at| at > now);
        let mut batch = Batch {
            id: clock::new_id(),
            state: if is_scheduled { BatchState::Scheduled } else { BatchState::Running },
            spec,
            created_at: now,
            finished_at: None,
            created_by: who.name.clone(),
            retry_of,
        };
        let rows: Vec<CommandRow> = targets
            .into_iter()
            .enumerate()
            .map(|(position, (selected, command))| new_row(&batch, position, selected, command, now))
            .collect();
        if rows.iter().all(|row| row.outcome.is_final()) {
            batch.state = BatchState::Finished;
            batch.finished_at = Some(now);
        }
        let admission = self.dispatcher.admit(&batch).map_err(admission_error)?;
        let entry = AuditEntry {
            subject: Some(batch.id),
            // In the order of the rows: `commands.rs` relies on it. The result for each printer is in its own row.
            printer_ids: rows.iter().map(|row| row.printer_id).collect(),
            ..who.audit_entry(Action::BatchCreated, audited_fields(&batch))
        };
        let counts = OutcomeCounts::from_pairs(rows.iter().map(|row| (row.outcome, 1)));
        let shown = usize::try_from(COMMANDS_SHOWN).unwrap_or(usize::MAX);
        let next = (rows.len() > shown).then_some(COMMANDS_SHOWN - 1);
        let mut commands: Vec<CommandRow> = rows.iter().take(shown).cloned().collect();
        for row in &mut commands {
            row.transfer = self.transfer_of(row);
        }
        let printers = rows.len();
        let waits_for_files = rows.iter().any(|row| row.awaited_content().is_some());
        self.batch_writer.store(PreparedBatch { batch: batch.clone(), rows, entry }, admission).await?;
        if waits_for_files {
            self.transfers.wake();
        }
        tracing::info!(
            batch.id = %batch.id, batch.command = %batch.spec.command, batch.printers = printers,
            by = %who.name, reason = batch.spec.reason.as_deref().unwrap_or(""),
            assume_clear = batch.spec.plate == PlatePolicy::AssumeClear, "batch created"
        );
        Ok(BatchView { batch, counts, commands, next })
    }

    /// Returns one batch with its counts and first commands. A principal with a tag limit gets the visible rows only.
    /// If there are none, the batch does not exist for that principal.
    pub async fn batch(&self, who: &Principal, id: Uuid) -> Result<BatchView, Error> {
        let batch = storage::batches::get(&self.db, id).await?.ok_or(Error::NotFound("batch"))?;
        let visible = visible_rows(who, &batch);
        let (commands, next) = self.read_commands(id, None, COMMANDS_SHOWN, None, &visible).await?;
        let counts = match next {
            None => OutcomeCounts::from_pairs(commands.iter().map(|row| (row.outcome, 1))),
            Some(_) => self.count_commands(id, &visible).await?,
        };
        if visible.tags.is_some() && counts.total() == 0 {
            return Err(Error::NotFound("batch"));
        }
        Ok(BatchView { batch, counts, commands, next })
    }

    async fn count_commands(&self, id: Uuid, visible: &RowVisibility) -> Result<OutcomeCounts, Error> {
        Ok(storage::batches::count_outcomes(&self.db, &[id], visible).await?.remove(&id).unwrap_or_default())
    }

    /// Returns a batch, with the counts and rows that the principal may see.
    async fn visible_batch(&self, who: &Principal, id: Uuid) -> Result<(Batch, OutcomeCounts, RowVisibility), Error> {
        let batch = storage::batches::get(&self.db, id).await?.ok_or(Error::NotFound("batch"))?;
        let visible = visible_rows(who, &batch);
        let counts = self.count_commands(id, &visible).await?;
        if visible.tags.is_some() && counts.total() == 0 {
            return Err(Error::NotFound("batch"));
        }
        Ok((batch, counts, visible))
    }

    /// Returns a page of a batch's commands in their order, and the position after which the next page begins.
    pub async fn list_batch_commands(
        &self,
        who: &Principal,
        id: Uuid,
        after: Option<i64>,
        limit: i64,
        outcomes: Option<&[Outcome]>,
    ) -> Result<(Vec<CommandRow>, Option<i64>), Error> {
        let (_, _, visible) = self.visible_batch(who, id).await?;
        self.read_commands(id, after, limit, outcomes, &visible).await
    }

    async fn read_commands(
        &self,
        id: Uuid,
        after: Option<i64>,
        limit: i64,
        outcomes: Option<&[Outcome]>,
        visible: &RowVisibility,
    ) -> Result<(Vec<CommandRow>, Option<i64>), Error> {
        let mut rows = storage::commands::list_by_batch(&self.db, id, after, limit + 1, outcomes, visible).await?;
        let shown = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = rows.len() > shown;
        rows.truncate(shown);
        let next = rows.last().map(|row| row.position).filter(|_| more);
        self.explain_waits(&mut rows);
        Ok((rows, next))
    }

    /// Returns a page of batches, newest first, each with its counts.
    pub async fn list_batches(
        &self,
        who: &Principal,
        filter: BatchFilter,
        after: Option<Uuid>,
        limit: i64,
    ) -> Result<Vec<(Batch, OutcomeCounts)>, Error> {
        let filter = BatchFilter { visible_tags: who.visible_tags(), ..filter };
        let batches = storage::batches::list_page(&self.db, &filter, after, limit).await?;
        let mut counts = HashMap::new();
        for (ids, visible) in split_by_visibility(who, &batches) {
            counts.extend(storage::batches::count_outcomes(&self.db, &ids, &visible).await?);
        }
        let counted = batches.into_iter().map(|batch| {
            let counts = counts.remove(&batch.id).unwrap_or_default();
            (batch, counts)
        });
        Ok(counted.collect())
    }

    /// Returns a page of batches, newest first, each with the summary of its results.
    pub async fn list_batch_summaries(
        &self,
        who: &Principal,
        filter: BatchFilter,
        after: Option<Uuid>,
        limit: i64,
    ) -> Result<Vec<(Batch, ResultSummary)>, Error> {
        let filter = BatchFilter { visible_tags: who.visible_tags(), ..filter };
        let batches = storage::batches::list_page(&self.db, &filter, after, limit).await?;
        let mut summaries = HashMap::new();
        for (ids, visible) in split_by_visibility(who, &batches) {
            summaries.extend(storage::batches::summarise_results(&self.db, &ids, &visible).await?);
        }
        let summarised = batches.into_iter().map(|batch| {
            let summary = summaries.remove(&batch.id).unwrap_or_default();
            (batch, summary)
        });
        Ok(summarised.collect())
    }

    /// Waits until a batch has ended, for at most `timeout`, and returns its state at that time.
    pub async fn await_batch(&self, who: &Principal, id: Uuid, timeout: Duration) -> Result<BatchView, Error> {
        let wait = async {
            loop {
                self.dispatcher.wait_until_ended(id).await;
                let view = self.batch(who, id).await?;
                if view.batch.finished_at.is_some() {
                    return Ok::<_, Error>(view);
                }
                // The end is not stored yet: the dispatcher tries again at its next tick.
                tokio::time::sleep(END_POLL_INTERVAL).await;
            }
        };
        // Neither the timeout nor a shutdown is an error: the response shows the progress of the batch.
        tokio::select! {
            view = wait => view,
            () = tokio::time::sleep(timeout) => self.batch(who, id).await,
            () = self.stop.cancelled() => self.batch(who, id).await,
        }
    }

    /// Stops a batch. Unsent commands are skipped at once; sent commands are followed to their final outcome.
    pub async fn stop_batch(&self, who: &Principal, id: Uuid) -> Result<BatchView, Error> {
        who.require(Role::Operator)?;
        let (_, counts, visible) = self.visible_batch(who, id).await?;
        if visible.tags.is_some() {
            let all = storage::batches::count_outcomes(&self.db, &[id], &RowVisibility::default()).await?.remove(&id);
            if all.is_some_and(|all| all.total() > counts.total()) {
                return Err(Error::Forbidden(Message::new("refusal-batch-has-hidden-printers")));
            }
        }
        let entry = AuditEntry { subject: Some(id), ..who.audit_entry(Action::BatchStopped, Map::new()) };
        let stopped = storage::batches::stop(&self.db, id, clock::now(), &entry).await?;
        let result = stopped.ok_or(Error::NotFound("batch"))?;
        self.dispatcher.signal_ended(result.skipped).await;
        // Transfers for its commands are no longer wanted.
        self.transfers.wake();
        tracing::info!(batch.id = %id, by = %who.name, "batch stopped");
        self.batch(who, id).await
    }
}

/// Groups batches by which of their rows the principal may see.
fn split_by_visibility(who: &Principal, batches: &[Batch]) -> [(Vec<Uuid>, RowVisibility); 2] {
    [true, false].map(|is_batch_creator| {
        let is_in_group = |batch: &&Batch| visible_rows(who, batch).is_batch_creator == is_batch_creator;
        let ids = batches.iter().filter(is_in_group).map(|batch| batch.id).collect();
        (ids, RowVisibility { tags: who.visible_tags(), is_batch_creator })
    })
}

fn admission_error(why: AdmissionError) -> Error {
    match why {
        AdmissionError::TooManyScheduled => {
            Error::Conflict { code: "too_many_scheduled", detail: Message::new("refusal-too-many-scheduled") }
        }
        AdmissionError::TooManyRunning => Error::Busy(Message::new("refusal-too-many-own-batches")),
        AdmissionError::ServerFull => Error::Busy(Message::new("refusal-too-many-batches")),
    }
}

/// Returns the audited fields of a new batch: the request, without what people need not read.
fn audited_fields(batch: &Batch) -> Map<String, Value> {
    let mut changes = object_fields(&batch.spec);
    changes.remove("root_token_id");
    // The entry names the printers.
    changes.remove("selected_by");
    changes.retain(|_, value| !value.is_null() && *value != Value::Bool(false) && *value != json!([]));
    changes
}

fn new_row(
    batch: &Batch,
    position: usize,
    selected: SelectedPrinter,
    command: Command,
    now: DateTime<Utc>,
) -> CommandRow {
    let refused = selected.refused;
    let waits_for_file = selected.file.as_ref().is_some_and(|file| file.content().is_some());
    // Nothing delays this command, so it is stored as released. That saves a second write.
    let released = batch.releases_immediately() && refused.is_none() && !waits_for_file;
    CommandRow {
        position: i64::try_from(position).unwrap_or(i64::MAX),
        expected_job: selected.expected_job.or_else(|| batch.spec.expected_job.clone()),
        outcome: if refused.is_some() { Outcome::Rejected } else { Outcome::Queued },
        reason: refused,
        detail: selected.refusal_detail,
        file: selected.file,
        released_at: released.then_some(now),
        expires_at: released.then(|| now + TimeDelta::seconds(i64::from(batch.spec.expires_in_s))),
        finished_at: refused.map(|_| now),
        ..CommandRow::queued(clock::new_id(), batch.id, selected.printer_id, selected.printer_name, command)
    }
}
