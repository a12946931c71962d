//! A token bucket: an even rate that allows bursts.

use std::time::Instant;

/// How often something may happen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    pub per_second: f64,
    /// How many may come at once after a pause.
    pub burst: f64,
}

/// What is left of a [`Rate`] at a time.
#[derive(Debug, Clone, Copy)]
pub struct TokenBucket {
    left: f64,
    at: Instant,
}

impl TokenBucket {
    /// A full bucket.
    pub fn full(rate: Rate, now: Instant) -> Self {
        Self { left: rate.burst, at: now }
    }

    /// What is left now.
    pub fn left(&self, rate: Rate, now: Instant) -> f64 {
        (self.left + now.saturating_duration_since(self.at).as_secs_f64() * rate.per_second).min(rate.burst)
    }

    /// Takes one, and returns what is left then. Fails with what is left where that is less than one.
    pub fn take(&mut self, rate: Rate, now: Instant) -> Result<f64, f64> {
        let left = self.left(rate, now);
        if left < 1.0 {
            return Err(left);
        }
        *self = Self { left: left - 1.0, at: now };
        Ok(self.left)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_burst_is_allowed_and_then_the_rate() {
        let rate = Rate { per_second: 2.0, burst: 3.0 };
        let start = Instant::now();
        let mut bucket = TokenBucket::full(rate, start);
        let mut taken = |s: u64| (0..10).filter(|_| bucket.take(rate, start + Duration::from_secs(s)).is_ok()).count();
        assert_eq!((taken(0), taken(1), taken(60)), (3, 2, 3));
    }
}
