//! Stops the server between prints, by SIGTERM and by SIGKILL, and restarts it. It must not record old prints again,
//! and plates must stay clear.

use std::time::Duration;

use futures_util::future::join_all;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::{
    conformance::subject::TestSubject,
    support::{
        fresh_database, needs,
        octoprint::OctoPrintVersion,
        process::{ServerProcess, sqlite_url},
        wait,
    },
};

const SOON: Duration = Duration::from_secs(60);
const SHORT: &str = "short.gcode";
const LONG: &str = "long.gcode";

/// How the prints of a round end.
#[derive(Clone, Copy, Debug)]
enum PrintEnd {
    Done,
    Cancelled,
    Failed,
}

impl PrintEnd {
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
enum ServerStop {
    Kill,
    Terminate,
}

/// Printers behind a server that is stopped and restarted.
struct RestartSetup {
    subjects: Vec<TestSubject>,
    ids: Vec<String>,
    dir: tempfile::TempDir,
    database_url: String,
    server: ServerProcess,
}

impl RestartSetup {
    async fn start(subjects: Vec<TestSubject>, dir: tempfile::TempDir, database_url: String) -> Self {
        let server = ServerProcess::start_on(dir.path(), &database_url, &[]).await;
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
        let setup = Self { subjects, ids, dir, database_url, server };
        setup.until_online().await;
        setup
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
    async fn run_prints(&self, number: usize, end: PrintEnd) -> Vec<Value> {
        let file = if matches!(end, PrintEnd::Done) { SHORT } else { LONG };
        let order = format!("MO/{number}");
        let body = json!({
            "command": "start", "select": {"printer_ids": self.ids}, "file": {"path": file}, "external_ref": order,
        });
        let (status, batch) = self.server.post("/batches", &body).await.expect("an answer");
        assert!(status.is_success(), "{batch}");
        let path = format!("/batches/{}", batch["id"].as_str().expect("an id"));
        wait::until("every print is confirmed", SOON, async || {
            let batch = self.server.get(&path).await;
            if batch["result"] == "ok" { Ok(()) } else { Err(batch) }
        })
        .await;
        for subject in &self.subjects {
            match end {
                PrintEnd::Done => {}
                PrintEnd::Cancelled => assert_eq!(subject.post_job("cancel", None).await.0, 204, "{}", subject.name),
                PrintEnd::Failed => subject.send_gcode(&["!!DEBUG:trigger_fatal_error_marlin"]).await,
            }
        }
        wait::until("every print has ended", SOON, async || {
            let rows = self.list_prints().await;
            let ended = rows.iter().filter(|row| row["external_ref"] == order && row["result"] == end.result()).count();
            if ended == self.subjects.len() { Ok(rows) } else { Err(rows) }
        })
        .await
    }

    async fn list_prints(&self) -> Vec<Value> {
        self.server.get("/prints?limit=500").await["items"].as_array().expect("prints").clone()
    }

    /// Counts the events of prints that started, and of prints that ended.
    async fn count_events(&self) -> (usize, usize) {
        let count = async |types: &str| {
            let page = self.server.get(&format!("/events?limit=500&types={types}")).await;
            page["items"].as_array().expect("events").len()
        };
        let ended = count("print.finished,print.cancelled,print.failed,print.unknown").await;
        (count("print.started").await, ended)
    }

    async fn plate_states(&self) -> Vec<Value> {
        let list = self.server.get("/printers").await;
        list["items"].as_array().expect("printers").iter().map(|item| item["plate"]["state"].clone()).collect()
    }

    async fn clear_plates(&self) {
        let (status, body) =
            self.server.post("/plates/clear", &json!({"printer_ids": self.ids})).await.expect("an answer");
        assert_eq!(status, StatusCode::MULTI_STATUS, "{body}");
        assert_eq!(self.plate_states().await, vec![json!("clear"); self.ids.len()]);
    }

    /// Stops the server and starts it again, and waits until it has read every printer.
    async fn restart(&mut self, stop: ServerStop) {
        match stop {
            ServerStop::Kill => self.server.kill(),
            ServerStop::Terminate => {
                self.server.send_signal("TERM");
                self.server.until_ended(SOON).await;
            }
        }
        self.server = ServerProcess::start_on(self.dir.path(), &self.database_url, &[]).await;
        self.until_online().await;
    }

    /// Connects OctoPrint to the printer again, because a failed print has closed that connection.
    async fn reconnect(&self) {
        for subject in &self.subjects {
            subject.post_connection("connect").await;
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
async fn assert_nothing_recorded_anew(mut setup: RestartSetup) {
    let printers = setup.subjects.len();
    for (number, end) in PrintEnd::ALL.into_iter().enumerate() {
        let rows = setup.run_prints(number, end).await;
        assert_eq!(rows.len(), printers * (number + 1), "{end:?}: one row for each print: {rows:?}");
        for (stop, clear) in [(ServerStop::Kill, true), (ServerStop::Terminate, false), (ServerStop::Kill, false)] {
            setup.restart(stop).await;
            assert_eq!(setup.list_prints().await, rows, "{end:?}, {stop:?}");
            assert_eq!(setup.count_events().await, (rows.len(), rows.len()), "{end:?}, {stop:?}");
            if clear {
                setup.clear_plates().await;
            } else {
                assert_eq!(setup.plate_states().await, vec![json!("clear"); printers], "{end:?}, {stop:?}");
            }
        }
        if matches!(end, PrintEnd::Failed) {
            setup.reconnect().await;
            setup.restart(ServerStop::Kill).await;
            assert_eq!(setup.list_prints().await, rows, "connected again");
            assert_eq!(setup.plate_states().await, vec![json!("clear"); printers]);
        }
    }
}

async fn start_simulated() -> Vec<TestSubject> {
    join_all([OctoPrintVersion::V1, OctoPrintVersion::V2].map(TestSubject::start_simulated)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_records_no_print_anew_on_sqlite() {
    let dir = tempfile::tempdir().expect("a folder");
    let database_url = sqlite_url(dir.path());
    assert_nothing_recorded_anew(RestartSetup::start(start_simulated().await, dir, database_url).await).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, which tests/run provides"]
async fn a_restart_records_no_print_anew_on_postgresql() {
    let database = needs!(fresh_database::create_fresh_database().await);
    let dir = tempfile::tempdir().expect("a folder");
    assert_nothing_recorded_anew(RestartSetup::start(start_simulated().await, dir, database.url.clone()).await).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs real OctoPrint, which tests/run provides"]
async fn a_restart_records_no_print_anew_on_octoprint() {
    let subjects: Option<Vec<TestSubject>> =
        join_all(OctoPrintVersion::ALL.map(TestSubject::start_real)).await.into_iter().collect();
    let subjects = needs!(subjects);
    let dir = tempfile::tempdir().expect("a folder");
    let database_url = sqlite_url(dir.path());
    assert_nothing_recorded_anew(RestartSetup::start(subjects, dir, database_url).await).await;
}
