//! The life of the process: one tracker for all tasks, a soft end that drains, a hard one that does not wait.
//!
//! An essential task that ends by itself takes the process down with a failure, instead of leaving a server that
//! limps. A second signal means now.

use std::time::Duration;

use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// How long tasks may take to end.
const DRAIN: Duration = Duration::from_secs(15);

/// Everything that tasks need to end well.
#[derive(Clone, Default)]
pub struct Lifecycle {
    /// Every task of the server.
    pub tasks: TaskTracker,
    /// Falls when the server is to end: nothing new begins.
    pub stop: CancellationToken,
    /// Falls when an essential task ended by itself.
    pub failed: CancellationToken,
}

impl Lifecycle {
    /// Waits until all tasks have ended, for a bounded time. `false`: some had not.
    pub async fn drain(&self) -> bool {
        self.stop.cancel();
        self.tasks.close();
        tokio::time::timeout(DRAIN, self.tasks.wait()).await.is_ok()
    }
}

/// SIGXFSZ on Linux for every architecture but MIPS and SPARC, on macOS and on the BSDs.
#[cfg(unix)]
const FILE_SIZE_LIMIT_EXCEEDED: i32 = 25;

/// Makes a write beyond the limit of file sizes (`ulimit -f`) fail as on a full disk. By default the signal ends the process.
pub fn survive_file_size_limit() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        // The handler stays for as long as the process.
        if let Err(error) = signal(SignalKind::from_raw(FILE_SIZE_LIMIT_EXCEEDED)) {
            tracing::warn!(%error, "a write beyond the limit of file sizes would end the server");
        }
    }
}

/// Returns at the first interrupt or termination signal; the second one ends the process at once.
pub async fn shutdown_signal() {
    wait_for_signal().await;
    tracing::info!("shutting down; a second signal ends at once");
    tokio::spawn(async {
        wait_for_signal().await;
        std::process::exit(130);
    });
}

async fn wait_for_signal() {
    let interrupt = tokio::signal::ctrl_c();
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        match signal(SignalKind::terminate()) {
            Ok(mut terminate) => {
                tokio::select! { _ = interrupt => {}, _ = terminate.recv() => {} }
            }
            Err(_) => drop(interrupt.await),
        }
    }
    #[cfg(not(unix))]
    drop(interrupt.await);
}
