//! The fleet: one supervised actor per printer, and the snapshot that the actors publish.
//!
//! `fleet` does not access the database. It receives [`message::ActorCommand`]s, requests a permit before every send, and
//! reports the progress; see `message.rs`. Sending a message to an actor never waits. If a mailbox is full, the dispatcher
//! gets [`ActorUnavailable::Busy`] and tries again.

mod actor;
mod commands;
mod confirm;
mod connection;
mod execute;
pub mod in_flight;
pub mod message;
mod observe;
mod outbox;
mod overtake;
mod permit;
mod published;
pub mod recorder_queue;
mod reply;
mod request;
mod routine;
mod schedule;
pub mod settings;
pub mod view;

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
    actor::{Actor, FleetContext},
    message::{ActorCommand, ActorEvent, ActorMessage, UnsettledCommand},
    outbox::Outbox,
    recorder_queue::RecorderQueue,
    settings::{CONNECTS, DISPATCHER_QUEUE, END_WITHIN, MAILBOX},
    view::{LivePrinter, View},
    wanted_state::SharedWantedState,
};
use crate::{
    config::Settings,
    domain::{
        message::Message,
        plate::{ClearedPlate, Plate},
        print::{JobMark, Print, PrintTracker, SentStart},
        state::{PrinterState, Reachability},
    },
    octoprint::OctoPrint,
};

/// The configuration that an actor needs to start.
#[derive(Debug, Clone)]
pub struct ActorConfig {
    pub id: Uuid,
    pub octoprint: OctoPrint,
    /// The last observation of the previous run of the server.
    pub last_state: PrinterState,
    pub observed_at: Option<DateTime<Utc>>,
    pub octoprint_version: Option<Arc<str>>,
    pub mark: Option<(JobMark, DateTime<Utc>)>,
    pub plate: Plate,
    /// The print that had not ended.
    pub print: Option<Print>,
    /// The start that the previous run of the server sent and did not settle.
    pub start: Option<SentStart>,
    /// Why the printer refuses to print, if it is out of service.
    pub out_of_service: Option<Message>,
}

impl ActorConfig {
    /// The configuration of a printer without any known state.
    pub fn new(id: Uuid, octoprint: OctoPrint) -> Self {
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
            out_of_service: None,
        }
    }

    /// The printer's entry before its first observation in this run of the server.
    fn unobserved_entry(&self) -> LivePrinter {
        let live = LivePrinter::unobserved(self.id, self.last_state, self.observed_at, self.plate.clone());
        LivePrinter { octoprint_version: self.octoprint_version.clone(), ..live }
    }
}

/// Why the fleet did not accept a message for an actor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActorUnavailable {
    /// The printer has no actor: it is disabled or was removed.
    NoActor,
    /// The mailbox is full, or the server is stopping. Try again.
    Busy,
}

/// The receiving ends of the fleet's queues: one for the dispatcher, one for the recorder.
pub struct Inbox {
    pub events: mpsc::Receiver<ActorEvent>,
    pub recorder: RecorderQueue,
}

/// A handle on the fleet. Cheap to clone.
#[derive(Clone)]
pub struct Fleet {
    inner: Arc<FleetInner>,
}

struct FleetInner {
    actors: Mutex<HashMap<Uuid, ActorHandle>>,
    context: FleetContext,
    /// The tasks of the actors.
    tasks: TaskTracker,
    stop: CancellationToken,
    /// Cancelled after `stop`, when every actor has ended.
    ended: CancellationToken,
}

struct ActorHandle {
    wanted: Arc<SharedWantedState>,
    mailbox: mpsc::Sender<ActorMessage>,
    /// Aborts the actor at any point: it holds nothing that needs a clean-up.
    task: AbortHandle,
}

impl Fleet {
    /// Creates a fleet without printers. Its actors end when `stop` is cancelled; a task of `tasks` waits for them.
    pub fn new(settings: Settings, tasks: &TaskTracker, stop: CancellationToken) -> (Self, Inbox) {
        let (dispatcher, events) = mpsc::channel(DISPATCHER_QUEUE);
        let recorder = RecorderQueue::default();
        let context = FleetContext {
            settings,
            dispatcher,
            recorder: recorder.clone(),
            view: Arc::new(View::default()),
            connect_permits: Arc::new(Semaphore::new(CONNECTS)),
        };
        let ended = CancellationToken::new();
        let inner = FleetInner { actors: Mutex::default(), context, tasks: TaskTracker::new(), stop, ended };
        let fleet = Self { inner: Arc::new(inner) };
        tasks.spawn(fleet.clone().end_on_stop());
        (fleet, Inbox { events, recorder })
    }

    /// Ends every actor when `stop` is cancelled, so that actors do not have to check it in each turn. An actor that sends
    /// waits for the reply: without it, the next process could not know whether a print was started.
    async fn end_on_stop(self) {
        self.inner.stop.cancelled().await;
        for handle in self.actors().values() {
            handle.wanted.end();
            handle.wake();
        }
        self.inner.tasks.close();
        if tokio::time::timeout(END_WITHIN, self.inner.tasks.wait()).await.is_err() {
            tracing::warn!("some printers have not replied to their commands; the next start reads these printers");
            self.abort_actors();
            self.inner.tasks.wait().await;
        }
        self.inner.ended.cancel();
    }

    /// Ends every actor at once, during a shutdown: another server may send by now.
    pub fn abort_actors(&self) {
        for handle in self.actors().values() {
            handle.task.abort();
        }
    }

    /// Returns the token that is cancelled when the server stops and every actor has ended.
    pub fn ended(&self) -> CancellationToken {
        self.inner.ended.clone()
    }

    /// Returns the snapshot of the observed printers.
    pub fn view(&self) -> &View {
        &self.inner.context.view
    }

    /// Starts the actor of an enabled printer. A running actor gets the config's client, and continues if it was retiring.
    pub fn start_actor(&self, mut config: ActorConfig) {
        let id = config.id;
        let mut actors = self.actors();
        if self.inner.stop.is_cancelled() {
            return;
        }
        if let Some(handle) = actors.get(&id) {
            handle.wanted.connect(config.octoprint);
            handle.wanted.set_out_of_service(config.out_of_service);
            handle.wake();
            return;
        }
        // The view contains every change of the plate since the config was read.
        if let Some(live) = self.view().get(id) {
            (config.plate, config.last_state) = (live.plate.clone(), live.last_state);
            config.observed_at = live.observed_at();
        }
        // Inserted before other tasks can find the actor: everything that is published of the printer needs this entry.
        self.view().put(config.unobserved_entry());
        let (mailbox, inbox) = mpsc::channel(MAILBOX);
        let wanted = Arc::new(SharedWantedState::default());
        wanted.set_out_of_service(config.out_of_service.clone());
        let task = self.inner.tasks.spawn(self.clone().supervise(config, wanted.clone(), inbox)).abort_handle();
        actors.insert(id, ActorHandle { wanted, mailbox, task });
    }

    /// Ends an actor at once and removes its printer from the snapshot: the printer was removed.
    pub fn remove(&self, id: Uuid) {
        if let Some(handle) = self.actors().remove(&id) {
            handle.task.abort();
        }
        self.view().remove(id);
    }

    /// Retires an actor: it finishes the commands that it sent, and ends. The printer was disabled.
    pub fn retire(&self, id: Uuid) {
        if let Some(handle) = self.actors().get(&id) {
            handle.wanted.retire();
            handle.wake();
        }
    }

    /// Takes a printer out of service, or returns it to service. The actor checks it before every send.
    pub fn set_out_of_service(&self, id: Uuid, refusal: Option<Message>) {
        if let Some(handle) = self.actors().get(&id)
            && handle.wanted.set_out_of_service(refusal)
        {
            handle.wake();
        }
    }

    /// Returns why a printer refuses to print, if it is out of service.
    pub fn out_of_service(&self, id: Uuid) -> Option<Message> {
        self.actors().get(&id)?.wanted.out_of_service()
    }

    /// Returns the printers that have an actor.
    pub fn running_actors(&self) -> HashSet<Uuid> {
        self.actors().keys().copied().collect()
    }

    /// Sends a command to its printer's actor.
    pub fn perform(&self, printer_id: Uuid, command: ActorCommand) -> Result<(), ActorUnavailable> {
        self.post(printer_id, ActorMessage::Perform(Box::new(command)))
    }

    /// Reports to an actor that the command log has ended an unsent command.
    pub fn drop_command(&self, printer_id: Uuid, command_id: Uuid) -> Result<(), ActorUnavailable> {
        self.post(printer_id, ActorMessage::Drop(command_id))
    }

    /// Makes an actor watch for the late effect of a command that ended with an unknown effect in the previous process.
    pub fn watch_unsettled(&self, printer_id: Uuid, command: UnsettledCommand) -> Result<(), ActorUnavailable> {
        self.post(printer_id, ActorMessage::WatchUnsettled(Box::new(command)))
    }

    /// Waits until all observations so far are stored, for at most 2 s. Returns `false` if they are not stored by then.
    pub async fn flush_observations(&self) -> bool {
        let stored = self.inner.context.recorder.add_flush();
        matches!(tokio::time::timeout(Duration::from_secs(2), stored).await, Ok(Ok(())))
    }

    /// Requests a reading of a printer soon.
    pub fn request_reading(&self, printer_id: Uuid) {
        let _ = self.post(printer_id, ActorMessage::Read);
    }

    /// Reads a printer more often for the next 10 s, because a user or an API client is viewing it.
    pub fn mark_viewed(&self, printer_id: Uuid) {
        let _ = self.post(printer_id, ActorMessage::Viewed);
    }

    /// Clears the plate as the database did, after a print was removed. A plate with another print stays unchanged.
    pub fn clear_plate(&self, printer_id: Uuid, cleared: ClearedPlate) {
        let actors = self.actors();
        if let Some(handle) = actors.get(&printer_id) {
            handle.wanted.clear_plate(cleared);
            handle.wake();
        } else if let Some(live) = self.view().get(printer_id)
            && let Some(plate) = live.plate.after_clear(&cleared)
        {
            self.view().update(LivePrinter { plate, ..LivePrinter::clone(&live) });
        }
    }

    /// Gives a printer's entry a new version, because its name or its tags have changed.
    pub fn touch(&self, printer_id: Uuid) {
        if let Some(live) = self.view().get(printer_id) {
            self.view().update(LivePrinter::clone(&live));
        }
    }

    fn post(&self, id: Uuid, message: ActorMessage) -> Result<(), ActorUnavailable> {
        let actors = self.actors();
        let handle = actors.get(&id).ok_or_else(|| self.unavailable_reason())?;
        handle.mailbox.try_send(message).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => ActorUnavailable::Busy,
            mpsc::error::TrySendError::Closed(_) => self.unavailable_reason(),
        })
    }

    /// Returns why a printer has no actor. While the server stops, the printer's commands are left to the next run.
    fn unavailable_reason(&self) -> ActorUnavailable {
        if self.inner.stop.is_cancelled() { ActorUnavailable::Busy } else { ActorUnavailable::NoActor }
    }

    /// Runs one actor until it ends. An actor that panics is restarted, without effect on other printers.
    async fn supervise(
        self,
        mut config: ActorConfig,
        wanted: Arc<SharedWantedState>,
        inbox: mpsc::Receiver<ActorMessage>,
    ) {
        let id = config.id;
        let outbox = Outbox::new(self.inner.context.dispatcher.clone());
        let tracker = PrintTracker::resume(config.print.as_ref(), config.mark.clone());
        let new_actor = |config: &ActorConfig, tracker, inbox, outbox| {
            Box::new(Actor::new(config.clone(), wanted.clone(), tracker, inbox, outbox, self.inner.context.clone()))
        };
        let mut actor = new_actor(&config, tracker, inbox, outbox);
        loop {
            if AssertUnwindSafe(actor.run()).catch_unwind().await.is_ok() {
                if self.inner.stop.is_cancelled() || self.remove_if_retired(id, &wanted, &actor.mailbox) {
                    return;
                }
                continue;
            }
            tracing::error!(printer.id = %id, "the actor of a printer panicked and is restarted");
            let (mailbox, inbox) = mpsc::channel(MAILBOX);
            if let Some(handle) = self.actors().get_mut(&id) {
                handle.mailbox = mailbox;
            }
            if let Some(live) = self.view().get(id) {
                config.plate = live.plate.clone();
                config.last_state = live.last_state;
            }
            // The new actor continues with the prints that the panicked actor knew.
            let mut tracker = std::mem::take(&mut actor.tracker);
            tracker.begin_gap();
            actor = new_actor(&config, tracker, inbox, actor.outbox);
            actor.outbox.send(ActorEvent::Restarted { printer_id: id });
        }
    }

    /// Removes a retired actor from the fleet. Returns `false` if its printer was enabled again in the meantime, or if its
    /// mailbox has messages.
    fn remove_if_retired(&self, id: Uuid, wanted: &SharedWantedState, mailbox: &mpsc::Receiver<ActorMessage>) -> bool {
        let mut actors = self.actors();
        if actors.contains_key(&id) && !(wanted.is_retired() && mailbox.is_empty()) {
            return false;
        }
        actors.remove(&id);
        // The lock is still held, so the next actor of this printer publishes after this update.
        if let Some(live) = self.view().get(id) {
            let (reachability, state) = (Reachability::Unknown, PrinterState::Unknown);
            self.view().update(LivePrinter {
                reachability,
                state,
                channel: None,
                channel_error: None,
                ..LivePrinter::clone(&live)
            });
        }
        true
    }

    fn actors(&self) -> std::sync::MutexGuard<'_, HashMap<Uuid, ActorHandle>> {
        self.inner.actors.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl ActorHandle {
    /// Makes the actor read the wanted state. If the mailbox is full, the actor has a turn in any case.
    fn wake(&self) {
        let _ = self.mailbox.try_send(ActorMessage::Wake);
    }
}

#[cfg(test)]
mod tests;
mod wanted_state;
