//! Rate limit per token.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use axum::http::{HeaderMap, StatusCode};
use governor::{
    Quota, RateLimiter,
    clock::{Clock, MonotonicClock},
    middleware::StateInformationMiddleware,
    state::keyed::HashMapStateStore,
};
use uuid::Uuid;

use crate::http::api::problem::Problem;

/// Maximum number of tokens with a counter. Above it, counters of tokens that have their full burst again are removed.
const MAX_TOKENS: usize = 10_000;

/// The request rate of one token.
#[derive(Debug, Clone, Copy)]
pub struct RateLimit(pub Quota);

impl RateLimit {
    /// Allows this many requests a second, and this many at once after a pause.
    pub const fn per_second(requests: NonZeroU32, burst: NonZeroU32) -> Self {
        Self(Quota::per_second(requests).allow_burst(burst))
    }

    /// A limit that no client can reach, for measurements and tests.
    pub const fn unlimited() -> Self {
        Self::per_second(NonZeroU32::MAX, NonZeroU32::MAX)
    }
}

impl Default for RateLimit {
    /// The documented limit of the API.
    fn default() -> Self {
        const REQUESTS: NonZeroU32 = NonZeroU32::new(50).expect("not zero");
        const BURST: NonZeroU32 = NonZeroU32::new(200).expect("not zero");
        Self::per_second(REQUESTS, BURST)
    }
}

/// What a token may still send after a request.
#[derive(Debug, Clone, Copy)]
pub struct RequestAllowance {
    quota: Quota,
    /// Requests that the token may send at once.
    left: u32,
    /// Time until the full burst is available again.
    reset: Duration,
}

impl RequestAllowance {
    /// Writes the headers of the IETF drafts. `RateLimit-Limit`, `-Remaining` and `-Reset` follow
    /// draft-ietf-httpapi-ratelimit-headers-06 and earlier, which most clients read. `RateLimit-Policy` follows -08 and
    /// later.
    pub fn write_headers(self, headers: &mut HeaderMap) {
        let burst = self.quota.burst_size();
        let window = whole_seconds(self.quota.replenish_interval() * burst.get()).max(1);
        for (name, value) in [
            ("ratelimit-limit", burst.to_string()),
            ("ratelimit-remaining", self.left.to_string()),
            ("ratelimit-reset", whole_seconds(self.reset).to_string()),
            ("ratelimit-policy", format!("\"default\";q={burst};w={window}")),
        ] {
            if let Ok(value) = value.parse() {
                headers.insert(name, value);
            }
        }
    }
}

/// Rounds up, so a client that waits this long is admitted.
fn whole_seconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_nanos().div_ceil(1_000_000_000)).unwrap_or(u32::MAX)
}

type TokenLimiter<C> = RateLimiter<Option<Uuid>, HashMapStateStore<Option<Uuid>>, C, StateInformationMiddleware>;

/// Counts the requests of each token. The token from the settings (`None`) is counted too.
#[derive(Clone)]
pub struct RequestRates<C: Clock = MonotonicClock> {
    quota: Quota,
    limiter: Arc<TokenLimiter<C>>,
    clock: C,
}

impl RequestRates {
    /// Creates empty counters.
    pub fn new(limit: RateLimit) -> Self {
        Self::with_clock(limit, MonotonicClock)
    }
}

impl<C: Clock + Clone> RequestRates<C> {
    fn with_clock(RateLimit(quota): RateLimit, clock: C) -> Self {
        let limiter = RateLimiter::new(quota, HashMapStateStore::default(), clock.clone());
        Self { quota, limiter: Arc::new(limiter), clock }
    }

    /// Counts one request. Returns what the token may still send, and a refusal if the request exceeds the rate.
    pub fn count_request(&self, token: Option<Uuid>) -> (RequestAllowance, Result<(), Problem>) {
        let quota = self.quota;
        if self.limiter.len() >= MAX_TOKENS {
            self.limiter.retain_recent();
        }
        let interval = quota.replenish_interval();
        match self.limiter.check_key(&token) {
            Ok(state) => {
                let left = state.remaining_burst_capacity();
                let reset = interval * quota.burst_size().get().saturating_sub(left);
                (RequestAllowance { quota, left, reset }, Ok(()))
            }
            Err(too_soon) => {
                let wait = too_soon.wait_time_from(self.clock.now());
                let reset = interval * (quota.burst_size().get() - 1) + wait;
                let per_second = 1.0 / interval.as_secs_f64();
                let detail = format!("This token sent more than {per_second:.0} requests per second.");
                let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", detail);
                let refusal = problem.retry_after(whole_seconds(wait).max(1));
                (RequestAllowance { quota, left: 0, reset }, Err(refusal))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;

    use crate::http::api::middleware::rate_limit::*;

    fn rates(per_second: u32, burst: u32) -> (RequestRates<FakeRelativeClock>, FakeRelativeClock) {
        let [per_second, burst] = [per_second, burst].map(|n| NonZeroU32::new(n).expect("not zero"));
        let clock = FakeRelativeClock::default();
        (RequestRates::with_clock(RateLimit::per_second(per_second, burst), clock.clone()), clock)
    }

    #[test]
    fn a_burst_is_allowed_and_then_the_rate() {
        let (rates, clock) = rates(2, 3);
        let allowed = || (0..10).filter(|_| rates.count_request(None).1.is_ok()).count();
        assert_eq!(allowed(), 3);
        clock.advance(Duration::from_secs(1));
        assert_eq!(allowed(), 2);
        clock.advance(Duration::from_secs(60));
        assert_eq!(allowed(), 3);
    }

    #[test]
    fn the_requests_of_one_token_do_not_count_for_another() {
        let (rates, _) = rates(1, 1);
        assert!(rates.count_request(Some(Uuid::from_u128(1))).1.is_ok());
        assert!(rates.count_request(Some(Uuid::from_u128(1))).1.is_err());
        assert!(rates.count_request(Some(Uuid::from_u128(2))).1.is_ok());
    }

    #[test]
    fn tokens_with_their_whole_burst_are_forgotten() {
        let (rates, clock) = rates(50, 200);
        for n in 0..MAX_TOKENS as u128 {
            assert!(rates.count_request(Some(Uuid::from_u128(n))).1.is_ok());
        }
        clock.advance(Duration::from_secs(60));
        assert!(rates.count_request(None).1.is_ok());
        assert_eq!(rates.limiter.len(), 1);
    }
}
