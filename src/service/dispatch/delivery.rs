//! Hands commands to the actors of their printers. A full mailbox is tried again later: no code here waits for an
//! actor.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use chrono::TimeDelta;
use uuid::Uuid;

use super::{
    Dispatcher, log_storage_error,
    printer_queues::{OfferResult, Ticket},
    retry::is_retryable,
};
use crate::{
    clock,
    domain::{
        batch::{BatchSpec, PlatePolicy, WhenUnreachable},
        command::{Command, CommandRow, FileRef, Outcome, Reason, StartFile},
        reading::LOCAL_ORIGIN,
        state::PrinterState,
    },
    fleet::{
        ActorUnavailable,
        in_flight::{UNSETTLED_KEPT, UNSETTLED_LIMIT},
        message::{ActorCommand, Recovery, UnsettledCommand},
    },
    storage::commands,
};

impl Dispatcher {
    /// Hands a released command to its printer's actor.
    pub(super) async fn deliver(&mut self, id: Uuid) {
        let Some(row) = self.rows.get(&id) else { return };
        let Some(active) = self.active_batches.get(&row.batch_id) else { return };
        let (printer_id, is_queued) = (row.printer_id, row.outcome == Outcome::Queued);
        let is_emergency_stop = row.command == Command::EmergencyStop;
        let command = actor_command(row, &active.batch.spec, self.others_send_until);
        // A command that the actor still has to drop would block this one. An emergency stop sets it aside.
        self.pending_drops.retain(|(printer, dropped)| {
            *printer != printer_id || self.fleet.drop_command(*printer, *dropped) == Err(ActorUnavailable::Busy)
        });
        let is_blocked = !is_emergency_stop && self.pending_drops.iter().any(|(printer, _)| *printer == printer_id);
        let result = if is_blocked { Err(ActorUnavailable::Busy) } else { self.fleet.perform(printer_id, command) };
        match result {
            Ok(()) => {}
            Err(ActorUnavailable::Busy) => self.undelivered.push(id),
            Err(ActorUnavailable::NoActor) => {
                let outcome = if is_queued { Outcome::Rejected } else { Outcome::Unknown };
                Box::pin(self.end_now(id, outcome, Reason::PrinterDisabled)).await;
            }
        }
    }

    /// Hands over commands whose actors had no room, and commands that waited for the last sends of the previous
    /// server.
    pub(super) async fn retry_deliveries(&mut self) {
        for ticket in self.printer_queues.end_holds(Instant::now()) {
            self.deliver(ticket.command_id).await;
        }
        let fleet = &self.fleet;
        self.pending_drops.retain(|(printer, id)| fleet.drop_command(*printer, *id) == Err(ActorUnavailable::Busy));
        for id in std::mem::take(&mut self.undelivered) {
            self.deliver(id).await;
        }
    }

    /// Hands a command that the previous process sent to its actor, which settles it like a command without a reply.
    pub(super) async fn recover_sent(&mut self, row: CommandRow) {
        let ticket = Ticket { sent: true, ..ticket_for(&row) };
        let (id, printer_id) = (row.id, row.printer_id);
        self.rows.insert(id, row);
        if let Some(until) = self.others_send_until {
            self.printer_queues.hold(printer_id, until);
        }
        match self.printer_queues.offer(printer_id, ticket) {
            OfferResult::Deliver | OfferResult::Overtake => self.deliver(id).await,
            OfferResult::Wait => {}
            OfferResult::Refuse(_) => self.end_now(id, Outcome::Unknown, Reason::NoAnswer).await,
        }
    }

    /// Makes actors watch for late effects of commands that ended as `unknown` or `unconfirmed` in the previous
    /// process.
    pub(super) async fn watch_unsettled(&mut self) {
        if self.unsettled.is_none() {
            let since = clock::now() - TimeDelta::from_std(UNSETTLED_LIMIT).unwrap_or_default();
            match commands::list_unsettled_since(&self.db, since).await {
                Ok(rows) => self.unsettled = Some(newest_unsettled(rows)),
                Err(error) => {
                    log_storage_error("unsettled commands", &error);
                    if !is_retryable(&error) {
                        self.unsettled = Some(Vec::new());
                    }
                }
            }
        }
        let fleet = &self.fleet;
        if let Some(unsettled) = &mut self.unsettled {
            unsettled.retain(|(printer, command)| {
                fleet.watch_unsettled(*printer, command.clone()) == Err(ActorUnavailable::Busy)
            });
        }
    }
}

/// Returns the newest unsettled commands of each printer, at most as many as an actor watches.
fn newest_unsettled(rows: Vec<CommandRow>) -> Vec<(Uuid, UnsettledCommand)> {
    let now = clock::now();
    let mut by_printer: HashMap<Uuid, Vec<UnsettledCommand>> = HashMap::new();
    for row in rows {
        let (Some(step), Some(finished_at)) = (row.step, row.finished_at) else { continue };
        if row.command == Command::Restart {
            continue;
        }
        let left = UNSETTLED_LIMIT.saturating_sub((now - finished_at).to_std().unwrap_or_default());
        by_printer.entry(row.printer_id).or_default().push(UnsettledCommand {
            command_id: row.id,
            step,
            file: row.file_path.map(|path| FileRef { path, origin: LOCAL_ORIGIN.to_owned() }),
            state_before: row.state_before.unwrap_or(PrinterState::Unknown),
            print_id: row.print_id,
            unanswered: row.outcome == Outcome::Unknown,
            until: Instant::now() + left,
        });
    }
    let newest = |(printer, mut unsettled): (Uuid, Vec<UnsettledCommand>)| {
        let unsettled = unsettled.split_off(unsettled.len().saturating_sub(UNSETTLED_KEPT));
        unsettled.into_iter().map(move |command| (printer, command))
    };
    by_printer.into_iter().flat_map(newest).collect()
}

pub(super) fn ticket_for(row: &CommandRow) -> Ticket {
    Ticket {
        command_id: row.id,
        batch_id: row.batch_id,
        command: row.command,
        expires_at: row.expires_at,
        sent: row.outcome != Outcome::Queued,
    }
}

/// Returns the file that a start names, as its printer knows it.
fn start_file(row: &CommandRow, spec: &BatchSpec) -> Option<FileRef> {
    match row.file.as_ref().or(spec.file.as_ref())? {
        StartFile::OnPrinter(file) => Some(file.clone()),
        StartFile::InLibrary(_) => {
            let path = row.file_path.clone()?;
            Some(FileRef { path, origin: LOCAL_ORIGIN.to_owned() })
        }
    }
}

/// Returns the actor's command for a row, with the options of its batch.
fn actor_command(row: &CommandRow, spec: &BatchSpec, others_send_until: Option<Instant>) -> ActorCommand {
    let left = row.expires_at.map_or(Duration::ZERO, |at| (at - clock::now()).to_std().unwrap_or_default());
    let recover = row.step.filter(|_| row.outcome != Outcome::Queued).map(|step| Recovery {
        step,
        resolved: row.resolved_command,
        attempts: row.attempts,
        state_before: row.state_before,
        print_id: row.print_id,
        file: row.file_path.clone().map(|path| FileRef { path, origin: LOCAL_ORIGIN.to_owned() }),
        accepted_at: row.accepted_at,
        others_send_until,
    });
    ActorCommand {
        command_id: row.id,
        command: row.command,
        expected_job: row.expected_job.clone(),
        file: start_file(row, spec),
        named: spec.named,
        force: spec.force,
        assume_clear: spec.plate == PlatePolicy::AssumeClear,
        confirm_within: Duration::from_secs(u64::from(spec.confirm_within_s)),
        wait_when_unreachable: spec.when_unreachable == WhenUnreachable::Wait,
        expires: Instant::now() + left,
        recovery: recover,
    }
}
