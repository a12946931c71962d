//! Kept connections to one printer, for small requests.
//!
//! A general client has a pool, a task and buffers for every connection. It passes every request through layers for
//! proxies, redirects and cookies, which a printer must not have anyway. Between two requests this pool keeps only the
//! socket. During a request, the caller drives the connection. So a thousand simultaneous commands use a third less
//! processor time, and an idle printer needs none of the buffers (`benches/confirm.rs`, `benches/idle.rs`).
//!
//! **A request that may have arrived is not repeated.** A request is sent a second time only if hyper returns it
//! unsent. It does so if the kept connection was closed before a byte was written.

use std::{future::poll_fn, pin::pin, sync::Arc, time::Instant};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    HeaderMap, Method, Request, Response, Uri,
    body::Incoming,
    client::conn::http1,
    header::{ACCEPT, HOST, HeaderValue, USER_AGENT},
};
use hyper_util::rt::TokioIo;
use url::{Position, Url};

use super::{
    AGENT, CONNECT_TIMEOUT, DialError, Outbound, OutboundStream,
    body::Reply,
    busy_connection::{BusyConnection, DrivenConnection},
    idle_connections::IdleConnections,
};

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
    idle: Arc<IdleConnections>,
}

impl ConnectionPool {
    /// Returns a pool for the scheme, host and port of a URL. No connection is opened yet.
    pub fn new(outbound: Outbound, base: Url) -> Self {
        let host = HeaderValue::from_str(&base[Position::BeforeHost..Position::AfterPort]).ok();
        Self(Arc::new(PoolInner { outbound, base, host, idle: Arc::default() }))
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
        if let Some(stream) = self.0.idle.take() {
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
        let mut connection = DrivenConnection::new(connection);
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
        let busy = BusyConnection::new(connection, sender, self.0.idle.clone());
        Ok(Reply::from_pooled(response, Box::new(busy)))
    }
}

fn swap<A, B>((a, b): (A, B)) -> (B, A) {
    (b, a)
}
