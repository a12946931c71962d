//! Bulk requests: each printer has its own result, and an invalid item does not affect the others.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::problems::assert_problem;
use crate::support::server::{TestServer, send_request, start_farm};

const PATH: &str = "/api/v1/printers/bulk";

fn printer_body(n: usize) -> Value {
    json!({"name": format!("P{n}"), "url": format!("http://127.0.0.1:1/{n}"), "enabled": false})
}

async fn register_bulk(server: &TestServer, items: Value) -> Vec<Value> {
    let (status, body, _) = server.post(PATH, json!({"items": items})).await;
    assert_eq!(status, StatusCode::MULTI_STATUS, "{body}");
    body["items"].as_array().expect("items").clone()
}

fn status_and_code(item: &Value) -> (u64, &str) {
    (item["status"].as_u64().expect("a status"), item["problem"]["code"].as_str().unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn each_printer_has_its_own_result_in_request_order() {
    let server = TestServer::start().await;
    server.post("/api/v1/printers", json!({"name": "there", "url": "http://127.0.0.1:2"})).await;
    let items = register_bulk(
        &server,
        json!([
            printer_body(0),
            {"name": "there", "url": "http://127.0.0.1:3"},
            {"name": "typo", "url": "http://127.0.0.1:4", "tgas": []},
            printer_body(1),
            {"name": "P0", "url": "http://127.0.0.1:5"},
            {"name": "again", "url": "HTTP://127.0.0.1:1/1/"},
            {"name": " ", "url": "ftp://a"},
            7,
            ["P9", "http://127.0.0.1:9"],
            {"name": "last", "url": "http://127.0.0.1:6"},
            printer_body(2),
        ]),
    )
    .await;
    let all: Vec<_> = items.iter().map(status_and_code).collect();
    let expected = [
        (201, ""),
        (409, "name_taken"),
        (422, "invalid_input"),
        (201, ""),
        (409, "name_taken"),
        (409, "url_taken"),
        (422, "invalid_input"),
        (422, "invalid_input"),
        (422, "invalid_input"),
        (201, ""),
        (201, ""),
    ];
    assert_eq!(all, expected);
    assert!(items.iter().enumerate().all(|(n, item)| item["index"] == n));
    assert_eq!(items[2]["problem"]["errors"][0]["pointer"], "/items/2/tgas");
    assert!(items[2]["problem"]["detail"].as_str().is_some_and(|text| text.starts_with("/items/2/tgas: ")));
    let pointers: Vec<_> =
        items[6]["problem"]["errors"].as_array().expect("errors").iter().map(|e| &e["pointer"]).collect();
    assert_eq!(pointers, ["/items/6/name", "/items/6/url"]);
    assert_eq!(items[7]["problem"]["errors"][0]["pointer"], "/items/7");
    for item in items.iter().filter(|item| item["status"] == 201) {
        let (_, read, _) = server.get(&format!("/api/v1/printers/{}", item["id"].as_str().expect("an id"))).await;
        for field in ["id", "name", "url", "tags", "enabled", "version", "created_at"] {
            assert_eq!(read[field], item["printer"][field], "{field}");
        }
    }
    let (_, list, _) = server.get("/api/v1/printers").await;
    let names: Vec<_> = list["items"].as_array().expect("items").iter().map(|item| item["name"].clone()).collect();
    assert_eq!(names, ["P0", "P1", "P2", "last", "there"]);
    let (_, audit, _) = server.get("/api/v1/audit?action=printer.registered").await;
    assert_eq!(audit["items"].as_array().map(Vec::len), Some(5), "one audit row for each registered printer");
}

#[tokio::test]
async fn an_invalid_bulk_request_is_refused_as_a_whole() {
    let server = TestServer::start().await;
    let post = |text: String| {
        let request = server.request(Method::POST, PATH).header("Content-Type", "application/json").body(text);
        send_request(request)
    };
    assert_problem(&post("{\"items\": [{]}".to_owned()).await, 400, "malformed_json");
    let many: Vec<Value> = (0..501).map(printer_body).collect();
    for items in [json!([]), json!(many), json!({}), json!(null)] {
        assert_problem(&server.post(PATH, json!({"items": items})).await, 422, "invalid_input");
    }
    assert_problem(
        &server.post(PATH, json!({"items": [printer_body(0)], "dry_run": true})).await,
        422,
        "invalid_input",
    );
    let twice =
        post("{\"items\": [{\"name\": \"A\", \"name\": \"B\", \"url\": \"http://127.0.0.1:1\"}]}".to_owned()).await;
    assert_eq!(twice.1["items"][0]["problem"]["errors"][0]["code"], "duplicate_field", "{}", twice.1);
    let (_, list, _) = server.get("/api/v1/printers").await;
    assert_eq!(list["items"], json!([]), "nothing was registered");
}

#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_printers_are_registered_and_a_tag_limit_applies_to_each() {
    let server = TestServer::start().await;
    // Every hundredth printer exists already. The others are registered all the same.
    for n in (0..500).step_by(100) {
        server.post("/api/v1/printers", printer_body(n)).await;
    }
    let many: Vec<Value> = (0..500).map(printer_body).collect();
    let items = register_bulk(&server, json!(many)).await;
    let taken: Vec<_> = items.iter().filter(|item| item["status"] == 409).map(|item| item["index"].clone()).collect();
    assert_eq!(taken, [0, 100, 200, 300, 400]);
    assert_eq!(items.iter().filter(|item| item["status"] == 201).count(), 495);

    let limited = server.create_token_for("manager", &["hall-a"]).await;
    let body = json!({"items": [
        {"name": "in", "url": "http://127.0.0.1:7", "tags": ["hall-a"]}, {"name": "out", "url": "http://127.0.0.1:8"},
    ]});
    let (_, body, _) =
        send_request(server.request_without_auth(Method::POST, PATH).bearer_auth(limited).json(&body)).await;
    assert_eq!(
        (status_and_code(&body["items"][0]), status_and_code(&body["items"][1])),
        ((201, ""), (422, "invalid_input"))
    );
    assert_eq!(body["items"][1]["problem"]["errors"][0]["code"], "outside_your_limit");
}

#[tokio::test(flavor = "multi_thread")]
async fn bulk_registered_printers_come_online_with_their_keys() {
    let (server, farm) = (TestServer::start().await, start_farm(2).await);
    let bodies = farm
        .printers()
        .iter()
        .map(|printer| json!({"name": printer.name(), "url": printer.url(), "api_key": printer.api_key()}));
    let items = register_bulk(&server, bodies.collect()).await;
    for item in items {
        server.until_online(item["id"].as_str().expect("an id")).await;
    }
}
