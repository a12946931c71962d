//! How long a request may take to be answered. What hangs is told so, instead of holding a connection for ever.
//!
//! Only the time until the answer begins counts, so streams and downloads go on for as long as they like. Each side of
//! the house words the refusal in its own skin.

use axum::{
    extract::{MatchedPath, Request},
    http::Method,
    middleware::Next,
    response::Response,
};

use super::bounds::Bounds;

/// Routes that receive or pass on large files, which take as long as the slowest line on their way.
const UPLOADS: [&str; 2] = ["/api/v1/printers/{id}/files", "/printers/{id}/files"];

/// It receives or passes on a large file.
pub fn is_upload(method: &Method, route: Option<&str>) -> bool {
    method == Method::POST && route.is_some_and(|route| UPLOADS.contains(&route))
}

/// The answer; `None` when it did not come in time. What the handler was doing is dropped, as when a client goes.
pub async fn within(bounds: Bounds, request: Request, next: Next) -> Option<Response> {
    let route = request.extensions().get::<MatchedPath>();
    let is_upload = is_upload(request.method(), route.map(MatchedPath::as_str));
    let patience = if is_upload { bounds.upload_within } else { bounds.answer_within };
    match tokio::time::timeout(patience, next.run(request)).await {
        Ok(response) => Some(response),
        Err(_) => {
            tracing::warn!(seconds = patience.as_secs(), "a request was not answered in time");
            None
        }
    }
}
