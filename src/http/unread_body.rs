//! Keeps a connection usable after a request whose body was not read, for example because the request was refused.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{
    body::{Body, BodyDataStream, Bytes, HttpBody},
    extract::Request,
    http::{HeaderValue, header},
    middleware::Next,
    response::Response,
};
use futures_util::StreamExt;
use hyper::body::{Frame, SizeHint};
use tokio::{sync::oneshot, time::timeout};

/// Bytes of an unread body that are read and discarded. A larger body closes its connection.
const MAX_DISCARDED_BYTES: usize = 64 * 1024;
/// Time for the rest of a body. If it takes longer, the connection is closed.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(1);
/// Bytes and time for which the body of a closed connection is still read after the response. A client that sends and
/// does not read would otherwise get a reset connection instead of the response.
const MAX_LINGER_BYTES: usize = 64 * 1024 * 1024;
const LINGER_TIMEOUT: Duration = Duration::from_secs(5);

/// Discards the unread rest of a small body. Otherwise marks the connection to be closed after the response.
pub async fn discard_unread_body(request: Request, next: Next) -> Response {
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    let expects_continue = request.headers().contains_key(header::EXPECT);
    let (back, unread) = oneshot::channel();
    let request =
        request.map(|body| Body::new(RecoverableBody { body: Some(body), was_polled: false, sender: Some(back) }));
    let mut response = next.run(request).await;
    let Ok((body, was_polled)) = { unread }.try_recv() else { return response };
    let mut body = body.into_data_stream();
    // With `Expect: 100-continue` the client sends the body when it is polled. Before that, there is nothing to discard.
    let is_awaited = expects_continue && !was_polled;
    let is_discarded = !is_awaited && read_to_end(&mut body, MAX_DISCARDED_BYTES, DISCARD_TIMEOUT).await;
    if !is_discarded {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    if !is_discarded && !is_awaited {
        tokio::spawn(async move { read_to_end(&mut body, MAX_LINGER_BYTES, LINGER_TIMEOUT).await });
    }
    response
}

/// Reads and discards a body. Returns whether it ended within these limits.
async fn read_to_end(body: &mut BodyDataStream, max_bytes: usize, limit: Duration) -> bool {
    let mut length = 0;
    let rest = async {
        while let Some(chunk) = body.next().await {
            let Ok(chunk) = chunk else { return false };
            length += chunk.len();
            if length > max_bytes {
                return false;
            }
        }
        true
    };
    timeout(limit, rest).await.unwrap_or(false)
}

/// A body that is returned to [`discard_unread_body`] when it is dropped before its end.
struct RecoverableBody {
    /// `None` after the end of the body.
    body: Option<Body>,
    was_polled: bool,
    /// Sends the body back, and whether it was polled.
    sender: Option<oneshot::Sender<(Body, bool)>>,
}

impl HttpBody for RecoverableBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.was_polled = true;
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
            let _ = sender.send((body, self.was_polled));
        }
    }
}
