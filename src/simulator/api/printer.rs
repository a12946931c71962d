//! `/api/printer` and `/api/connection`.

use axum::{Json, extract::Query, response::Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::extract::{ErrorResponse, JsonBody, RequestPrinter, accepted_response};
use crate::simulator::bodies;

/// `?exclude=temperature,sd`, `?history=true&limit=n`.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct PrinterQuery {
    exclude: String,
    history: String,
    limit: String,
}

impl PrinterQuery {
    /// Returns how many history entries are requested, if any.
    fn history_limit(&self) -> Option<usize> {
        let is_requested = matches!(self.history.as_str(), "true" | "yes" | "y" | "1" | "on");
        is_requested.then(|| self.limit.parse().unwrap_or(300))
    }
}

/// `GET /api/printer`.
pub async fn get_printer(
    RequestPrinter(printer): RequestPrinter,
    Query(query): Query<PrinterQuery>,
) -> Result<Json<Value>, ErrorResponse> {
    printer.with_inner(|inner, now| match inner.machine.state().is_operational() {
        true => Ok(Json(bodies::printer_body(inner, now, &query.exclude, query.history_limit()))),
        false => Err(ErrorResponse::not_operational()),
    })
}

/// `GET /api/printer/error`.
pub async fn get_connection_error(RequestPrinter(printer): RequestPrinter) -> Json<Value> {
    let error = printer.with_inner(|inner, _| inner.machine.connection_error().clone());
    if error.reason.is_empty() {
        return Json(json!({"error": "", "reason": ""}));
    }
    let mut body = json!({"consequence": error.consequence, "error": error.error, "reason": error.reason});
    if let Some(body) = body.as_object_mut()
        && error.reason == "firmware"
    {
        body.insert("faq".to_owned(), "firmware-thermal-runaway".into());
        body.insert("logs".to_owned(), json!(["Recv: Error:Printer halted. kill() called!"]));
    }
    Json(body)
}

/// `POST /api/printer/command`: one line or several.
pub async fn send_gcode(RequestPrinter(printer): RequestPrinter, body: JsonBody) -> Result<Response, ErrorResponse> {
    let lines: Vec<&str> = match (body.text_field("command"), body.0.get("commands").and_then(Value::as_array)) {
        (Some(line), _) => vec![line],
        (None, Some(lines)) => lines.iter().filter_map(Value::as_str).collect(),
        (None, None) => return Err(ErrorResponse::new(400, "Expected 'command' or 'commands' in request")),
    };
    let sent = printer.with_inner(|inner, now| {
        let operational = inner.machine.state().is_operational();
        for line in lines {
            inner.machine.run_gcode(line.trim(), now);
        }
        operational
    });
    if sent { Ok(accepted_response(true)) } else { Err(ErrorResponse::not_operational()) }
}

/// `GET /api/connection`.
pub async fn get_connection(RequestPrinter(printer): RequestPrinter) -> Json<Value> {
    let flavor = printer.context().flavor;
    Json(bodies::connection_body(printer.with_inner(|inner, _| inner.machine.state()), flavor))
}

/// `POST /api/connection`.
pub async fn change_connection(
    RequestPrinter(printer): RequestPrinter,
    body: JsonBody,
) -> Result<Response, ErrorResponse> {
    match body.text_field("command") {
        Some("connect") => {
            let port = body.0.get("port").filter(|port| !port.is_null());
            if port.is_some_and(|port| !matches!(port.as_str(), Some("VIRTUAL" | "AUTO"))) {
                return Err(ErrorResponse::new(400, "port is invalid"));
            }
            Ok(accepted_response(printer.with_inner(|inner, now| inner.machine.connect(now))))
        }
        Some("disconnect") => Ok(accepted_response(printer.with_inner(|inner, now| inner.machine.disconnect(now)))),
        Some("fake_ack") => Ok(accepted_response(false)),
        _ => Err(ErrorResponse::invalid_command()),
    }
}
