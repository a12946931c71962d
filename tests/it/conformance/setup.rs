//! A whole Printyard with printers under test, used over its REST API as a program would.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::subject::{DEADLINE, TestSubject};
use crate::support::{
    server::{TestServer, send_request},
    wait,
};

/// A file that prints for ten minutes. No scenario waits for its end.
pub const LONG_FILE: &str = "long.gcode";
/// Three lines of 0.1 s.
pub const SHORT_FILE: &str = "short.gcode";

/// One printer behind a server.
pub struct PrinterSetup {
    pub server: TestServer,
    pub subject: TestSubject,
    pub id: String,
}

impl PrinterSetup {
    /// Registers the printer with the tag `hall`, and waits until it is online.
    pub async fn start(subject: TestSubject) -> Self {
        let server = TestServer::start().await;
        for (path, lines) in [(LONG_FILE, 6_000), (SHORT_FILE, 3)] {
            subject.upload(path, "G4 P100\n".repeat(lines)).await;
        }
        let id = register_printer(&server, &subject).await;
        server.until_online(&id).await;
        let setup = Self { server, subject, id };
        // Events arrive only after the socket has opened.
        if setup.subject.has_socket() {
            setup.until_printer("the event socket is open", |printer| printer["status"]["channel"] == "push").await;
        }
        setup
    }

    /// Sends a command to the printer, and returns its row after it has ended.
    pub async fn run_command(&self, body: Value) -> Value {
        let path = format!("/api/v1/printers/{}/job", self.id);
        let (status, row, _) = self.server.post_and_wait(&path, body.clone()).await;
        assert_eq!(status, StatusCode::OK, "{}: {body} has no end: {row}", self.subject.name);
        row
    }

    /// Sends a command and checks its outcome. With a reason the outcome is written as `rejected/not_active`.
    pub async fn expect_outcome_of(&self, body: Value, outcome: &str) -> Value {
        let row = self.run_command(body.clone()).await;
        assert_eq!(format_outcome(&row), outcome, "{}: {body}: {row}", self.subject.name);
        row
    }

    /// Sends a command without further fields and checks its outcome.
    pub async fn expect_outcome(&self, command: &str, outcome: &str) -> Value {
        self.expect_outcome_of(json!({ "command": command }), outcome).await
    }

    /// Sends an emergency stop, and returns its row after it has ended.
    pub async fn emergency_stop(&self) -> Value {
        let path = format!("/api/v1/printers/{}/emergency-stop", self.id);
        let (status, batch, _) = self.server.post_and_wait(&path, json!({ "reason": "smoke" })).await;
        assert_eq!(status, StatusCode::MULTI_STATUS, "{}: the stop has no end: {batch}", self.subject.name);
        batch["commands"][0].clone()
    }

    /// Sends a command without waiting. Returns the id of its batch.
    pub async fn post_command(&self, body: Value) -> String {
        let path = format!("/api/v1/printers/{}/job", self.id);
        let (status, row, _) = self.server.post(&path, body).await;
        assert!(status.is_success(), "{row}");
        row["batch_id"].as_str().expect("a batch").to_owned()
    }

    /// Sends a batch and returns it after its end.
    pub async fn run_batch(&self, body: Value) -> Value {
        run_batch(&self.server, body).await
    }

    /// Returns the only command of a batch after the batch has ended.
    pub async fn until_command_ended(&self, batch_id: &str) -> Value {
        until_batch_ended(&self.server, batch_id).await["commands"][0].clone()
    }

    /// Returns the printer from the server.
    pub async fn get_printer(&self) -> Value {
        self.server.get(&format!("/api/v1/printers/{}", self.id)).await.1
    }

    /// Waits until the printer from the server meets a condition.
    pub async fn until_printer(&self, what: &str, condition: impl Fn(&Value) -> bool) -> Value {
        wait::until(&format!("{}: {what}", self.subject.name), DEADLINE, async || {
            let printer = self.get_printer().await;
            if condition(&printer) { Ok(printer) } else { Err(printer) }
        })
        .await
    }

    /// Waits until the server reports this state.
    pub async fn until_state(&self, state: &str) -> Value {
        self.until_printer(state, |printer| printer["status"]["state"] == state).await
    }

    /// Returns the record of a print.
    pub async fn get_print(&self, id: &Value) -> Value {
        let id = id.as_str().unwrap_or_else(|| panic!("{}: no print id", self.subject.name));
        self.server.get(&format!("/api/v1/prints/{id}")).await.1
    }

    /// Waits until a print has ended with this result.
    pub async fn until_result(&self, id: &Value, result: &str) -> Value {
        wait::until(&format!("{}: the print is {result}", self.subject.name), DEADLINE, async || {
            let print = self.get_print(id).await;
            if print["result"] == result { Ok(print) } else { Err(print) }
        })
        .await
    }

    /// Returns the prints of the printer, newest first.
    pub async fn list_prints(&self) -> Vec<Value> {
        let (_, page, _) = self.server.get(&format!("/api/v1/prints?printer_id={}&limit=100", self.id)).await;
        page["items"].as_array().cloned().unwrap_or_else(|| panic!("{page}"))
    }

    /// Confirms that the plate is clear. Returns the result.
    pub async fn clear_plate(&self) -> String {
        let (status, body, _) = self.server.post("/api/v1/plates/clear", json!({ "printer_ids": [&self.id] })).await;
        assert_eq!(status, StatusCode::MULTI_STATUS, "{body}");
        let items = body["items"].as_array().unwrap_or_else(|| panic!("{body}"));
        items[0]["result"].as_str().unwrap_or_else(|| panic!("{body}")).to_owned()
    }

    /// Prepares the start of a scenario: the printer is idle, the file is selected, the plate is clear, and no scripts
    /// are set.
    pub async fn prepare_idle(&self, file: &str) {
        let scripts = ["beforePrintStarted", "afterPrintPaused", "beforePrintResumed", "afterPrintDone"];
        self.subject.set_scripts(&scripts.map(|name| (name, ""))).await;
        if self.subject.read_job().await["state"].as_str().is_some_and(|state| state.starts_with("Offline")) {
            self.subject.post_connection("connect").await;
            self.subject.until_state("Operational").await;
        }
        let row = self.run_command(json!({ "command": "cancel" })).await;
        assert_eq!(row["effect"], "done", "{}: {row}", self.subject.name);
        self.subject.until_state("Operational").await;
        self.until_printer("idle", |printer| printer["status"]["state"] == "operational").await;
        self.clear_plate().await;
        if self.subject.read_job().await["job"]["file"]["path"] != file {
            self.subject.select(file).await;
        }
        let selected = |printer: &Value| printer["job"]["file"]["path"] == file;
        self.until_printer("the file is selected", selected).await;
    }

    /// Starts the long file with Printyard. Returns the row of the start.
    pub async fn start_long_print(&self) -> Value {
        self.prepare_idle(LONG_FILE).await;
        let row = self.expect_outcome("start", "confirmed").await;
        self.until_state("printing").await;
        row
    }
}

/// Registers a printer with the tag `hall`. Returns its id.
pub async fn register_printer(server: &TestServer, subject: &TestSubject) -> String {
    let name = subject.url.rsplit(':').next().unwrap_or_default();
    let body = json!({ "name": name, "url": subject.url, "api_key": subject.api_key, "tags": ["hall"] });
    let (status, body, _) = server.post("/api/v1/printers", body).await;
    assert_eq!(status, StatusCode::CREATED, "{body}");
    body["id"].as_str().expect("an id").to_owned()
}

/// Sends a batch and returns it after its end.
pub async fn run_batch(server: &TestServer, body: Value) -> Value {
    let (status, made, _) = server.post("/api/v1/batches", body).await;
    assert!(status.is_success(), "{status}: {made}");
    until_batch_ended(server, made["id"].as_str().expect("an id")).await
}

/// Returns a batch after its last command has ended.
pub async fn until_batch_ended(server: &TestServer, id: &str) -> Value {
    wait::until("the batch ends", 2 * DEADLINE, async || {
        let request = server.request(Method::GET, &format!("/api/v1/batches/{id}")).header("Prefer", "wait=10");
        let (_, batch, _) = send_request(request).await;
        if batch["finished_at"].is_null() { Err(batch) } else { Ok(batch) }
    })
    .await
}

/// Returns `outcome`, or `outcome/reason`.
pub fn format_outcome(row: &Value) -> String {
    let outcome = row["outcome"].as_str().unwrap_or("none");
    match row["reason"].as_str() {
        Some(reason) => format!("{outcome}/{reason}"),
        None => outcome.to_owned(),
    }
}
