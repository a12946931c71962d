//! Keeps a connection usable after a request whose body was not read, for example because the request was refused.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{
    body::{Body, Bytes, HttpBody, to_bytes},
    extract::Request,
    http::{HeaderValue, header},
    middleware::Next,
    response::Response,
};
use hyper::body::{Frame, SizeHint};
use tokio::{sync::oneshot, time::timeout};

/// Bytes of an unread body that are read and discarded. A larger body closes its connection.
const MAX_DISCARDED_BYTES: usize = 64 * 1024;
/// Time for the rest of a body. If it takes longer, the connection is closed.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(1);

/// Discards the unread rest of a small body. Otherwise marks the connection to be closed.
pub async fn discard_unread_body(request: Request, next: Next) -> Response {
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    // With `Expect: 100-continue` the client has not sent the body yet, so there is nothing to discard.
    let expects_continue = request.headers().contains_key(header::EXPECT);
    let (back, unread) = oneshot::channel();
    let request = request.map(|body| Body::new(RecoverableBody { body: Some(body), sender: Some(back) }));
    let mut response = next.run(request).await;
    let Ok(body) = { unread }.try_recv() else { return response };
    let is_discarded = !expects_continue
        && timeout(DISCARD_TIMEOUT, to_bytes(body, MAX_DISCARDED_BYTES)).await.is_ok_and(|read| read.is_ok());
    if !is_discarded {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// A body that is returned to [`discard_unread_body`] when it is dropped before its end.
struct RecoverableBody {
    /// `None` after the end of the body.
    body: Option<Body>,
    sender: Option<oneshot::Sender<Body>>,
}

impl HttpBody for RecoverableBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let frame = ready!(Pin::new(body).poll_frame(cx));
        if !matches!(frame, Some(Ok(_))) {
            self.body = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), HttpBody::size_hint)
    }
}

impl Drop for RecoverableBody {
    fn drop(&mut self) {
        if let (Some(body), Some(sender)) = (self.body.take(), self.sender.take())
            && !body.is_end_stream()
        {
            // The receiver may have been dropped with the request.
            let _ = sender.send(body);
        }
    }
}
