//! Limits per user, token, printer and address: one of them at its limit does not affect the others.

mod event_flood;

use std::time::Instant;

use futures_util::{StreamExt, stream};
use printyard::http::limits::ServerLimits;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sqlx::{Connection, SqliteConnection};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    api::problems::assert_problem,
    support::{
        server::{DEADLINE, ServerOptions, TestServer, send_request, start_server_with_farm},
        wait,
    },
};

#[tokio::test(flavor = "multi_thread")]
async fn silent_connections_are_closed_first() {
    let server_limits = ServerLimits { connections: 8, ..ServerLimits::default() };
    let server = TestServer::start_with(ServerOptions { server_limits, ..ServerOptions::default() }).await;
    let address = server.url.trim_start_matches("http://").to_owned();
    let mut silent = Vec::new();
    for _ in 0..8 {
        let mut stream = TcpStream::connect(&address).await.expect("a connection");
        stream.write_all(b"G").await.expect("one byte");
        silent.push(stream);
    }
    let started = Instant::now();
    assert_eq!(server.get("/api/v1/me").await.0, StatusCode::OK);
    assert!(started.elapsed() < server_limits.header_timeout, "a new client must not wait for the timeout of others");
    let mut byte = [0];
    assert_eq!(silent[0].read(&mut byte).await.unwrap_or(0), 0, "the oldest connection was closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_user_has_64_live_pages_and_other_users_are_not_refused() {
    let server = TestServer::start().await;
    let (greedy, other) = (server.create_token("viewer").await, server.create_token("viewer").await);
    let (greedy, other) = (server.open_session(&greedy).await, server.open_session(&other).await);
    let open = async |session: &str| {
        server
            .request_without_auth(Method::GET, "/stream")
            .header("Cookie", format!("printyard_session={session}"))
            .send()
            .await
            .expect("an answer")
    };
    let mut live = Vec::new();
    for _ in 0..64 {
        let page = open(&greedy).await;
        assert_eq!(page.status(), StatusCode::OK);
        live.push(page);
    }
    assert_eq!(open(&greedy).await.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(open(&other).await.status(), StatusCode::OK);
    drop(live);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_principal_has_16_event_streams_and_others_are_not_refused() {
    let server = TestServer::start().await;
    let other = server.create_token("viewer").await;
    let (_, greedy, _) = server.post("/api/v1/tokens", json!({"name": "greedy", "role": "viewer"})).await;
    let rotate = format!("/api/v1/tokens/{}/rotate", greedy["id"].as_str().expect("an id"));
    let (_, successor, _) = server.post(&rotate, json!({"overlap_s": 3_600})).await;
    let [greedy, successor] = [&greedy, &successor].map(|token| token["token"].as_str().expect("a secret"));
    let open = async |token: &str| {
        server
            .request_without_auth(Method::GET, "/api/v1/events/stream")
            .bearer_auth(token)
            .send()
            .await
            .expect("an answer")
    };
    let mut streams = Vec::new();
    for _ in 0..16 {
        let stream = open(greedy).await;
        assert_eq!(stream.status(), StatusCode::OK);
        streams.push(stream);
    }
    for token in [greedy, successor] {
        let request = server.request_without_auth(Method::GET, "/api/v1/events/stream").bearer_auth(token);
        let refused = send_request(request).await;
        assert_problem(&refused, 429, "too_many_streams");
        assert!(refused.2.contains_key("retry-after"));
        let detail = refused.1["detail"].as_str().unwrap_or_default();
        assert!(detail.contains("16") && detail.contains("wait="), "{detail}");
    }
    assert_eq!(open(&other).await.status(), StatusCode::OK);
    streams.pop();
    wait::until("the place of a closed stream is free", DEADLINE, async || match open(greedy).await.status() {
        StatusCode::OK => Ok(()),
        status => Err(status),
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_without_a_part_within_64_kb_is_refused() {
    let (server, _farm, ids) = start_server_with_farm(1).await;
    let files = format!("/api/v1/printers/{}/files", ids[0]);
    let header = format!("--x\r\nContent-Disposition: form-data; name=\"file\"; {}", "a".repeat(1024 * 1024));
    for body in ["a".repeat(1024 * 1024), header] {
        // The body does not end, so a server that waits for a complete part would wait forever.
        let body = stream::iter([Ok::<_, std::io::Error>(body)]).chain(stream::pending());
        let request = server.request(Method::POST, &files).header("Content-Type", "multipart/form-data; boundary=x");
        assert_problem(&send_request(request.body(reqwest::Body::wrap_stream(body))).await, 400, "malformed_multipart");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_whose_response_was_deleted_is_refused_and_executes_nothing() {
    let folder = TempDir::new().expect("a folder");
    let url = format!("sqlite:{}", folder.path().join("printyard.db").display());
    let server =
        TestServer::start_with(ServerOptions { database_url: Some(url.clone()), ..ServerOptions::default() }).await;
    let body = json!({"items": [{"name": "P1", "url": "http://127.0.0.1:1", "enabled": false}]});
    let post = async || {
        let request = server.request(Method::POST, "/api/v1/printers/bulk").header("Idempotency-Key", "K");
        send_request(request.json(&body)).await
    };
    let (status, first, _) = post().await;
    assert_eq!((status, &first["items"][0]["status"]), (StatusCode::MULTI_STATUS, &json!(201)));
    assert_eq!(post().await.1, first, "a replay");
    let id = first["items"][0]["id"].as_str().expect("an id");
    assert_eq!(server.delete(&format!("/api/v1/printers/{id}")).await.0, StatusCode::NO_CONTENT);
    let mut db = SqliteConnection::connect(&url).await.expect("the database");
    sqlx::query("update idempotency_keys set body = null, body_bytes = null, body_gone = true")
        .execute(&mut db)
        .await
        .expect("dropped");
    assert_problem(&post().await, 409, "replay_body_gone");
    let printers: Value = server.get("/api/v1/printers").await.1;
    assert_eq!(printers["items"], json!([]), "nothing was executed");
}
