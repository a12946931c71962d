//! Who asks: a bearer token in the API, a session cookie on the pages. One never stands in for the other, so that
//! no page of somebody else's can make a browser command a farm through the API.

use axum::http::{Extensions, HeaderMap, header};

use super::{peer::Client, request::RequestId};
use crate::{
    domain::audit::Origin,
    service::{
        Error, Services,
        access::{Principal, TokenRefusal},
    },
};

/// The cookie of a browser session.
pub const COOKIE: &str = "printyard_session";
/// The cookie of a browser that has logged in with a password before.
const DEVICE_COOKIE: &str = "printyard_device";
/// It lasts a year.
const DEVICE_AGE_S: i64 = 365 * 86_400;
/// The cookie of a browser that is at the provider of single sign-on.
const JOURNEY_COOKIE: &str = "printyard_journey";
/// The cookie of whoever has chosen a language.
const LANGUAGE_COOKIE: &str = "printyard_language";
/// A choice of language lasts a year.
const LANGUAGE_AGE_S: i64 = 365 * 86_400;

/// The token of `Authorization: Bearer`.
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    (scheme.eq_ignore_ascii_case("bearer") && !token.trim().is_empty()).then(|| token.trim())
}

/// The secret of the session cookie.
pub fn session_cookie(headers: &HeaderMap) -> Option<&str> {
    value_of(headers, COOKIE)
}

/// The sealed device of a browser that has logged in before.
pub fn device_cookie(headers: &HeaderMap) -> Option<&str> {
    value_of(headers, DEVICE_COOKIE)
}

/// The sealed journey of a browser that comes back from the provider.
pub fn journey_cookie(headers: &HeaderMap) -> Option<&str> {
    value_of(headers, JOURNEY_COOKIE)
}

/// The tag of the language that was chosen in a browser.
pub fn language_cookie(headers: &HeaderMap) -> Option<&str> {
    value_of(headers, LANGUAGE_COOKIE)
}

fn value_of<'a>(headers: &'a HeaderMap, wanted: &str) -> Option<&'a str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|cookies| cookies.split(';'))
        .filter_map(|cookie| cookie.trim().split_once('='))
        .find_map(|(name, value)| (name == wanted).then_some(value))
}

/// The principal of the bearer token of a request, or how to refuse the request.
pub async fn by_bearer(
    services: &Services,
    headers: &HeaderMap,
    origin: &Origin,
) -> Result<Result<Principal, TokenRefusal>, Error> {
    match bearer(headers) {
        Some(token) => services.principal_by_token(token, origin.address.as_deref()).await,
        None => Ok(Err(TokenRefusal::default())),
    }
}

/// Whose session a request belongs to.
pub async fn by_session(services: &Services, headers: &HeaderMap) -> Result<Option<Principal>, Error> {
    match session_cookie(headers) {
        Some(secret) => services.principal_by_session(secret).await,
        None => Ok(None),
    }
}

/// Where a request came from, for the audit.
pub fn origin_of(extensions: &Extensions) -> Origin {
    Origin {
        request_id: extensions.get::<RequestId>().map(|id| id.0.clone()),
        address: extensions.get::<Client>().map(|client| client.address.to_string()),
    }
}

/// The header that keeps a session in a browser for `age_s` seconds; 0 takes it away. Never sent over plain HTTP where it
/// came over TLS.
pub fn keep_cookie(extensions: &Extensions, secret: &str, age_s: i64) -> String {
    cookie(extensions, COOKIE, "/", secret, age_s)
}

/// The header that keeps a journey to the provider of single sign-on; like [`keep_cookie`].
pub fn keep_journey(extensions: &Extensions, journey: &str, age_s: i64) -> String {
    cookie(extensions, JOURNEY_COOKIE, "/login/oidc", journey, age_s)
}

/// The header that keeps a device, which only the login reads.
pub fn keep_device(extensions: &Extensions, device: &str) -> String {
    cookie(extensions, DEVICE_COOKIE, "/login", device, DEVICE_AGE_S)
}

/// The header that keeps the choice of a language.
pub fn keep_language(extensions: &Extensions, tag: &str) -> String {
    cookie(extensions, LANGUAGE_COOKIE, "/", tag, LANGUAGE_AGE_S)
}

fn cookie(extensions: &Extensions, name: &str, path: &str, value: &str, age_s: i64) -> String {
    let secure = extensions.get::<Client>().is_some_and(|client| client.secure);
    let secure = if secure { "; Secure" } else { "" };
    // Lax: the way back from a provider is a link of another site, on which a Strict cookie would not come along.
    format!("{name}={value}; Path={path}; HttpOnly; SameSite=Lax; Max-Age={age_s}{secure}")
}
