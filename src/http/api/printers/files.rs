//! Files on a printer.

use axum::{
    Json,
    extract::{Request, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::upload;
use crate::{
    domain::{command::FileRef, printer_file::FileEntry},
    http::api::{
        list::page::{self, Page},
        middleware::authentication::{Operator, Viewer},
        problem::{Problem, ProblemBody},
        request::extract::{JsonBody, NoQuery, PathId, PathParams, QueryParams},
    },
    service::Services,
};

const LIST: &str = "files";

/// Routes of this resource.
pub fn routes() -> OpenApiRouter<Services> {
    OpenApiRouter::new()
        .routes(routes!(list_printer_files, upload_printer_file))
        .routes(routes!(select_printer_file))
        .routes(routes!(delete_printer_file))
}

/// A file on a printer.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PrinterFile)]
struct PrinterFileBody {
    /// With folders, separated by `/`. A file is identified by `origin` and `path` together.
    path: String,
    /// `local`, `sdcard` or `printer`.
    origin: String,
    name: String,
    /// Bytes.
    size: Option<u64>,
    /// When OctoPrint received the file.
    date: Option<DateTime<Utc>>,
    estimated_print_time_s: Option<f64>,
    /// Number of completed prints of this file on this printer.
    prints_done: u64,
    /// Number of failed or cancelled prints of this file.
    prints_failed: u64,
}

impl From<FileEntry> for PrinterFileBody {
    fn from(file: FileEntry) -> Self {
        Self {
            path: file.path,
            origin: file.origin,
            name: file.name,
            size: file.size,
            date: file.date,
            estimated_print_time_s: file.estimated_print_time_s,
            prints_done: file.prints.success,
            prints_failed: file.prints.failure,
        }
    }
}

/// Lists the files of a printer, by path.
///
/// The list is read from the printer now, so the response takes as long as the printer needs. 504 if the printer sends
/// nothing for 120 s.
#[utoipa::path(get, path = "/printers/{id}/files", tag = "files", params(("id" = Uuid, Path), crate::http::api::openapi::Paging),
    responses((status = OK, body = Page<PrinterFileBody>), crate::http::api::openapi::PrinterErrors))]
async fn list_printer_files(
    who: Viewer,
    mut params: QueryParams,
    PathId(id): PathId,
    State(services): State<Services>,
) -> Result<Json<Page<PrinterFileBody>>, Problem> {
    let (limit, after) = (params.limit(), params.cursor::<(String, String)>(LIST));
    params.finish()?;
    let position = |file: &FileEntry| (file.path.clone(), file.origin.clone());
    let mut files = services.list_files(&who.0, id).await?;
    files.sort_by_cached_key(position);
    files.retain(|file| after.as_ref().is_none_or(|after| position(file) > *after));
    Ok(Json(page::cut_page(files, limit, position, PrinterFileBody::from).into_page(LIST)))
}

/// Uploads a file to a printer; at most 1 GiB.
///
/// The server stores the file on disk until the last part has arrived, then sends it to the printer. `path` and
/// `select` may be parts of the form or query parameters.
#[utoipa::path(post, path = "/printers/{id}/files", tag = "files", params(
    ("id" = Uuid, Path),
    ("path" = Option<String>, Query, description = "Replaces the part `path`."),
    ("select" = Option<bool>, Query, description = "Replaces the part `select`."),
), request_body(content = upload::UploadForm, content_type = "multipart/form-data"), responses(
    (status = CREATED, body = upload::UploadedBody),
    (status = UNPROCESSABLE_ENTITY, description = "`file_type_refused`: OctoPrint does not accept this type of file"),
    (status = CONFLICT, description = "`already_printing`, `command_in_flight`, `not_operational`", body = ProblemBody,
        content_type = "application/problem+json"),
    crate::http::api::openapi::PrinterErrors,
))]
async fn upload_printer_file(
    who: Operator,
    mut params: QueryParams,
    PathId(id): PathId,
    State(services): State<Services>,
    request: Request,
) -> Result<Response, Problem> {
    let options = upload::UploadOptions { folder: params.text("path"), select: params.flag("select") };
    params.finish()?;
    // Checks before the body is read, which may take minutes.
    services.printer(&who.0, id).await?;
    let uploaded = upload::receive_upload(&services, &who.0, id, options, request).await?;
    Ok((StatusCode::CREATED, Json(uploaded)).into_response())
}

/// Selects a file without printing it.
///
/// A later `start` without a file prints the selected file. The request is refused while the printer has a job or a
/// command in flight.
#[utoipa::path(post, path = "/printers/{id}/files/select", tag = "files", params(("id" = Uuid, Path)),
    request_body(content = FileRef, example = json!({"path": "bracket.gcode", "origin": "local"})), responses(
    (status = NO_CONTENT),
    (status = CONFLICT, description = "`already_printing`, `command_in_flight`, `not_operational`", body = ProblemBody,
        content_type = "application/problem+json"),
    crate::http::api::openapi::PrinterErrors,
))]
async fn select_printer_file(
    who: Operator,
    _: NoQuery,
    PathId(id): PathId,
    State(services): State<Services>,
    JsonBody(file): JsonBody<FileRef>,
) -> Result<StatusCode, Problem> {
    services.select_file(&who.0, id, file).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Deletes a file from a printer.
///
/// The request is refused while the printer has a job or a command in flight.
#[utoipa::path(delete, path = "/printers/{id}/files/{origin}/{*path}", tag = "files", params(
    ("id" = Uuid, Path),
    ("origin" = String, Path, description = "`local`, `sdcard` or `printer`."),
    ("path" = String, Path, description = "Path of the file, with its folders; slashes need no encoding."),
), responses(
    (status = NO_CONTENT),
    (status = CONFLICT, description = "`already_printing`, `command_in_flight`", body = ProblemBody,
        content_type = "application/problem+json"),
    crate::http::api::openapi::PrinterErrors,
))]
async fn delete_printer_file(
    who: Operator,
    _: NoQuery,
    parts: PathParams,
    State(services): State<Services>,
) -> Result<StatusCode, Problem> {
    let id = parts.id()?;
    let file = FileRef { path: parts.get("path").to_owned(), origin: parts.get("origin").to_owned() };
    // A URL without a file is 404: there is no input field that an error could name.
    let file = file.validate().map_err(|_| Problem::not_found("file"))?;
    services.delete_file(&who.0, id, file).await?;
    Ok(StatusCode::NO_CONTENT)
}
