//! A connection during a request. The caller drives it.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    body::Incoming,
    client::conn::http1::{Connection, SendRequest},
};
use hyper_util::rt::TokioIo;

use super::{OutboundStream, idle_connections::IdleConnections};

/// A connection that makes progress only while a caller polls it.
pub(super) struct DrivenConnection {
    connection: Connection<TokioIo<OutboundStream>, Full<Bytes>>,
    ended: bool,
}

impl DrivenConnection {
    pub(super) fn new(connection: Connection<TokioIo<OutboundStream>, Full<Bytes>>) -> Self {
        Self { connection, ended: false }
    }

    /// Drives the connection. Its result is ignored here, because the future of the response or the body returns it.
    pub(super) fn drive(&mut self, cx: &mut Context<'_>) {
        if !self.ended {
            self.ended = self.connection.poll_without_shutdown(cx).is_ready();
        }
    }
}

/// A connection whose response has begun.
pub(super) struct BusyConnection {
    connection: DrivenConnection,
    sender: SendRequest<Full<Bytes>>,
    idle: Arc<IdleConnections>,
}

impl BusyConnection {
    pub(super) fn new(
        connection: DrivenConnection,
        sender: SendRequest<Full<Bytes>>,
        idle: Arc<IdleConnections>,
    ) -> Self {
        Self { connection, sender, idle }
    }

    /// Polls the next piece of the body.
    pub(super) fn poll_frame(
        &mut self,
        body: &mut Incoming,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<hyper::body::Frame<Bytes>, hyper::Error>>> {
        self.connection.drive(cx);
        hyper::body::Body::poll_frame(Pin::new(body), cx)
    }

    /// Keeps the socket after a complete response, if both sides allow it.
    pub(super) fn return_to_pool(mut self) {
        self.connection.drive(&mut Context::from_waker(Waker::noop()));
        if self.connection.ended || !self.sender.is_ready() {
            return;
        }
        let parts = self.connection.connection.into_parts();
        if parts.read_buf.is_empty() {
            self.idle.keep(parts.io.into_inner());
        }
    }
}
