//! Absolute addresses in responses to slicers.

use axum::{
    extract::FromRequestParts,
    http::{header, request::Parts},
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::http::client_address::Client;

/// Characters of a path segment that are percent-encoded: all but the unreserved ones of RFC 3986.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// The part of the path that separates a destination from its endpoint.
const API_SEPARATOR: &str = "/api/";

/// The address of the destination of a request, as its client sees it.
pub(super) struct Links {
    /// Scheme, host, and the path of the destination. Without a `Host`: only the path.
    destination: String,
}

impl<S: Sync> FromRequestParts<S> for Links {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let secure = parts.extensions.get::<Client>().is_some_and(|client| client.secure);
        let scheme = if secure { "https" } else { "http" };
        let host = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok());
        let origin = host.map(|host| format!("{scheme}://{host}")).unwrap_or_default();
        let path = parts.uri.path();
        // The path of a file may contain the separator, too. A printer's name contains it only percent-encoded.
        let path = path.split_once(API_SEPARATOR).map_or(path, |(destination, _)| destination);
        Ok(Self { destination: format!("{origin}{path}") })
    }
}

impl Links {
    /// Returns the address of a file of the library, below the destination of the request.
    pub fn file(&self, path: &str) -> String {
        let segments: Vec<String> =
            path.split('/').map(|segment| utf8_percent_encode(segment, SEGMENT).to_string()).collect();
        format!("{}/api/files/local/{}", self.destination, segments.join("/"))
    }

    /// Returns the address of an endpoint.
    pub fn endpoint(&self, name: &str) -> String {
        format!("{}/api/{name}", self.destination)
    }
}
