//! The pages for the farm's staff.

use axum::Router;
use tokio_util::sync::CancellationToken;

use crate::service::Services;

/// Every page. Streams end when `stop` falls.
pub fn router(services: Services, stop: CancellationToken) -> Router {
    let _ = stop;
    Router::new().with_state(services)
}
