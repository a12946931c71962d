//! A client that repeats unanswered requests with the same idempotency key.

use std::time::Duration;

use printyard::storage::fault_injection::{FailureDuration, InjectedFailure};
use reqwest::{Method, StatusCode};
use serde_json::Value;
use uuid::Uuid;

use crate::support::{
    server::{ADMIN_TOKEN, TestServer, send_request},
    wait,
};

/// Tries of a request before the client gives up for now.
const TRIES: usize = 3;
/// Deadline for a server that recovers without a restart, on a busy machine.
const RECOVERS_WITHIN: Duration = Duration::from_secs(30);

/// A request that changes something.
#[derive(Debug, Clone)]
pub enum ClientRequest {
    Api {
        method: Method,
        path: String,
        body: Value,
        key: String,
    },
    /// A list of printers, with the number of new ones in it.
    Import {
        list: String,
        printers: usize,
    },
}

impl ClientRequest {
    pub fn post(path: &str, body: Value) -> Self {
        Self::Api { method: Method::POST, path: path.to_owned(), body, key: Uuid::now_v7().to_string() }
    }

    pub fn without_key(method: Method, path: &str) -> Self {
        Self::Api { method, path: path.to_owned(), body: Value::Null, key: String::new() }
    }

    /// Sends the request once. Returns `None` if the server failed; it may have executed the request.
    pub async fn send(&self, server: &TestServer) -> Option<Value> {
        match self {
            Self::Api { method, path, body, key } => {
                let mut request = server.request(method.clone(), path);
                if !body.is_null() {
                    request = request.json(body);
                }
                if !key.is_empty() {
                    request = request.header("Idempotency-Key", key);
                }
                let (status, body, _) = send_request(request).await;
                assert!(!is_refusal(status, &body), "{self:?} was answered with {status}: {body}");
                (!status.is_server_error() && !has_failed_item(&body)).then_some(body)
            }
            Self::Import { list, printers } => {
                let principal = server
                    .services
                    .principal_by_token(ADMIN_TOKEN, None)
                    .await
                    .expect("no DB error")
                    .expect("the admin");
                server.services.import_printers(&principal, list, *printers).await.ok().map(|_| Value::Null)
            }
        }
    }
}

/// Whether the server refused a request that it must accept.
fn is_refusal(status: StatusCode, body: &Value) -> bool {
    // A repeated request may find that its effect exists already.
    let found =
        ["name_taken", "url_taken", "not_found", "batch_finished"].contains(&body["code"].as_str().unwrap_or(""));
    status.is_client_error() && !found
}

/// Whether one item of a bulk response failed.
fn has_failed_item(body: &Value) -> bool {
    let items = body["items"].as_array().map(Vec::as_slice).unwrap_or_default();
    items.iter().any(|item| item["status"].as_u64().is_some_and(|status| status >= 500))
}

/// The requests of the client and their results.
#[derive(Debug, Default)]
pub struct ClientLog {
    /// Requests without a response.
    pub unanswered: Vec<ClientRequest>,
    /// Batches that the server acknowledged.
    pub batches: Vec<String>,
}

/// A client with its log.
pub struct RetryingClient<'a> {
    pub server: &'a TestServer,
    pub failure: Option<InjectedFailure>,
    pub log: ClientLog,
}

impl RetryingClient<'_> {
    /// Sends a request, and repeats it while the server fails. Returns `None` and logs the request if there was no
    /// response.
    pub async fn send(&mut self, request: ClientRequest) -> Option<Value> {
        for _ in 0..TRIES {
            if let Some(body) = request.send(self.server).await {
                return Some(body);
            }
            if self.fails_permanently() {
                break;
            }
        }
        self.log.unanswered.push(request);
        None
    }

    /// Creates a batch. Returns its id.
    pub async fn create_batch(&mut self, body: Value) -> Option<String> {
        let batch = self.send(ClientRequest::post("/api/v1/batches", body)).await?;
        let id = batch["id"].as_str().expect("an id").to_owned();
        self.log.batches.push(id.clone());
        Some(id)
    }

    /// Reads a resource; null where the server fails.
    pub async fn get(&self, path: &str) -> Value {
        let (status, body, _) = self.server.get(path).await;
        if status.is_success() { body } else { Value::Null }
    }

    /// Whether the database fails until the script ends.
    pub fn fails_permanently(&self) -> bool {
        let lasts = self.failure.is_some_and(|failure| failure.duration == FailureDuration::UntilStopped);
        lasts && self.server.services.faults().injected() > 0
    }

    /// Waits until a condition holds, also after one failed use of the database. Returns at once while the database
    /// fails permanently.
    pub async fn until<T: std::fmt::Debug>(&self, what: &str, mut condition: impl AsyncFnMut() -> Result<(), T>) {
        wait::until(what, RECOVERS_WITHIN, async || match condition().await {
            Err(_) if self.fails_permanently() => Ok(()),
            result => result,
        })
        .await;
    }

    /// Waits until a batch has ended.
    pub async fn until_ended(&self, id: &Option<String>) {
        let Some(id) = id else { return };
        self.until("the batch ends", async || {
            let batch = self.get(&format!("/api/v1/batches/{id}")).await;
            if batch["finished_at"].is_string() { Ok(()) } else { Err(batch) }
        })
        .await;
    }
}
