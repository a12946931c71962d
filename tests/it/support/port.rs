//! Ports for servers that must be told a number, because they cannot bind port 0 and say what they got.
//!
//! A port from "bind 0, note, close" comes from the ephemeral range, so any connection or any
//! other test may be given the same one a moment later, and a server that is killed and started
//! again on its port finds it taken. The numbers here lie below that range (Linux: 32768), and
//! each is handed out once in this process.

use std::{
    net::TcpListener,
    sync::atomic::{AtomicU16, Ordering},
};

/// First number that is handed out; below it live the well-known servers.
const FIRST: u16 = 18_000;
/// How many numbers there are before it begins again.
const SPAN: u16 = 14_000;

/// Next offset; 0 until the first caller sets it somewhere by its process id, so that two test
/// binaries at a time begin at different places.
static NEXT: AtomicU16 = AtomicU16::new(0);

/// A loopback port that nobody listens on now, and that nobody else in this process is given.
pub fn free() -> u16 {
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
