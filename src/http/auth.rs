//! Authentication: a bearer token for the API, a session cookie for the pages. The API accepts no cookies and the pages
//! accept no tokens. So a page of another site cannot make a browser send commands through the API.

use axum::http::{Extensions, HeaderMap, header};

use super::{client_address::Client, request_id::RequestId};
use crate::{
    domain::audit::RequestOrigin,
    service::{
        Error, Services,
        access::{Principal, TokenRefusal},
    },
};

/// The session cookie.
pub const SESSION_COOKIE: &str = "printyard_session";
/// The cookie of a browser in which a user has logged in with a password before.
const DEVICE_COOKIE: &str = "printyard_device";
/// Lifetime of the device cookie: one year.
const DEVICE_AGE_S: i64 = 365 * 86_400;
/// The cookie of a browser during a single sign-on.
const LOGIN_STATE_COOKIE: &str = "printyard_login_state";
/// The cookie with the chosen language.
const LANGUAGE_COOKIE: &str = "printyard_language";
/// Lifetime of the language cookie: one year.
const LANGUAGE_AGE_S: i64 = 365 * 86_400;

/// Returns the token of `Authorization: Bearer`.
pub fn bearer_token(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    (scheme.eq_ignore_ascii_case("bearer") && !token.trim().is_empty()).then(|| token.trim())
}

/// Returns the secret in the session cookie.
pub fn session_cookie(headers: &HeaderMap) -> Option<&str> {
    cookie_value(headers, SESSION_COOKIE)
}

/// Returns the sealed value of the device cookie.
pub fn device_cookie(headers: &HeaderMap) -> Option<&str> {
    cookie_value(headers, DEVICE_COOKIE)
}

/// Returns the sealed login state of a browser that returns from the identity provider.
pub fn login_state_cookie(headers: &HeaderMap) -> Option<&str> {
    cookie_value(headers, LOGIN_STATE_COOKIE)
}

/// Returns the language tag that the user has chosen in this browser.
pub fn language_cookie(headers: &HeaderMap) -> Option<&str> {
    cookie_value(headers, LANGUAGE_COOKIE)
}

fn cookie_value<'a>(headers: &'a HeaderMap, cookie_name: &str) -> Option<&'a str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|cookies| cookies.split(';'))
        .filter_map(|cookie| cookie.trim().split_once('='))
        .find_map(|(name, value)| (name == cookie_name).then_some(value))
}

/// Returns the principal of a request's bearer token, or the refusal.
pub async fn authenticate_bearer(
    services: &Services,
    headers: &HeaderMap,
    origin: &RequestOrigin,
) -> Result<Result<Principal, TokenRefusal>, Error> {
    match bearer_token(headers) {
        Some(token) => services.principal_by_token(token, origin.address.as_deref()).await,
        None => Ok(Err(TokenRefusal::default())),
    }
}

/// Returns the principal of a request's session.
pub async fn authenticate_session(services: &Services, headers: &HeaderMap) -> Result<Option<Principal>, Error> {
    match session_cookie(headers) {
        Some(secret) => services.principal_by_session(secret).await,
        None => Ok(None),
    }
}

/// Returns the origin of a request, for the audit log.
pub fn request_origin(extensions: &Extensions) -> RequestOrigin {
    RequestOrigin {
        request_id: extensions.get::<RequestId>().map(|id| id.0.clone()),
        address: extensions.get::<Client>().map(|client| client.address.to_string()),
    }
}

/// Returns the `Set-Cookie` header that keeps a session for `age_s` seconds; 0 deletes it. A cookie that was set over
/// TLS is never sent over plain HTTP.
pub fn format_session_cookie(extensions: &Extensions, secret: &str, age_s: i64) -> String {
    format_cookie(extensions, SESSION_COOKIE, "/", secret, age_s)
}

/// Returns the `Set-Cookie` header for the state of a single sign-on. `age_s` is as in [`format_session_cookie`].
pub fn format_login_state_cookie(extensions: &Extensions, login_state: &str, age_s: i64) -> String {
    format_cookie(extensions, LOGIN_STATE_COOKIE, "/login/oidc", login_state, age_s)
}

/// Returns the `Set-Cookie` header of a device. Only the login reads it.
pub fn format_device_cookie(extensions: &Extensions, device: &str) -> String {
    format_cookie(extensions, DEVICE_COOKIE, "/login", device, DEVICE_AGE_S)
}

/// Returns the `Set-Cookie` header of a language choice.
pub fn format_language_cookie(extensions: &Extensions, tag: &str) -> String {
    format_cookie(extensions, LANGUAGE_COOKIE, "/", tag, LANGUAGE_AGE_S)
}

fn format_cookie(extensions: &Extensions, name: &str, path: &str, value: &str, age_s: i64) -> String {
    let secure = extensions.get::<Client>().is_some_and(|client| client.secure);
    let secure = if secure { "; Secure" } else { "" };
    // `Lax`: the identity provider redirects back from another site, and browsers would not send a `Strict` cookie
    // then.
    format!("{name}={value}; Path={path}; HttpOnly; SameSite=Lax; Max-Age={age_s}{secure}")
}
