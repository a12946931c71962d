//! Limits per key (an address, a token, a user), so that one key cannot use up shared capacity.

use std::{
    collections::HashMap,
    hash::Hash,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::bounds::Capacity;

/// Counts the items that each key holds.
#[derive(Debug, Clone)]
pub struct KeyedCount<K>(Arc<Mutex<HashMap<K, usize>>>);

/// One counted item. Dropping it decrements the counter of its key.
#[derive(Debug)]
pub struct Counted<K: Eq + Hash> {
    count: KeyedCount<K>,
    key: K,
}

impl<K> Default for KeyedCount<K> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<K: Eq + Hash + Clone> KeyedCount<K> {
    /// Counts one more item of a key. `None`: the key already holds `most`.
    pub fn admit(&self, key: K, most: usize) -> Option<Counted<K>> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let n = held.get(&key).copied().unwrap_or(0);
        if n >= most {
            return None;
        }
        held.insert(key.clone(), n + 1);
        Some(Counted { count: self.clone(), key })
    }
}

impl<K: Eq + Hash> Drop for Counted<K> {
    fn drop(&mut self) {
        let mut held = self.count.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(n) = held.get_mut(&self.key) {
            *n -= 1;
            if *n == 0 {
                held.remove(&self.key);
            }
        }
    }
}

/// A total limit, and a smaller one per key.
#[derive(Debug, Clone)]
pub struct KeyedLimit<K> {
    limit: Capacity,
    all: Arc<Semaphore>,
    each: KeyedCount<K>,
}

/// A slot of a [`KeyedLimit`]. Dropping it frees the slot.
#[derive(Debug)]
pub struct Place<K: Eq + Hash> {
    _all: OwnedSemaphorePermit,
    _own: Counted<K>,
}

/// The limit that is exhausted: that of the key, or the total one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    Key,
    All,
}

impl<K: Eq + Hash + Clone> KeyedLimit<K> {
    /// Creates a limit with all slots free.
    pub fn new(limit: Capacity) -> Self {
        Self { limit, all: Arc::new(Semaphore::new(limit.all)), each: KeyedCount::default() }
    }

    /// Takes a slot for a key.
    pub fn admit(&self, key: K) -> Result<Place<K>, Full> {
        let own = self.each.admit(key, self.limit.each).ok_or(Full::Key)?;
        let all = self.all.clone().try_acquire_owned().map_err(|_| Full::All)?;
        Ok(Place { _all: all, _own: own })
    }
}

/// Returns the key of an address. For IPv6 it is the /64 network, because one host can use all its addresses.
pub fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_so_many_and_gets_them_back() {
        let count = KeyedCount::default();
        let ask = |address: &str| count.admit(network_of(address.parse().expect("an address")), 2);
        let (first, second) = (ask("10.0.0.1"), ask("::ffff:10.0.0.1"));
        assert!(first.is_some() && second.is_some() && ask("10.0.0.1").is_none());
        let other = ask("10.0.0.2");
        assert!(other.is_some(), "another address");
        drop(second);
        assert!(ask("10.0.0.1").is_some());
        let six = (ask("2001:db8::1"), ask("2001:db8::2"));
        assert!(six.1.is_some() && ask("2001:db8::3").is_none() && ask("2001:db8:0:1::3").is_some());
        drop((first, other, six));
        assert!(count.0.lock().expect("no panic").is_empty(), "nothing is kept for a key that holds nothing");
    }

    #[test]
    fn a_refusal_says_whether_the_key_or_the_server_is_full() {
        let limit = KeyedLimit::new(Capacity { all: 3, each: 2 });
        let held: Vec<_> = [1, 1, 2].map(|key| limit.admit(key).expect("a place")).into();
        assert_eq!(limit.admit(1).map(drop), Err(Full::Key));
        assert_eq!(limit.admit(2).map(drop), Err(Full::All));
        drop(held);
        assert_eq!(limit.admit(2).map(drop), Ok(()), "a refusal keeps no place");
    }
}
