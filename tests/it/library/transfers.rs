//! Transfers to printers that hang, print, restart or lose the connection.

use std::time::Duration;

use printyard::simulator::{Fault, MachineAction};
use reqwest::{Method, StatusCode, multipart};
use serde_json::{Value, json};

use super::{
    sample_gcode,
    starts::{add_file, transferred_path, until_finished, until_idle, with_file},
};
use crate::support::{
    server::{DEADLINE, ServerOptions, TestServer, start_farm, start_server_with_farm},
    throttle::Throttle,
    wait,
};

/// Moves of a file that does not fit into the buffers of a connection: 9 MB.
const LARGE: usize = 300_000;

async fn create_start(server: &TestServer, ids: &[String], file_id: &str) -> Value {
    let body = json!({"command": "start", "select": {"printer_ids": ids}, "file": {"file_id": file_id}});
    let (status, batch, _) = server.post("/api/v1/batches", body).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{batch}");
    batch
}

/// Waits until a row of a batch satisfies a condition. Returns the row.
async fn until_row(
    server: &TestServer,
    batch: &Value,
    row: usize,
    what: &str,
    holds: impl Fn(&Value) -> bool,
) -> Value {
    let path = format!("/api/v1/batches/{}", batch["id"].as_str().expect("an id"));
    wait::until(what, DEADLINE, async || {
        let (_, batch, _) = server.get(&path).await;
        let row = batch["commands"][row].clone();
        if holds(&row) { Ok(row) } else { Err(row) }
    })
    .await
}

fn is_running(row: &Value) -> bool {
    row["transfer"]["state"] == "running" && row["transfer"]["sent_bytes"].as_u64() > Some(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_printer_that_hangs_fails_alone_and_holds_no_place() {
    let options = ServerOptions { upload_silence: Some(Duration::from_secs(4)), ..ServerOptions::default() };
    let (server, farm) = (TestServer::start_with(options).await, start_farm(11).await);
    let mut ids = Vec::new();
    for printer in farm.printers() {
        ids.push(server.register_printer(printer).await);
    }
    for id in &ids {
        server.until_online(id).await;
    }
    // As many as there are places.
    for printer in &farm.printers()[..8] {
        printer.set_fault(Some(Fault::StopReading(256 * 1024)));
    }
    let (file_id, _) = add_file(&server, "a.gcode", LARGE).await;
    let batch = create_start(&server, &ids, &file_id).await;
    let healthy = until_row(&server, &batch, 10, "the healthy printers print", |row| row["final"] == true).await;
    assert_eq!(healthy["outcome"], "confirmed", "{healthy}");
    let ended = until_finished(&server, &batch).await;
    for row in &ended["commands"].as_array().expect("rows")[..8] {
        assert_eq!(
            (&row["outcome"], &row["reason"], &row["effect"]),
            (&json!("rejected"), &json!("upload_failed"), &json!("none")),
            "{row}"
        );
        assert_eq!(row["transfer"]["state"], "failed");
    }
    assert_eq!(ended["counts"]["confirmed"], 3, "{ended}");
    assert_eq!(with_file(&farm), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_print_at_the_printer_cuts_the_transfer_which_begins_again_afterwards() {
    let (server, farm, ids) = start_server_with_farm(1).await;
    let printer = &farm.printers()[0];
    let (file_id, content) = add_file(&server, "a.gcode", LARGE).await;
    printer.put_file("short.gcode", "G4 S300\n");
    printer.select("short.gcode");
    printer.set_fault(Some(Fault::ReadSlowly(2 * 1024 * 1024)));
    let batch = create_start(&server, &ids, &file_id).await;
    until_row(&server, &batch, 0, "the transfer runs", is_running).await;
    printer.perform(MachineAction::StartSelected);
    let waiting =
        until_row(&server, &batch, 0, "the transfer is cut", |row| row["transfer"]["state"] == "queued").await;
    assert_eq!(waiting["outcome"], "queued", "{waiting}");
    assert_eq!(transferred_path(printer), None, "nothing arrives while it prints");
    printer.set_fault(None);
    printer.perform(MachineAction::Cancel);
    until_idle(&server, &ids).await;
    // The plate is occupied by the print at the printer, so the start is refused after its transfer.
    let ended = until_finished(&server, &batch).await;
    assert_eq!(ended["commands"][0]["reason"], "plate_not_clear", "{ended}");
    assert_eq!(ended["commands"][0]["transfer"]["state"], "done", "{ended}");
    assert_eq!(printer.read_file(&transferred_path(printer).expect("the file")), Some(content));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_that_loses_its_printer_begins_again_when_it_is_back() {
    let (server, farm, ids) = start_server_with_farm(2).await;
    let printer = &farm.printers()[0];
    let (file_id, content) = add_file(&server, "a.gcode", LARGE).await;
    printer.set_fault(Some(Fault::ReadSlowly(2 * 1024 * 1024)));
    let batch = create_start(&server, &ids, &file_id).await;
    until_row(&server, &batch, 0, "the transfer runs", is_running).await;
    printer.set_fault(Some(Fault::Refuse));
    until_row(&server, &batch, 0, "the transfer has ended", |row| row["transfer"]["state"] == "queued").await;
    until_row(&server, &batch, 1, "the other printer prints", |row| row["outcome"] == "confirmed").await;
    printer.set_fault(None);
    let ended = until_finished(&server, &batch).await;
    assert_eq!(ended["result"], "ok", "{ended}");
    assert_eq!(printer.read_file(&transferred_path(printer).expect("the file")), Some(content));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_of_the_server_resumes_transfers() {
    let (mut server, farm, ids) = start_server_with_farm(3).await;
    let (file_id, content) = add_file(&server, "a.gcode", LARGE).await;
    for printer in farm.printers() {
        printer.set_fault(Some(Fault::ReadSlowly(4 * 1024 * 1024)));
    }
    let batch = create_start(&server, &ids, &file_id).await;
    until_row(&server, &batch, 0, "a transfer runs", is_running).await;
    server.shut_down().await;
    for printer in farm.printers() {
        printer.set_fault(None);
    }
    let server = server.start_again().await;
    let ended = until_finished(&server, &batch).await;
    assert_eq!(ended["result"], "ok", "{ended}");
    for printer in farm.printers() {
        assert_eq!(printer.read_file(&transferred_path(printer).expect("the file")), Some(content.clone()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_or_a_stop_ends_the_transfer_and_the_rest_is_deleted() {
    let (server, farm, ids) = start_server_with_farm(2).await;
    let (file_id, _) = add_file(&server, "a.gcode", LARGE).await;
    for printer in farm.printers() {
        printer.set_fault(Some(Fault::ReadSlowly(2 * 1024 * 1024)));
    }
    let batch = create_start(&server, &ids, &file_id).await;
    for row in 0..2 {
        until_row(&server, &batch, row, "the transfer runs", is_running).await;
    }
    let (_, cancelled, _) =
        server.post_and_wait(&format!("/api/v1/printers/{}/job", ids[0]), json!({"command": "cancel"})).await;
    assert_eq!(cancelled["outcome"], "unchanged", "{cancelled}");
    let first = until_row(&server, &batch, 0, "the start is withdrawn", |row| row["final"] == true).await;
    assert_eq!((&first["outcome"], &first["reason"]), (&json!("skipped"), &json!("overtaken_by_cancel")), "{first}");
    let path = format!("/api/v1/batches/{}/stop", batch["id"].as_str().expect("an id"));
    server.post(&path, json!({})).await;
    let second = until_row(&server, &batch, 1, "the start is skipped", |row| row["final"] == true).await;
    assert_eq!((&second["outcome"], &second["reason"]), (&json!("skipped"), &json!("batch_stopped")), "{second}");
    wait::until("nothing of the transfers is left", DEADLINE, async || {
        let background = server.get("/api/v1/background").await.1;
        let waiting = background["items"]
            .as_array()
            .and_then(|items| items.iter().find(|item| item["name"] == "transfers").cloned());
        if with_file(&farm) == 0 && waiting.as_ref().is_some_and(|task| task["behind"] == 0) {
            Ok(())
        } else {
            Err(waiting)
        }
    })
    .await;
    for printer in farm.printers() {
        printer.set_fault(None);
    }
    let nothing = async || with_file(&farm) == 0;
    wait::assert_throughout("nothing arrives afterwards", Duration::from_secs(1), nothing).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_file_is_deleted_from_the_printers_and_no_other_file_is() {
    let (server, farm, ids) = start_server_with_farm(1).await;
    let printer = &farm.printers()[0];
    let (file_id, _) = add_file(&server, "a.gcode", 20).await;
    let batch = create_start(&server, &ids, &file_id).await;
    until_finished(&server, &batch).await;
    until_idle(&server, &ids).await;
    let path = transferred_path(printer).expect("the file");
    let neighbour = path.replace("a.gcode", "own.gcode");
    printer.put_file(&neighbour, "G28\n");
    let before = printer.file_paths();
    assert_eq!(server.delete(&format!("/api/v1/files/{file_id}")).await.0, StatusCode::NO_CONTENT);
    // The selected file stays.
    server.services.background().run_now("printer_files").await.expect("the task");
    server.services.background().run_now("transfers").await.expect("the task");
    assert_eq!(printer.file_paths(), before);
    printer.select("bracket.gcode");
    wait::until("another file is selected", DEADLINE, async || {
        let (_, view, _) = server.get(&format!("/api/v1/printers/{}/job", ids[0])).await;
        if view["job"]["file"]["path"] == "bracket.gcode" { Ok(()) } else { Err(view) }
    })
    .await;
    wait::until("the file is deleted", DEADLINE, async || {
        server.services.background().run_now("printer_files").await.expect("the task");
        let paths = printer.file_paths();
        if paths.contains(&path) { Err(paths) } else { Ok(()) }
    })
    .await;
    let others: Vec<String> = before.into_iter().filter(|other| *other != path).collect();
    assert_eq!(printer.file_paths(), others);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_to_all_printers_waits_for_no_transfer() {
    let (server, farm, ids) = start_server_with_farm(6).await;
    let (file_id, _) = add_file(&server, "a.gcode", LARGE).await;
    let hanging = &farm.printers()[..3];
    for printer in hanging {
        printer.set_fault(Some(Fault::StopReading(256 * 1024)));
    }
    let batch = create_start(&server, &ids, &file_id).await;
    for row in 3..6 {
        until_row(&server, &batch, row, "the other printers print", |row| row["outcome"] == "confirmed").await;
    }
    // The hanging transfers are open for 20 s. The cancel has ended before that.
    let body = json!({"command": "cancel", "select": {"printer_ids": ids}});
    let (status, cancelled, _) = server.post_and_wait("/api/v1/batches", body).await;
    assert_eq!((status, &cancelled["result"]), (StatusCode::MULTI_STATUS, &json!("ok")), "{cancelled}");
    let ended = until_finished(&server, &batch).await;
    for row in &ended["commands"].as_array().expect("rows")[..3] {
        assert_eq!((&row["outcome"], &row["reason"]), (&json!("skipped"), &json!("overtaken_by_cancel")), "{row}");
    }
    assert_eq!(with_file(&farm), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_emergency_stop_cuts_the_transfer_and_withdraws_its_start() {
    let (server, farm, ids) = start_server_with_farm(1).await;
    let (file_id, _) = add_file(&server, "a.gcode", LARGE).await;
    farm.printers()[0].set_fault(Some(Fault::StopReading(256 * 1024)));
    let batch = create_start(&server, &ids, &file_id).await;
    until_row(&server, &batch, 0, "the transfer runs", is_running).await;
    let stop = json!({"select": {"printer_ids": ids}});
    let (status, stopped, _) = server.post_and_wait("/api/v1/emergency-stop", stop).await;
    assert_eq!((status, &stopped["result"]), (StatusCode::MULTI_STATUS, &json!("ok")), "{stopped}");
    let row = until_row(&server, &batch, 0, "the start is withdrawn", |row| row["final"] == true).await;
    let expected = (&json!("skipped"), &json!("overtaken_by_emergency_stop"));
    assert_eq!((&row["outcome"], &row["reason"]), expected, "{row}");
    assert_eq!((&row["transfer"], with_file(&farm)), (&Value::Null, 0), "{row}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_time_to_send_begins_with_the_end_of_the_transfer_and_the_window_bounds_the_whole() {
    let (server, farm, ids) = start_server_with_farm(2).await;
    let (file_id, _) = add_file(&server, "a.gcode", LARGE).await;
    // The first printer needs about four seconds, the second one never gets the file.
    farm.printers()[0].set_fault(Some(Fault::ReadSlowly(2 * 1024 * 1024)));
    farm.printers()[1].set_fault(Some(Fault::StopReading(256 * 1024)));
    let body = json!({"command": "start", "select": {"printer_ids": ids}, "file": {"file_id": file_id}, "expires_in_s": 2, "window_s": 12});
    let (status, batch, _) = server.post("/api/v1/batches", body).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{batch}");
    let ended = until_finished(&server, &batch).await;
    let rows = ended["commands"].as_array().expect("rows");
    assert_eq!((&rows[0]["outcome"], &rows[0]["transfer"]["state"]), (&json!("confirmed"), &json!("done")), "{ended}");
    assert_eq!((&rows[1]["outcome"], &rows[1]["reason"]), (&json!("expired"), &json!("window_over")), "{ended}");
    assert_eq!(transferred_path(&farm.printers()[1]), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_printer_that_hangs_in_a_selection_delays_no_transfer_of_another_one() {
    let (server, farm) = (TestServer::start().await, start_farm(2).await);
    let printers = farm.printers();
    let proxy = Throttle::start_holding(printers[0].url(), r#""command":"select""#).await;
    let body = json!({"name": "held", "url": proxy.url, "api_key": printers[0].api_key()});
    let (status, held, _) = server.post("/api/v1/printers", body).await;
    assert_eq!(status, StatusCode::CREATED, "{held}");
    let other = server.register_printer(&printers[1]).await;
    for id in [held["id"].as_str().expect("an id"), &other] {
        server.until_online(id).await;
    }
    // A slicer sends a file to the first printer, to be selected there.
    let key = server.create_token("operator").await;
    let part = multipart::Part::bytes(sample_gcode("held", 20)).file_name("held.gcode");
    let form = multipart::Form::new().text("print", "true").part("file", part);
    let request = server.request_without_auth(Method::POST, "/octoprint/printers/held/api/files/local");
    let upload = request.header("X-Api-Key", key).multipart(form).send().await;
    assert_eq!(upload.expect("an answer").status(), StatusCode::CREATED);
    wait::until("the selection is held", DEADLINE, async || if proxy.is_holding() { Ok(()) } else { Err("not yet") })
        .await;
    let (file, _) = add_file(&server, "other.gcode", 20).await;
    let batch = create_start(&server, std::slice::from_ref(&other), &file).await;
    until_row(&server, &batch, 0, "the other printer prints", |row| row["outcome"] == "confirmed").await;
    assert!(proxy.is_holding(), "the selection was still open");
}
