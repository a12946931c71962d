//! Keys of slicers: finds the token where OctoPrint accepts a key.

use axum::{
    extract::Request,
    http::{HeaderMap, HeaderName, HeaderValue, Uri, header},
    middleware::Next,
    response::Response,
};
use percent_encoding::percent_decode_str;

const API_KEY_HEADER: HeaderName = HeaderName::from_static("x-api-key");
const API_KEY_PARAMETER: &str = "apikey";

/// Converts the key of a request to the bearer token that the layers of the API read. The order is OctoPrint's:
/// `?apikey=`, then `X-Api-Key`, then `Authorization`. An `Authorization` of another scheme may be for a proxy.
pub(super) async fn accept_api_key(mut request: Request, next: Next) -> Response {
    let key = key_parameter(request.uri()).or_else(|| key_header(request.headers()));
    if let Some(key) = key {
        let headers = request.headers_mut();
        headers.remove(header::AUTHORIZATION);
        // A key that cannot be a header is no token, so the request has none.
        if let Ok(value) = HeaderValue::from_str(&format!("Bearer {key}")) {
            headers.insert(header::AUTHORIZATION, value);
        }
    }
    next.run(request).await
}

fn key_parameter(uri: &Uri) -> Option<String> {
    let pairs = uri.query()?.split('&').filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.into_iter().find(|(name, _)| *name == API_KEY_PARAMETER)?;
    let key = percent_decode_str(value).decode_utf8_lossy().trim().to_owned();
    (!key.is_empty()).then_some(key)
}

fn key_header(headers: &HeaderMap) -> Option<String> {
    let key = String::from_utf8_lossy(headers.get(API_KEY_HEADER)?.as_bytes()).trim().to_owned();
    (!key.is_empty()).then_some(key)
}
