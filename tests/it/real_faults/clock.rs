//! A wall clock that is wrong for a while: retention must not delete rows because of it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use reqwest::Method;
use serde_json::{Value, json};

use super::farm::ServedFarm;
use crate::support::{
    env_or_skip, needs,
    process::{ADMIN_TOKEN, ServerProcess, sqlite_url},
    wait::{assert_throughout, until},
};

/// Deadline for a condition on a busy machine.
const SOON: Duration = Duration::from_secs(60);

/// The wall clock of servers that `start_server` starts. A test can change it while they run. Their monotonic clock is
/// real.
struct FakeClock {
    library: String,
    /// The difference from the real time. libfaketime reads this file each time.
    file: PathBuf,
}

impl FakeClock {
    /// Creates a correct clock. `None` where libfaketime is missing.
    fn new(dir: &Path) -> Option<Self> {
        let library = env_or_skip("PRINTYARD_TEST_FAKETIME", "the library of libfaketime")?;
        let clock = Self { library, file: dir.join("clock") };
        clock.set("+0");
        Some(clock)
    }

    /// Sets the difference from the real time, as in `-9000d`.
    fn set(&self, difference: &str) {
        // The file is replaced by a rename, because a server may read it at any time.
        let next = self.file.with_extension("next");
        fs::write(&next, difference).expect("written");
        fs::rename(&next, &self.file).expect("renamed");
    }

    fn start_server(&self, dir: &Path) -> ServerProcess {
        let file = self.file.to_str().expect("a path in UTF-8");
        let variables = [
            ("RUST_LOG", "off"),
            ("LD_PRELOAD", &self.library),
            ("FAKETIME_TIMESTAMP_FILE", file),
            ("FAKETIME_NO_CACHE", "1"),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
            ("NO_FAKE_STAT", "1"),
        ];
        ServerProcess::spawn(dir, &sqlite_url(dir), &[], &variables, Stdio::inherit())
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs libfaketime, which tests/run provides"]
async fn a_clock_that_was_in_the_past_for_one_change_costs_no_record() {
    let dir = tempfile::tempdir().expect("a folder");
    let clock = needs!(FakeClock::new(dir.path()));
    let farm = start_farm_with_records(&clock, dir.path()).await;
    clock.set("-9000d");
    change_something(&farm.server).await;
    let rows = farm.server.get("/audit?limit=1").await;
    let at = rows["items"][0]["at"].as_str().expect("a time");
    assert!(at < "2015", "the clock was moved: {at}");
    clock.set("+0");
    // Further rows follow, so the row from the past is not the last one.
    change_something(&farm.server).await;
    change_something(&farm.server).await;
    let before = Records::read(&farm.server).await;
    let farm = restart(farm, &clock, dir.path()).await;
    Records::read(&farm.server).await.assert_has(&before);
    assert_audit_is_whole(dir.path()).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs libfaketime, which tests/run provides"]
async fn a_clock_that_is_years_ahead_at_a_start_costs_no_record() {
    let dir = tempfile::tempdir().expect("a folder");
    let clock = needs!(FakeClock::new(dir.path()));
    let farm = start_farm_with_records(&clock, dir.path()).await;
    let before = Records::read(&farm.server).await;
    clock.set("+1095d");
    let farm = restart(farm, &clock, dir.path()).await;
    change_something(&farm.server).await;
    let tasks = farm.server.get("/background").await;
    let waits = |task: &&Value| task["last_error"].as_str().is_some_and(|error| error.starts_with("clock_jumped"));
    assert!(tasks["items"].as_array().expect("tasks").iter().any(|task| waits(&task)), "{tasks}");
    Records::read(&farm.server).await.assert_has(&before);
    clock.set("+0");
    let before = Records::read(&farm.server).await;
    let farm = restart(farm, &clock, dir.path()).await;
    Records::read(&farm.server).await.assert_has(&before);
    assert_audit_is_whole(dir.path()).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs libfaketime, which tests/run provides"]
async fn a_clock_that_jumps_ahead_makes_no_part_of_the_server_look_dead() {
    let dir = tempfile::tempdir().expect("a folder");
    let clock = needs!(FakeClock::new(dir.path()));
    let farm = start_farm_with_records(&clock, dir.path()).await;
    for hours in 1..=5 {
        clock.set(&format!("+{hours}h"));
        assert_throughout("the server is ready", Duration::from_millis(500), async || {
            let ready = farm.server.request(Method::GET, "/readyz").send().await.expect("an answer");
            if ready.status() == 200 { Ok(()) } else { Err(ready.text().await) }
        })
        .await;
    }
}

/// Starts a farm with rows of every kind that retention deletes.
async fn start_farm_with_records(clock: &FakeClock, dir: &Path) -> ServedFarm {
    let farm = ServedFarm::with_server(clock.start_server(dir)).await;
    farm.assert_works().await;
    for _ in 0..20 {
        change_something(&farm.server).await;
    }
    farm
}

/// Kills the server and starts it again, and waits until its periodic tasks have run.
async fn restart(mut farm: ServedFarm, clock: &FakeClock, dir: &Path) -> ServedFarm {
    farm.server.kill();
    let farm = farm.switch_server(clock.start_server(dir)).await;
    until("every periodic task has run", SOON, async || {
        let tasks = farm.server.get("/background").await;
        let items = tasks["items"].as_array().ok_or_else(|| tasks.clone())?;
        let has_run = |task: &Value| task["last_success_at"].is_string() || task["last_error"].is_string();
        if !items.is_empty() && items.iter().all(has_run) { Ok(()) } else { Err(tasks) }
    })
    .await;
    farm
}

/// Makes a change that adds a row to the audit.
async fn change_something(server: &ServerProcess) {
    let printers = server.get("/printers?limit=1").await;
    let printer = &printers["items"][0];
    let path = format!("/api/v1/printers/{}", printer["id"].as_str().expect("an id"));
    let notes = json!({"notes": format!("{} again", printer["notes"].as_str().unwrap_or_default())});
    let answer =
        server.request(Method::PATCH, &path).bearer_auth(ADMIN_TOKEN).json(&notes).send().await.expect("an answer");
    assert_eq!(answer.status(), 200);
}

/// The numbers or ids of all rows that retention can delete.
struct Records([(&'static str, Vec<String>); 3]);

impl Records {
    async fn read(server: &ServerProcess) -> Self {
        let mut records = [("audit", Vec::new()), ("events", Vec::new()), ("batches", Vec::new())];
        for (list, ids) in &mut records {
            let page = server.get(&format!("/{list}?limit=500")).await;
            for item in page["items"].as_array().unwrap_or_else(|| panic!("{page}")) {
                ids.push(if *list == "audit" { &item["seq"] } else { &item["id"] }.to_string());
            }
        }
        Self(records)
    }

    /// Asserts that every row of `before` still exists.
    fn assert_has(&self, before: &Self) {
        for ((list, now), (_, before)) in self.0.iter().zip(&before.0) {
            assert!(!before.is_empty(), "there were no {list}");
            let lost: Vec<&String> = before.iter().filter(|id| !now.contains(id)).collect();
            assert!(lost.is_empty(), "{} of {} {list} are gone", lost.len(), before.len());
        }
    }
}

async fn assert_audit_is_whole(dir: &Path) {
    let verified = ServerProcess::verify_audit(dir, &sqlite_url(dir)).await;
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));
}
