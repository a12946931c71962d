//! Control of simulated printers over HTTP, for a farm in another process.
//!
//! `/sim/fault`, `/sim/act` and `/sim/log` of a printer are on its own port, which a refusing printer closes. The
//! farm's control port has the same routes for every printer, by name.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{FromRequestParts, Path, State},
    http::request::Parts,
    response::Response,
    routing::{get, post},
};
use serde_json::{Value, json};

use super::extract::{ErrorResponse, JsonBody, RequestPrinter, accepted_response};
use crate::simulator::{
    config::{Fault, MachineAction},
    printer::SimulatedPrinter,
};

type Printers = Arc<[SimulatedPrinter]>;

/// Returns the router of the control port.
pub fn router(printers: Printers) -> Router {
    Router::new()
        .route("/sim/printers", get(list_printers))
        .route("/sim/printers/{name}/fault", post(set_fault))
        .route("/sim/printers/{name}/act", post(perform_action))
        .route("/sim/printers/{name}/log", get(get_log))
        .with_state(printers)
}

/// `POST /sim/fault {"fault": …}`.
pub async fn set_own_fault(RequestPrinter(printer): RequestPrinter, body: JsonBody) -> Result<Response, ErrorResponse> {
    apply_fault(&printer, &body)
}

/// `POST /sim/act {"act": …}`.
pub async fn perform_own_action(
    RequestPrinter(printer): RequestPrinter,
    body: JsonBody,
) -> Result<Response, ErrorResponse> {
    apply_action(&printer, &body)
}

/// `GET /sim/log`.
pub async fn get_own_log(RequestPrinter(printer): RequestPrinter) -> Json<Value> {
    Json(log_body(&printer))
}

async fn list_printers(State(printers): State<Printers>) -> Json<Value> {
    let rows = printers.iter().map(|printer| {
        json!({
            "name": printer.name(), "url": printer.url(), "api_key": printer.api_key(), "state": printer.state_text(),
        })
    });
    Json(rows.collect())
}

async fn set_fault(NamedPrinter(printer): NamedPrinter, body: JsonBody) -> Result<Response, ErrorResponse> {
    apply_fault(&printer, &body)
}

async fn perform_action(NamedPrinter(printer): NamedPrinter, body: JsonBody) -> Result<Response, ErrorResponse> {
    apply_action(&printer, &body)
}

async fn get_log(NamedPrinter(printer): NamedPrinter) -> Json<Value> {
    Json(log_body(&printer))
}

/// The printer named in the path.
struct NamedPrinter(SimulatedPrinter);

impl FromRequestParts<Printers> for NamedPrinter {
    type Rejection = ErrorResponse;

    async fn from_request_parts(parts: &mut Parts, printers: &Printers) -> Result<Self, Self::Rejection> {
        let Path(name) =
            Path::<String>::from_request_parts(parts, printers).await.map_err(|_| ErrorResponse::not_found())?;
        printers.iter().find(|printer| printer.name() == name).cloned().map(Self).ok_or_else(ErrorResponse::not_found)
    }
}

/// `{"fault": …}` lasts. `{"fault": …, "once": true}` applies to the next command only.
fn apply_fault(printer: &SimulatedPrinter, body: &JsonBody) -> Result<Response, ErrorResponse> {
    let fault =
        Fault::from_json(body.0.get("fault").unwrap_or(&Value::Null)).map_err(|it| ErrorResponse::new(400, it))?;
    match (fault, body.is_true("once")) {
        (Some(fault), true) => printer.queue_command_fault(fault),
        (fault, _) => printer.set_fault(fault),
    }
    Ok(accepted_response(true))
}

fn apply_action(printer: &SimulatedPrinter, body: &JsonBody) -> Result<Response, ErrorResponse> {
    let action = MachineAction::from_json(&body.0).ok_or_else(|| ErrorResponse::new(400, "no such act"))?;
    printer.perform(action);
    Ok(accepted_response(true))
}

fn log_body(printer: &SimulatedPrinter) -> Value {
    let started = printer.context().started;
    printer.received_requests().iter().map(|request| request.to_json(started)).collect()
}
