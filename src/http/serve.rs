//! The accept loop: connections in, each with its bounds, and a good end for all of them.
//!
//! `axum::serve` has no limit of connections, no time for a header and no TLS; hyper has all it takes. HTTP/1.1 only:
//! the second version would bring limits of its own, and nothing here needs it.

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
    stall::Stalling,
};

/// How long requests under way may take to end when the server ends.
const DRAIN: Duration = Duration::from_secs(10);
/// After an accept that failed: descriptors come back by themselves, and until then nothing else helps.
const RECOVERY: Duration = Duration::from_millis(500);
/// The first byte of a TLS handshake.
const HANDSHAKE: u8 = 0x16;
/// What a browser that speaks plain HTTP to a TLS port is told, in the only language that it understands.
const WRONG_SCHEME: &[u8] = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n\
    This port speaks HTTPS: the address begins with https://\n";
/// So long, and for so many bytes, a request in plain HTTP is read: a socket closed with bytes in it takes back what it
/// said.
const PARTING: Duration = Duration::from_secs(1);
const PARTING_BYTES: u64 = 64 * 1024;

/// Connections without a complete request so far, by the order in which they came. When there is no room for a new one, the
/// oldest of them is closed.
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

/// What every connection needs.
#[derive(Clone)]
struct Door {
    router: Router,
    bounds: Bounds,
    tls: Option<TlsAcceptor>,
    stop: CancellationToken,
    silent: Silent,
}

/// Serves until `stop` falls, then lets requests under way end, for a bounded time. With an acceptor: TLS only.
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
    // Who comes now is refused at once, and not left waiting.
    drop(listener);
    open.close();
    if timeout(DRAIN, open.wait()).await.is_err() {
        tracing::warn!(connections = open.len(), "connections were cut off that did not end in time");
        cut.cancel();
    }
}

/// The next connection. A failed accept neither ends the server nor keeps it spinning.
async fn next(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) if is_theirs(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "no connection can be accepted for the moment");
                sleep(RECOVERY).await;
            }
        }
    }
}

/// A slot for a connection. While all are taken, the oldest connection without a complete request gives up its own.
async fn slot(slots: &Arc<Semaphore>, silent: &Silent) -> Option<OwnedSemaphorePermit> {
    if let Ok(slot) = slots.clone().try_acquire_owned() {
        return Some(slot);
    }
    silent.close_oldest();
    slots.clone().acquire_owned().await.ok()
}

/// The client went before it was accepted: nothing of ours.
fn is_theirs(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// Answers plain HTTP where TLS is spoken. That the client has gone is as well.
async fn refuse(mut stream: TcpStream) -> io::Result<()> {
    stream.write_all(WRONG_SCHEME).await?;
    stream.shutdown().await?;
    tokio::io::copy(&mut stream.take(PARTING_BYTES), &mut tokio::io::sink()).await.map(drop)
}

impl Door {
    /// One connection, from its first byte on.
    async fn open(self, stream: TcpStream, peer: SocketAddr, number: u64) {
        // Events are small and shall not wait for one another; without it they only come later.
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

    /// Looks at the first byte without taking it. `None`: none came in time, or the server ends; browsers open
    /// connections in advance, and those must not hold up the end.
    async fn first_byte(&self, stream: &TcpStream) -> Option<u8> {
        let mut byte = [0];
        let peek = timeout(self.bounds.header_within, stream.peek(&mut byte));
        let read = self.stop.run_until_cancelled(peek).await?.ok()?.ok()?;
        (read > 0).then_some(byte[0])
    }

    /// HTTP, until the connection ends, or after `stop` the request under way.
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
