//! Two concurrent requests: in any order of execution, no rule is broken.
//!
//! Checked before writing: names and addresses of printers, user names, the last admin, versions (`If-Match`), removal
//! during a change, plates, and the stop of a batch. `storage/` and `api/idempotency.rs` test set-up links, limits of
//! webhooks and idempotency keys.

use futures_util::future::join;
use printyard::simulator::MachineAction;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{
    server::{DEADLINE, JsonResponse, TestServer, send_request, start_server_with_farm},
    wait::until,
};

/// How often each race runs.
const ROUNDS: usize = 12;

/// Returns the statuses of both responses, the smaller one first.
fn sorted_statuses(both: (JsonResponse, JsonResponse)) -> [StatusCode; 2] {
    let mut statuses = [both.0.0, both.1.0];
    statuses.sort();
    statuses
}

async fn patch_version(server: &TestServer, path: &str, version: &str, body: Value) -> JsonResponse {
    send_request(server.request(Method::PATCH, path).header("If-Match", version).json(&body)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn two_requests_with_one_name_create_one_resource() {
    let server = TestServer::start().await;
    for round in 0..ROUNDS {
        let printer = |n: usize| json!({"name": format!("p{round}"), "url": format!("http://p{round}-{n}.invalid"), "enabled": false});
        let both = join(server.post("/api/v1/printers", printer(1)), server.post("/api/v1/printers", printer(2))).await;
        assert_eq!(sorted_statuses(both), [StatusCode::CREATED, StatusCode::CONFLICT]);
        let same = |n: usize| json!({"name": format!("q{round}-{n}"), "url": format!("http://q{round}.invalid"), "enabled": false});
        let both = join(server.post("/api/v1/printers", same(1)), server.post("/api/v1/printers", same(2))).await;
        assert_eq!(sorted_statuses(both), [StatusCode::CREATED, StatusCode::CONFLICT]);
        let user = || json!({"name": format!("u{round}"), "role": "viewer"});
        let both = join(server.post("/api/v1/users", user()), server.post("/api/v1/users", user())).await;
        assert_eq!(sorted_statuses(both), [StatusCode::CREATED, StatusCode::CONFLICT]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_admins_who_demote_each_other_leave_one_admin() {
    let server = TestServer::start().await;
    let admin = async |name: &str| {
        let body = json!({"name": name, "role": "admin", "password": "correct horse battery"});
        let (status, user, _) = server.post("/api/v1/users", body).await;
        assert_eq!(status, StatusCode::CREATED, "{user}");
        format!("/api/v1/users/{}", user["id"].as_str().expect("an id"))
    };
    let (ann, ben) = (admin("ann").await, admin("ben").await);
    for _ in 0..ROUNDS {
        let viewer = || json!({"role": "viewer"});
        let both = join(server.patch(&ann, viewer()), server.patch(&ben, viewer())).await;
        assert_eq!(sorted_statuses(both), [StatusCode::OK, StatusCode::CONFLICT]);
        for path in [&ann, &ben] {
            assert_eq!(server.patch(path, json!({"role": "admin"})).await.0, StatusCode::OK);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_changes_of_one_version_store_one() {
    let server = TestServer::start().await;
    let printer = json!({"name": "one", "url": "http://one.invalid", "enabled": false});
    let hook = json!({"url": "http://127.0.0.1:9/hook", "types": ["printer.registered"], "enabled": false});
    for (list, body, field) in [("printers", printer, "notes"), ("webhooks", hook, "description")] {
        let (_, created, headers) = server.post(&format!("/api/v1/{list}"), body).await;
        let path = format!("/api/v1/{list}/{}", created["id"].as_str().expect("an id"));
        let mut version = headers["etag"].to_str().expect("a text").to_owned();
        for round in 0..ROUNDS {
            let change = |n: usize| json!({field: format!("{round} {n}")});
            let one = patch_version(&server, &path, &version, change(1));
            let both = join(one, patch_version(&server, &path, &version, change(2))).await;
            assert_eq!(sorted_statuses(both), [StatusCode::OK, StatusCode::PRECONDITION_FAILED], "{list}");
            let (_, _, headers) = server.get(&path).await;
            version = headers["etag"].to_str().expect("a text").to_owned();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_printer_removed_during_a_change_is_gone() {
    let server = TestServer::start().await;
    for round in 0..ROUNDS {
        let printer = json!({"name": format!("p{round}"), "url": format!("http://p{round}.invalid")});
        let (_, created, _) = server.post("/api/v1/printers", printer).await;
        let path = format!("/api/v1/printers/{}", created["id"].as_str().expect("an id"));
        let (removed, changed) = join(server.delete(&path), server.patch(&path, json!({"notes": "x"}))).await;
        assert_eq!(removed.0, StatusCode::NO_CONTENT);
        assert!([StatusCode::OK, StatusCode::NOT_FOUND].contains(&changed.0), "{changed:?}");
        assert_eq!(server.get(&path).await.0, StatusCode::NOT_FOUND);
        assert!(server.services.fleet().running_actors().is_empty(), "no actor is left");
    }
}

/// Waits until a print has ended and is on the plate.
async fn until_occupied(server: &TestServer, id: &str) {
    until("the print is on the plate", DEADLINE, async || {
        let (_, printer, _) = server.get(&format!("/api/v1/printers/{id}")).await;
        // The plate is occupied when the print starts, and the printer's state may change later.
        let (_, prints, _) = server.get(&format!("/api/v1/prints?printer_id={id}")).await;
        let mut of_plate = prints["items"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|print| print["id"] == printer["plate"]["print_id"]);
        let is_over = printer["plate"]["state"] == "occupied"
            && of_plate.any(|print| !print["ended_at"].is_null())
            && printer["status"]["state"] == "operational";
        if is_over { Ok(()) } else { Err(printer) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plate_is_cleared_once_and_a_batch_stopped_once() {
    let (server, farm, ids) = start_server_with_farm(1).await;
    for round in 0..ROUNDS {
        farm.printers()[0].perform(MachineAction::StartSelected);
        until_occupied(&server, &ids[0]).await;
        let clear = || json!({"printer_ids": ids});
        let (one, two) =
            join(server.post("/api/v1/plates/clear", clear()), server.post("/api/v1/plates/clear", clear())).await;
        let mut results = [&one.1["items"][0]["result"], &two.1["items"][0]["result"]].map(Value::to_string);
        results.sort();
        assert_eq!(results, ["\"already_clear\"", "\"cleared\""], "round {round}");
    }
    let due = printyard::clock::now() + chrono::TimeDelta::hours(1);
    let batch = json!({"command": "cancel", "select": {"all": true}, "not_before": due});
    let (_, batch, _) = server.post("/api/v1/batches", batch).await;
    let path = format!("/api/v1/batches/{}/stop", batch["id"].as_str().expect("an id"));
    let both = join(server.post(&path, json!({})), server.post(&path, json!({}))).await;
    assert_eq!(sorted_statuses(both), [StatusCode::OK; 2]);
    let (_, events, _) = server.get("/api/v1/events?types=batch.finished").await;
    let of_batch =
        events["items"].as_array().into_iter().flatten().filter(|event| event["data"]["batch_id"] == batch["id"]);
    assert_eq!(of_batch.count(), 1, "{events}");
}
