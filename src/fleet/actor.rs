//! One actor per printer: it owns the event socket, the last reading, the backoff and the command in flight.
//!
//! The loop waits for four things at once (mail, the socket, its own errands, the time) and never for one printer's
//! answer, so a hung instance spends nobody's time but its own. What to do about a command is decided in
//! `domain/effect.rs`; `conduct.rs` obeys it.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use futures_util::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use tokio::sync::{Semaphore, mpsc};

use super::{
    Member,
    errand::{self, Done, Established},
    flight::{Flight, Late},
    message::{Fact, Mail, Up},
    settings::{
        BACKOFF_MAX, BACKOFF_MIN, FRESH_BY_READING, FRESH_BY_SOCKET, PING_EVERY, PING_WRITE, SILENCE, SOCKET_AGAIN,
        Settings, pace,
    },
    view::{Channel, Live, LiveJob, View},
};
use crate::{
    clock,
    domain::{
        command::Step,
        effect::Sight,
        plate::{ClearResult, Plate, PlateState},
        print::{ActorKind, Mark, Moment, PrintFact, PrintResult, Tracker},
        reading::{JobReading, PrinterEvent},
        stall::StallWatch,
        state::{PrinterState, Reachability, StateFlags},
    },
    octoprint::{Error, OctoPrint, PrinterReading, Push, PushFrame},
};

/// How the printer is listened to.
enum Link {
    Down,
    Push(Box<Push>),
    Poll,
}

/// What woke the actor.
enum Turn {
    Mail(Option<Mail>),
    Frame(Result<PushFrame, Error>),
    Done(Done),
    Tick,
}

/// What an actor shares with the rest of the fleet.
#[derive(Clone)]
pub(super) struct Surroundings {
    pub settings: Settings,
    pub ledger: mpsc::Sender<Up>,
    pub facts: mpsc::Sender<Fact>,
    pub view: Arc<View>,
    pub connects: Arc<Semaphore>,
}

/// The actor of one printer.
pub(super) struct Actor {
    pub(super) around: Surroundings,
    pub(super) octoprint: OctoPrint,
    mailbox: mpsc::Receiver<Mail>,
    pub(super) errands: FuturesUnordered<BoxFuture<'static, Done>>,
    pub(super) live: Live,
    pub(super) tracker: Tracker,
    stall: StallWatch,
    link: Link,
    /// What was seen last is of this connection, not from before a gap.
    pub(super) in_touch: bool,
    state: PrinterState,
    reading: Option<JobReading>,
    flags: StateFlags,
    /// When the newest completed reading was begun, and when it came.
    pub(super) read_begun: Option<Instant>,
    read_came: Option<Instant>,
    /// A reading is under way since.
    pub(super) reading_since: Option<Instant>,
    heaters_under_way: bool,
    establishing: bool,
    last_frame: Option<Instant>,
    /// State changes told by events; a reading begun before the newest one is stale.
    events: u64,
    events_at_read: u64,
    read_due: Instant,
    heaters_due: Instant,
    ping_due: Instant,
    connect_due: Instant,
    failures: u32,
    pub(super) slot: Option<Flight>,
    /// The cancel that overtakes what is in flight.
    pub(super) next: Option<Box<super::message::Order>>,
    pub(super) late: Vec<Late>,
    change: Option<Box<Member>>,
    pub(super) retiring: bool,
    /// The view differs from what was published.
    pub(super) dirty: bool,
    /// Events that were heard since the last turn and are to be told to the recorder.
    seen_state: PrinterState,
}

impl Actor {
    /// An actor for a registered printer, with what is known from before.
    pub fn new(member: Member, mailbox: mpsc::Receiver<Mail>, around: Surroundings) -> Self {
        let now = Instant::now();
        let tracker = Tracker::resume(member.print.as_ref(), member.mark.clone());
        let mut live = Live::unseen(member.id, member.last_state, member.observed_at, member.plate);
        live.octoprint_version = member.octoprint_version;
        Self {
            around,
            octoprint: member.octoprint,
            mailbox,
            errands: FuturesUnordered::new(),
            tracker,
            stall: StallWatch::default(),
            link: Link::Down,
            in_touch: false,
            state: PrinterState::Unknown,
            reading: None,
            flags: StateFlags::default(),
            read_begun: None,
            read_came: None,
            reading_since: None,
            heaters_under_way: false,
            establishing: false,
            last_frame: None,
            events: 0,
            events_at_read: 0,
            read_due: now + Duration::from_secs(3_600),
            heaters_due: now + Duration::from_secs(3_600),
            ping_due: now + PING_EVERY,
            connect_due: now,
            failures: 0,
            slot: None,
            next: None,
            late: Vec::new(),
            change: None,
            retiring: false,
            dirty: true,
            seen_state: member.last_state,
            live,
        }
    }

    /// Runs until it is retired or its mailbox is closed.
    pub async fn run(&mut self) {
        loop {
            self.publish();
            if self.retiring && self.slot.is_none() {
                return;
            }
            let wake = tokio::time::Instant::from_std(self.next_wake());
            let turn = tokio::select! {
                mail = self.mailbox.recv() => Turn::Mail(mail),
                frame = next_frame(&mut self.link) => Turn::Frame(frame),
                Some(done) = self.errands.next(), if !self.errands.is_empty() => Turn::Done(done),
                () = tokio::time::sleep_until(wake) => Turn::Tick,
            };
            match turn {
                Turn::Mail(None) => return,
                Turn::Mail(Some(mail)) => self.on_mail(mail).await,
                Turn::Frame(Ok(frame)) => self.on_frame(frame).await,
                Turn::Frame(Err(error)) => self.on_socket_lost(&error),
                Turn::Done(done) => self.on_done(done).await,
                Turn::Tick => {}
            }
            self.on_time().await;
            self.conduct().await;
        }
    }

    async fn on_mail(&mut self, mail: Mail) {
        match mail {
            Mail::Perform(order) => self.take(order).await,
            Mail::Drop(command_id) => self.drop_unsent(command_id),
            Mail::ClearPlate { print_id, by, at, reply } => {
                let result = self.clear_plate(print_id, by, at);
                // Whoever asked may have gone.
                let _ = reply.send(result);
            }
            Mail::Look => self.want_reading(Instant::now()),
            Mail::Change(member) => {
                self.retiring = false;
                self.change = Some(member);
            }
            Mail::Retire => self.retiring = true,
        }
    }

    fn clear_plate(
        &mut self,
        print_id: Option<uuid::Uuid>,
        by: String,
        at: chrono::DateTime<chrono::Utc>,
    ) -> ClearResult {
        if self.tracker.current().is_some() {
            return ClearResult::Printing;
        }
        if self.live.plate.state == PlateState::Clear {
            return ClearResult::AlreadyClear;
        }
        if print_id.is_some() && print_id != self.live.plate.print_id {
            return ClearResult::PlateChanged;
        }
        self.live.plate = Plate { state: PlateState::Clear, print_id: None, since: Some(at), cleared_by: Some(by) };
        self.dirty = true;
        ClearResult::Cleared
    }

    async fn on_frame(&mut self, frame: PushFrame) {
        self.last_frame = Some(Instant::now());
        self.hear();
        if let PushFrame::Event(event) = frame {
            self.on_event(event).await;
        }
    }

    async fn on_event(&mut self, event: PrinterEvent) {
        let now = Instant::now();
        if let PrinterEvent::StateChanged { state, text } = &event {
            self.events += 1;
            self.state = *state;
            self.live.state_text.clone_from(text);
            if *state != PrinterState::Error && state.is_operational() {
                self.live.error = None;
            }
            self.note_for_flights(*state);
        }
        if let PrinterEvent::PrintStarted { path, .. } = &event {
            self.note_started(path);
        }
        let facts = self.tracker.on_event(&event, self.moment());
        self.tell(facts).await;
        match &event {
            PrinterEvent::FileSelected { .. } | PrinterEvent::FileDeselected => self.read_soon(now, 400),
            PrinterEvent::StateChanged { .. } | PrinterEvent::Error { .. } => self.read_soon(now, 700),
            _ => {}
        }
        self.dirty = true;
        self.report_sighting().await;
        self.judge_late().await;
    }

    async fn on_done(&mut self, done: Done) {
        match done {
            Done::Established(result) => self.on_established(result),
            Done::Read { started, result } => {
                self.reading_since = None;
                match result {
                    Ok(reading) => self.on_reading(reading, started).await,
                    Err(error) => self.on_read_failed(&error, started).await,
                }
            }
            Done::Heaters(result) => self.on_heaters(result),
            Done::Asked { command_id, go } => self.on_asked(command_id, go).await,
            Done::Sent { command_id, result } => self.on_sent(command_id, result).await,
            Done::Counted { command_id, prints } => self.on_counted(command_id, prints).await,
        }
    }

    fn on_established(&mut self, result: Result<Established, Error>) {
        let now = Instant::now();
        self.establishing = false;
        match result {
            Ok(Established { version, push }) => {
                self.failures = 0;
                self.live.octoprint_version = Some(version);
                let polled = matches!(self.link, Link::Poll) && self.in_touch;
                if polled && push.is_none() {
                    // The socket is still refused; nobody has looked away.
                    self.connect_due = now + SOCKET_AGAIN;
                    return;
                }
                self.in_touch = false;
                if !polled {
                    self.tracker.lose_sight();
                }
                self.last_frame = Some(now);
                self.ping_due = now + jittered(PING_EVERY);
                self.connect_due = now + SOCKET_AGAIN;
                self.link = match push {
                    Some(push) => Link::Push(push),
                    None => Link::Poll,
                };
                self.live.channel = Some(if self.is_pushed() { Channel::Push } else { Channel::Poll });
                // Read before trusting events. A reading under way was begun before the socket was open.
                self.reading_since = None;
                self.want_reading(now);
                self.heaters_due = now;
                self.dirty = true;
            }
            Err(error) => self.on_unreachable(&error, now),
        }
    }

    /// Takes in an answer of `GET /api/job`.
    async fn on_reading(&mut self, mut reading: JobReading, started: Instant) {
        let now = Instant::now();
        if self.in_touch && self.events_at_read != self.events {
            // An event overtook this answer; which of the two is newer cannot be told.
            self.want_reading(now);
            return;
        }
        reading.state = reading.state.refined(self.flags);
        self.read_begun = Some(started);
        self.read_came = Some(now);
        self.hear();
        self.state = reading.state;
        self.live.state_text.clone_from(&reading.state_text);
        self.live.error.clone_from(&reading.error);
        self.note_for_flights(reading.state);
        let facts = self.tracker.on_reading(&reading, self.moment());
        self.in_touch = true;
        self.tell(facts).await;
        let stalled = self.stall.note(&reading, &self.live.temperatures, now, self.around.settings.stall_after);
        self.live.stalled_since = stalled.map(|since| clock::now() - (now - since));
        self.live.reachability = Reachability::Online;
        if matches!(self.link, Link::Down) && !self.establishing {
            self.connect_due = now;
        }
        self.reading = Some(reading);
        self.read_due = now + jittered(pace(self.state.is_active(), self.is_pushed()).job);
        self.heaters_due = self.heaters_due.min(now + pace(self.state.is_active(), self.is_pushed()).heaters);
        self.dirty = true;
        self.report_sighting().await;
        self.judge_late().await;
    }

    async fn on_read_failed(&mut self, error: &Error, started: Instant) {
        let now = Instant::now();
        self.on_unreachable(error, now);
        self.conduct_read_failure(error, started).await;
    }

    fn on_heaters(&mut self, result: Result<Option<PrinterReading>, Error>) {
        let now = Instant::now();
        self.heaters_under_way = false;
        let active = self.state.is_active();
        let mut due = pace(active, self.is_pushed()).heaters;
        if let Ok(Some(printer)) = result {
            if self.live.temperatures != printer.temperatures {
                self.live.temperatures = printer.temperatures;
                self.dirty = true;
            }
            self.flags = printer.flags;
            self.live.heaters_read = Some(now);
            if self.live.temperatures.values().any(|heater| heater.is_heating()) {
                due = due.min(Duration::from_secs(3));
            }
        }
        self.heaters_due = now + jittered(due);
    }

    fn on_socket_lost(&mut self, error: &Error) {
        tracing::debug!(printer.id = %self.live.id, %error, "event socket lost");
        let now = Instant::now();
        self.link = Link::Down;
        self.live.channel = None;
        self.in_touch = false;
        self.tracker.lose_sight();
        self.connect_due = now + jittered(BACKOFF_MIN);
        self.dirty = true;
    }

    /// The printer did not answer, or not as it should.
    fn on_unreachable(&mut self, error: &Error, now: Instant) {
        let reachability = match error {
            Error::Unauthorized => Reachability::Unauthorized,
            Error::Protocol { .. }
            | Error::NotFound
            | Error::Refused { .. }
            | Error::Conflict { .. }
            | Error::NoSocket { .. }
            | Error::Invalid { .. } => Reachability::Incompatible,
            Error::Offline { .. }
            | Error::Blocked(_)
            | Error::Timeout { .. }
            | Error::Lost { .. }
            | Error::Server { .. } => Reachability::Unreachable,
        };
        if self.live.reachability != reachability {
            tracing::info!(printer.id = %self.live.id, reachability = reachability.as_str(), %error, "printer lost");
        }
        self.live.reachability = reachability;
        self.live.error = Some(format!("The printer {error}."));
        self.link = Link::Down;
        self.live.channel = None;
        self.in_touch = false;
        self.read_begun = None;
        self.read_came = None;
        self.tracker.lose_sight();
        self.failures = self.failures.saturating_add(1);
        let ceiling = BACKOFF_MIN.saturating_mul(1 << self.failures.min(6)).min(BACKOFF_MAX);
        self.connect_due = now + full_jitter(ceiling);
        self.dirty = true;
    }

    /// What is due by the clock.
    async fn on_time(&mut self) {
        let now = Instant::now();
        if let Link::Push(_) = self.link {
            if self.last_frame.is_some_and(|last| now.duration_since(last) > SILENCE) {
                self.on_socket_lost(&Error::Timeout { after: SILENCE });
            } else if now >= self.ping_due {
                self.ping_due = now + PING_EVERY;
                self.ping().await;
            }
        }
        let connect = !matches!(self.link, Link::Push(_)) && now >= self.connect_due && !self.establishing;
        if connect && !self.retiring {
            self.establishing = true;
            self.errands.push(Box::pin(errand::establish(self.octoprint.clone(), self.around.connects.clone())));
        }
        let linked = !matches!(self.link, Link::Down);
        if linked && now >= self.read_due {
            self.want_reading(now);
        }
        if linked && self.in_touch && now >= self.heaters_due && !self.heaters_under_way {
            self.heaters_due = now + pace(self.state.is_active(), self.is_pushed()).heaters;
            if self.state.is_operational() || self.state == PrinterState::Unknown {
                self.heaters_under_way = true;
                self.errands.push(Box::pin(errand::heaters(self.octoprint.clone())));
            }
        }
        if self.slot.is_none() && self.change.is_some() {
            self.apply_change();
        }
    }

    async fn ping(&mut self) {
        let Link::Push(push) = &mut self.link else { return };
        // A ping goes into the socket's buffer; one that does not fit belongs to a printer that reads nothing.
        let written = tokio::time::timeout(PING_WRITE, push.ping()).await;
        if let Err(error) = written.unwrap_or(Err(Error::Timeout { after: PING_WRITE })) {
            self.on_socket_lost(&error);
        }
    }

    /// A changed address or key takes effect when nothing is in flight.
    fn apply_change(&mut self) {
        if self.slot.is_some() {
            return;
        }
        let Some(change) = self.change.take() else { return };
        let now = Instant::now();
        self.octoprint = change.octoprint;
        self.errands.clear();
        self.reading_since = None;
        self.establishing = false;
        self.heaters_under_way = false;
        self.link = Link::Down;
        self.live.channel = None;
        self.live.reachability = Reachability::Unknown;
        self.in_touch = false;
        self.read_begun = None;
        self.read_came = None;
        self.tracker.lose_sight();
        self.failures = 0;
        self.connect_due = now;
        self.dirty = true;
    }

    fn next_wake(&self) -> Instant {
        let now = Instant::now();
        let mut wake = now + Duration::from_secs(30);
        let mut at = |due: Instant| wake = wake.min(due);
        match self.link {
            Link::Push(_) => {
                at(self.ping_due);
                at(self.read_due);
            }
            Link::Poll => {
                at(self.read_due);
                if !self.establishing {
                    at(self.connect_due);
                }
            }
            Link::Down if !self.establishing => at(self.connect_due),
            Link::Down => {}
        }
        if self.in_touch && !self.heaters_under_way && !matches!(self.link, Link::Down) {
            at(self.heaters_due);
        }
        if self.slot.is_none() && self.change.is_some() {
            at(now);
        }
        if let Some(flight) = &self.slot {
            if let Some(deadline) = flight.deadline() {
                at(deadline);
            }
            if let (Some(look), None) = (flight.next_look, self.reading_since) {
                at(look);
            }
        }
        wake
    }

    /// Begins a reading, unless one is under way.
    pub(super) fn want_reading(&mut self, now: Instant) {
        if self.reading_since.is_some() {
            return;
        }
        self.reading_since = Some(now);
        self.events_at_read = self.events;
        self.read_due = now + pace(self.state.is_active(), self.is_pushed()).job;
        self.errands.push(Box::pin(errand::read(self.octoprint.clone(), now)));
    }

    fn read_soon(&mut self, now: Instant, within_ms: u64) {
        let delay = Duration::from_millis(300) + full_jitter(Duration::from_millis(within_ms));
        self.read_due = self.read_due.min(now + delay);
    }

    pub(super) fn is_pushed(&self) -> bool {
        matches!(self.link, Link::Push(_))
    }

    /// What is known of the printer is of this moment. `after`: only a reading begun after it will do.
    pub(super) fn is_fresh(&self, after: Option<Instant>, now: Instant) -> bool {
        if let Some(after) = after {
            return self.in_touch && self.read_begun.is_some_and(|begun| begun >= after);
        }
        let by_socket = self.is_pushed()
            && self.in_touch
            && self.last_frame.is_some_and(|last| now.duration_since(last) <= FRESH_BY_SOCKET);
        by_socket || (self.in_touch && self.read_came.is_some_and(|came| now.duration_since(came) <= FRESH_BY_READING))
    }

    /// What is known of the printer.
    pub(super) fn sight(&self) -> Sight {
        let current = self.tracker.current();
        Sight {
            state: self.state,
            file: self.tracker.selected().cloned(),
            print_id: current.map(|print| print.id),
            paused_by_printyard: current
                .and_then(|print| print.paused_by)
                .is_some_and(|by| by.kind == ActorKind::Command),
        }
    }

    pub(super) fn moment(&self) -> Moment {
        let out = |step: Step| {
            self.slot
                .as_ref()
                .filter(|flight| flight.is_out() && flight.step == step)
                .map(|flight| flight.order.command_id)
        };
        Moment { at: clock::now(), fresh_id: clock::new_id(), starting: out(Step::Start), pausing: out(Step::Pause) }
    }

    /// Tells the recorder what the tracker found out.
    pub(super) async fn tell(&mut self, facts: Vec<PrintFact>) {
        // A gap after which something had changed: it is kept as a print, and proves nothing about a start.
        let doubtful: Vec<uuid::Uuid> = facts
            .iter()
            .filter_map(|fact| match fact {
                PrintFact::Ended { id, result: PrintResult::Unknown, .. } => Some(*id),
                _ => None,
            })
            .collect();
        for fact in facts {
            match &fact {
                PrintFact::Began { id, file, at, by } => {
                    self.note_began(*id, by.command_id);
                    self.live.plate = Plate::occupied(*id, *at);
                    self.live.heated_up = Some(Instant::now());
                    self.heaters_due = self.heaters_due.min(Instant::now() + Duration::from_secs(3));
                    if let Some(file) = file.as_ref().filter(|_| !doubtful.contains(id)) {
                        self.note_started(&file.path);
                    }
                }
                PrintFact::Resumed { .. } => self.live.heated_up = Some(Instant::now()),
                PrintFact::Paused { .. } | PrintFact::Ended { .. } => {}
            }
            self.dirty = true;
            // The recorder is gone only when the server is going.
            let _ = self.around.facts.send(Fact::Print { printer_id: self.live.id, fact }).await;
        }
    }

    /// Tells the recorder of a change of state, with the mark by which the watch is taken up after a restart.
    async fn report_sighting(&mut self) {
        let marked = self.reading.as_ref().map(Mark::of).unwrap_or_default();
        if self.seen_state == self.state && !self.state.is_active() && self.live.last_state == self.state {
            return;
        }
        self.seen_state = self.state;
        let fact = Fact::Seen {
            printer_id: self.live.id,
            state: self.state,
            mark: Mark { file: self.tracker.selected().cloned(), ..marked },
            at: clock::now(),
            octoprint_version: self.live.octoprint_version.clone(),
        };
        let _ = self.around.facts.send(fact).await;
    }

    /// It was heard of now; the view's age needs no new version for that.
    fn hear(&mut self) {
        self.live.heard.store(clock::now().timestamp_micros(), Ordering::Relaxed);
    }

    /// Writes what is seen into the farm's snapshot.
    fn publish(&mut self) {
        if !self.dirty {
            return;
        }
        self.dirty = false;
        let online = self.live.reachability == Reachability::Online;
        self.live.state = if online { self.state } else { PrinterState::Unknown };
        if online && self.state != PrinterState::Unknown {
            self.live.last_state = self.state;
        }
        self.live.in_flight = self.slot.as_ref().map(|flight| flight.order.command);
        self.live.job = self.live_job();
        self.around.view.put(self.live.clone());
    }

    fn live_job(&self) -> Option<LiveJob> {
        let current = self.tracker.current();
        let reading = self.reading.as_ref();
        let selected = self.tracker.selected();
        if current.is_none() && selected.is_none() {
            return None;
        }
        // The reading may be of the file before.
        let read_file = reading
            .and_then(|reading| reading.file.clone())
            .filter(|file| selected.is_some_and(|selected| selected.path == file.path));
        let fresh = read_file.is_some();
        let file = read_file.or_else(|| {
            selected.map(|file| crate::domain::reading::JobFile {
                name: file.path.rsplit('/').next().unwrap_or(&file.path).to_owned(),
                path: file.path.clone(),
                origin: file.origin.clone(),
                size: None,
                date: None,
            })
        });
        Some(LiveJob {
            print_id: current.map(|print| print.id),
            file,
            user: reading.and_then(|reading| reading.user.clone()),
            estimated_print_time_s: reading.filter(|_| fresh).and_then(|reading| reading.estimated_print_time_s),
            started_by: current.map(|print| print.started_by),
            paused_by: current.and_then(|print| print.paused_by),
            progress: reading.filter(|_| fresh).map(|reading| reading.progress).unwrap_or_default(),
        })
    }
}

async fn next_frame(link: &mut Link) -> Result<PushFrame, Error> {
    match link {
        Link::Push(push) => push.next().await,
        Link::Down | Link::Poll => std::future::pending().await,
    }
}

/// Up to a tenth more or less, so that a thousand printers do not keep step.
fn jittered(duration: Duration) -> Duration {
    duration.mul_f64(0.9 + rand::random::<f64>() * 0.2)
}

/// Anything from a twentieth of it to all of it.
fn full_jitter(ceiling: Duration) -> Duration {
    ceiling.mul_f64(rand::random::<f64>().max(0.05))
}
