//! The ledger's dispatcher: it releases commands as their limits allow, hands each to its printer's actor, gives
//! leave to send, and writes down what became of it.
//!
//! One task owns the lanes and the runs, so there is nothing to lock. It wakes by signal (a batch was made, stopped,
//! a printer changed), by what actors say, and by a timer; what it does not know it reads from the ledger, which is
//! the truth: killed at any moment, it goes on from there. It never waits for an actor. Writes come in groups: while
//! one statement is under way the next group gathers, so a thousand commands cost a few statements.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::{Notify, broadcast, mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    lanes::{Lanes, Offer, Ticket},
    runs::Run,
};
use crate::{
    clock,
    domain::{
        batch::{BatchSpec, BatchState, OnFailure, PlatePolicy, WhenUnreachable},
        command::{Command, CommandRow, Outcome, Reason},
    },
    fleet::{
        Fleet, NotTaken,
        message::{Order, Ready, Recover, Report, Up},
    },
    storage::{self, Db, commands},
};

/// Messages of actors that are taken at once.
const GROUP: usize = 2_048;
/// Signals that wait.
const SIGNALS: usize = 1_024;
/// The dispatcher looks around at least this often.
const TICK: Duration = Duration::from_secs(1);
/// Between attempts when the database does not answer. Without the ledger nothing may be sent.
const RETRY: Duration = Duration::from_millis(200);

/// What the dispatcher is told beside what actors say.
#[derive(Debug)]
enum Signal {
    /// These rows were ended in the ledger.
    Ended(Vec<Uuid>),
    PrinterDisabled(Uuid),
    PrinterRemoved(Uuid),
    Reserve(Uuid, oneshot::Sender<Result<(), Option<Command>>>),
    Release(Uuid),
}

/// A handle on the dispatcher. Cheap to clone.
#[derive(Clone)]
pub struct Dispatch {
    wake: Arc<Notify>,
    signals: mpsc::Sender<Signal>,
    changed: broadcast::Sender<Uuid>,
    beat: Arc<AtomicI64>,
    open: Arc<AtomicUsize>,
}

impl Dispatch {
    /// A batch was made: look into the ledger.
    pub fn wake(&self) {
        self.wake.notify_one();
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
    unposted: Vec<Uuid>,
    groups: HashMap<Uuid, Option<String>>,
    wake_at: Instant,
}

impl Dispatcher {
    /// A dispatcher over the ledger; `ledger` is where actors speak.
    pub fn new(db: Db, fleet: Fleet, ledger: mpsc::Receiver<Up>) -> Self {
        let (signals_in, signals) = mpsc::channel(SIGNALS);
        let handle = Dispatch {
            wake: Arc::new(Notify::new()),
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
            groups: HashMap::new(),
            wake_at: Instant::now(),
        }
    }

    /// The handle for everybody else.
    pub fn handle(&self) -> Dispatch {
        self.handle.clone()
    }

    /// Runs until `stop` falls.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut group = Vec::with_capacity(GROUP);
        self.load().await;
        loop {
            self.release().await;
            self.handle.beat.store(clock::now().timestamp_micros(), Ordering::Relaxed);
            self.handle.open.store(self.runs.len(), Ordering::Relaxed);
            let wake = self.handle.wake.clone();
            tokio::select! {
                () = stop.cancelled() => return,
                _ = self.ledger.recv_many(&mut group, GROUP) => {
                    if group.is_empty() {
                        return;
                    }
                    self.hear(std::mem::take(&mut group)).await;
                }
                Some(signal) = self.signals.recv() => self.on_signal(signal).await,
                () = wake.notified() => self.load().await,
                () = tokio::time::sleep_until(self.wake_at.into()) => self.tick().await,
            }
        }
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
            let id = batch.id;
            let mut rows = match commands::open_of_batch(&self.db, id).await {
                Ok(rows) => rows,
                Err(error) => return log_storage("rows of a batch", &error),
            };
            if !batch.spec.named {
                // Printers known to be unreachable come last.
                let view = self.fleet.view();
                rows.sort_by_key(|row| view.get(row.printer_id).is_none_or(|live| live.channel.is_none()));
            }
            let (released, queued): (Vec<_>, Vec<_>) =
                rows.into_iter().partition(|row| row.outcome != Outcome::Queued || row.released_at.is_some());
            let mut run = Run::new(batch, queued.into());
            for row in &released {
                run.open.insert(row.id, row.printer_id);
            }
            self.runs.insert(id, run);
            let (sent, released): (Vec<_>, Vec<_>) =
                released.into_iter().partition(|row| row.outcome != Outcome::Queued);
            for row in sent {
                self.recover(row).await;
            }
            self.offer(released).await;
            self.close_if_over(vec![id]).await;
        }
    }

    async fn learn_power_groups(&mut self, batches: &[crate::domain::batch::Batch]) {
        if batches.iter().all(|batch| batch.spec.max_heating == 0) {
            return;
        }
        match storage::printers::all(&self.db).await {
            Ok(printers) => {
                self.groups =
                    printers.into_iter().map(|(printer, _)| (printer.id, printer.details.power_group)).collect();
            }
            Err(error) => log_storage("power groups", &error),
        }
    }

    /// Gives a command that was on its way when the server died to its actor, to be settled as one without answer.
    async fn recover(&mut self, row: CommandRow) {
        let ticket = Ticket { sent: true, ..ticket(&row) };
        let (id, printer_id) = (row.id, row.printer_id);
        self.rows.insert(id, row);
        match self.lanes.offer(printer_id, ticket) {
            Offer::Go | Offer::Overtake => self.post(id).await,
            Offer::Wait => {}
            Offer::Refuse(_) => {
                self.end_now(id, Outcome::Unknown, Some(Reason::NoAnswer)).await;
            }
        }
    }

    /// Releases what the limits allow.
    async fn release(&mut self) {
        let (now, wall) = (Instant::now(), clock::now());
        self.wake_at = now + TICK;
        let mut ids: Vec<Uuid> =
            self.runs.iter().filter(|(_, run)| !run.queued.is_empty()).map(|(id, _)| *id).collect();
        ids.sort_unstable();
        for id in ids {
            if !self.check_when_due(id, wall).await {
                continue;
            }
            let limits_heating = self.runs.get(&id).is_some_and(|run| run.batch.spec.max_heating > 0);
            let heating = if limits_heating { self.heating(now) } else { HashSet::new() };
            let groups = &self.groups;
            let Some(run) = self.runs.get_mut(&id) else { continue };
            let limit = usize::try_from(run.batch.spec.max_heating).unwrap_or(usize::MAX);
            let group_of = |printer: &Uuid| groups.get(printer).cloned().flatten();
            let released = run.release(now, wall, |printer, let_go| {
                let group = group_of(&printer);
                let busy = heating.iter().chain(let_go.iter().filter(|id| !heating.contains(*id)));
                let others = busy.filter(|id| **id != printer && group_of(id) == group).count();
                others < limit
            });
            let expires_in = TimeDelta::seconds(i64::from(run.batch.spec.expires_in_s));
            if let Some(again) = released.again {
                self.wake_at = self.wake_at.min(again);
            }
            if !released.over.is_empty() {
                let over: Vec<Uuid> = released.over.iter().map(|row| row.id).collect();
                self.end_queued(&over, Outcome::Expired, Reason::WindowOver).await;
                self.close_if_over(vec![id]).await;
            }
            let mut rows = released.rows;
            if rows.is_empty() {
                continue;
            }
            for row in &mut rows {
                row.expires_at = Some(wall + expires_in);
            }
            let times: Vec<(Uuid, DateTime<Utc>)> = rows.iter().map(|row| (row.id, wall + expires_in)).collect();
            while let Err(error) = commands::release(&self.db, &times, wall).await {
                log_storage("release", &error);
                tokio::time::sleep(RETRY).await;
            }
            self.offer(rows).await;
        }
    }

    /// When a scheduled batch is due, states and the creator's rights are checked again. `false`: nothing to release.
    async fn check_when_due(&mut self, id: Uuid, wall: DateTime<Utc>) -> bool {
        let Some(run) = self.runs.get_mut(&id) else { return false };
        if run.due || wall < run.batch.due_at() {
            return true;
        }
        run.due = true;
        if run.batch.state != BatchState::Scheduled {
            return true;
        }
        run.batch.state = BatchState::Running;
        let spec = run.batch.spec.clone();
        let printers: Vec<(Uuid, Uuid)> = run.queued.iter().map(|row| (row.id, row.printer_id)).collect();
        if let Err(error) = storage::batches::run(&self.db, id).await {
            log_storage("start of a batch", &error);
        }
        let _ = self.handle.changed.send(id);
        if !self.may_still(&spec, wall).await {
            let all: Vec<Uuid> = printers.iter().map(|(id, _)| *id).collect();
            self.end_queued(&all, Outcome::Rejected, Reason::Forbidden).await;
        } else if !spec.states.is_empty() {
            let view = self.fleet.view();
            let changed: Vec<Uuid> = printers
                .iter()
                .filter(|(_, printer)| view.get(*printer).is_none_or(|live| !spec.states.contains(&live.last_state)))
                .map(|(id, _)| *id)
                .collect();
            self.end_queued(&changed, Outcome::Rejected, Reason::StateChanged).await;
        }
        self.close_if_over(vec![id]).await;
        true
    }

    async fn may_still(&self, spec: &BatchSpec, wall: DateTime<Utc>) -> bool {
        let Some(token_id) = spec.token_id else { return true };
        match storage::tokens::get(&self.db, token_id).await {
            Ok(token) => token.is_some_and(|token| {
                token.role >= crate::domain::access::Role::Operator && token.expires_at.is_none_or(|at| at > wall)
            }),
            Err(error) => {
                log_storage("token", &error);
                false
            }
        }
    }

    /// Printers that heat, or were told to.
    fn heating(&self, now: Instant) -> HashSet<Uuid> {
        let seen = self.fleet.view().all();
        let told = self.rows.values().filter(|row| {
            row.command.heats()
                && self.lanes.in_flight(row.printer_id).is_some_and(|ticket| ticket.command_id == row.id)
        });
        seen.iter()
            .filter(|live| live.is_heating(now))
            .map(|live| live.id)
            .chain(told.map(|row| row.printer_id))
            .collect()
    }

    /// Offers released rows to their printers.
    async fn offer(&mut self, rows: Vec<CommandRow>) {
        self.withdraw_before_cancels(&rows).await;
        let mut refused: HashMap<Command, Vec<Uuid>> = HashMap::new();
        for row in rows {
            let (id, printer_id) = (row.id, row.printer_id);
            let offer = self.lanes.offer(printer_id, ticket(&row));
            self.rows.insert(id, row);
            match offer {
                Offer::Go | Offer::Overtake => self.post(id).await,
                Offer::Wait => {}
                Offer::Refuse(in_flight) => refused.entry(in_flight).or_default().push(id),
            }
        }
        for (in_flight, ids) in refused {
            let detail = format!("Another command to this printer has not ended yet: {in_flight}.");
            self.end_rows(&ids, Outcome::Rejected, Reason::CommandInFlight, &detail).await;
        }
    }

    /// A cancel first withdraws whatever was about to start on its printers, of any batch.
    async fn withdraw_before_cancels(&mut self, rows: &[CommandRow]) {
        let printers: HashSet<Uuid> =
            rows.iter().filter(|row| row.command == Command::Cancel).map(|row| row.printer_id).collect();
        if printers.is_empty() {
            return;
        }
        let unreleased = self
            .runs
            .values()
            .flat_map(|run| run.queued.iter())
            .filter(|row| row.command.heats() && printers.contains(&row.printer_id));
        let mut ids: Vec<Uuid> = unreleased.map(|row| row.id).collect();
        ids.extend(printers.iter().flat_map(|printer| self.lanes.withdrawable(*printer)));
        self.end_queued(&ids, Outcome::Skipped, Reason::OvertakenByCancel).await;
    }

    async fn end_queued(&mut self, ids: &[Uuid], outcome: Outcome, reason: Reason) {
        self.end_rows(ids, outcome, reason, reason.sentence()).await;
    }

    /// Ends rows that are still queued in the ledger, and forgets those that were.
    async fn end_rows(&mut self, ids: &[Uuid], outcome: Outcome, reason: Reason, detail: &str) {
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
        self.drop_orders(&ended);
        self.forget(&ended, Some(outcome)).await;
    }

    /// Ends a row whatever it was, by the same statement as an actor's report.
    async fn end_now(&mut self, id: Uuid, outcome: Outcome, reason: Option<Reason>) {
        let report = storage_report(id, outcome, reason, clock::now());
        self.write_reports(vec![report]).await;
        self.forget(&[id], Some(outcome)).await;
    }

    /// Rows have ended in the ledger: their lanes move on, their batches may be over.
    async fn forget(&mut self, ids: &[Uuid], outcome: Option<Outcome>) {
        let mut batches = HashSet::new();
        let mut failed = HashSet::new();
        let mut next = Vec::new();
        let all: HashSet<Uuid> = ids.iter().copied().collect();
        for run in self.runs.values_mut() {
            let before = run.queued.len();
            run.queued.retain(|row| !all.contains(&row.id));
            if run.queued.len() != before {
                batches.insert(run.batch.id);
            }
        }
        for id in ids {
            let Some(row) = self.rows.remove(id) else { continue };
            batches.insert(row.batch_id);
            if let Some(run) = self.runs.get_mut(&row.batch_id) {
                run.open.remove(id);
            }
            if outcome.is_some_and(|outcome| !matches!(outcome, Outcome::Confirmed | Outcome::Unchanged)) {
                failed.insert(row.batch_id);
            }
            next.extend(self.lanes.end(row.printer_id, *id));
        }
        for ticket in next {
            self.post(ticket.command_id).await;
        }
        self.stop_failed(failed).await;
        self.close_if_over(batches.into_iter().collect()).await;
    }

    /// Tells actors of commands that the ledger has ended. One that has asked already is refused by the ledger.
    fn drop_orders(&self, ids: &[Uuid]) {
        for row in ids.iter().filter_map(|id| self.rows.get(id)) {
            let _ = self.fleet.drop_order(row.printer_id, row.id);
        }
    }

    /// `on_failure: stop`.
    async fn stop_failed(&mut self, batches: HashSet<Uuid>) {
        for id in batches {
            let stops = self.runs.get(&id).is_some_and(|run| run.batch.spec.on_failure == OnFailure::Stop);
            if stops {
                self.stop(id).await;
            }
        }
    }

    async fn stop(&mut self, id: Uuid) {
        match storage::batches::stop(&self.db, id, clock::now()).await {
            Ok(Some(result)) => {
                self.drop_orders(&result.skipped);
                Box::pin(self.forget(&result.skipped, None)).await;
            }
            Ok(None) => {}
            Err(error) => log_storage("stop of a batch", &error),
        }
    }

    /// Marks batches as finished whose last row has ended, and tells of them.
    async fn close_if_over(&mut self, batches: Vec<Uuid>) {
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

    /// Hands a released command to its actor.
    async fn post(&mut self, id: Uuid) {
        let Some(row) = self.rows.get(&id) else { return };
        let Some(run) = self.runs.get(&row.batch_id) else { return };
        let printer_id = row.printer_id;
        match self.fleet.perform(printer_id, order(row, &run.batch.spec)) {
            Ok(()) => {}
            Err(NotTaken::Busy) => self.unposted.push(id),
            Err(NotTaken::NoActor) => {
                let (outcome, reason) = if row.outcome == Outcome::Queued {
                    (Outcome::Rejected, Reason::PrinterDisabled)
                } else {
                    (Outcome::Unknown, Reason::PrinterDisabled)
                };
                Box::pin(self.end_now(id, outcome, Some(reason))).await;
            }
        }
    }

    async fn tick(&mut self) {
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

    /// Takes in a group of what actors say.
    async fn hear(&mut self, group: Vec<Up>) {
        let (mut readies, mut reports) = (Vec::new(), Vec::new());
        for up in group {
            match up {
                Up::Ready(ready) => readies.push(ready),
                Up::Report(report) => reports.push(report),
                Up::Settled { command_id, settled } => match commands::settle(&self.db, command_id, &settled).await {
                    Ok(_) => tracing::info!(command.id = %command_id, effect = %settled.effect, "settled later"),
                    Err(error) => log_storage("settled", &error),
                },
                Up::Restarted { printer_id } => self.on_restarted(printer_id).await,
            }
        }
        // A second send is committed on top of what was reported of the first.
        if readies.iter().any(|ready| ready.attempt > 1) {
            self.on_reports(std::mem::take(&mut reports)).await;
        }
        self.on_readies(readies).await;
        self.on_reports(reports).await;
    }

    /// An actor was started anew: what it held is given again, what was sent is settled.
    async fn on_restarted(&mut self, printer_id: Uuid) {
        let held: Vec<Uuid> = self
            .rows
            .values()
            .filter(|row| row.printer_id == printer_id)
            .filter(|row| self.lanes.in_flight(printer_id).is_some_and(|ticket| ticket.command_id == row.id))
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
    async fn on_readies(&mut self, readies: Vec<Ready>) {
        if readies.is_empty() {
            return;
        }
        let at = clock::now();
        let sends: Vec<commands::Send> = readies
            .iter()
            .map(|ready| commands::Send {
                id: ready.command_id,
                attempt: ready.attempt,
                step: ready.step,
                resolved: ready.resolved,
                state_before: Some(ready.state_before),
                print_id: ready.print_id,
                at,
            })
            .collect();
        let won: HashSet<Uuid> = loop {
            match commands::commit_sends(&self.db, &sends).await {
                Ok(touched) => break touched.into_iter().map(|row| row.id).collect(),
                Err(error) => log_storage("commit of sends", &error),
            }
            tokio::time::sleep(RETRY).await;
        };
        let mut lost = Vec::new();
        for ready in readies {
            let go = won.contains(&ready.command_id);
            if go {
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
    async fn end_lost(&mut self, lost: Vec<Uuid>) {
        if lost.is_empty() {
            return;
        }
        let known: Vec<Uuid> = lost.into_iter().filter(|id| self.rows.contains_key(id)).collect();
        let sentence = "Its time passed before it could be sent.";
        let touched =
            commands::end_queued(&self.db, &known, Outcome::Expired, None, Some(sentence), clock::now()).await;
        match touched {
            Ok(_) => self.forget(&known, Some(Outcome::Expired)).await,
            Err(error) => log_storage("expiry", &error),
        }
    }

    async fn on_reports(&mut self, reports: Vec<Report>) {
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
            } else if let Some(row) = self.rows.get_mut(&report.command_id) {
                row.outcome = report.outcome;
                row.accepted_at = report.accepted_at;
            }
        }
        for (outcome, ids) in by_outcome {
            self.forget(&ids, Some(outcome)).await;
        }
    }

    async fn write_reports(&mut self, rows: Vec<commands::Report>) {
        while let Err(error) = commands::report(&self.db, &rows).await {
            log_storage("outcomes", &error);
            tokio::time::sleep(RETRY).await;
        }
    }
}

fn storage_report(id: Uuid, outcome: Outcome, reason: Option<Reason>, at: DateTime<Utc>) -> commands::Report {
    commands::Report {
        id,
        outcome,
        reason,
        detail: reason.map(|reason| reason.sentence().to_owned()),
        resolved: None,
        print_id: None,
        state_after: None,
        accepted_at: None,
        finished_at: outcome.is_final().then_some(at),
    }
}

fn ticket(row: &CommandRow) -> Ticket {
    Ticket {
        command_id: row.id,
        batch_id: row.batch_id,
        command: row.command,
        expires_at: row.expires_at,
        sent: row.outcome != Outcome::Queued,
    }
}

/// The order for a row, as its batch says.
fn order(row: &CommandRow, spec: &BatchSpec) -> Order {
    let left = row.expires_at.map_or(Duration::ZERO, |at| (at - clock::now()).to_std().unwrap_or_default());
    let recover = row.step.filter(|_| row.outcome != Outcome::Queued).map(|step| Recover {
        step,
        resolved: row.resolved_command,
        attempts: row.attempts,
        state_before: row.state_before,
        print_id: row.print_id,
        accepted_at: row.accepted_at,
    });
    Order {
        command_id: row.id,
        command: row.command,
        expected_job: row.expected_job.clone(),
        file: spec.file.clone(),
        named: spec.named,
        force: spec.force,
        assume_clear: spec.plate == PlatePolicy::AssumeClear,
        confirm_within: Duration::from_secs(u64::from(spec.confirm_within_s)),
        wait_when_unreachable: spec.when_unreachable == WhenUnreachable::Wait,
        expires: Instant::now() + left,
        recover,
    }
}

fn log_storage(what: &str, error: &storage::Error) {
    tracing::error!(error = ?error, "the ledger cannot be used ({what})");
}
