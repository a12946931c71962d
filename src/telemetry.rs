//! Logging: readable text at a terminal, otherwise JSON lines. `RUST_LOG` selects the levels.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// Starts logging to standard error. Standard output is for the output of commands.
pub fn init(default: &str) {
    let mut filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    // At the finest level, `tungstenite::handshake` logs whole requests, which contain secrets of printers.
    if let Ok(silent) = "tungstenite::handshake=off".parse() {
        filter = filter.add_directive(silent);
    }
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second call (in tests) has no effect.
    let _ = if std::io::stderr().is_terminal() { logs.try_init() } else { logs.json().try_init() };
}
