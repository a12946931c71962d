//! Discovery of OctoPrint instances on the network.
//!
//! OctoPrint's bundled plugin *Discovery* is enabled by default. It announces `_octoprint._tcp` by mDNS.

use std::{net::IpAddr, time::Duration};

use url::Url;

use crate::outbound::{MdnsError, MdnsService, Outbound};

const SERVICE: &str = "_octoprint._tcp.local.";
/// Maximum number of announcements that are read. More do not come from a farm, but from a device that floods the network.
const MAX_ANNOUNCEMENTS: usize = 500;

/// An OctoPrint instance that announces itself. All fields are its own claims.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiscoveredInstance {
    /// The name that its owner gave it, or its host.
    pub name: String,
    /// The addresses at which its pages may be reached, the best first.
    pub urls: Vec<Url>,
    pub version: Option<String>,
}

/// Returns the OctoPrint instances that announce themselves within this time.
///
/// # Errors
/// [`MdnsError`] if this machine cannot listen for announcements.
pub async fn discover_instances(outbound: &Outbound, within: Duration) -> Result<Vec<DiscoveredInstance>, MdnsError> {
    let services = outbound.discover_services(SERVICE, within, MAX_ANNOUNCEMENTS).await?;
    let mut found: Vec<DiscoveredInstance> = services
        .into_iter()
        .map(DiscoveredInstance::from_service)
        .filter(|instance| !instance.urls.is_empty())
        .collect();
    found.sort_by(|a, b| a.name.to_lowercase().cmp(&b.name.to_lowercase()).then(a.urls.cmp(&b.urls)));
    Ok(found)
}

impl DiscoveredInstance {
    fn from_service(service: MdnsService) -> Self {
        let path = service.properties.get("path").map_or("/", String::as_str);
        let addresses = service.addresses.iter().map(|address| match address {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => format!("[{address}]"),
        });
        // Addresses come before the name, because few servers can resolve names under `.local`.
        let hosts = addresses.chain((!service.host.is_empty()).then(|| service.host.clone()));
        let urls = hosts.filter_map(|host| {
            let mut url = Url::parse(&format!("http://{host}:{}/", service.port)).ok()?;
            url.set_path(path);
            url.set_query(None);
            Some(url)
        });
        Self {
            urls: urls.collect(),
            version: service.properties.get("version").filter(|version| !version.is_empty()).cloned(),
            name: instance_name(&service.name).to_owned(),
        }
    }
}

/// OctoPrint announces `OctoPrint instance "MK4"` or `OctoPrint instance on octopi`.
fn instance_name(service_name: &str) -> &str {
    let rest = service_name.strip_prefix("OctoPrint instance ").unwrap_or(service_name);
    let quoted = rest.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    quoted.or_else(|| rest.strip_prefix("on ")).unwrap_or(rest).trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mdns_service(name: &str, path: &str) -> MdnsService {
        MdnsService {
            name: name.to_owned(),
            host: "octopi.local".to_owned(),
            port: 80,
            addresses: vec!["10.0.3.17".parse().expect("address"), "fd00::17".parse().expect("address")],
            properties: [("path".to_owned(), path.to_owned()), ("version".to_owned(), "1.11.8".to_owned())].into(),
        }
    }

    #[test]
    fn an_announcement_is_read() {
        let found = DiscoveredInstance::from_service(mdns_service("OctoPrint instance \"MK4 (left)\"", "/octoprint/"));
        assert_eq!((found.name.as_str(), found.version.as_deref()), ("MK4 (left)", Some("1.11.8")));
        let urls: Vec<_> = found.urls.iter().map(Url::as_str).collect();
        assert_eq!(
            urls,
            ["http://10.0.3.17/octoprint/", "http://[fd00::17]/octoprint/", "http://octopi.local/octoprint/"]
        );
        assert_eq!(DiscoveredInstance::from_service(mdns_service("OctoPrint instance on octopi", "/")).name, "octopi");
        assert_eq!(DiscoveredInstance::from_service(mdns_service("mine", "/")).name, "mine");
    }

    #[test]
    fn an_announced_path_cannot_change_the_host() {
        for path in ["//evil.example/x", "http://evil.example", "@evil.example", "/x?y#z", "\\\\evil.example"] {
            for url in DiscoveredInstance::from_service(mdns_service("x", path)).urls {
                let host = url.host_str().unwrap_or_default();
                assert!(["10.0.3.17", "[fd00::17]", "octopi.local"].contains(&host), "{path}: {url}");
                assert!(url.query().is_none() && url.fragment().is_none() && url.username().is_empty(), "{url}");
            }
        }
        let mut odd = mdns_service("x", "/");
        odd.host = "a b/@c".to_owned();
        assert_eq!(DiscoveredInstance::from_service(odd).urls.len(), 2);
    }
}
