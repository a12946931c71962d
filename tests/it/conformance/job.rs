//! One printer through a whole Printyard: the documented behaviour of every command, on real OctoPrints and on the
//! simulator.

use printyard::{domain::audit::ActorKind, service::access::Principal};
use serde_json::{Value, json};

use super::{
    setup::{LONG_FILE, PrinterSetup, SHORT_FILE, format_outcome},
    subject::{DEADLINE, TestSubject},
};
use crate::support::{octoprint::OctoPrintVersion, wait};

async fn a_start_without_a_file_is_rejected(setup: &PrinterSetup) {
    let row = setup.expect_outcome("start", "rejected/no_file_selected").await;
    assert_eq!(row["attempts"], 0, "{row}");
}

async fn a_start_is_confirmed_with_its_print(setup: &PrinterSetup) {
    setup.prepare_idle(LONG_FILE).await;
    let row = setup.expect_outcome("start", "confirmed").await;
    assert_eq!(
        (&row["effect"], &row["attempts"], &row["state_before"]),
        (&json!("done"), &json!(1), &json!("operational"))
    );
    let print = wait::until("the print is recorded", DEADLINE, async || {
        let print = setup.get_print(&row["print_id"]).await;
        if print["id"] == row["print_id"] { Ok(print) } else { Err(print) }
    })
    .await;
    assert_eq!(print["started_by"], json!({ "kind": "command", "command_id": row["id"] }), "{print}");
    assert_eq!((&print["file"]["path"], &print["result"]), (&json!(LONG_FILE), &Value::Null));
    let printer = setup.until_state("printing").await;
    assert_eq!(printer["job"]["print_id"], row["print_id"]);
    assert_eq!((&printer["plate"]["state"], &printer["plate"]["print_id"]), (&json!("occupied"), &row["print_id"]));
    setup.expect_outcome("start", "rejected/already_printing").await;
    assert_eq!(setup.clear_plate().await, "printing");
}

async fn pause_and_resume_are_confirmed_once_and_then_unchanged(setup: &PrinterSetup) {
    setup.start_long_print().await;
    let row = setup.expect_outcome("pause", "confirmed").await;
    assert_eq!(row["state_after"], "paused");
    assert_eq!(setup.subject.read_job().await["state"], "Paused");
    let printer = setup.until_state("paused").await;
    assert_eq!(printer["job"]["paused_by"], json!({ "kind": "command", "command_id": row["id"] }));
    assert_eq!(setup.expect_outcome("pause", "unchanged").await["attempts"], 0);
    setup.expect_outcome("resume", "confirmed").await;
    setup.subject.until_state("Printing").await;
    setup.until_state("printing").await;
    assert_eq!(setup.expect_outcome("resume", "unchanged").await["attempts"], 0);
}

async fn a_toggle_is_resolved_by_the_observed_state(setup: &PrinterSetup) {
    setup.start_long_print().await;
    assert_eq!(setup.expect_outcome("toggle", "confirmed").await["resolved_command"], "pause");
    assert_eq!(setup.subject.read_job().await["state"], "Paused");
    assert_eq!(setup.expect_outcome("toggle", "confirmed").await["resolved_command"], "resume");
    setup.subject.until_state("Printing").await;
    setup.expect_outcome("cancel", "confirmed").await;
    setup.until_state("operational").await;
    setup.expect_outcome("toggle", "rejected/not_active").await;
}

async fn a_second_cancel_is_unchanged(setup: &PrinterSetup) {
    let print = setup.start_long_print().await["print_id"].clone();
    let row = setup.expect_outcome("cancel", "confirmed").await;
    assert_eq!((&row["attempts"], &row["print_id"]), (&json!(1), &print), "{row}");
    setup.subject.until_state("Operational").await;
    assert_eq!(setup.expect_outcome("cancel", "unchanged").await["attempts"], 0);
    setup.until_result(&print, "cancelled").await;
}

async fn a_cancel_in_starting_is_sent_once(setup: &PrinterSetup) {
    setup.prepare_idle(LONG_FILE).await;
    setup.subject.set_scripts(&[("beforePrintStarted", "G4 S2")]).await;
    setup.expect_outcome("start", "confirmed").await;
    let row = setup.expect_outcome("cancel", "confirmed").await;
    assert_eq!((&row["attempts"], &row["state_before"]), (&json!(1), &json!("starting")), "{row}");
    setup.subject.until_state("Operational").await;
}

async fn a_plate_is_occupied_until_it_is_cleared(setup: &PrinterSetup) {
    setup.start_long_print().await;
    setup.expect_outcome("cancel", "confirmed").await;
    setup.until_state("operational").await;
    setup.expect_outcome("start", "rejected/plate_not_clear").await;
    assert_eq!(setup.clear_plate().await, "cleared");
    assert_eq!(setup.clear_plate().await, "already_clear");
    setup.expect_outcome("start", "confirmed").await;
}

async fn a_restart_prints_from_the_beginning_as_another_print(setup: &PrinterSetup) {
    for paused in [false, true] {
        let first = setup.start_long_print().await["print_id"].clone();
        if paused {
            setup.expect_outcome("pause", "confirmed").await;
        }
        setup.expect_outcome("restart", "rejected/plate_not_clear").await;
        let restart = json!({ "command": "restart", "plate": "assume_clear", "reason": "looked at it" });
        let row = setup.expect_outcome_of(restart, "confirmed").await;
        assert_eq!(row["attempts"], 2, "{row}");
        assert_ne!(row["print_id"], first, "{row}");
        setup.subject.until_state("Printing").await;
        setup.until_result(&first, "cancelled").await;
        let printer = setup.until_state("printing").await;
        assert_eq!(printer["job"]["print_id"], row["print_id"], "{printer}\n{row}");
        assert_eq!(setup.get_print(&row["print_id"]).await["started_by"]["command_id"], row["id"]);
    }
    setup.expect_outcome("cancel", "confirmed").await;
    setup.until_state("operational").await;
    let restart = json!({ "command": "restart", "plate": "assume_clear", "reason": "looked at it" });
    setup.expect_outcome_of(restart, "rejected/not_active").await;
}

async fn a_pause_while_starting_ends_paused(setup: &PrinterSetup) {
    setup.prepare_idle(LONG_FILE).await;
    setup.subject.set_scripts(&[("beforePrintStarted", "G4 S2")]).await;
    setup.expect_outcome("start", "confirmed").await;
    assert_eq!(setup.subject.read_job().await["state"], "Starting");
    let row = setup.expect_outcome("pause", "confirmed").await;
    assert_eq!((&row["state_after"], &row["attempts"]), (&json!("paused"), &json!(1)), "{row}");
    let paused = async || if setup.subject.read_job().await["state"] == "Paused" { Ok(()) } else { Err("no longer") };
    wait::assert_throughout("paused", std::time::Duration::from_millis(300), paused).await;
}

async fn a_resume_while_pausing_ends_printing(setup: &PrinterSetup) {
    setup.start_long_print().await;
    // Lasts longer than a poll interval if the printer is polled.
    let lasting = if setup.subject.has_socket() { "G4 S2" } else { "G4 S5" };
    setup.subject.set_scripts(&[("afterPrintPaused", lasting)]).await;
    setup.subject.post_job("pause", Some("pause")).await;
    setup.until_state("pausing").await;
    let row = setup.expect_outcome("resume", "confirmed").await;
    assert_eq!((&row["state_before"], &row["attempts"]), (&json!("paused"), &json!(1)), "{row}");
    setup.subject.until_state("Printing").await;
}

async fn a_print_paused_at_the_printer_is_resumed_by_its_id_only(setup: &PrinterSetup) {
    for at_printer in ["M600", "pause"] {
        setup.start_long_print().await;
        match at_printer {
            "M600" => setup.subject.send_gcode(&["M600"]).await,
            _ => assert_eq!(setup.subject.post_job("pause", Some("pause")).await.0, 204),
        }
        let printer = setup.until_state("paused").await;
        assert_eq!(printer["job"]["paused_by"]["kind"], "printer", "{at_printer}: {printer}");
        for select in [json!({ "tags_all": ["hall"] }), json!({ "all": true }), json!({ "states": ["paused"] })] {
            let batch = setup.run_batch(json!({ "command": "resume", "select": select })).await;
            assert_eq!(format_outcome(&batch["commands"][0]), "rejected/paused_at_printer", "{batch}");
        }
        let toggle = setup.run_batch(json!({ "command": "toggle", "select": { "tags_any": ["hall"] } })).await;
        assert_eq!(format_outcome(&toggle["commands"][0]), "rejected/paused_at_printer", "{toggle}");
        assert_eq!(setup.subject.read_job().await["state"], "Paused");
        let batch = setup.run_batch(json!({ "command": "resume", "select": { "printer_ids": [&setup.id] } })).await;
        assert_eq!(format_outcome(&batch["commands"][0]), "confirmed", "{batch}");
    }
    // A batch that selects by tag resumes a print that Printyard paused.
    setup.expect_outcome("pause", "confirmed").await;
    let batch = setup.run_batch(json!({ "command": "resume", "select": { "tags_all": ["hall"] } })).await;
    assert_eq!(format_outcome(&batch["commands"][0]), "confirmed", "{batch}");
}

async fn a_printer_is_connected_and_disconnected(setup: &PrinterSetup) {
    let print = setup.start_long_print().await["print_id"].clone();
    setup.expect_outcome("connect", "unchanged").await;
    setup.expect_outcome("disconnect", "rejected/job_active").await;
    setup.expect_outcome_of(json!({ "command": "disconnect", "force": true }), "confirmed").await;
    setup.until_result(&print, "failed").await;
    setup.until_state("offline").await;
    setup.expect_outcome("disconnect", "unchanged").await;
    for command in ["start", "pause", "resume"] {
        setup.expect_outcome(command, "rejected/not_operational").await;
    }
    setup.expect_outcome("cancel", "unchanged").await;
    setup.expect_outcome("connect", "confirmed").await;
    setup.until_state("operational").await;
    setup.expect_outcome("disconnect", "confirmed").await;
    setup.expect_outcome("connect", "confirmed").await;
}

async fn a_job_other_than_expected_is_not_changed(setup: &PrinterSetup) {
    let print = setup.start_long_print().await["print_id"].clone();
    for wrong in [json!({ "path": "other.gcode" }), json!({ "print_id": "01900000-0000-7000-8000-000000000000" })] {
        for command in ["pause", "cancel"] {
            let row = setup
                .expect_outcome_of(json!({ "command": command, "expected_job": wrong }), "rejected/job_changed")
                .await;
            assert_eq!(row["attempts"], 0);
        }
    }
    assert_eq!(setup.subject.read_job().await["state"], "Printing");
    let right = json!({ "path": LONG_FILE, "print_id": print });
    setup.expect_outcome_of(json!({ "command": "pause", "expected_job": right }), "confirmed").await;
}

async fn a_start_may_name_its_file(setup: &PrinterSetup) {
    setup.subject.upload("folder-less.gcode", "G4 P100\n".repeat(600)).await;
    setup.prepare_idle(LONG_FILE).await;
    let missing = json!({ "command": "start", "file": { "path": "missing.gcode" } });
    setup.expect_outcome_of(missing, "rejected/file_not_found").await;
    let row = setup
        .expect_outcome_of(json!({ "command": "start", "file": { "path": "folder-less.gcode" } }), "confirmed")
        .await;
    let job = setup.subject.read_job().await;
    assert_eq!(job["job"]["file"]["path"], "folder-less.gcode", "{job}");
    let printer = setup.until_state("printing").await;
    assert_eq!(
        (&printer["job"]["print_id"], &printer["job"]["file"]["path"]),
        (&row["print_id"], &json!("folder-less.gcode"))
    );
}

async fn a_command_in_flight_rejects_others_and_queues_the_same(setup: &PrinterSetup) {
    setup.start_long_print().await;
    setup.subject.set_scripts(&[("afterPrintPaused", "G4 S2")]).await;
    let first = setup.post_command(json!({ "command": "pause" })).await;
    let second = setup.post_command(json!({ "command": "pause" })).await;
    let row = setup.expect_outcome("resume", "rejected/command_in_flight").await;
    assert_eq!(row["attempts"], 0);
    assert_eq!(format_outcome(&setup.until_command_ended(&first).await), "confirmed");
    let second = setup.until_command_ended(&second).await;
    assert_eq!((format_outcome(&second).as_str(), &second["attempts"]), ("unchanged", &json!(0)), "{second}");
}

async fn a_print_started_at_the_printer_is_recorded(setup: &PrinterSetup) {
    setup.prepare_idle(SHORT_FILE).await;
    let before = setup.list_prints().await.len();
    // Lasts longer than a poll interval, because a poll must find the print.
    setup.subject.set_scripts(&[("afterPrintDone", "G4 S7")]).await;
    assert_eq!(setup.subject.post_job("start", None).await.0, 204);
    let printer = setup.until_printer("a print is observed", |printer| !printer["job"]["print_id"].is_null()).await;
    let print = setup.until_result(&printer["job"]["print_id"], "done").await;
    assert_eq!(print["started_by"], json!({ "kind": "printer", "command_id": null }), "{print}");
    assert_eq!(setup.list_prints().await.len(), before + 1);
    setup.until_state("operational").await;
    setup.expect_outcome("start", "rejected/plate_not_clear").await;
}

async fn a_print_that_ends_at_once_is_confirmed(setup: &PrinterSetup) {
    setup.subject.upload("blink.gcode", "G4 P1\n").await;
    for file in [SHORT_FILE, "blink.gcode"] {
        setup.prepare_idle(file).await;
        let row = setup.expect_outcome("start", "confirmed").await;
        let print = setup.until_result(&row["print_id"], "done").await;
        assert_eq!(print["started_by"]["command_id"], row["id"], "{print}");
        setup.until_state("operational").await;
        // The same file again, still at 100 % from the print before.
        setup.expect_outcome("start", "rejected/plate_not_clear").await;
    }
}

async fn a_firmware_error_fails_the_print_with_its_message(setup: &PrinterSetup) {
    let print = setup.start_long_print().await["print_id"].clone();
    setup.subject.send_gcode(&["!!DEBUG:mintemp_error"]).await;
    let print = setup.until_result(&print, "failed").await;
    if setup.subject.version == OctoPrintVersion::V1 || setup.subject.has_socket() {
        assert!(print["reason"].as_str().is_some_and(|words| words.starts_with("MINTEMP triggered")), "{print}");
    }
    setup.until_state("error").await;
    setup.expect_outcome("start", "rejected/not_operational").await;
    setup.expect_outcome("connect", "confirmed").await;
}

async fn a_cancel_overtakes_a_restart_and_nothing_starts(setup: &PrinterSetup) {
    setup.subject.upload("slow.gcode", "G4 P2500\n".repeat(60)).await;
    setup.prepare_idle("slow.gcode").await;
    setup.expect_outcome("start", "confirmed").await;
    setup.subject.until_state("Printing").await;
    let restart = json!({ "command": "restart", "plate": "assume_clear", "reason": "looked at it" });
    let restart = setup.post_command(restart).await;
    setup.until_printer("the restart is cancelling", |printer| printer["status"]["state"] == "cancelling").await;
    let row = setup.run_command(json!({ "command": "cancel" })).await;
    assert_eq!(row["effect"], "done", "{row}");
    assert_eq!(format_outcome(&setup.until_command_ended(&restart).await), "unconfirmed/cancelled_not_started");
    setup.subject.until_state("Operational").await;
    let idle =
        async || if setup.subject.read_job().await["state"] == "Operational" { Ok(()) } else { Err("it started") };
    wait::assert_throughout("nothing starts", std::time::Duration::from_millis(800), idle).await;
}

/// The measured behaviour of OctoPrint is in the table of `job_table.rs`.
async fn an_emergency_stop_ends_the_print_and_a_connect_recovers(setup: &PrinterSetup) {
    for paused in [false, true] {
        let print = setup.start_long_print().await["print_id"].clone();
        if paused {
            setup.expect_outcome("pause", "confirmed").await;
        }
        let row = setup.emergency_stop().await;
        assert_eq!(format_outcome(&row), "confirmed", "{row}");
        assert_eq!((&row["attempts"], &row["step"]), (&json!(1), &json!("emergency_stop")), "{row}");
        assert_eq!(row["print_id"], print, "{row}");
        assert_eq!(setup.subject.read_job().await["state"], "Offline after error");
        setup.until_result(&print, "failed").await;
        setup.until_state("error").await;
        setup.expect_outcome("start", "rejected/not_operational").await;
        let again = setup.emergency_stop().await;
        assert_eq!(format_outcome(&again), "rejected/not_operational", "nothing can be sent: {again}");
        assert_eq!((&again["attempts"], &again["effect"]), (&json!(0), &json!("none")), "{again}");
        setup.expect_outcome("connect", "confirmed").await;
        setup.until_state("operational").await;
    }
    setup.prepare_idle(LONG_FILE).await;
    assert_eq!(format_outcome(&setup.emergency_stop().await), "confirmed");
    setup.expect_outcome("connect", "confirmed").await;
}

async fn a_refused_key_is_unauthorized(setup: &PrinterSetup) {
    let url = setup.subject.url.replace("127.0.0.1", "localhost");
    let body = json!({ "name": "bad key", "url": url, "api_key": "not-the-key" });
    let (_, body, _) = setup.server.post("/api/v1/printers", body).await;
    let id = body["id"].as_str().expect("an id");
    let (_, row, _) =
        setup.server.post_and_wait(&format!("/api/v1/printers/{id}/job"), json!({ "command": "pause" })).await;
    assert_eq!(format_outcome(&row), "unauthorized", "{row}");
    assert_eq!(row["attempts"], 0);
    setup.server.delete(&format!("/api/v1/printers/{id}")).await;
}

/// Runs scenarios one after the other on one printer, and logs the name and the time of each.
macro_rules! scenarios {
    ($subject:expr, $($scenario:ident),+ $(,)?) => {{
        let setup = PrinterSetup::start($subject).await;
        $(
            let begun = std::time::Instant::now();
            eprintln!("{}: {} …", setup.subject.name, stringify!($scenario));
            $scenario(&setup).await;
            eprintln!("{}: {} took {:?}", setup.subject.name, stringify!($scenario), begun.elapsed());
        )+
    }};
}

async fn a_file_is_uploaded_by_the_api_and_printed(setup: &PrinterSetup) {
    setup.prepare_idle(LONG_FILE).await;
    for path_first in [true, false] {
        let part = reqwest::multipart::Part::bytes("G4 P100\n".repeat(600).into_bytes()).file_name("part.gcode");
        let form = reqwest::multipart::Form::new();
        let form = if path_first {
            form.text("path", "parts").text("select", "true").part("file", part)
        } else {
            form.part("file", part).text("path", "parts").text("select", "true")
        };
        let request = setup.server.request(reqwest::Method::POST, &format!("/api/v1/printers/{}/files", setup.id));
        let answer = request.multipart(form).send().await.expect("an answer");
        assert_eq!(answer.status(), 201);
        let file: Value = answer.json().await.expect("JSON");
        assert_eq!(file, json!({ "path": "parts/part.gcode", "origin": "local", "size": 4_800 }));
        let start = json!({ "command": "start", "expected_job": { "path": "parts/part.gcode" } });
        setup.expect_outcome_of(start, "confirmed").await;
        setup.expect_outcome("cancel", "confirmed").await;
        setup.until_state("operational").await;
        assert_eq!(setup.clear_plate().await, "cleared");
    }
}

async fn past_temperatures_are_available(setup: &PrinterSetup) {
    setup.subject.send_gcode(&["M140 S50"]).await;
    let id = setup.id.parse().expect("an id");
    let principal = Principal::server_admin(ActorKind::Terminal);
    let past = wait::until("the past temperatures have the new target", DEADLINE, async || {
        let past = setup.server.services.past_temperatures(&principal, id).await.expect("no error");
        let targets = past.last().and_then(|newest| newest.temperatures.get("bed")).and_then(|bed| bed.target);
        if targets == Some(50.0) { Ok(past) } else { Err(format!("{past:?}")) }
    })
    .await;
    assert!(past.is_sorted_by_key(|moment| moment.at), "{past:?}");
    // OctoPrint reports no tools for a connection that was just made.
    let tools: Vec<_> = past.iter().filter_map(|moment| moment.temperatures.get("tool0")).collect();
    assert!(!tools.is_empty() && tools.iter().all(|tool| tool.actual.is_some()), "{past:?}");
    setup.subject.send_gcode(&["M140 S0"]).await;
}

async fn check_all_scenarios(subject: TestSubject) {
    scenarios!(
        subject,
        a_start_without_a_file_is_rejected,
        a_start_is_confirmed_with_its_print,
        pause_and_resume_are_confirmed_once_and_then_unchanged,
        a_toggle_is_resolved_by_the_observed_state,
        a_second_cancel_is_unchanged,
        a_cancel_in_starting_is_sent_once,
        a_plate_is_occupied_until_it_is_cleared,
        a_restart_prints_from_the_beginning_as_another_print,
        a_pause_while_starting_ends_paused,
        a_resume_while_pausing_ends_printing,
        a_print_paused_at_the_printer_is_resumed_by_its_id_only,
        a_printer_is_connected_and_disconnected,
        a_job_other_than_expected_is_not_changed,
        a_start_may_name_its_file,
        a_file_is_uploaded_by_the_api_and_printed,
        a_command_in_flight_rejects_others_and_queues_the_same,
        a_print_started_at_the_printer_is_recorded,
        a_print_that_ends_at_once_is_confirmed,
        a_firmware_error_fails_the_print_with_its_message,
        a_cancel_overtakes_a_restart_and_nothing_starts,
        past_temperatures_are_available,
        an_emergency_stop_ends_the_print_and_a_connect_recovers,
        a_refused_key_is_unauthorized,
    );
}

/// These run at the same time, because they mostly wait.
#[tokio::test]
async fn every_command_behaves_as_documented_on_the_simulator() {
    let polled =
        async { check_all_scenarios(TestSubject::start_simulated(OctoPrintVersion::V1).await.without_socket()).await };
    let [first, second] = OctoPrintVersion::ALL
        .map(async |version| check_all_scenarios(TestSubject::start_simulated(version).await).await);
    tokio::join!(polled, first, second);
}

#[tokio::test]
async fn every_command_behaves_as_documented_on_real_octoprints() {
    let [first, second] = OctoPrintVersion::ALL.map(async |version| {
        if let Some(subject) = TestSubject::start_real(version).await {
            check_all_scenarios(subject).await;
        }
    });
    tokio::join!(first, second);
}
