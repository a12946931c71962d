//! Idempotency keys: a repeated request has one effect, even with many repetitions and when the server is killed in
//! between.

use std::{collections::HashMap, time::Duration};

use chrono::TimeDelta;
use printyard::{
    clock,
    simulator::{Farm, FarmConfig},
    storage::fault_injection::{FailureDuration, FailurePoint, InjectedFailure},
};
use reqwest::{Method, StatusCode, header::HeaderMap};
use serde_json::{Value, json};

use crate::{
    access_matrix::ROUTE_ROLES,
    support::{
        process::{self, ServerProcess},
        server::{ADMIN_TOKEN, JsonResponse, TestServer, send_request, start_farm, start_server_with_farm},
        wait,
    },
};

/// Sends a POST with a key and a token.
async fn post_with_key_as(server: &TestServer, token: &str, path: &str, key: &str, body: &Value) -> JsonResponse {
    let request = server.request_without_auth(Method::POST, path).bearer_auth(token).header("Idempotency-Key", key);
    send_request(request.json(body)).await
}

async fn post_with_key(server: &TestServer, path: &str, key: &str, body: &Value) -> JsonResponse {
    post_with_key_as(server, ADMIN_TOKEN, path, key, body).await
}

fn is_replayed(headers: &HeaderMap) -> bool {
    headers.get("idempotent-replayed").is_some_and(|value| value == "true")
}

async fn count_items(server: &TestServer, path: &str) -> usize {
    server.get(path).await.1["items"].as_array().expect("items").len()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_request_has_no_second_effect_and_returns_the_current_resource() {
    let (server, _farm, ids) = start_server_with_farm(2).await;
    let body = json!({"command": "cancel", "select": {"printer_ids": ids}, "reason": "shift end"});
    let (status, first, headers) = post_with_key(&server, "/api/v1/batches", "MO/1", &body).await;
    assert_eq!((status, is_replayed(&headers)), (StatusCode::ACCEPTED, false), "{first}");
    let location = headers["location"].clone();
    server.get(&format!("/api/v1/batches/{}", first["id"].as_str().expect("an id"))).await;
    // The same request in another form: a quoted key, and fields in another order.
    let text = format!(r#"{{ "reason":"shift end", "select":{{"printer_ids":{}}},"command":"cancel"}}"#, json!(ids));
    let request = server.request(Method::POST, "/api/v1/batches").header("Idempotency-Key", "\"MO/1\"");
    let (status, second, headers) = send_request(request.header("Content-Type", "application/json").body(text)).await;
    assert_eq!((status, is_replayed(&headers), &second["id"]), (StatusCode::ACCEPTED, true, &first["id"]), "{second}");
    assert_eq!(headers["location"], location);
    assert_eq!(count_items(&server, "/api/v1/batches").await, 1);

    let other = json!({"command": "pause", "select": {"printer_ids": ids}});
    let (status, problem, _) = post_with_key(&server, "/api/v1/batches", "MO/1", &other).await;
    assert_eq!((status, &problem["code"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("idempotency_key_reused")));
    let (status, problem, _) = post_with_key(&server, &format!("/api/v1/printers/{}/job", ids[0]), "MO/1", &body).await;
    assert_eq!((status, &problem["code"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("idempotency_key_reused")));
    assert_eq!(count_items(&server, "/api/v1/batches").await, 1);

    // Another token can use the same key for another request.
    let (status, third, _) =
        post_with_key_as(&server, &server.create_token("operator").await, "/api/v1/batches", "MO/1", &body).await;
    assert_eq!(status, StatusCode::ACCEPTED);
    assert_ne!(third["id"], first["id"]);
    server.stop().await;
}

/// Returns the fields that the document requires in a response to this POST.
fn required_fields(document: &Value, path: &str, status: StatusCode) -> Vec<String> {
    let is_id = |part: &str| part.len() == 36 && part.contains('-');
    let template = path.split('/').map(|part| if is_id(part) { "{id}" } else { part }).collect::<Vec<_>>().join("/");
    let response = &document["paths"][&template]["post"]["responses"][status.as_str()];
    let mut required = Vec::new();
    collect_required(document, &response["content"]["application/json"]["schema"], &mut required);
    assert!(!required.is_empty(), "{template}: {response}");
    required
}

fn collect_required(document: &Value, schema: &Value, required: &mut Vec<String>) {
    if let Some(name) = schema["$ref"].as_str().and_then(|name| name.rsplit('/').next()) {
        collect_required(document, &document["components"]["schemas"][name], required);
    }
    for part in schema["allOf"].as_array().into_iter().flatten() {
        collect_required(document, part, required);
    }
    required.extend(schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_post_is_repeatable() {
    let (server, _farm, ids) = start_server_with_farm(1).await;
    let (_, document, _) = server.get("/api/openapi.json").await;
    let post_twice = async |path: &str, body: Value| -> (JsonResponse, JsonResponse) {
        let first = post_with_key(&server, path, path, &body).await;
        let second = post_with_key(&server, path, path, &body).await;
        assert!(first.0.is_success(), "{path}: {}", first.1);
        assert_eq!((second.0, is_replayed(&second.2)), (first.0, true), "{path}: {}", second.1);
        // The document must not require the secret, because a replay leaves it out.
        for name in required_fields(&document, path, first.0) {
            assert!(second.1.get(&name).is_some(), "a replay of {path} has no {name}: {}", second.1);
        }
        (first, second)
    };
    let job = format!("/api/v1/printers/{}/job", ids[0]);
    let (first, second) = post_twice(&job, json!({"command": "cancel"})).await;
    assert_eq!((&second.1["id"], &second.1["command"]), (&first.1["id"], &json!("cancel")), "its row: {}", second.1);
    let (first, second) = post_twice(
        "/api/v1/printers",
        json!({"name": "new", "url": "http://10.0.0.9", "api_key": "k", "enabled": false}),
    )
    .await;
    assert_eq!(second.1, server.get(&format!("/api/v1/printers/{}", first.1["id"].as_str().expect("an id"))).await.1);
    assert_eq!(second.2["etag"], first.2["etag"]);
    let (first, second) = post_twice("/api/v1/tokens", json!({"name": "erp", "role": "operator"})).await;
    assert!(first.1["token"].is_string() && second.1.get("token").is_none(), "a secret is shown once: {}", second.1);
    assert_eq!(second.1["id"], first.1["id"]);
    let rotate = format!("/api/v1/tokens/{}/rotate", first.1["id"].as_str().expect("an id"));
    let (first, second) = post_twice(&rotate, json!({"overlap_s": 60})).await;
    assert_eq!(second.1["id"], first.1["id"]);
    let (first, second) =
        post_twice("/api/v1/users", json!({"name": "Ann", "role": "viewer", "password": "a long enough one"})).await;
    assert_eq!(second.1["id"], first.1["id"]);
    let hook = json!({"url": "http://10.0.0.9/hook", "types": ["batch.finished"], "enabled": false});
    let (first, second) = post_twice("/api/v1/webhooks", hook).await;
    assert!(first.1["secret"].is_string() && second.1.get("secret").is_none(), "a secret is shown once: {}", second.1);
    let (first, second) = post_twice("/api/v1/plates/clear", json!({"printer_ids": ids})).await;
    assert_eq!(second.1, first.1, "a response without a resource is repeated unchanged");
    let batch_body = json!({"command": "cancel", "select": {"printer_ids": ids}, "not_before": "2027-06-01T00:00:00Z"});
    let (planned, _) = post_twice("/api/v1/batches", batch_body).await;
    let planned = planned.1["id"].as_str().expect("an id").to_owned();
    let (first, second) = post_twice(&format!("/api/v1/batches/{planned}/stop"), json!({})).await;
    assert_eq!((&first.1["state"], &second.1["state"]), (&json!("stopped"), &json!("stopped")));
    let retry = json!({"outcomes": ["skipped"]});
    let (first, second) = post_twice(&format!("/api/v1/batches/{planned}/retry"), retry).await;
    assert_eq!((&second.1["id"], &second.1["retry_of"]), (&first.1["id"], &json!(planned)));
    assert_eq!(count_items(&server, "/api/v1/batches").await, 3);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_key_of_a_refused_request_is_not_stored() {
    let (server, _farm, ids) = start_server_with_farm(1).await;
    let (status, ..) = post_with_key(&server, "/api/v1/batches", "k", &json!({"command": "explode"})).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    let good = json!({"command": "cancel", "select": {"printer_ids": ids}});
    let (status, _, headers) = post_with_key(&server, "/api/v1/batches", "k", &good).await;
    assert_eq!((status, is_replayed(&headers)), (StatusCode::ACCEPTED, false));

    // A conflict is a refused request too, so its key is not stored.
    let printer = json!({"name": "P", "url": "http://10.0.0.8"});
    let (_, made, _) = server.post("/api/v1/printers", printer.clone()).await;
    let (status, problem, _) = post_with_key(&server, "/api/v1/printers", "p", &printer).await;
    assert_eq!((status, &problem["code"]), (StatusCode::CONFLICT, &json!("name_taken")));
    server.delete(&format!("/api/v1/printers/{}", made["id"].as_str().expect("an id"))).await;
    let (status, again, headers) = post_with_key(&server, "/api/v1/printers", "p", &printer).await;
    assert_eq!((status, is_replayed(&headers)), (StatusCode::CREATED, false), "{again}");
    let missing = "/api/v1/batches/0193e1c7-7d1c-7a52-9a3e-2f3b5a0c9e11/retry";
    for _ in 0..2 {
        let (status, problem, headers) = post_with_key(&server, missing, "r", &json!({"outcomes": ["skipped"]})).await;
        assert_eq!((status, is_replayed(&headers)), (StatusCode::NOT_FOUND, false), "{problem}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_selection_that_changed_is_refused_only_until_it_has_the_expected_size() {
    let (server, _farm, _ids) = start_server_with_farm(1).await;
    let body = json!({"command": "cancel", "select": {"all": true}, "expect_total": 2});
    let (status, problem, _) = post_with_key(&server, "/api/v1/batches", "MO/1", &body).await;
    assert_eq!(
        (status, &problem["code"], &problem["total"]),
        (StatusCode::CONFLICT, &json!("selection_changed"), &json!(1))
    );
    let second = start_farm(1).await;
    server.post("/api/v1/printers", json!({"name": "second", "url": second.printers()[0].url()})).await;
    let (status, batch, headers) = post_with_key(&server, "/api/v1/batches", "MO/1", &body).await;
    assert_eq!((status, is_replayed(&headers)), (StatusCode::ACCEPTED, false), "{batch}");
    let (status, again, headers) = post_with_key(&server, "/api/v1/batches", "MO/1", &body).await;
    assert_eq!((status, is_replayed(&headers), &again["id"]), (StatusCode::ACCEPTED, true, &batch["id"]));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_waits_for_the_end_as_the_first_request_would() {
    let (server, _farm, ids) = start_server_with_farm(1).await;
    let replay = async |path: &str, body: &Value, wait: Option<&str>| {
        let mut request = server.request(Method::POST, path).header("Idempotency-Key", path);
        if let Some(wait) = wait {
            request = request.header("Prefer", wait);
        }
        let (status, body, headers) = send_request(request.json(body)).await;
        assert!(is_replayed(&headers), "{body}");
        assert_eq!(headers.contains_key("retry-after"), status == StatusCode::ACCEPTED);
        assert_eq!(headers.get("preference-applied").and_then(|value| value.to_str().ok()), wait);
        (status, body)
    };
    // The batch is scheduled for tomorrow, so no wait sees its end.
    let body =
        json!({"command": "cancel", "select": {"printer_ids": ids}, "not_before": clock::now() + TimeDelta::days(1)});
    let (_, first, _) = post_with_key(&server, "/api/v1/batches", "/api/v1/batches", &body).await;
    let (status, again) = replay("/api/v1/batches", &body, Some("wait=0")).await;
    assert_eq!((status, &again["id"], &again["state"]), (StatusCode::ACCEPTED, &first["id"], &json!("scheduled")));
    let waiting = async {
        let (status, again) = replay("/api/v1/batches", &body, Some("wait=30")).await;
        assert_eq!(
            (status, &again["id"], &again["state"]),
            (StatusCode::MULTI_STATUS, &first["id"], &json!("stopped"))
        );
    };
    let stop = format!("/api/v1/batches/{}/stop", first["id"].as_str().expect("an id"));
    tokio::join!(waiting, server.post(&stop, json!({})));
    let (status, again) = replay("/api/v1/batches", &body, None).await;
    assert_eq!((status, &again["id"]), (StatusCode::ACCEPTED, &first["id"]), "the status of the first response");

    // The response to a command for one printer is its row.
    let (path, body) = (format!("/api/v1/printers/{}/job", ids[0]), json!({"command": "cancel"}));
    let (_, first, _) = post_with_key(&server, &path, &path, &body).await;
    let (status, row) = replay(&path, &body, Some("wait=30")).await;
    assert_eq!((status, &row["id"], &row["final"]), (StatusCode::OK, &first["id"], &json!(true)), "{row}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn authorization_is_checked_before_the_key() {
    let server = TestServer::start().await;
    let viewer = server.create_token("viewer").await;
    for (_, path, role) in ROUTE_ROLES.iter().filter(|(verb, path, _)| *verb == "POST" && path.starts_with("/api/")) {
        let path = path.replace("{id}", "0193e1c7-7d1c-7a52-9a3e-2f3b5a0c9e11").replace("{delivery_id}", "x");
        assert_ne!(*role, "viewer", "{path}");
        let bad = "x".repeat(300);
        let request =
            server.request_without_auth(Method::POST, &path).bearer_auth(&viewer).header("Idempotency-Key", &bad);
        let (status, ..) = send_request(request.header("Content-Type", "application/json").body("{")).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{path}");
        if path == "/api/v1/printers/test" {
            continue;
        }
        let request = server.request(Method::POST, &path).header("Idempotency-Key", &bad);
        let (status, problem, _) = send_request(request.json(&json!({}))).await;
        assert_eq!(
            (status, &problem["code"]),
            (StatusCode::BAD_REQUEST, &json!("malformed_idempotency_key")),
            "{path}"
        );
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_may_require_keys_and_shares_them_with_its_successor() {
    let (server, _farm, ids) = start_server_with_farm(1).await;
    let token_body = json!({"name": "erp", "role": "operator", "require_idempotency_key": true});
    let (_, made, _) = server.post("/api/v1/tokens", token_body).await;
    assert_eq!(made["require_idempotency_key"], true);
    let token = made["token"].as_str().expect("a secret");
    let body = json!({"command": "cancel", "select": {"printer_ids": ids}});
    let (status, problem, _) =
        send_request(server.request_without_auth(Method::POST, "/api/v1/batches").bearer_auth(token).json(&body)).await;
    assert_eq!((status, &problem["code"]), (StatusCode::BAD_REQUEST, &json!("idempotency_key_required")));
    assert_eq!(count_items(&server, "/api/v1/batches").await, 0);
    let (status, first, _) = post_with_key_as(&server, token, "/api/v1/batches", "1", &body).await;
    assert_eq!(status, StatusCode::ACCEPTED);
    let mut last = made;
    for _ in 0..2 {
        let rotate = format!("/api/v1/tokens/{}/rotate", last["id"].as_str().expect("an id"));
        (_, last, _) = server.post(&rotate, json!({"overlap_s": 60})).await;
        assert_eq!(last["require_idempotency_key"], true);
        let token = last["token"].as_str().expect("a secret");
        let (status, again, headers) = post_with_key_as(&server, token, "/api/v1/batches", "1", &body).await;
        assert_eq!((status, is_replayed(&headers), &again["id"]), (StatusCode::ACCEPTED, true, &first["id"]));
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_concurrent_repetitions_one_takes_effect_and_the_others_get_409() {
    let (server, _farm, ids) = start_server_with_farm(1).await;
    let body = json!({"command": "cancel", "select": {"printer_ids": ids}});
    let all = (0..30).map(|_| post_with_key(&server, "/api/v1/batches", "same", &body));
    let answers = futures_util::future::join_all(all).await;
    let mut made = std::collections::HashSet::new();
    for (status, body, headers) in answers {
        match status {
            StatusCode::ACCEPTED => drop(made.insert(body["id"].to_string())),
            StatusCode::CONFLICT => {
                assert_eq!(body["code"], "request_in_progress");
                assert!(headers.contains_key("retry-after"));
            }
            other => panic!("{other}: {body}"),
        }
    }
    assert_eq!(made.len(), 1);
    assert_eq!(count_items(&server, "/api/v1/batches").await, 1);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_survives_a_server_restart() {
    let (server, _farm, ids) = start_server_with_farm(1).await;
    let body = json!({"command": "cancel", "select": {"printer_ids": ids}});
    let (_, first, _) = post_with_key(&server, "/api/v1/batches", "k", &body).await;
    let server = server.restart().await;
    let (status, again, headers) = post_with_key(&server, "/api/v1/batches", "k", &body).await;
    assert_eq!((status, is_replayed(&headers), &again["id"]), (StatusCode::ACCEPTED, true, &first["id"]));
    server.stop().await;
}

/// How often the server is killed.
const KILLS: u64 = 10;
/// Effects that the client requests.
const REQUESTS: usize = 120;

/// Repeats a request until the response is a success, as a program with blind retries does.
async fn retry_until_success(url: &std::sync::Mutex<String>, path: &str, key: &str, body: &Value) -> Value {
    let http = crate::support::http_client();
    let what = format!("{key} is answered");
    wait::until(&what, Duration::from_secs(120), async || {
        let base = url.lock().expect("no panic").clone();
        let request = http.post(format!("{base}/api/v1{path}")).bearer_auth(process::ADMIN_TOKEN);
        let answer = request.header("Idempotency-Key", key).json(body).send().await.map_err(|e| e.to_string())?;
        let status = answer.status();
        let body: Value = answer.json().await.map_err(|error| error.to_string())?;
        if status.is_success() { Ok(body["id"].clone()) } else { Err(format!("{status} {body}")) }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_retries_while_the_server_is_killed_gets_every_effect_exactly_once() {
    let farm = Farm::start(FarmConfig { printers: 2, ..FarmConfig::default() }).await.expect("a farm");
    let dir = tempfile::tempdir().expect("a folder");
    let mut server = ServerProcess::start(dir.path()).await;
    for printer in farm.printers() {
        let body = json!({"name": printer.name(), "url": printer.url(), "api_key": printer.api_key()});
        assert_eq!(server.post("/printers", &body).await.expect("an answer").0, 201);
    }
    let url = std::sync::Mutex::new(server.url().to_owned());
    let client = async {
        let mut made = HashMap::new();
        for n in 0..REQUESTS {
            let key = format!("wish-{n}");
            let port = 20_000 + n;
            let (path, body) = match n % 3 {
                0 => ("/printers", json!({"name": key, "url": format!("http://127.0.0.1:{port}"), "enabled": false})),
                1 => ("/tokens", json!({"name": key, "role": "viewer"})),
                _ => ("/batches", json!({"command": "cancel", "select": {"all": true}, "external_ref": key})),
            };
            made.insert(key.clone(), retry_until_success(&url, path, &key, &body).await);
        }
        made
    };
    let killer = async {
        for seed in 0..KILLS {
            let chance = seed * 7_919 + u64::from(clock::now().timestamp_subsec_micros());
            // The time of the kill is the random variable of this test. The test does not wait for anything here.
            wait::pause(Duration::from_millis(20 + chance % 250)).await;
            server.kill();
            server = ServerProcess::start(dir.path()).await;
            server.url().clone_into(&mut url.lock().expect("no panic"));
        }
    };
    let (made, ()) = tokio::join!(client, killer);
    let mut found: HashMap<String, Vec<Value>> = HashMap::new();
    for (list, name) in [("/printers", "name"), ("/tokens", "name"), ("/batches", "external_ref")] {
        let items = server.get(&format!("{list}?limit=500")).await;
        for item in items["items"].as_array().expect("items") {
            if let Some(key) = item[name].as_str().filter(|key| key.starts_with("wish-")) {
                found.entry(key.to_owned()).or_default().push(item["id"].clone());
            }
        }
    }
    assert_eq!(made.len(), REQUESTS);
    for (key, id) in made {
        assert_eq!(found.get(&key), Some(&vec![id]), "{key}");
    }
    drop(farm);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_is_repeatable_by_its_length() {
    let server = TestServer::start().await;
    let farm = start_farm(1).await;
    let id = server.register_printer(&farm.printers()[0]).await;
    server.until_online(&id).await;
    let path = format!("/api/v1/printers/{id}/files");
    let upload = async || {
        let part = reqwest::multipart::Part::bytes(b"G28\n".to_vec()).file_name("a.gcode");
        let request = server.request(Method::POST, &path).header("Idempotency-Key", "u");
        send_request(request.multipart(reqwest::multipart::Form::new().part("file", part))).await
    };
    let first = upload().await;
    assert_eq!(first.0, StatusCode::CREATED, "{}", first.1);
    let second = upload().await;
    // A new multipart boundary has the same length, so the length of the body is the same.
    assert_eq!((second.0, is_replayed(&second.2), &second.1), (StatusCode::CREATED, true, &first.1));
    server.stop().await;
}

#[tokio::test]
async fn a_repeated_bulk_request_registers_the_printers_that_failed() {
    let server = TestServer::start().await;
    let path = "/api/v1/printers/bulk";
    let body = json!({"items": [{"name": "one", "url": "http://127.0.0.1:9"}]});
    let faults = server.services.faults();
    faults.inject(InjectedFailure {
        nth: 1,
        point: FailurePoint::BeforeCommit,
        duration: FailureDuration::UntilStopped,
    });
    let (_, failed, _) = post_with_key(&server, path, "many", &body).await;
    assert_eq!(failed["items"][0]["status"], 503, "{failed}");
    faults.stop();
    let (_, created, headers) = post_with_key(&server, path, "many", &body).await;
    assert_eq!((&created["items"][0]["status"], is_replayed(&headers)), (&json!(201), false), "{created}");
    let (_, replayed, headers) = post_with_key(&server, path, "many", &body).await;
    assert_eq!((replayed, is_replayed(&headers)), (created, true));
    server.stop().await;
}
