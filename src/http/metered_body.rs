//! Upload body that is read with bounded memory.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
};

use axum::body::{Body, BodyDataStream};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};

/// Bytes within which the header of the next part must be complete.
const MAX_HEADER_BYTES: usize = 64 * 1024;
/// Counter value while the content of a part is read. Nothing is counted then.
const NOT_COUNTING: usize = usize::MAX;

/// Counts the bytes between two parts of a form. Cheap to clone.
#[derive(Clone, Default)]
pub struct HeaderMeter(Arc<AtomicUsize>);

impl HeaderMeter {
    /// Starts to count: the parser searches for the next part.
    pub fn start_counting(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    /// Stops counting: the content of a part is read.
    pub fn stop_counting(&self) {
        self.0.store(NOT_COUNTING, Ordering::Relaxed);
    }
}

/// A body that ends with an error if no part begins within [`MAX_HEADER_BYTES`] bytes.
///
/// The form parser reads everything that is ready, and searches it from the start each time. So this body yields one
/// chunk at a time, and the parser processes it before it gets the next one. Memory and time stay proportional to the
/// body.
pub struct MeteredBody {
    body: BodyDataStream,
    meter: HeaderMeter,
    has_yielded: bool,
}

impl MeteredBody {
    /// Wraps a body.
    pub fn new(body: Body, meter: HeaderMeter) -> Self {
        Self { body: body.into_data_stream(), meter, has_yielded: false }
    }
}

impl Stream for MeteredBody {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        if std::mem::take(&mut self.has_yielded) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let counted = self.meter.0.load(Ordering::Relaxed);
        if counted != NOT_COUNTING && counted > MAX_HEADER_BYTES {
            return Poll::Ready(Some(Err(io::Error::other("no part of the form begins"))));
        }
        let piece = ready!(self.body.poll_next_unpin(cx));
        if let Some(Ok(bytes)) = &piece
            && counted != NOT_COUNTING
        {
            self.meter.0.store(counted + bytes.len(), Ordering::Relaxed);
        }
        self.has_yielded = piece.is_some();
        Poll::Ready(piece.map(|piece| piece.map_err(io::Error::other)))
    }
}
