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

use super::{At, Body, Refused, accepted};
use crate::simulator::{
    config::{Act, Fault},
    printer::SimulatedPrinter,
};

type Printers = Arc<[SimulatedPrinter]>;

/// Returns the router of the control port.
pub fn router(printers: Printers) -> Router {
    Router::new()
        .route("/sim/printers", get(list))
        .route("/sim/printers/{name}/fault", post(set_fault))
        .route("/sim/printers/{name}/act", post(act))
        .route("/sim/printers/{name}/log", get(log))
        .with_state(printers)
}

/// `POST /sim/fault {"fault": …}`.
pub async fn set_own_fault(At(printer): At, body: Body) -> Result<Response, Refused> {
    apply_fault(&printer, &body)
}

/// `POST /sim/act {"act": …}`.
pub async fn act_here(At(printer): At, body: Body) -> Result<Response, Refused> {
    apply_act(&printer, &body)
}

/// `GET /sim/log`.
pub async fn own_log(At(printer): At) -> Json<Value> {
    Json(log_of(&printer))
}

async fn list(State(printers): State<Printers>) -> Json<Value> {
    let rows = printers.iter().map(|printer| {
        json!({
            "name": printer.name(), "url": printer.url(), "api_key": printer.api_key(), "state": printer.state_text(),
        })
    });
    Json(rows.collect())
}

async fn set_fault(Named(printer): Named, body: Body) -> Result<Response, Refused> {
    apply_fault(&printer, &body)
}

async fn act(Named(printer): Named, body: Body) -> Result<Response, Refused> {
    apply_act(&printer, &body)
}

async fn log(Named(printer): Named) -> Json<Value> {
    Json(log_of(&printer))
}

/// The printer named in the path.
struct Named(SimulatedPrinter);

impl FromRequestParts<Printers> for Named {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, printers: &Printers) -> Result<Self, Self::Rejection> {
        let Path(name) = Path::<String>::from_request_parts(parts, printers).await.map_err(|_| Refused::not_found())?;
        printers.iter().find(|printer| printer.name() == name).cloned().map(Self).ok_or_else(Refused::not_found)
    }
}

/// `{"fault": …}` lasts. `{"fault": …, "once": true}` applies to the next command only.
fn apply_fault(printer: &SimulatedPrinter, body: &Body) -> Result<Response, Refused> {
    let fault = Fault::from_json(body.0.get("fault").unwrap_or(&Value::Null)).map_err(|it| Refused::new(400, it))?;
    match (fault, body.is_true("once")) {
        (Some(fault), true) => printer.fault_next_command(fault),
        (fault, _) => printer.set_fault(fault),
    }
    Ok(accepted(true))
}

fn apply_act(printer: &SimulatedPrinter, body: &Body) -> Result<Response, Refused> {
    let act = Act::from_json(&body.0).ok_or_else(|| Refused::new(400, "no such act"))?;
    printer.at_printer(act);
    Ok(accepted(true))
}

fn log_of(printer: &SimulatedPrinter) -> Value {
    let started = printer.common().started;
    printer.received().iter().map(|received| received.to_json(started)).collect()
}
