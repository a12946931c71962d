//! Write check for readiness: one row, updated every few seconds.

use chrono::{DateTime, Utc};

use super::{Db, DriverError, Error, writing};

/// Why the database refused a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteFailure {
    /// No reply, no connection, or a timeout.
    Unreachable,
    /// The disk is full or not writable.
    Disk,
    /// SQLite: another process holds the file locked.
    Locked,
    /// SQLite: the path no longer leads to the file that was opened.
    FileReplaced,
    /// Any other cause: see the log.
    Refused,
}

/// Stores the time of the check in the row of `health`.
pub async fn store_check_time(db: &Db, at: DateTime<Utc>) -> Result<(), Error> {
    let sql = "update health set written_at = $1 where id = 1";
    Ok(writing!(db, |pool| sqlx::query(sql).bind(at).execute(pool).await.map(drop))?)
}

/// Classifies why [`store_check_time()`] failed.
pub fn classify_error(db: &Db, error: &Error) -> WriteFailure {
    match error {
        Error::Unavailable(DriverError(cause)) | Error::Database(DriverError(cause)) => match cause {
            sqlx::Error::Database(database) => {
                database.code().map_or(WriteFailure::Refused, |code| classify_code(&code))
            }
            sqlx::Error::Io(_) if db.check_file().is_err() => WriteFailure::FileReplaced,
            sqlx::Error::PoolTimedOut if !db.is_postgres() => WriteFailure::Locked,
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed => WriteFailure::Unreachable,
            // sqlx's enum is not exhaustive.
            _ => WriteFailure::Refused,
        },
        Error::NameTaken
        | Error::UrlTaken
        | Error::KeyTaken
        | Error::Superseded
        | Error::Unreadable { .. }
        | Error::Setup(_) => WriteFailure::Refused,
    }
}

/// Classifies an error code. PostgreSQL's SQLSTATEs have five characters, SQLite's result codes fewer.
fn classify_code(code: &str) -> WriteFailure {
    if code.len() == 5 {
        return match code {
            // disk_full, and the class of io_error.
            _ if code == "53100" || code.starts_with("58") => WriteFailure::Disk,
            _ if ["08", "53", "57"].iter().any(|class| code.starts_with(class)) => WriteFailure::Unreachable,
            _ => WriteFailure::Refused,
        };
    }
    // The low byte is the primary code. 5 and 6: BUSY, LOCKED. 10, 13 and 14: IOERR, FULL, CANTOPEN.
    match code.parse::<i32>().map(|code| code & 0xff) {
        Ok(5 | 6) => WriteFailure::Locked,
        Ok(10 | 13 | 14) => WriteFailure::Disk,
        Ok(_) | Err(_) => WriteFailure::Refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_and_a_lock_and_a_lost_server_are_distinguished() {
        for (codes, failure) in [
            (&["13", "778", "53100", "58030"][..], WriteFailure::Disk),
            (&["5", "517", "6"], WriteFailure::Locked),
            (&["08006", "57P01", "53300"], WriteFailure::Unreachable),
            (&["8", "11", "25006", "42501", "x"], WriteFailure::Refused),
        ] {
            for code in codes {
                assert_eq!(classify_code(code), failure, "{code}");
            }
        }
    }
}
