//! HTTP layer, the only module that uses axum: `api/` serves JSON to programs, `dashboard/` serves HTML to people.
//!
//! Handlers validate the syntax, call one use case, and convert its result to a response. Errors are converted to HTTP
//! last, in two formats: problem+json below `/api`, a page elsewhere.

pub mod api;
pub mod auth;
pub mod bounds;
mod compression;
pub mod csv;
pub mod dashboard;
pub mod diagnosis;
mod etag;
mod keyed_limit;
mod messages;
pub mod peer;
pub mod request;
mod security_headers;
mod serve;
pub mod standby;
mod timeout;
pub mod tls;
mod unread_body;
mod write_timeout;

use axum::{
    Router,
    middleware::{from_fn, from_fn_with_state},
};
use tokio_util::sync::CancellationToken;

pub use self::serve::serve;
use self::{api::limits::Limits, bounds::Bounds, peer::Proxies};
use crate::service::Services;

/// Returns the router of the whole server. Its outer layers handle unread bodies, request ids, clients and security
/// headers.
pub fn router(services: Services, limits: Limits, bounds: Bounds, proxies: Proxies, stop: CancellationToken) -> Router {
    Router::new()
        .merge(api::router(services.clone(), limits, bounds))
        .merge(dashboard::router(services, bounds, stop))
        .layer(from_fn(security_headers::wear))
        .layer(from_fn_with_state(proxies, peer::introduce))
        .layer(from_fn(request::identify))
        .layer(from_fn(unread_body::discard))
}
