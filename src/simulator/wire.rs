//! Connection between client and printer, below HTTP: a fault can cut, garble, slow down or block it.
//!
//! axum serves a [`Wire`] like any socket. The handlers of a request reach their connection through [`Conn`]. So a
//! fault that is decided above HTTP (reset *after acting*) takes effect below it.

use std::{
    io,
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
    time::Sleep,
};
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::{config::Fault, farm::Doors, printer::SimulatedPrinter};

const WHOLE: u8 = 0;
const RESET: u8 = 1;
const GARBAGE: u8 = 2;

/// What OctoPrint's intermediary server sends instead of HTTP.
const NO_HTTP: &[u8] = b"Not found";

/// Bytes that [`Fault::ReadSlowly`] reads at once.
const PIECE: usize = 16 * 1024;

/// Time between two bytes of [`Fault::Drip`].
const DRIP: Duration = Duration::from_secs(1);

/// A connection, as the handlers of its requests use it.
#[derive(Clone)]
pub struct Conn {
    pub printer: SimulatedPrinter,
    damage: Arc<AtomicU8>,
}

impl Conn {
    /// Resets the connection instead of sending the next response.
    pub fn reset(&self) {
        self.damage.store(RESET, Ordering::Release);
    }

    /// Replaces the next response by bytes that are not HTTP.
    pub fn garble(&self) {
        self.damage.store(GARBAGE, Ordering::Release);
    }
}

impl Connected<IncomingStream<'_, Doors>> for Conn {
    fn connect_info(stream: IncomingStream<'_, Doors>) -> Self {
        stream.io().conn.clone()
    }
}

/// A socket with faults.
pub struct Wire {
    stream: TcpStream,
    conn: Conn,
    /// Ready when every connection of the printer must be cut.
    dead: Pin<Box<WaitForCancellationFutureOwned>>,
    drip: Option<Pin<Box<Sleep>>>,
    /// Number of bytes that were read.
    read: u64,
    /// Nothing is read until this is ready.
    pause: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl Wire {
    /// Wraps a connection to this printer.
    pub fn new(stream: TcpStream, printer: SimulatedPrinter) -> Self {
        let dead = Box::pin(printer.life().cancelled_owned());
        Self {
            stream,
            conn: Conn { printer, damage: Arc::new(AtomicU8::new(WHOLE)) },
            dead,
            drip: None,
            read: 0,
            pause: None,
        }
    }

    /// Ready when more may be read.
    fn poll_pause(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if let Some(pause) = &mut self.pause {
                ready!(pause.as_mut().poll(cx));
                self.pause = None;
            }
            if !matches!(self.conn.printer.fault(), Some(Fault::StopReading(after)) if self.read >= after) {
                return Poll::Ready(());
            }
            let printer = self.conn.printer.clone();
            printer.note_stopped_reading();
            let mut fault = printer.watch_fault();
            self.pause = Some(Box::pin(async move {
                let _ = fault.wait_for(|fault| !matches!(fault, Some(Fault::StopReading(_)))).await;
            }));
        }
    }

    /// Reads a piece. Then the printer pauses as long as its speed requires.
    fn poll_piece(&mut self, cx: &mut Context<'_>, bytes_per_s: u64, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut piece = [0; PIECE];
        let limit = buf.remaining().min(PIECE);
        let mut piece = ReadBuf::new(&mut piece[..limit]);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut piece))?;
        buf.put_slice(piece.filled());
        let nanos = piece.filled().len() as u64 * 1_000_000_000 / bytes_per_s.max(1);
        self.pause = Some(Box::pin(tokio::time::sleep(Duration::from_nanos(nanos))));
        Poll::Ready(Ok(()))
    }

    fn is_dead(&mut self, cx: &mut Context<'_>) -> bool {
        self.dead.as_mut().poll(cx).is_ready()
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.is_dead(cx) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        ready!(self.poll_pause(cx));
        let before = buf.filled().len();
        match self.conn.printer.fault() {
            Some(Fault::ReadSlowly(bytes_per_s)) => ready!(self.poll_piece(cx, bytes_per_s, buf))?,
            _ => ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?,
        }
        self.read += (buf.filled().len() - before) as u64;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.is_dead(cx) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        match self.conn.damage.load(Ordering::Acquire) {
            RESET => {
                self.stream.set_zero_linger()?;
                return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
            }
            GARBAGE => {
                ready!(Pin::new(&mut self.stream).poll_write(cx, NO_HTTP))?;
                return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
            }
            _ => {}
        }
        if let Some(drip) = &mut self.drip {
            ready!(drip.as_mut().poll(cx));
            self.drip = None;
        }
        let drips = self.conn.printer.has_fault(&Fault::Drip);
        let bytes = if drips { bytes.get(..1).unwrap_or_default() } else { bytes };
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes))?;
        if drips {
            self.drip = Some(Box::pin(tokio::time::sleep(DRIP)));
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
