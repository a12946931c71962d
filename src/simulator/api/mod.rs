//! Routes of a simulated OctoPrint, behind a middleware (`gate.rs`) that delays, refuses, breaks and logs requests.

mod app_keys;
pub mod control;
mod files;
mod gate;
mod job;
mod printer;
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

use super::{printer::SimulatedPrinter, push, wire::Conn};

/// Returns the router for all printers of a farm.
pub fn router() -> Router {
    Router::new()
        .route("/api/version", get(system::version))
        .route("/api/server", get(system::server))
        .route("/api/login", post(system::login))
        .route("/api/settings", get(system::settings).post(system::change_settings))
        .route("/api/timelapse", get(system::timelapse))
        .route("/api/job", get(job::show).post(job::command))
        .route("/api/printer", get(printer::show))
        .route("/api/printer/error", get(printer::error))
        .route("/api/printer/command", post(printer::command))
        .route("/api/connection", get(printer::connection).post(printer::connect))
        .route("/api/files", get(files::list))
        .route("/api/files/local", get(files::list).post(upload::upload))
        .route("/api/files/local/{*path}", get(files::show).post(files::command).delete(files::remove))
        .route("/plugin/appkeys/probe", get(app_keys::probe))
        .route("/plugin/appkeys/request", post(app_keys::request))
        .route("/plugin/appkeys/request/{token}", get(app_keys::poll))
        .route("/webcam/", get(system::snapshot))
        .route("/sockjs/websocket", get(push::socket))
        .route("/sim/fault", post(control::set_own_fault))
        .route("/sim/act", post(control::act_here))
        .route("/sim/log", get(control::own_log))
        .fallback(async || Refused::not_found())
        .method_not_allowed_fallback(async || Refused::new(405, "The method is not allowed for the requested URL."))
        .layer(middleware::from_fn(gate::gate))
        // The middleware has OctoPrint's own limits.
        .layer(DefaultBodyLimit::disable())
}

/// The printer that received a request.
pub struct At(pub SimulatedPrinter);

impl<S: Send + Sync> FromRequestParts<S> for At {
    type Rejection = StatusCode;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        match parts.extensions.get::<ConnectInfo<Conn>>() {
            Some(ConnectInfo(conn)) => Ok(Self(conn.printer.clone())),
            None => Err(StatusCode::INTERNAL_SERVER_ERROR),
        }
    }
}

/// Whether a request changed anything. A handler attaches this value to its response.
#[derive(Debug, Clone, Copy)]
pub struct Acted(pub bool);

/// OctoPrint's `204`: accepted. `acted` is whether the request had an effect.
pub fn accepted(acted: bool) -> Response {
    let mut answer = StatusCode::NO_CONTENT.into_response();
    answer.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("text/plain"));
    answer.extensions_mut().insert(Acted(acted));
    answer
}

/// An error response with `{"error": …}`.
#[derive(Debug)]
pub struct Refused {
    status: u16,
    text: String,
}

impl Refused {
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

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, Json(json!({"error": self.text}))).into_response()
    }
}

/// A JSON body, with OctoPrint's errors: 415 for the content type, 400 for the content.
pub struct Body(pub Value);

impl<S: Send + Sync> axum::extract::FromRequest<S> for Body {
    type Rejection = Refused;

    async fn from_request(mut request: axum::extract::Request, state: &S) -> Result<Self, Self::Rejection> {
        if !gate::is_of_type(request.headers(), "application/json") {
            return Err(Refused::new(
                415,
                "Did not attempt to load JSON data because the request Content-Type was not 'application/json'.",
            ));
        }
        if let Some(gate::Parsed(json)) = request.extensions_mut().remove() {
            return Ok(Self(json));
        }
        let malformed = || Refused::new(400, "Malformed JSON body in request");
        let bytes = axum::body::Bytes::from_request(request, state).await.map_err(|_| malformed())?;
        serde_json::from_slice(&bytes).map(Self).map_err(|_| malformed())
    }
}

impl Body {
    /// Returns a text field.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(Value::as_str)
    }

    /// Returns whether a field is true.
    pub fn is_true(&self, name: &str) -> bool {
        self.0.get(name).and_then(Value::as_bool).unwrap_or(false)
    }
}
