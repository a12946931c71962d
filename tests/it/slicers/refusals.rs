//! Uploads that are refused: one sentence each, before the body is read.

use reqwest::StatusCode;
use serde_json::json;

use super::{GCODE, UploadForm, find_curl, get, list_library, long_gcode, run_curl};
use crate::support::{
    needs,
    server::{ServerOptions, TestServer, start_farm},
};

const UNKNOWN_KEY: &str = "The API key is missing or unknown. Enter a Printyard token of role operator as API key.";
const LOW_ROLE: &str = "This token may not upload files. Enter a Printyard token of role operator as API key.";
const NO_FORMAT: &str = "This is not a G-code file. Upload .gcode, .bgcode or a sliced .gcode.3mf file.";
/// Every endpoint with its method.
const ENDPOINTS: [(&str, &str); 10] = [
    ("GET", "version"),
    ("GET", "server"),
    ("GET", "settings"),
    ("GET", "currentuser"),
    ("GET", "printerprofiles"),
    ("GET", "printer"),
    ("GET", "job"),
    ("POST", "login"),
    ("POST", "files/local"),
    ("POST", "files/local/vase.gcode"),
];

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs curl, which tests/run provides"]
async fn every_endpoint_needs_the_role_operator_and_says_so_in_one_sentence() {
    needs!(find_curl());
    let (server, farm) = (TestServer::start().await, start_farm(1).await);
    server.register_printer_with(&farm.printers()[0], json!({"name": "MK4 01", "tags": ["pla"]})).await;
    let viewer = format!("X-Api-Key: {}", server.create_token("viewer").await);
    for destination in ["/octoprint", "/octoprint/printers/MK4%2001", "/octoprint/tags/pla", "/octoprint/parts/7"] {
        for (method, endpoint) in ENDPOINTS {
            let path = format!("{destination}/api/{endpoint}");
            run_curl(&server, &path, &["--request", method]).await.assert_sentence(401, UNKNOWN_KEY);
            let refused = run_curl(&server, &path, &["--request", method, "--header", &viewer]).await;
            refused.assert_sentence(403, LOW_ROLE);
        }
    }
    run_curl(&server, "/octoprint/api/version", &["--header", "X-Api-Key: wrong"])
        .await
        .assert_sentence(401, UNKNOWN_KEY);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs curl, which tests/run provides"]
async fn unknown_destinations_and_paths_are_404() {
    needs!(find_curl());
    let (server, farm) = (TestServer::start().await, start_farm(2).await);
    for (printer, (name, tag)) in farm.printers().iter().zip([("MK4 01", "hall a"), ("MK4 02", "hall b")]) {
        server.register_printer_with(printer, json!({"name": name, "tags": [tag]})).await;
    }
    let (key, limited) =
        (server.create_token("operator").await, server.create_token_for("operator", &["hall a"]).await);
    for (key, path, status, sentence) in [
        (&key, "printers/MK4%2003", 404, "There is no such printer."),
        (&key, "printers/MK4", 404, "There is no such printer."),
        (&key, "tags/hall", 404, "There is no such tag."),
        (&limited, "printers/MK4%2002", 404, "There is no such printer."),
        (&limited, "tags/hall%20b", 404, "There is no such tag."),
        (&limited, "printers/%FF", 400, "The path is not UTF-8."),
    ] {
        for endpoint in ["version", "printer"] {
            let refused = get(&server, key, &format!("/octoprint/{path}/api/{endpoint}")).await;
            refused.assert_sentence(status, sentence);
        }
        let form = UploadForm::prusa_slicer(true, "", "vase.gcode", GCODE);
        form.send(&server, key, &format!("/octoprint/{path}")).await.assert_sentence(status, sentence);
    }
    for path in ["printers/MK4%2001", "tags/hall%20a"] {
        assert_eq!(get(&server, &limited, &format!("/octoprint/{path}/api/version")).await.status, 200, "{path}");
    }
    get(&server, &key, "/octoprint/api/timelapse")
        .await
        .assert_sentence(404, "There is no such path below /octoprint.");
    let wrong_method =
        run_curl(&server, "/octoprint/api/files/local", &["--header", &format!("X-Api-Key: {key}")]).await;
    assert_eq!((wrong_method.status, wrong_method.header("allow")), (405, "POST"), "{wrong_method:?}");
    assert_eq!(wrong_method.header("content-type"), "text/plain");
    assert_eq!(list_library(&server).await, []);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs curl, which tests/run provides"]
async fn a_refusal_comes_before_100_continue_and_without_it_before_the_whole_body() {
    needs!(find_curl());
    let quota = 2_000_000;
    let server = TestServer::start_with(ServerOptions { files_quota: Some(quota), ..ServerOptions::default() }).await;
    let [operator, viewer] = [server.create_token("operator").await, server.create_token("viewer").await];
    let full = "The library is full: its limit is 0 GB. Remove files that are no longer needed, or raise \
                PRINTYARD_FILES_QUOTA_GB.";
    let form = UploadForm::prusa_slicer(false, "", "long.gcode", &long_gcode(24_000_000));
    for (key, destination, status, sentence) in [
        ("wrong", "/octoprint", 401, UNKNOWN_KEY),
        (viewer.as_str(), "/octoprint", 403, LOW_ROLE),
        (operator.as_str(), "/octoprint/printers/MK4", 404, "There is no such printer."),
        (operator.as_str(), "/octoprint", 507, full),
    ] {
        let refused = form.send(&server, key, destination).await;
        refused.assert_sentence(status, sentence);
        assert!(!refused.continued && refused.sent_bytes == 0, "{refused:?}");
        assert_eq!(refused.header("connection"), "close", "{refused:?}");
        // A client that does not wait for 100 gets the refusal, too, although it still sends.
        for _ in 0..5 {
            let refused = form.send_with(&server, key, destination, &["--header", "Expect:"]).await;
            refused.assert_sentence(status, sentence);
            assert!(refused.sent_bytes < 24_000_000, "{refused:?}");
        }
    }
    assert_eq!(list_library(&server).await, []);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs curl, which tests/run provides"]
async fn a_small_refused_upload_keeps_its_connection() {
    needs!(find_curl());
    let server = TestServer::start().await;
    let refused = UploadForm::cura(false, "", "vase.gcode", GCODE).send(&server, "wrong", "/octoprint").await;
    refused.assert_sentence(401, UNKNOWN_KEY);
    assert_eq!(refused.header("connection"), "", "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs curl, which tests/run provides"]
async fn files_that_are_not_gcode_are_415() {
    needs!(find_curl());
    let server = TestServer::start().await;
    let key = server.create_token("operator").await;
    let long_junk = "solid cube\n".repeat(3_000_000);
    for (name, content) in [("vase.stl", GCODE), ("vase.gcode", "\0\u{1}\u{2}junk"), ("cube.stl", &long_junk)] {
        let form = UploadForm::prusa_slicer(false, "", name, content);
        for more in [[].as_slice(), &["--header", "Expect:"]].repeat(3) {
            let refused = form.send_with(&server, &key, "/octoprint", more).await;
            refused.assert_sentence(415, NO_FORMAT);
            assert!(refused.sent_bytes < 33_000_000, "not the whole body: {refused:?}");
        }
    }
    let empty = UploadForm::prusa_slicer(false, "", "vase.gcode", "").send(&server, &key, "/octoprint").await;
    empty.assert_sentence(415, "The file is empty.");
    let key = format!("X-Api-Key: {key}");
    let no_form = run_curl(&server, "/octoprint/api/files/local", &["--header", &key, "--data-binary", GCODE]).await;
    no_form.assert_sentence(415, "The body must be sent as multipart/form-data, with a boundary.");
    let no_file = run_curl(&server, "/octoprint/api/files/local", &["--header", &key, "--form", "print=true"]).await;
    no_file.assert_sentence(400, "The form has no file. Upload a G-code file.");
    assert_eq!(list_library(&server).await, []);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs curl, which tests/run provides"]
async fn a_broken_rule_is_one_sentence_about_the_name_or_the_folder() {
    needs!(find_curl());
    let server = TestServer::start().await;
    let key = server.create_token("operator").await;
    let long = format!("{}.gcode", "x".repeat(300));
    for (folder, name, begin) in [
        ("a/../b", "vase.gcode", "The folder "),
        ("", long.as_str(), "The file name "),
        ("", "tab\there.gcode", "The file name "),
        ("", "..", "The file name "),
    ] {
        let refused = UploadForm::prusa_slicer(false, folder, name, GCODE).send(&server, &key, "/octoprint").await;
        assert_eq!((refused.status, refused.header("content-type")), (400, "text/plain"), "{name}: {refused:?}");
        assert!(refused.body.starts_with(begin) && refused.body.ends_with('.'), "{name}: {refused:?}");
        assert!(refused.body.chars().count() <= 100, "Cura cuts longer texts: {}", refused.body);
    }
    assert_eq!(list_library(&server).await, []);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs curl, which tests/run provides"]
async fn a_token_that_requires_idempotency_keys_needs_none_here() {
    needs!(find_curl());
    let server = TestServer::start().await;
    let body = json!({"name": "slicer", "role": "operator", "require_idempotency_key": true});
    let (status, token, _) = server.post("/api/v1/tokens", body).await;
    assert_eq!(status, StatusCode::CREATED, "{token}");
    let key = token["token"].as_str().expect("a secret");
    let stored = UploadForm::prusa_slicer(false, "", "vase.gcode", GCODE).send(&server, key, "/octoprint").await;
    assert_eq!(stored.status, 201, "{stored:?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs curl, which tests/run provides"]
async fn an_upload_is_audited_with_its_token_and_its_request_id() {
    needs!(find_curl());
    let server = TestServer::start().await;
    let key = server.create_token("operator").await;
    let form = UploadForm::prusa_slicer(false, "", "vase.gcode", GCODE);
    let stored = form.send_with(&server, &key, "/octoprint", &["--header", "X-Request-Id: slicer-4711"]).await;
    assert_eq!((stored.status, stored.header("x-request-id")), (201, "slicer-4711"), "{stored:?}");
    let (_, audit, _) = server.get("/api/v1/audit").await;
    let entry = &audit["items"][0];
    assert_eq!((&entry["action"], &entry["request_id"]), (&json!("file.added"), &json!("slicer-4711")), "{entry}");
    assert_eq!((&entry["actor"]["kind"], &entry["address"]), (&json!("token"), &json!("127.0.0.1")), "{entry}");
}
