//! A server that is killed after an emergency stop was sent never sends it again.

use std::time::Duration;

use printyard::simulator::Fault;
use serde_json::{Value, json};

use super::{DEADLINE, count_received, list_outcomes, start_slow_farm};
use crate::support::{
    command_log_check::{register_farm, until_online},
    process::ServerProcess,
    wait,
};

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
    let start = json!({"command": "start", "select": {"printer_ids": ids}});
    let (_, started) = server.post("/batches", &start).await.expect("an answer");
    let started = started["id"].as_str().expect("an id").to_owned();
    wait::until("all print", DEADLINE, async || {
        let rows = get_rows(&server, &started).await;
        if rows.iter().all(|row| row["outcome"] == "confirmed") { Ok(()) } else { Err(rows) }
    })
    .await;
    // The first executes the request after the kill, the second never does. The third has a pause in flight, too.
    farm.printers()[0].queue_command_fault(Fault::Slow(Duration::from_secs(3)));
    farm.printers()[1].queue_command_fault(Fault::Hang);
    farm.printers()[2].queue_command_fault(Fault::Hang);
    farm.printers()[2].queue_command_fault(Fault::Slow(Duration::from_secs(3)));
    let pause = json!({"command": "pause", "select": {"printer_ids": [&ids[2]]}, "confirm_within_s": 3});
    let (_, paused) = server.post("/batches", &pause).await.expect("an answer");
    let paused = paused["id"].as_str().expect("an id").to_owned();
    let until_sent = async |server: &ServerProcess, batch: &str| {
        wait::until("every row is sent", DEADLINE, async || {
            let rows = get_rows(server, batch).await;
            if rows.iter().all(|row| row["outcome"] == "sent") { Ok(()) } else { Err(rows) }
        })
        .await;
    };
    until_sent(&server, &paused).await;
    let stop = json!({"select": {"printer_ids": ids}, "reason": "smoke"});
    let (status, stopped) = server.post("/emergency-stop", &stop).await.expect("an answer");
    assert_eq!(status, 202, "{stopped}");
    let stopped = stopped["id"].as_str().expect("an id").to_owned();
    until_sent(&server, &stopped).await;
    server.kill();

    let server = ServerProcess::start(dir.path()).await;
    let until_ended = async |batch: &str| {
        wait::until("the batch ends", DEADLINE, async || {
            let batch = server.get(&format!("/batches/{batch}")).await;
            if batch["finished_at"].is_string() { Ok(batch) } else { Err(batch) }
        })
        .await
    };
    let batch = until_ended(&stopped).await;
    // The kill may come before the first byte of a request was written.
    let received: Vec<usize> = farm.printers().iter().map(|printer| count_received(printer, "M112")).collect();
    assert!(received.iter().all(|count| *count <= 1) && received[1] == 0, "no printer got a second one: {received:?}");
    let expected = received.iter().map(|count| if *count == 1 { "confirmed" } else { "unknown/no_answer" });
    assert_eq!(list_outcomes(&batch), expected.collect::<Vec<_>>(), "{batch}");
    for row in batch["commands"].as_array().expect("rows") {
        assert_eq!(row["attempts"], 1, "{row}");
    }
    let paused = until_ended(&paused).await;
    // Which of the two ends it depends on whether the first server had read the printer again before it was killed.
    let ends = ["unknown/job_changed", "unconfirmed/overtaken_by_emergency_stop"];
    assert!(ends.contains(&list_outcomes(&paused)[0].as_str()), "{paused}");
    assert_eq!(farm.printers()[1].state_text(), "Printing");
}
