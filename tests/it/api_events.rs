//! The event feed over HTTP: cursors in lists, pages, long polling, streams, and a cursor of another feed.

use std::time::Duration;

use futures_util::StreamExt;
use printyard::simulator::Act;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{
    server::{DEADLINE, TestServer, answer, yard},
    wait,
};

async fn cursor_of(server: &TestServer, list: &str) -> String {
    let (status, _, headers) = server.get(list).await;
    assert_eq!(status, StatusCode::OK, "{list}");
    headers["x-events-cursor"].to_str().expect("a text").to_owned()
}

/// Follows the feed from a cursor until an event of this type arrives. Returns all events up to it.
async fn follow(server: &TestServer, cursor: &str, last: &str) -> Vec<Value> {
    let (mut cursor, mut events) = (cursor.to_owned(), Vec::new());
    wait::until(&format!("{last} is told"), DEADLINE, async || {
        let (status, page, _) = server.get(&format!("/api/v1/events?after={cursor}&wait=5")).await;
        assert_eq!(status, StatusCode::OK, "{page}");
        cursor = page["next_cursor"].as_str().expect("a cursor").to_owned();
        events.extend(page["items"].as_array().expect("items").iter().cloned());
        if events.iter().any(|event| event["type"] == last) { Ok(()) } else { Err(events.len()) }
    })
    .await;
    events
}

fn of_type<'a>(events: &'a [Value], kind: &str) -> Vec<&'a Value> {
    events.iter().filter(|event| event["type"] == kind).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_reads_a_list_and_follows_from_there_hears_of_everything_after_it() {
    let (server, farm, ids) = yard(2).await;
    for list in ["/api/v1/printers", "/api/v1/batches", "/api/v1/prints"] {
        cursor_of(&server, list).await;
    }
    let cursor = cursor_of(&server, "/api/v1/printers").await;
    let wish = json!({"command": "start", "select": {"printer_ids": ids}, "external_ref": "MO/1", "reason": "first"});
    let (_, batch, _) = server.post_and_wait("/api/v1/batches", wish).await;
    assert_eq!(batch["result"], "ok", "{batch}");
    let events = follow(&server, &cursor, "batch.finished").await;
    let created = of_type(&events, "batch.created");
    assert_eq!(created.len(), 1, "{events:?}");
    assert_eq!((&created[0]["data"]["batch_id"], &created[0]["external_ref"]), (&batch["id"], &json!("MO/1")));
    assert_eq!((&created[0]["data"]["command"], &created[0]["data"]["total"]), (&json!("start"), &json!(2)));
    assert_eq!(created[0]["actor"]["kind"], "admin_token");
    let finished = of_type(&events, "command.finished");
    assert_eq!(finished.len(), 2);
    for event in finished {
        assert_eq!((&event["data"]["outcome"], &event["external_ref"]), (&json!("confirmed"), &json!("MO/1")));
        assert!(event["data"]["printer_name"].is_string(), "{event}");
    }
    let end = of_type(&events, "batch.finished");
    let (_, batch, _) = server.get(&format!("/api/v1/batches/{}", batch["id"].as_str().expect("an id"))).await;
    assert_eq!((&end[0]["data"]["result"], &end[0]["data"]["counts"]), (&json!("ok"), &batch["counts"]));
    assert_eq!(batch["counts"]["total"], 2);
    let seqs: Vec<&str> = events.iter().filter_map(|event| event["cursor"].as_str()).collect();
    let (_, again, _) = server.get(&format!("/api/v1/events?after={cursor}&limit=500")).await;
    let again: Vec<&str> =
        again["items"].as_array().expect("items").iter().filter_map(|event| event["cursor"].as_str()).collect();
    assert_eq!(again[..seqs.len()], seqs[..], "the same events in the same order");

    // A user pauses and cancels the print at the printer itself.
    let cursor = cursor_of(&server, "/api/v1/prints").await;
    farm.printers()[0].at_printer(Act::Pause);
    let events = follow(&server, &cursor, "print.paused").await;
    let paused = of_type(&events, "print.paused")[0];
    assert_eq!((&paused["data"]["printer_id"], &paused["external_ref"]), (&json!(ids[0]), &json!("MO/1")));
    assert_eq!(paused["data"]["by"]["kind"], "printer", "{paused}");
    farm.printers()[0].at_printer(Act::Cancel);
    let events = follow(&server, &cursor, "plate.clear_needed").await;
    assert_eq!(of_type(&events, "print.cancelled").len(), 1, "{events:?}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_printer_is_told_from_its_registration_to_its_removal() {
    let (server, farm, ids) = yard(1).await;
    let (_, start, _) = server.get("/api/v1/events?limit=1").await;
    assert_eq!(start["items"][0]["type"], "printer.registered", "starts at the oldest stored event");
    assert!(start["items"][0]["data"].get("api_key").is_none());
    let path = format!("/api/v1/printers/{}", ids[0]);
    let cursor = start["next_cursor"].as_str().expect("a cursor");
    follow(&server, cursor, "printer.online").await;
    follow(&server, cursor, "printer.state_changed").await;
    server.patch(&path, json!({"notes": "belt"})).await;
    farm.printers()[0].set_fault(Some(printyard::simulator::Fault::Refuse));
    let events = follow(&server, cursor, "printer.offline").await;
    let updated = of_type(&events, "printer.updated");
    assert_eq!(updated[0]["data"]["changes"]["notes"], json!(["", "belt"]));
    server.delete(&path).await;
    let events = follow(&server, cursor, "printer.removed").await;
    let removed = of_type(&events, "printer.removed")[0];
    assert_eq!(removed["data"]["printer_id"], json!(ids[0]));
    assert!(removed["data"]["printer_name"].is_string(), "{removed}");
    let (_, only, _) = server.get("/api/v1/events?types=printer.removed,batch.finished").await;
    assert_eq!(only["items"].as_array().map(Vec::len), Some(1));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_ends_with_the_first_event_and_an_empty_answer_says_where_to_go_on() {
    let (server, _farm, ids) = yard(1).await;
    let (_, now, _) = server.get("/api/v1/events?after=now&types=batch.created").await;
    assert_eq!(now["items"], json!([]));
    let cursor = now["next_cursor"].as_str().expect("a cursor").to_owned();
    let path = format!("/api/v1/events?after={cursor}&types=batch.created&wait=30");
    let waiting = server.get(&path);
    let command = server.post("/api/v1/batches", json!({"command": "cancel", "select": {"printer_ids": ids}}));
    let ((status, page, _), (made, batch, _)) = tokio::join!(waiting, command);
    assert_eq!((status, made), (StatusCode::OK, StatusCode::ACCEPTED), "{page}");
    assert_eq!(page["items"][0]["data"]["batch_id"], batch["id"]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_of_another_past_is_gone_and_nonsense_is_refused() {
    let (server, _farm, ids) = yard(1).await;
    for bad in ["x", "AAAA", "%00"] {
        let (status, problem, _) = server.get(&format!("/api/v1/events?after={bad}")).await;
        assert_eq!((status, &problem["parameter"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("after")), "{problem}");
    }
    let (status, problem, _) = server.get("/api/v1/events?types=printer.exploded").await;
    assert_eq!((status, &problem["parameter"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("types")));
    let (status, problem, _) = server.get("/api/v1/events?wait=-1").await;
    assert_eq!((status, &problem["parameter"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("wait")));

    // A cursor of another server with the same event numbers, as after a restored backup.
    let (other, _other_farm, _) = yard(1).await;
    let (_, page, _) = other.get("/api/v1/events?limit=1").await;
    let strange = page["next_cursor"].as_str().expect("a cursor");
    let (status, problem, _) = server.get(&format!("/api/v1/events?after={strange}")).await;
    assert_eq!((status, &problem["code"]), (StatusCode::GONE, &json!("cursor_expired")), "{problem}");
    let restart = problem["restart_cursor"].as_str().expect("a cursor");
    let (status, page, _) = server.get(&format!("/api/v1/events?after={restart}&limit=1")).await;
    assert_eq!((status, &page["items"][0]["data"]["printer_id"]), (StatusCode::OK, &json!(ids[0])));
    let (status, _, _) = server.get(&format!("/api/v1/events/stream?after={strange}")).await;
    assert_eq!(status, StatusCode::GONE);
    server.stop().await;
    other.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_feed_is_read_from_a_time_on() {
    let (server, _farm, ids) = yard(1).await;
    server.post_and_wait("/api/v1/batches", json!({"command": "cancel", "select": {"printer_ids": ids}})).await;
    let (_, oldest, _) = server.get("/api/v1/events?limit=1").await;
    follow(&server, oldest["next_cursor"].as_str().expect("a cursor"), "batch.finished").await;
    let (_, all, _) = server.get("/api/v1/events?limit=500").await;
    let all = all["items"].as_array().expect("items");
    let created = all.iter().position(|event| event["type"] == "batch.created").expect("it was created");
    let at = all[created]["at"].as_str().expect("a time");
    // The page begins at the position of the first event at or after that time, and has every event that follows it.
    let first = all.iter().position(|event| event["at"].as_str() >= Some(at)).expect("at least this one");
    let (status, page, _) = server.get(&format!("/api/v1/events?after_time={at}&limit=500")).await;
    assert_eq!((status, &page["items"][0]["id"]), (StatusCode::OK, &all[first]["id"]), "{page}");
    let streamed = streamed(&server, &format!("?after_time={at}"), None, 1).await;
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
async fn streamed(server: &TestServer, query: &str, last: Option<&str>, n: usize) -> Vec<(String, Value)> {
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
async fn a_stream_goes_on_behind_the_last_event_that_a_client_has_seen() {
    let (server, _farm, ids) = yard(2).await;
    let page = wait::until("events of both printers arrive", DEADLINE, async || {
        let (_, page, _) = server.get("/api/v1/events?limit=500").await;
        let states = page["items"].as_array().expect("items").iter().filter(|e| e["type"] == "printer.state_changed");
        if states.count() == 2 { Ok(page) } else { Err(page) }
    })
    .await;
    let told: Vec<&str> =
        page["items"].as_array().expect("items").iter().filter_map(|e| e["cursor"].as_str()).collect();
    let first = streamed(&server, &format!("?after={}", told[0]), None, told.len() - 1).await;
    assert_eq!(first.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>()[..told.len() - 1], told[1..]);
    let rest = streamed(&server, "", Some(told[1]), told.len() - 2).await;
    assert_eq!(rest[0].0, told[2]);
    let live = streamed(&server, "?types=batch.finished", Some(told[0]), 1);
    let command = server.post("/api/v1/batches", json!({"command": "cancel", "select": {"printer_ids": ids}}));
    let (live, _) = tokio::join!(live, command);
    assert_eq!(live[0].1["type"], "batch.finished");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_ends_ends_its_streams_and_waits() {
    let (server, _farm, _ids) = yard(1).await;
    let stream = server.request(Method::GET, "/api/v1/events/stream").send().await.expect("an answer");
    let waiting =
        tokio::spawn(server.request(Method::GET, "/api/v1/events?after=now&types=batch.created&wait=30").send());
    let stopped = tokio::time::timeout(Duration::from_secs(25), server.stop());
    stopped.await.expect("the server stops");
    let _ = stream.bytes().await;
    let _ = waiting.await.expect("no panic");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_may_see_some_printers_hears_of_those_alone() {
    let (server, farm, _) = yard(2).await;
    let (_, list, _) = server.get("/api/v1/printers").await;
    let id = |n: usize| list["items"][n]["id"].as_str().expect("an id").to_owned();
    let (mine, theirs) = (id(0), id(1));
    server.patch(&format!("/api/v1/printers/{mine}"), json!({"tags": ["hall-a"]})).await;
    let token = server.token_for("viewer", &["hall-a"]).await;
    for select in [json!({"printer_ids": [theirs]}), json!({"all": true})] {
        server.post_and_wait("/api/v1/batches", json!({"command": "cancel", "select": select})).await;
    }
    farm.printers()[0].at_printer(Act::StartSelected);
    let request = server.bare(Method::GET, "/api/v1/events?limit=500").bearer_auth(token);
    let (status, page, _) = answer(request).await;
    assert_eq!(status, StatusCode::OK);
    let text = page.to_string();
    assert!(text.contains(&mine) && !text.contains(&theirs), "{text}");
    let items = page["items"].as_array().expect("items").clone();
    let ended = of_type(&items, "batch.finished");
    assert_eq!(ended.len(), 1, "only the batch over both: {text}");
    let counts = &ended[0]["data"]["counts"];
    assert_eq!((&counts["unchanged"], &counts["total"], &counts["unknown"]), (&json!(1), &json!(1), &json!(0)));
    server.stop().await;
}

/// Compares the data of events with the schemas of the document. Required fields must be present, and each field must
/// be described.
#[tokio::test(flavor = "multi_thread")]
async fn what_events_carry_is_what_the_document_says() {
    let (server, farm, ids) = yard(2).await;
    let start = json!({"command": "start", "select": {"printer_ids": ids}, "external_ref": "MO/1"});
    server.post_and_wait("/api/v1/batches", start).await;
    farm.printers()[0].at_printer(Act::Pause);
    server.until_state(&ids[0], "paused").await;
    farm.printers()[0].at_printer(Act::Resume);
    server.until_state(&ids[0], "printing").await;
    server.post_and_wait("/api/v1/batches", json!({"command": "cancel", "select": {"printer_ids": ids}})).await;
    server.until_state(&ids[0], "operational").await;
    server.post("/api/v1/plates/clear", json!({"printer_ids": ids})).await;
    server.patch(&format!("/api/v1/printers/{}", ids[0]), json!({"notes": "belt", "api_key": "another"})).await;
    farm.printers()[1].set_fault(Some(printyard::simulator::Fault::Refuse));
    follow(&server, "now", "printer.offline").await;
    server.delete(&format!("/api/v1/printers/{}", ids[1])).await;
    let (_, page, _) = server.get("/api/v1/events?limit=500").await;
    let (_, document, _) = server.get("/api/openapi.json").await;
    let schemas = document["components"]["schemas"].as_object().expect("schemas");
    let mut told = std::collections::BTreeSet::new();
    for event in page["items"].as_array().expect("items") {
        let kind = event["type"].as_str().expect("a type");
        told.insert(kind);
        let described = schemas.iter().find(|(name, schema)| {
            let words = schema["description"].as_str().unwrap_or_default();
            let types = words.strip_prefix("`data` of ").and_then(|rest| rest.split_once(':')).map(|(types, _)| types);
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
        assert!(told.contains(kind), "{kind}: {told:?}");
    }
    server.stop().await;
}
