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
    language::{fill, t},
    login::{Comes, enter, private},
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
            "That sign-on is over",
            fill(
                t("It took more than {n} minutes, or began in another browser. Go to the login and try again."),
                &[("n", &JOURNEY.num_minutes())],
            ),
        ),
        SignOn::NoRole => Failure::new(
            StatusCode::FORBIDDEN,
            "You have no role here",
            fill(
                t("{label} knows you, but puts you in no group that may use Printyard. Ask whoever runs the farm."),
                &[("label", &label)],
            ),
        ),
        SignOn::Disabled => Failure::new(
            StatusCode::FORBIDDEN,
            "Your account is disabled",
            "An admin of the farm has disabled it. Ask them.",
        ),
        SignOn::Failed(error) => failed(dashboard, error),
    }
}

fn failed(dashboard: &Dashboard, error: OidcError) -> Failure {
    let label = dashboard.services.sign_on_label().unwrap_or_default();
    match error {
        OidcError::OtherJourney | OidcError::OtherIssuer | OidcError::NoCode => Failure::new(
            StatusCode::BAD_REQUEST,
            "That sign-on is not yours",
            "The answer does not belong to a sign-on that began in this browser. Go to the login and try again.",
        ),
        OidcError::Refused { code, .. } if code == "access_denied" => Failure::new(
            StatusCode::FORBIDDEN,
            "You were not signed on",
            fill(
                t("At {label} it was refused. Go to the login and try again if that was a mistake."),
                &[("label", &label)],
            ),
        ),
        // The text of the error arrives through the browser and can be forged, so the page does not show it.
        OidcError::Refused { .. }
        | OidcError::Provider { .. }
        | OidcError::Incomplete(_)
        | OidcError::Busy
        | OidcError::Token(_)
        | OidcError::OtherAccessToken => Failure::new(
            StatusCode::BAD_GATEWAY,
            &fill(t("{label} did not sign you on"), &[("label", &label)]),
            "The server's log says why. Try again in a minute, or log in by your password if you have one.",
        ),
    }
}
