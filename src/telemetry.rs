//! Logs: for people at a terminal, as JSON lines otherwise. `RUST_LOG` chooses.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// Begins to log to standard error. Standard output belongs to what a command prints.
pub fn init(default: &str) {
    let mut filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    // At the finest level it writes whole requests, and theirs have secrets of printers.
    if let Ok(silent) = "tungstenite::handshake=off".parse() {
        filter = filter.add_directive(silent);
    }
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second call (in tests) changes nothing.
    let _ = if std::io::stderr().is_terminal() { logs.try_init() } else { logs.json().try_init() };
}
