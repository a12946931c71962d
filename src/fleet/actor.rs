//! One actor per printer: it owns the event socket, the last reading, the backoff and the command in flight.
//!
//! The loop waits for all at once (mail, the socket, its own errands, room for its messages, the time). It never waits for
//! one printer's answer, and never for the dispatcher or the recorder. What to do about a command is decided in
//! `domain/effect.rs`; `conduct.rs` obeys it.

use std::{
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use tokio::sync::{Semaphore, mpsc};

use super::{
    Member,
    errand::{AnswersDue, Done},
    flight::{Flight, Late},
    message::{Mail, Up},
    outbox::Outbox,
    recorder_queue::RecorderQueue,
    settings::{NEWS_AT_ONCE, PING_EVERY},
    view::{Live, View},
    wanted::Wanted,
};
use crate::{
    config::Settings,
    domain::{
        print::{Mark, StartSent, Tracker},
        reading::{JobReading, PrinterEvent},
        stall::StallWatch,
        state::{PrinterState, Reachability, StateFlags},
    },
    octoprint::{Error, OctoPrint, Push, PushFrame},
};

/// How the printer is listened to.
pub(super) enum Link {
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
    pub recorder: RecorderQueue,
    pub view: Arc<View>,
    pub connects: Arc<Semaphore>,
    pub answers_due: AnswersDue,
}

/// The actor of one printer.
pub(super) struct Actor {
    pub(super) around: Surroundings,
    pub(super) octoprint: OctoPrint,
    pub(super) mailbox: mpsc::Receiver<Mail>,
    pub(super) outbox: Outbox,
    pub(super) errands: FuturesUnordered<BoxFuture<'static, Done>>,
    pub(super) live: Live,
    pub(super) tracker: Tracker,
    pub(super) stall: StallWatch,
    pub(super) link: Link,
    /// What was seen last is of this connection, not from before a gap.
    pub(super) in_touch: bool,
    pub(super) state: PrinterState,
    pub(super) reading: Option<JobReading>,
    pub(super) flags: StateFlags,
    /// When the newest completed reading was begun, and when it came.
    pub(super) read_begun: Option<Instant>,
    pub(super) read_came: Option<Instant>,
    /// Readings that were begun before this belong to an earlier connection.
    pub(super) read_from: Option<Instant>,
    /// A reading is under way since.
    pub(super) reading_since: Option<Instant>,
    pub(super) heaters_under_way: bool,
    pub(super) establishing: bool,
    pub(super) last_frame: Option<Instant>,
    /// The event socket is not read before this: an answer goes first.
    pub(super) news_due: Option<Instant>,
    /// State changes told by events; a reading begun before the newest one is stale.
    pub(super) events: u64,
    pub(super) events_at_read: u64,
    pub(super) read_due: Instant,
    pub(super) heaters_due: Instant,
    pub(super) ping_due: Instant,
    pub(super) connect_due: Instant,
    /// Somebody looks at this printer.
    pub(super) watched_until: Option<Instant>,
    pub(super) failures: u32,
    pub(super) slot: Option<Flight>,
    /// The cancel that overtakes what is in flight.
    pub(super) next: Option<Box<super::message::Order>>,
    pub(super) late: Vec<Late>,
    /// The client of a changed address or key, until nothing is in flight.
    pub(super) change: Option<OctoPrint>,
    pub(super) wanted: Arc<Wanted>,
    /// The version of what is wanted that is followed.
    pub(super) wanted_version: u64,
    pub(super) retiring: bool,
    /// The view differs from what was published.
    pub(super) dirty: bool,
    /// The view's job does, too.
    pub(super) job_stale: bool,
    /// What the recorder was given last to store.
    pub(super) stored: (PrinterState, Mark),
    /// The start that the previous run of the server had sent, until its print is observed.
    pub(super) start_before: Option<StartSent>,
    /// What the recorder was told last of its reach.
    pub(super) seen_reachability: Reachability,
}

impl Actor {
    /// An actor for a registered printer, with what is known from before.
    pub fn new(
        member: Member,
        wanted: Arc<Wanted>,
        tracker: Tracker,
        mailbox: mpsc::Receiver<Mail>,
        outbox: Outbox,
        around: Surroundings,
    ) -> Self {
        let now = Instant::now();
        let live = member.unseen();
        Self {
            around,
            octoprint: member.octoprint,
            mailbox,
            outbox,
            errands: FuturesUnordered::new(),
            stall: StallWatch::default(),
            link: Link::Down,
            in_touch: false,
            state: PrinterState::Unknown,
            reading: None,
            flags: StateFlags::default(),
            read_begun: None,
            read_came: None,
            read_from: None,
            reading_since: None,
            heaters_under_way: false,
            establishing: false,
            last_frame: None,
            news_due: None,
            events: 0,
            events_at_read: 0,
            read_due: now + Duration::from_secs(3_600),
            heaters_due: now + Duration::from_secs(3_600),
            ping_due: now + PING_EVERY,
            connect_due: now,
            watched_until: None,
            failures: 0,
            slot: None,
            next: None,
            late: Vec::new(),
            change: None,
            wanted,
            wanted_version: 0,
            retiring: false,
            dirty: true,
            job_stale: true,
            stored: (member.last_state, tracker.mark().clone()),
            start_before: member.start.clone().filter(|start| {
                tracker.current().is_none_or(|print| print.started_by.command_id != Some(start.command_id))
            }),
            tracker,
            seen_reachability: Reachability::Unknown,
            live,
        }
    }

    /// Runs until it is retired or its mailbox is closed.
    pub async fn run(&mut self) {
        // One timer for good, set anew only to ring earlier: one that rings too early costs a turn, and setting it costs
        // every turn.
        let mut timer = pin!(tokio::time::sleep_until(self.next_wake().into()));
        loop {
            self.follow_wanted();
            self.report_reach();
            self.publish();
            if self.retiring && self.slot.is_none() && self.outbox.is_empty() && self.mailbox.is_empty() {
                return;
            }
            let hears = self.hears_news();
            let wake = tokio::time::Instant::from_std(self.next_wake());
            if timer.is_elapsed() || wake < timer.deadline() {
                timer.as_mut().reset(wake);
            }
            let turn = tokio::select! {
                mail = self.mailbox.recv(), if self.outbox.has_room() => Turn::Mail(mail),
                frame = next_frame(&mut self.link), if hears => Turn::Frame(frame),
                Some(done) = self.errands.next(), if !self.errands.is_empty() => Turn::Done(done),
                () = self.outbox.flush(), if !self.outbox.is_empty() => Turn::Tick,
                () = &mut timer => Turn::Tick,
            };
            match turn {
                Turn::Mail(None) => return,
                Turn::Mail(Some(mail)) => self.on_mail(mail),
                Turn::Frame(Ok(frame)) => self.on_frames(frame),
                Turn::Frame(Err(error)) => self.on_socket_lost(&error),
                Turn::Done(done) => self.on_done(done),
                Turn::Tick => {}
            }
            self.on_time().await;
            self.conduct();
        }
    }

    fn on_mail(&mut self, mail: Mail) {
        match mail {
            Mail::Perform(order) => self.take(order),
            Mail::Drop(command_id) => self.drop_unsent(command_id),
            Mail::WatchLate(order) => self.watch_late(*order),
            Mail::Look => self.want_reading(Instant::now()),
            Mail::Watched => self.watch_closely(),
            // The next turn begins with what is wanted.
            Mail::Wake => {}
        }
    }

    /// Follows what is wanted of this actor, where it has changed.
    fn follow_wanted(&mut self) {
        let Some(wanted) = self.wanted.changed_since(self.wanted_version) else { return };
        self.retiring = wanted.is_retired;
        if let Some((version, octoprint)) = wanted.client
            && version > self.wanted_version
        {
            self.change = Some(octoprint);
        }
        if wanted.cleared.is_some() {
            self.settle_print();
        }
        // A print that began since wins: it is another one.
        if let Some(cleared) = wanted.cleared
            && self.tracker.current().is_none()
            && let Some(plate) = self.live.plate.without(&cleared)
        {
            self.live.plate = plate;
            self.dirty = true;
        }
        self.wanted_version = wanted.version;
    }

    /// Whether the event socket is read now, or an answer goes first.
    fn hears_news(&mut self) -> bool {
        if self.news_due.is_some_and(|due| Instant::now() < due && self.around.answers_due.any()) {
            return false;
        }
        self.news_due = None;
        true
    }

    /// Hears what the event socket has told by now.
    pub(super) fn hear_out(&mut self) {
        match next_frame(&mut self.link).now_or_never() {
            Some(Ok(frame)) => self.on_frames(frame),
            Some(Err(error)) => self.on_socket_lost(&error),
            None => {}
        }
    }

    /// Takes in a frame and what came with it: a command makes a printer tell of several states at once.
    fn on_frames(&mut self, first: PushFrame) {
        self.last_frame = Some(Instant::now());
        self.hear();
        let mut next = Some(Ok(first));
        let mut news = false;
        let mut taken = 0;
        while let Some(frame) = next.take() {
            match frame {
                Ok(PushFrame::Event(event)) => {
                    self.on_event(event);
                    news = true;
                }
                Ok(PushFrame::Pong | PushFrame::Other) => {}
                Err(error) => self.on_socket_lost(&error),
            }
            taken += 1;
            if taken < NEWS_AT_ONCE {
                next = next_frame(&mut self.link).now_or_never();
            }
        }
        if news {
            self.report_observation();
            self.judge_late();
        }
    }

    fn on_event(&mut self, event: PrinterEvent) {
        let now = Instant::now();
        if let PrinterEvent::StateChanged { state, text } = &event {
            self.events += 1;
            self.state = *state;
            self.live.state_text.clone_from(text);
            if *state != PrinterState::Error && state.is_operational() {
                self.live.error = None;
            }
            self.note_for_flights(*state);
        } else {
            self.job_stale = true;
        }
        if matches!(event, PrinterEvent::FileSelected { .. } | PrinterEvent::FileDeselected) {
            // A reading under way may show the file that was selected before.
            self.events += 1;
        }
        if let PrinterEvent::PrintStarted { path, .. } = &event {
            self.note_started(path);
        }
        let facts = self.tracker.on_event(&event, &self.moment());
        self.tell(facts);
        match &event {
            PrinterEvent::FileSelected { .. } | PrinterEvent::FileDeselected => self.read_soon(now, 400),
            PrinterEvent::StateChanged { .. } | PrinterEvent::Error { .. } => self.read_soon(now, 700),
            _ => {}
        }
        self.dirty = true;
    }

    fn on_done(&mut self, done: Done) {
        match done {
            Done::Established(result) => self.on_established(result),
            Done::Read { started, result } => {
                self.reading_since = None;
                match result {
                    Ok(reading) => self.on_reading(reading, started),
                    Err(error) => self.on_read_failed(&error, started),
                }
            }
            Done::Heaters(result) => self.on_heaters(result),
            Done::Asked { command_id, go } => self.on_asked(command_id, go),
            Done::Sent { command_id, result } => self.on_sent(command_id, result),
            Done::Counted { command_id, prints } => self.on_counted(command_id, prints),
        }
    }

    pub(super) fn is_pushed(&self) -> bool {
        matches!(self.link, Link::Push(_))
    }
}

async fn next_frame(link: &mut Link) -> Result<PushFrame, Error> {
    match link {
        Link::Push(push) => push.next().await,
        Link::Down | Link::Poll => std::future::pending().await,
    }
}

/// Up to a tenth more or less, so that a thousand printers do not keep step.
pub(super) fn jittered(duration: Duration) -> Duration {
    duration.mul_f64(0.9 + rand::random::<f64>() * 0.2)
}

/// Anything from a twentieth of it to all of it.
pub(super) fn full_jitter(ceiling: Duration) -> Duration {
    ceiling.mul_f64(rand::random::<f64>().max(0.05))
}
