//! Process lifecycle: tracks all tasks, waits for their end on shutdown, and handles signals.
//!
//! If an essential task ends by itself, the process ends with an error. It does not continue with a part of its
//! functions. A second signal ends the process at once.

use std::time::Duration;

use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Time limit for the end of all tasks.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(15);

/// The tracker and tokens that tasks need for a clean shutdown.
#[derive(Clone, Default)]
pub struct Lifecycle {
    /// All tasks of the server.
    pub tasks: TaskTracker,
    /// Cancelled on shutdown. No new work may begin after that.
    pub stop: CancellationToken,
    /// Cancelled if an essential task ended by itself.
    pub failed: CancellationToken,
}

impl Lifecycle {
    /// Waits until all tasks have ended, within a time limit. Returns `false` if some have not.
    pub async fn drain(&self) -> bool {
        self.stop.cancel();
        self.tasks.close();
        tokio::time::timeout(DRAIN_TIMEOUT, self.tasks.wait()).await.is_ok()
    }
}

/// SIGXFSZ on Linux for every architecture except MIPS and SPARC, on macOS and on the BSDs.
#[cfg(unix)]
const FILE_SIZE_LIMIT_EXCEEDED: i32 = 25;

/// Makes a write beyond the file size limit (`ulimit -f`) fail as on a full disk. By default, the signal ends the
/// process.
pub fn survive_file_size_limit() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        // The handler stays until the process ends.
        if let Err(error) = signal(SignalKind::from_raw(FILE_SIZE_LIMIT_EXCEEDED)) {
            tracing::warn!(%error, "cannot handle SIGXFSZ: a write beyond the file size limit would end the server");
        }
    }
}

/// Returns at the first interrupt or termination signal. The second one ends the process at once.
pub async fn shutdown_signal() {
    wait_for_signal().await;
    tracing::info!("shutting down; a second signal ends the process at once");
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
