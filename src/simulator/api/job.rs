//! `/api/job`.

use axum::{Json, response::Response};
use serde_json::Value;

use super::{At, Body, Refused, accepted};
use crate::simulator::{
    bodies,
    machine::{JobCommand, PauseAction},
};

/// `GET /api/job`.
pub async fn show(At(printer): At) -> Json<Value> {
    let flavor = printer.common().flavor;
    Json(printer.with(|inner, now| bodies::job(inner, flavor, now)))
}

/// `POST /api/job`.
pub async fn command(At(printer): At, body: Body) -> Result<Response, Refused> {
    let command = match body.text("command") {
        Some("start") => JobCommand::Start,
        Some("restart") => JobCommand::Restart,
        Some("cancel") => JobCommand::Cancel,
        Some("pause") => JobCommand::Pause(match body.text("action") {
            None | Some("toggle") => PauseAction::Toggle,
            Some("pause") => PauseAction::Pause,
            Some("resume") => PauseAction::Resume,
            Some(_) => PauseAction::Unknown,
        }),
        _ => return Err(Refused::invalid_command()),
    };
    printer
        .with(|inner, now| inner.machine.command(command, now))
        .map(accepted)
        .map_err(|refusal| Refused::new(refusal.status(), refusal.text()))
}
