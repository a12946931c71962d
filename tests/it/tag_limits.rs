//! Tag limits: a printer outside a user's limit must not appear to exist. The tests request every readable route, and
//! no response may contain data of that printer.

use std::time::Duration;

use printyard::simulator::MachineAction;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{
    access_matrix::ROUTE_ROLES,
    support::{
        server::{TestServer, send_request, start_farm},
        wait,
    },
};

const SOON: Duration = Duration::from_secs(20);
const UNKNOWN_ID: &str = "0193e1c7-7d1c-7a52-9a3e-2f3b5a0c9e11";
/// The name, the file and the tag of the hidden printer.
const HIDDEN_WORDS: [&str; 3] = ["HIDDEN-017", "secret-part.gcode", "hall-of-others"];

/// A user who may see one of two printers, with a token and a session.
struct LimitedUser {
    server: TestServer,
    token: String,
    cookie: String,
}

impl LimitedUser {
    /// Returns the whole response of a route, or the first events of a stream.
    async fn get(&self, path: &str) -> (StatusCode, String) {
        let request = self.server.request_without_auth(Method::GET, path);
        let request = if path.starts_with("/api/") || path == "/metrics" {
            request.bearer_auth(&self.token)
        } else {
            request.header("Cookie", format!("printyard_session={}", self.cookie))
        };
        let mut response = request.send().await.expect("an answer");
        let (status, mut text) = (response.status(), format!("{:?}", response.headers()));
        while let Some(chunk) = response.chunk().await.expect("a whole answer") {
            text.push_str(&String::from_utf8_lossy(&chunk));
            // This stream has no end. It has the same content as the pages of the feed.
            if path == "/api/v1/events/stream" {
                break;
            }
            if path.contains("/stream") && (text.contains("event: heartbeat") || text.contains("event: batch")) {
                // The first data of the farm's stream can arrive before or after its first tick.
                if !path.starts_with("/stream") || text.contains("event: strip") {
                    break;
                }
            }
        }
        (status, text)
    }

    async fn post(&self, path: &str, body: Value) -> (StatusCode, Value) {
        let request =
            self.server.request_without_auth(Method::POST, path).bearer_auth(&self.token).header("Prefer", "wait=30");
        let (status, body, _) = send_request(request.json(&body)).await;
        (status, body)
    }
}

/// Removes parts that always differ between two responses.
fn normalize_response(text: &str, id: &str) -> String {
    let text = text.replace(id, "ID");
    let mut parts = text.split("request").map(str::to_owned);
    let first = parts.next().unwrap_or_default();
    // Removes the value after each `x-request-id` and `request_id`.
    let rest = parts.map(|part| {
        part.splitn(3, '"')
            .last()
            .unwrap_or_default()
            .split_once('"')
            .map_or(String::new(), |(_, rest)| rest.to_owned())
    });
    let text = std::iter::once(first).chain(rest).collect::<Vec<_>>().join("request");
    // The time passes, and the feed of the farm grows.
    ["date", "x-events-cursor"].into_iter().fold(text, |text, header| {
        let (before, value) = text.split_once(&format!("\"{header}\": \"")).unwrap_or((&text, ""));
        format!("{before}{}", value.split_once('"').map_or("", |(_, rest)| rest))
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn no_response_shows_a_printer_outside_the_limit() {
    let (server, farm) = (TestServer::start().await, start_farm(2).await);
    let (open, hidden) = (&farm.printers()[0], &farm.printers()[1]);
    let visible_id = server.register_printer_with(open, json!({"tags": ["hall-a"]})).await;
    hidden.put_file(HIDDEN_WORDS[1], "G28\nG4 S600\n");
    hidden.select(HIDDEN_WORDS[1]);
    let hidden_id =
        server.register_printer_with(hidden, json!({"name": HIDDEN_WORDS[0], "tags": [HIDDEN_WORDS[2]]})).await;
    for id in [&visible_id, &hidden_id] {
        server.until_online(id).await;
    }
    // Starts prints on both printers, then sends a batch to both and one to the hidden printer.
    for (printer, id) in [(open, &visible_id), (hidden, &hidden_id)] {
        printer.perform(MachineAction::StartSelected);
        server.until_state(id, "printing").await;
    }
    let batch = async |ids: Vec<&String>| -> Value {
        let body = json!({"command": "pause", "select": {"printer_ids": ids}});
        let (_, batch, _) = server.post_and_wait("/api/v1/batches", body).await;
        assert_eq!(batch["result"], "ok", "{batch}");
        batch
    };
    let (both, hidden_batch) = (batch(vec![&visible_id, &hidden_id]).await, batch(vec![&hidden_id]).await);
    let print = wait::until("the hidden print is recorded", SOON, async || {
        let (_, prints, _) = server.get(&format!("/api/v1/prints?printer_id={hidden_id}")).await;
        prints["items"][0]["id"].as_str().map(str::to_owned).ok_or(prints)
    })
    .await;
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let mixed = text(&both["id"]);
    let hidden_ids = [hidden_id.clone(), text(&hidden_batch["id"]), print.clone()];
    let mut secrets: Vec<String> =
        HIDDEN_WORDS.iter().map(|word| (*word).to_owned()).chain(hidden_ids.clone()).collect();
    secrets.push(hidden.url().to_owned());
    for rows in [&both["commands"], &hidden_batch["commands"]] {
        let rows = rows.as_array().expect("rows").iter().filter(|row| row["printer_id"] == hidden_id.as_str());
        secrets.extend(rows.map(|row| text(&row["id"])));
    }

    let token = server.create_token_for("manager", &["hall-a"]).await;
    let cookie = server.open_session(&token).await;
    let limited = LimitedUser { server, token, cookie };
    let assert_clean = |case: &str, text: &str| {
        for secret in &secrets {
            assert!(!text.contains(secret.as_str()), "{case} contains {secret}: {text}");
        }
    };
    for (_, path, needed) in ROUTE_ROLES.iter().filter(|(verb, ..)| *verb == "GET") {
        let path = path.replace("{*path}", "app.css");
        if !path.contains("{id}") {
            let (status, text) = limited.get(&path).await;
            assert!(status == StatusCode::OK || status.as_u16() < 500, "{path}: {status}");
            assert_clean(&path, &text);
            continue;
        }
        for id in [&visible_id, &mixed] {
            assert_clean(&path, &limited.get(&path.replace("{id}", id)).await.1);
        }
        // The response must be the same as for an id that does not exist.
        let (unknown_status, unknown_text) = limited.get(&path.replace("{id}", UNKNOWN_ID)).await;
        for id in &hidden_ids {
            let (status, text) = limited.get(&path.replace("{id}", id)).await;
            assert_eq!(status, unknown_status, "{path} with {id}: {text}");
            assert_eq!(
                normalize_response(&text, id),
                normalize_response(&unknown_text, UNKNOWN_ID),
                "{path} with {id}"
            );
            // The state of a key request returns 200 for unknown ids too. It contains no printer name.
            let is_refused =
                path == "/printers/keys/{id}" || matches!(status, StatusCode::NOT_FOUND | StatusCode::FORBIDDEN);
            assert!(is_refused, "{path} with {id}, for {needed}: {status}");
        }
    }
    // No filter finds the hidden printer, and no count includes it.
    for query in [
        format!("printers?q={}", HIDDEN_WORDS[0]),
        format!("printers?q={}", HIDDEN_WORDS[1]),
        format!("printers?tag={}", HIDDEN_WORDS[2]),
        format!("prints?printer_id={hidden_id}"),
        format!("batches?external_ref={}", HIDDEN_WORDS[0]),
    ] {
        let (_, text) = limited.get(&format!("/api/v1/{query}")).await;
        assert!(text.contains("\"items\":[]"), "{query}: {text}");
    }
    for query in [format!("?q={}", HIDDEN_WORDS[0]), format!("?tag={}", HIDDEN_WORDS[2])] {
        let (_, text) = limited.get(&format!("/{query}")).await;
        assert!(!text.contains(&hidden_id) && text.contains("No matching printers"), "{query}: {text}");
    }
    let get = async |path: String| -> Value {
        let (_, body, _) =
            send_request(limited.server.request_without_auth(Method::GET, &path).bearer_auth(&limited.token)).await;
        body
    };
    assert_eq!(get("/api/v1/printers".into()).await["items"].as_array().map(Vec::len), Some(1));
    assert_eq!(get("/api/v1/prints".into()).await["items"].as_array().map(Vec::len), Some(1));
    assert_eq!(get("/api/v1/batches".into()).await["items"].as_array().map(Vec::len), Some(1));
    assert_eq!(get(format!("/api/v1/batches/{mixed}")).await["counts"]["total"], 1);
    let (_, farm_page) = limited.get("/").await;
    assert!(farm_page.contains("<b>1</b>") && !farm_page.contains("<b>2</b>"), "{farm_page}");

    // Selectors, a retry and a stop.
    for select in
        [json!({"all": true}), json!({"states": ["paused"]}), json!({"batch_id": mixed, "outcomes": ["confirmed"]})]
    {
        let (_, body) = limited.post("/api/v1/batches", json!({"command": "pause", "select": select})).await;
        assert_eq!(body["counts"]["total"], 1, "{select}: {body}");
        assert_clean("a batch", &body.to_string());
    }
    for select in
        [json!({"tags_any": [HIDDEN_WORDS[2]]}), json!({"batch_id": hidden_ids[1], "outcomes": ["confirmed"]})]
    {
        let (status, body) = limited.post("/api/v1/batches", json!({"command": "pause", "select": select})).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{select}: {body}");
    }
    let (_, body) = limited.post(&format!("/api/v1/batches/{mixed}/retry"), json!({"outcomes": ["confirmed"]})).await;
    assert_eq!(body["counts"]["total"], 1, "{body}");
    assert_clean("a retry", &body.to_string());
    let (status, body) = limited.post(&format!("/api/v1/batches/{mixed}/stop"), json!({})).await;
    assert_eq!(status, StatusCode::FORBIDDEN, "{body}");
    for path in ["stop", "retry"] {
        let (status, _) = limited
            .post(&format!("/api/v1/batches/{}/{path}", hidden_ids[1]), json!({"outcomes": ["confirmed"]}))
            .await;
        assert!(matches!(status, StatusCode::NOT_FOUND | StatusCode::UNPROCESSABLE_ENTITY), "{path}: {status}");
    }
    // Selecting the hidden printer by its id is refused, and the row does not contain its name.
    let select = json!({"printer_ids": [hidden_id, visible_id]});
    let (_, body) = limited.post("/api/v1/batches", json!({"command": "pause", "select": select})).await;
    let row = &body["commands"][0];
    assert_eq!((&row["reason"], &row["printer_name"]), (&json!("forbidden"), &json!("")), "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_printer_that_leaves_the_limit_leaves_the_page() {
    let (server, farm) = (TestServer::start().await, start_farm(1).await);
    let id = server.register_printer_with(&farm.printers()[0], json!({"tags": ["hall-a"]})).await;
    server.until_online(&id).await;
    let token = server.create_token_for("viewer", &["hall-a"]).await;
    let cookie = server.open_session(&token).await;
    let request =
        server.request_without_auth(Method::GET, "/stream").header("Cookie", format!("printyard_session={cookie}"));
    let mut stream = request.send().await.expect("a stream");
    let mut received = String::new();
    let mut until = async |words: &str| {
        while !received.contains(words) {
            let chunk = stream.chunk().await.expect("no error").expect("more data");
            received.push_str(&String::from_utf8_lossy(&chunk));
        }
    };
    until("event: tiles").await;
    server.patch(&format!("/api/v1/printers/{id}"), json!({"tags": ["hall-b"]})).await;
    until("event: gone\n").await;
    until(&format!("data: {id}\n")).await;
}
