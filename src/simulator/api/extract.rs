//! What handlers take from requests, and the responses that they share.

use axum::{
    Json,
    extract::{ConnectInfo, FromRequestParts},
    http::{HeaderMap, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use crate::simulator::{faulty_stream::ConnectionHandle, printer::SimulatedPrinter};

/// The printer that received a request.
pub struct RequestPrinter(pub SimulatedPrinter);

impl<S: Send + Sync> FromRequestParts<S> for RequestPrinter {
    type Rejection = StatusCode;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        match parts.extensions.get::<ConnectInfo<ConnectionHandle>>() {
            Some(ConnectInfo(conn)) => Ok(Self(conn.printer.clone())),
            None => Err(StatusCode::INTERNAL_SERVER_ERROR),
        }
    }
}

/// Whether a request changed anything. A handler attaches this value to its response.
#[derive(Debug, Clone, Copy)]
pub struct ActedMarker(pub bool);

/// OctoPrint's `204`: accepted. `acted` is whether the request had an effect.
pub fn accepted_response(acted: bool) -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("text/plain"));
    response.extensions_mut().insert(ActedMarker(acted));
    response
}

/// An error response with `{"error": …}`.
#[derive(Debug)]
pub struct ErrorResponse {
    status: u16,
    text: String,
}

impl ErrorResponse {
    /// Creates any error response.
    pub fn new(status: u16, text: impl Into<String>) -> Self {
        Self { status, text: text.into() }
    }

    /// 404, with the text of flask.
    pub fn not_found() -> Self {
        Self::new(
            404,
            "The requested URL was not found on the server. If you entered the URL manually please check your \
             spelling and try again.",
        )
    }

    /// 409, for every request that needs a connected printer.
    pub fn not_operational() -> Self {
        Self::new(409, "Printer is not operational")
    }

    /// 400, for a `command` that the resource does not have.
    pub fn invalid_command() -> Self {
        Self::new(400, "command is invalid")
    }
}

impl IntoResponse for ErrorResponse {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, Json(json!({"error": self.text}))).into_response()
    }
}

/// A JSON body, with OctoPrint's errors: 415 for the content type, 400 for the content.
pub struct JsonBody(pub Value);

impl<S: Send + Sync> axum::extract::FromRequest<S> for JsonBody {
    type Rejection = ErrorResponse;

    async fn from_request(mut request: axum::extract::Request, state: &S) -> Result<Self, Self::Rejection> {
        if !has_content_type(request.headers(), "application/json") {
            return Err(ErrorResponse::new(
                415,
                "Did not attempt to load JSON data because the request Content-Type was not 'application/json'.",
            ));
        }
        if let Some(ParsedJson(json)) = request.extensions_mut().remove() {
            return Ok(Self(json));
        }
        let malformed = || ErrorResponse::new(400, "Malformed JSON body in request");
        let bytes = axum::body::Bytes::from_request(request, state).await.map_err(|_| malformed())?;
        serde_json::from_slice(&bytes).map(Self).map_err(|_| malformed())
    }
}

impl JsonBody {
    /// Returns a text field.
    pub fn text_field(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(Value::as_str)
    }

    /// Returns whether a field is true.
    pub fn is_true(&self, name: &str) -> bool {
        self.0.get(name).and_then(Value::as_bool).unwrap_or(false)
    }
}

/// Body of a request whose content type is JSON.
#[derive(Debug, Clone)]
pub struct ParsedJson(pub Value);

/// Returns whether the content of a request is of this type. Ignores parameters.
pub fn has_content_type(headers: &HeaderMap, content_type: &str) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(content_type)
}
