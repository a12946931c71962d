//! Kept connections to one printer, for small requests.
//!
//! A general client has a pool, a task and buffers for every connection. It passes every request through layers for
//! proxies, redirects and cookies, which a printer must not have anyway. Between two requests a line keeps only the
//! socket. During a request, the caller drives the connection. So a thousand simultaneous commands use a third less
//! processor time, and an idle printer needs none of the buffers (`benches/confirm.rs`, `benches/idle.rs`).
//!
//! **A request that may have arrived is not repeated.** A request is sent a second time only if hyper returns it
//! unsent. It does so if the kept connection was closed before a byte was written.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, Waker},
    time::Instant,
};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    HeaderMap, Method, Request, Response, Uri,
    body::Incoming,
    client::conn::http1::{self, Connection, SendRequest},
    header::{ACCEPT, HOST, HeaderValue, USER_AGENT},
};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, ReadBuf};
use url::{Position, Url};

use super::{AGENT, CONNECT_TIMEOUT, DialError, IDLE_PER_HOST, IDLE_TIMEOUT, Outbound, OutboundStream, body::Reply};

/// Replies to commands have about 200 bytes, readings 1 to 2 KB. hyper would allocate 8 KB for each request.
const READ_BUFFER: usize = 2_048;

/// Why a request got no response.
#[derive(Debug, thiserror::Error)]
pub enum PoolError {
    /// The connection could not be opened. No byte was written.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// The URL cannot be sent in HTTP. No byte was written.
    #[error("the url cannot be sent")]
    Url,
    /// No connection was ready before `not_after`. No byte was written.
    #[error("too late to be sent")]
    TooLate,
    /// The connection broke, or the response is not valid HTTP.
    #[error(transparent)]
    Http(#[from] hyper::Error),
}

/// The connections to one address. A clone only increments a reference count.
#[derive(Clone)]
pub struct ConnectionPool(Arc<PoolInner>);

struct PoolInner {
    outbound: Outbound,
    base: Url,
    host: Option<HeaderValue>,
    idle: Mutex<Vec<IdleConnection>>,
}

/// A connection without a request in flight.
struct IdleConnection {
    stream: OutboundStream,
    since: Instant,
}

impl ConnectionPool {
    /// Returns a line to the scheme, host and port of a URL. No connection is opened yet.
    pub fn new(outbound: Outbound, base: Url) -> Self {
        let host = HeaderValue::from_str(&base[Position::BeforeHost..Position::AfterPort]).ok();
        Self(Arc::new(PoolInner { outbound, base, host, idle: Mutex::default() }))
    }

    /// Sends one request and waits for the head of its response. Only path and query of `url` are used. After
    /// `not_after` the request is not sent any more, because the process may have been suspended since the caller
    /// checked the time.
    ///
    /// # Errors
    /// [`PoolError`]. The only timeout is that of the connection, so the caller must set one for the request.
    pub async fn send(
        &self,
        method: Method,
        url: &Url,
        headers: HeaderMap,
        body: Bytes,
        not_after: Option<Instant>,
    ) -> Result<Reply, PoolError> {
        let mut request = Request::new(Full::new(body));
        *request.uri_mut() =
            Uri::try_from(&url[Position::BeforePath..Position::AfterQuery]).map_err(|_| PoolError::Url)?;
        *request.method_mut() = method;
        *request.headers_mut() = headers;
        let headers = request.headers_mut();
        headers.insert(HOST, self.0.host.clone().ok_or(PoolError::Url)?);
        headers.entry(USER_AGENT).or_insert(HeaderValue::from_static(AGENT));
        headers.entry(ACCEPT).or_insert(HeaderValue::from_static("*/*"));
        let is_late = || not_after.is_some_and(|end| Instant::now() >= end);
        if let Some(stream) = self.take_idle() {
            if is_late() {
                return Err(PoolError::TooLate);
            }
            match self.send_over(stream, request).await {
                Ok(reply) => return Ok(reply),
                Err((error, None)) => return Err(error.into()),
                Err((_, Some(unsent))) => request = *unsent,
            }
        }
        // Boxed, because it is rarely needed and larger than the rest of the future.
        let stream = Box::pin(self.0.outbound.dial(&self.0.base, CONNECT_TIMEOUT)).await?;
        if is_late() {
            return Err(PoolError::TooLate);
        }
        self.send_over(stream, request).await.map_err(|(error, _)| error.into())
    }

    /// Sends one request over one connection. A request that was not written is returned with the error.
    async fn send_over(
        &self,
        stream: OutboundStream,
        request: Request<Full<Bytes>>,
    ) -> Result<Reply, (hyper::Error, Option<Box<Request<Full<Bytes>>>>)> {
        let handshake = http1::Builder::new().read_buf_exact_size(Some(READ_BUFFER)).handshake(TokioIo::new(stream));
        let (mut sender, connection) = handshake.await.map_err(|error| (error, None))?;
        let mut connection = DrivenConnection { connection, ended: false };
        let response = {
            let mut sending = pin!(sender.try_send_request(request));
            poll_fn(|cx| {
                connection.drive(cx);
                sending.as_mut().poll(cx)
            })
            .await
        };
        let response: Response<Incoming> =
            response.map_err(|mut error| (error.take_message().map(Box::new), error.into_error())).map_err(swap)?;
        let busy = BusyConnection { connection, sender, pool: self.clone() };
        Ok(Reply::from_pooled(response, Box::new(busy)))
    }

    /// Takes the connection that was used last, unless it was closed in the meantime.
    fn take_idle(&self) -> Option<OutboundStream> {
        let mut idle = self.0.idle.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(IdleConnection { mut stream, since }) = idle.pop() {
            if since.elapsed() < IDLE_TIMEOUT && is_quiet(&mut stream) {
                return Some(stream);
            }
        }
        None
    }

    fn keep_idle(&self, stream: OutboundStream) {
        let mut idle = self.0.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|kept| kept.since.elapsed() < IDLE_TIMEOUT);
        if idle.len() < IDLE_PER_HOST {
            idle.push(IdleConnection { stream, since: Instant::now() });
        }
    }
}

fn swap<A, B>((a, b): (A, B)) -> (B, A) {
    (b, a)
}

/// Returns whether an idle connection received nothing: neither its end nor unexpected bytes.
fn is_quiet(stream: &mut OutboundStream) -> bool {
    let mut byte = [0; 1];
    let mut cx = Context::from_waker(Waker::noop());
    Pin::new(stream).poll_read(&mut cx, &mut ReadBuf::new(&mut byte)).is_pending()
}

/// A connection that makes progress only while a caller polls it.
struct DrivenConnection {
    connection: Connection<TokioIo<OutboundStream>, Full<Bytes>>,
    ended: bool,
}

impl DrivenConnection {
    /// Drives the connection. Its result is ignored here, because the future of the response or the body returns it.
    fn drive(&mut self, cx: &mut Context<'_>) {
        if !self.ended {
            self.ended = self.connection.poll_without_shutdown(cx).is_ready();
        }
    }
}

/// A connection whose response has begun.
pub(super) struct BusyConnection {
    connection: DrivenConnection,
    sender: SendRequest<Full<Bytes>>,
    pool: ConnectionPool,
}

impl BusyConnection {
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
            self.pool.keep_idle(parts.io.into_inner());
        }
    }
}
