//! Connections stay open after refusals, and waiting clients get their response when the server stops.

use std::time::Duration;

use chrono::TimeDelta;
use printyard::clock;
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::support::{
    process::{ADMIN_TOKEN, ServerProcess},
    raw_http::send_raw,
    server::TestServer,
    wait::until,
};

/// Returns the bytes of a POST with such a body and without a token, followed by another request on the same
/// connection.
fn refused_and_next_request(length: usize, sent: usize) -> Vec<u8> {
    let head = format!(
        "POST /api/v1/batches HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    );
    let next = "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    [head.into_bytes(), vec![b' '; sent], next.as_bytes().to_vec()].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_stays_open_after_a_small_unread_request_is_refused() {
    let server = TestServer::start().await;
    for length in [1, 2_000, 60_000] {
        let answers = send_raw(&server, &refused_and_next_request(length, length)).await;
        assert!(answers.starts_with("HTTP/1.1 401"), "{length}: {answers}");
        assert_eq!(answers.matches("HTTP/1.1 200").count(), 1, "{length}: {answers}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_of_a_large_unread_request_says_that_its_connection_closes() {
    let server = TestServer::start().await;
    let answers = send_raw(&server, &refused_and_next_request(50_000_000, 100_000)).await.to_lowercase();
    assert!(answers.starts_with("http/1.1 401"), "{answers}");
    assert!(answers.contains("connection: close"), "{answers}");
    assert_eq!(answers.matches("http/1.1 ").count(), 1, "{answers}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_waits_for_a_batch_gets_a_response_when_the_server_stops() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut server = ServerProcess::start(dir.path()).await;
    let printer = json!({"name": "one", "url": "http://127.0.0.1:9"});
    assert_eq!(server.post("/printers", &printer).await.map(|answer| answer.0), Some(StatusCode::CREATED));
    let tomorrow = clock::now() + TimeDelta::days(1);
    let batch = json!({"command": "pause", "select": {"all": true}, "not_before": tomorrow});
    let request = server.request(Method::POST, "/api/v1/batches").bearer_auth(ADMIN_TOKEN).header("Prefer", "wait=30");
    let waits = tokio::spawn(request.json(&batch).send());
    until("the batch is stored", Duration::from_secs(20), async || {
        let batches = server.get("/batches").await;
        batches["items"].as_array().is_some_and(|items| items.len() == 1)
    })
    .await;
    server.send_signal("TERM");
    let answer = waits.await.expect("no panic").expect("an answer before the connection is cut");
    assert_eq!(answer.status(), StatusCode::ACCEPTED);
    assert_eq!(server.until_ended(Duration::from_secs(20)).await, Some(0));
}
