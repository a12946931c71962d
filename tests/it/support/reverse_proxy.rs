//! A reverse proxy before a simulated printer: it can require headers and speak TLS.

use std::sync::{Arc, Mutex};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_rustls::TlsAcceptor;

/// Returns the header line of basic authentication for a user and a password.
pub fn basic_auth_header(user: &str, password: &str) -> String {
    format!("authorization: Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

/// A proxy with its log. Dropping it ends it.
pub struct ReverseProxy {
    pub port: u16,
    log: RequestLog,
    task: JoinHandle<()>,
}

/// Heads of requests, and whether each was passed on.
type RequestLog = Arc<Mutex<Vec<(bool, String)>>>;

impl Drop for ReverseProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl ReverseProxy {
    /// Starts a proxy before the server at `url`. It passes on requests that have all of these header lines (in lower
    /// case up to the colon). It answers others with `refusal`: a status line and headers.
    pub async fn start(url: &str, required_headers: &[&str], refusal: &str, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let upstream = url.trim_start_matches("http://").trim_end_matches('/').to_owned();
        let required_headers: Vec<String> = required_headers.iter().map(|line| (*line).to_owned()).collect();
        let (log, rules) = (
            RequestLog::default(),
            Arc::new((
                upstream,
                required_headers,
                format!("{refusal}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"),
            )),
        );
        let seen = log.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (rules, seen, tls) = (rules.clone(), seen.clone(), tls.clone());
                tokio::spawn(async move {
                    let (upstream, required_headers, refusal) = &*rules;
                    match tls {
                        None => forward_request(stream, upstream, required_headers, refusal, &seen).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                forward_request(stream, upstream, required_headers, refusal, &seen).await;
                            }
                        }
                    }
                });
            }
        });
        Self { port, log, task }
    }

    /// Returns the heads of the requests that were passed on, or of those that were refused.
    pub fn request_heads(&self, passed: bool) -> Vec<String> {
        let log = self.log.lock().expect("no panic");
        log.iter().filter(|(was_passed, _)| *was_passed == passed).map(|(_, head)| head.clone()).collect()
    }
}

/// Passes on one request per connection, so that the headers of each request are checked.
async fn forward_request(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    upstream: &str,
    required_headers: &[String],
    refusal: &str,
    log: &RequestLog,
) {
    let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
    let end = loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(count) => bytes.extend_from_slice(&buffer[..count]),
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let is_allowed = required_headers.iter().all(|line| head.lines().any(|found| normalize_header(found) == *line));
    log.lock().expect("no panic").push((is_allowed, head.clone()));
    if !is_allowed {
        let _ = stream.write_all(refusal.as_bytes()).await;
        let _ = stream.shutdown().await;
        return;
    }
    let Ok(mut to) = TcpStream::connect(upstream).await else { return };
    let is_upgrade = head.lines().any(|line| line.to_lowercase().starts_with("upgrade:"));
    let head = if is_upgrade { head } else { head.replacen("\r\n", "\r\nconnection: close\r\n", 1) };
    let _ = to.write_all(&[head.as_bytes(), &bytes[end..]].concat()).await;
    let _ = copy_bidirectional(&mut stream, &mut to).await;
}

/// Returns a header line with its name in lower case.
fn normalize_header(line: &str) -> String {
    match line.split_once(':') {
        Some((name, value)) => format!("{}: {}", name.to_lowercase(), value.trim()),
        None => line.to_owned(),
    }
}
