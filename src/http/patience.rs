//! How long a request may take to be answered. What hangs is told so, instead of holding a connection for ever.
//!
//! Only the time until the answer begins counts, so streams and downloads go on for as long as they like. Each side of
//! the house words the refusal in its own skin.

use std::time::Duration;

use axum::{
    extract::{MatchedPath, Request},
    http::Method,
    middleware::Next,
    response::Response,
};

use super::bounds::Bounds;
use crate::service::Services;

/// Routes that receive or pass on large files, which take as long as the slowest line on their way.
const UPLOADS: [&str; 2] = ["/api/v1/printers/{id}/files", "/printers/{id}/files"];

/// The timeout while the database is known not to work: its statements would wait for nothing.
const DATABASE_AWAY: Duration = Duration::from_secs(5);

/// It receives or passes on a large file.
pub fn is_upload(method: &Method, route: Option<&str>) -> bool {
    method == Method::POST && route.is_some_and(|route| UPLOADS.contains(&route))
}

/// The answer; `None` when it did not come in time. What the handler was doing is dropped, as when a client goes.
pub async fn within(services: &Services, bounds: Bounds, request: Request, next: Next) -> Option<Response> {
    let route = request.extensions().get::<MatchedPath>();
    let is_upload = is_upload(request.method(), route.map(MatchedPath::as_str));
    let is_away = !services.is_database_ok();
    let patience = match (is_upload, is_away) {
        (true, _) => bounds.upload_within,
        (false, true) => bounds.answer_within.min(DATABASE_AWAY),
        (false, false) => bounds.answer_within,
    };
    match tokio::time::timeout(patience, next.run(request)).await {
        Ok(response) => Some(response),
        Err(_) => {
            tracing::warn!(seconds = patience.as_secs(), "a request was not answered in time");
            None
        }
    }
}
