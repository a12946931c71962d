//! Exports of whole lists: each file has every item in either format, and a file that ends without an error is
//! complete.

use std::collections::BTreeSet;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::server::TestServer;

/// More items than the server reads from the database at once.
const MANY: usize = 620;
const CSV: &str = "text/csv";
const NDJSON: &str = "application/x-ndjson";

/// Registers printers with notes of `notes` characters. Returns their ids.
async fn register_printers(server: &TestServer, printers: usize, notes: usize) -> Vec<String> {
    let mut ids = Vec::new();
    let all: Vec<usize> = (0..printers).collect();
    for part in all.chunks(500) {
        let item = |n: &usize| {
            let url = format!("http://127.0.0.1:1/{n}");
            json!({"name": format!("=P{n:04}"), "url": url, "enabled": false, "notes": "x".repeat(notes)})
        };
        let items: Vec<Value> = part.iter().map(item).collect();
        let (status, body, _) = server.post("/api/v1/printers/bulk", json!({"items": items})).await;
        assert_eq!(status, StatusCode::MULTI_STATUS, "{body}");
        ids.extend(body["items"].as_array().expect("items").iter().filter_map(|i| i["id"].as_str().map(str::to_owned)));
    }
    ids
}

async fn download(server: &TestServer, path: &str, media_type: &str) -> (reqwest::header::HeaderMap, String) {
    let response = server.request(Method::GET, path).header("Accept", media_type).send().await.expect("an answer");
    assert_eq!(response.status(), StatusCode::OK, "{path}");
    (response.headers().clone(), response.text().await.expect("a whole file"))
}

fn parse_csv(text: &str) -> Vec<Vec<String>> {
    let reader = csv::ReaderBuilder::new().has_headers(false).from_reader(text.as_bytes());
    let record = |record: csv::Result<csv::StringRecord>| record.expect("a line").iter().map(str::to_owned).collect();
    reader.into_records().map(record).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_list_can_be_exported_with_the_fields_of_its_items() {
    let server = TestServer::start().await;
    let ids = register_printers(&server, 3, 0).await;
    let batch = json!({"command": "pause", "select": {"printer_ids": ids}});
    let (_, batch, _) = server.post_and_wait("/api/v1/batches", batch).await;
    server.create_token("viewer").await;
    server.post("/api/v1/users", json!({"name": "ann", "role": "viewer"})).await;
    let commands = format!("/api/v1/batches/{}/commands", batch["id"].as_str().expect("an id"));
    for (path, items) in [
        ("/api/v1/printers", 3),
        ("/api/v1/printers?q=P0001", 1),
        ("/api/v1/batches", 1),
        (&commands, 3),
        ("/api/v1/prints", 0),
        ("/api/v1/tokens", 1),
        ("/api/v1/users", 1),
        ("/api/v1/audit?action=printer.registered", 3),
        ("/api/v1/events?types=command.finished", 3),
    ] {
        let (_, list, _) = server.get(path).await;
        let list = list["items"].as_array().expect("items").clone();
        assert_eq!(list.len(), items, "{path}");

        let (headers, text) = download(&server, path, NDJSON).await;
        assert_eq!(headers["content-type"], NDJSON);
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        assert_eq!(lines, list, "{path}: each line is an item");

        let (headers, text) = download(&server, path, CSV).await;
        assert_eq!(headers["content-type"], "text/csv; charset=utf-8");
        let name = headers["content-disposition"].to_str().expect("text");
        assert!(name.starts_with("attachment; filename=\"printyard-") && name.ends_with(".csv\""), "{name}");
        assert!(!headers.contains_key("x-next-cursor"), "{path}");
        let rows = parse_csv(&text);
        assert_eq!(rows.len(), items + 1, "{path}");
        assert!(rows.iter().all(|row| row.len() == rows[0].len()), "{path}");
        if let Some(Value::Object(item)) = list.first()
            && !path.contains("audit")
        {
            let columns: BTreeSet<&str> = rows[0].iter().map(String::as_str).collect();
            assert_eq!(columns, item.keys().map(String::as_str).collect(), "{path}");
            let at = rows[0].iter().position(|name| name == "id").expect("an id");
            assert_eq!(rows[1][at], item["id"].as_str().expect("an id"), "{path}");
        }
    }
    let (_, text) = download(&server, "/api/v1/printers", CSV).await;
    assert!(text.contains(",'=P0000,"), "no formula: {text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_has_every_item_and_a_page_has_its_limit() {
    let server = TestServer::start().await;
    let ids = register_printers(&server, MANY, 0).await;
    let batch = json!({"command": "pause", "select": {"printer_ids": ids}});
    let (_, batch, _) = server.post_and_wait("/api/v1/batches", batch).await;
    let commands = format!("/api/v1/batches/{}/commands", batch["id"].as_str().expect("an id"));
    for (path, field) in [("/api/v1/printers", "id"), (&commands, "printer_id")] {
        let (_, text) = download(&server, path, NDJSON).await;
        let found = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON")[field].clone());
        let found: Vec<String> = found.filter_map(|id| id.as_str().map(str::to_owned)).collect();
        assert_eq!(found, ids, "{path}: each item once, in the order of the list");
        assert_eq!(parse_csv(&download(&server, path, CSV).await.1).len(), MANY + 1, "{path}");
    }
    let ends = "/api/v1/events?types=command.finished";
    let (_, text) = download(&server, ends, NDJSON).await;
    let printer_id = |line: &str| serde_json::from_str::<Value>(line).expect("JSON")["data"]["printer_id"].clone();
    let printer_ids: BTreeSet<String> =
        text.lines().filter_map(|line| printer_id(line).as_str().map(str::to_owned)).collect();
    assert_eq!((text.lines().count(), printer_ids), (MANY, ids.iter().cloned().collect()), "the feed, too");
    let (headers, text) = download(&server, &format!("{ends}&limit=1"), CSV).await;
    let cursor = headers["x-next-cursor"].to_str().expect("text");
    let (_, rest) = download(&server, &format!("{ends}&after={cursor}"), CSV).await;
    assert_eq!((text.lines().count(), parse_csv(&rest).len()), (2, MANY));
    let (_, none) = download(&server, "/api/v1/printers?tag=nowhere", NDJSON).await;
    assert_eq!(none, "");
    for media_type in [CSV, NDJSON] {
        let (headers, text) = download(&server, "/api/v1/printers?limit=2", media_type).await;
        assert_eq!(text.lines().count(), if media_type == CSV { 3 } else { 2 });
        let cursor = headers["x-next-cursor"].to_str().expect("text");
        let (_, text) = download(&server, &format!("/api/v1/printers?cursor={cursor}"), media_type).await;
        assert!(text.contains("=P0002") && !text.contains("=P0001"), "{text}");
    }
    let refused = server.request(Method::GET, "/api/v1/printers?stat=x").header("Accept", CSV).send().await;
    let refused = refused.expect("an answer");
    assert_eq!(
        (refused.status().as_u16(), &refused.headers()["content-type"]),
        (422, &"application/problem+json".parse().expect("a value"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_during_an_export_cuts_the_response_off() {
    let server = TestServer::start().await;
    // More data than the socket buffers hold, so that the server has to wait for the client.
    let printers = register_printers(&server, 3_000, 4_000).await.len();
    let path = "/api/v1/printers";
    let mut response = server.request(Method::GET, path).header("Accept", NDJSON).send().await.expect("an answer");
    assert_eq!(response.status(), StatusCode::OK);
    let mut read = response.chunk().await.expect("a chunk").expect("a chunk").len();
    // The database is closed while the client reads the file.
    server.services.close().await;
    let ended = loop {
        match response.chunk().await {
            Ok(Some(piece)) => read += piece.len(),
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    assert!(ended.is_err(), "{read} bytes of {printers} printers, and the response ended without an error");
}
