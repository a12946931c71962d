//! An OctoPrint that announces itself on the network, as OctoPrint's Discovery plugin does.

use std::{net::IpAddr, time::Duration};

use mdns_sd::{IfKind, ServiceDaemon, ServiceEvent, ServiceInfo};

const SERVICE: &str = "_octoprint._tcp.local.";

/// Announces an OctoPrint until it is dropped.
pub struct Announcer(ServiceDaemon);

impl Announcer {
    /// Starts to announce, and waits until the announcement is received. Returns `None` on a machine without multicast,
    /// even on loopback.
    pub fn start(name: &str, url: &str) -> Option<Self> {
        let url: url::Url = url.parse().expect("a url");
        let (address, port): (IpAddr, u16) =
            (url.host_str()?.parse().expect("an address"), url.port_or_known_default().expect("a port"));
        let texts = [("path", "/"), ("version", "1.11.8")];
        let instance_name = format!("OctoPrint instance \"{name}\"");
        let info = ServiceInfo::new(SERVICE, &instance_name, &format!("h{port}.local."), address, port, &texts[..]);
        let announcer = Self(ServiceDaemon::new().expect("a thread"));
        // No other machine may receive the announcement.
        announcer.0.disable_interface(IfKind::All).expect("the daemon runs");
        announcer.0.enable_interface(IfKind::LoopbackV4).expect("the daemon runs");
        announcer.0.register(info.expect("an announcement")).expect("announced");
        let listener = ServiceDaemon::new().expect("a thread");
        let events = listener.browse(SERVICE).expect("the daemon runs");
        let is_received = std::iter::from_fn(|| events.recv_timeout(Duration::from_secs(10)).ok())
            .any(|event| matches!(event, ServiceEvent::ServiceResolved(found) if found.fullname.contains(name)));
        let _ = listener.shutdown();
        is_received.then_some(announcer)
    }
}

impl Drop for Announcer {
    fn drop(&mut self) {
        let _ = self.0.shutdown();
    }
}
