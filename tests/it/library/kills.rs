//! A killed server leaves no half-written content, and what nothing names is deleted.

use std::{fs, path::Path, time::Duration};

use printyard::{config::RawConfig, service::background::TaskStatus};
use reqwest::{Method, StatusCode, multipart};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::sample_gcode;
use crate::support::{
    process::{ADMIN_TOKEN, ServerProcess},
    seeded_rng::{SeededRng, test_seed},
    server::TestServer,
    wait,
};

/// Kills in one run.
const KILLS: u64 = 12;
/// Uploads at the same time.
const UPLOADS: u64 = 4;

fn list_names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder");
    entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("a name")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_leaves_no_half_written_content_and_no_name_without_one() {
    let seed = test_seed("library::kills");
    let mut rng = SeededRng::new(seed);
    let dir = tempfile::tempdir().expect("a folder");
    let mut server = ServerProcess::start(dir.path()).await;
    let (mut cut, mut stored) = (0, 0);
    for round in 0..KILLS {
        let uploads = (0..UPLOADS).map(|n| {
            let content =
                sample_gcode(&format!("round {round}, {n}"), 20_000 + 5_000 * usize::try_from(n).expect("small"));
            let part = multipart::Part::bytes(content).file_name(format!("file {n}.gcode"));
            let request = server.request(Method::POST, "/api/v1/files").bearer_auth(ADMIN_TOKEN);
            tokio::spawn(request.multipart(multipart::Form::new().part("file", part)).send())
        });
        let uploads: Vec<_> = uploads.collect();
        // The time of the kill is the random variable of this test.
        wait::pause(Duration::from_millis(rng.below(120))).await;
        server.kill();
        let mut acknowledged = Vec::new();
        for upload in uploads {
            match upload.await.expect("no panic") {
                Ok(answer) if answer.status() == StatusCode::CREATED => {
                    acknowledged.push(answer.json::<Value>().await.ok())
                }
                _ => cut += 1,
            }
        }
        server = ServerProcess::start(dir.path()).await;
        let context = format!("seed {seed}, round {round}");
        assert_eq!(list_names(&dir.path().join("uploads")), [""; 0], "{context}");
        for name in list_names(&dir.path().join("files")) {
            let content = fs::read(dir.path().join("files").join(&name)).expect("a content");
            let hash: String = Sha256::digest(&content).iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(hash, name, "{context}: a half-written content");
        }
        let files = server.get("/files?limit=500").await["items"].as_array().expect("files").clone();
        for file in &files {
            let path = dir.path().join("files").join(file["sha256"].as_str().expect("a hash"));
            assert!(path.is_file(), "{context}: {file} has no content");
        }
        for file in acknowledged.into_iter().flatten() {
            assert!(files.iter().any(|stored| stored["sha256"] == file["sha256"]), "{context}: {file} is lost");
            stored += 1;
        }
    }
    println!("seed {seed}: {cut} uploads were cut, {stored} were acknowledged");
    assert!(cut > 0, "seed {seed}: no kill hit an upload");
}

async fn run_clean_up(server: &TestServer) -> TaskStatus {
    server.services.background().run_now("files").await.expect("the task")
}

/// Makes a file look as old as this.
fn make_old(path: &Path, age: Duration) {
    let file = fs::File::options().write(true).open(path).expect("a file");
    file.set_modified(std::time::SystemTime::now() - age).expect("another time");
}

#[tokio::test]
async fn only_old_contents_that_no_row_names_are_deleted() {
    let server = TestServer::start().await;
    let folder = server.data_dir().join("files");
    let (_, file, _) = server.upload_file("", "a.gcode", sample_gcode("a", 3)).await;
    let named = folder.join(file["sha256"].as_str().expect("a hash"));
    let [old, young, foreign] =
        ["0a".repeat(32), "0b".repeat(32), "notes.txt".to_owned()].map(|name| folder.join(name));
    for path in [&old, &young, &foreign] {
        fs::write(path, "G28\n").expect("written");
    }
    for path in [&named, &old, &foreign] {
        make_old(path, Duration::from_secs(3_700));
    }
    assert_eq!(run_clean_up(&server).await.last_error, None);
    assert_eq!([&named, &old, &young, &foreign].map(|path| path.is_file()), [true, false, true, true]);
    fs::remove_file(&named).expect("removed");
    let status = run_clean_up(&server).await;
    let error = status.last_error.unwrap_or_default();
    assert!(error.starts_with("content_missing: ") && status.behind == Some(1), "{error}");
    let path = format!("/api/v1/files/{}", file["id"].as_str().expect("an id"));
    assert_eq!(server.get(&path).await.0, StatusCode::OK, "no row is deleted");
    assert_eq!(server.delete(&path).await.0, StatusCode::NO_CONTENT);
}

#[test]
fn settings_of_the_library_are_checked() {
    let config = |quota: &str, transfers: &str, printing: &str| {
        RawConfig {
            files_quota_gb: Some(quota.to_owned()),
            max_transfers: Some(transfers.to_owned()),
            transfer_while_printing: Some(printing.to_owned()),
            ..RawConfig::default()
        }
        .validate()
    };
    let settings = config("2", "3", "on").expect("valid").settings;
    assert_eq!(
        (settings.files_quota, settings.max_transfers, settings.transfer_while_printing),
        (2_000_000_000, 3, true)
    );
    for (quota, transfers, printing, name) in [
        ("0", "3", "on", "PRINTYARD_FILES_QUOTA_GB"),
        ("x", "3", "on", "PRINTYARD_FILES_QUOTA_GB"),
        ("1", "0", "on", "PRINTYARD_MAX_TRANSFERS"),
        ("1", "3", "yes", "PRINTYARD_TRANSFER_WHILE_PRINTING"),
    ] {
        let error = config(quota, transfers, printing).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(error.starts_with(name), "{error}");
    }
}
