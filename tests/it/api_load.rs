//! Overload: a token that holds many requests open does not affect other tokens, and the server refuses it at once.

use std::time::Duration;

use futures_util::{StreamExt, future::join_all, stream};
use printyard::http::bounds::{Bounds, Capacity};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt, net::TcpStream};

use crate::{
    api_problems::is_problem,
    support::{
        server::{Answer, DEADLINE, Options, TestServer, answer, farm},
        wait,
    },
};

/// Sends the beginning of a request and nothing more.
async fn stuck(server: &TestServer, request: &str) -> TcpStream {
    let mut stream = TcpStream::connect(server.url.trim_start_matches("http://")).await.expect("a connection");
    stream.write_all(request.as_bytes()).await.expect("sent");
    stream
}

async fn ask(server: &TestServer, token: &str, path: &str, accept: &str) -> Answer {
    answer(server.bare(Method::GET, path).bearer_auth(token).header("Accept", accept)).await
}

/// Opens requests until the server refuses this token with `overloaded`. An opened request is refused if it arrives
/// while the probe uses the last place, so the loop repeats.
async fn until_overloaded(server: &TestServer, token: &str, accept: &str, request: &str) -> Vec<TcpStream> {
    let mut held = Vec::new();
    let refused = wait::until("the server refuses a request", DEADLINE, async || {
        let got = ask(server, token, "/api/v1/me", accept).await;
        if got.0 != StatusCode::OK {
            return Ok(got);
        }
        held.push(stuck(server, request).await);
        Err(got.1)
    })
    .await;
    is_problem(&refused, 503, "overloaded");
    assert_eq!(refused.2["retry-after"], "1");
    held
}

async fn until_admitted(server: &TestServer, token: &str, accept: &str) {
    wait::until("the server accepts a request again", DEADLINE, async || {
        let got = ask(server, token, "/api/v1/me", accept).await;
        if got.0 == StatusCode::OK { Ok(()) } else { Err(got.1) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_never_end_take_up_what_their_own_token_may_have_and_no_more() {
    // The limit is small because the server waits only a limited time for a body that never ends.
    let rooms = Capacity { all: 64, each: 4 };
    let bounds = Bounds { requests: rooms, ..Bounds::default() };
    let server = TestServer::with(Options { bounds, ..Options::default() }).await;
    let (greedy, other) = (server.token("operator").await, server.token("viewer").await);
    let half = format!(
        "POST /api/v1/batches HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {greedy}\r\nContent-Type: application/json\r\n\
         Content-Length: 100\r\n\r\n{{"
    );
    let held = until_overloaded(&server, &greedy, "*/*", &half).await;
    // The server refuses the request before it reads the body.
    let early = server.bare(Method::POST, "/api/v1/batches").bearer_auth(&greedy).body("no JSON at all");
    is_problem(&answer(early).await, 503, "overloaded");
    for _ in 0..3 {
        assert_eq!(ask(&server, &other, "/api/v1/printers", "*/*").await.0, StatusCode::OK);
    }
    for path in ["/healthz", "/readyz", "/metrics"] {
        assert_eq!(ask(&server, &greedy, path, "*/*").await.0, StatusCode::OK, "{path}");
    }
    // Long requests have their own limit.
    assert_eq!(ask(&server, &greedy, "/api/v1/me", "text/csv").await.0, StatusCode::OK);
    drop(held);
    until_admitted(&server, &greedy, "*/*").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_are_never_read_are_held_for_a_while_and_then_cut_off() {
    let rooms = Capacity { all: 8, each: 2 };
    let bounds = Bounds { long_requests: rooms, taken_within: Duration::from_secs(5), ..Bounds::default() };
    let server = TestServer::with(Options { bounds, ..Options::default() }).await;
    for part in 0..6 {
        let item = |n: usize| {
            let url = format!("http://127.0.0.1:1/{part}/{n}");
            json!({"name": format!("P{part}-{n}"), "url": url, "enabled": false, "notes": "x".repeat(4_000)})
        };
        let items: Vec<Value> = (0..500).map(item).collect();
        assert_eq!(server.post("/api/v1/printers/bulk", json!({"items": items})).await.0, StatusCode::MULTI_STATUS);
    }
    let (greedy, other) = (server.token("viewer").await, server.token("viewer").await);
    let whole = format!(
        "GET /api/v1/printers HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {greedy}\r\nAccept: application/x-ndjson\r\n\r\n"
    );
    let held = until_overloaded(&server, &greedy, "text/csv", &whole).await;
    assert_eq!(ask(&server, &greedy, "/api/v1/me", "*/*").await.0, StatusCode::OK, "short requests are still accepted");
    assert_eq!(ask(&server, &other, "/api/v1/me", "text/csv").await.0, StatusCode::OK, "another token");
    // No client reads or closes these connections. The server ends them.
    until_admitted(&server, &greedy, "text/csv").await;
    drop(held);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_stop_printers_have_a_share_that_other_tokens_cannot_take() {
    let rooms = Capacity { all: 4, each: 4 };
    let bounds = Bounds { requests: rooms, long_requests: rooms, ..Bounds::default() };
    let server = TestServer::with(Options { bounds, ..Options::default() }).await;
    let farm = farm(1).await;
    let printer = server.register(&farm.printers()[0]).await;
    let (greedy, other) = (server.token("operator").await, server.token("operator").await);
    let half = format!(
        "POST /api/v1/plates/clear HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {greedy}\r\n\
         Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{{"
    );
    let held = until_overloaded(&server, &greedy, "*/*", &half).await;
    is_problem(&ask(&server, &other, "/api/v1/me", "*/*").await, 503, "overloaded");
    let body = json!({"command": "cancel", "select": {"printer_ids": [printer]}});
    for prefer in ["wait=0", "respond-async"] {
        let cancel = server.bare(Method::POST, "/api/v1/batches").bearer_auth(&other).header("Prefer", prefer);
        let (status, batch, _) = answer(cancel.json(&body)).await;
        assert!(status.is_success(), "{status} {batch}");
        let stop = format!("/api/v1/batches/{}/stop", batch["id"].as_str().expect("an id"));
        assert_eq!(answer(server.bare(Method::POST, &stop).bearer_auth(&other)).await.0, StatusCode::OK);
    }
    drop(held);
}

#[tokio::test(flavor = "multi_thread")]
async fn however_many_tokens_hold_reserved_places_a_newcomer_can_stop_printers() {
    let few = Capacity { all: 4, each: 4 };
    let bounds = Bounds { requests: few, ..Bounds::default() };
    let server = TestServer::with(Options { bounds, ..Options::default() }).await;
    let farm = farm(1).await;
    let printer = server.register(&farm.printers()[0]).await;
    let newcomer = server.token("operator").await;
    let tokens: Vec<String> = stream::iter(0..66).then(|_| server.token("operator")).collect().await;
    let half = |token: &str| {
        format!(
            "POST /api/v1/batches HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{{"
        )
    };
    let (mut held, stop) = (Vec::new(), format!("/api/v1/batches/{}/stop", uuid::Uuid::nil()));
    // More than 256 requests: 4 shared places, then four reserved places for each token.
    for greedy in tokens {
        let half = half(&greedy);
        held.extend(join_all((0..4).map(|_| stuck(&server, &half))).await);
        wait::until("this token has reached its limit", DEADLINE, async || {
            let got = answer(server.bare(Method::POST, &stop).bearer_auth(&greedy)).await;
            if got.0 == StatusCode::SERVICE_UNAVAILABLE {
                return Ok(());
            }
            // This probe may have taken the place of a request that was refused.
            held.push(stuck(&server, &half).await);
            Err(got.1)
        })
        .await;
    }
    is_problem(&ask(&server, &newcomer, "/api/v1/me", "*/*").await, 503, "overloaded");
    let body = json!({"command": "cancel", "select": {"printer_ids": [printer]}});
    let cancel = server.bare(Method::POST, "/api/v1/batches").bearer_auth(&newcomer);
    let (status, batch, _) = answer(cancel.json(&body)).await;
    assert!(status.is_success(), "{status} {batch}");
    drop(held);
}
