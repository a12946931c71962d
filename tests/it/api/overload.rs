//! Overload: a token that holds many requests open does not affect other tokens, and the server refuses it at once.

use std::time::Duration;

use futures_util::{StreamExt, future::join_all, stream};
use printyard::http::limits::{Capacity, ServerLimits};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt, net::TcpStream};

use super::problems::assert_problem;
use crate::support::{
    server::{DEADLINE, JsonResponse, ServerOptions, TestServer, send_request, start_farm},
    wait,
};

/// Sends the beginning of a request and nothing more.
async fn send_partial_request(server: &TestServer, request: &str) -> TcpStream {
    let mut stream = TcpStream::connect(server.url.trim_start_matches("http://")).await.expect("a connection");
    stream.write_all(request.as_bytes()).await.expect("sent");
    stream
}

async fn get_with_accept(server: &TestServer, token: &str, path: &str, accept: &str) -> JsonResponse {
    send_request(server.request_without_auth(Method::GET, path).bearer_auth(token).header("Accept", accept)).await
}

/// Opens requests until the server refuses this token with `overloaded`. An opened request is refused if it arrives
/// while the probe uses the last place, so the loop repeats.
async fn until_overloaded(server: &TestServer, token: &str, accept: &str, request: &str) -> Vec<TcpStream> {
    let mut held = Vec::new();
    let refused = wait::until("the server refuses a request", DEADLINE, async || {
        let got = get_with_accept(server, token, "/api/v1/me", accept).await;
        if got.0 != StatusCode::OK {
            return Ok(got);
        }
        held.push(send_partial_request(server, request).await);
        Err(got.1)
    })
    .await;
    assert_problem(&refused, 503, "overloaded");
    assert_eq!(refused.2["retry-after"], "1");
    held
}

async fn until_admitted(server: &TestServer, token: &str, accept: &str) {
    wait::until("the server accepts a request again", DEADLINE, async || {
        let got = get_with_accept(server, token, "/api/v1/me", accept).await;
        if got.0 == StatusCode::OK { Ok(()) } else { Err(got.1) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unfinished_bodies_use_up_only_the_limit_of_their_token() {
    // The limit is small because the server waits only a limited time for a body that never ends.
    let capacity = Capacity { total: 64, per_key: 4 };
    let server_limits = ServerLimits { requests: capacity, ..ServerLimits::default() };
    let server = TestServer::start_with(ServerOptions { server_limits, ..ServerOptions::default() }).await;
    let (greedy, other) = (server.create_token("operator").await, server.create_token("viewer").await);
    let partial_request = format!(
        "POST /api/v1/batches HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {greedy}\r\nContent-Type: application/json\r\n\
         Content-Length: 100\r\n\r\n{{"
    );
    let held = until_overloaded(&server, &greedy, "*/*", &partial_request).await;
    // The server refuses the request before it reads the body.
    let early =
        server.request_without_auth(Method::POST, "/api/v1/batches").bearer_auth(&greedy).body("no JSON at all");
    assert_problem(&send_request(early).await, 503, "overloaded");
    for _ in 0..3 {
        assert_eq!(get_with_accept(&server, &other, "/api/v1/printers", "*/*").await.0, StatusCode::OK);
    }
    for path in ["/healthz", "/readyz", "/metrics"] {
        assert_eq!(get_with_accept(&server, &greedy, path, "*/*").await.0, StatusCode::OK, "{path}");
    }
    // Long requests have their own limit.
    assert_eq!(get_with_accept(&server, &greedy, "/api/v1/me", "text/csv").await.0, StatusCode::OK);
    drop(held);
    until_admitted(&server, &greedy, "*/*").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unread_responses_are_cut_off_after_a_timeout() {
    let capacity = Capacity { total: 8, per_key: 2 };
    let server_limits =
        ServerLimits { long_requests: capacity, write_timeout: Duration::from_secs(5), ..ServerLimits::default() };
    let server = TestServer::start_with(ServerOptions { server_limits, ..ServerOptions::default() }).await;
    for part in 0..6 {
        let item = |n: usize| {
            let url = format!("http://127.0.0.1:1/{part}/{n}");
            json!({"name": format!("P{part}-{n}"), "url": url, "enabled": false, "notes": "x".repeat(4_000)})
        };
        let items: Vec<Value> = (0..500).map(item).collect();
        assert_eq!(server.post("/api/v1/printers/bulk", json!({"items": items})).await.0, StatusCode::MULTI_STATUS);
    }
    let (greedy, other) = (server.create_token("viewer").await, server.create_token("viewer").await);
    let complete_request = format!(
        "GET /api/v1/printers HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {greedy}\r\nAccept: application/x-ndjson\r\n\r\n"
    );
    let held = until_overloaded(&server, &greedy, "text/csv", &complete_request).await;
    assert_eq!(
        get_with_accept(&server, &greedy, "/api/v1/me", "*/*").await.0,
        StatusCode::OK,
        "short requests are still accepted"
    );
    assert_eq!(get_with_accept(&server, &other, "/api/v1/me", "text/csv").await.0, StatusCode::OK, "another token");
    // No client reads or closes these connections. The server ends them.
    until_admitted(&server, &greedy, "text/csv").await;
    drop(held);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_stop_printers_have_reserved_capacity() {
    let capacity = Capacity { total: 4, per_key: 4 };
    let server_limits = ServerLimits { requests: capacity, long_requests: capacity, ..ServerLimits::default() };
    let server = TestServer::start_with(ServerOptions { server_limits, ..ServerOptions::default() }).await;
    let farm = start_farm(1).await;
    let printer = server.register_printer(&farm.printers()[0]).await;
    let (greedy, other) = (server.create_token("operator").await, server.create_token("operator").await);
    let partial_request = format!(
        "POST /api/v1/plates/clear HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {greedy}\r\n\
         Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{{"
    );
    let held = until_overloaded(&server, &greedy, "*/*", &partial_request).await;
    assert_problem(&get_with_accept(&server, &other, "/api/v1/me", "*/*").await, 503, "overloaded");
    let body = json!({"command": "cancel", "select": {"printer_ids": [printer]}});
    for prefer in ["wait=0", "respond-async"] {
        let cancel =
            server.request_without_auth(Method::POST, "/api/v1/batches").bearer_auth(&other).header("Prefer", prefer);
        let (status, batch, _) = send_request(cancel.json(&body)).await;
        assert!(status.is_success(), "{status} {batch}");
        let stop = format!("/api/v1/batches/{}/stop", batch["id"].as_str().expect("an id"));
        assert_eq!(
            send_request(server.request_without_auth(Method::POST, &stop).bearer_auth(&other)).await.0,
            StatusCode::OK
        );
    }
    drop(held);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_token_can_stop_printers_while_others_hold_reserved_places() {
    let capacity = Capacity { total: 4, per_key: 4 };
    let server_limits = ServerLimits { requests: capacity, ..ServerLimits::default() };
    let server = TestServer::start_with(ServerOptions { server_limits, ..ServerOptions::default() }).await;
    let farm = start_farm(1).await;
    let printer = server.register_printer(&farm.printers()[0]).await;
    let newcomer = server.create_token("operator").await;
    let tokens: Vec<String> = stream::iter(0..66).then(|_| server.create_token("operator")).collect().await;
    let partial_request = |token: &str| {
        format!(
            "POST /api/v1/batches HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{{"
        )
    };
    let (mut held, stop) = (Vec::new(), format!("/api/v1/batches/{}/stop", uuid::Uuid::nil()));
    // More than 256 requests: 4 shared places, then four reserved places for each token.
    for greedy in tokens {
        let partial = partial_request(&greedy);
        held.extend(join_all((0..4).map(|_| send_partial_request(&server, &partial))).await);
        wait::until("this token has reached its limit", DEADLINE, async || {
            let got = send_request(server.request_without_auth(Method::POST, &stop).bearer_auth(&greedy)).await;
            if got.0 == StatusCode::SERVICE_UNAVAILABLE {
                return Ok(());
            }
            // This probe may have taken the place of a request that was refused.
            held.push(send_partial_request(&server, &partial).await);
            Err(got.1)
        })
        .await;
    }
    assert_problem(&get_with_accept(&server, &newcomer, "/api/v1/me", "*/*").await, 503, "overloaded");
    let body = json!({"command": "cancel", "select": {"printer_ids": [printer]}});
    let cancel = server.request_without_auth(Method::POST, "/api/v1/batches").bearer_auth(&newcomer);
    let (status, batch, _) = send_request(cancel.json(&body)).await;
    assert!(status.is_success(), "{status} {batch}");
    drop(held);
}
