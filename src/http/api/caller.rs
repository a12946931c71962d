//! Who asks, decided before anything else about a request is looked at: the token first, then its role, then the rest.

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

use super::{limits::RequestRates, problem::Problem};
use crate::{
    domain::access::Role,
    http::auth,
    service::{Services, access::Principal},
};

/// Lets in who holds a valid bearer token, at no more than its rate. A session cookie never counts here.
pub async fn authenticate(
    State((services, rates)): State<(Services, RequestRates)>,
    mut request: Request,
    next: Next,
) -> Response {
    let origin = auth::origin_of(request.extensions());
    let principal = match auth::by_bearer(&services, request.headers(), &origin).await {
        Ok(Ok(principal)) => Principal { origin, ..principal },
        Ok(Err(refusal)) => {
            let mut response = Problem::unauthenticated().into_response();
            // `load` sends it after its wait.
            response.extensions_mut().insert(refusal);
            return response;
        }
        Err(error) => return Problem::from(error).into_response(),
    };
    let (allowance, admitted) = rates.count(principal.token_id);
    request.extensions_mut().insert(principal);
    let mut response = match admitted {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    };
    allowance.write_headers(response.headers_mut());
    response
}

/// Asks whether a handler lets the caller in, and no more of it.
#[derive(Clone)]
pub struct Asked(pub Arc<AtomicBool>);

/// The principal that [`authenticate`] let in, if its role is enough.
fn admitted(parts: &Parts, role: Role) -> Result<Principal, Problem> {
    // Absent only where a route was put outside of the layer; then nobody gets in.
    let principal = parts.extensions.get::<Principal>().ok_or_else(Problem::unauthenticated)?;
    principal.require(role)?;
    if let Some(Asked(admitted)) = parts.extensions.get::<Asked>() {
        admitted.store(true, Ordering::Relaxed);
        // It ends the handler; whoever asked takes no notice.
        return Err(Problem::not_found("path"));
    }
    Ok(principal.clone())
}

/// Declares extractors that admit a role. They come first in a handler: what follows is not looked at before.
macro_rules! roles {
    ($($(#[$doc:meta])* $name:ident,)+) => {$(
        $(#[$doc])*
        pub struct $name(pub Principal);

        impl<S: Sync> FromRequestParts<S> for $name {
            type Rejection = Problem;

            async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
                admitted(parts, Role::$name).map(Self)
            }
        }
    )+};
}

roles! {
    /// May look.
    Viewer,
    /// May command printers.
    Operator,
    /// May change the register.
    Manager,
    /// May make and revoke tokens.
    Admin,
}
