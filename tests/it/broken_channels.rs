//! Broken channels: while one endpoint of a printer fails, each outcome still matches what the printer did.

use std::time::Duration;

use printyard::simulator::{Farm, FarmConfig, Fault, MachineAction, SimulatedPrinter};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::support::{server::TestServer, wait};

const DEADLINE: Duration = Duration::from_secs(60);
const FILE: &str = "long/vase.gcode";
const COMMANDS: [&str; 3] = ["start", "pause", "cancel"];

fn reading_fault(path: &str, fault: Fault) -> Fault {
    Fault::Reading(path.to_owned(), Box::new(fault))
}

/// Returns each fault with the channel error that the printer's page must show.
fn channel_faults() -> Vec<(&'static str, Fault, Option<&'static str>)> {
    vec![
        ("socket 401", reading_fault("/sockjs", Fault::Status(401)), Some("socket_refused")),
        ("socket 404", Fault::DropSocket, Some("socket_refused")),
        ("socket closed", Fault::CloseSocket, Some("socket_lost")),
        ("socket silent", Fault::SilentSocket, Some("login_not_confirmed")),
        ("socket hangs", reading_fault("/sockjs", Fault::Hang), Some("socket_lost")),
        ("login 403", reading_fault("/api/login", Fault::Status(403)), Some("login_refused")),
        ("login 500", reading_fault("/api/login", Fault::Status(500)), Some("login_failed")),
        ("job 500", reading_fault("/api/job", Fault::Status(500)), None),
        ("job slow", reading_fault("/api/job", Fault::Slow(Duration::from_secs(4))), None),
        ("job garbage", reading_fault("/api/job", Fault::Garbage), None),
        ("job NaN", reading_fault("/api/job", Fault::NotANumber), None),
        ("printer 500", reading_fault("/api/printer", Fault::Status(500)), None),
        ("printer NaN", reading_fault("/api/printer", Fault::NotANumber), None),
        ("files 500", reading_fault("/api/files", Fault::Status(500)), None),
        ("version 500", reading_fault("/api/version", Fault::Status(500)), None),
    ]
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum JobState {
    Idle,
    Printing,
    Paused,
}

/// Returns the expected outcome of a command, and the state after it.
fn expected_result(command: &str, job: JobState) -> (&'static str, &'static str) {
    match (command, job) {
        ("start", JobState::Idle) => ("confirmed", "Printing"),
        ("start", JobState::Printing) => ("rejected/already_printing", "Printing"),
        ("start", JobState::Paused) => ("rejected/already_printing", "Paused"),
        ("pause", JobState::Idle) => ("rejected/not_active", "Operational"),
        ("pause", JobState::Printing) => ("confirmed", "Paused"),
        ("pause", JobState::Paused) => ("unchanged", "Paused"),
        ("cancel", JobState::Idle) => ("unchanged", "Operational"),
        (_, JobState::Idle | JobState::Printing | JobState::Paused) => ("confirmed", "Operational"),
    }
}

/// Starts a print at the printer itself, and pauses it if `job` asks for that.
async fn prepare_job(printer: &SimulatedPrinter, job: JobState) {
    if job == JobState::Idle {
        return;
    }
    printer.perform(MachineAction::StartSelected);
    until_state_text(printer, "Printing").await;
    if job == JobState::Paused {
        printer.perform(MachineAction::Pause);
        until_state_text(printer, "Paused").await;
    }
}

async fn until_state_text(printer: &SimulatedPrinter, text: &str) {
    wait::until(text, DEADLINE, async || {
        let seen = printer.state_text();
        if seen == text { Ok(()) } else { Err(seen) }
    })
    .await;
}

async fn get_status(server: &TestServer, id: &str) -> Value {
    server.get(&format!("/api/v1/printers/{id}")).await.1["status"].take()
}

#[tokio::test]
async fn with_any_broken_channel_the_outcome_matches_the_printer() {
    let mut cases = Vec::new();
    for (name, fault, code) in channel_faults() {
        for job in [JobState::Idle, JobState::Printing, JobState::Paused] {
            cases.extend(COMMANDS.map(|command| (name, fault.clone(), code, job, command)));
        }
    }
    let config = FarmConfig {
        printers: cases.len(),
        with_sample_files: true,
        selected_file: Some(FILE.to_owned()),
        ..FarmConfig::default()
    };
    let (server, farm) = (TestServer::start().await, Farm::start(config).await.expect("a farm"));
    let printers = farm.printers();
    let bring = printers.iter().zip(&cases).map(|(printer, case)| prepare_job(printer, case.3));
    futures_util::future::join_all(bring).await;
    let mut ids = Vec::new();
    for (printer, (_, fault, ..)) in printers.iter().zip(&cases) {
        printer.set_fault(Some(fault.clone()));
        ids.push(server.register_printer(printer).await);
    }
    for (id, (name, _, code, ..)) in ids.iter().zip(&cases) {
        wait::until(&format!("{name}: online, and its channel is named"), DEADLINE, async || {
            let status = get_status(&server, id).await;
            let channel = if code.is_some() { "poll" } else { "push" };
            let is_named = status["channel"] == channel && status["channel_error"]["code"].as_str() == *code;
            if status["reachability"] == "online" && is_named { Ok(()) } else { Err(status) }
        })
        .await;
    }
    for command in COMMANDS {
        let targets: Vec<&String> =
            ids.iter().zip(&cases).filter(|(_, case)| case.4 == command).map(|(id, _)| id).collect();
        let mut body = json!({"command": command, "select": {"printer_ids": targets}, "confirm_within_s": 20});
        if command == "start" {
            body["file"] = json!({"path": FILE, "origin": "local"});
            body["plate"] = "assume_clear".into();
            body["reason"] = "a test".into();
        }
        let (status, batch, _) = server.post_and_wait("/api/v1/batches", body).await;
        assert_eq!(status, StatusCode::MULTI_STATUS, "{command} has ended everywhere: {batch}");
        let rows = batch["commands"].as_array().expect("rows");
        for ((id, case), printer) in ids.iter().zip(&cases).zip(printers).filter(|((_, case), _)| case.4 == command) {
            let row = rows.iter().find(|row| row["printer_id"] == id.as_str()).expect("a row");
            let outcome = match row["reason"].as_str() {
                Some(reason) => format!("{}/{reason}", row["outcome"].as_str().unwrap_or_default()),
                None => row["outcome"].as_str().unwrap_or_default().to_owned(),
            };
            let (name, job) = (case.0, case.3);
            let state = printer.state_text();
            let ended = (outcome.as_str(), state.as_str());
            assert_eq!(ended, expected_result(command, job), "{name}: {command} on {job:?}: {row}");
            let status = get_status(&server, id).await;
            assert_eq!(status["reachability"], "online", "{name}: {command} on {job:?}: {status}");
        }
    }
}

/// Returns a fault that leaves only `GET /api/printer` to read the state: neither event socket nor job work.
fn state_only_fault() -> Fault {
    Fault::Readings(vec![reading_fault("/sockjs", Fault::Status(401)), reading_fault("/api/job", Fault::Status(500))])
}

fn start_with_file() -> Value {
    json!({
        "command": "start", "file": {"path": FILE, "origin": "local"}, "confirm_within_s": 10,
        "plate": "assume_clear", "reason": "a test",
    })
}

#[tokio::test]
async fn a_start_that_octoprint_accepted_is_confirmed_by_the_state_alone() {
    let config = FarmConfig {
        printers: 2,
        with_sample_files: true,
        selected_file: Some("bracket.gcode".to_owned()),
        ..FarmConfig::default()
    };
    let (server, farm) = (TestServer::start().await, Farm::start(config).await.expect("a farm"));
    let [already_broken, broken_later] = [0, 1].map(|number| &farm.printers()[number]);
    already_broken.set_fault(Some(state_only_fault()));
    broken_later.set_fault(Some(reading_fault("/sockjs", Fault::Status(401))));
    let ids = [server.register_printer(already_broken).await, server.register_printer(broken_later).await];
    for id in &ids {
        server.until_state(id, "operational").await;
    }
    // Printyard knows only the previously selected file, which is another one.
    broken_later.set_fault(Some(state_only_fault()));
    for (printer, id) in farm.printers().iter().zip(&ids) {
        let (_, row, _) = server.post_and_wait(&format!("/api/v1/printers/{id}/job"), start_with_file()).await;
        assert_eq!((&row["outcome"], printer.state_text().as_str()), (&json!("confirmed"), "Printing"), "{row}");
        wait::until("the print is recorded", DEADLINE, async || {
            let (_, prints, _) = server.get(&format!("/api/v1/prints?printer_id={id}")).await;
            let [print] = &prints["items"].as_array().expect("prints")[..] else { return Err(prints) };
            let is_expected = print["file"]["path"] == FILE && print["started_by"]["command_id"] == row["id"];
            if is_expected { Ok(()) } else { Err(prints) }
        })
        .await;
    }
}

#[tokio::test]
async fn a_start_without_a_reply_is_not_confirmed_by_the_state_alone() {
    let config = FarmConfig { with_sample_files: true, ..FarmConfig::default() };
    let (server, farm) = (TestServer::start().await, Farm::start(config).await.expect("a farm"));
    let printer = &farm.printers()[0];
    printer.set_fault(Some(state_only_fault()));
    let id = server.register_printer(printer).await;
    server.until_state(&id, "operational").await;
    printer.queue_command_fault(Fault::ResetAfterActing);
    let (_, row, _) = server.post_and_wait(&format!("/api/v1/printers/{id}/job"), start_with_file()).await;
    assert_eq!((&row["outcome"], &row["reason"]), (&json!("unknown"), &json!("no_answer")), "{row}");
    assert_eq!(printer.state_text(), "Printing");
    // The job can be read again, and shows this file.
    printer.set_fault(None);
    let batch = format!("/api/v1/batches/{}", row["batch_id"].as_str().expect("a batch"));
    wait::until("the start is settled", DEADLINE, async || {
        let row = server.get(&batch).await.1["commands"][0].take();
        if row["settled"]["effect"] == "done" { Ok(()) } else { Err(row) }
    })
    .await;
}

#[tokio::test]
async fn a_stalled_socket_makes_no_command_unchanged() {
    let config = FarmConfig { with_sample_files: true, selected_file: Some(FILE.to_owned()), ..FarmConfig::default() };
    let (server, farm) = (TestServer::start().await, Farm::start(config).await.expect("a farm"));
    let printer = &farm.printers()[0];
    let id = server.register_printer(printer).await;
    wait::until("the event socket is open", DEADLINE, async || {
        let status = get_status(&server, &id).await;
        if status["channel"] == "push" { Ok(()) } else { Err(status) }
    })
    .await;
    server.until_state(&id, "operational").await;
    // From now on the socket answers pings, but its events are late.
    printer.set_fault(Some(Fault::LateEvents(Duration::from_secs(600))));
    printer.perform(MachineAction::StartSelected);
    until_state_text(printer, "Printing").await;
    let job = format!("/api/v1/printers/{id}/job");
    let (_, row, _) = server.post_and_wait(&job, json!({"command": "cancel"})).await;
    assert_eq!(row["outcome"], "confirmed", "{row}");
    assert_eq!(printer.state_text(), "Operational");
}

#[tokio::test]
async fn a_pause_that_is_undone_within_seconds_is_settled_as_no_effect() {
    let (server, farm, ids) = crate::support::server::start_server_with_farm(1).await;
    let printer = &farm.printers()[0];
    printer.select(FILE);
    printer.perform(MachineAction::StartSelected);
    server.until_state(&ids[0], "printing").await;
    let job = format!("/api/v1/printers/{}/job", ids[0]);
    let (_, row, _) = server.post_and_wait(&job, json!({"command": "pause"})).await;
    assert_eq!((row["outcome"].as_str(), &row["settled"]), (Some("confirmed"), &Value::Null), "{row}");
    printer.perform(MachineAction::Resume);
    let batch = format!("/api/v1/batches/{}", row["batch_id"].as_str().expect("a batch"));
    wait::until("the undone pause is recorded", DEADLINE, async || {
        let row = server.get(&batch).await.1["commands"][0].take();
        let is_recorded = row["outcome"] == "confirmed" && row["settled"]["effect"] == "none";
        if is_recorded && row["settled"]["state"] == "printing" { Ok(()) } else { Err(row) }
    })
    .await;
}

#[tokio::test]
async fn a_connection_test_reports_missing_events() {
    let (server, farm) = (TestServer::start().await, crate::support::server::start_farm(1).await);
    let printer = &farm.printers()[0];
    let body = json!({"url": printer.url(), "api_key": printer.api_key()});
    let faults = [
        reading_fault("/api/login", Fault::Status(500)),
        reading_fault("/sockjs", Fault::Status(401)),
        Fault::CloseSocket,
        Fault::SilentSocket,
    ];
    for fault in faults {
        printer.set_fault(Some(fault.clone()));
        let (status, report, _) = server.post("/api/v1/printers/test", body.clone()).await;
        assert_eq!((status, &report["reachability"]), (StatusCode::OK, &json!("online")), "{fault:?}: {report}");
        assert!(report.to_string().contains("no_events"), "{fault:?}: {report}");
    }
}

#[tokio::test]
async fn a_printer_that_fails_while_it_heats_blocks_its_power_group_for_a_time() {
    let config = FarmConfig {
        printers: 2,
        time_scale: 0.2,
        with_sample_files: true,
        selected_file: Some(FILE.to_owned()),
        ..FarmConfig::default()
    };
    let (server, farm) = (TestServer::start().await, Farm::start(config).await.expect("a farm"));
    let mut ids = Vec::new();
    for printer in farm.printers() {
        ids.push(server.register_printer_with(printer, json!({"power_group": "hall"})).await);
        server.until_online(ids.last().expect("an id")).await;
    }
    let heating = &farm.printers()[0];
    heating.perform(MachineAction::StartSelected);
    wait::until("it heats", DEADLINE, async || {
        let temperatures = get_status(&server, &ids[0]).await["temperatures"].take();
        let is_below =
            |heater: &Value| heater["target"].as_f64() > heater["actual"].as_f64().map(|actual| actual + 3.0);
        if temperatures.as_object().is_some_and(|heaters| heaters.values().any(is_below)) {
            Ok(())
        } else {
            Err(temperatures)
        }
    })
    .await;
    heating.perform(MachineAction::FirmwareError("Thermal Runaway".to_owned()));
    let status = server.until_state(&ids[0], "error").await["status"].take();
    assert_eq!(status["temperatures"], json!({}), "{status}");
    let body = json!({"command": "start", "select": {"printer_ids": [&ids[1]]}, "max_heating": 1});
    let (_, batch, _) = server.post("/api/v1/batches", body).await;
    let path = format!("/api/v1/batches/{}", batch["id"].as_str().expect("an id"));
    wait::until("the row says why it waits", DEADLINE, async || {
        let row = server.get(&path).await.1["commands"][0].take();
        let has_reason = row["detail"] == "Waiting until fewer printers of the power group heat.";
        if row["outcome"] == "queued" && has_reason { Ok(()) } else { Err(row) }
    })
    .await;
    wait::until("the start is confirmed", DEADLINE, async || {
        let row = server.get(&path).await.1["commands"][0].take();
        if row["outcome"] == "confirmed" { Ok(()) } else { Err(row) }
    })
    .await;
}
