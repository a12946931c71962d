//! Attempts to log in, limited per account and per address with a growing delay.
//!
//! An attempt counts when it begins, so that a thousand at once are no way round. Kept in memory: a restart forgets them,
//! and costs whoever guesses more than it saves them.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Attempts on one account before there is a delay, and the longest: the owner must not be locked out by others.
const ACCOUNT: Rule = Rule { free: 4, longest: Duration::from_secs(60) };
/// The same for one address, behind which a whole farm may sit.
const ADDRESS: Rule = Rule { free: 20, longest: Duration::from_secs(900) };
/// Nothing is held against anybody after so long without an attempt.
const FORGOTTEN: Duration = Duration::from_secs(3_600);
/// Accounts and addresses that are remembered; the oldest are forgotten first.
const MOST: usize = 20_000;

struct Rule {
    free: u32,
    longest: Duration,
}

#[derive(Debug, Clone, Copy)]
struct Count {
    attempts: u32,
    last: Instant,
}

/// What was tried, by account and by address.
#[derive(Debug, Default)]
pub struct Attempts(Mutex<HashMap<String, Count>>);

impl Attempts {
    /// Counts an attempt. Some: it comes too soon, does not count, and the next may come after this.
    pub fn begin(&self, account: &str, address: Option<&str>) -> Option<Duration> {
        self.begin_at(account, address, Instant::now())
    }

    fn begin_at(&self, account: &str, address: Option<&str>, now: Instant) -> Option<Duration> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let keys = keys(account, address);
        let wait = keys.iter().filter_map(|(key, rule)| rule.wait(counts.get(key)?, now)).max();
        if wait.is_some() {
            return wait;
        }
        if counts.len() + keys.len() > MOST {
            counts.retain(|_, count| now.duration_since(count.last) < FORGOTTEN);
        }
        if counts.len() + keys.len() > MOST
            && let Some(oldest) = counts.iter().min_by_key(|(_, count)| count.last).map(|(key, _)| key.clone())
        {
            counts.remove(&oldest);
        }
        for (key, _) in keys {
            let count = counts.entry(key).or_insert(Count { attempts: 0, last: now });
            if now.duration_since(count.last) >= FORGOTTEN {
                count.attempts = 0;
            }
            *count = Count { attempts: count.attempts.saturating_add(1), last: now };
        }
        None
    }

    /// Name and password were right: nothing is held against the account, and this attempt not against the address.
    pub fn succeeded(&self, account: &str, address: Option<&str>) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (i, (key, _)) in keys(account, address).into_iter().enumerate() {
            if i == 0 {
                counts.remove(&key);
            } else if let Some(count) = counts.get_mut(&key) {
                count.attempts = count.attempts.saturating_sub(1);
            }
        }
    }
}

impl Rule {
    /// How long the next attempt has to wait, if it has to.
    fn wait(&self, count: &Count, now: Instant) -> Option<Duration> {
        let over = count.attempts.checked_sub(self.free)?;
        let delay = Duration::from_secs(1 << over.min(20)).min(self.longest);
        let since = now.duration_since(count.last);
        (since < delay && since < FORGOTTEN).then(|| delay - since)
    }
}

/// The account first.
fn keys(account: &str, address: Option<&str>) -> Vec<(String, Rule)> {
    // A name of any length must not be remembered whole.
    let account: String = account.chars().take(100).collect();
    let mut keys = vec![(format!("account {account}"), ACCOUNT)];
    keys.extend(address.map(|address| (format!("address {address}"), ADDRESS)));
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delay_grows_with_every_attempt_and_has_an_end() {
        let attempts = Attempts::default();
        let mut now = Instant::now();
        let mut waits = Vec::new();
        for _ in 0..16 {
            if let Some(wait) = attempts.begin_at("ann", None, now) {
                waits.push(wait.as_secs());
                now += wait;
                assert_eq!(attempts.begin_at("ann", None, now), None, "after the delay it may come");
            }
        }
        assert_eq!(waits[..6], [1, 2, 4, 8, 16, 32]);
        assert_eq!(waits.last(), Some(&60));
    }

    #[test]
    fn many_accounts_from_one_address_are_slowed_down_too() {
        let attempts = Attempts::default();
        let now = Instant::now();
        let tried = (0..100).filter(|i| attempts.begin_at(&format!("user {i}"), Some("10.0.0.9"), now).is_none());
        assert_eq!(tried.count(), 20);
        assert_eq!(attempts.begin_at("user 99", Some("10.0.0.8"), now), None, "another address may");
    }

    #[test]
    fn whoever_gets_in_starts_anew() {
        let attempts = Attempts::default();
        let now = Instant::now();
        for _ in 0..30 {
            assert_eq!(attempts.begin_at("ann", Some("10.0.0.9"), now), None);
            attempts.succeeded("ann", Some("10.0.0.9"));
        }
    }

    #[test]
    fn what_is_remembered_has_an_end() {
        let attempts = Attempts::default();
        let now = Instant::now();
        for i in 0..MOST + 10 {
            attempts.begin_at(&format!("user {i}"), None, now);
        }
        assert!(attempts.0.lock().expect("no panic").len() <= MOST);
    }
}
