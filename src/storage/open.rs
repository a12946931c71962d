//! Opens databases, migrates their tables, and checks whether SQLite's file was replaced.

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

use super::{Db, DbShared, Engine, Error, FaultInjector, Fence, reading};

/// A statement waits this long for a connection. Then the database counts as unavailable.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);

/// SQLite waits this long for a file lock of another process (a backup, the command line).
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// A checkpoint waits this long for readers. Meanwhile, writes are blocked.
const CHECKPOINT_TIMEOUT: Duration = Duration::from_millis(100);

/// Read connections to a SQLite file. In WAL mode, they never wait for the writer.
const SQLITE_READERS: u32 = 4;

/// Rows that SQLite's thread may buffer ahead of the reader. Enough for the result of a bulk write to arrive without
/// pauses.
const SQLITE_ROW_BUFFER: usize = 5_000;

/// Size in bytes to which SQLite truncates its write-ahead log when the log restarts.
const MAX_WAL_BYTES: u64 = 16 * 1024 * 1024;

/// Connections to PostgreSQL. PostgreSQL's own default limit is 100 for all clients.
const POSTGRES_CONNECTIONS: u32 = 16;

/// PostgreSQL ends a transaction that is idle for this long. Otherwise a suspended process would keep its locks, and no
/// other server could take over the farm.
const IDLE_TRANSACTION_TIMEOUT: &str = "8s";

static MIGRATIONS: LazyLock<Migrator> = LazyLock::new(|| sqlx::migrate!("./migrations"));

/// State of the database's tables, compared with those that this version needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SchemaState {
    /// No tables of Printyard exist.
    Empty,
    /// Migrations are missing. A start of the server applies them.
    Older,
    Current,
    /// A later version of Printyard has migrated the tables.
    Newer,
}

/// Returns the file of a SQLite url, or `None` for other databases. Errors: [`Error::Setup`].
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

/// Parses the connection options of a PostgreSQL url. Errors: [`Error::Setup`].
pub(super) fn postgres_options(url: &str) -> Result<PgConnectOptions, Error> {
    PgConnectOptions::from_str(url).map_err(|error| Error::Setup(format!("the database url cannot be read: {error}")))
}

/// Action if the SQLite file is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum MissingFile {
    Create,
    Refuse,
}

impl Db {
    /// Opens the database, creates a missing SQLite file, and migrates the tables. `url` is `sqlite:<path>` or
    /// `postgres://…`. Takes no lock: a server takes it before (`lock.rs`). Errors: [`Error::Setup`] with a sentence
    /// for the operator; [`Error::Unavailable`].
    pub async fn connect(url: &str) -> Result<Self, Error> {
        let db = Self::open_with(url, MissingFile::Create).await?;
        db.migrate().await?;
        Ok(db)
    }

    /// Returns whether SQLite's file exists. Always `true` for PostgreSQL, where the administrator creates the
    /// database.
    pub fn exists(url: &str) -> Result<bool, Error> {
        Ok(sqlite_file(url)?.is_none_or(|path| path.exists()))
    }

    /// Returns whether servers on several machines can share this database.
    pub fn is_shared(&self) -> bool {
        self.is_postgres()
    }

    /// Opens an existing database without migrating it. Errors: like [`Db::connect`], and [`Error::Setup`] if SQLite's
    /// file is missing.
    pub async fn open(url: &str) -> Result<Self, Error> {
        Self::open_with(url, MissingFile::Refuse).await
    }

    async fn open_with(url: &str, missing: MissingFile) -> Result<Self, Error> {
        let scheme = url.split_once(':').map_or("", |(scheme, _)| scheme);
        match scheme {
            "sqlite" => Self::open_sqlite(url, missing).await,
            "postgres" | "postgresql" => Self::open_postgres(url).await,
            // The url itself is not shown, because it may contain a password.
            _ => Err(Error::Setup(format!(
                "the database url must begin with sqlite: or postgres://, and begins with {scheme:?}"
            ))),
        }
    }

    async fn open_sqlite(url: &str, missing: MissingFile) -> Result<Self, Error> {
        let options = sqlite_options(url)?;
        let path = options.get_filename().to_path_buf();
        let failed = |error: &dyn std::fmt::Display| {
            Error::Setup(format!("the database file {} cannot be opened: {error}", path.display()))
        };
        if missing == MissingFile::Create {
            create_private(&path).map_err(|error| failed(&error))?;
        }
        let file = DatabaseFile::identify(&path).map_err(|error| failed(&error))?;
        let options = options
            .create_if_missing(false)
            .journal_mode(SqliteJournalMode::Wal)
            // If a power failure undid a `sent` row, the command would be sent a second time.
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT)
            .row_buffer_size(SQLITE_ROW_BUFFER)
            .pragma("journal_size_limit", MAX_WAL_BYTES.to_string());
        let pool = || {
            let opened = file.clone();
            SqlitePoolOptions::new()
                .acquire_timeout(ACQUIRE_TIMEOUT)
                .idle_timeout(None)
                .max_lifetime(None)
                // The path may lead to another file by now: see `DatabaseFile`.
                .after_connect(move |_, _| {
                    let same = opened.check_unchanged();
                    Box::pin(async move { same })
                })
                // After FULL or an I/O error, SQLite rolls back the transaction itself. sqlx does not notice this, and
                // would refuse every later transaction on this connection (sqlx-sqlite 0.9). So the connection is
                // closed and replaced.
                .before_acquire(|connection, _| {
                    let is_usable = !connection.is_in_transaction();
                    Box::pin(async move { Ok(is_usable) })
                })
        };
        let write = pool().min_connections(1).max_connections(1).connect_with(options.clone()).await;
        let write = write.map_err(|error| failed(&error))?;
        // A write through the read pool is a defect and must fail.
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
                    let sql = format!("set idle_in_transaction_session_timeout = '{IDLE_TRANSACTION_TIMEOUT}'");
                    connection.execute(AssertSqlSafe(sql)).await.map(drop)
                })
            })
            .connect_with(options)
            .await
            .map_err(|error| Error::Setup(format!("the database {shown} cannot be opened: {error}")))?;
        Ok(Self::new(Engine::Postgres(pool), None))
    }

    fn new(engine: Engine, file: Option<DatabaseFile>) -> Self {
        Self { engine, shared: Arc::new(DbShared { file, fence: Fence::default(), faults: FaultInjector::default() }) }
    }

    /// Migrates the tables to this version. Errors: [`Error::Setup`].
    pub async fn migrate(&self) -> Result<(), Error> {
        let migrated = match self.engine() {
            Engine::Sqlite { write, .. } => MIGRATIONS.run(write).await,
            Engine::Postgres(pool) => MIGRATIONS.run(pool).await,
        };
        migrated.map_err(|error| Error::Setup(format!("the database could not be brought up to date: {error}")))
    }

    /// Compares the tables with those that this version needs.
    pub async fn schema_state(&self) -> Result<SchemaState, Error> {
        let exists = if self.is_postgres() {
            "select count(*) from pg_tables where tablename = '_sqlx_migrations' and schemaname = any(current_schemas(false))"
        } else {
            "select count(*) from sqlite_schema where type = 'table' and name = '_sqlx_migrations'"
        };
        let (tables,): (i64,) = reading!(self, |pool| sqlx::query_as(exists).fetch_one(pool).await)?;
        if tables == 0 {
            return Ok(SchemaState::Empty);
        }
        let sql = "select version from _sqlx_migrations where success order by version";
        let applied: Vec<(i64,)> = reading!(self, |pool| sqlx::query_as(sql).fetch_all(pool).await)?;
        let known = |version: i64| MIGRATIONS.iter().any(|migration| migration.version == version);
        Ok(if applied.iter().any(|(version,)| !known(*version)) {
            SchemaState::Newer
        } else if applied.len() < MIGRATIONS.iter().count() {
            SchemaState::Older
        } else {
            SchemaState::Current
        })
    }

    /// Checks that the path still leads to the SQLite file that was opened. Always succeeds on PostgreSQL. A write to a
    /// deleted or replaced file would be lost.
    pub(super) fn check_file(&self) -> Result<(), sqlx::Error> {
        self.shared.file.as_ref().map_or(Ok(()), DatabaseFile::check_unchanged)
    }

    /// Checkpoints SQLite's write-ahead log into the file if the log is larger than `MAX_WAL_BYTES`. A long read of
    /// another process lets the log grow. Returns the size of the log in bytes afterwards. Does nothing on PostgreSQL.
    pub async fn shrink_wal(&self) -> Result<u64, Error> {
        let Some(file) = &self.shared.file else { return Ok(0) };
        if file.wal_bytes() <= MAX_WAL_BYTES {
            return Ok(file.wal_bytes());
        }
        self.check_file()?;
        // Uses its own connection: the write connection would wait up to `BUSY_TIMEOUT` for readers and block writes.
        let options = SqliteConnectOptions::new().filename(&file.path).busy_timeout(CHECKPOINT_TIMEOUT);
        let mut connection = SqliteConnection::connect_with(&options).await?;
        let done = sqlx::query(AssertSqlSafe("pragma wal_checkpoint(truncate)")).execute(&mut connection).await;
        connection.close().await?;
        done?;
        Ok(file.wal_bytes())
    }
}

/// Identity of SQLite's file when it was opened. Later, the path may lead to another file: the volume was unmounted, or
/// the file was deleted, restored or replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DatabaseFile {
    path: PathBuf,
    identity: FileIdentity,
}

/// Device and inode numbers.
pub(super) type FileIdentity = (u64, u64);

impl DatabaseFile {
    fn identify(path: &Path) -> io::Result<Self> {
        let path = fs::canonicalize(path)?;
        let metadata = fs::metadata(&path)?;
        warn_if_shared(&path, &metadata);
        Ok(Self { identity: file_identity(&metadata), path })
    }

    fn check_unchanged(&self) -> Result<(), sqlx::Error> {
        let found = fs::metadata(&self.path).map(|metadata| file_identity(&metadata));
        if found.as_ref().is_ok_and(|found| *found == self.identity) {
            return Ok(());
        }
        let cause = match found {
            Ok(_) => "another file lies there now".to_owned(),
            Err(error) => error.to_string(),
        };
        let path = self.path.display();
        Err(sqlx::Error::Io(io::Error::other(format!(
            "the database file {path} is not the one that was opened: {cause}"
        ))))
    }

    fn wal_bytes(&self) -> u64 {
        let mut path = self.path.clone().into_os_string();
        path.push("-wal");
        fs::metadata(path).map_or(0, |metadata| metadata.len())
    }
}

#[cfg(unix)]
pub(super) fn file_identity(metadata: &fs::Metadata) -> FileIdentity {
    use std::os::unix::fs::MetadataExt;
    (metadata.dev(), metadata.ino())
}

/// This platform has no such numbers, so only a missing file is detected.
#[cfg(not(unix))]
pub(super) fn identity(_: &fs::Metadata) -> FileIdentity {
    (0, 0)
}

/// Creates a missing file that only its owner can read: it contains password hashes and webhook addresses. SQLite gives
/// its other files the same mode.
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
        tracing::warn!(%path, mode = format!("{mode:o}"), "database file is readable by other users: run chmod 600 on it");
    }
}

#[cfg(not(unix))]
fn warn_if_shared(_: &Path, _: &fs::Metadata) {}
