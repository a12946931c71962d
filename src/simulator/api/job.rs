//! `/api/job`.

use axum::{Json, response::Response};
use serde_json::Value;

use super::extract::{ErrorResponse, JsonBody, RequestPrinter, accepted_response};
use crate::simulator::{
    bodies,
    machine::{JobCommand, PauseAction},
};

/// `GET /api/job`.
pub async fn get_job(RequestPrinter(printer): RequestPrinter) -> Json<Value> {
    let flavor = printer.context().flavor;
    Json(printer.with_inner(|inner, now| bodies::job_body(inner, flavor, now)))
}

/// `POST /api/job`.
pub async fn run_job_command(
    RequestPrinter(printer): RequestPrinter,
    body: JsonBody,
) -> Result<Response, ErrorResponse> {
    let command = match body.text_field("command") {
        Some("start") => JobCommand::Start,
        Some("restart") => JobCommand::Restart,
        Some("cancel") => JobCommand::Cancel,
        Some("pause") => JobCommand::Pause(match body.text_field("action") {
            None | Some("toggle") => PauseAction::Toggle,
            Some("pause") => PauseAction::Pause,
            Some("resume") => PauseAction::Resume,
            Some(_) => PauseAction::Unknown,
        }),
        _ => return Err(ErrorResponse::invalid_command()),
    };
    printer
        .with_inner(|inner, now| inner.machine.run_command(command, now))
        .map(accepted_response)
        .map_err(|refusal| ErrorResponse::new(refusal.status(), refusal.text()))
}
