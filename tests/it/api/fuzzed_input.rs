//! Fuzzed input: any request gets a response in time, and never a 5xx status.

use proptest::{
    prelude::{Just, Strategy, any, prop, prop_oneof},
    test_runner::{Config, TestRunner},
};
use reqwest::{Method, RequestBuilder, header::HeaderValue};
use serde_json::{Value, json};

use crate::support::{
    fresh_database::create_fresh_database,
    needs,
    server::{ServerOptions, TestServer},
};

/// Longest cursor in characters. hyper refuses a longer URL with its own error, before there is a request.
const LONGEST_CURSOR: usize = 20_000;
/// Cases per property: enough for common errors, and few enough to run each time.
const CASES: u32 = 150;

/// Sends each case to one server.
fn assert_no_5xx<S: Strategy>(strategy: S, request: impl Fn(&TestServer, S::Value) -> RequestBuilder)
where
    S::Value: Clone,
{
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    let server = runtime.block_on(TestServer::start());
    let id = runtime.block_on(async {
        let body = json!({"name": "there", "url": "http://127.0.0.1:1", "enabled": false});
        server.post("/api/v1/printers", body).await.1["id"].clone()
    });
    assert!(id.is_string());
    let mut runner = TestRunner::new(Config { cases: CASES, failure_persistence: None, ..Config::default() });
    let result = runner.run(&strategy, |value| {
        let response = runtime.block_on(async { request(&server, value).send().await });
        let response = response.map_err(|error| proptest::test_runner::TestCaseError::fail(error.to_string()))?;
        let status = response.status();
        let headers = response.headers().clone();
        let body = runtime.block_on(response.text()).unwrap_or_default();
        proptest::prop_assert!(status.as_u16() < 500, "{status}: {body}");
        if status.is_client_error() {
            proptest::prop_assert_eq!(&headers["content-type"], "application/problem+json", "{}", body);
        }
        Ok(())
    });
    runtime.block_on(server.stop());
    result.unwrap_or_else(|error| panic!("{error}"));
}

/// Generates texts, mostly unusual ones.
fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[ -~]{0,40}",
        Just("\u{0}".to_owned()),
        Just("a".repeat(10_000)),
        Just("😀\u{202e}\u{feff}".to_owned()),
        Just("'; drop table printers; --".to_owned()),
        Just("01890a5d-ac96-774b-bcce-b302099a8057".to_owned()),
    ]
}

/// Generates JSON values of any shape and limited depth.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any_text().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map("[a-z_]{1,12}", inner, 0..4).prop_map(|map| map.into_iter().collect()),
        ]
    })
}

/// Generates objects with some of these fields and any values.
fn any_object(fields: &'static [&'static str]) -> impl Strategy<Value = Value> {
    let field = prop::sample::select(fields);
    prop::collection::vec((field, any_json()), 0..5)
        .prop_map(|pairs| pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

#[test]
fn selectors_of_any_shape_cause_no_5xx() {
    let select = any_object(&["printer_ids", "tags_all", "tags_any", "states", "batch_id", "outcomes", "all"]);
    let command = prop::sample::select(vec!["pause", "start", "toggle", "disconnect"]);
    assert_no_5xx((command, select), |server, (command, select)| {
        let body = json!({"command": command, "select": select});
        server.request(Method::POST, "/api/v1/batches").json(&body)
    });
}

#[test]
fn batch_fields_of_any_shape_cause_no_5xx() {
    let fields = any_object(&[
        "file",
        "expected_job",
        "plate",
        "max_in_flight",
        "interval_ms",
        "max_heating",
        "not_before",
        "expires_in_s",
        "window_s",
        "confirm_within_s",
        "when_unreachable",
        "on_failure",
        "force",
        "expect_total",
        "dry_run",
        "reason",
        "external_ref",
    ]);
    assert_no_5xx(fields, |server, mut body| {
        body["command"] = json!("start");
        body["select"] = json!({"printer_ids": [uuid::Uuid::nil()]});
        server.request(Method::POST, "/api/v1/batches").json(&body)
    });
}

#[test]
fn names_urls_and_keys_of_any_text_cause_no_5xx() {
    let fields =
        any_object(&["url", "api_key", "tags", "model", "color", "nozzle_mm", "bed_mm", "notes", "power_group"]);
    assert_no_5xx((any_text(), any_text(), fields), |server, (name, url, mut body)| {
        body["name"] = json!(name);
        body["enabled"] = json!(false);
        if body.get("url").is_none() {
            body["url"] = json!(format!("http://{url}"));
        }
        server.request(Method::POST, "/api/v1/printers").json(&body)
    });
}

#[test]
fn bodies_of_any_bytes_cause_no_5xx() {
    let path =
        prop::sample::select(vec!["/api/v1/printers", "/api/v1/batches", "/api/v1/tokens", "/api/v1/plates/clear"]);
    assert_no_5xx((path, prop::collection::vec(any::<u8>(), 0..200)), |server, (path, body)| {
        server.request(Method::POST, path).header("Content-Type", "application/json").body(body)
    });
}

#[test]
fn queries_and_cursors_of_any_text_cause_no_5xx() {
    use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
    let list = prop::sample::select(vec!["printers", "batches", "prints", "tokens"]);
    let cursor = prop_oneof![
        any_text(),
        any_json().prop_map(|position| BASE64_URL_SAFE_NO_PAD.encode(json!([1, "printers", position]).to_string())),
        (any_text(), any::<u128>()).prop_map(|(name, id)| {
            let position = json!([1, "printers", [name, uuid::Uuid::from_u128(id)]]);
            BASE64_URL_SAFE_NO_PAD.encode(position.to_string())
        }),
    ];
    let name = prop::sample::select(vec!["q", "tag", "state", "since", "external_ref", "printer_id", "limit", "x"]);
    assert_no_5xx((list, cursor, name, any_text()), |server, (list, cursor, name, value)| {
        let cursor: String = cursor.chars().take(LONGEST_CURSOR).collect();
        let query = [("cursor", cursor), (name, value.chars().take(300).collect())];
        let query: String = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
        server.request(Method::GET, &format!("/api/v1/{list}?{query}"))
    });
}

#[test]
fn paths_of_any_bytes_cause_no_5xx() {
    let part = prop::collection::vec(any::<u8>(), 0..12);
    let root = prop::sample::select(vec!["printers", "batches", "prints", "tokens", "nowhere"]);
    let verb = prop::sample::select(vec![Method::GET, Method::DELETE, Method::HEAD]);
    assert_no_5xx((verb, root, part.clone(), part), |server, (verb, root, one, two)| {
        let encoded =
            |part: &[u8]| percent_encoding::percent_encode(part, percent_encoding::NON_ALPHANUMERIC).to_string();
        server.request(verb, &format!("/api/v1/{root}/{}/{}", encoded(&one), encoded(&two)))
    });
}

#[test]
fn headers_of_any_bytes_cause_no_5xx() {
    let names = vec![
        "Prefer",
        "If-Match",
        "X-Request-Id",
        "traceparent",
        "Idempotency-Key",
        "Content-Type",
        "Accept",
        "Cookie",
    ];
    let bytes = prop::collection::vec(any::<u8>(), 0..60);
    assert_no_5xx((prop::sample::select(names), bytes), |server, (name, bytes)| {
        let printable: Vec<u8> = bytes.into_iter().filter(|byte| *byte >= 32 && *byte != 127).collect();
        let value = HeaderValue::from_bytes(&printable).expect("a valid header value");
        let body = json!({"command": "pause", "select": {"printer_ids": [uuid::Uuid::nil()]}}).to_string();
        let mut request = server.request(Method::POST, "/api/v1/batches");
        if name != "Content-Type" {
            request = request.header("Content-Type", "application/json");
        }
        request.header(name, value).body(body)
    });
}

#[tokio::test]
#[ignore = "needs PostgreSQL, which tests/run provides"]
async fn odd_texts_cause_no_5xx_on_postgresql() {
    let database = needs!(create_fresh_database().await);
    let server =
        TestServer::start_with(ServerOptions { database_url: Some(database.url.clone()), ..ServerOptions::default() })
            .await;
    let odd = [
        "\u{0}",
        "%00",
        "\u{202e}",
        "a\\u0000b",
        "\u{10ffff}",
        "'",
        "-1",
        "0000-01-01T00:00:00Z",
        "9999-12-31T23:59:60Z",
    ];
    for text in odd {
        let query: String = url::form_urlencoded::byte_serialize(text.as_bytes()).collect();
        for path in
            ["printers?q", "printers?tag", "batches?external_ref", "batches?since", "prints?since", "tokens?cursor"]
        {
            let (status, body, _) = server.get(&format!("/api/v1/{path}={query}")).await;
            assert!(status.as_u16() < 500, "{path}={text:?}: {body}");
        }
        for (path, body) in [
            ("printers", json!({"name": text, "url": format!("http://a/{text}"), "notes": text, "enabled": false})),
            ("printers", json!({"name": "x", "url": "http://x", "api_key": text, "tags": [text], "model": text})),
            ("tokens", json!({"name": text, "role": "viewer", "tags": [text], "expires_at": text})),
            ("tokens", json!({"name": "x", "role": "viewer", "expires_at": text})),
            ("batches", json!({"command": "pause", "select": {"tags_all": [text]}, "reason": text})),
            (
                "batches",
                json!({"command": "start", "select": {"printer_ids": [uuid::Uuid::nil()]},
                "file": {"path": text, "origin": text}, "external_ref": text}),
            ),
        ] {
            let (status, body, _) = server.post(&format!("/api/v1/{path}"), body).await;
            assert!(status.as_u16() < 500, "{path} {text:?}: {body}");
        }
    }
    server.stop().await;
}
