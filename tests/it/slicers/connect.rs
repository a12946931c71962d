//! What slicers ask before an upload.

use printyard::simulator::MachineAction;
use serde_json::{Value, json};

use super::{find_curl, get, post_json, run_curl};
use crate::support::{
    needs,
    server::{DEADLINE, TestServer, start_farm, start_server_with_farm},
    wait,
};

/// A name with every character that an address treats specially.
const PRINTER_NAME: &str = "Halle 1/Ü #3 100%?";
const PRINTER_PATH: &str = "/octoprint/printers/Halle%201%2F%C3%9C%20%233%20100%25%3F";

/// Adds the part `BRKT-7`.
async fn add_part(server: &TestServer) {
    let file = crate::parts::add_file(server, "bracket.gcode", crate::parts::MK4_FILE).await;
    let (status, part, _) = crate::parts::put_part(server, "BRKT-7", None, json!({"files": [{"file_id": file}]})).await;
    assert_eq!(status, 201, "{part}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs curl, which tests/run provides"]
async fn prusaslicer_recognises_every_destination_as_octoprint() {
    needs!(find_curl());
    let (server, farm) = (TestServer::start().await, start_farm(1).await);
    let fields = json!({"name": PRINTER_NAME, "tags": ["größe s"]});
    server.register_printer_with(&farm.printers()[0], fields).await;
    let key = server.create_token("operator").await;
    add_part(&server).await;
    for destination in ["/octoprint", PRINTER_PATH, "/octoprint/tags/gr%C3%B6%C3%9Fe%20s", "/octoprint/parts/BRKT-7"] {
        let response = get(&server, &key, &format!("{destination}/api/version")).await;
        assert_eq!(response.status, 200, "{destination}: {response:?}");
        let version = response.json();
        assert!(version["api"].is_string(), "{version}");
        assert!(version["text"].as_str().is_some_and(|text| text.starts_with("OctoPrint")), "{version}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs curl, which tests/run provides"]
async fn cura_gets_every_field_that_it_reads_for_every_destination() {
    needs!(find_curl());
    let (server, farm) = (TestServer::start().await, start_farm(1).await);
    let fields = json!({"name": PRINTER_NAME, "tags": ["pla"], "model": "MK4", "bed_mm": [250, 210, 220]});
    let id = server.register_printer_with(&farm.printers()[0], fields).await;
    server.until_state(&id, "operational").await;
    let key = server.create_token("operator").await;
    add_part(&server).await;
    for destination in ["/octoprint", PRINTER_PATH, "/octoprint/tags/pla", "/octoprint/parts/BRKT-7"] {
        let read = async |name: &str| {
            let response = get(&server, &key, &format!("{destination}/api/{name}")).await;
            assert_eq!(response.status, 200, "{destination} {name}: {response:?}");
            response.json()
        };
        assert_eq!(read("settings").await["feature"]["sdSupport"], false);
        assert_eq!(read("server").await["safemode"], Value::Null);
        assert_eq!(read("currentuser").await["name"], "operator");
        let printer = read("printer").await;
        for flag in ["error", "closedOrError", "paused", "pausing", "printing", "cancelling", "ready", "operational"] {
            let expected = matches!(flag, "ready" | "operational");
            assert_eq!(printer["state"]["flags"][flag], expected, "{destination} {flag}: {printer}");
        }
        let job = read("job").await;
        assert_eq!(job["state"], "Operational", "{destination}");
        for (part, name) in [("progress", "printTime"), ("progress", "completion"), ("progress", "printTimeLeft")] {
            assert!(job[part].get(name).is_some(), "{job}");
        }
        let is_printer = destination == PRINTER_PATH;
        let selected = if is_printer { json!("bracket.gcode") } else { Value::Null };
        assert_eq!(job["job"]["file"]["name"], selected, "{destination}");
        let profiles = read("printerprofiles").await;
        let profile = &profiles["profiles"]["_default"];
        assert_eq!(profile["current"], true);
        assert!(profile["axes"]["e"]["speed"].is_number() && profile["axes"]["e"]["inverted"] == false, "{profile}");
        assert_eq!(profile["model"], if is_printer { "MK4" } else { "Printyard" });
        let login = post_json(&server, &key, &format!("{destination}/api/login"), r#"{"passive": true}"#).await;
        assert_eq!((login.status, &login.json()["name"]), (200, &json!("operator")), "{login:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs curl, which tests/run provides"]
async fn a_printer_shows_its_own_state_and_is_409_while_it_is_not_operational() {
    needs!(find_curl());
    let (server, farm, ids) = start_server_with_farm(1).await;
    let (printer, key) = (&farm.printers()[0], server.create_token("operator").await);
    let path = format!("/octoprint/printers/{}/api", printer.name());
    let (_, row, _) =
        server.post_and_wait(&format!("/api/v1/printers/{}/job", ids[0]), json!({"command": "start"})).await;
    assert_eq!(row["outcome"], "confirmed", "{row}");
    server.until_state(&ids[0], "printing").await;
    let state = get(&server, &key, &format!("{path}/printer")).await.json();
    assert_eq!(
        (&state["state"]["flags"]["printing"], &state["state"]["flags"]["ready"]),
        (&json!(true), &json!(false))
    );
    wait::until("the temperatures are read", DEADLINE, async || {
        let state = get(&server, &key, &format!("{path}/printer")).await.json();
        if state["temperature"]["tool0"]["actual"].is_number() { Ok(()) } else { Err(state) }
    })
    .await;
    let job = get(&server, &key, &format!("{path}/job")).await.json();
    assert_eq!((&job["state"], &job["job"]["file"]["path"]), (&json!("Printing"), &json!("bracket.gcode")));
    printer.perform(MachineAction::Disconnect);
    server.until_state(&ids[0], "offline").await;
    let refused = get(&server, &key, &format!("{path}/printer")).await;
    assert_eq!((refused.status, refused.header("content-type")), (409, "text/plain"), "{refused:?}");
    assert!(refused.body.starts_with(&format!("The printer {} is not operational: ", printer.name())), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs curl, which tests/run provides"]
async fn a_key_is_accepted_wherever_octoprint_accepts_it() {
    needs!(find_curl());
    let server = TestServer::start().await;
    let key = server.create_token("operator").await;
    let (own, bearer) = (format!("X-Api-Key: {key}"), format!("Authorization: Bearer {key}"));
    let by_query = format!("/octoprint/api/version?apikey={key}");
    let status = async |path: &str, headers: &[&str]| {
        let arguments: Vec<&str> = headers.iter().flat_map(|header| ["--header", header]).collect();
        run_curl(&server, path, &arguments).await.status
    };
    let version = "/octoprint/api/version";
    assert_eq!(status(version, &[&own]).await, 200);
    assert_eq!(status(version, &[&bearer]).await, 200);
    assert_eq!(status(&by_query, &[]).await, 200);
    assert_eq!(status(version, &[&own, "Authorization: Basic bWF4OnNlY3JldA=="]).await, 200, "a password for a proxy");
    assert_eq!(status(version, &["X-Api-Key: wrong", &bearer]).await, 401, "the order of OctoPrint");
    assert_eq!(status(version, &[]).await, 401);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs curl, which tests/run provides"]
async fn a_browser_that_opens_the_address_of_a_destination_gets_the_pages() {
    needs!(find_curl());
    let server = TestServer::start().await;
    for path in ["/octoprint", "/octoprint/", "/octoprint/printers/MK4%2001", "/octoprint/tags/pla/"] {
        let response = run_curl(&server, path, &[]).await;
        assert_eq!((response.status, response.header("location")), (303, "/"), "{path}: {response:?}");
    }
}
