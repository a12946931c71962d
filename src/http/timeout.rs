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

use super::limits::ServerLimits;
use crate::service::Services;

/// Routes of uploads and lists of files. They take as long as the slowest connection involved.
const TRANSFER_ROUTES: [&str; 8] = [
    "/api/v1/printers/{id}/files",
    "/printers/{id}/files",
    "/api/v1/files",
    "/files/upload",
    "/octoprint/api/files/local",
    "/octoprint/printers/{name}/api/files/local",
    "/octoprint/tags/{tag}/api/files/local",
    "/octoprint/parts/{number}/api/files/local",
];

/// The timeout while the database is known to be unavailable, because its statements would wait in vain.
const DATABASE_DOWN_TIMEOUT: Duration = Duration::from_secs(5);

/// Returns whether a route transfers a file to a printer, or reads the printer's list of files.
pub fn is_transfer(route: Option<&str>) -> bool {
    route.is_some_and(|route| TRANSFER_ROUTES.contains(&route))
}

/// Returns the response, or `None` after the timeout. The handler is dropped then, as after a client disconnect.
pub async fn run_with_timeout(
    services: &Services,
    limits: ServerLimits,
    request: Request,
    next: Next,
) -> Option<Response> {
    let route = request.extensions().get::<MatchedPath>();
    let is_transfer = is_transfer(route.map(MatchedPath::as_str));
    let is_database_down = !services.is_database_ok();
    let timeout = match (is_transfer, is_database_down) {
        (true, _) => limits.transfer_timeout,
        (false, true) => limits.response_timeout.min(DATABASE_DOWN_TIMEOUT),
        (false, false) => limits.response_timeout,
    };
    match tokio::time::timeout(timeout, next.run(request)).await {
        Ok(response) => Some(response),
        Err(_) => {
            tracing::warn!(seconds = timeout.as_secs(), "a request timed out");
            None
        }
    }
}
