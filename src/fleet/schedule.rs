//! The poll schedule of a printer: when an actor reads it, and how old the readings are.

use std::{
    sync::LazyLock,
    time::{Duration, Instant},
};

use super::settings::{Pace, TICK, WATCHED_FOR};

/// The readings of one printer: due, in progress, and processed.
pub(super) struct PollSchedule {
    read_due: Instant,
    heaters_due: Instant,
    /// When the reading in progress was started.
    reading_since: Option<Instant>,
    heaters_under_way: bool,
    /// A page shows this printer until then.
    watched_until: Option<Instant>,
    /// Readings that were started before this time belong to an earlier connection.
    valid_from: Option<Instant>,
    /// When the newest processed reading was started.
    begun: Option<Instant>,
    /// When that reading arrived.
    came: Option<Instant>,
    /// When a reading was last processed, or an event last reported the state.
    observed: Option<Instant>,
    /// Changes that events reported. A reading that was started before the newest event is stale.
    events: u64,
    events_at_begin: u64,
}

impl PollSchedule {
    /// Creates a schedule. No reading is due before the first connection.
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

    /// Whether a page shows this printer now.
    pub fn is_watched(&self) -> bool {
        self.watched_until.is_some_and(|until| Instant::now() < until)
    }

    /// Records that a page shows this printer for the next [`WATCHED_FOR`].
    pub fn watch(&mut self, now: Instant) {
        self.watched_until = Some(now + WATCHED_FOR);
    }

    /// Moves the next readings forward, so that they are due after this pace at the latest.
    pub fn hasten(&mut self, now: Instant, pace: Pace) {
        self.read_due = self.read_due.min(now + pace.job);
        self.heaters_within(now, pace.heaters);
    }

    /// Whether a reading is in progress.
    pub fn is_reading(&self) -> bool {
        self.reading_since.is_some()
    }

    /// Starts a reading. Returns `false` if one is in progress.
    pub fn begin_reading(&mut self, now: Instant, pace: Pace) -> bool {
        if self.is_reading() {
            return false;
        }
        self.reading_since = Some(now);
        self.events_at_begin = self.events;
        self.read_due = now + pace.job;
        true
    }

    /// Ends the reading that was started at `started`, whatever its result.
    pub fn end_reading(&mut self, started: Instant) {
        self.reading_since = self.reading_since.filter(|since| *since != started);
    }

    /// Whether the reading that was started at `begun` may be older than the known state. It belongs to an earlier connection,
    /// or it was in progress at the same time as the newest reading.
    pub fn is_outdated(&self, begun: Instant) -> bool {
        self.valid_from.is_some_and(|from| begun < from) || self.came.is_some_and(|came| begun < came)
    }

    /// Whether an event arrived after the newest reading was started.
    pub fn is_overtaken_by_event(&self) -> bool {
        self.events_at_begin != self.events
    }

    /// Records a processed reading.
    pub fn on_reading(&mut self, begun: Instant, now: Instant) {
        self.begun = Some(begun);
        (self.came, self.observed) = (Some(now), Some(now));
    }

    /// Plans the next routine reading after `pause`.
    pub fn read_after(&mut self, now: Instant, pause: Duration) {
        self.read_due = now + pause;
    }

    /// Plans a reading soon: after 300 ms and a random delay of at most `within_ms`.
    pub fn read_soon(&mut self, now: Instant, within_ms: u64) {
        let delay = Duration::from_millis(300) + full_jitter(Duration::from_millis(within_ms));
        self.read_due = self.read_due.min(now + delay);
    }

    /// Records that an event reported the state.
    pub fn on_state_event(&mut self, now: Instant) {
        self.events += 1;
        self.observed = Some(now);
    }

    /// Records that an event reported another change.
    pub fn on_event(&mut self) {
        self.events += 1;
    }

    /// Starts a new connection at `from`. Readings that were started before do not count.
    pub fn restart(&mut self, from: Instant) {
        self.reading_since = None;
        self.valid_from = Some(from);
        self.events_at_begin = self.events;
        self.heaters_due = from;
    }

    /// Forgets the processed readings.
    pub fn forget(&mut self) {
        (self.begun, self.came, self.observed) = (None, None, None);
    }

    /// Forgets the requests in progress.
    pub fn abandon(&mut self) {
        self.reading_since = None;
        self.heaters_under_way = false;
    }

    /// Whether the newest reading was started at `after` or later.
    pub fn is_begun_after(&self, after: Instant) -> bool {
        self.begun.is_some_and(|begun| begun >= after)
    }

    /// Whether a reading was processed, or an event reported the state, at most this long ago.
    pub fn is_observed_within(&self, limit: Duration, now: Instant) -> bool {
        self.observed.is_some_and(|at| now.duration_since(at) <= limit)
    }

    /// Whether a routine reading is due.
    pub fn is_reading_due(&self, now: Instant) -> bool {
        now >= on_tick(self.read_due)
    }

    /// Whether a reading of the temperatures is due and none is in progress.
    pub fn is_heaters_due(&self, now: Instant) -> bool {
        now >= on_tick(self.heaters_due) && !self.heaters_under_way
    }

    /// Plans the next reading of the temperatures after `pause`.
    pub fn heaters_after(&mut self, now: Instant, pause: Duration) {
        self.heaters_due = now + pause;
    }

    /// Plans the next reading of the temperatures within `limit`.
    pub fn heaters_within(&mut self, now: Instant, limit: Duration) {
        self.heaters_due = self.heaters_due.min(now + limit);
    }

    /// Starts a reading of the temperatures.
    pub fn begin_heaters(&mut self) {
        self.heaters_under_way = true;
    }

    /// Ends the reading of the temperatures, whatever its result.
    pub fn end_heaters(&mut self) {
        self.heaters_under_way = false;
    }

    /// Returns when the next routine reading is due.
    pub fn reading_wake(&self) -> Instant {
        on_tick(self.read_due)
    }

    /// Returns when the next reading of the temperatures is due. `None`: one is in progress.
    pub fn heaters_wake(&self) -> Option<Instant> {
        (!self.heaters_under_way).then(|| on_tick(self.heaters_due))
    }
}

/// Returns the first tick at or after a time. All actors share the same ticks.
pub(super) fn on_tick(due: Instant) -> Instant {
    static BEGUN: LazyLock<Instant> = LazyLock::new(Instant::now);
    let ticks = due.saturating_duration_since(*BEGUN).as_nanos().div_ceil(TICK.as_nanos());
    u32::try_from(ticks).map_or(due, |ticks| *BEGUN + TICK * ticks)
}

/// Varies a duration by up to a tenth, so that a thousand printers are not read at the same time.
pub(super) fn jittered(duration: Duration) -> Duration {
    duration.mul_f64(0.9 + rand::random::<f64>() * 0.2)
}

/// Returns a random duration between a twentieth of `ceiling` and all of it.
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
