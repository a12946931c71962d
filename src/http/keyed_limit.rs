//! Limits per key (an address, a token, a user), so that one key cannot use up shared capacity.

use std::{
    collections::HashMap,
    hash::Hash,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::limits::Capacity;

/// Counts the items that each key holds.
#[derive(Debug, Clone)]
pub struct KeyedCount<K>(Arc<Mutex<HashMap<K, usize>>>);

/// One counted item. Dropping it decrements the counter of its key.
#[derive(Debug)]
pub struct CountGuard<K: Eq + Hash> {
    count: KeyedCount<K>,
    key: K,
}

impl<K> Default for KeyedCount<K> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<K: Eq + Hash + Clone> KeyedCount<K> {
    /// Counts one more item of a key. `None`: the key already holds `max`.
    pub fn try_increment(&self, key: K, max: usize) -> Option<CountGuard<K>> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let n = counts.get(&key).copied().unwrap_or(0);
        if n >= max {
            return None;
        }
        counts.insert(key.clone(), n + 1);
        Some(CountGuard { count: self.clone(), key })
    }
}

impl<K: Eq + Hash> Drop for CountGuard<K> {
    fn drop(&mut self) {
        let mut counts = self.count.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(n) = counts.get_mut(&self.key) {
            *n -= 1;
            if *n == 0 {
                counts.remove(&self.key);
            }
        }
    }
}

/// A total limit, and a smaller one per key.
#[derive(Debug, Clone)]
pub struct KeyedLimit<K> {
    limit: Capacity,
    total: Arc<Semaphore>,
    per_key: KeyedCount<K>,
}

/// A slot of a [`KeyedLimit`]. Dropping it frees the slot.
#[derive(Debug)]
pub struct LimitSlot<K: Eq + Hash> {
    _total: OwnedSemaphorePermit,
    _key: CountGuard<K>,
}

/// The limit that is exhausted: that of the key, or the total one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitExceeded {
    Key,
    Total,
}

impl<K: Eq + Hash + Clone> KeyedLimit<K> {
    /// Creates a limit with all slots free.
    pub fn new(limit: Capacity) -> Self {
        Self { limit, total: Arc::new(Semaphore::new(limit.total)), per_key: KeyedCount::default() }
    }

    /// Takes a slot for a key.
    pub fn try_acquire(&self, key: K) -> Result<LimitSlot<K>, LimitExceeded> {
        let key_guard = self.per_key.try_increment(key, self.limit.per_key).ok_or(LimitExceeded::Key)?;
        let permit = self.total.clone().try_acquire_owned().map_err(|_| LimitExceeded::Total)?;
        Ok(LimitSlot { _total: permit, _key: key_guard })
    }
}

/// Returns the key of an address. For IPv6 it is the /64 network, because one host can use all its addresses.
pub fn network_key(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_holds_at_most_the_limit() {
        let count = KeyedCount::default();
        let acquire = |address: &str| count.try_increment(network_key(address.parse().expect("an address")), 2);
        let (first, second) = (acquire("10.0.0.1"), acquire("::ffff:10.0.0.1"));
        assert!(first.is_some() && second.is_some() && acquire("10.0.0.1").is_none());
        let other = acquire("10.0.0.2");
        assert!(other.is_some(), "another address");
        drop(second);
        assert!(acquire("10.0.0.1").is_some());
        let six = (acquire("2001:db8::1"), acquire("2001:db8::2"));
        assert!(six.1.is_some() && acquire("2001:db8::3").is_none() && acquire("2001:db8:0:1::3").is_some());
        drop((first, other, six));
        assert!(count.0.lock().expect("no panic").is_empty(), "nothing is kept for a key that holds nothing");
    }

    #[test]
    fn a_refusal_says_whether_the_key_or_the_server_is_full() {
        let limit = KeyedLimit::new(Capacity { total: 3, per_key: 2 });
        let held: Vec<_> = [1, 1, 2].map(|key| limit.try_acquire(key).expect("a slot")).into();
        assert_eq!(limit.try_acquire(1).map(drop), Err(LimitExceeded::Key));
        assert_eq!(limit.try_acquire(2).map(drop), Err(LimitExceeded::Total));
        drop(held);
        assert_eq!(limit.try_acquire(2).map(drop), Ok(()), "a refusal keeps no slot");
    }
}
