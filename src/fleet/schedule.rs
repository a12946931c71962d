//! When an actor reads its printer, and how old its readings are.

use std::{
    sync::LazyLock,
    time::{Duration, Instant},
};

use super::settings::{Pace, TICK, WATCHED_FOR};

/// The readings of one printer: due, under way, and taken in.
pub(super) struct PollSchedule {
    read_due: Instant,
    heaters_due: Instant,
    /// The beginning of the reading under way.
    reading_since: Option<Instant>,
    heaters_under_way: bool,
    /// A page shows this printer until then.
    watched_until: Option<Instant>,
    /// Readings that were begun before this belong to an earlier connection.
    valid_from: Option<Instant>,
    /// When the newest reading that was taken in was begun.
    begun: Option<Instant>,
    /// When it came.
    came: Option<Instant>,
    /// When a reading was taken in, or an event reported the state.
    observed: Option<Instant>,
    /// Changes reported by events. A reading that was begun before the newest one is stale.
    events: u64,
    events_at_begin: u64,
}

impl PollSchedule {
    /// Nothing is due before the first connection.
    pub fn new(now: Instant) -> Self {
        let later = now + Duration::from_secs(3_600);
        Self {
            read_due: later,
            heaters_due: later,
            reading_since: None,
            heaters_under_way: false,
            watched_until: None,
            valid_from: None,
            begun: None,
            came: None,
            observed: None,
            events: 0,
            events_at_begin: 0,
        }
    }

    /// A page shows this printer now.
    pub fn is_watched(&self) -> bool {
        self.watched_until.is_some_and(|until| Instant::now() < until)
    }

    /// A page shows this printer for a while.
    pub fn watch(&mut self, now: Instant) {
        self.watched_until = Some(now + WATCHED_FOR);
    }

    /// Readings are due after this pace at the latest.
    pub fn hasten(&mut self, now: Instant, pace: Pace) {
        self.read_due = self.read_due.min(now + pace.job);
        self.heaters_within(now, pace.heaters);
    }

    /// A reading is under way.
    pub fn is_reading(&self) -> bool {
        self.reading_since.is_some()
    }

    /// Begins a reading. `false`: one is under way.
    pub fn begin_reading(&mut self, now: Instant, pace: Pace) -> bool {
        if self.is_reading() {
            return false;
        }
        self.reading_since = Some(now);
        self.events_at_begin = self.events;
        self.read_due = now + pace.job;
        true
    }

    /// The reading that was begun at `started` has ended, whatever came of it.
    pub fn end_reading(&mut self, started: Instant) {
        self.reading_since = self.reading_since.filter(|since| *since != started);
    }

    /// The reading that began at `begun` may be older than what is known: it is of an earlier connection, or was under way
    /// beside the newest one.
    pub fn is_outdated(&self, begun: Instant) -> bool {
        self.valid_from.is_some_and(|from| begun < from) || self.came.is_some_and(|came| begun < came)
    }

    /// An event came since the newest reading was begun.
    pub fn is_overtaken_by_event(&self) -> bool {
        self.events_at_begin != self.events
    }

    /// A reading was taken in.
    pub fn on_reading(&mut self, begun: Instant, now: Instant) {
        self.begun = Some(begun);
        (self.came, self.observed) = (Some(now), Some(now));
    }

    /// The next routine reading is due after `pause`.
    pub fn read_after(&mut self, now: Instant, pause: Duration) {
        self.read_due = now + pause;
    }

    /// A reading is due soon, at a random time within this.
    pub fn read_soon(&mut self, now: Instant, within_ms: u64) {
        let delay = Duration::from_millis(300) + full_jitter(Duration::from_millis(within_ms));
        self.read_due = self.read_due.min(now + delay);
    }

    /// An event reported the state.
    pub fn on_state_event(&mut self, now: Instant) {
        self.events += 1;
        self.observed = Some(now);
    }

    /// An event reported another change.
    pub fn on_event(&mut self) {
        self.events += 1;
    }

    /// A new connection since `from`: readings that were begun before do not count.
    pub fn restart(&mut self, from: Instant) {
        self.reading_since = None;
        self.valid_from = Some(from);
        self.events_at_begin = self.events;
        self.heaters_due = from;
    }

    /// No reading counts as taken in.
    pub fn forget(&mut self) {
        (self.begun, self.came, self.observed) = (None, None, None);
    }

    /// No request is under way any more.
    pub fn abandon(&mut self) {
        self.reading_since = None;
        self.heaters_under_way = false;
    }

    /// The newest reading was begun at `after` or later.
    pub fn is_begun_after(&self, after: Instant) -> bool {
        self.begun.is_some_and(|begun| begun >= after)
    }

    /// A reading was taken in, or an event reported the state, at most this long ago.
    pub fn is_observed_within(&self, limit: Duration, now: Instant) -> bool {
        self.observed.is_some_and(|at| now.duration_since(at) <= limit)
    }

    /// A routine reading is due.
    pub fn is_reading_due(&self, now: Instant) -> bool {
        now >= on_tick(self.read_due)
    }

    /// Temperatures are due, and not being read.
    pub fn is_heaters_due(&self, now: Instant) -> bool {
        now >= on_tick(self.heaters_due) && !self.heaters_under_way
    }

    /// Temperatures are read next after `pause`.
    pub fn heaters_after(&mut self, now: Instant, pause: Duration) {
        self.heaters_due = now + pause;
    }

    /// Temperatures are read within `limit`.
    pub fn heaters_within(&mut self, now: Instant, limit: Duration) {
        self.heaters_due = self.heaters_due.min(now + limit);
    }

    /// Temperatures are being read.
    pub fn begin_heaters(&mut self) {
        self.heaters_under_way = true;
    }

    /// The reading of temperatures has ended, whatever came of it.
    pub fn end_heaters(&mut self) {
        self.heaters_under_way = false;
    }

    /// When the next routine reading is due.
    pub fn reading_wake(&self) -> Instant {
        on_tick(self.read_due)
    }

    /// When temperatures are due, unless they are being read.
    pub fn heaters_wake(&self) -> Option<Instant> {
        (!self.heaters_under_way).then(|| on_tick(self.heaters_due))
    }
}

/// The first tick at or after a time. All actors have the same ticks.
pub(super) fn on_tick(due: Instant) -> Instant {
    static BEGUN: LazyLock<Instant> = LazyLock::new(Instant::now);
    let ticks = due.saturating_duration_since(*BEGUN).as_nanos().div_ceil(TICK.as_nanos());
    u32::try_from(ticks).map_or(due, |ticks| *BEGUN + TICK * ticks)
}

/// Up to a tenth more or less, so that a thousand printers do not keep step.
pub(super) fn jittered(duration: Duration) -> Duration {
    duration.mul_f64(0.9 + rand::random::<f64>() * 0.2)
}

/// Anything from a twentieth of it to all of it.
pub(super) fn full_jitter(ceiling: Duration) -> Duration {
    ceiling.mul_f64(rand::random::<f64>().max(0.05))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routine_readings_begin_on_a_common_tick() {
        let due = Instant::now() + Duration::from_secs(1);
        let begins = on_tick(due);
        assert!(begins >= due && begins <= due + TICK);
        assert_eq!(on_tick(begins), begins);
    }
}
