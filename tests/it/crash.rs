//! Kills the server at a random time during a batch and restarts it. Each command must have one final outcome that
//! matches what its printer received. No printer may receive a start twice.
//!
//! Kills 60 times by default. `PRINTYARD_TEST_KILLS=1000 cargo test --test it crash` sets another number.

use std::{collections::HashMap, path::Path, time::Duration};

use printyard::{
    domain::command::Outcome,
    simulator::{Fault, SimulatedPrinter},
    storage::{Db, commands},
};
use serde_json::json;

use crate::support::{
    command_log_check::{
        assert_row_matches_printer, format_outcome_counts, register_farm, start_long_print_farm, until_online,
    },
    process::{ServerProcess, sqlite_url},
    seeded_rng::{SeededRng, repeat_count, test_seed},
    wait::{self, until},
};

/// Farms that run at the same time, because a kill is mostly waiting.
const FARMS: u64 = 3;
const PRINTERS: usize = 40;
/// Deadline for a batch. Confirmation takes up to 3 s, and an answer up to 10 s.
const BATCH_DEADLINE: Duration = Duration::from_secs(90);

/// Counts the open rows that kills left behind, by their outcome.
#[derive(Debug, Default)]
struct OpenRowCounts(HashMap<Outcome, usize>);

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_settles_every_command_and_repeats_no_start() {
    let seed = test_seed("crash");
    let kills = repeat_count("PRINTYARD_TEST_KILLS", 60).div_ceil(FARMS);
    let farms = (0..FARMS).map(|n| kill_often(seed.wrapping_add(n * 1_000_003), kills));
    let mut hits = OpenRowCounts::default();
    for farm in futures_util::future::join_all(farms).await {
        for (outcome, n) in farm.0 {
            *hits.0.entry(outcome).or_default() += n;
        }
    }
    println!("kills left open rows: {hits:?}");
    for outcome in [Outcome::Queued, Outcome::Sent, Outcome::Accepted] {
        assert!(hits.0.contains_key(&outcome), "no kill hit a row that was {outcome}: {hits:?}");
    }
}

async fn kill_often(seed: u64, kills: u64) -> OpenRowCounts {
    let farm = start_long_print_farm(PRINTERS).await;
    let dir = tempfile::tempdir().expect("a folder");
    let mut server = ServerProcess::start(dir.path()).await;
    let by_id = register_farm(&server, &farm).await;
    let mut hits = OpenRowCounts::default();
    let mut rng = SeededRng::new(seed);
    for round in 0..kills {
        server = crash_once(server, dir.path(), (seed, round), &mut rng, &by_id, &mut hits).await;
    }
    hits
}

/// Runs one batch with one kill, and checks how it ended.
async fn crash_once(
    mut server: ServerProcess,
    dir: &Path,
    (seed, round): (u64, u64),
    rng: &mut SeededRng,
    by_id: &HashMap<String, SimulatedPrinter>,
    hits: &mut OpenRowCounts,
) -> ServerProcess {
    let context = format!("seed {seed}, round {round}");
    until_online(&server, PRINTERS, BATCH_DEADLINE).await;
    let before: HashMap<&str, usize> =
        by_id.iter().map(|(id, printer)| (id.as_str(), printer.received_requests().len())).collect();
    for printer in by_id.values() {
        match rng.below(12) {
            0 => printer.queue_command_fault(Fault::ResetAfterActing),
            1 => printer.queue_command_fault(Fault::Reset),
            _ => {}
        }
    }
    let command = ["start", "cancel", "start", "restart"][usize::try_from(round % 4).expect("a small number")];
    let ids: Vec<&String> = by_id.keys().collect();
    let external_ref = format!("round-{round}");
    let mut batch = json!({
        "command": command, "select": {"printer_ids": ids}, "confirm_within_s": 3, "external_ref": external_ref,
    });
    if command != "cancel" {
        batch["plate"] = "assume_clear".into();
        batch["reason"] = "the crash test".into();
    }
    let delay = Duration::from_millis(rng.below(180));
    let killed = async {
        // The time of the kill is the random variable of this test. The test does not wait for anything here.
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
    count_open_rows(dir, hits).await;
    let server = ServerProcess::start(dir).await;
    let batches = server.get(&format!("/batches?external_ref={external_ref}")).await;
    let Some(id) = batches["items"][0]["id"].as_str() else {
        assert!(answer.is_none(), "{context}: the batch was acknowledged, and is not in the command log");
        return server;
    };
    until("the batch ends", BATCH_DEADLINE, async || {
        let batch = server.get(&format!("/batches/{id}")).await;
        if batch["finished_at"].is_null() { Err(batch["counts"].clone()) } else { Ok(()) }
    })
    .await;
    let rows = server.get(&format!("/batches/{id}/commands?limit=500")).await;
    let rows = rows["items"].as_array().expect("rows");
    assert_eq!(rows.len(), PRINTERS, "{context}");
    println!("{context}, {command}, killed after {delay:?}: {}", format_outcome_counts(rows));
    for row in rows {
        let id = row["printer_id"].as_str().expect("an id");
        assert_row_matches_printer(&context, command, row, &by_id[id], before[id]);
    }
    server
}

/// Counts the open rows after a kill, before the next start.
async fn count_open_rows(dir: &Path, hits: &mut OpenRowCounts) {
    let db = Db::open(&sqlite_url(dir)).await.expect("the database");
    for row in commands::list_open(&db).await.expect("open rows") {
        *hits.0.entry(row.outcome).or_default() += 1;
    }
    db.close().await;
}
