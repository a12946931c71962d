//! Routes of a simulated OctoPrint, behind a middleware (`gate.rs`) that delays, refuses, breaks and logs requests.

mod app_keys;
pub mod control;
mod files;
mod job;
mod printer;
mod request_middleware;
mod system;
mod upload;

use axum::{
    Json, Router,
    extract::{ConnectInfo, DefaultBodyLimit, FromRequestParts},
    http::{StatusCode, header, request::Parts},
    middleware,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde_json::{Value, json};

use super::{event_socket, faulty_stream::ConnectionHandle, printer::SimulatedPrinter};

/// Returns the router for all printers of a farm.
pub fn router() -> Router {
    Router::new()
        .route("/api/version", get(system::get_version))
        .route("/api/server", get(system::get_server))
        .route("/api/login", post(system::log_in))
        .route("/api/settings", get(system::get_settings).post(system::change_settings))
        .route("/api/timelapse", get(system::get_timelapse))
        .route("/api/job", get(job::get_job).post(job::run_job_command))
        .route("/api/printer", get(printer::get_printer))
        .route("/api/printer/error", get(printer::get_connection_error))
        .route("/api/printer/command", post(printer::send_gcode))
        .route("/api/connection", get(printer::get_connection).post(printer::change_connection))
        .route("/api/files", get(files::list_files))
        .route("/api/files/local", get(files::list_files).post(upload::upload_file))
        .route(
            "/api/files/local/{*path}",
            get(files::get_file).post(files::run_file_command).delete(files::delete_file),
        )
        .route("/plugin/appkeys/probe", get(app_keys::probe))
        .route("/plugin/appkeys/request", post(app_keys::request_key))
        .route("/plugin/appkeys/request/{token}", get(app_keys::poll_request))
        .route("/webcam/", get(system::get_snapshot))
        .route("/sockjs/websocket", get(event_socket::open_event_socket))
        .route("/sim/fault", post(control::set_own_fault))
        .route("/sim/act", post(control::perform_own_action))
        .route("/sim/log", get(control::get_own_log))
        .fallback(async || ErrorResponse::not_found())
        .method_not_allowed_fallback(async || {
            ErrorResponse::new(405, "The method is not allowed for the requested URL.")
        })
        .layer(middleware::from_fn(request_middleware::handle_request))
        // The middleware has OctoPrint's own limits.
        .layer(DefaultBodyLimit::disable())
}

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
        if !request_middleware::has_content_type(request.headers(), "application/json") {
            return Err(ErrorResponse::new(
                415,
                "Did not attempt to load JSON data because the request Content-Type was not 'application/json'.",
            ));
        }
        if let Some(request_middleware::ParsedJson(json)) = request.extensions_mut().remove() {
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
