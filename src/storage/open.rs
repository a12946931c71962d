//! Opens databases: their pools, their tables, and whether SQLite's file is still the one that was opened.

use std::{
    fs, io,
    path::{Path, PathBuf},
    str::FromStr,
    sync::{Arc, LazyLock},
    time::Duration,
};

use sqlx::{
    AssertSqlSafe, Connection, Executor,
    migrate::Migrator,
    postgres::{PgConnectOptions, PgPoolOptions},
    sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use super::{Db, Engine, Error, Faults, Fence, Shared, reading};

/// A statement waits this long for a connection before the database counts as unavailable.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);

/// SQLite waits this long for another process (a backup, the command line) to let go of the file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// A checkpoint waits this long for readers; meanwhile nothing can be written.
const CHECKPOINT_TIMEOUT: Duration = Duration::from_millis(100);

/// Readers of a SQLite file. They never wait for the writer (WAL).
const SQLITE_READERS: u32 = 4;

/// Rows that SQLite's thread may have ahead of their reader: a group's answer passes without stops between them.
const SQLITE_ROW_BUFFER: usize = 5_000;

/// Bytes to which SQLite cuts its write-ahead log when it begins anew at its start.
const WAL_KEPT: u64 = 16 * 1024 * 1024;

/// Connections to PostgreSQL; its own default limit is 100 for everybody.
const POSTGRES_CONNECTIONS: u32 = 16;

/// PostgreSQL ends a transaction that is silent for this long. A process that was stopped within one would keep its locks,
/// and no other server could take over the farm.
const STOPPED_TRANSACTION: &str = "8s";

static MIGRATIONS: LazyLock<Migrator> = LazyLock::new(|| sqlx::migrate!("./migrations"));

/// How the tables of a database compare with those that this version needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Schema {
    /// There are no tables of Printyard.
    Empty,
    /// Migrations are missing: a start of the server brings it up to date.
    Older,
    Current,
    /// A later version of Printyard has changed it.
    Newer,
}

/// The file of a SQLite url; none where it names no file. Errors: [`Error::Setup`].
pub(super) fn sqlite_file(url: &str) -> Result<Option<PathBuf>, Error> {
    if url.split_once(':').is_none_or(|(scheme, _)| scheme != "sqlite") {
        return Ok(None);
    }
    let options = sqlite_options(url)?;
    Ok(Some(options.get_filename().to_path_buf()))
}

fn sqlite_options(url: &str) -> Result<SqliteConnectOptions, Error> {
    let options = SqliteConnectOptions::from_str(url)
        .map_err(|error| Error::Setup(format!("the database url cannot be read: {error}")))?;
    if url.contains(":memory:") || url.contains("mode=memory") || options.get_filename().as_os_str().is_empty() {
        return Err(Error::Setup("the database url must name a file: sqlite:printyard.db".to_owned()));
    }
    Ok(options)
}

/// The connection options of a PostgreSQL url. Errors: [`Error::Setup`].
pub(super) fn postgres_options(url: &str) -> Result<PgConnectOptions, Error> {
    PgConnectOptions::from_str(url).map_err(|error| Error::Setup(format!("the database url cannot be read: {error}")))
}

/// What to do where a SQLite file is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Missing {
    Create,
    Refuse,
}

impl Db {
    /// Opens the database, creates SQLite's file where it is missing, and brings the tables up to date. It takes no lock:
    /// a server does that first (`lock.rs`). `sqlite:<path>` or `postgres://…`. Errors: [`Error::Setup`] with a sentence
    /// for the operator; [`Error::Unavailable`].
    pub async fn connect(url: &str) -> Result<Self, Error> {
        let db = Self::open_with(url, Missing::Create).await?;
        db.migrate().await?;
        Ok(db)
    }

    /// Whether there is a database to open: SQLite's file. A database of PostgreSQL is made by its administrator.
    pub fn exists(url: &str) -> Result<bool, Error> {
        Ok(sqlite_file(url)?.is_none_or(|path| path.exists()))
    }

    /// Whether servers on several machines can share this database.
    pub fn is_shared(&self) -> bool {
        self.is_postgres()
    }

    /// Opens a database as it is. Errors: as [`Db::connect`], and where SQLite's file is missing.
    pub async fn open(url: &str) -> Result<Self, Error> {
        Self::open_with(url, Missing::Refuse).await
    }

    async fn open_with(url: &str, missing: Missing) -> Result<Self, Error> {
        let scheme = url.split_once(':').map_or("", |(scheme, _)| scheme);
        match scheme {
            "sqlite" => Self::open_sqlite(url, missing).await,
            "postgres" | "postgresql" => Self::open_postgres(url).await,
            // Not the url itself: it may hold a password.
            _ => Err(Error::Setup(format!(
                "the database url must begin with sqlite: or postgres://, and begins with {scheme:?}"
            ))),
        }
    }

    async fn open_sqlite(url: &str, missing: Missing) -> Result<Self, Error> {
        let options = sqlite_options(url)?;
        let path = options.get_filename().to_path_buf();
        let failed = |error: &dyn std::fmt::Display| {
            Error::Setup(format!("the database file {} cannot be opened: {error}", path.display()))
        };
        if missing == Missing::Create {
            create_private(&path).map_err(|error| failed(&error))?;
        }
        let file = DatabaseFile::look_at(&path).map_err(|error| failed(&error))?;
        let options = options
            .create_if_missing(false)
            .journal_mode(SqliteJournalMode::Wal)
            // A `sent` that a power cut takes back would be a second start.
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT)
            .row_buffer_size(SQLITE_ROW_BUFFER)
            .pragma("journal_size_limit", WAL_KEPT.to_string());
        let pool = || {
            let opened = file.clone();
            SqlitePoolOptions::new()
                .acquire_timeout(ACQUIRE_TIMEOUT)
                .idle_timeout(None)
                .max_lifetime(None)
                // Another file may lie at the path by now: see `DatabaseFile`.
                .after_connect(move |_, _| {
                    let same = opened.check();
                    Box::pin(async move { same })
                })
                // After FULL or an I/O error SQLite ends a transaction by itself. sqlx does not learn of it, and would
                // refuse every later transaction on this connection (sqlx-sqlite 0.9): it is closed and replaced.
                .before_acquire(|connection, _| {
                    let is_usable = !connection.is_in_transaction();
                    Box::pin(async move { Ok(is_usable) })
                })
        };
        let write = pool().min_connections(1).max_connections(1).connect_with(options.clone()).await;
        let write = write.map_err(|error| failed(&error))?;
        // A statement that writes through the readers is a defect, and has to show as one.
        let read = pool().max_connections(SQLITE_READERS).connect_with(options.pragma("query_only", "on")).await;
        let read = read.map_err(|error| failed(&error))?;
        Ok(Self::new(Engine::Sqlite { write, read }, Some(file)))
    }

    async fn open_postgres(url: &str) -> Result<Self, Error> {
        let options = postgres_options(url)?;
        let shown = format!("{} on {}", options.get_database().unwrap_or("(default)"), options.get_host());
        let pool = PgPoolOptions::new()
            .max_connections(POSTGRES_CONNECTIONS)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .after_connect(|connection, _| {
                Box::pin(async move {
                    let sql = format!("set idle_in_transaction_session_timeout = '{STOPPED_TRANSACTION}'");
                    connection.execute(AssertSqlSafe(sql)).await.map(drop)
                })
            })
            .connect_with(options)
            .await
            .map_err(|error| Error::Setup(format!("the database {shown} cannot be opened: {error}")))?;
        Ok(Self::new(Engine::Postgres(pool), None))
    }

    fn new(engine: Engine, file: Option<DatabaseFile>) -> Self {
        Self { engine, shared: Arc::new(Shared { file, fence: Fence::default(), faults: Faults::default() }) }
    }

    /// Brings the tables up to date. Errors: [`Error::Setup`].
    pub async fn migrate(&self) -> Result<(), Error> {
        let migrated = match self.engine() {
            Engine::Sqlite { write, .. } => MIGRATIONS.run(write).await,
            Engine::Postgres(pool) => MIGRATIONS.run(pool).await,
        };
        migrated.map_err(|error| Error::Setup(format!("the database could not be brought up to date: {error}")))
    }

    /// How the tables compare with those that this version needs.
    pub async fn schema(&self) -> Result<Schema, Error> {
        let exists = if self.is_postgres() {
            "select count(*) from pg_tables where tablename = '_sqlx_migrations' and schemaname = any(current_schemas(false))"
        } else {
            "select count(*) from sqlite_schema where type = 'table' and name = '_sqlx_migrations'"
        };
        let (tables,): (i64,) = reading!(self, |pool| sqlx::query_as(exists).fetch_one(pool).await)?;
        if tables == 0 {
            return Ok(Schema::Empty);
        }
        let sql = "select version from _sqlx_migrations where success order by version";
        let applied: Vec<(i64,)> = reading!(self, |pool| sqlx::query_as(sql).fetch_all(pool).await)?;
        let known = |version: i64| MIGRATIONS.iter().any(|migration| migration.version == version);
        Ok(if applied.iter().any(|(version,)| !known(*version)) {
            Schema::Newer
        } else if applied.len() < MIGRATIONS.iter().count() {
            Schema::Older
        } else {
            Schema::Current
        })
    }

    /// Whether SQLite's file is still the one that was opened; PostgreSQL has none. A write to a file that was deleted or
    /// replaced would be lost.
    pub(super) fn check_file(&self) -> Result<(), sqlx::Error> {
        self.shared.file.as_ref().map_or(Ok(()), DatabaseFile::check)
    }

    /// Folds SQLite's write-ahead log into the file where it has grown beyond what is kept: a long read of another process
    /// lets it grow. Returns its bytes afterwards. Nothing to do on PostgreSQL.
    pub async fn shrink_wal(&self) -> Result<u64, Error> {
        let Some(file) = &self.shared.file else { return Ok(0) };
        if file.wal_bytes() <= WAL_KEPT {
            return Ok(file.wal_bytes());
        }
        self.check_file()?;
        // On a connection of its own: the writer must not wait as long as it waits for another process.
        let options = SqliteConnectOptions::new().filename(&file.path).busy_timeout(CHECKPOINT_TIMEOUT);
        let mut connection = SqliteConnection::connect_with(&options).await?;
        let done = sqlx::query(AssertSqlSafe("pragma wal_checkpoint(truncate)")).execute(&mut connection).await;
        connection.close().await?;
        done?;
        Ok(file.wal_bytes())
    }
}

/// SQLite's file as it was when it was opened. The path may lead to another file later: the volume was unmounted, or the
/// file was deleted, restored or replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DatabaseFile {
    path: PathBuf,
    identity: Identity,
}

/// Device and inode.
pub(super) type Identity = (u64, u64);

impl DatabaseFile {
    fn look_at(path: &Path) -> io::Result<Self> {
        let path = fs::canonicalize(path)?;
        let metadata = fs::metadata(&path)?;
        warn_if_shared(&path, &metadata);
        Ok(Self { identity: identity(&metadata), path })
    }

    fn check(&self) -> Result<(), sqlx::Error> {
        let found = fs::metadata(&self.path).map(|metadata| identity(&metadata));
        if found.as_ref().is_ok_and(|found| *found == self.identity) {
            return Ok(());
        }
        let what = match found {
            Ok(_) => "another file lies there now".to_owned(),
            Err(error) => error.to_string(),
        };
        let path = self.path.display();
        Err(sqlx::Error::Io(io::Error::other(format!(
            "the database file {path} is not the one that was opened: {what}"
        ))))
    }

    fn wal_bytes(&self) -> u64 {
        let mut path = self.path.clone().into_os_string();
        path.push("-wal");
        fs::metadata(path).map_or(0, |metadata| metadata.len())
    }
}

#[cfg(unix)]
pub(super) fn identity(metadata: &fs::Metadata) -> Identity {
    use std::os::unix::fs::MetadataExt;
    (metadata.dev(), metadata.ino())
}

/// Files have no such numbers here: only a missing one is noticed.
#[cfg(not(unix))]
pub(super) fn identity(_: &fs::Metadata) -> Identity {
    (0, 0)
}

/// Creates a missing file that only its owner can read: it has hashes of passwords and the addresses of webhooks. SQLite
/// gives its other files the same mode.
fn create_private(path: &Path) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

#[cfg(unix)]
fn warn_if_shared(path: &Path, metadata: &fs::Metadata) {
    use std::os::unix::fs::PermissionsExt;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        let path = path.display();
        tracing::warn!(%path, mode = format!("{mode:o}"), "other users of this machine may read the database: chmod 600 it");
    }
}

#[cfg(not(unix))]
fn warn_if_shared(_: &Path, _: &fs::Metadata) {}
