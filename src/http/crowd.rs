//! How many connections one address holds, so that one client cannot take all that there are.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, PoisonError},
};

/// The connections of each address.
#[derive(Debug, Clone, Default)]
pub struct Crowd(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// One connection of an address; it counts until this is dropped.
#[derive(Debug)]
pub struct Place {
    crowd: Crowd,
    address: IpAddr,
}

impl Crowd {
    /// Counts one more connection of an address. `None`: it has as many as it may.
    pub fn admit(&self, address: IpAddr, most: usize) -> Option<Place> {
        let address = whose(address);
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let n = held.get(&address).copied().unwrap_or(0);
        if n >= most {
            return None;
        }
        held.insert(address, n + 1);
        Some(Place { crowd: self.clone(), address })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut held = self.crowd.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(n) = held.get_mut(&self.address) {
            *n -= 1;
            if *n == 0 {
                held.remove(&self.address);
            }
        }
    }
}

/// Of IPv6 the network of 64 bits: whoever has one address of it has them all.
fn whose(address: IpAddr) -> IpAddr {
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
        let ask = |address: &str| crowd.admit(address.parse().expect("an address"), 2);
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
