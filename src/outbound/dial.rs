//! Dials connections for websockets. The HTTP client cannot open them, and a websocket library would dial without the
//! address guard.

use std::{io, net::SocketAddr, time::Duration};

use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use url::{Host, Url};

use super::{BlockedAddress, CONNECT_TIMEOUT, Outbound, OutboundStream, TlsHandshakeError, resolver};

/// Why no connection was opened. No byte of a request was written.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// Connections to the address are not allowed.
    #[error(transparent)]
    Blocked(#[from] BlockedAddress),
    /// The name could not be resolved.
    #[error("the name {0} could not be found")]
    NameNotFound(String),
    /// The connection was not open in time.
    #[error("no connection within {} s", .0.as_secs_f32())]
    Timeout(Duration),
    /// The connection was refused, or there is no route.
    #[error("{0}")]
    Connect(#[source] io::Error),
    /// The TCP connection is open, but the TLS handshake failed.
    #[error(transparent)]
    Tls(#[from] TlsHandshakeError),
}

impl Outbound {
    /// Connects to the host of a URL. It resolves the name, checks every address, and dials the allowed ones in turn.
    /// For `https` and `wss` it does the TLS handshake. All of this takes at most `timeout`, and never more than
    /// [`CONNECT_TIMEOUT`].
    ///
    /// # Errors
    /// [`DialError`]; no byte of a request was written then.
    pub async fn dial(&self, url: &Url, timeout: Duration) -> Result<OutboundStream, DialError> {
        let timeout = timeout.min(CONNECT_TIMEOUT);
        self.check_literal(url)?;
        match tokio::time::timeout(timeout, self.connect(url)).await {
            Ok(result) => result,
            Err(_) => Err(DialError::Timeout(timeout)),
        }
    }

    async fn connect(&self, url: &Url) -> Result<OutboundStream, DialError> {
        let host = url.host().ok_or(BlockedAddress::Scheme)?;
        let port = url.port_or_known_default().ok_or(BlockedAddress::Scheme)?;
        let (addresses, server) = match host {
            Host::Ipv4(address) => (vec![SocketAddr::from((address, port))], ServerName::from(address)),
            Host::Ipv6(address) => (vec![SocketAddr::from((address, port))], ServerName::from(address)),
            Host::Domain(name) => {
                let not_found = || DialError::NameNotFound(name.to_owned());
                let found = tokio::net::lookup_host((name, port)).await.map_err(|_| not_found())?;
                let allowed = resolver::filter_allowed(self.networks(), name, found.collect())?;
                (allowed, ServerName::try_from(name.to_owned()).map_err(|_| not_found())?)
            }
        };
        let tcp = TcpStream::connect(addresses.as_slice()).await.map_err(DialError::Connect)?;
        tcp.set_nodelay(true).map_err(DialError::Connect)?;
        if !matches!(url.scheme(), "https" | "wss") {
            return Ok(OutboundStream::Plain(tcp));
        }
        let tls = self.0.tls.connect(server, tcp).await.map_err(|error| TlsHandshakeError::from_io(&error))?;
        Ok(OutboundStream::Tls(Box::new(tls)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbound::Networks;

    async fn dial(networks: Networks, url: &str) -> Result<OutboundStream, DialError> {
        let outbound = Outbound::new(networks).expect("set-up");
        outbound.dial(&url.parse().expect("url"), CONNECT_TIMEOUT).await
    }

    #[tokio::test]
    async fn a_blocked_address_is_not_dialled() {
        let result = dial(Networks::default(), "ws://169.254.169.254/").await;
        assert!(matches!(result, Err(DialError::Blocked(BlockedAddress::Address(_)))), "{result:?}");
        let only_far = "10.0.0.0/8".parse().expect("networks");
        let result = dial(only_far, "ws://localhost:9/").await;
        assert!(matches!(result, Err(DialError::Blocked(BlockedAddress::Name { .. }))), "{result:?}");
    }

    #[tokio::test]
    async fn an_allowed_address_is_dialled_and_a_refusal_is_reported() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let port = listener.local_addr().expect("address").port();
        let url = format!("ws://127.0.0.1:{port}/");
        assert!(matches!(dial(Networks::default(), &url).await, Ok(OutboundStream::Plain(_))));
        drop(listener);
        assert!(matches!(dial(Networks::default(), &url).await, Err(DialError::Connect(_))));
    }
}
