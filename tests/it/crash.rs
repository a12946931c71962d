//! The server is killed at a random moment while a batch goes out over 200 printers, and started again: every command
//! has one final outcome that agrees with what the printers saw, and no start was received twice.

use std::{collections::HashMap, time::Duration};

use printyard::simulator::{Farm, FarmConfig, Fault, SimulatedPrinter};
use serde_json::{Value, json};

use crate::support::{
    process::ServerProcess,
    wait::{self, until},
};

const PRINTERS: usize = 200;
const SEEDS: u64 = 12;
/// A batch ends well within: confirmation is waited for 3 s, an answer 10 s.
const PATIENCE: Duration = Duration::from_secs(90);

/// Small numbers from a seed, so that a failure can be repeated.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_settles_every_command_and_repeats_no_start() {
    let farm = Farm::start(FarmConfig {
        printers: PRINTERS,
        latency: Duration::from_millis(30),
        with_sample_files: true,
        select: Some("long/vase.gcode".into()),
        ..FarmConfig::default()
    })
    .await
    .expect("a farm");
    let dir = tempfile::tempdir().expect("a folder");
    let mut server = ServerProcess::start(dir.path()).await;
    for printer in farm.printers() {
        let body = json!({"name": printer.name(), "url": printer.url(), "api_key": printer.api_key()});
        let (status, _) = server.post("/printers", &body).await.expect("an answer");
        assert_eq!(status, 201);
    }
    let by_id = ids(&server, &farm).await;
    for seed in 0..SEEDS {
        server = crash_once(server, dir.path(), seed, &by_id).await;
    }
}

/// One batch, one kill, one look at what became of it.
async fn crash_once(
    mut server: ServerProcess,
    dir: &std::path::Path,
    seed: u64,
    by_id: &HashMap<String, SimulatedPrinter>,
) -> ServerProcess {
    let mut dice = Dice(seed.wrapping_mul(7_919) + 1);
    online(&server).await;
    let before: HashMap<&str, usize> =
        by_id.iter().map(|(id, printer)| (id.as_str(), printer.received().len())).collect();
    for printer in by_id.values() {
        match dice.below(12) {
            0 => printer.fault_next_command(Fault::ResetAfterActing),
            1 => printer.fault_next_command(Fault::Reset),
            _ => {}
        }
    }
    let command = ["start", "cancel", "start", "restart"][usize::try_from(seed % 4).expect("small")];
    let ids: Vec<&String> = by_id.keys().collect();
    let mut batch = json!({
        "command": command, "select": {"printer_ids": ids}, "confirm_within_s": 3, "external_ref": format!("seed-{seed}"),
    });
    if command != "cancel" {
        batch["plate"] = "assume_clear".into();
        batch["reason"] = "the crash test".into();
    }
    let delay = Duration::from_millis(dice.below(260));
    let killed = async {
        // The moment of the kill is the random variable of this test, not something waited for.
        wait::pause(delay).await;
    };
    let answer = {
        let post = server.post("/batches", &batch);
        tokio::pin!(post);
        tokio::select! {
            answer = &mut post => { killed.await; answer }
            () = wait::pause(delay) => None,
        }
    };
    server.kill();
    let server = ServerProcess::start(dir).await;
    let batches = server.get(&format!("/batches?external_ref=seed-{seed}")).await;
    let Some(id) = batches["items"][0]["id"].as_str() else {
        assert!(answer.is_none(), "seed {seed}: the batch was acknowledged, and is not in the ledger");
        return server;
    };
    until("the batch ends", PATIENCE, async || {
        let batch = server.get(&format!("/batches/{id}")).await;
        if batch["finished_at"].is_null() { Err(batch["counts"].clone()) } else { Ok(()) }
    })
    .await;
    let rows = server.get(&format!("/batches/{id}/commands?limit=500")).await;
    let rows = rows["items"].as_array().expect("rows");
    assert_eq!(rows.len(), PRINTERS, "seed {seed}");
    println!("seed {seed}, {command}, killed after {delay:?}: {}", tally(rows));
    for row in rows {
        let id = row["printer_id"].as_str().expect("an id");
        agree(seed, command, row, &by_id[id], before[id]);
    }
    server
}

/// Outcomes with their numbers, for whoever reads a failure.
fn tally(rows: &[Value]) -> String {
    let mut counts = std::collections::BTreeMap::new();
    for row in rows {
        let reason = row["reason"].as_str().map(|reason| format!("/{reason}")).unwrap_or_default();
        *counts.entry(format!("{}{reason}", row["outcome"].as_str().unwrap_or("?"))).or_insert(0) += 1;
    }
    format!("{counts:?}")
}

/// Whether what the ledger says of a command is what its printer saw.
fn agree(seed: u64, command: &str, row: &Value, printer: &SimulatedPrinter, before: usize) {
    let seen: Vec<_> = printer.received().into_iter().skip(before).collect();
    let count =
        |command: &str, acted: bool| seen.iter().filter(|one| one.command == command && (one.acted || !acted)).count();
    let say = || format!("seed {seed}, {command}: {row}\nthe printer saw {seen:?}");
    assert_eq!(row["final"], true, "{}", say());
    // `fault: reset` loses the request before it acts; it was still sent, and a start is sent only once.
    assert!(count("start", false) <= 1, "a start was received twice: {}", say());
    match (row["effect"].as_str(), command) {
        (Some("done"), "start") => assert_eq!(count("start", true), 1, "{}", say()),
        (Some("done"), "restart") => {
            assert!(count("cancel", true) == 1 && count("start", true) == 1, "{}", say());
        }
        (Some("done"), "cancel") => assert!(!printer.state_text().starts_with("Printing"), "{}", say()),
        (Some("none"), _) => assert!(seen.iter().all(|one| !one.acted), "{}", say()),
        (Some("maybe"), _) => {}
        other => panic!("{other:?}: {}", say()),
    }
}

async fn ids(server: &ServerProcess, farm: &Farm) -> HashMap<String, SimulatedPrinter> {
    let list = server.get("/printers?limit=500").await;
    let items = list["items"].as_array().expect("printers");
    let id_of = |printer: &SimulatedPrinter| {
        let item = items.iter().find(|item| item["name"] == printer.name()).expect("registered");
        item["id"].as_str().expect("an id").to_owned()
    };
    farm.printers().iter().map(|printer| (id_of(printer), printer.clone())).collect()
}

async fn online(server: &ServerProcess) {
    until("every printer is online and in a lasting state", PATIENCE, async || {
        let list = server.get("/printers?limit=500").await;
        let items = list["items"].as_array().expect("printers").clone();
        let ready = |item: &Value| {
            let status = &item["status"];
            status["reachability"] == "online"
                && ["operational", "printing", "paused"].iter().any(|s| status["state"] == *s)
        };
        let waiting: Vec<_> = items.iter().filter(|item| !ready(item)).map(|item| item["status"].clone()).collect();
        if waiting.is_empty() && items.len() == PRINTERS { Ok(()) } else { Err(waiting) }
    })
    .await;
}
