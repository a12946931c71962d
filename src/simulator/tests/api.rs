//! Tests of the API responses.

use super::*;

#[tokio::test]
async fn a_bad_key_returns_403_for_reads_and_400_for_writes() {
    let (_farm, printer) = start_ready_farm().await;
    assert_eq!(send_request(&printer, "GET /api/job", "").await.unwrap().status, 403);
    let refused =
        send_request(&printer, "POST /api/job\nX-Api-Key: no\nContent-Type: application/json", "{}").await.unwrap();
    assert_eq!((refused.status, refused.json()), (400, json!({"error": "CSRF validation failed"})));
    let key = printer.api_key();
    let bearer = format!("GET /api/version\nAuthorization: Bearer {key}");
    assert_eq!(send_request(&printer, &bearer, "").await.unwrap().status, 200);
    assert_eq!(send_request(&printer, &format!("{bearer}\nX-Api-Key: no"), "").await.unwrap().status, 403);
    let query = format!("GET /api/version?apikey={key}\nX-Api-Key: no");
    assert_eq!(send_request(&printer, &query, "").await.unwrap().status, 200);
    assert_eq!(send_request(&printer, "GET /api/version\nX-Api-Key: ü", "").await.unwrap().status, 500);
    printer.revoke_key();
    assert_eq!(get(&printer, "/api/version").await.status, 403);
}

#[tokio::test]
async fn errors_match_octoprint() {
    let (_farm, printer) = start_ready_farm().await;
    let key = printer.api_key();
    assert_eq!(get(&printer, "/api/nothing").await.status, 404);
    assert_eq!(get(&printer, "/api/login").await.status, 405);
    assert_eq!(post(&printer, "/api/job", json!({"command": "dance"})).await.json()["error"], "command is invalid");
    let text =
        send_request(&printer, &format!("POST /api/job\nX-Api-Key: {key}\nContent-Type: text/plain"), "{}").await;
    assert_eq!(text.unwrap().status, 415);
    let json =
        send_request(&printer, &format!("POST /api/job\nX-Api-Key: {key}\nContent-Type: application/json"), "{").await;
    assert_eq!(json.unwrap().status, 400);
}

#[tokio::test]
async fn a_print_runs_to_its_end_and_is_counted() {
    let (_farm, printer) = start_ready_farm().await;
    printer.put_file("a.gcode", "G4 P10\n".repeat(5));
    printer.select("a.gcode");
    let tag = |answer: &TestResponse| answer.head.lines().find(|line| line.starts_with("etag")).map(str::to_owned);
    let before = tag(&get(&printer, "/api/files").await);
    let started = post(&printer, "/api/job", json!({"command": "start"})).await;
    assert_eq!((started.status, started.body.as_str()), (204, ""));
    wait_until("done", || printer.state_text() == "Operational").await;
    let job = get(&printer, "/api/job").await.json();
    assert_eq!((&job["state"], &job["progress"]["completion"]), (&json!("Operational"), &json!(100.0)));
    assert_eq!(job["progress"]["printTimeLeft"], 0);
    assert!(job.get("error").is_none());
    let file = get(&printer, "/api/files/local/a.gcode").await.json();
    assert_eq!((&file["prints"]["success"], &file["prints"]["last"]["success"]), (&json!(1), &json!(true)));
    assert_ne!(tag(&get(&printer, "/api/files").await), before);
}

#[tokio::test]
async fn the_log_shows_which_requests_acted() {
    let (_farm, printer) = start_ready_farm().await;
    post(&printer, "/api/job", json!({"command": "start"})).await;
    post(&printer, "/api/job", json!({"command": "start"})).await;
    wait_for_state(&printer, "Printing").await;
    post(&printer, "/api/job", json!({"command": "pause", "action": "pause"})).await;
    wait_for_state(&printer, "Paused").await;
    post(&printer, "/api/job", json!({"command": "pause", "action": "pause"})).await;
    let log: Vec<_> = printer.received_requests().into_iter().map(|it| (it.command, it.acted, it.status)).collect();
    let expected = [("start", true, 204), ("start", false, 409), ("pause", true, 204), ("pause", false, 204)];
    assert_eq!(log, expected.map(|(command, acted, status)| (command.to_owned(), acted, status)));
}

#[tokio::test]
async fn uploads_report_effective_select_and_print() {
    let (_farm, printer) = start_farm(FarmConfig::default()).await;
    let gcode = "G4 P100\n".repeat(50);
    let selected = upload(&printer, "b.gcode", &gcode, &[("path", "x/y"), ("select", "true")]).await;
    assert_eq!(selected.status, 201);
    assert_eq!(selected.json()["effectiveSelect"], true);
    assert_eq!(selected.json()["files"]["local"]["path"], "x/y/b.gcode");
    let printed = upload(&printer, "c.gcode", &gcode, &[("print", "true"), ("userdata", r#"{"id":"7"}"#)]).await.json();
    assert_eq!((&printed["effectiveSelect"], &printed["effectivePrint"]), (&json!(false), &json!(true)));
    wait_for_state(&printer, "Printing").await;
    let busy = upload(&printer, "d.gcode", &gcode, &[("print", "true")]).await;
    assert_eq!((busy.status, &busy.json()["effectivePrint"]), (201, &json!(false)));
    assert_eq!(upload(&printer, "c.gcode", &gcode, &[]).await.status, 409);
    assert_eq!(upload(&printer, "d.gcode", &gcode, &[("noOverwrite", "true")]).await.status, 409);
    assert_eq!(upload(&printer, "e.txt", &gcode, &[]).await.status, 415);
    assert_eq!(upload(&printer, "e.gcode", &gcode, &[("path", "../up")]).await.status, 400);
    let listed = get(&printer, "/api/files?recursive=true").await.json();
    assert_eq!(listed["files"][0]["children"][0]["children"][0]["name"], "b.gcode");
    assert_eq!(get(&printer, "/api/files/local/c.gcode").await.json()["userdata"], json!({"id": "7"}));
    let offline = printer.clone();
    offline.perform(MachineAction::Disconnect);
    let select = json!({"command": "select", "print": true});
    assert_eq!(post(&printer, "/api/files/local/b%20.gcode", select.clone()).await.status, 404);
    assert_eq!(post(&printer, "/api/files/local/x/y/b.gcode", select).await.status, 409);
}

#[tokio::test]
async fn each_resource_reports_a_closed_connection_in_its_own_words() {
    for (flavor, word) in [(Flavor::V1_11, "Closed"), (Flavor::V2_0, "Offline")] {
        let (_farm, printer) = start_farm(FarmConfig { flavor, ..FarmConfig::default() }).await;
        printer.perform(MachineAction::FirmwareError("Kaputt".to_owned()));
        let job = get(&printer, "/api/job").await.json();
        assert_eq!(job["state"], "Offline after error");
        assert_eq!(
            job.get("error").cloned(),
            Some(if flavor == Flavor::V1_11 { json!("Kaputt") } else { json!(null) })
        );
        assert_eq!(get(&printer, "/api/connection").await.json()["current"]["state"], word);
        assert_eq!(get(&printer, "/api/printer").await.status, 409);
        assert_eq!(post(&printer, "/api/connection", json!({"command": "connect"})).await.status, 204);
        wait_for_state(&printer, "Operational").await;
        assert_eq!(get(&printer, "/api/printer").await.json()["state"]["flags"]["ready"], true);
    }
}

#[tokio::test]
async fn a_sample_prints_faster_with_the_time_scale() {
    let (_farm, printer) = start_farm(FarmConfig { time_scale: 100.0, ..FarmConfig::default() }).await;
    printer.put_file("s.gcode", sample_gcode(30));
    printer.select("s.gcode");
    let started = Instant::now();
    printer.perform(MachineAction::StartSelected);
    wait_until("heated", || printer.tool_temperature() > 59.0).await;
    wait_for_state(&printer, "Operational").await;
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn the_camera_returns_a_picture_without_a_key() {
    let (_farm, printer) = start_ready_farm().await;
    let picture = send_request(&printer, "GET /webcam/?action=snapshot", "").await.unwrap();
    assert_eq!(picture.status, 200);
    assert!(picture.head.contains("image/png") && picture.body.contains("IHDR"));
}

#[tokio::test]
async fn an_application_key_is_requested_granted_and_accepted() {
    let (_farm, printer) = start_ready_farm().await;
    assert_eq!(send_request(&printer, "GET /plugin/appkeys/probe", "").await.unwrap().status, 204);
    let head = "POST /plugin/appkeys/request\nContent-Type: application/json";
    let requested = send_request(&printer, head, r#"{"app":"Printyard"}"#).await.unwrap();
    assert_eq!(requested.status, 201);
    let poll = format!("GET /plugin/appkeys/request/{}", requested.json()["app_token"].as_str().unwrap());
    assert_eq!(send_request(&printer, &poll, "").await.unwrap().status, 202);
    assert!(printer.decide_app_key(true));
    let granted = send_request(&printer, &poll, "").await.unwrap().json();
    let version = format!("GET /api/version\nX-Api-Key: {}", granted["api_key"].as_str().unwrap());
    assert_eq!(send_request(&printer, &version, "").await.unwrap().status, 200);
    assert_eq!(send_request(&printer, &poll, "").await.unwrap().status, 404);
}

#[tokio::test]
async fn settings_set_scripts_and_printer_commands_reach_the_printer() {
    let (_farm, printer) = start_ready_farm().await;
    let scripts = json!({"scripts": {"gcode": {"beforePrintStarted": "G4 S60"}}});
    assert_eq!(post(&printer, "/api/settings", scripts).await.status, 200);
    let settings = get(&printer, "/api/settings").await.json();
    assert_eq!(settings["scripts"]["gcode"]["beforePrintStarted"], "G4 S60");
    assert_eq!(settings["webcam"]["streamUrl"], "/webcam/?action=stream");
    post(&printer, "/api/job", json!({"command": "start"})).await;
    assert_eq!(printer.state_text(), "Starting");
    let stop = json!({"commands": ["M105", "M112"]});
    assert_eq!(post(&printer, "/api/printer/command", stop).await.status, 204);
    assert_eq!(printer.state_text(), "Offline after error");
    assert_eq!(post(&printer, "/api/printer/command", json!({"command": "M105"})).await.status, 409);
    assert_eq!(
        printer.received_requests().last().map(|it| (it.command.clone(), it.acted)),
        Some(("M105".to_owned(), false))
    );
}

#[tokio::test]
async fn files_are_listed_with_an_etag_deleted_and_unselected() {
    let (_farm, printer) = start_ready_farm().await;
    let listed = get(&printer, "/api/files").await;
    let tag = listed.head.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap().to_uppercase();
    let again = format!("GET /api/files\nX-Api-Key: {}\nIf-None-Match: {tag}", printer.api_key());
    assert_eq!(send_request(&printer, &again, "").await.unwrap().status, 304);
    let delete = format!("DELETE /api/files/local/a.gcode\nX-Api-Key: {}", printer.api_key());
    printer.perform(MachineAction::StartSelected);
    assert_eq!(send_request(&printer, &delete, "").await.unwrap().status, 409);
    printer.perform(MachineAction::Cancel);
    wait_for_state(&printer, "Operational").await;
    assert_eq!(send_request(&printer, &delete, "").await.unwrap().status, 204);
    assert_eq!(send_request(&printer, &delete, "").await.unwrap().status, 404);
    assert_eq!(get(&printer, "/api/job").await.json()["job"]["file"]["name"], json!(null));
}
