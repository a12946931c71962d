//! Connection between client and printer, below HTTP: a fault can cut, garble, slow down or block it.
//!
//! axum serves a [`FaultyStream`] like any socket. The handlers of a request reach their connection through [`ConnectionHandle`]. So a
//! fault that is decided above HTTP (reset *after acting*) takes effect below it.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{extract::connect_info::Connected, serve::IncomingStream};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    sync::mpsc,
    time::Sleep,
};
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::{config::Fault, printer::SimulatedPrinter};

const INTACT: u8 = 0;
const RESET: u8 = 1;
const GARBAGE: u8 = 2;

/// What OctoPrint's intermediary server sends instead of HTTP.
const NOT_HTTP: &[u8] = b"Not found";

/// Bytes that [`Fault::ReadSlowly`] reads at once.
const READ_CHUNK_BYTES: usize = 16 * 1024;

/// Time between two bytes of [`Fault::Drip`].
const DRIP_INTERVAL: Duration = Duration::from_secs(1);

/// A connection, as the handlers of its requests use it.
#[derive(Clone)]
pub struct ConnectionHandle {
    pub printer: SimulatedPrinter,
    damage: Arc<AtomicU8>,
}

impl ConnectionHandle {
    /// Resets the connection instead of sending the next response.
    pub fn reset(&self) {
        self.damage.store(RESET, Ordering::Release);
    }

    /// Replaces the next response by bytes that are not HTTP.
    pub fn garble(&self) {
        self.damage.store(GARBAGE, Ordering::Release);
    }
}

impl Connected<IncomingStream<'_, AcceptedConnections>> for ConnectionHandle {
    fn connect_info(stream: IncomingStream<'_, AcceptedConnections>) -> Self {
        stream.io().conn.clone()
    }
}

/// A socket with faults.
pub struct FaultyStream {
    stream: TcpStream,
    conn: ConnectionHandle,
    /// Ready when every connection of the printer must be cut.
    cut_signal: Pin<Box<WaitForCancellationFutureOwned>>,
    write_pause: Option<Pin<Box<Sleep>>>,
    /// Number of bytes that were read.
    bytes_read: u64,
    /// Nothing is read until this is ready.
    read_pause: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl FaultyStream {
    /// Wraps a connection to this printer.
    pub fn new(stream: TcpStream, printer: SimulatedPrinter) -> Self {
        let cut_signal = Box::pin(printer.connections_token().cancelled_owned());
        Self {
            stream,
            conn: ConnectionHandle { printer, damage: Arc::new(AtomicU8::new(INTACT)) },
            cut_signal,
            write_pause: None,
            bytes_read: 0,
            read_pause: None,
        }
    }

    /// Ready when more may be read.
    fn poll_read_pause(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if let Some(pause) = &mut self.read_pause {
                ready!(pause.as_mut().poll(cx));
                self.read_pause = None;
            }
            if !matches!(self.conn.printer.fault(), Some(Fault::StopReading(after)) if self.bytes_read >= after) {
                return Poll::Ready(());
            }
            let printer = self.conn.printer.clone();
            printer.count_stopped_reading();
            let mut fault = printer.watch_fault();
            self.read_pause = Some(Box::pin(async move {
                let _ = fault.wait_for(|fault| !matches!(fault, Some(Fault::StopReading(_)))).await;
            }));
        }
    }

    /// Reads a piece. Then the printer pauses as long as its speed requires.
    fn poll_slow_read(
        &mut self,
        cx: &mut Context<'_>,
        bytes_per_s: u64,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut chunk = [0; READ_CHUNK_BYTES];
        let limit = buf.remaining().min(READ_CHUNK_BYTES);
        let mut chunk = ReadBuf::new(&mut chunk[..limit]);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut chunk))?;
        buf.put_slice(chunk.filled());
        let nanos = chunk.filled().len() as u64 * 1_000_000_000 / bytes_per_s.max(1);
        self.read_pause = Some(Box::pin(tokio::time::sleep(Duration::from_nanos(nanos))));
        Poll::Ready(Ok(()))
    }

    fn is_cut(&mut self, cx: &mut Context<'_>) -> bool {
        self.cut_signal.as_mut().poll(cx).is_ready()
    }
}

impl AsyncRead for FaultyStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.is_cut(cx) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        ready!(self.poll_read_pause(cx));
        let before = buf.filled().len();
        match self.conn.printer.fault() {
            Some(Fault::ReadSlowly(bytes_per_s)) => ready!(self.poll_slow_read(cx, bytes_per_s, buf))?,
            _ => ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?,
        }
        self.bytes_read += (buf.filled().len() - before) as u64;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for FaultyStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.is_cut(cx) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        match self.conn.damage.load(Ordering::Acquire) {
            RESET => {
                self.stream.set_zero_linger()?;
                return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
            }
            GARBAGE => {
                ready!(Pin::new(&mut self.stream).poll_write(cx, NOT_HTTP))?;
                return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
            }
            _ => {}
        }
        if let Some(write_pause) = &mut self.write_pause {
            ready!(write_pause.as_mut().poll(cx));
            self.write_pause = None;
        }
        let drips = self.conn.printer.has_fault(&Fault::Drip);
        let bytes = if drips { bytes.get(..1).unwrap_or_default() } else { bytes };
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes))?;
        if drips {
            self.write_pause = Some(Box::pin(tokio::time::sleep(DRIP_INTERVAL)));
        }
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Accepted connections of all printers, as the one listener that axum serves.
pub struct AcceptedConnections(mpsc::Receiver<(FaultyStream, SocketAddr)>);

impl axum::serve::Listener for AcceptedConnections {
    type Io = FaultyStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.0.recv().await {
            Some(connection) => connection,
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        Ok((Ipv4Addr::LOCALHOST, 0).into())
    }
}

impl AcceptedConnections {
    /// Creates the listener from the queue of accepted connections.
    pub fn new(connections: mpsc::Receiver<(FaultyStream, SocketAddr)>) -> Self {
        Self(connections)
    }
}
