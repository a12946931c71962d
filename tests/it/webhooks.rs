//! Webhooks from the event to the receiver: content, retries, order, recipients, and delivery after a crash.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write,
    process::{Command, Stdio},
    time::Duration,
};

use printyard::{config::RawConfig, domain::webhook::RetrySchedule, secrets};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{
    env_or_skip,
    fresh_database::create_fresh_database,
    needs,
    process::ServerProcess,
    server::{DEADLINE, ServerOptions, TestServer, send_request},
    wait,
};

mod receiver;

use receiver::{ReceivedRequest, Receiver};

/// Returns a schedule with short pauses.
fn fast_schedule() -> RetrySchedule {
    RetrySchedule { pauses: [Duration::from_millis(20); 9], ..RetrySchedule::default() }
}

async fn start_server(webhooks: RetrySchedule) -> TestServer {
    TestServer::start_with(ServerOptions { webhooks, ..ServerOptions::default() }).await
}

/// Creates a webhook. Returns it and its secret.
async fn create_webhook(server: &TestServer, url: &str, more: Value) -> (Value, String) {
    let mut body = json!({"url": url, "types": ["printer.registered"]});
    for (name, value) in more.as_object().expect("fields") {
        body[name] = value.clone();
    }
    let (status, mut webhook, headers) = server.post("/api/v1/webhooks", body).await;
    assert_eq!(status, StatusCode::CREATED, "{webhook}");
    assert_eq!(headers["location"], format!("/api/v1/webhooks/{}", webhook["id"].as_str().expect("an id")));
    let secret = webhook.as_object_mut().and_then(|made| made.remove("secret")).expect("a secret");
    (webhook, secret.as_str().expect("a text").to_owned())
}

/// Causes an event by registering a printer.
async fn register_printer(server: &TestServer, name: &str, tags: &[&str]) {
    let url = format!("http://{}.invalid", printyard::clock::new_id());
    let body = json!({"name": name, "url": url, "enabled": false, "tags": tags});
    let (status, body, _) = server.post("/api/v1/printers", body).await;
    assert_eq!(status, StatusCode::CREATED, "{body}");
}

async fn read_webhook(server: &TestServer, hook: &Value) -> Value {
    server.get(&format!("/api/v1/webhooks/{}", hook["id"].as_str().expect("an id"))).await.1
}

async fn list_deliveries(server: &TestServer, hook: &Value, query: &str) -> Vec<Value> {
    let path = format!("/api/v1/webhooks/{}/deliveries{query}", hook["id"].as_str().expect("an id"));
    let (status, page, _) = server.get(&path).await;
    assert_eq!(status, StatusCode::OK, "{page}");
    page["items"].as_array().expect("items").clone()
}

/// Waits until a receiver has received `n` requests.
async fn until_received(receiver: &Receiver, n: usize) -> Vec<ReceivedRequest> {
    wait::until(&format!("{n} requests"), DEADLINE, async || {
        let got = receiver.requests();
        if got.len() >= n { Ok(got) } else { Err(got.len()) }
    })
    .await
}

fn printer_names(got: &[ReceivedRequest]) -> Vec<String> {
    got.iter().map(|got| got.body["data"]["printer_name"].as_str().expect("a name").to_owned()).collect()
}

/// Verifies a request with the reference library. Returns the type of the event.
fn verify_with_library(python: &str, secret: &str, got: &ReceivedRequest) -> Result<String, String> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/webhooks/verify.py");
    let command =
        Command::new(python).arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = command.expect("Python starts");
    let input = json!({"secret": secret, "headers": got.headers, "body": got.text});
    child.stdin.take().expect("a pipe").write_all(input.to_string().as_bytes()).expect("read");
    let output = child.wait_with_output().expect("it ends");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the library standardwebhooks, which tests/run provides"]
async fn the_reference_library_verifies_only_what_the_server_signed() {
    let python = needs!(env_or_skip("PRINTYARD_TEST_STANDARDWEBHOOKS", "the library standardwebhooks"));
    let (server, receiver) = (start_server(fast_schedule()).await, Receiver::start().await);
    let (_, secret) = create_webhook(&server, &receiver.url, json!({})).await;
    register_printer(&server, "größe 1", &[]).await;
    let got = until_received(&receiver, 1).await;
    assert_eq!(verify_with_library(&python, &secret, &got[0]), Ok("printer.registered".to_owned()));
    let other = secrets::new_signing_secret().expect("random");
    let refused = verify_with_library(&python, &other, &got[0]).expect_err("another secret");
    assert!(refused.contains("No matching signature"), "{refused}");
    let altered = ReceivedRequest { text: got[0].text.replace("registered", "removed"), ..got[0].clone() };
    assert!(verify_with_library(&python, &secret, &altered).is_err());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_selected_event_is_sent_once_as_in_the_feed() {
    let (server, receiver) = (start_server(fast_schedule()).await, Receiver::start().await);
    register_printer(&server, "before", &[]).await;
    let (webhook, secret) = create_webhook(&server, &receiver.url, json!({})).await;
    register_printer(&server, "after", &[]).await;
    let (_, list, _) = server.get("/api/v1/printers?q=after").await;
    let id = list["items"][0]["id"].as_str().expect("an id").to_owned();
    server.delete(&format!("/api/v1/printers/{id}")).await;
    register_printer(&server, "last", &[]).await;
    let got = until_received(&receiver, 2).await;
    let (_, page, _) = server.get("/api/v1/events?types=printer.registered").await;
    let published: Vec<&Value> = page["items"].as_array().expect("items").iter().skip(1).collect();
    let mut sent: Vec<&Value> = got.iter().map(|got| &got.body).collect();
    sent.sort_by_key(|body| body["at"].as_str());
    assert_eq!(sent, published);
    for got in &got {
        assert_eq!(
            (got.id(), &*got.headers["content-type"]),
            (got.body["id"].as_str().expect("an id"), "application/json")
        );
        let timestamp = got.headers["webhook-timestamp"].parse().expect("seconds");
        let signature =
            secrets::sign_webhook(std::slice::from_ref(&secret), got.id(), timestamp, &got.text).expect("signed");
        assert_eq!(got.headers["webhook-signature"], signature);
    }
    let done = wait::until("both deliveries are stored", DEADLINE, async || {
        let done = list_deliveries(&server, &webhook, "?state=delivered&type=printer.registered").await;
        if done.len() == 2 { Ok(done) } else { Err(done) }
    })
    .await;
    assert_eq!((&done[0]["attempts"], &done[0]["status"], &done[0]["error"]), (&json!(1), &json!(204), &Value::Null));
    assert!(done[0]["id"].as_str() > done[1]["id"].as_str(), "newest first");
    let (_, page, _) =
        server.get(&format!("/api/v1/webhooks/{}/deliveries?limit=1", webhook["id"].as_str().expect("an id"))).await;
    let next = page["next_cursor"].as_str().expect("another page");
    assert_eq!(list_deliveries(&server, &webhook, &format!("?cursor={next}")).await, done[1..]);
    let hook = read_webhook(&server, &webhook).await;
    assert!(hook["last_success_at"].is_string() && hook["pending"] == 0, "{hook}");
    assert!(!hook.to_string().contains("whsec_"), "{hook}");
    let (_, metrics) = {
        let request = server.request(Method::GET, "/metrics").send().await.expect("an answer");
        (request.status(), request.text().await.expect("a text"))
    };
    assert!(metrics.contains("printyard_webhook_attempts_total{result=\"delivered\"} 2"), "{metrics}");
    assert_eq!(receiver.requests().len(), 2);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn receivers_that_hang_delay_no_other() {
    // No delivery times out during the test.
    let never = RetrySchedule { timeout: Duration::from_secs(3_600), ..RetrySchedule::default() };
    let (server, hung, healthy) = (start_server(never).await, Receiver::start().await, Receiver::start().await);
    hung.set_responder(|_, _| None);
    for _ in 0..30 {
        create_webhook(&server, &hung.url, json!({})).await;
    }
    for n in 0..8 {
        register_printer(&server, &format!("a{n}"), &[]).await;
    }
    let most = 30 + 3 * 8;
    let held = until_received(&hung, 30).await.len();
    assert!(held <= most, "{held}");
    create_webhook(&server, &healthy.url, json!({})).await;
    for n in 0..20 {
        register_printer(&server, &format!("b{n}"), &[]).await;
    }
    assert_eq!(until_received(&healthy, 20).await.len(), 20);
    assert!(hung.requests().len() <= most, "no more deliveries in flight than allowed: {}", hung.requests().len());
    drop(hung);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ordered_webhook_keeps_the_order_of_the_feed_despite_failures() {
    let (server, receiver) = (start_server(fast_schedule()).await, Receiver::start().await);
    receiver.set_responder(|n, _| Some(if n % 3 == 2 { 200 } else { 500 }));
    create_webhook(&server, &receiver.url, json!({"ordered": true})).await;
    for n in 0..6 {
        register_printer(&server, &format!("p{n}"), &[]).await;
    }
    let got = until_received(&receiver, 18).await;
    let expected: Vec<String> = (0..18).map(|n| format!("p{}", n / 3)).collect();
    assert_eq!(printer_names(&got), expected, "each event is repeated until it is accepted, in order");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_delivery_is_repeated_with_the_same_id_after_a_restart() {
    // The pauses are much longer than the restart.
    let later = RetrySchedule { pauses: [Duration::from_secs(3); 9], ..RetrySchedule::default() };
    let (server, receiver) = (start_server(later).await, Receiver::start().await);
    receiver.set_responder(|_, _| Some(500));
    let (webhook, _) = create_webhook(&server, &receiver.url, json!({})).await;
    register_printer(&server, "one", &[]).await;
    until_received(&receiver, 1).await;
    let shown = wait::until("the webhook is shown as failing", DEADLINE, async || {
        let hook = read_webhook(&server, &webhook).await;
        if hook["failing_since"].is_string() { Ok(hook) } else { Err(hook) }
    })
    .await;
    let error = shown["last_error"].as_str().expect("a text");
    assert!(error.contains("127.0.0.1") && error.contains("500"), "{error}");
    let server = server.restart().await;
    receiver.set_responder(|_, _| Some(200));
    let done = wait::until("the delivery is accepted", DEADLINE, async || {
        let done = list_deliveries(&server, &webhook, "?state=delivered").await;
        if done.len() == 1 { Ok(done) } else { Err(done) }
    })
    .await;
    let got = receiver.requests();
    assert!(got.len() > 1 && got.iter().all(|one| one.id() == got[0].id() && one.text == got[0].text), "{got:?}");
    assert_eq!((&done[0]["event_id"], &done[0]["status"]), (&json!(got[0].id()), &json!(200)));
    assert!(read_webhook(&server, &webhook).await["failing_since"].is_null());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_is_abandoned_after_the_last_attempt_and_can_be_redelivered() {
    let (server, receiver) = (start_server(fast_schedule()).await, Receiver::start().await);
    receiver.set_responder(|_, _| Some(500));
    let (webhook, _) = create_webhook(&server, &receiver.url, json!({})).await;
    register_printer(&server, "one", &[]).await;
    let abandoned = wait::until("the delivery is given up", DEADLINE, async || {
        let list = list_deliveries(&server, &webhook, "?state=abandoned").await;
        list.first().cloned()
    })
    .await;
    assert_eq!((&abandoned["attempts"], &abandoned["next_at"]), (&json!(10), &Value::Null));
    assert_eq!(receiver.requests().len(), 10);
    receiver.set_responder(|_, _| Some(200));
    let path = |id: &str| {
        let hook = webhook["id"].as_str().expect("an id");
        format!("/api/v1/webhooks/{hook}/deliveries/{id}/redeliver")
    };
    let (status, delivery, _) = server.post(&path(abandoned["id"].as_str().expect("an id")), json!({})).await;
    assert_eq!((status, &delivery["state"]), (StatusCode::ACCEPTED, &json!("pending")), "{delivery}");
    let got = until_received(&receiver, 11).await;
    assert_eq!(got[10].id(), got[0].id());
    let nowhere = server.post(&path("0193e1c7-7d1c-7a52-9a3e-2f3b5a0c9e11"), json!({})).await;
    assert_eq!((nowhere.0, server.post(&path("x"), json!({})).await.0), (StatusCode::NOT_FOUND, StatusCode::NOT_FOUND));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_whose_receiver_is_gone_is_disabled_until_a_user_enables_it() {
    let (server, receiver) = (start_server(fast_schedule()).await, Receiver::start().await);
    receiver.set_responder(|_, _| Some(410));
    let (webhook, _) = create_webhook(&server, &receiver.url, json!({"ordered": true})).await;
    register_printer(&server, "one", &[]).await;
    let shown = wait::until("the webhook is disabled", DEADLINE, async || {
        let hook = read_webhook(&server, &webhook).await;
        if hook["enabled"] == false { Ok(hook) } else { Err(hook) }
    })
    .await;
    assert_eq!((&shown["disabled_reason"], &shown["version"]), (&json!("gone"), &json!(2)));
    register_printer(&server, "two", &[]).await;
    let (_, audit, _) = server.get("/api/v1/audit?action=webhook.disabled").await;
    assert_eq!(
        (&audit["items"][0]["actor"]["kind"], &audit["items"][0]["changes"]["reason"]),
        (&json!("scheduler"), &json!("gone"))
    );
    let failed = list_deliveries(&server, &webhook, "?state=failed").await;
    let path = format!("/api/v1/webhooks/{}", webhook["id"].as_str().expect("an id"));
    let again = format!("{path}/deliveries/{}/redeliver", failed[0]["id"].as_str().expect("an id"));
    let (status, problem, _) = server.post(&again, json!({})).await;
    assert_eq!((status, &problem["code"]), (StatusCode::CONFLICT, &json!("webhook_disabled")));
    receiver.set_responder(|_, _| Some(200));
    let (status, shown, _) = server.patch(&path, json!({"enabled": true})).await;
    assert_eq!((status, &shown["disabled_reason"]), (StatusCode::OK, &Value::Null), "{shown}");
    register_printer(&server, "three", &[]).await;
    assert_eq!(
        printer_names(&until_received(&receiver, 3).await),
        ["one", "two", "three"],
        "it continues at its position"
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_fails_for_days_is_disabled() {
    let days = RetrySchedule { failing_for: Duration::from_millis(100), ..fast_schedule() };
    let (server, receiver) = (start_server(days).await, Receiver::start().await);
    receiver.set_responder(|_, _| Some(500));
    let (webhook, _) = create_webhook(&server, &receiver.url, json!({})).await;
    register_printer(&server, "one", &[]).await;
    let shown = wait::until("the webhook is disabled", DEADLINE, async || {
        let hook = read_webhook(&server, &webhook).await;
        if hook["enabled"] == false { Ok(hook) } else { Err(hook) }
    })
    .await;
    assert_eq!(shown["disabled_reason"], "failing");
    assert!(
        shown["failing_since"].is_string() && receiver.requests().len() > 1,
        "not after the first failure: {shown}"
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn both_secrets_sign_while_one_replaces_the_other() {
    let (server, receiver) = (start_server(fast_schedule()).await, Receiver::start().await);
    let (webhook, first) = create_webhook(&server, &receiver.url, json!({})).await;
    let path = format!("/api/v1/webhooks/{}", webhook["id"].as_str().expect("an id"));
    let rotate = async |overlap_s: u32| {
        let (status, body, _) = server.post(&format!("{path}/rotate-secret"), json!({"overlap_s": overlap_s})).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        assert_eq!(body["secret_overlap_until"].is_string(), overlap_s > 0);
        body["secret"].as_str().expect("a secret").to_owned()
    };
    let test = async || {
        let (status, report, _) = server.post(&format!("{path}/test"), json!({})).await;
        assert_eq!(
            (status, &report["delivered"], &report["status"]),
            (StatusCode::OK, &json!(true), &json!(204)),
            "{report}"
        );
        receiver.requests().pop().expect("it was sent")
    };
    let signed_by = |got: &ReceivedRequest, secret: &String| {
        let timestamp = got.headers["webhook-timestamp"].parse().expect("seconds");
        let signature =
            secrets::sign_webhook(std::slice::from_ref(secret), got.id(), timestamp, &got.text).expect("signed");
        got.headers["webhook-signature"].split(' ').any(|one| one == signature)
    };
    let second = rotate(3_600).await;
    let got = test().await;
    assert_eq!(got.kind(), "webhook.test");
    assert!(signed_by(&got, &first) && signed_by(&got, &second), "{:?}", got.headers);
    let third = rotate(0).await;
    let got = test().await;
    assert!(signed_by(&got, &third) && !signed_by(&got, &second) && !signed_by(&got, &first), "{:?}", got.headers);
    let (status, problem, _) = server.post(&format!("{path}/rotate-secret"), json!({"overlap_s": 2_592_001})).await;
    assert_eq!((status, &problem["errors"][0]["pointer"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("/overlap_s")));
    assert!(list_deliveries(&server, &webhook, "").await.is_empty(), "a test is not a delivery");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_that_is_not_allowed_is_not_called() {
    let receiver = Receiver::start().await;
    let raw_config = RawConfig { webhook_networks: Some("10.0.0.0/8".to_owned()), ..RawConfig::default() };
    let server =
        TestServer::start_with(ServerOptions { raw_config, webhooks: fast_schedule(), ..ServerOptions::default() })
            .await;
    let by_name = receiver.url.replace("127.0.0.1", "localhost");
    for url in [receiver.url.as_str(), &by_name, "http://169.254.169.254/latest", "http://[::ffff:127.0.0.1]/"] {
        let (webhook, _) = create_webhook(&server, url, json!({})).await;
        let path = format!("/api/v1/webhooks/{}/test", webhook["id"].as_str().expect("an id"));
        let (status, report, _) = server.post(&path, json!({})).await;
        assert_eq!((status, &report["delivered"], &report["status"]), (StatusCode::OK, &json!(false), &Value::Null));
        assert!(report["error"].as_str().is_some_and(|error| error.contains("must not connect to")), "{report}");
        assert!(report["advice"].as_str().is_some_and(|advice| advice.contains("PRINTYARD_WEBHOOK_NETWORKS")));
    }
    register_printer(&server, "one", &[]).await;
    wait::until("the delivery was tried", DEADLINE, async || {
        let (_, page, _) = server.get("/api/v1/webhooks").await;
        page["items"].as_array().expect("items").iter().all(|hook| hook["failing_since"].is_string())
    })
    .await;
    assert!(receiver.requests().is_empty());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn this_machine_is_not_called_unless_it_is_listed() {
    let receiver = Receiver::start().await;
    for (listed, delivered) in [("", false), ("127.0.0.0/8", true)] {
        let raw_config = RawConfig { webhook_networks: Some(listed.to_owned()), ..RawConfig::default() };
        let server =
            TestServer::start_with(ServerOptions { raw_config, webhooks: fast_schedule(), ..ServerOptions::default() })
                .await;
        let (webhook, _) = create_webhook(&server, &receiver.url, json!({})).await;
        let path = format!("/api/v1/webhooks/{}/test", webhook["id"].as_str().expect("an id"));
        let (status, report, _) = server.post(&path, json!({})).await;
        assert_eq!((status, &report["delivered"]), (StatusCode::OK, &json!(delivered)), "{listed:?}: {report}");
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_is_not_followed() {
    let (server, receiver) = (start_server(fast_schedule()).await, Receiver::start().await);
    receiver.set_responder(|_, _| Some(307));
    let (webhook, _) = create_webhook(&server, &receiver.url, json!({"enabled": false})).await;
    let path = format!("/api/v1/webhooks/{}/test", webhook["id"].as_str().expect("an id"));
    let (_, report, _) = server.post(&path, json!({})).await;
    assert_eq!((&report["delivered"], &report["status"]), (&json!(false), &json!(307)), "{report}");
    assert_eq!(receiver.requests().len(), 1);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tag_limited_user_sees_only_own_webhooks_and_events() {
    let (server, receiver) = (start_server(fast_schedule()).await, Receiver::start().await);
    let token = server.create_token_for("manager", &["hall-a"]).await;
    let as_limited = async |method: Method, path: &str, body: Value| {
        send_request(server.request_without_auth(method, path).bearer_auth(&token).json(&body)).await
    };
    let (theirs, _) = create_webhook(&server, &receiver.url, json!({"enabled": false})).await;
    let body = json!({"url": receiver.url, "types": ["printer.registered"], "ordered": true});
    let (status, mine, _) = as_limited(Method::POST, "/api/v1/webhooks", body).await;
    assert_eq!((status, &mine["tags"]), (StatusCode::CREATED, &json!(["hall-a"])), "{mine}");
    register_printer(&server, "b", &["hall-b"]).await;
    register_printer(&server, "a", &["hall-a"]).await;
    assert_eq!(printer_names(&until_received(&receiver, 1).await), ["a"]);
    let (_, list, _) = as_limited(Method::GET, "/api/v1/webhooks", Value::Null).await;
    let ids: Vec<&Value> = list["items"].as_array().expect("items").iter().map(|hook| &hook["id"]).collect();
    assert_eq!(ids, [&mine["id"]]);
    let path = format!("/api/v1/webhooks/{}", theirs["id"].as_str().expect("an id"));
    for (method, path, body) in [
        (Method::GET, path.clone(), json!({})),
        (Method::PATCH, path.clone(), json!({"enabled": true})),
        (Method::DELETE, path.clone(), json!({})),
        (Method::POST, format!("{path}/test"), json!({})),
        (Method::POST, format!("{path}/rotate-secret"), json!({"overlap_s": 0})),
        (Method::GET, format!("{path}/deliveries"), json!({})),
    ] {
        assert_eq!(as_limited(method.clone(), &path, body).await.0, StatusCode::NOT_FOUND, "{method} {path}");
    }
    assert_eq!(printer_names(&receiver.requests()), ["a"]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_or_stale_change_is_refused() {
    let server = TestServer::start().await;
    for (body, pointer, code) in [
        (json!({"url": "ftp://erp/"}), "/url", "url"),
        (json!({"url": "http://u:p@erp/"}), "/url", "url"),
        (json!({}), "/url", "required"),
        (json!({"url": "http://erp/", "types": ["printer.exploded"]}), "/types/0", "unknown_value"),
        (json!({"url": "http://erp/", "secret": "mine"}), "/secret", "unknown_field"),
    ] {
        let (status, problem, _) = server.post("/api/v1/webhooks", body).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{problem}");
        assert_eq!((&problem["errors"][0]["pointer"], &problem["errors"][0]["code"]), (&json!(pointer), &json!(code)));
    }
    let (webhook, _) = create_webhook(&server, "http://erp.invalid/", json!({"enabled": false})).await;
    let path = format!("/api/v1/webhooks/{}", webhook["id"].as_str().expect("an id"));
    let patch = async |tag: &str, body: Value| {
        send_request(server.request(Method::PATCH, &path).header("If-Match", tag).json(&body)).await
    };
    let (status, changed, headers) = patch("\"v1\"", json!({"types": null, "description": "erp"})).await;
    assert_eq!((status, &headers["etag"]), (StatusCode::OK, &"\"v2\"".parse().expect("a header")), "{changed}");
    assert_eq!((&changed["types"], &changed["description"]), (&json!([]), &json!("erp")));
    assert_eq!(patch("\"v1\"", json!({"ordered": true})).await.0, StatusCode::PRECONDITION_FAILED);
    assert_eq!(patch("\"v2\"", json!({"url": null})).await.0, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(server.delete(&path).await.0, StatusCode::NO_CONTENT);
    assert_eq!(server.get(&path).await.0, StatusCode::NOT_FOUND);
    for _ in 0..100 {
        create_webhook(&server, "http://erp.invalid/", json!({"enabled": false})).await;
    }
    let (status, problem, _) = server.post("/api/v1/webhooks", json!({"url": "http://erp.invalid/"})).await;
    assert_eq!((status, &problem["code"]), (StatusCode::CONFLICT, &json!("too_many_webhooks")));
    let (_, audit, _) = server.get("/api/v1/audit?limit=500").await;
    let actions: BTreeSet<&str> =
        audit["items"].as_array().expect("items").iter().filter_map(|entry| entry["action"].as_str()).collect();
    assert!(
        ["webhook.created", "webhook.changed", "webhook.removed"].iter().all(|one| actions.contains(one)),
        "{actions:?}"
    );
    assert!(!audit.to_string().contains("whsec_"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_when_the_server_is_killed_between_an_event_and_its_delivery() {
    let (receiver, dir) = (Receiver::start().await, tempfile::tempdir().expect("a folder"));
    let mut server = ServerProcess::start(dir.path()).await;
    let body = json!({"url": receiver.url, "types": ["printer.registered"]});
    assert_eq!(server.post("/webhooks", &body).await.expect("an answer").0, 201);
    let mut registered = BTreeSet::new();
    for round in 0..4 {
        // Deliveries in flight at the kill get no response, and are sent again after their lease ends.
        receiver.set_responder(move |n, _| if n % 5 == round { None } else { Some(204) });
        for n in 0..12 {
            let name = format!("r{round}-{n}");
            let body = json!({"name": name, "url": format!("http://{name}.invalid"), "enabled": false});
            assert_eq!(server.post("/printers", &body).await.expect("an answer").0, 201);
            registered.insert(name);
        }
        server.kill();
        server = ServerProcess::start(dir.path()).await;
    }
    receiver.set_responder(|_, _| Some(204));
    let accepted = wait::until("every event is accepted", Duration::from_secs(120), async || {
        let mut accepted: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for got in receiver.requests().into_iter().filter(|got| got.status == 204) {
            let name = got.body["data"]["printer_name"].as_str().expect("a name").to_owned();
            accepted.entry(name).or_default().insert(got.id().to_owned());
        }
        if accepted.len() == registered.len() { Ok(accepted) } else { Err(accepted.len()) }
    })
    .await;
    assert_eq!(accepted.keys().cloned().collect::<BTreeSet<_>>(), registered);
    assert!(accepted.values().all(|ids| ids.len() == 1), "a repeated delivery has the same id: {accepted:?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, which tests/run provides"]
async fn a_server_that_takes_over_sends_each_event_once() {
    let database = needs!(create_fresh_database().await);
    let receiver = Receiver::start().await;
    let options = ServerOptions {
        database_url: Some(database.url.clone()),
        raw_config: RawConfig { secret_key: Some("ab".repeat(32)), ..RawConfig::default() },
        ..ServerOptions::default()
    };
    let first = TestServer::start_with(options.clone()).await;
    let (webhook, _) = create_webhook(&first, &receiver.url, json!({})).await;
    for n in 0..20 {
        register_printer(&first, &format!("p{n}"), &[]).await;
    }
    first.stop().await;
    let second = TestServer::start_with(options).await;
    for n in 20..40 {
        register_printer(&second, &format!("p{n}"), &[]).await;
    }
    wait::until("every event is delivered", DEADLINE, async || {
        let mut open = list_deliveries(&second, &webhook, "?limit=500").await;
        let all: BTreeSet<String> = open.iter().map(|delivery| delivery["event_id"].to_string()).collect();
        open.retain(|delivery| delivery["state"] != "delivered");
        let (_, feed, _) = second.get("/api/v1/events?types=printer.registered&limit=500").await;
        let mut missing = feed["items"].as_array().cloned().unwrap_or_default();
        missing.retain(|event| !all.contains(&event["id"].to_string()));
        if all.len() == 40 && open.is_empty() { Ok(()) } else { Err((all.len(), open, missing)) }
    })
    .await;
    let got = receiver.requests();
    let ids: BTreeSet<&str> = got.iter().map(ReceivedRequest::id).collect();
    assert_eq!((got.len(), ids.len()), (40, 40));
    second.stop().await;
}

/// Sends a form as a browser does from the server's own page. Returns the status, and the page or the redirect target.
async fn submit_form(server: &TestServer, cookie: &str, path: &str, fields: &[(&str, &str)]) -> (StatusCode, String) {
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    let request =
        server.request_without_auth(Method::POST, path).header("Cookie", format!("printyard_session={cookie}"));
    let request = request.header("Sec-Fetch-Site", "same-origin").header("Accept-Language", "de");
    let request = request.header("Content-Type", "application/x-www-form-urlencoded").body(body);
    let response = request.send().await.expect("an answer");
    let status = response.status();
    let location = response.headers().get("location").map(|to| to.to_str().expect("text").to_owned());
    (status, location.unwrap_or(response.text().await.expect("a page")))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manager_adds_tests_repairs_and_removes_webhooks_on_their_page() {
    let (server, receiver) = (start_server(fast_schedule()).await, Receiver::start().await);
    let cookie = server.open_session(&server.create_token("manager").await).await;
    let page = async || {
        let request = server
            .request_without_auth(Method::GET, "/webhooks")
            .header("Cookie", format!("printyard_session={cookie}"));
        request.send().await.expect("an answer").text().await.expect("a page")
    };
    let (status, html) = submit_form(&server, &cookie, "/webhooks", &[("url", "ftp://erp")]).await;
    assert!(status == 422 && html.contains("http://"), "{status} {html}");
    let fields = [("url", receiver.url.as_str()), ("types", "printer.registered"), ("description", "das ERP")];
    let (status, created) = submit_form(&server, &cookie, "/webhooks", &fields).await;
    let secret = created.split("<code>").nth(1).and_then(|rest| rest.split('<').next()).expect("a secret");
    assert!(status == 200 && secret.starts_with("whsec_") && created.contains("das ERP"), "{created}");
    assert!(!page().await.contains("whsec_"), "not again");
    let (_, list, _) = server.get("/api/v1/webhooks").await;
    let path = format!("/webhooks/{}", list["items"][0]["id"].as_str().expect("an id"));
    let (_, html) = submit_form(&server, &cookie, &path, &[("act", "test")]).await;
    assert!(html.contains("angenommen"), "{html}");
    receiver.set_responder(|_, _| Some(410));
    register_printer(&server, "one", &[]).await;
    wait::until("the page shows it as disabled", DEADLINE, async || page().await.contains("no longer exists")).await;
    let (_, html) = submit_form(&server, &cookie, &path, &[("act", "test")]).await;
    assert!(html.contains("nicht mehr gibt") && html.contains("aktivieren Sie ihn"), "{html}");
    receiver.set_responder(|_, _| Some(200));
    let (status, location) = submit_form(&server, &cookie, &path, &[("act", "enable")]).await;
    assert_eq!((status, location.as_str()), (StatusCode::SEE_OTHER, "/webhooks"));
    let shown = page().await;
    let delivery = shown.split("name=\"delivery\" value=\"").nth(1).and_then(|rest| rest.split('"').next());
    let before = receiver.requests().len();
    let fields = [("act", "redeliver"), ("delivery", delivery.expect("the failed delivery"))];
    assert_eq!(submit_form(&server, &cookie, &path, &fields).await.0, StatusCode::SEE_OTHER);
    assert_eq!(until_received(&receiver, before + 1).await[before].kind(), "printer.registered");
    let (_, html) = submit_form(&server, &cookie, &path, &[("act", "rotate")]).await;
    assert!(html.contains("whsec_") && !html.contains(secret), "another one");
    assert_eq!(submit_form(&server, &cookie, &format!("{path}/remove"), &[]).await.0, StatusCode::SEE_OTHER);
    assert!(page().await.contains("No webhooks yet"));
    server.stop().await;
}
