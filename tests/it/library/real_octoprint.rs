//! A library file to real OctoPrints, with a printer and the server killed in the middle of the transfers.
//!
//! One OctoPrint of each version by default. `PRINTYARD_TEST_OCTOPRINTS=3 cargo test --test it library::real_octoprint`
//! starts three of each.

use std::time::Duration;

use reqwest::{Method, StatusCode, multipart};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::sample_gcode;
use crate::support::{
    needs,
    octoprint::{OctoPrintInstance, OctoPrintVersion},
    process::{ADMIN_TOKEN, ServerProcess},
    seeded_rng::repeat_count,
    throttle::Throttle,
    wait::until,
};

const DEADLINE: Duration = Duration::from_secs(180);
/// Bytes of the file: a transfer takes about three seconds.
const FILE_BYTES: usize = 6_000_000;
const BYTES_PER_S: u64 = 2_000_000;

/// Returns G-code of this size that prints for some seconds. Comments cost a printer no time.
fn long_file() -> Vec<u8> {
    let mut content = sample_gcode("real", 50);
    content.extend(b"G4 P200\n".repeat(60));
    while content.len() < FILE_BYTES {
        content.extend(b"; a line that OctoPrint does not send to the printer, because it is only a comment\n");
    }
    content.extend(b"G4 P200\n");
    content
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs real OctoPrint, which tests/run provides"]
async fn killed_printers_and_a_killed_server_end_with_the_right_file_printed_once() {
    let each = usize::try_from(repeat_count("PRINTYARD_TEST_OCTOPRINTS", 1)).expect("a small number");
    let versions: Vec<OctoPrintVersion> =
        OctoPrintVersion::ALL.into_iter().flat_map(|version| vec![version; each]).collect();
    let mut printers = needs!(OctoPrintInstance::start_many(&versions).await);
    let dir = tempfile::tempdir().expect("a folder");
    let mut server = ServerProcess::start(dir.path()).await;
    let mut throttles = Vec::new();
    let mut ids = Vec::new();
    for (n, printer) in printers.iter().enumerate() {
        let throttle = Throttle::start(&printer.url, BYTES_PER_S).await;
        let body = json!({"name": format!("octoprint-{n}"), "url": throttle.url, "api_key": printer.api_key});
        let (status, body) = server.post("/printers", &body).await.expect("an answer");
        assert_eq!(status, StatusCode::CREATED, "{body}");
        ids.push(body["id"].as_str().expect("an id").to_owned());
        throttles.push(throttle);
    }
    crate::support::command_log_check::until_online(&server, printers.len(), DEADLINE).await;
    let content = long_file();
    let part = multipart::Part::bytes(content.clone()).file_name("Bügel 'links' #1.gcode");
    let request = server.request(Method::POST, "/api/v1/files").bearer_auth(ADMIN_TOKEN);
    let file: Value = request
        .multipart(multipart::Form::new().part("file", part))
        .send()
        .await
        .expect("an answer")
        .json()
        .await
        .expect("JSON");
    let batch = json!({"command": "start", "select": {"printer_ids": ids}, "file": {"file_id": file["id"]}});
    let (status, batch) = server.post("/batches", &batch).await.expect("an answer");
    assert_eq!(status, StatusCode::ACCEPTED, "{batch}");
    let path = format!("/batches/{}", batch["id"].as_str().expect("an id"));
    let is_running =
        |row: &Value| row["transfer"]["state"] == "running" && row["transfer"]["sent_bytes"].as_u64() > Some(500_000);

    until("the first transfer runs", DEADLINE, async || {
        let row = server.get(&path).await["commands"][0].clone();
        if is_running(&row) { Ok(()) } else { Err(row) }
    })
    .await;
    printers[0].kill();
    until("the first transfer has ended", DEADLINE, async || {
        let row = server.get(&path).await["commands"][0].clone();
        if row["transfer"]["state"] == "queued" { Ok(()) } else { Err(row) }
    })
    .await;
    let revived = printers[0].restart();
    revived.await;
    until("the first transfer runs again", DEADLINE, async || {
        let row = server.get(&path).await["commands"][0].clone();
        if is_running(&row) || row["final"] == true { Ok(()) } else { Err(row) }
    })
    .await;
    server.kill();
    let server = ServerProcess::start(dir.path()).await;
    let ended = until("the batch ends", DEADLINE, async || {
        let batch = server.get(&path).await;
        if batch["finished_at"].is_null() { Err(batch["commands"].clone()) } else { Ok(batch) }
    })
    .await;
    assert_eq!(ended["result"], "ok", "{ended}");

    for (row, printer) in ended["commands"].as_array().expect("rows").iter().zip(&printers) {
        assert_eq!((&row["outcome"], &row["attempts"]), (&json!("confirmed"), &json!(1)), "{row}");
        check_file_on_printer(row, printer, &content).await;
    }
    for (id, printer) in ids.iter().zip(&printers) {
        printer.until_state("Operational", DEADLINE).await;
        let prints = until("the print has ended", DEADLINE, async || {
            let prints = server.get(&format!("/prints?printer_id={id}")).await["items"].clone();
            if prints[0]["ended_at"].is_null() { Err(prints) } else { Ok(prints) }
        })
        .await;
        assert_eq!((prints.as_array().map(Vec::len), &prints[0]["result"]), (Some(1), &json!("done")), "{prints}");
        assert_eq!(printer.count_log_lines("Print job started"), 1, "no start twice");
    }
}

/// Checks that the file that prints is the file that was meant: its path, its size, its hash and its bytes.
async fn check_file_on_printer(row: &Value, printer: &OctoPrintInstance, content: &[u8]) {
    let path = row["file"]["path"].as_str().expect("a path");
    let job = printer.read_job().await;
    assert_eq!(job["job"]["file"]["path"], json!(path), "{job}");
    assert_eq!(job["job"]["file"]["size"], json!(content.len()), "{job}");
    let encoded: Vec<String> = path
        .split('/')
        .map(|part| percent_encoding::utf8_percent_encode(part, percent_encoding::NON_ALPHANUMERIC).to_string())
        .collect();
    let encoded = encoded.join("/");
    let entry = printer.request(Method::GET, &format!("/api/files/local/{encoded}")).send().await.expect("an answer");
    let entry: Value = entry.json().await.expect("JSON");
    let sha256 = format!("{:x?}", Sha256::digest(content).as_slice());
    assert_eq!(entry["userdata"]["printyard"]["sha256"], row["file"]["sha256"], "{entry}");
    if printer.version == OctoPrintVersion::V1 {
        assert_eq!(entry["hash"].as_str().map(str::len), Some(40), "{entry}");
    }
    let download =
        printer.request(Method::GET, &format!("/downloads/files/local/{encoded}")).send().await.expect("an answer");
    let stored = download.bytes().await.expect("the content");
    assert_eq!(format!("{:x?}", Sha256::digest(&stored).as_slice()), sha256, "the bytes on the printer");
}
