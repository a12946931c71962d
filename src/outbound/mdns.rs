//! Discovers services on the local network (mDNS, DNS-SD), for a short time and on demand.
//!
//! It opens UDP port 5353 and a thread outside the runtime. Both end with the search. Any device can send
//! announcements, so they are not trusted. Addresses are not checked here, but when a connection to them is opened.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use mdns_sd::{ResolvedService, ServiceDaemon, ServiceEvent};
use tokio::time::{Instant, timeout_at};

/// The highest number of addresses in one announcement.
const MAX_ADDRESSES: usize = 8;
/// The highest number of characters in one text of an announcement.
const MAX_TEXT: usize = 200;

/// A service that announces itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MdnsService {
    /// Its instance name, without the name of the service.
    pub name: String,
    /// Its host name, as in `octopi.local`.
    pub host: String,
    pub port: u16,
    /// IPv4 first.
    pub addresses: Vec<IpAddr>,
    /// The properties of the announcement.
    pub properties: BTreeMap<String, String>,
}

/// Discovery is not possible on this machine.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct MdnsError(String);

/// Ends the thread, even if the search is dropped before its end.
struct DaemonGuard(ServiceDaemon);

impl Drop for DaemonGuard {
    fn drop(&mut self) {
        // The queue may be full of messages that the thread is about to read. The thread ends with this call, or has
        // ended already.
        if let Err(mdns_sd::Error::Again) = self.0.shutdown() {
            let _ = self.0.shutdown();
        }
    }
}

/// Searches for a service (`_octoprint._tcp.local.`) for the time `within`. Returns at most `limit` announcements.
///
/// # Errors
/// [`MdnsError`] if this machine cannot send the query.
pub(super) async fn discover_services(
    service: &str,
    within: Duration,
    limit: usize,
) -> Result<Vec<MdnsService>, MdnsError> {
    let to_error = |error: mdns_sd::Error| MdnsError(error.to_string());
    let daemon = DaemonGuard(ServiceDaemon::new().map_err(to_error)?);
    let events = daemon.0.browse(service).map_err(to_error)?;
    let until = Instant::now() + within;
    // Keyed by full name, because a service may send another announcement with more data.
    let mut services: BTreeMap<String, MdnsService> = BTreeMap::new();
    while let Ok(Ok(event)) = timeout_at(until, events.recv_async()).await {
        match event {
            ServiceEvent::ServiceResolved(found)
                if services.len() < limit || services.contains_key(&found.fullname) =>
            {
                drop(services.insert(found.fullname.clone(), to_mdns_service(&found, service)));
            }
            ServiceEvent::ServiceRemoved(_, name) => drop(services.remove(&name)),
            _ => {}
        }
    }
    Ok(services.into_values().collect())
}

fn to_mdns_service(found: &ResolvedService, service: &str) -> MdnsService {
    let name = found.fullname.strip_suffix(service).unwrap_or(&found.fullname).trim_end_matches('.');
    let mut addresses: Vec<IpAddr> = found.addresses.iter().map(mdns_sd::ScopedIp::to_ip_addr).collect();
    addresses.sort();
    addresses.truncate(MAX_ADDRESSES);
    let properties = found.txt_properties.iter().map(|text| (shorten(text.key()), shorten(text.val_str())));
    MdnsService {
        name: shorten(name),
        host: shorten(found.host.trim_end_matches('.')),
        port: found.port,
        addresses,
        properties: properties.collect(),
    }
}

fn shorten(text: &str) -> String {
    text.chars().filter(|char| !char.is_control()).take(MAX_TEXT).collect()
}
