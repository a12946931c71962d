//! Batches: made in one transaction before anything is sent, followed, stopped and retried.

use std::{collections::HashMap, sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::broadcast;
use uuid::Uuid;

use super::{Services, access::Principal, error::Error, select::Selected};
pub use crate::storage::batches::BatchFilter;
use crate::{
    clock,
    domain::{
        access::Role,
        batch::{Batch, BatchSpec, BatchState, Counts, PlatePolicy, Selector, Target},
        command::{Command, CommandRow, FileRef, Outcome, Reason},
        effect::{self, Decision, Guards, Sight},
        invalid::Invalid,
        plate::PlateState,
        print::ActorKind,
        state::{PrinterState, Reachability},
    },
    fleet::view::Live,
    storage,
};

/// Commands that the answer about a batch holds; the rest is paged.
pub const COMMANDS_SHOWN: i64 = 500;
/// Batches that may be unfinished at once.
const MAX_OPEN: usize = 1_000;
/// How far ahead a batch may be planned.
const MAX_AHEAD: TimeDelta = TimeDelta::days(400);

/// A batch with its counts and its first commands.
#[derive(Debug, Clone)]
pub struct BatchView {
    pub batch: Batch,
    pub counts: Counts,
    pub commands: Vec<CommandRow>,
    /// Continue after this position.
    pub next: Option<i64>,
}

impl BatchView {
    /// Every command has ended.
    pub fn is_final(&self) -> bool {
        self.counts.finals() == self.counts.total()
    }
}

/// What a batch would do to one printer.
#[derive(Debug, Clone)]
pub struct DryRow {
    pub selected: Selected,
    pub decision: Decision,
    pub state: PrinterState,
    pub resolved: Option<Command>,
}

/// What came of the wish for a batch.
#[derive(Debug)]
pub enum Created {
    Batch(BatchView),
    Dry { spec: BatchSpec, rows: Vec<DryRow> },
}

/// A wish for a batch.
#[derive(Debug, Clone)]
pub struct NewBatch {
    pub spec: BatchSpec,
    pub selector: Selector,
    pub expect_total: Option<usize>,
    pub dry_run: bool,
}

/// What a retry repeats.
#[derive(Debug, Clone)]
pub struct Retry {
    pub outcomes: Vec<Outcome>,
    /// Somebody has looked at printers whose start may have been carried out.
    pub after_look: bool,
}

impl Services {
    /// Makes a batch, or says what it would do. The ledger has it when this returns; nothing is sent before.
    pub async fn create_batch(&self, who: &Principal, new: NewBatch) -> Result<Created, Error> {
        who.require(Role::Operator)?;
        let mut spec = new.spec;
        spec.named = new.selector.names_printers();
        spec.token_id = who.token_id;
        if let Selector::Filter { states, .. } = &new.selector {
            spec.states.clone_from(states);
        }
        let now = clock::now();
        let mut invalid = Invalid::default();
        spec.check(&mut invalid);
        if spec.not_before.is_some_and(|at| at > now + MAX_AHEAD) {
            invalid.add("/not_before", "range", "must be within 400 days");
        }
        invalid.or_ok(())?;
        let selected = self.select(who, &new.selector).await?;
        if new.expect_total.is_some_and(|total| total != selected.len()) {
            return Err(Error::SelectionChanged { total: selected.len() });
        }
        if new.dry_run {
            let rows = selected.into_iter().map(|selected| self.foresee(&spec, selected)).collect();
            return Ok(Created::Dry { spec, rows });
        }
        let targets = selected.into_iter().map(|selected| (selected, spec.command)).collect();
        self.store(who, spec, targets, None).await.map(Created::Batch)
    }

    /// Writes a batch down and wakes the dispatcher.
    async fn store(
        &self,
        who: &Principal,
        spec: BatchSpec,
        targets: Vec<(Selected, Command)>,
        retry_of: Option<Uuid>,
    ) -> Result<BatchView, Error> {
        if self.dispatch.open_batches() >= MAX_OPEN {
            return Err(Error::Busy("There are too many unfinished batches. Wait for some to end, or stop them."));
        }
        let now = clock::now();
        let later = spec.not_before.is_some_and(|at| at > now);
        let mut batch = Batch {
            id: clock::new_id(),
            state: if later { BatchState::Scheduled } else { BatchState::Running },
            spec,
            created_at: now,
            finished_at: None,
            created_by: who.name.clone(),
            retry_of,
        };
        let rows: Vec<CommandRow> = targets
            .into_iter()
            .enumerate()
            .map(|(position, (selected, command))| row(&batch, position, selected, command, now))
            .collect();
        if rows.iter().all(|row| row.outcome.is_final()) {
            batch.state = BatchState::Finished;
            batch.finished_at = Some(now);
        }
        storage::batches::create(&self.db, &batch, &rows).await?;
        tracing::info!(
            batch.id = %batch.id, batch.command = %batch.spec.command, batch.printers = rows.len(),
            by = %who.name, reason = batch.spec.reason.as_deref().unwrap_or(""),
            assume_clear = batch.spec.plate == PlatePolicy::AssumeClear, "batch made"
        );
        let counts = Counts::from_pairs(rows.iter().map(|row| (row.outcome, 1)));
        let shown = usize::try_from(COMMANDS_SHOWN).unwrap_or(usize::MAX);
        let next = (rows.len() > shown).then_some(COMMANDS_SHOWN - 1);
        let commands = rows.iter().take(shown).cloned().collect();
        self.dispatch.made(batch.id, rows.into_iter().filter(|row| !row.outcome.is_final()).collect());
        Ok(BatchView { batch, counts, commands, next })
    }

    /// One batch with its counts and first commands.
    pub async fn batch(&self, id: Uuid) -> Result<BatchView, Error> {
        let batch = storage::batches::get(&self.db, id).await?.ok_or(Error::NotFound("batch"))?;
        let counts = storage::batches::counts(&self.db, id).await?;
        let (commands, next) = self.batch_commands(id, None, COMMANDS_SHOWN, None).await?;
        Ok(BatchView { batch, counts, commands, next })
    }

    /// A page of a batch's commands in its order, and where the next one begins.
    pub async fn batch_commands(
        &self,
        id: Uuid,
        after: Option<i64>,
        limit: i64,
        outcomes: Option<&[Outcome]>,
    ) -> Result<(Vec<CommandRow>, Option<i64>), Error> {
        let mut rows = storage::commands::of_batch(&self.db, id, after, limit + 1, outcomes).await?;
        let shown = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = rows.len() > shown;
        rows.truncate(shown);
        let next = rows.last().map(|row| row.position).filter(|_| more);
        Ok((rows, next))
    }

    /// A page of batches, newest first, each with its counts.
    pub async fn list_batches(
        &self,
        filter: &BatchFilter,
        after: Option<Uuid>,
        limit: i64,
    ) -> Result<Vec<(Batch, Counts)>, Error> {
        let batches = storage::batches::page(&self.db, filter, after, limit).await?;
        let mut counted = Vec::with_capacity(batches.len());
        for batch in batches {
            let counts = storage::batches::counts(&self.db, batch.id).await?;
            counted.push((batch, counts));
        }
        Ok(counted)
    }

    /// Follows a batch until its last command has ended, for at most `patience`. Begin to follow before the batch is
    /// made: `changes` is [`super::dispatch::Dispatch::subscribe`].
    pub async fn await_batch(
        &self,
        id: Uuid,
        mut changes: broadcast::Receiver<Uuid>,
        patience: Duration,
    ) -> Result<BatchView, Error> {
        let wait = async {
            loop {
                // Not the rows: the last of them ends a moment before its batch does.
                let batch = storage::batches::get(&self.db, id).await?.ok_or(Error::NotFound("batch"))?;
                if batch.finished_at.is_some() {
                    return Ok::<(), Error>(());
                }
                loop {
                    match changes.recv().await {
                        Ok(changed) if changed == id => break,
                        Ok(_) => {}
                        Err(broadcast::error::RecvError::Lagged(_)) => break,
                        Err(broadcast::error::RecvError::Closed) => return Ok(()),
                    }
                }
            }
        };
        // Out of patience is no error: the answer says how far it is.
        if let Ok(result) = tokio::time::timeout(patience, wait).await {
            result?;
        }
        self.batch(id).await
    }

    /// Stops a batch: what is not sent is skipped at once; what was sent is followed to its end.
    pub async fn stop_batch(&self, who: &Principal, id: Uuid) -> Result<BatchView, Error> {
        who.require(Role::Operator)?;
        let result = storage::batches::stop(&self.db, id, clock::now()).await?.ok_or(Error::NotFound("batch"))?;
        self.dispatch.ended(result.skipped).await;
        tracing::info!(batch.id = %id, by = %who.name, "batch stopped");
        self.batch(id).await
    }

    /// Makes a new batch of those commands of a finished one that ended so.
    pub async fn retry_batch(&self, who: &Principal, id: Uuid, retry: Retry) -> Result<BatchView, Error> {
        who.require(Role::Operator)?;
        let batch = storage::batches::get(&self.db, id).await?.ok_or(Error::NotFound("batch"))?;
        let mut invalid = Invalid::default();
        if retry.outcomes.is_empty() {
            invalid.add("/outcomes", "required", "must name at least one outcome");
        }
        for (i, outcome) in retry.outcomes.iter().enumerate() {
            let harmful = matches!(outcome, Outcome::Unknown | Outcome::Unconfirmed)
                && matches!(batch.spec.command, Command::Start | Command::Restart);
            if !outcome.is_final() {
                invalid.add(format!("/outcomes/{i}"), "not_final", "must be a final outcome");
            } else if harmful && !retry.after_look {
                let rule = "the printer may have started: look at it, then retry with after_look true";
                invalid.add(format!("/outcomes/{i}"), "needs_after_look", rule);
            }
        }
        invalid.or_ok(())?;
        if batch.finished_at.is_none() {
            let detail = "The batch has not ended yet.".to_owned();
            return Err(Error::Conflict { code: "batch_not_finished", detail });
        }
        let rows = storage::commands::outcomes_of(&self.db, id, &retry.outcomes).await?;
        let targets =
            rows.iter().map(|row| Target { id: row.printer_id, expected_job: row.expected_job.clone() }).collect();
        if rows.is_empty() {
            let detail = "No command of this batch ended so.".to_owned();
            return Err(Error::Unprocessable { code: "nothing_selected", detail });
        }
        let commands: HashMap<Uuid, Command> =
            rows.iter().map(|row| (row.printer_id, row.resolved_command.unwrap_or(row.command))).collect();
        let selected = self.select(who, &Selector::Printers(targets)).await?;
        let mut spec = BatchSpec { not_before: None, token_id: who.token_id, states: Vec::new(), ..batch.spec };
        let first = commands.values().next().copied().unwrap_or(spec.command);
        if commands.values().all(|command| *command == first) {
            spec.command = first;
        }
        let fallback = spec.command;
        let targets = selected
            .into_iter()
            .map(|selected| {
                let command = commands.get(&selected.printer_id).copied().unwrap_or(fallback);
                (selected, command)
            })
            .collect();
        self.store(who, spec, targets, Some(id)).await
    }

    /// Foresees what a command would do, from what is known, without asking the printer.
    fn foresee(&self, spec: &BatchSpec, selected: Selected) -> DryRow {
        let live = self.view_live(selected.printer_id);
        let state = live.as_ref().map_or(PrinterState::Unknown, |live| live.last_state);
        if let Some(reason) = selected.refused {
            return DryRow { selected, decision: Decision::Reject(reason), state, resolved: None };
        }
        let out_of_reach = match live.as_ref().map_or(Reachability::Unknown, |live| live.reachability) {
            Reachability::Online => None,
            Reachability::Unauthorized => Some(Reason::PrinterUnauthorized),
            Reachability::Incompatible => Some(Reason::PrinterProtocol),
            Reachability::Unreachable | Reachability::Unknown => Some(Reason::PrinterUnreachable),
        };
        if let Some(reason) = out_of_reach {
            return DryRow { selected, decision: Decision::Reject(reason), state, resolved: None };
        }
        // As the lanes would have it: the same again waits, a cancel goes before everything, the rest is refused.
        let in_flight = live.as_ref().and_then(|live| live.in_flight).filter(|_| spec.command != Command::Cancel);
        if let Some(in_flight) = in_flight {
            let decision =
                if in_flight == spec.command { Decision::Wait } else { Decision::Reject(Reason::CommandInFlight) };
            return DryRow { selected, decision, state, resolved: None };
        }
        let sight = live.as_deref().map_or_else(unseen, sight_of);
        let plate_clear = !self.settings.plate_gate
            || spec.plate == PlatePolicy::AssumeClear
            || live.is_some_and(|live| live.plate.state == PlateState::Clear);
        let guards = Guards {
            enabled: true,
            plate_clear,
            expected_job: selected.expected_job.clone().or_else(|| spec.expected_job.clone()),
            file: spec.file.clone(),
            named: spec.named,
            force: spec.force,
        };
        let resolved = (spec.command == Command::Toggle).then(|| effect::resolve_toggle(sight.state).ok()).flatten();
        let decision = effect::decide(resolved.unwrap_or(spec.command), &sight, &guards);
        DryRow { selected, decision, state, resolved }
    }

    fn view_live(&self, id: Uuid) -> Option<Arc<Live>> {
        self.fleet.view().get(id)
    }
}

fn unseen() -> Sight {
    Sight { state: PrinterState::Unknown, file: None, print_id: None, paused_by_printyard: false }
}

fn sight_of(live: &Live) -> Sight {
    let job = live.job.as_ref();
    let file = job
        .and_then(|job| job.file.as_ref())
        .map(|file| FileRef { path: file.path.clone(), origin: file.origin.clone() });
    Sight {
        state: live.state,
        file,
        print_id: job.and_then(|job| job.print_id),
        paused_by_printyard: job.and_then(|job| job.paused_by).is_some_and(|by| by.kind == ActorKind::Command),
    }
}

fn row(batch: &Batch, position: usize, selected: Selected, command: Command, now: DateTime<Utc>) -> CommandRow {
    let refused = selected.refused;
    // Nothing holds it back: it is released as it is made, which saves a write.
    let released = batch.goes_at_once() && refused.is_none();
    CommandRow {
        id: clock::new_id(),
        batch_id: batch.id,
        position: i64::try_from(position).unwrap_or(i64::MAX),
        printer_id: selected.printer_id,
        printer_name: selected.printer_name,
        command,
        resolved_command: None,
        expected_job: selected.expected_job.or_else(|| batch.spec.expected_job.clone()),
        outcome: if refused.is_some() { Outcome::Rejected } else { Outcome::Queued },
        reason: refused,
        detail: refused.map(|reason| reason.sentence().to_owned()),
        step: None,
        print_id: None,
        file_path: None,
        state_before: None,
        state_after: None,
        attempts: 0,
        released_at: released.then_some(now),
        expires_at: released.then(|| now + TimeDelta::seconds(i64::from(batch.spec.expires_in_s))),
        sent_at: None,
        accepted_at: None,
        finished_at: refused.map(|_| now),
        settled: None,
    }
}
