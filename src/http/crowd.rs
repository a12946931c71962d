//! How much one asker holds (connections of an address, requests of a token), so that one cannot take all that there is.

use std::{
    collections::HashMap,
    hash::Hash,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, PoisonError},
};

/// How many of each there are.
#[derive(Debug, Clone)]
pub struct Crowd<K>(Arc<Mutex<HashMap<K, usize>>>);

/// One of somebody's; it counts until this is dropped.
#[derive(Debug)]
pub struct Place<K: Eq + Hash> {
    crowd: Crowd<K>,
    whose: K,
}

impl<K> Default for Crowd<K> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<K: Eq + Hash + Clone> Crowd<K> {
    /// Counts one more of somebody's. `None`: there are as many as there may be.
    pub fn admit(&self, whose: K, most: usize) -> Option<Place<K>> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let n = held.get(&whose).copied().unwrap_or(0);
        if n >= most {
            return None;
        }
        held.insert(whose.clone(), n + 1);
        Some(Place { crowd: self.clone(), whose })
    }
}

impl<K: Eq + Hash> Drop for Place<K> {
    fn drop(&mut self) {
        let mut held = self.crowd.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(n) = held.get_mut(&self.whose) {
            *n -= 1;
            if *n == 0 {
                held.remove(&self.whose);
            }
        }
    }
}

/// Who holds the connections of an address. Of IPv6 the network of 64 bits: whoever has one address of it has them all.
pub fn holder(address: IpAddr) -> IpAddr {
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
        let crowd = Crowd::default();
        let ask = |address: &str| crowd.admit(holder(address.parse().expect("an address")), 2);
        let (first, second) = (ask("10.0.0.1"), ask("::ffff:10.0.0.1"));
        assert!(first.is_some() && second.is_some() && ask("10.0.0.1").is_none());
        let other = ask("10.0.0.2");
        assert!(other.is_some(), "another address");
        drop(second);
        assert!(ask("10.0.0.1").is_some());
        let six = (ask("2001:db8::1"), ask("2001:db8::2"));
        assert!(six.1.is_some() && ask("2001:db8::3").is_none() && ask("2001:db8:0:1::3").is_some());
        drop((first, other, six));
        assert!(crowd.0.lock().expect("no panic").is_empty(), "nothing is kept of who has gone");
    }
}
