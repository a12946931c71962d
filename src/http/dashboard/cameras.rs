//! Single images of a printer's camera.

use axum::{
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};

use super::{
    Dashboard,
    language::said,
    page::{Failure, Id, Visitor},
};

/// Returns one image. On an error, the response text is the message that replaces the image.
pub(super) async fn picture(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    Id(id): Id,
) -> Result<Response, Failure> {
    Ok(match dashboard.services.look_at(&who, id).await? {
        Ok(shot) => {
            let kind = HeaderValue::from_str(&shot.picture.content_type).map_err(|_| Failure::internal())?;
            let at = HeaderValue::from_str(&shot.at.to_rfc2822().replace("+0000", "GMT"))
                .map_err(|_| Failure::internal())?;
            ([(header::CONTENT_TYPE, kind), (header::LAST_MODIFIED, at)], shot.picture.bytes.clone()).into_response()
        }
        Err(why) => (StatusCode::BAD_GATEWAY, said(&why)).into_response(),
    })
}
