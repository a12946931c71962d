//! A PostgreSQL server for one test, which the test kills, pauses and breaks.

use std::{
    fs::File,
    os::unix::{fs::chown, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    str::FromStr,
    time::Duration,
};

use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, PgConnection, postgres::PgConnectOptions};
use tempfile::TempDir;

use super::{port, process::send_signal, wait};

/// Deadline for a start or a stop on a busy machine.
const STARTED_WITHIN: Duration = Duration::from_secs(60);

/// A server with an empty database `postgres`. Dropping it ends the server.
pub struct PostgresServer {
    programs: PathBuf,
    account: Option<Account>,
    port: u16,
    server: Child,
    paused: Vec<u32>,
    // The last field, so the folder is removed after the server has ended.
    folder: TempDir,
}

/// User id and group id for the server if the test runs as root, because PostgreSQL refuses to run as root.
type Account = (u32, u32);

impl PostgresServer {
    /// Creates and starts a server; `None` where its programs are missing.
    pub async fn start() -> Option<Self> {
        let programs = super::env_or_skip("PRINTYARD_TEST_POSTGRES_BIN", "the folder of PostgreSQL's programs")?;
        let (programs, account) = (PathBuf::from(programs), find_account());
        let folder = tempfile::Builder::new().prefix("printyard-postgres-").tempdir().expect("a temporary folder");
        if let Some((user, group)) = account {
            chown(folder.path(), Some(user), Some(group)).expect("root can change the owner");
        }
        let mut create = build_command(&programs.join("initdb"), account, folder.path());
        create.args(["-D", "data", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]);
        let created =
            tokio::task::spawn_blocking(move || create.output()).await.expect("no panic").expect("initdb runs");
        assert!(created.status.success(), "{}", String::from_utf8_lossy(&created.stderr));
        let port = port::pick_free_port();
        let server = spawn(&programs, account, folder.path(), port);
        let mut postgres = Self { programs, account, port, server, paused: Vec::new(), folder };
        postgres.until_started().await;
        Some(postgres)
    }

    /// Returns the URL of its database.
    pub fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    /// Crashes the server: every session is cut at once, and uncommitted changes are lost.
    pub async fn crash(&mut self) {
        send_signal("QUIT", &[self.server.id()]);
        let server = &mut self.server;
        wait::until("PostgreSQL has ended", STARTED_WITHIN, async || server.try_wait().expect("a child")).await;
    }

    /// Starts it again after [`Self::crash`].
    pub async fn restart(&mut self) {
        self.server = spawn(&self.programs, self.account, self.folder.path(), self.port);
        self.until_started().await;
    }

    /// Stops all of its processes with SIGSTOP: connections stay open, and nothing answers.
    pub async fn pause(&mut self) {
        let mut session = self.connect().await.expect("a session");
        let postmaster = self.server.id();
        assert!(send_signal("STOP", &[postmaster]), "the server runs");
        self.paused.push(postmaster);
        let processes: Vec<(i32,)> =
            sqlx::query_as("select pid from pg_stat_activity").fetch_all(&mut session).await.expect("its processes");
        let processes: Vec<u32> = processes.into_iter().map(|(id,)| u32::try_from(id).expect("a process")).collect();
        send_signal("STOP", &processes);
        self.paused.extend(processes);
    }

    /// Lets its processes continue.
    pub fn resume(&mut self) {
        send_signal("CONT", &std::mem::take(&mut self.paused));
    }

    /// Runs one statement, even when new sessions are read-only.
    pub async fn execute(&self, sql: &str) {
        let mut session = self.connect().await.expect("a session");
        session.execute(AssertSqlSafe(sql.to_owned())).await.expect("the statement runs");
        session.close().await.expect("a clean end");
    }

    /// Returns the number that a statement selects.
    pub async fn query_number(&self, sql: &str) -> i64 {
        let mut session = self.connect().await.expect("a session");
        let (number,) =
            sqlx::query_as(AssertSqlSafe(sql.to_owned())).fetch_one(&mut session).await.expect("the statement runs");
        session.close().await.expect("a clean end");
        number
    }

    async fn connect(&self) -> Result<PgConnection, sqlx::Error> {
        let options = PgConnectOptions::from_str(&self.url())?.options([("default_transaction_read_only", "off")]);
        options.connect().await
    }

    async fn until_started(&mut self) {
        let log = self.folder.path().join("log");
        wait::until("PostgreSQL answers", STARTED_WITHIN, async || {
            if let Some(status) = self.server.try_wait().expect("a child") {
                panic!("PostgreSQL ended with {status}: {}", std::fs::read_to_string(&log).unwrap_or_default());
            }
            self.connect().await
        })
        .await;
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        self.resume();
        send_signal("QUIT", &[self.server.id()]);
        let _ = self.server.wait();
    }
}

fn spawn(programs: &Path, account: Option<Account>, folder: &Path, port: u16) -> Child {
    let log = File::options().create(true).append(true).open(folder.join("log")).expect("a log");
    let mut command = build_command(&programs.join("postgres"), account, folder);
    command.args(["-D", "data", "-p", &port.to_string()]);
    // Not `synchronous_commit=off`, because committed data must survive a crash of the server.
    for setting in ["listen_addresses=127.0.0.1", "unix_socket_directories=", "max_connections=50", "fsync=off"] {
        command.args(["-c", setting]);
    }
    let copy = log.try_clone().expect("a second handle");
    command.stdout(log).stderr(copy).spawn().expect("PostgreSQL starts")
}

fn build_command(path: &Path, account: Option<Account>, folder: &Path) -> Command {
    let mut command = Command::new(path);
    command.current_dir(folder).stdin(Stdio::null());
    if let Some((user, group)) = account {
        command.uid(user).gid(group);
    }
    command
}

/// Returns the account for the server, or `None` if this process does not run as root.
fn find_account() -> Option<Account> {
    let id = |arguments: &[&str]| -> Option<u32> {
        let output = Command::new("id").args(arguments).output().ok().filter(|output| output.status.success())?;
        String::from_utf8(output.stdout).ok()?.trim().parse().ok()
    };
    if id(&["-u"]) != Some(0) {
        return None;
    }
    ["postgres", "nobody"].iter().find_map(|name| Some((id(&["-u", name])?, id(&["-g", name])?)))
}
