//! Slows down guessing of passwords and tokens. Login attempts have a growing delay. Unknown tokens are refused at an
//! even rate.
//!
//! Login attempts count per account and per address. A device that has logged in to the account before has its own
//! count, so other people's guesses never lock it out. An attempt counts when it begins, so parallel attempts have no
//! advantage. Counts are kept in memory, and a restart clears them.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Number of attempts without a delay, and longest delay, for one account or one known device.
const ACCOUNT_RULE: DelayRule = DelayRule { free_attempts: 4, max_delay: Duration::from_secs(60) };
/// The same for one address, which a whole farm may share.
const ADDRESS_RULE: DelayRule = DelayRule { free_attempts: 20, max_delay: Duration::from_secs(900) };
/// Time between two refusals of unknown tokens from one address, after a burst.
const REFUSAL_INTERVAL: Duration = Duration::from_millis(250);
const REFUSAL_BURST: u32 = 20;
/// Longest wait of a refusal. If a refusal would have to wait longer, the token is not even compared.
const MAX_REFUSAL_WAIT: Duration = Duration::from_secs(5);
/// Maximum number of refusals that wait at the same time. Beyond it, addresses past their burst are refused at once,
/// without a comparison.
const MAX_REFUSALS: usize = 256;
/// Counts are dropped after this time without an attempt.
const COUNT_LIFETIME: Duration = Duration::from_secs(3_600);
/// Maximum number of counted keys. The oldest are dropped first.
const MAX_COUNTS: usize = 20_000;

struct DelayRule {
    free_attempts: u32,
    max_delay: Duration,
}

#[derive(Debug, Clone, Copy)]
struct AttemptCount {
    attempts: u32,
    last: Instant,
}

/// A login attempt.
#[derive(Debug, Clone, Copy)]
pub struct LoginAttempt<'a> {
    /// The account's name, in the form that is unique.
    pub account: &'a str,
    /// The device, if it has logged in to this account before.
    pub device: Option<&'a str>,
    pub address: Option<&'a str>,
}

/// Counts of login attempts, and for each address the time at which its refusals would end without a burst.
#[derive(Debug)]
pub struct LoginThrottle {
    counts: Mutex<HashMap<String, AttemptCount>>,
    refusals: Mutex<HashMap<String, Instant>>,
    refusal_slots: Arc<Semaphore>,
}

impl Default for LoginThrottle {
    fn default() -> Self {
        Self {
            counts: Mutex::default(),
            refusals: Mutex::default(),
            refusal_slots: Arc::new(Semaphore::new(MAX_REFUSALS)),
        }
    }
}

/// A slot among the waiting refusals, whose guess is counted already. `None`: the address is within its burst. Such a
/// refusal does not wait, and counts only when the token is known to be wrong.
type RefusalSlot = Option<CountedSlot>;

/// A counted slot, and how long its refusal waits.
#[derive(Debug)]
pub struct CountedSlot {
    permit: OwnedSemaphorePermit,
    wait: Duration,
}

/// The refusal of a token. The default refusal does not wait.
#[derive(Debug, Clone, Default)]
pub struct TokenRefusal {
    wait: Duration,
    _permit: Option<Arc<OwnedSemaphorePermit>>,
}

impl TokenRefusal {
    /// Waits until the refusal is due.
    pub async fn wait(self) {
        tokio::time::sleep(self.wait).await;
    }
}

impl LoginThrottle {
    /// Counts a login attempt. If the attempt comes too soon, it does not count, and the result is the time to wait.
    pub fn begin(&self, attempt: LoginAttempt<'_>) -> Option<Duration> {
        self.begin_at(&attempt.keys(), Instant::now())
    }

    /// Clears the count of the account or device, and removes this attempt from the count of its address.
    pub fn record_success(&self, attempt: LoginAttempt<'_>) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        for (i, (key, _)) in attempt.keys().into_iter().enumerate() {
            if i == 0 {
                counts.remove(&key);
            } else if let Some(count) = counts.get_mut(&key) {
                count.attempts = count.attempts.saturating_sub(1);
            }
        }
    }

    /// Returns the slot in which the refusal of a token waits, in case the token is unknown.
    ///
    /// # Errors
    /// The time to wait before a guess of this address is compared: it guesses too fast, or all slots are taken.
    pub fn take_refusal_slot(&self, address: Option<&str>) -> Result<RefusalSlot, Duration> {
        self.take_refusal_slot_at(address, Instant::now())
    }

    /// Counts an unknown token, unless its slot has counted it. `slot` is from
    /// [`take_refusal_slot`](Self::take_refusal_slot).
    pub fn refuse_token(&self, address: Option<&str>, slot: RefusalSlot) -> TokenRefusal {
        self.refuse_token_at(address, slot, Instant::now())
    }

    /// Removes the guess that a slot has counted, because the token is known.
    pub fn accept_token(&self, address: Option<&str>, slot: RefusalSlot) {
        let mut refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        if slot.is_some()
            && let Some(until) = refusals.get_mut(&network_of(address.unwrap_or_default()))
        {
            *until = until.checked_sub(REFUSAL_INTERVAL).unwrap_or(*until);
        }
    }

    fn take_refusal_slot_at(&self, address: Option<&str>, now: Instant) -> Result<RefusalSlot, Duration> {
        let mut refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(until) = refusals.get_mut(&network_of(address.unwrap_or_default())) else { return Ok(None) };
        let next = (*until).max(now) + REFUSAL_INTERVAL;
        let wait = refusal_delay(next, now);
        if wait.is_zero() {
            return Ok(None);
        }
        match wait.checked_sub(MAX_REFUSAL_WAIT + REFUSAL_INTERVAL) {
            Some(wait) if !wait.is_zero() => Err(wait),
            _ => {
                let permit = self.refusal_slots.clone().try_acquire_owned().map_err(|_| MAX_REFUSAL_WAIT)?;
                // Counts the guess before its token is compared. Otherwise, parallel guesses would all be compared.
                *until = next;
                Ok(Some(CountedSlot { permit, wait: wait.min(MAX_REFUSAL_WAIT) }))
            }
        }
    }

    fn refuse_token_at(&self, address: Option<&str>, slot: RefusalSlot, now: Instant) -> TokenRefusal {
        if let Some(CountedSlot { permit, wait }) = slot {
            return TokenRefusal { wait, _permit: Some(Arc::new(permit)) };
        }
        let mut refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        if refusals.len() >= MAX_COUNTS {
            refusals.retain(|_, until| *until > now);
        }
        let until = refusals.entry(network_of(address.unwrap_or_default())).or_insert(now);
        *until = (*until).max(now) + REFUSAL_INTERVAL;
        let wait = refusal_delay(*until, now).min(MAX_REFUSAL_WAIT);
        // Several parallel first guesses can exceed the burst together. Each gets a slot now, or does not wait.
        let permit = (!wait.is_zero()).then(|| self.refusal_slots.clone().try_acquire_owned().ok()).flatten();
        TokenRefusal { wait: if permit.is_some() { wait } else { Duration::ZERO }, _permit: permit.map(Arc::new) }
    }

    fn begin_at(&self, keys: &[(String, DelayRule)], now: Instant) -> Option<Duration> {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let wait = longest_wait(&counts, keys, now);
        if wait.is_some() {
            return wait;
        }
        if counts.len() + keys.len() > MAX_COUNTS {
            counts.retain(|_, count| now.duration_since(count.last) < COUNT_LIFETIME);
        }
        if counts.len() + keys.len() > MAX_COUNTS
            && let Some(oldest) = counts.iter().min_by_key(|(_, count)| count.last).map(|(key, _)| key.clone())
        {
            counts.remove(&oldest);
        }
        for (key, _) in keys {
            let count = counts.entry(key.clone()).or_insert(AttemptCount { attempts: 0, last: now });
            if now.duration_since(count.last) >= COUNT_LIFETIME {
                count.attempts = 0;
            }
            *count = AttemptCount { attempts: count.attempts.saturating_add(1), last: now };
        }
        None
    }
}

fn longest_wait(
    counts: &HashMap<String, AttemptCount>,
    keys: &[(String, DelayRule)],
    now: Instant,
) -> Option<Duration> {
    keys.iter().filter_map(|(key, rule)| rule.remaining_delay(counts.get(key)?, now)).max()
}

impl DelayRule {
    /// Returns how long the next attempt must wait, if it must.
    fn remaining_delay(&self, count: &AttemptCount, now: Instant) -> Option<Duration> {
        let over = count.attempts.checked_sub(self.free_attempts)?;
        let delay = Duration::from_secs(1 << over.min(20)).min(self.max_delay);
        let since = now.duration_since(count.last);
        (since < delay && since < COUNT_LIFETIME).then(|| delay - since)
    }
}

impl LoginAttempt<'_> {
    /// Returns the counted keys, with the account or device first.
    fn keys(self) -> Vec<(String, DelayRule)> {
        // Long names are shortened, to limit the memory.
        let account: String = self.account.chars().take(100).collect();
        let first = self.device.map_or_else(|| format!("account {account}"), |device| format!("device {device}"));
        let address = self.address.map(|address| (format!("address {}", network_of(address)), ADDRESS_RULE));
        [(first, ACCOUNT_RULE)].into_iter().chain(address).collect()
    }
}

/// Returns how long a refusal waits. `until` is the time at which the address's refusals would end without a burst.
fn refusal_delay(until: Instant, now: Instant) -> Duration {
    until.saturating_duration_since(now).saturating_sub(REFUSAL_INTERVAL * REFUSAL_BURST)
}

/// Returns the network of an address. For IPv6 it has 64 bits, because one host owns all addresses in it.
fn network_of(address: &str) -> String {
    match address.parse::<IpAddr>().map(|address| address.to_canonical()) {
        Ok(IpAddr::V6(address)) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).to_string(),
        Ok(address @ IpAddr::V4(_)) => address.to_string(),
        Err(_) => address.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt<'a>(account: &'a str, address: Option<&'a str>) -> LoginAttempt<'a> {
        LoginAttempt { account, device: None, address }
    }

    #[test]
    fn the_delay_grows_with_every_attempt_up_to_a_maximum() {
        let throttle = LoginThrottle::default();
        let mut now = Instant::now();
        let mut waits = Vec::new();
        for _ in 0..16 {
            if let Some(wait) = throttle.begin_at(&attempt("ann", None).keys(), now) {
                waits.push(wait.as_secs());
                now += wait;
                assert_eq!(throttle.begin_at(&attempt("ann", None).keys(), now), None, "permitted after the delay");
            }
        }
        assert_eq!(waits[..6], [1, 2, 4, 8, 16, 32]);
        assert_eq!(waits.last(), Some(&60));
    }

    #[test]
    fn many_accounts_from_one_address_are_slowed_down_too() {
        let throttle = LoginThrottle::default();
        let now = Instant::now();
        let begin =
            |i: usize, address| throttle.begin_at(&attempt(&format!("user {i}"), Some(address)).keys(), now).is_none();
        assert_eq!((0..100).filter(|i| begin(*i, "10.0.0.9")).count(), 20);
        assert!(begin(99, "10.0.0.8"), "another address is not limited");
    }

    #[test]
    fn all_addresses_of_an_ipv6_network_count_as_one() {
        let throttle = LoginThrottle::default();
        let now = Instant::now();
        let begin = |i: usize| {
            let address = format!("2001:db8::{i:x}");
            throttle.begin_at(&attempt(&format!("user {i}"), Some(&address)).keys(), now).is_none()
        };
        assert_eq!((0..120).filter(|i| begin(*i)).count(), 20);
        let other = attempt("user 120", Some("2001:db8:0:1::1"));
        assert_eq!(throttle.begin_at(&other.keys(), now), None, "another network is not limited");
    }

    #[test]
    fn guesses_of_others_do_not_lock_out_a_device_that_has_logged_in_before() {
        let throttle = LoginThrottle::default();
        let now = Instant::now();
        for i in 0..50 {
            let address = format!("10.0.{i}.1");
            throttle.begin_at(&attempt("ann", Some(&address)).keys(), now);
        }
        assert!(throttle.begin_at(&attempt("ann", Some("10.9.9.9")).keys(), now).is_some());
        let known = LoginAttempt { account: "ann", device: Some("of ann"), address: Some("10.9.9.9") };
        let allowed = (0..50).filter(|_| throttle.begin_at(&known.keys(), now).is_none()).count();
        assert_eq!(allowed, 4, "a stolen device cannot guess faster");
    }

    #[test]
    fn a_success_clears_the_count() {
        let throttle = LoginThrottle::default();
        for _ in 0..30 {
            assert_eq!(throttle.begin(attempt("ann", Some("10.0.0.9"))), None);
            throttle.record_success(attempt("ann", Some("10.0.0.9")));
        }
    }

    #[test]
    fn unknown_tokens_are_refused_at_an_even_rate_and_faster_ones_are_not_compared() {
        let throttle = LoginThrottle::default();
        let (mut now, address) = (Instant::now(), Some("10.0.0.9"));
        let guess = |now| {
            let slot = throttle.take_refusal_slot_at(address, now)?;
            Ok::<_, Duration>(throttle.refuse_token_at(address, slot, now).wait)
        };
        assert!((0..20).all(|_| guess(now) == Ok(Duration::ZERO)), "a few mistakes do not wait");
        for _ in 0..100 {
            // Sequential guesses.
            assert_eq!(guess(now), Ok(REFUSAL_INTERVAL));
            now += REFUSAL_INTERVAL;
        }
        // Parallel guesses, before any of them is known to be wrong.
        let mut slots: Vec<_> = (0..100).filter_map(|_| throttle.take_refusal_slot_at(address, now).ok()).collect();
        assert_eq!(slots.len(), 21);
        assert!(throttle.take_refusal_slot_at(Some("10.0.0.8"), now).is_ok(), "another address is not limited");
        throttle.accept_token(address, slots.pop().flatten());
        assert!(throttle.take_refusal_slot_at(address, now).is_ok(), "a known token does not count");
        assert!(throttle.take_refusal_slot_at(address, now + Duration::from_secs(60)).is_ok());
    }

    #[test]
    fn waiting_refusals_are_bounded_and_do_not_refuse_an_address_without_guesses() {
        let throttle = LoginThrottle::default();
        let now = Instant::now();
        let mut waiting = Vec::new();
        for i in 0..20 {
            let address = format!("10.0.0.{i}");
            for n in 0..39 {
                let slot = throttle.take_refusal_slot_at(Some(&address), now);
                assert_eq!(slot.as_ref().is_ok_and(Option::is_none), n < 20, "guess {n}");
                if n < 20 {
                    throttle.refuse_token_at(Some(&address), None, now);
                }
                waiting.extend(slot.ok().flatten());
            }
        }
        assert_eq!(waiting.len(), MAX_REFUSALS, "of 380 guesses");
        assert_eq!(throttle.take_refusal_slot_at(Some("10.0.0.19"), now).map(drop), Err(MAX_REFUSAL_WAIT));
        assert!(throttle.take_refusal_slot_at(Some("10.9.9.9"), now).is_ok_and(|slot| slot.is_none()));
        drop(waiting);
        assert!(throttle.take_refusal_slot_at(Some("10.0.0.19"), now).is_ok());
    }

    #[test]
    fn the_number_of_counts_is_bounded() {
        let throttle = LoginThrottle::default();
        let now = Instant::now();
        for i in 0..MAX_COUNTS + 10 {
            throttle.begin_at(&attempt(&format!("user {i}"), None).keys(), now);
        }
        assert!(throttle.counts.lock().expect("the lock is not poisoned").len() <= MAX_COUNTS);
    }
}
