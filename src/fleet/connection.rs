//! The connection of an actor to its printer: the event socket, its pings, and the backoff between attempts to connect.

use std::time::{Duration, Instant};

use futures_util::FutureExt;

use super::{
    schedule::{full_jitter, jittered, on_tick},
    settings::{BACKOFF_MAX, BACKOFF_MIN, PING_EVERY, PING_WRITE, SILENCE, SOCKET_AGAIN},
};
use crate::octoprint::{Error, Push, PushFrame};

/// How the actor learns of changes.
enum Link {
    Down,
    Push(Box<Push>),
    Poll,
}

/// What the connection needs now.
pub(super) enum ConnectionTask {
    None,
    Ping,
    Connect,
    /// Nothing came through the event socket for [`SILENCE`].
    GiveUp,
}

/// The connection to one printer.
pub(super) struct Connection {
    link: Link,
    /// A reading of this connection has been taken in.
    in_touch: bool,
    /// An attempt to connect is under way.
    establishing: bool,
    last_frame: Option<Instant>,
    /// The event socket is not read before this, while replies are due.
    events_wait_until: Option<Instant>,
    ping_due: Instant,
    connect_due: Instant,
    /// Attempts that failed in a row.
    failures: u32,
}

impl Connection {
    /// No connection; the first attempt is due now.
    pub fn new(now: Instant) -> Self {
        Self {
            link: Link::Down,
            in_touch: false,
            establishing: false,
            last_frame: None,
            events_wait_until: None,
            ping_due: now + PING_EVERY,
            connect_due: now,
            failures: 0,
        }
    }

    /// The event socket is open.
    pub fn is_pushed(&self) -> bool {
        matches!(self.link, Link::Push(_))
    }

    /// The printer is polled.
    pub fn is_polled(&self) -> bool {
        matches!(self.link, Link::Poll)
    }

    /// There is neither a socket nor a poll.
    pub fn is_down(&self) -> bool {
        matches!(self.link, Link::Down)
    }

    /// What is known of the printer is of this connection.
    pub fn is_in_touch(&self) -> bool {
        self.in_touch
    }

    /// A reading of this connection was taken in.
    pub fn on_reading(&mut self, now: Instant) {
        self.in_touch = true;
        if self.is_down() && !self.establishing {
            self.connect_due = now;
        }
    }

    /// Begins an attempt to connect.
    pub fn begin(&mut self) {
        self.establishing = true;
    }

    /// An attempt to connect has ended.
    pub fn on_attempt_ended(&mut self) {
        self.establishing = false;
    }

    /// The printer answers as before, and is still without an event socket.
    pub fn stay_polled(&mut self, now: Instant) {
        self.failures = 0;
        self.connect_due = now + SOCKET_AGAIN;
    }

    /// A new connection: what is known is from before it.
    pub fn establish(&mut self, push: Option<Box<Push>>, now: Instant) {
        self.failures = 0;
        self.in_touch = false;
        self.last_frame = Some(now);
        self.ping_due = now + jittered(PING_EVERY);
        self.connect_due = now + SOCKET_AGAIN;
        self.link = push.map_or(Link::Poll, Link::Push);
    }

    /// The event socket was lost: connects again soon.
    pub fn lose_socket(&mut self, now: Instant) {
        self.close();
        self.connect_due = now + jittered(BACKOFF_MIN);
    }

    /// The printer did not answer: connects again after a backoff.
    pub fn back_off(&mut self, now: Instant) {
        self.close();
        self.failures = self.failures.saturating_add(1);
        let ceiling = BACKOFF_MIN.saturating_mul(1 << self.failures.min(6)).min(BACKOFF_MAX);
        self.connect_due = now + full_jitter(ceiling);
    }

    /// Starts again at another address, or with another key.
    pub fn reset(&mut self, now: Instant) {
        self.close();
        self.establishing = false;
        self.failures = 0;
        self.connect_due = now;
    }

    fn close(&mut self) {
        self.link = Link::Down;
        self.in_touch = false;
    }

    /// Waits for the next frame of the event socket; for ever without one. Cancel safe.
    pub async fn next_frame(&mut self) -> Result<PushFrame, Error> {
        match &mut self.link {
            Link::Push(push) => push.next().await,
            Link::Down | Link::Poll => std::future::pending().await,
        }
    }

    /// The next frame, if it has come already.
    pub fn received_frame(&mut self) -> Option<Result<PushFrame, Error>> {
        self.next_frame().now_or_never()
    }

    /// A frame came at `now`.
    pub fn on_frame(&mut self, now: Instant) {
        self.last_frame = Some(now);
    }

    /// The last frame came at most this long ago.
    pub fn has_frame_within(&self, limit: Duration, now: Instant) -> bool {
        self.last_frame.is_some_and(|last| now.duration_since(last) <= limit)
    }

    /// While replies are due, the event socket is not read before `until`.
    pub fn delay_events(&mut self, until: Instant) {
        self.events_wait_until = Some(until);
    }

    /// Whether the event socket is read now, or replies go first.
    pub fn reads_events(&mut self, replies_due: bool) -> bool {
        if self.events_wait_until.is_some_and(|until| Instant::now() < until && replies_due) {
            return false;
        }
        self.events_wait_until = None;
        true
    }

    /// What is due at `now`.
    pub fn due_task(&mut self, now: Instant) -> ConnectionTask {
        if self.is_pushed() {
            if !self.has_frame_within(SILENCE, now) {
                return ConnectionTask::GiveUp;
            }
            if now >= self.ping_due {
                self.ping_due = now + PING_EVERY;
                return ConnectionTask::Ping;
            }
        } else if now >= self.connect_due && !self.establishing {
            return ConnectionTask::Connect;
        }
        ConnectionTask::None
    }

    /// Sends a ping. It goes into the buffer of the socket; a printer with no room for one reads nothing.
    pub async fn ping(&mut self) -> Result<(), Error> {
        let Link::Push(push) = &mut self.link else { return Ok(()) };
        let written = tokio::time::timeout(PING_WRITE, push.ping()).await;
        written.unwrap_or(Err(Error::Timeout { after: PING_WRITE }))
    }

    /// When the next task is due, and when events are read again.
    pub fn wakes(&self) -> impl Iterator<Item = Instant> {
        let task = match self.link {
            Link::Push(_) => Some(self.ping_due),
            Link::Poll | Link::Down if !self.establishing => Some(self.connect_due),
            Link::Poll | Link::Down => None,
        };
        self.events_wait_until.into_iter().chain(task.map(on_tick))
    }
}
