//! How often one token may ask: a bucket that fills evenly and is emptied by requests.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Instant,
};

use axum::http::{HeaderMap, StatusCode};
use uuid::Uuid;

use super::problem::Problem;
use crate::domain::rate::{Rate, TokenBucket};

/// Buckets that are remembered. A full one is like none, so full ones are forgotten first.
const MOST_BUCKETS: usize = 10_000;

/// The rate at which one token may ask.
#[derive(Debug, Clone, Copy)]
pub struct Limits(pub Rate);

impl Default for Limits {
    /// The contract's numbers.
    fn default() -> Self {
        Self(Rate { per_second: 50.0, burst: 200.0 })
    }
}

impl Limits {
    /// No limit to speak of: for measurements, and tests that ask faster than anybody.
    pub fn generous() -> Self {
        Self(Rate { per_second: 1e9, burst: 1e9 })
    }
}

/// How a token stands after a request.
#[derive(Debug, Clone, Copy)]
pub struct Standing {
    rate: Rate,
    left: f64,
}

impl Standing {
    /// Tells it in the headers of the IETF's drafts: `RateLimit-Limit`, `-Remaining` and `-Reset` as up to
    /// draft-ietf-httpapi-ratelimit-headers-06, which most clients read, and `RateLimit-Policy` as since -08.
    pub fn tell(self, headers: &mut HeaderMap) {
        let Rate { per_second, burst } = self.rate;
        let policy = format!("\"default\";q={};w={}", burst.floor(), whole(burst / per_second).max(1));
        for (name, value) in [
            ("ratelimit-limit", burst.floor().to_string()),
            ("ratelimit-remaining", self.left.floor().to_string()),
            ("ratelimit-reset", whole((burst - self.left) / per_second).to_string()),
            ("ratelimit-policy", policy),
        ] {
            if let Ok(value) = value.parse() {
                headers.insert(name, value);
            }
        }
    }
}

/// Whole seconds, rounded up: whoever waits so long has waited long enough.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a cast to an integer stays within its bounds"
)]
fn whole(seconds: f64) -> u32 {
    seconds.ceil() as u32
}

/// The buckets of all tokens. The token that the operator has set has one, too.
#[derive(Clone)]
pub struct Buckets {
    rate: Rate,
    buckets: Arc<Mutex<HashMap<Option<Uuid>, TokenBucket>>>,
}

impl Buckets {
    /// Full buckets for everybody.
    pub fn new(limits: Limits) -> Self {
        Self { rate: limits.0, buckets: Arc::default() }
    }

    /// Counts one request. Says how its token stands, and what it is told when it asks too fast.
    pub fn take(&self, token: Option<Uuid>) -> (Standing, Result<(), Problem>) {
        let rate = self.rate;
        match self.take_at(token, Instant::now()) {
            Ok(left) => (Standing { rate, left }, Ok(())),
            Err(left) => {
                let detail = format!("This token asks more than {} times in a second.", rate.per_second);
                let seconds = whole((1.0 - left) / rate.per_second).max(1);
                let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", detail);
                (Standing { rate, left }, Err(problem.retry_after(seconds)))
            }
        }
    }

    /// What is left then. Fails with what is left where that is less than a request.
    fn take_at(&self, token: Option<Uuid>, now: Instant) -> Result<f64, f64> {
        let rate = self.rate;
        let mut buckets = self.buckets.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if buckets.len() >= MOST_BUCKETS && !buckets.contains_key(&token) {
            buckets.retain(|_, bucket| bucket.left(rate, now) < rate.burst);
        }
        buckets.entry(token).or_insert_with(|| TokenBucket::full(rate, now)).take(rate, now)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_burst_is_let_through_and_then_the_rate() {
        let buckets = Buckets::new(Limits(Rate { per_second: 2.0, burst: 3.0 }));
        let start = Instant::now();
        let taken = |at: Duration| (0..10).filter(|_| buckets.take_at(None, start + at).is_ok()).count();
        assert_eq!(taken(Duration::ZERO), 3);
        assert_eq!(taken(Duration::from_secs(1)), 2);
        assert_eq!(taken(Duration::from_secs(60)), 3);
    }

    #[test]
    fn one_token_does_not_cost_another_anything() {
        let buckets = Buckets::new(Limits(Rate { per_second: 1.0, burst: 1.0 }));
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
