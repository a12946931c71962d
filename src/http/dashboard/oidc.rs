//! Single sign-on: the redirect to the identity provider, and the return.

use axum::{
    extract::{Query, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Redirect, Response},
};
use serde::Deserialize;

use super::{
    Dashboard,
    form::own_path,
    login::{Comes, enter, private},
    messages::{t, t_with},
    page::Failure,
};
use crate::{
    http::auth,
    service::oidc::{JOURNEY, OidcError, Return, SIGN_ON_LIFE, SignOn},
};

#[derive(Deserialize)]
pub(super) struct Wish {
    next: Option<String>,
}

/// Redirects to the identity provider.
pub(super) async fn depart(
    State(dashboard): State<Dashboard>,
    Comes(_, request): Comes,
    Query(wish): Query<Wish>,
) -> Result<Response, Failure> {
    let next = own_path(wish.next.as_deref()).unwrap_or("/");
    let (url, journey) = match dashboard.services.begin_sign_on(next).await? {
        Ok(there) => there,
        Err(error) => return Err(failed(&dashboard, error)),
    };
    let cookie = auth::keep_journey(&request, &journey, JOURNEY.num_seconds());
    let cookie = HeaderValue::from_str(&cookie).map_err(|_| Failure::internal())?;
    Ok((private(), [(header::SET_COOKIE, cookie)], Redirect::to(&url)).into_response())
}

/// Handles the return from the identity provider. The login state is used up, even if the login fails.
pub(super) async fn arrive(
    State(dashboard): State<Dashboard>,
    Comes(browser, request): Comes,
    Query(back): Query<Return>,
    headers: HeaderMap,
) -> Response {
    let over = auth::keep_journey(&request, "", 0);
    let journey = auth::journey_cookie(&headers);
    let answer = match dashboard.services.finish_sign_on(journey, back, browser).await {
        Ok(SignOn::In { secret, next }) => enter(&request, &secret, SIGN_ON_LIFE, &next),
        Ok(out) => Err(refused(&dashboard, out)),
        Err(error) => Err(error.into()),
    };
    let mut response = (private(), answer).into_response();
    if let Ok(over) = HeaderValue::from_str(&over) {
        response.headers_mut().append(header::SET_COOKIE, over);
    }
    response
}

fn refused(dashboard: &Dashboard, out: SignOn) -> Failure {
    let label = dashboard.services.sign_on_label().unwrap_or_default();
    match out {
        // The caller has handled this case.
        SignOn::In { .. } => Failure::internal(),
        SignOn::TooLate => Failure::new(
            StatusCode::BAD_REQUEST,
            "failure-sign-over",
            t_with("failure-took-more-than-minutes", &[("n", &JOURNEY.num_minutes())]),
        ),
        SignOn::NoRole => Failure::new(
            StatusCode::FORBIDDEN,
            "failure-you-no-role-here",
            t_with("failure-no-group", &[("label", &label)]),
        ),
        SignOn::Disabled => {
            Failure::new(StatusCode::FORBIDDEN, "failure-your-account-disabled", t("failure-admin-farm-disabled-ask"))
        }
        SignOn::Failed(error) => failed(dashboard, error),
    }
}

fn failed(dashboard: &Dashboard, error: OidcError) -> Failure {
    let label = dashboard.services.sign_on_label().unwrap_or_default();
    match error {
        OidcError::OtherJourney | OidcError::OtherIssuer | OidcError::NoCode => {
            Failure::new(StatusCode::BAD_REQUEST, "failure-sign-not-yours", t("failure-answer-does-not-belong"))
        }
        OidcError::Refused { code, .. } if code == "access_denied" => Failure::new(
            StatusCode::FORBIDDEN,
            "failure-you-not-signed",
            t_with("failure-refused-go-login-try", &[("label", &label)]),
        ),
        // The text of the error arrives through the browser and can be forged, so the page does not show it.
        OidcError::Refused { .. }
        | OidcError::Provider { .. }
        | OidcError::Incomplete(_)
        | OidcError::Busy
        | OidcError::Token(_)
        | OidcError::OtherAccessToken => Failure {
            status: StatusCode::BAD_GATEWAY,
            title: t_with("failure-did-not-sign-you", &[("label", &label)]),
            text: t("failure-servers-log-says-why").to_owned(),
            details: Vec::new(),
        },
    }
}
