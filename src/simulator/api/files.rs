//! `/api/files`, except the upload.

use axum::{
    Json,
    extract::{Path, Query},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::json;

use super::extract::{ErrorResponse, JsonBody, RequestPrinter, accepted_response};
use crate::simulator::{
    bodies,
    config::Flavor,
    machine::{CANNOT_SELECT, JobCommand, PushEvent},
    printer::PrinterInner,
};

/// `?recursive=true`.
#[derive(Deserialize)]
pub struct FilesQuery {
    #[serde(default)]
    recursive: String,
}

/// `GET /api/files`, with a strong ETag that a print changes too.
pub async fn list_files(
    RequestPrinter(printer): RequestPrinter,
    Query(query): Query<FilesQuery>,
    headers: HeaderMap,
) -> Response {
    let recursive = matches!(query.recursive.as_str(), "true" | "1" | "yes" | "y");
    let flavor = printer.context().flavor;
    let version = printer.with_inner(|inner, _| inner.files.version());
    let etag = format!("\"{}-{version}-{}\"", printer.name(), u8::from(recursive));
    let client_etags = headers.get(header::IF_NONE_MATCH).and_then(|known| known.to_str().ok());
    if client_etags.is_some_and(|known| known.split(',').any(|known| known.trim() == etag)) {
        return (StatusCode::NOT_MODIFIED, [(header::ETAG, etag)]).into_response();
    }
    let body = printer.with_inner(|inner, _| bodies::files_body(&inner.files, printer.url(), flavor, recursive));
    ([(header::ETAG, etag)], Json(body)).into_response()
}

/// `GET /api/files/local/<path>`.
pub async fn get_file(
    RequestPrinter(printer): RequestPrinter,
    Path(path): Path<String>,
) -> Result<Response, ErrorResponse> {
    let (flavor, url) = (printer.context().flavor, printer.url());
    printer.with_inner(|inner, _| {
        let body = match inner.files.get(&path) {
            Some(entry) => bodies::file_body(&path, entry, url, flavor),
            None if inner.files.folders().any(|folder| folder == path) => {
                bodies::folder_body(&inner.files, &path, url, flavor, true)
            }
            None if flavor == Flavor::V1_11 && has_missing_parent(inner, &path) => {
                return Err(ErrorResponse::new(500, "The server encountered an internal error"));
            }
            None => return Err(ErrorResponse::not_found()),
        };
        Ok(Json(body).into_response())
    })
}

/// `POST /api/files/local/<path>`: `select` and `unselect`.
pub async fn run_file_command(
    RequestPrinter(printer): RequestPrinter,
    Path(path): Path<String>,
    body: JsonBody,
) -> Result<Response, ErrorResponse> {
    let print = body.is_true("print");
    printer.with_inner(|inner, now| match body.text_field("command") {
        Some("select") => {
            let Some(file) = inner.files.to_selected(&path) else { return Err(ErrorResponse::not_found()) };
            if !inner.machine.select(file) {
                return Err(ErrorResponse::new(409, CANNOT_SELECT));
            }
            if print {
                // The start cannot be refused here: the selection succeeded, so the printer is idle.
                let _ = inner.machine.run_command(JobCommand::Start, now);
            }
            Ok(accepted_response(true))
        }
        Some("unselect") => {
            let selected = inner.machine.selected().is_some_and(|file| path == "current" || file.path == path);
            if selected && inner.machine.unselect() {
                return Ok(accepted_response(true));
            }
            let html = "<!doctype html>\n<title>409 Conflict</title>\n<p>Only the currently selected file can be unselected</p>\n";
            Ok((StatusCode::CONFLICT, axum::response::Html(html)).into_response())
        }
        _ => Err(ErrorResponse::invalid_command()),
    })
}

/// `DELETE /api/files/local/<path>`, files and folders.
pub async fn delete_file(
    RequestPrinter(printer): RequestPrinter,
    Path(path): Path<String>,
) -> Result<Response, ErrorResponse> {
    printer.with_inner(|inner, _| {
        if is_printing_path(inner, &path) {
            return Err(ErrorResponse::new(409, "Trying to delete a file that is currently in use"));
        }
        if !inner.files.remove(&path) {
            return Err(ErrorResponse::not_found());
        }
        let selected = inner.machine.selected().map(|file| file.path.clone());
        if selected.is_some_and(|selected| inner.files.get(&selected).is_none()) {
            inner.machine.unselect();
        }
        inner.hub.publish(&PushEvent { kind: "UpdatedFiles", payload: json!({"type": "printables"}) });
        Ok(accepted_response(true))
    })
}

/// Returns whether a path is in a folder that does not exist.
fn has_missing_parent(inner: &PrinterInner, path: &str) -> bool {
    path.rsplit_once('/').is_some_and(|(parent, _)| !inner.files.folders().any(|folder| folder == parent))
}

/// Returns whether this is the file that prints, or a folder that contains it.
pub fn is_printing_path(inner: &PrinterInner, path: &str) -> bool {
    let busy = inner.machine.state().is_busy();
    busy && inner.machine.selected().is_some_and(|file| {
        file.path == path || file.path.strip_prefix(path).is_some_and(|below| below.starts_with('/'))
    })
}
