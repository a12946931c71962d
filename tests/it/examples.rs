//! Runs the examples of the guide for ERP systems as a reader would run them.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use serde_json::{Value, json};
use tokio::process::Command;

use crate::support::{
    env_or_skip, needs, port,
    server::{ADMIN_TOKEN, TestServer, start_farm, start_server_with_farm},
};

/// Deadline for an example that waits for the farm.
const EXAMPLE_DEADLINE: Duration = Duration::from_secs(120);

/// Returns the programs that the examples need besides Printyard.
fn find_tools() -> Option<String> {
    env_or_skip("PRINTYARD_TEST_EXAMPLES", "Python 3 and curl")
}

fn example_path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/erp").join(name)
}

/// Runs an example to its end. Returns whether it succeeded, and its output.
async fn run_example(server: &TestServer, name: &str, arguments: &[&str]) -> (bool, String) {
    let output = Command::new(example_path(name))
        .args(arguments)
        .env("PRINTYARD_URL", &server.url)
        .env("PRINTYARD_TOKEN", ADMIN_TOKEN)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(EXAMPLE_DEADLINE, output).await.expect("an end").expect("it starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.success(), text)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs bash, curl and Python, which tests/run provides"]
async fn the_first_steps_send_a_command_and_can_be_repeated() {
    needs!(find_tools());
    let (server, farm) = (TestServer::start().await, start_farm(1).await);
    let printer = &farm.printers()[0];
    for round in 0..2 {
        let (good, text) = run_example(&server, "first_steps.sh", &[printer.url(), printer.api_key()]).await;
        assert!(good && text.contains("batch.created"), "round {round}: {text}");
    }
    assert_eq!(server.get("/api/v1/printers").await.1["items"].as_array().map(Vec::len), Some(1));
    assert_eq!(server.get("/api/v1/batches").await.1["items"].as_array().map(Vec::len), Some(1));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs bash, curl and Python, which tests/run provides"]
async fn a_command_for_an_order_is_sent_once_and_names_the_next_step_per_printer() {
    needs!(find_tools());
    let (server, _farm, ids) = start_server_with_farm(2).await;
    let (good, text) = run_example(&server, "command_farm.py", &["start", "MO/00412"]).await;
    assert!(good && text.contains(": ok") && text.matches("confirmed -> nothing to do").count() == 2, "{text}");
    let (good, again) = run_example(&server, "command_farm.py", &["start", "MO/00412"]).await;
    assert!(good && again == text, "the second run reports the same batch: {again}");
    let (good, text) = run_example(&server, "command_farm.py", &["start", "MO/00413"]).await;
    assert!(!good && text.contains("already_printing") && text.contains("not done"), "{text}");
    let (good, text) = run_example(&server, "command_farm.py", &["pause", "MO/00413", "no-such-tag"]).await;
    assert!(good && text.contains("nothing was done"), "{text}");
    assert_eq!(ids.len(), 2);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs bash, curl and Python, which tests/run provides"]
async fn the_feed_reader_continues_where_it_stopped() {
    needs!(find_tools());
    let (server, _farm, ids) = start_server_with_farm(1).await;
    let folder = tempfile::tempdir().expect("a folder");
    let cursor = folder.path().join("cursor");
    let cursor = cursor.to_str().expect("a path");
    let batch_body =
        |n: usize| json!({"command": "cancel", "select": {"printer_ids": ids}, "external_ref": format!("MO/{n}")});
    for n in 1..=3 {
        server.post_and_wait("/api/v1/batches", batch_body(n)).await;
        let (good, text) = run_example(&server, "follow_events.py", &[cursor, "batch.finished", "1"]).await;
        let lines: Vec<&str> = text.lines().collect();
        assert!(good && lines.len() == 1 && lines[0].contains(&format!("batch.finished MO/{n}")), "{text}");
    }
    // A cursor of another feed, as after a restored backup.
    std::fs::write(cursor, "AAAAAAAAAAGaPi87WgyeEQ").expect("written");
    let (good, text) = run_example(&server, "follow_events.py", &[cursor, "batch.finished", "3"]).await;
    assert!(good && text.starts_with("the feed has moved on") && text.contains("MO/3"), "{text}");
    let _: Value = server.get("/api/v1/events").await.1;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs bash, curl and Python, which tests/run provides"]
async fn the_receiver_accepts_only_events_signed_with_its_secret() {
    needs!(find_tools());
    let (server, _farm, ids) = start_server_with_farm(1).await;
    let port = port::pick_free_port();
    let url = format!("http://127.0.0.1:{port}/");
    let webhook_body = json!({"url": url, "types": ["batch.finished"]});
    let (_, hook, _) = server.post("/api/v1/webhooks", webhook_body).await;
    let mut receiver = Command::new(example_path("webhook_receiver.py"))
        .args([port.to_string(), "1".to_owned()])
        .env("PRINTYARD_WEBHOOK_SECRET", hook["secret"].as_str().expect("a secret"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("it starts");
    let mut lines =
        tokio::io::AsyncBufReadExt::lines(tokio::io::BufReader::new(receiver.stdout.take().expect("piped")));
    let mut line = async || {
        let line = tokio::time::timeout(EXAMPLE_DEADLINE, lines.next_line()).await.expect("in time").expect("read");
        line.expect("a line")
    };
    assert_eq!(line().await, format!("listening on {}", url.trim_end_matches('/')));
    let http = crate::support::http_client();
    let forged = http.post(&url).header("webhook-id", "x").header("webhook-timestamp", "1").body("{}").send().await;
    assert_eq!(forged.expect("an answer").status(), 401);
    assert!(line().await.starts_with("rejected"));
    let batch_body = json!({"command": "cancel", "select": {"printer_ids": ids}, "external_ref": "MO/9"});
    server.post_and_wait("/api/v1/batches", batch_body).await;
    let event_line = line().await;
    assert!(event_line.starts_with("batch.finished MO/9") && event_line.contains("unchanged"), "{event_line}");
    let ended = tokio::time::timeout(EXAMPLE_DEADLINE, receiver.wait()).await.expect("in time").expect("an end");
    assert!(ended.success());
    server.stop().await;
}
