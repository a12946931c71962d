//! `/plugin/appkeys`: without a key and without a CSRF check.

use axum::{
    Json,
    extract::Path,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::json;

use super::extract::{ErrorResponse, JsonBody, RequestPrinter, accepted_response};
use crate::simulator::app_keys::PollResult;

/// `GET /plugin/appkeys/probe`.
pub async fn probe() -> Response {
    accepted_response(false)
}

/// `POST /plugin/appkeys/request {"app": …}`.
pub async fn request_key(RequestPrinter(printer): RequestPrinter, body: JsonBody) -> Result<Response, ErrorResponse> {
    if body.text_field("app").is_none_or(str::is_empty) {
        return Err(ErrorResponse::new(400, "No app name provided"));
    }
    let token = printer.with_inner(|inner, now| inner.app_keys.add_request(now));
    let token = token.ok_or_else(|| ErrorResponse::new(429, "Too many requests wait for a decision"))?;
    let url = printer.url();
    let location = format!("{url}/plugin/appkeys/request/{token}");
    let body = json!({"app_token": token, "auth_dialog": format!("{url}/plugin/appkeys/auth/{token}")});
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], Json(body)).into_response())
}

/// `GET /plugin/appkeys/request/<token>`.
pub async fn poll_request(
    RequestPrinter(printer): RequestPrinter,
    Path(token): Path<String>,
) -> Result<Response, ErrorResponse> {
    match printer.with_inner(|inner, now| inner.app_keys.poll(&token, now)) {
        PollResult::Awaiting => {
            Ok((StatusCode::ACCEPTED, Json(json!({"message": "Awaiting decision"}))).into_response())
        }
        PollResult::Granted(key) => Ok(Json(json!({"api_key": key})).into_response()),
        PollResult::Gone => Err(ErrorResponse::not_found()),
    }
}
