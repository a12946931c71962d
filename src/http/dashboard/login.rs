//! In and out: an API token opens a browser session, until there are users.

use askama::Template;
use axum::{
    extract::{Query, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{AppendHeaders, IntoResponse, Redirect, Response},
};
use serde::Deserialize;

use super::{
    Dashboard,
    form::{Form, own_path},
    page::{Failure, html},
};
use crate::http::auth::{self, COOKIE};

/// How long a browser keeps the cookie: as long as its session lives.
const MAX_AGE_S: u32 = 30 * 24 * 3_600;

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage {
    refused: bool,
    next: String,
}

#[derive(Deserialize)]
pub(super) struct Link {
    token: Option<String>,
    next: Option<String>,
}

/// The form; or straight in, by a link with a token.
pub(super) async fn form(State(dashboard): State<Dashboard>, Query(link): Query<Link>) -> Result<Response, Failure> {
    let next = own_path(link.next.as_deref()).unwrap_or("/");
    match link.token {
        Some(token) => enter(&dashboard, &token, next).await,
        None => Ok(html(&LoginPage { refused: false, next: next.to_owned() })?.into_response()),
    }
}

pub(super) async fn log_in(State(dashboard): State<Dashboard>, form: Form) -> Result<Response, Failure> {
    let next = own_path(form.text("next")).unwrap_or("/");
    enter(&dashboard, form.text("token").unwrap_or_default(), next).await
}

async fn enter(dashboard: &Dashboard, token: &str, next: &str) -> Result<Response, Failure> {
    let Some(secret) = dashboard.services.log_in(token).await? else {
        let page = html(&LoginPage { refused: true, next: next.to_owned() })?;
        return Ok((StatusCode::UNAUTHORIZED, private(), page).into_response());
    };
    let cookie = format!("{COOKIE}={secret}; Path=/; HttpOnly; SameSite=Lax; Max-Age={MAX_AGE_S}");
    let cookie = HeaderValue::from_str(&cookie).map_err(|_| Failure::internal())?;
    Ok((private(), [(header::SET_COOKIE, cookie)], Redirect::to(next)).into_response())
}

/// The address of this page may hold a token: it goes nowhere and stays nowhere.
fn private() -> AppendHeaders<[(header::HeaderName, &'static str); 2]> {
    AppendHeaders([(header::REFERRER_POLICY, "no-referrer"), (header::CACHE_CONTROL, "no-store")])
}

pub(super) async fn log_out(State(dashboard): State<Dashboard>, headers: HeaderMap) -> Result<Response, Failure> {
    if let Some(secret) = auth::session_cookie(&headers) {
        dashboard.services.log_out(secret).await?;
    }
    let gone = format!("{COOKIE}=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0");
    Ok(([(header::SET_COOKIE, gone)], Redirect::to("/login")).into_response())
}
