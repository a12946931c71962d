//! The script for fault injection. Printers are registered, imported, changed and removed. Batches are started,
//! scheduled, paused and stopped, and plates are cleared. A command without a reply is settled, and retention runs.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use printyard::{
    clock,
    domain::{
        audit::{Action, ActorKind, AuditEntry},
        batch::{Batch, BatchSpec, BatchState},
        clock_check::{STEADY_FOR, StoredClock},
        command::Command,
    },
    simulator::{Farm, FarmConfig, Fault, MachineAction, SimulatedPrinter, sample_gcode},
    storage::{
        Db, audit,
        batches::{self, PreparedBatch},
        fault_injection::InjectedFailure,
        retention,
    },
};
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::client::{ClientLog, ClientRequest, RetryingClient};
use crate::support::server::{ServerOptions, TestServer};

/// Printers of the farm. The script removes the last one.
pub const PRINTERS: usize = 6;
/// The printer that never receives its pause.
pub const SETTLED_PRINTER: usize = 3;
/// Files with a short print. The script starts each of them with one batch only.
pub const SHORT_FILES: [&str; 4] = ["first.gcode", "scheduled.gcode", "stopped.gcode", "last.gcode"];
/// A file whose print does not end during the script.
pub const LONG_FILE: &str = "long/vase.gcode";
/// The creator of the batch that retention removes.
pub const OLD_BATCH_CREATOR: &str = "an earlier process";
/// The periodic tasks that remove and count rows.
const RETENTION_TASKS: [&str; 9] = [
    "batch_retention",
    "order_retention",
    "event_retention",
    "delivery_retention",
    "audit_retention",
    "session_expiry",
    "idempotency_key_expiry",
    "audit_index",
    "print_statistics",
];

/// A server and its farm.
pub struct ScriptSetup {
    pub server: TestServer,
    pub farm: Farm,
    failure: Option<InjectedFailure>,
    uses_before: u64,
}

impl ScriptSetup {
    /// Starts a server on a database with old rows. From here on the database fails.
    pub async fn start(url: &str, failure: Option<InjectedFailure>) -> Self {
        add_old_rows(url).await;
        let farm = Farm::start(FarmConfig {
            printers: PRINTERS,
            with_sample_files: true,
            time_scale: 100.0,
            ..FarmConfig::default()
        })
        .await
        .expect("a farm");
        for printer in farm.printers() {
            for file in SHORT_FILES {
                printer.put_file(file, sample_gcode(10));
            }
        }
        let server =
            TestServer::start_with(ServerOptions { database_url: Some(url.to_owned()), ..ServerOptions::default() })
                .await;
        let faults = server.services.faults();
        if let Some(failure) = failure {
            faults.inject(failure);
        }
        let uses_before = if failure.is_some() { 0 } else { faults.uses() };
        Self { farm, failure, uses_before, server }
    }

    /// Returns the uses of the database so far.
    pub fn uses(&self) -> u64 {
        self.server.services.faults().uses() - self.uses_before
    }
}

/// Stores rows that retention must remove.
async fn add_old_rows(url: &str) {
    let db = Db::connect(url).await.expect("a database");
    let days_ago = |days| clock::now() - TimeDelta::days(days);
    let entry = |action, days| AuditEntry::without_request(ActorKind::Scheduler, action, days_ago(days));
    let batch = Batch {
        id: Uuid::now_v7(),
        spec: BatchSpec::new(Command::Pause),
        state: BatchState::Finished,
        created_at: days_ago(500),
        finished_at: Some(days_ago(500)),
        created_by: OLD_BATCH_CREATOR.to_owned(),
        retry_of: None,
    };
    let created = AuditEntry { subject: Some(batch.id), ..entry(Action::BatchCreated, 500) };
    batches::create(&db, &[PreparedBatch { batch: batch.clone(), rows: Vec::new(), entry: created }])
        .await
        .expect("a batch");
    audit::append_single(&db, &entry(Action::BatchStopped, 499)).await.expect("an entry");
    // The stored clock is correct, so retention may run.
    let right = StoredClock { newest: days_ago(0), steady: STEADY_FOR };
    retention::store_clock(&db, right).await.expect("the clock");
    db.close().await;
}

/// Plays the script as far as the database allows it.
pub async fn run_script(setup: &mut ScriptSetup) -> ClientLog {
    let client = RetryingClient { server: &setup.server, failure: setup.failure, log: ClientLog::default() };
    let mut script = Script { client, printers: setup.farm.printers(), ids: BTreeMap::new() };
    script.register_printers().await;
    script.print_and_clear().await;
    script.schedule_batch().await;
    script.lose_a_reply().await;
    script.stop_batches().await;
    script.run_retention().await;
    script.remove_printer().await;
    script.client.log
}

struct Script<'a> {
    client: RetryingClient<'a>,
    printers: &'a [SimulatedPrinter],
    /// Ids by name, as far as the client knows them.
    ids: BTreeMap<String, String>,
}

impl Script<'_> {
    fn printer_ids(&self, printers: std::ops::Range<usize>) -> Vec<&String> {
        self.printers[printers].iter().filter_map(|printer| self.ids.get(printer.name())).collect()
    }

    /// Registers the first printer alone, the next two together, and the last three from a list.
    async fn register_printers(&mut self) {
        let [one, two, three, listed @ ..] = self.printers else { panic!("at least three printers") };
        let body = |printer: &SimulatedPrinter| json!({"name": printer.name(), "url": printer.url(), "api_key": printer.api_key()});
        self.client.send(ClientRequest::post("/api/v1/printers", body(one))).await;
        let items = json!({"items": [body(two), body(three)]});
        self.client.send(ClientRequest::post("/api/v1/printers/bulk", items)).await;
        let mut list = "name,url,api_key\n".to_owned();
        for printer in listed {
            list.push_str(&format!("{},{},{}\n", printer.name(), printer.url(), printer.api_key()));
        }
        self.client.send(ClientRequest::Import { list, printers: listed.len() }).await;
        let (client, ids) = (&self.client, &mut self.ids);
        client
            .until("every printer is online", async || {
                let page = client.get("/api/v1/printers?limit=500").await;
                let items = page["items"].as_array().cloned().unwrap_or_default();
                ids.extend(items.iter().map(|item| (text_field(item, "name"), text_field(item, "id"))));
                let online = items.iter().filter(|item| item["status"]["reachability"] == "online").count();
                if online == PRINTERS { Ok(()) } else { Err(page) }
            })
            .await;
        if let Some(id) = self.ids.get(self.printers[0].name()) {
            let path = format!("/api/v1/printers/{id}");
            let body = json!({"notes": "by the door"});
            self.client.send(ClientRequest::Api { method: Method::PATCH, path, body, key: String::new() }).await;
        }
    }

    /// Starts a file on some printers, with the additional fields of `more`.
    async fn start_file(
        &mut self,
        name: &str,
        file: &str,
        printers: std::ops::Range<usize>,
        more: Value,
    ) -> Option<String> {
        let ids = self.printer_ids(printers);
        if ids.is_empty() {
            return None;
        }
        let mut body = json!({
            "command": "start", "select": {"printer_ids": ids}, "file": {"path": file}, "external_ref": name,
            "confirm_within_s": 3, "expires_in_s": 20,
        });
        for (field, value) in more.as_object().expect("fields") {
            body[field] = value.clone();
        }
        self.client.create_batch(body).await
    }

    /// Waits until the prints of a batch have ended.
    async fn until_printed(&self, batch: &Option<String>) {
        let Some(id) = batch else { return };
        self.client.until_ended(batch).await;
        self.client
            .until("the prints have ended", async || {
                let batch = self.client.get(&format!("/api/v1/batches/{id}")).await;
                let prints = self.client.get(&format!("/api/v1/prints?batch_id={id}")).await;
                let items = prints["items"].as_array().cloned().unwrap_or_default();
                let ended = items.iter().filter(|print| print["ended_at"].is_string()).count();
                if batch["counts"]["confirmed"].as_u64().is_some_and(|done| done <= ended as u64) {
                    Ok(())
                } else {
                    Err((batch["counts"].clone(), prints))
                }
            })
            .await;
    }

    async fn print_and_clear(&mut self) {
        let batch = self.start_file("first", SHORT_FILES[0], 0..PRINTERS, json!({})).await;
        self.until_printed(&batch).await;
        let ids = self.printer_ids(0..PRINTERS);
        if !ids.is_empty() {
            let body = json!({ "printer_ids": ids });
            self.client.send(ClientRequest::post("/api/v1/plates/clear", body)).await;
        }
    }

    /// Schedules a batch that is due soon. The reply of one printer is lost.
    async fn schedule_batch(&mut self) {
        self.printers[1].queue_command_fault(Fault::ResetAfterActing);
        let due = clock::now() + TimeDelta::milliseconds(300);
        let more = json!({"not_before": due, "interval_ms": 20});
        let batch = self.start_file("scheduled", SHORT_FILES[1], 0..3, more).await;
        self.until_printed(&batch).await;
    }

    /// Sends a pause that never reaches its printer and ends as unknown. Then a person pauses the print.
    async fn lose_a_reply(&mut self) {
        let printer = &self.printers[SETTLED_PRINTER];
        let batch = self.start_file("long", LONG_FILE, SETTLED_PRINTER..SETTLED_PRINTER + 1, json!({})).await;
        self.client.until_ended(&batch).await;
        for _ in 0..3 {
            printer.queue_command_fault(Fault::Reset);
        }
        let ids = self.printer_ids(SETTLED_PRINTER..SETTLED_PRINTER + 1);
        if ids.is_empty() {
            return;
        }
        let body = json!({
            "command": "pause", "select": {"printer_ids": ids}, "external_ref": "pause", "confirm_within_s": 1,
        });
        let Some(id) = self.client.create_batch(body).await else { return };
        let batch = Some(id.clone());
        self.client.until_ended(&batch).await;
        printer.clear_command_faults();
        printer.perform(MachineAction::Pause);
        self.client
            .until("the pause is settled", async || {
                let batch = self.client.get(&format!("/api/v1/batches/{id}")).await;
                let row = &batch["commands"][0];
                if row["settled"].is_object() || (row["final"] == true && row["effect"] != "maybe") {
                    Ok(())
                } else {
                    Err(batch)
                }
            })
            .await;
    }

    /// Stops a batch between two starts, and another one long before it is due.
    async fn stop_batches(&mut self) {
        let stopped = self.start_file("stopped", SHORT_FILES[2], 4..PRINTERS, json!({"interval_ms": 3_600_000})).await;
        let due = clock::now() + TimeDelta::hours(1);
        let far = self.start_file("far", SHORT_FILES[2], 0..1, json!({ "not_before": due })).await;
        for batch in [stopped, far] {
            let Some(id) = &batch else { continue };
            self.client.send(ClientRequest::post(&format!("/api/v1/batches/{id}/stop"), json!({}))).await;
            self.client.until_ended(&batch).await;
        }
    }

    async fn remove_printer(&mut self) {
        if let Some(id) = self.ids.get(self.printers[PRINTERS - 1].name()) {
            self.client.send(ClientRequest::without_key(Method::DELETE, &format!("/api/v1/printers/{id}"))).await;
        }
    }

    async fn run_retention(&mut self) {
        for task in RETENTION_TASKS {
            self.client.server.services.background().run_now(task).await.expect("the task exists");
        }
    }
}

/// Runs retention, which must succeed.
pub async fn run_retention_without_errors(server: &TestServer) {
    for task in RETENTION_TASKS {
        let status = server.services.background().run_now(task).await.expect("the task exists");
        assert_eq!((status.last_error, status.failures), (None, 0), "{task}");
    }
}

/// Returns the text of a field, or an empty text.
pub fn text_field(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap_or_default().to_owned()
}
