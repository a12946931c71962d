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

use std::{
    collections::HashMap,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex},
    time::Duration,
};

use chrono::{DateTime, Utc};
use futures_util::FutureExt;
use tokio::{
    sync::{Semaphore, mpsc, oneshot},
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
    settings::{CONNECTS, MAILBOX, ROOM_WITHIN, UP_QUEUE},
    view::{Live, View},
};
use crate::{
    config::Settings,
    domain::{
        plate::{ClearResult, Plate},
        print::{Mark, Print},
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

    /// Starts an actor for a printer; does nothing when there is one, or when the server is going.
    pub fn add(&self, member: Member) {
        let mut actors = self.actors();
        if actors.contains_key(&member.id) || self.inner.stop.is_cancelled() {
            return;
        }
        // Before anybody sees it: what is told of it at once is to find it.
        self.view().put(member.unseen());
        let (mailbox, inbox) = mpsc::channel(MAILBOX);
        let id = member.id;
        let task = self.inner.tasks.spawn(self.clone().supervise(member, inbox)).abort_handle();
        actors.insert(id, Handle { mailbox, task });
    }

    /// Shows a printer that has no actor: it is disabled.
    pub fn show_disabled(&self, member: &Member) {
        self.view().put(member.unseen());
    }

    /// Gives an actor another address or key, and ends its retirement.
    pub async fn change(&self, member: Member) -> Result<(), NotTaken> {
        self.deliver(member.id, Mail::Change(Box::new(member))).await
    }

    /// Ends an actor at once and forgets what it saw: the printer was removed.
    pub fn remove(&self, id: Uuid) {
        if let Some(handle) = self.actors().remove(&id) {
            handle.task.abort();
        }
        self.view().remove(id);
    }

    /// Lets an actor finish what it sent, and end: the printer was disabled.
    pub async fn retire(&self, id: Uuid) -> Result<(), NotTaken> {
        self.deliver(id, Mail::Retire).await
    }

    /// The printer has an actor.
    pub fn has(&self, id: Uuid) -> bool {
        self.actors().contains_key(&id)
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

    /// Waits until what actors have seen so far is written down, for at most 2 s: whoever was told of a print finds it.
    pub async fn written_down(&self) {
        let stored = self.inner.around.recorder.add_flush();
        // After the time-out, or without a recorder, what is stored is what can be read.
        let _ = tokio::time::timeout(Duration::from_secs(2), stored).await;
    }

    /// Has a printer looked at soon.
    pub fn look(&self, printer_id: Uuid) {
        let _ = self.post(printer_id, Mail::Look);
    }

    /// Somebody looks at a printer: it is read more often for the next 10 s.
    pub fn watch(&self, printer_id: Uuid) {
        let _ = self.post(printer_id, Mail::Watched);
    }

    /// Marks a plate as clear on the live side. `None` when there is no actor, or it does not answer within 2 s.
    pub async fn clear_plate(
        &self,
        printer_id: Uuid,
        print_id: Option<Uuid>,
        by: String,
        at: DateTime<Utc>,
    ) -> Option<ClearResult> {
        let (reply, answer) = oneshot::channel();
        self.post(printer_id, Mail::ClearPlate { print_id, by, at, reply }).ok()?;
        tokio::time::timeout(Duration::from_secs(2), answer).await.ok()?.ok()
    }

    /// Gives a printer's entry a new version: its name or its tags have changed.
    pub fn touch(&self, printer_id: Uuid) {
        if let Some(live) = self.view().get(printer_id) {
            self.view().update(Live::clone(&live));
        }
    }

    /// Shows a plate as it is now, for a printer without an actor.
    pub fn show_plate(&self, printer_id: Uuid, plate: Plate) {
        if let Some(live) = self.view().get(printer_id) {
            self.view().update(Live { plate, ..Live::clone(&live) });
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

    /// Hands over what nobody would say again: it waits for room in the mailbox, which an actor that works makes at once.
    async fn deliver(&self, id: Uuid, mail: Mail) -> Result<(), NotTaken> {
        let mailbox = self.actors().get(&id).map(|handle| handle.mailbox.clone()).ok_or_else(|| self.gone())?;
        match tokio::time::timeout(ROOM_WITHIN, mailbox.send(mail)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(self.gone()),
            Err(_) => Err(NotTaken::Busy),
        }
    }

    /// What it means that a printer has no actor. One that is gone with the server has its printer no less: its orders are
    /// the next life's.
    fn gone(&self) -> NotTaken {
        if self.inner.stop.is_cancelled() { NotTaken::Busy } else { NotTaken::NoActor }
    }

    /// Runs one actor until it ends; one that panics is started anew, for its own printer only.
    async fn supervise(self, member: Member, mut inbox: mpsc::Receiver<Mail>) {
        let id = member.id;
        let mut member = member;
        let mut outbox = Outbox::new(self.inner.around.ledger.clone());
        loop {
            let mut actor = Box::new(Actor::new(member.clone(), inbox, outbox, self.inner.around.clone()));
            if AssertUnwindSafe(actor.run()).catch_unwind().await.is_ok() {
                break;
            }
            outbox = actor.outbox;
            tracing::error!(printer.id = %id, "the actor of a printer panicked, and is started anew");
            let (mailbox, fresh) = mpsc::channel(MAILBOX);
            inbox = fresh;
            if let Some(handle) = self.actors().get_mut(&id) {
                handle.mailbox = mailbox;
            }
            if let Some(live) = self.view().get(id) {
                member.plate = live.plate.clone();
                member.last_state = live.last_state;
            }
            // A print that was under way is taken up as one that began while nobody watched.
            member.print = None;
            outbox.send(Up::Restarted { printer_id: id });
        }
        self.actors().remove(&id);
        // Disabled: nobody watches it any more.
        if let Some(live) = self.view().get(id) {
            let mut live = Live::clone(&live);
            live.reachability = Reachability::Unknown;
            live.state = PrinterState::Unknown;
            live.channel = None;
            self.view().update(live);
        }
    }

    fn actors(&self) -> std::sync::MutexGuard<'_, HashMap<Uuid, Handle>> {
        self.inner.actors.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbound::{Networks, Outbound};

    /// A printer of which nobody answers.
    fn member(id: u128) -> Member {
        let outbound = Outbound::new(Networks::default()).expect("set-up");
        let url = "http://127.0.0.1:9/".parse().expect("a url");
        Member::fresh(Uuid::from_u128(id), OctoPrint::new(url, None, outbound).expect("a client"))
    }

    #[tokio::test]
    async fn an_actor_ends_with_its_printer_or_with_the_server_whose_next_life_gets_its_orders() {
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let (fleet, _inbox) = Fleet::new(Settings::default(), tasks.clone(), stop.clone());
        for id in [1, 2] {
            fleet.add(member(id));
            assert!(fleet.view().get(member(id).id).is_some(), "it is there at once");
        }
        let before = tasks.len();
        fleet.remove(member(1).id);
        let one_less = async {
            while tasks.len() == before {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), one_less).await.expect("it ended");
        assert_eq!(fleet.drop_order(member(1).id, Uuid::nil()), Err(NotTaken::NoActor));
        assert!(fleet.view().get(member(1).id).is_none());
        assert_eq!(fleet.drop_order(member(2).id, Uuid::nil()), Ok(()), "the other one goes on");
        stop.cancel();
        fleet.add(member(3));
        tasks.close();
        tokio::time::timeout(Duration::from_secs(20), tasks.wait()).await.expect("all ended");
        assert!(!fleet.has(member(3).id));
        let order = fleet.drop_order(member(2).id, Uuid::nil());
        assert_eq!(order, Err(NotTaken::Busy), "its orders are not ended as those of a printer that was disabled");
    }

    #[tokio::test]
    async fn a_change_waits_for_room_in_a_full_mailbox() {
        let (fleet, _inbox) = Fleet::new(Settings::default(), TaskTracker::new(), CancellationToken::new());
        let id = member(1).id;
        fleet.add(member(1));
        // The actor has had no turn yet: there is one thread.
        while fleet.drop_order(id, Uuid::nil()).is_ok() {}
        assert_eq!(fleet.drop_order(id, Uuid::nil()), Err(NotTaken::Busy));
        assert_eq!(fleet.change(member(1)).await, Ok(()));
        assert_eq!(fleet.change(member(2)).await, Err(NotTaken::NoActor));
    }
}
