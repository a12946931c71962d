//! Request ids: taken from the request or generated, returned, and part of each log line of the request.

use axum::{
    extract::Request,
    http::{HeaderMap, HeaderName, HeaderValue},
    middleware::Next,
    response::Response,
};
use tracing::Instrument;

use crate::clock;

/// The header of the id, in requests and responses.
pub const REQUEST_ID_HEADER: HeaderName = HeaderName::from_static("x-request-id");
/// The longest id that is accepted.
const MAX_LENGTH: usize = 128;

/// The id of a request, as an extension of it.
#[derive(Debug, Clone)]
pub struct RequestId(pub String);

/// Assigns an id to a request, logs in its span, and returns the id.
pub async fn assign_request_id(mut request: Request, next: Next) -> Response {
    let id = received_id(request.headers()).unwrap_or_else(|| clock::new_id().to_string());
    let trace = visible_value(request.headers(), "traceparent", MAX_LENGTH).unwrap_or_default().to_owned();
    let span = tracing::info_span!(
        "request", request.id = %id, method = %request.method(), path = %request.uri().path(), traceparent = %trace
    );
    request.extensions_mut().insert(RequestId(id.clone()));
    let mut response = next.run(request).instrument(span).await;
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID_HEADER, value);
    }
    response
}

fn received_id(headers: &HeaderMap) -> Option<String> {
    visible_value(headers, REQUEST_ID_HEADER.as_str(), MAX_LENGTH).map(str::to_owned)
}

/// Returns the value of a header if it has 1 to `max_length` visible ASCII characters. Other values must not be in
/// the log.
fn visible_value<'a>(headers: &'a HeaderMap, name: &str, max_length: usize) -> Option<&'a str> {
    let value = headers.get(name)?.to_str().ok()?;
    let fits = !value.is_empty() && value.len() <= max_length && value.bytes().all(|byte| byte.is_ascii_graphic());
    fits.then_some(value)
}
