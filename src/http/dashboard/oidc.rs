//! In through the provider of single sign-on: the way there, and the way back.

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
    page::Failure,
};
use crate::{
    http::auth,
    service::oidc::{JOURNEY, OidcError, Return, SIGN_ON_LIFE, SignOn},
};

const AGAIN: &str = "Go to the login and try again";

#[derive(Deserialize)]
pub(super) struct Wish {
    next: Option<String>,
}

/// Off to the provider.
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

/// Back from the provider. The journey is used up, whatever becomes of it.
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
        // Let in by the caller.
        SignOn::In { .. } => Failure::internal(),
        SignOn::TooLate => Failure::new(
            StatusCode::BAD_REQUEST,
            "That sign-on is over",
            format!("It took more than {} minutes, or began in another browser. {AGAIN}.", JOURNEY.num_minutes()),
        ),
        SignOn::NoRole => Failure::new(
            StatusCode::FORBIDDEN,
            "You have no role here",
            format!("{label} knows you, but puts you in no group that may use Printyard. Ask whoever runs the farm."),
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
            format!("The answer does not belong to a sign-on that began in this browser. {AGAIN}."),
        ),
        OidcError::Refused { code, .. } if code == "access_denied" => Failure::new(
            StatusCode::FORBIDDEN,
            "You were not signed on",
            format!("At {label} it was refused. {AGAIN} if that was a mistake."),
        ),
        // What it says comes by way of the browser: anybody's words, which do not belong on our page.
        OidcError::Refused { .. }
        | OidcError::Provider { .. }
        | OidcError::Incomplete(_)
        | OidcError::Busy
        | OidcError::Token(_)
        | OidcError::OtherAccessToken => Failure::new(
            StatusCode::BAD_GATEWAY,
            format!("{label} did not sign you on"),
            format!("The server's log says why. {AGAIN} in a minute, or log in by your password if you have one."),
        ),
    }
}
