//! Rotation of the key that seals secrets while the server runs, and the check for a wrong key before anything is
//! changed.

mod canary;

use std::{
    path::Path,
    process::Output,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, SystemTime},
};

use printyard::{Server, config::RawConfig};
use reqwest::{Method, StatusCode};
use serde_json::json;
use tempfile::TempDir;

use crate::support::{
    process::{ADMIN_TOKEN, ServerProcess},
    server::{send_request, start_farm},
    wait,
};

const ONE: &str = "1111111111111111111111111111111111111111111111111111111111111111";
const TWO: &str = "2222222222222222222222222222222222222222222222222222222222222222";

fn raw_config(dir: &Path) -> RawConfig {
    RawConfig {
        listen: Some("127.0.0.1:0".to_owned()),
        database_url: Some(format!("sqlite:{}", dir.join("printyard.db").display())),
        data_dir: Some(dir.to_owned()),
        ..RawConfig::default()
    }
}

/// Starts the server. Returns its error, or `None` if it starts.
async fn start_error(raw_config: RawConfig) -> Option<String> {
    match Server::start(&raw_config.validate().expect("valid settings")).await {
        Err(error) => Some(format!("{error:#}")),
        Ok(server) => {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
            server.serve(listener, std::future::ready(())).await.expect("a clean end");
            None
        }
    }
}

/// Runs `printyard secrets …` on the data of a folder.
async fn run_secrets_command(dir: &Path, action: &str, keys: Option<&str>) -> (bool, String) {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_printyard"));
    command
        .args(["secrets", action])
        .current_dir(dir)
        .env("PRINTYARD_DATABASE_URL", format!("sqlite:{}", dir.join("printyard.db").display()))
        .env("PRINTYARD_DATA_DIR", dir)
        .env("PRINTYARD_SECRET_KEY", keys.unwrap_or_default());
    let Output { status, stdout, stderr } = command.output().await.expect("it runs");
    let output = [stdout, stderr].concat();
    let output = String::from_utf8(output).expect("text");
    for key in std::fs::read_to_string(dir.join("secret.key")).unwrap_or_default().lines() {
        assert!(!output.contains(key), "the output contains a key");
    }
    (status.success(), output)
}

/// Returns the sealed key of each printer, with the printer's name.
async fn read_sealed_keys(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let url = format!("sqlite:{}", dir.join("printyard.db").display());
    let db = printyard::storage::Db::connect(&url).await.expect("a database");
    let keys =
        printyard::storage::sealed::list_page(&db, printyard::storage::sealed::SealedTable::Printers, None, 1_000)
            .await
            .expect("read");
    db.close().await;
    keys.into_iter().map(|key| (key.name, key.sealed)).collect()
}

/// Makes the key file look as if it was changed an hour ago.
fn age_key_file(dir: &Path) {
    let file = std::fs::File::options().append(true).open(dir.join("secret.key")).expect("a key");
    file.set_modified(SystemTime::now() - Duration::from_secs(3_600)).expect("its time is changed");
}

/// Returns the status of a request for a printer's job, for which the server uses the stored API key.
async fn job_status(server: &ServerProcess, id: &str) -> StatusCode {
    // After many requests the server answers 429, which says nothing about the job.
    wait::until("a status other than 429", Duration::from_secs(30), async || {
        let path = format!("/api/v1/printers/{id}/job");
        let (status, ..) = send_request(server.request(Method::GET, &path).bearer_auth(ADMIN_TOKEN)).await;
        if status == StatusCode::TOO_MANY_REQUESTS { Err(status) } else { Ok(status) }
    })
    .await
}

/// Creates a folder with a database that has one sealed API key.
async fn create_data_folder(keys: Option<&str>) -> TempDir {
    let dir = tempfile::tempdir().expect("a folder");
    let mut server = ServerProcess::start_with(
        dir.path(),
        &[("RUST_LOG", "printyard=error"), ("PRINTYARD_SECRET_KEY", keys.unwrap_or_default())],
        std::process::Stdio::inherit(),
    )
    .await;
    register_printer(&server, "one", "http://127.0.0.1:9").await;
    server.kill();
    dir
}

async fn register_printer(server: &ServerProcess, name: &str, url: &str) -> String {
    let body = json!({"name": name, "url": url, "api_key": "a-key", "enabled": false});
    let (status, body) = server.post("/printers", &body).await.expect("an answer");
    assert_eq!(status, StatusCode::CREATED, "{body}");
    body["id"].as_str().expect("an id").to_owned()
}

#[tokio::test]
async fn a_missing_key_stops_the_start_and_no_new_one_is_made() {
    let dir = create_data_folder(None).await;
    let (path, before) = (dir.path().join("secret.key"), read_sealed_keys(dir.path()).await);
    let kept = std::fs::read(&path).expect("a key");
    std::fs::remove_file(&path).expect("removed");
    for output in [
        start_error(raw_config(dir.path())).await.expect("refused"),
        run_secrets_command(dir.path(), "rotate", None).await.1,
    ] {
        assert!(output.contains(&path.display().to_string()) && output.contains("restore the file"), "{output}");
    }
    assert!(!path.exists(), "no key was made");
    assert_eq!(read_sealed_keys(dir.path()).await, before);
    std::fs::write(&path, kept).expect("restored");
    assert_eq!(start_error(raw_config(dir.path())).await, None);
}

#[tokio::test]
async fn a_wrong_key_stops_the_start_and_nothing_is_overwritten() {
    let dir = create_data_folder(None).await;
    let (path, before) = (dir.path().join("secret.key"), read_sealed_keys(dir.path()).await);
    std::fs::write(&path, format!("{ONE}\n")).expect("written");
    for output in [
        start_error(raw_config(dir.path())).await.expect("refused"),
        run_secrets_command(dir.path(), "rotate", None).await.1,
    ] {
        assert!(output.contains("is not the key of this database"), "{output}");
        assert!(output.contains(&path.display().to_string()), "{output}");
    }
    let output =
        start_error(RawConfig { secret_key: Some(TWO.to_owned()), ..raw_config(dir.path()) }).await.expect("refused");
    assert!(output.starts_with("PRINTYARD_SECRET_KEY is not the key of this database"), "{output}");
    std::fs::write(&path, "no key").expect("written");
    let output = start_error(raw_config(dir.path())).await.expect("refused");
    assert!(output.contains("64 hexadecimal digits") && !output.contains("no key"), "{output}");
    assert_eq!(std::fs::read_to_string(&path).expect("a file"), "no key");
    assert_eq!(read_sealed_keys(dir.path()).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_server_continues_through_rotations_and_seals_with_the_new_key() {
    let farm = start_farm(2).await;
    let dir = tempfile::tempdir().expect("a folder");
    let mut server = ServerProcess::start(dir.path()).await;
    let mut ids = Vec::new();
    for printer in farm.printers() {
        let body = json!({"name": printer.name(), "url": printer.url(), "api_key": printer.api_key()});
        let (status, body) = server.post("/printers", &body).await.expect("an answer");
        assert_eq!(status, StatusCode::CREATED, "{body}");
        ids.push(body["id"].as_str().expect("an id").to_owned());
    }
    let (first, file) = (read_sealed_keys(dir.path()).await, dir.path().join("secret.key"));
    for round in 1..=2 {
        let before = read_sealed_keys(dir.path()).await;
        let (succeeded, output) = run_secrets_command(dir.path(), "rotate", None).await;
        assert!(succeeded && output.contains(&format!("{} stored secret(s) sealed", before.len())), "{output}");
        assert_eq!(std::fs::read_to_string(&file).expect("a file").lines().count(), round + 1);
        let after = read_sealed_keys(dir.path()).await;
        assert!(before.iter().zip(&after).all(|(a, b)| a.0 == b.0 && a.1 != b.1), "every API key is sealed again");
        // The running server gets no signal.
        for id in &ids {
            assert_eq!(job_status(&server, id).await, StatusCode::OK);
        }
        register_printer(&server, &format!("new-{round}"), &format!("http://127.0.0.1:{round}")).await;
        let current = after[0].1[..5].to_vec();
        assert!(
            read_sealed_keys(dir.path()).await.iter().all(|(_, sealed)| sealed.starts_with(&current)),
            "the newest key"
        );
    }
    let (succeeded, output) = run_secrets_command(dir.path(), "prune", None).await;
    assert!(!succeeded && output.contains("less than 60 s ago"), "{output}");
    age_key_file(dir.path());
    let (succeeded, output) = run_secrets_command(dir.path(), "prune", None).await;
    assert!(succeeded && output.contains("2 former key(s) forgotten"), "{output}");
    assert_eq!(std::fs::read_to_string(&file).expect("a file").lines().count(), 1);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(&file).expect("a file").permissions().mode() & 0o777, 0o600);
    }
    for id in &ids {
        assert_eq!(job_status(&server, id).await, StatusCode::OK);
    }
    server.kill();
    assert_ne!(read_sealed_keys(dir.path()).await[0], first[0]);
    let server = ServerProcess::start(dir.path()).await;
    for id in &ids {
        assert_eq!(job_status(&server, id).await, StatusCode::OK, "after a restart with the new key alone");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_stored_during_a_rotation_are_not_lost() {
    let farm = start_farm(4).await;
    let dir = tempfile::tempdir().expect("a folder");
    let mut server = ServerProcess::start(dir.path()).await;
    let mut ids = Vec::new();
    for printer in farm.printers() {
        let body = json!({"name": printer.name(), "url": printer.url(), "api_key": "the-wrong-one"});
        let (status, body) = server.post("/printers", &body).await.expect("an answer");
        assert_eq!(status, StatusCode::CREATED, "{body}");
        ids.push(body["id"].as_str().expect("an id").to_owned());
    }
    let over = AtomicBool::new(false);
    // Stores each printer's key repeatedly until the sealing key has been rotated several times.
    let storing = futures_util::future::join_all(ids.iter().zip(farm.printers()).map(|(id, printer)| {
        let (server, over) = (&server, &over);
        async move {
            let mut times = 0;
            loop {
                let last = over.load(Ordering::SeqCst);
                let body = json!({"api_key": printer.api_key()});
                let request = server.request(Method::PATCH, &format!("/api/v1/printers/{id}")).bearer_auth(ADMIN_TOKEN);
                let (status, body, _) = send_request(request.json(&body)).await;
                if status == StatusCode::TOO_MANY_REQUESTS {
                    continue;
                }
                assert_eq!(status, StatusCode::OK, "{body}");
                times += 1;
                if last {
                    return times;
                }
            }
        }
    }));
    let rotating = async {
        for _ in 0..4 {
            let (succeeded, output) = run_secrets_command(dir.path(), "rotate", None).await;
            assert!(succeeded, "{output}");
        }
        over.store(true, Ordering::SeqCst);
    };
    let (times, ()) = tokio::join!(storing, rotating);
    assert!(times.iter().all(|times| *times > 4), "both tasks ran at the same time: {times:?}");
    for id in &ids {
        assert_eq!(job_status(&server, id).await, StatusCode::OK);
    }
    server.kill();
    // After everything is sealed with the newest key, the server works with that key alone.
    let (succeeded, output) = run_secrets_command(dir.path(), "rotate", None).await;
    assert!(succeeded, "{output}");
    age_key_file(dir.path());
    let (succeeded, output) = run_secrets_command(dir.path(), "prune", None).await;
    assert!(succeeded && output.contains("5 former key(s) forgotten"), "{output}");
    let server = ServerProcess::start(dir.path()).await;
    for id in &ids {
        assert_eq!(job_status(&server, id).await, StatusCode::OK, "after a restart with the newest key alone");
    }
}

#[tokio::test]
async fn a_former_key_that_is_needed_is_not_pruned() {
    let dir = create_data_folder(None).await;
    let file = dir.path().join("secret.key");
    let ring = format!("{ONE}\n{}", std::fs::read_to_string(&file).expect("a key"));
    std::fs::write(&file, &ring).expect("written");
    age_key_file(dir.path());
    let (succeeded, output) = run_secrets_command(dir.path(), "prune", None).await;
    assert!(!succeeded && output.contains("still needed for what is stored of 1: one"), "{output}");
    assert_eq!(std::fs::read_to_string(&file).expect("a file"), ring);
}

#[tokio::test]
async fn webhook_secrets_are_resealed_and_work_after_the_former_key_is_pruned() {
    let dir = create_data_folder(None).await;
    let mut server = ServerProcess::start(dir.path()).await;
    let hook = json!({"url": "http://127.0.0.1:9/", "types": ["batch.finished"]});
    let (status, hook) = server.post("/webhooks", &hook).await.expect("an answer");
    assert_eq!(status, StatusCode::CREATED);
    let test = format!("/webhooks/{}/test", hook["id"].as_str().expect("an id"));
    let (succeeded, output) = run_secrets_command(dir.path(), "rotate", None).await;
    assert!(succeeded && output.contains("2 stored secret(s) sealed"), "{output}");
    age_key_file(dir.path());
    let (succeeded, output) = run_secrets_command(dir.path(), "prune", None).await;
    assert!(succeeded && output.contains("1 former key(s) forgotten"), "{output}");
    // The server signs a delivery to an address without a listener: first the running server, then one that has only
    // the new key.
    for _ in 0..2 {
        let (status, report) = server.post(&test, &json!({})).await.expect("an answer");
        assert_eq!((status, &report["delivered"]), (StatusCode::OK, &json!(false)), "{report}");
        server.kill();
        server = ServerProcess::start(dir.path()).await;
    }
}

#[tokio::test]
async fn keys_from_the_environment_are_rotated_by_a_list() {
    let dir = create_data_folder(Some(ONE)).await;
    let list = format!("{TWO},{ONE}");
    let (succeeded, output) = run_secrets_command(dir.path(), "prune", Some(&list)).await;
    assert!(!succeeded && output.contains("still needed"), "{output}");
    let (succeeded, output) = run_secrets_command(dir.path(), "rotate", Some(&list)).await;
    assert!(succeeded && output.contains("1 stored secret(s) sealed"), "{output}");
    assert!(!output.contains(ONE) && !output.contains(TWO), "the output contains a key");
    let (succeeded, output) = run_secrets_command(dir.path(), "prune", Some(&list)).await;
    assert!(succeeded && output.contains("take them out of PRINTYARD_SECRET_KEY"), "{output}");
    assert!(!dir.path().join("secret.key").exists());
    let start =
        async |key: &str| start_error(RawConfig { secret_key: Some(key.to_owned()), ..raw_config(dir.path()) }).await;
    assert_eq!(start(TWO).await, None);
    assert!(start(ONE).await.expect("refused").contains("is not the key of this database"));
}
