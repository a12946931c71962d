//! Epoch fence: keeps a server from writing after another server has taken over.
//!
//! The row of `server_epoch` contains the current epoch, and each takeover increments it. Some data only the sending
//! server may write. A server writes it in a transaction that compares the row with the epoch that the server holds.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use super::{Db, error};

/// The epoch that this process holds, and whether it may send.
#[derive(Debug, Default)]
pub struct Fence {
    /// 0 means no epoch: nothing is compared. Administration commands and tests of single modules hold no epoch.
    epoch: AtomicI64,
    /// The lock is lost. Nothing is sent until this process holds it again.
    is_paused: AtomicBool,
}

impl Fence {
    /// Returns the epoch that this process holds, if any.
    pub fn epoch(&self) -> Option<i64> {
        Some(self.epoch.load(Ordering::Acquire)).filter(|epoch| *epoch != 0)
    }

    /// Holds an epoch from now on, and allows sends.
    pub fn hold(&self, epoch: i64) {
        self.epoch.store(epoch, Ordering::Release);
        self.is_paused.store(false, Ordering::Release);
    }

    /// Refuses to commit sends until [`Fence::hold`] is called.
    pub fn pause(&self) {
        self.is_paused.store(true, Ordering::Release);
    }

    /// Fails while no sends may be committed. The error is transient, so callers may retry.
    pub(super) fn check_sending(&self) -> Result<(), sqlx::Error> {
        if self.is_paused.load(Ordering::Acquire) {
            return Err(sqlx::Error::Io(std::io::Error::other("the lock of the farm is lost")));
        }
        Ok(())
    }
}

/// Returns the statement that reads the current epoch. On PostgreSQL, a takeover then waits until this transaction has
/// ended.
pub(super) fn lock_epoch_sql(db: &Db) -> &'static str {
    if db.is_postgres() {
        "select epoch from server_epoch where id = 1 for share"
    } else {
        "select epoch from server_epoch where id = 1"
    }
}

/// Returns the `sqlx::Error` that converts into [`super::Error::Superseded`].
pub(super) fn superseded_error() -> sqlx::Error {
    sqlx::Error::Encode(Box::new(error::Superseded))
}
