//! Answers 304 where the browser has the same page already: when a page asks again, or a person goes back to it.
//!
//! The tag is the hash of the page that was just made for this request. So a 304 says nothing about a page of another user,
//! role or language: their page is another text.

use axum::{
    body::{Body, to_bytes},
    extract::Request,
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use sha2::{Digest, Sha256};

/// The browser may keep the page, and asks before each use.
const PRIVATE: HeaderValue = HeaderValue::from_static("private, max-age=0, must-revalidate");

/// Tags the pages of these routes. For pages that show neither secrets nor personal data: the browser keeps them.
pub async fn revalidate(request: Request, next: Next) -> Response {
    if !request.method().is_safe() {
        return next.run(request).await;
    }
    let is_get = request.method() == Method::GET;
    let known = request.headers().clone();
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let is_page = headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
    if !is_page || headers.contains_key(header::CACHE_CONTROL) || response.status() != StatusCode::OK {
        return response;
    }
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, PRIVATE);
    headers.append(header::VARY, HeaderValue::from_static("Cookie, Accept-Language"));
    if !is_get {
        // The body of an answer to HEAD is not there to be hashed.
        return response;
    }
    let (mut parts, body) = response.into_parts();
    // A page is a string in memory, which is neither copied nor able to fail.
    let Ok(page) = to_bytes(body, usize::MAX).await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let hash: String = Sha256::digest(&page).iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    let tag = format!("W/\"{hash}\"");
    if is_known(&known, &tag) {
        parts.status = StatusCode::NOT_MODIFIED;
        parts.headers.remove(header::CONTENT_TYPE);
        parts.headers.remove(header::CONTENT_LENGTH);
        return tagged(Response::from_parts(parts, Body::empty()), &tag);
    }
    tagged(Response::from_parts(parts, Body::from(page)), &tag)
}

fn tagged(mut response: Response, tag: &str) -> Response {
    if let Ok(tag) = HeaderValue::from_str(tag) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

/// Whether `If-None-Match` has a tag (RFC 9110, 13.1.2): compared weakly.
pub fn is_known(request: &HeaderMap, tag: &str) -> bool {
    let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    let known = request.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    known.flat_map(|tags| tags.split(',')).any(|known| opaque(known) == opaque(tag))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_compared_weakly_and_in_lists() {
        let known = |value: &'static str| {
            let headers = [(header::IF_NONE_MATCH, HeaderValue::from_static(value))].into_iter().collect();
            is_known(&headers, "W/\"a1\"")
        };
        assert!(known("W/\"a1\"") && known("\"a1\"") && known("\"b2\", W/\"a1\""));
        assert!(!known("\"b2\"") && !known("a1") && !known(""));
        assert!(!is_known(&HeaderMap::new(), "W/\"a1\""));
    }
}
