//! Downloads of library files, and their pictures.

use axum::{
    extract::{Path, Query, Request, State},
    http::header,
    response::{IntoResponse, Response},
};
use serde::Deserialize;

use crate::{
    domain::printer_content::is_sha256,
    http::{
        api::files::content::respond_with_content,
        dashboard::{
            Dashboard,
            page::{Failure, PathUuid, Visitor},
        },
    },
};

/// The content of a URL never changes.
const PERMANENT: &str = "private, max-age=31536000, immutable";
/// Default and maximum size of a picture, in pixels.
const DEFAULT_SIZE: u32 = 220;
const MAX_SIZE: u32 = 2_048;

/// Query parameters of a picture.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::http::dashboard) struct ThumbnailParams {
    size: String,
}

/// Downloads a file as it was uploaded.
pub(in crate::http::dashboard) async fn download(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    PathUuid(id): PathUuid,
    request: Request,
) -> Result<Response, Failure> {
    let file = dashboard.services.file(&who, id).await?;
    respond_with_content(&dashboard.services, &file, request).await.map_err(Failure::from_problem)
}

/// Returns the picture of a content. Browsers cache it.
pub(in crate::http::dashboard) async fn show_thumbnail(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    Path(sha256): Path<String>,
    Query(params): Query<ThumbnailParams>,
) -> Result<Response, Failure> {
    if !is_sha256(&sha256) {
        return Err(Failure::page_not_found());
    }
    let size = params.size.parse().unwrap_or(DEFAULT_SIZE).min(MAX_SIZE);
    let png = dashboard.services.content_thumbnail(&who, &sha256, size).await?;
    let headers = [(header::CONTENT_TYPE, "image/png"), (header::CACHE_CONTROL, PERMANENT)];
    Ok((headers, png).into_response())
}
