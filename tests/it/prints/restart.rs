//! Stops the server between prints, by SIGTERM and by SIGKILL, and restarts it. It must not record old prints again,
//! and plates must stay clear.

use std::time::Duration;

use futures_util::future::join_all;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::{
    conformance::subject::Subject,
    support::{
        needs,
        octoprint::Version,
        postgres,
        process::{ServerProcess, sqlite_in},
        wait,
    },
};

const SOON: Duration = Duration::from_secs(60);
const SHORT: &str = "short.gcode";
const LONG: &str = "long.gcode";

/// How the prints of a round end.
#[derive(Clone, Copy, Debug)]
enum End {
    Done,
    Cancelled,
    Failed,
}

impl End {
    const ALL: [Self; 3] = [Self::Done, Self::Cancelled, Self::Failed];

    fn result(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Cancelled => "cancelled",
            Self::Failed => "failed",
        }
    }
}

/// How the server ends.
#[derive(Clone, Copy, Debug)]
enum Stop {
    Kill,
    Terminate,
}

/// Printers behind a server that is stopped and restarted.
struct Hall {
    subjects: Vec<Subject>,
    ids: Vec<String>,
    dir: tempfile::TempDir,
    database_url: String,
    server: ServerProcess,
}

impl Hall {
    async fn of(subjects: Vec<Subject>, dir: tempfile::TempDir, database_url: String) -> Self {
        let server = ServerProcess::on(dir.path(), &database_url, &[]).await;
        let mut ids = Vec::new();
        for subject in &subjects {
            for (path, lines) in [(SHORT, 5), (LONG, 600)] {
                subject.upload(path, "G4 P100\n".repeat(lines)).await;
            }
            let body = json!({"name": subject.url, "url": subject.url, "api_key": subject.api_key});
            let (status, body) = server.post("/printers", &body).await.expect("an answer");
            assert_eq!(status, StatusCode::CREATED, "{body}");
            ids.push(body["id"].as_str().expect("an id").to_owned());
        }
        let hall = Self { subjects, ids, dir, database_url, server };
        hall.until_online().await;
        hall
    }

    /// Waits until every printer has been read.
    async fn until_online(&self) {
        wait::until("every printer is online", SOON, async || {
            let list = self.server.get("/printers").await;
            let items = list["items"].as_array().expect("printers").clone();
            let online =
                |item: &Value| item["status"]["reachability"] == "online" && item["status"]["channel"] == "push";
            if items.iter().all(online) { Ok(()) } else { Err(items) }
        })
        .await;
    }

    /// Runs prints on all printers with one batch. Returns their rows after every print has ended with this result.
    async fn round(&self, number: usize, end: End) -> Vec<Value> {
        let file = if matches!(end, End::Done) { SHORT } else { LONG };
        let order = format!("MO/{number}");
        let wish = json!({
            "command": "start", "select": {"printer_ids": self.ids}, "file": {"path": file}, "external_ref": order,
        });
        let (status, batch) = self.server.post("/batches", &wish).await.expect("an answer");
        assert!(status.is_success(), "{batch}");
        let path = format!("/batches/{}", batch["id"].as_str().expect("an id"));
        wait::until("every print is confirmed", SOON, async || {
            let batch = self.server.get(&path).await;
            if batch["result"] == "ok" { Ok(()) } else { Err(batch) }
        })
        .await;
        for subject in &self.subjects {
            match end {
                End::Done => {}
                End::Cancelled => assert_eq!(subject.job_answer("cancel", None).await.0, 204, "{}", subject.name),
                End::Failed => subject.gcode(&["!!DEBUG:trigger_fatal_error_marlin"]).await,
            }
        }
        wait::until("every print has ended", SOON, async || {
            let rows = self.prints().await;
            let ended = rows.iter().filter(|row| row["external_ref"] == order && row["result"] == end.result()).count();
            if ended == self.subjects.len() { Ok(rows) } else { Err(rows) }
        })
        .await
    }

    async fn prints(&self) -> Vec<Value> {
        self.server.get("/prints?limit=500").await["items"].as_array().expect("prints").clone()
    }

    /// Counts the events of prints that started, and of prints that ended.
    async fn events(&self) -> (usize, usize) {
        let count = async |types: &str| {
            let page = self.server.get(&format!("/events?limit=500&types={types}")).await;
            page["items"].as_array().expect("events").len()
        };
        let ended = count("print.finished,print.cancelled,print.failed,print.unknown").await;
        (count("print.started").await, ended)
    }

    async fn plates(&self) -> Vec<Value> {
        let list = self.server.get("/printers").await;
        list["items"].as_array().expect("printers").iter().map(|item| item["plate"]["state"].clone()).collect()
    }

    async fn clear_plates(&self) {
        let (status, body) =
            self.server.post("/plates/clear", &json!({"printer_ids": self.ids})).await.expect("an answer");
        assert_eq!(status, StatusCode::MULTI_STATUS, "{body}");
        assert_eq!(self.plates().await, vec![json!("clear"); self.ids.len()]);
    }

    /// Stops the server and starts it again, and waits until it has read every printer.
    async fn restart(&mut self, stop: Stop) {
        match stop {
            Stop::Kill => self.server.kill(),
            Stop::Terminate => {
                self.server.signal("TERM");
                self.server.ended(SOON).await;
            }
        }
        self.server = ServerProcess::on(self.dir.path(), &self.database_url, &[]).await;
        self.until_online().await;
    }

    /// Connects OctoPrint to the printer again, because a failed print has closed that connection.
    async fn reconnect(&self) {
        for subject in &self.subjects {
            subject.connection("connect").await;
            subject.until_state("Operational").await;
        }
        wait::until("every printer is operational", SOON, async || {
            let list = self.server.get("/printers").await;
            let items = list["items"].as_array().expect("printers").clone();
            let ready = |item: &Value| item["status"]["state"] == "operational";
            if items.iter().all(ready) { Ok(()) } else { Err(items) }
        })
        .await;
    }
}

/// The recorded rows do not change when the server stops. It stops directly after the end of a print is recorded and
/// before the next poll, then again later, and then with clear plates.
async fn records_nothing_anew(mut hall: Hall) {
    let printers = hall.subjects.len();
    for (number, end) in End::ALL.into_iter().enumerate() {
        let rows = hall.round(number, end).await;
        assert_eq!(rows.len(), printers * (number + 1), "{end:?}: one row for each print: {rows:?}");
        for (stop, clear) in [(Stop::Kill, true), (Stop::Terminate, false), (Stop::Kill, false)] {
            hall.restart(stop).await;
            assert_eq!(hall.prints().await, rows, "{end:?}, {stop:?}");
            assert_eq!(hall.events().await, (rows.len(), rows.len()), "{end:?}, {stop:?}");
            if clear {
                hall.clear_plates().await;
            } else {
                assert_eq!(hall.plates().await, vec![json!("clear"); printers], "{end:?}, {stop:?}");
            }
        }
        if matches!(end, End::Failed) {
            hall.reconnect().await;
            hall.restart(Stop::Kill).await;
            assert_eq!(hall.prints().await, rows, "connected again");
            assert_eq!(hall.plates().await, vec![json!("clear"); printers]);
        }
    }
}

async fn simulated() -> Vec<Subject> {
    join_all([Version::V1, Version::V2].map(Subject::simulated)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_records_no_print_anew_on_sqlite() {
    let dir = tempfile::tempdir().expect("a folder");
    let database_url = sqlite_in(dir.path());
    records_nothing_anew(Hall::of(simulated().await, dir, database_url).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_records_no_print_anew_on_postgresql() {
    let database = needs!(postgres::fresh_database().await);
    let dir = tempfile::tempdir().expect("a folder");
    records_nothing_anew(Hall::of(simulated().await, dir, database.url.clone()).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_records_no_print_anew_on_octoprint() {
    let subjects: Option<Vec<Subject>> = join_all(Version::ALL.map(Subject::real)).await.into_iter().collect();
    let subjects = needs!(subjects);
    let dir = tempfile::tempdir().expect("a folder");
    let database_url = sqlite_in(dir.path());
    records_nothing_anew(Hall::of(subjects, dir, database_url).await).await;
}
