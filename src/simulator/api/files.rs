//! `/api/files`, except the upload.

use axum::{
    Json,
    extract::{Path, Query},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::json;

use super::{At, Body, Refused, accepted};
use crate::simulator::{
    bodies,
    machine::{CANNOT_SELECT, Event, JobCommand},
    printer::Inner,
};

/// `?recursive=true`.
#[derive(Deserialize)]
pub struct Wanted {
    #[serde(default)]
    recursive: String,
}

/// `GET /api/files`, with a strong ETag that a print changes too.
pub async fn list(At(printer): At, Query(wanted): Query<Wanted>, headers: HeaderMap) -> Response {
    let recursive = matches!(wanted.recursive.as_str(), "true" | "1" | "yes" | "y");
    let flavor = printer.common().flavor;
    let version = printer.with(|inner, _| inner.files.version());
    let tag = format!("\"{}-{version}-{}\"", printer.name(), u8::from(recursive));
    let known = headers.get(header::IF_NONE_MATCH).and_then(|known| known.to_str().ok());
    if known.is_some_and(|known| known.split(',').any(|known| known.trim() == tag)) {
        return (StatusCode::NOT_MODIFIED, [(header::ETAG, tag)]).into_response();
    }
    let body = printer.with(|inner, _| bodies::files(&inner.files, printer.url(), flavor, recursive));
    ([(header::ETAG, tag)], Json(body)).into_response()
}

/// `GET /api/files/local/<path>`.
pub async fn show(At(printer): At, Path(path): Path<String>) -> Result<Response, Refused> {
    let (flavor, url) = (printer.common().flavor, printer.url());
    printer.with(|inner, _| {
        let body = match inner.files.get(&path) {
            Some(entry) => bodies::entry(&path, entry, url, flavor),
            None if inner.files.folders().any(|folder| folder == path) => {
                bodies::folder_entry(&inner.files, &path, url, flavor, true)
            }
            None => return Err(Refused::not_found()),
        };
        Ok(Json(body).into_response())
    })
}

/// `POST /api/files/local/<path>`: `select` and `unselect`.
pub async fn command(At(printer): At, Path(path): Path<String>, body: Body) -> Result<Response, Refused> {
    let print = body.is_true("print");
    printer.with(|inner, now| match body.text("command") {
        Some("select") => {
            let Some(file) = inner.files.selection(&path) else { return Err(Refused::not_found()) };
            if !inner.machine.select(file) {
                return Err(Refused::new(409, CANNOT_SELECT));
            }
            if print {
                // The start cannot be refused here: the selection succeeded, so the printer is idle.
                let _ = inner.machine.command(JobCommand::Start, now);
            }
            Ok(accepted(true))
        }
        Some("unselect") => {
            let selected = inner.machine.selected().is_some_and(|file| path == "current" || file.path == path);
            if selected && inner.machine.unselect() {
                return Ok(accepted(true));
            }
            let html = "<!doctype html>\n<title>409 Conflict</title>\n<p>Only the currently selected file can be unselected</p>\n";
            Ok((StatusCode::CONFLICT, axum::response::Html(html)).into_response())
        }
        _ => Err(Refused::invalid_command()),
    })
}

/// `DELETE /api/files/local/<path>`, files and folders.
pub async fn remove(At(printer): At, Path(path): Path<String>) -> Result<Response, Refused> {
    printer.with(|inner, _| {
        if is_in_print(inner, &path) {
            return Err(Refused::new(409, "Trying to delete a file that is currently in use"));
        }
        if !inner.files.remove(&path) {
            return Err(Refused::not_found());
        }
        let selected = inner.machine.selected().map(|file| file.path.clone());
        if selected.is_some_and(|selected| inner.files.get(&selected).is_none()) {
            inner.machine.unselect();
        }
        inner.hub.publish(&Event { kind: "UpdatedFiles", payload: json!({"type": "printables"}) });
        Ok(accepted(true))
    })
}

/// Returns whether this is the file that prints, or a folder that contains it.
pub fn is_in_print(inner: &Inner, path: &str) -> bool {
    let busy = inner.machine.state().is_busy();
    busy && inner.machine.selected().is_some_and(|file| {
        file.path == path || file.path.strip_prefix(path).is_some_and(|below| below.starts_with('/'))
    })
}
