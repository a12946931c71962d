//! The record of prints: each print once, with its result, its command and its order.

mod killed;
mod restart;
mod simultaneous;

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{
    server::{TestServer, start_server_with_farm},
    wait,
};

const SOON: Duration = Duration::from_secs(30);

/// Returns the prints that match a query, newest first.
async fn list_prints(server: &TestServer, query: &str) -> Vec<Value> {
    let (_, page, _) = server.get(&format!("/api/v1/prints?limit=500&{query}")).await;
    page["items"].as_array().unwrap_or_else(|| panic!("{page}")).clone()
}

/// Returns every event of these types in the feed.
async fn list_events(server: &TestServer, types: &str) -> Vec<Value> {
    let (mut after, mut found) = (String::new(), Vec::new());
    loop {
        let (_, page, _) = server.get(&format!("/api/v1/events?limit=500&types={types}{after}")).await;
        let items = page["items"].as_array().unwrap_or_else(|| panic!("{page}"));
        if items.is_empty() {
            return found;
        }
        found.extend(items.iter().cloned());
        after = format!("&after={}", page["next_cursor"].as_str().expect("a cursor"));
    }
}

#[tokio::test]
async fn the_prints_of_an_order_and_their_events_are_found_by_its_reference() {
    let (server, farm, ids) = start_server_with_farm(2).await;
    for printer in farm.printers() {
        printer.put_file("short.gcode", printyard::simulator::sample_gcode(20));
    }
    let body = json!({
        "command": "start", "select": {"printer_ids": ids}, "file": {"path": "short.gcode"}, "external_ref": "MO/7",
    });
    let (_, batch, _) = server.post_and_wait("/api/v1/batches", body).await;
    assert_eq!(batch["result"], "ok", "{batch}");
    let done = wait::until("both prints are done", SOON, async || {
        let done = list_prints(&server, "external_ref=MO/7&state=done").await;
        if done.len() == 2 { Ok(done) } else { Err(done) }
    })
    .await;
    let batch_id = batch["id"].as_str().expect("an id");
    assert_eq!(list_prints(&server, &format!("batch_id={batch_id}")).await, done);
    assert!(list_prints(&server, "external_ref=MO/8").await.is_empty());
    for print in &done {
        assert_eq!((&print["batch_id"], &print["external_ref"]), (&batch["id"], &json!("MO/7")), "{print}");
        assert_eq!(print["command_id"], print["started_by"]["command_id"]);
        assert!(print["command_id"].is_string(), "{print}");
    }
    let print_events = list_events(&server, "print.started,print.finished").await;
    assert_eq!(print_events.len(), 4, "{print_events:?}");
    for event in print_events {
        let print = done.iter().find(|print| print["id"] == event["data"]["print_id"]).expect("a print of the batch");
        assert_eq!((&event["external_ref"], &event["data"]["external_ref"]), (&json!("MO/7"), &json!("MO/7")));
        assert_eq!((&event["data"]["batch_id"], &event["data"]["command_id"]), (&batch["id"], &print["command_id"]));
    }
    server.stop().await;
}
