//! The actor of one printer: it composes the connection, the poll schedule, the commands and the published state.
//!
//! Its loop waits for several sources at once: messages, the event socket, its own requests, room in the dispatcher's queue,
//! and the timer. It never waits for a single reply of the printer, nor for the dispatcher or the recorder. `domain/effect.rs`
//! decides what to do about a command, and `execute.rs` executes the decision.

use std::{pin::pin, sync::Arc, time::Instant};

use futures_util::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use tokio::sync::{Semaphore, mpsc};

use super::{
    ActorConfig,
    commands::Commands,
    connection::Connection,
    message::{ActorEvent, ActorMessage},
    outbox::Outbox,
    published::PublishedState,
    recorder_queue::RecorderQueue,
    request::RequestResult,
    schedule::PollSchedule,
    settings::FRAMES_PER_TURN,
    view::View,
    wanted_state::SharedWantedState,
};
use crate::{
    config::Settings,
    domain::{
        heating::HeatingWatch,
        message::Message,
        print::PrintTracker,
        reading::{JobReading, PrinterEvent},
        stall::StallWatch,
        state::PrinterState,
    },
    octoprint::{Error, EventFrame, OctoPrint},
};

/// The event that woke the actor.
#[expect(clippy::large_enum_variant, reason = "each value is matched in the turn that it starts")]
enum WakeEvent {
    Message(Option<ActorMessage>),
    Frame(Result<EventFrame, Error>),
    RequestDone(RequestResult),
    Tick,
}

/// The context that an actor shares with the rest of the fleet.
#[derive(Clone)]
pub(super) struct FleetContext {
    pub settings: Settings,
    pub dispatcher: mpsc::Sender<ActorEvent>,
    pub recorder: RecorderQueue,
    pub view: Arc<View>,
    pub connect_permits: Arc<Semaphore>,
}

/// The actor of one printer.
pub(super) struct Actor {
    pub(super) context: FleetContext,
    pub(super) octoprint: OctoPrint,
    pub(super) mailbox: mpsc::Receiver<ActorMessage>,
    pub(super) outbox: Outbox,
    /// Requests to the printer that are in progress.
    pub(super) requests: FuturesUnordered<BoxFuture<'static, RequestResult>>,
    pub(super) connection: Connection,
    pub(super) schedule: PollSchedule,
    pub(super) commands: Commands,
    pub(super) published: PublishedState,
    pub(super) tracker: PrintTracker,
    pub(super) stall: StallWatch,
    pub(super) state: PrinterState,
    pub(super) reading: Option<JobReading>,
    pub(super) heating: HeatingWatch,
    /// The client for a changed address or key. The actor switches to it when no command is in flight.
    pub(super) new_client: Option<OctoPrint>,
    wanted: Arc<SharedWantedState>,
    /// The version of the wanted state that the actor has applied.
    wanted_version: u64,
    pub(super) retiring: bool,
    /// The server stops. No send begins, and messages are left to the next process.
    pub(super) is_ending: bool,
    /// Why the printer refuses to print, if it is out of service.
    pub(super) out_of_service: Option<Message>,
}

impl Actor {
    /// Creates an actor for a registered printer, with the state that is known from before.
    pub fn new(
        config: ActorConfig,
        wanted: Arc<SharedWantedState>,
        tracker: PrintTracker,
        mailbox: mpsc::Receiver<ActorMessage>,
        outbox: Outbox,
        context: FleetContext,
    ) -> Self {
        let now = Instant::now();
        Self {
            context,
            mailbox,
            outbox,
            requests: FuturesUnordered::new(),
            connection: Connection::new(now),
            schedule: PollSchedule::new(now),
            commands: Commands::new(config.start.clone()),
            published: PublishedState::new(config.unobserved_entry(), (config.last_state, tracker.mark().clone())),
            tracker,
            stall: StallWatch::default(),
            state: PrinterState::Unknown,
            reading: None,
            heating: HeatingWatch::default(),
            new_client: None,
            wanted,
            wanted_version: 0,
            retiring: false,
            is_ending: false,
            out_of_service: None,
            octoprint: config.octoprint,
        }
    }

    /// Runs until the actor is retired, the server stops, or the mailbox is closed.
    pub async fn run(&mut self) {
        // One timer for the whole run. It is reset only to fire earlier: firing too early costs one turn, and a reset costs
        // time in every turn.
        let mut timer = pin!(tokio::time::sleep_until(self.next_wake().into()));
        loop {
            self.apply_wanted_state();
            self.published.store_reachability(&self.context.recorder);
            self.publish();
            if self.retiring && self.commands.is_idle() && self.outbox.is_empty() && self.mailbox.is_empty() {
                return;
            }
            if self.is_ending && !self.commands.is_sending() && self.outbox.is_empty() {
                return;
            }
            let wake = tokio::time::Instant::from_std(self.next_wake());
            if timer.is_elapsed() || wake < timer.deadline() {
                timer.as_mut().reset(wake);
            }
            let event = tokio::select! {
                message = self.mailbox.recv(), if !self.is_ending && self.outbox.has_capacity() => WakeEvent::Message(message),
                frame = self.connection.next_frame() => WakeEvent::Frame(frame),
                Some(done) = self.requests.next(), if !self.requests.is_empty() => WakeEvent::RequestDone(done),
                () = self.outbox.flush(), if !self.outbox.is_empty() => WakeEvent::Tick,
                () = &mut timer => WakeEvent::Tick,
            };
            match event {
                WakeEvent::Message(None) => return,
                WakeEvent::Message(Some(message)) => self.on_message(message),
                WakeEvent::Frame(Ok(frame)) => self.on_frames(frame),
                WakeEvent::Frame(Err(error)) => self.on_socket_lost(error),
                WakeEvent::RequestDone(done) => self.on_request_done(done),
                WakeEvent::Tick => {}
            }
            self.run_due_tasks().await;
            if !self.is_ending {
                self.execute();
            }
        }
    }

    fn on_message(&mut self, message: ActorMessage) {
        match message {
            ActorMessage::Perform(command) => self.accept_command(command),
            ActorMessage::Drop(command_id) => self.drop_unsent(command_id),
            ActorMessage::WatchUnsettled(command) => self.watch_unsettled(*command),
            ActorMessage::Read => self.start_reading(Instant::now()),
            ActorMessage::Viewed => self.on_viewed(),
            // The next turn starts with the wanted state.
            ActorMessage::Wake => {}
        }
    }

    /// Applies the wanted state if it has changed.
    pub(super) fn apply_wanted_state(&mut self) {
        let Some(wanted) = self.wanted.changed_since(self.wanted_version) else { return };
        self.retiring = wanted.is_retired;
        self.is_ending = wanted.is_ending;
        self.out_of_service = wanted.out_of_service;
        if let Some((version, octoprint)) = wanted.client
            && version > self.wanted_version
        {
            self.new_client = Some(octoprint);
        }
        if wanted.cleared_plate.is_some() {
            self.settle_print();
        }
        // If another print has begun since then, it stays on the plate.
        if let Some(cleared) = wanted.cleared_plate
            && self.tracker.current().is_none()
            && let Some(plate) = self.published.live().plate.after_clear(&cleared)
        {
            self.published.change().plate = plate;
        }
        self.wanted_version = wanted.version;
    }

    /// Processes the frames that have already arrived.
    pub(super) fn process_received_frames(&mut self) {
        match self.connection.received_frame() {
            Some(Ok(frame)) => self.on_frames(frame),
            Some(Err(error)) => self.on_socket_lost(error),
            None => {}
        }
    }

    /// Processes a frame and the frames that arrived with it. After a command, a printer sends several states at once.
    fn on_frames(&mut self, first: EventFrame) {
        self.connection.on_frame(Instant::now());
        self.published.mark_observed();
        let mut next = Some(Ok(first));
        let mut has_events = false;
        let mut taken = 0;
        while let Some(frame) = next.take() {
            match frame {
                Ok(EventFrame::Event(event)) => {
                    self.on_event(event);
                    has_events = true;
                }
                Ok(EventFrame::Pong | EventFrame::Other) => {}
                Err(error) => self.on_socket_lost(error),
            }
            taken += 1;
            if taken < FRAMES_PER_TURN {
                next = self.connection.received_frame();
            }
        }
        if has_events {
            self.store_observation();
            self.judge_unsettled();
        }
    }

    fn on_event(&mut self, event: PrinterEvent) {
        let now = Instant::now();
        if let PrinterEvent::StateChanged { state, text } = &event {
            self.schedule.on_state_event(now);
            self.state = *state;
            let live = self.published.change();
            live.state_text.clone_from(text);
            if !state.is_operational() {
                live.clear_temperatures();
            }
            if *state != PrinterState::Error && state.is_operational() {
                live.error = None;
            }
            self.commands.note_state(*state);
        } else {
            self.published.touch_job();
        }
        if matches!(event, PrinterEvent::FileSelected { .. } | PrinterEvent::FileDeselected) {
            // A reading in progress may still show the previously selected file.
            self.schedule.on_event();
        }
        if let PrinterEvent::PrintStarted { path, .. } = &event {
            self.commands.note_observed_start(path);
        }
        let facts = self.tracker.on_event(&event, &self.moment());
        self.record_facts(facts);
        match &event {
            PrinterEvent::FileSelected { .. } | PrinterEvent::FileDeselected => self.schedule.read_soon(now, 400),
            PrinterEvent::StateChanged { .. } | PrinterEvent::Error { .. } => self.schedule.read_soon(now, 700),
            _ => {}
        }
        self.published.touch();
    }

    fn on_request_done(&mut self, done: RequestResult) {
        match done {
            RequestResult::Contact { started, version, result } => self.on_contact(started, version, result),
            RequestResult::Socket(result) => self.on_socket(result),
            RequestResult::Read { started, result } => {
                self.schedule.end_reading(started);
                match result {
                    Ok(reading) => self.on_reading(reading, started),
                    Err(error) => self.on_read_failed(&error, started),
                }
            }
            RequestResult::Heaters(result) => self.on_heaters(result),
            RequestResult::Permit { command_id, granted } => {
                self.handle_result_of(command_id, |actor| actor.on_permit(command_id, granted));
            }
            RequestResult::Sent { command_id, result } => {
                self.handle_result_of(command_id, |actor| actor.on_sent(command_id, result));
            }
            RequestResult::Counted { command_id, prints } => {
                self.handle_result_of(command_id, |actor| actor.on_counted(command_id, prints));
            }
        }
    }
}
