//! `/api/printer` and `/api/connection`.

use axum::{Json, extract::Query, response::Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{At, Body, Refused, accepted};
use crate::simulator::bodies;

/// `?exclude=temperature,sd`, `?history=true&limit=n`.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Wanted {
    exclude: String,
    history: String,
    limit: String,
}

impl Wanted {
    /// Returns how many history entries are requested, if any.
    fn history(&self) -> Option<usize> {
        let wanted = matches!(self.history.as_str(), "true" | "yes" | "y" | "1" | "on");
        wanted.then(|| self.limit.parse().unwrap_or(300))
    }
}

/// `GET /api/printer`.
pub async fn show(At(printer): At, Query(wanted): Query<Wanted>) -> Result<Json<Value>, Refused> {
    printer.with(|inner, now| match inner.machine.state().is_operational() {
        true => Ok(Json(bodies::printer(inner, now, &wanted.exclude, wanted.history()))),
        false => Err(Refused::not_operational()),
    })
}

/// `GET /api/printer/error`.
pub async fn error(At(printer): At) -> Json<Value> {
    let trouble = printer.with(|inner, _| inner.machine.trouble().clone());
    let mut body = json!({"consequence": trouble.consequence, "error": trouble.error, "reason": trouble.reason});
    if let Some(body) = body.as_object_mut()
        && trouble.reason == "firmware"
    {
        body.insert("faq".to_owned(), "firmware-thermal-runaway".into());
        body.insert("logs".to_owned(), json!(["Recv: Error:Printer halted. kill() called!"]));
    }
    Json(body)
}

/// `POST /api/printer/command`: one line or several.
pub async fn command(At(printer): At, body: Body) -> Result<Response, Refused> {
    let lines: Vec<&str> = match (body.text("command"), body.0.get("commands").and_then(Value::as_array)) {
        (Some(line), _) => vec![line],
        (None, Some(lines)) => lines.iter().filter_map(Value::as_str).collect(),
        (None, None) => return Err(Refused::new(400, "Expected 'command' or 'commands' in request")),
    };
    let sent = printer.with(|inner, now| {
        let operational = inner.machine.state().is_operational();
        for line in lines {
            inner.machine.gcode(line.trim(), now);
        }
        operational
    });
    if sent { Ok(accepted(true)) } else { Err(Refused::not_operational()) }
}

/// `GET /api/connection`.
pub async fn connection(At(printer): At) -> Json<Value> {
    let flavor = printer.common().flavor;
    Json(bodies::connection(printer.with(|inner, _| inner.machine.state()), flavor))
}

/// `POST /api/connection`.
pub async fn connect(At(printer): At, body: Body) -> Result<Response, Refused> {
    match body.text("command") {
        Some("connect") => {
            let port = body.0.get("port").filter(|port| !port.is_null());
            if port.is_some_and(|port| !matches!(port.as_str(), Some("VIRTUAL" | "AUTO"))) {
                return Err(Refused::new(400, "port is invalid"));
            }
            Ok(accepted(printer.with(|inner, now| inner.machine.connect(now))))
        }
        Some("disconnect") => Ok(accepted(printer.with(|inner, now| inner.machine.disconnect(now)))),
        Some("fake_ack") => Ok(accepted(false)),
        _ => Err(Refused::invalid_command()),
    }
}
