//! Kills the server shortly after a start and restarts it. The print must still belong to its command.

use std::{collections::HashMap, path::Path, time::Duration};

use chrono::TimeDelta;
use printyard::{
    clock,
    domain::print::SentStart,
    simulator::{Farm, FarmConfig, SimulatedPrinter},
    storage::{Db, printers, prints},
};
use serde_json::{Value, json};
use sqlx::{Connection as _, SqliteConnection};
use uuid::Uuid;

use crate::support::{
    process::{ServerProcess, sqlite_url},
    seeded_rng::{SeededRng, test_seed},
    wait::{self, until},
};

const PRINTERS: usize = 40;
const MIN_ROUNDS: u32 = 6;
const MAX_ROUNDS: u32 = 40;
const DEADLINE: Duration = Duration::from_secs(60);

/// Counts the starts that a printer has executed.
fn count_starts(printer: &SimulatedPrinter) -> usize {
    printer.received_requests().iter().filter(|one| one.acted && one.command == "start").count()
}

async fn list_prints_by_printer(server: &ServerProcess) -> HashMap<String, Vec<Value>> {
    let mut by_printer: HashMap<String, Vec<Value>> = HashMap::new();
    let page = server.get("/prints?limit=500").await;
    for row in page["items"].as_array().expect("prints") {
        by_printer.entry(row["printer_id"].as_str().expect("an id").to_owned()).or_default().push(row.clone());
    }
    by_printer
}

#[tokio::test(flavor = "multi_thread")]
async fn a_print_belongs_to_its_command_when_the_server_is_killed_after_the_start() {
    let mut rng = SeededRng::new(test_seed("killed_after_the_start"));
    let farm =
        Farm::start(FarmConfig { printers: PRINTERS, latency: Duration::from_millis(20), ..FarmConfig::default() })
            .await
            .expect("a farm");
    let dir = tempfile::tempdir().expect("a folder");
    let mut server = ServerProcess::start(dir.path()).await;
    let mut ids = HashMap::new();
    for (n, printer) in farm.printers().iter().enumerate() {
        // Half of the prints end before the server runs again.
        let lines = if n % 2 == 0 { 600 } else { 8 };
        printer.put_file("part.gcode", "G4 P100\n".repeat(lines));
        printer.select("part.gcode");
        let body = json!({"name": printer.name(), "url": printer.url(), "api_key": printer.api_key()});
        let (status, body) = server.post("/printers", &body).await.expect("an answer");
        assert_eq!(status, 201, "{body}");
        ids.insert(body["id"].as_str().expect("an id").to_owned(), printer.clone());
    }
    let (mut unrecorded, mut open) = (0, 0);
    for round in 0..MAX_ROUNDS {
        if round >= MIN_ROUNDS && unrecorded > 0 && open > 0 {
            break;
        }
        until_idle(&server).await;
        // A print that ends before the server runs again is found by its progress. The one before may have left the same.
        for printer in farm.printers() {
            printer.select("part.gcode");
        }
        until_selection_is_stored(dir.path()).await;
        let printer_ids: Vec<&String> = ids.keys().collect();
        let before: HashMap<&String, usize> = ids.iter().map(|(id, printer)| (id, count_starts(printer))).collect();
        let body = json!({
            "command": "start", "select": {"printer_ids": printer_ids}, "plate": "assume_clear", "reason": "the test",
            "external_ref": format!("round {round}"), "confirm_within_s": 5,
        });
        let (status, batch) = server.post("/batches", &body).await.expect("an answer");
        assert!(status.is_success(), "{batch}");
        // The time of the kill is the random variable of this test. The test does not wait for anything here.
        let within = if round % 2 == 0 { 120 } else { 1_500 };
        wait::pause(Duration::from_millis(rng.below(within))).await;
        server.kill();
        let (sent, recorded) = count_stored(dir.path()).await;
        println!("round {round}: {sent} starts were sent and their prints not recorded, {recorded} prints were open");
        (unrecorded, open) = (unrecorded + sent, open + recorded);
        server = ServerProcess::start(dir.path()).await;
        let path = format!("/batches/{}", batch["id"].as_str().expect("an id"));
        let batch = until("the batch ends", DEADLINE, async || {
            let batch = server.get(&path).await;
            if batch["finished_at"].is_null() { Err(batch["counts"].clone()) } else { Ok(batch) }
        })
        .await;
        let rows = until("every print is recorded", DEADLINE, async || {
            let rows = list_prints_by_printer(&server).await;
            let missing = ids.iter().find(|(id, printer)| rows.get(*id).map_or(0, Vec::len) < count_starts(printer));
            let Some((id, printer)) = missing else { return Ok(rows) };
            let command =
                batch["commands"].as_array().and_then(|rows| rows.iter().find(|row| row["printer_id"] == *id));
            let stored = server.get(&format!("/printers/{id}")).await;
            Err((printer.state_text(), stored["status"].clone(), stored["job"].clone(), command.cloned()))
        })
        .await;
        for command in batch["commands"].as_array().expect("rows") {
            let id = command["printer_id"].as_str().expect("an id");
            let (of_printer, started) = (rows.get(id).map_or(&[][..], Vec::as_slice), count_starts(&ids[id]));
            assert_eq!(of_printer.len(), started, "round {round}: one row for each print: {of_printer:?}");
            if started == before[&id.to_owned()] {
                // The server was killed before the printer had received the start.
                assert!(!of_printer.iter().any(|row| row["command_id"] == command["id"]), "{of_printer:?}");
                continue;
            }
            let newest = &of_printer[0];
            assert_eq!(newest["command_id"], command["id"], "round {round}: {newest}, {command}");
            assert_eq!(newest["external_ref"], batch["external_ref"]);
            assert!(command["print_id"].is_null() || command["print_id"] == newest["id"], "{newest}, {command}");
            let others: Vec<&Value> = of_printer[1..].iter().filter(|row| row["command_id"].is_null()).collect();
            assert!(others.is_empty(), "round {round}: {others:?}");
        }
        let cancel = json!({"command": "cancel", "select": {"printer_ids": printer_ids}});
        server.post("/batches", &cancel).await.expect("an answer");
    }
    assert!(unrecorded > 0, "no kill came between the send of a start and the record of its print");
    assert!(open > 0, "no kill came after a print was recorded");
}

/// Counts in the database of a killed server: sent starts without a recorded print, and open prints.
async fn count_stored(dir: &Path) -> (usize, usize) {
    let db = Db::connect(&sqlite_url(dir)).await.expect("the database");
    let printers: Vec<Uuid> = printers::list_versions(&db).await.expect("read").into_keys().collect();
    let recorded = prints::list_open(&db, &printers).await.expect("read");
    let is_recorded =
        |start: &SentStart| recorded.iter().any(|print| print.started_by.command_id == Some(start.command_id));
    let sent = prints::list_sent_starts(&db, clock::now() - TimeDelta::hours(1)).await.expect("read");
    let unrecorded = sent.iter().filter(|(_, start)| !is_recorded(start)).count();
    db.close().await;
    (unrecorded, recorded.len())
}

/// Waits until the database has the selected file of each printer, without progress.
async fn until_selection_is_stored(dir: &Path) {
    let mut database = SqliteConnection::connect(&sqlite_url(dir)).await.expect("a connection");
    let count = "select count(*) from printer_observations
                 where json_extract(job_mark, '$.file.path') = 'part.gcode' and json_extract(job_mark, '$.completion') is null";
    until("every selection is stored", DEADLINE, async || {
        let stored: i64 = sqlx::query_scalar(count).fetch_one(&mut database).await.expect("read");
        if usize::try_from(stored) == Ok(PRINTERS) { Ok(()) } else { Err(stored) }
    })
    .await;
}

async fn until_idle(server: &ServerProcess) {
    until("the end of every print is stored", DEADLINE, async || {
        let open = server.get("/prints?state=open&limit=1").await;
        if open["items"].as_array().is_some_and(Vec::is_empty) { Ok(()) } else { Err(open) }
    })
    .await;
    until("every printer is idle with an open event socket", DEADLINE, async || {
        let list = server.get("/printers?limit=500").await;
        let items = list["items"].as_array().expect("printers").clone();
        let ready = |item: &Value| item["status"]["state"] == "operational" && item["status"]["channel"] == "push";
        let busy: Vec<_> = items.iter().filter(|item| !ready(item)).map(|item| item["status"].clone()).collect();
        if busy.is_empty() && items.len() == PRINTERS { Ok(()) } else { Err(busy) }
    })
    .await;
}
