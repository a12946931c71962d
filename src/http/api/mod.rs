//! The REST API, version 1. Other systems, such as ERP systems, depend on it.
//!
//! A request passes these steps in order:
//!
//! * its id (`http::request`) and the client address (`http::peer`),
//! * the timeout (`http::patience`) and the problem format (`problem`),
//! * the load limit (`load`),
//! * the token and its rate limit (`caller`, `limits`),
//! * the handler: its extractors check the role first, then the query, the path and the body (`extract`).
//!
//! `documented` lists every route, and the OpenAPI document shows exactly these.

pub(in crate::http) mod audit;
mod background;
mod batch_body;
mod batch_view;
mod batches;
mod bulk;
mod caller;
mod decode;
mod event_data;
mod events;
mod export;
mod extract;
mod files;
mod finish;
mod health;
mod idempotency;
mod job;
pub mod limits;
mod load;
mod me;
mod meanings;
mod merge_patch;
mod openapi;
mod page;
mod plates;
mod prefer;
mod printer_access_body;
mod printer_body;
mod printers;
mod prints;
pub mod problem;
mod snapshot;
mod tokens;
pub mod upload;
mod upload_body;
mod users;
mod webhook_body;
mod webhook_document;
mod webhooks;

use axum::{
    Extension, Router,
    extract::{DefaultBodyLimit, Request, State},
    http::{HeaderValue, StatusCode, header},
    middleware::{Next, from_fn, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::any,
};
use tower_http::{catch_panic::CatchPanicLayer, set_header::SetResponseHeaderLayer};
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use self::{
    events::EventStreams,
    limits::{Limits, RequestRates},
    load::Load,
    problem::Problem,
};
use super::{bounds::Bounds, compression, timeout};
use crate::service::Services;

/// Returns the router with every API route.
pub fn router(services: Services, limits: Limits, bounds: Bounds) -> Router {
    let (open, closed, document) = documented();
    let bound = from_fn_with_state(Load::new(&bounds), load::bound);
    let authenticated = from_fn_with_state((services.clone(), RequestRates::new(limits)), caller::authenticate);
    let closed = closed
        .route("/api/v1", any(nothing))
        .route("/api/v1/", any(nothing))
        .route("/api/v1/{*rest}", any(nothing))
        // Each body reader has its own limit and error message.
        .layer(DefaultBodyLimit::disable())
        .layer(Extension(EventStreams::default()))
        .route_layer(from_fn_with_state(services.clone(), events::mark_lists));
    let again = closed.clone().with_state(services.clone());
    let once = from_fn_with_state((services.clone(), again), idempotency::once);
    let closed = closed.layer(once).layer(authenticated).layer(bound);
    let live = SetResponseHeaderLayer::if_not_present(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let literal =
        SetResponseHeaderLayer::overriding(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    open.merge(openapi::router(&document))
        .route("/api", any(nothing))
        .route("/api/", any(nothing))
        .route("/api/{*rest}", any(nothing))
        .merge(closed)
        .layer(CatchPanicLayer::custom(problem::panicked))
        .layer(from_fn_with_state((services.clone(), bounds), in_time))
        .layer(from_fn(problem::dress))
        .layer(from_fn(compression::compress))
        .layer(live)
        .layer(literal)
        .with_state(services)
}

/// Returns the public routes, the routes that need a token, and the OpenAPI document of both.
fn documented() -> (Router<Services>, Router<Services>, OpenApi) {
    let version_1 = OpenApiRouter::new()
        .merge(printers::routes())
        .merge(bulk::routes())
        .merge(job::routes())
        .merge(files::routes())
        .merge(snapshot::routes())
        .merge(batches::routes())
        .merge(plates::routes())
        .merge(prints::routes())
        .merge(tokens::routes())
        .merge(users::routes())
        .merge(audit::routes())
        .merge(events::routes())
        .merge(webhooks::routes())
        .merge(me::routes())
        .merge(background::routes());
    let closed = OpenApiRouter::with_openapi(openapi::frame()).nest("/api/v1", version_1).merge(health::metrics());
    let (closed, mut document) = closed.split_for_parts();
    let (open, health) = health::routes().split_for_parts();
    document.merge(health);
    finish::finish(&mut document);
    webhook_document::add(&mut document);
    (open, closed, document)
}

/// Responds with 503 to a request that exceeds its timeout. The client may retry.
async fn in_time(State((services, bounds)): State<(Services, Bounds)>, request: Request, next: Next) -> Response {
    match timeout::within(&services, bounds, request, next).await {
        Some(response) => response,
        None if !services.is_database_ok() => Problem::database_away().into_response(),
        None => {
            let detail = "The request was not answered in time. What it was to do may have been done.";
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "answer_timeout", detail).into_response()
        }
    }
}

/// Responds to unknown paths.
async fn nothing() -> Problem {
    Problem::not_found("path")
}
