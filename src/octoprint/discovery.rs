//! Discovery of OctoPrint instances on the network.
//!
//! OctoPrint's bundled plugin *Discovery* is enabled by default. It announces `_octoprint._tcp` by mDNS.

use std::{net::IpAddr, time::Duration};

use url::Url;

use crate::outbound::{Heard, MdnsError, Outbound};

const SERVICE: &str = "_octoprint._tcp.local.";
/// Maximum number of announcements that are read. More do not come from a farm, but from a device that floods the network.
const MOST: usize = 500;

/// An OctoPrint instance that announces itself. All fields are its own claims.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announced {
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
pub async fn announced(outbound: &Outbound, within: Duration) -> Result<Vec<Announced>, MdnsError> {
    let heard = outbound.hear(SERVICE, within, MOST).await?;
    let mut found: Vec<Announced> = heard.into_iter().map(Announced::of).filter(|one| !one.urls.is_empty()).collect();
    found.sort_by(|a, b| a.name.to_lowercase().cmp(&b.name.to_lowercase()).then(a.urls.cmp(&b.urls)));
    Ok(found)
}

impl Announced {
    fn of(heard: Heard) -> Self {
        let path = heard.texts.get("path").map_or("/", String::as_str);
        let addresses = heard.addresses.iter().map(|address| match address {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => format!("[{address}]"),
        });
        // Addresses come before the name, because few servers can resolve names under `.local`.
        let hosts = addresses.chain((!heard.host.is_empty()).then(|| heard.host.clone()));
        let urls = hosts.filter_map(|host| {
            let mut url = Url::parse(&format!("http://{host}:{}/", heard.port)).ok()?;
            url.set_path(path);
            url.set_query(None);
            Some(url)
        });
        Self {
            urls: urls.collect(),
            version: heard.texts.get("version").filter(|version| !version.is_empty()).cloned(),
            name: name(&heard.name).to_owned(),
        }
    }
}

/// OctoPrint announces `OctoPrint instance "MK4"` or `OctoPrint instance on octopi`.
fn name(announced: &str) -> &str {
    let rest = announced.strip_prefix("OctoPrint instance ").unwrap_or(announced);
    let quoted = rest.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    quoted.or_else(|| rest.strip_prefix("on ")).unwrap_or(rest).trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(name: &str, path: &str) -> Heard {
        Heard {
            name: name.to_owned(),
            host: "octopi.local".to_owned(),
            port: 80,
            addresses: vec!["10.0.3.17".parse().expect("address"), "fd00::17".parse().expect("address")],
            texts: [("path".to_owned(), path.to_owned()), ("version".to_owned(), "1.11.8".to_owned())].into(),
        }
    }

    #[test]
    fn an_announcement_is_read() {
        let found = Announced::of(heard("OctoPrint instance \"MK4 (left)\"", "/octoprint/"));
        assert_eq!((found.name.as_str(), found.version.as_deref()), ("MK4 (left)", Some("1.11.8")));
        let urls: Vec<_> = found.urls.iter().map(Url::as_str).collect();
        assert_eq!(
            urls,
            ["http://10.0.3.17/octoprint/", "http://[fd00::17]/octoprint/", "http://octopi.local/octoprint/"]
        );
        assert_eq!(Announced::of(heard("OctoPrint instance on octopi", "/")).name, "octopi");
        assert_eq!(Announced::of(heard("mine", "/")).name, "mine");
    }

    #[test]
    fn whatever_is_announced_stays_a_path_of_that_host() {
        for path in ["//evil.example/x", "http://evil.example", "@evil.example", "/x?y#z", "\\\\evil.example"] {
            for url in Announced::of(heard("x", path)).urls {
                let host = url.host_str().unwrap_or_default();
                assert!(["10.0.3.17", "[fd00::17]", "octopi.local"].contains(&host), "{path}: {url}");
                assert!(url.query().is_none() && url.fragment().is_none() && url.username().is_empty(), "{url}");
            }
        }
        let mut odd = heard("x", "/");
        odd.host = "a b/@c".to_owned();
        assert_eq!(Announced::of(odd).urls.len(), 2);
    }
}
