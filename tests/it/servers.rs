//! Only one server of a farm sends commands. A second server ends with exit code 3, a standby takes over, and a server
//! that was overtaken sends nothing.

mod takeover;

use std::{
    fs::File,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use printyard::{
    simulator::{Farm, FarmConfig},
    storage::lock::FarmLock,
};
use reqwest::StatusCode;

use crate::support::{
    command_log_check::register_farm,
    fresh_database::create_fresh_database,
    process::{PRINTYARD, ServerProcess, sqlite_url},
    wait::until,
};

/// Deadline for a start of the server on a busy machine.
const STARTED_WITHIN: Duration = Duration::from_secs(60);
/// Deadline for a take-over on a busy machine. On an idle one it takes 15 s after the holder's death.
const TAKEN_OVER_WITHIN: Duration = Duration::from_secs(60);

async fn on_each_database(test: impl AsyncFn(&Path, &str)) {
    let dir = tempfile::tempdir().expect("a folder");
    test(dir.path(), &sqlite_url(dir.path())).await;
    if let Some(database) = create_fresh_database().await {
        let dir = tempfile::tempdir().expect("a folder");
        test(dir.path(), &database.url).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_server_ends_with_exit_code_3_and_names_the_first() {
    on_each_database(async |dir, url| {
        let first = ServerProcess::start_on(dir, url, &[]).await;
        let second = ServerProcess::run_to_end(dir, url, &[]).await;
        assert_eq!(second.status.code(), Some(3));
        let message = String::from_utf8_lossy(&second.stderr);
        assert!(message.contains(&format!("process {}", first.pid())), "{message}");
        assert_eq!(first.get_status("/readyz").await, Some(StatusCode::OK), "the first server continues");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_reports_itself_and_takes_over_when_the_holder_dies() {
    let farm = Farm::start(FarmConfig { printers: 3, ..FarmConfig::default() }).await.expect("a farm");
    on_each_database(async |dir, url| {
        let mut first = ServerProcess::start_on(dir, url, &[]).await;
        register_farm(&first, &farm).await;
        let standby = ServerProcess::spawn(dir, url, &["--standby"], &[], Stdio::inherit());
        until("the standby answers", STARTED_WITHIN, async || {
            standby.get_status("/healthz").await == Some(StatusCode::OK)
        })
        .await;
        let ready = standby.request(reqwest::Method::GET, "/readyz").send().await.expect("an answer");
        assert_eq!(ready.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(ready.headers().contains_key("retry-after"));
        let body: serde_json::Value = ready.json().await.expect("a problem");
        assert_eq!(body["code"], "standby");
        assert!(body["detail"].as_str().is_some_and(|text| text.contains(&first.pid().to_string())), "{body}");
        let slicer = standby.request(reqwest::Method::GET, "/octoprint/api/version").send().await.expect("an answer");
        let content_type = slicer.headers().get("content-type").and_then(|value| value.to_str().ok());
        assert_eq!((slicer.status(), content_type), (StatusCode::SERVICE_UNAVAILABLE, Some("text/plain")));
        assert!(slicer.text().await.expect("a text").starts_with("Another server runs this farm"));
        let page = standby.request(reqwest::Method::GET, "/").header("accept", "text/html").send().await;
        let page = page.expect("an answer");
        assert_eq!(page.status(), StatusCode::SERVICE_UNAVAILABLE);
        let policy = page.headers().get("content-security-policy").and_then(|policy| policy.to_str().ok());
        assert!(policy.is_some_and(|policy| policy.contains("default-src 'self'")), "its style may load: {policy:?}");
        assert!(page.text().await.expect("a page").contains("Standby"));
        assert!(standby.healthcheck_succeeds().await, "a standby is healthy");
        first.kill();
        until("the standby has taken over", TAKEN_OVER_WITHIN, async || {
            standby.get_status("/readyz").await == Some(StatusCode::OK)
        })
        .await;
        let printers = standby.get("/printers").await;
        assert_eq!(printers["items"].as_array().map(Vec::len), Some(3));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_database_is_created_beside_the_key_of_another_one() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("printyard.db");
    let url = sqlite_url(dir.path());
    let mut server = ServerProcess::start_on(dir.path(), &url, &[]).await;
    server.kill();
    for name in ["printyard.db", "printyard.db-wal", "printyard.db-shm"] {
        let _ = std::fs::remove_file(dir.path().join(name));
    }
    let refused = ServerProcess::run_to_end(dir.path(), &url, &[]).await;
    assert_eq!(refused.status.code(), Some(1));
    let message = String::from_utf8_lossy(&refused.stderr);
    assert!(message.contains("--create") && message.contains("secret.key"), "{message}");
    assert!(!file.exists(), "nothing was created");
    let created = ServerProcess::start_on(dir.path(), &url, &["--create"]).await;
    assert_eq!(created.get_status("/readyz").await, Some(StatusCode::OK));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(&file).expect("the file").permissions().mode() & 0o777;
        assert_eq!(mode, 0o600);
    }
}

#[tokio::test]
async fn a_released_lock_can_be_acquired_at_once() {
    on_each_database(async |_, url| {
        for _ in 0..20 {
            let lock = FarmLock::try_acquire(url).await.expect("no error");
            lock.expect("the lock is free").release().await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_right_after_a_kill_is_not_refused() {
    on_each_database(async |dir, url| {
        let killed = ServerProcess::start_on(dir, url, &[]).await;
        killed.send_signal("KILL");
        // The process ends shortly after the signal, and its lock with it.
        drop(ServerProcess::start_on(dir, url, &[]).await);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_with_too_few_open_files_warns() {
    for (limit, warns) in [("1024", true), ("4096", false)] {
        let dir = tempfile::tempdir().expect("a folder");
        let log = dir.path().join("log");
        let mut limited = Command::new("sh");
        limited.args(["-c", "ulimit -n \"$0\" && exec \"$@\"", limit, PRINTYARD]);
        let file = Stdio::from(File::create(&log).expect("a log"));
        let variables = [("RUST_LOG", "printyard=warn")];
        let server = ServerProcess::spawn_through(limited, dir.path(), &sqlite_url(dir.path()), &[], &variables, file);
        until("the server is ready", STARTED_WITHIN, async || {
            server.get_status("/readyz").await == Some(StatusCode::OK)
        })
        .await;
        let log = std::fs::read_to_string(&log).expect("a log");
        assert_eq!(log.contains("too few open files"), warns, "{limit}: {log}");
    }
}
