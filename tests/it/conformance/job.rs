//! One printer through a whole Printyard: the documented behaviour of every command, on real OctoPrints and on the
//! simulator.

use printyard::{domain::audit::ActorKind, service::access::Principal};
use serde_json::{Value, json};

use super::{
    subject::{SOON, Subject},
    yard::{LONG, SHORT, Yard, ended},
};
use crate::support::{octoprint::Version, wait};

async fn a_start_without_a_file_is_rejected(yard: &Yard) {
    let row = yard.says("start", "rejected/no_file_selected").await;
    assert_eq!(row["attempts"], 0, "{row}");
}

async fn a_start_is_confirmed_with_its_print(yard: &Yard) {
    yard.idle_with(LONG).await;
    let row = yard.says("start", "confirmed").await;
    assert_eq!(
        (&row["effect"], &row["attempts"], &row["state_before"]),
        (&json!("done"), &json!(1), &json!("operational"))
    );
    let print = wait::until("the print is recorded", SOON, async || {
        let print = yard.print(&row["print_id"]).await;
        if print["id"] == row["print_id"] { Ok(print) } else { Err(print) }
    })
    .await;
    assert_eq!(print["started_by"], json!({ "kind": "command", "command_id": row["id"] }), "{print}");
    assert_eq!((&print["file"]["path"], &print["result"]), (&json!(LONG), &Value::Null));
    let printer = yard.until_state("printing").await;
    assert_eq!(printer["job"]["print_id"], row["print_id"]);
    assert_eq!((&printer["plate"]["state"], &printer["plate"]["print_id"]), (&json!("occupied"), &row["print_id"]));
    yard.says("start", "rejected/already_printing").await;
    assert_eq!(yard.clear_plate().await, "printing");
}

async fn pause_and_resume_are_confirmed_once_and_unchanged_then(yard: &Yard) {
    yard.printing().await;
    let row = yard.says("pause", "confirmed").await;
    assert_eq!(row["state_after"], "paused");
    assert_eq!(yard.subject.job().await["state"], "Paused");
    let printer = yard.until_state("paused").await;
    assert_eq!(printer["job"]["paused_by"], json!({ "kind": "command", "command_id": row["id"] }));
    assert_eq!(yard.says("pause", "unchanged").await["attempts"], 0);
    yard.says("resume", "confirmed").await;
    yard.subject.until_state("Printing").await;
    yard.until_state("printing").await;
    assert_eq!(yard.says("resume", "unchanged").await["attempts"], 0);
}

async fn a_toggle_is_resolved_by_what_is_seen(yard: &Yard) {
    yard.printing().await;
    assert_eq!(yard.says("toggle", "confirmed").await["resolved_command"], "pause");
    assert_eq!(yard.subject.job().await["state"], "Paused");
    assert_eq!(yard.says("toggle", "confirmed").await["resolved_command"], "resume");
    yard.subject.until_state("Printing").await;
    yard.says("cancel", "confirmed").await;
    yard.until_state("operational").await;
    yard.says("toggle", "rejected/not_active").await;
}

async fn a_second_cancel_is_unchanged(yard: &Yard) {
    let print = yard.printing().await["print_id"].clone();
    let row = yard.says("cancel", "confirmed").await;
    assert_eq!((&row["attempts"], &row["print_id"]), (&json!(1), &print), "{row}");
    yard.subject.until_state("Operational").await;
    assert_eq!(yard.says("cancel", "unchanged").await["attempts"], 0);
    yard.until_result(&print, "cancelled").await;
}

async fn a_cancel_in_starting_is_sent_once(yard: &Yard) {
    yard.idle_with(LONG).await;
    yard.subject.scripts(&[("beforePrintStarted", "G4 S2")]).await;
    yard.says("start", "confirmed").await;
    let row = yard.says("cancel", "confirmed").await;
    assert_eq!((&row["attempts"], &row["state_before"]), (&json!(1), &json!("starting")), "{row}");
    yard.subject.until_state("Operational").await;
}

async fn a_plate_is_occupied_until_somebody_clears_it(yard: &Yard) {
    yard.printing().await;
    yard.says("cancel", "confirmed").await;
    yard.until_state("operational").await;
    yard.says("start", "rejected/plate_not_clear").await;
    assert_eq!(yard.clear_plate().await, "cleared");
    assert_eq!(yard.clear_plate().await, "already_clear");
    yard.says("start", "confirmed").await;
}

async fn a_restart_prints_from_the_beginning_as_another_print(yard: &Yard) {
    for paused in [false, true] {
        let first = yard.printing().await["print_id"].clone();
        if paused {
            yard.says("pause", "confirmed").await;
        }
        yard.says("restart", "rejected/plate_not_clear").await;
        let restart = json!({ "command": "restart", "plate": "assume_clear", "reason": "looked at it" });
        let row = yard.expect(restart, "confirmed").await;
        assert_eq!(row["attempts"], 2, "{row}");
        assert_ne!(row["print_id"], first, "{row}");
        yard.subject.until_state("Printing").await;
        yard.until_result(&first, "cancelled").await;
        let printer = yard.until_state("printing").await;
        assert_eq!(printer["job"]["print_id"], row["print_id"], "{printer}\n{row}");
        assert_eq!(yard.print(&row["print_id"]).await["started_by"]["command_id"], row["id"]);
    }
    yard.says("cancel", "confirmed").await;
    yard.until_state("operational").await;
    let restart = json!({ "command": "restart", "plate": "assume_clear", "reason": "looked at it" });
    yard.expect(restart, "rejected/not_active").await;
}

async fn a_pause_while_starting_ends_paused(yard: &Yard) {
    yard.idle_with(LONG).await;
    yard.subject.scripts(&[("beforePrintStarted", "G4 S2")]).await;
    yard.says("start", "confirmed").await;
    assert_eq!(yard.subject.job().await["state"], "Starting");
    let row = yard.says("pause", "confirmed").await;
    assert_eq!((&row["state_after"], &row["attempts"]), (&json!("paused"), &json!(1)), "{row}");
    let paused = async || if yard.subject.job().await["state"] == "Paused" { Ok(()) } else { Err("no longer") };
    wait::throughout("paused", std::time::Duration::from_millis(300), paused).await;
}

async fn a_resume_while_pausing_ends_printing(yard: &Yard) {
    yard.printing().await;
    // Lasts longer than a poll interval if the printer is polled.
    let lasting = if yard.subject.has_socket() { "G4 S2" } else { "G4 S5" };
    yard.subject.scripts(&[("afterPrintPaused", lasting)]).await;
    yard.subject.job_answer("pause", Some("pause")).await;
    yard.until_state("pausing").await;
    let row = yard.says("resume", "confirmed").await;
    assert_eq!((&row["state_before"], &row["attempts"]), (&json!("paused"), &json!(1)), "{row}");
    yard.subject.until_state("Printing").await;
}

async fn a_print_paused_at_the_printer_is_resumed_by_its_id_only(yard: &Yard) {
    for at_printer in ["M600", "pause"] {
        yard.printing().await;
        match at_printer {
            "M600" => yard.subject.gcode(&["M600"]).await,
            _ => assert_eq!(yard.subject.job_answer("pause", Some("pause")).await.0, 204),
        }
        let printer = yard.until_state("paused").await;
        assert_eq!(printer["job"]["paused_by"]["kind"], "printer", "{at_printer}: {printer}");
        for select in [json!({ "tags_all": ["hall"] }), json!({ "all": true }), json!({ "states": ["paused"] })] {
            let batch = yard.batch(json!({ "command": "resume", "select": select })).await;
            assert_eq!(ended(&batch["commands"][0]), "rejected/paused_at_printer", "{batch}");
        }
        let toggle = yard.batch(json!({ "command": "toggle", "select": { "tags_any": ["hall"] } })).await;
        assert_eq!(ended(&toggle["commands"][0]), "rejected/paused_at_printer", "{toggle}");
        assert_eq!(yard.subject.job().await["state"], "Paused");
        let batch = yard.batch(json!({ "command": "resume", "select": { "printer_ids": [&yard.id] } })).await;
        assert_eq!(ended(&batch["commands"][0]), "confirmed", "{batch}");
    }
    // A batch that selects by tag resumes a print that Printyard paused.
    yard.says("pause", "confirmed").await;
    let batch = yard.batch(json!({ "command": "resume", "select": { "tags_all": ["hall"] } })).await;
    assert_eq!(ended(&batch["commands"][0]), "confirmed", "{batch}");
}

async fn a_connection_is_made_and_ended(yard: &Yard) {
    let print = yard.printing().await["print_id"].clone();
    yard.says("connect", "unchanged").await;
    yard.says("disconnect", "rejected/job_active").await;
    yard.expect(json!({ "command": "disconnect", "force": true }), "confirmed").await;
    yard.until_result(&print, "failed").await;
    yard.until_state("offline").await;
    yard.says("disconnect", "unchanged").await;
    for command in ["start", "pause", "resume"] {
        yard.says(command, "rejected/not_operational").await;
    }
    yard.says("cancel", "unchanged").await;
    yard.says("connect", "confirmed").await;
    yard.until_state("operational").await;
    yard.says("disconnect", "confirmed").await;
    yard.says("connect", "confirmed").await;
}

async fn another_job_than_the_expected_is_not_touched(yard: &Yard) {
    let print = yard.printing().await["print_id"].clone();
    for wrong in [json!({ "path": "other.gcode" }), json!({ "print_id": "01900000-0000-7000-8000-000000000000" })] {
        for command in ["pause", "cancel"] {
            let row = yard.expect(json!({ "command": command, "expected_job": wrong }), "rejected/job_changed").await;
            assert_eq!(row["attempts"], 0);
        }
    }
    assert_eq!(yard.subject.job().await["state"], "Printing");
    let right = json!({ "path": LONG, "print_id": print });
    yard.expect(json!({ "command": "pause", "expected_job": right }), "confirmed").await;
}

async fn a_start_may_name_its_file(yard: &Yard) {
    yard.subject.upload("folder-less.gcode", "G4 P100\n".repeat(600)).await;
    yard.idle_with(LONG).await;
    let missing = json!({ "command": "start", "file": { "path": "missing.gcode" } });
    yard.expect(missing, "rejected/file_not_found").await;
    let row = yard.expect(json!({ "command": "start", "file": { "path": "folder-less.gcode" } }), "confirmed").await;
    let job = yard.subject.job().await;
    assert_eq!(job["job"]["file"]["path"], "folder-less.gcode", "{job}");
    let printer = yard.until_state("printing").await;
    assert_eq!(
        (&printer["job"]["print_id"], &printer["job"]["file"]["path"]),
        (&row["print_id"], &json!("folder-less.gcode"))
    );
}

async fn a_command_in_flight_refuses_others_and_lets_its_like_wait(yard: &Yard) {
    yard.printing().await;
    yard.subject.scripts(&[("afterPrintPaused", "G4 S2")]).await;
    let first = yard.post(json!({ "command": "pause" })).await;
    let second = yard.post(json!({ "command": "pause" })).await;
    let row = yard.says("resume", "rejected/command_in_flight").await;
    assert_eq!(row["attempts"], 0);
    assert_eq!(ended(&yard.end_of(&first).await), "confirmed");
    let second = yard.end_of(&second).await;
    assert_eq!((ended(&second).as_str(), &second["attempts"]), ("unchanged", &json!(0)), "{second}");
}

async fn a_print_started_at_the_printer_is_kept_too(yard: &Yard) {
    yard.idle_with(SHORT).await;
    let before = yard.prints().await.len();
    // Lasts longer than a poll interval, because a poll must find the print.
    yard.subject.scripts(&[("afterPrintDone", "G4 S7")]).await;
    assert_eq!(yard.subject.job_answer("start", None).await.0, 204);
    let printer = yard.until("a print is observed", |printer| !printer["job"]["print_id"].is_null()).await;
    let print = yard.until_result(&printer["job"]["print_id"], "done").await;
    assert_eq!(print["started_by"], json!({ "kind": "printer", "command_id": null }), "{print}");
    assert_eq!(yard.prints().await.len(), before + 1);
    yard.until_state("operational").await;
    yard.says("start", "rejected/plate_not_clear").await;
}

async fn a_print_that_ends_at_once_is_confirmed(yard: &Yard) {
    yard.subject.upload("blink.gcode", "G4 P1\n").await;
    for file in [SHORT, "blink.gcode"] {
        yard.idle_with(file).await;
        let row = yard.says("start", "confirmed").await;
        let print = yard.until_result(&row["print_id"], "done").await;
        assert_eq!(print["started_by"]["command_id"], row["id"], "{print}");
        yard.until_state("operational").await;
        // The same file again, still at 100 % from the print before.
        yard.says("start", "rejected/plate_not_clear").await;
    }
}

async fn a_firmware_error_fails_the_print_in_its_own_words(yard: &Yard) {
    let print = yard.printing().await["print_id"].clone();
    yard.subject.gcode(&["!!DEBUG:mintemp_error"]).await;
    let print = yard.until_result(&print, "failed").await;
    if yard.subject.version == Version::V1 || yard.subject.has_socket() {
        assert!(print["reason"].as_str().is_some_and(|words| words.starts_with("MINTEMP triggered")), "{print}");
    }
    yard.until_state("error").await;
    yard.says("start", "rejected/not_operational").await;
    yard.says("connect", "confirmed").await;
}

async fn a_cancel_overtakes_a_restart_and_nothing_starts(yard: &Yard) {
    yard.subject.upload("slow.gcode", "G4 P2500\n".repeat(60)).await;
    yard.idle_with("slow.gcode").await;
    yard.says("start", "confirmed").await;
    yard.subject.until_state("Printing").await;
    let restart = json!({ "command": "restart", "plate": "assume_clear", "reason": "looked at it" });
    let restart = yard.post(restart).await;
    yard.until("the restart is cancelling", |printer| printer["status"]["state"] == "cancelling").await;
    let row = yard.job(json!({ "command": "cancel" })).await;
    assert_eq!(row["effect"], "done", "{row}");
    assert_eq!(ended(&yard.end_of(&restart).await), "unconfirmed/cancelled_not_started");
    yard.subject.until_state("Operational").await;
    let idle = async || if yard.subject.job().await["state"] == "Operational" { Ok(()) } else { Err("it started") };
    wait::throughout("nothing starts", std::time::Duration::from_millis(800), idle).await;
}

async fn a_refused_key_is_unauthorized(yard: &Yard) {
    let url = yard.subject.url.replace("127.0.0.1", "localhost");
    let body = json!({ "name": "bad key", "url": url, "api_key": "not-the-key" });
    let (_, body, _) = yard.server.post("/api/v1/printers", body).await;
    let id = body["id"].as_str().expect("an id");
    let (_, row, _) =
        yard.server.post_and_wait(&format!("/api/v1/printers/{id}/job"), json!({ "command": "pause" })).await;
    assert_eq!(ended(&row), "unauthorized", "{row}");
    assert_eq!(row["attempts"], 0);
    yard.server.delete(&format!("/api/v1/printers/{id}")).await;
}

/// Runs scenarios one after the other on one printer, and logs the name and the time of each.
macro_rules! scenarios {
    ($subject:expr, $($scenario:ident),+ $(,)?) => {{
        let yard = Yard::over($subject).await;
        $(
            let begun = std::time::Instant::now();
            eprintln!("{}: {} …", yard.subject.name, stringify!($scenario));
            $scenario(&yard).await;
            eprintln!("{}: {} took {:?}", yard.subject.name, stringify!($scenario), begun.elapsed());
        )+
    }};
}

async fn a_file_comes_through_the_api_and_is_printed(yard: &Yard) {
    yard.idle_with(LONG).await;
    for path_first in [true, false] {
        let part = reqwest::multipart::Part::bytes("G4 P100\n".repeat(600).into_bytes()).file_name("part.gcode");
        let form = reqwest::multipart::Form::new();
        let form = if path_first {
            form.text("path", "parts").text("select", "true").part("file", part)
        } else {
            form.part("file", part).text("path", "parts").text("select", "true")
        };
        let request = yard.server.request(reqwest::Method::POST, &format!("/api/v1/printers/{}/files", yard.id));
        let answer = request.multipart(form).send().await.expect("an answer");
        assert_eq!(answer.status(), 201);
        let file: Value = answer.json().await.expect("JSON");
        assert_eq!(file, json!({ "path": "parts/part.gcode", "origin": "local", "size": 4_800 }));
        let start = json!({ "command": "start", "expected_job": { "path": "parts/part.gcode" } });
        yard.expect(start, "confirmed").await;
        yard.says("cancel", "confirmed").await;
        yard.until_state("operational").await;
        assert_eq!(yard.clear_plate().await, "cleared");
    }
}

async fn what_its_heaters_had_lately_is_told(yard: &Yard) {
    yard.subject.gcode(&["M140 S50"]).await;
    let id = yard.id.parse().expect("an id");
    let who = Principal::operator_of_the_server(ActorKind::Terminal);
    let past = wait::until("the past temperatures have the new target", SOON, async || {
        let past = yard.server.services.past_temperatures(&who, id).await.expect("no error");
        let targets = past.last().and_then(|newest| newest.temperatures.get("bed")).and_then(|bed| bed.target);
        if targets == Some(50.0) { Ok(past) } else { Err(format!("{past:?}")) }
    })
    .await;
    assert!(past.is_sorted_by_key(|moment| moment.at), "{past:?}");
    // OctoPrint reports no tools for a connection that was just made.
    let tools: Vec<_> = past.iter().filter_map(|moment| moment.temperatures.get("tool0")).collect();
    assert!(!tools.is_empty() && tools.iter().all(|tool| tool.actual.is_some()), "{past:?}");
    yard.subject.gcode(&["M140 S0"]).await;
}

async fn keeps_every_promise(subject: Subject) {
    scenarios!(
        subject,
        a_start_without_a_file_is_rejected,
        a_start_is_confirmed_with_its_print,
        pause_and_resume_are_confirmed_once_and_unchanged_then,
        a_toggle_is_resolved_by_what_is_seen,
        a_second_cancel_is_unchanged,
        a_cancel_in_starting_is_sent_once,
        a_plate_is_occupied_until_somebody_clears_it,
        a_restart_prints_from_the_beginning_as_another_print,
        a_pause_while_starting_ends_paused,
        a_resume_while_pausing_ends_printing,
        a_print_paused_at_the_printer_is_resumed_by_its_id_only,
        a_connection_is_made_and_ended,
        another_job_than_the_expected_is_not_touched,
        a_start_may_name_its_file,
        a_file_comes_through_the_api_and_is_printed,
        a_command_in_flight_refuses_others_and_lets_its_like_wait,
        a_print_started_at_the_printer_is_kept_too,
        a_print_that_ends_at_once_is_confirmed,
        a_firmware_error_fails_the_print_in_its_own_words,
        a_cancel_overtakes_a_restart_and_nothing_starts,
        what_its_heaters_had_lately_is_told,
        a_refused_key_is_unauthorized,
    );
}

/// These run at the same time, because they mostly wait.
#[tokio::test]
async fn every_promise_is_kept_on_the_simulator_also_where_the_event_socket_is_refused() {
    let polled = async { keeps_every_promise(Subject::simulated(Version::V1).await.without_socket()).await };
    let [first, second] =
        Version::ALL.map(async |version| keeps_every_promise(Subject::simulated(version).await).await);
    tokio::join!(polled, first, second);
}

#[tokio::test]
async fn every_promise_is_kept_on_real_octoprints() {
    let [first, second] = Version::ALL.map(async |version| {
        if let Some(subject) = Subject::real(version).await {
            keeps_every_promise(subject).await;
        }
    });
    tokio::join!(first, second);
}
