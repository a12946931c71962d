//! What anybody outside may take of the server: connections, header bytes, and time.
//!
//! Without them one client that sends a byte a minute, or opens sockets and says nothing, would hold what all share.

use std::time::Duration;

/// How much of the server one asker, and all of them together, may hold. Tests shorten the times.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Connections at once. Beyond it the oldest connection without a complete request is closed for a new one;
    /// without one, the new one waits.
    pub connections: usize,
    /// Those of one address; a trusted proxy has no such limit. What comes beyond it is closed at once.
    pub connections_per_address: usize,
    /// The header of a request comes whole within this; a kept connection is idle for at most as long.
    pub header_within: Duration,
    /// A TLS handshake is done within this.
    pub handshake_within: Duration,
    /// The bytes of a header, with its first line. Its number of fields is bounded by hyper, at 100.
    pub header_bytes: usize,
    /// Requests of the API under way at once, but for those that take long.
    pub requests: Capacity,
    /// Those that take long by their nature: uploads, whole lists, and whoever waits for an end.
    pub long_requests: Capacity,
    /// Requests of one token that may stop printers, when the places above are all taken. They have no common limit: the load
    /// of other tokens never refuses them. The number of connections bounds them.
    pub reserved_requests_each: usize,
    /// Some of what is sent is taken within this; who takes nothing is cut off.
    pub taken_within: Duration,
    /// A request is answered within this. Streams begin their answer at once, and go on for as long as they like.
    pub answer_within: Duration,
    /// The same for uploads and lists of files, which end by the silence of the printer: a gigabyte at 50 KB/s takes 6 hours.
    pub transfer_within: Duration,
}

/// How many there may be at once, in all and of one key.
#[derive(Debug, Clone, Copy)]
pub struct Capacity {
    pub all: usize,
    /// Of one token, or one user.
    pub each: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            connections: 2_048,
            connections_per_address: 512,
            header_within: Duration::from_secs(10),
            handshake_within: Duration::from_secs(10),
            header_bytes: 32 * 1024,
            requests: Capacity { all: 512, each: 64 },
            long_requests: Capacity { all: 512, each: 64 },
            reserved_requests_each: 4,
            taken_within: Duration::from_secs(60),
            answer_within: Duration::from_secs(60),
            transfer_within: Duration::from_secs(8 * 3_600),
        }
    }
}
