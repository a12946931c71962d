//! The only module that knows axum: `api/` speaks JSON to programs, `dashboard/` speaks HTML to people.
//!
//! Handlers hold syntax against the contract, call one use case, and turn its result into an answer. Errors become
//! HTTP here, last, in two skins: problem+json below `/api`, a page elsewhere.

pub mod api;
mod armour;
pub mod auth;
pub mod bounds;
mod compression;
pub mod csv;
pub mod dashboard;
pub mod diagnosis;
mod etag;
mod keyed_limit;
mod patience;
pub mod peer;
pub mod request;
mod serve;
mod stall;
pub mod standby;
pub mod tls;
mod unread_body;

use axum::{
    Router,
    middleware::{from_fn, from_fn_with_state},
};
use tokio_util::sync::CancellationToken;

pub use self::serve::serve;
use self::{api::limits::Limits, bounds::Bounds, peer::Proxies};
use crate::service::Services;

/// The whole site. From the outside in: who asks, what every answer wears, then one of the two sides.
pub fn router(services: Services, limits: Limits, bounds: Bounds, proxies: Proxies, stop: CancellationToken) -> Router {
    Router::new()
        .merge(api::router(services.clone(), limits, bounds))
        .merge(dashboard::router(services, bounds, stop))
        .layer(from_fn(armour::wear))
        .layer(from_fn_with_state(proxies, peer::introduce))
        .layer(from_fn(request::identify))
        .layer(from_fn(unread_body::discard))
}
