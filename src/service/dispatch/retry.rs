//! Retries for the dispatcher's use of the database: transient errors are waited out, and a group that the database
//! refuses is split until the refused row is found.

use std::time::Duration;

use super::{Dispatcher, log_storage};
use crate::storage;

/// The first pause between attempts while the database is away. Nothing may be sent without the command log.
pub(super) const RETRY_MIN: Duration = Duration::from_millis(100);
/// The longest pause between attempts.
pub(super) const RETRY_MAX: Duration = Duration::from_secs(2);

/// Rows that are written in parts, each as large as the database takes it.
pub(super) struct Group<T> {
    /// The next part is the last one.
    parts: Vec<Vec<T>>,
}

/// Result of one part of a [`Group`].
pub(super) enum Part<T, R> {
    Done(Vec<T>, R),
    /// The database refuses this row for good. The log has the error.
    Refused(T),
}

impl<T> Group<T> {
    pub(super) fn new(rows: Vec<T>) -> Self {
        Self { parts: if rows.is_empty() { Vec::new() } else { vec![rows] } }
    }
}

/// Growing pauses between attempts.
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
    /// Repeats a use of the database until it succeeds or fails for good. Shutdown ends it: see [`Dispatcher::run`].
    pub(super) async fn retry<T, F>(&self, what: &str, mut attempt: impl FnMut() -> F) -> Result<T, storage::Error>
    where
        F: Future<Output = Result<T, storage::Error>>,
    {
        let mut backoff = Backoff::new();
        loop {
            match attempt().await {
                Err(error) if is_repeated(&error) => self.wait(what, &error, &mut backoff).await,
                result => return result,
            }
        }
    }

    /// Runs `attempt`, which gives the rows back, on the next part of a group. `None`: the group is done.
    pub(super) async fn next_part<T, R, F>(
        &self,
        what: &str,
        group: &mut Group<T>,
        attempt: impl Fn(Vec<T>) -> F,
    ) -> Option<Part<T, R>>
    where
        F: Future<Output = (Vec<T>, Result<R, storage::Error>)>,
    {
        let mut backoff = Backoff::new();
        while let Some(rows) = group.parts.pop() {
            let (mut rows, result) = attempt(rows).await;
            match result {
                Ok(result) => return Some(Part::Done(rows, result)),
                Err(error) if is_repeated(&error) => {
                    group.parts.push(rows);
                    self.wait(what, &error, &mut backoff).await;
                }
                Err(error) if rows.len() == 1 => {
                    log_storage(what, &error);
                    return rows.pop().map(Part::Refused);
                }
                Err(_) => {
                    let rest = rows.split_off(rows.len() / 2);
                    group.parts.extend([rest, rows]);
                }
            }
        }
        None
    }

    async fn wait(&self, what: &str, error: &storage::Error, backoff: &mut Backoff) {
        log_storage(what, error);
        // Waiting for the database is not hanging.
        self.handle.beat();
        backoff.pause().await;
    }
}

/// Whether a use of the database is repeated. Another server may have taken over the farm: then nothing is committed any
/// more, and the server ends this process. Or this server has just taken the next epoch itself, and goes on.
pub(super) fn is_repeated(error: &storage::Error) -> bool {
    error.is_transient() || matches!(error, storage::Error::Superseded)
}
