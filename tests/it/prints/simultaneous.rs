//! Many prints end at the same time, and their events arrive later than polls. Each print must end once.

use std::time::Duration;

use printyard::simulator::{Farm, FarmConfig, Fault};
use serde_json::{Value, json};

use super::{list_events, list_prints};
use crate::support::{server::TestServer, wait};

const PRINTERS: usize = 80;
const SOON: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn prints_that_end_together_are_recorded_once_despite_late_events() {
    let farm = Farm::start(FarmConfig { printers: PRINTERS, ..FarmConfig::default() }).await.expect("a farm");
    let server = TestServer::start().await;
    let mut ids = Vec::new();
    for printer in farm.printers() {
        printer.put_file("part.gcode", "G4 P100\n".repeat(50));
        printer.select("part.gcode");
        ids.push(server.register_printer(printer).await);
    }
    for id in &ids {
        server.until_online(id).await;
    }
    let body = json!({"command": "start", "select": {"printer_ids": ids}, "external_ref": "MO/80"});
    let (_, batch, _) = server.post_and_wait("/api/v1/batches", body).await;
    assert_eq!(batch["result"], "ok", "{batch}");
    for (n, printer) in farm.printers().iter().enumerate() {
        // Some events arrive while the server waits for them. Others arrive after it has accepted the polled state.
        let late = if n % 2 == 0 { 1_500 } else { 6_000 };
        printer.set_fault(Some(Fault::LateEvents(Duration::from_millis(late))));
        server.services.fleet().mark_viewed(ids[n].parse().expect("an id"));
    }
    let mut most_overtaken = 0;
    let done = wait::until("every print has ended", SOON, async || {
        let (_, list, _) = server.get("/api/v1/printers?limit=500").await;
        let overtaken = |item: &&Value| item["status"]["state"] == "operational" && item["job"]["print_id"].is_string();
        let overtaken = list["items"].as_array().expect("printers").iter().filter(overtaken).count();
        most_overtaken = most_overtaken.max(overtaken);
        let done = list_prints(&server, "external_ref=MO/80&state=done").await;
        if done.len() == PRINTERS { Ok(done) } else { Err(done.len()) }
    })
    .await;
    assert!(most_overtaken >= PRINTERS / 8, "polls were earlier than events at only {most_overtaken} printers");
    let last =
        list_prints(&server, "").await.iter().filter_map(|print| print["ended_at"].as_str().map(str::to_owned)).max();
    assert!(last.is_some());
    // All late events have arrived when another print has been observed from its start to its end.
    for printer in farm.printers() {
        printer.set_fault(None);
    }
    wait::assert_throughout("no other print is recorded", Duration::from_secs(7), async || {
        let all = list_prints(&server, "").await;
        if all.len() == PRINTERS { Ok(()) } else { Err(all) }
    })
    .await;
    assert_eq!(list_prints(&server, "").await, done);
    assert_eq!(list_events(&server, "print.started").await.len(), PRINTERS);
    let ended = list_events(&server, "print.finished,print.unknown,print.cancelled,print.failed").await;
    assert_eq!(ended.len(), PRINTERS);
    assert!(ended.iter().all(|event| event["type"] == "print.finished"), "{ended:?}");
    server.stop().await;
}
