//! From the printer registry to the fleet: after any interrupted request, each enabled printer has an actor with its
//! newest row.

use std::{
    collections::{BTreeSet, HashSet},
    pin::pin,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use futures_util::FutureExt;
use printyard::{domain::audit::ActorKind, service::access::Principal, simulator::sample_gcode, storage::Db};
use reqwest::StatusCode;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    storage::databases::execute,
    support::{
        server::{ServerOptions, TestServer, start_farm, start_server_with_farm},
        wait,
    },
};

/// Longer than the period of the task, on a busy machine too.
const SOON: Duration = Duration::from_secs(20);

/// Returns the ids of the printers with a tag.
async fn list_tagged_ids(server: &TestServer, tag: &str) -> HashSet<Uuid> {
    list_ids(server, &format!("/api/v1/printers?limit=500&tag={tag}")).await
}

/// Returns the ids of all printers.
async fn list_all_ids(server: &TestServer) -> HashSet<Uuid> {
    list_ids(server, "/api/v1/printers?limit=500").await
}

async fn list_ids(server: &TestServer, path: &str) -> HashSet<Uuid> {
    let (status, body, _) = server.get(path).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    let items = body["items"].as_array().expect("items");
    items.iter().map(|item| item["id"].as_str().and_then(|id| id.parse().ok()).expect("an id")).collect()
}

/// Polls a future until a condition holds, then drops it. Returns whether the future was still pending.
async fn drop_when(condition: impl AsyncFn() -> bool, future: impl Future) -> bool {
    let mut future = pin!(future);
    while !condition().await {
        if future.as_mut().now_or_never().is_some() {
            return false;
        }
    }
    true
}

/// Polls a future `polls` times, then drops it.
async fn drop_after(polls: usize, future: impl Future) {
    let left = AtomicUsize::new(polls);
    drop_when(async || left.fetch_sub(1, Ordering::Relaxed) == 0, future).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_that_is_dropped_at_any_moment_leaves_no_printer_without_its_actor() {
    let server = TestServer::start().await;
    let principal = Principal::server_admin(ActorKind::Terminal);
    let list = |tag: &str| {
        let row = |n: usize| format!("{tag}-{n},http://127.0.0.1:9/{tag}/{n},{tag}\n");
        format!("name,url,tags\n{}", (0..20).map(row).collect::<String>())
    };
    for polls in 0..20 {
        let list = list(&format!("early-{polls}"));
        drop_after(polls, server.services.import_printers(&principal, &list, 20)).await;
    }
    let is_stored = async || !list_tagged_ids(&server, "stored").await.is_empty();
    let list = list("stored");
    assert!(drop_when(is_stored, server.services.import_printers(&principal, &list, 20)).await, "after the commit");
    wait::until("every printer has an actor", SOON, async || {
        let (running, all) = (server.services.fleet().running_actors(), list_all_ids(&server).await);
        if all.len() >= 20 && running == all { Ok(()) } else { Err((running.len(), all.len())) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removal_that_is_dropped_at_any_moment_leaves_no_actor_without_its_printer() {
    let server = TestServer::start().await;
    let principal = Principal::server_admin(ActorKind::Terminal);
    let register_printer = async |name: &str| {
        let printer = json!({"name": name, "url": format!("http://127.0.0.1:9/{name}"), "tags": [name]});
        let (status, body, _) = server.post("/api/v1/printers", printer).await;
        assert_eq!(status, StatusCode::CREATED, "{body}");
        let id: Uuid = body["id"].as_str().and_then(|id| id.parse().ok()).expect("an id");
        assert!(server.services.fleet().running_actors().contains(&id), "at once");
        id
    };
    for polls in 0..20 {
        let id = register_printer(&format!("early-{polls}")).await;
        drop_after(polls, server.services.remove_printer(&principal, id)).await;
    }
    let id = register_printer("removed").await;
    let is_gone = async || list_tagged_ids(&server, "removed").await.is_empty();
    assert!(drop_when(is_gone, server.services.remove_printer(&principal, id)).await, "after the commit");
    wait::until("the actors are those of the registry", SOON, async || {
        let (running, all) = (server.services.fleet().running_actors(), list_all_ids(&server).await);
        if !running.contains(&id) && running == all { Ok(()) } else { Err((running, all)) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_print_of_a_removed_printer_ends_once_with_an_unknown_result() {
    let (server, farm, ids) = start_server_with_farm(1).await;
    let id = &ids[0];
    farm.printers()[0].put_file("part.gcode", sample_gcode(10_000));
    let start = json!({"command": "start", "select": {"all": true}, "file": {"path": "part.gcode"}});
    let (_, batch, _) = server.post_and_wait("/api/v1/batches", start).await;
    assert_eq!(batch["result"], "ok", "{batch}");
    let (status, _, _) = server.delete(&format!("/api/v1/printers/{id}")).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    let print = wait::until("the print has ended", SOON, async || {
        let (_, prints, _) = server.get("/api/v1/prints").await;
        if prints["items"][0]["ended_at"].is_string() { Ok(prints["items"][0].clone()) } else { Err(prints) }
    })
    .await;
    assert_eq!((&print["result"], &print["started_by"]["kind"]), (&json!("unknown"), &json!("command")), "{print}");
    let (_, events, _) = server.get("/api/v1/events?types=print.unknown").await;
    assert_eq!(events["items"].as_array().map(Vec::len), Some(1), "{events}");
    assert_eq!(events["items"][0]["data"]["print_id"], print["id"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_printer_that_is_toggled_without_pause_ends_as_its_row_says() {
    let (server, farm) = (TestServer::start().await, start_farm(1).await);
    let id = server.register_printer(&farm.printers()[0]).await;
    let path = format!("/api/v1/printers/{id}");
    for round in 0..3 {
        let switch = async |enabled: bool| {
            for _ in 0..10 {
                let (status, body, _) = server.patch(&path, json!({"enabled": enabled})).await;
                assert_eq!(status, StatusCode::OK, "{body}");
            }
        };
        tokio::join!(switch(true), switch(false));
        server.patch(&path, json!({"enabled": round != 1})).await;
        if round == 1 {
            let id: Uuid = id.parse().expect("an id");
            wait::until("it has no actor", SOON, async || !server.services.fleet().running_actors().contains(&id))
                .await;
        } else {
            server.until_online(&id).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_changes_are_all_stored_and_the_newest_address_is_used() {
    let (server, farm) = (TestServer::start().await, start_farm(2).await);
    let printer = &farm.printers()[1];
    let id = server.register_printer(&farm.printers()[0]).await;
    let path = format!("/api/v1/printers/{id}");
    let patches = (0..6).map(|n| {
        let patch = if n % 2 == 0 { json!({"notes": n.to_string()}) } else { json!({"material": n.to_string()}) };
        server.patch(&path, patch)
    });
    let moved = server.patch(&path, json!({"url": printer.url(), "api_key": printer.api_key()}));
    let (answers, (status, body, _)) = tokio::join!(futures_util::future::join_all(patches), moved);
    assert_eq!(status, StatusCode::OK, "{body}");
    let statuses: BTreeSet<StatusCode> = answers.iter().map(|(status, ..)| *status).collect();
    assert_eq!(statuses, [StatusCode::OK].into(), "{answers:?}");
    let (_, body, _) = server.get(&path).await;
    assert_eq!(body["url"], printer.url(), "{body}");
    assert!(body["notes"].is_string() && body["material"].is_string(), "{body}");
    let received = printer.received_requests().len();
    wait::until("the new address is used", SOON, async || {
        printer.received_requests().len() > received || printer.listener_count() > 0
    })
    .await;
    server.until_online(&id).await;
}

/// Returns how many printers the task could not apply.
async fn count_behind(server: &TestServer) -> Option<u64> {
    server.services.background().run_now("printer_registry").await.expect("the task exists").behind
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_row_leaves_out_its_printer_only_until_it_is_repaired() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("sqlite:{}", folder.path().join("test.db").display());
    let server =
        TestServer::start_with(ServerOptions { database_url: Some(url.clone()), ..ServerOptions::default() }).await;
    let farm = start_farm(2).await;
    let [damaged, other] =
        [server.register_printer(&farm.printers()[0]).await, server.register_printer(&farm.printers()[1]).await];
    for id in [&damaged, &other] {
        server.until_online(id).await;
    }
    let db = Db::connect(&url).await.expect("the same database");
    let name = farm.printers()[0].name();
    execute(&db, &format!("update printers set api_key = x'00', version = version + 1 where name = '{name}'")).await;
    assert_eq!(count_behind(&server).await, Some(1));
    let (status, body, _) = server.patch(&format!("/api/v1/printers/{other}"), json!({"name": "other"})).await;
    assert_eq!((status, &body["status"]["reachability"]), (StatusCode::OK, &json!("online")), "{body}");

    let server = server.restart().await;
    server.until_online(&other).await;
    let path = format!("/api/v1/printers/{damaged}");
    let (_, body, _) = server.get(&path).await;
    assert!(body["status"]["error"].as_str().is_some_and(|error| error.contains("cannot be read")), "{body}");
    let key = farm.printers()[0].api_key();
    assert_eq!(server.patch(&path, json!({"api_key": key})).await.0, StatusCode::OK);
    server.until_online(&damaged).await;
    assert_eq!(count_behind(&server).await, Some(0));
    // A row that cannot be read at all does not hide other rows from the fleet.
    execute(&db, &format!("update printers set bed_mm = '[1]', version = version + 1 where name = '{name}'")).await;
    let (status, body, _) = server.patch(&format!("/api/v1/printers/{other}"), json!({"enabled": false})).await;
    assert_eq!((status, &body["enabled"]), (StatusCode::OK, &Value::Bool(false)), "{body}");
    let other: Uuid = other.parse().expect("an id");
    wait::until("the other has no actor", SOON, async || !server.services.fleet().running_actors().contains(&other))
        .await;
    assert_eq!(count_behind(&server).await, Some(1));
    assert_eq!(count_behind(&server.restart().await).await, Some(1), "the damaged row does not prevent a start");
    db.close().await;
}
