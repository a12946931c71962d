//! The only module that contains SQL.
//!
//! SQLite and PostgreSQL through native sqlx pools: every statement is written once, with `$1…$n`, and compiled for
//! both by the macros below (`sqlx::Any` cannot carry uuid, timestamptz or jsonb). The few words that differ are
//! fragments in `group.rs`. Absence is `None` or `false`; what cannot be read is an error that names its place.
//!
//! Two rules hold everywhere here. A transaction never waits for anything but the database. And SQLite has one
//! writer: a pool in which several connections read and then write fails most of its transactions as locked.

mod error;
mod group;

pub mod audit;
pub mod batches;
pub mod commands;
pub mod events;
pub mod idempotency;
pub mod identities;
pub mod plates;
pub mod print_days;
pub mod printers;
pub mod prints;
pub mod sealed;
pub mod sessions;
pub mod sightings;
pub mod sights;
pub mod tokens;
pub mod users;
pub mod webhooks;

use std::{str::FromStr, time::Duration};

use chrono::{DateTime, Utc};
use sqlx::{
    PgPool, SqlitePool,
    postgres::{PgConnectOptions, PgPoolOptions},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

pub use error::{Cause, Error};

/// A statement waits this long for a connection before the database counts as unavailable.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);

/// SQLite waits this long for another process (a backup, the command line) to let go of the file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Readers of a SQLite file. They never wait for the writer (WAL).
const SQLITE_READERS: u32 = 4;

/// Rows that SQLite's thread may have ahead of their reader: a group's answer passes without stops between them.
const SQLITE_ROW_BUFFER: usize = 5_000;

/// Connections to PostgreSQL; its own default limit is 100 for everybody.
const POSTGRES_CONNECTIONS: u32 = 16;

/// The database. Cheap to clone: clones share the pools.
#[derive(Debug, Clone)]
pub enum Db {
    Sqlite {
        /// Exactly one connection.
        write: SqlitePool,
        /// Connections that cannot write.
        read: SqlitePool,
    },
    Postgres(PgPool),
}

/// Compiles a body for both databases, with a pool that may only read.
macro_rules! reading {
    ($db:expr, |$pool:ident| $body:expr) => {
        match $db {
            $crate::storage::Db::Sqlite { read: $pool, .. } => $body,
            $crate::storage::Db::Postgres($pool) => $body,
        }
    };
}

/// Compiles a body for both databases, with a pool that may write: for single statements.
macro_rules! writing {
    ($db:expr, |$pool:ident| $body:expr) => {
        match $db {
            $crate::storage::Db::Sqlite { write: $pool, .. } => $body,
            $crate::storage::Db::Postgres($pool) => $body,
        }
    };
}

/// Compiles a body for both databases, in one transaction. Leaving the function inside it (`?`, `return`) rolls back.
macro_rules! transaction {
    ($db:expr, |$tx:ident| $body:block) => {
        match $db {
            $crate::storage::Db::Sqlite { write, .. } => {
                // Not deferred: another process may write between our first read and our first write.
                let mut transaction = write.begin_with("begin immediate").await?;
                let $tx = &mut *transaction;
                let result = $body;
                transaction.commit().await?;
                result
            }
            $crate::storage::Db::Postgres(pool) => {
                let mut transaction = pool.begin().await?;
                let $tx = &mut *transaction;
                let result = $body;
                transaction.commit().await?;
                result
            }
        }
    };
}

/// Compiles a body for both databases, in a transaction that only reads: its statements see one moment.
macro_rules! snapshot {
    ($db:expr, |$tx:ident| $body:block) => {
        match $db {
            $crate::storage::Db::Sqlite { read, .. } => {
                let mut transaction = read.begin().await?;
                let $tx = &mut *transaction;
                $body
            }
            $crate::storage::Db::Postgres(pool) => {
                let mut transaction = pool.begin_with("begin isolation level repeatable read read only").await?;
                let $tx = &mut *transaction;
                $body
            }
        }
    };
}

use {reading, snapshot, transaction, writing};

/// Deletes what is older than `at`, so many rows with each statement that nobody waits for long: `sql` takes the time and
/// their number. Returns how many.
async fn delete_in_groups(db: &Db, sql: &'static str, at: DateTime<Utc>, group: i64) -> Result<u64, Error> {
    let mut deleted = 0;
    loop {
        let n = writing!(db, |pool| sqlx::query(sql)
            .bind(at)
            .bind(group)
            .execute(pool)
            .await
            .map(|done| done.rows_affected()))?;
        deleted += n;
        if i64::try_from(n).unwrap_or(i64::MAX) < group {
            return Ok(deleted);
        }
    }
}

impl Db {
    /// Opens the database and brings its tables up to date. `sqlite:<path>` (created if missing) or
    /// `postgres://…`. Errors: [`Error::Setup`] with a sentence for the operator; [`Error::Unavailable`].
    pub async fn connect(url: &str) -> Result<Self, Error> {
        let scheme = url.split_once(':').map_or("", |(scheme, _)| scheme);
        let db = match scheme {
            "sqlite" => Self::open_sqlite(url).await?,
            "postgres" | "postgresql" => Self::open_postgres(url).await?,
            _ => {
                // Not the url itself: it may hold a password.
                return Err(Error::Setup(format!(
                    "the database url must begin with sqlite: or postgres://, and begins with {scheme:?}"
                )));
            }
        };
        let migrated = writing!(&db, |pool| sqlx::migrate!("./migrations").run(pool).await);
        migrated.map_err(|error| Error::Setup(format!("the database could not be brought up to date: {error}")))?;
        Ok(db)
    }

    async fn open_sqlite(url: &str) -> Result<Self, Error> {
        let options = SqliteConnectOptions::from_str(url)
            .map_err(|error| Error::Setup(format!("the database url cannot be read: {error}")))?;
        if url.contains(":memory:") || url.contains("mode=memory") || options.get_filename().as_os_str().is_empty() {
            return Err(Error::Setup("the database url must name a file: sqlite:printyard.db".to_owned()));
        }
        let shown = options.get_filename().display().to_string();
        let options = options
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // A `sent` that a power cut takes back would be a second start.
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT)
            .row_buffer_size(SQLITE_ROW_BUFFER);
        let failed = |error| Error::Setup(format!("the database file {shown} cannot be opened: {error}"));
        let pool = || SqlitePoolOptions::new().acquire_timeout(ACQUIRE_TIMEOUT).idle_timeout(None).max_lifetime(None);
        let write = pool().min_connections(1).max_connections(1).connect_with(options.clone()).await.map_err(failed)?;
        // A statement that writes through the readers is a defect, and has to show as one.
        let options = options.pragma("query_only", "on");
        let read = pool().max_connections(SQLITE_READERS).connect_with(options).await.map_err(failed)?;
        Ok(Self::Sqlite { write, read })
    }

    async fn open_postgres(url: &str) -> Result<Self, Error> {
        let options = PgConnectOptions::from_str(url)
            .map_err(|error| Error::Setup(format!("the database url cannot be read: {error}")))?;
        let shown = format!("{} on {}", options.get_database().unwrap_or("(default)"), options.get_host());
        let pool = PgPoolOptions::new()
            .max_connections(POSTGRES_CONNECTIONS)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .connect_with(options)
            .await
            .map_err(|error| Error::Setup(format!("the database {shown} cannot be opened: {error}")))?;
        Ok(Self::Postgres(pool))
    }

    /// One round trip, for readiness: the database answers, and takes writes.
    pub async fn ping(&self) -> Result<(), Error> {
        writing!(self, |pool| sqlx::query("select 1").execute(pool).await.map(drop))?;
        Ok(())
    }

    /// Waits for statements under way and closes every connection. SQLite's file is then complete in itself.
    pub async fn close(&self) {
        match self {
            Self::Sqlite { write, read } => {
                read.close().await;
                // Last, because the last connection folds the write-ahead log into the file.
                write.close().await;
            }
            Self::Postgres(pool) => pool.close().await,
        }
    }
}
