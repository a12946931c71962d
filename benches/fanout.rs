//! One command to 1,000 simulated printers at 50 ms latency: from the POST until the last acceptance is in the ledger,
//! beside a bare `reqwest` loop that sends the same requests to the same printers in the same run.
//!
//! `cargo bench --bench fanout`

mod support;

use std::time::{Duration, Instant};

use printyard::{Server, config::Given, domain::command::Outcome, storage::batches};
use serde_json::{Value, json};
use support::{Farm, Printer, median, ms, until};

const PRINTERS: usize = 1_000;
const LATENCY_MS: u64 = 50;
const ROUNDS: usize = 10;
const TOKEN: &str = "benchmark-token-0123456789";

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let _ = rlimit::increase_nofile_limit(u64::MAX);
    let _ = rustls::crypto::ring::default_provider().install_default();
    let farm = Farm::start(PRINTERS, LATENCY_MS);
    let bare = runtime.block_on(bare(&farm.printers));
    let product = runtime.block_on(product(&farm.printers));
    let (min, bare, max) = median(&bare);
    println!("bare reqwest loop   {bare:7.1} ms  ({min:.1} to {max:.1})");
    let (min, product, max) = median(&product);
    println!("printyard batch     {product:7.1} ms  ({min:.1} to {max:.1})");
    println!("ratio of medians    {:7.2}      (target: at most 1.30)", product / bare);
}

#[expect(clippy::disallowed_methods, reason = "the bare client that Printyard is compared with")]
fn client() -> reqwest::Client {
    let client = reqwest::Client::builder().http1_only().no_proxy().tcp_nodelay(true).pool_max_idle_per_host(2);
    client.build().expect("a client")
}

/// Sends pause and resume in turn to every printer at once.
async fn bare(printers: &[Printer]) -> Vec<f64> {
    let client = client();
    command(&client, printers, json!({"command": "start"})).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let mut figures = Vec::new();
    for round in 0..=ROUNDS {
        let action = if round % 2 == 0 { "pause" } else { "resume" };
        let start = Instant::now();
        command(&client, printers, json!({"command": "pause", "action": action})).await;
        if round > 0 {
            figures.push(ms(start));
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    if ROUNDS % 2 == 0 {
        command(&client, printers, json!({"command": "pause", "action": "resume"})).await;
    }
    figures
}

async fn command(client: &reqwest::Client, printers: &[Printer], body: Value) {
    let sends = printers.iter().map(|printer| {
        let request = client.post(format!("{}/api/job", printer.url)).header("X-Api-Key", &printer.api_key).json(&body);
        tokio::spawn(async move { request.send().await.expect("an answer").status() })
    });
    let sends: Vec<_> = sends.collect();
    for send in sends {
        assert_eq!(send.await.expect("sent"), 204);
    }
}

async fn product(printers: &[Printer]) -> Vec<f64> {
    let dir = tempfile::tempdir().expect("a folder");
    let database = format!("sqlite:{}", dir.path().join("bench.db").display());
    let config = Given {
        listen: Some("127.0.0.1:0".into()),
        database_url: Some(database.clone()),
        data_dir: Some(dir.path().into()),
        admin_token: Some(TOKEN.into()),
        ..Given::default()
    };
    let config = config.checked().expect("settings");
    let listener = tokio::net::TcpListener::bind(config.listen).await.expect("a port");
    let url = format!("http://{}/api/v1", listener.local_addr().expect("an address"));
    let server = Server::start(&config).await.expect("a server");
    let services = server.services.clone();
    let (end, ended) = tokio::sync::oneshot::channel::<()>();
    let serving = tokio::spawn(server.serve(listener, async { drop(ended.await) }));
    let client = client();
    let db = printyard::storage::Db::connect(&database).await.expect("the ledger");
    for printer in printers {
        let body = json!({"name": printer.name, "url": printer.url, "api_key": printer.api_key});
        let answer = client.post(format!("{url}/printers")).bearer_auth(TOKEN).json(&body).send().await.expect("sent");
        assert_eq!(answer.status(), 201);
    }
    until("every printer is watched", || async {
        services.fleet().view().all().iter().filter(|live| live.state.is_active()).count() == printers.len()
    })
    .await;
    let mut figures = Vec::new();
    for round in 0..=ROUNDS {
        let body = json!({"command": if round % 2 == 0 { "pause" } else { "resume" }, "select": {"all": true}});
        let start = Instant::now();
        let answer = client.post(format!("{url}/batches")).bearer_auth(TOKEN).json(&body).send().await.expect("sent");
        let batch: Value = answer.json().await.expect("a batch");
        let id = batch["id"].as_str().and_then(|id| id.parse().ok()).expect("its id");
        until("the last acceptance is in the ledger", || async {
            let counts = batches::counts(&db, id).await.expect("counts");
            counts.of(Outcome::Queued) + counts.of(Outcome::Sent) == 0
        })
        .await;
        // The first round warms connections, as it does for the bare loop.
        if round > 0 {
            figures.push(ms(start));
        }
        until("the batch ends", || async {
            batches::get(&db, id).await.expect("a batch").is_some_and(|batch| batch.finished_at.is_some())
        })
        .await;
        let counts = batches::counts(&db, id).await.expect("counts");
        assert_eq!(counts.of(Outcome::Confirmed), i64::try_from(printers.len()).expect("few"), "{counts:?}");
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    let _ = end.send(());
    serving.await.expect("ended").expect("well");
    figures
}
