//! Uploads that are stored, and what a request for a print does.

use reqwest::StatusCode;
use serde_json::json;

use super::{GCODE, UploadForm, file_field, find_curl, get, list_library, long_gcode, post_json};
use crate::support::{
    needs,
    server::{DEADLINE, TestServer, start_server_with_farm},
    wait,
};

/// Names with the characters that other servers cut or refuse.
const NAMES: [&str; 10] = [
    "Gehäuse größer – äöü ß.gcode",
    "he said \"hi\".gcode",
    "part #3.gcode",
    "100% infill.gcode",
    "50%20off.gcode",
    "it's mine.gcode",
    "a*b.gcode",
    "one, two; three.gcode",
    "(brackets) [square] {curly} & co=x+y.gcode",
    "零件 🦀.gcode",
];

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs curl, which tests/run provides"]
async fn the_requests_of_prusaslicer_store_a_file_in_its_folder() {
    needs!(find_curl());
    let server = TestServer::start().await;
    let key = server.create_token("operator").await;
    assert_eq!(get(&server, &key, "/octoprint/api/version").await.status, 200);
    let form = UploadForm::prusa_slicer(false, r"customers\müller\\new", "vase.gcode", GCODE);
    let stored = form.send(&server, &key, "/octoprint").await;
    assert_eq!(stored.status, 201, "{stored:?}");
    let location = format!("{}/octoprint/api/files/local/customers/m%C3%BCller/new/vase.gcode", server.url);
    assert_eq!(stored.header("location"), location);
    let expected = json!({
        "done": true,
        "effectiveSelect": false,
        "effectivePrint": false,
        "files": {"local": {
            "name": "vase.gcode",
            "display": "vase.gcode",
            "path": "customers/müller/new/vase.gcode",
            "origin": "local",
            "refs": {"resource": location},
        }},
        "message": "Stored in the library as customers/müller/new/vase.gcode. Nothing was started.",
    });
    assert_eq!(stored.json(), expected);
    let (_, page, _) = server.get("/api/v1/files").await;
    let file = &page["items"][0];
    assert_eq!((&file["folder"], &file["name"]), (&json!("customers/müller/new"), &json!("vase.gcode")));
    assert_eq!((&file["slicer"]["name"], &file["created_by"]), (&json!("PrusaSlicer"), &json!("operator")));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs curl, which tests/run provides"]
async fn the_requests_of_cura_store_a_file_and_its_select_is_accepted() {
    needs!(find_curl());
    let server = TestServer::start().await;
    let key = server.create_token("operator").await;
    for name in ["settings", "printer", "job", "version", "printerprofiles"] {
        assert_eq!(get(&server, &key, &format!("/octoprint/api/{name}")).await.status, 200, "{name}");
    }
    let stored = UploadForm::cura(true, "", "UM2 vase.gcode", GCODE).send(&server, &key, "/octoprint").await;
    assert_eq!(stored.status, 201, "{stored:?}");
    // Cura takes the endpoint of its next command from the address after `api/`.
    let (_, endpoint) = stored.header("location").split_once("api/").expect("Cura needs `api/`");
    assert_eq!(endpoint, "files/local/UM2%20vase.gcode");
    let path = format!("/octoprint/api/{endpoint}");
    for command in [r#"{"command": "select"}"#, r#"{"command": "select", "print": true}"#, r#"{"command": "unselect"}"#]
    {
        assert_eq!(post_json(&server, &key, &path, command).await.status, 204, "{command}");
    }
    let unknown = post_json(&server, &key, "/octoprint/api/files/local/no.gcode", r#"{"command": "select"}"#).await;
    unknown.assert_sentence(404, "There is no such file.");
    let command = post_json(&server, &key, &path, r#"{"command": "slice"}"#).await;
    command.assert_sentence(400, "Printyard knows only the command select for files.");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs curl, which tests/run provides"]
async fn names_are_kept_exactly() {
    needs!(find_curl());
    let server = TestServer::start().await;
    let key = server.create_token("operator").await;
    let longest = format!("{}.gcode", "ä".repeat(249));
    for name in NAMES.iter().copied().chain([longest.as_str()]) {
        let stored = UploadForm::prusa_slicer(false, "", name, GCODE).send(&server, &key, "/octoprint").await;
        assert_eq!(stored.status, 201, "{name}: {stored:?}");
        assert_eq!(stored.json()["files"]["local"]["path"], name);
        let (_, endpoint) = stored.header("location").split_once("/octoprint/").expect("an address");
        let select = post_json(&server, &key, &format!("/octoprint/{endpoint}"), r#"{"command": "select"}"#).await;
        assert_eq!(select.status, 204, "{name}: {select:?}");
    }
    let mut expected: Vec<_> =
        NAMES.iter().copied().chain([longest.as_str()]).map(|name| (String::new(), name.to_owned())).collect();
    expected.sort();
    assert_eq!(list_library(&server).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs curl, which tests/run provides"]
async fn the_fields_have_any_order_and_unknown_ones_are_ignored() {
    needs!(find_curl());
    let server = TestServer::start().await;
    let key = server.create_token("operator").await;
    let (file, _content) = file_field("vase.gcode.3mf.gcode", GCODE);
    let long = format!("unknown={}", "x".repeat(100_000));
    let fields = ["plateindex=1", &file, "userdata={\"a\": 1}", &long, "noOverwrite=true", "path=late", "print=false"];
    let form = UploadForm { fields: fields.map(str::to_owned).into(), _content };
    let stored = form.send(&server, &key, "/octoprint").await;
    assert_eq!((stored.status, &stored.json()["files"]["local"]["path"]), (201, &json!("late/vase.gcode.3mf.gcode")));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs curl, which tests/run provides"]
async fn the_same_name_with_another_content_replaces_it_and_keeps_the_file() {
    needs!(find_curl());
    let server = TestServer::start().await;
    let key = server.create_token("operator").await;
    let mut seen = Vec::new();
    for content in [GCODE, GCODE, "G28\nG1 X1\n"] {
        let stored = UploadForm::prusa_slicer(false, "", "vase.gcode", content).send(&server, &key, "/octoprint").await;
        assert_eq!(stored.status, 201, "{stored:?}");
        let (_, page, _) = server.get("/api/v1/files").await;
        let items = page["items"].as_array().expect("items");
        assert_eq!(items.len(), 1, "{page}");
        seen.push((items[0]["id"].clone(), items[0]["sha256"].clone()));
    }
    assert_eq!((&seen[0], &seen[0].0), (&seen[1], &seen[2].0));
    assert_ne!(seen[1].1, seen[2].1);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs curl, which tests/run provides"]
async fn a_file_above_one_megabyte_is_sent_after_100_continue() {
    needs!(find_curl());
    let server = TestServer::start().await;
    let key = server.create_token("operator").await;
    let content = long_gcode(3_000_000);
    let stored = UploadForm::prusa_slicer(false, "", "long.gcode", &content).send(&server, &key, "/octoprint").await;
    assert_eq!(stored.status, 201, "{stored:?}");
    assert!(stored.continued && stored.sent_bytes > 3_000_000, "{stored:?}");
    let (_, page, _) = server.get("/api/v1/files").await;
    assert_eq!(page["items"][0]["size"], content.len());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs curl, which tests/run provides"]
async fn a_print_on_a_printer_sends_the_file_and_selects_it_and_starts_nothing() {
    needs!(find_curl());
    let (server, farm, ids) = start_server_with_farm(2).await;
    let (printer, key) = (&farm.printers()[0], server.create_token("operator").await);
    let destination = format!("/octoprint/printers/{}", printer.name());
    let stored = UploadForm::prusa_slicer(true, "", "vase.gcode", GCODE).send(&server, &key, &destination).await;
    assert_eq!(stored.status, 201, "{stored:?}");
    let body = stored.json();
    assert_eq!((&body["effectivePrint"], &body["effectiveSelect"]), (&json!(false), &json!(false)));
    let sentence = format!(
        "Stored in the library as vase.gcode. The printer {} gets the file and selects it when it is idle. Nothing was \
         started.",
        printer.name()
    );
    assert_eq!(body["message"], sentence);
    assert_eq!(
        stored.header("location"),
        format!("{}{destination}/api/files/local/vase.gcode", server.url),
        "below the destination"
    );
    wait::until("the printer has selected the file", DEADLINE, async || {
        let job = get(&server, &key, &format!("{destination}/api/job")).await.json();
        let name = job["job"]["file"]["name"].as_str().unwrap_or_default().to_owned();
        if name == "vase.gcode" { Ok(()) } else { Err(name) }
    })
    .await;
    let received = printer.received_requests();
    assert!(received.iter().any(|request| request.command == "upload"), "{received:?}");
    assert!(!received.iter().any(|request| request.command == "start"), "{received:?}");
    assert_eq!(printer.state_text(), "Operational");
    let (_, batches, _) = server.get("/api/v1/batches").await;
    assert_eq!(batches["items"], json!([]), "no command was recorded");
    let (_, prints, _) = server.get(&format!("/api/v1/prints?printer_id={}", ids[0])).await;
    assert_eq!(prints["items"], json!([]));
    let other = farm.printers()[1].received_requests();
    assert!(!other.iter().any(|request| request.command == "upload"), "another printer: {other:?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs curl, which tests/run provides"]
async fn a_select_of_cura_sends_a_stored_file_to_the_printer() {
    needs!(find_curl());
    let (server, farm, _) = start_server_with_farm(1).await;
    let (printer, key) = (&farm.printers()[0], server.create_token("operator").await);
    let destination = format!("/octoprint/printers/{}", printer.name());
    let stored = UploadForm::cura(false, "sub", "lid.gcode", GCODE).send(&server, &key, &destination).await;
    assert_eq!(stored.json()["message"], "Stored in the library as sub/lid.gcode. Nothing was started.");
    let (_, endpoint) = stored.header("location").split_once("/octoprint/").expect("an address");
    let command = r#"{"command": "select", "print": true}"#;
    assert_eq!(post_json(&server, &key, &format!("/octoprint/{endpoint}"), command).await.status, 204);
    wait::until("the printer has selected the file", DEADLINE, async || {
        printer.received_requests().iter().any(|request| request.command == "select" && request.acted)
    })
    .await;
    assert!(!printer.received_requests().iter().any(|request| request.command == "start"));
    assert_eq!(printer.state_text(), "Operational");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs curl, which tests/run provides"]
async fn a_file_that_its_printer_refuses_is_not_sent_again_and_again() {
    needs!(find_curl());
    let (server, farm, _) = start_server_with_farm(1).await;
    let (printer, key) = (&farm.printers()[0], server.create_token("operator").await);
    printer.limit_permissions(&["STATUS", "FILES_LIST"]);
    let destination = format!("/octoprint/printers/{}", printer.name());
    let form = UploadForm::prusa_slicer(true, "", "vase.gcode", GCODE);
    assert_eq!(form.send(&server, &key, &destination).await.status, 201);
    let count_uploads =
        || printer.received_requests().iter().filter(|request| request.path.ends_with("/files/local")).count();
    wait::until("the transfer has failed", DEADLINE, async || {
        let (_, background, _) = server.get("/api/v1/background").await;
        let tasks = background["items"].as_array().expect("tasks");
        let transfers = tasks.iter().find(|task| task["name"] == "transfers").expect("a task");
        let seen = (count_uploads(), transfers["behind"].clone());
        if seen.0 > 0 && seen.1 == 0 { Ok(()) } else { Err(seen) }
    })
    .await;
    assert_eq!(count_uploads(), 1, "{:?}", printer.received_requests());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs curl, which tests/run provides"]
async fn a_print_on_a_printer_a_tag_or_a_part_makes_an_order_of_one_copy() {
    needs!(find_curl());
    let (server, farm, ids) = start_server_with_farm(1).await;
    let path = format!("/api/v1/printers/{}", ids[0]);
    let ready = json!({"tags": ["pla"], "model": "MK4", "production": {"auto": true}});
    let (status, printer, _) = server.patch(&path, ready).await;
    assert_eq!(status, StatusCode::OK);
    let name = printer["name"].as_str().expect("a name");
    let key = server.create_token("operator").await;
    let form = |gcode| UploadForm::prusa_slicer(true, "", "vase.gcode", gcode);
    // The farm cannot know which printers a file without a model is for. The file is stored all the same.
    let refused = form(GCODE).send(&server, &key, "/octoprint/tags/pla").await;
    assert_eq!(refused.status, 422, "{refused:?}");
    assert!(refused.body.contains("model"), "{refused:?}");
    let unknown = form(GCODE).send(&server, &key, "/octoprint/parts/none").await;
    assert_eq!(unknown.status, 404, "{unknown:?}");
    let gcode = format!("{GCODE}; printer_model = MK4\n");
    let (_, files, _) = server.get("/api/v1/files").await;
    let file = json!({"file_id": files["items"][0]["id"], "models": ["MK4"], "parts_per_plate": 3});
    let part = json!({"title": "Bracket", "files": [file]});
    let (status, part, _) = crate::parts::put_part(&server, "BRKT%207%2FC", None, part).await;
    assert_eq!(status, StatusCode::CREATED, "{part}");
    let printer_path = format!("/octoprint/printers/{name}");
    for (destination, quantity) in
        [("/octoprint/tags/pla", 1), ("/octoprint/parts/BRKT%207%2FC", 3), (printer_path.as_str(), 1)]
    {
        let stored = form(&gcode).send(&server, &key, destination).await;
        let message = "Stored in the library as vase.gcode. An order of one copy was made. 1 printer can make it. Nothing was \
                       started.";
        assert_eq!((stored.status, &stored.json()["message"]), (201, &json!(message)), "{stored:?}");
        let (_, orders, _) = server.get("/api/v1/orders").await;
        assert_eq!(
            (&orders["items"][0]["quantity"], &orders["items"][0]["source"]),
            (&json!(quantity), &json!("slicer"))
        );
    }
    let (_, orders, _) = server.get("/api/v1/orders").await;
    assert_eq!(orders["items"].as_array().map(Vec::len), Some(3));
    assert_eq!(orders["items"][1]["part"], "BRKT 7/C", "{orders}");
    assert_eq!(orders["items"][0]["requirements"]["printer_ids"], json!([ids[0]]), "{orders}");
    // No plate was cleared since the opt-in, so no order starts.
    let (_, prints, _) = server.get("/api/v1/prints").await;
    assert_eq!(prints["items"], json!([]));
    assert_eq!(list_library(&server).await.len(), 1);
    drop(farm);
}
