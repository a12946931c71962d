//! `Idempotency-Key`: repeatable requests. The first request has the effect; a replay returns its result.
//!
//! The role is checked first: the handler decides whether it admits the caller before the key or the body is read. The
//! transaction of the effect binds the key (`storage::audit`). This module finds replays, answers them, and stores
//! responses that cannot be read again. It stores no refusal. A refused request had no effect, so the same request with
//! the same key is a first request.

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

use super::authentication::AdmissionCheck;
use crate::{
    clock,
    domain::idempotency::{KeyBinding, KeyUse, parse_key},
    http::{
        api::{
            batches,
            printers::job,
            problem::Problem,
            request::{effect::path_has_effect, extract, prefer::WaitPreference},
        },
        request_id::RequestId,
    },
    service::{Error, Services, access::Principal, idempotency::fingerprint},
};

const KEY_HEADER: HeaderName = HeaderName::from_static("idempotency-key");
/// Response header: this is a replay.
const REPLAYED_HEADER: HeaderName = HeaderName::from_static("idempotent-replayed");
/// Routes with many effects, in one or several transactions. No single resource is the result, so the whole response is
/// stored. Without a stored response, a replay creates what is missing and refuses what exists.
const MANY_EFFECTS: [&str; 2] = ["/api/v1/printers/bulk", "/api/v1/orders/bulk"];
/// Routes whose handlers bind the key, because a request is known only by the content of its file.
const UPLOADS: [&str; 1] = ["/api/v1/files"];
/// The largest response that is stored, in bytes.
const MAX_STORED_BYTES: usize = 1024 * 1024;

/// Marks a response that is not stored, because a part of the request failed. A replay executes that part.
#[derive(Debug, Clone, Copy)]
pub struct NotStored;

/// The key of an upload. Its fingerprint still lacks the content.
#[derive(Debug, Clone)]
pub struct UploadKey(KeyUse);

impl UploadKey {
    /// Returns the key of a request with this content. `name` contains the folder.
    pub fn with_content(self, name: &str, sha256: &str) -> KeyUse {
        KeyUse { fingerprint: fingerprint("POST", name, sha256), ..self.0 }
    }
}

/// Returns the headers of a replay.
pub fn replay_header() -> (HeaderName, HeaderValue) {
    (REPLAYED_HEADER, HeaderValue::from_static("true"))
}

/// Executes a request with a key once. For a replay, `router` reads the resulting resource again.
pub async fn execute_once(
    State((services, router)): State<(Services, Router)>,
    request: Request,
    next: Next,
) -> Response {
    let path = request.uri().path();
    let has_effect = request.method() == Method::POST && path_has_effect(path);
    let is_required = request.extensions().get::<Principal>().is_some_and(|who| who.requires_key);
    let is_given = request.headers().contains_key(KEY_HEADER);
    if !has_effect || !(is_given || is_required) {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    if let Err(refusal) = check_admission(&parts, next.clone()).await {
        return refusal;
    }
    match execute_with_key(&services, &router, parts, body, next).await {
        Ok(response) => response,
        Err(problem) => problem.into_response(),
    }
}

/// Returns whether the handler admits the caller. `Err` holds the refusal.
async fn check_admission(parts: &Parts, next: Next) -> Result<(), Response> {
    let admitted = Arc::new(AtomicBool::new(false));
    let mut parts = parts.clone();
    parts.extensions.insert(AdmissionCheck(admitted.clone()));
    let response = next.run(Request::from_parts(parts, Body::empty())).await;
    if admitted.load(Ordering::Relaxed) { Ok(()) } else { Err(response) }
}

async fn execute_with_key(
    services: &Services,
    router: &Router,
    mut parts: Parts,
    body: Body,
    next: Next,
) -> Result<Response, Problem> {
    let who = parts.extensions.get::<Principal>().cloned().ok_or_else(Problem::unauthenticated)?;
    let key = required_key(&parts)?;
    let is_json = extract::is_json(&parts.headers);
    let (body, text) = if is_json {
        let bytes = extract::read_json_body(Request::from_parts(parts.clone(), body)).await?;
        (Body::from(bytes.clone()), canonical_body(&bytes))
    } else {
        // The body is streamed and cannot be read twice, so the key is bound to its length only.
        let length = parts.headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
        (body, length.unwrap_or_default().to_owned())
    };
    let target = parts.uri.path_and_query().map_or_else(|| parts.uri.path(), |target| target.as_str());
    let key = KeyUse {
        scope: who.root_token_id.unwrap_or(Uuid::nil()),
        key,
        use_id: clock::new_id(),
        fingerprint: fingerprint(parts.method.as_str(), target, &text),
    };
    if UPLOADS.contains(&parts.uri.path()) {
        let _key_guard = services.hold_key(&key)?;
        parts.extensions.insert(UploadKey(key));
        return Ok(next.run(Request::from_parts(parts, body)).await);
    }
    let key_guard = services.hold_key(&key);
    if let Some(bound) = services.find_first_response(&key).await? {
        // A replay has no effect, so several may wait at once.
        drop(key_guard);
        return replay(services, router, &parts, bound).await;
    }
    let _key_guard = key_guard?;
    if !MANY_EFFECTS.contains(&parts.uri.path()) {
        parts.extensions.insert(Principal { idempotency_key: Some(Arc::new(key.clone())), ..who });
    }
    let response = next.run(Request::from_parts(parts, body)).await;
    Ok(store_response(services, &key, response).await)
}

fn required_key(parts: &Parts) -> Result<String, Problem> {
    let mut values = parts.headers.get_all(KEY_HEADER).iter();
    let Some(value) = values.next() else {
        let detail = "This token must send an Idempotency-Key with every request that has an effect.";
        return Err(Problem::malformed("idempotency_key_required", detail));
    };
    let key = value.to_str().ok().and_then(parse_key).filter(|_| values.next().is_none());
    let rule = "Idempotency-Key must be given once, and be 1 to 255 characters of ASCII, bare or in quotes.";
    key.map(str::to_owned).ok_or_else(|| Problem::malformed("malformed_idempotency_key", rule))
}

/// Returns the body in a normal form: spaces and the order of fields do not change a request.
fn canonical_body(bytes: &[u8]) -> String {
    match serde_json::from_slice::<Value>(bytes) {
        Ok(value) => value.to_string(),
        Err(_) => String::from_utf8_lossy(bytes).into_owned(),
    }
}

/// Answers a replay with the first status and the resource's current body.
async fn replay(services: &Services, router: &Router, parts: &Parts, bound: KeyBinding) -> Result<Response, Problem> {
    let first_status = bound.status.and_then(|status| StatusCode::from_u16(status).ok());
    if bound.body_gone {
        let detail = "The request was executed before, and its answer is not kept any more. Nothing was done now. \
                      Read what it created or changed.";
        return Err(Problem::new(StatusCode::CONFLICT, "replay_body_gone", detail));
    }
    let mut response = match (bound.body, bound.location) {
        (Some(body), _) => {
            let kind = [(header::CONTENT_TYPE, "application/json")];
            (first_status.unwrap_or(StatusCode::OK), kind, body).into_response()
        }
        (None, Some(location)) => replay_resource(services, router, parts, &location, first_status).await?,
        (None, None) => first_status.unwrap_or(StatusCode::OK).into_response(),
    };
    response.headers_mut().insert(REPLAYED_HEADER, HeaderValue::from_static("true"));
    Ok(response)
}

/// Reads the resource that the first request created or changed. `first_status` is `None` if the first response was not
/// delivered.
async fn replay_resource(
    services: &Services,
    router: &Router,
    parts: &Parts,
    location: &str,
    first_status: Option<StatusCode>,
) -> Result<Response, Problem> {
    let path = parts.uri.path();
    // The path of a stop request contains its batch. The path of `POST /batches` does not.
    let is_new = !path.starts_with(location);
    if let Some(id) = location.strip_prefix("/api/v1/batches/").filter(|_| is_new) {
        let id = id.parse().map_err(|_| replay_error("a location is not a batch"))?;
        let who = parts.extensions.get::<Principal>().ok_or_else(Problem::unauthenticated)?;
        return replay_batch(services, who, id, parts, first_status).await;
    }
    let mut request =
        Request::get(location).body(Body::empty()).map_err(|_| replay_error("a location is not a path"))?;
    *request.extensions_mut() = copy_caller(parts);
    let mut response = router.clone().oneshot(request).await.unwrap_or_else(|never| match never {});
    if response.status().is_success() {
        let status = first_status.unwrap_or(if is_new { StatusCode::CREATED } else { StatusCode::OK });
        *response.status_mut() = status;
        if status == StatusCode::CREATED {
            let location = HeaderValue::from_str(location).map_err(|_| replay_error("a location is not a header"))?;
            response.headers_mut().insert(header::LOCATION, location);
        }
    }
    Ok(response)
}

/// Answers the replay of a request that created a batch. With `Prefer: wait` it waits like the first request would.
/// Without it, the response has the first status.
async fn replay_batch(
    services: &Services,
    who: &Principal,
    id: Uuid,
    parts: &Parts,
    first_status: Option<StatusCode>,
) -> Result<Response, Problem> {
    let wait = WaitPreference::from_headers(&parts.headers);
    let view = match wait {
        Some(wait) => services.await_batch(who, id, wait.duration()).await?,
        None => services.batch(who, id).await?,
    };
    let is_single_command = parts.uri.path().ends_with("/job");
    let ended = match (first_status, wait) {
        (Some(first), None) => first != StatusCode::ACCEPTED,
        (_, Some(_)) => view.is_final(),
        (None, None) => is_single_command && view.is_final(),
    };
    if is_single_command {
        job::respond_with_command(view, ended, wait)
    } else {
        Ok(batches::respond_with_batch(view, ended, wait))
    }
}

/// Copies the caller for the request that reads a resource again. Other extensions belong to the first path.
fn copy_caller(parts: &Parts) -> Extensions {
    let mut extensions = Extensions::new();
    if let Some(who) = parts.extensions.get::<Principal>() {
        extensions.insert(who.clone());
    }
    if let Some(id) = parts.extensions.get::<RequestId>() {
        extensions.insert(id.clone());
    }
    extensions
}

fn replay_error(cause: &str) -> Problem {
    Problem::from(Error::Internal(format!("a replay could not be answered: {cause}")))
}

/// Stores the status of a response for replays, and its body if no resource can be read again. A refusal had no effect
/// and is not stored, nor is a response with [`NotStored`].
async fn store_response(services: &Services, key: &KeyUse, response: Response) -> Response {
    let status = response.status();
    if !status.is_success() || response.extensions().get::<NotStored>().is_some() {
        return response;
    }
    let bound = match services.find_first_response(key).await {
        Ok(bound) => bound,
        Err(error) => {
            // It is unknown whether the effect bound the key. Storing the body now could store a secret.
            tracing::error!(?error, "the answer to a request with an idempotency key could not be stored");
            return response;
        }
    };
    let (response, body) = if bound.is_some_and(|bound| bound.location.is_some()) {
        (response, None)
    } else {
        match response.body().size_hint().exact() {
            Some(size) if size <= MAX_STORED_BYTES as u64 => {
                let (parts, body) = response.into_parts();
                // Infallible: the body is complete in memory.
                let bytes = to_bytes(body, MAX_STORED_BYTES).await.unwrap_or_default();
                let text = String::from_utf8_lossy(&bytes).into_owned();
                (Response::from_parts(parts, Body::from(bytes)), Some(text))
            }
            // Not stored: a replay is a first request.
            _ => return response,
        }
    };
    if let Err(error) = services.store_response(key, status.as_u16(), body.as_deref()).await {
        tracing::error!(?error, "the answer to a request with an idempotency key could not be stored");
    }
    response
}
