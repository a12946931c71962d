//! Errors below `/api`: each is problem+json with one request id, and without internal text.

use reqwest::{Method, StatusCode, header::HeaderMap};
use serde_json::{Value, json};

use crate::support::server::{TestServer, send_request};

/// Checks the fields and headers that every problem has.
#[track_caller]
pub fn assert_problem(answer: &(StatusCode, Value, HeaderMap), status: u16, code: &str) {
    let (actual_status, body, headers) = answer;
    assert_eq!((actual_status.as_u16(), &body["code"]), (status, &Value::from(code)), "{body}");
    assert_eq!(headers["content-type"], "application/problem+json");
    assert_eq!(body["status"], status);
    assert_eq!(body["request_id"], headers["x-request-id"].to_str().expect("text"));
    for field in ["type", "title", "detail", "instance"] {
        assert!(body[field].as_str().is_some_and(|text| !text.is_empty()), "{field}: {body}");
    }
}

#[tokio::test]
async fn an_unknown_path_is_404() {
    let server = TestServer::start().await;
    for path in ["/api/v1/nope", "/api/v1", "/api/v1/", "/api/v1/printers/", "/api", "/api/", "/api/v2/printers"] {
        let found = server.get(path).await;
        assert_problem(&found, 404, "not_found");
        assert_eq!(found.1["instance"], path);
    }
}

#[tokio::test]
async fn a_path_id_that_is_no_uuid_is_404() {
    let server = TestServer::start().await;
    for path in
        ["/api/v1/printers/1", "/api/v1/batches/x/commands", "/api/v1/prints/%20", "/api/v1/printers/%F0%9F%90%99"]
    {
        assert_problem(&server.get(path).await, 404, "not_found");
    }
}

#[tokio::test]
async fn a_method_that_is_not_allowed_says_which_are() {
    let server = TestServer::start().await;
    for (verb, path, allowed) in [
        ("PUT", "/api/v1/printers", "GET,HEAD,POST"),
        ("GET", "/api/v1/plates/clear", "POST"),
        ("DELETE", "/api/v1/me", "GET,HEAD"),
        ("POST", "/healthz", "GET,HEAD"),
        ("TRACE", "/api/openapi.json", "GET,HEAD"),
    ] {
        let refused = send_request(server.request(verb.parse().expect("a method"), path)).await;
        assert_problem(&refused, 405, "method_not_allowed");
        assert_eq!(refused.2["allow"], allowed, "{path}");
    }
}

#[tokio::test]
async fn head_answers_as_get_does_without_a_body() {
    let server = TestServer::start().await;
    for (path, status) in [("/api/v1/printers", 200), ("/api/v1/nope", 404), ("/api/v1/printers?limit=0", 422)] {
        let response = server.request(Method::HEAD, path).send().await.expect("an answer");
        assert_eq!(response.status(), status, "{path}");
        assert!(response.bytes().await.expect("an end").is_empty());
    }
}

#[tokio::test]
async fn a_body_that_is_no_json_is_400() {
    let server = TestServer::start().await;
    for body in [b"".as_slice(), b"{", b"{\"a\":}", b"nonsense", b"{} {}", b"{\"name\":\"\xff\"}", b"{\"typo\":1,"] {
        let request = server.request(Method::POST, "/api/v1/printers").header("Content-Type", "application/json");
        assert_problem(&send_request(request.body(body.to_vec())).await, 400, "malformed_json");
    }
}

#[tokio::test]
async fn a_body_that_is_nested_without_end_is_refused() {
    let server = TestServer::start().await;
    let deep = |field: &str| format!("{{\"{field}\":{}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
    for field in ["name", "tags", "bed_mm", "typo"] {
        let request = server.request(Method::POST, "/api/v1/printers").header("Content-Type", "application/json");
        assert_problem(&send_request(request.body(deep(field))).await, 422, "invalid_input");
    }
}

#[tokio::test]
async fn a_body_of_another_media_type_is_415() {
    let server = TestServer::start().await;
    for media_type in
        [None, Some("text/plain"), Some("application/xml"), Some("application/merge-patch+json"), Some("json")]
    {
        let mut request = server.request(Method::POST, "/api/v1/batches").body("{}");
        if let Some(media_type) = media_type {
            request = request.header("Content-Type", media_type);
        }
        assert_problem(&send_request(request).await, 415, "unsupported_media_type");
    }
    let request = server.request(Method::POST, "/api/v1/batches").body("{}");
    let request = request.header("Content-Type", "Application/JSON; charset=utf-8");
    assert_eq!(send_request(request).await.0, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn a_body_that_is_too_large_is_413() {
    let server = TestServer::start().await;
    let body = json!({"name": "a".repeat(3 * 1024 * 1024), "url": "http://a"});
    assert_problem(&server.post("/api/v1/printers", body).await, 413, "too_large");
}

#[tokio::test]
async fn an_array_is_not_accepted_as_an_object() {
    let server = TestServer::start().await;
    for (body, pointer) in [
        (json!(["pause", {"all": true}]), ""),
        (json!({"command": "pause", "select": [null, null, null, null, null, null, true]}), "/select"),
        (json!({"command": "pause", "select": {"all": true}, "expected_job": ["a", null]}), "/expected_job"),
        (json!({"command": "start", "select": {"all": true}, "file": ["a", "local"]}), "/file"),
        (json!("pause"), ""),
        (json!(null), ""),
    ] {
        let refused = server.post("/api/v1/batches", body).await;
        assert_problem(&refused, 422, "invalid_input");
        assert_eq!(refused.1["errors"][0]["pointer"], pointer, "{}", refused.1);
        assert_eq!(refused.1["errors"][0]["code"], "type", "{}", refused.1);
    }
}

#[tokio::test]
async fn bytes_that_are_no_utf_8_are_a_problem_of_the_client() {
    let server = TestServer::start().await;
    assert_problem(&server.get("/api/v1/printers/%FF").await, 400, "malformed_path");
    assert_problem(&server.get("/api/v1/printers?q=%C3%28").await, 400, "malformed_query");
    let odd = reqwest::header::HeaderValue::from_bytes(b"wait=\xff").expect("a header value");
    for header in ["Prefer", "X-Request-Id", "traceparent", "Idempotency-Key", "Accept"] {
        let request = server.request(Method::GET, "/api/v1/batches").header(header, odd.clone());
        assert_eq!(send_request(request).await.0, StatusCode::OK, "{header}");
    }
}

#[tokio::test]
async fn an_invalid_query_names_its_parameter() {
    let server = TestServer::start().await;
    for (query, parameter) in [
        ("printers?limit=0", "limit"),
        ("printers?limit=501", "limit"),
        ("printers?limit=ten", "limit"),
        ("printers?limit=", "limit"),
        ("printers?limit=1&limit=2", "limit"),
        ("printers?cursor=nonsense", "cursor"),
        ("printers?cursor=", "cursor"),
        ("printers?state=dancing", "state"),
        ("printers?reachability=far", "reachability"),
        ("printers?tags=a", "tags"),
        ("printers?q=a%00b", "q"),
        ("batches?state=done", "state"),
        ("batches?command=jump", "command"),
        ("batches?since=yesterday", "since"),
        ("batches?since=", "since"),
        ("audit?until=", "until"),
        ("prints?since=", "since"),
        ("prints?external_ref=", "external_ref"),
        ("prints?batch_id=", "batch_id"),
        ("printers?state=", "state"),
        ("prints?printer_id=7", "printer_id"),
        ("prints?state=half", "state"),
        ("tokens?role=admin", "role"),
        ("me?verbose=1", "verbose"),
    ] {
        let refused = server.get(&format!("/api/v1/{query}")).await;
        assert_problem(&refused, 422, "invalid_query");
        assert_eq!(refused.1["parameter"], parameter, "{query}");
        assert_eq!(refused.1["errors"][0]["parameter"], parameter, "{query}");
    }
}

#[tokio::test]
async fn an_unexpected_parameter_is_refused_before_any_command_is_sent() {
    let server = TestServer::start().await;
    let batch = json!({"command": "cancel", "select": {"all": true}});
    assert_problem(&server.post("/api/v1/batches?dry_run=true", batch).await, 422, "invalid_query");
}

#[tokio::test]
async fn a_cursor_belongs_to_its_list() {
    let server = TestServer::start().await;
    for name in ["a", "b"] {
        let (status, ..) = server.post("/api/v1/tokens", json!({"name": name, "role": "viewer"})).await;
        assert_eq!(status, StatusCode::CREATED);
    }
    let (_, page, _) = server.get("/api/v1/tokens?limit=1").await;
    let cursor = page["next_cursor"].as_str().expect("a next page");
    let (status, page, _) = server.get(&format!("/api/v1/tokens?limit=1&cursor={cursor}")).await;
    assert_eq!((status, &page["items"][0]["name"], &page["next_cursor"]), (StatusCode::OK, &json!("a"), &Value::Null));
    for list in ["batches", "prints", "printers"] {
        assert_problem(&server.get(&format!("/api/v1/{list}?cursor={cursor}")).await, 422, "invalid_query");
    }
}

#[tokio::test]
async fn a_request_id_is_accepted_or_generated_and_returned() {
    let server = TestServer::start().await;
    let send_with_id =
        |id: &str| send_request(server.request(Method::GET, "/api/v1/nope").header("X-Request-Id", id.as_bytes()));
    let accepted = send_with_id("erp-4711/ä".trim_end_matches("/ä")).await;
    assert_problem(&accepted, 404, "not_found");
    assert_eq!(accepted.1["request_id"], "erp-4711");
    for odd in ["", "two words", &"x".repeat(129), "ümlaut"] {
        let generated = send_with_id(odd).await;
        assert_problem(&generated, 404, "not_found");
        assert!(uuid::Uuid::parse_str(generated.1["request_id"].as_str().expect("text")).is_ok(), "{odd}");
    }
    assert!(send_request(server.request_without_auth(Method::GET, "/healthz")).await.2.contains_key("x-request-id"));
}

#[tokio::test]
async fn an_unavailable_database_is_503_without_its_error_text() {
    let server = TestServer::start().await;
    server.services.close().await;
    let failed = server.get("/api/v1/printers").await;
    assert_problem(&failed, 503, "unavailable");
    assert!(failed.2.contains_key("retry-after"));
    assert!(!failed.1.to_string().to_lowercase().contains("sql"), "{}", failed.1);
    server.services.background().run_now("health").await.expect("the task exists");
    assert_problem(&server.get("/readyz").await, 503, "not_ready");
    assert_eq!(server.get("/healthz").await.0, StatusCode::OK);
}
