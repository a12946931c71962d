//! Files of the library in the API.

mod body;
pub(in crate::http) mod content;
mod upload;

use std::sync::Arc;

use axum::{
    Json,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{AppendHeaders, IntoResponse, Response},
};
use chrono::{DateTime, Utc};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use self::{
    body::{FileBody, FileFolderBody, FilePatchBody, FileUploadForm},
    upload::ReceivedFile,
};
use super::{
    list::{
        export,
        page::{self, Page, limit_plus_one},
    },
    middleware::{
        authentication::{Operator, Viewer},
        idempotency::{UploadKey, replay_header},
    },
    openapi::Paging,
    problem::{Problem, ProblemBody},
    request::extract::{MergePatch, NoQuery, PathId, QueryParams, check_if_match},
};
use crate::{
    domain::{
        file::{FileFilter, LibraryFile, normalize_folder},
        idempotency::KeyBinding,
    },
    service::{Error, Services, access::Principal},
};

const LIST: &str = "library";

/// Routes of this resource.
pub fn routes() -> OpenApiRouter<Services> {
    OpenApiRouter::new()
        .routes(routes!(list_files, upload_file))
        .routes(routes!(list_file_folders))
        .routes(routes!(get_file, update_file, delete_file))
        .routes(routes!(content::get_file_content))
        .routes(routes!(content::get_file_thumbnail))
}

/// Lists the files of the library, the newest content first.
///
/// A null, and an empty list, mean that the file does not say.
#[utoipa::path(get, path = "/files", tag = "library", params(
    ("q" = Option<String>, Query, description = "A part of the name or the folder."),
    ("folder" = Option<String>, Query, description = "Only files directly in this folder. `/` is the top folder."),
    ("sha256" = Option<String>, Query, description = "Only files with this content."),
    ("slicer" = Option<String>, Query, description = "Name of the slicer, as in `PrusaSlicer`."),
    ("printer_model" = Option<String>, Query, description = "Model of the printer, as in `MK4`."),
    Paging,
), responses((status = OK, content(
    (Page<FileBody> = "application/json"), (FileBody = "application/x-ndjson"), (String = "text/csv"),
))))]
async fn list_files(
    who: Viewer,
    mut params: QueryParams,
    State(services): State<Services>,
) -> Result<Response, Problem> {
    let request = params.list_request::<(DateTime<Utc>, Uuid)>(LIST);
    let filter = FileFilter {
        text: params.text("q"),
        folder: params.text("folder").map(|folder| normalize_folder(&folder)),
        sha256: params.text("sha256").map(|sha256| sha256.to_lowercase()),
        slicer: params.text("slicer"),
        printer_model: params.text("printer_model"),
    };
    params.finish()?;
    let position = |file: &LibraryFile| (file.updated_at, file.id);
    let page = move |after, limit| {
        let (services, who, filter) = (services.clone(), who.0.clone(), filter.clone());
        async move {
            let found = services.list_library(&who, &filter, after, limit_plus_one(limit)).await?;
            Ok(page::cut_page(found, limit, position, FileBody::from))
        }
    };
    export::respond_with_list(LIST, request, page).await
}

/// Adds a file to the library; at most 1 GiB.
///
/// The content is stored once, under its SHA-256. A file with this folder and name gets the new content and keeps its id;
/// orders and batches keep the content that they were made with. `folder` may be a part of the form before the file, or a
/// query parameter.
#[utoipa::path(post, path = "/files", tag = "library", params(
    ("folder" = Option<String>, Query, description = "Replaces the part `folder`."),
), request_body(content = FileUploadForm, content_type = "multipart/form-data"), responses(
    (status = CREATED, description = "The file is new, or has a new content", body = FileBody, headers(
        ("Location", description = "Path of the file."), ("ETag", description = "The version, for `If-Match`."),
    )),
    (status = OK, description = "The library had this file with this content", body = FileBody),
    (status = UNSUPPORTED_MEDIA_TYPE, description = "`unknown_format`: not G-code, or damaged"),
    (status = INSUFFICIENT_STORAGE, description = "`files_quota_exceeded`, `disk_full`", body = ProblemBody,
        content_type = "application/problem+json"),
))]
async fn upload_file(
    who: Operator,
    mut params: QueryParams,
    State(services): State<Services>,
    request: Request,
) -> Result<Response, Problem> {
    let folder = params.text("folder");
    params.finish()?;
    let upload_key = request.extensions().get::<UploadKey>().cloned();
    let ReceivedFile { content, folder, name } = upload::receive_form(&services, &who.0, folder, request).await?;
    let key = upload_key.map(|key| key.with_content(&format!("{folder}/{name}"), &content.sha256));
    if let Some(key) = &key
        && let Some(bound) = services.find_first_response(key).await?
    {
        return replay_upload(&services, &who.0, &bound).await;
    }
    let who = Principal { idempotency_key: key.clone().map(Arc::new), ..who.0 };
    let stored = services.store_file(&who, content, &folder, &name).await?;
    let status = if stored.is_new { StatusCode::CREATED } else { StatusCode::OK };
    // A request that changed nothing binds no key: its repetition changes nothing either.
    if let Some(key) = key.filter(|_| stored.is_new)
        && let Err(error) = services.store_response(&key, status.as_u16(), None).await
    {
        tracing::error!(?error, "the answer to an upload with an idempotency key could not be stored");
    }
    let location = [(header::LOCATION, file_path(stored.file.id))];
    Ok((status, location, respond_with_file(stored.file)).into_response())
}

/// Answers a repeated upload with the first status and the current file.
async fn replay_upload(services: &Services, who: &Principal, bound: &KeyBinding) -> Result<Response, Problem> {
    let id = bound.location.as_deref().and_then(|location| location.rsplit('/').next()?.parse().ok());
    let id = id.ok_or_else(|| Error::Internal("a replay could not be answered: no file is bound".to_owned()))?;
    let status = bound.status.and_then(|status| StatusCode::from_u16(status).ok()).unwrap_or(StatusCode::CREATED);
    let file = services.file(who, id).await?;
    let headers = [replay_header(), (header::LOCATION, location_header(id)?)];
    Ok((status, AppendHeaders(headers), respond_with_file(file)).into_response())
}

fn location_header(id: Uuid) -> Result<HeaderValue, Error> {
    HeaderValue::from_str(&file_path(id)).map_err(|_| Error::Internal("a location is not a header".to_owned()))
}

/// Lists the folders that contain files.
///
/// The list is complete: there are no further pages.
#[utoipa::path(get, path = "/files/folders", tag = "library", responses((status = OK, body = Page<FileFolderBody>)))]
async fn list_file_folders(
    who: Viewer,
    _: NoQuery,
    State(services): State<Services>,
) -> Result<Json<Page<FileFolderBody>>, Problem> {
    let folders = services.list_folders(&who.0).await?;
    Ok(Json(Page { items: folders.into_iter().map(FileFolderBody::from).collect(), next_cursor: None }))
}

/// Reads what a file says about itself.
///
/// The fields contain the corrections in `overrides`.
#[utoipa::path(get, path = "/files/{id}", tag = "library", params(("id" = Uuid, Path)), responses(
    (status = OK, body = FileBody, headers(("ETag", description = "The version, for `If-Match`."))),
))]
async fn get_file(
    who: Viewer,
    _: NoQuery,
    PathId(id): PathId,
    State(services): State<Services>,
) -> Result<Response, Problem> {
    Ok(respond_with_file(services.file(&who.0, id).await?))
}

/// Changes name, folder or corrections of a file by a JSON merge patch. `application/json` is accepted, too.
///
/// `overrides` corrects what the file says about itself. A field that is null there is as the file says. A new content
/// under the name ends the corrections.
#[utoipa::path(patch, path = "/files/{id}", tag = "library", params(
    ("id" = Uuid, Path),
    ("If-Match" = Option<String>, Header, description = "The `ETag` of the version to change, or `*`."),
), request_body(content = FilePatchBody, content_type = "application/merge-patch+json"), responses(
    (status = OK, body = FileBody, headers(("ETag", description = "The new version."))),
    (status = CONFLICT, description = "`name_taken`: the folder has a file with this name", body = ProblemBody,
        content_type = "application/problem+json"),
    (status = PRECONDITION_FAILED, description = "`stale`: it was changed in the meantime", body = ProblemBody,
        content_type = "application/problem+json"),
))]
async fn update_file(
    who: Operator,
    _: NoQuery,
    PathId(id): PathId,
    State(services): State<Services>,
    headers: HeaderMap,
    MergePatch(body): MergePatch<FilePatchBody>,
) -> Result<Response, Problem> {
    let before = services.file(&who.0, id).await?;
    let patch = body.into_patch(&before.overrides)?;
    let if_match = check_if_match(&headers, async { Ok(before.version) }).await?;
    Ok(respond_with_file(services.patch_file(&who.0, id, if_match, patch).await?))
}

/// Removes a file from the library.
///
/// Its content is deleted later, also from the printers to which Printyard sent it.
#[utoipa::path(delete, path = "/files/{id}", tag = "library", params(
    ("id" = Uuid, Path),
    ("If-Match" = Option<String>, Header, description = "The `ETag` of the version to remove, or `*`."),
), responses(
    (status = NO_CONTENT),
    (status = CONFLICT, description = "`file_in_use`: a batch that has not ended needs it", body = ProblemBody,
        content_type = "application/problem+json"),
    (status = PRECONDITION_FAILED, description = "`stale`: it was changed in the meantime", body = ProblemBody,
        content_type = "application/problem+json"),
))]
async fn delete_file(
    who: Operator,
    _: NoQuery,
    PathId(id): PathId,
    State(services): State<Services>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    let version = async { Ok(services.file(&who.0, id).await?.version) };
    let if_match = check_if_match(&headers, version).await?;
    services.remove_file(&who.0, id, if_match).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn respond_with_file(file: LibraryFile) -> Response {
    let etag = format!("\"v{}\"", file.version);
    ([(header::ETAG, etag)], Json(FileBody::from(file))).into_response()
}

fn file_path(id: Uuid) -> String {
    format!("/api/v1/files/{id}")
}
