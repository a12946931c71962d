//! The accept loop: limits each connection, and shuts all of them down gracefully.
//!
//! `axum::serve` has no connection limit, no header timeout and no TLS; hyper has them. HTTP/1.1 only: HTTP/2 would
//! need limits of its own, and this server does not need it.

use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{Router, body::Body, extract::Request};
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt;

use super::{
    client_address::{OverTls, Peer, TrustedProxies},
    keyed_limit::{KeyedCount, network_key},
    limits::ServerLimits,
    write_timeout::WriteTimeoutStream,
};

/// Time for requests in progress to end on shutdown.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);
/// Pause after a failed accept. Usually no file descriptor is free, and only waiting helps.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(500);
/// The first byte of a TLS handshake.
const TLS_HANDSHAKE_BYTE: u8 = 0x16;
/// Response to plain HTTP on a TLS port, in plain HTTP, because the client does not use TLS.
const WRONG_SCHEME: &[u8] = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n\
    This port speaks HTTPS: the address begins with https://\n";
/// Time and bytes for which a plain HTTP request is still read. If a socket is closed with unread data, the client may
/// not get the response.
const LINGER_TIMEOUT: Duration = Duration::from_secs(1);
const LINGER_BYTES: u64 = 64 * 1024;

/// Connections that have not sent a complete request yet, in the order of arrival. If no slot is free for a new
/// connection, the oldest of them is closed.
#[derive(Clone, Default)]
struct PendingConnections(Arc<Mutex<BTreeMap<u64, CancellationToken>>>);

impl PendingConnections {
    fn add(&self, number: u64, close: CancellationToken) {
        self.lock().insert(number, close);
    }

    fn remove(&self, number: u64) {
        self.lock().remove(&number);
    }

    fn close_oldest(&self) {
        if let Some((_, close)) = self.lock().pop_first() {
            close.cancel();
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, CancellationToken>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Shared context of all connections.
#[derive(Clone)]
struct Acceptor {
    router: Router,
    limits: ServerLimits,
    tls: Option<TlsAcceptor>,
    stop: CancellationToken,
    pending: PendingConnections,
}

/// Serves until `stop` is cancelled, then lets requests in progress end within `DRAIN_TIMEOUT`. With `tls`: TLS only.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    limits: ServerLimits,
    proxies: TrustedProxies,
    tls: Option<TlsAcceptor>,
    stop: CancellationToken,
) {
    let slots = Arc::new(Semaphore::new(limits.connections));
    let (tasks, abort) = (TaskTracker::new(), CancellationToken::new());
    let address_counts = KeyedCount::default();
    let pending = PendingConnections::default();
    let acceptor = Acceptor { router, limits, tls, stop: stop.clone(), pending: pending.clone() };
    let mut number = 0;
    while let Some((stream, peer)) = stop.run_until_cancelled(accept_connection(&listener)).await {
        let address = peer.ip().to_canonical();
        let max = if proxies.trusts(address) { usize::MAX } else { limits.connections_per_address };
        let Some(address_slot) = address_counts.try_increment(network_key(address), max) else {
            tracing::debug!(%peer, "closed: this address has as many connections as one may have");
            continue;
        };
        let Some(Some(slot)) = stop.run_until_cancelled(acquire_slot(&slots, &pending)).await else { break };
        number += 1;
        let (acceptor, abort) = (acceptor.clone(), abort.child_token());
        pending.add(number, abort.clone());
        tasks.spawn(async move {
            abort.run_until_cancelled(acceptor.clone().handle_connection(stream, peer, number)).await;
            acceptor.pending.remove(number);
            drop((address_slot, slot));
        });
    }
    // New connections are refused at once instead of waiting.
    drop(listener);
    tasks.close();
    if timeout(DRAIN_TIMEOUT, tasks.wait()).await.is_err() {
        tracing::warn!(connections = tasks.len(), "connections were closed because they did not end in time");
        abort.cancel();
    }
}

/// Returns the next connection. A failed accept neither ends the server nor makes it spin.
async fn accept_connection(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) if is_client_disconnect(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "no connection can be accepted at the moment");
                sleep(ACCEPT_RETRY_DELAY).await;
            }
        }
    }
}

/// Returns a slot for a connection. If all are taken, the oldest connection without a complete request is closed.
async fn acquire_slot(slots: &Arc<Semaphore>, pending: &PendingConnections) -> Option<OwnedSemaphorePermit> {
    if let Ok(slot) = slots.clone().try_acquire_owned() {
        return Some(slot);
    }
    pending.close_oldest();
    slots.clone().acquire_owned().await.ok()
}

/// Returns whether the client disconnected before its connection was accepted. That is no error of the server.
fn is_client_disconnect(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// Responds to plain HTTP on a TLS port. The client may have disconnected already.
async fn refuse_plain_http(mut stream: TcpStream) -> io::Result<()> {
    stream.write_all(WRONG_SCHEME).await?;
    stream.shutdown().await?;
    tokio::io::copy(&mut stream.take(LINGER_BYTES), &mut tokio::io::sink()).await.map(drop)
}

impl Acceptor {
    /// Handles a connection from its first byte.
    async fn handle_connection(self, stream: TcpStream, peer: SocketAddr, number: u64) {
        // Events are small and must not wait for one another. If this fails, they only arrive later.
        let _ = stream.set_nodelay(true);
        let Some(first) = self.first_byte(&stream).await else { return };
        let Some(tls) = self.tls.clone() else {
            return self.serve_http(stream, peer, number, false).await;
        };
        if first != TLS_HANDSHAKE_BYTE {
            let _ = timeout(LINGER_TIMEOUT, refuse_plain_http(stream)).await;
            return;
        }
        let handshake = timeout(self.limits.handshake_timeout, tls.accept(stream));
        match self.stop.run_until_cancelled(handshake).await {
            Some(Ok(Ok(stream))) => self.serve_http(stream, peer, number, true).await,
            Some(Ok(Err(error))) => tracing::debug!(%peer, %error, "a TLS handshake failed"),
            Some(Err(_)) | None => {}
        }
    }

    /// Peeks at the first byte. `None`: none arrived in time, or the server stops. Browsers open connections in
    /// advance, and those must not delay the shutdown.
    async fn first_byte(&self, stream: &TcpStream) -> Option<u8> {
        let mut byte = [0];
        let peek = timeout(self.limits.header_timeout, stream.peek(&mut byte));
        let read = self.stop.run_until_cancelled(peek).await?.ok()?.ok()?;
        (read > 0).then_some(byte[0])
    }

    /// Serves HTTP until the connection ends. After `stop`, only the request in progress ends.
    async fn serve_http<S>(self, stream: S, peer: SocketAddr, number: u64, over_tls: bool)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let pending = self.pending.clone();
        let service = self.router.map_request(move |request: hyper::Request<Incoming>| -> Request {
            pending.remove(number);
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(Peer(peer));
            if over_tls {
                request.extensions_mut().insert(OverTls);
            }
            request
        });
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new())
            .header_read_timeout(self.limits.header_timeout)
            .max_header_size(self.limits.header_bytes);
        let stream = WriteTimeoutStream::new(stream, self.limits.write_timeout);
        let connection = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
        let mut connection = std::pin::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = self.stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%peer, %error, "a connection broke");
        }
    }
}
