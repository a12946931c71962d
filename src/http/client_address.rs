//! Resolves the client of a request: the peer of the connection, or the client that a trusted proxy names.
//!
//! Any client can send `X-Forwarded-For`. It is read from the right, where trusted proxies append, up to the first
//! address that is not a trusted proxy. Addresses further left are not trusted.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderName},
    middleware::Next,
    response::Response,
};
use ipnet::IpNet;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// The peer of the connection, as an extension of each request. It may be a proxy; [`Client`] is the client.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub SocketAddr);

/// An extension of each request that arrived over TLS on this server's port.
#[derive(Debug, Clone, Copy)]
pub struct OverTls;

/// The client, as an extension of each request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Client {
    /// An IPv4-mapped IPv6 address is converted to IPv4.
    pub address: IpAddr,
    /// Whether the connection is encrypted, as far as is known.
    pub secure: bool,
}

/// The trusted proxies.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies(Arc<[IpNet]>);

impl TrustedProxies {
    /// Trusts exactly these networks. An empty list trusts no proxy.
    pub fn new(networks: Vec<IpNet>) -> Self {
        Self(networks.into())
    }

    /// Returns whether an address is a trusted proxy.
    pub fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }

    /// Returns the client, from the peer of the connection and the headers.
    pub fn resolve(&self, peer: IpAddr, over_tls: bool, headers: &HeaderMap) -> Client {
        let mut client = Client { address: peer.to_canonical(), secure: over_tls };
        if !self.trusts(client.address) {
            return client;
        }
        // The last of several values is that of the nearest proxy.
        let schemes = header_parts(headers, &FORWARDED_PROTO).next();
        client.secure |= schemes.is_some_and(|scheme| scheme.eq_ignore_ascii_case("https"));
        for part in header_parts(headers, &FORWARDED_FOR) {
            // Values to the left of an unreadable part cannot be trusted.
            let Some(address) = parse_address(part) else { break };
            client.address = address;
            if !self.trusts(address) {
                break;
            }
        }
        client
    }
}

/// Returns the parts of a header list, from the right. Ends at a value that is not text.
fn header_parts<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let values: Vec<_> = headers.get_all(name).iter().collect();
    values.into_iter().rev().map_while(|value| value.to_str().ok()).flat_map(|value| value.rsplit(',')).map(str::trim)
}

/// Parses an address in the forms that proxies write: bare, in brackets, with or without a port.
fn parse_address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse::<IpAddr>().or_else(|_| text.parse::<SocketAddr>().map(|socket| socket.ip()));
    address.ok().map(|address| address.to_canonical())
}

/// Adds the [`Client`] to a request.
pub async fn resolve_client(State(proxies): State<TrustedProxies>, mut request: Request, next: Next) -> Response {
    // Absent only if a router is called without a connection.
    if let Some(Peer(peer)) = request.extensions().get().copied() {
        let over_tls = request.extensions().get::<OverTls>().is_some();
        let client = proxies.resolve(peer.ip(), over_tls, request.headers());
        request.extensions_mut().insert(client);
    }
    next.run(request).await
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use crate::http::client_address::*;

    fn resolve(trusted: &[&str], peer: &str, over_tls: bool, lines: &[(&'static str, &'static str)]) -> (String, bool) {
        let proxies = TrustedProxies::new(trusted.iter().map(|text| text.parse().expect("a network")).collect());
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_bytes(value.as_bytes()).expect("a value"));
        }
        let client = proxies.resolve(peer.parse().expect("an address"), over_tls, &headers);
        (client.address.to_string(), client.secure)
    }

    const FORWARDED_HEADERS: [(&str, &str); 2] = [("x-forwarded-for", "1.2.3.4"), ("x-forwarded-proto", "https")];

    #[test]
    fn headers_of_untrusted_peers_are_ignored() {
        assert_eq!(resolve(&[], "10.0.0.1", false, &FORWARDED_HEADERS), ("10.0.0.1".into(), false));
        assert_eq!(resolve(&["10.0.1.0/24"], "10.0.0.1", true, &FORWARDED_HEADERS), ("10.0.0.1".into(), true));
    }

    #[test]
    fn a_trusted_proxy_may_have_a_mapped_address() {
        assert_eq!(resolve(&["10.0.0.0/24"], "10.0.0.1", false, &FORWARDED_HEADERS), ("1.2.3.4".into(), true));
        assert_eq!(resolve(&["10.0.0.0/24"], "::ffff:10.0.0.1", false, &FORWARDED_HEADERS), ("1.2.3.4".into(), true));
    }

    #[test]
    fn the_rightmost_untrusted_address_is_the_client() {
        let chain =
            [("x-forwarded-for", "6.6.6.6, 1.2.3.4"), ("x-forwarded-for", "10.0.0.2:4711, [::ffff:10.0.0.3]:1")];
        assert_eq!(resolve(&["10.0.0.0/24"], "10.0.0.1", false, &chain), ("1.2.3.4".into(), false));
        let proxies_only = [("x-forwarded-for", "10.0.0.9,10.0.0.8")];
        assert_eq!(resolve(&["10.0.0.0/24"], "10.0.0.1", false, &proxies_only), ("10.0.0.9".into(), false));
        let six = [("x-forwarded-for", "[2001:db8::7]:443")];
        assert_eq!(resolve(&["10.0.0.0/24"], "10.0.0.1", false, &six), ("2001:db8::7".into(), false));
    }

    #[test]
    fn addresses_left_of_an_unreadable_part_are_ignored() {
        for broken in ["1.2.3.4, unknown, 10.0.0.2", "1.2.3.4,,10.0.0.2", "1.2.3.4, \u{e9}, 10.0.0.2"] {
            let lines: [(&'static str, &'static str); 1] = [("x-forwarded-for", broken)];
            let (address, _) = resolve(&["10.0.0.0/24"], "10.0.0.1", false, &lines);
            assert!(["10.0.0.1", "10.0.0.2"].contains(&address.as_str()), "{broken}: {address}");
        }
    }

    #[test]
    fn the_scheme_of_the_nearest_proxy_counts() {
        let claimed = [("x-forwarded-proto", "https, http")];
        assert!(!resolve(&["10.0.0.0/24"], "10.0.0.1", false, &claimed).1);
    }
}
