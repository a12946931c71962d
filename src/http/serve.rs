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
    bounds::Bounds,
    keyed_limit::{KeyedCount, network_of},
    peer::{OverTls, Peer, Proxies},
    write_timeout::Stalling,
};

/// Time for requests in progress to end on shutdown.
const DRAIN: Duration = Duration::from_secs(10);
/// Pause after a failed accept. Usually no file descriptor is free, and only waiting helps.
const RECOVERY: Duration = Duration::from_millis(500);
/// The first byte of a TLS handshake.
const HANDSHAKE: u8 = 0x16;
/// Response to plain HTTP on a TLS port, in plain HTTP, because the client does not use TLS.
const WRONG_SCHEME: &[u8] = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n\
    This port speaks HTTPS: the address begins with https://\n";
/// Time and bytes for which a plain HTTP request is still read. If a socket is closed with unread data, the client may
/// not get the response.
const PARTING: Duration = Duration::from_secs(1);
const PARTING_BYTES: u64 = 64 * 1024;

/// Connections that have not sent a complete request yet, in the order of arrival. If no slot is free for a new
/// connection, the oldest of them is closed.
#[derive(Clone, Default)]
struct Silent(Arc<Mutex<BTreeMap<u64, CancellationToken>>>);

impl Silent {
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
struct Door {
    router: Router,
    bounds: Bounds,
    tls: Option<TlsAcceptor>,
    stop: CancellationToken,
    silent: Silent,
}

/// Serves until `stop` is cancelled, then lets requests in progress end within `DRAIN`. With an acceptor: TLS only.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    bounds: Bounds,
    proxies: Proxies,
    tls: Option<TlsAcceptor>,
    stop: CancellationToken,
) {
    let slots = Arc::new(Semaphore::new(bounds.connections));
    let (open, cut) = (TaskTracker::new(), CancellationToken::new());
    let connections = KeyedCount::default();
    let silent = Silent::default();
    let door = Door { router, bounds, tls, stop: stop.clone(), silent: silent.clone() };
    let mut number = 0;
    while let Some((stream, peer)) = stop.run_until_cancelled(next(&listener)).await {
        let address = peer.ip().to_canonical();
        let most = if proxies.trusts(address) { usize::MAX } else { bounds.connections_per_address };
        let Some(place) = connections.admit(network_of(address), most) else {
            tracing::debug!(%peer, "closed: this address has as many connections as one may have");
            continue;
        };
        let Some(Some(slot)) = stop.run_until_cancelled(slot(&slots, &silent)).await else { break };
        number += 1;
        let (door, cut) = (door.clone(), cut.child_token());
        silent.add(number, cut.clone());
        open.spawn(async move {
            cut.run_until_cancelled(door.clone().open(stream, peer, number)).await;
            door.silent.remove(number);
            drop((place, slot));
        });
    }
    // New connections are refused at once instead of waiting.
    drop(listener);
    open.close();
    if timeout(DRAIN, open.wait()).await.is_err() {
        tracing::warn!(connections = open.len(), "connections were closed because they did not end in time");
        cut.cancel();
    }
}

/// Returns the next connection. A failed accept neither ends the server nor makes it spin.
async fn next(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) if is_theirs(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "no connection can be accepted at the moment");
                sleep(RECOVERY).await;
            }
        }
    }
}

/// Returns a slot for a connection. If all are taken, the oldest connection without a complete request is closed.
async fn slot(slots: &Arc<Semaphore>, silent: &Silent) -> Option<OwnedSemaphorePermit> {
    if let Ok(slot) = slots.clone().try_acquire_owned() {
        return Some(slot);
    }
    silent.close_oldest();
    slots.clone().acquire_owned().await.ok()
}

/// Returns whether the client disconnected before its connection was accepted. That is no error of the server.
fn is_theirs(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// Responds to plain HTTP on a TLS port. The client may have disconnected already.
async fn refuse(mut stream: TcpStream) -> io::Result<()> {
    stream.write_all(WRONG_SCHEME).await?;
    stream.shutdown().await?;
    tokio::io::copy(&mut stream.take(PARTING_BYTES), &mut tokio::io::sink()).await.map(drop)
}

impl Door {
    /// Handles a connection from its first byte.
    async fn open(self, stream: TcpStream, peer: SocketAddr, number: u64) {
        // Events are small and must not wait for one another. If this fails, they only arrive later.
        let _ = stream.set_nodelay(true);
        let Some(first) = self.first_byte(&stream).await else { return };
        let Some(tls) = self.tls.clone() else {
            return self.speak(stream, peer, number, false).await;
        };
        if first != HANDSHAKE {
            let _ = timeout(PARTING, refuse(stream)).await;
            return;
        }
        let handshake = timeout(self.bounds.handshake_within, tls.accept(stream));
        match self.stop.run_until_cancelled(handshake).await {
            Some(Ok(Ok(stream))) => self.speak(stream, peer, number, true).await,
            Some(Ok(Err(error))) => tracing::debug!(%peer, %error, "a TLS handshake failed"),
            Some(Err(_)) | None => {}
        }
    }

    /// Peeks at the first byte. `None`: none arrived in time, or the server stops. Browsers open connections in
    /// advance, and those must not delay the shutdown.
    async fn first_byte(&self, stream: &TcpStream) -> Option<u8> {
        let mut byte = [0];
        let peek = timeout(self.bounds.header_within, stream.peek(&mut byte));
        let read = self.stop.run_until_cancelled(peek).await?.ok()?.ok()?;
        (read > 0).then_some(byte[0])
    }

    /// Serves HTTP until the connection ends. After `stop`, only the request in progress ends.
    async fn speak<S>(self, stream: S, peer: SocketAddr, number: u64, over_tls: bool)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let silent = self.silent.clone();
        let service = self.router.map_request(move |request: hyper::Request<Incoming>| -> Request {
            silent.remove(number);
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(Peer(peer));
            if over_tls {
                request.extensions_mut().insert(OverTls);
            }
            request
        });
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new())
            .header_read_timeout(self.bounds.header_within)
            .max_header_size(self.bounds.header_bytes);
        let stream = Stalling::new(stream, self.bounds.taken_within);
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
