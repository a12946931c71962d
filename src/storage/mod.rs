//! The only module that contains SQL.
//!
//! Supports SQLite and PostgreSQL through native sqlx pools. Each statement is written once, with parameters `$1…$n`.
//! The macros below compile it for both databases, because `sqlx::Any` does not support uuid, timestamptz or jsonb. The
//! SQL fragments that differ are in `bulk.rs`. A missing row is returned as `None` or `false`. A value that cannot be
//! read is an error that names its table, column and row.
//!
//! Three rules apply to the whole module:
//! - A transaction waits for nothing but the database.
//! - SQLite has one write connection. If several connections of a pool read and then write, most of their transactions
//!   fail because the database is locked.
//! - Data that only the farm's one sending server may write goes through `fenced!`. That macro fails after another
//!   server has taken over.

mod error;
mod fence;
mod open;

pub mod audit;
pub mod batches;
mod bulk;
pub mod commands;
pub mod contents;
pub mod copies;
pub mod events;
pub mod fault_injection;
pub mod files;
pub mod health;
pub mod idempotency;
pub mod identities;
pub mod lock;
pub mod orders;
pub mod parts;
pub mod plan_switch;
pub mod plates;
pub mod print_days;
pub mod print_facts;
pub mod printer_contents;
pub mod printer_observations;
pub mod printers;
pub mod prints;
pub mod retention;
pub mod sealed;
pub mod sessions;
pub mod table_stamps;
pub mod tokens;
pub mod users;
pub mod webhooks;

use std::sync::Arc;

use sqlx::{PgPool, SqlitePool};

pub use error::{DriverError, Error};
use fault_injection::FaultInjector;
pub use fence::Fence;
use open::DatabaseFile;
pub use open::SchemaState;

/// Database handle. Clones are cheap and share all state.
#[derive(Debug, Clone)]
pub struct Db {
    engine: Engine,
    shared: Arc<DbShared>,
}

/// Connection pools of SQLite or PostgreSQL.
#[derive(Debug, Clone)]
pub enum Engine {
    Sqlite {
        /// Exactly one connection.
        write: SqlitePool,
        /// Read-only connections.
        read: SqlitePool,
    },
    Postgres(PgPool),
}

#[derive(Debug)]
struct DbShared {
    /// SQLite's file, as identified when it was opened.
    file: Option<DatabaseFile>,
    fence: Fence,
    faults: FaultInjector,
}

/// Compiles a body for both databases, with the pool for reads.
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

/// Compiles a body for both databases, with the pool for writes. For single statements.
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

/// Compiles a body for both databases, inside one transaction. Leaving the function inside the body (`?`, `return`)
/// rolls it back.
macro_rules! transaction {
    ($db:expr, |$tx:ident| $body:block) => {{
        let db: &$crate::storage::Db = $db;
        let this_use = db.faults().next_use();
        this_use.before()?;
        db.check_file()?;
        match db.engine() {
            $crate::storage::Engine::Sqlite { write, .. } => {
                // Take the write lock at once: another process may write between the first read and the first write of
                // this transaction.
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

/// Like [`transaction!`], for data that only the farm's one sending server may write. Fails with [`Error::Superseded`]
/// if another server has taken over. PostgreSQL locks the row of the epoch, so a takeover waits for this commit.
macro_rules! fenced {
    ($db:expr, |$tx:ident| $body:block) => {{
        let fenced_db: &$crate::storage::Db = $db;
        $crate::storage::transaction!(fenced_db, |$tx| {
            if let Some(epoch) = fenced_db.fence().epoch() {
                let sql = $crate::storage::fence::lock_epoch_sql(fenced_db);
                let (current,): (i64,) = sqlx::query_as(sqlx::AssertSqlSafe(sql)).fetch_one(&mut *$tx).await?;
                if current != epoch {
                    return Err($crate::storage::fence::superseded_error().into());
                }
            }
            $body
        })
    }};
}

/// Compiles a body for both databases, inside a read-only transaction. All its statements read the same snapshot.
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
    /// Returns the pools, for code that is compiled for one database only.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Returns the guard of data that only the farm's one sending server may write.
    pub fn fence(&self) -> &Fence {
        &self.shared.fence
    }

    /// Returns the failures that a test injects. Without the feature `fault-injection` there are none.
    pub fn faults(&self) -> &FaultInjector {
        &self.shared.faults
    }

    /// Waits for running statements and closes all connections. Afterwards, SQLite's database file contains all data.
    pub async fn close(&self) {
        match &self.engine {
            Engine::Sqlite { write, read } => {
                read.close().await;
                // Closed last: the last connection checkpoints the write-ahead log into the file.
                write.close().await;
            }
            Engine::Postgres(pool) => pool.close().await,
        }
    }
}
