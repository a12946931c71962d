//! The server as a separate process that a test can kill.

use std::{
    path::Path,
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::Value;

use super::{http_client, port, wait};

/// The program under test.
pub const PRINTYARD: &str = env!("CARGO_BIN_EXE_printyard");
/// The admin token of servers that start here.
pub const ADMIN_TOKEN: &str = "test-admin-token-0123456789";

/// `printyard serve` with its data in a folder of the test. Dropping it kills the process.
pub struct ServerProcess {
    child: Child,
    url: String,
    client: reqwest::Client,
}

impl ServerProcess {
    /// Starts the server on the data in `dir`, and waits until it is ready.
    pub async fn start(dir: &Path) -> Self {
        Self::start_with(dir, &[("RUST_LOG", "printyard=error")], Stdio::inherit()).await
    }

    /// Like [`Self::start`], with further environment variables and another target for the log.
    pub async fn start_with(dir: &Path, variables: &[(&str, &str)], log: Stdio) -> Self {
        let server = Self::spawn(dir, &sqlite_url(dir), &[], variables, log);
        server.until_ready().await;
        server
    }

    /// Starts the server on a database, with its key in `dir`, and waits until it is ready.
    pub async fn start_on(dir: &Path, database_url: &str, flags: &[&str]) -> Self {
        let server = Self::spawn(dir, database_url, flags, &[("RUST_LOG", "printyard=error")], Stdio::inherit());
        server.until_ready().await;
        server
    }

    /// Starts the server without waiting.
    pub fn spawn(dir: &Path, database_url: &str, flags: &[&str], variables: &[(&str, &str)], log: Stdio) -> Self {
        Self::spawn_through(Command::new(PRINTYARD), dir, database_url, flags, variables, log)
    }

    /// Like [`Self::spawn`], through a program that prepares something and then runs [`PRINTYARD`] with its arguments
    /// in its place.
    pub fn spawn_through(
        program: Command,
        dir: &Path,
        database_url: &str,
        flags: &[&str],
        variables: &[(&str, &str)],
        log: Stdio,
    ) -> Self {
        let listen = format!("127.0.0.1:{}", port::pick_free_port());
        let child = serve_command(program, dir, database_url, &listen, flags)
            .envs(variables.iter().copied())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("the server starts");
        Self { child, url: format!("http://{listen}"), client: http_client() }
    }

    /// Runs a server that is expected to end by itself. Returns its exit code and its output.
    pub async fn run_to_end(dir: &Path, database_url: &str, flags: &[&str]) -> Output {
        let listen = format!("127.0.0.1:{}", port::pick_free_port());
        run_command(serve_command(Command::new(PRINTYARD), dir, database_url, &listen, flags)).await
    }

    /// Runs `printyard audit verify` beside a server. Returns its exit code and its output.
    pub async fn verify_audit(dir: &Path, database_url: &str) -> Output {
        let mut command = with_settings(Command::new(PRINTYARD), dir, database_url);
        command.args(["audit", "verify"]);
        run_command(command).await
    }

    /// Waits until the server is ready.
    pub async fn until_ready(&self) {
        wait::until("the server is ready", Duration::from_secs(60), async || match self.get_status("/readyz").await {
            Some(StatusCode::OK) => Ok(()),
            other => Err(format!("{other:?}")),
        })
        .await;
    }

    /// Returns the status of a path, or `None` if there is no response.
    pub async fn get_status(&self, path: &str) -> Option<StatusCode> {
        let answer = self.client.get(format!("{}{path}", self.url)).send().await.ok()?;
        Some(answer.status())
    }

    /// Whether `printyard healthcheck` succeeds.
    pub async fn healthcheck_succeeds(&self) -> bool {
        let mut check = Command::new(env!("CARGO_BIN_EXE_printyard"));
        check.arg("healthcheck").env("PRINTYARD_LISTEN", self.url.trim_start_matches("http://")).stderr(Stdio::null());
        tokio::task::spawn_blocking(move || check.status().is_ok_and(|status| status.success()))
            .await
            .expect("no panic")
    }

    /// Returns the process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends the process a signal by name, for example `STOP`.
    pub fn send_signal(&self, name: &str) {
        assert!(send_signal(name, &[self.pid()]), "SIG{name} was not sent");
    }

    /// Waits until the process has ended. Returns its exit code.
    pub async fn until_ended(&mut self, deadline: Duration) -> Option<i32> {
        let child = &mut self.child;
        wait::until("the server has ended", deadline, async || child.try_wait().expect("a child")).await.code()
    }

    /// Returns the server's URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Builds a request without credentials.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url))
    }

    /// Sends a GET below `/api/v1`.
    pub async fn get(&self, path: &str) -> Value {
        let request = self.client.get(format!("{}/api/v1{path}", self.url)).bearer_auth(ADMIN_TOKEN);
        request.send().await.expect("an answer").json().await.expect("JSON")
    }

    /// Sends a POST below `/api/v1`; `None` if the server died meanwhile.
    pub async fn post(&self, path: &str, body: &Value) -> Option<(StatusCode, Value)> {
        let request = self.client.post(format!("{}/api/v1{path}", self.url)).bearer_auth(ADMIN_TOKEN).json(body);
        let answer = request.send().await.ok()?;
        let status = answer.status();
        Some((status, answer.json().await.ok()?))
    }

    /// Kills the server, as a power cut would.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends processes a signal by name. Returns false if at least one did not get it.
pub fn send_signal(name: &str, processes: &[u32]) -> bool {
    let ids: Vec<String> = processes.iter().map(u32::to_string).collect();
    // Uses the shell's own `kill`, because a small machine may lack that program.
    let sent =
        Command::new("sh").args(["-c", &format!("kill -{name} {}", ids.join(" "))]).stderr(Stdio::null()).status();
    sent.is_ok_and(|status| status.success())
}

fn serve_command(program: Command, dir: &Path, database_url: &str, listen: &str, flags: &[&str]) -> Command {
    let mut command = with_settings(program, dir, database_url);
    command.arg("serve").args(flags).env("PRINTYARD_LISTEN", listen).env("PRINTYARD_ADMIN_TOKEN", ADMIN_TOKEN);
    // The webhook receivers of the tests are on this machine.
    command.env("PRINTYARD_WEBHOOK_NETWORKS", "127.0.0.0/8");
    command
}

fn with_settings(mut command: Command, dir: &Path, database_url: &str) -> Command {
    command.current_dir(dir).env("PRINTYARD_DATABASE_URL", database_url).env("PRINTYARD_DATA_DIR", dir);
    command
}

async fn run_command(mut command: Command) -> Output {
    tokio::task::spawn_blocking(move || command.output().expect("the program runs")).await.expect("no panic")
}

/// Returns the database URL of [`ServerProcess::start`].
pub fn sqlite_url(dir: &Path) -> String {
    format!("sqlite:{}", dir.join("printyard.db").display())
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        self.kill();
    }
}
