//! Limits the number of requests in progress. A request above the limit is refused before its body is read or the
//! database is queried. A late response is useless, and delays the next one.
//!
//! Requests that take long (uploads, lists of files, whole lists, `Prefer: wait`) have a separate limit. A request
//! counts until its response is sent, or its client has disconnected.

use std::{
    hash::{BuildHasher, RandomState},
    pin::Pin,
    task::{Context, Poll},
};

use crate::{
    http::{
        api::{events, list::export::ListFormat, problem::Problem, request::prefer::WaitPreference},
        auth,
        keyed_limit::{CountGuard, KeyedCount, KeyedLimit, LimitExceeded, LimitSlot},
        limits::ServerLimits,
        timeout,
    },
    service::access::TokenRefusal,
};
use axum::{
    body::{Body, Bytes, HttpBody},
    extract::{MatchedPath, Request, State},
    http::{Method, StatusCode},
    middleware::Next,
    response::{IntoResponse, Response},
};
use hyper::body::{Frame, SizeHint};

/// `Retry-After` of a refused request, in seconds.
const RETRY_AFTER_S: u32 = 1;

/// The hash of a token. Requests without a token share one key.
type TokenKey = Option<u64>;

/// Counters that all requests share.
#[derive(Clone)]
pub struct OverloadLimits {
    short: KeyedLimit<TokenKey>,
    long: KeyedLimit<TokenKey>,
    reserved: KeyedCount<TokenKey>,
    reserved_per_token: usize,
    hasher: RandomState,
}

/// The slot of a request in progress.
enum RequestSlot {
    Shared {
        _slot: LimitSlot<TokenKey>,
    },
    /// A reserved slot for a request that may stop printers.
    Reserved {
        _slot: CountGuard<TokenKey>,
    },
}

impl OverloadLimits {
    /// Creates the counters, all at zero.
    pub fn new(limits: &ServerLimits) -> Self {
        Self {
            short: KeyedLimit::new(limits.requests),
            long: KeyedLimit::new(limits.long_requests),
            reserved: KeyedCount::default(),
            reserved_per_token: limits.reserved_requests_per_token,
            hasher: RandomState::new(),
        }
    }

    fn acquire_slot(&self, request: &Request) -> Result<RequestSlot, &'static str> {
        let limit = if is_long(request) { &self.long } else { &self.short };
        let token = auth::bearer_token(request.headers()).map(|token| self.hasher.hash_one(token));
        match limit.try_acquire(token) {
            Ok(place) => Ok(RequestSlot::Shared { _slot: place }),
            Err(LimitExceeded::Key) => Err("This token has as many under way as one may have."),
            // The load of other tokens never causes the refusal of a request that may stop printers.
            Err(LimitExceeded::Total) if may_stop(request) => {
                let slot = self.reserved.try_increment(token, self.reserved_per_token);
                let slot = slot.ok_or("This token has as many under way as one may have while the server is full.")?;
                Ok(RequestSlot::Reserved { _slot: slot })
            }
            Err(LimitExceeded::Total) => Err("The server has as many under way as it can."),
        }
    }
}

/// Returns whether a request may stop printers. The command itself is in the body, which is not read yet.
fn may_stop(request: &Request) -> bool {
    let route = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    request.method() == Method::POST
        && matches!(
            route,
            Some(
                "/api/v1/batches"
                    | "/api/v1/batches/{id}/stop"
                    | "/api/v1/printers/{id}/job"
                    | "/api/v1/printers/{id}/emergency-stop"
                    | "/api/v1/emergency-stop"
            )
        )
}

/// Admits a request if a slot is free. `/metrics` needs no slot: it is most useful when none is free.
pub async fn limit_requests(State(limits): State<OverloadLimits>, request: Request, next: Next) -> Response {
    let slot = (request.uri().path() != "/metrics").then(|| limits.acquire_slot(&request)).transpose();
    let slot = match slot {
        Ok(held) => held,
        Err(reason) => {
            let detail = format!("{reason} Nothing was done.");
            let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", detail);
            return problem.retry_after(RETRY_AFTER_S).into_response();
        }
    };
    let mut response = next.run(request).await;
    if let Some(refusal) = response.extensions_mut().remove::<TokenRefusal>() {
        // The refusal waits without a slot, so attempts to guess a token do not block other requests.
        drop(slot);
        refusal.wait().await;
        return response;
    }
    response.map(|body| Body::new(BodyWithSlot { body, _slot: slot }))
}

fn is_long(request: &Request) -> bool {
    let route = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    WaitPreference::from_headers(request.headers()).is_some()
        || events::follows_feed(route, request.uri())
        || timeout::is_transfer(route)
        || (request.method() == Method::GET && ListFormat::from_accept(request.headers()) != ListFormat::Json)
}

/// A response body that holds its slot until it is sent.
struct BodyWithSlot {
    body: Body,
    _slot: Option<RequestSlot>,
}

impl HttpBody for BodyWithSlot {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
