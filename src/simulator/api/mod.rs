//! Routes of a simulated OctoPrint, behind a middleware (`request_middleware.rs`) that delays, refuses, breaks and logs requests.

mod app_keys;
pub mod control;
pub mod extract;
mod files;
mod job;
mod printer;
mod request_middleware;
mod system;
mod upload;

use axum::{
    Router,
    extract::DefaultBodyLimit,
    middleware,
    routing::{get, post},
};

use self::extract::ErrorResponse;
use super::event_socket;

/// Returns the router for all printers of a farm.
pub fn router() -> Router {
    Router::new()
        .route("/api/version", get(system::get_version))
        .route("/api/server", get(system::get_server))
        .route("/api/login", post(system::log_in))
        .route("/api/settings", get(system::get_settings).post(system::change_settings))
        .route("/api/timelapse", get(system::get_timelapse))
        .route("/api/job", get(job::get_job).post(job::run_job_command))
        .route("/api/printer", get(printer::get_printer))
        .route("/api/printer/error", get(printer::get_connection_error))
        .route("/api/printer/command", post(printer::send_gcode))
        .route("/api/connection", get(printer::get_connection).post(printer::change_connection))
        .route("/api/files", get(files::list_files))
        .route("/api/files/local", get(files::list_files).post(upload::upload_file))
        .route(
            "/api/files/local/{*path}",
            get(files::get_file).post(files::run_file_command).delete(files::delete_file),
        )
        .route("/plugin/appkeys/probe", get(app_keys::probe))
        .route("/plugin/appkeys/request", post(app_keys::request_key))
        .route("/plugin/appkeys/request/{token}", get(app_keys::poll_request))
        .route("/webcam/", get(system::get_snapshot))
        .route("/sockjs/websocket", get(event_socket::open_event_socket))
        .route("/sim/fault", post(control::set_own_fault))
        .route("/sim/act", post(control::perform_own_action))
        .route("/sim/log", get(control::get_own_log))
        .fallback(async || ErrorResponse::not_found())
        .method_not_allowed_fallback(async || {
            ErrorResponse::new(405, "The method is not allowed for the requested URL.")
        })
        .layer(middleware::from_fn(request_middleware::handle_request))
        // The middleware has OctoPrint's own limits.
        .layer(DefaultBodyLimit::disable())
}
