//! `Idempotency-Key`: a request that may be repeated. The first one has the effect; each other is answered with what came
//! of it.
//!
//! The role comes first, as everywhere: the handler is asked whether it would let the caller in, before the key or the
//! body is looked at. The key is bound to the effect within its transaction (`storage::audit`); what stands here is who
//! waits, who is answered from memory, and the memory of answers.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use axum::{
    Router,
    body::{Body, HttpBody, to_bytes},
    extract::{Request, State},
    http::{Extensions, HeaderName, HeaderValue, Method, StatusCode, header, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};
use serde_json::Value;
use tower::ServiceExt;
use uuid::Uuid;

use super::{
    caller::Asked,
    extract,
    problem::{MEDIA_TYPE, Problem, Whole},
};
use crate::{
    clock,
    http::request::RequestId,
    service::{
        Error, Services,
        access::Principal,
        idempotency::{Bound, KeyUse, fingerprint, key_of},
    },
};

const HEADER: HeaderName = HeaderName::from_static("idempotency-key");
/// Says that an answer is that to an earlier request.
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
/// Looking has no effect.
const WITHOUT_EFFECT: [&str; 1] = ["/api/v1/printers/test"];
/// Many effects, in one transaction or several: none of them is what a repetition asks for. Its answer is remembered as a
/// whole; without one, a repetition does what is missing and refuses what is there.
const MANY_EFFECTS: [&str; 1] = ["/api/v1/printers/bulk"];
/// The largest answer that is remembered, in bytes.
const LARGEST: usize = 1024 * 1024;
/// Given before any effect: a repetition is a first request.
const NEVER_KEPT: [StatusCode; 9] = [
    StatusCode::BAD_REQUEST,
    StatusCode::UNAUTHORIZED,
    StatusCode::FORBIDDEN,
    StatusCode::REQUEST_TIMEOUT,
    StatusCode::PAYLOAD_TOO_LARGE,
    StatusCode::UNSUPPORTED_MEDIA_TYPE,
    StatusCode::UNPROCESSABLE_ENTITY,
    StatusCode::TOO_MANY_REQUESTS,
    StatusCode::SERVICE_UNAVAILABLE,
];

/// Whether a POST to this path has an effect.
pub fn applies(path: &str) -> bool {
    !WITHOUT_EFFECT.contains(&path)
}

/// Carries out a request with a key once. `router` reads again what came of it.
pub async fn once(State((services, router)): State<(Services, Router)>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let has_effect = request.method() == Method::POST && applies(path);
    let asked = request.extensions().get::<Principal>().is_some_and(|who| who.requires_key);
    let given = request.headers().contains_key(HEADER);
    if !has_effect || !(given || asked) {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    if let Err(refusal) = admits(&parts, next.clone()).await {
        return refusal;
    }
    match keyed(&services, &router, parts, body, next).await {
        Ok(response) => response,
        Err(problem) => problem.into_response(),
    }
}

/// Whether the handler lets the caller in. `Err`: its refusal.
async fn admits(parts: &Parts, next: Next) -> Result<(), Response> {
    let admitted = Arc::new(AtomicBool::new(false));
    let mut parts = parts.clone();
    parts.extensions.insert(Asked(admitted.clone()));
    let answer = next.run(Request::from_parts(parts, Body::empty())).await;
    if admitted.load(Ordering::Relaxed) { Ok(()) } else { Err(answer) }
}

async fn keyed(
    services: &Services,
    router: &Router,
    mut parts: Parts,
    body: Body,
    next: Next,
) -> Result<Response, Problem> {
    let who = parts.extensions.get::<Principal>().cloned().ok_or_else(Problem::unauthenticated)?;
    let key = key(&parts)?;
    let is_json = extract::is_json(&parts.headers);
    let (body, text) = if is_json {
        let bytes = extract::read(Request::from_parts(parts.clone(), body)).await?;
        (Body::from(bytes.clone()), canonical(&bytes))
    } else {
        // Streamed, and not read twice: its length has to do.
        let length = parts.headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
        (body, length.unwrap_or_default().to_owned())
    };
    let target = parts.uri.path_and_query().map_or_else(|| parts.uri.path(), |target| target.as_str());
    let key = KeyUse {
        scope: who.line.unwrap_or(Uuid::nil()),
        key,
        use_id: clock::new_id(),
        fingerprint: fingerprint(parts.method.as_str(), target, &text),
    };
    let _held = services.hold_key(&key)?;
    if let Some(bound) = services.answered_before(&key).await? {
        return replay(router, &parts, bound).await;
    }
    if !MANY_EFFECTS.contains(&parts.uri.path()) {
        parts.extensions.insert(Principal { key: Some(Arc::new(key.clone())), ..who });
    }
    let (path, id) = (parts.uri.path().to_owned(), parts.extensions.get::<RequestId>().map(|id| id.0.clone()));
    let response = next.run(Request::from_parts(parts, body)).await;
    Ok(remember(services, &key, response, &path, id.unwrap_or_default()).await)
}

fn key(parts: &Parts) -> Result<String, Problem> {
    let mut values = parts.headers.get_all(HEADER).iter();
    let Some(value) = values.next() else {
        let detail = "This token must send an Idempotency-Key with every request that has an effect.";
        return Err(Problem::malformed("idempotency_key_required", detail));
    };
    let key = value.to_str().ok().and_then(key_of).filter(|_| values.next().is_none());
    let rule = "Idempotency-Key must be given once, and be 1 to 255 characters of ASCII, bare or in quotes.";
    key.map(str::to_owned).ok_or_else(|| Problem::malformed("malformed_idempotency_key", rule))
}

/// The body as it is read: neither spaces nor the order of fields make another request of it.
fn canonical(bytes: &[u8]) -> String {
    match serde_json::from_slice::<Value>(bytes) {
        Ok(value) => value.to_string(),
        Err(_) => String::from_utf8_lossy(bytes).into_owned(),
    }
}

/// Answers with what came of the first request: its status, and what is there now.
async fn replay(router: &Router, parts: &Parts, bound: Bound) -> Result<Response, Problem> {
    let status = bound.status.and_then(|status| StatusCode::from_u16(status).ok()).unwrap_or(StatusCode::ACCEPTED);
    let mut response = match (bound.body, &bound.location) {
        (Some(body), _) => {
            let kind = if status.is_success() { "application/json" } else { MEDIA_TYPE };
            let mut response = ([(header::CONTENT_TYPE, kind)], body).into_response();
            response.extensions_mut().insert(Whole);
            response
        }
        (None, Some(location)) => read_again(router, parts, location).await?,
        (None, None) => ().into_response(),
    };
    if response.status().is_success() {
        *response.status_mut() = status;
        let is_new = matches!(status, StatusCode::CREATED | StatusCode::ACCEPTED);
        if let Some(location) = bound.location.filter(|_| is_new).and_then(|location| location.parse().ok()) {
            response.headers_mut().insert(header::LOCATION, location);
        }
        if status == StatusCode::ACCEPTED {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
    }
    response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    Ok(response)
}

/// Reads a resource for whoever asks.
async fn read_again(router: &Router, parts: &Parts, location: &str) -> Result<Response, Problem> {
    // A command to one printer is answered by its row.
    let is_row = parts.uri.path().ends_with("/job");
    let target = if is_row { format!("{location}/commands?limit=1") } else { location.to_owned() };
    let mut request = Request::get(target).body(Body::empty()).map_err(|_| internal("a location is no path"))?;
    // Not all: what the router has found in the first path is none of this one's.
    request.extensions_mut().extend(who_asks(parts));
    let response = router.clone().oneshot(request).await.unwrap_or_else(|never| match never {});
    if !is_row || !response.status().is_success() {
        return Ok(response);
    }
    let bytes = to_bytes(response.into_body(), LARGEST).await.map_err(|_| internal("a row could not be read"))?;
    let list: Value = serde_json::from_slice(&bytes).map_err(|_| internal("a list is no JSON"))?;
    let row = list["items"].get(0).ok_or_else(|| Problem::not_found("command"))?;
    Ok(axum::Json(row).into_response())
}

fn who_asks(parts: &Parts) -> Extensions {
    let mut own = Extensions::new();
    if let Some(who) = parts.extensions.get::<Principal>() {
        own.insert(who.clone());
    }
    if let Some(id) = parts.extensions.get::<RequestId>() {
        own.insert(id.clone());
    }
    own
}

fn internal(cause: &str) -> Problem {
    Problem::from(Error::Internal(format!("an answer could not be given again: {cause}")))
}

/// Keeps an answer for whoever repeats the request: its status, and its body where nothing can be read again.
async fn remember(services: &Services, key: &KeyUse, response: Response, path: &str, id: String) -> Response {
    let status = response.status();
    if NEVER_KEPT.contains(&status) || status.is_server_error() {
        return response;
    }
    let bound = services.answered_before(key).await.ok().flatten();
    let location = response.headers().get(header::LOCATION).and_then(|location| location.to_str().ok());
    let location = location.map(str::to_owned);
    let is_readable = status.is_success() && bound.is_some_and(|bound| bound.location.is_some());
    let (response, body) = if is_readable {
        (response, None)
    } else if let Some(problem) = response.extensions().get::<Problem>() {
        let body = problem.text(path.to_owned(), id);
        (response, Some(body))
    } else {
        match response.body().size_hint().exact() {
            Some(size) if size <= LARGEST as u64 => {
                let (parts, body) = response.into_parts();
                // Infallible: it is all there.
                let bytes = to_bytes(body, LARGEST).await.unwrap_or_default();
                let text = String::from_utf8_lossy(&bytes).into_owned();
                (Response::from_parts(parts, Body::from(bytes)), Some(text))
            }
            // Not remembered: a repetition is a first request.
            _ => return response,
        }
    };
    let location = location.filter(|_| body.is_none());
    let noted = services.note_answer(key, status.as_u16(), location.as_deref(), body.as_deref()).await;
    if let Err(error) = noted {
        tracing::error!(?error, "an answer could not be kept for a repetition");
    }
    response
}
