//! HTTP layer, the only module that uses axum: `api/` serves JSON to programs, `dashboard/` serves HTML to people.
//!
//! Handlers validate the syntax, call one use case, and convert its result to a response. Errors are converted to HTTP
//! last, in two formats: problem+json below `/api`, a page elsewhere. Slicers, below `/octoprint`, get one sentence of text.

pub mod api;
pub mod auth;
pub mod client_address;
mod compression;
pub mod csv;
pub mod dashboard;
pub mod diagnosis;
mod etag;
mod keyed_limit;
pub mod limits;
pub mod messages;
mod metered_body;
mod multipart;
mod octoprint_api;
pub mod request_id;
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
use self::{
    api::middleware::{
        overload::OverloadLimits,
        rate_limit::{RateLimit, RequestRates},
    },
    client_address::TrustedProxies,
    limits::ServerLimits,
};
use crate::service::Services;

/// Returns the router of the whole server. Its outer layers handle unread bodies, request ids, clients and security
/// headers.
pub fn router(
    services: Services,
    rate_limit: RateLimit,
    server_limits: ServerLimits,
    proxies: TrustedProxies,
    stop: CancellationToken,
) -> Router {
    let (rates, overload) = (RequestRates::new(rate_limit), OverloadLimits::new(&server_limits));
    Router::new()
        .merge(api::router(services.clone(), rates.clone(), overload.clone(), server_limits))
        .merge(octoprint_api::router(services.clone(), rates, overload, server_limits))
        .merge(dashboard::router(services, server_limits, stop))
        .layer(from_fn(security_headers::add_security_headers))
        .layer(from_fn_with_state(proxies, client_address::resolve_client))
        .layer(from_fn(request_id::assign_request_id))
        .layer(from_fn(unread_body::discard_unread_body))
}
