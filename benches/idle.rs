//! Measures the cost of idle printers: memory and processor time for 1,000 printers over a minute (`quiet`), and memory for
//! 500 printers after a burst of single commands (`burst`).
//!
//! Run all parts with `cargo bench --bench idle`, or some of them with `cargo bench --bench idle -- quiet burst`.

#[expect(dead_code, reason = "each benchmark uses only some of the shared fixtures")]
mod support;

use std::time::Duration;

use serde_json::{Value, json};
use support::{Farm, Server, wait_until};

const PRINTERS: usize = 1_000;
/// Duration of the measurement of processor time.
const MEASURED_TIME: Duration = Duration::from_secs(60);
/// Printers of the burst. Each gets one command at a time.
const BURST_PRINTERS: usize = 500;
/// Number of tokens. One token may send at most 200 requests at once.
const TOKENS: usize = 10;
/// Time after the burst at which memory is measured again.
const SETTLE_TIME: Duration = Duration::from_secs(30);

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let _ = rlimit::increase_nofile_limit(u64::MAX);
    let parts: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let is_wanted = |part: &str| parts.is_empty() || parts.iter().any(|wanted| wanted == part);
    if is_wanted("quiet") {
        let farm = Farm::start(PRINTERS, 0);
        runtime.block_on(measure_idle(&farm));
    }
    if is_wanted("burst") {
        let farm = Farm::start(BURST_PRINTERS, 50);
        runtime.block_on(measure_burst(&farm));
    }
}

async fn measure_idle(farm: &Farm) {
    let server = Server::start(farm).await;
    // By now all printers are connected, and their first readings have ended.
    tokio::time::sleep(Duration::from_secs(20)).await;
    let before = server.cpu_ticks();
    tokio::time::sleep(MEASURED_TIME).await;
    let ticks = server.cpu_ticks() - before;
    assert_eq!(server.count_online().await, PRINTERS);
    let share =
        f64::from(u32::try_from(ticks).expect("the ticks fit u32")) / 100.0 / MEASURED_TIME.as_secs_f64() * 100.0;
    println!("{PRINTERS} operational printers, all with their event socket open");
    println!("resident memory     {} MB  (target: at most 64)", server.resident_kib() / 1_024);
    println!("processor           {share:.1} % of a core over {} s  (target: at most 2)", MEASURED_TIME.as_secs());
}

/// Starts a print on every printer. Then sends every printer its own pause, and later its own resume, all at once.
async fn measure_burst(farm: &Farm) {
    let server = Server::start(farm).await;
    let ids: Vec<Value> = server.list_printers().await.iter().map(|printer| printer["id"].clone()).collect();
    let start =
        json!({"command": "start", "select": {"printer_ids": ids}, "plate": "assume_clear", "reason": "benchmark"});
    let (status, batch) = server.post("/batches", &start).await;
    assert_eq!(status, 202, "{batch}");
    wait_until("every printer prints", || async { server.count_in_state("printing").await == BURST_PRINTERS }).await;
    let before = server.resident_kib() / 1_024;
    let tokens = server.operator_tokens(TOKENS).await;
    for command in ["pause", "resume"] {
        let send = |(number, id): (usize, &Value)| {
            let url = format!("{}/api/v1/printers/{}/job", server.url, id.as_str().expect("an id"));
            let request = server.client.post(url).bearer_auth(&tokens[number % TOKENS]).header("Prefer", "wait=30");
            let request = request.json(&json!({"command": command}));
            tokio::spawn(async move { request.send().await.expect("a response").status() })
        };
        for sent in ids.iter().enumerate().map(send).collect::<Vec<_>>() {
            assert_eq!(sent.await.expect("sent"), 200);
        }
    }
    let at_once = server.resident_kib() / 1_024;
    tokio::time::sleep(SETTLE_TIME).await;
    println!("\n{BURST_PRINTERS} printing printers, resident memory");
    println!("before {BURST_PRINTERS} pauses and resumes at once   {before} MB");
    println!("right after them                       {at_once} MB");
    let after = server.resident_kib() / 1_024;
    println!("{} s later                             {after} MB  (target: at most 60)", SETTLE_TIME.as_secs());
}
