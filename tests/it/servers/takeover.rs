//! Take-overs: two or three servers on one database, and the sending one is killed or stopped at random times during
//! batches. Every command must end with an outcome that matches what its printer received. No printer may receive a
//! start twice.
//!
//! Runs 20 rounds over both databases by default. `PRINTYARD_TEST_TAKEOVERS=1000 cargo test --test it takeover` sets
//! another number.

use std::{collections::HashMap, path::Path, process::Stdio, time::Duration};

use printyard::simulator::SimulatedPrinter;
use reqwest::StatusCode;
use serde_json::json;

use crate::support::{
    command_log_check::{
        assert_row_matches_printer, format_outcome_counts, register_farm, start_long_print_farm, until_online,
    },
    fresh_database::create_fresh_database,
    process::{ADMIN_TOKEN, ServerProcess, sqlite_url},
    seeded_rng::{SeededRng, repeat_count, test_seed},
    wait::{self, until},
};

const PRINTERS: usize = 20;
/// Deadline for a take-over and a batch. The batch waits for commands that an earlier server may still send.
const DEADLINE: Duration = Duration::from_secs(120);
/// Minimum time for which a stopped server on SQLite keeps its lock.
const LOCK_KEPT_FOR: Duration = Duration::from_millis(1_500);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum DatabaseKind {
    Sqlite,
    Postgres,
}

/// A farm with its servers.
struct TakeoverSetup {
    database: DatabaseKind,
    url: String,
    dir: tempfile::TempDir,
    servers: Vec<ServerProcess>,
    by_id: HashMap<String, SimulatedPrinter>,
    dice: SeededRng,
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_take_over_from_each_other_settle_every_command_and_repeat_no_start() {
    let seed = test_seed("takeover");
    let rounds = repeat_count("PRINTYARD_TEST_TAKEOVERS", 20);
    // PostgreSQL gets more farms, because a take-over from a stopped server takes 10 s of waiting.
    let on_postgres = (0..3).map(|n| {
        let rounds = (rounds - rounds / 2).div_ceil(3);
        run_takeovers(DatabaseKind::Postgres, 2 + n % 2, seed.wrapping_add(1 + n), rounds)
    });
    let on_sqlite = run_takeovers(DatabaseKind::Sqlite, 2, seed, rounds / 2);
    tokio::join!(on_sqlite, futures_util::future::join_all(on_postgres));
}

async fn run_takeovers(database: DatabaseKind, servers: u64, seed: u64, rounds: u64) {
    let postgres = match database {
        DatabaseKind::Sqlite => None,
        DatabaseKind::Postgres => match create_fresh_database().await {
            Some(database) => Some(database),
            None => return,
        },
    };
    let farm = start_long_print_farm(PRINTERS).await;
    let dir = tempfile::tempdir().expect("a folder");
    let url = postgres.as_ref().map_or_else(|| sqlite_url(dir.path()), |database| database.url.clone());
    let first = start_standby(dir.path(), &url);
    first.until_ready().await;
    let by_id = register_farm(&first, &farm).await;
    let mut setup = TakeoverSetup { database, url, dir, servers: vec![first], by_id, dice: SeededRng::new(seed) };
    for _ in 1..servers {
        setup.servers.push(start_standby(setup.dir.path(), &setup.url));
    }
    for round in 0..rounds {
        setup.run_round(&format!("{database:?}, seed {seed}, round {round}"), round).await;
    }
}

fn start_standby(dir: &Path, url: &str) -> ServerProcess {
    ServerProcess::spawn(dir, url, &["--standby"], &[("RUST_LOG", "off")], Stdio::inherit())
}

impl TakeoverSetup {
    /// Returns the index of the server that sends.
    async fn find_sender(&self) -> usize {
        until("a server is ready", DEADLINE, async || {
            for (n, server) in self.servers.iter().enumerate() {
                if self.get_status(server, "/readyz").await == Some(StatusCode::OK) {
                    return Some(n);
                }
            }
            None
        })
        .await
    }

    /// Returns the status of a path, or `None` from a stopped server.
    async fn get_status(&self, server: &ServerProcess, path: &str) -> Option<StatusCode> {
        tokio::time::timeout(Duration::from_millis(500), server.get_status(path)).await.ok().flatten()
    }

    async fn run_round(&mut self, context: &str, round: u64) {
        let sender = self.find_sender().await;
        until_online(&self.servers[sender], PRINTERS, DEADLINE).await;
        let before: HashMap<String, usize> =
            self.by_id.iter().map(|(id, printer)| (id.clone(), printer.received_requests().len())).collect();
        let command = ["start", "cancel", "restart"][usize::try_from(round % 3).expect("a small number")];
        let ids: Vec<&String> = self.by_id.keys().collect();
        let mut batch = json!({
            "command": command, "select": {"printer_ids": ids}, "confirm_within_s": 3, "external_ref": context,
        });
        if command != "cancel" {
            batch["plate"] = "assume_clear".into();
            batch["reason"] = "the take-over test".into();
        }
        let is_kill = self.dice.below(2) == 0;
        let delay = Duration::from_millis(self.dice.below(150));
        let acknowledged = tokio::select! {
            answer = self.servers[sender].post("/batches", &batch) => answer.is_some(),
            () = wait::pause(delay) => false,
        };
        if is_kill {
            self.kill_and_replace(sender).await
        } else {
            self.stop_and_wake(sender).await
        }
        let sender = self.find_sender().await;
        let server = &self.servers[sender];
        // The standby cuts its connections when it takes over, so the request is repeated.
        let path = format!("/api/v1/batches?external_ref={}", context.replace(' ', "%20"));
        let found = until("an answer", DEADLINE, async || {
            let request = server.request(reqwest::Method::GET, &path).bearer_auth(ADMIN_TOKEN);
            request.send().await.ok()?.json::<serde_json::Value>().await.ok()
        })
        .await;
        let Some(id) = found["items"][0]["id"].as_str().map(str::to_owned) else {
            assert!(!acknowledged, "{context}: the batch was acknowledged, and is not in the command log");
            return;
        };
        until("the batch ends", DEADLINE, async || {
            let batch = server.get(&format!("/batches/{id}")).await;
            if batch["finished_at"].is_null() { Err(batch["commands"].clone()) } else { Ok(()) }
        })
        .await;
        let rows = server.get(&format!("/batches/{id}/commands?limit=500")).await;
        let rows = rows["items"].as_array().expect("rows");
        assert_eq!(rows.len(), PRINTERS, "{context}");
        let what = if is_kill { "killed" } else { "stopped" };
        println!("{context}, {command}, {what} after {delay:?}: {}", format_outcome_counts(rows));
        for row in rows {
            let id = row["printer_id"].as_str().expect("an id");
            assert_row_matches_printer(context, command, row, &self.by_id[id], before[id]);
        }
    }

    /// Kills the sending server and restarts it as a standby after another server has taken over.
    async fn kill_and_replace(&mut self, sender: usize) {
        self.servers[sender].kill();
        self.find_sender().await;
        self.servers[sender] = start_standby(self.dir.path(), &self.url);
    }

    /// Stops the sending server and wakes it. On PostgreSQL another server takes over, and the stopped one becomes a
    /// standby when it wakes. On SQLite it keeps its lock.
    async fn stop_and_wake(&mut self, sender: usize) {
        self.servers[sender].send_signal("STOP");
        // A process with several threads stops shortly after the signal.
        until("the holder no longer answers", DEADLINE, async || {
            self.get_status(&self.servers[sender], "/readyz").await.is_none()
        })
        .await;
        match self.database {
            DatabaseKind::Sqlite => {
                wait::assert_throughout("the standby waits", LOCK_KEPT_FOR, async || {
                    for server in &self.servers {
                        if self.get_status(server, "/readyz").await == Some(StatusCode::OK) {
                            return false;
                        }
                    }
                    true
                })
                .await;
                self.servers[sender].send_signal("CONT");
                assert_eq!(self.find_sender().await, sender, "the woken holder continues");
            }
            DatabaseKind::Postgres => {
                let next = self.find_sender().await;
                assert_ne!(next, sender);
                self.servers[sender].send_signal("CONT");
                until("the overtaken server waits as a standby", DEADLINE, async || {
                    let server = &self.servers[sender];
                    let ready = self.get_status(server, "/readyz").await;
                    let health = self.get_status(server, "/healthz").await;
                    if (ready, health) == (Some(StatusCode::SERVICE_UNAVAILABLE), Some(StatusCode::OK)) {
                        Ok(())
                    } else {
                        Err((ready, health))
                    }
                })
                .await;
            }
        }
    }
}
