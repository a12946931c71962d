//! The poll schedule of a printer: when an actor reads it, and how old the readings are.

use std::{
    sync::LazyLock,
    time::{Duration, Instant},
};

use super::settings::{Pace, TICK, VIEWED_FOR};

/// The readings of one printer: due, in progress, and processed.
pub(super) struct PollSchedule {
    read_due: Instant,
    heaters_due: Instant,
    /// When the reading in progress was started.
    reading_since: Option<Instant>,
    is_reading_heaters: bool,
    /// A page shows this printer until then.
    viewed_until: Option<Instant>,
    /// Readings that were started before this time belong to an earlier connection.
    valid_from: Option<Instant>,
    /// When the newest processed reading was started.
    started_at: Option<Instant>,
    /// When that reading arrived.
    arrived_at: Option<Instant>,
    /// When a reading was last processed, or an event last reported the state.
    observed_at: Option<Instant>,
    /// Changes that events reported. A reading that was started before the newest event is stale.
    events: u64,
    events_at_start: u64,
}

impl PollSchedule {
    /// Creates a schedule. No reading is due before the first connection.
    pub fn new(now: Instant) -> Self {
        let later = now + Duration::from_secs(3_600);
        Self {
            read_due: later,
            heaters_due: later,
            reading_since: None,
            is_reading_heaters: false,
            viewed_until: None,
            valid_from: None,
            started_at: None,
            arrived_at: None,
            observed_at: None,
            events: 0,
            events_at_start: 0,
        }
    }

    /// Whether a page shows this printer now.
    pub fn is_viewed(&self) -> bool {
        self.viewed_until.is_some_and(|until| Instant::now() < until)
    }

    /// Records that a page shows this printer for the next [`VIEWED_FOR`].
    pub fn mark_viewed(&mut self, now: Instant) {
        self.viewed_until = Some(now + VIEWED_FOR);
    }

    /// Moves the next readings forward, so that they are due after this pace at the latest.
    pub fn read_sooner(&mut self, now: Instant, pace: Pace) {
        self.read_due = self.read_due.min(now + pace.job);
        self.read_heaters_within(now, pace.heaters);
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
        self.events_at_start = self.events;
        self.read_due = now + pace.job;
        true
    }

    /// Ends the reading that was started at `started`, whatever its result.
    pub fn end_reading(&mut self, started: Instant) {
        self.reading_since = self.reading_since.filter(|since| *since != started);
    }

    /// Whether the reading that was started at `started` may be older than the known state. It belongs to an earlier
    /// connection, or it was in progress at the same time as the newest reading.
    pub fn is_outdated(&self, started: Instant) -> bool {
        self.valid_from.is_some_and(|from| started < from) || self.arrived_at.is_some_and(|came| started < came)
    }

    /// Whether an event arrived after the newest reading was started.
    pub fn is_overtaken_by_event(&self) -> bool {
        self.events_at_start != self.events
    }

    /// Records a processed reading.
    pub fn on_reading(&mut self, started: Instant, now: Instant) {
        self.started_at = Some(started);
        (self.arrived_at, self.observed_at) = (Some(now), Some(now));
    }

    /// Plans the next routine reading after `delay`.
    pub fn read_after(&mut self, now: Instant, delay: Duration) {
        self.read_due = now + delay;
    }

    /// Plans a reading soon: after 300 ms and a random delay of at most `within_ms`.
    pub fn read_soon(&mut self, now: Instant, within_ms: u64) {
        let delay = Duration::from_millis(300) + full_jitter(Duration::from_millis(within_ms));
        self.read_due = self.read_due.min(now + delay);
    }

    /// Records that an event reported the state.
    pub fn on_state_event(&mut self, now: Instant) {
        self.events += 1;
        self.observed_at = Some(now);
    }

    /// Records that an event reported another change.
    pub fn on_event(&mut self) {
        self.events += 1;
    }

    /// Starts a new connection at `from`. Readings that were started before do not count.
    pub fn restart(&mut self, from: Instant) {
        self.reading_since = None;
        self.valid_from = Some(from);
        self.events_at_start = self.events;
        self.heaters_due = from;
    }

    /// Forgets the processed readings.
    pub fn forget_readings(&mut self) {
        (self.started_at, self.arrived_at, self.observed_at) = (None, None, None);
    }

    /// Forgets the requests in progress.
    pub fn forget_requests(&mut self) {
        self.reading_since = None;
        self.is_reading_heaters = false;
    }

    /// Whether the newest reading was started at `after` or later.
    pub fn is_started_after(&self, after: Instant) -> bool {
        self.started_at.is_some_and(|begun| begun >= after)
    }

    /// Whether a reading was processed, or an event reported the state, at most this long ago.
    pub fn is_observed_within(&self, limit: Duration, now: Instant) -> bool {
        self.observed_at.is_some_and(|at| now.duration_since(at) <= limit)
    }

    /// Whether a routine reading is due.
    pub fn is_reading_due(&self, now: Instant) -> bool {
        now >= next_tick(self.read_due)
    }

    /// Whether a reading of the temperatures is due and none is in progress.
    pub fn is_heaters_reading_due(&self, now: Instant) -> bool {
        now >= next_tick(self.heaters_due) && !self.is_reading_heaters
    }

    /// Plans the next reading of the temperatures after `delay`.
    pub fn read_heaters_after(&mut self, now: Instant, delay: Duration) {
        self.heaters_due = now + delay;
    }

    /// Plans the next reading of the temperatures within `limit`.
    pub fn read_heaters_within(&mut self, now: Instant, limit: Duration) {
        self.heaters_due = self.heaters_due.min(now + limit);
    }

    /// Starts a reading of the temperatures.
    pub fn begin_heaters_reading(&mut self) {
        self.is_reading_heaters = true;
    }

    /// Ends the reading of the temperatures, whatever its result.
    pub fn end_heaters_reading(&mut self) {
        self.is_reading_heaters = false;
    }

    /// Returns when the next routine reading is due.
    pub fn reading_wake(&self) -> Instant {
        next_tick(self.read_due)
    }

    /// Returns when the next reading of the temperatures is due. `None`: one is in progress.
    pub fn heaters_wake(&self) -> Option<Instant> {
        (!self.is_reading_heaters).then(|| next_tick(self.heaters_due))
    }
}

/// Returns the first tick at or after a time. All actors share the same ticks.
pub(super) fn next_tick(due: Instant) -> Instant {
    static FIRST_TICK: LazyLock<Instant> = LazyLock::new(Instant::now);
    let ticks = due.saturating_duration_since(*FIRST_TICK).as_nanos().div_ceil(TICK.as_nanos());
    u32::try_from(ticks).map_or(due, |ticks| *FIRST_TICK + TICK * ticks)
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
        let tick = next_tick(due);
        assert!(tick >= due && tick <= due + TICK);
        assert_eq!(next_tick(tick), tick);
    }
}
