//! The audit over HTTP and on its page, with changes that no Printyard user made.

use std::time::Duration;

use printyard::simulator::Act;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{
    server::{ADMIN, TestServer, yard},
    wait,
};

/// Time within which a recorded row must be visible.
const SOON: Duration = Duration::from_secs(20);

/// Returns the rows, oldest first.
async fn rows(server: &TestServer, query: &str) -> Vec<Value> {
    let (_, page, _) = server.get(&format!("/api/v1/audit?limit=500&{query}")).await;
    page["items"].as_array().expect("items").iter().rev().cloned().collect()
}

fn actions(rows: &[Value]) -> Vec<&str> {
    rows.iter().filter_map(|row| row["action"].as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_at_the_printer_is_in_the_audit_and_what_commands_did_stands_there_once() {
    let (server, farm, ids) = yard(2).await;
    let printer = &farm.printers()[0];
    for (act, state) in [(Act::StartSelected, "printing"), (Act::Pause, "paused"), (Act::Cancel, "operational")] {
        printer.at_printer(act);
        server.until_state(&ids[0], state).await;
    }
    let by_printer = wait::until("the end is in the audit", SOON, async || {
        let rows = rows(&server, "actor=printer").await;
        if rows.len() >= 3 { Ok(rows) } else { Err(rows) }
    })
    .await;
    assert_eq!(actions(&by_printer), ["print.started", "print.paused", "print.ended"]);
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
    wait::until("the print is recorded", SOON, async || {
        let (_, prints, _) = server.get(&path).await;
        if prints["items"].as_array().is_some_and(|items| items.len() == 1) { Ok(()) } else { Err(prints) }
    })
    .await;
    let of_second = rows(&server, &format!("printer_id={}", ids[1])).await;
    assert_eq!(actions(&of_second), ["printer.registered", "batch.created", "batch.created"]);
    let ends = rows(&server, "actor=scheduler").await;
    assert_eq!(actions(&ends), ["batch.finished", "batch.finished"]);
    assert_eq!(ends[0]["changes"], json!({"state": "finished", "result": "ok", "counts": {"confirmed": 1}}));
    assert_eq!(ends[0]["subject"], of_second[1]["subject"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_stops_on_a_failure_says_that_the_scheduler_stopped_it_and_on_which_printers_it_is_not_done() {
    let (server, _farm, ids) = yard(2).await;
    // No printer prints. So the first command is rejected, and the second one is skipped.
    let body = json!({"command": "pause", "select": {"printer_ids": ids}, "max_in_flight": 1, "on_failure": "stop"});
    let (_, batch, _) = server.post_and_wait("/api/v1/batches", body).await;
    assert_eq!(batch["counts"]["skipped"], 1, "{batch}");
    let rows = rows(&server, "actor=scheduler").await;
    assert_eq!(actions(&rows), ["batch.stopped", "batch.finished"]);
    assert_eq!(rows[0]["changes"], json!({"on_failure": "stop"}));
    let told = json!({"state": "stopped", "result": "failed", "counts": {"rejected": 1, "skipped": 1}});
    assert_eq!((&rows[1]["changes"], &rows[1]["printer_ids"]), (&told, &json!(ids)));
}

/// Loads a page with the admin's session cookie.
async fn page(server: &TestServer, cookie: &str, path: &str) -> (StatusCode, String) {
    let request = server.bare(Method::GET, path).header("Cookie", format!("printyard_session={cookie}"));
    let response = request.send().await.expect("an answer");
    (response.status(), response.text().await.expect("text"))
}

/// Returns the row numbers that a page shows, in their order on the page.
fn shown(page: &str) -> Vec<i64> {
    page.split("<li id=\"row-").skip(1).filter_map(|part| part.split('"').next()?.parse().ok()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_tells_who_did_what_and_finds_it() {
    let server = TestServer::start().await;
    let cookie = server.session_of(ADMIN).await;
    let printer = json!({"name": "MK4 <1>", "url": "http://127.0.0.1:9", "tags": ["hall-a"]});
    let (_, printer, _) = server.post("/api/v1/printers", printer).await;
    let id = printer["id"].as_str().expect("an id");
    server.patch(&format!("/api/v1/printers/{id}"), json!({"notes": "belt <worn>"})).await;
    server.post("/api/v1/users", json!({"name": "ann", "role": "viewer"})).await;
    let (status, all) = page(&server, &cookie, "/audit").await;
    assert_eq!((status, shown(&all)), (StatusCode::OK, vec![4, 3, 2, 1]));
    for words in
        ["added ann, as viewer", "changed MK4 &#60;1&#62;", "nothing → belt &#60;worn&#62;", "logged in", "127.0.0.1"]
    {
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
        assert_eq!(shown(&page(&server, &cookie, &format!("/audit?{query}")).await.1), rows, "{query}");
    }
    for (query, words) in [
        ("who=nobody", "Nothing that fits was done."),
        ("from=yesterday", "yesterday is no day"),
        ("printer=MK9", "No printer is called MK9"),
    ] {
        assert!(page(&server, &cookie, &format!("/audit?{query}")).await.1.contains(words), "{query}");
    }
    // A page has a limited number of rows. The file has all rows.
    for n in 0..50 {
        server.post("/api/v1/users", json!({"name": format!("user-{n}"), "role": "viewer"})).await;
    }
    let (_, first) = page(&server, &cookie, "/audit?who=admin").await;
    assert_eq!(shown(&first), (5..=54).rev().collect::<Vec<i64>>());
    assert!(first.contains("/audit?who=admin&#38;before=5\""), "{first}");
    let (_, file) = page(&server, &cookie, "/audit.csv?who=admin").await;
    assert_eq!(file.lines().count(), 55, "a header line and every row");
    assert_eq!(page(&server, &cookie, "/audit.csv?printer=MK9").await.0, StatusCode::UNPROCESSABLE_ENTITY);
}
