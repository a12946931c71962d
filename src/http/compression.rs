//! Compresses pages and JSON. Static files are compressed at build time (`build.rs`), and live streams compress
//! themselves (`dashboard/stream/sse.rs`). Images would not get smaller.
//!
//! The compressed size of a page can reveal a secret that is next to attacker-controlled text (BREACH). So responses
//! with secrets are not compressed:
//!
//! * responses to unsafe requests: new tokens, signing secrets of webhooks, forms that are shown again with sealed
//!   values,
//! * responses whose handler sets `Cache-Control: no-store`: the set-up link, a key that OctoPrint granted.
//!
//! Forms have no CSRF token that could leak: `dashboard/csrf.rs` checks `Sec-Fetch-Site` and `Origin`. The API reads
//! its tokens from a header that no other site can make a browser send.

use axum::{
    body::Body,
    extract::Request,
    http::{Extensions, HeaderMap, StatusCode, Version, header},
    middleware::Next,
    response::Response,
};
use tower::{Layer, ServiceExt};
use tower_http::{
    CompressionLevel,
    compression::{
        CompressionLayer,
        predicate::{Predicate, SizeAbove},
    },
};

/// Smaller responses are not compressed: they fit into one or two packets.
const MIN_BYTES: u64 = 2_048;
/// A page of a large farm is a tenth smaller than with level 4, for a few milliseconds. Higher levels save almost nothing.
const LEVEL: CompressionLevel = CompressionLevel::Precise(6);
/// Compressed media types. Streams (`text/event-stream`, NDJSON) and downloads are not compressed.
const COMPRESSIBLE_TYPES: [&str; 6] = [
    "text/html",
    "text/css",
    "text/javascript",
    "application/javascript",
    "application/json",
    "application/problem+json",
];

/// Compresses the response if the client accepts gzip and the response contains no secret.
pub async fn compress(request: Request, next: Next) -> Response {
    if !request.method().is_safe() {
        return next.run(request).await;
    }
    let when = SizeAbove::new(MIN_BYTES).and(is_compressible);
    let layer = CompressionLayer::new().quality(LEVEL).compress_when(when);
    match layer.layer(next).oneshot(request).await {
        Ok(response) => response.map(Body::new),
        Err(never) => match never {},
    }
}

fn is_compressible(_: StatusCode, _: Version, headers: &HeaderMap, _: &Extensions) -> bool {
    let is_storable = headers.get(header::CACHE_CONTROL).is_none_or(|value| value != "no-store");
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    is_storable && COMPRESSIBLE_TYPES.contains(&kind)
}

/// Returns whether a client accepts gzip (RFC 9110, 12.5.3).
pub fn accepts_gzip(headers: &HeaderMap) -> bool {
    let accepted = headers.get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or_default();
    accepted.split(',').any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, "q=1"));
        let refused = weight.trim().strip_prefix("q=").and_then(|weight| weight.parse().ok()) == Some(0.0_f32);
        name.trim().eq_ignore_ascii_case("gzip") && !refused
    })
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn no_store_responses_are_not_compressed() {
        let is_compressed = |kind: &'static str, caching: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
            if let Some(caching) = caching {
                headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(caching));
            }
            is_compressible(StatusCode::OK, Version::HTTP_11, &headers, &Extensions::new())
        };
        assert!(is_compressed("text/html; charset=utf-8", None));
        assert!(is_compressed("application/json", Some("private, max-age=0")));
        assert!(!is_compressed("text/html; charset=utf-8", Some("no-store")));
        for kind in ["text/event-stream", "application/x-ndjson", "text/csv", "image/jpeg", ""] {
            assert!(!is_compressed(kind, None), "{kind}");
        }
    }

    #[test]
    fn gzip_is_for_clients_that_accept_it() {
        for (codings, accepts) in [
            ("gzip, deflate, br, zstd", true),
            ("br, GZIP;q=0.5", true),
            ("gzip;q=0", false),
            ("gzip; q=0.0", false),
            ("identity", false),
            ("xgzip", false),
        ] {
            let headers = [(header::ACCEPT_ENCODING, HeaderValue::from_static(codings))].into_iter().collect();
            assert_eq!(accepts_gzip(&headers), accepts, "{codings}");
        }
        assert!(!accepts_gzip(&HeaderMap::new()));
    }
}
