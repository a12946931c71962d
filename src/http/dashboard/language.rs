//! Chooses the language of a request.

use axum::{
    extract::Request,
    http::{Extensions, HeaderMap, HeaderValue, header},
    middleware::Next,
    response::{IntoResponse, Redirect, Response},
};
use url::Url;

use super::{form::FormData, page::Failure, page::local_path};
use crate::http::{
    auth,
    messages::{Language, in_language},
};

/// Returns the language that the user chose. Otherwise returns the browser's preferred language among those with a
/// catalogue.
fn requested_language(headers: &HeaderMap) -> Language {
    let chosen = auth::language_cookie(headers).and_then(Language::parse);
    let accepted = headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    chosen.or_else(|| preferred_language(accepted)).unwrap_or_default()
}

/// Returns the known language with the greatest weight in an `Accept-Language` header (RFC 9110, 12.5.4). The first of
/// equal weights wins.
fn preferred_language(accepted: &str) -> Option<Language> {
    let mut best: Option<(Language, f32)> = None;
    for part in accepted.split(',').take(20) {
        let (tag, weight) = part.split_once(';').unwrap_or((part, "q=1"));
        let weight: f32 = weight.trim().strip_prefix("q=").and_then(|text| text.parse().ok()).unwrap_or(0.0);
        if let Some(language) = Language::parse(tag)
            && weight > best.map_or(0.0, |(_, weight)| weight)
        {
            best = Some((language, weight));
        }
    }
    best.map(|(language, _)| language)
}

/// Middleware that handles a request in its language.
pub(super) async fn set_language(request: Request, next: Next) -> Response {
    let language = requested_language(request.headers());
    let mut response = in_language(language, next.run(request)).await;
    let html =
        response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
    if html {
        response.headers_mut().insert(header::CONTENT_LANGUAGE, HeaderValue::from_static(language.tag()));
    }
    response
}

/// Handles the language menu: stores the user's choice in a cookie.
pub(super) async fn choose_language(
    extensions: Extensions,
    headers: HeaderMap,
    form: FormData,
) -> Result<Response, Failure> {
    let language = form.text("language").and_then(Language::parse).ok_or_else(Failure::invalid_form)?;
    let cookie = auth::format_language_cookie(&extensions, language.tag());
    // Redirects to the page with the menu. Only the path of the referrer is used, so it cannot lead to another site.
    let from =
        headers.get(header::REFERER).and_then(|value| value.to_str().ok()).and_then(|text| Url::parse(text).ok());
    let path = from.as_ref().map(|url| &url[url::Position::BeforePath..url::Position::AfterQuery]);
    let back = local_path(path).unwrap_or("/");
    Ok(([(header::SET_COOKIE, cookie)], Redirect::to(back)).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_known_language_with_the_greatest_weight_is_preferred() {
        assert_eq!(preferred_language("de-AT,de;q=0.9,en;q=0.8"), Some(Language::German));
        assert_eq!(preferred_language("fr, en;q=0.5, de;q=0.7"), Some(Language::German));
        assert_eq!(preferred_language("en-US,de"), Some(Language::English));
        assert_eq!(preferred_language("fr;q=1, de;q=0"), None);
        assert_eq!(preferred_language(""), None);
        assert_eq!(preferred_language(";;q=,,=;de;q=x"), None);
    }
}
