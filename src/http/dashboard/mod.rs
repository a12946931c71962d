//! HTML pages for people, rendered by the server. One script updates them live.
//!
//! No htmx: the only live part is a stream that replaces tiles by id and must keep selection and focus. That needs less
//! code than a configuration would. Every form works without the script.

mod account;
mod assets;
mod audit;
mod batches;
mod clean_query;
mod csrf;
mod demo;
mod farm;
mod files;
mod filters;
mod form;
mod labels;
mod language;
mod list_filters;
pub(in crate::http) mod notice;
mod orders;
mod outlook;
mod page;
mod parts;
mod print_minutes;
mod printers;
mod prints;
mod settings;
pub(super) mod standby;
mod statistics;
mod stream;
mod time;
mod tokens;
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

use self::{farm::tile_cache::TileCache, page::Failure, stream::Rounds};
use super::{
    compression, etag,
    keyed_limit::KeyedLimit,
    limits::{Capacity, ServerLimits},
    timeout,
};
use crate::{http::messages, service::Services};

/// Maximum number of live pages, in total and per user.
const MAX_LIVE_PAGES: Capacity = Capacity { total: 512, per_key: 64 };
/// Maximum bytes of a form that contains a sealed printer list of 1 MB.
const MAX_SEALED_LIST_BYTES: usize = 4 * 1024 * 1024;
/// Nothing from other origins, nothing inline, no framing.
const CONTENT_POLICY: &str = "default-src 'self'; img-src 'self' data:; object-src 'none'; frame-ancestors 'none'; \
     base-uri 'none'; form-action 'self'";

/// Shared state of all pages.
#[derive(Clone)]
pub(super) struct Dashboard {
    services: Services,
    tile_cache: Arc<TileCache>,
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
pub fn router(services: Services, server_limits: ServerLimits, stop: CancellationToken) -> Router {
    let tile_cache = Arc::new(TileCache::new(services.clone()));
    let rounds = Arc::new(Rounds::start(services.subscribe_live_versions(), stop.clone()));
    let live_pages = KeyedLimit::new(MAX_LIVE_PAGES);
    let dashboard = Dashboard { services: services.clone(), tile_cache, live_pages, rounds, stop };
    let cacheable = Router::new()
        .route("/", get(farm::show_farm))
        .route("/prints", get(prints::list))
        .route("/statistics", get(statistics::show))
        .route("/batches", get(batches::list::show).post(batches::create))
        .route("/batches/{id}", get(batches::show))
        .route("/printers/discover/found", get(printers::discover::show_results))
        .route("/queue", get(orders::list::show))
        .route("/queue/{id}", get(orders::show::show))
        .route("/todo", get(orders::todo::show))
        .route("/printers/{id}", get(printers::show))
        .route_layer(middleware::from_fn(etag::revalidate))
        .route_layer(middleware::from_fn(clean_query::drop_empty_fields));
    let filtered = Router::new()
        .route("/audit", get(audit::list))
        .route("/files", get(files::list))
        .route("/parts", get(parts::list))
        .route_layer(middleware::from_fn(clean_query::drop_empty_fields));
    Router::new()
        .route("/files/upload", post(files::upload::upload).layer(DefaultBodyLimit::disable()))
        .route("/files/contents/{sha256}/thumbnail", get(files::content::show_thumbnail))
        .route("/files/{id}", get(files::show::show).post(files::change::change))
        .route("/files/{id}/remove", post(files::change::remove))
        .route("/files/{id}/content", get(files::content::download))
        .route("/files/{id}/places", get(files::show::show_places))
        .route("/queue/new", get(orders::new::show_form).post(orders::new::create))
        .route("/queue/priority", post(orders::rank::change))
        .route("/queue/switch", post(orders::switch::change))
        .route("/queue/copies/{id}", post(orders::act::act_on_copy))
        .route("/queue/{id}", post(orders::act::act))
        .route("/parts/new", get(parts::edit::show_new).post(parts::edit::create))
        .route("/parts/{number}", get(parts::show))
        .route("/parts/{number}/edit", get(parts::edit::show).post(parts::edit::change))
        .route("/parts/{number}/remove", post(parts::edit::remove))
        .route("/printers/{id}/commands", get(printers::commands::show))
        .route("/printers/{id}/camera", get(printers::camera::show_picture))
        .route("/stream", get(stream::stream_farm))
        .route("/wall", get(wall::show))
        .route("/wall/stream", get(stream::stream_wall))
        .route("/login", get(account::login::show_form).post(account::login::log_in))
        .route("/login/oidc", get(account::sign_on::redirect_to_provider))
        .route("/login/oidc/callback", get(account::sign_on::handle_callback))
        .route("/setup", get(account::login::show_setup_form).post(account::login::set_up))
        .route("/logout", post(account::login::log_out))
        .route("/language", post(language::choose_language))
        .route("/account", get(account::show))
        .route("/account/password", post(account::change_password))
        .route("/account/sessions/{id}/end", post(account::end_session))
        .route("/users", get(users::list).post(users::create))
        .route("/users/{id}", post(users::change))
        .route("/tokens", get(tokens::list).post(tokens::create))
        .route("/tokens/{id}/revoke", post(tokens::revoke))
        .route("/webhooks", get(webhooks::list).post(webhooks::create))
        .route("/webhooks/{id}", post(webhooks::change))
        .route("/webhooks/{id}/remove", post(webhooks::remove))
        .route("/settings", get(settings::show))
        .route("/audit.csv", get(audit::download_csv))
        .route("/statistics.csv", get(statistics::download_csv))
        .route("/batches/preview", post(batches::preview))
        .route("/batches/start", post(batches::start::show_or_start))
        .route("/batches/{id}/stream", get(stream::stream_batch))
        .route("/batches/{id}/summary", get(batches::summarise))
        .route("/batches/{id}/plates", post(batches::clear_plates))
        .route("/batches/{id}/stop", post(batches::stop))
        .route("/batches/{id}/retry", post(batches::retry))
        .route("/printers/new", get(printers::new::show_form).post(printers::new::create))
        .route("/printers/import", get(printers::import::show_form).post(printers::import::preview))
        .route(
            "/printers/import/confirm",
            post(printers::import::confirm).layer(DefaultBodyLimit::max(MAX_SEALED_LIST_BYTES)),
        )
        .route("/printers/import/answers", get(printers::import_result::show_answers))
        .route("/printers/discover", get(printers::discover::start_search))
        .route("/printers/tags", post(printers::tags::edit))
        .route("/printers/service", post(printers::service::change_selected))
        .route("/printers/production", post(printers::production::change_selected))
        .route("/printers/keys/{id}", get(printers::api_key_field::show_key_request))
        .route("/printers/{id}/settings", get(printers::settings::show_form).post(printers::settings::change))
        .route("/printers/{id}/remove", post(printers::settings::remove))
        .route("/printers/{id}/service", post(printers::service::change))
        .route("/printers/{id}/production", get(printers::production::show).post(printers::production::change))
        .route("/printers/{id}/plate", post(printers::clear_plate))
        .route("/printers/{id}/attention", post(orders::todo::clear_attention))
        .route("/printers/{id}/act", post(farm::act))
        .route("/plates/clear", post(farm::clear_plates))
        .route(
            "/printers/{id}/files",
            get(printers::files::list).merge(post(printers::files::upload).layer(DefaultBodyLimit::disable())),
        )
        .route("/printers/{id}/files/delete", post(printers::files::delete))
        .route("/printers/{id}/select", post(printers::files::select))
        .route("/static/{*path}", get(assets::serve))
        .merge(cacheable)
        .merge(demo::router(&services))
        .merge(filtered)
        .fallback(page::not_found)
        .layer(middleware::from_fn(csrf::require_same_site))
        .layer(middleware::from_fn_with_state((services.clone(), server_limits), apply_timeout))
        .layer(middleware::from_fn_with_state(services, notice::provide_notice))
        .layer(middleware::from_fn(language::set_language))
        .layer(middleware::from_fn(compression::compress))
        .layer(middleware::map_response(set_headers))
        .with_state(dashboard)
}

/// Returns a router with styles, scripts and icons only, for the pages of a standby.
pub(super) fn assets_router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new().route("/static/{*path}", get(assets::serve)).layer(middleware::map_response(set_headers))
}

/// Sets the language of each request, for the pages of a standby.
pub(super) async fn set_language(request: Request, next: Next) -> Response {
    language::set_language(request, next).await
}

async fn apply_timeout(
    State((services, server_limits)): State<(Services, ServerLimits)>,
    request: Request,
    next: Next,
) -> Response {
    let response = timeout::run_with_timeout(&services, server_limits, request, next).await;
    response.unwrap_or_else(|| {
        let is_ok = services.is_database_ok();
        if is_ok { Failure::timed_out() } else { Failure::database_unavailable() }.into_response()
    })
}

async fn set_headers(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, CONTENT_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "same-origin"),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}
