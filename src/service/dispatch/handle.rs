//! Handle of the dispatcher: new batches, signals, reservations, and the dispatcher's status.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::{Notify, broadcast, mpsc, oneshot, watch};
use uuid::Uuid;

pub use super::open_batches::AdmissionError;
use super::{
    open_batches::{Admission, OpenBatches},
    wait_reasons::{BatchWaits, WaitReason, WaitsByBatch},
};
use crate::domain::{
    batch::Batch,
    command::{Command, CommandRow, Outcome, Reason},
    message::Message,
};

/// Capacity of the queue of signals, and of the channel of changed batches.
const SIGNAL_CAPACITY: usize = 1_024;
/// Longest wait of a request for the dispatcher. The dispatcher itself waits while the database is unavailable.
const REPLY_TIMEOUT: Duration = Duration::from_secs(5);
/// Maximum number of rows of new batches in memory, without those of emergency stops. The dispatcher reads further batches
/// from the command log.
const MAX_NEW_ROWS: usize = 20_000;

/// A message to the dispatcher that does not come from an actor.
#[derive(Debug)]
pub(super) enum DispatcherSignal {
    /// These rows have ended in the command log.
    Ended(Vec<Uuid>),
    PrinterDisabled(Uuid),
    PrinterRemoved(Uuid),
    Reserve(Uuid, oneshot::Sender<Result<Reservation, Option<Command>>>),
    EndReservation(Uuid),
    /// The printers of these commands have their files, under these paths.
    FilesReady(Vec<(Uuid, String)>),
    /// These commands do not get their files, or the printer's state refuses them before.
    FilesRefused(Vec<FileRefusal>),
}

/// End of a command before its file is on the printer.
#[derive(Debug, Clone)]
pub struct FileRefusal {
    pub command_id: Uuid,
    pub outcome: Outcome,
    pub reason: Reason,
    pub detail: Option<Message>,
}

/// New batches that the dispatcher has not taken up, each with its open rows.
#[derive(Debug, Default)]
pub(super) struct NewBatches {
    pub batches: Vec<(Batch, Vec<CommandRow>)>,
    rows: usize,
    /// A batch was left out because it would exceed `MAX_NEW_ROWS`. The dispatcher reads it from the command log.
    pub overflowed: bool,
}

/// Why a printer was not reserved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReservationError {
    /// This command is in flight.
    InFlight(Command),
    /// The printer has another reservation.
    Reserved,
    /// The dispatcher did not reply: it waits for the database, or the server stops.
    NoReply,
}

/// A handle on the dispatcher. Cheap to clone.
#[derive(Clone)]
pub struct DispatcherHandle {
    pub(super) wake: Arc<Notify>,
    /// In memory, so that the dispatcher need not read them from the command log.
    new_batches: Arc<Mutex<NewBatches>>,
    signals: mpsc::Sender<DispatcherSignal>,
    pub(super) open: OpenBatches,
    pub(super) changed: broadcast::Sender<Uuid>,
    status: Arc<Status>,
    waits: Arc<Mutex<WaitsByBatch>>,
    /// True while the dispatcher stores requests to send or outcomes.
    is_storing: watch::Sender<bool>,
}

/// Status that the dispatcher publishes.
struct Status {
    started: Instant,
    /// Milliseconds from `started` to the dispatcher's last turn. Monotonic, because wall clock time can be set.
    last_turn_ms: AtomicU64,
    open_batches: AtomicUsize,
    unrecorded: AtomicUsize,
}

impl DispatcherHandle {
    /// Returns a handle and the receiver of its signals.
    pub(super) fn new() -> (Self, mpsc::Receiver<DispatcherSignal>) {
        let (signals, receiver) = mpsc::channel(SIGNAL_CAPACITY);
        let status = Status {
            started: Instant::now(),
            last_turn_ms: AtomicU64::default(),
            open_batches: AtomicUsize::default(),
            unrecorded: AtomicUsize::default(),
        };
        let handle = Self {
            wake: Arc::new(Notify::new()),
            new_batches: Arc::default(),
            signals,
            open: OpenBatches::default(),
            changed: broadcast::channel(SIGNAL_CAPACITY).0,
            status: Arc::new(status),
            waits: Arc::default(),
            is_storing: watch::Sender::default(),
        };
        (handle, receiver)
    }

    /// Counts a batch that is about to be stored. Fails if a limit of its principal or of the server is reached.
    pub fn admit(&self, batch: &Batch) -> Result<Admission, AdmissionError> {
        self.open.admit(batch)
    }

    /// Hands a new batch and its open rows to the dispatcher. Both must be in the command log already.
    pub fn add_batch(&self, batch: Batch, rows: Vec<CommandRow>) {
        let mut new = self.new_batches();
        let is_emergency_stop = batch.spec.command == Command::EmergencyStop;
        if new.rows + rows.len() > MAX_NEW_ROWS && !is_emergency_stop {
            new.overflowed = true;
        } else {
            new.rows += rows.len();
            new.batches.push((batch, rows));
        }
        drop(new);
        self.wake.notify_one();
    }

    /// Hands over a batch of the planner, which no limit counts. It must be in the command log already.
    pub fn add_planner_batch(&self, batch: Batch, rows: Vec<CommandRow>) {
        self.open.add(&batch);
        self.add_batch(batch, rows);
    }

    fn new_batches(&self) -> MutexGuard<'_, NewBatches> {
        self.new_batches.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn take_new_batches(&self) -> NewBatches {
        std::mem::take(&mut *self.new_batches())
    }

    /// Waits until a batch has ended. Returns at once if the batch is not counted as open.
    pub async fn wait_until_ended(&self, batch_id: Uuid) {
        self.open.wait_until_removed(batch_id).await;
    }

    /// Returns a receiver that is true while the dispatcher stores requests to send or outcomes.
    pub fn subscribe_storing(&self) -> watch::Receiver<bool> {
        self.is_storing.subscribe()
    }

    /// Publishes whether requests to send or outcomes are being stored.
    pub(super) fn set_storing(&self, is_storing: bool) {
        self.is_storing.send_if_modified(|value| std::mem::replace(value, is_storing) != is_storing);
    }

    /// Returns a receiver of batch ids. An id is sent when the batch or one of its rows has ended.
    pub fn subscribe(&self) -> broadcast::Receiver<Uuid> {
        self.changed.subscribe()
    }

    /// Signals that rows have ended in the command log because their batch was stopped.
    pub async fn signal_ended(&self, commands: Vec<Uuid>) {
        self.signal(DispatcherSignal::Ended(commands)).await;
    }

    /// Signals that a printer was disabled. Its queued rows end; commands that were sent are followed to their outcome.
    pub async fn signal_printer_disabled(&self, printer_id: Uuid) {
        self.signal(DispatcherSignal::PrinterDisabled(printer_id)).await;
    }

    /// Signals that a printer was removed, and that its rows have ended in the command log.
    pub async fn signal_printer_removed(&self, printer_id: Uuid) {
        self.signal(DispatcherSignal::PrinterRemoved(printer_id)).await;
    }

    /// Reserves a printer: it gets no command until the reservation is dropped. Waits at most 5 s for the dispatcher.
    pub async fn reserve(&self, printer_id: Uuid) -> Result<Reservation, ReservationError> {
        let reserve = async {
            let (reply, response) = oneshot::channel();
            self.signals
                .send(DispatcherSignal::Reserve(printer_id, reply))
                .await
                .map_err(|_| ReservationError::NoReply)?;
            match response.await {
                Ok(Ok(reservation)) => Ok(reservation),
                Ok(Err(Some(command))) => Err(ReservationError::InFlight(command)),
                Ok(Err(None)) => Err(ReservationError::Reserved),
                Err(_) => Err(ReservationError::NoReply),
            }
        };
        tokio::time::timeout(REPLY_TIMEOUT, reserve).await.unwrap_or(Err(ReservationError::NoReply))
    }

    pub(super) fn reservation(&self, printer_id: Uuid) -> Reservation {
        Reservation { printer_id, signals: self.signals.clone() }
    }

    /// Returns the reason why an unreleased row waits.
    pub(super) fn wait_reason(&self, row: &CommandRow) -> WaitReason {
        let waits = self.waits.lock().unwrap_or_else(PoisonError::into_inner);
        let batch_waits = waits.get(&row.batch_id);
        match batch_waits {
            Some(waits) if waits.heating.contains(&row.printer_id) => WaitReason::HeatingLimit,
            Some(waits) if waits.transfers.contains(&row.printer_id) => WaitReason::Transfer,
            batch_waits => batch_waits.and_then(|waits| waits.others).unwrap_or(WaitReason::Turn),
        }
    }

    /// Publishes the reasons why the unreleased rows of a batch wait.
    pub(super) fn publish_waits(&self, batch_id: Uuid, waits: &BatchWaits) {
        let mut all = self.waits.lock().unwrap_or_else(PoisonError::into_inner);
        if all.get(&batch_id) != Some(waits) {
            all.insert(batch_id, waits.clone());
        }
    }

    /// Removes the reasons of all batches except these.
    pub(super) fn retain_waits(&self, batches: &[Uuid]) {
        let mut all = self.waits.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|batch_id, _| batches.contains(batch_id));
    }

    /// Returns the number of batches with commands that are not final. Includes new batches that are not taken up.
    pub fn open_batches(&self) -> usize {
        self.status.open_batches.load(Ordering::Relaxed) + self.new_batches().batches.len()
    }

    /// Returns the number of commands whose end is only in memory, because the database refuses it. They block the queues of
    /// their printers.
    pub fn unrecorded(&self) -> usize {
        self.status.unrecorded.load(Ordering::Relaxed)
    }

    /// Returns the time since the dispatcher's last turn. More than a few seconds mean that it hangs.
    pub fn silent_for(&self) -> Duration {
        let last = Duration::from_millis(self.status.last_turn_ms.load(Ordering::Relaxed));
        self.status.started.elapsed().saturating_sub(last)
    }

    /// Records the time of a turn of the dispatcher.
    pub(super) fn record_turn(&self) {
        let ms = u64::try_from(self.status.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.status.last_turn_ms.store(ms, Ordering::Relaxed);
    }

    pub(super) fn publish_counts(&self, open_batches: usize, unrecorded: usize) {
        self.status.open_batches.store(open_batches, Ordering::Relaxed);
        self.status.unrecorded.store(unrecorded, Ordering::Relaxed);
    }

    /// Reports that the printers of these commands have their files, under these paths.
    pub(in crate::service) async fn signal_files_ready(&self, ready: Vec<(Uuid, String)>) {
        self.signal(DispatcherSignal::FilesReady(ready)).await;
    }

    /// Reports the commands that end before their files are on the printers.
    pub(in crate::service) async fn signal_files_refused(&self, refused: Vec<FileRefusal>) {
        self.signal(DispatcherSignal::FilesRefused(refused)).await;
    }

    /// Sends a signal. Drops it if the queue stays full for [`REPLY_TIMEOUT`]: the dispatcher then finds the change when it compares
    /// its memory with the command log.
    async fn signal(&self, signal: DispatcherSignal) {
        if tokio::time::timeout(REPLY_TIMEOUT, self.signals.send(signal)).await.is_err() {
            tracing::warn!("the dispatcher did not accept a signal in time; it will read the command log instead");
        }
    }
}

/// Reservation of a printer: while it exists, the dispatcher hands no command to the printer.
#[derive(Debug)]
pub struct Reservation {
    printer_id: Uuid,
    signals: mpsc::Sender<DispatcherSignal>,
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let (signals, printer_id) = (self.signals.clone(), self.printer_id);
        if signals.try_send(DispatcherSignal::EndReservation(printer_id)).is_err() {
            tokio::spawn(async move { signals.send(DispatcherSignal::EndReservation(printer_id)).await });
        }
    }
}
