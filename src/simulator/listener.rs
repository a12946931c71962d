//! Listening sockets of simulated printers.

use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpSocket};

/// Receive buffer of the operating system, in bytes. It is small, so that an upload to a printer that does not read
/// stalls soon.
const RECEIVE_BUFFER_BYTES: u32 = 64 * 1024;
/// Connections that may wait to be accepted.
const LISTEN_BACKLOG: u32 = 1_024;

/// Opens the port of a printer.
pub(super) fn open_listener(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES)?;
    socket.bind(address)?;
    socket.listen(LISTEN_BACKLOG)
}
