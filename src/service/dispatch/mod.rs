//! The ledger's dispatcher: it releases commands as their limits allow, hands each to its printer's actor, gives
//! leave to send, and writes down what became of it.
//!
//! One task owns the lanes and the runs, so there is nothing to lock. It wakes by signal (a batch was made, stopped,
//! a printer changed), by what actors say, and by a timer; what it does not know it reads from the ledger, which is
//! the truth: killed at any moment, it goes on from there. It never waits for an actor. Writes come in groups: while
//! one statement is under way the next group gathers, so a thousand commands cost a few statements.

mod handle;
mod release;
mod report;

use self::handle::Signal;
pub use self::handle::{Dispatch, Reservation};

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::{Notify, broadcast, mpsc};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{lanes::Lanes, runs::Run};
use crate::{
    clock,
    domain::{
        batch::Batch,
        command::{CommandRow, Outcome, Reason},
    },
    fleet::{
        Fleet,
        message::{Report, Up},
    },
    storage::{self, Db, commands},
};

/// Messages of actors that are taken at once.
const GROUP: usize = 2_048;
/// Messages of actors for which one statement is worth its while: more are not waited for.
const ENOUGH: usize = 64;
/// Signals that wait.
const SIGNALS: usize = 1_024;
/// The dispatcher looks around at least this often.
const TICK: Duration = Duration::from_secs(1);
/// Ends wait this long at most while answers to other sends are awaited, so that no answer waits for a place in the ledger
/// behind them, and a thousand ends cost a few statements.
const ENDS_WAIT: Duration = Duration::from_millis(100);
/// Acceptances wait this long at most for others that are awaited: a thousand of them would be a hundred statements, many of
/// them of one row.
const ADVANCES_WAIT: Duration = Duration::from_millis(6);
/// Between attempts when the database does not answer. Without the ledger nothing may be sent.
const RETRY: Duration = Duration::from_millis(200);
/// For what is written after the end.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// The dispatcher's task.
pub struct Dispatcher {
    db: Db,
    fleet: Fleet,
    ledger: mpsc::Receiver<Up>,
    signals: mpsc::Receiver<Signal>,
    handle: Dispatch,
    runs: HashMap<Uuid, Run>,
    lanes: Lanes,
    rows: HashMap<Uuid, CommandRow>,
    /// Commands whose actors had no room.
    unposted: Vec<Uuid>,
    /// Commands that were sent, and of which nothing has been heard yet.
    awaited: HashSet<Uuid>,
    /// Reports of how far commands are that are not in the ledger yet, and final ones.
    advances: Held,
    ends: Held,
    groups: HashMap<Uuid, Option<String>>,
    wake_at: Instant,
}

impl Dispatcher {
    /// A dispatcher over the ledger; `ledger` is where actors speak.
    pub fn new(db: Db, fleet: Fleet, ledger: mpsc::Receiver<Up>) -> Self {
        let (signals_in, signals) = mpsc::channel(SIGNALS);
        let handle = Dispatch {
            wake: Arc::new(Notify::new()),
            made: Arc::default(),
            signals: signals_in,
            changed: broadcast::channel(SIGNALS).0,
            beat: Arc::new(AtomicI64::new(clock::now().timestamp_micros())),
            open: Arc::default(),
        };
        Self {
            db,
            fleet,
            ledger,
            signals,
            handle,
            runs: HashMap::new(),
            lanes: Lanes::default(),
            rows: HashMap::new(),
            unposted: Vec::new(),
            awaited: HashSet::new(),
            advances: Held::default(),
            ends: Held::default(),
            groups: HashMap::new(),
            wake_at: Instant::now(),
        }
    }

    /// The handle for everybody else.
    pub fn handle(&self) -> Dispatch {
        self.handle.clone()
    }

    /// Runs until `stop` falls, then writes what is left.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut group = Vec::with_capacity(GROUP);
        self.load().await;
        self.watch_late().await;
        loop {
            self.release().await;
            self.handle.beat.store(clock::now().timestamp_micros(), Ordering::Relaxed);
            self.handle.open.store(self.runs.len(), Ordering::Relaxed);
            let wake = self.handle.wake.clone();
            let held_until = [self.advances.due, self.ends.due].into_iter().flatten().min();
            tokio::select! {
                () = stop.cancelled() => break,
                _ = self.ledger.recv_many(&mut group, GROUP) => {
                    if group.is_empty() {
                        break;
                    }
                    self.hear_out(&mut group).await;
                    self.hear(std::mem::take(&mut group)).await;
                }
                () = until(held_until), if held_until.is_some() => self.write_held(false).await,
                Some(signal) = self.signals.recv() => self.on_signal(signal).await,
                () = wake.notified() => self.take_up_made().await,
                () = tokio::time::sleep_until(self.wake_at.into()) => self.tick().await,
            }
        }
        // Where the database does not take them, the next life finds out anew.
        let _ = tokio::time::timeout(LAST_WORDS, self.write_held(true)).await;
    }

    /// Takes up every batch of the ledger that is not known yet, in the order in which they were made.
    async fn load(&mut self) {
        let batches = match storage::batches::unfinished(&self.db).await {
            Ok(batches) => batches,
            Err(error) => return log_storage("unfinished batches", &error),
        };
        self.learn_power_groups(&batches).await;
        for batch in batches {
            if self.runs.contains_key(&batch.id) {
                continue;
            }
            match commands::open_of_batch(&self.db, batch.id).await {
                Ok(rows) => self.take_up(batch, rows).await,
                Err(error) => return log_storage("rows of a batch", &error),
            }
        }
    }

    /// Takes up batches that were just made as they were then. Whatever has changed since, the ledger refuses a send of.
    async fn take_up_made(&mut self) {
        let made = std::mem::take(&mut *self.handle.just_made());
        for (batch, rows) in made {
            if batch.finished_at.is_none() && !self.runs.contains_key(&batch.id) {
                self.learn_power_groups(std::slice::from_ref(&batch)).await;
                self.take_up(batch, rows).await;
            }
        }
    }

    async fn take_up(&mut self, batch: Batch, mut rows: Vec<CommandRow>) {
        if !batch.spec.named {
            // Printers known to be unreachable come last.
            let view = self.fleet.view();
            rows.sort_by_key(|row| view.get(row.printer_id).is_none_or(|live| live.channel.is_none()));
        }
        let (released, queued): (Vec<_>, Vec<_>) =
            rows.into_iter().partition(|row| row.outcome != Outcome::Queued || row.released_at.is_some());
        let id = batch.id;
        let mut run = Run::new(batch, queued.into());
        run.open.extend(released.iter().map(|row| (row.id, row.printer_id)));
        self.runs.insert(id, run);
        let (sent, released): (Vec<_>, Vec<_>) = released.into_iter().partition(|row| row.outcome != Outcome::Queued);
        for row in sent {
            self.recover(row).await;
        }
        self.offer(released).await;
        self.close_if_over(vec![id]).await;
    }

    /// Lets those speak who are about to: a thousand actors that were woken at once ask with a few statements, of which
    /// the first is not one actor's alone. Whoever waits for a processor goes before, so a farm at rest costs no time.
    async fn hear_out(&mut self, group: &mut Vec<Up>) {
        let mut heard = 0;
        while heard < group.len() && group.len() < ENOUGH {
            heard = group.len();
            tokio::task::yield_now().await;
            while group.len() < GROUP
                && let Ok(up) = self.ledger.try_recv()
            {
                group.push(up);
            }
        }
    }

    async fn tick(&mut self) {
        // What a signal did not bring, or what could not be read then.
        self.load().await;
        for id in std::mem::take(&mut self.unposted) {
            self.post(id).await;
        }
        let expired: Vec<Uuid> =
            self.lanes.expired(clock::now()).into_iter().map(|(_, ticket)| ticket.command_id).collect();
        if !expired.is_empty() {
            let detail = "Another command to this printer took longer than this one was to wait.";
            self.end_rows(&expired, Outcome::Expired, Reason::CommandInFlight, detail).await;
        }
        let over: Vec<Uuid> = self.runs.iter().filter(|(_, run)| run.is_over()).map(|(id, _)| *id).collect();
        self.close_if_over(over).await;
    }

    async fn on_signal(&mut self, signal: Signal) {
        // It may be about a batch that was made before.
        self.take_up_made().await;
        match signal {
            Signal::Ended(ids) => {
                self.drop_orders(&ids);
                self.forget(&ids, None).await;
            }
            Signal::PrinterDisabled(printer_id) => {
                let unreleased = self.runs.values().flat_map(|run| run.queued.iter());
                let mut ids: Vec<Uuid> =
                    unreleased.filter(|row| row.printer_id == printer_id).map(|row| row.id).collect();
                ids.extend(self.lanes.unsent(printer_id));
                self.end_queued(&ids, Outcome::Rejected, Reason::PrinterDisabled).await;
            }
            Signal::PrinterRemoved(printer_id) => {
                self.lanes.forget(printer_id);
                let open = self.rows.values().filter(|row| row.printer_id == printer_id).map(|row| row.id);
                let unreleased = self.runs.values().flat_map(|run| run.queued.iter());
                let queued = unreleased.filter(|row| row.printer_id == printer_id).map(|row| row.id);
                let ids: Vec<Uuid> = open.chain(queued).collect();
                self.forget(&ids, None).await;
            }
            Signal::Reserve(printer_id, reply) => {
                let result = self.lanes.reserve(printer_id);
                if reply.send(result).is_err() && result.is_ok() {
                    self.unreserve(printer_id).await;
                }
            }
            Signal::Release(printer_id) => self.unreserve(printer_id).await,
        }
    }

    async fn unreserve(&mut self, printer_id: Uuid) {
        if let Some(ticket) = self.lanes.release(printer_id) {
            self.post(ticket.command_id).await;
        }
    }
}

/// Reports that wait a little while for others, so that one statement takes many.
#[derive(Debug, Default)]
struct Held {
    reports: Vec<Report>,
    /// Until when the first of them may wait.
    due: Option<Instant>,
}

impl Held {
    fn hold(&mut self, report: Report, patience: Duration) {
        self.due.get_or_insert_with(|| Instant::now() + patience);
        self.reports.push(report);
    }

    fn is_due(&self) -> bool {
        self.due.is_some_and(|due| Instant::now() >= due)
    }

    fn take(&mut self) -> Vec<Report> {
        self.due = None;
        std::mem::take(&mut self.reports)
    }
}

async fn until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time.into()).await,
        None => std::future::pending().await,
    }
}

/// A failure of the ledger, which is tried again.
fn log_storage(what: &str, error: &storage::Error) {
    tracing::error!(error = ?error, "the ledger cannot be used ({what})");
}
