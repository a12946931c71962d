//! A server that is killed after an emergency stop was sent never sends it again. The next server stops printers at once.

use std::time::{Duration, Instant};

use printyard::simulator::Fault;
use serde_json::{Value, json};

use super::{DEADLINE, count_received, list_outcomes, start_slow_farm};
use crate::support::{
    command_log_check::{register_farm, until_online},
    fresh_database::create_fresh_database,
    needs,
    process::ServerProcess,
    wait,
};

/// For this long after a take-over on PostgreSQL, the previous server may still send.
const LAST_SENDS: Duration = Duration::from_secs(15);

/// How a pause without a reply ends. It depends on whether the first server had read the printer again before it was killed.
const PAUSE_ENDS: [&str; 2] = ["unknown/job_changed", "unconfirmed/overtaken_by_emergency_stop"];

/// Sends a batch without waiting. Returns its id.
async fn post_batch(server: &ServerProcess, path: &str, body: Value) -> String {
    let (status, batch) = server.post(path, &body).await.expect("an answer");
    assert_eq!(status, 202, "{batch}");
    batch["id"].as_str().expect("an id").to_owned()
}

async fn until_rows(server: &ServerProcess, batch: &str, outcome: &str) {
    wait::until(&format!("every row is {outcome}"), DEADLINE, async || {
        let rows = get_rows(server, batch).await;
        if !rows.is_empty() && rows.iter().all(|row| row["outcome"] == outcome) { Ok(()) } else { Err(rows) }
    })
    .await;
}

async fn until_ended(server: &ServerProcess, batch: &str) -> Value {
    wait::until("the batch ends", DEADLINE, async || {
        let batch = server.get(&format!("/batches/{batch}")).await;
        if batch["finished_at"].is_string() { Ok(batch) } else { Err(batch) }
    })
    .await
}

async fn get_rows(server: &ServerProcess, batch: &str) -> Vec<Value> {
    server.get(&format!("/batches/{batch}")).await["commands"].as_array().cloned().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_after_the_send_settles_the_stop_by_reading() {
    let farm = start_slow_farm(3).await;
    let dir = tempfile::tempdir().expect("a folder");
    let mut server = ServerProcess::start(dir.path()).await;
    let by_id = register_farm(&server, &farm).await;
    until_online(&server, by_id.len(), DEADLINE).await;
    let id_of = |number: usize| {
        let name = farm.printers()[number].name();
        by_id.iter().find(|(_, printer)| printer.name() == name).map(|(id, _)| id.clone()).expect("registered")
    };
    let ids = [id_of(0), id_of(1), id_of(2)];
    let started = post_batch(&server, "/batches", json!({"command": "start", "select": {"printer_ids": ids}})).await;
    until_rows(&server, &started, "confirmed").await;
    // The first executes the request after the kill, the second never does. The third has a pause in flight, too.
    farm.printers()[0].queue_command_fault(Fault::Slow(Duration::from_secs(3)));
    farm.printers()[1].queue_command_fault(Fault::Hang);
    farm.printers()[2].queue_command_fault(Fault::Hang);
    farm.printers()[2].queue_command_fault(Fault::Slow(Duration::from_secs(3)));
    let pause = json!({"command": "pause", "select": {"printer_ids": [&ids[2]]}, "confirm_within_s": 3});
    let paused = post_batch(&server, "/batches", pause).await;
    until_rows(&server, &paused, "sent").await;
    let stop = json!({"select": {"printer_ids": ids}, "reason": "smoke"});
    let stopped = post_batch(&server, "/emergency-stop", stop).await;
    until_rows(&server, &stopped, "sent").await;
    server.kill();

    let server = ServerProcess::start(dir.path()).await;
    let batch = until_ended(&server, &stopped).await;
    // The kill may come before the first byte of a request was written.
    let received: Vec<usize> = farm.printers().iter().map(|printer| count_received(printer, "M112")).collect();
    assert!(received.iter().all(|count| *count <= 1) && received[1] == 0, "no printer got a second one: {received:?}");
    let expected = received.iter().map(|count| if *count == 1 { "confirmed" } else { "unknown/no_answer" });
    assert_eq!(list_outcomes(&batch), expected.collect::<Vec<_>>(), "{batch}");
    for row in batch["commands"].as_array().expect("rows") {
        assert_eq!(row["attempts"], 1, "{row}");
    }
    let paused = until_ended(&server, &paused).await;
    assert!(PAUSE_ENDS.contains(&list_outcomes(&paused)[0].as_str()), "{paused}");
    assert_eq!(farm.printers()[1].state_text(), "Printing");
}

/// On PostgreSQL, the server of before may only hang. So after a take-over, commands to a printer that it was sending to wait
/// for its last sends.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, which tests/run provides"]
async fn a_stop_does_not_wait_for_the_last_sends_of_the_previous_server() {
    let database = needs!(create_fresh_database().await);
    let (farm, dir) = (start_slow_farm(1).await, tempfile::tempdir().expect("a folder"));
    let printer = &farm.printers()[0];
    let mut server = ServerProcess::start_on(dir.path(), &database.url, &[]).await;
    let ids: Vec<String> = register_farm(&server, &farm).await.into_keys().collect();
    until_online(&server, 1, DEADLINE).await;
    let select = json!({"printer_ids": ids});
    let started = post_batch(&server, "/batches", json!({"command": "start", "select": select})).await;
    until_rows(&server, &started, "confirmed").await;
    printer.queue_command_fault(Fault::Hang);
    let hanging = post_batch(&server, "/batches", json!({"command": "pause", "select": select})).await;
    until_rows(&server, &hanging, "sent").await;
    server.kill();
    // The kill may come before the request was written. Then the fault would hit the stop.
    printer.clear_command_faults();

    let begun = Instant::now();
    let server = ServerProcess::start_on(dir.path(), &database.url, &[]).await;
    until_online(&server, 1, DEADLINE).await;
    let waiting = post_batch(&server, "/batches", json!({"command": "pause", "select": select})).await;
    let stopped = post_batch(&server, "/emergency-stop", json!({"select": select, "reason": "smoke"})).await;
    let in_time = begun.elapsed() < LAST_SENDS;
    let stopped = until_ended(&server, &stopped).await;
    assert_eq!(
        (list_outcomes(&stopped), count_received(printer, "M112")),
        (vec!["confirmed".to_owned()], 1),
        "{stopped}"
    );
    // The stop passed the pause, which was not sent. On a machine that took this long, the pause did not have to wait.
    let waited = list_outcomes(&until_ended(&server, &waiting).await);
    assert!(!in_time || waited == ["skipped/overtaken_by_emergency_stop"], "{waited:?}");
    let hanging = until_ended(&server, &hanging).await;
    assert!(PAUSE_ENDS.contains(&list_outcomes(&hanging)[0].as_str()), "{hanging}");
}
