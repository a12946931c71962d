//! Tests of the simulator over sockets. The client here is a few lines of code, so no client library hides what is on
//! the wire.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod api;
mod cost;
mod event_socket;
mod faults;

use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_tungstenite::tungstenite::Message;

use super::{Farm, FarmConfig, Fault, Flavor, MachineAction, SimulatedPrinter, sample_gcode};

const DEADLINE: Duration = Duration::from_secs(10);

/// A response: its status (0 if there was none), head and body.
#[derive(Debug)]
struct TestResponse {
    status: u16,
    head: String,
    body: String,
}

impl TestResponse {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

fn address(printer: &SimulatedPrinter) -> &str {
    printer.url().strip_prefix("http://").unwrap()
}

/// Sends one request on its own connection. An error is an error of the socket.
async fn send_request(printer: &SimulatedPrinter, head: &str, body: &str) -> std::io::Result<TestResponse> {
    let mut stream = TcpStream::connect(address(printer)).await?;
    let length = body.len();
    let (line, headers) = head.split_once('\n').unwrap_or((head, ""));
    let headers = headers.replace('\n', "\r\n");
    let end = if headers.is_empty() { "" } else { "\r\n" };
    let request = format!(
        "{line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}{end}\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await?;
    let text = String::from_utf8_lossy(&bytes);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or(("", &text));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    Ok(TestResponse { status, head: head.to_lowercase(), body: body.to_owned() })
}

async fn get(printer: &SimulatedPrinter, path: &str) -> TestResponse {
    send_request(printer, &format!("GET {path}\nX-Api-Key: {}", printer.api_key()), "").await.unwrap()
}

async fn try_post(printer: &SimulatedPrinter, path: &str, body: Value) -> std::io::Result<TestResponse> {
    let head = format!("POST {path}\nX-Api-Key: {}\nContent-Type: application/json", printer.api_key());
    send_request(printer, &head, &body.to_string()).await
}

async fn post(printer: &SimulatedPrinter, path: &str, body: Value) -> TestResponse {
    try_post(printer, path, body).await.unwrap()
}

async fn upload(printer: &SimulatedPrinter, name: &str, content: &str, fields: &[(&str, &str)]) -> TestResponse {
    let mut body = String::new();
    for (field, value) in fields {
        body.push_str(&format!("--x\r\nContent-Disposition: form-data; name=\"{field}\"\r\n\r\n{value}\r\n"));
    }
    body.push_str(&format!(
        "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\r\n{content}\r\n--x--\r\n"
    ));
    let key = printer.api_key();
    let head = format!("POST /api/files/local\nX-Api-Key: {key}\nContent-Type: multipart/form-data; boundary=x");
    send_request(printer, &head, &body).await.unwrap()
}

/// Waits for a condition instead of a fixed time.
async fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < DEADLINE, "timed out waiting for: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

async fn wait_for_state(printer: &SimulatedPrinter, state: &str) {
    wait_until(state, || printer.state_text() == state).await;
}

async fn start_farm(config: FarmConfig) -> (Farm, SimulatedPrinter) {
    let farm = Farm::start(config).await.unwrap();
    let printer = farm.printers()[0].clone();
    (farm, printer)
}

async fn start_ready_farm() -> (Farm, SimulatedPrinter) {
    let (farm, printer) = start_farm(FarmConfig::default()).await;
    printer.put_file("a.gcode", "G4 P50\n".repeat(200));
    printer.select("a.gcode");
    (farm, printer)
}

type Socket = tokio_tungstenite::WebSocketStream<tokio_tungstenite::MaybeTlsStream<TcpStream>>;

async fn open_socket(printer: &SimulatedPrinter, before_auth: Option<Value>) -> Socket {
    let url = format!("ws://{}/sockjs/websocket", address(printer));
    let (mut socket, _) = tokio_tungstenite::connect_async(url).await.unwrap();
    let connected = receive_frame(&mut socket).await;
    assert!(connected.get("connected").is_some(), "{connected}");
    let login = post(printer, "/api/login", json!({"passive": true})).await.json();
    if let Some(message) = before_auth {
        socket.send(Message::text(message.to_string())).await.unwrap();
    }
    let auth = format!("{}:{}", login["name"].as_str().unwrap(), login["session"].as_str().unwrap());
    socket.send(Message::text(json!({"auth": auth}).to_string())).await.unwrap();
    socket
}

async fn receive_frame(socket: &mut Socket) -> Value {
    loop {
        match tokio::time::timeout(DEADLINE, socket.next()).await.unwrap().unwrap().unwrap() {
            Message::Text(text) => return serde_json::from_str(&text).unwrap(),
            _ => continue,
        }
    }
}
