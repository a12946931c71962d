//! HTTP as bytes: requests that client libraries never send, and responses that they hide or correct.

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::server::{DEADLINE, TestServer};

/// Sends these bytes to a server and reads until it closes the connection.
pub async fn send_raw(server: &TestServer, bytes: &[u8]) -> String {
    String::from_utf8_lossy(&send_raw_bytes(server, bytes).await).into_owned()
}

/// Like [`raw`], but returns the exact bytes.
pub async fn send_raw_bytes(server: &TestServer, bytes: &[u8]) -> Vec<u8> {
    let address = server.url.split_once("://").expect("a url").1;
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    // The server may have closed the connection already.
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let read = timeout(DEADLINE, stream.read_to_end(&mut answer)).await.expect("the server closes in time");
    drop(read);
    answer
}

/// A request that a [`RawPrinter`] received.
#[derive(Debug, Clone)]
pub struct ReceivedRequest {
    /// Request line and headers, without the empty line.
    pub head: Vec<u8>,
    /// The body, with the length from the head.
    pub body: Vec<u8>,
}

impl ReceivedRequest {
    /// Returns the method and the target as they were sent.
    pub fn method_and_target(&self) -> (String, String) {
        let head = String::from_utf8_lossy(&self.head);
        let mut words = head.lines().next().unwrap_or_default().split(' ');
        let mut word = || words.next().unwrap_or_default().to_owned();
        (word(), word())
    }
}

/// A minimal OctoPrint on a raw listener: it records the exact bytes of every request, and sends the responses that
/// Printyard needs.
pub struct RawPrinter {
    /// The URL has a path, so that a request outside that path is found.
    pub url: String,
    received: Arc<Mutex<Vec<ReceivedRequest>>>,
    picture: Arc<Mutex<Vec<u8>>>,
    _end: DropGuard,
}

/// The path of the printer's OctoPrint on its host.
pub const BASE_PATH: &str = "/farm/one";

impl RawPrinter {
    /// Starts to listen.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}{BASE_PATH}", listener.local_addr().expect("an address"));
        let (received, picture) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(Vec::new())));
        let end = CancellationToken::new();
        let (all, camera, stop) = (received.clone(), picture.clone(), end.clone());
        tokio::spawn(stop.run_until_cancelled_owned(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve_connection(stream, all.clone(), camera.clone()));
            }
        }));
        Self { url, received, picture, _end: end.drop_guard() }
    }

    /// Returns every request so far.
    pub fn received(&self) -> Vec<ReceivedRequest> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sets the complete response of its camera from now on, as bytes.
    pub fn set_picture(&self, answer: impl Into<Vec<u8>>) {
        *self.picture.lock().unwrap_or_else(PoisonError::into_inner) = answer.into();
    }

    /// Registers it. Returns its id.
    pub async fn register(&self, server: &TestServer) -> String {
        let body = json!({"name": "raw", "url": self.url, "api_key": "K3Y"});
        let (status, printer, _) = server.post("/api/v1/printers", body).await;
        assert_eq!(status, 201, "{printer}");
        printer["id"].as_str().expect("an id").to_owned()
    }
}

async fn serve_connection(mut stream: TcpStream, all: Arc<Mutex<Vec<ReceivedRequest>>>, camera: Arc<Mutex<Vec<u8>>>) {
    let mut pending = Vec::new();
    while let Some(request) = read_request(&mut stream, &mut pending).await {
        let (method, target) = request.method_and_target();
        // Refuses to print a file, so that no command waits for its effect.
        let prints = request.body.windows(12).any(|bytes| bytes == b"\"print\":true");
        all.lock().unwrap_or_else(PoisonError::into_inner).push(request);
        let answer = if target.ends_with("/picture") {
            camera.lock().unwrap_or_else(PoisonError::into_inner).clone()
        } else {
            build_response(if prints { "PRINT" } else { &method }, &target)
        };
        if stream.write_all(&answer).await.is_err() {
            return;
        }
    }
}

/// Reads one request, with the body length from its head.
async fn read_request(stream: &mut TcpStream, pending: &mut Vec<u8>) -> Option<ReceivedRequest> {
    loop {
        if let Some(at) = pending.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&pending[..at]).to_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
            let end = at + 4 + length.unwrap_or(0);
            if pending.len() >= end {
                let request = ReceivedRequest { head: pending[..at].to_vec(), body: pending[at + 4..end].to_vec() };
                pending.drain(..end);
                return Some(request);
            }
        }
        let mut bytes = [0; 16 * 1024];
        let n = stream.read(&mut bytes).await.ok().filter(|n| *n > 0)?;
        pending.extend_from_slice(&bytes[..n]);
    }
}

fn build_response(method: &str, target: &str) -> Vec<u8> {
    let path = target.split('?').next().unwrap_or_default();
    let path = path.strip_prefix(BASE_PATH).unwrap_or(path);
    let file = json!({"name": "a.gcode", "path": "a.gcode", "origin": "local"});
    let (status, body) = match (method, path) {
        ("GET", "/api/version") => (200, json!({"api": "0.1", "server": "1.11.8", "text": "OctoPrint 1.11.8"})),
        ("GET", "/api/job") => (200, json!({"job": {"file": file}, "progress": {}, "state": "Operational"})),
        ("GET", "/api/printer") => {
            (200, json!({"temperature": {}, "state": {"text": "Operational", "flags": {"operational": true}}}))
        }
        ("GET", "/api/files") => (200, json!({"files": []})),
        ("GET", "/api/settings") => (200, json!({"webcam": {"snapshotUrl": "picture"}})),
        ("POST", "/api/files/local") => (201, json!({"files": {"local": file}, "done": true})),
        ("POST" | "DELETE", _) => (204, Value::Null),
        _ => (404, json!({"error": "not found"})),
    };
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let length = if status == 204 { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    format!("HTTP/1.1 {status} X\r\nContent-Type: application/json\r\n{length}\r\n{body}").into_bytes()
}
