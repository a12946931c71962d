//! A webhook receiver: it records requests, and answers as the test wants.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderMap, StatusCode},
};
use serde_json::Value;
use tokio::{net::TcpListener, task::JoinHandle};

/// A received request.
#[derive(Debug, Clone)]
pub struct ReceivedRequest {
    pub headers: BTreeMap<String, String>,
    pub text: String,
    pub body: Value,
    /// The status of the response.
    pub status: u16,
}

impl ReceivedRequest {
    pub fn id(&self) -> &str {
        &self.headers["webhook-id"]
    }

    pub fn kind(&self) -> &str {
        self.body["type"].as_str().expect("a type")
    }
}

/// Returns the status for the n-th request, or `None` for no response.
type Responder = dyn Fn(usize, &Value) -> Option<u16> + Send + Sync;

/// A receiver. Dropping it ends it.
pub struct Receiver {
    pub url: String,
    shared: Arc<ReceiverState>,
    task: JoinHandle<()>,
}

struct ReceiverState {
    requests: Mutex<Vec<ReceivedRequest>>,
    responder: Mutex<Arc<Responder>>,
}

impl Receiver {
    /// Starts a receiver that accepts every request.
    pub async fn start() -> Self {
        let responder: Arc<Responder> = Arc::new(|_, _| Some(204));
        let shared = Arc::new(ReceiverState { requests: Mutex::default(), responder: Mutex::new(responder) });
        let router = Router::new().fallback(record_request).with_state(shared.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/hook", listener.local_addr().expect("an address"));
        let task = tokio::spawn(async move { axum::serve(listener, router).await.expect("it serves") });
        Self { url, shared, task }
    }

    /// Sets its responses from now on.
    pub fn set_responder(&self, responder: impl Fn(usize, &Value) -> Option<u16> + Send + Sync + 'static) {
        *self.shared.responder.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(responder);
    }

    /// Returns every request that it has received.
    pub fn requests(&self) -> Vec<ReceivedRequest> {
        self.shared.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn record_request(State(shared): State<Arc<ReceiverState>>, headers: HeaderMap, request: Request) -> StatusCode {
    let bytes = axum::body::to_bytes(request.into_body(), 1 << 20).await.expect("a whole body");
    let text = String::from_utf8(bytes.to_vec()).expect("text");
    let body: Value = serde_json::from_str(&text).expect("JSON");
    let responder = shared.responder.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let headers =
        headers.iter().map(|(name, value)| (name.to_string(), value.to_str().expect("text").to_owned())).collect();
    let answer = {
        let mut got = shared.requests.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = responder(got.len(), &body);
        got.push(ReceivedRequest { headers, text, body, status: answer.unwrap_or_default() });
        answer
    };
    match answer {
        Some(status) => StatusCode::from_u16(status).expect("a status"),
        None => std::future::pending().await,
    }
}
