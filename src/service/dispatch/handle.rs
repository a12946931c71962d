//! How everybody else speaks to the dispatcher.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use chrono::DateTime;
use tokio::sync::{Notify, broadcast, mpsc, oneshot};
use uuid::Uuid;

use crate::{
    clock,
    domain::{
        batch::Batch,
        command::{Command, CommandRow},
    },
};

/// What the dispatcher is told beside what actors say.
#[derive(Debug)]
pub(super) enum Signal {
    /// These rows were ended in the ledger.
    Ended(Vec<Uuid>),
    PrinterDisabled(Uuid),
    PrinterRemoved(Uuid),
    Reserve(Uuid, oneshot::Sender<Result<(), Option<Command>>>),
    Release(Uuid),
}

/// Batches that the dispatcher has not taken up, each with its open rows.
type JustMade = Vec<(Batch, Vec<CommandRow>)>;

/// A handle on the dispatcher. Cheap to clone.
#[derive(Clone)]
pub struct Dispatch {
    pub(super) wake: Arc<Notify>,
    /// To spare the dispatcher reading them back.
    pub(super) made: Arc<Mutex<JustMade>>,
    pub(super) signals: mpsc::Sender<Signal>,
    pub(super) changed: broadcast::Sender<Uuid>,
    pub(super) beat: Arc<AtomicI64>,
    pub(super) open: Arc<AtomicUsize>,
}

impl Dispatch {
    /// A batch was made, with these open rows: the ledger has both.
    pub fn made(&self, batch: Batch, rows: Vec<CommandRow>) {
        self.just_made().push((batch, rows));
        self.wake.notify_one();
    }

    pub(super) fn just_made(&self) -> MutexGuard<'_, JustMade> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells of every batch of which a row has ended, or that has ended itself.
    pub fn subscribe(&self) -> broadcast::Receiver<Uuid> {
        self.changed.subscribe()
    }

    /// Rows were ended in the ledger (their batch was stopped).
    pub async fn ended(&self, commands: Vec<Uuid>) {
        self.signal(Signal::Ended(commands)).await;
    }

    /// The printer's queued rows end; what was sent is followed to its end.
    pub async fn printer_disabled(&self, printer_id: Uuid) {
        self.signal(Signal::PrinterDisabled(printer_id)).await;
    }

    /// The printer's rows have ended in the ledger.
    pub async fn printer_removed(&self, printer_id: Uuid) {
        self.signal(Signal::PrinterRemoved(printer_id)).await;
    }

    /// Keeps commands off a printer until the reservation is dropped. Fails with what is in flight.
    pub async fn reserve(&self, printer_id: Uuid) -> Result<Reservation, Option<Command>> {
        let (reply, answer) = oneshot::channel();
        self.signal(Signal::Reserve(printer_id, reply)).await;
        answer.await.unwrap_or(Err(None))?;
        Ok(Reservation { printer_id, signals: self.signals.clone() })
    }

    /// Batches whose last command has not ended.
    pub fn open_batches(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// How long ago the dispatcher last looked around; more than a few seconds means that it hangs.
    pub fn silent_for(&self) -> Duration {
        (clock::now() - DateTime::from_timestamp_micros(self.beat.load(Ordering::Relaxed)).unwrap_or_default())
            .to_std()
            .unwrap_or_default()
    }

    async fn signal(&self, signal: Signal) {
        // The dispatcher is gone only when the server is going.
        let _ = self.signals.send(signal).await;
    }
}

/// Holds commands off a printer.
pub struct Reservation {
    printer_id: Uuid,
    signals: mpsc::Sender<Signal>,
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let (signals, printer_id) = (self.signals.clone(), self.printer_id);
        if signals.try_send(Signal::Release(printer_id)).is_err() {
            tokio::spawn(async move { signals.send(Signal::Release(printer_id)).await });
        }
    }
}
