//! Checks after each case of fault injection.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use printyard::{
    domain::event::{Event, EventType},
    simulator::SimulatedPrinter,
    storage::{Db, audit, events},
};
use serde_json::{Value, json};

use super::{
    client::{ClientLog, ClientRequest},
    script::{
        OLD_BATCH_CREATOR, PRINTERS, SETTLED_PRINTER, SHORT_FILES, ScriptSetup, run_retention_without_errors,
        text_field,
    },
};
use crate::support::{server::TestServer, wait};

/// Deadline for what the restarted server does without a request, on a busy machine.
const SOON: Duration = Duration::from_secs(45);

/// Checks everything on a server that was restarted after the end of the failure.
pub async fn check_recovery(setup: &ScriptSetup, log: &mut ClientLog, url: &str) {
    let server = &setup.server;
    repeat_unanswered(server, log).await;
    until_every_command_is_final(server).await;
    until_the_pause_is_settled(server, &setup.farm.printers()[SETTLED_PRINTER]).await;
    for printer in setup.farm.printers() {
        printer.clear_command_faults();
    }
    let printers = until_every_printer_is_online(setup, log).await;
    check_no_queue_is_blocked(server, &printers).await;
    run_retention_without_errors(server).await;

    let batches = list_items(server, "batches").await;
    let mut rows = Vec::new();
    for batch in &batches {
        rows.extend(list_items(server, &format!("batches/{}/commands", text_field(batch, "id"))).await);
    }
    assert!(!batches.iter().any(|batch| batch["created_by"] == OLD_BATCH_CREATOR), "old batches are removed");
    for id in &log.batches {
        assert!(batches.iter().any(|batch| batch["id"] == **id), "batch {id} was acknowledged, but is missing");
    }
    let prints = check_prints_match_printers(setup, &batches, &rows).await;
    check_plates_match_prints(server, &printers, &prints).await;
    check_audit(url).await;
    check_feed_is_complete(url, &batches, &rows, &prints).await;
}

/// Returns all items of a list.
async fn list_items(server: &TestServer, list: &str) -> Vec<Value> {
    let (_, page, _) = server.get(&format!("/api/v1/{list}?limit=500")).await;
    assert_eq!(page["next_cursor"], Value::Null, "one page has all items: {page}");
    page["items"].as_array().unwrap_or_else(|| panic!("{list}: {page}")).clone()
}

/// Repeats unanswered requests with the same keys. Stops the batches that the script wanted to stop.
async fn repeat_unanswered(server: &TestServer, log: &mut ClientLog) {
    for request in std::mem::take(&mut log.unanswered) {
        let answer = request.send(server).await.unwrap_or_else(|| panic!("{request:?} fails on a working database"));
        if matches!(&request, ClientRequest::Api { path, .. } if path == "/api/v1/batches") {
            log.batches.push(text_field(&answer, "id"));
        }
    }
    for batch in list_items(server, "batches").await {
        if batch["finished_at"].is_null() && ["stopped", "far"].iter().any(|name| batch["external_ref"] == *name) {
            let stop = ClientRequest::post(&format!("/api/v1/batches/{}/stop", text_field(&batch, "id")), json!({}));
            stop.send(server).await.expect("a working database");
        }
    }
}

async fn until_every_command_is_final(server: &TestServer) {
    wait::until("every batch has ended", SOON, async || {
        let batches = list_items(server, "batches").await;
        let open: Vec<Value> = batches.into_iter().filter(|batch| batch["finished_at"].is_null()).collect();
        if open.is_empty() {
            return Ok(());
        }
        let mut rows = Vec::new();
        for batch in &open {
            rows.extend(list_items(server, &format!("batches/{}/commands", text_field(batch, "id"))).await);
        }
        rows.retain(|row| row["final"] == false);
        Err((open, rows))
    })
    .await;
}

/// Waits until a pause with an unknown effect is settled, if its printer is paused.
async fn until_the_pause_is_settled(server: &TestServer, printer: &SimulatedPrinter) {
    let batches = list_items(server, "batches").await;
    let Some(batch) = batches.iter().find(|batch| batch["external_ref"] == "pause") else { return };
    if printer.state_text() != "Paused" {
        return;
    }
    let path = format!("/api/v1/batches/{}", text_field(batch, "id"));
    wait::until("the pause is settled", SOON, async || {
        let (_, batch, _) = server.get(&path).await;
        let row = batch["commands"][0].clone();
        let settled = row["effect"] != "maybe" || row["settled"]["effect"] == "done";
        if settled { Ok(()) } else { Err(row) }
    })
    .await;
}

/// Waits until every registered printer is online. All printers must be registered except the removed one. Returns them
/// by id.
async fn until_every_printer_is_online(setup: &ScriptSetup, log: &ClientLog) -> BTreeMap<String, SimulatedPrinter> {
    let mut found = BTreeMap::new();
    wait::until("every printer is online", SOON, async || {
        let registered = list_items(&setup.server, "printers").await;
        found = registered
            .iter()
            .filter_map(|item| {
                let printer =
                    setup.farm.printers().iter().find(|printer| printer.name() == text_field(item, "name"))?;
                Some((text_field(item, "id"), printer.clone()))
            })
            .collect();
        let online = registered.iter().filter(|item| item["status"]["reachability"] == "online").count();
        let all = online == registered.len() && found.len() == online && online >= PRINTERS - 1;
        if all { Ok(()) } else { Err((registered, log.unanswered.clone())) }
    })
    .await;
    found
}

/// Checks that a cancel and then a start of every printer end as expected.
async fn check_no_queue_is_blocked(server: &TestServer, printers: &BTreeMap<String, SimulatedPrinter>) {
    let ids: Vec<&String> = printers.keys().collect();
    let cancel = json!({"command": "cancel", "select": {"printer_ids": ids}, "external_ref": "cancel"});
    let (_, batch, _) = server.post_and_wait("/api/v1/batches", cancel).await;
    assert_eq!(batch["result"], "ok", "{batch}");
    until_idle(server, printers).await;
    let (_, cleared, _) = server.post("/api/v1/plates/clear", json!({ "printer_ids": ids })).await;
    for item in cleared["items"].as_array().unwrap_or_else(|| panic!("{cleared}")) {
        assert!(["cleared", "already_clear"].iter().any(|result| item["result"] == *result), "{cleared}");
    }
    let last = json!({
        "command": "start", "select": {"printer_ids": ids}, "file": {"path": SHORT_FILES[3]}, "external_ref": "last",
    });
    let (_, batch, _) = server.post_and_wait("/api/v1/batches", last).await;
    assert_eq!(batch["result"], "ok", "{batch}");
    until_idle(server, printers).await;
}

/// Waits until every printer is idle, in the simulator and in the server, and every print has ended.
async fn until_idle(server: &TestServer, printers: &BTreeMap<String, SimulatedPrinter>) {
    wait::until("every printer is idle and no print is open", SOON, async || {
        let listed = list_items(server, "printers").await;
        let states: Vec<_> = listed
            .iter()
            .map(|item| (text_field(&item["status"], "state"), printers[&text_field(item, "id")].state_text()))
            .collect();
        let (_, open, _) = server.get("/api/v1/prints?state=open").await;
        let idle = states.iter().all(|(server, printer)| server == "operational" && printer == "Operational");
        if idle && open["items"] == json!([]) { Ok(()) } else { Err((states, open)) }
    })
    .await;
}

/// Checks that the command log and the record of prints match what the printers received. Returns the prints.
async fn check_prints_match_printers(setup: &ScriptSetup, batches: &[Value], rows: &[Value]) -> Vec<Value> {
    let prints = list_items(&setup.server, "prints").await;
    let names: HashMap<String, &SimulatedPrinter> =
        setup.farm.printers().iter().map(|printer| (printer.name().to_owned(), printer)).collect();
    let batches_by_id: HashMap<&str, &Value> =
        batches.iter().filter_map(|batch| Some((batch["id"].as_str()?, batch))).collect();
    let mut real_prints = 0;
    for printer in setup.farm.printers() {
        let received = printer.received_requests();
        let starts = |path: &str| received.iter().filter(|one| one.command == "select" && one.path == path).count();
        for one in received.iter().filter(|one| one.command == "select") {
            assert_eq!(starts(&one.path), 1, "a start was sent twice to {}: {received:#?}", printer.name());
        }
        assert!(!received.iter().any(|one| one.command == "start"), "a start without a file was sent");
        real_prints += received.iter().filter(|one| one.command == "select" && one.acted).count();
    }
    for row in rows {
        let batch = batches_by_id[row["batch_id"].as_str().expect("an id")];
        assert_eq!(row["final"], true, "{row}");
        let Some(printer) = names.get(&text_field(row, "printer_name")) else {
            assert_eq!(row["reason"], "not_found", "{row}");
            continue;
        };
        if batch["command"] != "start" {
            continue;
        }
        let (file, reference) = started_file(batch);
        let path = format!("/api/files/local/{file}");
        let acted = printer.received_requests().iter().filter(|one| one.path == path && one.acted).count();
        // Two batches start the same file, and only one of them is ever due.
        let expected = match row["effect"].as_str() {
            Some("done") => Some(1),
            Some("none") if reference != "far" => Some(0),
            _ => None,
        };
        assert!(expected.is_none_or(|expected| expected == acted), "{acted} starts: {row}");
        let started = prints.iter().filter(|print| print["command_id"] == row["id"]).count();
        let known = if row["effect"] == "done" { started == 1 } else { started <= acted };
        assert!(known, "{started} prints of {row}\n{prints:#?}");
    }
    let recorded: Vec<(String, String)> =
        prints.iter().map(|print| (text_field(print, "printer_id"), text_field(&print["file"], "path"))).collect();
    assert_eq!(prints.len(), real_prints, "each print once: {prints:#?}");
    let mut once = recorded.clone();
    once.sort();
    once.dedup();
    assert_eq!(once.len(), recorded.len(), "each print once: {prints:#?}");
    prints
}

/// Returns the file and the reference of a batch of starts.
fn started_file(batch: &Value) -> (&'static str, &str) {
    let reference = batch["external_ref"].as_str().expect("a reference");
    let file = match reference {
        "first" => SHORT_FILES[0],
        "scheduled" => SHORT_FILES[1],
        "stopped" | "far" => SHORT_FILES[2],
        "last" => SHORT_FILES[3],
        "long" => super::script::LONG_FILE,
        other => panic!("no batch of the script: {other}"),
    };
    (file, reference)
}

/// Checks that the last print of each printer is on its plate.
async fn check_plates_match_prints(
    server: &TestServer,
    printers: &BTreeMap<String, SimulatedPrinter>,
    prints: &[Value],
) {
    let listed = list_items(server, "printers").await;
    assert_eq!(listed.len(), printers.len());
    for printer in listed {
        // The newest print is first.
        let last = prints.iter().find(|print| print["printer_id"] == printer["id"]).expect("a print");
        assert_eq!(printer["plate"]["state"], "occupied", "{printer}");
        assert_eq!(printer["plate"]["print_id"], last["id"], "{printer}\n{last}");
    }
}

async fn check_audit(url: &str) {
    let db = Db::open(url).await.expect("the database");
    let verified = audit::verify(&db).await.expect("read");
    assert!(verified.faults.is_empty(), "{verified:?}");
    db.close().await;
}

/// Checks that the feed has no gap, and each fact exactly once.
async fn check_feed_is_complete(url: &str, batches: &[Value], rows: &[Value], prints: &[Value]) {
    let db = Db::open(url).await.expect("the database");
    let feed = read_feed(&db).await;
    db.close().await;
    check_changes_follow_each_other(&feed);
    let mut counts: HashMap<(EventType, String), usize> = HashMap::new();
    for event in &feed {
        let subject = event.subject.map(|id| id.to_string()).or_else(|| event.printer_id.map(|id| id.to_string()));
        *counts.entry((event.kind, subject.unwrap_or_default())).or_default() += 1;
    }
    let count = |kind: EventType, subject: &Value| {
        counts.get(&(kind, subject.as_str().unwrap_or_default().to_owned())).copied().unwrap_or(0)
    };
    let concerned = |of: &Value| -> Vec<&Event> {
        feed.iter().filter(|event| event.subject.is_some_and(|id| of["id"] == id.to_string())).collect()
    };
    let once = |kind: EventType, of: &Value| {
        assert_eq!(count(kind, &of["id"]), 1, "{kind} of {of}\n{:#?}", concerned(of));
    };
    for batch in batches {
        once(EventType::BatchCreated, batch);
        once(EventType::BatchFinished, batch);
    }
    for row in rows {
        once(EventType::CommandFinished, row);
        let settled = usize::from(row["settled"].is_object());
        assert_eq!(count(EventType::CommandSettled, &row["id"]), settled, "{row}");
    }
    for print in prints {
        once(EventType::PrintStarted, print);
        let ends = [
            ("done", EventType::PrintFinished),
            ("failed", EventType::PrintFailed),
            ("cancelled", EventType::PrintCancelled),
            ("unknown", EventType::PrintUnknown),
        ];
        for (result, kind) in ends {
            let expected = usize::from(print["result"] == result);
            assert_eq!(count(kind, &print["id"]), expected, "{kind} of {print}\n{:#?}", concerned(print));
        }
    }
    let number = |kind: EventType| feed.iter().filter(|event| event.kind == kind).count();
    assert_eq!(number(EventType::PrintStarted), prints.len());
    assert_eq!(number(EventType::CommandFinished), rows.len());
    assert_eq!(number(EventType::PrinterRegistered), PRINTERS);
    // In the script a person pauses one print, once.
    let pauses: Vec<&Event> =
        feed.iter().filter(|event| matches!(event.kind, EventType::PrintPaused | EventType::PrintResumed)).collect();
    assert!(matches!(pauses[..], [] | [Event { kind: EventType::PrintPaused, .. }]), "{pauses:#?}\n{prints:#?}");
    assert_eq!(number(EventType::PlateClearNeeded), prints.len());
}

/// Checks that each change of a printer's state or reachability begins where the change before it ended.
fn check_changes_follow_each_other(feed: &[Event]) {
    let mut before = HashMap::new();
    for event in feed {
        let field = match event.kind {
            EventType::PrinterStateChanged => "state",
            EventType::PrinterOnline | EventType::PrinterOffline => "reachability",
            _ => continue,
        };
        let known = before.insert((event.printer_id, field), &event.data[field]);
        let concerned: Vec<&Event> = feed.iter().filter(|other| other.printer_id == event.printer_id).collect();
        assert_eq!(event.data["before"], *known.unwrap_or(&Value::Null), "{event:?}\n{concerned:#?}");
        assert_ne!(event.data["before"], event.data[field], "{event:?}");
    }
}

/// Returns every stored event. Checks that the numbers have no gap.
async fn read_feed(db: &Db) -> Vec<Event> {
    let mut after = events::stored_range(db, 0).await.expect("read").start_position();
    let mut feed: Vec<Event> = Vec::new();
    loop {
        let page = events::list_page(db, after, None, 1_000).await.expect("read");
        for event in page.events {
            assert_eq!(event.seq, after + 1, "the feed has a gap");
            after = event.seq;
            feed.push(event);
        }
        if !page.has_more {
            return feed;
        }
    }
}
