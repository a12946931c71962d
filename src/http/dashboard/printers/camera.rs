//! Single images of a printer's camera.

use axum::{
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};

use crate::http::dashboard::{
    Dashboard,
    messages::text_of,
    page::{Failure, PathUuid, Visitor},
};

/// Returns one image. On an error, the response text is the message that replaces the image.
pub(in crate::http::dashboard) async fn show_picture(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    PathUuid(id): PathUuid,
) -> Result<Response, Failure> {
    Ok(match dashboard.services.camera_picture(&who, id).await? {
        Ok(shot) => {
            let kind = HeaderValue::from_str(&shot.picture.content_type).map_err(|_| Failure::internal())?;
            let at = HeaderValue::from_str(&shot.at.to_rfc2822().replace("+0000", "GMT"))
                .map_err(|_| Failure::internal())?;
            ([(header::CONTENT_TYPE, kind), (header::LAST_MODIFIED, at)], shot.picture.bytes.clone()).into_response()
        }
        Err(reason) => (StatusCode::BAD_GATEWAY, text_of(&reason)).into_response(),
    })
}
