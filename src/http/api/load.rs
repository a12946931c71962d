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

use super::{events, export::Form, prefer::Wait, problem::Problem};
use crate::http::{
    auth,
    bounds::Bounds,
    keyed_limit::{Counted, Full, KeyedCount, KeyedLimit, Place},
    timeout,
};
use crate::service::access::TokenRefusal;
use axum::{
    body::{Body, Bytes, HttpBody},
    extract::{MatchedPath, Request, State},
    http::{Method, StatusCode},
    middleware::Next,
    response::{IntoResponse, Response},
};
use hyper::body::{Frame, SizeHint};

/// `Retry-After` of a refused request, in seconds.
const AGAIN_S: u32 = 1;

/// The hash of a token. Requests without a token share one key.
type Token = Option<u64>;

/// Counters that all requests share.
#[derive(Clone)]
pub struct Load {
    short: KeyedLimit<Token>,
    long: KeyedLimit<Token>,
    reserved: KeyedCount<Token>,
    reserved_each: usize,
    hasher: RandomState,
}

/// The slot of a request in progress.
enum Held {
    Shared {
        _place: Place<Token>,
    },
    /// A reserved slot for a request that may stop printers.
    Reserved {
        _place: Counted<Token>,
    },
}

impl Load {
    /// Creates the counters, all at zero.
    pub fn new(bounds: &Bounds) -> Self {
        Self {
            short: KeyedLimit::new(bounds.requests),
            long: KeyedLimit::new(bounds.long_requests),
            reserved: KeyedCount::default(),
            reserved_each: bounds.reserved_requests_each,
            hasher: RandomState::new(),
        }
    }

    fn admit(&self, request: &Request) -> Result<Held, &'static str> {
        let limit = if is_long(request) { &self.long } else { &self.short };
        let token = auth::bearer(request.headers()).map(|token| self.hasher.hash_one(token));
        match limit.admit(token) {
            Ok(place) => Ok(Held::Shared { _place: place }),
            Err(Full::Key) => Err("This token has as many under way as one may have."),
            // The load of other tokens never causes the refusal of a request that may stop printers.
            Err(Full::All) if may_stop(request) => {
                let place = self.reserved.admit(token, self.reserved_each);
                let place =
                    place.ok_or("This token has as many under way as one may have while the server is full.")?;
                Ok(Held::Reserved { _place: place })
            }
            Err(Full::All) => Err("The server has as many under way as it can."),
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
pub async fn bound(State(load): State<Load>, request: Request, next: Next) -> Response {
    let held = (request.uri().path() != "/metrics").then(|| load.admit(&request)).transpose();
    let held = match held {
        Ok(held) => held,
        Err(whose) => {
            let detail = format!("{whose} Nothing was done.");
            let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", detail);
            return problem.retry_after(AGAIN_S).into_response();
        }
    };
    let mut response = next.run(request).await;
    if let Some(refusal) = response.extensions_mut().remove::<TokenRefusal>() {
        // The refusal waits without a slot, so attempts to guess a token do not block other requests.
        drop(held);
        refusal.wait().await;
        return response;
    }
    response.map(|body| Body::new(Sending { body, _held: held }))
}

fn is_long(request: &Request) -> bool {
    let route = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    Wait::from_headers(request.headers()).is_some()
        || events::is_followed(route, request.uri())
        || timeout::is_transfer(route)
        || (request.method() == Method::GET && Form::accepted(request.headers()) != Form::Json)
}

/// A response body that holds its slot until it is sent.
struct Sending {
    body: Body,
    _held: Option<Held>,
}

impl HttpBody for Sending {
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
