//! The server and untrusted clients: resource limits, trusted proxies, and security headers of responses.

use std::time::Duration;

use printyard::{Server, config::RawConfig, http::limits::ServerLimits};
use reqwest::{Method, StatusCode};
use serde_json::json;
use tokio::net::TcpStream;

use crate::support::{
    raw_http::send_raw,
    server::{DEADLINE, ServerOptions, TestServer, send_request},
    wait,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_without_a_complete_header_is_closed() {
    let server_limits = ServerLimits { header_timeout: Duration::from_millis(100), ..ServerLimits::default() };
    let server = TestServer::start_with(ServerOptions { server_limits, ..ServerOptions::default() }).await;
    assert_eq!(send_raw(&server, b"").await, "");
    let cut = send_raw(&server, b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: ").await;
    assert!(cut.is_empty() || cut.starts_with("HTTP/1.1 408"), "{cut}");
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_limited_per_address_but_not_for_a_trusted_proxy() {
    let server_limits = ServerLimits { connections_per_address: 2, ..ServerLimits::default() };
    let request = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    for (trusted, answered) in [(None, false), (Some("127.0.0.1/32".to_owned()), true)] {
        let options = ServerOptions { server_limits, trusted_proxies: trusted, ..ServerOptions::default() };
        let server = TestServer::start_with(options).await;
        let address = server.url.split_once("://").expect("a url").1;
        let held = [TcpStream::connect(address).await.expect("one"), TcpStream::connect(address).await.expect("two")];
        assert_eq!(send_raw(&server, request).await.starts_with("HTTP/1.1 200"), answered);
        drop(held);
        wait::until("the server accepts a connection again", DEADLINE, async || {
            let got = send_raw(&server, request).await;
            if got.starts_with("HTTP/1.1 200") { Ok(()) } else { Err(got) }
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_header_too_large_or_with_too_many_fields_is_431() {
    let server = TestServer::start().await;
    let many: String = (0..200).map(|n| format!("X-{n}: 1\r\n")).collect();
    let large = format!("X-Large: {}\r\n", "a".repeat(64 * 1024));
    for fields in [many, large] {
        let got = send_raw(&server, format!("GET /healthz HTTP/1.1\r\nHost: x\r\n{fields}\r\n").as_bytes()).await;
        assert!(got.starts_with("HTTP/1.1 431"), "{got}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_not_answered_in_time_gets_503() {
    let server_limits = ServerLimits { response_timeout: Duration::from_millis(200), ..ServerLimits::default() };
    let server = TestServer::start_with(ServerOptions { server_limits, ..ServerOptions::default() }).await;
    let token = crate::support::server::ADMIN_TOKEN;
    // The announced body never arrives.
    let head = format!(
        "POST /api/v1/batches HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n\
         Content-Length: 100\r\nConnection: close\r\n\r\n{{"
    );
    let got = send_raw(&server, head.as_bytes()).await;
    assert!(got.starts_with("HTTP/1.1 503") && got.contains("answer_timeout"), "{got}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_response_has_security_headers() {
    let server = TestServer::start().await;
    for path in
        ["/healthz", "/api/v1/printers", "/api/openapi.json", "/api/docs", "/login", "/static/app.css", "/nowhere"]
    {
        let response = server.request_without_auth(Method::GET, path).send().await.expect("an answer");
        for (name, part) in [
            ("x-content-type-options", "nosniff"),
            ("content-security-policy", "frame-ancestors 'none'"),
            ("referrer-policy", ""),
            ("permissions-policy", "camera=()"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
        ] {
            let value = response.headers().get(name).and_then(|value| value.to_str().ok());
            assert!(value.is_some_and(|value| value.contains(part)), "{path}: {name}: {value:?}");
        }
        let policy = response.headers()["content-security-policy"].to_str().expect("text");
        assert!(!policy.contains("unsafe-eval"), "{path}: {policy}");
        assert!(path == "/api/docs" || !policy.contains("unsafe-inline"), "{path}: {policy}");
        assert!(!response.headers().contains_key("strict-transport-security"), "{path}: over plain HTTP");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn forwarded_headers_count_only_from_trusted_proxies() {
    for (trusted, address, secure) in [(None, "127.0.0.1", false), (Some("127.0.0.0/8"), "203.0.113.9", true)] {
        let trusted_proxies = trusted.map(str::to_owned);
        let server = TestServer::start_with(ServerOptions { trusted_proxies, ..ServerOptions::default() }).await;
        let claim = |request: reqwest::RequestBuilder| {
            request.header("X-Forwarded-For", "1.2.3.4, 203.0.113.9").header("X-Forwarded-Proto", "https")
        };
        let token = json!({"name": "erp", "role": "viewer"});
        let (status, _, headers) =
            send_request(claim(server.request(Method::POST, "/api/v1/tokens")).json(&token)).await;
        assert_eq!(status, StatusCode::CREATED);
        assert_eq!(headers.contains_key("strict-transport-security"), secure, "{trusted:?}");
        let (_, audit, _) = server.get("/api/v1/audit").await;
        assert_eq!(audit["items"][0]["address"], json!(address), "{trusted:?}");
        let form = format!("token={}", crate::support::server::ADMIN_TOKEN);
        let login = claim(server.request_without_auth(Method::POST, "/login"))
            .header("Sec-Fetch-Site", "same-origin")
            .body(form);
        let cookie = login.send().await.expect("an answer").headers()["set-cookie"].to_str().expect("text").to_owned();
        assert_eq!(cookie.contains("; Secure"), secure, "{cookie}");
    }
}

/// Creates a self-signed certificate for localhost. Returns the paths of the certificate and its key.
fn write_certificate(folder: &std::path::Path) -> (std::path::PathBuf, std::path::PathBuf) {
    let generated = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let (certificate, key) = (folder.join("cert.pem"), folder.join("key.pem"));
    std::fs::write(&certificate, generated.cert.pem()).expect("written");
    std::fs::write(&key, generated.signing_key.serialize_pem()).expect("written");
    (certificate, key)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_with_certificate_speaks_tls_and_refuses_plain_http() {
    let folder = tempfile::tempdir().expect("a folder");
    let tls = write_certificate(folder.path());
    let root = reqwest::Certificate::from_pem(&std::fs::read(&tls.0).expect("read")).expect("a certificate");
    let server = TestServer::start_with(ServerOptions { tls: Some(tls), ..ServerOptions::default() }).await;
    let port = server.url.rsplit(':').next().expect("a port");
    #[expect(clippy::disallowed_methods, reason = "a client that trusts the certificate of this test")]
    let client = reqwest::Client::builder().no_proxy().tls_certs_only([root]).build().expect("a client");
    let secure = client.get(format!("https://localhost:{port}/healthz")).timeout(DEADLINE).send().await;
    let secure = secure.expect("an answer over TLS");
    assert_eq!(secure.status(), StatusCode::OK);
    assert!(secure.headers().contains_key("strict-transport-security"));
    let plain = send_raw(&server, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(plain.starts_with("HTTP/1.1 400") && plain.contains("https://"), "{plain}");
}

#[tokio::test]
async fn an_unusable_certificate_stops_the_start_with_an_error() {
    let folder = tempfile::tempdir().expect("a folder");
    let (good, key) = write_certificate(folder.path());
    let other = tempfile::tempdir().expect("a folder");
    let (_, other_key) = write_certificate(other.path());
    let missing = folder.path().join("missing.pem");
    for (certificate, key, named) in
        [(&missing, &key, "missing.pem"), (&good, &missing, "missing.pem"), (&good, &other_key, "do not fit together")]
    {
        let raw_config = RawConfig {
            database_url: Some(format!("sqlite:{}", folder.path().join("test.db").display())),
            data_dir: Some(folder.path().to_owned()),
            tls_cert: Some(certificate.clone()),
            tls_key: Some(key.clone()),
            ..RawConfig::default()
        };
        let Err(error) = Server::start(&raw_config.validate().expect("valid settings")).await else {
            panic!("it starts")
        };
        assert!(format!("{error:#}").contains(named), "{error:#}");
    }
}
