//! Name resolver of the HTTP client. It returns only addresses that may be dialled.
//!
//! The check happens here and not before the request, so that a name cannot change its address in between.

use std::net::SocketAddr;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::{BlockedAddress, Networks};

/// The system's resolver with the address guard.
pub(super) struct GuardedResolver {
    networks: Networks,
}

impl GuardedResolver {
    pub(super) fn new(networks: Networks) -> Self {
        Self { networks }
    }
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let networks = self.networks.clone();
        Box::pin(async move {
            // Port 0: the client inserts the port of the URL.
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let allowed = filter_allowed(&networks, name.as_str(), found)?;
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

/// Keeps the addresses that may be dialled.
///
/// # Errors
/// If the name has addresses and none of them is allowed.
pub(super) fn filter_allowed(
    networks: &Networks,
    name: &str,
    found: Vec<SocketAddr>,
) -> Result<Vec<SocketAddr>, BlockedAddress> {
    let first = found.first().map(SocketAddr::ip);
    let kept: Vec<SocketAddr> = found.into_iter().filter(|address| networks.allows(address.ip())).collect();
    match first {
        Some(address) if kept.is_empty() => Err(BlockedAddress::Name { name: name.to_owned(), address }),
        _ => Ok(kept),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_allowed_addresses_of_a_name_are_dialled() {
        let networks = Networks::default();
        let bad: SocketAddr = "169.254.169.254:0".parse().expect("address");
        let good: SocketAddr = "10.0.0.1:0".parse().expect("address");
        assert_eq!(filter_allowed(&networks, "mixed", vec![bad, good]), Ok(vec![good]));
        assert_eq!(filter_allowed(&networks, "none", Vec::new()), Ok(Vec::new()));
        assert!(filter_allowed(&networks, "bad", vec![bad]).is_err());
    }
}
