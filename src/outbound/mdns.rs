//! Listening to who announces a service on the network (mDNS, DNS-SD), for a moment and on demand.
//!
//! It opens UDP port 5353 and a thread beside the runtime, so nothing of it stands: both end with the look. What is heard
//! is anybody's word, and is told as that: an address is judged when somebody connects to it, and not here.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use mdns_sd::{ResolvedService, ServiceDaemon, ServiceEvent};
use tokio::time::{Instant, timeout_at};

/// Addresses of one announcement.
const ADDRESSES: usize = 8;
/// Characters of a text in an announcement.
const TEXT: usize = 200;

/// Something that announces itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// Its name, without that of the service.
    pub name: String,
    /// As `octopi.local`.
    pub host: String,
    pub port: u16,
    /// IPv4 first.
    pub addresses: Vec<IpAddr>,
    /// What it says of itself.
    pub texts: BTreeMap<String, String>,
}

/// Listening is not possible here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct MdnsError(String);

/// Ends the thread, also where nobody waits for the end of the look.
struct Ear(ServiceDaemon);

impl Drop for Ear {
    fn drop(&mut self) {
        // Full only of what the thread is about to read; it ends with this or is gone already.
        if let Err(mdns_sd::Error::Again) = self.0.shutdown() {
            let _ = self.0.shutdown();
        }
    }
}

/// Who announces a service (`_octoprint._tcp.local.`): asks, and listens for so long, to so many at most.
///
/// # Errors
/// [`MdnsError`] when nothing can be asked on this machine.
pub(super) async fn hear(service: &str, within: Duration, most: usize) -> Result<Vec<Heard>, MdnsError> {
    let words = |error: mdns_sd::Error| MdnsError(error.to_string());
    let ear = Ear(ServiceDaemon::new().map_err(words)?);
    let events = ear.0.browse(service).map_err(words)?;
    let until = Instant::now() + within;
    // By its full name: one that says something more is heard again.
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
