//! Login and logout: by name and password, by an API token until the first user exists, and by the set-up link.

use askama::Template;
use axum::{
    extract::{FromRequestParts, Query, State},
    http::{Extensions, HeaderMap, HeaderName, HeaderValue, StatusCode, header, request::Parts},
    response::{AppendHeaders, IntoResponse, Redirect, Response},
};
use chrono::TimeDelta;
use serde::Deserialize;

use crate::{
    domain::user::MIN_PASSWORD_LENGTH,
    http::{
        auth,
        dashboard::{
            Dashboard, filters,
            form::FormData,
            messages::{t, t_with},
            page::{Failure, Visitor, local_path, render_html},
        },
    },
    service::{
        Error,
        access::SESSION_LIFETIME,
        sessions::{Browser, LoginResult},
    },
};

#[derive(Template)]
#[template(path = "account/login.html")]
struct LoginPage {
    /// Why the last attempt failed.
    error: String,
    name: String,
    next: String,
    has_users: bool,
    /// Display name of the single sign-on provider, if there is one.
    provider: Option<String>,
}

#[derive(Template)]
#[template(path = "account/setup.html")]
struct SetupPage {
    key: String,
    name: String,
    problems: Vec<String>,
    min_password_length: usize,
}

#[derive(Deserialize)]
pub(in crate::http::dashboard) struct LoginLink {
    token: Option<String>,
    next: Option<String>,
}

#[derive(Deserialize)]
pub(in crate::http::dashboard) struct SetupLink {
    key: Option<String>,
}

/// What the login needs of a request: the browser, and the extensions for cookies.
pub(in crate::http::dashboard) struct LoginRequest(pub Browser, pub Extensions);

impl<S: Send + Sync> FromRequestParts<S> for LoginRequest {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let agent = parts.headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok());
        let browser = Browser {
            origin: auth::request_origin(&parts.extensions),
            agent: agent.unwrap_or_default().to_owned(),
            old_session: auth::session_cookie(&parts.headers).map(str::to_owned),
            device: auth::device_cookie(&parts.headers).map(str::to_owned),
        };
        Ok(Self(browser, parts.extensions.clone()))
    }
}

/// Shows the login form. A link with a token logs in directly.
pub(in crate::http::dashboard) async fn show_form(
    State(dashboard): State<Dashboard>,
    LoginRequest(browser, request): LoginRequest,
    Query(link): Query<LoginLink>,
) -> Result<Response, Failure> {
    let next = local_path(link.next.as_deref()).unwrap_or("/");
    if let Some(token) = link.token {
        let result = dashboard.services.log_in_by_token(&token, browser).await?;
        return respond(&dashboard, &request, result, "", next).await;
    }
    let has_users = dashboard.services.has_users().await?;
    let provider = dashboard.services.sign_on_label().map(str::to_owned);
    let page = LoginPage { error: String::new(), name: String::new(), next: next.to_owned(), has_users, provider };
    Ok(render_html(&page)?.into_response())
}

pub(in crate::http::dashboard) async fn log_in(
    State(dashboard): State<Dashboard>,
    LoginRequest(browser, request): LoginRequest,
    form: FormData,
) -> Result<Response, Failure> {
    let next = local_path(form.text("next")).unwrap_or("/");
    let name = form.text("name").unwrap_or_default();
    let result = match form.text("token") {
        Some(token) => dashboard.services.log_in_by_token(token, browser).await?,
        None => dashboard.services.log_in(name, form.secret("password"), browser).await?,
    };
    respond(&dashboard, &request, result, name, next).await
}

async fn respond(
    dashboard: &Dashboard,
    request: &Extensions,
    result: LoginResult,
    name: &str,
    next: &str,
) -> Result<Response, Failure> {
    let has_users = dashboard.services.has_users().await?;
    let (status, error, wait) = match result {
        LoginResult::LoggedIn { session, device } => {
            let mut response = start_session(request, &session, SESSION_LIFETIME, next)?;
            if let Some(device) = device {
                let cookie = HeaderValue::from_str(&auth::format_device_cookie(request, &device));
                response.headers_mut().append(header::SET_COOKIE, cookie.map_err(|_| Failure::internal())?);
            }
            return Ok(response);
        }
        LoginResult::Refused if has_users => (StatusCode::UNAUTHORIZED, t("account-login-refused").to_owned(), None),
        LoginResult::Refused => (StatusCode::UNAUTHORIZED, t("account-token-refused").to_owned(), None),
        LoginResult::Wait(wait) => {
            let seconds = wait.as_secs().max(1);
            let text = t_with("refusal-too-many-attempts", &[("seconds", &seconds)]);
            (StatusCode::TOO_MANY_REQUESTS, text, Some(seconds))
        }
    };
    let provider = dashboard.services.sign_on_label().map(str::to_owned);
    let page = LoginPage { error, name: name.to_owned(), next: next.to_owned(), has_users, provider };
    let mut response = (status, private_headers(), render_html(&page)?).into_response();
    if let Some(seconds) = wait {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    Ok(response)
}

/// Logs in: sets the cookie of a session that lasts for `lifetime`.
pub(in crate::http::dashboard) fn start_session(
    request: &Extensions,
    secret: &str,
    lifetime: TimeDelta,
    next: &str,
) -> Result<Response, Failure> {
    let cookie = auth::format_session_cookie(request, secret, lifetime.num_seconds());
    let cookie = HeaderValue::from_str(&cookie).map_err(|_| Failure::internal())?;
    Ok((private_headers(), [(header::SET_COOKIE, cookie)], Redirect::to(next)).into_response())
}

/// Headers for pages whose URL may contain a secret: the URL is not sent as a referrer, and the page is not stored.
pub(in crate::http::dashboard) fn private_headers() -> AppendHeaders<[(header::HeaderName, &'static str); 2]> {
    AppendHeaders([(header::REFERRER_POLICY, "no-referrer"), (header::CACHE_CONTROL, "no-store")])
}

pub(in crate::http::dashboard) async fn log_out(
    State(dashboard): State<Dashboard>,
    who: Result<Visitor, Response>,
    headers: HeaderMap,
    request: Extensions,
) -> Result<Response, Failure> {
    if let (Ok(Visitor(who)), Some(secret)) = (who, auth::session_cookie(&headers)) {
        dashboard.services.log_out(&who, secret).await?;
    }
    let expired_cookie = auth::format_session_cookie(&request, "", 0);
    // Clears the browser cache, so that the next user of the browser cannot see stored pages.
    let headers_to_clear =
        [(header::SET_COOKIE, expired_cookie.as_str()), (HeaderName::from_static("clear-site-data"), "\"cache\"")];
    Ok((headers_to_clear, Redirect::to("/login")).into_response())
}

/// The page that creates the first admin, for the holder of the link.
pub(in crate::http::dashboard) async fn show_setup_form(
    State(dashboard): State<Dashboard>,
    Query(link): Query<SetupLink>,
) -> Result<Response, Failure> {
    let key = link.key.unwrap_or_default();
    if !dashboard.services.is_setup_link(&key).await? {
        return Err(setup_link_used_up());
    }
    let page = SetupPage { key, name: String::new(), problems: Vec::new(), min_password_length: MIN_PASSWORD_LENGTH };
    Ok((private_headers(), render_html(&page)?).into_response())
}

pub(in crate::http::dashboard) async fn set_up(
    State(dashboard): State<Dashboard>,
    LoginRequest(browser, request): LoginRequest,
    form: FormData,
) -> Result<Response, Failure> {
    let (key, name) = (form.text("key").unwrap_or_default(), form.text("name").unwrap_or_default());
    let password = form.secret("password");
    let problems = if password == form.secret("again") {
        match dashboard.services.set_up(key, name, password, browser).await {
            Ok(Some(secret)) => return start_session(&request, &secret, SESSION_LIFETIME, "/"),
            Ok(None) => return Err(setup_link_used_up()),
            Err(Error::Invalid(invalid)) => Failure::from(Error::Invalid(invalid)).details,
            Err(error) => return Err(error.into()),
        }
    } else {
        vec![t("account-passwords-differ").to_owned()]
    };
    let page =
        SetupPage { key: key.to_owned(), name: name.to_owned(), problems, min_password_length: MIN_PASSWORD_LENGTH };
    Ok((StatusCode::UNPROCESSABLE_ENTITY, private_headers(), render_html(&page)?).into_response())
}

fn setup_link_used_up() -> Failure {
    Failure::new(StatusCode::GONE, "failure-setup-link", t("failure-setup-link-text"))
}
