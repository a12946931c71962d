//! Routine work of an actor: connecting with backoff, pings, and the readings that are due.

use std::time::{Duration, Instant};

use super::{
    actor::Actor,
    connection::ConnectionTask,
    request::{self, Established},
    settings::{Pace, SILENCE, pace},
    view::Channel,
};
use crate::{
    domain::state::{PrinterState, Reachability},
    octoprint::Error,
};

impl Actor {
    pub(super) fn on_established(&mut self, result: Result<Established, Error>) {
        let now = Instant::now();
        self.connection.on_attempt_ended();
        let Established { version, push } = match result {
            Ok(established) => established,
            Err(error) => return self.on_unreachable(&error, now),
        };
        self.published.change_quietly().octoprint_version = Some(version.into());
        let was_polled = self.connection.is_polled() && self.connection.is_in_touch();
        if was_polled && push.is_none() {
            self.connection.stay_polled(now);
            return;
        }
        if !was_polled {
            self.tracker.lose_sight();
        }
        self.connection.establish(push, now);
        let channel = if self.connection.is_pushed() { Channel::Push } else { Channel::Poll };
        self.published.change().channel = Some(channel);
        // Read before trusting events. A reading under way was begun before the socket was open.
        self.schedule.restart(now);
        self.want_reading(now);
    }

    pub(super) fn on_socket_lost(&mut self, error: &Error) {
        tracing::debug!(printer.id = %self.published.printer_id(), %error, "event socket lost");
        let now = Instant::now();
        self.connection.lose_socket(now);
        self.schedule.invalidate(now);
        self.tracker.lose_sight();
        self.published.change().channel = None;
    }

    /// The printer did not reply, or not as it should.
    pub(super) fn on_unreachable(&mut self, error: &Error, now: Instant) {
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
        let live = self.published.change();
        if live.reachability != reachability {
            tracing::info!(printer.id = %live.id, reachability = reachability.as_str(), %error, "printer lost");
        }
        live.reachability = reachability;
        live.error = Some(format!("The printer {error}."));
        live.channel = None;
        self.connection.back_off(now);
        self.schedule.forget();
        self.tracker.lose_sight();
    }

    /// Does what is due.
    pub(super) async fn on_time(&mut self) {
        let now = Instant::now();
        match self.connection.due_task(now) {
            ConnectionTask::GiveUp => self.on_socket_lost(&Error::Timeout { after: SILENCE }),
            ConnectionTask::Ping => {
                if let Err(error) = self.connection.ping().await {
                    self.on_socket_lost(&error);
                }
            }
            ConnectionTask::Connect if !self.retiring => {
                self.connection.begin();
                let connects = self.context.connects.clone();
                self.requests.push(Box::pin(request::establish(self.octoprint.clone(), connects)));
            }
            ConnectionTask::Connect | ConnectionTask::None => {}
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
        let replies_due = self.context.replies_due.any();
        if self.schedule.is_reading_due(now, replies_due) {
            self.want_reading(now);
        }
        if self.connection.is_in_touch() && self.schedule.is_heaters_due(now, replies_due) {
            self.schedule.heaters_after(now, self.pace().heaters);
            if self.state.is_operational() || self.state == PrinterState::Unknown {
                self.schedule.begin_heaters();
                self.requests.push(Box::pin(request::heaters(self.octoprint.clone())));
            }
        }
    }

    /// A changed address or key takes effect when no command is in flight.
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
        live.reachability = Reachability::Unknown;
    }

    /// When the actor must have its next turn.
    pub(super) fn next_wake(&self) -> Instant {
        let now = Instant::now();
        let replies_due = self.context.replies_due.any();
        let is_linked = !self.connection.is_down();
        let is_changed = self.change.is_some() && self.commands.is_idle();
        let wakes = self.connection.wakes().chain(self.commands.wakes(self.schedule.is_reading()));
        let reading = is_linked.then(|| self.schedule.reading_wake(replies_due));
        let heaters = self.schedule.heaters_wake(replies_due).filter(|_| is_linked && self.connection.is_in_touch());
        let last = now + Duration::from_secs(30);
        wakes.chain(reading).chain(heaters).chain(is_changed.then_some(now)).fold(last, Instant::min)
    }

    /// Begins a reading, unless one is under way.
    pub(super) fn want_reading(&mut self, now: Instant) {
        if self.schedule.begin_reading(now, self.pace()) {
            self.requests.push(Box::pin(request::read(self.octoprint.clone(), now)));
        }
    }

    /// How often the printer is read now.
    pub(super) fn pace(&self) -> Pace {
        pace(self.state.is_active(), self.connection.is_pushed(), self.schedule.is_watched())
    }

    /// A page shows this printer: it is read more often for a while.
    pub(super) fn watch_closely(&mut self) {
        let now = Instant::now();
        self.schedule.watch(now);
        self.schedule.hasten(now, self.pace());
    }
}
