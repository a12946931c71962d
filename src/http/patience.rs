//! How long a request may take to be answered. What hangs is told so, instead of holding a connection for ever.
//!
//! Only the time until the answer begins counts, so streams and downloads go on for as long as they like. Each side of
//! the house words the refusal in its own skin.

use std::time::Duration;

use axum::{
    extract::{MatchedPath, Request},
    middleware::Next,
    response::Response,
};

use super::bounds::Bounds;
use crate::service::Services;

/// Routes of uploads and of lists of files, which take as long as the slowest line on their way.
const TRANSFERS: [&str; 2] = ["/api/v1/printers/{id}/files", "/printers/{id}/files"];

/// The timeout while the database is known not to work: its statements would wait for nothing.
const DATABASE_AWAY: Duration = Duration::from_secs(5);

/// It passes on a file to a printer, or the printer's list of files.
pub fn is_transfer(route: Option<&str>) -> bool {
    route.is_some_and(|route| TRANSFERS.contains(&route))
}

/// The answer; `None` when it did not come in time. What the handler was doing is dropped, as when a client goes.
pub async fn within(services: &Services, bounds: Bounds, request: Request, next: Next) -> Option<Response> {
    let route = request.extensions().get::<MatchedPath>();
    let is_transfer = is_transfer(route.map(MatchedPath::as_str));
    let is_away = !services.is_database_ok();
    let patience = match (is_transfer, is_away) {
        (true, _) => bounds.transfer_within,
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
