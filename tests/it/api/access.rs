//! Who may do what is decided before anything else about a request is looked at.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::server::{ADMIN_TOKEN, TestServer, send_request, start_farm};

/// Every kind of route below `/api/v1`, and the smallest role for it.
const ROUTES: [(&str, &str, &str); 24] = [
    ("GET", "/api/v1/me", "viewer"),
    ("GET", "/api/v1/printers", "viewer"),
    ("GET", "/api/v1/printers/x", "viewer"),
    ("GET", "/api/v1/printers/x/job", "viewer"),
    ("GET", "/api/v1/printers/x/files", "viewer"),
    ("GET", "/api/v1/printers/x/snapshot", "viewer"),
    ("GET", "/api/v1/batches", "viewer"),
    ("GET", "/api/v1/batches/x/commands", "viewer"),
    ("GET", "/api/v1/prints", "viewer"),
    ("GET", "/metrics", "viewer"),
    ("POST", "/api/v1/printers/x/job", "operator"),
    ("POST", "/api/v1/printers/x/files", "operator"),
    ("POST", "/api/v1/printers/x/files/select", "operator"),
    ("DELETE", "/api/v1/printers/x/files/local/a.gcode", "operator"),
    ("POST", "/api/v1/batches", "operator"),
    ("POST", "/api/v1/batches/x/stop", "operator"),
    ("POST", "/api/v1/batches/x/retry", "operator"),
    ("POST", "/api/v1/plates/clear", "operator"),
    ("POST", "/api/v1/printers", "manager"),
    ("POST", "/api/v1/printers/test", "manager"),
    ("PATCH", "/api/v1/printers/x", "operator"),
    ("DELETE", "/api/v1/printers/x", "manager"),
    ("POST", "/api/v1/tokens", "admin"),
    ("DELETE", "/api/v1/tokens/x", "admin"),
];
const ROLES: [&str; 4] = ["viewer", "operator", "manager", "admin"];

fn parse_method(name: &str) -> Method {
    name.parse().expect("a method")
}

#[tokio::test]
async fn without_a_token_every_path_is_401_whatever_else_is_wrong() {
    let server = TestServer::start().await;
    let unknown_paths =
        [("GET", "/api/v1", ""), ("GET", "/api/v1/nope/%ff", ""), ("PUT", "/api/v1/printers?x=%ff", "")];
    for (verb, path, _) in ROUTES.into_iter().chain(unknown_paths) {
        let (status, body, headers) =
            send_request(server.request_without_auth(parse_method(verb), path).body("{")).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{verb} {path}");
        assert_eq!(body["code"], "unauthenticated", "{verb} {path}");
        assert!(headers["www-authenticate"].to_str().expect("text").starts_with("Bearer"));
    }
    for credentials in ["Bearer", "Bearer wrong", "Basic YTpi", ADMIN_TOKEN, "Bearer \u{fffd}"] {
        let request =
            server.request_without_auth(Method::GET, "/api/v1/me").header("Authorization", credentials.as_bytes());
        assert_eq!(send_request(request).await.0, StatusCode::UNAUTHORIZED, "{credentials}");
    }
}

#[tokio::test]
async fn a_session_cookie_is_no_credential_of_the_api() {
    let server = TestServer::start().await;
    let logged_in = server.services.log_in_by_token(ADMIN_TOKEN, Default::default()).await.expect("a ledger");
    let printyard::service::sessions::LoginResult::LoggedIn { session: secret, .. } = logged_in else {
        panic!("{logged_in:?}")
    };
    let request =
        server.request_without_auth(Method::GET, "/api/v1/me").header("Cookie", format!("printyard_session={secret}"));
    assert_eq!(send_request(request).await.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_role_that_is_too_low_gets_403_before_the_request_is_checked() {
    let server = TestServer::start().await;
    for (rank, role) in ROLES.iter().enumerate() {
        let token = server.create_token(role).await;
        for (verb, path, needed) in ROUTES {
            let is_allowed = ROLES[..=rank].contains(&needed);
            let (status, body, _) =
                send_request(server.request_without_auth(parse_method(verb), path).bearer_auth(&token).body("{")).await;
            assert_eq!(status == StatusCode::FORBIDDEN, !is_allowed, "{role}: {verb} {path}: {status} {body}");
            assert!(status.as_u16() < 500, "{role}: {verb} {path}: {status} {body}");
        }
    }
}

#[tokio::test]
async fn health_and_the_openapi_document_need_no_credentials() {
    let server = TestServer::start().await;
    for path in ["/healthz", "/readyz", "/api/openapi.json", "/api/docs", "/static/vendor/swagger-ui/swagger-ui.css"] {
        for verb in [Method::GET, Method::HEAD] {
            assert_eq!(send_request(server.request_without_auth(verb, path)).await.0, StatusCode::OK, "{path}");
        }
    }
}

#[tokio::test]
async fn a_token_is_shown_once_and_works_until_it_is_revoked() {
    let server = TestServer::start().await;
    let body = json!({"name": "erp", "role": "operator", "tags": ["hall-a"], "expires_at": null});
    let (status, created, headers) = server.post("/api/v1/tokens", body).await;
    assert_eq!(status, StatusCode::CREATED, "{created}");
    let secret = created["token"].as_str().expect("a secret");
    assert!(secret.starts_with("pyd_"));
    let path = headers["location"].to_str().expect("text").to_owned();
    let me = || send_request(server.request_without_auth(Method::GET, "/api/v1/me").bearer_auth(secret));
    let expected = json!({"name": "erp", "kind": "token", "role": "operator", "tags": ["hall-a"]});
    assert_eq!(me().await.1, expected);
    let (_, list, _) = server.get("/api/v1/tokens").await;
    assert_eq!(list["items"][0]["id"], created["id"]);
    assert!(!list.to_string().contains(secret), "{list}");
    assert_eq!(server.delete(&path).await.0, StatusCode::NO_CONTENT);
    assert_eq!(me().await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(server.delete(&path).await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn invalid_token_requests_are_refused() {
    let server = TestServer::start().await;
    for (body, pointer) in [
        (json!({"role": "viewer"}), "/name"),
        (json!({"name": "", "role": "viewer"}), "/name"),
        (json!({"name": "a", "role": "boss"}), "/role"),
        (json!({"name": "a", "role": "viewer", "tags": ["a,b"]}), "/tags/0"),
        (json!({"name": "a", "role": "viewer", "expires_at": "2020-01-01T00:00:00Z"}), "/expires_at"),
        (json!({"name": "a", "role": "viewer", "expires_at": "+99999-01-01T00:00:00Z"}), "/expires_at"),
        (json!({"name": "a", "role": "viewer", "token": "mine"}), "/token"),
    ] {
        let (status, answer, _) = server.post("/api/v1/tokens", body).await;
        assert_eq!(
            (status, &answer["errors"][0]["pointer"]),
            (StatusCode::UNPROCESSABLE_ENTITY, &Value::from(pointer))
        );
    }
}

#[tokio::test]
async fn a_limited_token_gets_404_for_hidden_printers() {
    let (server, farm) = (TestServer::start().await, start_farm(2).await);
    let visible = server.register_printer_with(&farm.printers()[0], json!({"tags": ["hall-a"]})).await;
    let hidden = server.register_printer_with(&farm.printers()[1], json!({"tags": ["hall-b"]})).await;
    let token = server.create_token_for("manager", &["hall-a"]).await;
    let get = |path: String| send_request(server.request_without_auth(Method::GET, &path).bearer_auth(&token));
    assert_eq!(get(format!("/api/v1/printers/{visible}")).await.0, StatusCode::OK);
    for path in ["", "/job", "/files", "/snapshot"] {
        assert_eq!(get(format!("/api/v1/printers/{hidden}{path}")).await.0, StatusCode::NOT_FOUND, "{path}");
    }
    let (_, list, _) = get("/api/v1/printers".to_owned()).await;
    assert_eq!(list["items"].as_array().map(Vec::len), Some(1));
    let command = json!({"command": "pause"});
    let job = server
        .request_without_auth(Method::POST, &format!("/api/v1/printers/{hidden}/job"))
        .bearer_auth(&token)
        .json(&command);
    assert_eq!(send_request(job).await.0, StatusCode::NOT_FOUND);
    let batch = json!({"command": "pause", "select": {"printer_ids": [hidden]}});
    let (_, batch, _) =
        send_request(server.request_without_auth(Method::POST, "/api/v1/batches").bearer_auth(&token).json(&batch))
            .await;
    assert_eq!(batch["commands"][0]["reason"], "forbidden", "{batch}");
    assert_eq!(batch["commands"][0]["printer_name"], "");
}

#[tokio::test]
async fn a_limited_token_sees_only_the_batch_rows_of_its_printers() {
    let (server, farm) = (TestServer::start().await, start_farm(2).await);
    let visible = server.register_printer_with(&farm.printers()[0], json!({"tags": ["hall-a"]})).await;
    let hidden = server.register_printer_with(&farm.printers()[1], json!({"tags": ["hall-b"]})).await;
    let token = server.create_token_for("operator", &["hall-a"]).await;
    let get = |path: String| send_request(server.request_without_auth(Method::GET, &path).bearer_auth(&token));
    let post = |path: String, body: Value| {
        send_request(server.request_without_auth(Method::POST, &path).bearer_auth(&token).json(&body))
    };
    // One of both halls, one of the other hall; planned, so that there is something to stop.
    let scheduled_batch = |printers: Vec<&String>| json!({"command": "pause", "select": {"printer_ids": printers}, "not_before": "2027-01-01T00:00:00Z"});
    let batch_id = |answer: (StatusCode, Value, _)| answer.1["id"].as_str().expect("an id").to_owned();
    let both = batch_id(server.post("/api/v1/batches", scheduled_batch(vec![&visible, &hidden])).await);
    let other = batch_id(server.post("/api/v1/batches", scheduled_batch(vec![&hidden])).await);

    let (status, body, _) = get(format!("/api/v1/batches/{both}")).await;
    assert_eq!((status, &body["counts"]["total"]), (StatusCode::OK, &json!(1)), "{body}");
    assert_eq!(body["commands"][0]["printer_id"], json!(visible));
    assert_eq!(body["commands"].as_array().map(Vec::len), Some(1));
    let (_, rows, _) = get(format!("/api/v1/batches/{both}/commands")).await;
    assert_eq!(rows["items"].as_array().map(Vec::len), Some(1));
    let (_, list, _) = get("/api/v1/batches".to_owned()).await;
    let listed: Vec<&Value> = list["items"].as_array().expect("items").iter().map(|item| &item["id"]).collect();
    assert_eq!(listed, [&json!(both)]);
    for path in ["", "/commands"] {
        let (status, _, _) = get(format!("/api/v1/batches/{other}{path}")).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{path}");
    }
    // What concerns others is not its to stop, and what it may not see cannot be selected or repeated.
    assert_eq!(post(format!("/api/v1/batches/{both}/stop"), json!({})).await.0, StatusCode::FORBIDDEN);
    assert_eq!(post(format!("/api/v1/batches/{other}/stop"), json!({})).await.0, StatusCode::NOT_FOUND);
    let retry = json!({"outcomes": ["skipped"]});
    assert_eq!(post(format!("/api/v1/batches/{other}/retry"), retry.clone()).await.0, StatusCode::NOT_FOUND);
    let select = json!({"command": "pause", "select": {"batch_id": other, "outcomes": ["queued"]}});
    let (status, body, _) = post("/api/v1/batches".to_owned(), select).await;
    assert_eq!((status, &body["errors"][0]["code"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("not_found")));
    assert_eq!(server.post(&format!("/api/v1/batches/{both}/stop"), json!({})).await.0, StatusCode::OK);
    let (_, body, _) = post(format!("/api/v1/batches/{both}/retry"), retry).await;
    assert_eq!(body["counts"]["total"], json!(1), "{body}");

    // Its own batch keeps the refusals that it was answered with.
    let (_, own, _) = post("/api/v1/batches".to_owned(), scheduled_batch(vec![&visible, &hidden])).await;
    assert_eq!(own["counts"]["total"], json!(2));
    let (_, own, _) = get(format!("/api/v1/batches/{}", own["id"].as_str().expect("an id"))).await;
    assert_eq!((&own["counts"]["total"], &own["counts"]["rejected"]), (&json!(2), &json!(1)), "{own}");
}

#[tokio::test]
async fn a_rate_limited_token_gets_a_retry_time() {
    let every_1000_s = governor::Quota::with_period(std::time::Duration::from_secs(1_000)).expect("a period");
    let burst = std::num::NonZeroU32::new(3).expect("not zero");
    let rate_limit = printyard::http::api::middleware::rate_limit::RateLimit(every_1000_s.allow_burst(burst));
    let options = crate::support::server::ServerOptions { rate_limit, ..Default::default() };
    let server = TestServer::start_with(options).await;
    let number = |headers: &reqwest::header::HeaderMap, name: &str| -> u32 {
        headers[name].to_str().expect("text").parse().unwrap_or_else(|_| panic!("{name}: {headers:?}"))
    };
    for left in [2, 1, 0] {
        // A refusal counts, and tells the same.
        let path = if left == 1 { "/api/v1/printers/nothing" } else { "/api/v1/me" };
        let (status, _, headers) = server.get(path).await;
        assert_eq!(status == StatusCode::OK, left != 1);
        assert_eq!((number(&headers, "ratelimit-limit"), number(&headers, "ratelimit-remaining")), (3, left));
        assert_eq!(headers["ratelimit-policy"], "\"default\";q=3;w=3000");
        // A request takes 1,000 s to come back, and some of them may have passed.
        let (reset, most) = (number(&headers, "ratelimit-reset"), (3 - left) * 1_000);
        assert!(reset <= most && reset > most - 900, "{reset} of {most}");
    }
    let (status, body, headers) = server.get("/api/v1/me").await;
    assert_eq!((status, &body["code"]), (StatusCode::TOO_MANY_REQUESTS, &Value::from("rate_limited")));
    let (retry_after, reset) = (number(&headers, "retry-after"), number(&headers, "ratelimit-reset"));
    assert!(retry_after > 100 && retry_after <= 1_000 && reset > retry_after, "{retry_after} {reset}");
    assert_eq!(number(&headers, "ratelimit-remaining"), 0);
    let (status, _, headers) = send_request(server.request_without_auth(Method::GET, "/healthz")).await;
    assert!(status == StatusCode::OK && !headers.contains_key("ratelimit-limit"));
}
