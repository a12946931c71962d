//! What became of commands: leave to send given or refused, outcomes written down, lanes and batches moved on.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use serde_json::json;
use uuid::Uuid;

use super::{ADVANCES_WAIT, Dispatcher, ENDS_WAIT, RETRY, log_storage};
use crate::{
    clock,
    domain::{
        audit::{Action, ActorKind, Entry, fields},
        batch::OnFailure,
        command::{CommandRow, Outcome, Reason, Settled},
    },
    fleet::message::{Ready, Report, Up},
    service::runs::Run,
    storage::{self, commands},
};

impl Dispatcher {
    /// Takes in a group of what actors say.
    pub(super) async fn hear(&mut self, group: Vec<Up>) {
        let mut readies = Vec::new();
        let (mut settled_later, mut restarted) = (Vec::new(), Vec::new());
        for up in group {
            match up {
                Up::Ready(ready) => readies.push(ready),
                Up::Report(report) => {
                    self.awaited.remove(&report.command_id);
                    if report.outcome.is_final() {
                        self.ends.hold(report, ENDS_WAIT);
                    } else {
                        self.advances.hold(report, ADVANCES_WAIT);
                    }
                }
                Up::Settled { command_id, settled } => settled_later.push((command_id, settled)),
                Up::Restarted { printer_id } => restarted.push(printer_id),
            }
        }
        // A second send is committed on top of what was reported of the first.
        if readies.iter().any(|ready| ready.attempt > 1) {
            self.write_held(true).await;
        }
        self.on_readies(readies).await;
        // What comes to light later is told of a row that has ended.
        self.write_held(!settled_later.is_empty() || !restarted.is_empty()).await;
        for (command_id, settled) in settled_later {
            self.on_settled(command_id, settled).await;
        }
        for printer_id in restarted {
            self.on_restarted(printer_id).await;
        }
    }

    /// Writes down the reports that were held back: those that have waited long enough, or all of them, when that is
    /// needed, or when nobody is awaited any more.
    pub(super) async fn write_held(&mut self, is_needed: bool) {
        let all = is_needed || self.awaited.is_empty();
        let ends = all || self.ends.is_due();
        // An end never comes before what was reported of the same command.
        let mut reports = if ends || self.advances.is_due() { self.advances.take() } else { Vec::new() };
        if ends {
            reports.extend(self.ends.take());
        }
        self.on_reports(reports).await;
    }

    async fn on_settled(&self, command_id: Uuid, settled: Settled) {
        match commands::settle(&self.db, command_id, &settled).await {
            Ok(_) => {
                tracing::info!(command.id = %command_id, effect = %settled.effect, "settled later");
                self.fleet.view().settle(command_id, settled);
            }
            Err(error) => log_storage("settled", &error),
        }
    }

    /// An actor was started anew: what it held is given again, what was sent is settled.
    pub(super) async fn on_restarted(&mut self, printer_id: Uuid) {
        let held: Vec<Uuid> = self
            .rows
            .values()
            .filter(|row| row.printer_id == printer_id)
            .filter(|row| self.lanes.in_flight(printer_id).is_some_and(|ticket| ticket.command_id == row.id))
            // What the new actor is to get anyway is not to come twice.
            .filter(|row| !self.unposted.contains(&row.id))
            .map(|row| row.id)
            .collect();
        for id in held {
            if let Ok(Some(row)) = commands::get(&self.db, id).await {
                self.rows.insert(id, row);
                self.post(id).await;
            }
        }
    }

    /// Commits `sent` for a group, and answers go or drop to each.
    pub(super) async fn on_readies(&mut self, readies: Vec<Ready>) {
        if readies.is_empty() {
            return;
        }
        let won: HashSet<Uuid> = loop {
            // As of now at every attempt: what expires while the ledger does not answer is not sent.
            match commands::commit_sends(&self.db, &sends(&readies, clock::now())).await {
                Ok(won) => break won.into_iter().collect(),
                Err(error) => log_storage("commit of sends", &error),
            }
            tokio::time::sleep(RETRY).await;
        };
        let mut lost = Vec::new();
        for ready in readies {
            let go = won.contains(&ready.command_id);
            if go {
                self.awaited.insert(ready.command_id);
                self.lanes.mark_sent(ready.printer_id, ready.command_id);
                if let Some(row) = self.rows.get_mut(&ready.command_id) {
                    row.outcome = Outcome::Sent;
                }
            } else if ready.attempt == 1 {
                lost.push(ready.command_id);
            }
            // An actor that is gone has nothing to send.
            let _ = ready.go.send(go);
        }
        self.end_lost(lost).await;
    }

    /// Sends that the ledger refused: ended already, or their time has passed, which is written now.
    pub(super) async fn end_lost(&mut self, lost: Vec<Uuid>) {
        if lost.is_empty() {
            return;
        }
        let known: Vec<Uuid> = lost.into_iter().filter(|id| self.rows.contains_key(id)).collect();
        let sentence = "Its time passed before it could be sent.";
        let touched =
            commands::end_queued(&self.db, &known, Outcome::Expired, None, Some(sentence), clock::now()).await;
        match touched {
            Ok(touched) => {
                let expired: Vec<Uuid> = touched.iter().map(|row| row.id).collect();
                self.forget(&expired, Some(Outcome::Expired)).await;
                self.forget_ended(known).await;
            }
            Err(error) => log_storage("expiry", &error),
        }
    }

    /// Forgets those that are not forgotten yet: somebody else has ended them, and the ledger says how.
    async fn forget_ended(&mut self, mut ids: Vec<Uuid>) {
        ids.retain(|id| self.rows.contains_key(id));
        if ids.is_empty() {
            return;
        }
        match commands::get_many(&self.db, &ids).await {
            Ok(rows) => self.rows.extend(rows.into_iter().map(|row| (row.id, row))),
            Err(error) => log_storage("ended commands", &error),
        }
        self.forget(&ids, None).await;
    }

    pub(super) async fn on_reports(&mut self, reports: Vec<Report>) {
        if reports.is_empty() {
            return;
        }
        let rows = reports
            .iter()
            .map(|report| commands::Report {
                id: report.command_id,
                outcome: report.outcome,
                reason: report.reason,
                detail: report.detail.clone(),
                resolved: report.resolved,
                print_id: report.print_id,
                state_before: report.state_before,
                state_after: report.state_after,
                accepted_at: report.accepted_at,
                finished_at: report.outcome.is_final().then_some(report.at),
            })
            .collect();
        self.write_reports(rows).await;
        let mut by_outcome: HashMap<Outcome, Vec<Uuid>> = HashMap::new();
        for report in reports {
            if report.outcome.is_final() {
                by_outcome.entry(report.outcome).or_default().push(report.command_id);
            }
            if let Some(row) = self.rows.get_mut(&report.command_id) {
                row.outcome = report.outcome;
                row.accepted_at = report.accepted_at.or(row.accepted_at);
                (row.reason, row.detail) = (report.reason, report.detail);
                row.resolved_command = report.resolved.or(row.resolved_command);
                row.finished_at = report.outcome.is_final().then_some(report.at);
            }
        }
        for (outcome, ids) in by_outcome {
            self.forget(&ids, Some(outcome)).await;
        }
    }

    pub(super) async fn write_reports(&mut self, rows: Vec<commands::Report>) {
        while let Err(error) = commands::report(&self.db, &rows).await {
            log_storage("outcomes", &error);
            tokio::time::sleep(RETRY).await;
        }
    }

    pub(super) async fn end_queued(&mut self, ids: &[Uuid], outcome: Outcome, reason: Reason) {
        self.end_rows(ids, outcome, reason, reason.sentence()).await;
    }

    /// Ends rows that are still queued in the ledger, and forgets those that were.
    pub(super) async fn end_rows(&mut self, ids: &[Uuid], outcome: Outcome, reason: Reason, detail: &str) {
        if ids.is_empty() {
            return;
        }
        let touched = loop {
            let now = clock::now();
            match commands::end_queued(&self.db, ids, outcome, Some(reason), Some(detail), now).await {
                Ok(touched) => break touched,
                Err(error) => log_storage("end of commands", &error),
            }
            tokio::time::sleep(RETRY).await;
        };
        let ended: Vec<Uuid> = touched.iter().map(|row| row.id).collect();
        for id in &ended {
            if let Some(row) = self.rows.get_mut(id) {
                (row.outcome, row.reason, row.detail) = (outcome, Some(reason), Some(detail.to_owned()));
            }
        }
        self.drop_orders(&ended);
        self.forget(&ended, Some(outcome)).await;
    }

    /// Ends a row whatever it was, by the same statement as an actor's report.
    pub(super) async fn end_now(&mut self, id: Uuid, outcome: Outcome, reason: Option<Reason>) {
        let report = storage_report(id, outcome, reason, clock::now());
        self.write_reports(vec![report]).await;
        self.forget(&[id], Some(outcome)).await;
    }

    /// Rows have ended in the ledger: their lanes move on, their batches may be over.
    pub(super) async fn forget(&mut self, ids: &[Uuid], outcome: Option<Outcome>) {
        let mut batches = HashSet::new();
        let mut failed = HashSet::new();
        let mut next = Vec::new();
        let all: HashSet<Uuid> = ids.iter().copied().collect();
        let mut ended = Vec::with_capacity(ids.len());
        for run in self.runs.values_mut() {
            let before = run.queued.len();
            ended.extend(run.queued.iter().filter(|row| all.contains(&row.id)).cloned());
            run.queued.retain(|row| !all.contains(&row.id));
            if run.queued.len() != before {
                batches.insert(run.batch.id);
            }
        }
        for id in ids {
            self.awaited.remove(id);
            let Some(row) = self.rows.remove(id) else { continue };
            batches.insert(row.batch_id);
            if let Some(run) = self.runs.get_mut(&row.batch_id) {
                run.open.remove(id);
            }
            if outcome.is_some_and(|outcome| !matches!(outcome, Outcome::Confirmed | Outcome::Unchanged)) {
                failed.insert(row.batch_id);
            }
            next.extend(self.lanes.end(row.printer_id, *id));
            ended.push(row);
        }
        self.tell(ended, outcome);
        for ticket in next {
            self.post(ticket.command_id).await;
        }
        self.stop_failed(failed).await;
        self.close_if_over(batches.into_iter().collect()).await;
    }

    /// Shows with each printer what became of its last command.
    fn tell(&self, ended: Vec<CommandRow>, outcome: Option<Outcome>) {
        let at = clock::now();
        let final_rows = ended.into_iter().map(|mut row| {
            if !row.outcome.is_final() {
                row.outcome = outcome.unwrap_or(Outcome::Skipped);
            }
            row.finished_at = row.finished_at.or(Some(at));
            row
        });
        self.fleet.view().tell(final_rows);
    }

    /// Tells actors of commands that the ledger has ended. One that has asked already is refused by the ledger.
    pub(super) fn drop_orders(&self, ids: &[Uuid]) {
        for row in ids.iter().filter_map(|id| self.rows.get(id)) {
            let _ = self.fleet.drop_order(row.printer_id, row.id);
        }
    }

    /// `on_failure: stop`.
    pub(super) async fn stop_failed(&mut self, batches: HashSet<Uuid>) {
        for id in batches {
            let stops = self.runs.get(&id).is_some_and(|run| run.batch.spec.on_failure == OnFailure::Stop);
            if stops {
                self.stop(id).await;
            }
        }
    }

    pub(super) async fn stop(&mut self, id: Uuid) {
        let now = clock::now();
        let told = fields(&json!({"on_failure": OnFailure::Stop}));
        let entry = Entry::unasked(ActorKind::Scheduler, Action::BatchStopped, now);
        let entry = Entry { subject: Some(id), changes: told, ..entry };
        match storage::batches::stop(&self.db, id, now, &entry).await {
            Ok(Some(result)) => {
                self.drop_orders(&result.skipped);
                Box::pin(self.forget(&result.skipped, None)).await;
            }
            Ok(None) => {}
            Err(error) => log_storage("stop of a batch", &error),
        }
    }

    /// Marks batches as finished whose last row has ended, and tells of them.
    pub(super) async fn close_if_over(&mut self, batches: Vec<Uuid>) {
        if batches.is_empty() {
            return;
        }
        let over: Vec<Uuid> =
            batches.iter().copied().filter(|id| self.runs.get(id).is_some_and(Run::is_over)).collect();
        if !over.is_empty() {
            match storage::batches::finish_done(&self.db, &over, clock::now()).await {
                Ok(_) => {
                    for id in &over {
                        self.runs.remove(id);
                    }
                }
                Err(error) => log_storage("end of batches", &error),
            }
        }
        for id in batches {
            let _ = self.handle.changed.send(id);
        }
    }
}

fn sends(readies: &[Ready], at: DateTime<Utc>) -> Vec<commands::Send> {
    let send = |ready: &Ready| commands::Send {
        id: ready.command_id,
        attempt: ready.attempt,
        step: ready.step,
        resolved: ready.resolved,
        state_before: Some(ready.state_before),
        print_id: ready.print_id,
        file_path: ready.file_path.clone(),
        at,
    };
    readies.iter().map(send).collect()
}

fn storage_report(id: Uuid, outcome: Outcome, reason: Option<Reason>, at: DateTime<Utc>) -> commands::Report {
    commands::Report {
        id,
        outcome,
        reason,
        detail: reason.map(|reason| reason.sentence().to_owned()),
        resolved: None,
        print_id: None,
        state_before: None,
        state_after: None,
        accepted_at: None,
        finished_at: outcome.is_final().then_some(at),
    }
}

#[cfg(test)]
mod tests;
