//! The page of a standby: names the server that runs the farm, and reloads itself.

use askama::Template;
use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{Html, IntoResponse, Response},
};

use super::{filters, time::TimeElement};
use crate::domain::epoch::EpochHolder;

#[derive(Template)]
#[template(path = "standby.html")]
struct StandbyPage {
    /// Host and process id. Empty if unknown.
    holder: String,
    since: Option<TimeElement>,
}

/// Returns the page with status 503 and `Retry-After`.
pub(in crate::http) async fn render_page(holder: Option<&EpochHolder>, retry_after_s: u32) -> Response {
    let page = StandbyPage {
        holder: holder.map(|holder| format!("{} ({})", holder.host, holder.pid)).unwrap_or_default(),
        since: holder.and_then(|holder| holder.since).map(TimeElement::date_and_time),
    };
    let mut response = match page.render() {
        Ok(page) => Html(page).into_response(),
        Err(error) => {
            tracing::error!(%error, "the page of the standby could not be made");
            "standby".into_response()
        }
    };
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(retry_after_s));
    super::set_headers(response).await
}
