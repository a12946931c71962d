//! The state of a destination for slicers that show it: `api/printer` and `api/job`.
//!
//! A printer has its own state, from the snapshot. The library, a tag and a part are always ready for an upload.

use axum::{Json, extract::State, http::StatusCode};
use serde_json::{Map, Value, json};

use super::destination::Upload;
use crate::{
    domain::{
        reading::{JobFile, Progress, Temperatures},
        state::PrinterState,
    },
    http::api::problem::Problem,
    service::{Services, printers::PrinterView},
};

/// Returns the flags and temperatures. As with OctoPrint, a printer that is not operational is 409.
pub(super) async fn get_printer(upload: Upload, State(services): State<Services>) -> Result<Json<Value>, Problem> {
    if let Some(view) = upload.destination.printer() {
        services.mark_viewed(view.printer.id);
    }
    let (state, text) = current_state(upload.destination.printer());
    if !state.is_operational() {
        let name = upload.destination.name();
        let detail = format!("The printer {name} is not operational: {text}.");
        return Err(Problem::new(StatusCode::CONFLICT, "printer_not_operational", detail));
    }
    let temperatures = upload.destination.printer().map(|view| temperature_fields(&view.live.temperatures));
    Ok(Json(json!({
        "state": {"text": text, "flags": state_flags(state), "error": ""},
        "temperature": temperatures.unwrap_or_default(),
        "sd": {"ready": false},
    })))
}

/// Returns the active print, or the selected file.
pub(super) async fn get_job(upload: Upload) -> Json<Value> {
    let printer = upload.destination.printer();
    let (_, text) = current_state(printer);
    let job = printer.and_then(|view| view.live.job.as_deref());
    let file = job.and_then(|job| job.file.as_ref());
    let progress = job.map(|job| job.progress).unwrap_or_default();
    Json(json!({
        "job": {
            "file": file_fields(file),
            "estimatedPrintTime": job.and_then(|job| job.estimated_print_time_s),
            "averagePrintTime": null,
            "lastPrintTime": null,
            "filament": null,
            "user": job.and_then(|job| job.user.as_deref()),
        },
        "progress": progress_fields(progress),
        "state": text,
    }))
}

/// Returns the state of a printer and OctoPrint's text for it. Without a printer: operational.
fn current_state(printer: Option<&PrinterView>) -> (PrinterState, String) {
    let Some(view) = printer else {
        return (PrinterState::Operational, state_text(PrinterState::Operational).to_owned());
    };
    let state = view.live.state;
    let seen = view.live.state_text.trim();
    let text = if seen.is_empty() || state == PrinterState::Unknown { state_text(state) } else { seen };
    (state, text.to_owned())
}

/// Returns OctoPrint's text of a state.
fn state_text(state: PrinterState) -> &'static str {
    match state {
        PrinterState::Operational => "Operational",
        PrinterState::Starting => "Starting",
        PrinterState::Printing => "Printing",
        PrinterState::Pausing => "Pausing",
        PrinterState::Paused => "Paused",
        PrinterState::Resuming => "Resuming",
        PrinterState::Finishing => "Finishing",
        PrinterState::Cancelling => "Cancelling",
        PrinterState::Transferring => "Sending file to SD",
        PrinterState::Connecting => "Connecting",
        PrinterState::Error => "Error",
        PrinterState::Offline | PrinterState::Unknown => "Offline",
    }
}

/// Returns OctoPrint's flags. `printing` is set in every state of a print except paused.
fn state_flags(state: PrinterState) -> Value {
    let is_error = state == PrinterState::Error;
    json!({
        "operational": state.is_operational(),
        "printing": state.is_active() && state != PrinterState::Paused,
        "cancelling": state == PrinterState::Cancelling,
        "pausing": state == PrinterState::Pausing,
        "resuming": state == PrinterState::Resuming,
        "finishing": state == PrinterState::Finishing,
        "paused": state == PrinterState::Paused,
        "ready": state == PrinterState::Operational,
        "error": is_error,
        "closedOrError": is_error || !state.is_operational(),
        "sdReady": false,
    })
}

fn temperature_fields(temperatures: &Temperatures) -> Map<String, Value> {
    let field = |heater: &crate::domain::reading::Temperature| json!({"actual": heater.actual, "target": heater.target, "offset": 0});
    temperatures.iter().map(|(name, heater)| (name.clone(), field(heater))).collect()
}

fn file_fields(file: Option<&JobFile>) -> Value {
    let date = file.and_then(|file| file.date).map(|date| date.timestamp());
    json!({
        "name": file.map(|file| &file.name),
        "display": file.map(|file| &file.name),
        "path": file.map(|file| &file.path),
        "origin": file.map(|file| &file.origin),
        "size": file.and_then(|file| file.size),
        "date": date,
    })
}

fn progress_fields(progress: Progress) -> Value {
    json!({
        "completion": progress.completion,
        "filepos": progress.file_position,
        "printTime": progress.print_time_s,
        "printTimeLeft": progress.print_time_left_s,
        "printTimeLeftOrigin": null,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flags_of_every_state_are_read_as_that_state() {
        // The order in which the plugin of Cura reads the flags.
        let read = |flags: &Value| {
            let is_set = |name: &str| flags[name].as_bool().expect("a flag");
            if is_set("error") || is_set("closedOrError") {
                "error"
            } else if is_set("paused") || is_set("pausing") {
                "paused"
            } else if is_set("printing") {
                "printing"
            } else if is_set("cancelling") {
                "aborted"
            } else if is_set("ready") || is_set("operational") {
                "idle"
            } else {
                "unknown"
            }
        };
        for state in PrinterState::ALL {
            let expected = match state {
                PrinterState::Operational | PrinterState::Transferring => "idle",
                PrinterState::Pausing | PrinterState::Paused => "paused",
                state if state.is_active() => "printing",
                _ => "error",
            };
            assert_eq!(read(&state_flags(state)), expected, "{state:?}");
        }
    }

    #[test]
    fn the_text_of_every_known_state_is_read_as_that_state() {
        for state in PrinterState::ALL {
            let expected = if state == PrinterState::Unknown { PrinterState::Offline } else { state };
            assert_eq!(PrinterState::from_text(state_text(state)), expected);
        }
    }
}
