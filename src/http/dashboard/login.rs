//! Login and logout: by name and password, by an API token until the first user exists, and by the set-up link.

use askama::Template;
use axum::{
    extract::{FromRequestParts, Query, State},
    http::{Extensions, HeaderMap, HeaderName, HeaderValue, StatusCode, header, request::Parts},
    response::{AppendHeaders, IntoResponse, Redirect, Response},
};
use chrono::TimeDelta;
use serde::Deserialize;

use super::{
    Dashboard, filters,
    form::{Form, own_path},
    messages::{t, t_with},
    page::{Failure, Visitor, html},
};
use crate::{
    domain::user::SHORTEST_PASSWORD,
    http::auth,
    service::{
        Error,
        sessions::{Browser, LogIn, SESSION_LIFE},
    },
};

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage {
    /// Why the last attempt failed.
    refused: String,
    name: String,
    next: String,
    has_users: bool,
    /// Display name of the single sign-on provider, if there is one.
    provider: Option<String>,
}

#[derive(Template)]
#[template(path = "setup.html")]
struct SetupPage {
    key: String,
    name: String,
    problems: Vec<String>,
    shortest: usize,
}

#[derive(Deserialize)]
pub(super) struct Link {
    token: Option<String>,
    next: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct SetupLink {
    key: Option<String>,
}

/// What the login needs of a request: the browser, and the extensions for cookies.
pub(super) struct Comes(pub Browser, pub Extensions);

impl<S: Send + Sync> FromRequestParts<S> for Comes {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let agent = parts.headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok());
        let browser = Browser {
            origin: auth::origin_of(&parts.extensions),
            agent: agent.unwrap_or_default().to_owned(),
            old_session: auth::session_cookie(&parts.headers).map(str::to_owned),
            device: auth::device_cookie(&parts.headers).map(str::to_owned),
        };
        Ok(Self(browser, parts.extensions.clone()))
    }
}

/// Shows the login form. A link with a token logs in directly.
pub(super) async fn form(
    State(dashboard): State<Dashboard>,
    Comes(browser, request): Comes,
    Query(link): Query<Link>,
) -> Result<Response, Failure> {
    let next = own_path(link.next.as_deref()).unwrap_or("/");
    if let Some(token) = link.token {
        let result = dashboard.services.log_in_by_token(&token, browser).await?;
        return answer(&dashboard, &request, result, "", next).await;
    }
    let has_users = dashboard.services.has_users().await?;
    let provider = dashboard.services.sign_on_label().map(str::to_owned);
    let page = LoginPage { refused: String::new(), name: String::new(), next: next.to_owned(), has_users, provider };
    Ok(html(&page)?.into_response())
}

pub(super) async fn log_in(
    State(dashboard): State<Dashboard>,
    Comes(browser, request): Comes,
    form: Form,
) -> Result<Response, Failure> {
    let next = own_path(form.text("next")).unwrap_or("/");
    let name = form.text("name").unwrap_or_default();
    let result = match form.text("token") {
        Some(token) => dashboard.services.log_in_by_token(token, browser).await?,
        None => dashboard.services.log_in(name, form.secret("password"), browser).await?,
    };
    answer(&dashboard, &request, result, name, next).await
}

async fn answer(
    dashboard: &Dashboard,
    request: &Extensions,
    result: LogIn,
    name: &str,
    next: &str,
) -> Result<Response, Failure> {
    let has_users = dashboard.services.has_users().await?;
    let (status, refused, wait) = match result {
        LogIn::In { session, device } => {
            let mut response = enter(request, &session, SESSION_LIFE, next)?;
            if let Some(device) = device {
                let cookie = HeaderValue::from_str(&auth::keep_device(request, &device));
                response.headers_mut().append(header::SET_COOKIE, cookie.map_err(|_| Failure::internal())?);
            }
            return Ok(response);
        }
        LogIn::Refused if has_users => (StatusCode::UNAUTHORIZED, t("account-name-password-do-not").to_owned(), None),
        LogIn::Refused => (StatusCode::UNAUTHORIZED, t("account-token-not-valid-not").to_owned(), None),
        LogIn::Wait(wait) => {
            let seconds = wait.as_secs().max(1);
            let text = t_with("account-too-many-attempts-wait", &[("seconds", &seconds)]);
            (StatusCode::TOO_MANY_REQUESTS, text, Some(seconds))
        }
    };
    let provider = dashboard.services.sign_on_label().map(str::to_owned);
    let page = LoginPage { refused, name: name.to_owned(), next: next.to_owned(), has_users, provider };
    let mut response = (status, private(), html(&page)?).into_response();
    if let Some(seconds) = wait {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    Ok(response)
}

/// Logs in: sets the cookie of a session that lasts for `life`.
pub(super) fn enter(request: &Extensions, secret: &str, life: TimeDelta, next: &str) -> Result<Response, Failure> {
    let cookie = auth::keep_cookie(request, secret, life.num_seconds());
    let cookie = HeaderValue::from_str(&cookie).map_err(|_| Failure::internal())?;
    Ok((private(), [(header::SET_COOKIE, cookie)], Redirect::to(next)).into_response())
}

/// Headers for pages whose URL may contain a secret: the URL is not sent as a referrer, and the page is not stored.
pub(super) fn private() -> AppendHeaders<[(header::HeaderName, &'static str); 2]> {
    AppendHeaders([(header::REFERRER_POLICY, "no-referrer"), (header::CACHE_CONTROL, "no-store")])
}

pub(super) async fn log_out(
    State(dashboard): State<Dashboard>,
    who: Result<Visitor, Response>,
    headers: HeaderMap,
    request: Extensions,
) -> Result<Response, Failure> {
    if let (Ok(Visitor(who)), Some(secret)) = (who, auth::session_cookie(&headers)) {
        dashboard.services.log_out(&who, secret).await?;
    }
    let gone = auth::keep_cookie(&request, "", 0);
    // Clears the browser cache, so that the next user of the browser cannot see stored pages.
    let forget = [(header::SET_COOKIE, gone.as_str()), (HeaderName::from_static("clear-site-data"), "\"cache\"")];
    Ok((forget, Redirect::to("/login")).into_response())
}

/// The page that creates the first admin, for the holder of the link.
pub(super) async fn setup_form(
    State(dashboard): State<Dashboard>,
    Query(link): Query<SetupLink>,
) -> Result<Response, Failure> {
    let key = link.key.unwrap_or_default();
    if !dashboard.services.is_setup_link(&key).await? {
        return Err(used_up());
    }
    let page = SetupPage { key, name: String::new(), problems: Vec::new(), shortest: SHORTEST_PASSWORD };
    Ok((private(), html(&page)?).into_response())
}

pub(super) async fn set_up(
    State(dashboard): State<Dashboard>,
    Comes(browser, request): Comes,
    form: Form,
) -> Result<Response, Failure> {
    let (key, name) = (form.text("key").unwrap_or_default(), form.text("name").unwrap_or_default());
    let password = form.secret("password");
    let problems = if password == form.secret("again") {
        match dashboard.services.set_up(key, name, password, browser).await {
            Ok(Some(secret)) => return enter(&request, &secret, SESSION_LIFE, "/"),
            Ok(None) => return Err(used_up()),
            Err(Error::Invalid(invalid)) => Failure::from(Error::Invalid(invalid)).details,
            Err(error) => return Err(error.into()),
        }
    } else {
        vec![t("account-two-passwords-differ").to_owned()]
    };
    let page = SetupPage { key: key.to_owned(), name: name.to_owned(), problems, shortest: SHORTEST_PASSWORD };
    Ok((StatusCode::UNPROCESSABLE_ENTITY, private(), html(&page)?).into_response())
}

fn used_up() -> Failure {
    let text = "A link for the set-up is good for one hour and for one use. If nobody has set Printyard up yet, start the \
                server again: it prints a new one.";
    Failure::new(StatusCode::GONE, "failure-link-used-up", text)
}
