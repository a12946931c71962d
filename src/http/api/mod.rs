//! The REST API, version 1. Other systems, such as ERP systems, depend on it.
//!
//! A request passes these steps in order:
//!
//! * its id (`http::request_id`) and the client address (`http::client_address`),
//! * the timeout (`http::timeout`) and the problem format (`problem`),
//! * the limit of requests in progress (`middleware::overload`),
//! * the token and its rate limit (`middleware::authentication`, `middleware::rate_limit`),
//! * the handler: its extractors check the role first, then the query, the path and the body (`request::extract`).
//!
//! `documented_routes` lists every route, and the OpenAPI document shows exactly these.

pub(in crate::http) mod audit;
mod background;
mod batches;
mod copies;
mod events;
pub(in crate::http) mod files;
mod health;
mod health_parts;
mod list;
pub mod middleware;
mod openapi;
mod orders;
mod parts;
mod plan;
pub(in crate::http) mod printers;
mod prints;
pub mod problem;
pub(in crate::http) mod request;
mod users;
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
    middleware::{overload::OverloadLimits, rate_limit::RequestRates},
    problem::Problem,
};
use super::{compression, limits::ServerLimits, timeout};
use crate::service::Services;

/// Returns the router with every API route.
pub fn router(
    services: Services,
    rates: RequestRates,
    overload: OverloadLimits,
    server_limits: ServerLimits,
) -> Router {
    let (public_routes, protected_routes, document) = documented_routes();
    let limit_requests = from_fn_with_state(overload, middleware::overload::limit_requests);
    let authenticated = from_fn_with_state((services.clone(), rates), middleware::authentication::authenticate);
    let protected_routes = protected_routes
        .route("/api/v1", any(unknown_path))
        .route("/api/v1/", any(unknown_path))
        .route("/api/v1/{*rest}", any(unknown_path))
        // Each body reader has its own limit and error message.
        .layer(DefaultBodyLimit::disable())
        .layer(Extension(EventStreams::default()))
        .route_layer(from_fn_with_state(services.clone(), events::add_cursor_header));
    let replay_router = protected_routes.clone().with_state(services.clone());
    let execute_once = from_fn_with_state((services.clone(), replay_router), middleware::idempotency::execute_once);
    let protected_routes = protected_routes.layer(execute_once).layer(authenticated).layer(limit_requests);
    let no_store = SetResponseHeaderLayer::if_not_present(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let no_sniff =
        SetResponseHeaderLayer::overriding(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    public_routes
        .merge(openapi::router(&document))
        .route("/api", any(unknown_path))
        .route("/api/", any(unknown_path))
        .route("/api/{*rest}", any(unknown_path))
        .merge(protected_routes)
        .layer(CatchPanicLayer::custom(problem::panic_response))
        .layer(from_fn_with_state((services.clone(), server_limits), apply_timeout))
        .layer(from_fn(problem::render_problem))
        .layer(from_fn(compression::compress))
        .layer(no_store)
        .layer(no_sniff)
        .with_state(services)
}

/// Returns the public routes, the routes that need a token, and the OpenAPI document of both.
fn documented_routes() -> (Router<Services>, Router<Services>, OpenApi) {
    let version_1 = OpenApiRouter::new()
        .merge(printers::routes())
        .merge(printers::bulk::routes())
        .merge(printers::job::routes())
        .merge(printers::attention::routes())
        .merge(printers::files::routes())
        .merge(files::routes())
        .merge(printers::snapshot::routes())
        .merge(batches::routes())
        .merge(batches::emergency_stop::routes())
        .merge(printers::plates::routes())
        .merge(prints::routes())
        .merge(parts::routes())
        .merge(orders::routes())
        .merge(copies::routes())
        .merge(plan::routes())
        .merge(users::tokens::routes())
        .merge(users::routes())
        .merge(audit::routes())
        .merge(events::routes())
        .merge(webhooks::routes())
        .merge(users::me::routes())
        .merge(background::routes());
    let protected_routes = OpenApiRouter::with_openapi(openapi::base_document())
        .nest("/api/v1", version_1)
        .merge(health::metrics_routes());
    let (protected_routes, mut document) = protected_routes.split_for_parts();
    let (public_routes, health) = health::routes().split_for_parts();
    document.merge(health);
    openapi::common_responses::add_common_parts(&mut document);
    openapi::webhook_requests::add_webhook_request(&mut document);
    (public_routes, protected_routes, document)
}

/// Responds with 503 to a request that exceeds its timeout. The client may retry.
pub(in crate::http) async fn apply_timeout(
    State((services, limits)): State<(Services, ServerLimits)>,
    request: Request,
    next: Next,
) -> Response {
    match timeout::run_with_timeout(&services, limits, request, next).await {
        Some(response) => response,
        None if !services.is_database_ok() => Problem::database_unavailable().into_response(),
        None => {
            let detail = "The request was not answered in time. What it was to do may have been done.";
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "answer_timeout", detail).into_response()
        }
    }
}

/// Responds to unknown paths.
async fn unknown_path() -> Problem {
    Problem::not_found("path")
}
