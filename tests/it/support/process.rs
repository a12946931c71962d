//! The server as a process of its own, to be killed.

use std::{
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::Value;

use super::{client, port, wait};

/// The admin token of servers started here.
pub const TOKEN: &str = "test-admin-token-0123456789";

/// `printyard serve` with its data in a folder of the test's. Killed with this value.
pub struct ServerProcess {
    child: Child,
    url: String,
    client: reqwest::Client,
}

impl ServerProcess {
    /// Starts the server on the data in `dir`, and waits until it is ready.
    pub async fn start(dir: &Path) -> Self {
        Self::with(dir, &[("RUST_LOG", "printyard=error")], Stdio::inherit()).await
    }

    /// As [`Self::start`], with further variables, and with its log going where the test wants it.
    pub async fn with(dir: &Path, variables: &[(&str, &str)], log: Stdio) -> Self {
        let listen = format!("127.0.0.1:{}", port::free());
        let child = Command::new(env!("CARGO_BIN_EXE_printyard"))
            .arg("serve")
            .current_dir(dir)
            .env("PRINTYARD_LISTEN", &listen)
            .env("PRINTYARD_DATABASE_URL", format!("sqlite:{}", dir.join("printyard.db").display()))
            .env("PRINTYARD_DATA_DIR", dir)
            .env("PRINTYARD_ADMIN_TOKEN", TOKEN)
            .envs(variables.iter().copied())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("the server starts");
        let server = Self { child, url: format!("http://{listen}"), client: client() };
        wait::until("the server is ready", Duration::from_secs(60), async || {
            match server.client.get(format!("{}/readyz", server.url)).send().await {
                Ok(answer) if answer.status() == StatusCode::OK => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
        server
    }

    /// Where it listens.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A request, without credentials.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url))
    }

    /// A GET below `/api/v1`.
    pub async fn get(&self, path: &str) -> Value {
        let request = self.client.get(format!("{}/api/v1{path}", self.url)).bearer_auth(TOKEN);
        request.send().await.expect("an answer").json().await.expect("JSON")
    }

    /// A POST below `/api/v1`; `None` when the server died meanwhile.
    pub async fn post(&self, path: &str, body: &Value) -> Option<(StatusCode, Value)> {
        let request = self.client.post(format!("{}/api/v1{path}", self.url)).bearer_auth(TOKEN).json(body);
        let answer = request.send().await.ok()?;
        let status = answer.status();
        Some((status, answer.json().await.ok()?))
    }

    /// Ends the server as a power cut does.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        self.kill();
    }
}
