//! Lock of the farm's one sending server, and the epoch that the holder takes.
//!
//! The epoch guarantees that only one server sends (`fence.rs`). The lock only avoids needless takeovers. On SQLite it
//! is `flock` on a file beside the database. The database file itself is never locked this way: closing it would
//! release SQLite's own locks. On PostgreSQL it is an advisory lock of a session outside the pool. PostgreSQL ends a
//! session that is idle for 10 s, so a holder that hangs loses the lock.

use std::{
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use chrono::{DateTime, Utc};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use super::{
    Db, Error, open,
    open::{FileIdentity, file_identity},
    reading, transaction,
};
use crate::domain::epoch::EpochHolder;

/// PostgreSQL ends the session of the lock after this idle time. Needs PostgreSQL 14.
const IDLE_TIMEOUT: &str = "10s";

/// Time limit for one request of the lock's session.
const REPLY_TIMEOUT: Duration = Duration::from_secs(3);

/// Key of the advisory lock within the database: "printyrd".
const ADVISORY_LOCK_KEY: i64 = 0x7072_696e_7479_7264;

/// The farm's lock. This process holds it until the value is dropped.
#[derive(Debug)]
pub struct FarmLock(LockHandle);

#[derive(Debug)]
enum LockHandle {
    File { file: File, path: PathBuf },
    Session(Box<PgConnection>),
}

impl FarmLock {
    /// Takes the lock of a database. Returns `None` if another process holds it. Errors: [`Error::Setup`],
    /// [`Error::Unavailable`].
    pub async fn try_acquire(url: &str) -> Result<Option<Self>, Error> {
        match open::sqlite_file(url)? {
            Some(database) => lock_file(&database),
            None => lock_session(url).await,
        }
    }

    /// Returns whether this process still holds the lock. An error counts as lost, because another process may hold the
    /// lock by then.
    pub async fn is_held(&mut self) -> bool {
        match &mut self.0 {
            LockHandle::File { file, path } => {
                matches!((opened_file_identity(file), fs::metadata(path)), (Ok(held), Ok(current)) if file_identity(&current) == held)
            }
            LockHandle::Session(session) => {
                // Checks the backend that runs this query. A connection pooler may have moved the session to one
                // without the lock.
                let sql =
                    "select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid() and granted
                           and ((classid::bigint << 32) | objid::bigint) = $1 and objsubid = 1";
                let query = sqlx::query_as::<_, (i64,)>(sql).bind(ADVISORY_LOCK_KEY).fetch_one(&mut **session);
                matches!(tokio::time::timeout(REPLY_TIMEOUT, query).await, Ok(Ok((1,))))
            }
        }
    }

    /// Releases the lock.
    pub async fn release(self) {
        match self.0 {
            LockHandle::File { file, .. } => drop(file),
            // PostgreSQL frees the lock some time after the session is closed. Without an unlock, a server that starts
            // at once would be refused.
            LockHandle::Session(mut session) => {
                let unlock = async {
                    sqlx::query("select pg_advisory_unlock($1)").bind(ADVISORY_LOCK_KEY).execute(&mut *session).await?;
                    session.close().await
                };
                drop(tokio::time::timeout(REPLY_TIMEOUT, unlock).await);
            }
        }
    }
}

fn lock_file(database: &Path) -> Result<Option<FarmLock>, Error> {
    let path = lock_path(database)?;
    let failed = |error: &dyn std::fmt::Display| {
        Error::Setup(format!("the lock file {} cannot be used: {error}", path.display()))
    };
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(&path).map_err(|error| failed(&error))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(FarmLock(LockHandle::File { file, path }))),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(failed(&error)),
    }
}

/// Returns `<canonical path of the database>.lock`, so two spellings of one path share one lock.
fn lock_path(database: &Path) -> Result<PathBuf, Error> {
    let failed = |error: io::Error| {
        Error::Setup(format!("the folder of the database file {} cannot be used: {error}", database.display()))
    };
    let canonical = match fs::canonicalize(database) {
        Ok(path) => path,
        Err(_) => {
            let folder = database.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
            fs::canonicalize(folder).map_err(failed)?.join(database.file_name().unwrap_or_default())
        }
    };
    let mut path = canonical.into_os_string();
    path.push(".lock");
    Ok(path.into())
}

fn opened_file_identity(file: &File) -> io::Result<FileIdentity> {
    file.metadata().map(|metadata| file_identity(&metadata))
}

async fn lock_session(url: &str) -> Result<Option<FarmLock>, Error> {
    let options = open::postgres_options(url)?.application_name("printyard lock");
    let session = async {
        let mut session = PgConnection::connect_with(&options).await?;
        sqlx::query(AssertSqlSafe(format!("set idle_session_timeout = '{IDLE_TIMEOUT}'")))
            .execute(&mut session)
            .await?;
        let (locked,): (bool,) =
            sqlx::query_as("select pg_try_advisory_lock($1)").bind(ADVISORY_LOCK_KEY).fetch_one(&mut session).await?;
        Ok::<_, sqlx::Error>((session, locked))
    };
    // Connecting may take longer than one request, because it resolves a host name.
    let (session, locked) = match tokio::time::timeout(REPLY_TIMEOUT * 3, session).await {
        Ok(Ok(locked)) => locked,
        Ok(Err(sqlx::Error::Database(error))) if error.code().as_deref() == Some("42704") => {
            return Err(Error::Setup("PostgreSQL 14 or later is needed".to_owned()));
        }
        Ok(Err(error)) => return Err(error.into()),
        Err(_) => return Err(sqlx::Error::PoolTimedOut.into()),
    };
    Ok(locked.then(|| FarmLock(LockHandle::Session(Box::new(session)))))
}

type HolderRow = (i64, String, i64, Option<DateTime<Utc>>, Option<DateTime<Utc>>);

fn holder_from_row((epoch, host, pid, since, released_at): HolderRow) -> EpochHolder {
    EpochHolder { epoch, host, pid, since, released_at }
}

const COLUMNS: &str = "epoch, host, pid, since, released_at";

/// Returns the holder of the epoch.
pub async fn read_holder(db: &Db) -> Result<EpochHolder, Error> {
    let sql = format!("select {COLUMNS} from server_epoch where id = 1");
    let row: HolderRow = reading!(db, |pool| sqlx::query_as(AssertSqlSafe(sql)).fetch_one(pool).await)?;
    Ok(holder_from_row(row))
}

/// Result of a takeover: the previous holder and the new epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Takeover {
    pub previous: EpochHolder,
    pub epoch: i64,
}

/// Takes the next epoch for this process and fences the database with it. With `expected`, only if the row still has
/// this epoch. Returns `None` if it has another one, because another server has taken over.
pub async fn take_over(
    db: &Db,
    expected: Option<i64>,
    (host, pid): (&str, i64),
    at: DateTime<Utc>,
) -> Result<Option<Takeover>, Error> {
    let lock = format!("select {COLUMNS} from server_epoch where id = 1{}", db.for_update());
    let taken = transaction!(db, |tx| {
        let previous = holder_from_row(sqlx::query_as(AssertSqlSafe(lock)).fetch_one(&mut *tx).await?);
        if expected.is_some_and(|expected| expected != previous.epoch) {
            return Ok(None);
        }
        let epoch = previous.epoch + 1;
        sqlx::query(
            "update server_epoch set epoch = $1, host = $2, pid = $3, since = $4, released_at = null where id = 1",
        )
        .bind(epoch)
        .bind(host)
        .bind(pid)
        .bind(at)
        .execute(&mut *tx)
        .await?;
        Takeover { previous, epoch }
    });
    db.fence().hold(taken.epoch);
    Ok(Some(taken))
}

/// Records that the holder of an epoch shut down cleanly. Then the next server need not wait for its last requests.
pub async fn record_release(db: &Db, epoch: i64, at: DateTime<Utc>) -> Result<(), Error> {
    transaction!(db, |tx| {
        sqlx::query("update server_epoch set released_at = $2 where id = 1 and epoch = $1")
            .bind(epoch)
            .bind(at)
            .execute(&mut *tx)
            .await?;
    });
    Ok(())
}
