//! Who asks: a bearer token in the API, a session cookie on the pages. One never stands in for the other, so that
//! no page of somebody else's can make a browser command a farm through the API.

use axum::http::{Extensions, HeaderMap, header};

use super::{peer::Client, request::RequestId};
use crate::{
    domain::audit::Origin,
    service::{Error, Services, access::Principal},
};

/// The cookie of a browser session.
pub const COOKIE: &str = "printyard_session";

/// The token of `Authorization: Bearer`.
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    (scheme.eq_ignore_ascii_case("bearer") && !token.trim().is_empty()).then(|| token.trim())
}

/// The secret of the session cookie.
pub fn session_cookie(headers: &HeaderMap) -> Option<&str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|cookies| cookies.split(';'))
        .filter_map(|cookie| cookie.trim().split_once('='))
        .find_map(|(name, value)| (name == COOKIE).then_some(value))
}

/// Who holds the bearer token of a request.
pub async fn by_bearer(services: &Services, headers: &HeaderMap) -> Result<Option<Principal>, Error> {
    match bearer(headers) {
        Some(token) => services.principal_by_token(token).await,
        None => Ok(None),
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
    let secure = extensions.get::<Client>().is_some_and(|client| client.secure);
    let secure = if secure { "; Secure" } else { "" };
    format!("{COOKIE}={secret}; Path=/; HttpOnly; SameSite=Lax; Max-Age={age_s}{secure}")
}
