//! The audit over HTTP and on its page, with changes that no Printyard user made.

use std::time::Duration;

use printyard::simulator::MachineAction;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{
    server::{ADMIN_TOKEN, TestServer, start_server_with_farm},
    wait,
};

/// Time within which a recorded row must be visible.
const DEADLINE: Duration = Duration::from_secs(20);

/// Returns the rows, oldest first.
async fn list_audit_rows(server: &TestServer, query: &str) -> Vec<Value> {
    let (_, page, _) = server.get(&format!("/api/v1/audit?limit=500&{query}")).await;
    page["items"].as_array().expect("items").iter().rev().cloned().collect()
}

fn list_actions(rows: &[Value]) -> Vec<&str> {
    rows.iter().filter_map(|row| row["action"].as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_has_actions_at_the_printer_and_commands_only_once() {
    let (server, farm, ids) = start_server_with_farm(2).await;
    let printer = &farm.printers()[0];
    for (act, state) in [
        (MachineAction::StartSelected, "printing"),
        (MachineAction::Pause, "paused"),
        (MachineAction::Cancel, "operational"),
    ] {
        printer.perform(act);
        server.until_state(&ids[0], state).await;
    }
    let by_printer = wait::until("the end is in the audit", DEADLINE, async || {
        let rows = list_audit_rows(&server, "actor=printer").await;
        if rows.len() >= 3 { Ok(rows) } else { Err(rows) }
    })
    .await;
    assert_eq!(list_actions(&by_printer), ["print.started", "print.paused", "print.ended"]);
    for row in &by_printer {
        assert_eq!((&row["actor"]["kind"], &row["printer_ids"]), (&json!("printer"), &json!([ids[0]])), "{row}");
    }
    assert_eq!(by_printer[0]["changes"]["prints"][0]["file"], "bracket.gcode");
    assert_eq!(by_printer[2]["changes"]["prints"][0]["result"], "cancelled");

    for command in ["start", "cancel"] {
        let body = json!({"command": command, "select": {"printer_ids": [ids[1]]}});
        let (_, batch, _) = server.post_and_wait("/api/v1/batches", body).await;
        assert_eq!(batch["result"], "ok", "{batch}");
    }
    let path = format!("/api/v1/prints?printer_id={}&state=cancelled", ids[1]);
    wait::until("the print is recorded", DEADLINE, async || {
        let (_, prints, _) = server.get(&path).await;
        if prints["items"].as_array().is_some_and(|items| items.len() == 1) { Ok(()) } else { Err(prints) }
    })
    .await;
    let of_second = list_audit_rows(&server, &format!("printer_id={}", ids[1])).await;
    assert_eq!(list_actions(&of_second), ["printer.registered", "batch.created", "batch.created"]);
    let ends = list_audit_rows(&server, "actor=scheduler").await;
    assert_eq!(list_actions(&ends), ["batch.finished", "batch.finished"]);
    assert_eq!(ends[0]["changes"], json!({"state": "finished", "result": "ok", "counts": {"confirmed": 1}}));
    assert_eq!(ends[0]["subject"], of_second[1]["subject"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_of_a_batch_stopped_by_a_failure_names_the_scheduler_and_the_printers() {
    let (server, _farm, ids) = start_server_with_farm(2).await;
    // No printer prints. So the first command is rejected, and the second one is skipped.
    let body = json!({"command": "pause", "select": {"printer_ids": ids}, "max_in_flight": 1, "on_failure": "stop"});
    let (_, batch, _) = server.post_and_wait("/api/v1/batches", body).await;
    assert_eq!(batch["counts"]["skipped"], 1, "{batch}");
    let rows = list_audit_rows(&server, "actor=scheduler").await;
    assert_eq!(list_actions(&rows), ["batch.stopped", "batch.finished"]);
    assert_eq!(rows[0]["changes"], json!({"on_failure": "stop"}));
    let changes = json!({"state": "stopped", "result": "failed", "counts": {"rejected": 1, "skipped": 1}});
    assert_eq!((&rows[1]["changes"], &rows[1]["printer_ids"]), (&changes, &json!(ids)));
}

/// Loads a page with the admin's session cookie.
async fn get_page(server: &TestServer, cookie: &str, path: &str) -> (StatusCode, String) {
    let request =
        server.request_without_auth(Method::GET, path).header("Cookie", format!("printyard_session={cookie}"));
    let response = request.send().await.expect("an answer");
    (response.status(), response.text().await.expect("text"))
}

/// Returns the row numbers that a page shows, in their order on the page.
fn shown_row_numbers(page: &str) -> Vec<i64> {
    page.split("<li id=\"row-").skip(1).filter_map(|part| part.split('"').next()?.parse().ok()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_page_shows_and_filters_entries() {
    let server = TestServer::start().await;
    let cookie = server.open_session(ADMIN_TOKEN).await;
    let printer = json!({"name": "MK4 <1>", "url": "http://127.0.0.1:9", "tags": ["hall-a"]});
    let (_, printer, _) = server.post("/api/v1/printers", printer).await;
    let id = printer["id"].as_str().expect("an id");
    server.patch(&format!("/api/v1/printers/{id}"), json!({"notes": "belt <worn>"})).await;
    server.post("/api/v1/users", json!({"name": "ann", "role": "viewer"})).await;
    let (status, all) = get_page(&server, &cookie, "/audit").await;
    assert_eq!((status, shown_row_numbers(&all)), (StatusCode::OK, vec![4, 3, 2, 1]));
    for words in [
        "added the user ann as viewer",
        "changed MK4 &#60;1&#62;",
        "empty → belt &#60;worn&#62;",
        "logged in",
        "127.0.0.1",
    ] {
        assert!(all.contains(words), "{words}: {all}");
    }
    for (query, rows) in [
        ("what=printer.changed", vec![3]),
        ("printer=mk4%20%3C1%3E", vec![3, 2]),
        (format!("printer={id}&what=printer.registered").as_str(), vec![2]),
        ("who=admin&what=user.created", vec![4]),
        ("who=nobody", vec![]),
        ("from=2020-01-01&to=2020-12-31", vec![]),
        ("from=2020-01-01", vec![4, 3, 2, 1]),
        ("before=3", vec![2, 1]),
    ] {
        assert_eq!(shown_row_numbers(&get_page(&server, &cookie, &format!("/audit?{query}")).await.1), rows, "{query}");
    }
    for (query, words) in [
        ("who=nobody", "No matching entries."),
        ("from=yesterday", "“yesterday” is not a date"),
        ("printer=MK9", "No printer is named “MK9”"),
    ] {
        assert!(get_page(&server, &cookie, &format!("/audit?{query}")).await.1.contains(words), "{query}");
    }
    // A page has a limited number of rows. The file has all rows.
    for n in 0..50 {
        server.post("/api/v1/users", json!({"name": format!("user-{n}"), "role": "viewer"})).await;
    }
    let (_, first) = get_page(&server, &cookie, "/audit?who=admin").await;
    assert_eq!(shown_row_numbers(&first), (5..=54).rev().collect::<Vec<i64>>());
    assert!(first.contains("/audit?who=admin&#38;before=5\""), "{first}");
    let (_, file) = get_page(&server, &cookie, "/audit.csv?who=admin").await;
    assert_eq!(file.lines().count(), 55, "a header line and every row");
    assert_eq!(get_page(&server, &cookie, "/audit.csv?printer=MK9").await.0, StatusCode::UNPROCESSABLE_ENTITY);
}
