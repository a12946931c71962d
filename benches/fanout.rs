//! One command to 1,000 simulated printers at 50 ms latency: from the POST until the last acceptance is in the ledger,
//! beside a bare `reqwest` loop that sends the same requests to the same printers in the same run, and beside the same
//! loop to printers that nobody listens to. A simulated printer that has a listener takes more of the two processors; a
//! real one has its own.
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
    storage::{Db, batches, commands},
};
use serde::Deserialize;
use serde_json::{Value, json};
use sqlx::{ConnectOptions, SqliteConnection, sqlite::SqliteConnectOptions};
use support::{Farm, Printer, Server, TOKEN, busy_ms, client, median, ms, until};
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
const REST: Duration = Duration::from_secs(1);

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let _ = rlimit::increase_nofile_limit(u64::MAX);
    let (alone, farm) = (Farm::start(PRINTERS, LATENCY_MS), Farm::start(PRINTERS, LATENCY_MS));
    let took = runtime.block_on(rounds(&alone, &farm));
    println!("{PRINTERS} printers, {LATENCY_MS} ms latency, {ROUNDS} rounds of pause and resume in turn");
    print("printyard batch", &took.batch);
    for (what, bare) in [("bare loop, same printers", &took.heard), ("bare loop, nobody listens", &took.unheard)] {
        print(what, bare);
        let ratios: Vec<f64> = bare.iter().zip(&took.batch).map(|(bare, batch)| batch / bare).collect();
        let (min, ratio, max) = median(&ratios);
        let of_medians = median(&took.batch).1 / median(bare).1;
        println!(
            "  ratio of medians {of_medians:.2}, round by round {ratio:.2} ({min:.2} to {max:.2}); target: at most 1.30"
        );
    }
}

fn print(what: &str, figures: &[f64]) {
    let (min, middle, max) = median(figures);
    println!("{what:26} median {middle:7.1} ms  ({min:.1} to {max:.1})");
}

/// What each round took, in milliseconds.
#[derive(Default)]
struct Took {
    batch: Vec<f64>,
    /// The bare loop, while Printyard listens to the printers.
    heard: Vec<f64>,
    /// The bare loop to printers that nobody listens to.
    unheard: Vec<f64>,
}

/// Pauses and resumes, by each in turn: a machine that becomes slower does so for all.
async fn rounds(alone: &Farm, farm: &Farm) -> Took {
    let client = client();
    for farm in [alone, farm] {
        command(&client, &farm.printers, json!({"command": "start"})).await;
    }
    let server = Server::start(farm).await;
    let mut ledger = Ledger::open(&server.database()).await;
    let mut took = Took::default();
    // The first two rounds warm the connections.
    for round in (0..ROUNDS + 2).step_by(2) {
        let mut pair = Took::default();
        for action in ["pause", "resume"] {
            tokio::time::sleep(REST).await;
            pair.unheard.push(bare(&client, alone, action).await);
            tokio::time::sleep(REST).await;
            pair.heard.push(bare(&client, farm, action).await);
        }
        // What was done at a printer has to be known before a batch may choose by it.
        until("every printer prints", || async { server.count("printing").await == PRINTERS }).await;
        for action in ["pause", "resume"] {
            tokio::time::sleep(REST).await;
            pair.batch.push(product(&server, farm, &mut ledger, action).await);
        }
        if round >= 2 {
            took.batch.append(&mut pair.batch);
            took.heard.append(&mut pair.heard);
            took.unheard.append(&mut pair.unheard);
        }
    }
    took
}

/// Sends one command to every printer at once.
async fn bare(client: &reqwest::Client, farm: &Farm, action: &str) -> f64 {
    let busy = (farm.busy_ms(), busy_ms(std::process::id()));
    let start = Instant::now();
    command(client, &farm.printers, json!({"command": "pause", "action": action})).await;
    let took = ms(start);
    if std::env::var_os("PHASES").is_some() {
        let (simulator, own) = (farm.busy_ms() - busy.0, busy_ms(std::process::id()) - busy.1);
        println!("bare {action} took {took:.0} ms; processor time: simulator {simulator:.0} ms, loop {own:.0} ms");
    }
    took
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

#[derive(Deserialize)]
struct Made {
    id: Uuid,
}

/// The ledger, looked into beside the server.
struct Ledger {
    db: Db,
    watched: SqliteConnection,
}

impl Ledger {
    async fn open(url: &str) -> Self {
        let db = Db::connect(url).await.expect("the ledger");
        let watched = SqliteConnectOptions::from_str(url).expect("the ledger's file");
        Self { db, watched: watched.connect().await.expect("the ledger's file") }
    }

    /// Waits until every command of a batch that was asked for at `start` has been answered.
    async fn answered(&mut self, batch: Uuid, start: Instant) {
        let mut seen = 0_i64;
        // None is answered before: looking is not to cost the two processors what is measured.
        tokio::time::sleep_until((start + Duration::from_millis(LATENCY_MS)).into()).await;
        loop {
            // Looked into only when somebody has written, for the same reason.
            let version = sqlx::query_scalar("pragma data_version").fetch_one(&mut self.watched).await;
            let version = version.expect("a version");
            if seen != version {
                seen = version;
                let waiting: sqlx::Result<bool> =
                    sqlx::query_scalar(WAITING).bind(batch).fetch_one(&mut self.watched).await;
                if !waiting.expect("an answer") {
                    return;
                }
            }
            assert!(start.elapsed() < GIVE_UP, "the last acceptance did not come into the ledger");
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
    }
}

/// Makes one batch over every printer.
async fn product(server: &Server, farm: &Farm, ledger: &mut Ledger, action: &str) -> f64 {
    let states = if action == "pause" { ["printing", "resuming"] } else { ["paused", "pausing"] };
    let body = json!({"command": action, "select": {"states": states}, "expect_total": PRINTERS});
    let busy = (farm.busy_ms(), server.busy_ms(), busy_ms(std::process::id()));
    let start = Instant::now();
    // Of its answer the id alone: five hundred rows of JSON are read at whoever's cost who wants them.
    let request = server.client.post(format!("{}/api/v1/batches", server.url)).bearer_auth(TOKEN).json(&body);
    let answer = request.send().await.and_then(reqwest::Response::error_for_status).expect("an answer");
    let Made { id } = answer.json().await.expect("a batch");
    ledger.answered(id, start).await;
    let took = ms(start);
    let busy = (farm.busy_ms() - busy.0, server.busy_ms() - busy.1, busy_ms(std::process::id()) - busy.2);
    until("the batch ends", || async {
        batches::get(&ledger.db, id).await.expect("a batch").is_some_and(|batch| batch.finished_at.is_some())
    })
    .await;
    let counts = batches::counts(&ledger.db, &[id], &Default::default()).await.expect("counts");
    let counts = counts.get(&id).expect("its counts");
    assert_eq!(counts.of(Outcome::Confirmed), i64::try_from(PRINTERS).expect("few"), "{counts:?}");
    if std::env::var_os("PHASES").is_some() {
        phases(&ledger.db, id, took).await;
        let (simulator, server, asker) = busy;
        println!(
            "{action}: processor time: simulator {simulator:.0} ms, server {server:.0} ms, whoever asks {asker:.0} ms"
        );
    }
    took
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
