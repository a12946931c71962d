//! How many requests are under way at once. What comes beyond it is told so at once, before its body is read or the
//! database is asked: an answer that comes too late is work for nothing, and the next one then comes later still.
//!
//! What takes long by its nature (uploads, lists of files, whole lists, waiting for an end) has a bound of its own, so that neither
//! kind crowds out the other. A request counts until its answer is sent, or its client has gone.

use std::{
    hash::{BuildHasher, RandomState},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{
    body::{Body, Bytes, HttpBody},
    extract::{MatchedPath, Request, State},
    http::{Method, StatusCode},
    middleware::Next,
    response::{IntoResponse, Response},
};
use hyper::body::{Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{events, export::Form, prefer::Wait, problem::Problem};
use crate::http::{
    auth,
    bounds::{Bounds, Rooms},
    crowd::{Crowd, Place},
    patience,
};

/// Seconds after which somebody who was refused may come again.
const AGAIN_S: u32 = 1;

/// What all requests share.
#[derive(Clone)]
pub struct Load {
    short: Room,
    long: Room,
    reserved: Room,
    /// Tokens are told apart by a number that says nothing about them.
    hasher: RandomState,
}

#[derive(Clone)]
struct Room {
    rooms: Rooms,
    all: Arc<Semaphore>,
    /// By token; those without one share a number.
    each: Crowd<Option<u64>>,
}

/// One request under way: its place among all, among those of its token, and where it is a reserved one, among those.
type Held = (OwnedSemaphorePermit, Place<Option<u64>>, Option<Place<Option<u64>>>);

impl Load {
    /// Nothing is under way.
    pub fn new(bounds: &Bounds) -> Self {
        let room = |rooms: Rooms| Room { rooms, all: Arc::new(Semaphore::new(rooms.all)), each: Crowd::default() };
        Self {
            short: room(bounds.requests),
            long: room(bounds.long_requests),
            reserved: room(bounds.reserved_requests),
            hasher: RandomState::new(),
        }
    }

    fn admit(&self, request: &Request) -> Result<Held, &'static str> {
        let room = if is_long(request) { &self.long } else { &self.short };
        let token = auth::bearer(request.headers()).map(|token| self.hasher.hash_one(token));
        let place =
            room.each.admit(token, room.rooms.each).ok_or("This token has as many under way as one may have.")?;
        if let Ok(slot) = room.all.clone().try_acquire_owned() {
            return Ok((slot, place, None));
        }
        // The load of other tokens never refuses a request that stops printers.
        let reserved = may_stop(request).then(|| self.reserved.admit(token)).flatten();
        let (slot, share) = reserved.ok_or("The server has as many under way as it can.")?;
        Ok((slot, place, Some(share)))
    }
}

impl Room {
    fn admit(&self, token: Option<u64>) -> Option<(OwnedSemaphorePermit, Place<Option<u64>>)> {
        let place = self.each.admit(token, self.rooms.each)?;
        Some((self.all.clone().try_acquire_owned().ok()?, place))
    }
}

/// Requests that may stop printers. Their command is in the body, which is not read yet.
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

/// Lets a request in while there is room. `/metrics` always: it is most needed when there is none.
pub async fn bound(State(load): State<Load>, request: Request, next: Next) -> Response {
    if request.uri().path() == "/metrics" {
        return next.run(request).await;
    }
    match load.admit(&request) {
        Ok(held) => next.run(request).await.map(|body| Body::new(Sending { body, _held: held })),
        Err(whose) => {
            let detail = format!("{whose} Nothing was done.");
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", detail).retry_after(AGAIN_S).into_response()
        }
    }
}

fn is_long(request: &Request) -> bool {
    let route = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    Wait::from_headers(request.headers()).is_some()
        || events::is_followed(route, request.uri())
        || patience::is_transfer(route)
        || (request.method() == Method::GET && Form::accepted(request.headers()) != Form::Json)
}

/// The body of an answer, which holds its place until it is sent.
struct Sending {
    body: Body,
    _held: Held,
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
