//! Retries of the dispatcher's database operations. Transient errors are repeated. A group that the database refuses is
//! split until the refused row is found.

use std::time::Duration;

use super::{Dispatcher, log_storage_error};
use crate::storage;

/// First pause between attempts while the database is unavailable. Nothing may be sent without the command log.
pub(super) const RETRY_MIN: Duration = Duration::from_millis(100);
/// Longest pause between attempts.
pub(super) const RETRY_MAX: Duration = Duration::from_secs(2);

/// Rows that are written in parts, each as large as the database accepts.
pub(super) struct RowGroup<T> {
    /// A stack: the last element is the next part.
    parts: Vec<Vec<T>>,
}

/// Result of one part of a [`RowGroup`].
pub(super) enum GroupPart<T, R> {
    Done(Vec<T>, R),
    /// The database refuses this row permanently. The error is logged.
    Refused(T),
}

impl<T> RowGroup<T> {
    pub(super) fn new(rows: Vec<T>) -> Self {
        Self { parts: if rows.is_empty() { Vec::new() } else { vec![rows] } }
    }
}

/// Increasing pauses between attempts.
pub(super) struct Backoff(Duration);

impl Backoff {
    pub(super) fn new() -> Self {
        Self(RETRY_MIN)
    }

    pub(super) async fn pause(&mut self) {
        tokio::time::sleep(self.0).await;
        self.0 = RETRY_MAX.min(self.0 * 2);
    }
}

impl Dispatcher {
    /// Repeats a database operation until it succeeds or fails permanently. Shutdown ends it: see [`Dispatcher::run`].
    pub(super) async fn retry<T, F>(&self, what: &str, mut attempt: impl FnMut() -> F) -> Result<T, storage::Error>
    where
        F: Future<Output = Result<T, storage::Error>>,
    {
        let mut backoff = Backoff::new();
        loop {
            match attempt().await {
                Err(error) if is_retryable(&error) => self.wait_before_retry(what, &error, &mut backoff).await,
                result => return result,
            }
        }
    }

    /// Runs `attempt` on the next part of a group. `attempt` returns the rows with its result. `None`: the group is
    /// done.
    pub(super) async fn next_part<T, R, F>(
        &self,
        what: &str,
        group: &mut RowGroup<T>,
        attempt: impl Fn(Vec<T>) -> F,
    ) -> Option<GroupPart<T, R>>
    where
        F: Future<Output = (Vec<T>, Result<R, storage::Error>)>,
    {
        let mut backoff = Backoff::new();
        while let Some(rows) = group.parts.pop() {
            let (mut rows, result) = attempt(rows).await;
            match result {
                Ok(result) => return Some(GroupPart::Done(rows, result)),
                Err(error) if is_retryable(&error) => {
                    group.parts.push(rows);
                    self.wait_before_retry(what, &error, &mut backoff).await;
                }
                Err(error) if rows.len() == 1 => {
                    log_storage_error(what, &error);
                    return rows.pop().map(GroupPart::Refused);
                }
                Err(_) => {
                    let rest = rows.split_off(rows.len() / 2);
                    group.parts.extend([rest, rows]);
                }
            }
        }
        None
    }

    async fn wait_before_retry(&self, what: &str, error: &storage::Error, backoff: &mut Backoff) {
        log_storage_error(what, error);
        // Report progress: a wait for the database is not a hang.
        self.handle.record_turn();
        backoff.pause().await;
    }
}

/// Returns whether a database operation is repeated. `Superseded` has two causes. If another server has taken over
/// the farm, nothing is committed any more, and this process ends. If this server has just taken the next epoch itself,
/// the next attempt succeeds.
pub(super) fn is_retryable(error: &storage::Error) -> bool {
    error.is_transient() || matches!(error, storage::Error::Superseded)
}
