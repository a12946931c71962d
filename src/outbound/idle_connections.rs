//! Kept connections to one address.

use std::{
    pin::Pin,
    sync::{Mutex, PoisonError},
    task::{Context, Waker},
    time::Instant,
};

use tokio::io::{AsyncRead, ReadBuf};

use super::{IDLE_PER_HOST, IDLE_TIMEOUT, OutboundStream};

/// The connections without a request in flight.
#[derive(Default)]
pub(super) struct IdleConnections(Mutex<Vec<IdleConnection>>);

struct IdleConnection {
    stream: OutboundStream,
    since: Instant,
}

impl IdleConnections {
    /// Takes the connection that was used last, unless it was closed in the meantime.
    pub fn take(&self) -> Option<OutboundStream> {
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(IdleConnection { mut stream, since }) = idle.pop() {
            if since.elapsed() < IDLE_TIMEOUT && is_quiet(&mut stream) {
                return Some(stream);
            }
        }
        None
    }

    /// Keeps a connection, unless enough are kept.
    pub fn keep(&self, stream: OutboundStream) {
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|kept| kept.since.elapsed() < IDLE_TIMEOUT);
        if idle.len() < IDLE_PER_HOST {
            idle.push(IdleConnection { stream, since: Instant::now() });
        }
    }
}

/// Returns whether an idle connection received nothing: neither its end nor unexpected bytes.
fn is_quiet(stream: &mut OutboundStream) -> bool {
    let mut byte = [0; 1];
    let mut cx = Context::from_waker(Waker::noop());
    Pin::new(stream).poll_read(&mut cx, &mut ReadBuf::new(&mut byte)).is_pending()
}
