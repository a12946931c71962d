//! Request timeout. A request without a response in time gets an error instead of holding its connection.
//!
//! Only the time until the response starts counts, so streams and downloads may last longer. The API and the pages
//! render the error in their own format.

use std::time::Duration;

use axum::{
    extract::{MatchedPath, Request},
    middleware::Next,
    response::Response,
};

use super::bounds::Bounds;
use crate::service::Services;

/// Routes of uploads and lists of files. They take as long as the slowest connection involved.
const TRANSFERS: [&str; 2] = ["/api/v1/printers/{id}/files", "/printers/{id}/files"];

/// The timeout while the database is known to be unavailable, because its statements would wait in vain.
const DATABASE_AWAY: Duration = Duration::from_secs(5);

/// Returns whether a route transfers a file to a printer, or reads the printer's list of files.
pub fn is_transfer(route: Option<&str>) -> bool {
    route.is_some_and(|route| TRANSFERS.contains(&route))
}

/// Returns the response, or `None` after the timeout. The handler is dropped then, as after a client disconnect.
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
            tracing::warn!(seconds = patience.as_secs(), "a request timed out");
            None
        }
    }
}
