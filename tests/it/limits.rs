//! What one user, token, printer or address takes never costs the others their place.

use std::time::{Duration, Instant};

use printyard::http::bounds::Bounds;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sqlx::{Connection, SqliteConnection};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    api_problems::is_problem,
    support::{
        server::{DEADLINE, Options, TestServer, answer, farm, yard},
        wait,
    },
};

/// How long the printer floods.
const FLOOD: Duration = Duration::from_secs(8);
/// What the flood of one printer may cost, in bytes of the database per second.
const BYTES_PER_S: u64 = 50 * 1024;

async fn pages(database: &std::path::Path) -> u64 {
    let mut db = SqliteConnection::connect(&format!("sqlite:{}", database.display())).await.expect("the database");
    let (pages,): (i64,) = sqlx::query_as("pragma page_count").fetch_one(&mut db).await.expect("a number");
    let (size,): (i64,) = sqlx::query_as("pragma page_size").fetch_one(&mut db).await.expect("a number");
    u64::try_from(pages * size).expect("positive")
}

/// Two printers, of which the first floods for [`FLOOD`]: `prints` that start and fail, four events each, every `pause`.
async fn flood(prints: usize, pause: Duration) {
    let folder = TempDir::new().expect("a folder");
    let database = folder.path().join("printyard.db");
    let database_url = Some(format!("sqlite:{}", database.display()));
    let server = TestServer::with(Options { database_url, plate_gate: false, ..Options::default() }).await;
    let farm = farm(2).await;
    let (noisy, healthy) = (farm.printers()[0].clone(), farm.printers()[1].clone());
    let (noisy_id, healthy_id) = (server.register(&noisy).await, server.register(&healthy).await);
    server.until_online(&noisy_id).await;
    server.until_online(&healthy_id).await;
    let before = pages(&database).await;
    let started = Instant::now();
    let flooding = tokio::spawn({
        let noisy = noisy.clone();
        async move {
            let mut tick = tokio::time::interval(pause);
            while started.elapsed() < FLOOD {
                tick.tick().await;
                for _ in 0..prints {
                    let file = json!({"path": "bracket.gcode", "origin": "local", "name": "bracket.gcode"});
                    let state = |id: &str| json!({"state_id": id, "state_string": id});
                    noisy.send_event("PrinterStateChanged", state("PRINTING"));
                    noisy.send_event("PrintStarted", file.clone());
                    noisy.send_event("PrintFailed", file);
                    noisy.send_event("PrinterStateChanged", state("OPERATIONAL"));
                }
            }
        }
    });
    let mut slowest = Duration::ZERO;
    let mut healthy_tick = tokio::time::interval(Duration::from_secs(1));
    while !flooding.is_finished() {
        healthy_tick.tick().await;
        for command in ["connect", "disconnect"] {
            let body = json!({"command": command, "select": {"printer_ids": [healthy_id]}});
            let asked = Instant::now();
            let (status, batch, _) = server.post_and_wait("/api/v1/batches", body).await;
            assert_eq!((status, &batch["result"]), (StatusCode::MULTI_STATUS, &json!("ok")), "{batch}");
            slowest = slowest.max(asked.elapsed());
        }
    }
    flooding.await.expect("it floods");
    let bytes = (pages(&database).await - before) / FLOOD.as_secs();
    let recorded = server.get(&format!("/api/v1/prints?printer_id={noisy_id}&limit=500")).await.1;
    let recorded = recorded["items"].as_array().expect("prints").len();
    println!(
        "{prints} per {pause:?}: {bytes} bytes/s of database, {recorded} prints, slowest healthy command {slowest:?}"
    );
    assert!(bytes <= BYTES_PER_S, "{bytes} bytes per second");
    assert!(slowest < Duration::from_secs(3), "{slowest:?}");
    // The last state, and the end of a real print, are not lost.
    server.until_online(&noisy_id).await;
    let body = json!({"command": "start", "select": {"printer_ids": [noisy_id]}});
    wait::until("a real print begins", DEADLINE, async || {
        let (_, batch, _) = server.post_and_wait("/api/v1/batches", body.clone()).await;
        if batch["result"] == "ok" { Ok(()) } else { Err(batch) }
    })
    .await;
    wait::until("its end is recorded", DEADLINE, async || {
        let (_, prints, _) = server.get(&format!("/api/v1/prints?printer_id={noisy_id}&limit=1")).await;
        if prints["items"][0]["result"] == "done" { Ok(()) } else { Err(prints) }
    })
    .await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_printer_that_sends_10_000_events_per_second_costs_little_and_delays_no_other() {
    flood(25, Duration::from_millis(10)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_printer_that_starts_and_fails_all_the_time_costs_little_and_delays_no_other() {
    flood(1, Duration::from_millis(50)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_connections_give_up_their_place_first() {
    let bounds = Bounds { connections: 8, ..Bounds::default() };
    let server = TestServer::with(Options { bounds, ..Options::default() }).await;
    let address = server.url.trim_start_matches("http://").to_owned();
    let mut silent = Vec::new();
    for _ in 0..8 {
        let mut stream = TcpStream::connect(&address).await.expect("a connection");
        stream.write_all(b"G").await.expect("one byte");
        silent.push(stream);
    }
    let asked = Instant::now();
    assert_eq!(server.get("/api/v1/me").await.0, StatusCode::OK);
    assert!(asked.elapsed() < bounds.header_within, "a newcomer does not wait for the others' timeout");
    let mut byte = [0];
    assert_eq!(silent[0].read(&mut byte).await.unwrap_or(0), 0, "the oldest one was closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_user_has_64_live_pages_and_other_users_are_not_refused() {
    let server = TestServer::start().await;
    let (greedy, other) = (server.token("viewer").await, server.token("viewer").await);
    let (greedy, other) = (server.session_of(&greedy).await, server.session_of(&other).await);
    let open = async |session: &str| {
        server
            .bare(Method::GET, "/stream")
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
    let other = server.token("viewer").await;
    let (_, greedy, _) = server.post("/api/v1/tokens", json!({"name": "greedy", "role": "viewer"})).await;
    let rotate = format!("/api/v1/tokens/{}/rotate", greedy["id"].as_str().expect("an id"));
    let (_, successor, _) = server.post(&rotate, json!({"overlap_s": 3_600})).await;
    let [greedy, successor] = [&greedy, &successor].map(|token| token["token"].as_str().expect("a secret"));
    let open = async |token: &str| {
        server.bare(Method::GET, "/api/v1/events/stream").bearer_auth(token).send().await.expect("an answer")
    };
    let mut streams = Vec::new();
    for _ in 0..16 {
        let stream = open(greedy).await;
        assert_eq!(stream.status(), StatusCode::OK);
        streams.push(stream);
    }
    for token in [greedy, successor] {
        let request = server.bare(Method::GET, "/api/v1/events/stream").bearer_auth(token);
        let refused = answer(request).await;
        is_problem(&refused, 429, "too_many_streams");
        assert!(refused.2.contains_key("retry-after"));
        let detail = refused.1["detail"].as_str().unwrap_or_default();
        assert!(detail.contains("16") && detail.contains("wait="), "{detail}");
    }
    assert_eq!(open(&other).await.status(), StatusCode::OK);
    streams.pop();
    wait::until("a closed stream gives its place back", DEADLINE, async || match open(greedy).await.status() {
        StatusCode::OK => Ok(()),
        status => Err(status),
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_without_a_part_within_64_kb_is_refused() {
    let (server, _farm, ids) = yard(1).await;
    let files = format!("/api/v1/printers/{}/files", ids[0]);
    let header = format!("--x\r\nContent-Disposition: form-data; name=\"file\"; {}", "a".repeat(1024 * 1024));
    for body in ["a".repeat(1024 * 1024), header] {
        let request = server.request(Method::POST, &files).header("Content-Type", "multipart/form-data; boundary=x");
        is_problem(&answer(request.body(body)).await, 400, "malformed_multipart");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_whose_answer_was_dropped_is_refused_and_executes_nothing() {
    let folder = TempDir::new().expect("a folder");
    let url = format!("sqlite:{}", folder.path().join("printyard.db").display());
    let server = TestServer::with(Options { database_url: Some(url.clone()), ..Options::default() }).await;
    let body = json!({"items": [{"name": "P1", "url": "http://127.0.0.1:1", "enabled": false}]});
    let post = async || {
        let request = server.request(Method::POST, "/api/v1/printers/bulk").header("Idempotency-Key", "K");
        answer(request.json(&body)).await
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
    is_problem(&post().await, 409, "replay_body_gone");
    let printers: Value = server.get("/api/v1/printers").await.1;
    assert_eq!(printers["items"], json!([]), "nothing was executed");
}
