//! The REST API, version 1: the contract that ERP systems rely on.

use axum::{Router, routing::get};

use crate::service::Services;

/// Every route of the API.
pub fn router(services: Services) -> Router {
    Router::new().route("/healthz", get(|| async { "ok" })).with_state(services)
}
