//! Measures how printers that hang in a transfer delay the others, and how transfers delay a cancel.
//!
//! A library file of 4 MB goes to 60 printers by one batch. Three of them stop reading in the middle. Takes the time until
//! every other printer has accepted its start. Compares it with the same batch without hanging printers in the same run.
//! A cancel to all printers is sent while the hanging transfers are open, and compared with one without transfers. Prints
//! how much the memory of the server grew meanwhile.
//!
//! `cargo bench --bench transfers`, or with other numbers
//! `PRINTYARD_BENCH_PRINTERS=500 PRINTYARD_BENCH_MB=20 PRINTYARD_BENCH_HANGING=10 cargo bench --bench transfers`

#[expect(dead_code, reason = "each benchmark uses a part of it")]
mod support;

use std::{
    collections::HashSet,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use support::{Farm, Server, elapsed_ms, min_median_max, wait_until};

const LATENCY_MS: u64 = 20;
const ROUNDS: usize = 5;

fn setting(name: &str, default: usize) -> usize {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

fn main() {
    let printers = setting("PRINTYARD_BENCH_PRINTERS", 60);
    let megabytes = setting("PRINTYARD_BENCH_MB", 4);
    let hanging = setting("PRINTYARD_BENCH_HANGING", 3);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let _ = rlimit::increase_nofile_limit(u64::MAX);
    let farm = Farm::start(printers, LATENCY_MS);
    runtime.block_on(async {
        let server = Server::start(&farm).await;
        let slow: HashSet<String> = farm.printers.iter().take(hanging).map(|printer| printer.name.clone()).collect();
        // Warms up connections and code.
        Round { server: &server, farm: &farm, slow: &slow, megabytes }.run(false).await;
        let before_kib = server.resident_kib();
        let highest_kib = AtomicU64::new(before_kib);
        let (mut without, mut with) = (Vec::new(), Vec::new());
        let (mut cancel_alone, mut cancel_beside) = (Vec::new(), Vec::new());
        let measure = async {
            for _ in 0..ROUNDS {
                let round = Round { server: &server, farm: &farm, slow: &slow, megabytes };
                let (done, cancel) = round.run(false).await;
                without.push(done);
                cancel_alone.push(cancel);
                let (done, cancel) = round.run(true).await;
                with.push(done);
                cancel_beside.push(cancel);
            }
        };
        let watch = async {
            loop {
                highest_kib.fetch_max(server.resident_kib(), Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::select! { () = measure => {}, () = watch => {} }
        println!(
            "{megabytes} MB to {printers} printers, until the last of the {} others has accepted its start",
            printers - hanging
        );
        let (min, alone, max) = min_median_max(&without);
        println!("none hangs            median {alone:8.1} ms  ({min:.1} to {max:.1})");
        let (min, beside, max) = min_median_max(&with);
        println!("{hanging} hang in transfer    median {beside:8.1} ms  ({min:.1} to {max:.1})");
        println!("ratio of medians      {:.2}  (target: at most 1.10)", beside / alone);
        println!("a cancel to all, until its last command has ended");
        let (min, alone, max) = min_median_max(&cancel_alone);
        println!("without transfers     median {alone:8.1} ms  ({min:.1} to {max:.1})");
        let (min, beside, max) = min_median_max(&cancel_beside);
        println!("beside {hanging} transfers     median {beside:8.1} ms  ({min:.1} to {max:.1})");
        println!("ratio of medians      {:.2}  (target: at most 1.10)", beside / alone);
        let grown = highest_kib.load(Ordering::Relaxed).saturating_sub(before_kib) / 1_024;
        println!("memory of the server grew by {grown} MB  (target: below 30)");
    });
}

struct Round<'a> {
    server: &'a Server,
    farm: &'a Farm,
    /// Names of the printers that hang.
    slow: &'a HashSet<String>,
    megabytes: usize,
}

impl Round<'_> {
    /// Starts a new file on all printers, and cancels. Returns both times in milliseconds.
    async fn run(&self, hangs: bool) -> (f64, f64) {
        if hangs {
            for name in self.slow {
                self.farm.set_fault_value(name, &json!({"stop_reading": 256 * 1_024})).await;
            }
        }
        let file = self.upload().await;
        let ids: Vec<Value> = self.server.list_printers().await.iter().map(|printer| printer["id"].clone()).collect();
        let body = json!({"command": "start", "select": {"printer_ids": ids}, "file": {"file_id": file}, "plate": "assume_clear",
            "reason": "benchmark", "confirm_within_s": 10});
        let (status, batch) = self.server.post("/batches", &body).await;
        assert_eq!(status, 202, "{batch}");
        let id = batch["id"].as_str().expect("an id").to_owned();
        let rows = self.until_others_accepted(&id).await;
        let accepted = rows.iter().filter_map(|row| row["accepted_at"].as_str()).map(parse_time).max().expect("rows");
        let done = accepted - parse_time(batch["created_at"].as_str().expect("a time"));
        let begun = Instant::now();
        let cancel = json!({"command": "cancel", "select": {"printer_ids": ids}, "confirm_within_s": 10});
        let (_, rows) = self.server.run_batch(&cancel).await;
        let cancelled = elapsed_ms(begun);
        assert_eq!(rows.len(), ids.len());
        for name in self.slow {
            self.farm.set_fault_value(name, &Value::Null).await;
        }
        wait_until("every printer is idle", || async { self.server.count_in_state("operational").await == ids.len() })
            .await;
        (
            f64::from(i32::try_from(done.num_microseconds().expect("a short time")).expect("a short time")) / 1_000.0,
            cancelled,
        )
    }

    /// Waits until every printer that does not hang has accepted its start.
    async fn until_others_accepted(&self, batch: &str) -> Vec<Value> {
        loop {
            let rows = self.server.get(&format!("/batches/{batch}/commands?limit=500")).await;
            let rows = rows["items"].as_array().expect("rows").clone();
            let others = rows.iter().filter(|row| !self.slow.contains(row["printer_name"].as_str().expect("a name")));
            if others.clone().all(|row| !row["accepted_at"].is_null()) {
                return others.cloned().collect();
            }
            if let Some(row) = others.clone().find(|row| row["final"] == true && row["accepted_at"].is_null()) {
                panic!("{row}");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Adds a new content to the library. Returns the id of its file.
    async fn upload(&self) -> Value {
        static ROUND: AtomicU64 = AtomicU64::new(0);
        let mut content = format!("; round {}\n{}", ROUND.fetch_add(1, Ordering::Relaxed), "G4 P100\n".repeat(20_000));
        while content.len() < self.megabytes * 1_000_000 {
            content.push_str("; a comment that costs a printer no time, and fills the file up to its size\n");
        }
        let part = reqwest::multipart::Part::text(content).file_name("bench.gcode");
        let form = reqwest::multipart::Form::new().part("file", part);
        let request = self.server.client.post(format!("{}/api/v1/files", self.server.url)).bearer_auth(support::TOKEN);
        let file: Value = request.multipart(form).send().await.expect("an answer").json().await.expect("JSON");
        assert!(file["id"].is_string(), "{file}");
        file["id"].clone()
    }
}

fn parse_time(text: &str) -> DateTime<Utc> {
    text.parse().expect("a time")
}
