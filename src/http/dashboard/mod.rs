//! HTML pages for people, rendered by the server. One script updates them live.
//!
//! No htmx: the only live part is a stream that replaces tiles by id and must keep selection and focus. That needs less
//! code than a configuration would. Every form works without the script.

mod access_fields;
mod account;
mod api_key_field;
mod assets;
mod audit;
mod audit_text;
mod batch_form;
mod batches;
mod cameras;
mod chart;
mod confirm;
mod connection_test;
mod csrf;
mod discover;
mod files;
mod filters;
mod form;
mod history;
mod import;
mod labels;
mod language;
mod list_filters;
mod login;
pub(in crate::http) mod notice;
mod oidc;
mod outcome;
mod page;
mod printer;
mod printers;
mod prints;
mod register;
mod settings;
mod sse;
pub(super) mod standby;
mod statistics;
mod stream;
mod tags;
mod temperatures;
mod tile;
mod tile_cache;
mod time;
mod users;
mod wall;
mod webhooks;

use std::sync::Arc;

use axum::{
    Router,
    extract::{DefaultBodyLimit, FromRef, Request, State},
    http::{HeaderValue, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use self::{page::Failure, stream::Rounds, tile_cache::Board};
use super::{
    bounds::{Bounds, Capacity},
    compression, etag,
    keyed_limit::KeyedLimit,
    timeout,
};
use crate::{http::messages, service::Services};

/// Maximum number of live pages, in total and per user.
const LIVE_PAGES: Capacity = Capacity { all: 512, each: 64 };
/// Maximum bytes of a form that contains a sealed printer list of 1 MB.
const SEALED_LIST: usize = 4 * 1024 * 1024;
/// Nothing from other origins, nothing inline, no framing.
const POLICY: &str = "default-src 'self'; img-src 'self' data:; object-src 'none'; frame-ancestors 'none'; \
     base-uri 'none'; form-action 'self'";

/// Shared state of all pages.
#[derive(Clone)]
pub(super) struct Dashboard {
    services: Services,
    board: Arc<Board>,
    live_pages: KeyedLimit<Option<Uuid>>,
    rounds: Arc<Rounds>,
    stop: CancellationToken,
}

impl FromRef<Dashboard> for Services {
    fn from_ref(dashboard: &Dashboard) -> Self {
        dashboard.services.clone()
    }
}

/// Returns the router of all pages. Streams end when `stop` is cancelled.
pub fn router(services: Services, bounds: Bounds, stop: CancellationToken) -> Router {
    let board = Arc::new(Board::new(services.clone()));
    let rounds = Arc::new(Rounds::start(services.fleet().view().subscribe(), stop.clone()));
    let live_pages = KeyedLimit::new(LIVE_PAGES);
    let dashboard = Dashboard { services: services.clone(), board, live_pages, rounds, stop };
    let kept = Router::new()
        .route("/", get(printers::farm))
        .route("/prints", get(prints::list))
        .route("/statistics", get(statistics::show))
        .route("/batches", get(batches::list).post(batches::create))
        .route("/batches/{id}", get(batches::show))
        .route("/printers/discover/found", get(discover::show))
        .route("/printers/{id}", get(printer::show))
        .route_layer(middleware::from_fn(etag::revalidate));
    Router::new()
        .route("/printers/{id}/camera", get(cameras::picture))
        .route("/stream", get(stream::farm))
        .route("/wall", get(wall::show))
        .route("/wall/stream", get(stream::wall))
        .route("/login", get(login::form).post(login::log_in))
        .route("/login/oidc", get(oidc::depart))
        .route("/login/oidc/callback", get(oidc::arrive))
        .route("/setup", get(login::setup_form).post(login::set_up))
        .route("/logout", post(login::log_out))
        .route("/language", post(language::choose))
        .route("/account", get(account::show))
        .route("/account/password", post(account::change_password))
        .route("/account/sessions/{id}/end", post(account::end_session))
        .route("/users", get(users::list).post(users::create))
        .route("/users/{id}", post(users::change))
        .route("/webhooks", get(webhooks::list).post(webhooks::create))
        .route("/webhooks/{id}", post(webhooks::change))
        .route("/webhooks/{id}/remove", post(webhooks::remove))
        .route("/audit", get(audit::list))
        .route("/audit.csv", get(audit::file))
        .route("/statistics.csv", get(statistics::file))
        .route("/batches/preview", post(batches::preview))
        .route("/batches/{id}/stream", get(stream::batch))
        .route("/batches/{id}/stop", post(batches::stop))
        .route("/batches/{id}/retry", post(batches::retry))
        .route("/printers/new", get(register::form).post(register::create))
        .route("/printers/import", get(import::form).post(import::look))
        .route("/printers/import/confirm", post(import::import).layer(DefaultBodyLimit::max(SEALED_LIST)))
        .route("/printers/discover", get(discover::begin))
        .route("/printers/tags", post(tags::edit))
        .route("/printers/keys/{id}", get(api_key_field::asked))
        .route("/printers/{id}/settings", get(settings::form).post(settings::change))
        .route("/printers/{id}/remove", post(settings::remove))
        .route("/printers/{id}/plate", post(printer::clear_plate))
        .route("/printers/{id}/files", get(files::list).merge(post(files::upload).layer(DefaultBodyLimit::disable())))
        .route("/printers/{id}/files/delete", post(files::delete))
        .route("/printers/{id}/select", post(files::select))
        .route("/static/{*path}", get(assets::serve))
        .merge(kept)
        .fallback(page::not_found)
        .layer(middleware::from_fn(csrf::same_site))
        .layer(middleware::from_fn_with_state((services.clone(), bounds), in_time))
        .layer(middleware::from_fn_with_state(services, notice::of_request))
        .layer(middleware::from_fn(language::of_request))
        .layer(middleware::from_fn(compression::compress))
        .layer(middleware::map_response(with_headers))
        .with_state(dashboard)
}

/// Returns a router with styles, scripts and icons only, for the pages of a standby.
pub(super) fn assets_router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new().route("/static/{*path}", get(assets::serve)).layer(middleware::map_response(with_headers))
}

/// Sets the language of each request, for the pages of a standby.
pub(super) async fn in_language(request: Request, next: Next) -> Response {
    language::of_request(request, next).await
}

async fn in_time(State((services, bounds)): State<(Services, Bounds)>, request: Request, next: Next) -> Response {
    let answer = timeout::within(&services, bounds, request, next).await;
    answer.unwrap_or_else(|| {
        let is_ok = services.is_database_ok();
        if is_ok { Failure::too_late() } else { Failure::database_away() }.into_response()
    })
}

async fn with_headers(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "same-origin"),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}
