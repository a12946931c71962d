//! The routine work of an actor: connection attempts with backoff, pings, and due readings.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    actor::Actor,
    connection::ConnectionTask,
    request::{self, StateReading},
    settings::{Pace, SOCKET_TIMEOUT, pace},
    view::Channel,
};
use crate::{
    domain::{
        event_channel::{ChannelError, ChannelFailure},
        state::{PrinterState, Reachability},
    },
    octoprint::{Error, EventSocket, EventSocketError},
};

impl Actor {
    /// Handles the first reading of a connection, or its failure.
    pub(super) fn on_contact(
        &mut self,
        started: Instant,
        version: Option<String>,
        result: Result<StateReading, Error>,
    ) {
        let now = Instant::now();
        self.connection.end_attempt();
        if let Some(version) = version {
            self.published.change().octoprint_version = Some(version.into());
        }
        match result {
            Ok(reading) => {
                self.connection.start_polling(now);
                self.tracker.begin_gap();
                self.published.change().channel = Some(Channel::Poll);
                self.schedule.restart(started);
                self.on_reading(reading, started);
            }
            Err(error) => self.on_read_failed(&error, started),
        }
    }

    /// Handles the opened event socket, or its failure.
    pub(super) fn on_socket(&mut self, result: Result<Box<EventSocket>, EventSocketError>) {
        let now = Instant::now();
        self.connection.end_attempt();
        if self.connection.is_down() {
            return;
        }
        match result {
            Ok(push) => {
                // Changes between the last reading and the opening of the socket are not among its events.
                self.tracker.begin_gap();
                self.connection.open_socket(push, now);
                let live = self.published.change();
                (live.channel, live.channel_error) = (Some(Channel::Push), None);
                // Read the printer before trusting events. A reading in progress was started before the socket was open.
                self.schedule.restart(now);
                self.start_reading(now);
            }
            Err(error) => {
                tracing::debug!(printer.id = %self.published.printer_id(), ?error, "event socket could not be opened");
                self.connection.keep_polling(now);
                let error = Some(channel_error(&error));
                if self.published.live().channel_error != error {
                    self.published.change().channel_error = error;
                }
            }
        }
    }

    /// Handles the loss of the event socket: the printer is polled.
    pub(super) fn on_socket_lost(&mut self, error: Error) {
        tracing::debug!(printer.id = %self.published.printer_id(), %error, "event socket lost");
        let now = Instant::now();
        self.connection.lose_socket(now);
        self.schedule.restart(now);
        self.tracker.begin_gap();
        let live = self.published.change();
        live.channel = Some(Channel::Poll);
        live.channel_error = Some(channel_error(&EventSocketError::Socket(error)));
        self.start_reading(now);
    }

    /// Handles a printer that did not reply, or replied with an error.
    pub(super) fn on_unreachable(&mut self, error: &Error, now: Instant) {
        let reachability = match error {
            Error::Unauthorized | Error::ProxyLogin => Reachability::Unauthorized,
            Error::Protocol { .. }
            | Error::Redirected { .. }
            | Error::NotFound
            | Error::Refused { .. }
            | Error::Conflict { .. }
            | Error::NoSocket { .. }
            | Error::Invalid { .. } => Reachability::Incompatible,
            Error::Offline { .. }
            | Error::Blocked(_)
            | Error::Timeout { .. }
            | Error::Silent { .. }
            | Error::Lost { .. }
            | Error::Server { .. } => Reachability::Unreachable,
        };
        let live = self.published.change();
        if live.reachability != reachability {
            tracing::info!(printer.id = %live.id, reachability = reachability.as_str(), %error, "cannot read printer");
        }
        live.reachability = reachability;
        live.error = Some(error.message());
        live.channel = None;
        live.channel_error = None;
        live.temperatures = Arc::default();
        self.connection.back_off(now);
        self.schedule.forget_readings();
        self.tracker.begin_gap();
    }

    /// Runs the tasks that are due.
    pub(super) async fn run_due_tasks(&mut self) {
        let now = Instant::now();
        match self.connection.due_task(now) {
            ConnectionTask::GiveUpSocket => self.on_socket_lost(Error::Timeout { after: SOCKET_TIMEOUT }),
            ConnectionTask::Ping => {
                if let Err(error) = self.connection.ping().await {
                    self.on_socket_lost(error);
                }
            }
            ConnectionTask::Contact if !self.retiring => {
                self.connection.begin_attempt();
                let permits = self.context.connect_permits.clone();
                self.requests.push(Box::pin(request::contact(self.octoprint.clone(), permits)));
            }
            ConnectionTask::OpenSocket if !self.retiring => {
                self.connection.begin_attempt();
                let permits = self.context.connect_permits.clone();
                self.requests.push(Box::pin(request::open_socket(self.octoprint.clone(), permits)));
            }
            ConnectionTask::Contact | ConnectionTask::OpenSocket | ConnectionTask::None => {}
        }
        self.start_due_readings(now);
        if self.new_client.is_some() && self.commands.is_idle() {
            self.apply_new_client();
        }
    }

    fn start_due_readings(&mut self, now: Instant) {
        if self.connection.is_down() {
            return;
        }
        if self.schedule.is_reading_due(now) {
            self.start_reading(now);
        }
        if self.connection.has_reading() && self.schedule.is_heaters_reading_due(now) {
            self.schedule.read_heaters_after(now, self.pace().heaters);
            if self.state.is_operational() || self.state == PrinterState::Unknown {
                self.schedule.begin_heaters_reading();
                self.requests.push(Box::pin(request::read_heaters(self.octoprint.clone())));
            }
        }
    }

    /// Applies a changed address or key. No command may be in flight.
    fn apply_new_client(&mut self) {
        let Some(octoprint) = self.new_client.take() else { return };
        self.octoprint = octoprint;
        self.requests.clear();
        self.connection.reset(Instant::now());
        self.schedule.forget_requests();
        self.schedule.forget_readings();
        self.tracker.begin_gap();
        let live = self.published.change();
        live.channel = None;
        live.channel_error = None;
        live.temperatures = Arc::default();
        live.reachability = Reachability::Unknown;
    }

    /// Returns when the actor must have its next turn.
    pub(super) fn next_wake(&self) -> Instant {
        let now = Instant::now();
        let is_linked = !self.connection.is_down();
        let has_new_client = self.new_client.is_some() && self.commands.is_idle();
        let wakes = self
            .connection
            .next_wake(!self.retiring)
            .into_iter()
            .chain(self.commands.wake_times(self.schedule.is_reading()));
        let reading = is_linked.then(|| self.schedule.reading_wake());
        let heaters = self.schedule.heaters_wake().filter(|_| is_linked && self.connection.has_reading());
        let last = now + Duration::from_secs(30);
        wakes.chain(reading).chain(heaters).chain(has_new_client.then_some(now)).fold(last, Instant::min)
    }

    /// Starts a reading, unless one is in progress.
    pub(super) fn start_reading(&mut self, now: Instant) {
        if self.schedule.begin_reading(now, self.pace()) {
            self.requests.push(Box::pin(request::poll_state(self.octoprint.clone(), now)));
        }
    }

    /// Returns how often the printer is read now.
    pub(super) fn pace(&self) -> Pace {
        pace(self.state.is_active(), self.connection.is_pushed(), self.schedule.is_viewed())
    }

    /// Reads the printer more often for a while, because a page shows it.
    pub(super) fn on_viewed(&mut self) {
        let now = Instant::now();
        self.schedule.mark_viewed(now);
        self.schedule.read_sooner(now, self.pace());
    }
}

/// Returns the error that the pages show for a missing event socket.
fn channel_error(error: &EventSocketError) -> ChannelError {
    let (code, error) = match error {
        EventSocketError::Login(Error::Unauthorized) | EventSocketError::Socket(Error::Unauthorized) => {
            (ChannelFailure::LoginRefused, None)
        }
        EventSocketError::Login(error) => (ChannelFailure::LoginFailed, Some(error)),
        EventSocketError::Unconfirmed => (ChannelFailure::LoginNotConfirmed, None),
        EventSocketError::Socket(error @ Error::NoSocket { .. }) => (ChannelFailure::SocketRefused, Some(error)),
        EventSocketError::Socket(error) => (ChannelFailure::SocketLost, Some(error)),
    };
    let status = match error {
        Some(Error::NoSocket { status } | Error::Server { status } | Error::Refused { status, .. }) => Some(*status),
        Some(Error::NotFound) => Some(404),
        Some(_) | None => None,
    };
    ChannelError { code, status }
}
