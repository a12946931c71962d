//! The live side: one actor per printer, their supervisor, and the snapshot that they write.
//!
//! `fleet` does not know the database. It takes [`message::Order`]s, asks leave before every send, and reports; see
//! `message.rs`. Handing something to an actor never waits: a mailbox that is full says so, and whoever hands over
//! is the ledger's dispatcher, which tries again.

mod actor;
mod answer;
mod conduct;
mod confirm;
mod errand;
pub mod flight;
mod link;
pub mod message;
mod outbox;
mod permit;
pub mod recorder_queue;
pub mod settings;
mod sight;
pub mod view;
mod wanted;

use std::{
    collections::{HashMap, HashSet},
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex},
    time::Duration,
};

use chrono::{DateTime, Utc};
use futures_util::FutureExt;
use tokio::{
    sync::{Semaphore, mpsc},
    task::AbortHandle,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

use self::{
    actor::{Actor, Surroundings},
    errand::AnswersDue,
    message::{LateOrder, Mail, Order, Up},
    outbox::Outbox,
    recorder_queue::RecorderQueue,
    settings::{CONNECTS, MAILBOX, UP_QUEUE},
    view::{Live, View},
    wanted::Wanted,
};
use crate::{
    config::Settings,
    domain::{
        plate::{ClearedPlate, Plate},
        print::{Mark, Print, StartSent, Tracker},
        state::{PrinterState, Reachability},
    },
    octoprint::OctoPrint,
};

/// Everything that an actor needs to take up its watch.
#[derive(Debug, Clone)]
pub struct Member {
    pub id: Uuid,
    pub octoprint: OctoPrint,
    /// What was seen last, in an earlier life of the server.
    pub last_state: PrinterState,
    pub observed_at: Option<DateTime<Utc>>,
    pub octoprint_version: Option<Arc<str>>,
    pub mark: Option<(Mark, DateTime<Utc>)>,
    pub plate: Plate,
    /// The print that had not ended.
    pub print: Option<Print>,
    /// The start that the previous run of the server had sent and not settled.
    pub start: Option<StartSent>,
}

impl Member {
    /// A printer of which nothing is known yet.
    pub fn fresh(id: Uuid, octoprint: OctoPrint) -> Self {
        Self {
            id,
            octoprint,
            last_state: PrinterState::Unknown,
            observed_at: None,
            octoprint_version: None,
            mark: None,
            plate: Plate::clear(),
            print: None,
            start: None,
        }
    }

    /// What is known of it before it was seen in this life of the server.
    fn unseen(&self) -> Live {
        let live = Live::unseen(self.id, self.last_state, self.observed_at, self.plate.clone());
        Live { octoprint_version: self.octoprint_version.clone(), ..live }
    }
}

/// Why an order was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotTaken {
    /// There is no actor: the printer is disabled or was removed.
    NoActor,
    /// Its mailbox is full, or the server is going. Try again.
    Busy,
}

/// The far ends of the fleet's queues: one for the dispatcher, one for the recorder.
pub struct Inbox {
    pub ledger: mpsc::Receiver<Up>,
    pub recorder: RecorderQueue,
}

/// A handle on the live side. Cheap to clone.
#[derive(Clone)]
pub struct Fleet {
    inner: Arc<Inner>,
}

struct Inner {
    actors: Mutex<HashMap<Uuid, Handle>>,
    around: Surroundings,
    tasks: TaskTracker,
    stop: CancellationToken,
}

struct Handle {
    wanted: Arc<Wanted>,
    mailbox: mpsc::Sender<Mail>,
    /// Ends the actor where it stands: there is nothing that it would have to put away.
    task: AbortHandle,
}

impl Fleet {
    /// A live side without printers. Its actors end when `stop` falls.
    pub fn new(settings: Settings, tasks: TaskTracker, stop: CancellationToken) -> (Self, Inbox) {
        let (ledger, ledger_inbox) = mpsc::channel(UP_QUEUE);
        let recorder = RecorderQueue::default();
        let around = Surroundings {
            settings,
            ledger,
            recorder: recorder.clone(),
            view: Arc::new(View::default()),
            connects: Arc::new(Semaphore::new(CONNECTS)),
            answers_due: AnswersDue::default(),
        };
        let inner = Arc::new(Inner { actors: Mutex::default(), around, tasks, stop });
        let fleet = Self { inner };
        fleet.inner.tasks.spawn(fleet.clone().end_on_stop());
        (fleet, Inbox { ledger: ledger_inbox, recorder })
    }

    /// Ends every actor when `stop` falls: each would have to look for it whenever it wakes.
    async fn end_on_stop(self) {
        self.inner.stop.cancelled().await;
        for (_, handle) in self.actors().drain() {
            handle.task.abort();
        }
    }

    /// The snapshot of what is seen.
    pub fn view(&self) -> &View {
        &self.inner.around.view
    }

    /// Starts the actor of an enabled printer. One that runs gets the member's client, and continues if it was to retire.
    pub fn start_actor(&self, mut member: Member) {
        let id = member.id;
        let mut actors = self.actors();
        if self.inner.stop.is_cancelled() {
            return;
        }
        if let Some(handle) = actors.get(&id) {
            handle.wanted.connect(member.octoprint);
            handle.wake();
            return;
        }
        // The view has every change of the plate since the member was read.
        if let Some(live) = self.view().get(id) {
            (member.plate, member.last_state) = (live.plate.clone(), live.last_state);
            member.observed_at = live.observed_at();
        }
        // Before the actor is found: what is published of its printer needs the entry.
        self.view().put(member.unseen());
        let (mailbox, inbox) = mpsc::channel(MAILBOX);
        let wanted = Arc::new(Wanted::default());
        let task = self.inner.tasks.spawn(self.clone().supervise(member, wanted.clone(), inbox)).abort_handle();
        actors.insert(id, Handle { wanted, mailbox, task });
    }

    /// Ends an actor at once and forgets what it saw: the printer was removed.
    pub fn remove(&self, id: Uuid) {
        if let Some(handle) = self.actors().remove(&id) {
            handle.task.abort();
        }
        self.view().remove(id);
    }

    /// Lets an actor finish what it sent, and end: the printer was disabled.
    pub fn retire(&self, id: Uuid) {
        if let Some(handle) = self.actors().get(&id) {
            handle.wanted.retire();
            handle.wake();
        }
    }

    /// The printers that have an actor.
    pub fn running(&self) -> HashSet<Uuid> {
        self.actors().keys().copied().collect()
    }

    /// Hands an order to its printer's actor.
    pub fn perform(&self, printer_id: Uuid, order: Order) -> Result<(), NotTaken> {
        self.post(printer_id, Mail::Perform(Box::new(order)))
    }

    /// Tells an actor that the ledger has ended a command that was not sent.
    pub fn drop_order(&self, printer_id: Uuid, command_id: Uuid) -> Result<(), NotTaken> {
        self.post(printer_id, Mail::Drop(command_id))
    }

    /// Has an actor watch for the late effect of a command that ended with an unknown effect in the previous process.
    pub fn watch_late(&self, printer_id: Uuid, order: LateOrder) -> Result<(), NotTaken> {
        self.post(printer_id, Mail::WatchLate(Box::new(order)))
    }

    /// Waits until what actors have observed so far is stored, for at most 2 s. False: it is not stored yet.
    pub async fn written_down(&self) -> bool {
        let stored = self.inner.around.recorder.add_flush();
        matches!(tokio::time::timeout(Duration::from_secs(2), stored).await, Ok(Ok(())))
    }

    /// Has a printer looked at soon.
    pub fn look(&self, printer_id: Uuid) {
        let _ = self.post(printer_id, Mail::Look);
    }

    /// Somebody looks at a printer: it is read more often for the next 10 s.
    pub fn watch(&self, printer_id: Uuid) {
        let _ = self.post(printer_id, Mail::Watched);
    }

    /// Follows the database, in which a print was removed from its plate. A plate with another print stays as it is.
    pub fn clear_plate(&self, printer_id: Uuid, cleared: ClearedPlate) {
        let actors = self.actors();
        if let Some(handle) = actors.get(&printer_id) {
            handle.wanted.clear_plate(cleared);
            handle.wake();
        } else if let Some(live) = self.view().get(printer_id)
            && let Some(plate) = live.plate.without(&cleared)
        {
            self.view().update(Live { plate, ..Live::clone(&live) });
        }
    }

    /// Gives a printer's entry a new version: its name or its tags have changed.
    pub fn touch(&self, printer_id: Uuid) {
        if let Some(live) = self.view().get(printer_id) {
            self.view().update(Live::clone(&live));
        }
    }

    fn post(&self, id: Uuid, mail: Mail) -> Result<(), NotTaken> {
        let actors = self.actors();
        let handle = actors.get(&id).ok_or_else(|| self.gone())?;
        handle.mailbox.try_send(mail).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => NotTaken::Busy,
            mpsc::error::TrySendError::Closed(_) => self.gone(),
        })
    }

    /// What it means that a printer has no actor. One that is gone with the server has its printer no less: its orders are
    /// the next life's.
    fn gone(&self) -> NotTaken {
        if self.inner.stop.is_cancelled() { NotTaken::Busy } else { NotTaken::NoActor }
    }

    /// Runs one actor until it ends; one that panics is started anew, for its own printer only.
    async fn supervise(self, mut member: Member, wanted: Arc<Wanted>, inbox: mpsc::Receiver<Mail>) {
        let id = member.id;
        let outbox = Outbox::new(self.inner.around.ledger.clone());
        let tracker = Tracker::resume(member.print.as_ref(), member.mark.clone());
        let new = |member: &Member, tracker, inbox, outbox| {
            Box::new(Actor::new(member.clone(), wanted.clone(), tracker, inbox, outbox, self.inner.around.clone()))
        };
        let mut actor = new(&member, tracker, inbox, outbox);
        loop {
            if AssertUnwindSafe(actor.run()).catch_unwind().await.is_ok() {
                if self.end(id, &wanted, &actor.mailbox) {
                    return;
                }
                continue;
            }
            tracing::error!(printer.id = %id, "the actor of a printer panicked, and is started anew");
            let (mailbox, fresh) = mpsc::channel(MAILBOX);
            if let Some(handle) = self.actors().get_mut(&id) {
                handle.mailbox = mailbox;
            }
            if let Some(live) = self.view().get(id) {
                member.plate = live.plate.clone();
                member.last_state = live.last_state;
            }
            // It continues with what the one that died knew of the printer's prints.
            let mut tracker = std::mem::take(&mut actor.tracker);
            tracker.lose_sight();
            actor = new(&member, tracker, fresh, actor.outbox);
            actor.outbox.send(Up::Restarted { printer_id: id });
        }
    }

    /// Takes a retired actor out of the fleet. False: its printer was enabled again meanwhile, or it has mail.
    fn end(&self, id: Uuid, wanted: &Wanted, mailbox: &mpsc::Receiver<Mail>) -> bool {
        let mut actors = self.actors();
        if actors.contains_key(&id) && !(wanted.is_retired() && mailbox.is_empty()) {
            return false;
        }
        actors.remove(&id);
        // Still under the lock: the next actor of this printer publishes after this.
        if let Some(live) = self.view().get(id) {
            let (reachability, state) = (Reachability::Unknown, PrinterState::Unknown);
            self.view().update(Live { reachability, state, channel: None, ..Live::clone(&live) });
        }
        true
    }

    fn actors(&self) -> std::sync::MutexGuard<'_, HashMap<Uuid, Handle>> {
        self.inner.actors.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Handle {
    /// Has the actor look at what is wanted. One whose mailbox is full has a turn without it.
    fn wake(&self) {
        let _ = self.mailbox.try_send(Mail::Wake);
    }
}

#[cfg(test)]
mod tests;
