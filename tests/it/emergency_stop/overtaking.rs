//! An emergency stop waits for no other command of its printer, and withdraws the unsent ones.

use std::time::Instant;

use printyard::simulator::Fault;
use reqwest::StatusCode;
use serde_json::{Value, json};

use super::{
    DEADLINE, count_received, list_outcomes, register_farm, start_prints, start_server_with_slow_farm, start_slow_farm,
    stop_printers,
};
use crate::support::{server::TestServer, wait};

/// Sends a batch without waiting. Returns its id.
async fn post_batch(server: &TestServer, body: Value) -> String {
    let (status, batch, _) = server.post("/api/v1/batches", body).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{batch}");
    batch["id"].as_str().expect("an id").to_owned()
}

async fn get_batch(server: &TestServer, id: &str) -> Value {
    server.get(&format!("/api/v1/batches/{id}")).await.1
}

async fn until_outcome(server: &TestServer, id: &str, outcome: &str) {
    wait::until(&format!("the row is {outcome}"), DEADLINE, async || {
        let batch = get_batch(server, id).await;
        if batch["commands"][0]["outcome"] == outcome { Ok(()) } else { Err(batch) }
    })
    .await;
}

async fn until_ended(server: &TestServer, id: &str) -> Value {
    wait::until("the batch ends", DEADLINE, async || {
        let batch = get_batch(server, id).await;
        if batch["finished_at"].is_string() { Ok(batch) } else { Err(batch) }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_passes_a_hanging_command_and_withdraws_every_unsent_one() {
    let (server, farm, ids) = start_server_with_slow_farm(1).await;
    let printer = &farm.printers()[0];
    start_prints(&server, &ids).await;
    let select = json!({"printer_ids": ids});
    printer.queue_command_fault(Fault::Hang);
    let hanging = post_batch(&server, json!({"command": "pause", "select": select})).await;
    until_outcome(&server, &hanging, "sent").await;
    let mut unsent = Vec::new();
    for _ in 0..20 {
        unsent.push(post_batch(&server, json!({"command": "pause", "select": select})).await);
    }
    unsent.push(post_batch(&server, json!({"command": "cancel", "select": select})).await);
    let soon = printyard::clock::now() + chrono::TimeDelta::hours(5);
    unsent.push(post_batch(&server, json!({"command": "restart", "select": select, "not_before": soon})).await);

    let begun = Instant::now();
    let stop = stop_printers(&server, &ids).await;
    let row = &stop["commands"][0];
    assert_eq!(list_outcomes(&stop), ["confirmed"], "after {:?}: {stop}", begun.elapsed());
    assert_eq!((&row["state_before"], &row["attempts"]), (&json!("printing"), &json!(1)), "{row}");
    assert_eq!(get_batch(&server, &hanging).await["commands"][0]["outcome"], "sent", "the pause still hangs");
    for id in &unsent {
        let batch = until_ended(&server, id).await;
        assert_eq!(list_outcomes(&batch), ["skipped/overtaken_by_emergency_stop"], "{batch}");
    }
    // The pause has its own result: no reply, and the print is gone.
    let hanging = until_ended(&server, &hanging).await;
    assert_eq!(list_outcomes(&hanging), ["unknown/job_changed"], "{hanging}");
    assert_eq!((count_received(printer, "M112"), count_received(printer, "cancel")), (1, 0));

    // The queue of the printer is free again.
    let connect = json!({"command": "connect", "select": select});
    let (_, connected, _) = server.post_and_wait("/api/v1/batches", connect).await;
    assert_eq!(list_outcomes(&connected), ["confirmed"], "{connected}");
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_that_were_accepted_before_a_stop_end_with_their_own_result() {
    let (server, farm) = (TestServer::start().await, start_slow_farm(3).await);
    for printer in farm.printers() {
        printer.put_file("slow.gcode", "G4 P100\nG4 S60\nG4 S60\n");
        printer.select("slow.gcode");
    }
    let ids = register_farm(&server, &farm).await;
    start_prints(&server, &ids).await;
    for (printer, id) in farm.printers().iter().zip(&ids) {
        wait::until("the long line is in flight", DEADLINE, async || {
            let (_, job, _) = server.get(&format!("/api/v1/printers/{id}/job")).await;
            if job["job"]["progress"]["file_position"].as_u64() > Some(8) { Ok(()) } else { Err(job) }
        })
        .await;
        assert_eq!(printer.state_text(), "Printing");
    }
    // Each of them waits for the line of G-code.
    let mut accepted = Vec::new();
    for (command, id) in ["pause", "cancel", "restart"].into_iter().zip(&ids) {
        let mut body = json!({"command": command, "select": {"printer_ids": [id]}});
        if command == "restart" {
            body["plate"] = "assume_clear".into();
            body["reason"] = "checked".into();
        }
        accepted.push(post_batch(&server, body).await);
    }
    for id in &accepted {
        until_outcome(&server, id, "accepted").await;
    }
    let stop = stop_printers(&server, &ids).await;
    assert_eq!(list_outcomes(&stop), ["confirmed"; 3], "{stop}");
    let mut results = Vec::new();
    for id in &accepted {
        results.extend(list_outcomes(&until_ended(&server, id).await));
    }
    // A cancel is done when the print has ended. Nothing was started again.
    assert_eq!(results, ["unconfirmed/job_changed", "confirmed", "unconfirmed/cancelled_not_started"]);
    for printer in farm.printers() {
        assert_eq!((count_received(printer, "M112"), count_received(printer, "start")), (1, 1), "{}", printer.name());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_stop_is_decided_after_the_first_one_and_a_cancel_waits_for_both() {
    let (server, farm, ids) = start_server_with_slow_farm(1).await;
    let printer = &farm.printers()[0];
    start_prints(&server, &ids).await;
    printer.queue_command_fault(Fault::Slow(std::time::Duration::from_secs(2)));
    let path = format!("/api/v1/printers/{}/emergency-stop", ids[0]);
    let (status, first, _) = server.post(&path, json!({"reason": "smoke"})).await;
    assert_eq!((status, &first["state"]), (StatusCode::ACCEPTED, &json!("running")), "{first}");
    let first = first["id"].as_str().expect("an id").to_owned();
    until_outcome(&server, &first, "sent").await;
    let (_, second, _) = server.post(&path, json!({})).await;
    let second = second["id"].as_str().expect("an id").to_owned();
    let select = json!({"printer_ids": ids});
    let cancel = post_batch(&server, json!({"command": "cancel", "select": select})).await;
    let (_, start, _) = server.post_and_wait("/api/v1/batches", json!({"command": "start", "select": select})).await;
    assert_eq!(list_outcomes(&start), ["rejected/command_in_flight"], "{start}");
    assert_eq!(list_outcomes(&until_ended(&server, &first).await), ["confirmed"]);
    assert_eq!(list_outcomes(&until_ended(&server, &second).await), ["rejected/not_operational"]);
    assert_eq!(list_outcomes(&until_ended(&server, &cancel).await), ["unchanged"], "there is no print any more");
    assert_eq!(count_received(printer, "M112"), 1);
}
