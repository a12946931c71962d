//! Outgoing connections: address guard, limits and timeouts.
//!
//! The URLs of printers, cameras and webhooks are user input. Without a guard, users could make this server read
//! addresses that only the server can reach (server-side request forgery). So all connections are opened here. The
//! guard checks the address that is *actually dialled*: names after resolving them, literal addresses before the
//! request. Redirects and proxies from the environment are never followed. Every body and every wait has a limit.
//! `clippy.toml` prevents other modules from creating HTTP clients.

mod body;
mod busy_connection;
mod certificates;
mod connection_pool;
mod dial;
mod idle_connections;
mod mdns;
mod networks;
mod own_server;
mod resolver;
mod stream;
mod tls;

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

pub use body::{BodyError, Reply, TimeLimit};
pub use certificates::{CertificateError, Certificates};
pub use connection_pool::{ConnectionPool, PoolError};
pub use dial::DialError;
pub use mdns::{MdnsError, MdnsService};
pub use networks::{InvalidNetwork, Networks};
pub use own_server::request_own_server;
pub use reqwest::{Body, Error as RequestError, Request, Response};
pub use stream::OutboundStream;
pub use tls::{TlsHandshakeError, find_tls_error};
use url::{Host, Url};

use crate::domain::message::Message;

/// The `User-Agent` of this server.
pub const AGENT: &str = concat!("Printyard/", env!("CARGO_PKG_VERSION"));

/// Time limit for opening a connection, including name resolution and TLS.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// An idle connection is kept for this time. It is longer than the slowest poll interval of an idle printer, so that
/// commands need no new connection.
const IDLE_TIMEOUT: Duration = Duration::from_secs(90);

/// One connection per printer is enough (OctoPrint is one process). The second one is for a transfer at the same time.
const IDLE_PER_HOST: usize = 2;

/// Why connections to an address are not allowed. No byte was sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BlockedAddress {
    /// The address is not in an allowed network. It is a literal in the URL, or a resolved address.
    #[error("the address {0} is in a network that this server must not connect to")]
    Address(IpAddr),
    /// All addresses of a name are blocked. The value contains one of them.
    #[error("{name} leads to {address}, in a network that this server must not connect to")]
    Name {
        /// The name that was resolved.
        name: String,
        /// One of its addresses.
        address: IpAddr,
    },
    /// The scheme is neither http nor https (for sockets: ws, wss), or the URL has no host.
    #[error("only http and https addresses can be connected to")]
    Scheme,
}

impl BlockedAddress {
    /// Returns the cause for the user, as a part of a sentence.
    pub fn message(&self) -> Message {
        match self {
            Self::Address(address) => Message::new("cause-blocked-address").with("address", address),
            Self::Name { name, address } => {
                Message::new("cause-blocked-name").with("name", name).with("address", address)
            }
            Self::Scheme => Message::new("cause-blocked-scheme"),
        }
    }
}

/// One HTTP client and one dialler that share the address guard and the trusted authorities. A clone only increments a
/// reference count.
#[derive(Clone)]
pub struct Outbound(Arc<OutboundInner>);

struct OutboundInner {
    client: reqwest::Client,
    networks: Networks,
    tls: tokio_rustls::TlsConnector,
    /// Trusted in addition to the system's certificates.
    certificates: Certificates,
    clients: Arc<ClientsByCertificates>,
}

/// Clients that trust additional certificates, one for each set. A thousand printers with the same set share one.
type ClientsByCertificates = Mutex<HashMap<Certificates, Weak<OutboundInner>>>;

/// The HTTP client could not be set up. This happens only at the start of the program.
#[derive(Debug, thiserror::Error)]
#[error("the HTTP client could not be set up")]
pub struct SetupError(#[source] reqwest::Error);

/// Why a request got no response.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// Connections to the address are not allowed. No byte was sent.
    #[error(transparent)]
    Blocked(#[from] BlockedAddress),
    /// The connection failed, the time was over, or the response is not HTTP. The URL is removed, because it may
    /// contain a secret.
    #[error(transparent)]
    Http(reqwest::Error),
}

impl Outbound {
    /// Creates the client and the dialler. This takes some milliseconds, because it reads the system's certificates.
    /// Create one per process.
    ///
    /// # Errors
    /// If the TLS library refuses its set-up.
    pub fn new(networks: Networks) -> Result<Self, SetupError> {
        Self::build(networks, Certificates::default(), Arc::default())
    }

    /// Returns a client that also trusts these certificates.
    ///
    /// # Errors
    /// If the TLS library refuses its set-up.
    pub fn with_certificates(&self, certificates: &Certificates) -> Result<Self, SetupError> {
        let certificates = self.0.certificates.union(certificates);
        if certificates == self.0.certificates {
            return Ok(self.clone());
        }
        let mut clients = self.0.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&certificates).and_then(Weak::upgrade) {
            return Ok(Self(client));
        }
        clients.retain(|_, outbound| outbound.strong_count() > 0);
        let client = Self::build(self.0.networks.clone(), certificates.clone(), self.0.clients.clone())?;
        clients.insert(certificates, Arc::downgrade(&client.0));
        Ok(client)
    }

    fn build(
        networks: Networks,
        certificates: Certificates,
        clients: Arc<ClientsByCertificates>,
    ) -> Result<Self, SetupError> {
        let tls = tls::client_config(&certificates);
        #[expect(clippy::disallowed_methods, reason = "this is the one place that makes HTTP clients")]
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls.clone())
            .http1_only()
            .no_proxy()
            .referer(false)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_nodelay(true)
            .pool_max_idle_per_host(IDLE_PER_HOST)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .user_agent(AGENT)
            .dns_resolver(resolver::GuardedResolver::new(networks.clone()))
            .build()
            .map_err(SetupError)?;
        let tls = Arc::new(tls).into();
        Ok(Self(Arc::new(OutboundInner { client, networks, tls, certificates, clients })))
    }

    /// Returns the HTTP client. It checks resolved names, but **literal addresses bypass its resolver**. So call
    /// [`Self::check_literal`] for each URL first, or send with [`Self::execute`]. It has no overall timeout: set one
    /// for every request.
    pub fn http_client(&self) -> &reqwest::Client {
        &self.0.client
    }

    /// Searches for a service (`_octoprint._tcp.local.`) on the networks of this machine for the time `within`. Returns
    /// at most `limit` announcements. Their addresses are not checked.
    ///
    /// # Errors
    /// [`MdnsError`] if this machine cannot send the query.
    pub async fn discover_services(
        &self,
        service: &str,
        within: Duration,
        limit: usize,
    ) -> Result<Vec<MdnsService>, MdnsError> {
        mdns::discover_services(service, within, limit).await
    }

    /// Sends a request to an address that a user chose (a webhook's). The address is checked as a literal and after
    /// name resolution.
    ///
    /// # Errors
    /// [`SendError`].
    pub async fn execute(&self, request: Request) -> Result<Response, SendError> {
        self.check_literal(request.url())?;
        self.0.client.execute(request).await.map_err(|error| match find_blocked(&error) {
            Some(blocked) => SendError::Blocked(blocked.clone()),
            None => SendError::Http(error.without_url()),
        })
    }

    /// Returns the networks to which connections are allowed.
    pub fn networks(&self) -> &Networks {
        &self.0.networks
    }

    /// Checks scheme and host of a URL without resolving names. A literal address must be allowed, in any notation of
    /// the URL standard.
    ///
    /// # Errors
    /// [`BlockedAddress`] if connections to the URL are not allowed.
    pub fn check_literal(&self, url: &Url) -> Result<(), BlockedAddress> {
        if !matches!(url.scheme(), "http" | "https" | "ws" | "wss") {
            return Err(BlockedAddress::Scheme);
        }
        let address: IpAddr = match url.host() {
            None => return Err(BlockedAddress::Scheme),
            Some(Host::Domain(_)) => return Ok(()),
            Some(Host::Ipv4(address)) => address.into(),
            Some(Host::Ipv6(address)) => address.into(),
        };
        if self.0.networks.allows(address) { Ok(()) } else { Err(BlockedAddress::Address(address)) }
    }
}

impl std::fmt::Debug for Outbound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outbound").field("networks", &self.0.networks).finish_non_exhaustive()
    }
}

/// Returns the [`BlockedAddress`] in an error's chain of causes, if there is one.
pub fn find_blocked<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a BlockedAddress> {
    let mut cause: Option<&'a (dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(blocked) = error.downcast_ref::<BlockedAddress>() {
            return Some(blocked);
        }
        cause = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(networks: &str, url: &str) -> Result<(), BlockedAddress> {
        let networks = networks.parse().expect("networks");
        Outbound::new(networks).expect("set-up").check_literal(&url.parse().expect("url"))
    }

    #[test]
    fn a_literal_address_is_checked_in_every_notation() {
        for url in [
            "http://169.254.169.254/",
            "http://0xa9fea9fe/",
            "http://2852039166/",
            "http://[::ffff:169.254.169.254]/",
            "http://[fe80::1]/",
            "http://0/",
        ] {
            assert!(matches!(check("", url), Err(BlockedAddress::Address(_))), "{url}");
        }
        assert_eq!(check("", "http://192.168.1.20:5000/"), Ok(()));
        assert_eq!(check("", "http://octopi.local/"), Ok(()));
        assert_eq!(check("", "file:///etc/passwd"), Err(BlockedAddress::Scheme));
    }

    #[tokio::test]
    async fn a_request_to_a_blocked_literal_is_not_sent() {
        let outbound = Outbound::new(Networks::default()).expect("set-up");
        let request = outbound.http_client().get("http://[::ffff:169.254.169.254]/latest").build().expect("request");
        assert!(matches!(outbound.execute(request).await, Err(SendError::Blocked(BlockedAddress::Address(_)))));
    }

    #[tokio::test]
    async fn a_name_is_checked_by_its_resolved_addresses() {
        let outbound = Outbound::new("10.0.0.0/8".parse().expect("networks")).expect("set-up");
        let error = outbound.http_client().get("http://localhost:9/").send().await.expect_err("blocked");
        assert!(
            matches!(find_blocked(&error), Some(BlockedAddress::Name { name, .. }) if name == "localhost"),
            "{error:?}"
        );
    }
}
