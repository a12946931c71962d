//! Limits on what clients can use: connections, header bytes, and time.
//!
//! Without limits, a client that sends one byte a minute, or opens idle sockets, would use up shared resources.

use std::time::Duration;

/// Limits per client and in total. Tests shorten the times.
#[derive(Debug, Clone, Copy)]
pub struct ServerLimits {
    /// Open connections. At the limit, the oldest connection without a complete request is closed for a new one. If all
    /// have sent one, the new connection waits.
    pub connections: usize,
    /// Open connections of one address, except trusted proxies. A connection above the limit is closed at once.
    pub connections_per_address: usize,
    /// Time for a complete request header, and idle time of a kept connection.
    pub header_timeout: Duration,
    /// Time for a TLS handshake.
    pub handshake_timeout: Duration,
    /// Bytes of a header, including the request line. hyper limits the number of fields to 100.
    pub header_bytes: usize,
    /// API requests in progress, except those in `long_requests`.
    pub requests: Capacity,
    /// API requests in progress that take long: uploads, whole lists, and requests that wait for an outcome.
    pub long_requests: Capacity,
    /// Requests of one token that may stop printers, while all slots above are taken. They have no common limit, so the
    /// load of other tokens never causes a refusal. The number of connections limits them.
    pub reserved_requests_per_token: usize,
    /// Longest time without write progress. A client that reads nothing for this long is disconnected.
    pub write_timeout: Duration,
    /// Time until a response starts. Streams start their response at once, and then may last as long as they want.
    pub response_timeout: Duration,
    /// The same for uploads and lists of files. They end when the printer sends nothing: a gigabyte at 50 KB/s takes 6
    /// hours.
    pub transfer_timeout: Duration,
}

/// Maximum number at once, in total and per key.
#[derive(Debug, Clone, Copy)]
pub struct Capacity {
    pub total: usize,
    /// Per token or user.
    pub per_key: usize,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            connections: 2_048,
            connections_per_address: 512,
            header_timeout: Duration::from_secs(10),
            handshake_timeout: Duration::from_secs(10),
            header_bytes: 32 * 1024,
            requests: Capacity { total: 512, per_key: 64 },
            long_requests: Capacity { total: 512, per_key: 64 },
            reserved_requests_per_token: 4,
            write_timeout: Duration::from_secs(60),
            response_timeout: Duration::from_secs(60),
            transfer_timeout: Duration::from_secs(8 * 3_600),
        }
    }
}
