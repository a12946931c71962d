//! Middleware of every request: reads the body, waits for the latency, applies the fault, checks the key, and logs
//! commands.
//!
//! **When a command acts:** at the end of the latency, just before its response is sent. A client that has given up by
//! then does not cancel the command. As on a real server, the request is carried out.

use std::time::{Duration, Instant};

use axum::{
    body::{Body, to_bytes},
    extract::{ConnectInfo, Request},
    http::{Method, StatusCode, header, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};
use serde_json::Value;

use super::extract::{ActedMarker, ErrorResponse, ParsedJson, has_content_type};
use crate::simulator::{
    config::{Fault, Flavor, ReceivedRequest},
    faulty_stream::ConnectionHandle,
};

/// OctoPrint's `server.maxSize`, in bytes.
const MAX_BODY_BYTES: usize = 100 * 1024;
/// OctoPrint's `server.uploads.maxSize`, in bytes.
const MAX_UPLOAD_BYTES: usize = 1024 * 1024 * 1024;
/// Characters of a G-code command that the log keeps.
const MAX_LOGGED_COMMAND: usize = 200;

pub(super) const FORBIDDEN_TEXT: &str = "You don't have the permission to access the requested resource. It is either \
                         read-protected or not readable by the server.";

/// Handles a request before its route does.
pub async fn handle_request(
    ConnectInfo(conn): ConnectInfo<ConnectionHandle>,
    request: Request,
    next: Next,
) -> Response {
    if request.uri().path().starts_with("/sim/") {
        return next.run(request).await;
    }
    let (mut parts, body) = request.into_parts();
    let is_upload = has_content_type(&parts.headers, "multipart/form-data");
    if is_upload && !parts.headers.contains_key(header::CONTENT_LENGTH) {
        // Measured on 1.11.8: a chunked upload without a content length is refused.
        return (StatusCode::LENGTH_REQUIRED, "Length Required").into_response();
    }
    let limit = if is_upload { MAX_UPLOAD_BYTES } else { MAX_BODY_BYTES };
    let Ok(bytes) = to_bytes(body, limit).await else {
        // Measured: a bare 400 instead of 413.
        return StatusCode::BAD_REQUEST.into_response();
    };
    // Parsed once, for the log and for the handler.
    let is_json = has_content_type(&parts.headers, "application/json");
    let json = if is_json { serde_json::from_slice::<Value>(&bytes).ok() } else { None };
    let mut note = RequestNote::from_parts(&parts, json.as_ref().unwrap_or(&Value::Null));
    if let Some(json) = json {
        parts.extensions.insert(ParsedJson(json));
    }
    let fault = match &note {
        Some(_) => conn.printer.take_command_fault(),
        None => conn.printer.fault_for_read(parts.uri.path()),
    };
    let delay =
        conn.printer.context().latency + added_delay(fault.as_ref()) + added_delay(conn.printer.fault().as_ref());
    let hangs = fault == Some(Fault::Hang);
    if let Some(note) = &mut note {
        note.method = parts.method.to_string();
    }
    parts.headers.remove(header::TRANSFER_ENCODING);
    let ready = ReadyRequest { conn, fault, note, request: Request::from_parts(parts, Body::from(bytes)), next };
    if hangs {
        // Never ends before the farm stops: clearing a fault does not release a request that it already holds.
        ready.conn.printer.context().stop.cancelled().await;
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    if delay.is_zero() && !ready.conn.printer.has_fault(&Fault::Hang) {
        return ready.execute().await;
    }
    // In its own task, which continues after a client gives up.
    let delayed = tokio::spawn(async move {
        let stop = ready.conn.printer.context().stop.clone();
        let wait = async {
            tokio::time::sleep(delay).await;
            let mut fault = ready.conn.printer.watch_fault();
            let _ = fault.wait_for(|fault| *fault != Some(Fault::Hang)).await;
        };
        tokio::select! {
            () = stop.cancelled() => StatusCode::SERVICE_UNAVAILABLE.into_response(),
            () = wait => ready.execute().await,
        }
    });
    delayed.await.unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}

fn added_delay(fault: Option<&Fault>) -> Duration {
    match fault {
        Some(Fault::Slow(delay)) => *delay,
        _ => Duration::ZERO,
    }
}

/// A request that is ready to be carried out.
struct ReadyRequest {
    conn: ConnectionHandle,
    /// The fault of this request alone.
    fault: Option<Fault>,
    note: Option<RequestNote>,
    request: Request,
    next: Next,
}

impl ReadyRequest {
    async fn execute(self) -> Response {
        let Self { conn, fault, note, request, next } = self;
        let printer = conn.printer.clone();
        let fault = fault.or_else(|| printer.fault());
        let log_request = |acted: bool, status: u16| {
            if let Some(note) = note {
                printer.log_request(note.into_received(acted, status));
            }
        };
        match &fault {
            // The process is gone: nothing is carried out, and nothing is logged.
            Some(Fault::Refuse) => {
                conn.reset();
                return StatusCode::SERVICE_UNAVAILABLE.into_response();
            }
            Some(Fault::Reset) => {
                conn.reset();
                log_request(false, 0);
                return StatusCode::SERVICE_UNAVAILABLE.into_response();
            }
            Some(Fault::Garbage) => {
                conn.garble();
                log_request(false, 0);
                return StatusCode::SERVICE_UNAVAILABLE.into_response();
            }
            Some(Fault::Status(code)) => {
                log_request(false, *code);
                return ErrorResponse::new(*code, "simulated").into_response();
            }
            _ => {}
        }
        let key_check = check_key(&conn, &request, fault == Some(Fault::WrongKey));
        let mut response = match key_check.and_then(|()| check_version(&conn, &request)) {
            Ok(()) => next.run(request).await,
            Err(error) => error.into_response(),
        };
        let acted = response.extensions().get::<ActedMarker>().map_or(response.status().is_success(), |acted| acted.0);
        match &fault {
            Some(Fault::ResetAfterActing) => {
                conn.reset();
                log_request(acted, 0);
            }
            Some(Fault::StatusAfterActing(code)) => {
                log_request(acted, *code);
                response = ErrorResponse::new(*code, "simulated").into_response();
            }
            Some(Fault::NotANumber) => response = replace_numbers_with_nan(response).await,
            _ => log_request(acted, response.status().as_u16()),
        }
        response
    }
}

/// Returns the response with `NaN` in place of its numbers.
async fn replace_numbers_with_nan(response: Response) -> Response {
    const MARK: &str = "not a number";
    fn replace(value: &mut Value) {
        match value {
            Value::Number(_) => *value = MARK.into(),
            Value::Array(items) => items.iter_mut().for_each(replace),
            Value::Object(fields) => fields.values_mut().for_each(replace),
            Value::Null | Value::Bool(_) | Value::String(_) => {}
        }
    }
    let Ok(bytes) = to_bytes(response.into_body(), MAX_BODY_BYTES).await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let mut json = serde_json::from_slice::<Value>(&bytes).unwrap_or_default();
    replace(&mut json);
    let text = json.to_string().replace(&format!("\"{MARK}\""), "NaN");
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}

/// Log entry of a request, without its result.
struct RequestNote {
    method: String,
    path: String,
    command: String,
    action: Option<String>,
}

impl RequestNote {
    /// Returns `None` for a request that cannot change anything.
    fn from_parts(parts: &Parts, body: &Value) -> Option<Self> {
        let path = parts.uri.path();
        if parts.method == Method::GET || parts.method == Method::HEAD || !may_change_printer(path) {
            return None;
        }
        let text = |name: &str| body.get(name).and_then(Value::as_str).map(str::to_owned);
        let lines = || {
            let lines = body.get("commands")?.as_array()?;
            Some(lines.iter().filter_map(Value::as_str).collect::<Vec<_>>().join("\n"))
        };
        let mut command = text("command").or_else(lines).unwrap_or_else(|| {
            let word = match (parts.method.as_str(), path) {
                ("DELETE", _) => "delete",
                (_, "/api/files/local") => "upload",
                (_, "/api/settings") => "settings",
                _ => "",
            };
            word.to_owned()
        });
        if let Some((at, _)) = command.char_indices().nth(MAX_LOGGED_COMMAND) {
            command.truncate(at);
        }
        Some(Self { method: String::new(), path: path.to_owned(), command, action: text("action") })
    }

    fn into_received(self, acted: bool, status: u16) -> ReceivedRequest {
        let Self { method, path, command, action } = self;
        ReceivedRequest { at: Instant::now(), method, path, command, action, acted, status }
    }
}

/// Returns whether a request at this path may change a printer. A login and a request for a key change nothing.
fn may_change_printer(path: &str) -> bool {
    path != "/api/login" && !path.starts_with("/plugin/")
}

/// Checks the key, in OctoPrint's order: query, `X-Api-Key`, Bearer. With a bad key, reads get 403, and writes get the
/// 400 of the CSRF check.
fn check_key(conn: &ConnectionHandle, request: &Request, refuse_all: bool) -> Result<(), ErrorResponse> {
    if !request.uri().path().starts_with("/api/") {
        return Ok(());
    }
    let query = request.uri().query().unwrap_or_default();
    let in_query = url::form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "apikey");
    let headers = request.headers();
    let in_header = match headers.get("x-api-key") {
        // Measured: a key with characters other than ASCII is an internal error.
        Some(key) => Some(key.to_str().map_err(|_| ErrorResponse::new(500, "Internal server error"))?),
        None => headers.get(header::AUTHORIZATION).and_then(|it| it.to_str().ok()?.strip_prefix("Bearer ")),
    };
    let key = in_query.as_ref().map(|(_, key)| &**key).or(in_header);
    if !refuse_all && key.is_some_and(|key| conn.printer.accepts_key(key)) {
        return Ok(());
    }
    Err(match *request.method() {
        Method::GET | Method::HEAD => ErrorResponse::new(403, FORBIDDEN_TEXT),
        _ => ErrorResponse::new(400, "CSRF validation failed"),
    })
}

/// Checks the version header. 2.x chooses its formats by this header, which clients should not send. Here all versions
/// have the old formats, and an invalid header is an internal error, as in 2.x.
fn check_version(conn: &ConnectionHandle, request: &Request) -> Result<(), ErrorResponse> {
    let version =
        request.headers().get("x-octoprint-api-version").filter(|_| conn.printer.context().flavor == Flavor::V2_0);
    let is_version = |text: &str| text.split('.').all(|part| part.parse::<u32>().is_ok());
    match version {
        Some(version) if !version.to_str().is_ok_and(is_version) => {
            Err(ErrorResponse::new(500, "Internal server error"))
        }
        _ => Ok(()),
    }
}
