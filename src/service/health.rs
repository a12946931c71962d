//! The health of the server in parts, for readiness, metrics and the notice on every page. Reading it never waits for
//! the database: a task writes one row every few seconds and stores its result here.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use super::{
    Services,
    background::{RunResult, TaskFailure},
    sending::SendingStatus,
};
use crate::{
    clock,
    storage::{self, Db, health::WriteFailure},
};

/// Time between two checks of the size of the write-ahead log.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(60);
/// Time between two writes.
const PERIOD: Duration = Duration::from_secs(5);
/// A write that takes longer has failed. This is longer than SQLite waits for another process, so a locked database is
/// reported as locked.
const WRITE_TIMEOUT: Duration = Duration::from_secs(6);
/// The database is not ok if no write has succeeded for this long.
const MAX_WRITE_AGE: Duration = Duration::from_secs(15);
/// A dispatcher that shows no activity for this long is not ok.
const MAX_SILENCE: Duration = Duration::from_secs(10);

/// The health of every part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    pub database: DatabaseHealth,
    pub dispatcher_ok: bool,
    pub recorder: RecorderHealth,
    pub sending: SendingStatus,
}

/// Whether the database accepts writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DatabaseHealth {
    /// Time since the last successful write of the health row, or since the start of the server.
    pub write_age: Duration,
    /// Why the last write failed or did not end. None: the database is ok.
    pub failure: Option<DatabaseFailure>,
}

/// Why the database does not accept writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DatabaseFailure {
    Unreachable,
    Disk,
    Locked,
    FileReplaced,
    Refused,
}

/// Whether observed prints are recorded in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecorderHealth {
    pub ok: bool,
    /// Facts about prints that are not stored yet.
    pub behind: usize,
}

/// What users must know while a part does not work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// The database does not accept writes.
    Database(DatabaseFailure),
    /// This server lost the lock of the farm.
    NotSending,
    DispatcherHangs,
    RecorderBehind,
}

impl Health {
    /// Returns the most important notice. None: every part is ok.
    pub fn notice(&self) -> Option<Notice> {
        let sending = (!self.sending.ok).then_some(Notice::NotSending);
        let dispatcher = (!self.dispatcher_ok).then_some(Notice::DispatcherHangs);
        let recorder = (!self.recorder.ok).then_some(Notice::RecorderBehind);
        // An unavailable database is also the cause of the other failures.
        self.database.failure.map(Notice::Database).or(sending).or(dispatcher).or(recorder)
    }
}

/// The result of the last periodic write. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct WriteStatus(Arc<Mutex<LastWrite>>);

#[derive(Debug)]
struct LastWrite {
    succeeded: Instant,
    failure: Option<DatabaseFailure>,
}

impl Default for WriteStatus {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(LastWrite { succeeded: Instant::now(), failure: None })))
    }
}

impl WriteStatus {
    fn health(&self) -> DatabaseHealth {
        let last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let write_age = last.succeeded.elapsed();
        let late = (write_age > MAX_WRITE_AGE).then_some(DatabaseFailure::Unreachable);
        DatabaseHealth { write_age, failure: last.failure.or(late) }
    }

    fn set(&self, failure: Option<DatabaseFailure>) {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if failure.is_none() {
            last.succeeded = Instant::now();
        }
        last.failure = failure;
    }

    /// Writes the health row, and stores the result.
    async fn write(self, db: Db) -> RunResult {
        let written = tokio::time::timeout(WRITE_TIMEOUT, storage::health::store_check_time(&db, clock::now())).await;
        let result = match written {
            Ok(Ok(())) => Ok(None),
            Ok(Err(error)) => Err((storage::health::classify_error(&db, &error).into(), TaskFailure::from(error))),
            Err(_) => Err((DatabaseFailure::Unreachable, TaskFailure::new("timeout"))),
        };
        self.set(result.as_ref().err().map(|(failure, _)| *failure));
        result.map_err(|(_, failure)| failure)
    }
}

impl From<WriteFailure> for DatabaseFailure {
    fn from(failure: WriteFailure) -> Self {
        match failure {
            WriteFailure::Unreachable => Self::Unreachable,
            WriteFailure::Disk => Self::Disk,
            WriteFailure::Locked => Self::Locked,
            WriteFailure::FileReplaced => Self::FileReplaced,
            WriteFailure::Refused => Self::Refused,
        }
    }
}

impl Services {
    /// Returns the current health of every part.
    pub fn health(&self) -> Health {
        let recorder = self.recorder_status();
        Health {
            database: self.write_status.health(),
            dispatcher_ok: self.dispatcher.silent_for() <= MAX_SILENCE,
            recorder: RecorderHealth { ok: recorder.is_ok(), behind: recorder.behind() },
            sending: self.sending_status(),
        }
    }

    /// Returns whether the database accepts writes, as far as is known.
    pub fn is_database_ok(&self) -> bool {
        self.write_status.health().failure.is_none()
    }

    /// Starts the task that keeps SQLite's write-ahead log small: it grows during a long read by another process.
    pub(super) fn start_log_checkpoints(&self) {
        let db = self.db.clone();
        self.background.add("checkpoint", CHECKPOINT_EVERY, move || {
            let db = db.clone();
            async move {
                db.shrink_wal().await?;
                Ok(None)
            }
        });
    }

    /// Starts the periodic write that readiness reports.
    pub(super) fn start_health_writes(&self) {
        let (writes, db) = (self.write_status.clone(), self.db.clone());
        self.background.add("health", PERIOD, move || writes.clone().write(db.clone()));
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    fn health() -> Health {
        Health {
            database: DatabaseHealth { write_age: Duration::ZERO, failure: None },
            dispatcher_ok: true,
            recorder: RecorderHealth { ok: true, behind: 0 },
            sending: SendingStatus {
                ok: true,
                epoch: 1,
                holder: "hall-1 pid 7".to_owned(),
                since: DateTime::UNIX_EPOCH,
            },
        }
    }

    #[test]
    fn the_notice_is_the_most_important_failure_of_a_part() {
        let mut health = health();
        assert_eq!(health.notice(), None);
        health.recorder.ok = false;
        assert_eq!(health.notice(), Some(Notice::RecorderBehind));
        health.dispatcher_ok = false;
        assert_eq!(health.notice(), Some(Notice::DispatcherHangs));
        health.sending.ok = false;
        assert_eq!(health.notice(), Some(Notice::NotSending));
        health.database.failure = Some(DatabaseFailure::Disk);
        assert_eq!(health.notice(), Some(Notice::Database(DatabaseFailure::Disk)));
    }

    #[test]
    fn a_write_that_is_too_old_counts_as_a_failure_and_the_next_one_ends_it() {
        let status = WriteStatus::default();
        assert_eq!(status.health().failure, None);
        status.set(Some(DatabaseFailure::Locked));
        assert_eq!(status.health().failure, Some(DatabaseFailure::Locked));
        status.set(None);
        status.0.lock().expect("not poisoned").succeeded = Instant::now() - MAX_WRITE_AGE - Duration::from_millis(1);
        assert_eq!(status.health().failure, Some(DatabaseFailure::Unreachable));
        status.set(None);
        assert_eq!(status.health().failure, None);
    }
}
