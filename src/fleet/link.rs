//! How an actor keeps in touch with its printer: connecting with backoff, the event socket and its pings, and what is
//! due when.

use std::{
    sync::LazyLock,
    time::{Duration, Instant},
};

use super::{
    actor::{Actor, Link, full_jitter, jittered},
    errand::{self, Established},
    settings::{
        BACKOFF_MAX, BACKOFF_MIN, BEAT, PING_EVERY, PING_WRITE, Pace, ROUTINE_WAITS, SILENCE, SOCKET_AGAIN,
        WATCHED_FOR, pace,
    },
    view::Channel,
};
use crate::{
    domain::state::{PrinterState, Reachability},
    octoprint::Error,
};

impl Actor {
    pub(super) fn on_established(&mut self, result: Result<Established, Error>) {
        let now = Instant::now();
        self.establishing = false;
        match result {
            Ok(Established { version, push }) => {
                self.failures = 0;
                self.live.octoprint_version = Some(version.into());
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
                self.read_from = Some(now);
                self.want_reading(now);
                self.heaters_due = now;
                self.dirty = true;
            }
            Err(error) => self.on_unreachable(&error, now),
        }
    }

    pub(super) fn on_socket_lost(&mut self, error: &Error) {
        tracing::debug!(printer.id = %self.live.id, %error, "event socket lost");
        let now = Instant::now();
        self.link = Link::Down;
        self.live.channel = None;
        self.in_touch = false;
        self.read_from = Some(now);
        self.tracker.lose_sight();
        self.connect_due = now + jittered(BACKOFF_MIN);
        self.dirty = true;
    }

    /// The printer did not answer, or not as it should.
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
    pub(super) async fn on_time(&mut self) {
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
        let answers_due = self.around.answers_due.any();
        if linked && now >= routine(self.read_due, answers_due) {
            self.want_reading(now);
        }
        if linked && self.in_touch && now >= routine(self.heaters_due, answers_due) && !self.heaters_under_way {
            self.heaters_due = now + self.pace().heaters;
            if self.state.is_operational() || self.state == PrinterState::Unknown {
                self.heaters_under_way = true;
                self.errands.push(Box::pin(errand::heaters(self.octoprint.clone())));
            }
        }
        if self.slot.is_none() && self.change.is_some() {
            self.apply_change();
        }
    }

    pub(super) async fn ping(&mut self) {
        let Link::Push(push) = &mut self.link else { return };
        // A ping goes into the socket's buffer; one that does not fit belongs to a printer that reads nothing.
        let written = tokio::time::timeout(PING_WRITE, push.ping()).await;
        if let Err(error) = written.unwrap_or(Err(Error::Timeout { after: PING_WRITE })) {
            self.on_socket_lost(&error);
        }
    }

    /// A changed address or key takes effect when nothing is in flight.
    pub(super) fn apply_change(&mut self) {
        if self.slot.is_some() {
            return;
        }
        let Some(octoprint) = self.change.take() else { return };
        let now = Instant::now();
        self.octoprint = octoprint;
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

    pub(super) fn next_wake(&self) -> Instant {
        let now = Instant::now();
        let mut wake = now + Duration::from_secs(30);
        let mut at = |due: Instant| wake = wake.min(due);
        if let Some(due) = self.news_due {
            at(due);
        }
        let answers_due = self.around.answers_due.any();
        match self.link {
            Link::Push(_) => {
                at(on_beat(self.ping_due));
                at(routine(self.read_due, answers_due));
            }
            Link::Poll => {
                at(routine(self.read_due, answers_due));
                if !self.establishing {
                    at(on_beat(self.connect_due));
                }
            }
            Link::Down if !self.establishing => at(on_beat(self.connect_due)),
            Link::Down => {}
        }
        if self.in_touch && !self.heaters_under_way && !matches!(self.link, Link::Down) {
            at(routine(self.heaters_due, answers_due));
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
        self.read_due = now + self.pace().job;
        self.errands.push(Box::pin(errand::read(self.octoprint.clone(), now)));
    }

    /// How often the printer is read now.
    pub(super) fn pace(&self) -> Pace {
        pace(self.state.is_active(), self.is_pushed(), self.is_watched())
    }

    /// Somebody looks at this printer.
    pub(super) fn is_watched(&self) -> bool {
        self.watched_until.is_some_and(|until| Instant::now() < until)
    }

    /// Somebody looks at this printer: what is due later than that bears is due sooner.
    pub(super) fn watch_closely(&mut self) {
        let now = Instant::now();
        self.watched_until = Some(now + WATCHED_FOR);
        let Pace { job, heaters } = self.pace();
        self.read_due = self.read_due.min(now + job);
        self.heaters_due = self.heaters_due.min(now + heaters);
    }

    pub(super) fn read_soon(&mut self, now: Instant, within_ms: u64) {
        let delay = Duration::from_millis(300) + full_jitter(Duration::from_millis(within_ms));
        self.read_due = self.read_due.min(now + delay);
    }
}

/// When a reading that no command waits for begins: answers to commands go first, for a while.
fn routine(due: Instant, answers_due: bool) -> Instant {
    on_beat(if answers_due { due + ROUTINE_WAITS } else { due })
}

/// The first beat at or after a time. All actors have the same beats.
fn on_beat(due: Instant) -> Instant {
    static BEGUN: LazyLock<Instant> = LazyLock::new(Instant::now);
    let beats = due.saturating_duration_since(*BEGUN).as_nanos().div_ceil(BEAT.as_nanos());
    u32::try_from(beats).map_or(due, |beats| *BEGUN + BEAT * beats)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reading_that_no_command_waits_for_is_put_off_while_answers_are_due_and_not_for_ever() {
        let due = Instant::now() + Duration::from_secs(1);
        let (at_once, put_off) = (routine(due, false), routine(due, true));
        assert!(at_once >= due && at_once <= due + BEAT, "on the next beat");
        assert!(put_off >= due + ROUTINE_WAITS && put_off <= due + ROUTINE_WAITS + BEAT, "on the first beat behind");
    }
}
