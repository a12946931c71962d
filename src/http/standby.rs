//! Routes of a standby server. It reports alive and not ready. It refuses all other requests and names the server that
//! runs the farm.

use axum::{
    Json, Router,
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    middleware::from_fn,
    response::{IntoResponse, Response},
    routing::{any, get},
};
use serde_json::json;
use tokio::sync::watch;

use super::{
    api::problem::{self, Problem},
    dashboard, octoprint_api,
    request_id::{self, RequestId},
    security_headers,
};
use crate::domain::epoch::EpochHolder;

/// `Retry-After`, in seconds. The standby tries to take over every second, so clients need not retry more often.
const RETRY_AFTER_S: u32 = 5;

/// The server that runs the farm, as the standby last read it.
pub type HolderWatch = watch::Receiver<Option<EpochHolder>>;

/// Returns the router of a standby.
pub fn router(holder: HolderWatch) -> Router {
    let refusals = Router::new()
        .route("/readyz", any(refuse_request))
        .route("/metrics", any(refuse_request))
        .route("/api", any(refuse_request))
        .route("/api/{*rest}", any(refuse_request))
        .layer(from_fn(problem::render_problem));
    let slicer_refusals = Router::new()
        .route("/octoprint/{*rest}", any(refuse_request))
        .layer(from_fn(octoprint_api::refusal::render_text));
    Router::new()
        .route("/healthz", get(healthy))
        .merge(refusals)
        .merge(slicer_refusals)
        .merge(dashboard::assets_router())
        .fallback(standby_page)
        .layer(from_fn(dashboard::set_language))
        .layer(from_fn(security_headers::add_security_headers))
        .layer(from_fn(request_id::assign_request_id))
        .with_state(holder)
}

async fn healthy() -> Json<serde_json::Value> {
    Json(json!({"status": "ok"}))
}

async fn refuse_request(State(holder): State<HolderWatch>) -> Problem {
    let detail = match holder.borrow().as_ref() {
        Some(EpochHolder { host, pid, since: Some(since), .. }) => {
            format!("Another server runs this farm: {host} pid {pid}, since {since}. This one is its standby.")
        }
        Some(EpochHolder { host, pid, since: None, .. }) => {
            format!("Another server runs this farm: {host} pid {pid}. This one is its standby.")
        }
        None => "Another server runs this farm. This one is its standby.".to_owned(),
    };
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "standby", detail).retry_after(RETRY_AFTER_S)
}

async fn standby_page(State(holder): State<HolderWatch>, headers: HeaderMap, request: Request) -> Response {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if accept.contains("json") && !accept.contains("text/html") {
        let path = request.uri().path().to_owned();
        let id = request.extensions().get::<RequestId>().map(|id| id.0.clone()).unwrap_or_default();
        let problem = refuse_request(State(holder)).await;
        return problem::write_problem(problem.clone().into_response(), problem, path, id);
    }
    let holder = holder.borrow().clone();
    dashboard::standby::render_page(holder.as_ref(), RETRY_AFTER_S).await
}
