//! Proxy for single images of a printer's camera.

use axum::{
    extract::State,
    http::{HeaderName, HeaderValue, header},
    response::{IntoResponse, Response},
};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    http::api::{
        middleware::authentication::Viewer,
        problem::Problem,
        request::extract::{NoQuery, PathId},
    },
    service::Services,
};

/// Routes of this resource.
pub fn routes() -> OpenApiRouter<Services> {
    OpenApiRouter::new().routes(routes!(get_printer_snapshot))
}

/// The bytes of an image, as the camera sent them.
#[derive(utoipa::ToSchema)]
#[schema(value_type = String, format = Binary)]
#[expect(dead_code, reason = "it describes the answer for the document")]
struct SnapshotImage(Vec<u8>);

/// Returns one image of the printer's camera.
///
/// The server fetches the image on each request, within a few seconds.
#[utoipa::path(get, path = "/printers/{id}/snapshot", tag = "printers", params(("id" = Uuid, Path)), responses(
    (status = OK, description = "The image", content_type = "image/*", body = inline(SnapshotImage)),
    crate::http::api::openapi::PrinterErrors,
))]
async fn get_printer_snapshot(
    who: Viewer,
    _: NoQuery,
    PathId(id): PathId,
    State(services): State<Services>,
) -> Result<Response, Problem> {
    let image = services.snapshot(&who.0, id).await?;
    let unknown = HeaderValue::from_static("application/octet-stream");
    let content_type = HeaderValue::from_str(&image.content_type).unwrap_or(unknown);
    // The camera's response is untrusted. These headers make a browser show an image or nothing.
    let confined = HeaderValue::from_static("default-src 'none'; sandbox");
    let headers: [(HeaderName, HeaderValue); 2] =
        [(header::CONTENT_TYPE, content_type), (header::CONTENT_SECURITY_POLICY, confined)];
    Ok((headers, image.bytes).into_response())
}
