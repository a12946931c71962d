//! Shared helpers of the tests: recorded bodies, and small servers that each misbehave in one way.

use std::{future::Future, net::SocketAddr};

use serde::de::DeserializeOwned;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use url::Url;

use super::OctoPrint;
use crate::{
    domain::printer_access::PrinterAccess,
    outbound::{Networks, Outbound},
};

/// Reads a body that was recorded from a real OctoPrint.
pub(super) fn sample<T: DeserializeOwned>(name: &str) -> T {
    let path = format!("{}/tests/fixtures/octoprint/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}"))
}

pub(super) fn outbound() -> Outbound {
    Outbound::new(Networks::default()).expect("an outbound client")
}

pub(super) fn client(base: &str) -> OctoPrint {
    OctoPrint::new(base.parse().expect("url"), &PrinterAccess::with_api_key("KEY"), outbound()).expect("client")
}

/// A server on loopback. It records its requests, and ends with the test.
pub(super) struct StubServer {
    address: SocketAddr,
    requests: tokio::sync::Mutex<mpsc::UnboundedReceiver<String>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for StubServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl StubServer {
    /// Starts a server that reads one request per connection and passes the connection to `then`.
    pub(super) async fn start<F, Fut>(then: F) -> Self
    where
        F: Fn(TcpStream) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let address = listener.local_addr().expect("address");
        let (request_sender, requests) = mpsc::unbounded_channel();
        let task = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let _ = request_sender.send(read_request(&mut stream).await);
                tokio::spawn(then(stream));
            }
        });
        Self { address, requests: tokio::sync::Mutex::new(requests), task }
    }

    /// Starts a server that answers every request with these bytes and closes the connection.
    pub(super) async fn start_replying(response: impl Into<Vec<u8>>) -> Self {
        let response = response.into();
        Self::start(move |mut stream| {
            let response = response.clone();
            async move {
                let _ = stream.write_all(&response).await;
                let _ = stream.shutdown().await;
            }
        })
        .await
    }

    pub(super) fn url(&self) -> Url {
        format!("http://{}/", self.address).parse().expect("url")
    }

    pub(super) fn client(&self) -> OctoPrint {
        client(self.url().as_str())
    }

    /// Returns the next request: its head, and as much of its body as the head announced.
    pub(super) async fn next_request(&self) -> String {
        self.requests.lock().await.recv().await.expect("a request")
    }
}

/// Reads a request to the end of its body, by the announced length.
async fn read_request(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length =
                head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
            if body.len() >= length.unwrap_or(0) {
                return text;
            }
        }
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return text,
            Ok(count) => bytes.extend_from_slice(&buffer[..count]),
        }
    }
}
