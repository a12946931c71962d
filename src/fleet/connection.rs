//! The connection of an actor to its printer: polled or by its event socket, with a backoff between attempts.
//!
//! A printer is connected when its state can be read. The event socket is an addition: without it, the actor polls.

use std::time::{Duration, Instant};

use futures_util::FutureExt;

use super::{
    schedule::{full_jitter, jittered, next_tick},
    settings::{
        BACKOFF_MAX, BACKOFF_MIN, PING_EVERY, PING_WRITE_TIMEOUT, SOCKET_ALIVE, SOCKET_STABLE_AFTER, SOCKET_TIMEOUT,
    },
};
use crate::octoprint::{Error, EventFrame, EventSocket};

/// How the actor learns about changes of the printer.
enum LinkState {
    Down,
    Poll,
    Push(Box<EventSocket>),
}

/// The task that the connection needs now.
pub(super) enum ConnectionTask {
    None,
    /// Read the printer for the first time.
    Contact,
    OpenSocket,
    Ping,
    /// Close the event socket: no frame has arrived for [`SOCKET_TIMEOUT`].
    GiveUpSocket,
}

/// The connection to one printer.
pub(super) struct Connection {
    link: LinkState,
    /// A reading of this connection has been processed.
    has_reading: bool,
    /// A first reading, or the opening of an event socket, is in progress.
    attempting: bool,
    opened_at: Option<Instant>,
    last_frame: Option<Instant>,
    ping_due: Instant,
    /// When the next attempt is due: to read the printer, or to open the event socket.
    attempt_due: Instant,
    /// Attempts to read the printer that failed in a row.
    failures: u32,
    /// Event sockets that failed in a row.
    socket_failures: u32,
}

impl Connection {
    /// Starts without a connection. The first reading is due now.
    pub fn new(now: Instant) -> Self {
        Self {
            link: LinkState::Down,
            has_reading: false,
            attempting: false,
            opened_at: None,
            last_frame: None,
            ping_due: now + PING_EVERY,
            attempt_due: now,
            failures: 0,
            socket_failures: 0,
        }
    }

    /// Whether the event socket is open and OctoPrint has confirmed the login.
    pub fn is_pushed(&self) -> bool {
        matches!(self.link, LinkState::Push(_))
    }

    /// Whether the printer is neither polled nor connected by its event socket.
    pub fn is_down(&self) -> bool {
        matches!(self.link, LinkState::Down)
    }

    /// Whether the actor has a reading of this connection.
    pub fn has_reading(&self) -> bool {
        self.has_reading
    }

    /// Records that a reading of this connection was processed.
    pub fn on_reading(&mut self, now: Instant) {
        self.has_reading = true;
        self.failures = 0;
        if self.is_down() && !self.attempting {
            self.attempt_due = now;
        }
    }

    /// Records that an attempt has started.
    pub fn begin_attempt(&mut self) {
        self.attempting = true;
    }

    /// Records that an attempt has ended.
    pub fn end_attempt(&mut self) {
        self.attempting = false;
    }

    /// Switches to polling, because the printer replied. The opening of an event socket is due now.
    pub fn start_polling(&mut self, now: Instant) {
        self.failures = 0;
        self.socket_failures = 0;
        self.has_reading = false;
        self.link = LinkState::Poll;
        self.attempt_due = now;
    }

    /// Switches to the open event socket. A new reading must follow: the known state is from before the socket.
    pub fn open_socket(&mut self, push: Box<EventSocket>, now: Instant) {
        self.link = LinkState::Push(push);
        self.has_reading = false;
        self.opened_at = Some(now);
        self.last_frame = Some(now);
        self.ping_due = now + jittered(PING_EVERY);
    }

    /// Stays with polling, because no event socket could be opened. The next attempt is due after a backoff.
    pub fn keep_polling(&mut self, now: Instant) {
        self.attempt_due = now + jittered(backoff(self.socket_failures));
        self.socket_failures = self.socket_failures.saturating_add(1);
    }

    /// Switches to polling, because the event socket was lost. A new reading must follow.
    pub fn lose_socket(&mut self, now: Instant) {
        self.link = LinkState::Poll;
        self.has_reading = false;
        if self.opened_at.is_some_and(|opened| now.duration_since(opened) >= SOCKET_STABLE_AFTER) {
            self.socket_failures = 0;
        }
        self.keep_polling(now);
    }

    /// Closes the connection, because the printer did not reply. It is read again after a backoff.
    pub fn back_off(&mut self, now: Instant) {
        self.close();
        self.failures = self.failures.saturating_add(1);
        self.attempt_due = now + full_jitter(backoff(self.failures));
    }

    /// Starts again at another address, or with another key.
    pub fn reset(&mut self, now: Instant) {
        self.close();
        self.attempting = false;
        self.failures = 0;
        self.attempt_due = now;
    }

    fn close(&mut self) {
        self.link = LinkState::Down;
        self.has_reading = false;
    }

    /// Waits for the next frame of the event socket. Without a socket it waits for ever. Cancel safe.
    pub async fn next_frame(&mut self) -> Result<EventFrame, Error> {
        match &mut self.link {
            LinkState::Push(push) => push.next().await,
            LinkState::Down | LinkState::Poll => std::future::pending().await,
        }
    }

    /// Returns the next frame if it has already arrived.
    pub fn received_frame(&mut self) -> Option<Result<EventFrame, Error>> {
        self.next_frame().now_or_never()
    }

    /// Records that a frame arrived at `now`.
    pub fn on_frame(&mut self, now: Instant) {
        self.last_frame = Some(now);
    }

    /// Whether events arrive: OctoPrint has confirmed the login, and the socket is alive.
    pub fn has_events(&self, now: Instant) -> bool {
        self.is_pushed() && self.has_frame_within(SOCKET_ALIVE, now)
    }

    fn has_frame_within(&self, limit: Duration, now: Instant) -> bool {
        self.last_frame.is_some_and(|last| now.duration_since(last) <= limit)
    }

    /// Returns the task that is due at `now`.
    pub fn due_task(&mut self, now: Instant) -> ConnectionTask {
        let is_attempt_due = !self.attempting && now >= self.attempt_due;
        match self.link {
            LinkState::Down if is_attempt_due => ConnectionTask::Contact,
            LinkState::Poll if is_attempt_due => ConnectionTask::OpenSocket,
            LinkState::Push(_) if !self.has_frame_within(SOCKET_TIMEOUT, now) => ConnectionTask::GiveUpSocket,
            LinkState::Push(_) if now >= self.ping_due => {
                self.ping_due = now + PING_EVERY;
                ConnectionTask::Ping
            }
            LinkState::Down | LinkState::Poll | LinkState::Push(_) => ConnectionTask::None,
        }
    }

    /// Sends a ping. It goes into the send buffer of the socket; if the buffer has no room, the printer reads nothing any
    /// more.
    pub async fn ping(&mut self) -> Result<(), Error> {
        let LinkState::Push(push) = &mut self.link else { return Ok(()) };
        let written = tokio::time::timeout(PING_WRITE_TIMEOUT, push.ping()).await;
        written.unwrap_or(Err(Error::Timeout { after: PING_WRITE_TIMEOUT }))
    }

    /// Returns when the next task is due. `may_attempt`: whether the actor may try to connect.
    pub fn next_wake(&self, may_attempt: bool) -> Option<Instant> {
        let task = match self.link {
            LinkState::Push(_) => Some(self.ping_due),
            LinkState::Poll | LinkState::Down if may_attempt && !self.attempting => Some(self.attempt_due),
            LinkState::Poll | LinkState::Down => None,
        };
        task.map(next_tick)
    }
}

/// The backoff, from [`BACKOFF_MIN`] to [`BACKOFF_MAX`]. It doubles with each failure.
fn backoff(failures: u32) -> Duration {
    BACKOFF_MIN.saturating_mul(1 << failures.min(6)).min(BACKOFF_MAX)
}
