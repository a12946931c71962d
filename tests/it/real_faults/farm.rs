//! A farm at work, and the checks that must pass after any fault.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use printyard::simulator::{Farm, FarmConfig, ReceivedRequest, SimulatedPrinter, sample_gcode};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::support::{
    process::ServerProcess,
    wait::{self, until},
};

/// Printers that print.
pub const PRINTING: usize = 12;
/// Printers of a farm. The last one is used only by [`Yard::probe`].
const PRINTERS: usize = PRINTING + 1;
/// Deadline for work that a fault delayed, counted from its end, on a busy machine.
const DEADLINE: Duration = Duration::from_secs(90);
/// The file of every start: it prints for two seconds at a hundred times the real speed.
const FILE: &str = "part.gcode";

/// A server process, with a farm of simulated printers in the test's process.
pub struct ServedFarm {
    pub server: ServerProcess,
    farm: Farm,
    /// The id of each printer, in the order of the farm.
    ids: Vec<String>,
}

/// A batch of starts that a fault must interrupt.
pub struct Starts {
    id: String,
    /// The number of requests that each printer had received before the batch.
    received_before: Vec<usize>,
}

impl ServedFarm {
    /// Starts a server on a database.
    pub async fn start(dir: &Path, url: &str) -> Self {
        let log = [("RUST_LOG", "off")];
        Self::with_server(ServerProcess::spawn(dir, url, &[], &log, Stdio::inherit())).await
    }

    /// Registers the printers of a new farm at a server that is starting.
    pub async fn with_server(server: ServerProcess) -> Self {
        let farm = FarmConfig {
            printers: PRINTERS,
            time_scale: 100.0,
            latency: Duration::from_millis(20),
            ..FarmConfig::default()
        };
        let farm = Farm::start(farm).await.expect("a farm");
        server.until_ready().await;
        let mut ids = Vec::new();
        for printer in farm.printers() {
            printer.put_file(FILE, sample_gcode(200));
            printer.select(FILE);
            let body = json!({"name": printer.name(), "url": printer.url(), "api_key": printer.api_key()});
            let (status, body) = server.post("/printers", &body).await.expect("an answer");
            assert_eq!(status, StatusCode::CREATED, "{body}");
            ids.push(body["id"].as_str().expect("an id").to_owned());
        }
        let served = Self { server, farm, ids };
        served.until_idle().await;
        served
    }

    /// Switches to another server on the same database.
    pub async fn switch_server(self, server: ServerProcess) -> Self {
        server.until_ready().await;
        let served = Self { server, ..self };
        served.until_idle().await;
        served
    }

    /// Waits until every printer is online and has no print.
    pub async fn until_idle(&self) {
        until("every printer is idle", DEADLINE, async || {
            let list = self.server.get("/printers?limit=500").await;
            let items = list["items"].as_array().ok_or_else(|| list.clone())?;
            let idle =
                |item: &&Value| item["status"]["reachability"] == "online" && item["status"]["state"] == "operational";
            if items.iter().filter(idle).count() == PRINTERS { Ok(()) } else { Err(list) }
        })
        .await;
    }

    /// Starts a print on every printer in intervals. Returns when the first printers have received their start.
    pub async fn start_prints(&self) -> Starts {
        let starts = self.send_starts(json!({"interval_ms": 100, "expires_in_s": 300})).await;
        until("the batch is under way", DEADLINE, async || self.count_received_starts(&starts) > 1).await;
        starts
    }

    /// Sends a batch of starts to every printer, with the fields of `batch`.
    pub async fn send_starts(&self, mut batch: Value) -> Starts {
        let before = self.printing_printers().map(|(_, printer)| printer.received_requests().len()).collect();
        batch["command"] = "start".into();
        batch["select"] = json!({"printer_ids": self.ids[..PRINTING]});
        (batch["plate"], batch["reason"]) = ("assume_clear".into(), "a test of faults".into());
        let (status, batch) = self.server.post("/batches", &batch).await.expect("an answer");
        assert_eq!(status, StatusCode::ACCEPTED, "{batch}");
        Starts { id: batch["id"].as_str().expect("an id").to_owned(), received_before: before }
    }

    /// Waits until no more starts of a batch arrive. Returns how many printers have received one.
    pub async fn until_sends_stop(&self, starts: &Starts) -> usize {
        let mut last = (usize::MAX, Instant::now());
        until("nothing more is sent", DEADLINE, async || {
            let now = self.count_received_starts(starts);
            if now != last.0 {
                last = (now, Instant::now());
            }
            if last.1.elapsed() > Duration::from_secs(1) { Ok(now) } else { Err(now) }
        })
        .await
    }

    /// Returns how many printers have received a start of a batch.
    pub fn count_received_starts(&self, starts: &Starts) -> usize {
        self.requests_since(starts).filter(|received| !received.is_empty()).count()
    }

    /// Asserts that some printers had not received their start when the fault began.
    pub fn assert_not_all_sent(&self, starts: &Starts) {
        let received = self.count_received_starts(starts);
        assert!(received < PRINTING, "the fault came when all {received} starts were sent");
    }

    /// Waits until the first print of a batch has ended. The server may have been unable to record that end.
    pub async fn until_a_print_ends(&self, starts: &Starts) {
        until("a print ends", DEADLINE, async || {
            let has_ended = |(printer, received): (&SimulatedPrinter, Vec<ReceivedRequest>)| {
                count_starts(&received) > 0 && printer.state_text() == "Operational"
            };
            self.printing_printers().map(|(_, printer)| printer).zip(self.requests_since(starts)).any(has_ended)
        })
        .await;
    }

    /// Waits until a batch has ended, and compares each of its rows with what its printer received. Returns how many
    /// starts were confirmed.
    pub async fn verify_ended_batch(&self, starts: &Starts) -> usize {
        let path = format!("/batches/{}", starts.id);
        until("the batch has ended", DEADLINE, async || {
            let batch = self.server.get(&path).await;
            if batch["finished_at"].is_string() { Ok(()) } else { Err(batch) }
        })
        .await;
        let rows = self.server.get(&format!("{path}/commands?limit=500")).await;
        let rows = rows["items"].as_array().expect("rows");
        assert_eq!(rows.len(), PRINTING);
        let by_printer: HashMap<&str, &Value> =
            rows.iter().map(|row| (row["printer_id"].as_str().expect("an id"), row)).collect();
        for ((id, _), received) in self.printing_printers().zip(self.requests_since(starts)) {
            assert_row_matches(by_printer[id], &received);
        }
        let mut outcomes = BTreeMap::new();
        for row in rows {
            *outcomes.entry(format!("{} {}", row["outcome"], row["reason"])).or_insert(0) += 1;
        }
        println!("{outcomes:?}");
        rows.iter().filter(|row| row["outcome"] == "confirmed").count()
    }

    /// Waits until each print is recorded once and with its end. Checks that the feed has each start and each end.
    pub async fn assert_prints_are_recorded_once(&self) {
        self.until_idle().await;
        let expected: Vec<usize> =
            self.printing_printers().map(|(_, printer)| count_starts(&printer.received_requests())).collect();
        until("each print is recorded once, with its end", DEADLINE, async || {
            let prints = self.server.get("/prints?limit=500").await;
            let items = prints["items"].as_array().ok_or_else(|| prints.clone())?;
            let done =
                |id: &str| items.iter().filter(|print| print["printer_id"] == id && print["result"] == "done").count();
            let recorded: Vec<usize> = self.printing_printers().map(|(id, _)| done(id)).collect();
            if recorded == expected && items.len() == expected.iter().sum::<usize>() { Ok(()) } else { Err(prints) }
        })
        .await;
        for kind in ["print.started", "print.finished"] {
            let events = self.server.get(&format!("/events?limit=500&types={kind}")).await;
            let events = events["items"].as_array().expect("events");
            assert_eq!(events.len(), expected.iter().sum::<usize>(), "{kind}");
        }
    }

    /// Asserts that the server works again: it is ready, and a batch to every printer is confirmed.
    pub async fn assert_works(&self) {
        self.server.until_ready().await;
        self.until_idle().await;
        let starts = self.start_prints().await;
        assert_eq!(self.verify_ended_batch(&starts).await, PRINTING, "every start is confirmed");
        self.assert_prints_are_recorded_once().await;
    }

    /// Asserts the recovery after a fault: the server is ready, each start and print is recorded correctly, and a
    /// further batch works. Returns how many of the starts were confirmed.
    pub async fn assert_recovers(&self, starts: &Starts) -> usize {
        self.server.until_ready().await;
        let confirmed = self.verify_ended_batch(starts).await;
        assert!(confirmed > 2, "only {confirmed} starts were confirmed");
        self.assert_prints_are_recorded_once().await;
        self.assert_works().await;
        confirmed
    }

    /// Writes once: sends a batch that changes nothing. Returns the status, or `None` where the server did not answer.
    pub async fn try_write(&self) -> Option<StatusCode> {
        let batch = json!({"command": "cancel", "select": {"printer_ids": [self.ids[PRINTING]]}});
        Some(self.server.post("/batches", &batch).await?.0)
    }

    /// Waits until the server refuses a write.
    pub async fn until_writes_fail(&self) {
        until("a write is refused", DEADLINE, async || match self.try_write().await {
            Some(StatusCode::SERVICE_UNAVAILABLE) => Ok(()),
            other => Err(other),
        })
        .await;
    }

    /// Waits until `/readyz` reports that this part does not work. Returns its response.
    pub async fn until_not_ready(&self, part: &str) -> Value {
        until(&format!("the part {part:?} is not ready"), DEADLINE, async || {
            let answer = self
                .server
                .request(reqwest::Method::GET, "/readyz")
                .send()
                .await
                .map_err(|error| json!(error.to_string()))?;
            let status = answer.status();
            let body: Value = answer.json().await.unwrap_or_default();
            let is_reported = status == StatusCode::SERVICE_UNAVAILABLE && body["parts"][part]["ok"] == false;
            if is_reported { Ok(body) } else { Err(body) }
        })
        .await
    }

    /// Asserts that the fault lasts: `/readyz` fails each time.
    pub async fn assert_stays_not_ready(&self, time: Duration) {
        wait::assert_throughout("the server is not ready", time, async || {
            match self.server.get_status("/readyz").await {
                Some(StatusCode::OK) => Err("ready"),
                _ => Ok(()),
            }
        })
        .await;
    }

    /// Returns the printers that print, with their ids.
    fn printing_printers(&self) -> impl Iterator<Item = (&str, &SimulatedPrinter)> {
        self.ids.iter().map(String::as_str).zip(self.farm.printers()).take(PRINTING)
    }

    /// Returns the requests that each printer has received since the batch was sent.
    fn requests_since(&self, starts: &Starts) -> impl Iterator<Item = Vec<ReceivedRequest>> {
        let later = |(printer, before): (&SimulatedPrinter, &usize)| printer.received_requests().split_off(*before);
        self.printing_printers().map(|(_, printer)| printer).zip(&starts.received_before).map(later)
    }
}

fn count_starts(received: &[ReceivedRequest]) -> usize {
    received.iter().filter(|one| one.command == "start" && one.acted).count()
}

/// Asserts that the row of a start matches what its printer received, and that the printer received at most one start.
fn assert_row_matches(row: &Value, received: &[ReceivedRequest]) {
    let both = || format!("{row}\nthe printer received {received:?}");
    assert_eq!(row["final"], true, "{}", both());
    assert!(received.iter().filter(|one| one.command == "start").count() <= 1, "a start was sent twice: {}", both());
    match row["effect"].as_str() {
        Some("done") => assert_eq!(count_starts(received), 1, "{}", both()),
        Some("none") => assert_eq!(count_starts(received), 0, "{}", both()),
        Some("maybe") => {}
        other => panic!("{other:?}: {}", both()),
    }
}
