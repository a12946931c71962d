//! Responds with 304 if the browser already has the same page, when it reloads or goes back.
//!
//! The tag is the hash of the page that was just rendered for this request. So a 304 reveals nothing about the page of
//! another user, role or language, which has a different hash.

use axum::{
    body::{Body, to_bytes},
    extract::Request,
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use sha2::{Digest, Sha256};

/// The browser may store the page, and must revalidate it before each use.
const REVALIDATED: HeaderValue = HeaderValue::from_static("private, max-age=0, must-revalidate");

/// Adds an `ETag` to the pages of these routes. Only for pages without secrets and personal data, because the browser
/// stores them.
pub async fn revalidate(request: Request, next: Next) -> Response {
    if !request.method().is_safe() {
        return next.run(request).await;
    }
    let is_get = request.method() == Method::GET;
    let request_headers = request.headers().clone();
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let is_page = headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
    if !is_page || headers.contains_key(header::CACHE_CONTROL) || response.status() != StatusCode::OK {
        return response;
    }
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, REVALIDATED);
    headers.append(header::VARY, HeaderValue::from_static("Cookie, Accept-Language"));
    if !is_get {
        // A response to HEAD has no body to hash.
        return response;
    }
    let (mut parts, body) = response.into_parts();
    // A page is a string in memory: it is not copied, and reading it cannot fail.
    let Ok(page) = to_bytes(body, usize::MAX).await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let hash: String = Sha256::digest(&page).iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    let tag = format!("W/\"{hash}\"");
    if if_none_match_contains(&request_headers, &tag) {
        parts.status = StatusCode::NOT_MODIFIED;
        parts.headers.remove(header::CONTENT_TYPE);
        parts.headers.remove(header::CONTENT_LENGTH);
        return with_etag(Response::from_parts(parts, Body::empty()), &tag);
    }
    with_etag(Response::from_parts(parts, Body::from(page)), &tag)
}

fn with_etag(mut response: Response, tag: &str) -> Response {
    if let Ok(tag) = HeaderValue::from_str(tag) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

/// Returns whether `If-None-Match` contains a tag (RFC 9110, 13.1.2), by weak comparison.
pub fn if_none_match_contains(headers: &HeaderMap, tag: &str) -> bool {
    let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    let known = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    known.flat_map(|tags| tags.split(',')).any(|known| opaque(known) == opaque(tag))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_compared_weakly_and_in_lists() {
        let known = |value: &'static str| {
            let headers = [(header::IF_NONE_MATCH, HeaderValue::from_static(value))].into_iter().collect();
            if_none_match_contains(&headers, "W/\"a1\"")
        };
        assert!(known("W/\"a1\"") && known("\"a1\"") && known("\"b2\", W/\"a1\""));
        assert!(!known("\"b2\"") && !known("a1") && !known(""));
        assert!(!if_none_match_contains(&HeaderMap::new(), "W/\"a1\""));
    }
}
