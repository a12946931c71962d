//! The routine work of an actor: connection attempts with backoff, pings, and due readings.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    actor::Actor,
    connection::ConnectionTask,
    request::{self, Reading},
    settings::{Pace, SILENCE, pace},
    view::Channel,
};
use crate::{
    domain::{
        channel::{ChannelError, ChannelFailure},
        state::{PrinterState, Reachability},
    },
    octoprint::{Error, NoEvents, Push},
};

impl Actor {
    /// Handles the first reading of a connection, or its failure.
    pub(super) fn on_contact(&mut self, started: Instant, version: Option<String>, result: Result<Reading, Error>) {
        let now = Instant::now();
        self.connection.end_attempt();
        if let Some(version) = version {
            self.published.change().octoprint_version = Some(version.into());
        }
        match result {
            Ok(reading) => {
                self.connection.establish(now);
                self.tracker.lose_sight();
                self.published.change().channel = Some(Channel::Poll);
                self.schedule.restart(started);
                self.on_reading(reading, started);
            }
            Err(error) => self.on_read_failed(&error, started),
        }
    }

    /// Handles the opened event socket, or its failure.
    pub(super) fn on_socket(&mut self, result: Result<Box<Push>, NoEvents>) {
        let now = Instant::now();
        self.connection.end_attempt();
        if self.connection.is_down() {
            return;
        }
        match result {
            Ok(push) => {
                // Changes between the last reading and the opening of the socket are not among its events.
                self.tracker.lose_sight();
                self.connection.open_socket(push, now);
                let live = self.published.change();
                (live.channel, live.channel_error) = (Some(Channel::Push), None);
                // Read the printer before trusting events. A reading in progress was started before the socket was open.
                self.schedule.restart(now);
                self.want_reading(now);
            }
            Err(error) => {
                tracing::debug!(printer.id = %self.published.printer_id(), ?error, "event socket could not be opened");
                self.connection.stay_polled(now);
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
        self.tracker.lose_sight();
        let live = self.published.change();
        live.channel = Some(Channel::Poll);
        live.channel_error = Some(channel_error(&NoEvents::Socket(error)));
        self.want_reading(now);
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
        live.error = Some(format!("The printer {error}."));
        live.channel = None;
        live.channel_error = None;
        live.temperatures = Arc::default();
        self.connection.back_off(now);
        self.schedule.forget();
        self.tracker.lose_sight();
    }

    /// Runs the tasks that are due.
    pub(super) async fn on_time(&mut self) {
        let now = Instant::now();
        match self.connection.due_task(now) {
            ConnectionTask::GiveUpSocket => self.on_socket_lost(Error::Timeout { after: SILENCE }),
            ConnectionTask::Ping => {
                if let Err(error) = self.connection.ping().await {
                    self.on_socket_lost(error);
                }
            }
            ConnectionTask::Contact if !self.retiring => {
                self.connection.begin_attempt();
                let connects = self.context.connects.clone();
                self.requests.push(Box::pin(request::contact(self.octoprint.clone(), connects)));
            }
            ConnectionTask::OpenSocket if !self.retiring => {
                self.connection.begin_attempt();
                let connects = self.context.connects.clone();
                self.requests.push(Box::pin(request::open_socket(self.octoprint.clone(), connects)));
            }
            ConnectionTask::Contact | ConnectionTask::OpenSocket | ConnectionTask::None => {}
        }
        self.read_what_is_due(now);
        if self.change.is_some() && self.commands.is_idle() {
            self.apply_change();
        }
    }

    fn read_what_is_due(&mut self, now: Instant) {
        if self.connection.is_down() {
            return;
        }
        if self.schedule.is_reading_due(now) {
            self.want_reading(now);
        }
        if self.connection.is_in_touch() && self.schedule.is_heaters_due(now) {
            self.schedule.heaters_after(now, self.pace().heaters);
            if self.state.is_operational() || self.state == PrinterState::Unknown {
                self.schedule.begin_heaters();
                self.requests.push(Box::pin(request::heaters(self.octoprint.clone())));
            }
        }
    }

    /// Applies a changed address or key. No command may be in flight.
    fn apply_change(&mut self) {
        let Some(octoprint) = self.change.take() else { return };
        self.octoprint = octoprint;
        self.requests.clear();
        self.connection.reset(Instant::now());
        self.schedule.abandon();
        self.schedule.forget();
        self.tracker.lose_sight();
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
        let is_changed = self.change.is_some() && self.commands.is_idle();
        let wakes =
            self.connection.wake(!self.retiring).into_iter().chain(self.commands.wakes(self.schedule.is_reading()));
        let reading = is_linked.then(|| self.schedule.reading_wake());
        let heaters = self.schedule.heaters_wake().filter(|_| is_linked && self.connection.is_in_touch());
        let last = now + Duration::from_secs(30);
        wakes.chain(reading).chain(heaters).chain(is_changed.then_some(now)).fold(last, Instant::min)
    }

    /// Starts a reading, unless one is in progress.
    pub(super) fn want_reading(&mut self, now: Instant) {
        if self.schedule.begin_reading(now, self.pace()) {
            self.requests.push(Box::pin(request::read(self.octoprint.clone(), now)));
        }
    }

    /// Returns how often the printer is read now.
    pub(super) fn pace(&self) -> Pace {
        pace(self.state.is_active(), self.connection.is_pushed(), self.schedule.is_watched())
    }

    /// Reads the printer more often for a while, because a page shows it.
    pub(super) fn watch_closely(&mut self) {
        let now = Instant::now();
        self.schedule.watch(now);
        self.schedule.hasten(now, self.pace());
    }
}

/// Returns the error that the pages show for a missing event socket.
fn channel_error(error: &NoEvents) -> ChannelError {
    let (code, error) = match error {
        NoEvents::Login(Error::Unauthorized) | NoEvents::Socket(Error::Unauthorized) => {
            (ChannelFailure::LoginRefused, None)
        }
        NoEvents::Login(error) => (ChannelFailure::LoginFailed, Some(error)),
        NoEvents::Unconfirmed => (ChannelFailure::LoginNotConfirmed, None),
        NoEvents::Socket(error @ Error::NoSocket { .. }) => (ChannelFailure::SocketRefused, Some(error)),
        NoEvents::Socket(error) => (ChannelFailure::SocketLost, Some(error)),
    };
    let status = match error {
        Some(Error::NoSocket { status } | Error::Server { status } | Error::Refused { status, .. }) => Some(*status),
        Some(Error::NotFound) => Some(404),
        Some(_) | None => None,
    };
    ChannelError { code, status }
}
