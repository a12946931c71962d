//! Batches, the job endpoint of a printer, plates and prints, over HTTP with a simulated farm.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::problems::assert_problem;
use crate::support::{
    fresh_database::create_fresh_database,
    needs,
    server::{ServerOptions, TestServer, send_request, start_farm, start_server_with_farm},
    wait,
};

/// Every field of a command's row that the contract lists.
const ROW_FIELDS: [&str; 20] = [
    "id",
    "batch_id",
    "printer_id",
    "printer_name",
    "outcome",
    "final",
    "effect",
    "reason",
    "detail",
    "resolved_command",
    "step",
    "print_id",
    "state_before",
    "state_after",
    "attempts",
    "expires_at",
    "sent_at",
    "accepted_at",
    "finished_at",
    "settled",
];
const COUNT_FIELDS: [&str; 13] = [
    "total",
    "queued",
    "sent",
    "accepted",
    "confirmed",
    "unchanged",
    "rejected",
    "unreachable",
    "unauthorized",
    "unconfirmed",
    "unknown",
    "expired",
    "skipped",
];

fn list_outcomes(batch: &Value) -> Vec<&str> {
    batch["commands"].as_array().expect("commands").iter().filter_map(|row| row["outcome"].as_str()).collect()
}

fn batch_path(batch: &Value) -> String {
    format!("/api/v1/batches/{}", batch["id"].as_str().expect("an id"))
}

#[tokio::test]
async fn a_request_that_waits_for_its_batch_gets_207_with_final_rows() {
    let (server, _farm, ids) = start_server_with_farm(3).await;
    let body = json!({"command": "start", "select": {"all": true}, "reason": "test", "external_ref": "PP-1"});
    let (status, batch, headers) = server.post_and_wait("/api/v1/batches", body).await;
    assert_eq!(status, StatusCode::MULTI_STATUS, "{batch}");
    assert_eq!(headers["preference-applied"], "wait=30");
    assert_eq!((&batch["state"], &batch["result"]), (&json!("finished"), &json!("ok")));
    assert_eq!(
        (&batch["reason"], &batch["external_ref"], &batch["created_by"]),
        (&json!("test"), &json!("PP-1"), &json!("admin"))
    );
    assert!(batch["commands_next"].is_null() && batch["retry_of"].is_null() && batch["finished_at"].is_string());
    for field in COUNT_FIELDS {
        assert!(batch["counts"][field].is_i64(), "{field}");
    }
    assert_eq!((&batch["counts"]["total"], &batch["counts"]["confirmed"]), (&json!(3), &json!(3)));
    for (row, id) in batch["commands"].as_array().expect("rows").iter().zip(&ids) {
        for field in ROW_FIELDS {
            assert!(row.get(field).is_some(), "{field}: {row}");
        }
        assert_eq!((&row["printer_id"], &row["final"], &row["effect"]), (&json!(id), &json!(true), &json!("done")));
        assert!(row["latency_ms"].is_i64() && row["print_id"].is_string() && row.get("would").is_none(), "{row}");
    }
    let (status, read, _) = server.get(&batch_path(&batch)).await;
    assert_eq!((status, read), (StatusCode::OK, batch));
}

#[tokio::test]
async fn without_prefer_wait_a_batch_is_202_and_can_be_polled() {
    let (server, farm, _ids) = start_server_with_farm(1).await;
    let body = json!({"command": "start", "select": {"all": true}});
    let (status, batch, headers) = server.post("/api/v1/batches", body).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{batch}");
    assert_eq!(headers["location"], batch_path(&batch));
    assert!(headers.contains_key("retry-after") && !headers.contains_key("preference-applied"));
    let followed = server.request(Method::GET, &batch_path(&batch)).header("Prefer", "wait=99");
    let (status, batch, headers) = send_request(followed).await;
    assert_eq!((status, &batch["result"]), (StatusCode::OK, &json!("ok")), "{batch}");
    assert_eq!(headers["preference-applied"], "wait=30");
    drop(farm);
}

#[tokio::test]
async fn a_wait_that_times_out_gets_202() {
    let (server, _farm, _ids) = start_server_with_farm(2).await;
    let body = json!({"command": "start", "select": {"all": true}, "interval_ms": 60_000});
    let request = server.request(Method::POST, "/api/v1/batches").header("Prefer", "wait=1").json(&body);
    let (status, batch, headers) = send_request(request).await;
    assert_eq!((status, &batch["state"]), (StatusCode::ACCEPTED, &json!("running")), "{batch}");
    assert_eq!(
        (&headers["preference-applied"], headers.contains_key("retry-after")),
        (&"wait=1".parse().expect("a value"), true)
    );
    assert_eq!(batch["counts"]["queued"], 1, "{batch}");
    let (status, stopped, _) = server.post(&format!("{}/stop", batch_path(&batch)), json!({})).await;
    assert_eq!((status, &stopped["state"]), (StatusCode::OK, &json!("stopped")), "{stopped}");
    assert_eq!(stopped["counts"]["skipped"], 1, "{stopped}");
    let stop_again = server.request(Method::POST, &format!("{}/stop", batch_path(&batch)));
    assert_eq!(send_request(stop_again).await.1["state"], "stopped");
}

#[tokio::test]
async fn a_dry_run_stores_nothing_and_says_what_would_happen() {
    let (server, farm, ids) = start_server_with_farm(2).await;
    server.post_and_wait(&format!("/api/v1/printers/{}/job", ids[0]), json!({"command": "start"})).await;
    server.until_state(&ids[0], "printing").await;
    let before = farm.printers()[1].received_requests().len();
    let missing = uuid::Uuid::nil();
    let body = json!({"command": "start", "select": {"printer_ids": [ids[0], ids[1], missing]}, "dry_run": true});
    let (status, dry, _) = server.post_and_wait("/api/v1/batches", body).await;
    assert_eq!((status, &dry["id"], &dry["state"]), (StatusCode::OK, &Value::Null, &json!("dry_run")), "{dry}");
    assert_eq!(
        (&dry["result"], &dry["counts"]["total"], &dry["counts"]["queued"]),
        (&Value::Null, &json!(3), &json!(0))
    );
    let rows: Vec<(&Value, &Value)> =
        dry["commands"].as_array().expect("rows").iter().map(|row| (&row["would"], &row["reason"])).collect();
    assert_eq!(rows[0].0, "reject", "{dry}");
    assert_eq!(rows[1..], [(&json!("send"), &Value::Null), (&json!("reject"), &json!("not_found"))], "{dry}");
    for row in dry["commands"].as_array().expect("rows") {
        assert!(row["outcome"].is_null() && row["id"].is_null() && row["final"] == false, "{row}");
    }
    assert_eq!(farm.printers()[1].received_requests().len(), before);
    let (_, list, _) = server.get("/api/v1/batches").await;
    assert_eq!(list["items"].as_array().map(Vec::len), Some(1), "{list}");
}

#[tokio::test]
async fn selected_printers_keep_the_order_of_the_request() {
    let (server, _farm, ids) = start_server_with_farm(3).await;
    let order = [&ids[2], &ids[0]];
    let body = json!({"command": "pause", "select": {"printer_ids": order}});
    let (_, batch, _) = server.post_and_wait("/api/v1/batches", body).await;
    let printer_ids: Vec<&Value> =
        batch["commands"].as_array().expect("rows").iter().map(|row| &row["printer_id"]).collect();
    assert_eq!(printer_ids, order, "{batch}");
    assert_eq!(list_outcomes(&batch), ["rejected", "rejected"]);
    assert_eq!((&batch["result"], &batch["commands"][0]["reason"]), (&json!("failed"), &json!("not_active")));
    let failed = json!({"command": "connect", "select": {"batch_id": batch["id"], "outcomes": ["rejected"]}});
    let (_, selected, _) = server.post_and_wait("/api/v1/batches", failed).await;
    assert_eq!(selected["counts"]["total"], 2, "{selected}");
    let none = json!({"command": "connect", "select": {"batch_id": batch["id"], "outcomes": ["confirmed"]}});
    assert_problem(&server.post("/api/v1/batches", none).await, 422, "nothing_selected");
}

#[tokio::test]
async fn a_selector_has_exactly_one_criterion() {
    let (server, _farm, ids) = start_server_with_farm(1).await;
    let batch = uuid::Uuid::nil();
    for (select, pointer) in [
        (json!({}), "/select"),
        (json!({"all": false}), "/select/all"),
        (json!({"all": "yes"}), "/select/all"),
        (json!({"all": true, "printer_ids": [ids[0]]}), "/select/all"),
        (json!({"tags_all": ["a"], "batch_id": batch}), "/select/batch_id"),
        (json!({"tags_all": []}), "/select/tags_all"),
        (json!({"states": []}), "/select/states"),
        (json!({"states": ["dancing"]}), "/select/states/0"),
        (json!({"tags_any": ["a,b"]}), "/select/tags_any/0"),
        (json!({"outcomes": ["confirmed"]}), "/select/batch_id"),
        (json!({"batch_id": batch, "outcomes": []}), "/select/outcomes"),
        (json!({"batch_id": "x"}), "/select/batch_id"),
        (json!({"batch_id": batch}), "/select/batch_id"),
        (json!({"printer_ids": [ids[0], "x"]}), "/select/printer_ids/1"),
        (json!({"printer_ids": [{"id": "x"}]}), "/select/printer_ids/0/id"),
        (json!({"printer_ids": [{"id": ids[0], "expected_job": {}}]}), "/select/printer_ids/0/expected_job"),
        (json!({"printer_ids": [{"expected_job": {"path": "a"}}]}), "/select/printer_ids/0/id"),
        (json!({"printer_ids": [7]}), "/select/printer_ids/0"),
        (json!({"printers": [ids[0]]}), "/select/printers"),
        (json!(null), "/select"),
    ] {
        let refused = server.post("/api/v1/batches", json!({"command": "pause", "select": select})).await;
        assert_problem(&refused, 422, "invalid_input");
        assert_eq!(refused.1["errors"][0]["pointer"], pointer, "{select}: {}", refused.1);
    }
    let twice = json!({"command": "pause", "select": {"printer_ids": [ids[0], {"id": ids[0]}]}});
    assert_problem(&server.post("/api/v1/batches", twice).await, 422, "duplicate_target");
    for nothing in [json!({"printer_ids": []}), json!({"tags_all": ["nowhere"]}), json!({"states": ["paused"]})] {
        let refused = server.post("/api/v1/batches", json!({"command": "pause", "select": nothing})).await;
        assert_problem(&refused, 422, "nothing_selected");
    }
    assert_eq!(server.get("/api/v1/batches").await.1["items"], json!([]));
}

#[tokio::test]
async fn an_invalid_batch_field_is_named() {
    let (server, _farm, _ids) = start_server_with_farm(1).await;
    for (field, value, pointer) in [
        ("command", json!("explode"), "/command"),
        ("max_in_flight", json!(-1), "/max_in_flight"),
        ("max_in_flight", json!(1e300), "/max_in_flight"),
        ("max_in_flight", json!(99_999_999_999_u64), "/max_in_flight"),
        ("interval_ms", json!(3_600_001), "/interval_ms"),
        ("expires_in_s", json!(0), "/expires_in_s"),
        ("expires_in_s", json!(1.5), "/expires_in_s"),
        ("window_s", json!("1h"), "/window_s"),
        ("plate", json!("assume_clear"), "/plate"),
        ("file", json!({"path": "a.gcode"}), "/file"),
        ("file", json!({"name": "a.gcode"}), "/file/name"),
        ("expected_job", json!({"print_id": "x"}), "/expected_job/print_id"),
        ("not_before", json!("tomorrow"), "/not_before"),
        ("not_before", json!("9999-01-01T00:00:00Z"), "/not_before"),
        ("when_unreachable", json!("hope"), "/when_unreachable"),
        ("expect_total", json!(-1), "/expect_total"),
        ("force", json!(true), "/force"),
        ("reason", json!("a\u{0}b"), "/reason"),
        ("dryrun", json!(true), "/dryrun"),
    ] {
        let mut body = json!({"command": "pause", "select": {"all": true}});
        body[field] = value;
        let refused = server.post("/api/v1/batches", body).await;
        assert_problem(&refused, 422, "invalid_input");
        assert_eq!(refused.1["errors"][0]["pointer"], pointer, "{}", refused.1);
    }
}

#[tokio::test]
async fn a_batch_with_another_total_than_expected_is_refused() {
    let (server, _farm, _ids) = start_server_with_farm(2).await;
    let refused =
        server.post("/api/v1/batches", json!({"command": "pause", "select": {"all": true}, "expect_total": 3})).await;
    assert_problem(&refused, 409, "selection_changed");
    assert_eq!(refused.1["total"], 2);
    assert_eq!(server.get("/api/v1/batches").await.1["items"], json!([]));
}

#[tokio::test]
async fn commands_of_a_batch_are_paged_and_filtered() {
    let (server, _farm, ids) = start_server_with_farm(3).await;
    let missing = uuid::Uuid::nil();
    let body = json!({"command": "start", "select": {"printer_ids": [missing, ids[0], ids[1], ids[2]]}});
    let (_, batch, _) = server.post_and_wait("/api/v1/batches", body).await;
    assert_eq!(batch["result"], "partial", "{batch}");
    let path = format!("{}/commands", batch_path(&batch));
    let rows = async |query: &str| {
        let (status, page, _) = server.get(&format!("{path}?{query}")).await;
        assert_eq!(status, StatusCode::OK, "{page}");
        page["items"].as_array().expect("items").iter().map(|row| row["printer_id"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(rows("outcome=rejected").await, [json!(missing)]);
    assert_eq!(rows("outcome=rejected,confirmed").await.len(), 4);
    assert_eq!(rows("effect=done").await, [json!(ids[0]), json!(ids[1]), json!(ids[2])]);
    assert_eq!(rows("effect=done&outcome=rejected").await, Vec::<Value>::new());
    let (_, first, _) = server.get(&format!("{path}?limit=3")).await;
    let cursor = first["next_cursor"].as_str().expect("a next page");
    assert_eq!(rows(&format!("limit=3&cursor={cursor}")).await, [json!(ids[2])]);
    assert_problem(&server.get(&format!("{path}?outcome=perfect")).await, 422, "invalid_query");
    let nowhere = format!("/api/v1/batches/{missing}/commands");
    assert_problem(&server.get(&nowhere).await, 404, "not_found");
    assert_problem(&server.get(&format!("/api/v1/batches/{missing}")).await, 404, "not_found");
    let stop = server.post(&format!("/api/v1/batches/{missing}/stop"), json!({})).await;
    assert_problem(&stop, 404, "not_found");
}

#[tokio::test]
async fn batches_are_listed_newest_first_without_their_commands() {
    let (server, _farm, _ids) = start_server_with_farm(1).await;
    for (command, name) in [("start", "A"), ("pause", "B"), ("cancel", "B")] {
        let body = json!({"command": command, "select": {"all": true}, "external_ref": name});
        server.post_and_wait("/api/v1/batches", body).await;
    }
    let commands = async |query: &str| {
        let (_, page, _) = server.get(&format!("/api/v1/batches?{query}")).await;
        let items = page["items"].as_array().expect("items").clone();
        assert!(items.iter().all(|item| item.get("commands").is_none() && item["counts"]["total"] == 1), "{page}");
        items.iter().map(|item| item["command"].as_str().expect("text").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(commands("").await, ["cancel", "pause", "start"]);
    assert_eq!(commands("external_ref=B").await, ["cancel", "pause"]);
    assert_eq!(commands("command=pause").await, ["pause"]);
    assert_eq!(commands("state=running").await, Vec::<String>::new());
    assert_eq!(commands("since=2999-01-01T00:00:00Z").await, Vec::<String>::new());
    assert_eq!(commands("since=2020-01-01T00:00:00%2B02:00").await.len(), 3);
}

#[tokio::test]
async fn a_retry_repeats_the_commands_with_the_selected_outcomes() {
    let (server, farm, ids) = start_server_with_farm(2).await;
    farm.printers()[0].set_fault(Some(printyard::simulator::Fault::Refuse));
    let batch_body = json!({"command": "start", "select": {"printer_ids": [ids[0], ids[1]]}, "reason": "again"});
    let (_, batch, _) = server.post_and_wait("/api/v1/batches", batch_body).await;
    assert_eq!(list_outcomes(&batch), ["unreachable", "confirmed"], "{batch}");
    farm.printers()[0].set_fault(None);
    let path = format!("{}/retry", batch_path(&batch));
    let (status, retried, headers) = server.post_and_wait(&path, json!({"outcomes": ["unreachable"]})).await;
    assert_eq!((status, &retried["retry_of"]), (StatusCode::MULTI_STATUS, &batch["id"]), "{retried}");
    assert_eq!(
        (&headers["location"], &retried["reason"]),
        (&batch_path(&retried).parse().expect("a value"), &json!("again"))
    );
    assert_eq!((list_outcomes(&retried), &retried["commands"][0]["printer_id"]), (vec!["confirmed"], &json!(ids[0])));
    for (body, pointer) in [
        (json!({}), "/outcomes"),
        (json!({"outcomes": []}), "/outcomes"),
        (json!({"outcomes": ["queued"]}), "/outcomes/0"),
        (json!({"outcomes": ["unknown"], "after_look": true}), "/after_look"),
        (json!({"outcomes": ["nothing"]}), "/outcomes/0"),
    ] {
        let refused = server.post(&path, body).await;
        assert_problem(&refused, 422, "invalid_input");
        assert_eq!(refused.1["errors"][0]["pointer"], pointer, "{}", refused.1);
    }
    assert_problem(&server.post(&path, json!({"outcomes": ["expired"]})).await, 422, "nothing_selected");
    let unchecked = server.post(&path, json!({"outcomes": ["expired", "unknown"]})).await;
    assert_problem(&unchecked, 409, "needs_operator_check");
    let checked = server.post(&path, json!({"outcomes": ["expired", "unknown"], "operator_checked": true})).await;
    assert_problem(&checked, 422, "nothing_selected");
    let mut later = json!({"command": "pause", "select": {"all": true}});
    later["not_before"] = json!(printyard::clock::now() + chrono::TimeDelta::hours(1));
    let (_, open, _) = server.post("/api/v1/batches", later).await;
    assert_eq!(open["state"], "scheduled", "{open}");
    let early = server.post(&format!("{}/retry", batch_path(&open)), json!({"outcomes": ["expired"]})).await;
    assert_problem(&early, 409, "batch_not_finished");
}

#[tokio::test]
async fn a_job_request_returns_the_row_of_its_printer() {
    let (server, _farm, ids) = start_server_with_farm(1).await;
    let path = format!("/api/v1/printers/{}/job", ids[0]);
    let (status, dry, _) = server.post(&path, json!({"command": "start", "dry_run": true})).await;
    assert_eq!((status, &dry["would"]), (StatusCode::OK, &json!("send")), "{dry}");
    let other = json!({"command": "start", "expected_job": {"path": "other.gcode"}});
    let (status, row, headers) = server.post_and_wait(&path, other).await;
    assert_eq!((status, &row["reason"]), (StatusCode::OK, &json!("job_changed")), "{row}");
    assert_eq!(headers["preference-applied"], "wait=30");
    let named =
        json!({"command": "start", "file": {"path": "calibration/cube.gcode"}, "max_in_flight": 1, "expect_total": 1});
    let (status, row, _) = server.post_and_wait(&path, named).await;
    assert_eq!((status, &row["outcome"]), (StatusCode::OK, &json!("confirmed")), "{row}");
    let (status, row, headers) = server.post(&path, json!({"command": "cancel"})).await;
    assert_eq!((status, &row["final"]), (StatusCode::ACCEPTED, &json!(false)), "{row}");
    let location = headers["location"].to_str().expect("text");
    assert_eq!(location, format!("/api/v1/batches/{}", row["batch_id"].as_str().expect("an id")));
    let (_, batch, _) = send_request(server.request(Method::GET, location).header("Prefer", "wait=30")).await;
    assert_eq!(list_outcomes(&batch), ["confirmed"], "{batch}");
    let unknown_printer = format!("/api/v1/printers/{}/job", uuid::Uuid::nil());
    assert_problem(&server.post(&unknown_printer, json!({"command": "cancel"})).await, 404, "not_found");
    let select = server.post(&path, json!({"command": "cancel", "select": {"all": true}})).await;
    assert_problem(&select, 422, "invalid_input");
    assert_eq!(select.1["errors"][0]["pointer"], "/select");
}

#[tokio::test]
async fn a_print_occupies_its_plate_until_it_is_cleared() {
    let (server, farm) = (TestServer::start().await, start_farm(1).await);
    let printer = &farm.printers()[0];
    printer.put_file("short.gcode", printyard::simulator::sample_gcode(20));
    let id = server.register_printer(printer).await;
    server.until_online(&id).await;
    let job = format!("/api/v1/printers/{id}/job");
    let start = json!({"command": "start", "file": {"path": "short.gcode"}});
    let (_, row, _) = server.post_and_wait(&job, start.clone()).await;
    assert_eq!(row["outcome"], "confirmed", "{row}");
    let print = row["print_id"].as_str().expect("a print").to_owned();
    let clear = async |body: Value| {
        let (status, body, _) = server.post("/api/v1/plates/clear", body).await;
        assert_eq!(status, StatusCode::MULTI_STATUS, "{body}");
        body["items"].as_array().expect("items").iter().map(|item| item["result"].clone()).collect::<Vec<_>>()
    };
    let prints = format!("/api/v1/prints?printer_id={id}");
    let ended = wait::until("the print has ended", Duration::from_secs(30), async || {
        let (_, page, _) = server.get(&format!("{prints}&state=done")).await;
        page["items"].get(0).cloned()
    })
    .await;
    assert_eq!((&ended["id"], &ended["file"]["path"]), (&json!(print), &json!("short.gcode")), "{ended}");
    assert_eq!((&ended["started_by"]["kind"], &ended["started_by"]["command_id"]), (&json!("command"), &row["id"]));
    assert_eq!(server.get(&format!("/api/v1/prints/{print}")).await.1, ended);
    assert_eq!(server.get(&format!("{prints}&state=open")).await.1["items"], json!([]));
    let (_, row, _) = server.post_and_wait(&job, start.clone()).await;
    assert_eq!((&row["outcome"], &row["reason"]), (&json!("rejected"), &json!("plate_not_clear")), "{row}");
    let unknown_id = uuid::Uuid::nil();
    assert_eq!(clear(json!({"plates": [{"printer_id": id, "print_id": unknown_id}]})).await, ["plate_changed"]);
    assert_eq!(clear(json!({"plates": [{"printer_id": id, "print_id": print}]})).await, ["cleared"]);
    assert_eq!(clear(json!({"printer_ids": [id, unknown_id]})).await, ["already_clear", "not_found"]);
    let (_, row, _) = server.post_and_wait(&job, start).await;
    assert_eq!(row["outcome"], "confirmed", "{row}");
}

#[tokio::test]
async fn a_plate_clear_request_selects_plates_in_one_way() {
    let server = TestServer::start().await;
    let id = uuid::Uuid::nil();
    for (body, pointer) in [
        (json!({}), ""),
        (json!({"printer_ids": []}), "/printer_ids"),
        (json!({"plates": []}), "/plates"),
        (json!({"printer_ids": [id], "plates": []}), "/plates"),
        (json!({"printer_ids": ["x"]}), "/printer_ids/0"),
        (json!({"plates": [{"printer_id": id}]}), "/plates/0/print_id"),
        (json!({"plates": [[id, id]]}), "/plates/0"),
    ] {
        let refused = server.post("/api/v1/plates/clear", body).await;
        assert_problem(&refused, 422, "invalid_input");
        assert_eq!(refused.1["errors"][0]["pointer"], pointer, "{}", refused.1);
    }
}

#[tokio::test]
async fn without_the_plate_gate_an_occupied_plate_blocks_no_start() {
    let server = TestServer::start_with(ServerOptions { plate_gate: false, ..ServerOptions::default() }).await;
    let farm = start_farm(1).await;
    let id = server.register_printer(&farm.printers()[0]).await;
    server.until_online(&id).await;
    let job = format!("/api/v1/printers/{id}/job");
    for command in ["start", "cancel", "start"] {
        let (_, row, _) = server.post_and_wait(&job, json!({"command": command})).await;
        assert_eq!(row["outcome"], "confirmed", "{command}: {row}");
    }
}

#[tokio::test]
async fn a_batch_survives_a_server_restart() {
    let (server, _farm, _ids) = start_server_with_farm(1).await;
    let (_, batch, _) =
        server.post_and_wait("/api/v1/batches", json!({"command": "start", "select": {"all": true}})).await;
    let server = server.restart().await;
    assert_eq!(server.get(&batch_path(&batch)).await.1, batch);
}

#[tokio::test]
#[ignore = "needs PostgreSQL, which tests/run provides"]
async fn the_main_requests_work_on_postgresql() {
    let database = needs!(create_fresh_database().await);
    let server =
        TestServer::start_with(ServerOptions { database_url: Some(database.url.clone()), ..ServerOptions::default() })
            .await;
    let farm = start_farm(2).await;
    for printer in farm.printers() {
        let id = server.register_printer_with(printer, json!({"tags": ["hall-a"], "bed_mm": [1, 2.5, 3]})).await;
        server.until_online(&id).await;
    }
    let body = json!({"command": "start", "select": {"tags_all": ["hall-a"]}, "external_ref": "PP-1"});
    let (status, batch, _) = server.post_and_wait("/api/v1/batches", body).await;
    assert_eq!((status, &batch["result"]), (StatusCode::MULTI_STATUS, &json!("ok")), "{batch}");
    let pause = json!({"command": "pause", "select": {"batch_id": batch["id"], "outcomes": ["confirmed"]}});
    let (_, paused, _) = server.post_and_wait("/api/v1/batches", pause).await;
    assert_eq!(paused["counts"]["total"], 2, "{paused}");
    for (path, items) in [
        ("printers?tag=hall-a&q=SIM&limit=1", 1),
        ("printers?state=paused", 2),
        ("batches?external_ref=PP-1&state=finished&command=start&since=2020-01-01T00:00:00Z", 1),
        ("prints?state=open&since=2020-01-01T00:00:00Z", 2),
        ("prints?state=done", 0),
        ("tokens", 0),
    ] {
        let (status, page, _) = server.get(&format!("/api/v1/{path}")).await;
        assert_eq!((status, page["items"].as_array().map(Vec::len)), (StatusCode::OK, Some(items)), "{path}: {page}");
    }
    let (status, page, _) = server.get(&format!("{}/commands?effect=done&limit=1", batch_path(&batch))).await;
    assert_eq!((status, page["next_cursor"].is_string()), (StatusCode::OK, true), "{page}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_limit_of_100_scheduled_batches_is_per_principal() {
    let (server, _farm, printers) = start_server_with_farm(1).await;
    let scheduled = |not_before: &str| {
        let select = json!({"printer_ids": [printers[0]]});
        json!({"command": "cancel", "select": select, "not_before": not_before})
    };
    let later = (printyard::clock::now() + chrono::TimeDelta::days(300)).to_rfc3339();
    let (_, made, _) = server.post("/api/v1/tokens", json!({"name": "greedy", "role": "operator"})).await;
    let (id, greedy) = (made["id"].as_str().expect("an id"), made["token"].as_str().expect("a token").to_owned());
    let schedule = async |token: &str| {
        send_request(
            server.request_without_auth(Method::POST, "/api/v1/batches").bearer_auth(token).json(&scheduled(&later)),
        )
        .await
    };
    // Several requests at once: the server must check the limit and count the batch in one step.
    let mut accepted = 0;
    for _ in 0..3 {
        let answers = futures_util::future::join_all((0..40).map(|_| schedule(&greedy))).await;
        accepted += answers.iter().filter(|got| got.0 == StatusCode::ACCEPTED).count();
    }
    assert_eq!(accepted, 100);
    assert_problem(&schedule(&greedy).await, 409, "too_many_scheduled");
    // The token's successor is the same principal.
    let (_, rotated, _) = server.post(&format!("/api/v1/tokens/{id}/rotate"), json!({"overlap_s": 3_600})).await;
    let successor = rotated["token"].as_str().expect("a token");
    assert_problem(&schedule(successor).await, 409, "too_many_scheduled");
    // The limit does not affect other principals. This principal can still send a batch that starts at once.
    let other = server.create_token("operator").await;
    assert_eq!(schedule(&other).await.0, StatusCode::ACCEPTED);
    let cancel = json!({"command": "cancel", "select": {"all": true}});
    let now = server.request_without_auth(Method::POST, "/api/v1/batches").bearer_auth(&greedy).json(&cancel);
    assert!(send_request(now).await.0.is_success());
    // The limit still holds after a restart, when the server reads the scheduled batches from the command log.
    let server = server.restart().await;
    let retry =
        server.request_without_auth(Method::POST, "/api/v1/batches").bearer_auth(successor).json(&scheduled(&later));
    assert_problem(&send_request(retry).await, 409, "too_many_scheduled");
    assert!(server.post("/api/v1/batches", cancel).await.0.is_success());
}
