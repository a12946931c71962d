//! Emergency stops: ahead of every other command, recorded before they are sent, sent once, and with one true outcome.

mod crash;
mod overtaking;

use std::time::Duration;

use printyard::simulator::{Farm, FarmConfig, Fault, MachineAction, SimulatedPrinter};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sqlx::{Connection as _, SqliteConnection};

use crate::support::{
    server::{TestServer, send_request},
    wait,
};

const DEADLINE: Duration = Duration::from_secs(40);

/// Starts printers in real time that have selected a file with a long print.
async fn start_slow_farm(printers: usize) -> Farm {
    let config = FarmConfig {
        printers,
        with_sample_files: true,
        selected_file: Some("long/vase.gcode".to_owned()),
        ..FarmConfig::default()
    };
    Farm::start(config).await.expect("a farm")
}

/// Starts a server with such a farm. Its printers are online.
async fn start_server_with_slow_farm(printers: usize) -> (TestServer, Farm, Vec<String>) {
    let (server, farm) = (TestServer::start().await, start_slow_farm(printers).await);
    let ids = register_farm(&server, &farm).await;
    (server, farm, ids)
}

/// Registers the printers of a farm, and waits until they are online. Returns their ids.
async fn register_farm(server: &TestServer, farm: &Farm) -> Vec<String> {
    let mut ids = Vec::new();
    for printer in farm.printers() {
        ids.push(server.register_printer(printer).await);
    }
    for id in &ids {
        server.until_online(id).await;
    }
    ids
}

/// Starts a print on every printer.
async fn start_prints(server: &TestServer, ids: &[String]) {
    let start = json!({"command": "start", "select": {"printer_ids": ids}});
    let (status, batch, _) = server.post_and_wait("/api/v1/batches", start).await;
    assert_eq!((status, &batch["result"]), (StatusCode::MULTI_STATUS, &json!("ok")), "{batch}");
}

/// Stops printers, and waits for the end.
async fn stop_printers(server: &TestServer, ids: &[String]) -> Value {
    let stop = json!({"select": {"printer_ids": ids}, "reason": "smoke"});
    let (status, batch, _) = server.post_and_wait("/api/v1/emergency-stop", stop).await;
    assert_eq!(status, StatusCode::MULTI_STATUS, "{batch}");
    batch
}

/// Counts the requests of this command that a printer has received.
fn count_received(printer: &SimulatedPrinter, command: &str) -> usize {
    printer.received_requests().iter().filter(|request| request.command == command).count()
}

/// Returns `outcome` or `outcome/reason` of each row.
fn list_outcomes(batch: &Value) -> Vec<String> {
    let rows = batch["commands"].as_array().expect("rows").iter();
    rows.map(|row| match (row["outcome"].as_str().unwrap_or_default(), row["reason"].as_str()) {
        (outcome, Some(reason)) => format!("{outcome}/{reason}"),
        (outcome, None) => outcome.to_owned(),
    })
    .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_reply_is_settled_by_reading_and_m112_is_never_sent_again() {
    let (server, farm, ids) = start_server_with_slow_farm(6).await;
    start_prints(&server, &ids).await;
    // The last two are polled.
    farm.printers()[4].set_fault(Some(Fault::DropSocket));
    farm.printers()[5].set_fault(Some(Fault::DropSocket));
    let faults = [
        Fault::ResetAfterActing,
        Fault::StatusAfterActing(502),
        Fault::Reset,
        Fault::Garbage,
        Fault::ResetAfterActing,
        Fault::Reset,
    ];
    for (printer, fault) in farm.printers().iter().zip(faults) {
        printer.queue_command_fault(fault);
    }
    let batch = stop_printers(&server, &ids).await;
    let expected =
        ["confirmed", "confirmed", "unknown/no_answer", "unknown/no_answer", "confirmed", "unknown/no_answer"];
    assert_eq!(list_outcomes(&batch), expected, "{batch}");
    assert_eq!(batch["result"], "uncertain");
    for (printer, outcome) in farm.printers().iter().zip(expected) {
        assert_eq!(count_received(printer, "M112"), 1, "{}", printer.name());
        let state = if outcome == "confirmed" { "Offline after error" } else { "Printing" };
        assert_eq!(printer.state_text(), state, "{}", printer.name());
    }

    // An unknown stop is repeated only by an operator who has checked the printers.
    let retry = format!("/api/v1/batches/{}/retry", batch["id"].as_str().expect("an id"));
    let (status, problem, _) = server.post(&retry, json!({"outcomes": ["unknown"]})).await;
    assert_eq!((status, &problem["code"]), (StatusCode::CONFLICT, &json!("needs_operator_check")), "{problem}");
    let checked = json!({"outcomes": ["unknown"], "operator_checked": true});
    let (status, again, _) = server.post_and_wait(&retry, checked).await;
    assert_eq!((status, &again["command"]), (StatusCode::MULTI_STATUS, &json!("emergency_stop")), "{again}");
    assert_eq!(list_outcomes(&again), ["confirmed"; 3], "{again}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_printer_that_octoprint_cannot_reach_is_not_reported_as_stopped() {
    let (server, farm, ids) = start_server_with_slow_farm(5).await;
    farm.printers()[0].perform(MachineAction::Disconnect);
    farm.printers()[1].perform(MachineAction::FirmwareError("Thermal runaway".to_owned()));
    server.until_state(&ids[0], "offline").await;
    server.until_state(&ids[1], "error").await;
    farm.printers()[2].set_fault(Some(Fault::Refuse));
    farm.printers()[3].queue_command_fault(Fault::Status(403));
    let batch = stop_printers(&server, &ids).await;
    let expected = ["rejected/not_operational", "rejected/not_operational", "unreachable", "unauthorized", "confirmed"];
    assert_eq!(list_outcomes(&batch), expected, "{batch}");
    let detail = batch["commands"][0]["detail"].as_str().unwrap_or_default();
    assert!(detail.contains("power supply"), "{batch}");
    assert_eq!(count_received(&farm.printers()[0], "M112"), 0);
    // Rows without an effect may be retried without a check.
    farm.printers()[2].set_fault(None);
    server.until_online(&ids[2]).await;
    let retry = format!("/api/v1/batches/{}/retry", batch["id"].as_str().expect("an id"));
    let (_, again, _) = server.post_and_wait(&retry, json!({"outcomes": ["unreachable", "unauthorized"]})).await;
    assert_eq!(list_outcomes(&again), ["confirmed", "confirmed"], "{again}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_sent_that_is_not_recorded_before() {
    let (server, farm, ids) = start_server_with_slow_farm(1).await;
    let url = format!("sqlite:{}", server.data_dir().join("printyard.db").display());
    let mut database = SqliteConnection::connect(&url).await.expect("a connection");
    let refuse = "create trigger refused before update on commands when new.outcome = 'sent'
                  begin select raise(abort, 'refused by the test'); end";
    sqlx::raw_sql(refuse).execute(&mut database).await.expect("the trigger");
    let batch = stop_printers(&server, &ids).await;
    assert_eq!(list_outcomes(&batch), ["rejected/not_recorded"], "{batch}");
    assert_eq!(count_received(&farm.printers()[0], "M112"), 0);
    sqlx::raw_sql("drop trigger refused").execute(&mut database).await.expect("no trigger");
    assert_eq!(list_outcomes(&stop_printers(&server, &ids).await), ["confirmed"]);
    assert_eq!(count_received(&farm.printers()[0], "M112"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_endpoints_check_role_tags_and_selection() {
    let (server, farm) = (TestServer::start().await, start_slow_farm(2).await);
    let own = server.register_printer_with(&farm.printers()[0], json!({"tags": ["hall-a"]})).await;
    let other = server.register_printer_with(&farm.printers()[1], json!({"tags": ["hall-b"]})).await;
    for id in [&own, &other] {
        server.until_online(id).await;
    }
    let token = server.create_token_for("operator", &["hall-a"]).await;
    let post = async |path: &str, body: Value| {
        let request = server.request_without_auth(Method::POST, path).bearer_auth(&token);
        send_request(request.header("Prefer", "wait=30").json(&body)).await
    };
    let (status, _, _) = post(&format!("/api/v1/printers/{other}/emergency-stop"), json!({})).await;
    assert_eq!(status, StatusCode::NOT_FOUND, "a printer outside the tags does not seem to exist");
    let (status, problem, _) = post("/api/v1/emergency-stop", json!({"select": {"tags_all": ["hall-b"]}})).await;
    assert_eq!((status, &problem["code"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("nothing_selected")));
    let (_, batch, _) = post("/api/v1/emergency-stop", json!({"select": {"printer_ids": [&other]}})).await;
    assert_eq!(list_outcomes(&batch), ["rejected/forbidden"], "{batch}");
    let (status, batch, headers) = post("/api/v1/emergency-stop", json!({"select": {"all": true}})).await;
    assert_eq!((status, list_outcomes(&batch)), (StatusCode::MULTI_STATUS, vec!["confirmed".to_owned()]), "{batch}");
    let location = format!("/api/v1/batches/{}", batch["id"].as_str().expect("an id"));
    assert_eq!(headers["location"], location.as_str());
    assert_eq!(farm.printers()[1].state_text(), "Operational");

    // Batches and jobs accept every command but this one.
    let job = format!("/api/v1/printers/{own}/job");
    for (path, body) in [
        ("/api/v1/batches", json!({"command": "emergency_stop", "select": {"all": true}})),
        ("/api/v1/batches", json!({"command": "emergency_stop", "select": {"all": true}, "dry_run": true})),
        (job.as_str(), json!({"command": "emergency_stop"})),
    ] {
        let (status, problem, _) = server.post(path, body).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{problem}");
        let error = &problem["errors"][0];
        assert_eq!((&error["pointer"], &error["code"]), (&json!("/command"), &json!("not_for_batches")), "{problem}");
    }
    // A job or a file would be a condition that the stop does not check.
    let condition = json!([{"id": own, "expected_job": {"path": "a.gcode"}}]);
    for body in [
        json!({"select": {"printer_ids": condition}}),
        json!({"select": {"all": true}, "plate": "check"}),
        json!({"select": {}}),
        json!({}),
    ] {
        let (status, problem, _) = server.post("/api/v1/emergency-stop", body).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{problem}");
    }
    assert_eq!(count_received(&farm.printers()[0], "M112"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_request_with_its_key_stops_once_and_the_stop_is_in_every_list() {
    let (server, farm, ids) = start_server_with_slow_farm(1).await;
    let path = format!("/api/v1/printers/{}/emergency-stop", ids[0]);
    // The body may be left out.
    let send = async |key: &str| {
        let request = server.request(Method::POST, &path).header("Idempotency-Key", key);
        send_request(request.header("Prefer", "wait=30")).await
    };
    let (status, first, _) = send("stop-1").await;
    assert_eq!((status, list_outcomes(&first)), (StatusCode::MULTI_STATUS, vec!["confirmed".to_owned()]), "{first}");
    let (status, again, headers) = send("stop-1").await;
    assert_eq!((status, &again["id"]), (StatusCode::MULTI_STATUS, &first["id"]), "{again}");
    assert_eq!(headers["idempotent-replayed"], "true");
    assert_eq!(count_received(&farm.printers()[0], "M112"), 1);

    let (_, list, _) = server.get("/api/v1/batches?command=emergency_stop").await;
    assert_eq!((&list["items"][0]["id"], list["items"].as_array().map(Vec::len)), (&first["id"], Some(1)), "{list}");
    let (_, feed, _) = server.get("/api/v1/events?types=batch.created,command.finished,batch.finished").await;
    let events = feed["items"].as_array().expect("events");
    let types: Vec<&str> = events.iter().filter_map(|event| event["type"].as_str()).collect();
    assert_eq!(types, ["batch.created", "command.finished", "batch.finished"], "{feed}");
    for event in &events[..2] {
        assert_eq!(event["data"]["command"], "emergency_stop", "{event}");
    }
    let (_, audit, _) = server.get("/api/v1/audit?action=batch.created").await;
    assert_eq!(audit["items"][0]["changes"]["command"], "emergency_stop", "{audit}");
    let printer = wait::until("the snapshot shows the error", DEADLINE, async || {
        let (_, printer, _) = server.get(&format!("/api/v1/printers/{}", ids[0])).await;
        if printer["status"]["state"] == "error" { Ok(printer) } else { Err(printer) }
    })
    .await;
    assert_eq!(printer["status"]["error"], "Closing serial port due to emergency stop M112.", "{printer}");
}
