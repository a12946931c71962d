//! The printer registry over HTTP: adding, changing and removing printers, and concurrent changes.

use std::time::Duration;

use printyard::{simulator::SimulatedPrinter, storage::Db};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::problems::assert_problem;
use crate::{
    storage::databases::execute,
    support::{
        server::{ServerOptions, TestServer, send_request, start_farm, start_server_with_farm},
        wait,
    },
};

fn full_printer() -> Value {
    json!({
        "name": "MK4-017", "url": "HTTP://127.0.0.1:1/farm//seventeen/", "api_key": "s3cr3t-key", "tags": ["petg", "hall-a"],
        "enabled": false, "model": "MK4", "material": "PETG", "color": "#000000", "nozzle_mm": 0.4,
        "bed_mm": [250, 210, 220], "power_group": "a-3", "notes": "by the door"
    })
}

#[tokio::test]
async fn a_registered_printer_has_the_sent_fields_and_hides_its_key() {
    let server = TestServer::start().await;
    let (status, made, headers) = server.post("/api/v1/printers", full_printer()).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    let path = headers["location"].to_str().expect("text");
    assert_eq!(path, format!("/api/v1/printers/{}", made["id"].as_str().expect("an id")));
    let (status, read, read_headers) = server.get(path).await;
    assert_eq!((status, &read), (StatusCode::OK, &made));
    assert_eq!(headers["etag"], "\"v1\"");
    assert_eq!(read_headers["etag"], headers["etag"]);
    assert_eq!(read_headers["cache-control"], "no-store");
    assert_eq!(read["url"], "http://127.0.0.1:1/farm/seventeen");
    assert_eq!(read["tags"], json!(["hall-a", "petg"]));
    for field in ["name", "enabled", "model", "material", "color", "nozzle_mm", "power_group", "notes"] {
        assert_eq!(read[field], full_printer()[field], "{field}");
    }
    assert!(!read.to_string().contains("key"), "{read}");
    assert_eq!((&read["status"]["reachability"], &read["status"]["age_ms"]), (&json!("unknown"), &Value::Null));
    assert_eq!((&read["plate"]["state"], &read["job"]), (&json!("clear"), &Value::Null));
}

#[tokio::test]
async fn names_and_addresses_are_unique() {
    let server = TestServer::start().await;
    server.post("/api/v1/printers", full_printer()).await;
    let same_name = json!({"name": "MK4-017", "url": "http://127.0.0.1:2"});
    assert_problem(&server.post("/api/v1/printers", same_name).await, 409, "name_taken");
    let same_url = json!({"name": "other", "url": "http://127.0.0.1:1/farm/seventeen"});
    assert_problem(&server.post("/api/v1/printers", same_url).await, 409, "url_taken");
}

#[tokio::test]
async fn an_invalid_printer_field_is_named() {
    let server = TestServer::start().await;
    for (field, value, pointer) in [
        ("name", json!(" "), "/name"),
        ("name", json!(7), "/name"),
        ("name", json!("a\u{0}b"), "/name"),
        ("url", json!("ftp://a"), "/url"),
        ("url", json!("http://user:pw@a"), "/url"),
        ("bed_mm", json!([1, 2, 3, 4]), "/bed_mm"),
        ("url", json!("nonsense"), "/url"),
        ("api_key", json!("kéy"), "/api_key"),
        ("api_key", json!(""), "/api_key"),
        ("tags", json!(["ok", "a,b"]), "/tags/1"),
        ("tags", json!(["ok", 1]), "/tags/1"),
        ("enabled", json!("yes"), "/enabled"),
        ("color", json!("red"), "/color"),
        ("nozzle_mm", json!(-1), "/nozzle_mm"),
        ("bed_mm", json!([1, 2]), "/bed_mm"),
        ("bed_mm", json!([1, 2, "x"]), "/bed_mm/2"),
        ("bed_mm", json!([1, 2, 0]), "/bed_mm/2"),
        ("apikey", json!("typo"), "/apikey"),
        ("a/b~c", json!(1), "/a~1b~0c"),
    ] {
        let mut body = full_printer();
        body[field] = value;
        let refused = server.post("/api/v1/printers", body).await;
        assert_problem(&refused, 422, "invalid_input");
        assert_eq!(refused.1["errors"][0]["pointer"], pointer, "{}", refused.1);
    }
    for field in ["name", "url"] {
        let mut body = full_printer();
        body.as_object_mut().expect("an object").remove(field);
        let refused = server.post("/api/v1/printers", body).await;
        assert_eq!(refused.1["errors"][0]["pointer"], format!("/{field}"), "{}", refused.1);
        assert_eq!(refused.1["errors"][0]["code"], "required");
    }
}

#[tokio::test]
async fn a_patch_changes_only_its_fields_and_null_clears_them() {
    let server = TestServer::start().await;
    let (_, made, headers) = server.post("/api/v1/printers", full_printer()).await;
    let path = headers["location"].to_str().expect("text");
    let (status, changed, headers) =
        server.patch(path, json!({"model": null, "notes": null, "tags": null, "material": "PLA"})).await;
    assert_eq!(status, StatusCode::OK, "{changed}");
    assert_eq!(headers["etag"], "\"v2\"");
    assert_eq!((&changed["model"], &changed["notes"], &changed["tags"]), (&Value::Null, &json!(""), &json!([])));
    assert_eq!((&changed["material"], &changed["name"]), (&json!("PLA"), &made["name"]));
    for field in ["name", "url", "enabled"] {
        let refused = server.patch(path, json!({field: null})).await;
        assert_problem(&refused, 422, "invalid_input");
        assert_eq!(refused.1["errors"][0]["pointer"], format!("/{field}"));
    }
    assert_problem(&server.patch(path, json!({"id": "x"})).await, 422, "invalid_input");
    let merge = server.request(Method::PATCH, path).header("Content-Type", "application/merge-patch+json");
    let (status, changed, _) = send_request(merge.body(r#"{"notes":"x"}"#)).await;
    assert_eq!((status, &changed["notes"]), (StatusCode::OK, &json!("x")));
}

#[tokio::test]
async fn an_absent_key_is_kept_and_null_clears_it() {
    let (server, farm, ids) = start_server_with_farm(1).await;
    let path = format!("/api/v1/printers/{}", ids[0]);
    server.patch(&path, json!({"notes": "still here"})).await;
    assert_eq!(server.get(&format!("{path}/files")).await.0, StatusCode::OK);
    server.patch(&path, json!({"api_key": null})).await;
    assert_problem(&server.get(&format!("{path}/files")).await, 502, "printer_unauthorized");
    server.patch(&path, json!({"api_key": farm.printers()[0].api_key()})).await;
    assert_eq!(server.get(&format!("{path}/files")).await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_stale_version_is_not_overwritten() {
    let server = TestServer::start().await;
    let (_, _, headers) = server.post("/api/v1/printers", full_printer()).await;
    let path = headers["location"].to_str().expect("text").to_owned();
    let patch = |if_match: &str, notes: &str| {
        let request = server.request(Method::PATCH, &path).header("If-Match", if_match.as_bytes());
        send_request(request.json(&json!({"notes": notes})))
    };
    assert_eq!(patch("\"v1\"", "first").await.0, StatusCode::OK);
    assert_problem(&patch("\"v1\"", "second").await, 412, "stale");
    assert_eq!(patch("\"v7\", \"v2\"", "third").await.0, StatusCode::OK);
    assert_eq!(patch("*", "fourth").await.0, StatusCode::OK);
    for unreadable in ["v4", "W/\"v4\"", "\"4\"", "", "\u{e4}"] {
        assert_problem(&patch(unreadable, "fifth").await, 412, "stale");
    }
    assert_eq!(server.get(&path).await.1["notes"], "fourth");
}

#[tokio::test]
async fn a_removed_printer_is_gone_and_its_name_is_free() {
    let server = TestServer::start().await;
    let (_, _, headers) = server.post("/api/v1/printers", full_printer()).await;
    let path = headers["location"].to_str().expect("text");
    assert_eq!(server.delete(path).await.0, StatusCode::NO_CONTENT);
    assert_problem(&server.get(path).await, 404, "not_found");
    assert_problem(&server.delete(path).await, 404, "not_found");
    assert_problem(&server.patch(path, json!({"notes": ""})).await, 404, "not_found");
    assert_eq!(server.post("/api/v1/printers", full_printer()).await.0, StatusCode::CREATED);
}

#[tokio::test]
async fn pages_of_printers_show_each_once_in_the_order_of_names() {
    let server = TestServer::start().await;
    let mut names: Vec<String> = (0..7).map(|n| format!("printer {n}\\u00 é")).collect();
    for (n, name) in names.iter().enumerate().rev() {
        let body = json!({"name": name, "url": format!("http://127.0.0.1:{}", n + 1), "enabled": false});
        assert_eq!(server.post("/api/v1/printers", body).await.0, StatusCode::CREATED);
    }
    let (mut listed, mut path) = (Vec::new(), "/api/v1/printers?limit=3".to_owned());
    loop {
        let (status, page, _) = server.get(&path).await;
        assert_eq!(status, StatusCode::OK, "{page}");
        listed.extend(
            page["items"].as_array().expect("items").iter().map(|item| item["name"].as_str().map(str::to_owned)),
        );
        match page["next_cursor"].as_str() {
            Some(cursor) => path = format!("/api/v1/printers?limit=3&cursor={cursor}"),
            None => break,
        }
    }
    names.sort();
    assert_eq!(listed.into_iter().flatten().collect::<Vec<_>>(), names);
}

#[tokio::test]
async fn lists_filter_by_tag_text_state_and_reachability() {
    let (server, farm) = (TestServer::start().await, start_farm(1).await);
    let online = server.register_printer_with(&farm.printers()[0], json!({"tags": ["hall-a"], "name": "first"})).await;
    server.post("/api/v1/printers", json!({"name": "second", "url": "http://127.0.0.1:1", "enabled": false})).await;
    server.until_online(&online).await;
    for (query, names) in [
        ("tag=hall-a", vec!["first"]),
        ("tag=hall-b", vec![]),
        ("q=SECO", vec!["second"]),
        ("q=%25", vec![]),
        ("state=operational", vec!["first"]),
        ("state=unknown", vec!["second"]),
        ("reachability=online", vec!["first"]),
        ("tag=&q=", vec!["first", "second"]),
    ] {
        let (_, page, _) = server.get(&format!("/api/v1/printers?{query}")).await;
        let found: Vec<_> = page["items"].as_array().expect("items").iter().map(|item| &item["name"]).collect();
        assert_eq!(found, names, "{query}");
    }
}

#[tokio::test]
async fn the_observed_status_has_its_age() {
    let (server, _farm, ids) = start_server_with_farm(1).await;
    let (_, printer, _) = server.get(&format!("/api/v1/printers/{}", ids[0])).await;
    let status = &printer["status"];
    assert_eq!((&status["state"], &status["channel"]), (&json!("operational"), &json!("push")));
    assert!(status["age_ms"].as_i64().is_some_and(|age| age >= 0), "{status}");
    assert!(status["octoprint_version"].is_string() && status["observed_at"].is_string(), "{status}");
    assert_eq!(printer["job"]["file"]["path"], "bracket.gcode", "{printer}");
    assert_eq!(printer["job"]["print_id"], Value::Null);
}

#[tokio::test]
async fn a_connection_test_reports_what_it_finds_at_an_address() {
    let (server, farm) = (TestServer::start().await, start_farm(1).await);
    let printer = &farm.printers()[0];
    let test = async |body: Value| server.post("/api/v1/printers/test", body).await;
    let (status, report, _) = test(json!({"url": printer.url(), "api_key": printer.api_key()})).await;
    assert_eq!((status, &report["ok"], &report["code"]), (StatusCode::OK, &json!(true), &Value::Null), "{report}");
    assert!(report["user"].is_string() && report["octoprint_version"].is_string(), "{report}");
    let (_, report, _) = test(json!({"url": printer.url(), "api_key": "wrong"})).await;
    assert_eq!((&report["ok"], &report["reachability"]), (&json!(false), &json!("unauthorized")), "{report}");
    let (_, report, _) = test(json!({"url": "http://127.0.0.1:1"})).await;
    assert_eq!((&report["ok"], &report["reachability"]), (&json!(false), &json!("unreachable")), "{report}");
    assert_problem(&test(json!({"url": "gopher://a"})).await, 422, "invalid_input");
    assert_eq!(server.get("/api/v1/printers").await.1["items"], json!([]));
}

#[tokio::test]
async fn the_job_is_read_from_the_printer_now() {
    let (server, farm, ids) = start_server_with_farm(1).await;
    let path = format!("/api/v1/printers/{}/job", ids[0]);
    let (status, reading, _) = server.get(&path).await;
    assert_eq!((status, &reading["state"]), (StatusCode::OK, &json!("operational")));
    assert_eq!(reading["job"]["file"]["path"], "bracket.gcode");
    farm.printers()[0].set_fault(Some(printyard::simulator::Fault::Refuse));
    assert_problem(&server.get(&path).await, 504, "printer_unreachable");
}

#[tokio::test]
async fn a_snapshot_is_a_picture() {
    let (server, _farm, ids) = start_server_with_farm(1).await;
    let path = format!("/api/v1/printers/{}/snapshot", ids[0]);
    let response = server.request(Method::GET, &path).send().await.expect("an answer");
    assert_eq!(response.status(), StatusCode::OK);
    assert!(response.headers()["content-type"].to_str().expect("text").starts_with("image/"));
    assert_eq!(response.headers()["cache-control"], "no-store");
    assert!(!response.bytes().await.expect("a picture").is_empty());
}

#[tokio::test]
async fn metrics_count_the_printers() {
    let (server, _farm, _ids) = start_server_with_farm(2).await;
    let text = server.request(Method::GET, "/metrics").send().await.expect("an answer").text().await.expect("text");
    assert!(text.contains("printyard_printers{reachability=\"online\"} 2"), "{text}");
}

/// A damaged row affects only its own printer.
#[tokio::test]
async fn a_printer_with_a_damaged_address_is_skipped_until_it_gets_a_new_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let database_url = format!("sqlite:{}", folder.path().join("damaged.db").display());
    let options = ServerOptions { database_url: Some(database_url.clone()), ..ServerOptions::default() };
    let (mut server, farm) = (TestServer::start_with(options).await, start_farm(2).await);
    let [good, bad] = [&farm.printers()[0], &farm.printers()[1]];
    bad.put_file("a.gcode", "G28\nG1 X1\n");
    bad.select("a.gcode");
    let (good_id, bad_id) = (server.register_printer(good).await, server.register_printer(bad).await);
    server.until_online(&bad_id).await;
    let (status, job, _) =
        server.post_and_wait(&format!("/api/v1/printers/{bad_id}/job"), json!({"command": "start"})).await;
    assert_eq!(status, 200, "{job}");
    wait::until("the print has ended", Duration::from_secs(60), async || {
        let (_, printer, _) = server.get(&format!("/api/v1/printers/{bad_id}")).await;
        if printer["status"]["state"] == "operational" { Ok(()) } else { Err(printer) }
    })
    .await;
    server.shut_down().await;
    let db = Db::connect(&database_url).await.expect("the database");
    execute(&db, &format!("update printers set url = 'http:///' where name = '{}'", bad.name())).await;
    db.close().await;

    let server = server.start_again().await;
    server.until_online(&good_id).await;
    let path = format!("/api/v1/printers/{bad_id}");
    let (status, printer, _) = server.get(&path).await;
    assert_eq!((status, &printer["status"]["reachability"]), (StatusCode::OK, &json!("unknown")), "{printer}");
    assert!(printer["status"]["error"].as_str().is_some_and(|error| error.contains("address")), "{printer}");
    let commanded = json!({"command": "pause", "select": {"printer_ids": [good_id, bad_id]}});
    let (_, batch, _) = server.post_and_wait("/api/v1/batches", commanded).await;
    let of_bad = batch["commands"].as_array().expect("rows").iter().find(|row| row["printer_id"] == *bad_id);
    assert_eq!(of_bad.expect("its row")["outcome"], "rejected", "{batch}");

    let (status, updated, _) = server.patch(&path, json!({"url": bad.url(), "api_key": bad.api_key()})).await;
    assert_eq!(status, StatusCode::OK, "{updated}");
    server.until_online(&bad_id).await;
    let (_, printer, _) = server.get(&path).await;
    assert_eq!(printer["plate"]["state"], "occupied", "the plate's state is kept: {printer}");
    server.stop().await;
}

/// Two concurrent changes are stored in some order. The fleet must apply the one that the registry stored last.
#[tokio::test]
async fn the_fleet_applies_the_change_that_was_stored_last() {
    let (server, farm, ids) = start_server_with_farm(1).await;
    let others = crate::support::server::start_farm(2).await;
    let path = format!("/api/v1/printers/{}", ids[0]);
    let [a, b] = [&others.printers()[0], &others.printers()[1]];
    let to = |printer: &SimulatedPrinter| json!({"url": printer.url(), "api_key": printer.api_key()});
    for _ in 0..20 {
        let ((first, ..), (second, ..)) = tokio::join!(server.patch(&path, to(a)), server.patch(&path, to(b)));
        assert_eq!((first, second), (StatusCode::OK, StatusCode::OK));
    }
    let (_, printer, _) = server.get(&path).await;
    let (registered, other) = if printer["url"] == a.url() { (a, b) } else { (b, a) };
    wait::until("only the registered printer has an event socket", Duration::from_secs(30), async || {
        let listeners = (registered.listener_count(), other.listener_count(), farm.printers()[0].listener_count());
        if listeners == (1, 0, 0) { Ok(()) } else { Err(format!("{listeners:?}")) }
    })
    .await;
    server.stop().await;
}
