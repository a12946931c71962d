//! Discovers services on the local network (mDNS, DNS-SD), for a short time and on demand.
//!
//! It opens UDP port 5353 and a thread outside the runtime. Both end with the search. Any device can send
//! announcements, so they are not trusted. Addresses are not checked here, but when a connection to them is opened.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use mdns_sd::{ResolvedService, ServiceDaemon, ServiceEvent};
use tokio::time::{Instant, timeout_at};

/// The highest number of addresses in one announcement.
const ADDRESSES: usize = 8;
/// The highest number of characters in one text of an announcement.
const TEXT: usize = 200;

/// A service that announces itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// Its instance name, without the name of the service.
    pub name: String,
    /// Its host name, as in `octopi.local`.
    pub host: String,
    pub port: u16,
    /// IPv4 first.
    pub addresses: Vec<IpAddr>,
    /// The properties of the announcement.
    pub texts: BTreeMap<String, String>,
}

/// Discovery is not possible on this machine.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct MdnsError(String);

/// Ends the thread, even if the search is dropped before its end.
struct Ear(ServiceDaemon);

impl Drop for Ear {
    fn drop(&mut self) {
        // The queue may be full of messages that the thread is about to read. The thread ends with this call, or has
        // ended already.
        if let Err(mdns_sd::Error::Again) = self.0.shutdown() {
            let _ = self.0.shutdown();
        }
    }
}

/// Searches for a service (`_octoprint._tcp.local.`) for the time `within`. Returns at most `most` announcements.
///
/// # Errors
/// [`MdnsError`] if this machine cannot send the query.
pub(super) async fn hear(service: &str, within: Duration, most: usize) -> Result<Vec<Heard>, MdnsError> {
    let words = |error: mdns_sd::Error| MdnsError(error.to_string());
    let ear = Ear(ServiceDaemon::new().map_err(words)?);
    let events = ear.0.browse(service).map_err(words)?;
    let until = Instant::now() + within;
    // Keyed by full name, because a service may send another announcement with more data.
    let mut heard: BTreeMap<String, Heard> = BTreeMap::new();
    while let Ok(Ok(event)) = timeout_at(until, events.recv_async()).await {
        match event {
            ServiceEvent::ServiceResolved(found) if heard.len() < most || heard.contains_key(&found.fullname) => {
                drop(heard.insert(found.fullname.clone(), told(&found, service)));
            }
            ServiceEvent::ServiceRemoved(_, name) => drop(heard.remove(&name)),
            _ => {}
        }
    }
    Ok(heard.into_values().collect())
}

fn told(found: &ResolvedService, service: &str) -> Heard {
    let name = found.fullname.strip_suffix(service).unwrap_or(&found.fullname).trim_end_matches('.');
    let mut addresses: Vec<IpAddr> = found.addresses.iter().map(mdns_sd::ScopedIp::to_ip_addr).collect();
    addresses.sort();
    addresses.truncate(ADDRESSES);
    let texts = found.txt_properties.iter().map(|text| (cut(text.key()), cut(text.val_str())));
    Heard {
        name: cut(name),
        host: cut(found.host.trim_end_matches('.')),
        port: found.port,
        addresses,
        texts: texts.collect(),
    }
}

fn cut(text: &str) -> String {
    text.chars().filter(|char| !char.is_control()).take(TEXT).collect()
}
