//! `/plugin/appkeys`: without a key and without a CSRF check.

use axum::{
    Json,
    extract::Path,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::json;

use super::{At, Body, Refused, accepted};
use crate::simulator::app_keys::Poll;

/// `GET /plugin/appkeys/probe`.
pub async fn probe() -> Response {
    accepted(false)
}

/// `POST /plugin/appkeys/request {"app": …}`.
pub async fn request(At(printer): At, body: Body) -> Result<Response, Refused> {
    if body.text("app").is_none_or(str::is_empty) {
        return Err(Refused::new(400, "No app name provided"));
    }
    let token = printer.with(|inner, now| inner.app_keys.request(now));
    let token = token.ok_or_else(|| Refused::new(429, "Too many requests wait for a decision"))?;
    let url = printer.url();
    let location = format!("{url}/plugin/appkeys/request/{token}");
    let body = json!({"app_token": token, "auth_dialog": format!("{url}/plugin/appkeys/auth/{token}")});
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], Json(body)).into_response())
}

/// `GET /plugin/appkeys/request/<token>`.
pub async fn poll(At(printer): At, Path(token): Path<String>) -> Result<Response, Refused> {
    match printer.with(|inner, now| inner.app_keys.poll(&token, now)) {
        Poll::Awaiting => Ok((StatusCode::ACCEPTED, Json(json!({"message": "Awaiting decision"}))).into_response()),
        Poll::Granted(key) => Ok(Json(json!({"api_key": key})).into_response()),
        Poll::Gone => Err(Refused::not_found()),
    }
}
