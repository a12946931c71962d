//! Checks whether the wall clock can be trusted for the removal of old rows.
//!
//! A wrong clock makes rows look older than they are. At a start, a jump is found by comparison with the newest stored
//! time. While the server runs, it is found by comparison with the monotonic clock. After a jump it is unknown which
//! time was wrong. So no rows are removed until the clock has been steady for a day.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

/// At a start, the clock may be this far past the newest stored time.
const MAX_GAP: TimeDelta = TimeDelta::days(1);
/// While the server runs, the wall clock may differ this much from the monotonic clock.
const MAX_DRIFT: TimeDelta = TimeDelta::hours(1);
/// The clock is trusted again after this uptime without a jump.
pub const STEADY_FOR: TimeDelta = TimeDelta::hours(24);

/// State of the clock check that is stored between two runs of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredClock {
    /// The newest stored time.
    pub newest: DateTime<Utc>,
    /// Uptime since the last jump, at most [`STEADY_FOR`]. It adds up over restarts.
    pub steady: TimeDelta,
}

/// Compares the wall clock with the stored time and the monotonic clock.
#[derive(Debug, Clone)]
pub struct ClockCheck {
    stored: Option<StoredClock>,
    /// Wall clock and uptime at the start, or at the last jump.
    base: Option<(DateTime<Utc>, Duration)>,
    /// Uptime of the last observation.
    last_uptime: Duration,
    steady: TimeDelta,
}

impl ClockCheck {
    /// Continues the check of the previous run. `None`: the database is new, so it has no rows to lose.
    pub fn new(stored: Option<StoredClock>) -> Self {
        let steady = stored.map_or(STEADY_FOR, |stored| stored.steady);
        Self { stored, base: None, last_uptime: Duration::ZERO, steady }
    }

    /// Observes the wall clock at an uptime of the monotonic clock. The error is the time at which the clock will be
    /// trusted if it does not jump again.
    pub fn observe(&mut self, wall: DateTime<Utc>, uptime: Duration) -> Result<(), DateTime<Utc>> {
        let has_jumped = match (self.base, self.stored) {
            (Some((base, at)), _) => {
                let passed = TimeDelta::from_std(uptime.saturating_sub(at)).unwrap_or(TimeDelta::MAX);
                wall.signed_duration_since(base).checked_sub(&passed).is_none_or(|drift| drift.abs() > MAX_DRIFT)
            }
            (None, Some(stored)) => wall.signed_duration_since(stored.newest) > MAX_GAP,
            (None, None) => false,
        };
        if has_jumped || self.base.is_none() {
            self.base = Some((wall, uptime));
        }
        let passed = TimeDelta::from_std(uptime.saturating_sub(self.last_uptime)).unwrap_or(STEADY_FOR);
        self.last_uptime = uptime;
        self.steady =
            if has_jumped { TimeDelta::zero() } else { (self.steady + passed.min(STEADY_FOR)).min(STEADY_FOR) };
        if self.steady < STEADY_FOR { Err(wall + (STEADY_FOR - self.steady)) } else { Ok(()) }
    }

    /// Returns the uptime since the last jump, at most [`STEADY_FOR`]. The caller stores it.
    pub fn steady(&self) -> TimeDelta {
        self.steady
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);

    fn start() -> DateTime<Utc> {
        DateTime::from_timestamp(1_790_000_000, 0).expect("a time")
    }

    fn hours(n: i64) -> TimeDelta {
        TimeDelta::hours(n)
    }

    /// Returns a check over the data of a server whose clock was right until `start`.
    fn resumed() -> ClockCheck {
        ClockCheck::new(Some(StoredClock { newest: start(), steady: STEADY_FOR }))
    }

    #[test]
    fn a_steady_clock_and_the_clock_of_a_new_database_are_trusted_at_once() {
        let mut check = resumed();
        for n in 0..1_000 {
            assert_eq!(check.observe(start() + hours(23) + hours(n), HOUR * n as u32), Ok(()), "hour {n}");
        }
        assert_eq!(ClockCheck::new(None).observe(start(), HOUR), Ok(()));
    }

    #[test]
    fn a_clock_years_ahead_at_a_start_is_untrusted_for_a_day_even_after_restarts_and_corrections() {
        let ahead = start() + TimeDelta::days(3 * 365);
        let mut check = resumed();
        assert_eq!(check.observe(ahead, Duration::ZERO), Err(ahead + hours(24)));
        assert_eq!(check.observe(ahead + TimeDelta::seconds(4), Duration::from_secs(4)), Err(ahead + hours(24)));
        // The stored data looks right at the next start.
        for wall in [ahead + TimeDelta::minutes(1), start() + TimeDelta::minutes(2)] {
            let mut next = ClockCheck::new(Some(StoredClock { newest: ahead, steady: check.steady() }));
            assert!(next.observe(wall, Duration::ZERO).is_err(), "{wall}");
            assert!(next.observe(wall + hours(23), HOUR * 23).is_err(), "{wall}");
            assert_eq!(next.observe(wall + hours(24), HOUR * 24), Ok(()), "{wall}");
        }
    }

    #[test]
    fn a_clock_jump_makes_the_clock_untrusted_for_a_day_and_small_jumps_add_up() {
        for jump in [hours(2), -hours(2), TimeDelta::days(9_000), -TimeDelta::days(9_000)] {
            let mut check = resumed();
            assert_eq!(check.observe(start(), Duration::ZERO), Ok(()));
            let wall = start() + jump;
            assert_eq!(check.observe(wall + hours(1), HOUR), Err(wall + hours(25)), "{jump}");
            assert!(check.observe(wall + hours(24), HOUR * 24).is_err(), "{jump}");
            assert_eq!(check.observe(wall + hours(25), HOUR * 25), Ok(()), "{jump}");
        }
        let mut check = resumed();
        assert_eq!(check.observe(start(), Duration::ZERO), Ok(()));
        assert_eq!(check.observe(start() + TimeDelta::minutes(100), HOUR), Ok(()));
        assert!(check.observe(start() + TimeDelta::minutes(200), HOUR * 2).is_err());
    }

    #[test]
    fn the_day_after_a_jump_adds_up_over_restarts() {
        let (mut wall, mut steady) = (start() + TimeDelta::days(3), TimeDelta::zero());
        for day in 0..3 {
            let mut check = ClockCheck::new(Some(StoredClock { newest: wall - hours(14), steady }));
            let first = check.observe(wall, Duration::ZERO);
            let last = check.observe(wall + hours(10), HOUR * 10);
            assert_eq!((first.is_ok(), last.is_ok()), (false, day == 2), "day {day}");
            (wall, steady) = (wall + TimeDelta::days(1), check.steady());
        }
    }
}
