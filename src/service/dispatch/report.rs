//! Messages of actors: reports are written in groups, then queues and batches move on.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use super::{
    Dispatcher, ENDS_WAIT, PROGRESS_WAITS, log_storage,
    reconcile::Unrecorded,
    retry::{Group, Part},
};
use crate::{
    domain::command::{Outcome, Settled},
    fleet::message::{ActorEvent, Report},
    storage::commands,
};

impl Dispatcher {
    /// Takes in a group of messages.
    pub(super) async fn on_messages(&mut self, group: Vec<ActorEvent>) {
        let mut readies = Vec::new();
        let (mut settled_later, mut restarted) = (Vec::new(), Vec::new());
        for up in group {
            match up {
                ActorEvent::SendRequest(ready) => readies.push(ready),
                ActorEvent::Report(report) => {
                    self.awaiting_reply.remove(&report.command_id);
                    let report = stored(report);
                    if report.outcome.is_final() {
                        self.final_reports.hold(report, ENDS_WAIT);
                    } else {
                        self.progress_reports.hold(report, PROGRESS_WAITS);
                    }
                }
                ActorEvent::Settled { command_id, settled } => settled_later.push((command_id, settled)),
                ActorEvent::Restarted { printer_id } => restarted.push(printer_id),
            }
        }
        // A second send is committed on top of what was reported of the first.
        if readies.iter().any(|ready| ready.attempt > 1) {
            self.write_held(true).await;
        }
        self.on_readies(readies).await;
        // Only a row that has ended can be settled.
        self.write_held(!settled_later.is_empty() || !restarted.is_empty()).await;
        for (command_id, settled) in settled_later {
            self.on_settled(command_id, settled).await;
        }
        for printer_id in restarted {
            self.on_restarted(printer_id).await;
        }
    }

    /// Writes the reports that were held back: those that have waited long enough, or all of them, when that is needed,
    /// or when no reply is awaited any more.
    pub(super) async fn write_held(&mut self, is_needed: bool) {
        let all = is_needed || self.awaiting_reply.is_empty();
        let ends = all || self.final_reports.is_due();
        // An end never comes before what was reported of the same command.
        if ends || self.progress_reports.is_due() {
            self.being_written.extend(self.progress_reports.take());
        }
        if ends {
            self.being_written.extend(self.final_reports.take());
        }
        if !self.being_written.is_empty() {
            // Kept until they are written: a shutdown may end this in between, and writes them again.
            self.write_reports(self.being_written.clone()).await;
            self.being_written.clear();
        }
    }

    /// Writes reports, and forgets the commands that have ended by them.
    pub(super) async fn write_reports(&mut self, reports: Vec<commands::Report>) {
        let mut group = Group::new(reports);
        while let Some(part) = self
            .next_part("outcomes", &mut group, |reports| async {
                let reported = commands::report(&self.db, &reports).await;
                (reports, reported)
            })
            .await
        {
            match part {
                Part::Done(reports, reported) => self.on_written(reports, &reported.ended).await,
                Part::Refused(report) if report.outcome.is_final() => {
                    self.end_as_not_recorded(vec![Unrecorded { id: report.id, report: Some(report) }]).await;
                }
                // The final report has the same facts.
                Part::Refused(_) => {}
            }
        }
    }

    async fn on_written(&mut self, reports: Vec<commands::Report>, ended: &HashSet<Uuid>) {
        let mut by_outcome: HashMap<Outcome, Vec<Uuid>> = HashMap::new();
        let mut others = Vec::new();
        for report in reports {
            let is_final = report.outcome.is_final();
            if is_final && !ended.contains(&report.id) {
                // It had ended before: by a stop, a removal, or this very report, whose reply was lost.
                others.push(report.id);
                continue;
            }
            if is_final {
                by_outcome.entry(report.outcome).or_default().push(report.id);
            }
            if let Some(row) = self.rows.get_mut(&report.id) {
                row.outcome = report.outcome;
                row.accepted_at = report.accepted_at.or(row.accepted_at);
                (row.reason, row.detail) = (report.reason, report.detail);
                row.resolved_command = report.resolved.or(row.resolved_command);
                row.finished_at = report.finished_at;
            }
        }
        for (outcome, ids) in by_outcome {
            self.forget(&ids, Some(outcome)).await;
        }
        self.read_again(&others).await;
    }

    async fn on_settled(&self, command_id: Uuid, settled: Settled) {
        match self.retry("settled", || commands::settle(&self.db, command_id, &settled)).await {
            Ok(_) => {
                tracing::info!(command.id = %command_id, effect = %settled.effect, "settled later");
                self.fleet.view().settle(command_id, settled);
            }
            // The row still says, truly, that the effect is not known.
            Err(error) => log_storage("settled", &error),
        }
    }

    /// An actor was started again: it gets its commands again, and settles those that were sent.
    async fn on_restarted(&mut self, printer_id: Uuid) {
        let mut held = self.printer_queues.held(printer_id);
        // What the new actor is to get anyway is not to come twice.
        held.retain(|id| self.rows.contains_key(id) && !self.undelivered.contains(id));
        self.give_again(&held).await;
    }
}

/// An actor's report, as it is stored.
fn stored(report: Report) -> commands::Report {
    commands::Report {
        id: report.command_id,
        outcome: report.outcome,
        reason: report.reason,
        detail: report.detail,
        resolved: report.resolved,
        print_id: report.print_id,
        state_before: report.state_before,
        state_after: report.state_after,
        accepted_at: report.accepted_at,
        finished_at: report.outcome.is_final().then_some(report.at),
    }
}
