//! Maintenance: a printer out of service refuses prints and accepts every other command.

use std::time::Duration;

use printyard::simulator::{Farm, FarmConfig, Fault};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{
    api::problems::assert_problem,
    support::{
        needs,
        octoprint::{OctoPrintInstance, OctoPrintVersion},
        server::{TestServer, send_request, start_server_with_farm},
        wait,
    },
};

const DEADLINE: Duration = Duration::from_secs(60);

/// The reason of a rejected command, or the outcome of another one.
async fn run(server: &TestServer, id: &str, command: &str) -> (String, Value) {
    let select = json!({"printer_ids": [id]});
    let dry_run = json!({"command": command, "select": select, "dry_run": true});
    let (_, preview, _) = server.post("/api/v1/batches", dry_run).await;
    let planned = &preview["commands"][0];
    let (status, batch, _) =
        server.post_and_wait("/api/v1/batches", json!({"command": command, "select": select})).await;
    assert_eq!(status, StatusCode::MULTI_STATUS, "{batch}");
    let row = &batch["commands"][0];
    let result = if row["outcome"] == "rejected" { &row["reason"] } else { &row["outcome"] };
    let is_refused = planned["would"] == "reject";
    assert_eq!(is_refused, row["outcome"] == "rejected", "the preview and the outcome agree: {planned} {row}");
    if is_refused {
        assert_eq!((&planned["reason"], &planned["detail"]), (&row["reason"], &row["detail"]), "{command}");
    }
    (result.as_str().expect("a word").to_owned(), row.clone())
}

async fn set_service(server: &TestServer, id: &str, production: Value) -> Value {
    let (status, body, _) = server.patch(&format!("/api/v1/printers/{id}"), json!({ "production": production })).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    body["production"].clone()
}

/// Selects a file on the first printer of the farm, and waits until the server has observed it.
async fn select_long_file(server: &TestServer, farm: &Farm, id: &str) {
    const FILE: &str = "long/vase.gcode";
    farm.printers()[0].select(FILE);
    wait::until("the selected file is observed", DEADLINE, async || {
        let (_, body, _) = server.get(&format!("/api/v1/printers/{id}")).await;
        if body["job"]["file"]["path"] == FILE { Ok(()) } else { Err(body) }
    })
    .await;
}

fn out_of_service() -> Value {
    json!({"service": "out_of_service", "note": "Nozzle change", "until": "2026-12-03T16:00:00Z"})
}

/// The same as it is shown.
fn shown_out_of_service() -> Value {
    let mut shown = out_of_service();
    shown["auto"] = json!(false);
    shown
}

#[tokio::test(flavor = "multi_thread")]
async fn a_printer_out_of_service_refuses_prints_and_accepts_every_other_command() {
    let (server, farm, ids) = start_server_with_farm(1).await;
    let id = &ids[0];
    select_long_file(&server, &farm, id).await;
    assert_eq!(set_service(&server, id, out_of_service()).await, shown_out_of_service());
    let (reason, row) = run(&server, id, "start").await;
    assert_eq!(reason, "out_of_service");
    assert_eq!(row["detail"], "Out of service, expected back 2026-12-03 16:00 UTC: Nozzle change");
    assert_eq!((&row["final"], &row["effect"], &row["attempts"]), (&json!(true), &json!("none"), &json!(0)));

    let back = set_service(&server, id, json!({"service": "in_service"})).await;
    assert_eq!(back, json!({"auto": false, "service": "in_service", "until": null, "note": null}));
    assert_eq!(run(&server, id, "start").await.0, "confirmed");
    set_service(&server, id, json!({"service": "out_of_service"})).await;
    server.until_state(id, "printing").await;
    for command in ["start", "restart", "resume"] {
        let (reason, row) = run(&server, id, command).await;
        assert_eq!(reason, "out_of_service", "{command}");
        assert_eq!(row["detail"], "The printer is out of service. Return it to service first.");
    }
    assert_eq!(run(&server, id, "toggle").await.0, "confirmed", "a toggle that pauses");
    for command in ["toggle", "resume", "restart", "start"] {
        assert_eq!(run(&server, id, command).await.0, "out_of_service", "{command} of the paused print");
    }
    for (command, outcome) in
        [("pause", "unchanged"), ("cancel", "confirmed"), ("disconnect", "confirmed"), ("connect", "confirmed")]
    {
        assert_eq!(run(&server, id, command).await.0, outcome, "{command}");
    }
    assert!(!farm.printers()[0].received_requests().iter().any(|request| request.command == "resume"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draining_printer_refuses_nothing_that_is_started_by_hand() {
    let (server, farm, ids) = start_server_with_farm(1).await;
    select_long_file(&server, &farm, &ids[0]).await;
    set_service(&server, &ids[0], json!({"service": "draining", "note": "Service on Friday"})).await;
    for (command, outcome) in [("start", "confirmed"), ("pause", "confirmed"), ("resume", "confirmed")] {
        assert_eq!(run(&server, &ids[0], command).await.0, outcome, "{command}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_printer_that_is_switched_off_during_maintenance_is_out_of_service_and_not_unreachable() {
    let (server, farm, ids) = start_server_with_farm(1).await;
    set_service(&server, &ids[0], out_of_service()).await;
    farm.printers()[0].set_fault(Some(Fault::Refuse));
    wait::until("the printer is unreachable", DEADLINE, async || {
        let (_, body, _) = server.get(&format!("/api/v1/printers/{}", ids[0])).await;
        if body["status"]["reachability"] == "unreachable" { Ok(()) } else { Err(body) }
    })
    .await;
    for command in ["start", "restart", "resume"] {
        assert_eq!(run(&server, &ids[0], command).await.0, "out_of_service", "{command}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_waits_is_refused_when_its_turn_comes() {
    let (server, farm, ids) = start_server_with_farm(2).await;
    // The first printer holds the only place of the batch.
    farm.printers()[0].set_fault(Some(Fault::Hang));
    let select = json!({"printer_ids": ids});
    let start = json!({"command": "start", "select": select, "max_in_flight": 1});
    let (status, batch, _) = server.post("/api/v1/batches", start).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{batch}");
    set_service(&server, &ids[1], out_of_service()).await;
    farm.printers()[0].set_fault(None);
    let path = format!("/api/v1/batches/{}", batch["id"].as_str().expect("an id"));
    let rows = wait::until("the batch has ended", DEADLINE, async || {
        let (_, batch, _) = server.get(&path).await;
        if batch["state"] == "finished" { Ok(batch["commands"].clone()) } else { Err(batch) }
    })
    .await;
    assert_eq!((&rows[1]["outcome"], &rows[1]["reason"]), (&json!("rejected"), &json!("out_of_service")), "{rows}");
    assert!(farm.printers()[1].received_requests().is_empty(), "nothing was sent");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_file_is_transferred_to_a_printer_out_of_service() {
    let (server, _farm, ids) = start_server_with_farm(1).await;
    let (_, file, _) = server.upload_file("", "bowl.gcode", "G4 P200\n").await;
    set_service(&server, &ids[0], out_of_service()).await;
    let start = json!({"command": "start", "select": {"printer_ids": ids}, "file": {"file_id": file["id"]}});
    let (_, batch, _) = server.post_and_wait("/api/v1/batches", start).await;
    assert_eq!(batch["commands"][0]["reason"], "out_of_service", "{batch}");
    assert!(batch["commands"][0]["detail"].as_str().is_some_and(|text| text.contains("Nozzle change")), "{batch}");
    let (_, files, _) = server.get(&format!("/api/v1/printers/{}/files", ids[0])).await;
    assert!(!files.to_string().contains("bowl.gcode"), "{files}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_changes_the_service_state_and_nothing_else() {
    let (server, _farm, ids) = start_server_with_farm(1).await;
    let path = format!("/api/v1/printers/{}", ids[0]);
    let production = json!({"production": out_of_service()});
    let both = json!({"production": {"service": "in_service"}, "notes": "x"});
    for (role, tags, body, expected) in [
        ("viewer", vec![], &production, 403),
        ("operator", vec![], &production, 200),
        ("operator", vec![], &both, 403),
        ("operator", vec![], &json!({"notes": "x"}), 403),
        ("operator", vec![], &json!({}), 403),
        ("operator", vec!["hall-b"], &production, 404),
        ("manager", vec![], &both, 200),
    ] {
        let token = server.create_token_for(role, &tags).await;
        let request = server.request_without_auth(Method::PATCH, &path).bearer_auth(token).json(body);
        let (status, answer, _) = send_request(request).await;
        assert_eq!(status, expected, "{role} {body}: {answer}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_audited_and_published_and_survives_a_restart() {
    let (server, _farm, ids) = start_server_with_farm(1).await;
    let path = format!("/api/v1/printers/{}", ids[0]);
    set_service(&server, &ids[0], out_of_service()).await;
    let before = json!({"auto": false, "service": "in_service", "until": null, "note": null});
    let (_, audit, _) = server.get("/api/v1/audit?action=printer.changed").await;
    assert_eq!(audit["items"][0]["changes"], json!({"production": [before, shown_out_of_service()]}), "{audit}");
    let (_, events, _) = server.get("/api/v1/events?types=printer.updated").await;
    let data = &events["items"][0]["data"];
    assert_eq!(data["changes"], json!({"production": [before, shown_out_of_service()]}), "{events}");
    let server = server.restart().await;
    assert_eq!(server.get(&path).await.1["production"], shown_out_of_service());
    assert_eq!(run(&server, &ids[0], "start").await.0, "out_of_service");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merge_patch_keeps_what_it_does_not_name_and_refuses_what_is_wrong() {
    let (server, _farm, ids) = start_server_with_farm(1).await;
    let path = format!("/api/v1/printers/{}", ids[0]);
    set_service(&server, &ids[0], out_of_service()).await;
    let draining = set_service(&server, &ids[0], json!({"service": "draining", "until": null})).await;
    assert_eq!(draining, json!({"auto": false, "service": "draining", "until": null, "note": "Nozzle change"}));
    for (production, pointer, code) in [
        (json!(null), "/production", "null"),
        (json!([]), "/production", "type"),
        (json!({"service": null}), "/production/service", "null"),
        (json!({"service": "broken"}), "/production/service", "unknown_value"),
        (json!({"automatic": true}), "/production/automatic", "unknown_field"),
        (json!({"note": "x".repeat(501)}), "/production/note", "length"),
        (json!({"note": "a\nb"}), "/production/note", "control_character"),
        (json!({"until": "tomorrow"}), "/production/until", "value"),
        (json!({"until": "0001-01-01T00:00:00Z"}), "/production/until", "range"),
    ] {
        let answer = server.patch(&path, json!({ "production": production })).await;
        assert_eq!(answer.0, StatusCode::UNPROCESSABLE_ENTITY, "{production}: {}", answer.1);
        let error = &answer.1["errors"][0];
        assert_eq!((&error["pointer"], &error["code"]), (&json!(pointer), &json!(code)), "{production}: {}", answer.1);
    }
    set_service(&server, &ids[0], json!({"service": "in_service", "note": "ready"})).await;
    let answer = server.patch(&path, json!({"production": {"note": "later"}})).await;
    assert_problem(&answer, 422, "invalid_input");
    assert_eq!(server.get(&path).await.1["production"]["note"], json!(null));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn new_printers_are_in_service_unless_the_request_says_otherwise() {
    let server = TestServer::start().await;
    let farm = Farm::start(FarmConfig { printers: 2, ..FarmConfig::default() }).await.expect("a farm");
    let item = |n: usize, production: Value| {
        let printer = &farm.printers()[n];
        let mut item = json!({"name": printer.name(), "url": printer.url(), "api_key": printer.api_key()});
        if !production.is_null() {
            item["production"] = production;
        }
        item
    };
    let null_state = item(1, json!({"service": null}));
    let items = json!({"items": [item(0, Value::Null), item(1, out_of_service()), null_state]});
    let (status, body, _) = server.post("/api/v1/printers/bulk", items).await;
    assert_eq!(status, StatusCode::MULTI_STATUS, "{body}");
    assert_eq!(body["items"][0]["printer"]["production"]["service"], "in_service");
    assert_eq!(body["items"][1]["printer"]["production"], shown_out_of_service());
    assert_eq!(body["items"][2]["problem"]["errors"][0]["pointer"], "/items/2/production/service", "{body}");
    let id = body["items"][1]["id"].as_str().expect("an id");
    assert_eq!(run(&server, id, "start").await.0, "out_of_service");
    let csv = server.request(Method::GET, "/api/v1/printers").header("Accept", "text/csv").send().await;
    let csv = csv.expect("an answer").text().await.expect("a list");
    assert!(csv.contains("production") && csv.contains("out_of_service"), "{csv}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs real OctoPrint, which tests/run provides"]
async fn real_octoprint_out_of_service_is_not_started_and_is_paused_and_cancelled() {
    let printer = needs!(OctoPrintInstance::start(OctoPrintVersion::V1).await);
    let server = TestServer::start().await;
    let body = json!({"name": "Real", "url": printer.url, "api_key": printer.api_key});
    let (_, body, _) = server.post("/api/v1/printers", body).await;
    let id = body["id"].as_str().expect("an id");
    server.until_state(id, "operational").await;
    let (_, file, _) = server.upload_file("", "part.gcode", "G4 P200\n".repeat(900)).await;
    let start = json!({"command": "start", "select": {"printer_ids": [id]}, "file": {"file_id": file["id"]}});
    set_service(&server, id, out_of_service()).await;
    let (_, batch, _) = server.post_and_wait("/api/v1/batches", start.clone()).await;
    assert_eq!(batch["commands"][0]["reason"], "out_of_service", "{batch}");
    set_service(&server, id, json!({"service": "in_service"})).await;
    let (_, batch, _) = server.post_and_wait("/api/v1/batches", start).await;
    assert_eq!(batch["commands"][0]["outcome"], "confirmed", "{batch}");
    set_service(&server, id, out_of_service()).await;
    server.until_state(id, "printing").await;
    for (command, result) in [
        ("restart", "out_of_service"),
        ("pause", "confirmed"),
        ("resume", "out_of_service"),
        ("cancel", "confirmed"),
        ("start", "out_of_service"),
    ] {
        assert_eq!(run(&server, id, command).await.0, result, "{command}");
    }
    server.until_state(id, "operational").await;
    server.stop().await;
}
