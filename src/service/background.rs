//! Runs the periodic tasks of the server, and keeps the status of each.
//!
//! A task is an idempotent reconciler: it takes no input, compares the wanted state with the actual state, and corrects
//! the difference. A run that is repeated, cut off or left out does no harm. A task runs at the start of the server,
//! when its period is over, and when there is work. Tasks are independent: one that fails or panics delays no other,
//! and repeats with backoff. The dispatcher, the recorder and the actors are not periodic tasks.

use std::{
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chrono::{DateTime, Utc};
use futures_util::FutureExt;
use tokio::sync::{Notify, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::error::{Error, StorageFailure};
use crate::{clock, storage};

/// Pause after the first failure of a task; it doubles with each further one.
const FIRST_BACKOFF: Duration = Duration::from_secs(1);
/// Longest pause after a failure, unless the period of the task is shorter.
const LONGEST_BACKOFF: Duration = Duration::from_secs(300);

/// Result of one run: how many items still wait, if the task knows it.
pub type RunResult = Result<Option<u64>, TaskFailure>;

/// A periodic task.
pub trait PeriodicTask: Send + 'static {
    /// One run. It may be cut off at any `await`.
    fn run(&mut self) -> impl Future<Output = RunResult> + Send;

    /// Completes when there is work before the period is over.
    fn wait_for_work(&mut self) -> impl Future<Output = ()> + Send {
        std::future::pending()
    }
}

impl<F, Running> PeriodicTask for F
where
    F: FnMut() -> Running + Send + 'static,
    Running: Future<Output = RunResult> + Send,
{
    fn run(&mut self) -> impl Future<Output = RunResult> + Send {
        self()
    }
}

/// Why a run failed. Every user may read `text`; only the log shows `cause`.
#[derive(Debug)]
pub struct TaskFailure {
    /// A code, or a code and a sentence: `clock_jumped: …`.
    pub text: String,
    /// How many items wait, if the task knows it.
    pub behind: Option<u64>,
    pub cause: Option<Error>,
}

impl TaskFailure {
    /// Creates a failure with nothing for the log.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), behind: None, cause: None }
    }
}

impl From<Error> for TaskFailure {
    fn from(error: Error) -> Self {
        let code = match &error {
            Error::Storage { failure: StorageFailure::Unavailable, .. } => "database_unavailable",
            Error::Storage { failure: StorageFailure::Unreadable, .. } => "stored_value_unreadable",
            Error::Storage { failure: StorageFailure::Superseded, .. } => "superseded",
            Error::Storage { failure: StorageFailure::Internal, .. } => "database_error",
            Error::Busy(_) | Error::TooManyAttempts(_) => "busy",
            Error::Printer { .. } => "printer_error",
            Error::NoSpace { .. } => "no_space",
            Error::ContentMissing(_) => "content_missing",
            Error::Invalid(_)
            | Error::Unprocessable { .. }
            | Error::NotFound(_)
            | Error::Conflict { .. }
            | Error::OrderConflict { .. }
            | Error::SelectionChanged { .. }
            | Error::CursorExpired { .. }
            | Error::Stale
            | Error::Forbidden(_)
            | Error::TooLarge(_)
            | Error::UnknownFormat(_)
            | Error::Internal(_) => "internal_error",
        };
        Self { cause: Some(error), ..Self::new(code) }
    }
}

impl From<storage::Error> for TaskFailure {
    fn from(error: storage::Error) -> Self {
        Error::from(error).into()
    }
}

/// Status of a task.
#[derive(Debug, Clone)]
pub struct TaskStatus {
    pub name: &'static str,
    pub period: Duration,
    /// Start of the last run.
    pub last_run_at: Option<DateTime<Utc>>,
    pub last_success_at: Option<DateTime<Utc>>,
    /// Why the last run failed. None: it succeeded.
    pub last_error: Option<String>,
    /// Number of runs that failed since the last success.
    pub failures: u32,
    /// Number of items that wait, if the task knows it.
    pub behind: Option<u64>,
    /// Number of runs that began, and of runs that ended, since the start of the server.
    begun: u64,
    ended: u64,
}

impl TaskStatus {
    /// Stores the result of a run. Returns the pause before the next one.
    fn finish(&mut self, result: RunResult) -> Duration {
        self.ended = self.begun;
        match result {
            Ok(behind) => {
                if self.failures > 0 {
                    tracing::info!(task = self.name, failures = self.failures, "a background task works again");
                }
                (self.last_success_at, self.last_error, self.failures) = (Some(clock::now()), None, 0);
                self.behind = behind;
                self.period
            }
            Err(failure) => {
                // A failure that lasts is logged once.
                if self.last_error.as_ref() != Some(&failure.text) {
                    tracing::error!(task = self.name, error = failure.text, cause = ?failure.cause, "a background task failed");
                }
                self.failures = self.failures.saturating_add(1);
                (self.last_error, self.behind) = (Some(failure.text), failure.behind);
                backoff(self.failures).min(self.period)
            }
        }
    }
}

/// Returns the pause after this number of failures in a row.
fn backoff(failures: u32) -> Duration {
    let doubled = FIRST_BACKOFF.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1)));
    doubled.min(LONGEST_BACKOFF)
}

/// Entry of a task in the list of tasks.
struct TaskEntry {
    status: watch::Sender<TaskStatus>,
    /// Asks for a run now.
    run: Notify,
}

/// The periodic tasks of a server. Cheap to clone.
#[derive(Clone)]
pub struct BackgroundTasks {
    entries: Arc<Mutex<Vec<Arc<TaskEntry>>>>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl BackgroundTasks {
    /// Starts without tasks. Added tasks run as tasks of `tasks`, until `stop` is cancelled.
    pub fn new(tasks: TaskTracker, stop: CancellationToken) -> Self {
        Self { entries: Arc::default(), tasks, stop }
    }

    /// Starts a task, which runs at once and then every `period`. Its name is unique.
    pub fn add(&self, name: &'static str, period: Duration, task: impl PeriodicTask) {
        let status = TaskStatus {
            name,
            period,
            last_run_at: None,
            last_success_at: None,
            last_error: None,
            failures: 0,
            behind: None,
            begun: 0,
            ended: 0,
        };
        let entry = Arc::new(TaskEntry { status: watch::Sender::new(status), run: Notify::new() });
        self.entries().push(entry.clone());
        self.tasks.spawn(self.stop.clone().run_until_cancelled_owned(run_repeatedly(task, entry)));
    }

    /// Returns the status of every task, in the order in which they were added.
    pub fn status(&self) -> Vec<TaskStatus> {
        self.entries().iter().map(|entry| entry.status.borrow().clone()).collect()
    }

    /// Runs a task now, and returns its status after a run that began after this call. None: there is no such task, or the
    /// server stops.
    pub async fn run_now(&self, name: &str) -> Option<TaskStatus> {
        let entry = self.entries().iter().find(|entry| entry.status.borrow().name == name).cloned()?;
        let mut status = entry.status.subscribe();
        let begun = status.borrow().begun;
        entry.run.notify_one();
        let ended = status.wait_for(|status| status.ended > begun);
        let status = self.stop.run_until_cancelled(ended).await?.ok()?.clone();
        Some(status)
    }

    fn entries(&self) -> MutexGuard<'_, Vec<Arc<TaskEntry>>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs a task repeatedly until it is cancelled.
async fn run_repeatedly(mut task: impl PeriodicTask, entry: Arc<TaskEntry>) {
    loop {
        entry.status.send_modify(|status| {
            status.begun += 1;
            status.last_run_at = Some(clock::now());
        });
        let run = AssertUnwindSafe(async { task.run().await }).catch_unwind().await;
        let result = run.unwrap_or_else(|_| Err(TaskFailure::new("panicked")));
        let mut pause = Duration::ZERO;
        entry.status.send_modify(|status| pause = status.finish(result));
        let failed = entry.status.borrow().failures > 0;
        tokio::select! {
            () = entry.run.notified() => {}
            // After a failure, new work waits for the backoff.
            () = task.wait_for_work(), if !failed => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);

    fn background() -> (BackgroundTasks, TaskTracker, CancellationToken) {
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        (BackgroundTasks::new(tasks.clone(), stop.clone()), tasks, stop)
    }

    async fn run(background: &BackgroundTasks, name: &str) -> TaskStatus {
        background.run_now(name).await.expect("the task exists")
    }

    #[tokio::test]
    async fn a_task_that_fails_or_panics_stops_no_other_and_reports_its_error() {
        let (background, _, _) = background();
        background.add("fails", HOUR, async || Err(TaskFailure { behind: Some(3), ..TaskFailure::new("no_luck") }));
        background.add("panics", HOUR, async || panic!("on purpose"));
        background.add("works", HOUR, async || Ok(Some(0)));
        for name in ["fails", "panics", "works"] {
            run(&background, name).await;
        }
        let [fails, panics, works] = background.status().try_into().expect("three tasks");
        assert_eq!((fails.last_error.as_deref(), fails.behind), (Some("no_luck"), Some(3)));
        assert!(fails.failures > 0 && fails.last_success_at.is_none() && fails.last_run_at.is_some(), "{fails:?}");
        assert_eq!(panics.last_error.as_deref(), Some("panicked"));
        assert_eq!((works.last_error, works.failures, works.behind), (None, 0, Some(0)));
        assert!(works.last_success_at >= works.last_run_at, "the run of a task ends after it begins");
        assert!(background.run_now("unknown").await.is_none());
    }

    #[tokio::test]
    async fn a_success_ends_the_failure() {
        let (background, _, _) = background();
        let fails = Arc::new(AtomicU32::new(1));
        let flag = fails.clone();
        background.add("mends", HOUR, move || {
            let fails = flag.load(Ordering::Relaxed) > 0;
            async move { if fails { Err(TaskFailure::new("no_luck")) } else { Ok(None) } }
        });
        assert!(run(&background, "mends").await.failures > 0);
        fails.store(0, Ordering::Relaxed);
        let status = run(&background, "mends").await;
        assert_eq!((status.failures, status.last_error), (0, None));
    }

    #[tokio::test]
    async fn a_run_that_hangs_ends_with_the_server() {
        let (background, tasks, stop) = background();
        background.add("hangs", HOUR, std::future::pending);
        stop.cancel();
        tasks.close();
        tokio::time::timeout(Duration::from_secs(20), tasks.wait()).await.expect("the task has ended");
        assert!(background.run_now("hangs").await.is_none());
    }

    #[test]
    fn the_pause_after_a_failure_doubles_up_to_a_bound() {
        assert_eq!([1, 2, 3, 9, 40].map(backoff).map(|pause| pause.as_secs()), [1, 2, 4, 256, 300]);
        assert_eq!(backoff(u32::MAX), LONGEST_BACKOFF);
    }
}
