//! OctoPrint's upload API for slicers, below `/octoprint`.
//!
//! Slicers have one host type for OctoPrint and keep the path of the address that a user enters. So the address names a
//! destination: the library, a printer, a tag or a part. Every destination has the same endpoints. An upload is stored in
//! the library. No request starts a print.
//!
//! The key is a token of role operator. Authentication, rates and limits are those of the API (`http::api::middleware`).
//! Errors are one sentence in `text/plain`, because slicers show the body (`refusal`).

mod destination;
mod key;
mod links;
mod printer_state;
pub(super) mod refusal;
mod server_info;
mod upload;

use axum::{
    Router,
    extract::DefaultBodyLimit,
    http::{HeaderValue, header},
    middleware::{from_fn, from_fn_with_state},
    response::Redirect,
    routing::{any, get, post},
};
use tower_http::{catch_panic::CatchPanicLayer, set_header::SetResponseHeaderLayer};

use super::{
    api::{
        self,
        middleware::{authentication::authenticate, overload, overload::OverloadLimits, rate_limit::RequestRates},
        problem::{self, Problem},
    },
    limits::ServerLimits,
};
use crate::service::Services;

/// Paths of the destinations. `http::timeout` lists their uploads.
const DESTINATIONS: [&str; 4] =
    ["/octoprint", "/octoprint/printers/{name}", "/octoprint/tags/{tag}", "/octoprint/parts/{number}"];

/// Returns the router with the endpoints of every destination. `rates` and `overload` are those of the API.
pub fn router(
    services: Services,
    rates: RequestRates,
    overload: OverloadLimits,
    server_limits: ServerLimits,
) -> Router {
    let mut protected_routes = Router::new().route("/octoprint/{*rest}", any(unknown_path));
    let mut home_routes = Router::new();
    for path in DESTINATIONS {
        protected_routes = protected_routes.merge(destination_routes(path));
        // Slicers open the address in a browser.
        home_routes = home_routes.route(path, get(redirect_home)).route(&format!("{path}/"), get(redirect_home));
    }
    let authenticated = from_fn_with_state((services.clone(), rates), authenticate);
    let limit_requests = from_fn_with_state(overload, overload::limit_requests);
    let no_store = SetResponseHeaderLayer::if_not_present(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    protected_routes
        .layer(DefaultBodyLimit::disable())
        .layer(authenticated)
        .layer(limit_requests)
        .layer(from_fn(key::accept_api_key))
        .merge(home_routes)
        .layer(CatchPanicLayer::custom(problem::panic_response))
        .layer(from_fn_with_state((services.clone(), server_limits), api::apply_timeout))
        .layer(from_fn(refusal::render_text))
        .layer(no_store)
        .with_state(services)
}

/// Returns the endpoints of the destination with this path.
fn destination_routes(path: &str) -> Router<Services> {
    let endpoint = |name: &str| format!("{path}/api/{name}");
    Router::new()
        .route(&endpoint("version"), get(server_info::get_version))
        .route(&endpoint("server"), get(server_info::get_server))
        .route(&endpoint("settings"), get(server_info::get_settings))
        .route(&endpoint("currentuser"), get(server_info::get_current_user))
        .route(&endpoint("login"), post(server_info::log_in))
        .route(&endpoint("printerprofiles"), get(server_info::list_printer_profiles))
        .route(&endpoint("printer"), get(printer_state::get_printer))
        .route(&endpoint("job"), get(printer_state::get_job))
        .route(&endpoint("files/local"), post(upload::upload_file))
        .route(&endpoint("files/local/{*path}"), post(upload::select_file))
}

async fn redirect_home() -> Redirect {
    Redirect::to("/")
}

/// Responds to unknown paths.
async fn unknown_path() -> Problem {
    Problem::not_found("path below /octoprint")
}
