//! The only module that contains SQL.
//!
//! SQLite and PostgreSQL through native sqlx pools: every statement is written once, with `$1…$n`, and compiled for
//! both by the macros below (`sqlx::Any` cannot carry uuid, timestamptz or jsonb). The few words that differ are
//! fragments in `group.rs`. Absence is `None` or `false`; what cannot be read is an error that names its place.
//!
//! Three rules hold everywhere here. A transaction never waits for anything but the database. SQLite has one writer:
//! a pool in which several connections read and then write fails most of its transactions as locked. What belongs to
//! the farm's one sending server is written by `fenced!`, which fails once another server has taken over.

mod error;
mod fence;
mod group;
mod open;

pub mod audit;
pub mod batches;
pub mod commands;
pub mod events;
pub mod faults;
pub mod health;
pub mod idempotency;
pub mod identities;
pub mod lock;
pub mod plates;
pub mod print_days;
pub mod printers;
pub mod prints;
pub mod retention;
pub mod sealed;
pub mod sessions;
pub mod sightings;
pub mod sights;
pub mod tokens;
pub mod users;
pub mod webhooks;

use std::sync::Arc;

use sqlx::{PgPool, SqlitePool};

pub use error::{Cause, Error};
use faults::Faults;
pub use fence::Fence;
use open::DatabaseFile;
pub use open::Schema;

/// The database. Cheap to clone: clones share everything.
#[derive(Debug, Clone)]
pub struct Db {
    engine: Engine,
    shared: Arc<Shared>,
}

/// The pools of one of the two databases.
#[derive(Debug, Clone)]
pub enum Engine {
    Sqlite {
        /// Exactly one connection.
        write: SqlitePool,
        /// Connections that cannot write.
        read: SqlitePool,
    },
    Postgres(PgPool),
}

#[derive(Debug)]
struct Shared {
    /// SQLite's file, as it was when it was opened.
    file: Option<DatabaseFile>,
    fence: Fence,
    faults: Faults,
}

/// Compiles a body for both databases, with a pool that may only read.
macro_rules! reading {
    ($db:expr, |$pool:ident| $body:expr) => {{
        let db: &$crate::storage::Db = $db;
        match db.faults().next_use().before() {
            Err(error) => Err(error),
            Ok(()) => match db.engine() {
                $crate::storage::Engine::Sqlite { read: $pool, .. } => $body,
                $crate::storage::Engine::Postgres($pool) => $body,
            },
        }
    }};
}

/// Compiles a body for both databases, with a pool that may write: for single statements.
macro_rules! writing {
    ($db:expr, |$pool:ident| $body:expr) => {{
        let db: &$crate::storage::Db = $db;
        let this_use = db.faults().next_use();
        match this_use.before().and_then(|()| db.check_file()) {
            Err(error) => Err(error),
            Ok(()) => match db.engine() {
                $crate::storage::Engine::Sqlite { write: $pool, .. } => $body,
                $crate::storage::Engine::Postgres($pool) => $body,
            }
            .and_then(|done| this_use.after_commit().map(|()| done)),
        }
    }};
}

/// Compiles a body for both databases, in one transaction. Leaving the function inside it (`?`, `return`) rolls back.
macro_rules! transaction {
    ($db:expr, |$tx:ident| $body:block) => {{
        let db: &$crate::storage::Db = $db;
        let this_use = db.faults().next_use();
        this_use.before()?;
        db.check_file()?;
        match db.engine() {
            $crate::storage::Engine::Sqlite { write, .. } => {
                // Not deferred: another process may write between our first read and our first write.
                let mut transaction = write.begin_with("begin immediate").await?;
                let $tx = &mut *transaction;
                let result = $body;
                this_use.before_commit()?;
                transaction.commit().await?;
                this_use.after_commit()?;
                result
            }
            $crate::storage::Engine::Postgres(pool) => {
                let mut transaction = pool.begin().await?;
                let $tx = &mut *transaction;
                let result = $body;
                this_use.before_commit()?;
                transaction.commit().await?;
                this_use.after_commit()?;
                result
            }
        }
    }};
}

/// As [`transaction!`], for what only the farm's one sending server may write. It fails with [`Error::Superseded`] where
/// another server has taken over. PostgreSQL locks the row of the epoch, so a take-over waits for the commit.
macro_rules! fenced {
    ($db:expr, |$tx:ident| $body:block) => {{
        let fenced_db: &$crate::storage::Db = $db;
        $crate::storage::transaction!(fenced_db, |$tx| {
            if let Some(epoch) = fenced_db.fence().epoch() {
                let sql = $crate::storage::fence::lock_epoch(fenced_db);
                let (current,): (i64,) = sqlx::query_as(sqlx::AssertSqlSafe(sql)).fetch_one(&mut *$tx).await?;
                if current != epoch {
                    return Err($crate::storage::fence::superseded().into());
                }
            }
            $body
        })
    }};
}

/// Compiles a body for both databases, in a transaction that only reads: its statements see one moment.
macro_rules! snapshot {
    ($db:expr, |$tx:ident| $body:block) => {{
        let db: &$crate::storage::Db = $db;
        db.faults().next_use().before()?;
        match db.engine() {
            $crate::storage::Engine::Sqlite { read, .. } => {
                let mut transaction = read.begin().await?;
                let $tx = &mut *transaction;
                $body
            }
            $crate::storage::Engine::Postgres(pool) => {
                let mut transaction = pool.begin_with("begin isolation level repeatable read read only").await?;
                let $tx = &mut *transaction;
                $body
            }
        }
    }};
}

use {fenced, reading, snapshot, transaction, writing};

impl Db {
    /// The pools, for what is compiled for one database only.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The guard of what only the farm's one sending server may write.
    pub fn fence(&self) -> &Fence {
        &self.shared.fence
    }

    /// Failures that a test asks for; without the feature `fault-injection` there are none.
    pub fn faults(&self) -> &Faults {
        &self.shared.faults
    }

    /// Waits for statements under way and closes every connection. SQLite's file is then complete in itself.
    pub async fn close(&self) {
        match &self.engine {
            Engine::Sqlite { write, read } => {
                read.close().await;
                // Last, because the last connection folds the write-ahead log into the file.
                write.close().await;
            }
            Engine::Postgres(pool) => pool.close().await,
        }
    }
}
