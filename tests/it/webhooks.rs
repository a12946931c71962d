//! Webhooks from the event to the receiver: content, retries, order, recipients, and delivery after a crash.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write,
    process::{Command, Stdio},
    time::Duration,
};

use printyard::{config::Given, domain::webhook::Schedule, secrets};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{
    needs,
    postgres::fresh_database,
    process::ServerProcess,
    provided,
    server::{DEADLINE, Options, TestServer, answer},
    wait,
};

mod receiver;

use receiver::{Got, Receiver};

/// Returns a schedule with short pauses.
fn soon() -> Schedule {
    Schedule { pauses: [Duration::from_millis(20); 9], ..Schedule::default() }
}

async fn server_with(webhooks: Schedule) -> TestServer {
    TestServer::with(Options { webhooks, ..Options::default() }).await
}

/// Creates a webhook. Returns it and its secret.
async fn hook(server: &TestServer, url: &str, more: Value) -> (Value, String) {
    let mut body = json!({"url": url, "types": ["printer.registered"]});
    for (name, value) in more.as_object().expect("fields") {
        body[name] = value.clone();
    }
    let (status, mut made, headers) = server.post("/api/v1/webhooks", body).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    assert_eq!(headers["location"], format!("/api/v1/webhooks/{}", made["id"].as_str().expect("an id")));
    let secret = made.as_object_mut().and_then(|made| made.remove("secret")).expect("a secret");
    (made, secret.as_str().expect("a text").to_owned())
}

/// Causes an event by registering a printer.
async fn register(server: &TestServer, name: &str, tags: &[&str]) {
    let url = format!("http://{}.invalid", printyard::clock::new_id());
    let body = json!({"name": name, "url": url, "enabled": false, "tags": tags});
    let (status, body, _) = server.post("/api/v1/printers", body).await;
    assert_eq!(status, StatusCode::CREATED, "{body}");
}

async fn read(server: &TestServer, hook: &Value) -> Value {
    server.get(&format!("/api/v1/webhooks/{}", hook["id"].as_str().expect("an id"))).await.1
}

async fn deliveries(server: &TestServer, hook: &Value, query: &str) -> Vec<Value> {
    let path = format!("/api/v1/webhooks/{}/deliveries{query}", hook["id"].as_str().expect("an id"));
    let (status, page, _) = server.get(&path).await;
    assert_eq!(status, StatusCode::OK, "{page}");
    page["items"].as_array().expect("items").clone()
}

/// Waits until a receiver has received `n` requests.
async fn until_got(receiver: &Receiver, n: usize) -> Vec<Got> {
    wait::until(&format!("{n} requests"), DEADLINE, async || {
        let got = receiver.got();
        if got.len() >= n { Ok(got) } else { Err(got.len()) }
    })
    .await
}

fn names(got: &[Got]) -> Vec<String> {
    got.iter().map(|got| got.body["data"]["printer_name"].as_str().expect("a name").to_owned()).collect()
}

/// Verifies a request with the reference library. Returns the type of the event.
fn verified(python: &str, secret: &str, got: &Got) -> Result<String, String> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/webhooks/verify.py");
    let command =
        Command::new(python).arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = command.expect("Python starts");
    let given = json!({"secret": secret, "headers": got.headers, "body": got.text});
    child.stdin.take().expect("a pipe").write_all(given.to_string().as_bytes()).expect("read");
    let output = child.wait_with_output().expect("it ends");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_reference_library_verifies_what_is_sent_and_nothing_else() {
    let python = needs!(provided("PRINTYARD_TEST_STANDARDWEBHOOKS", "the library standardwebhooks"));
    let (server, receiver) = (server_with(soon()).await, Receiver::start().await);
    let (_, secret) = hook(&server, &receiver.url, json!({})).await;
    register(&server, "größe 1", &[]).await;
    let got = until_got(&receiver, 1).await;
    assert_eq!(verified(&python, &secret, &got[0]), Ok("printer.registered".to_owned()));
    let other = secrets::new_signing_secret().expect("random");
    let refused = verified(&python, &other, &got[0]).expect_err("another secret");
    assert!(refused.contains("No matching signature"), "{refused}");
    let altered = Got { text: got[0].text.replace("registered", "removed"), ..got[0].clone() };
    assert!(verified(&python, &secret, &altered).is_err());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_sent_once_as_the_feed_tells_it_and_only_what_is_wanted() {
    let (server, receiver) = (server_with(soon()).await, Receiver::start().await);
    register(&server, "before", &[]).await;
    let (made, secret) = hook(&server, &receiver.url, json!({})).await;
    register(&server, "after", &[]).await;
    let (_, list, _) = server.get("/api/v1/printers?q=after").await;
    let id = list["items"][0]["id"].as_str().expect("an id").to_owned();
    server.delete(&format!("/api/v1/printers/{id}")).await;
    register(&server, "last", &[]).await;
    let got = until_got(&receiver, 2).await;
    let (_, page, _) = server.get("/api/v1/events?types=printer.registered").await;
    let told: Vec<&Value> = page["items"].as_array().expect("items").iter().skip(1).collect();
    let mut sent: Vec<&Value> = got.iter().map(|got| &got.body).collect();
    sent.sort_by_key(|body| body["at"].as_str());
    assert_eq!(sent, told);
    for got in &got {
        assert_eq!(
            (got.id(), &*got.headers["content-type"]),
            (got.body["id"].as_str().expect("an id"), "application/json")
        );
        let timestamp = got.headers["webhook-timestamp"].parse().expect("seconds");
        let signature = secrets::sign(std::slice::from_ref(&secret), got.id(), timestamp, &got.text).expect("signed");
        assert_eq!(got.headers["webhook-signature"], signature);
    }
    let done = wait::until("both deliveries are stored", DEADLINE, async || {
        let done = deliveries(&server, &made, "?state=delivered&type=printer.registered").await;
        if done.len() == 2 { Ok(done) } else { Err(done) }
    })
    .await;
    assert_eq!((&done[0]["attempts"], &done[0]["status"], &done[0]["error"]), (&json!(1), &json!(204), &Value::Null));
    assert!(done[0]["id"].as_str() > done[1]["id"].as_str(), "newest first");
    let (_, page, _) =
        server.get(&format!("/api/v1/webhooks/{}/deliveries?limit=1", made["id"].as_str().expect("an id"))).await;
    let next = page["next_cursor"].as_str().expect("another page");
    assert_eq!(deliveries(&server, &made, &format!("?cursor={next}")).await, done[1..]);
    let hook = read(&server, &made).await;
    assert!(hook["last_success_at"].is_string() && hook["pending"] == 0, "{hook}");
    assert!(!hook.to_string().contains("whsec_"), "{hook}");
    let (_, metrics) = {
        let request = server.request(Method::GET, "/metrics").send().await.expect("an answer");
        (request.status(), request.text().await.expect("a text"))
    };
    assert!(metrics.contains("printyard_webhook_attempts_total{result=\"delivered\"} 2"), "{metrics}");
    assert_eq!(receiver.got().len(), 2);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn receivers_that_hang_delay_nobody() {
    // No delivery times out during the test.
    let never = Schedule { timeout: Duration::from_secs(3_600), ..Schedule::default() };
    let (server, hung, well) = (server_with(never).await, Receiver::start().await, Receiver::start().await);
    hung.answer(|_, _| None);
    for _ in 0..30 {
        hook(&server, &hung.url, json!({})).await;
    }
    for n in 0..8 {
        register(&server, &format!("a{n}"), &[]).await;
    }
    let most = 30 + 3 * 8;
    let held = until_got(&hung, 30).await.len();
    assert!(held <= most, "{held}");
    hook(&server, &well.url, json!({})).await;
    for n in 0..20 {
        register(&server, &format!("b{n}"), &[]).await;
    }
    assert_eq!(until_got(&well, 20).await.len(), 20);
    assert!(hung.got().len() <= most, "no more deliveries in flight than allowed: {}", hung.got().len());
    drop(hung);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ordered_webhook_keeps_the_order_of_the_feed_whatever_fails() {
    let (server, receiver) = (server_with(soon()).await, Receiver::start().await);
    receiver.answer(|n, _| Some(if n % 3 == 2 { 200 } else { 500 }));
    hook(&server, &receiver.url, json!({"ordered": true})).await;
    for n in 0..6 {
        register(&server, &format!("p{n}"), &[]).await;
    }
    let got = until_got(&receiver, 18).await;
    let expected: Vec<String> = (0..18).map(|n| format!("p{}", n / 3)).collect();
    assert_eq!(names(&got), expected, "each event is repeated until it is accepted, in order");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_taken_is_sent_again_with_the_same_id_also_after_a_restart() {
    // The pauses are much longer than the restart.
    let later = Schedule { pauses: [Duration::from_secs(3); 9], ..Schedule::default() };
    let (server, receiver) = (server_with(later).await, Receiver::start().await);
    receiver.answer(|_, _| Some(500));
    let (made, _) = hook(&server, &receiver.url, json!({})).await;
    register(&server, "one", &[]).await;
    until_got(&receiver, 1).await;
    let shown = wait::until("the webhook is shown as failing", DEADLINE, async || {
        let hook = read(&server, &made).await;
        if hook["failing_since"].is_string() { Ok(hook) } else { Err(hook) }
    })
    .await;
    let error = shown["last_error"].as_str().expect("a text");
    assert!(error.contains("127.0.0.1") && error.contains("500"), "{error}");
    let server = server.restart().await;
    receiver.answer(|_, _| Some(200));
    let done = wait::until("the delivery is accepted", DEADLINE, async || {
        let done = deliveries(&server, &made, "?state=delivered").await;
        if done.len() == 1 { Ok(done) } else { Err(done) }
    })
    .await;
    let got = receiver.got();
    assert!(got.len() > 1 && got.iter().all(|one| one.id() == got[0].id() && one.text == got[0].text), "{got:?}");
    assert_eq!((&done[0]["event_id"], &done[0]["status"]), (&json!(got[0].id()), &json!(200)));
    assert!(read(&server, &made).await["failing_since"].is_null());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_last_attempt_a_delivery_is_given_up_and_can_be_sent_again() {
    let (server, receiver) = (server_with(soon()).await, Receiver::start().await);
    receiver.answer(|_, _| Some(500));
    let (made, _) = hook(&server, &receiver.url, json!({})).await;
    register(&server, "one", &[]).await;
    let given_up = wait::until("the delivery is given up", DEADLINE, async || {
        let list = deliveries(&server, &made, "?state=abandoned").await;
        list.first().cloned()
    })
    .await;
    assert_eq!((&given_up["attempts"], &given_up["next_at"]), (&json!(10), &Value::Null));
    assert_eq!(receiver.got().len(), 10);
    receiver.answer(|_, _| Some(200));
    let path = |id: &str| {
        let hook = made["id"].as_str().expect("an id");
        format!("/api/v1/webhooks/{hook}/deliveries/{id}/redeliver")
    };
    let (status, delivery, _) = server.post(&path(given_up["id"].as_str().expect("an id")), json!({})).await;
    assert_eq!((status, &delivery["state"]), (StatusCode::ACCEPTED, &json!("pending")), "{delivery}");
    let got = until_got(&receiver, 11).await;
    assert_eq!(got[10].id(), got[0].id());
    let nowhere = server.post(&path("0193e1c7-7d1c-7a52-9a3e-2f3b5a0c9e11"), json!({})).await;
    assert_eq!((nowhere.0, server.post(&path("x"), json!({})).await.0), (StatusCode::NOT_FOUND, StatusCode::NOT_FOUND));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_is_gone_is_left_alone_until_somebody_switches_it_on() {
    let (server, receiver) = (server_with(soon()).await, Receiver::start().await);
    receiver.answer(|_, _| Some(410));
    let (made, _) = hook(&server, &receiver.url, json!({"ordered": true})).await;
    register(&server, "one", &[]).await;
    let shown = wait::until("the webhook is disabled", DEADLINE, async || {
        let hook = read(&server, &made).await;
        if hook["enabled"] == false { Ok(hook) } else { Err(hook) }
    })
    .await;
    assert_eq!((&shown["disabled_reason"], &shown["version"]), (&json!("gone"), &json!(2)));
    register(&server, "two", &[]).await;
    let (_, audit, _) = server.get("/api/v1/audit?action=webhook.disabled").await;
    assert_eq!(
        (&audit["items"][0]["actor"]["kind"], &audit["items"][0]["changes"]["reason"]),
        (&json!("scheduler"), &json!("gone"))
    );
    let failed = deliveries(&server, &made, "?state=failed").await;
    let path = format!("/api/v1/webhooks/{}", made["id"].as_str().expect("an id"));
    let again = format!("{path}/deliveries/{}/redeliver", failed[0]["id"].as_str().expect("an id"));
    let (status, problem, _) = server.post(&again, json!({})).await;
    assert_eq!((status, &problem["code"]), (StatusCode::CONFLICT, &json!("webhook_disabled")));
    receiver.answer(|_, _| Some(200));
    let (status, shown, _) = server.patch(&path, json!({"enabled": true})).await;
    assert_eq!((status, &shown["disabled_reason"]), (StatusCode::OK, &Value::Null), "{shown}");
    register(&server, "three", &[]).await;
    assert_eq!(names(&until_got(&receiver, 3).await), ["one", "two", "three"], "it continues at its position");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_through_which_nothing_gets_for_days_is_switched_off() {
    let days = Schedule { failing_for: Duration::from_millis(100), ..soon() };
    let (server, receiver) = (server_with(days).await, Receiver::start().await);
    receiver.answer(|_, _| Some(500));
    let (made, _) = hook(&server, &receiver.url, json!({})).await;
    register(&server, "one", &[]).await;
    let shown = wait::until("the webhook is disabled", DEADLINE, async || {
        let hook = read(&server, &made).await;
        if hook["enabled"] == false { Ok(hook) } else { Err(hook) }
    })
    .await;
    assert_eq!(shown["disabled_reason"], "failing");
    assert!(shown["failing_since"].is_string() && receiver.got().len() > 1, "not after the first failure: {shown}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn both_secrets_sign_while_one_replaces_the_other() {
    let (server, receiver) = (server_with(soon()).await, Receiver::start().await);
    let (made, first) = hook(&server, &receiver.url, json!({})).await;
    let path = format!("/api/v1/webhooks/{}", made["id"].as_str().expect("an id"));
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
        receiver.got().pop().expect("it was sent")
    };
    let signed_by = |got: &Got, secret: &String| {
        let timestamp = got.headers["webhook-timestamp"].parse().expect("seconds");
        let signature = secrets::sign(std::slice::from_ref(secret), got.id(), timestamp, &got.text).expect("signed");
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
    assert!(deliveries(&server, &made, "").await.is_empty(), "a test is not a delivery");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_that_is_not_allowed_is_not_called() {
    let receiver = Receiver::start().await;
    let given = Given { webhook_networks: Some("10.0.0.0/8".to_owned()), ..Given::default() };
    let server = TestServer::with(Options { given, webhooks: soon(), ..Options::default() }).await;
    let by_name = receiver.url.replace("127.0.0.1", "localhost");
    for url in [receiver.url.as_str(), &by_name, "http://169.254.169.254/latest", "http://[::ffff:127.0.0.1]/"] {
        let (made, _) = hook(&server, url, json!({})).await;
        let path = format!("/api/v1/webhooks/{}/test", made["id"].as_str().expect("an id"));
        let (status, report, _) = server.post(&path, json!({})).await;
        assert_eq!((status, &report["delivered"], &report["status"]), (StatusCode::OK, &json!(false), &Value::Null));
        assert!(report["error"].as_str().is_some_and(|error| error.contains("must not connect to")), "{report}");
        assert!(report["advice"].as_str().is_some_and(|advice| advice.contains("PRINTYARD_WEBHOOK_NETWORKS")));
    }
    register(&server, "one", &[]).await;
    wait::until("the delivery was tried", DEADLINE, async || {
        let (_, page, _) = server.get("/api/v1/webhooks").await;
        page["items"].as_array().expect("items").iter().all(|hook| hook["failing_since"].is_string())
    })
    .await;
    assert!(receiver.got().is_empty());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn this_machine_is_not_called_unless_it_is_listed() {
    let receiver = Receiver::start().await;
    for (listed, delivered) in [("", false), ("127.0.0.0/8", true)] {
        let given = Given { webhook_networks: Some(listed.to_owned()), ..Given::default() };
        let server = TestServer::with(Options { given, webhooks: soon(), ..Options::default() }).await;
        let (made, _) = hook(&server, &receiver.url, json!({})).await;
        let path = format!("/api/v1/webhooks/{}/test", made["id"].as_str().expect("an id"));
        let (status, report, _) = server.post(&path, json!({})).await;
        assert_eq!((status, &report["delivered"]), (StatusCode::OK, &json!(delivered)), "{listed:?}: {report}");
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_is_not_followed() {
    let (server, receiver) = (server_with(soon()).await, Receiver::start().await);
    receiver.answer(|_, _| Some(307));
    let (made, _) = hook(&server, &receiver.url, json!({"enabled": false})).await;
    let path = format!("/api/v1/webhooks/{}/test", made["id"].as_str().expect("an id"));
    let (_, report, _) = server.post(&path, json!({})).await;
    assert_eq!((&report["delivered"], &report["status"]), (&json!(false), &json!(307)), "{report}");
    assert_eq!(receiver.got().len(), 1);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_limited_by_tags_tells_and_sees_their_own_alone() {
    let (server, receiver) = (server_with(soon()).await, Receiver::start().await);
    let token = server.token_for("manager", &["hall-a"]).await;
    let as_limited = async |method: Method, path: &str, body: Value| {
        answer(server.bare(method, path).bearer_auth(&token).json(&body)).await
    };
    let (theirs, _) = hook(&server, &receiver.url, json!({"enabled": false})).await;
    let body = json!({"url": receiver.url, "types": ["printer.registered"], "ordered": true});
    let (status, mine, _) = as_limited(Method::POST, "/api/v1/webhooks", body).await;
    assert_eq!((status, &mine["tags"]), (StatusCode::CREATED, &json!(["hall-a"])), "{mine}");
    register(&server, "b", &["hall-b"]).await;
    register(&server, "a", &["hall-a"]).await;
    assert_eq!(names(&until_got(&receiver, 1).await), ["a"]);
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
    assert_eq!(names(&receiver.got()), ["a"]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_breaks_a_rule_is_refused_and_a_stale_change_too() {
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
    let (made, _) = hook(&server, "http://erp.invalid/", json!({"enabled": false})).await;
    let path = format!("/api/v1/webhooks/{}", made["id"].as_str().expect("an id"));
    let patch = async |tag: &str, body: Value| {
        answer(server.request(Method::PATCH, &path).header("If-Match", tag).json(&body)).await
    };
    let (status, changed, headers) = patch("\"v1\"", json!({"types": null, "description": "erp"})).await;
    assert_eq!((status, &headers["etag"]), (StatusCode::OK, &"\"v2\"".parse().expect("a header")), "{changed}");
    assert_eq!((&changed["types"], &changed["description"]), (&json!([]), &json!("erp")));
    assert_eq!(patch("\"v1\"", json!({"ordered": true})).await.0, StatusCode::PRECONDITION_FAILED);
    assert_eq!(patch("\"v2\"", json!({"url": null})).await.0, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(server.delete(&path).await.0, StatusCode::NO_CONTENT);
    assert_eq!(server.get(&path).await.0, StatusCode::NOT_FOUND);
    for _ in 0..100 {
        hook(&server, "http://erp.invalid/", json!({"enabled": false})).await;
    }
    let (status, problem, _) = server.post("/api/v1/webhooks", json!({"url": "http://erp.invalid/"})).await;
    assert_eq!((status, &problem["code"]), (StatusCode::CONFLICT, &json!("too_many_webhooks")));
    let (_, audit, _) = server.get("/api/v1/audit?limit=500").await;
    let told: BTreeSet<&str> =
        audit["items"].as_array().expect("items").iter().filter_map(|entry| entry["action"].as_str()).collect();
    assert!(["webhook.created", "webhook.changed", "webhook.removed"].iter().all(|one| told.contains(one)), "{told:?}");
    assert!(!audit.to_string().contains("whsec_"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_when_the_server_is_killed_between_an_event_and_its_delivery() {
    let (receiver, dir) = (Receiver::start().await, tempfile::tempdir().expect("a folder"));
    let mut server = ServerProcess::start(dir.path()).await;
    let body = json!({"url": receiver.url, "types": ["printer.registered"]});
    assert_eq!(server.post("/webhooks", &body).await.expect("an answer").0, 201);
    let mut made = BTreeSet::new();
    for round in 0..4 {
        // Deliveries in flight at the kill get no response, and are sent again after their lease ends.
        receiver.answer(move |n, _| if n % 5 == round { None } else { Some(204) });
        for n in 0..12 {
            let name = format!("r{round}-{n}");
            let body = json!({"name": name, "url": format!("http://{name}.invalid"), "enabled": false});
            assert_eq!(server.post("/printers", &body).await.expect("an answer").0, 201);
            made.insert(name);
        }
        server.kill();
        server = ServerProcess::start(dir.path()).await;
    }
    receiver.answer(|_, _| Some(204));
    let told = wait::until("every event is accepted", Duration::from_secs(120), async || {
        let mut told: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for got in receiver.got().into_iter().filter(|got| got.answer == 204) {
            let name = got.body["data"]["printer_name"].as_str().expect("a name").to_owned();
            told.entry(name).or_default().insert(got.id().to_owned());
        }
        if told.len() == made.len() { Ok(told) } else { Err(told.len()) }
    })
    .await;
    assert_eq!(told.keys().cloned().collect::<BTreeSet<_>>(), made);
    assert!(told.values().all(|ids| ids.len() == 1), "a repeated delivery has the same id: {told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_takes_over_sends_each_event_once() {
    let database = needs!(fresh_database().await);
    let receiver = Receiver::start().await;
    let options = Options {
        database_url: Some(database.url.clone()),
        given: Given { secret_key: Some("ab".repeat(32)), ..Given::default() },
        ..Options::default()
    };
    let first = TestServer::with(options.clone()).await;
    let (made, _) = hook(&first, &receiver.url, json!({})).await;
    for n in 0..20 {
        register(&first, &format!("p{n}"), &[]).await;
    }
    first.stop().await;
    let second = TestServer::with(options).await;
    for n in 20..40 {
        register(&second, &format!("p{n}"), &[]).await;
    }
    wait::until("every event is delivered", DEADLINE, async || {
        let mut open = deliveries(&second, &made, "?limit=500").await;
        let all: BTreeSet<String> = open.iter().map(|delivery| delivery["event_id"].to_string()).collect();
        open.retain(|delivery| delivery["state"] != "delivered");
        let (_, feed, _) = second.get("/api/v1/events?types=printer.registered&limit=500").await;
        let mut missing = feed["items"].as_array().cloned().unwrap_or_default();
        missing.retain(|event| !all.contains(&event["id"].to_string()));
        if all.len() == 40 && open.is_empty() { Ok(()) } else { Err((all.len(), open, missing)) }
    })
    .await;
    let got = receiver.got();
    let ids: BTreeSet<&str> = got.iter().map(Got::id).collect();
    assert_eq!((got.len(), ids.len()), (40, 40));
    second.stop().await;
}

/// Sends a form as a browser does from the server's own page. Returns the status, and the page or the redirect target.
async fn submit(server: &TestServer, cookie: &str, path: &str, fields: &[(&str, &str)]) -> (StatusCode, String) {
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    let request = server.bare(Method::POST, path).header("Cookie", format!("printyard_session={cookie}"));
    let request = request.header("Sec-Fetch-Site", "same-origin").header("Accept-Language", "de");
    let request = request.header("Content-Type", "application/x-www-form-urlencoded").body(body);
    let response = request.send().await.expect("an answer");
    let status = response.status();
    let there = response.headers().get("location").map(|to| to.to_str().expect("text").to_owned());
    (status, there.unwrap_or(response.text().await.expect("a page")))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manager_adds_tests_mends_and_removes_webhooks_on_their_page() {
    let (server, receiver) = (server_with(soon()).await, Receiver::start().await);
    let cookie = server.session_of(&server.token("manager").await).await;
    let page = async || {
        let request = server.bare(Method::GET, "/webhooks").header("Cookie", format!("printyard_session={cookie}"));
        request.send().await.expect("an answer").text().await.expect("a page")
    };
    let (status, told) = submit(&server, &cookie, "/webhooks", &[("url", "ftp://erp")]).await;
    assert!(status == 422 && told.contains("http://"), "{status} {told}");
    let fields = [("url", receiver.url.as_str()), ("types", "printer.registered"), ("description", "das ERP")];
    let (status, made) = submit(&server, &cookie, "/webhooks", &fields).await;
    let secret = made.split("<code>").nth(1).and_then(|rest| rest.split('<').next()).expect("a secret");
    assert!(status == 200 && secret.starts_with("whsec_") && made.contains("das ERP"), "{made}");
    assert!(!page().await.contains("whsec_"), "not again");
    let (_, list, _) = server.get("/api/v1/webhooks").await;
    let path = format!("/webhooks/{}", list["items"][0]["id"].as_str().expect("an id"));
    let (_, told) = submit(&server, &cookie, &path, &[("act", "test")]).await;
    assert!(told.contains("angenommen"), "{told}");
    receiver.answer(|_, _| Some(410));
    register(&server, "one", &[]).await;
    wait::until("the page shows it as disabled", DEADLINE, async || page().await.contains("gone for good")).await;
    let (_, told) = submit(&server, &cookie, &path, &[("act", "test")]).await;
    assert!(told.contains("gibt es nicht mehr") && told.contains("schalten ihn ein"), "{told}");
    receiver.answer(|_, _| Some(200));
    let (status, there) = submit(&server, &cookie, &path, &[("act", "enable")]).await;
    assert_eq!((status, there.as_str()), (StatusCode::SEE_OTHER, "/webhooks"));
    let shown = page().await;
    let delivery = shown.split("name=\"delivery\" value=\"").nth(1).and_then(|rest| rest.split('"').next());
    let before = receiver.got().len();
    let fields = [("act", "redeliver"), ("delivery", delivery.expect("the failed delivery"))];
    assert_eq!(submit(&server, &cookie, &path, &fields).await.0, StatusCode::SEE_OTHER);
    assert_eq!(until_got(&receiver, before + 1).await[before].kind(), "printer.registered");
    let (_, told) = submit(&server, &cookie, &path, &[("act", "rotate")]).await;
    assert!(told.contains("whsec_") && !told.contains(secret), "another one");
    assert_eq!(submit(&server, &cookie, &format!("{path}/remove"), &[]).await.0, StatusCode::SEE_OTHER);
    assert!(page().await.contains("There are none yet"));
    server.stop().await;
}
