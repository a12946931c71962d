//! Stores the printers and the history of the demo, before its server starts.
//!
//! Everything is stored with the functions that the running server uses, so that batches, commands, prints, plates and
//! events agree.

use anyhow::Context;
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use printyard::{
    domain::{
        audit::{Action, ActorKind, AuditActor, AuditEntry, object_fields},
        batch::{Batch, BatchSpec, BatchState},
        command::{Command, CommandRow, FileRef, Outcome, StartFile, Step},
        command_report::CommandReport,
        print::{JobMark, MarkPhase, PrintActor, PrintFact},
        reading::LOCAL_ORIGIN,
        state::PrinterState,
    },
    secrets::Vault,
    simulator::SimulatedPrinter,
    storage::{
        self, Db,
        batches::PreparedBatch,
        commands::SendCommit,
        printer_observations::PrinterObservation,
        printers::{NewPrinter, SealedAccess},
    },
};
use serde_json::json;
use uuid::Uuid;

use super::{
    history::{History, PastBatch, PastPrint, PastRow, Requester},
    parts::PartFile,
    plan::{PlannedPrinter, Situation},
};

/// Stores what happened before the start of the demo.
pub struct HistoryStore<'a> {
    pub db: &'a Db,
    pub printers: &'a [PlannedPrinter],
    pub files: &'a [PartFile],
    pub speed: f64,
    pub now: DateTime<Utc>,
}

impl HistoryStore<'_> {
    /// Registers the printers with the keys of their simulations.
    pub async fn store_printers(&self, simulated: &[SimulatedPrinter], vault: &Vault) -> anyhow::Result<()> {
        let prepare = |(planned, simulated): (&PlannedPrinter, &SimulatedPrinter)| {
            let printer = planned.printer.clone();
            let api_key = Some(vault.seal(printer.id, simulated.api_key())?);
            let entry = AuditEntry {
                printer_ids: vec![printer.id],
                ..entry_by(Requester::Anna, Action::PrinterRegistered, printer.created_at)
            };
            let entry = AuditEntry { changes: object_fields(&printer.details), ..entry };
            anyhow::Ok(NewPrinter { printer, sealed: SealedAccess { api_key, secrets: Vec::new() }, entry })
        };
        let new = self.printers.iter().zip(simulated).map(prepare).collect::<Result<Vec<_>, _>>()?;
        storage::printers::insert(self.db, &new).await.context("the printers of the demo could not be stored")
    }

    /// Stores the history, day by day.
    pub async fn store(&self, history: &History) -> anyhow::Result<()> {
        let days = self.now.date_naive() - TimeDelta::days(8);
        for day in days.iter_days().take_while(|day| *day <= self.now.date_naive()) {
            self.store_day(history, day).await.with_context(|| format!("the history of {day} could not be stored"))?;
        }
        self.clear_plates(history).await?;
        let observations: Vec<_> = self.printers.iter().map(|planned| self.observation(planned, history)).collect();
        storage::printer_observations::store_observations(self.db, &observations, &[], &[]).await?;
        Ok(())
    }

    async fn store_day(&self, history: &History, day: NaiveDate) -> Result<(), storage::Error> {
        let batches: Vec<&PastBatch> = history.batches.iter().filter(|batch| batch.at.date_naive() == day).collect();
        let prepared: Vec<PreparedBatch> = batches.iter().map(|batch| self.prepare_batch(batch)).collect();
        if !prepared.is_empty() {
            storage::batches::create(self.db, &prepared).await?;
        }
        let sends: Vec<SendCommit> = batches
            .iter()
            .flat_map(|batch| batch.rows.iter().filter(|row| row.refusal.is_none()).map(|row| self.send(batch, row)))
            .collect();
        storage::commands::commit_sends(self.db, &sends).await?;
        for batch in batches {
            let sent = batch.rows.iter().filter(|row| row.refusal.is_none());
            let reports: Vec<CommandReport> = sent.map(|row| self.report(batch, row)).collect();
            storage::commands::store_reports(self.db, &reports, &[batch.id]).await?;
        }
        let mut facts: Vec<(DateTime<Utc>, Uuid, PrintFact)> =
            history.prints.iter().flat_map(|print| self.facts(print)).collect();
        facts.retain(|(at, _, _)| at.date_naive() == day);
        facts.sort_by_key(|(at, _, _)| *at);
        let facts: Vec<(Uuid, PrintFact)> = facts.into_iter().map(|(_, printer_id, fact)| (printer_id, fact)).collect();
        if facts.is_empty() {
            return Ok(());
        }
        storage::print_facts::store_facts(self.db, printyard::clock::new_id(), &facts, &[]).await
    }

    fn prepare_batch(&self, past: &PastBatch) -> PreparedBatch {
        let mut spec = BatchSpec::new(past.command);
        spec.file = past.file.map(|file| StartFile::OnPrinter(self.file_ref(file)));
        spec.reason = past.reason.map(str::to_owned);
        spec.external_ref.clone_from(&past.external_ref);
        let rows: Vec<CommandRow> = past
            .rows
            .iter()
            .enumerate()
            .map(|(position, row)| {
                let printer = &self.printers[row.printer].printer;
                let name = printer.details.name.clone();
                let queued = CommandRow::queued(row.id, past.id, printer.id, name, past.command);
                CommandRow {
                    position: i64::try_from(position).unwrap_or(i64::MAX),
                    file: spec.file.clone(),
                    outcome: if row.refusal.is_some() { Outcome::Rejected } else { Outcome::Queued },
                    reason: row.refusal,
                    released_at: Some(past.at),
                    expires_at: Some(past.at + TimeDelta::seconds(spec.expires_in_s.into())),
                    finished_at: row.refusal.map(|_| row.finished_at),
                    ..queued
                }
            })
            .collect();
        let changes = object_fields(&json!({
            "command": spec.command, "file": spec.file, "reason": spec.reason, "external_ref": spec.external_ref,
        }));
        let entry = AuditEntry {
            subject: Some(past.id),
            printer_ids: rows.iter().map(|row| row.printer_id).collect(),
            changes: changes.into_iter().filter(|(_, value)| !value.is_null()).collect(),
            ..entry_by(past.by, Action::BatchCreated, past.at)
        };
        let batch = Batch {
            id: past.id,
            spec,
            state: BatchState::Running,
            created_at: past.at,
            finished_at: None,
            created_by: past.by.name().to_owned(),
            retry_of: None,
        };
        PreparedBatch { batch, rows, entry }
    }

    fn send(&self, batch: &PastBatch, row: &PastRow) -> SendCommit {
        let is_start = batch.command == Command::Start;
        SendCommit {
            id: row.id,
            attempt: 1,
            is_repeated: false,
            step: if is_start { Step::Start } else { Step::Cancel },
            resolved: None,
            state_before: Some(if is_start { PrinterState::Operational } else { PrinterState::Printing }),
            print_id: row.print_id,
            file_path: batch.file.map(|file| self.files[file].path.clone()),
            at: batch.at,
        }
    }

    fn report(&self, batch: &PastBatch, row: &PastRow) -> CommandReport {
        let is_start = batch.command == Command::Start;
        CommandReport {
            printer_id: Some(self.printers[row.printer].printer.id),
            batch_id: Some(batch.id),
            print_id: row.print_id,
            state_after: Some(if is_start { PrinterState::Printing } else { PrinterState::Operational }),
            accepted_at: Some(batch.at + (row.finished_at - batch.at) / 4),
            ..CommandReport::new(row.id, Outcome::Confirmed, row.finished_at)
        }
    }

    /// Returns the facts of a print, each with its time and its printer.
    fn facts(&self, print: &PastPrint) -> Vec<(DateTime<Utc>, Uuid, PrintFact)> {
        let (id, printer_id) = (print.id, self.printers[print.printer].printer.id);
        let by = print.command_id.map_or_else(PrintActor::printer, PrintActor::command);
        let file = Some(self.file_ref(print.file));
        let at = print.started_at;
        let mut facts = vec![(at, printer_id, PrintFact::Began { id, file, at, by })];
        if print.is_paused {
            facts.push((self.now, printer_id, PrintFact::Paused { id, by: PrintActor::printer() }));
        }
        if let Some(end) = &print.end {
            let by = end.command_id.map_or_else(PrintActor::printer, PrintActor::command);
            let (at, result, reason) = (end.at, end.result, end.reason.clone());
            facts.push((
                at,
                printer_id,
                PrintFact::Ended { id, at, result, reason, by, mark_after: JobMark::default() },
            ));
        }
        facts
    }

    /// Clears the plates of the printers that are ready.
    async fn clear_plates(&self, history: &History) -> anyhow::Result<()> {
        for (index, planned) in self.printers.iter().enumerate() {
            let is_clear = matches!(planned.situation, Situation::Ready | Situation::KeyRefused);
            let last = history.prints.iter().rfind(|print| print.printer == index);
            let Some(ended_at) = last.and_then(|print| print.end.as_ref()).map(|end| end.at).filter(|_| is_clear)
            else {
                continue;
            };
            let (id, at) = (planned.printer.id, (ended_at + TimeDelta::minutes(7)).min(self.now));
            let entry = AuditEntry { printer_ids: vec![id], ..entry_by(Requester::Anna, Action::PlateCleared, at) };
            let cleared = storage::plates::mark_clear(self.db, id, None, Requester::Anna.name(), at, &entry).await?;
            cleared.ok().context("a plate of the demo could not be cleared")?;
        }
        Ok(())
    }

    /// Returns what was last observed of a printer.
    fn observation(&self, planned: &PlannedPrinter, history: &History) -> PrinterObservation {
        let printer_id = planned.printer.id;
        let last = planned.last_print(&self.files[planned.file], self.speed, self.now);
        let open = history
            .prints
            .iter()
            .rfind(|print| print.end.is_none() && self.printers[print.printer].printer.id == printer_id);
        let state = match planned.situation {
            Situation::Printing { .. } | Situation::Unreachable { .. } => PrinterState::Printing,
            Situation::PausedAtPrinter { .. } => PrinterState::Paused,
            Situation::Halted { .. } => PrinterState::Error,
            Situation::PlateOccupied { .. } | Situation::Ready | Situation::KeyRefused => PrinterState::Operational,
        };
        let mark = match (open, &last) {
            (Some(print), Some(last)) => JobMark {
                file: Some(self.file_ref(print.file)),
                print_time_s: Some(last.print_time.num_seconds()),
                phase: MarkPhase::Print(print.id),
                state: Some(state),
                started_by: print.command_id,
                ..JobMark::default()
            },
            _ => JobMark::default(),
        };
        let observed_at = last.map_or(self.now, |last| last.observed_at);
        PrinterObservation { printer_id, state, mark, observed_at, octoprint_version: Some("1.11.8".to_owned()) }
    }

    fn file_ref(&self, file: usize) -> FileRef {
        FileRef { path: self.files[file].path.clone(), origin: LOCAL_ORIGIN.to_owned() }
    }
}

impl Requester {
    /// Returns the name, as pages show it.
    fn name(self) -> &'static str {
        match self {
            Self::Anna => "Anna",
            Self::Erp => "ERP",
        }
    }
}

fn entry_by(by: Requester, action: Action, at: DateTime<Utc>) -> AuditEntry {
    let kind = match by {
        Requester::Anna => ActorKind::User,
        Requester::Erp => ActorKind::Token,
    };
    let entry = AuditEntry::without_request(kind, action, at);
    AuditEntry { actor: AuditActor { kind, id: None, name: by.name().to_owned() }, ..entry }
}
