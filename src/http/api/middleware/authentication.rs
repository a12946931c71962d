//! Authentication of API requests. The token is checked first, then its role, then the rest of the request.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use axum::{
    extract::{FromRequestParts, Request, State},
    http::request::Parts,
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::rate_limit::RequestRates;
use crate::{
    domain::access::Role,
    http::{api::problem::Problem, auth},
    service::{Services, access::Principal},
};

/// Admits requests with a valid bearer token, up to the rate limit of that token. Session cookies are not accepted
/// here.
pub async fn authenticate(
    State((services, rates)): State<(Services, RequestRates)>,
    mut request: Request,
    next: Next,
) -> Response {
    let origin = auth::request_origin(request.extensions());
    let principal = match auth::authenticate_bearer(&services, request.headers(), &origin).await {
        Ok(Ok(principal)) => Principal { origin, ..principal },
        Ok(Err(refusal)) => {
            let mut response = Problem::unauthenticated().into_response();
            // `overload` waits before it sends this response.
            response.extensions_mut().insert(refusal);
            return response;
        }
        Err(error) => return Problem::from(error).into_response(),
    };
    let (allowance, admitted) = rates.count_request(principal.token_id);
    request.extensions_mut().insert(principal);
    let mut response = match admitted {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    };
    allowance.write_headers(response.headers_mut());
    response
}

/// Request extension that only tests whether the handler admits the caller. The handler does not run further.
#[derive(Clone)]
pub struct AdmissionCheck(pub Arc<AtomicBool>);

/// Returns the principal that [`authenticate`] admitted, if its role is sufficient.
fn require_role(parts: &Parts, role: Role) -> Result<Principal, Problem> {
    // Absent only if a route was added outside this layer. Such a route admits no request.
    let principal = parts.extensions.get::<Principal>().ok_or_else(Problem::unauthenticated)?;
    principal.require(role)?;
    if let Some(AdmissionCheck(admitted)) = parts.extensions.get::<AdmissionCheck>() {
        admitted.store(true, Ordering::Relaxed);
        // Ends the handler. The code that set `AdmissionCheck` ignores this response.
        return Err(Problem::not_found("path"));
    }
    Ok(principal.clone())
}

/// Declares extractors that require a role. They come first in a handler, so nothing else is read before the role is
/// checked.
macro_rules! roles {
    ($($(#[$doc:meta])* $name:ident,)+) => {$(
        $(#[$doc])*
        pub struct $name(pub Principal);

        impl<S: Sync> FromRequestParts<S> for $name {
            type Rejection = Problem;

            async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
                require_role(parts, Role::$name).map(Self)
            }
        }
    )+};
}

roles! {
    /// May read.
    Viewer,
    /// May also command printers.
    Operator,
    /// May also change the printer registry.
    Manager,
    /// May also create and revoke tokens.
    Admin,
}
