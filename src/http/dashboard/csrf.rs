//! CSRF protection: a request that changes something must come from a page of this site.

use axum::{
    extract::Request,
    http::{HeaderMap, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::{messages::t, page::Failure};

pub(super) async fn require_same_site(request: Request, next: Next) -> Response {
    if request.method().is_safe() || is_same_site(request.headers()) {
        return next.run(request).await;
    }
    Failure::new(StatusCode::FORBIDDEN, "failure-cross-site", t("failure-cross-site-text")).into_response()
}

/// Browsers send the origin of a request in `Sec-Fetch-Site`. Over plain HTTP some browsers do not, but they send
/// `Origin`.
fn is_same_site(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(site) = headers.get("sec-fetch-site") {
        return site == "same-origin" || site == "none";
    }
    let origin = text(header::ORIGIN).and_then(|origin| origin.split_once("://")).map(|(_, host)| host);
    origin.is_some() && origin == text(header::HOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_allowed(pairs: &[(&'static str, &'static str)]) -> bool {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.insert(*name, axum::http::HeaderValue::from_static(value));
        }
        is_same_site(&headers)
    }

    #[test]
    fn only_pages_of_this_site_may_send_changes() {
        assert!(is_allowed(&[("sec-fetch-site", "same-origin")]));
        assert!(is_allowed(&[("origin", "http://farm:8080"), ("host", "farm:8080")]));
        assert!(!is_allowed(&[("sec-fetch-site", "same-site"), ("origin", "http://farm:8080"), ("host", "farm:8080")]));
        assert!(!is_allowed(&[("sec-fetch-site", "cross-site")]));
        assert!(!is_allowed(&[("origin", "http://evil"), ("host", "farm:8080")]));
        assert!(!is_allowed(&[("origin", "null"), ("host", "farm:8080")]));
        assert!(!is_allowed(&[("host", "farm:8080")]));
    }
}
