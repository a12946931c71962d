//! The epoch of the farm's one sending server: what keeps a server that was overtaken from writing.
//!
//! A row of `server_epoch` has the current epoch. Each take-over increments it. A server writes what only the sending
//! server may write within a transaction that compares the row with the epoch that it took.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use super::{Db, error};

/// The epoch that this process holds, and whether it may send.
#[derive(Debug, Default)]
pub struct Fence {
    /// 0: none, nothing is compared. The administration commands and tests of single modules hold none.
    epoch: AtomicI64,
    /// The lock was lost: nothing is sent until it is held again.
    is_paused: AtomicBool,
}

impl Fence {
    /// The epoch that this process took; none where it took none.
    pub fn epoch(&self) -> Option<i64> {
        Some(self.epoch.load(Ordering::Acquire)).filter(|epoch| *epoch != 0)
    }

    /// Holds an epoch from now on, and may send.
    pub fn hold(&self, epoch: i64) {
        self.epoch.store(epoch, Ordering::Release);
        self.is_paused.store(false, Ordering::Release);
    }

    /// Commits no further send until [`Fence::hold`].
    pub fn pause(&self) {
        self.is_paused.store(true, Ordering::Release);
    }

    /// Fails while no sends may be committed; it may be asked again.
    pub(super) fn check_sending(&self) -> Result<(), sqlx::Error> {
        if self.is_paused.load(Ordering::Acquire) {
            return Err(sqlx::Error::Io(std::io::Error::other("the lock of the farm is lost")));
        }
        Ok(())
    }
}

/// The statement that reads the current epoch; on PostgreSQL a take-over waits until this transaction has ended.
pub(super) fn lock_epoch(db: &Db) -> &'static str {
    if db.is_postgres() {
        "select epoch from server_epoch where id = 1 for share"
    } else {
        "select epoch from server_epoch where id = 1"
    }
}

/// [`super::Error::Superseded`], where a statement's error is asked for.
pub(super) fn superseded() -> sqlx::Error {
    sqlx::Error::Encode(Box::new(error::Superseded))
}
