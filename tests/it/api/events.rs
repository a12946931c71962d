//! The event feed over HTTP: cursors in lists, pages, long polling, streams, and a cursor of another feed.

use std::time::Duration;

use futures_util::StreamExt;
use printyard::simulator::MachineAction;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{
    server::{DEADLINE, TestServer, send_request, start_server_with_farm},
    wait,
};

async fn get_cursor(server: &TestServer, list: &str) -> String {
    let (status, _, headers) = server.get(list).await;
    assert_eq!(status, StatusCode::OK, "{list}");
    headers["x-events-cursor"].to_str().expect("a text").to_owned()
}

/// Follows the feed from a cursor until an event of this type arrives. Returns all events up to it.
async fn read_until_event(server: &TestServer, cursor: &str, last: &str) -> Vec<Value> {
    let (mut cursor, mut events) = (cursor.to_owned(), Vec::new());
    wait::until(&format!("{last} is in the feed"), DEADLINE, async || {
        let (status, page, _) = server.get(&format!("/api/v1/events?after={cursor}&wait=5")).await;
        assert_eq!(status, StatusCode::OK, "{page}");
        cursor = page["next_cursor"].as_str().expect("a cursor").to_owned();
        events.extend(page["items"].as_array().expect("items").iter().cloned());
        if events.iter().any(|event| event["type"] == last) { Ok(()) } else { Err(events.len()) }
    })
    .await;
    events
}

fn filter_by_type<'a>(events: &'a [Value], kind: &str) -> Vec<&'a Value> {
    events.iter().filter(|event| event["type"] == kind).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cursor_of_a_list_leads_to_every_later_event() {
    let (server, farm, ids) = start_server_with_farm(2).await;
    for list in ["/api/v1/printers", "/api/v1/batches", "/api/v1/prints"] {
        get_cursor(&server, list).await;
    }
    let cursor = get_cursor(&server, "/api/v1/printers").await;
    let body = json!({"command": "start", "select": {"printer_ids": ids}, "external_ref": "MO/1", "reason": "first"});
    let (_, batch, _) = server.post_and_wait("/api/v1/batches", body).await;
    assert_eq!(batch["result"], "ok", "{batch}");
    let events = read_until_event(&server, &cursor, "batch.finished").await;
    let created = filter_by_type(&events, "batch.created");
    assert_eq!(created.len(), 1, "{events:?}");
    assert_eq!((&created[0]["data"]["batch_id"], &created[0]["external_ref"]), (&batch["id"], &json!("MO/1")));
    assert_eq!((&created[0]["data"]["command"], &created[0]["data"]["total"]), (&json!("start"), &json!(2)));
    assert_eq!(created[0]["actor"]["kind"], "admin_token");
    let finished = filter_by_type(&events, "command.finished");
    assert_eq!(finished.len(), 2);
    for event in finished {
        assert_eq!((&event["data"]["outcome"], &event["external_ref"]), (&json!("confirmed"), &json!("MO/1")));
        assert!(event["data"]["printer_name"].is_string(), "{event}");
    }
    let end = filter_by_type(&events, "batch.finished");
    let (_, batch, _) = server.get(&format!("/api/v1/batches/{}", batch["id"].as_str().expect("an id"))).await;
    assert_eq!((&end[0]["data"]["result"], &end[0]["data"]["counts"]), (&json!("ok"), &batch["counts"]));
    assert_eq!(batch["counts"]["total"], 2);
    let seqs: Vec<&str> = events.iter().filter_map(|event| event["cursor"].as_str()).collect();
    let (_, again, _) = server.get(&format!("/api/v1/events?after={cursor}&limit=500")).await;
    let again: Vec<&str> =
        again["items"].as_array().expect("items").iter().filter_map(|event| event["cursor"].as_str()).collect();
    assert_eq!(again[..seqs.len()], seqs[..], "the same events in the same order");

    // A user pauses and cancels the print at the printer itself.
    let cursor = get_cursor(&server, "/api/v1/prints").await;
    farm.printers()[0].perform(MachineAction::Pause);
    let events = read_until_event(&server, &cursor, "print.paused").await;
    let paused = filter_by_type(&events, "print.paused")[0];
    assert_eq!((&paused["data"]["printer_id"], &paused["external_ref"]), (&json!(ids[0]), &json!("MO/1")));
    assert_eq!(paused["data"]["by"]["kind"], "printer", "{paused}");
    farm.printers()[0].perform(MachineAction::Cancel);
    let events = read_until_event(&server, &cursor, "plate.clear_needed").await;
    assert_eq!(filter_by_type(&events, "print.cancelled").len(), 1, "{events:?}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_feed_reports_a_printer_from_registration_to_removal() {
    let (server, farm, ids) = start_server_with_farm(1).await;
    let (_, start, _) = server.get("/api/v1/events?limit=1").await;
    assert_eq!(start["items"][0]["type"], "printer.registered", "starts at the oldest stored event");
    assert!(start["items"][0]["data"].get("api_key").is_none());
    let path = format!("/api/v1/printers/{}", ids[0]);
    let cursor = start["next_cursor"].as_str().expect("a cursor");
    read_until_event(&server, cursor, "printer.online").await;
    read_until_event(&server, cursor, "printer.state_changed").await;
    server.patch(&path, json!({"notes": "belt"})).await;
    farm.printers()[0].set_fault(Some(printyard::simulator::Fault::Refuse));
    let events = read_until_event(&server, cursor, "printer.offline").await;
    let updated = filter_by_type(&events, "printer.updated");
    assert_eq!(updated[0]["data"]["changes"]["notes"], json!(["", "belt"]));
    server.delete(&path).await;
    let events = read_until_event(&server, cursor, "printer.removed").await;
    let removed = filter_by_type(&events, "printer.removed")[0];
    assert_eq!(removed["data"]["printer_id"], json!(ids[0]));
    assert!(removed["data"]["printer_name"].is_string(), "{removed}");
    let (_, only, _) = server.get("/api/v1/events?types=printer.removed,batch.finished").await;
    assert_eq!(only["items"].as_array().map(Vec::len), Some(1));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_poll_ends_with_the_first_event_and_an_empty_page_has_a_cursor() {
    let (server, _farm, ids) = start_server_with_farm(1).await;
    let (_, now, _) = server.get("/api/v1/events?after=now&types=batch.created").await;
    assert_eq!(now["items"], json!([]));
    let cursor = now["next_cursor"].as_str().expect("a cursor").to_owned();
    let path = format!("/api/v1/events?after={cursor}&types=batch.created&wait=30");
    let waiting = server.get(&path);
    let command = server.post("/api/v1/batches", json!({"command": "cancel", "select": {"printer_ids": ids}}));
    let ((status, page, _), (created, batch, _)) = tokio::join!(waiting, command);
    assert_eq!((status, created), (StatusCode::OK, StatusCode::ACCEPTED), "{page}");
    assert_eq!(page["items"][0]["data"]["batch_id"], batch["id"]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_of_another_feed_is_gone_and_an_invalid_one_is_refused() {
    let (server, _farm, ids) = start_server_with_farm(1).await;
    for bad in ["x", "AAAA", "%00"] {
        let (status, problem, _) = server.get(&format!("/api/v1/events?after={bad}")).await;
        assert_eq!((status, &problem["parameter"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("after")), "{problem}");
    }
    let (status, problem, _) = server.get("/api/v1/events?types=printer.exploded").await;
    assert_eq!((status, &problem["parameter"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("types")));
    let (status, problem, _) = server.get("/api/v1/events?wait=-1").await;
    assert_eq!((status, &problem["parameter"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("wait")));

    // A cursor of another server with the same event numbers, as after a restored backup.
    let (other, _other_farm, _) = start_server_with_farm(1).await;
    let (_, page, _) = other.get("/api/v1/events?limit=1").await;
    let foreign_cursor = page["next_cursor"].as_str().expect("a cursor");
    let (status, problem, _) = server.get(&format!("/api/v1/events?after={foreign_cursor}")).await;
    assert_eq!((status, &problem["code"]), (StatusCode::GONE, &json!("cursor_expired")), "{problem}");
    let restart = problem["restart_cursor"].as_str().expect("a cursor");
    let (status, page, _) = server.get(&format!("/api/v1/events?after={restart}&limit=1")).await;
    assert_eq!((status, &page["items"][0]["data"]["printer_id"]), (StatusCode::OK, &json!(ids[0])));
    let (status, _, _) = server.get(&format!("/api/v1/events/stream?after={foreign_cursor}")).await;
    assert_eq!(status, StatusCode::GONE);
    server.stop().await;
    other.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_feed_can_be_read_from_a_time() {
    let (server, _farm, ids) = start_server_with_farm(1).await;
    server.post_and_wait("/api/v1/batches", json!({"command": "cancel", "select": {"printer_ids": ids}})).await;
    let (_, oldest, _) = server.get("/api/v1/events?limit=1").await;
    read_until_event(&server, oldest["next_cursor"].as_str().expect("a cursor"), "batch.finished").await;
    let (_, all, _) = server.get("/api/v1/events?limit=500").await;
    let all = all["items"].as_array().expect("items");
    let created = all.iter().position(|event| event["type"] == "batch.created").expect("it was created");
    let at = all[created]["at"].as_str().expect("a time");
    // The page begins at the position of the first event at or after that time, and has every event that follows it.
    let first = all.iter().position(|event| event["at"].as_str() >= Some(at)).expect("at least this one");
    let (status, page, _) = server.get(&format!("/api/v1/events?after_time={at}&limit=500")).await;
    assert_eq!((status, &page["items"][0]["id"]), (StatusCode::OK, &all[first]["id"]), "{page}");
    let streamed = read_stream(&server, &format!("?after_time={at}"), None, 1).await;
    assert_eq!(streamed[0].1["id"], all[first]["id"]);
    let (status, page, _) = server.get("/api/v1/events?after_time=2000-01-01T00:00:00Z&limit=1").await;
    assert_eq!((status, &page["items"][0]["id"]), (StatusCode::OK, &all[0]["id"]), "the whole feed");
    let later = printyard::clock::now() + chrono::TimeDelta::days(1);
    let later = later.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
    let (status, page, _) = server.get(&format!("/api/v1/events?after_time={later}")).await;
    assert_eq!((status, &page["items"]), (StatusCode::OK, &json!([])));
    let end = page["next_cursor"].as_str().expect("the end of the feed");
    assert_eq!(server.get(&format!("/api/v1/events?after={end}")).await.0, StatusCode::OK);
    for bad in
        ["after_time=", "after_time=yesterday", "after_time=2026-12-03", "after_time=2026-12-03T16:00:00Z&after=now"]
    {
        for path in ["/api/v1/events", "/api/v1/events/stream"] {
            let (status, problem, _) = server.get(&format!("{path}?{bad}")).await;
            let answer = (status, &problem["parameter"]);
            assert_eq!(answer, (StatusCode::UNPROCESSABLE_ENTITY, &json!("after_time")), "{bad}: {problem}");
        }
    }
    server.stop().await;
}

/// Reads a stream until `n` events have arrived. Returns the id and the data of each.
async fn read_stream(server: &TestServer, query: &str, last: Option<&str>, n: usize) -> Vec<(String, Value)> {
    let mut request = server.request(Method::GET, &format!("/api/v1/events/stream{query}"));
    if let Some(last) = last {
        request = request.header("Last-Event-ID", last);
    }
    let response = request.send().await.expect("an answer");
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut bytes = response.bytes_stream();
    let (mut text, mut events) = (String::new(), Vec::new());
    let read = async {
        while events.len() < n {
            text += &String::from_utf8_lossy(&bytes.next().await.expect("more data").expect("bytes"));
            while let Some((block, rest)) = text.split_once("\n\n") {
                let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
                if let Some(data) = field("data:") {
                    let data: Value = serde_json::from_str(data).expect("JSON");
                    assert_eq!(Some(data["type"].as_str().expect("a type")), field("event:"));
                    events.push((field("id:").expect("an id").to_owned(), data));
                }
                text = rest.to_owned();
            }
        }
    };
    tokio::time::timeout(DEADLINE, read).await.expect("events in time");
    events
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_continues_after_the_last_event_id() {
    let (server, _farm, ids) = start_server_with_farm(2).await;
    let page = wait::until("events of both printers arrive", DEADLINE, async || {
        let (_, page, _) = server.get("/api/v1/events?limit=500").await;
        let states = page["items"].as_array().expect("items").iter().filter(|e| e["type"] == "printer.state_changed");
        if states.count() == 2 { Ok(page) } else { Err(page) }
    })
    .await;
    let cursors: Vec<&str> =
        page["items"].as_array().expect("items").iter().filter_map(|e| e["cursor"].as_str()).collect();
    let first = read_stream(&server, &format!("?after={}", cursors[0]), None, cursors.len() - 1).await;
    assert_eq!(first.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>()[..cursors.len() - 1], cursors[1..]);
    let rest = read_stream(&server, "", Some(cursors[1]), cursors.len() - 2).await;
    assert_eq!(rest[0].0, cursors[2]);
    let live = read_stream(&server, "?types=batch.finished", Some(cursors[0]), 1);
    let command = server.post("/api/v1/batches", json!({"command": "cancel", "select": {"printer_ids": ids}}));
    let (live, _) = tokio::join!(live, command);
    assert_eq!(live[0].1["type"], "batch.finished");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopping_server_ends_its_streams_and_long_polls() {
    let (server, _farm, _ids) = start_server_with_farm(1).await;
    let stream = server.request(Method::GET, "/api/v1/events/stream").send().await.expect("an answer");
    let waiting =
        tokio::spawn(server.request(Method::GET, "/api/v1/events?after=now&types=batch.created&wait=30").send());
    let stopped = tokio::time::timeout(Duration::from_secs(25), server.stop());
    stopped.await.expect("the server stops");
    let _ = stream.bytes().await;
    let _ = waiting.await.expect("no panic");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limited_token_gets_only_events_of_its_printers() {
    let (server, farm, _) = start_server_with_farm(2).await;
    let (_, list, _) = server.get("/api/v1/printers").await;
    let id = |n: usize| list["items"][n]["id"].as_str().expect("an id").to_owned();
    let (mine, theirs) = (id(0), id(1));
    server.patch(&format!("/api/v1/printers/{mine}"), json!({"tags": ["hall-a"]})).await;
    let token = server.create_token_for("viewer", &["hall-a"]).await;
    for select in [json!({"printer_ids": [theirs]}), json!({"all": true})] {
        server.post_and_wait("/api/v1/batches", json!({"command": "cancel", "select": select})).await;
    }
    farm.printers()[0].perform(MachineAction::StartSelected);
    let request = server.request_without_auth(Method::GET, "/api/v1/events?limit=500").bearer_auth(token);
    let (status, page, _) = send_request(request).await;
    assert_eq!(status, StatusCode::OK);
    let text = page.to_string();
    assert!(text.contains(&mine) && !text.contains(&theirs), "{text}");
    let items = page["items"].as_array().expect("items").clone();
    let ended = filter_by_type(&items, "batch.finished");
    assert_eq!(ended.len(), 1, "only the batch over both: {text}");
    let counts = &ended[0]["data"]["counts"];
    assert_eq!((&counts["unchanged"], &counts["total"], &counts["unknown"]), (&json!(1), &json!(1), &json!(0)));
    server.stop().await;
}

/// Compares the data of events with the schemas of the document. Required fields must be present, and each field must
/// be described.
#[tokio::test(flavor = "multi_thread")]
async fn event_data_matches_the_openapi_document() {
    let (server, farm, ids) = start_server_with_farm(2).await;
    let start = json!({"command": "start", "select": {"printer_ids": ids}, "external_ref": "MO/1"});
    server.post_and_wait("/api/v1/batches", start).await;
    farm.printers()[0].perform(MachineAction::Pause);
    server.until_state(&ids[0], "paused").await;
    farm.printers()[0].perform(MachineAction::Resume);
    server.until_state(&ids[0], "printing").await;
    server.post_and_wait("/api/v1/batches", json!({"command": "cancel", "select": {"printer_ids": ids}})).await;
    server.until_state(&ids[0], "operational").await;
    server.post("/api/v1/plates/clear", json!({"printer_ids": ids})).await;
    server.patch(&format!("/api/v1/printers/{}", ids[0]), json!({"notes": "belt", "api_key": "another"})).await;
    farm.printers()[1].set_fault(Some(printyard::simulator::Fault::Refuse));
    read_until_event(&server, "now", "printer.offline").await;
    server.delete(&format!("/api/v1/printers/{}", ids[1])).await;
    let (_, page, _) = server.get("/api/v1/events?limit=500").await;
    let (_, document, _) = server.get("/api/openapi.json").await;
    let schemas = document["components"]["schemas"].as_object().expect("schemas");
    let mut event_types = std::collections::BTreeSet::new();
    for event in page["items"].as_array().expect("items") {
        let kind = event["type"].as_str().expect("a type");
        event_types.insert(kind);
        let described = schemas.iter().find(|(name, schema)| {
            let description = schema["description"].as_str().unwrap_or_default();
            let types =
                description.strip_prefix("`data` of ").and_then(|rest| rest.split_once(':')).map(|(types, _)| types);
            name.ends_with("EventData") && types.is_some_and(|types| types.split(", ").any(|one| one == kind))
        });
        let (name, schema) = described.unwrap_or_else(|| panic!("no schema for {kind}"));
        let data = event["data"].as_object().expect("an object");
        let properties = schema["properties"].as_object().expect("properties");
        for field in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            assert!(data.contains_key(field), "{kind} lacks {field}: {event}");
        }
        // `batch.created` contains further fields of the request, which its schema does not list.
        for field in data.keys().filter(|_| kind != "batch.created") {
            assert!(properties.contains_key(field), "{name} does not describe {field}: {event}");
        }
    }
    for kind in
        ["printer.updated", "printer.removed", "print.paused", "print.resumed", "print.cancelled", "plate.cleared"]
    {
        assert!(event_types.contains(kind), "{kind}: {event_types:?}");
    }
    server.stop().await;
}
