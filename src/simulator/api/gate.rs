//! Middleware of every request: reads the body, waits for the latency, applies the fault, checks the key, and logs
//! commands.
//!
//! **When a command acts:** at the end of the latency, just before its response is sent. A client that has given up by
//! then does not cancel the command. As on a real server, the request is carried out.

use std::time::{Duration, Instant};

use axum::{
    body::{Body, to_bytes},
    extract::{ConnectInfo, Request},
    http::{HeaderMap, Method, StatusCode, header, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};
use serde_json::Value;

use super::{Acted, Refused};
use crate::simulator::{
    config::{Fault, Flavor, Received},
    wire::Conn,
};

/// OctoPrint's `server.maxSize`, in bytes.
const LARGEST_BODY: usize = 100 * 1024;
/// OctoPrint's `server.uploads.maxSize`, in bytes.
const LARGEST_UPLOAD: usize = 1024 * 1024 * 1024;
/// Characters of a G-code command that the log keeps.
const LOGGED_COMMAND: usize = 200;

pub(super) const FORBIDDEN: &str = "You don't have the permission to access the requested resource. It is either \
                         read-protected or not readable by the server.";

/// Handles a request before its route does.
pub async fn gate(ConnectInfo(conn): ConnectInfo<Conn>, request: Request, next: Next) -> Response {
    if request.uri().path().starts_with("/sim/") {
        return next.run(request).await;
    }
    let (mut parts, body) = request.into_parts();
    let uploads = is_of_type(&parts.headers, "multipart/form-data");
    if uploads && !parts.headers.contains_key(header::CONTENT_LENGTH) {
        // Measured on 1.11.8: a chunked upload without a content length is refused.
        return (StatusCode::LENGTH_REQUIRED, "Length Required").into_response();
    }
    let limit = if uploads { LARGEST_UPLOAD } else { LARGEST_BODY };
    let Ok(bytes) = to_bytes(body, limit).await else {
        // Measured: a bare 400 instead of 413.
        return StatusCode::BAD_REQUEST.into_response();
    };
    // Parsed once, for the log and for the handler.
    let is_json = is_of_type(&parts.headers, "application/json");
    let json = if is_json { serde_json::from_slice::<Value>(&bytes).ok() } else { None };
    let mut note = Note::of(&parts, json.as_ref().unwrap_or(&Value::Null));
    if let Some(json) = json {
        parts.extensions.insert(Parsed(json));
    }
    let fault = match &note {
        Some(_) => conn.printer.take_fault_for_command(),
        None => conn.printer.fault_of_reading(parts.uri.path()),
    };
    let delay = conn.printer.common().latency + slowness(fault.as_ref()) + slowness(conn.printer.fault().as_ref());
    let hangs = fault == Some(Fault::Hang);
    if let Some(note) = &mut note {
        note.method = parts.method.to_string();
    }
    parts.headers.remove(header::TRANSFER_ENCODING);
    let visit = Visit { conn, fault, note, request: Request::from_parts(parts, Body::from(bytes)), next };
    if hangs {
        // Never ends before the farm stops: clearing a fault does not release a request that it already holds.
        visit.conn.printer.common().stop.cancelled().await;
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    if delay.is_zero() && !visit.conn.printer.has_fault(&Fault::Hang) {
        return visit.carry_out().await;
    }
    // In its own task, which continues after a client gives up.
    let late = tokio::spawn(async move {
        let stop = visit.conn.printer.common().stop.clone();
        let wait = async {
            tokio::time::sleep(delay).await;
            let mut fault = visit.conn.printer.watch_fault();
            let _ = fault.wait_for(|fault| *fault != Some(Fault::Hang)).await;
        };
        tokio::select! {
            () = stop.cancelled() => StatusCode::SERVICE_UNAVAILABLE.into_response(),
            () = wait => visit.carry_out().await,
        }
    });
    late.await.unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}

fn slowness(fault: Option<&Fault>) -> Duration {
    match fault {
        Some(Fault::Slow(more)) => *more,
        _ => Duration::ZERO,
    }
}

/// A request that is ready to be carried out.
struct Visit {
    conn: Conn,
    /// The fault of this request alone.
    fault: Option<Fault>,
    note: Option<Note>,
    request: Request,
    next: Next,
}

impl Visit {
    async fn carry_out(self) -> Response {
        let Self { conn, fault, note, request, next } = self;
        let printer = conn.printer.clone();
        let fault = fault.or_else(|| printer.fault());
        let remember = |acted: bool, status: u16| {
            if let Some(note) = note {
                printer.remember(note.received(acted, status));
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
                remember(false, 0);
                return StatusCode::SERVICE_UNAVAILABLE.into_response();
            }
            Some(Fault::Garbage) => {
                conn.garble();
                remember(false, 0);
                return StatusCode::SERVICE_UNAVAILABLE.into_response();
            }
            Some(Fault::Status(code)) => {
                remember(false, *code);
                return Refused::new(*code, "simulated").into_response();
            }
            _ => {}
        }
        let allowed = check_key(&conn, &request, fault == Some(Fault::WrongKey));
        let mut answer = match allowed.and_then(|()| check_version(&conn, &request)) {
            Ok(()) => next.run(request).await,
            Err(refused) => refused.into_response(),
        };
        let acted = answer.extensions().get::<Acted>().map_or(answer.status().is_success(), |acted| acted.0);
        match &fault {
            Some(Fault::ResetAfterActing) => {
                conn.reset();
                remember(acted, 0);
            }
            Some(Fault::StatusAfterActing(code)) => {
                remember(acted, *code);
                answer = Refused::new(*code, "simulated").into_response();
            }
            Some(Fault::NotANumber) => answer = without_numbers(answer).await,
            _ => remember(acted, answer.status().as_u16()),
        }
        answer
    }
}

/// Returns the response with `NaN` in place of its numbers.
async fn without_numbers(answer: Response) -> Response {
    const MARK: &str = "not a number";
    fn replace(value: &mut Value) {
        match value {
            Value::Number(_) => *value = MARK.into(),
            Value::Array(items) => items.iter_mut().for_each(replace),
            Value::Object(fields) => fields.values_mut().for_each(replace),
            Value::Null | Value::Bool(_) | Value::String(_) => {}
        }
    }
    let Ok(bytes) = to_bytes(answer.into_body(), LARGEST_BODY).await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let mut json = serde_json::from_slice::<Value>(&bytes).unwrap_or_default();
    replace(&mut json);
    let text = json.to_string().replace(&format!("\"{MARK}\""), "NaN");
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}

/// Body of a request whose content type is JSON.
#[derive(Debug, Clone)]
pub struct Parsed(pub Value);

/// Log entry of a request, without its result.
struct Note {
    method: String,
    path: String,
    command: String,
    action: Option<String>,
}

impl Note {
    /// Returns `None` for a request that cannot change anything.
    fn of(parts: &Parts, body: &Value) -> Option<Self> {
        let path = parts.uri.path();
        if parts.method == Method::GET || parts.method == Method::HEAD || !changes_anything(path) {
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
        if let Some((at, _)) = command.char_indices().nth(LOGGED_COMMAND) {
            command.truncate(at);
        }
        Some(Self { method: String::new(), path: path.to_owned(), command, action: text("action") })
    }

    fn received(self, acted: bool, status: u16) -> Received {
        let Self { method, path, command, action } = self;
        Received { at: Instant::now(), method, path, command, action, acted, status }
    }
}

/// Returns whether a request at this path may change a printer. A login and a request for a key change nothing.
fn changes_anything(path: &str) -> bool {
    path != "/api/login" && !path.starts_with("/plugin/")
}

/// Checks the key, in OctoPrint's order: query, `X-Api-Key`, Bearer. With a bad key, reads get 403, and writes get the
/// 400 of the CSRF check.
fn check_key(conn: &Conn, request: &Request, refuse_all: bool) -> Result<(), Refused> {
    if !request.uri().path().starts_with("/api/") {
        return Ok(());
    }
    let query = request.uri().query().unwrap_or_default();
    let in_query = url::form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "apikey");
    let headers = request.headers();
    let in_header = match headers.get("x-api-key") {
        // Measured: a key with characters other than ASCII is an internal error.
        Some(key) => Some(key.to_str().map_err(|_| Refused::new(500, "Internal server error"))?),
        None => headers.get(header::AUTHORIZATION).and_then(|it| it.to_str().ok()?.strip_prefix("Bearer ")),
    };
    let key = in_query.as_ref().map(|(_, key)| &**key).or(in_header);
    if !refuse_all && key.is_some_and(|key| conn.printer.accepts_key(key)) {
        return Ok(());
    }
    Err(match *request.method() {
        Method::GET | Method::HEAD => Refused::new(403, FORBIDDEN),
        _ => Refused::new(400, "CSRF validation failed"),
    })
}

/// Checks the version header. 2.x chooses its formats by this header, which clients should not send. Here all versions
/// have the old formats, and an invalid header is an internal error, as in 2.x.
fn check_version(conn: &Conn, request: &Request) -> Result<(), Refused> {
    let wanted =
        request.headers().get("x-octoprint-api-version").filter(|_| conn.printer.common().flavor == Flavor::V2_0);
    let is_version = |text: &str| text.split('.').all(|part| part.parse::<u32>().is_ok());
    match wanted {
        Some(wanted) if !wanted.to_str().is_ok_and(is_version) => Err(Refused::new(500, "Internal server error")),
        _ => Ok(()),
    }
}

/// Returns whether the content of a request is of this type. Ignores parameters.
pub fn is_of_type(headers: &HeaderMap, kind: &str) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(kind)
}
