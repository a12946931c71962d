//! The dispatcher: releases commands as their limits allow, hands each to its printer's actor, grants permits to send,
//! and records outcomes.
//!
//! One task owns the printer queues and the active batches, so there is nothing to lock. It wakes by signal (a batch
//! was created or stopped, a printer changed), by messages of actors, and by a timer. At a start it rebuilds its memory
//! from the command log; later it compares both regularly. It never waits for an actor. It waits for the database,
//! because nothing may be sent without the log. Writes are grouped: while one statement runs, the next group collects.

mod active_batches;
mod delivery;
mod handle;
mod open_batches;
mod permits;
mod printer_queues;
mod reconcile;
mod release;
mod report;
mod retry;

use self::{
    active_batches::ActiveBatch, handle::DispatcherSignal, printer_queues::PrinterQueues, reconcile::UnrecordedEnd,
    retry::Backoff,
};
pub use self::{
    handle::{AdmissionError, DispatcherHandle, FileRefusal, Reservation, ReservationError},
    open_batches::Admission,
};

use std::{
    collections::{HashMap, HashSet, VecDeque},
    time::{Duration, Instant},
};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    clock,
    domain::{
        batch::{Batch, BatchState, OnFailure},
        command::{CommandRow, Outcome, Reason},
        command_report::CommandReport,
        message::Message,
    },
    fleet::{
        Fleet,
        message::{ActorEvent, UnsettledCommand},
    },
    storage::{
        self, Db,
        commands::{self, RowVisibility},
    },
};

/// Maximum number of actor messages in one turn.
const MAX_EVENTS: usize = 2_048;
/// Number of actor messages that is enough for one statement. The dispatcher does not yield for more.
const ENOUGH_EVENTS: usize = 64;
/// Longest time between two turns.
const TICK: Duration = Duration::from_secs(1);
/// Time that work in progress has after a shutdown begins. Then it is aborted, including its retries.
const GRACE: Duration = Duration::from_secs(1);
/// Time to write the remaining reports after the shutdown.
const REPORT_TIMEOUT: Duration = Duration::from_secs(2);

/// The dispatcher's task.
pub struct Dispatcher {
    db: Db,
    fleet: Fleet,
    actor_events: mpsc::Receiver<ActorEvent>,
    signals: mpsc::Receiver<DispatcherSignal>,
    handle: DispatcherHandle,
    active_batches: HashMap<Uuid, ActiveBatch>,
    printer_queues: PrinterQueues,
    /// Released commands without a final outcome.
    rows: HashMap<Uuid, CommandRow>,
    /// Commands whose actors had no room in their mailboxes.
    undelivered: Vec<Uuid>,
    /// Until this time, the previous server may still send commands that it has recorded as sent.
    others_send_until: Option<Instant>,
    /// Commands that ended unsent and that their actors must drop, as (printer, command). Their mailboxes had no room.
    pending_drops: Vec<(Uuid, Uuid)>,
    /// Reports whose statement has started and has not succeeded yet.
    being_written: Vec<CommandReport>,
    /// Ends of commands that the database refuses.
    unrecorded: VecDeque<UnrecordedEnd>,
    /// Time of the next attempt to record these ends, and the pause after it.
    next_record_attempt: (Instant, Duration),
    /// Time of the next comparison of overdue commands with the log.
    compare_at: Instant,
    /// Earliest time of the next attempt to check due batches.
    next_due_check: Instant,
    power_groups: HashMap<Uuid, Option<String>>,
    /// The power groups could not be read and must be read again.
    power_groups_stale: bool,
    /// Unsettled commands of the previous process that their actors do not have yet. `None`: not read yet.
    unsettled: Option<Vec<(Uuid, UnsettledCommand)>>,
    /// Batches that cannot be read. The error of each is logged once.
    unreadable: HashSet<Uuid>,
    wake_at: Instant,
}

impl Dispatcher {
    /// Creates a dispatcher for the command log. It receives the messages of actors from `actor_events`. Until
    /// `others_send_until`, the previous server may still send commands.
    pub fn new(
        db: Db,
        fleet: Fleet,
        actor_events: mpsc::Receiver<ActorEvent>,
        others_send_until: Option<Instant>,
    ) -> Self {
        let (handle, signals) = DispatcherHandle::new();
        let now = Instant::now();
        Self {
            db,
            fleet,
            actor_events,
            signals,
            handle,
            active_batches: HashMap::new(),
            printer_queues: PrinterQueues::default(),
            rows: HashMap::new(),
            undelivered: Vec::new(),
            others_send_until,
            pending_drops: Vec::new(),
            being_written: Vec::new(),
            unrecorded: VecDeque::new(),
            next_record_attempt: (now, TICK),
            compare_at: now,
            next_due_check: now,
            power_groups: HashMap::new(),
            power_groups_stale: false,
            unsettled: None,
            unreadable: HashSet::new(),
            wake_at: now,
        }
    }

    /// Returns the handle for requests.
    pub fn handle(&self) -> DispatcherHandle {
        self.handle.clone()
    }

    /// Runs until `stop` is cancelled, then writes the reports that are left.
    pub async fn run(mut self, stop: CancellationToken) {
        let end = async {
            stop.cancelled().await;
            tokio::time::sleep(GRACE).await;
        };
        tokio::select! {
            () = self.serve(stop.clone()) => self.finish_sends().await,
            // The dispatcher waits for the database. No permit is lost: an actor reads a missing grant as a refusal.
            () = end => {}
        }
        // The next process determines the results of commands whose reports cannot be stored now.
        let _ = tokio::time::timeout(REPORT_TIMEOUT, self.write_remaining_reports()).await;
    }

    async fn serve(&mut self, stop: CancellationToken) {
        let mut backoff = Backoff::new();
        // Before anything is sent, every command that the previous process sent must be known.
        while !self.load_batches().await {
            self.handle.record_turn();
            backoff.pause().await;
        }
        self.watch_unsettled().await;
        let mut group = Vec::with_capacity(MAX_EVENTS);
        loop {
            self.release_commands().await;
            self.handle.record_turn();
            self.handle.publish_counts(self.active_batches.len(), self.unrecorded.len());
            let wake = self.handle.wake.clone();
            tokio::select! {
                () = stop.cancelled() => return,
                _ = self.actor_events.recv_many(&mut group, MAX_EVENTS) => {
                    if group.is_empty() {
                        return;
                    }
                    self.gather_events(&mut group).await;
                    self.on_actor_events(std::mem::take(&mut group)).await;
                }
                Some(signal) = self.signals.recv() => self.on_signal(signal).await,
                () = wake.notified() => self.activate_new_batches().await,
                () = tokio::time::sleep_until(self.wake_at.into()) => self.tick().await,
            }
        }
    }

    /// Loads every batch of the command log that is not in memory, in the order of creation. Updates the other batches
    /// from the log. Returns `false` if the database is unavailable: then the load must be repeated.
    async fn load_batches(&mut self) -> bool {
        let mut released = Vec::new();
        let is_complete = self.load_rows(&mut released).await;
        self.offer_released(released).await;
        is_complete
    }

    /// Loads batches as [`Self::load_batches`] does, and adds their released rows to `released`.
    async fn load_rows(&mut self, released: &mut Vec<CommandRow>) -> bool {
        let unfinished = match storage::batches::list_unfinished(&self.db).await {
            Ok(unfinished) => unfinished,
            Err(error) => {
                log_storage_error("unfinished batches", &error);
                return false;
            }
        };
        let listed: HashSet<Uuid> = unfinished.iter().map(|(id, _)| *id).collect();
        // A request may have committed the end of these batches and then been dropped before it could send the signal.
        let mut differing: Vec<Uuid> = self.active_batches.keys().filter(|id| !listed.contains(id)).copied().collect();
        for (id, batch) in unfinished {
            let result = match (batch, self.active_batches.get(&id)) {
                (Ok(batch), Some(active)) => {
                    if batch.state == BatchState::Stopped && active.batch.state != BatchState::Stopped {
                        differing.push(id);
                    }
                    Ok(())
                }
                (Ok(batch), None) => self.load_batch(batch).await.map(|rows| released.extend(rows)),
                (Err(error), _) => Err(error),
            };
            match result {
                Ok(()) => {}
                Err(error) if retry::is_retryable(&error) => {
                    log_storage_error("rows of a batch", &error);
                    return false;
                }
                // Other batches do not wait for an unreadable one.
                Err(error) if self.unreadable.insert(id) => log_storage_error("an unreadable batch", &error),
                Err(_) => {}
            }
        }
        for id in differing {
            self.sync_batch_with_log(id).await;
        }
        true
    }

    /// Loads one batch and returns its released rows.
    async fn load_batch(&mut self, batch: Batch) -> Result<Vec<CommandRow>, storage::Error> {
        if batch.spec.on_failure == OnFailure::Stop && batch.state == BatchState::Running {
            // The previous process may have ended between the failure and the stop.
            let failures: Vec<Outcome> = Outcome::ALL.iter().copied().filter(|outcome| is_failure(*outcome)).collect();
            let rows = commands::list_by_outcome(&self.db, batch.id, &failures, &RowVisibility::default()).await?;
            if rows.iter().any(|row| row.released_at.is_some()) {
                self.commit_stop(batch.id).await?;
            }
        }
        let rows = commands::list_open_of_batch(&self.db, batch.id).await?;
        self.load_power_groups(std::slice::from_ref(&batch)).await;
        Ok(self.activate_batch(batch, rows).await)
    }

    /// Takes up batches that were just created, in the state of their creation. If one has changed since, the command
    /// log refuses its sends.
    async fn activate_new_batches(&mut self) {
        let new = self.handle.take_new_batches();
        let mut released = Vec::new();
        for (batch, rows) in new.batches {
            if batch.finished_at.is_none() && !self.active_batches.contains_key(&batch.id) {
                self.load_power_groups(std::slice::from_ref(&batch)).await;
                released.extend(self.activate_batch(batch, rows).await);
            }
        }
        self.offer_released(released).await;
        if new.overflowed {
            self.load_batches().await;
        }
    }

    /// Takes up a batch and the rows that the previous process sent. Returns the released rows, which are offered once every
    /// batch is known: an emergency stop withdraws them.
    async fn activate_batch(&mut self, batch: Batch, mut rows: Vec<CommandRow>) -> Vec<CommandRow> {
        if !batch.spec.named {
            // Printers that are known to be unreachable come last.
            let view = self.fleet.view();
            rows.sort_by_key(|row| view.get(row.printer_id).is_none_or(|live| live.channel.is_none()));
        }
        let (released, queued): (Vec<_>, Vec<_>) =
            rows.into_iter().partition(|row| row.outcome != Outcome::Queued || row.released_at.is_some());
        let id = self.handle.open.add(&batch);
        let mut active = ActiveBatch::new(batch, queued.into());
        active.open.extend(released.iter().map(|row| (row.id, row.printer_id)));
        self.active_batches.insert(id, active);
        let (sent, released): (Vec<_>, Vec<_>) = released.into_iter().partition(|row| row.outcome != Outcome::Queued);
        for row in sent {
            self.recover_sent(row).await;
        }
        if released.is_empty() {
            self.close_if_over(vec![id]).await;
        }
        released
    }

    async fn offer_released(&mut self, released: Vec<CommandRow>) {
        let batches: HashSet<Uuid> = released.iter().map(|row| row.batch_id).collect();
        self.offer_rows(released).await;
        self.close_if_over(batches.into_iter().collect()).await;
    }

    /// Yields to actors that are about to send a message. So a thousand actors that wake at the same time share a few
    /// statements. In an idle farm no other task is ready, and the yield returns at once.
    async fn gather_events(&mut self, group: &mut Vec<ActorEvent>) {
        let mut gathered = 0;
        while gathered < group.len() && group.len() < ENOUGH_EVENTS {
            gathered = group.len();
            tokio::task::yield_now().await;
            while group.len() < MAX_EVENTS
                && let Ok(event) = self.actor_events.try_recv()
            {
                group.push(event);
            }
        }
    }

    async fn tick(&mut self) {
        self.retry_deliveries().await;
        // Loads batches without a signal, and those that could not be read at their signal.
        if !self.load_batches().await {
            return;
        }
        self.reload_stale_power_groups().await;
        let expired: Vec<Uuid> =
            self.printer_queues.expired(clock::now()).into_iter().map(|(_, ticket)| ticket.command_id).collect();
        let detail = Message::new("refusal-waited-for-command");
        self.end_rows(&expired, Outcome::Expired, Some(Reason::CommandInFlight), Some(&detail)).await;
        let stopping = self.active_batches.iter().filter(|(_, active)| active.stopping).map(|(id, _)| *id).collect();
        self.stop_failed_batches(stopping).await;
        let over = self.active_batches.iter().filter(|(_, active)| active.is_over()).map(|(id, _)| *id).collect();
        self.close_if_over(over).await;
        self.compare_overdue().await;
        self.retry_unrecorded().await;
        self.watch_unsettled().await;
    }

    async fn on_signal(&mut self, signal: DispatcherSignal) {
        // The signal may concern a batch that was created just before.
        self.activate_new_batches().await;
        match signal {
            DispatcherSignal::Ended(ids) => {
                self.drop_commands(&ids);
                self.remove_ended(&ids, None).await;
            }
            DispatcherSignal::PrinterDisabled(printer_id) => {
                let mut ids = self.unreleased_on(printer_id);
                ids.extend(self.printer_queues.unsent(printer_id));
                self.end_queued(&ids, Outcome::Rejected, Reason::PrinterDisabled).await;
            }
            DispatcherSignal::PrinterRemoved(printer_id) => {
                self.printer_queues.remove(printer_id);
                let mut ids = self.unreleased_on(printer_id);
                ids.extend(self.rows.values().filter(|row| row.printer_id == printer_id).map(|row| row.id));
                self.remove_ended(&ids, None).await;
            }
            DispatcherSignal::Reserve(printer_id, reply) => {
                let result = self.printer_queues.reserve(printer_id);
                // If the request was dropped, `send` returns the reservation, and dropping it ends the reservation.
                let _ = reply.send(result.map(|()| self.handle.reservation(printer_id)));
            }
            DispatcherSignal::FilesReady(ready) => self.on_files_ready(&ready),
            DispatcherSignal::FilesRefused(refused) => self.end_before_transfer(refused).await,
            DispatcherSignal::EndReservation(printer_id) => {
                if let Some(ticket) = self.printer_queues.end_reservation(printer_id) {
                    self.deliver(ticket.command_id).await;
                }
            }
        }
    }

    fn unreleased_on(&self, printer_id: Uuid) -> Vec<Uuid> {
        let unreleased = self.active_batches.values().flat_map(|active| active.queued.iter());
        unreleased.filter(|row| row.printer_id == printer_id).map(|row| row.id).collect()
    }
}

/// Returns whether `on_failure: stop` stops the batch after this outcome.
fn is_failure(outcome: Outcome) -> bool {
    outcome.is_final() && !matches!(outcome, Outcome::Confirmed | Outcome::Unchanged)
}

fn log_storage_error(what: &str, error: &storage::Error) {
    tracing::error!(error = ?error, "the command log cannot be used ({what})");
}

mod completion;
#[cfg(test)]
mod tests;
pub mod wait_reasons;
