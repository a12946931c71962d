//! One command to 1,000 simulated printers at 50 ms latency: from the POST until the last acceptance is in the ledger,
//! beside a bare `reqwest` loop that sends the same requests to the same printers in the same run; and beside the same loop
//! while somebody hears the printers, as Printyard does. A simulated printer that has a listener takes more of the two
//! processors than one that has none, and real ones have their own.
//!
//! `cargo bench --bench fanout`

#[expect(dead_code, reason = "each benchmark uses a part of what they share")]
mod support;

use std::{
    str::FromStr,
    time::{Duration, Instant},
};

use printyard::{
    domain::command::Outcome,
    octoprint::{OctoPrint, Push, RequestOptions},
    outbound::{Networks, Outbound},
    storage::{Db, batches, commands},
};
use serde_json::{Value, json};
use sqlx::{ConnectOptions, sqlite::SqliteConnectOptions};
use support::{Farm, Printer, Server, busy_ms, client, median, ms, until};
use uuid::Uuid;

const PRINTERS: usize = 1_000;
const LATENCY_MS: u64 = 50;
const ROUNDS: usize = 20;
/// Whether an answer to a command of a batch is not in the ledger.
const WAITING: &str = "select exists (select 1 from commands
    where batch_id = $1 and finished_at is null and outcome in ('queued', 'sent'))";
/// No batch takes longer.
const GIVE_UP: Duration = Duration::from_secs(120);
/// Between rounds, so that what a round stirred up has settled.
const REST: Duration = Duration::from_secs(2);

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let _ = rlimit::increase_nofile_limit(u64::MAX);
    let farm = Farm::start(PRINTERS, LATENCY_MS);
    runtime.block_on(command(&client(), &farm.printers, json!({"command": "start"})));
    let alone = runtime.block_on(bare(&farm));
    let heard = runtime.block_on(heard(&farm));
    let product = runtime.block_on(product(&farm));
    println!("{PRINTERS} printers, {LATENCY_MS} ms latency, {ROUNDS} rounds of pause and resume in turn");
    let (min, alone, max) = median(&alone);
    println!("bare reqwest loop            median {alone:7.1} ms  ({min:.1} to {max:.1})");
    let (min, heard, max) = median(&heard);
    println!("the same, printers heard     median {heard:7.1} ms  ({min:.1} to {max:.1})");
    let (min, product, max) = median(&product);
    println!("printyard batch              median {product:7.1} ms  ({min:.1} to {max:.1})");
    println!("ratio of medians             {:.2}  (target: at most 1.30)", product / alone);
    println!("ratio, printers heard        {:.2}", product / heard);
}

/// The bare loop while every printer's events are read, and dropped.
async fn heard(farm: &Farm) -> Vec<f64> {
    let printers = &farm.printers;
    let outbound = Outbound::new(Networks::default()).expect("a client");
    let options = RequestOptions::within(Duration::from_secs(30));
    let open = printers.iter().map(async |printer| {
        let base = printer.url.parse().expect("a url");
        let octoprint = OctoPrint::new(base, Some(printer.api_key.clone()), outbound.clone()).expect("a key");
        Push::open(&octoprint, &options).await.expect("an event socket")
    });
    let sockets = futures_util::future::join_all(open).await;
    let mut listeners = tokio::task::JoinSet::new();
    for mut push in sockets {
        listeners.spawn(async move { while push.next().await.is_ok() {} });
    }
    let figures = bare(farm).await;
    assert_eq!(listeners.len(), printers.len());
    assert!(listeners.try_join_next().is_none(), "every printer is heard to the end");
    figures
}

/// Sends pause and resume in turn to every printer at once.
async fn bare(farm: &Farm) -> Vec<f64> {
    let printers = &farm.printers;
    let client = client();
    tokio::time::sleep(REST).await;
    let mut figures = Vec::new();
    // The first two rounds warm the connections.
    for round in 0..ROUNDS + 2 {
        let action = if round % 2 == 0 { "pause" } else { "resume" };
        let busy = (farm.busy_ms(), busy_ms(std::process::id()));
        let start = Instant::now();
        command(&client, printers, json!({"command": "pause", "action": action})).await;
        let took = ms(start);
        if std::env::var_os("PHASES").is_some() {
            let (simulator, own) = (farm.busy_ms() - busy.0, busy_ms(std::process::id()) - busy.1);
            println!("{action} took {took:.0} ms; processor time: simulator {simulator:.0} ms, loop {own:.0} ms");
        }
        if round >= 2 {
            figures.push(took);
        }
        tokio::time::sleep(REST).await;
    }
    figures
}

async fn command(client: &reqwest::Client, printers: &[Printer], body: Value) {
    let send = |printer: &Printer| {
        let request = client.post(format!("{}/api/job", printer.url)).header("X-Api-Key", &printer.api_key).json(&body);
        tokio::spawn(async move { request.send().await.expect("an answer").status() })
    };
    let sends: Vec<_> = printers.iter().map(send).collect();
    for send in sends {
        assert_eq!(send.await.expect("sent"), 204);
    }
}

async fn product(farm: &Farm) -> Vec<f64> {
    let server = Server::start(farm).await;
    let ledger = Db::connect(&server.database()).await.expect("the ledger");
    let watched = SqliteConnectOptions::from_str(&server.database()).expect("the ledger's file");
    let mut watched = watched.connect().await.expect("the ledger's file");
    until("every printer prints", || async { server.count("printing").await == PRINTERS }).await;
    let mut figures = Vec::new();
    for round in 0..ROUNDS + 2 {
        let body = json!({"command": if round % 2 == 0 { "pause" } else { "resume" },
            "select": {"states": ["printing", "pausing", "paused", "resuming"]}, "expect_total": PRINTERS});
        let mut body = body;
        if round % 2 == 1 {
            // Pauses of the bare loop are somebody else's; these are our own.
            body["select"] = json!({"states": ["paused"]});
        }
        let busy = (farm.busy_ms(), server.busy_ms(), busy_ms(std::process::id()));
        let start = Instant::now();
        let (status, batch) = server.post("/batches", &body).await;
        assert_eq!(status, 202, "{batch}");
        let id: Uuid = batch["id"].as_str().and_then(|id| id.parse().ok()).expect("its id");
        let mut seen = 0_i64;
        loop {
            // Looked into only when somebody has written: looking is not to cost the two processors what is measured.
            let version = sqlx::query_scalar("pragma data_version").fetch_one(&mut watched).await.expect("a version");
            if seen != version {
                seen = version;
                let waiting: bool =
                    sqlx::query_scalar(WAITING).bind(id).fetch_one(&mut watched).await.expect("an answer");
                if !waiting {
                    break;
                }
            }
            assert!(start.elapsed() < GIVE_UP, "the last acceptance did not come into the ledger");
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
        let took = ms(start);
        let busy = (farm.busy_ms() - busy.0, server.busy_ms() - busy.1, busy_ms(std::process::id()) - busy.2);
        until("the batch ends", || async {
            batches::get(&ledger, id).await.expect("a batch").is_some_and(|batch| batch.finished_at.is_some())
        })
        .await;
        let counts = batches::counts(&ledger, &[id], &Default::default()).await.expect("counts");
        let counts = counts.get(&id).expect("its counts");
        assert_eq!(counts.of(Outcome::Confirmed), i64::try_from(PRINTERS).expect("few"), "{counts:?}");
        if std::env::var_os("PHASES").is_some() {
            phases(&ledger, id, took).await;
            let (simulator, server, asker) = busy;
            println!("processor time: simulator {simulator:.0} ms, server {server:.0} ms, whoever asks {asker:.0} ms");
        }
        if round >= 2 {
            figures.push(took);
        }
        tokio::time::sleep(REST).await;
    }
    figures
}

/// Where the time of a batch went, for whoever makes it shorter (`PHASES=1`).
async fn phases(ledger: &Db, id: Uuid, took: f64) {
    let batch = batches::get(ledger, id).await.expect("a batch").expect("there");
    let rows = commands::of_batch(ledger, id, None, 5_000, None, &Default::default()).await.expect("rows");
    let since = |at: Option<chrono::DateTime<chrono::Utc>>| (at.expect("a time") - batch.created_at).num_milliseconds();
    let sent: Vec<i64> = rows.iter().map(|row| since(row.sent_at)).collect();
    let accepted: Vec<i64> = rows.iter().map(|row| since(row.accepted_at)).collect();
    println!(
        "after the batch was made: sent {:?} to {:?} ms, accepted {:?} to {:?} ms; seen in the ledger {took:.0} ms after the POST",
        sent.iter().min(),
        sent.iter().max(),
        accepted.iter().min(),
        accepted.iter().max(),
    );
}
