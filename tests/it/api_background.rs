//! The periodic tasks: their status in the API and in the metrics, and their independence.

use printyard::storage::Db;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{
    storage::databases::execute,
    support::server::{Options, TestServer},
};

/// The task of this name in `GET /background`.
async fn task(server: &TestServer, name: &str) -> Value {
    let (status, body, _) = server.get("/api/v1/background").await;
    assert_eq!(status, StatusCode::OK, "{body}");
    let items = body["items"].as_array().expect("items");
    items.iter().find(|item| item["name"] == name).cloned().unwrap_or_else(|| panic!("{name} in {body}"))
}

async fn run(server: &TestServer, name: &str) -> Value {
    server.services.background().run_now(name).await.expect("the task is there");
    task(server, name).await
}

#[tokio::test]
async fn every_task_shows_its_period_its_runs_and_its_failures() {
    let server = TestServer::start().await;
    let item = run(&server, "audit_index").await;
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
async fn a_failing_step_of_the_clean_up_stops_no_other_and_is_shown() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("sqlite:{}", folder.path().join("test.db").display());
    let options = Options { database_url: Some(url.clone()), ..Options::default() };
    let server = TestServer::with(options).await;
    let db = Db::connect(&url).await.expect("the same database");
    execute(&db, "alter table sessions rename to sessions_lost").await;
    let failed = run(&server, "session_expiry").await;
    assert_eq!(failed["last_error"], "database_error", "{failed}");
    assert!(failed["failures"].as_u64() > Some(0), "{failed}");
    for name in ["idempotency_key_expiry", "delivery_retention", "audit_index", "print_statistics", "batch_retention"] {
        let item = run(&server, name).await;
        assert_eq!((&item["last_error"], &item["failures"]), (&Value::Null, &json!(0)), "{item}");
    }
    let metrics = server.request(Method::GET, "/metrics").send().await.expect("an answer");
    let metrics = metrics.text().await.expect("a text");
    assert!(metrics.contains("printyard_background_failures{task=\"audit_index\"} 0\n"), "{metrics}");
    assert!(metrics.contains("printyard_background_behind{task=\"audit_index\"} 0\n"), "{metrics}");
    assert!(!metrics.contains("printyard_background_failures{task=\"session_expiry\"} 0\n"), "{metrics}");
    execute(&db, "alter table sessions_lost rename to sessions").await;
    let mended = run(&server, "session_expiry").await;
    assert_eq!((&mended["last_error"], &mended["failures"]), (&Value::Null, &json!(0)), "{mended}");
    db.close().await;
    server.stop().await;
}
