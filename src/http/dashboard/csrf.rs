//! CSRF protection: a request that changes something must come from a page of this site.

use axum::{
    extract::Request,
    http::{HeaderMap, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::{messages::t, page::Failure};

pub(super) async fn same_site(request: Request, next: Next) -> Response {
    if request.method().is_safe() || is_own(request.headers()) {
        return next.run(request).await;
    }
    Failure::new(StatusCode::FORBIDDEN, "failure-came-another-site", t("failure-nothing-done-request-did"))
        .into_response()
}

/// Browsers send the origin of a request in `Sec-Fetch-Site`. Over plain HTTP some browsers do not, but they send
/// `Origin`.
fn is_own(headers: &HeaderMap) -> bool {
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

    fn own(pairs: &[(&'static str, &'static str)]) -> bool {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.insert(*name, axum::http::HeaderValue::from_static(value));
        }
        is_own(&headers)
    }

    #[test]
    fn only_our_own_pages_may_act() {
        assert!(own(&[("sec-fetch-site", "same-origin")]));
        assert!(own(&[("origin", "http://farm:8080"), ("host", "farm:8080")]));
        assert!(!own(&[("sec-fetch-site", "same-site"), ("origin", "http://farm:8080"), ("host", "farm:8080")]));
        assert!(!own(&[("sec-fetch-site", "cross-site")]));
        assert!(!own(&[("origin", "http://evil"), ("host", "farm:8080")]));
        assert!(!own(&[("origin", "null"), ("host", "farm:8080")]));
        assert!(!own(&[("host", "farm:8080")]));
    }
}
