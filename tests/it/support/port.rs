//! Ports for servers that need a fixed number, because they cannot bind port 0 and report the result.
//!
//! A port from "bind 0, note, close" comes from the ephemeral range. Any connection or test may get the same port a
//! moment later, and a server that restarts on its port finds it in use. The numbers here are below that range
//! (Linux: 32768), and each is returned once in this process.

use std::{
    net::TcpListener,
    sync::atomic::{AtomicU16, Ordering},
};

/// The first number. Below it are well-known servers.
const FIRST: u16 = 18_000;
/// How many numbers there are before they repeat.
const SPAN: u16 = 14_000;

/// Next offset. The first caller replaces 0 by an offset from its process id, so that two test binaries start at
/// different numbers.
static NEXT: AtomicU16 = AtomicU16::new(0);

/// Returns a loopback port without a listener, which this process uses only once.
pub fn pick_free_port() -> u16 {
    let begin = u16::try_from(std::process::id().wrapping_mul(7919) % u32::from(SPAN)).unwrap_or(0).max(1);
    let _ = NEXT.compare_exchange(0, begin, Ordering::SeqCst, Ordering::SeqCst);
    for _ in 0..SPAN {
        let port = FIRST + NEXT.fetch_add(1, Ordering::SeqCst) % SPAN;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no free port between {FIRST} and {}", FIRST + SPAN);
}
