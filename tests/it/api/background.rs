//! Periodic tasks: their status in the API and in the metrics, and their independence.

use printyard::storage::Db;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    storage::databases::execute,
    support::server::{ServerOptions, TestServer},
};

/// Returns the task of this name from `GET /background`.
async fn get_task(server: &TestServer, name: &str) -> Value {
    let (status, body, _) = server.get("/api/v1/background").await;
    assert_eq!(status, StatusCode::OK, "{body}");
    let items = body["items"].as_array().expect("items");
    items.iter().find(|item| item["name"] == name).cloned().unwrap_or_else(|| panic!("{name} in {body}"))
}

async fn run_task(server: &TestServer, name: &str) -> Value {
    server.services.background().run_now(name).await.expect("the task exists");
    get_task(server, name).await
}

/// Starts a server on a SQLite file. Also opens that file directly, without the server.
async fn start_with_database(folder: &TempDir) -> (TestServer, Db) {
    let url = format!("sqlite:{}", folder.path().join("test.db").display());
    let server =
        TestServer::start_with(ServerOptions { database_url: Some(url.clone()), ..ServerOptions::default() }).await;
    (server, Db::connect(&url).await.expect("the same database"))
}

#[tokio::test]
async fn every_task_shows_its_period_its_runs_and_its_failures() {
    let server = TestServer::start().await;
    let item = run_task(&server, "audit_index").await;
    let fields: Vec<&str> = item.as_object().expect("an object").keys().map(String::as_str).collect();
    assert_eq!(
        fields,
        ["behind", "failures", "last_error", "last_run_at", "last_success_at", "name", "period_s"],
        "{item}"
    );
    assert_eq!((&item["period_s"], &item["failures"], &item["behind"]), (&json!(3_600), &json!(0), &json!(0)));
    assert_eq!(item["last_error"], Value::Null);
    assert!(item["last_run_at"].is_string() && item["last_success_at"].is_string(), "{item}");
}

#[tokio::test]
async fn a_failing_task_is_reported_and_stops_no_other() {
    let folder = tempfile::tempdir().expect("a folder");
    let (server, db) = start_with_database(&folder).await;
    execute(&db, "alter table sessions rename to sessions_lost").await;
    let failed = run_task(&server, "session_expiry").await;
    assert_eq!(failed["last_error"], "database_error", "{failed}");
    assert!(failed["failures"].as_u64() > Some(0), "{failed}");
    for name in ["idempotency_key_expiry", "delivery_retention", "audit_index", "print_statistics", "batch_retention"] {
        let item = run_task(&server, name).await;
        assert_eq!((&item["last_error"], &item["failures"]), (&Value::Null, &json!(0)), "{item}");
    }
    let metrics = server.request(Method::GET, "/metrics").send().await.expect("an answer");
    let metrics = metrics.text().await.expect("a text");
    assert!(metrics.contains("printyard_background_failures{task=\"audit_index\"} 0\n"), "{metrics}");
    assert!(metrics.contains("printyard_background_behind{task=\"audit_index\"} 0\n"), "{metrics}");
    assert!(!metrics.contains("printyard_background_failures{task=\"session_expiry\"} 0\n"), "{metrics}");
    execute(&db, "alter table sessions_lost rename to sessions").await;
    let repaired = run_task(&server, "session_expiry").await;
    assert_eq!((&repaired["last_error"], &repaired["failures"]), (&Value::Null, &json!(0)), "{repaired}");
    db.close().await;
    server.stop().await;
}

#[tokio::test]
async fn after_a_clock_jump_nothing_is_removed_until_a_reported_time() {
    const REMOVALS: [&str; 7] = [
        "batch_retention",
        "order_retention",
        "event_retention",
        "delivery_retention",
        "audit_retention",
        "session_expiry",
        "idempotency_key_expiry",
    ];
    let folder = tempfile::tempdir().expect("a folder");
    let (mut server, db) = start_with_database(&folder).await;
    for n in 0..4 {
        let printer = json!({"name": format!("P{n}"), "url": format!("http://127.0.0.1:9/{n}"), "enabled": false});
        assert_eq!(server.post("/api/v1/printers", printer).await.0, StatusCode::CREATED);
    }
    for name in REMOVALS {
        assert_eq!(run_task(&server, name).await["last_error"], Value::Null, "the clock is right");
    }
    // At its next start the server sees a clock that is years ahead of all stored times.
    server.shut_down().await;
    execute(&db, "update events set at = '2020-01-01T00:00:00+00:00'").await;
    execute(&db, "update retention_clock set checked_at = '2020-01-01T00:00:00+00:00'").await;
    for start in ["first", "second"] {
        server = server.start_again().await;
        for name in REMOVALS {
            let item = run_task(&server, name).await;
            let error = item["last_error"].as_str().unwrap_or_default();
            assert!(error.starts_with("clock_jumped: ") && error.contains("before 20"), "{start} start: {item}");
        }
        assert_eq!(run_task(&server, "audit_index").await["last_error"], Value::Null);
        assert_eq!(server.get("/api/v1/events").await.1["items"].as_array().map(Vec::len), Some(4));
        server.shut_down().await;
    }
    execute(&db, "update retention_clock set steady_s = 86400").await;
    server = server.start_again().await;
    assert_eq!(run_task(&server, "event_retention").await["last_error"], Value::Null);
    let (_, left, _) = server.get("/api/v1/events").await;
    assert_eq!(left["items"].as_array().map(Vec::len), Some(1), "{left}");
    db.close().await;
}
