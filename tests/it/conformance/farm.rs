//! Several printers at once: no printer affects another one, and each row has the verified result of its own printer.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::{
    subject::{SOON, Subject},
    yard::{batch, end_of, ended, register},
};
use crate::support::{
    octoprint::Version,
    server::{Options, TestServer},
    wait,
};

const FILE: &str = "long.gcode";

/// Three idle printers behind a server, each with a selected file.
struct Hall {
    server: TestServer,
    subjects: Vec<Subject>,
    ids: Vec<String>,
}

impl Hall {
    async fn of(subjects: Vec<Subject>) -> Self {
        let server = TestServer::with(Options { plate_gate: false, ..Options::default() }).await;
        join_all(subjects.iter().map(async |subject: &Subject| {
            subject.upload(FILE, "G4 P100\n".repeat(6_000)).await;
            subject.select(FILE).await;
        }))
        .await;
        let mut ids = Vec::new();
        for subject in &subjects {
            ids.push(register(&server, subject).await);
        }
        let hall = Self { server, subjects, ids };
        for (id, subject) in hall.ids.iter().zip(&hall.subjects) {
            let channel = if subject.has_socket() { "push" } else { "poll" };
            hall.until(id, channel, |printer| printer["status"]["channel"] == channel).await;
            hall.until(id, "online", |printer| printer["status"]["reachability"] == "online").await;
        }
        hall
    }

    async fn until(&self, id: &str, what: &str, is_so: impl Fn(&Value) -> bool) {
        wait::until(what, SOON, async || {
            let (_, printer, _) = self.server.get(&format!("/api/v1/printers/{id}")).await;
            if is_so(&printer) { Ok(()) } else { Err(printer) }
        })
        .await;
    }

    async fn until_all(&self, state: &str) {
        for id in &self.ids {
            self.until(id, state, |printer| printer["status"]["state"] == state).await;
        }
    }

    /// Sends a batch to all three printers in their order, and returns it after its end.
    async fn all(&self, mut body: Value) -> Value {
        body["select"] = json!({ "printer_ids": self.ids });
        batch(&self.server, body).await
    }

    async fn post(&self, mut body: Value) -> String {
        body["select"] = json!({ "printer_ids": self.ids });
        let (status, made, _) = self.server.post("/api/v1/batches", body).await;
        assert!(status.is_success(), "{made}");
        made["id"].as_str().expect("an id").to_owned()
    }

    /// Checks that no printer does anything for `time`.
    async fn stays_idle(&self, time: Duration) {
        wait::throughout("all are idle", time, async || {
            for subject in &self.subjects {
                let job = subject.job().await;
                if job["state"] != "Operational" {
                    return Err(job);
                }
            }
            Ok(())
        })
        .await;
    }
}

fn outcomes(batch: &Value) -> Vec<String> {
    batch["commands"].as_array().expect("rows").iter().map(ended).collect()
}

/// Starts all printers in intervals and cancels between two starts. The later starts must not happen.
async fn a_cancel_amid_a_staggered_start_leaves_nothing_that_starts_later(hall: &Hall) {
    let starts = hall.post(json!({ "command": "start", "interval_ms": 1_500 })).await;
    wait::until("the first printer prints", SOON, async || hall.subjects[0].job().await["state"] == "Printing").await;
    let cancel = hall.all(json!({ "command": "cancel" })).await;
    let done = |row: &Value| row["effect"] == "done";
    assert!(cancel["commands"].as_array().is_some_and(|rows| rows.iter().all(done)), "{cancel}");
    let starts = end_of(&hall.server, &starts).await;
    assert_eq!(
        outcomes(&starts),
        ["confirmed", "skipped/overtaken_by_cancel", "skipped/overtaken_by_cancel"],
        "{starts}"
    );
    hall.stays_idle(Duration::from_millis(3_200)).await;
}

async fn a_stop_amid_a_staggered_start_leaves_nothing_that_starts_later(hall: &Hall) {
    let starts = hall.post(json!({ "command": "start", "interval_ms": 1_500 })).await;
    wait::until("the first printer prints", SOON, async || hall.subjects[0].job().await["state"] == "Printing").await;
    let (status, stopped, _) = hall.server.post(&format!("/api/v1/batches/{starts}/stop"), json!({})).await;
    assert!(status.is_success(), "{stopped}");
    let starts = end_of(&hall.server, &starts).await;
    assert_eq!(outcomes(&starts), ["confirmed", "skipped/batch_stopped", "skipped/batch_stopped"], "{starts}");
    hall.all(json!({ "command": "cancel" })).await;
    hall.stays_idle(Duration::from_millis(3_200)).await;
}

/// The first printer is healthy, the second one has just been frozen, and the third one is dead.
async fn every_row_tells_the_truth_about_its_own_printer(hall: &mut Hall) {
    let start = hall.all(json!({ "command": "start" })).await;
    assert_eq!(outcomes(&start), ["confirmed"; 3], "{start}");
    hall.until_all("printing").await;
    hall.subjects[1].freeze();
    hall.subjects[2].kill();
    let begun = Instant::now();
    let pause = hall.post(json!({ "command": "pause", "confirm_within_s": 5 })).await;
    // The command of the healthy printer ends while the others still run.
    let healthy = wait::until("the healthy printer is paused", SOON, async || {
        let (_, batch, _) = hall.server.get(&format!("/api/v1/batches/{pause}")).await;
        let row = batch["commands"][0].clone();
        if row["final"] == true { Ok(batch) } else { Err(batch) }
    })
    .await;
    assert_eq!(ended(&healthy["commands"][0]), "confirmed", "{healthy}");
    assert!(healthy["finished_at"].is_null(), "the batch waits for the frozen printer: {healthy}");
    let batch = end_of(&hall.server, &pause).await;
    eprintln!("{}: {:?} after {:?}", hall.subjects[0].name, outcomes(&batch), begun.elapsed());
    assert_eq!(outcomes(&batch)[2], "unreachable", "{batch}");
    // The pause was sent to a socket that still seemed open. Or the printer was read first, because the silence had
    // been noticed.
    let frozen = outcomes(&batch)[1].clone();
    assert!(["unknown/no_answer", "unreachable"].contains(&frozen.as_str()), "{batch}");
    // If the lost socket has already shown that the printer is gone, nothing was sent.
    let attempts = u64::from(!hall.subjects[2].has_socket());
    assert!(batch["commands"][2]["attempts"].as_u64().is_some_and(|seen| seen <= attempts), "{batch}");
    assert_eq!(batch["result"], if frozen == "unreachable" { "partial" } else { "uncertain" }, "{batch}");
    hall.subjects[1].thaw();
    if frozen == "unknown/no_answer" {
        // A frozen OctoPrint executes the request when it continues. Printyard may take such a young print for another
        // one after the gap. Then the row stays unsettled. It must never say that the pause had no effect.
        let id = hall.ids[1].clone();
        hall.until(&id, "paused", |printer| printer["status"]["state"] == "paused").await;
        wait::throughout("the row is true", Duration::from_millis(500), async || {
            let (_, batch, _) = hall.server.get(&format!("/api/v1/batches/{pause}")).await;
            let row = batch["commands"][1].clone();
            let true_so_far = ended(&row) == frozen && row["settled"]["effect"] != "none";
            if true_so_far { Ok(()) } else { Err(row) }
        })
        .await;
        assert_eq!(hall.subjects[1].job().await["state"], "Paused");
    }
    // The dead printer is now known to be unreachable. It is tried once, without a delay.
    let begun = Instant::now();
    let cancel = hall.all(json!({ "command": "cancel" })).await;
    assert_eq!(outcomes(&cancel), ["confirmed", "confirmed", "unreachable"], "{cancel}");
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
}

async fn keeps_printers_apart(subjects: Vec<Subject>) {
    let mut hall = Hall::of(subjects).await;
    a_cancel_amid_a_staggered_start_leaves_nothing_that_starts_later(&hall).await;
    a_stop_amid_a_staggered_start_leaves_nothing_that_starts_later(&hall).await;
    every_row_tells_the_truth_about_its_own_printer(&mut hall).await;
}

#[tokio::test]
async fn three_simulated_printers_are_kept_apart_with_event_sockets_and_without() {
    let three = async || join_all((0..3).map(|_| Subject::simulated(Version::V1))).await;
    let polled = three().await.into_iter().map(Subject::without_socket).collect();
    tokio::join!(keeps_printers_apart(three().await), keeps_printers_apart(polled));
}

#[tokio::test]
async fn three_octoprints_are_kept_apart() {
    let subjects = join_all([Version::V1, Version::V2, Version::V1].map(Subject::real)).await;
    let subjects: Option<Vec<Subject>> = subjects.into_iter().collect();
    keeps_printers_apart(crate::support::needs!(subjects)).await;
}
