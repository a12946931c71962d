//! Processes messages of actors: stores reports in groups, then lets printer queues and batches continue.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use super::{
    Dispatcher, GRACE, MAX_EVENTS, log_storage_error,
    reconcile::UnrecordedEnd,
    retry::{GroupPart, RowGroup, is_retryable},
};
use crate::{
    domain::{
        batch::OnFailure,
        command::{Outcome, SettledEffect},
        command_report::CommandReport,
    },
    fleet::message::ActorEvent,
    storage::commands::{self},
};

impl Dispatcher {
    /// Handles what the actors still request and report, until they have ended. Ends early if the database does not store it.
    pub(super) async fn finish_sends(&mut self) {
        let ended = self.fleet.ended();
        let mut group = Vec::with_capacity(MAX_EVENTS);
        loop {
            tokio::select! {
                biased;
                _ = self.actor_events.recv_many(&mut group, MAX_EVENTS) => {
                    let handled = self.on_actor_events(std::mem::take(&mut group));
                    if tokio::time::timeout(GRACE, handled).await.is_err() {
                        return;
                    }
                }
                () = ended.cancelled() => return,
            }
        }
    }

    /// Processes a group of messages from actors.
    pub(super) async fn on_actor_events(&mut self, group: Vec<ActorEvent>) {
        self.handle.set_storing(true);
        let mut requests = Vec::new();
        let (mut settled_later, mut restarted) = (Vec::new(), Vec::new());
        for event in group {
            match event {
                ActorEvent::SendRequest(request) => requests.push(request),
                ActorEvent::Report(report) => {
                    let report = self.with_row(report);
                    self.being_written.push(report);
                }
                ActorEvent::Settled { command_id, settled } => settled_later.push((command_id, settled)),
                ActorEvent::Restarted { printer_id } => restarted.push(printer_id),
            }
        }
        // A second send is committed after the reports of the first send.
        if requests.iter().any(|request| request.attempt > 1) {
            self.write_remaining_reports().await;
        }
        self.on_send_requests(requests).await;
        self.write_remaining_reports().await;
        // Only an ended row can be settled, so the reports are stored first.
        for (command_id, settled) in settled_later {
            self.on_settled(command_id, settled).await;
        }
        for printer_id in restarted {
            self.on_restarted(printer_id).await;
        }
        self.handle.set_storing(!self.actor_events.is_empty());
    }

    /// Adds the batch and the printer of its row to a report, if the dispatcher has the row.
    pub(super) fn with_row(&self, report: CommandReport) -> CommandReport {
        let Some(row) = self.rows.get(&report.command_id) else { return report };
        CommandReport { batch_id: Some(row.batch_id), printer_id: Some(row.printer_id), ..report }
    }

    /// Stores the reports in `being_written` and keeps them until they are stored. If a shutdown interrupts this
    /// function, it is called again to store them.
    pub(super) async fn write_remaining_reports(&mut self) {
        if !self.being_written.is_empty() {
            self.write_reports(self.being_written.clone()).await;
            self.being_written.clear();
        }
    }

    /// Stores reports, and removes the commands that ended with them from memory.
    pub(super) async fn write_reports(&mut self, reports: Vec<CommandReport>) {
        let mut group = RowGroup::new(reports);
        while let Some(part) = self
            .next_part("outcomes", &mut group, |reports| async {
                let over = self.batches_ended_by(&reports);
                let reported = match commands::store_reports(&self.db, &reports, &over).await {
                    // The outcomes are stored even if the end of their batch cannot be stored.
                    Err(error) if !over.is_empty() && !is_retryable(&error) => {
                        commands::store_reports(&self.db, &reports, &[]).await
                    }
                    result => result,
                };
                (reports, reported)
            })
            .await
        {
            match part {
                GroupPart::Done(reports, reported) => self.on_reports_written(reports, &reported).await,
                GroupPart::Refused(report) if report.outcome.is_final() => {
                    self.end_as_not_recorded(vec![UnrecordedEnd { id: report.command_id, report: Some(report) }]).await;
                }
                // Nothing is lost: the final report repeats these facts.
                GroupPart::Refused(_) => {}
            }
        }
    }

    /// Returns the batches that end with these reports. A batch with `on_failure: stop` is finished in its own transaction.
    fn batches_ended_by(&self, reports: &[CommandReport]) -> Vec<Uuid> {
        let mut ending: HashMap<Uuid, HashSet<Uuid>> = HashMap::new();
        for report in reports.iter().filter(|report| report.outcome.is_final()) {
            let Some(row) = self.rows.get(&report.command_id) else { continue };
            ending.entry(row.batch_id).or_default().insert(row.id);
        }
        let is_over = |(batch_id, ids): &(Uuid, HashSet<Uuid>)| {
            self.active_batches.get(batch_id).is_some_and(|active| {
                active.batch.spec.on_failure != OnFailure::Stop
                    && active.queued.is_empty()
                    && active.open.keys().all(|id| ids.contains(id))
            })
        };
        ending.into_iter().filter(is_over).map(|(batch_id, _)| batch_id).collect()
    }

    async fn on_reports_written(&mut self, reports: Vec<CommandReport>, written: &commands::UpdateSummary) {
        self.drop_finished(&written.finished);
        let mut by_outcome: HashMap<Outcome, Vec<Uuid>> = HashMap::new();
        let mut others = Vec::new();
        for report in reports {
            let is_final = report.outcome.is_final();
            if is_final && !written.ended.contains(&report.command_id) {
                // The command ended earlier: by a stop, by a removal, or by this same report if the database's reply was lost.
                others.push(report.command_id);
                continue;
            }
            if is_final {
                by_outcome.entry(report.outcome).or_default().push(report.command_id);
            }
            if let Some(row) = self.rows.get_mut(&report.command_id) {
                row.outcome = report.outcome;
                row.accepted_at = report.accepted_at.or(row.accepted_at);
                row.resolved_command = report.resolved.or(row.resolved_command);
                row.finished_at = report.finished_at();
                (row.reason, row.detail) = (report.reason, report.detail);
            }
        }
        for (outcome, ids) in by_outcome {
            self.remove_ended(&ids, Some(outcome)).await;
        }
        self.sync_with_log(&others).await;
    }

    async fn on_settled(&self, command_id: Uuid, settled: SettledEffect) {
        match self.retry("settled", || commands::store_settled_effect(&self.db, command_id, &settled)).await {
            Ok(_) => {
                tracing::info!(command.id = %command_id, effect = %settled.effect, "settled later");
                self.fleet.view().show_settled(command_id, settled);
            }
            // The row keeps an unknown effect, which is still correct.
            Err(error) => log_storage_error("settled", &error),
        }
    }

    /// Hands an actor that was restarted its commands again. It settles those that were sent.
    async fn on_restarted(&mut self, printer_id: Uuid) {
        let mut held = self.printer_queues.actor_commands(printer_id);
        // Undelivered commands are handed to the new actor anyway, and must not arrive twice.
        held.retain(|id| self.rows.contains_key(id) && !self.undelivered.contains(id));
        self.redeliver_open(&held).await;
    }
}
