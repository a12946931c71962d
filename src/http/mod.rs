//! The only module that knows axum: `api/` speaks JSON to programs, `dashboard/` speaks HTML to people.
//!
//! Handlers hold syntax against the contract, call one use case, and turn its result into an answer. Errors become
//! HTTP here, last, in two skins: problem+json below `/api`, a page elsewhere.

pub mod api;
pub mod auth;
pub mod dashboard;
pub mod request;

use std::{future::Future, io, time::Duration};

use axum::{Router, middleware::from_fn};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use self::api::limits::Limits;
use crate::service::Services;

/// How long requests under way may take to end when the server ends.
const DRAIN: Duration = Duration::from_secs(10);

/// The whole site.
pub fn router(services: Services, limits: Limits, stop: CancellationToken) -> Router {
    Router::new()
        .merge(api::router(services.clone(), limits))
        .merge(dashboard::router(services, stop))
        .layer(from_fn(request::identify))
}

/// Serves until `stop` falls, then lets requests under way end, for a bounded time.
pub async fn serve(listener: TcpListener, router: Router, stop: CancellationToken) -> io::Result<()> {
    let token = stop.clone();
    let server = axum::serve(listener, router).with_graceful_shutdown(async move { token.cancelled().await });
    bounded(server.into_future(), stop).await
}

async fn bounded(server: impl Future<Output = io::Result<()>>, stop: CancellationToken) -> io::Result<()> {
    tokio::select! {
        ended = server => ended,
        () = async { stop.cancelled().await; tokio::time::sleep(DRAIN).await } => Ok(()),
    }
}
