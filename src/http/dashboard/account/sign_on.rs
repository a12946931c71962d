//! Single sign-on: the redirect to the identity provider, and the return.

use axum::{
    extract::{Query, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Redirect, Response},
};
use serde::Deserialize;

use super::login::{LoginRequest, private_headers, start_session};
use crate::{
    domain::oidc::CallbackQuery,
    http::{
        auth,
        dashboard::{
            Dashboard,
            messages::{t, t_with},
            page::{Failure, local_path},
        },
    },
    service::oidc::{JOURNEY, SIGN_ON_LIFETIME, SignOnFailure, SignOnResult},
};

#[derive(Deserialize)]
pub(in crate::http::dashboard) struct SignOnParams {
    next: Option<String>,
}

/// Redirects to the identity provider.
pub(in crate::http::dashboard) async fn redirect_to_provider(
    State(dashboard): State<Dashboard>,
    LoginRequest(_, request): LoginRequest,
    Query(params): Query<SignOnParams>,
) -> Result<Response, Failure> {
    let next = local_path(params.next.as_deref()).unwrap_or("/");
    let (url, login_state) = match dashboard.services.begin_sign_on(next).await? {
        Ok(redirect) => redirect,
        Err(failure) => return Err(failure_page(&dashboard, failure)),
    };
    let cookie = auth::format_login_state_cookie(&request, &login_state, JOURNEY.num_seconds());
    let cookie = HeaderValue::from_str(&cookie).map_err(|_| Failure::internal())?;
    Ok((private_headers(), [(header::SET_COOKIE, cookie)], Redirect::to(&url)).into_response())
}

/// Handles the return from the identity provider. The login state is used up, even if the login fails.
pub(in crate::http::dashboard) async fn handle_callback(
    State(dashboard): State<Dashboard>,
    LoginRequest(browser, request): LoginRequest,
    Query(callback): Query<CallbackQuery>,
    headers: HeaderMap,
) -> Response {
    let expired_cookie = auth::format_login_state_cookie(&request, "", 0);
    let login_state = auth::login_state_cookie(&headers);
    let result = match dashboard.services.finish_sign_on(login_state, callback, browser).await {
        Ok(SignOnResult::SignedOn { secret, next }) => start_session(&request, &secret, SIGN_ON_LIFETIME, &next),
        Ok(sign_on) => Err(refusal_page(&dashboard, sign_on)),
        Err(error) => Err(error.into()),
    };
    let mut response = (private_headers(), result).into_response();
    if let Ok(over) = HeaderValue::from_str(&expired_cookie) {
        response.headers_mut().append(header::SET_COOKIE, over);
    }
    response
}

fn refusal_page(dashboard: &Dashboard, sign_on: SignOnResult) -> Failure {
    let label = dashboard.services.sign_on_label().unwrap_or_default();
    match sign_on {
        // The caller has handled this case.
        SignOnResult::SignedOn { .. } => Failure::internal(),
        SignOnResult::TooLate => Failure::new(
            StatusCode::BAD_REQUEST,
            "failure-login-expired",
            t_with("failure-login-expired-text", &[("n", &JOURNEY.num_minutes())]),
        ),
        SignOnResult::NoRole => {
            Failure::new(StatusCode::FORBIDDEN, "failure-no-role", t_with("failure-no-role-text", &[("label", &label)]))
        }
        SignOnResult::Disabled => {
            Failure::new(StatusCode::FORBIDDEN, "failure-account-disabled", t("failure-account-disabled-text"))
        }
        SignOnResult::Failed(failure) => failure_page(dashboard, failure),
    }
}

fn failure_page(dashboard: &Dashboard, failure: SignOnFailure) -> Failure {
    let label = dashboard.services.sign_on_label().unwrap_or_default();
    match failure {
        SignOnFailure::UnknownLogin => {
            Failure::new(StatusCode::BAD_REQUEST, "failure-login-unknown", t("failure-login-unknown-text"))
        }
        SignOnFailure::AccessDenied => Failure::new(
            StatusCode::FORBIDDEN,
            "failure-login-refused",
            t_with("failure-login-refused-text", &[("label", &label)]),
        ),
        // The text of the error arrives through the browser and can be forged, so the page does not show it.
        SignOnFailure::Provider => Failure {
            status: StatusCode::BAD_GATEWAY,
            title: t_with("failure-login-failed", &[("label", &label)]),
            text: t("failure-login-failed-text").to_owned(),
            details: Vec::new(),
        },
    }
}
