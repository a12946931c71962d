//! The content of a file, and its picture.

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use tower::ServiceExt;
use tower_http::services::ServeFile;
use utoipa::ToSchema;

use crate::{
    domain::file::{FileFormat, LibraryFile},
    http::api::{
        middleware::authentication::Viewer,
        problem::Problem,
        request::extract::{NoQuery, PathId, QueryParams},
    },
    service::{Error, Services},
};

/// The largest thumbnail that can be asked for, in pixels.
const MAX_SIZE: u64 = 2_048;
/// Default size of a thumbnail, in pixels.
const DEFAULT_SIZE: u32 = 220;

/// Bytes of a content.
#[derive(ToSchema)]
#[schema(value_type = String, format = Binary)]
#[expect(dead_code, reason = "it describes a response for the document")]
struct ContentBytes(Vec<u8>);

/// Downloads the content of a file, as it was uploaded.
///
/// `Range` selects a part of it.
#[utoipa::path(get, path = "/files/{id}/content", tag = "library", params(
    ("id" = Uuid, Path),
    ("Range" = Option<String>, Header, description = "A part of the content, as in `bytes=0-1023`."),
), responses(
    (status = OK, description = "The content", content_type = "application/octet-stream", body = inline(ContentBytes)),
    (status = PARTIAL_CONTENT, description = "The part", content_type = "application/octet-stream",
        body = inline(ContentBytes)),
    (status = RANGE_NOT_SATISFIABLE, description = "The content has no such part"),
    (status = SERVICE_UNAVAILABLE, description = "`content_missing`: the data folder does not have the content"),
))]
pub(super) async fn get_file_content(
    who: Viewer,
    _: NoQuery,
    PathId(id): PathId,
    State(services): State<Services>,
    request: Request,
) -> Result<Response, Problem> {
    let file = services.file(&who.0, id).await?;
    respond_with_content(&services, &file, request).await
}

/// Returns the response to a request for a content.
pub(in crate::http) async fn respond_with_content(
    services: &Services,
    file: &LibraryFile,
    request: Request,
) -> Result<Response, Problem> {
    let path = services.content_path(&file.content.sha256).await?;
    let kind = match file.content.format {
        FileFormat::Gcode => "text/x.gcode",
        FileFormat::Bgcode => "application/octet-stream",
        FileFormat::Gcode3mf => "model/3mf",
    };
    let kind = kind.parse().map_err(|_| Error::Internal("a media type cannot be read".to_owned()))?;
    let etag = format!("\"{}\"", file.content.sha256);
    let (parts, _) = request.into_parts();
    let served = ServeFile::new_with_mime(path, &kind).oneshot(Request::from_parts(parts, Body::empty())).await;
    let mut response = served.unwrap_or_else(|never| match never {}).map(Body::new);
    let headers = response.headers_mut();
    let name = utf8_percent_encode(&file.name, NON_ALPHANUMERIC);
    let disposition = HeaderValue::from_str(&format!("attachment; filename*=UTF-8''{name}"));
    headers.insert(header::CONTENT_DISPOSITION, disposition.unwrap_or_else(|_| HeaderValue::from_static("attachment")));
    if let Ok(etag) = HeaderValue::from_str(&etag) {
        headers.insert(header::ETAG, etag);
    }
    // The time of the file on disk is the time of the last upload of the same bytes.
    headers.remove(header::LAST_MODIFIED);
    Ok(response)
}

/// Reads the picture of a file, as a PNG that the server encoded.
///
/// The smallest picture of at least `size` pixels, or else the largest one. 404 if the file has none.
#[utoipa::path(get, path = "/files/{id}/thumbnail", tag = "library", params(
    ("id" = Uuid, Path),
    ("size" = Option<u32>, Query, description = "Pixels; default 220.", minimum = 1, maximum = 2_048),
), responses((status = OK, description = "The picture", content_type = "image/png", body = inline(ContentBytes))))]
pub(super) async fn get_file_thumbnail(
    who: Viewer,
    mut params: QueryParams,
    PathId(id): PathId,
    State(services): State<Services>,
) -> Result<Response, Problem> {
    let size = params.number("size", 1, MAX_SIZE).and_then(|size| u32::try_from(size).ok());
    params.finish()?;
    let (file, png) = services.file_thumbnail(&who.0, id, size.unwrap_or(DEFAULT_SIZE)).await?;
    Ok(respond_with_thumbnail(&file, png))
}

/// Returns a picture as a response.
pub(in crate::http) fn respond_with_thumbnail(file: &LibraryFile, png: Vec<u8>) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "image/png".to_owned()),
        (header::ETAG, format!("\"{}\"", file.content.sha256)),
        (header::CACHE_CONTROL, "private, max-age=300".to_owned()),
    ];
    (headers, png).into_response()
}
