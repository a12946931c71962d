//! A batch that names a library file: transfers where it is missing, then selects and prints.

use std::time::Duration;

use printyard::simulator::{Farm, SimulatedPrinter};
use reqwest::StatusCode;
use serde_json::{Value, json};

use super::sample_gcode;
use crate::support::server::{TestServer, start_server_with_farm};

/// Returns the path of the one file of Printyard on a printer.
pub fn transferred_path(printer: &SimulatedPrinter) -> Option<String> {
    let mut paths = printer.file_paths().into_iter().filter(|path| path.starts_with("printyard/"));
    let path = paths.next();
    assert_eq!(paths.next(), None, "one file");
    path
}

/// Uploads G-code to the library. Returns the id of its file and the content.
pub async fn add_file(server: &TestServer, name: &str, moves: usize) -> (String, Vec<u8>) {
    let content = sample_gcode(name, moves);
    let (status, file, _) = server.upload_file("", name, content.clone()).await;
    assert_eq!(status, StatusCode::CREATED, "{file}");
    (file["id"].as_str().expect("an id").to_owned(), content)
}

fn uploads(printer: &SimulatedPrinter) -> usize {
    printer.received_requests().iter().filter(|request| request.command == "upload").count()
}

fn starts(printer: &SimulatedPrinter) -> usize {
    let is_start = |request: &printyard::simulator::ReceivedRequest| {
        request.acted && matches!(request.command.as_str(), "start" | "select")
    };
    printer.received_requests().iter().filter(|request| is_start(request)).count()
}

/// Clears the plates of the printers.
pub async fn clear_plates(server: &TestServer, ids: &[String]) {
    let (status, cleared, _) = server.post("/api/v1/plates/clear", json!({"printer_ids": ids})).await;
    assert_eq!(status, StatusCode::MULTI_STATUS, "{cleared}");
}

async fn start_all(server: &TestServer, ids: &[String], file: Value) -> Value {
    let body = json!({"command": "start", "select": {"printer_ids": ids}, "file": file});
    let (status, batch, _) = server.post_and_wait("/api/v1/batches", body).await;
    assert_eq!(status, StatusCode::MULTI_STATUS, "{batch}");
    batch
}

#[tokio::test(flavor = "multi_thread")]
async fn a_library_file_is_sent_once_to_each_printer_and_printed() {
    let (server, farm, ids) = start_server_with_farm(4).await;
    let (file_id, content) = add_file(&server, "Bügel 'left' #1.gcode", 400).await;
    let batch = start_all(&server, &ids, json!({"file_id": file_id})).await;
    assert_eq!(batch["result"], "ok", "{batch}");
    for (row, printer) in batch["commands"].as_array().expect("rows").iter().zip(farm.printers()) {
        let path = transferred_path(printer).expect("the file");
        assert_eq!(printer.read_file(&path), Some(content.clone()));
        assert_eq!(row["file"]["path"], json!(path));
        assert_eq!(row["file"]["file_id"], json!(file_id));
        assert_eq!(row["transfer"], json!({"state": "done", "sent_bytes": content.len(), "size": content.len()}));
        assert_eq!((uploads(printer), starts(printer)), (1, 1));
    }
    until_idle(&server, &ids).await;
    clear_plates(&server, &ids).await;
    let again = start_all(&server, &ids, json!({"file_id": file_id})).await;
    assert_eq!(again["result"], "ok", "{again}");
    assert!(farm.printers().iter().all(|printer| (uploads(printer), starts(printer)) == (1, 2)), "no second upload");
}

/// Waits until the prints have ended.
pub async fn until_idle(server: &TestServer, ids: &[String]) {
    for id in ids {
        server.until_state(id, "operational").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_printer_can_have_its_own_file() {
    let (server, farm, ids) = start_server_with_farm(3).await;
    let (first, first_content) = add_file(&server, "first.gcode", 20).await;
    let (second, second_content) = add_file(&server, "second.gcode", 30).await;
    let body = json!({
        "command": "start", "file": {"file_id": first},
        "select": {"printer_ids": [
            ids[0], {"id": ids[1], "file": {"file_id": second}}, {"id": ids[2], "file": {"path": "bracket.gcode"}},
        ]},
    });
    let (_, batch, _) = server.post_and_wait("/api/v1/batches", body).await;
    assert_eq!(batch["result"], "ok", "{batch}");
    let read = |printer: &SimulatedPrinter| printer.read_file(&transferred_path(printer).expect("a file"));
    assert_eq!(read(&farm.printers()[0]), Some(first_content));
    assert_eq!(read(&farm.printers()[1]), Some(second_content));
    assert_eq!(transferred_path(&farm.printers()[2]), None);
    assert_eq!(batch["commands"][2]["file"]["path"], "bracket.gcode");
    assert_eq!(batch["commands"][2]["transfer"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_says_what_would_be_transferred() {
    let (server, farm, ids) = start_server_with_farm(2).await;
    let (file_id, content) = add_file(&server, "a.gcode", 20).await;
    start_all(&server, &ids[..1], json!({"file_id": file_id})).await;
    until_idle(&server, &ids[..1]).await;
    clear_plates(&server, &ids[..1]).await;
    let body =
        json!({"command": "start", "select": {"printer_ids": ids}, "file": {"file_id": file_id}, "dry_run": true});
    let (status, dry_run, _) = server.post("/api/v1/batches", body).await;
    assert_eq!(status, StatusCode::OK, "{dry_run}");
    let transfers: Vec<&Value> =
        dry_run["commands"].as_array().expect("rows").iter().map(|row| &row["transfer"]).collect();
    let size = content.len();
    assert_eq!(transfers, [&json!({"needed": false, "size": size}), &json!({"needed": true, "size": size})]);
    assert!(dry_run["commands"].as_array().expect("rows").iter().all(|row| row["would"] == "send"), "{dry_run}");
    assert_eq!(uploads(&farm.printers()[1]), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_is_decided_before_its_transfer() {
    let (server, farm, ids) = start_server_with_farm(3).await;
    let (file_id, _) = add_file(&server, "a.gcode", 20).await;
    // The first printer prints, the second one has an occupied plate.
    farm.printers()[0].put_file("long.gcode", "G4 S100000\n");
    let (_, long, _) = server
        .post_and_wait(
            &format!("/api/v1/printers/{}/job", ids[0]),
            json!({"command": "start", "file": {"path": "long.gcode"}}),
        )
        .await;
    assert_eq!(long["outcome"], "confirmed", "{long}");
    start_all(&server, &ids[1..2], json!({"path": "bracket.gcode"})).await;
    until_idle(&server, &ids[1..2]).await;
    let batch = start_all(&server, &ids, json!({"file_id": file_id})).await;
    let reasons: Vec<&Value> = batch["commands"].as_array().expect("rows").iter().map(|row| &row["reason"]).collect();
    assert_eq!(reasons, [&json!("already_printing"), &json!("plate_not_clear"), &Value::Null], "{batch}");
    assert_eq!([0, 1, 2].map(|i| uploads(&farm.printers()[i])), [0, 0, 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_for_another_printer_is_refused_unless_the_batch_ignores_that() {
    let (server, farm, ids) = start_server_with_farm(2).await;
    let (file_id, _) = add_file(&server, "a.gcode", 20).await;
    for (id, model) in ids.iter().zip(["Original Prusa MK4", "Ender 3"]) {
        server.patch(&format!("/api/v1/printers/{id}"), json!({"model": model, "nozzle_mm": 0.4})).await;
    }
    let batch = start_all(&server, &ids, json!({"file_id": file_id})).await;
    assert_eq!(batch["commands"][0]["outcome"], "confirmed", "{batch}");
    let refused = &batch["commands"][1];
    assert_eq!(
        (&refused["outcome"], &refused["reason"]),
        (&json!("rejected"), &json!("file_does_not_fit")),
        "{refused}"
    );
    assert_eq!(refused["detail"], "The file is for the model MK4, and this printer is a Ender 3.");
    let retry = json!({"outcomes": ["rejected"]});
    let path = format!("/api/v1/batches/{}/retry", batch["id"].as_str().expect("an id"));
    let (_, retried, _) = server.post_and_wait(&path, retry).await;
    assert_eq!(retried["commands"][0]["reason"], "file_does_not_fit", "{retried}");
    let body =
        json!({"command": "start", "select": {"printer_ids": [ids[1]]}, "file": {"file_id": file_id}, "fit": "ignore"});
    let (_, forced, _) = server.post_and_wait("/api/v1/batches", body).await;
    assert_eq!(forced["result"], "ok", "{forced}");
    assert_eq!(starts(&farm.printers()[1]), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_file_is_refused_with_its_field() {
    let (server, _farm, ids) = start_server_with_farm(1).await;
    let unknown = "0193e1d2-4f6a-7d0b-b6a7-90c1d2e3f408";
    let select = json!({"printer_ids": ids});
    for (body, pointer) in [
        (json!({"command": "start", "select": select, "file": {"file_id": unknown}}), "/file/file_id"),
        (json!({"command": "start", "select": select, "file": {"file_id": "x"}}), "/file/file_id"),
        (json!({"command": "start", "select": select, "file": {}}), "/file"),
        (json!({"command": "start", "select": select, "file": {"file_id": unknown, "path": "a"}}), "/file"),
        (json!({"command": "pause", "select": select, "file": {"file_id": unknown}}), "/file"),
        (json!({"command": "pause", "select": select, "fit": "ignore"}), "/fit"),
        (
            json!({"command": "start", "select": {"printer_ids": [{"id": ids[0], "file": {"file_id": unknown}}]}}),
            "/select/printer_ids/0/file/file_id",
        ),
    ] {
        let refused = server.post("/api/v1/batches", body.clone()).await;
        assert_eq!(refused.0, StatusCode::UNPROCESSABLE_ENTITY, "{body}: {}", refused.1);
        assert_eq!(refused.1["errors"][0]["pointer"], json!(pointer), "{body}: {}", refused.1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_keeps_the_content_that_it_was_made_with() {
    let (server, farm, ids) = start_server_with_farm(1).await;
    let (file_id, content) = add_file(&server, "a.gcode", 20).await;
    let due = chrono::DateTime::<chrono::Utc>::from(std::time::SystemTime::now() + Duration::from_secs(3));
    let body =
        json!({"command": "start", "select": {"printer_ids": ids}, "file": {"file_id": file_id}, "not_before": due});
    let (_, batch, _) = server.post("/api/v1/batches", body).await;
    assert_eq!(batch["state"], "scheduled", "{batch}");
    let removed = server.delete(&format!("/api/v1/files/{file_id}")).await;
    assert_eq!((removed.0, &removed.1["code"]), (StatusCode::CONFLICT, &json!("file_in_use")));
    assert_eq!(server.upload_file("", "a.gcode", sample_gcode("another", 50)).await.0, StatusCode::CREATED);
    let ended = until_finished(&server, &batch).await;
    assert_eq!(ended["result"], "ok", "{ended}");
    let path = transferred_path(&farm.printers()[0]).expect("a file");
    assert_eq!(farm.printers()[0].read_file(&path), Some(content));
}

/// Waits until a batch has ended. Returns it.
pub async fn until_finished(server: &TestServer, batch: &Value) -> Value {
    let path = format!("/api/v1/batches/{}", batch["id"].as_str().expect("an id"));
    crate::support::wait::until("the batch has ended", crate::support::server::DEADLINE, async || {
        let (_, batch, _) = server.get(&path).await;
        if batch["finished_at"].is_null() { Err(batch) } else { Ok(batch) }
    })
    .await
}

/// Returns the printers of a farm that have the file of Printyard.
pub fn with_file(farm: &Farm) -> usize {
    farm.printers().iter().filter(|printer| transferred_path(printer).is_some()).count()
}
