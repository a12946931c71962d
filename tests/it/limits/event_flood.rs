//! A printer that floods the server with events: its cost, the delay of other printers, and the record of its real
//! prints.

use std::{
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use printyard::simulator::{Farm, SimulatedPrinter};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sqlx::{Connection, SqliteConnection};
use tempfile::TempDir;

use crate::support::{
    process::{ADMIN_TOKEN, ServerProcess},
    server::{DEADLINE, send_request, start_farm},
    wait,
};

/// How long the printer floods.
const FLOOD_TIME: Duration = Duration::from_secs(8);
/// How long commands to the other printer are measured without a flood.
const BASELINE_TIME: Duration = Duration::from_secs(2);
/// Growth of the database, in bytes per second, that the flood of one printer may cause.
const GROWTH_PER_S: u64 = 50 * 1024;

/// A server process without plate checks, and simulated printers.
struct FloodSetup {
    folder: TempDir,
    server: ServerProcess,
    farm: Farm,
    ids: Vec<String>,
}

impl FloodSetup {
    async fn start_with(printers: usize) -> Self {
        let (folder, farm) = (TempDir::new().expect("a folder"), start_farm(printers).await);
        let variables = [("RUST_LOG", "printyard=error"), ("PRINTYARD_PLATE_GATE", "off")];
        let server = ServerProcess::start_with(folder.path(), &variables, Stdio::inherit()).await;
        let mut ids = Vec::new();
        for printer in farm.printers() {
            let body = json!({"name": printer.name(), "url": printer.url(), "api_key": printer.api_key()});
            let (status, made) = server.post("/printers", &body).await.expect("an answer");
            assert_eq!(status, StatusCode::CREATED, "{made}");
            ids.push(made["id"].as_str().expect("an id").to_owned());
        }
        let setup = Self { folder, server, farm, ids };
        for id in &setup.ids {
            setup.until_online(id).await;
        }
        setup
    }

    async fn until_online(&self, id: &str) {
        wait::until("the printer is online", DEADLINE, async || {
            let status = self.server.get(&format!("/printers/{id}")).await["status"].take();
            if status["reachability"] == "online" { Ok(()) } else { Err(status) }
        })
        .await;
    }

    /// Sends a batch and returns it after its end.
    async fn run_batch(&self, body: Value) -> Value {
        let request = self.server.request(Method::POST, "/api/v1/batches").bearer_auth(ADMIN_TOKEN);
        send_request(request.header("Prefer", "wait=30").json(&body)).await.1
    }

    /// Starts a print and repeats the start until it is confirmed. During its flood the printer can appear to be
    /// printing.
    async fn start_print(&self, id: &str, file: &str) -> Value {
        let body =
            json!({"command": "start", "select": {"printer_ids": [id]}, "file": {"path": file, "origin": "local"}});
        wait::until("a real print begins", DEADLINE, async || {
            let batch = self.run_batch(body.clone()).await;
            if batch["result"] == "ok" { Ok(batch) } else { Err(batch) }
        })
        .await
    }

    /// Returns the bytes of the database, and the bytes that the process has written to files, pipes and sockets.
    async fn measure_bytes(&self) -> (u64, u64) {
        let written = std::fs::read_to_string(format!("/proc/{}/io", self.server.pid())).expect("its counters");
        let written = written.lines().find_map(|line| line.strip_prefix("wchar: ")?.parse().ok());
        (database_size(&self.folder.path().join("printyard.db")).await, written.expect("a number"))
    }
}

async fn database_size(database: &Path) -> u64 {
    let mut db = SqliteConnection::connect(&format!("sqlite:{}", database.display())).await.expect("the database");
    let (pages,): (i64,) = sqlx::query_as("pragma page_count").fetch_one(&mut db).await.expect("a number");
    let (size,): (i64,) = sqlx::query_as("pragma page_size").fetch_one(&mut db).await.expect("a number");
    u64::try_from(pages * size).expect("positive")
}

fn send_state(printer: &SimulatedPrinter, state: &str) {
    printer.send_event("PrinterStateChanged", json!({"state_id": state, "state_string": state}));
}

/// Sends the four events of a print that starts and fails.
fn send_failed_print(printer: &SimulatedPrinter) {
    let file = json!({"path": "bracket.gcode", "origin": "local", "name": "bracket.gcode"});
    send_state(printer, "PRINTING");
    printer.send_event("PrintStarted", file.clone());
    printer.send_event("PrintFailed", file);
    send_state(printer, "OPERATIONAL");
}

/// Sends failed prints as fast as an event socket allows, and not faster than the simulator's queue can send.
async fn send_failed_prints(printer: &SimulatedPrinter, prints: usize) {
    let mut tick = tokio::time::interval(Duration::from_millis(50));
    for number in 0..prints {
        if number % 10 == 0 {
            tick.tick().await;
        }
        send_failed_print(printer);
    }
}

/// Sends commands to a healthy printer until the flood is over. Returns the longest time of a command.
async fn run_healthy_commands(setup: &FloodSetup, id: &str, is_over: impl Fn() -> bool) -> Duration {
    let mut slowest = Duration::ZERO;
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    while !is_over() {
        tick.tick().await;
        for command in ["connect", "disconnect"] {
            let started = Instant::now();
            let batch = setup.run_batch(json!({"command": command, "select": {"printer_ids": [id]}})).await;
            assert_eq!(batch["result"], "ok", "{batch}");
            slowest = slowest.max(started.elapsed());
        }
    }
    slowest
}

/// Runs two printers, of which the first floods for [`FLOOD`]: `prints` that start and fail, every `pause`.
async fn check_flood(prints: usize, pause: Duration) {
    let setup = FloodSetup::start_with(2).await;
    let noisy = setup.farm.printers()[0].clone();
    let [noisy_id, healthy_id] = [&setup.ids[0], &setup.ids[1]];
    let before = setup.measure_bytes().await;
    let started = Instant::now();
    run_healthy_commands(&setup, healthy_id, || started.elapsed() >= BASELINE_TIME).await;
    let calm = (setup.measure_bytes().await.1 - before.1) / BASELINE_TIME.as_secs();
    let before = setup.measure_bytes().await;
    let started = Instant::now();
    let flooding = tokio::spawn(async move {
        let mut tick = tokio::time::interval(pause);
        while started.elapsed() < FLOOD_TIME {
            tick.tick().await;
            (0..prints).for_each(|_| send_failed_print(&noisy));
        }
    });
    let slowest = run_healthy_commands(&setup, healthy_id, || flooding.is_finished()).await;
    flooding.await.expect("it floods");
    let after = setup.measure_bytes().await;
    let [growth, written] = [after.0 - before.0, after.1 - before.1].map(|bytes| bytes / FLOOD_TIME.as_secs());
    let recorded = setup.server.get(&format!("/prints?printer_id={noisy_id}&limit=500")).await;
    let recorded = recorded["items"].as_array().expect("prints").len();
    println!(
        "{prints} per {pause:?}: the database grows by {growth} bytes/s, {written} bytes/s are written in all (log of the \
         database, sockets; {calm} without the flood), {recorded} prints, slowest healthy command {slowest:?}"
    );
    assert!(growth <= GROWTH_PER_S, "{growth} bytes per second");
    assert!(slowest < Duration::from_secs(3), "{slowest:?}");
    // The last state and the end of a real print are still recorded.
    setup.until_online(noisy_id).await;
    setup.start_print(noisy_id, "bracket.gcode").await;
    wait::until("its end is recorded", DEADLINE, async || {
        let prints = setup.server.get(&format!("/prints?printer_id={noisy_id}&limit=1")).await;
        if prints["items"][0]["result"] == "done" { Ok(()) } else { Err(prints) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_printer_that_sends_10_000_events_per_second_costs_little_and_delays_no_other() {
    check_flood(25, Duration::from_millis(10)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_printer_that_starts_and_fails_all_the_time_costs_little_and_delays_no_other() {
    check_flood(1, Duration::from_millis(50)).await;
}

/// Before, during and after the real print, the printer sends more facts than the recorder queue holds.
#[tokio::test(flavor = "multi_thread")]
async fn a_real_print_that_ends_during_a_flood_is_recorded_once_with_its_end() {
    let setup = FloodSetup::start_with(1).await;
    let (printer, id) = (&setup.farm.printers()[0], &setup.ids[0]);
    // Takes two seconds at a hundred times the real speed.
    printer.put_file("real.gcode", "G4 P1000\n".repeat(190));
    send_failed_prints(printer, 100).await;
    let batch = setup.start_print(id, "real.gcode").await;
    for _ in 0..10 {
        send_state(printer, "PAUSED");
        send_state(printer, "PRINTING");
    }
    wait::until("the print has ended", DEADLINE, async || {
        let state = printer.state_text();
        if state == "Operational" { Ok(()) } else { Err(state) }
    })
    .await;
    send_failed_prints(printer, 100).await;

    let path = format!("/prints?batch_id={}", batch["id"].as_str().expect("an id"));
    let print = wait::until("its end is recorded", DEADLINE, async || {
        let prints = setup.server.get(&path).await;
        if prints["items"][0]["result"].is_string() { Ok(prints) } else { Err(prints) }
    })
    .await;
    let [print] = &print["items"].as_array().expect("prints")[..] else { panic!("once: {print}") };
    assert_eq!((&print["result"], &print["file"]["path"]), (&json!("done"), &json!("real.gcode")), "{print}");
    assert_eq!(print["started_by"]["command_id"], batch["commands"][0]["id"], "{print}");
    // All waiting facts are stored or merged.
    let events = wait::until("prints were merged", DEADLINE, async || {
        let events = setup.server.get("/events?limit=500").await["items"].take();
        let is_merged = events.as_array().is_some_and(|events| {
            events.iter().any(|event| event["type"] == "printer.noisy" && event["data"]["prints"].as_u64() > Some(0))
        });
        if is_merged { Ok(events) } else { Err(events) }
    })
    .await;
    let of_print = |kind: &str| {
        let events = events.as_array().into_iter().flatten();
        events.filter(|event| event["type"] == kind && event["data"]["print_id"] == print["id"]).count()
    };
    assert_eq!(["print.started", "print.finished", "print.failed"].map(of_print), [1, 1, 0], "{events}");
}
