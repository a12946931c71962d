//! How often one token may ask: a bucket that fills evenly and is emptied by requests.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Instant,
};

use axum::http::StatusCode;
use uuid::Uuid;

use super::problem::Problem;

/// Buckets that are remembered. A full one is like none, so full ones are forgotten first.
const MOST_BUCKETS: usize = 10_000;

/// The rate at which one token may ask.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub per_second: f64,
    /// Requests that may come at once after a pause.
    pub burst: f64,
}

impl Default for Limits {
    /// The contract's numbers.
    fn default() -> Self {
        Self { per_second: 50.0, burst: 200.0 }
    }
}

impl Limits {
    /// No limit to speak of: for measurements, and tests that ask faster than anybody.
    pub fn generous() -> Self {
        Self { per_second: 1e9, burst: 1e9 }
    }
}

struct Bucket {
    left: f64,
    at: Instant,
}

/// The buckets of all tokens. The token that the operator has set has one, too.
#[derive(Clone)]
pub struct Buckets {
    limits: Limits,
    buckets: Arc<Mutex<HashMap<Option<Uuid>, Bucket>>>,
}

impl Buckets {
    /// Full buckets for everybody.
    pub fn new(limits: Limits) -> Self {
        Self { limits, buckets: Arc::default() }
    }

    /// Counts one request. Fails with what a token is told that asks too fast.
    pub fn take(&self, token: Option<Uuid>) -> Result<(), Problem> {
        self.take_at(token, Instant::now()).map_err(|seconds| {
            let detail = format!("This token asks more than {} times in a second.", self.limits.per_second);
            Problem::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", detail).retry_after(seconds)
        })
    }

    /// Fails with the seconds after which the next request may come.
    fn take_at(&self, token: Option<Uuid>, now: Instant) -> Result<(), u32> {
        let Limits { per_second, burst } = self.limits;
        let filled = |bucket: &Bucket| {
            (bucket.left + now.saturating_duration_since(bucket.at).as_secs_f64() * per_second).min(burst)
        };
        let mut buckets = self.buckets.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if buckets.len() >= MOST_BUCKETS && !buckets.contains_key(&token) {
            buckets.retain(|_, bucket| filled(bucket) < burst);
        }
        let left = buckets.get(&token).map_or(burst, filled);
        if left < 1.0 {
            return Err(1);
        }
        buckets.insert(token, Bucket { left: left - 1.0, at: now });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_burst_is_let_through_and_then_the_rate() {
        let buckets = Buckets::new(Limits { per_second: 2.0, burst: 3.0 });
        let start = Instant::now();
        let taken = |at: Duration| (0..10).filter(|_| buckets.take_at(None, start + at).is_ok()).count();
        assert_eq!(taken(Duration::ZERO), 3);
        assert_eq!(taken(Duration::from_secs(1)), 2);
        assert_eq!(taken(Duration::from_secs(60)), 3);
    }

    #[test]
    fn one_token_does_not_cost_another_anything() {
        let buckets = Buckets::new(Limits { per_second: 1.0, burst: 1.0 });
        let now = Instant::now();
        assert!(buckets.take_at(Some(Uuid::from_u128(1)), now).is_ok());
        assert!(buckets.take_at(Some(Uuid::from_u128(1)), now).is_err());
        assert!(buckets.take_at(Some(Uuid::from_u128(2)), now).is_ok());
    }

    #[test]
    fn full_buckets_are_forgotten() {
        let buckets = Buckets::new(Limits::default());
        let start = Instant::now();
        for n in 0..=MOST_BUCKETS as u128 {
            let later = start + Duration::from_secs(u64::from(n == MOST_BUCKETS as u128) * 60);
            assert!(buckets.take_at(Some(Uuid::from_u128(n)), later).is_ok());
        }
        assert_eq!(buckets.buckets.lock().map(|buckets| buckets.len()).unwrap_or_default(), 1);
    }
}
