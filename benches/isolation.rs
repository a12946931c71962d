//! Measures how dead printers delay healthy ones.
//!
//! Sends a cancel to 1,000 printers, of which every tenth is dead (refuses, hangs, drips slowly or answers garbage).
//! Takes the time until every healthy printer has accepted. Compares it with the same cancel to a farm of healthy
//! printers in the same run.
//!
//! `cargo bench --bench isolation`

#[expect(dead_code, reason = "each benchmark uses a part of it")]
mod support;

use std::{collections::HashSet, time::Duration};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use support::{Farm, Server, min_median_max};

const PRINTERS: usize = 1_000;
const LATENCY_MS: u64 = 50;
const ROUNDS: usize = 7;
const FAULTS: [&str; 4] = ["refuse", "hang", "drip", "garbage"];

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let _ = rlimit::increase_nofile_limit(u64::MAX);
    let farm = Farm::start(PRINTERS, LATENCY_MS);
    runtime.block_on(async {
        let server = Server::start(&farm).await;
        let dead: HashSet<&str> = farm.printers.iter().step_by(10).map(|printer| printer.name.as_str()).collect();
        let healthy = measure_rounds(&server, &dead).await;
        for (i, name) in dead.iter().enumerate() {
            farm.set_fault(name, FAULTS[i % FAULTS.len()]).await;
        }
        let with_dead = measure_rounds(&server, &dead).await;
        println!(
            "a cancel to {PRINTERS} printers, until the last of the {} healthy ones has accepted it",
            PRINTERS - dead.len()
        );
        let (min, without, max) = min_median_max(&healthy);
        println!("nobody dead         median {without:7.1} ms  ({min:.1} to {max:.1})");
        let (min, with, max) = min_median_max(&with_dead);
        println!("one in ten dead     median {with:7.1} ms  ({min:.1} to {max:.1})");
        println!("ratio of medians    {:.2}  (target: at most 1.20)", with / without);
    });
}

/// Starts and cancels in turn. Returns the time of each cancel among the printers that are not in `dead`.
async fn measure_rounds(server: &Server, dead: &HashSet<&str>) -> Vec<f64> {
    let mut figures = Vec::new();
    for round in 0..=ROUNDS {
        let ids: Vec<_> = server.list_printers().await.iter().map(|printer| printer["id"].clone()).collect();
        server
            .run_batch(&json!({"command": "start", "select": {"printer_ids": ids}, "plate": "assume_clear",
                "reason": "benchmark", "confirm_within_s": 10}))
            .await;
        let (batch, rows) =
            server.run_batch(&json!({"command": "cancel", "select": {"all": true}, "confirm_within_s": 10})).await;
        let created_at = parse_time(&batch["created_at"]);
        let accepted = rows
            .iter()
            .filter(|row| !dead.contains(row["printer_name"].as_str().expect("a name")))
            .map(|row| {
                assert!(!row["accepted_at"].is_null(), "{row}");
                parse_time(&row["accepted_at"])
            })
            .max()
            .expect("rows");
        if round > 0 {
            let microseconds = (accepted - created_at).num_microseconds().expect("a short time");
            figures.push(f64::from(i32::try_from(microseconds).expect("a short time")) / 1_000.0);
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    figures
}

fn parse_time(value: &Value) -> DateTime<Utc> {
    value.as_str().and_then(|text| text.parse().ok()).expect("a time")
}
