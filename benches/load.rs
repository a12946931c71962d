//! Ten minutes of load: a batch to 500 printers every second, while 200 clients read. Reports errors, memory by the
//! minute, and bytes of database per command.
//!
//! `cargo bench --bench load`; `PRINTYARD_LOAD_SECONDS=60` makes it shorter.

#[expect(dead_code, reason = "each benchmark uses a part of it")]
mod support;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use support::{Farm, Server};

const PRINTERS: usize = 500;
const CLIENTS: usize = 200;
/// Pause between two requests of one client. All clients together send 100 requests a second.
const CLIENT_PAUSE: Duration = Duration::from_secs(2);
const LATENCY_MS: u64 = 50;
const PATHS: [&str; 4] = ["/printers?limit=50", "/batches?limit=20", "/events?limit=50", "/prints?limit=50"];

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let _ = rlimit::increase_nofile_limit(u64::MAX);
    let seconds: u64 = std::env::var("PRINTYARD_LOAD_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(600);
    let farm = Farm::start(PRINTERS, LATENCY_MS);
    runtime.block_on(run_load(&farm, Duration::from_secs(seconds)));
}

async fn run_load(farm: &Farm, time: Duration) {
    let server = Server::start(farm).await;
    let start = json!({"command": "start", "select": {"all": true}});
    server.run_batch(&start).await;
    let (stop, requests, errors) =
        (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
    let mut clients = Vec::new();
    for n in 0..CLIENTS {
        let body = json!({"name": format!("client {n}"), "role": "viewer"});
        let (status, token) = server.post("/tokens", &body).await;
        assert_eq!(status, 201, "{token}");
        let token = token["token"].as_str().expect("a secret").to_owned();
        let (stop, requests, errors) = (stop.clone(), requests.clone(), errors.clone());
        let (client, url) = (server.client.clone(), format!("{}/api/v1{}", server.url, PATHS[n % PATHS.len()]));
        clients.push(tokio::spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                let response = client.get(&url).bearer_auth(&token).send().await;
                requests.fetch_add(1, Ordering::Relaxed);
                if !response.is_ok_and(|answer| answer.status().is_success()) {
                    errors.fetch_add(1, Ordering::Relaxed);
                }
                tokio::time::sleep(CLIENT_PAUSE).await;
            }
        }));
        // Stays within the request limit of one token.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let before = database_bytes(&server);
    let (started, mut ids, mut next_minute) = (Instant::now(), Vec::new(), Duration::ZERO);
    let mut every_second = tokio::time::interval(Duration::from_secs(1));
    while started.elapsed() < time {
        every_second.tick().await;
        if started.elapsed() >= next_minute {
            println!("after {:>3} s: {} MB", next_minute.as_secs(), server.resident_kib() / 1_024);
            next_minute += Duration::from_secs(60);
        }
        let command = if ids.len() % 2 == 0 { "pause" } else { "resume" };
        let batch = json!({"command": command, "select": {"all": true}});
        let (status, batch) = server.post("/batches", &batch).await;
        if status == 202 {
            ids.push(batch["id"].as_str().expect("an id").to_owned());
        } else {
            println!("a batch was refused: {status} {batch}");
            errors.fetch_add(1, Ordering::Relaxed);
        }
    }
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.expect("no panic");
    }
    report_results(&server, &ids, before).await;
    println!(
        "requests of {CLIENTS} clients: {}, failed: {}",
        requests.load(Ordering::Relaxed),
        errors.load(Ordering::Relaxed)
    );
}

async fn report_results(server: &Server, ids: &[String], before: u64) {
    let mut outcomes: BTreeMap<String, u64> = BTreeMap::new();
    for id in ids {
        let batch: Value = loop {
            let batch = server.get(&format!("/batches/{id}")).await;
            if !batch["finished_at"].is_null() {
                break batch;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        };
        for (outcome, n) in batch["counts"].as_object().expect("counts") {
            *outcomes.entry(outcome.clone()).or_default() += n.as_u64().unwrap_or_default();
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    outcomes.retain(|_, n| *n > 0);
    let commands = outcomes.remove("total").unwrap_or_default();
    println!("{} batches, {commands} commands: {outcomes:?}", ids.len());
    println!("at the end: {} MB", server.resident_kib() / 1_024);
    let bytes = database_bytes(server).saturating_sub(before);
    println!("{} bytes of database per command ({bytes} in all)", bytes / commands.max(1));
}

/// Returns the bytes of the database file and its write-ahead log.
fn database_bytes(server: &Server) -> u64 {
    let file = server.database_url().trim_start_matches("sqlite:").to_owned();
    [file.clone(), format!("{file}-wal")]
        .iter()
        .filter_map(|file| std::fs::metadata(file).ok())
        .map(|file| file.len())
        .sum()
}
