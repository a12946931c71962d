//! Who may do what is decided before anything else about a request is looked at.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::server::{ADMIN, TestServer, answer, farm};

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
    ("PATCH", "/api/v1/printers/x", "manager"),
    ("DELETE", "/api/v1/printers/x", "manager"),
    ("POST", "/api/v1/tokens", "admin"),
    ("DELETE", "/api/v1/tokens/x", "admin"),
];
const ROLES: [&str; 4] = ["viewer", "operator", "manager", "admin"];

fn method(name: &str) -> Method {
    name.parse().expect("a method")
}

#[tokio::test]
async fn without_a_token_every_path_is_401_whatever_else_is_wrong() {
    let server = TestServer::start().await;
    let nowhere = [("GET", "/api/v1", ""), ("GET", "/api/v1/nope/%ff", ""), ("PUT", "/api/v1/printers?x=%ff", "")];
    for (verb, path, _) in ROUTES.into_iter().chain(nowhere) {
        let (status, body, headers) = answer(server.bare(method(verb), path).body("{")).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{verb} {path}");
        assert_eq!(body["code"], "unauthenticated", "{verb} {path}");
        assert!(headers["www-authenticate"].to_str().expect("text").starts_with("Bearer"));
    }
    for credentials in ["Bearer", "Bearer wrong", "Basic YTpi", ADMIN, "Bearer \u{fffd}"] {
        let request = server.bare(Method::GET, "/api/v1/me").header("Authorization", credentials.as_bytes());
        assert_eq!(answer(request).await.0, StatusCode::UNAUTHORIZED, "{credentials}");
    }
}

#[tokio::test]
async fn a_session_cookie_is_no_credential_of_the_api() {
    let server = TestServer::start().await;
    let logged_in = server.services.log_in_by_token(ADMIN, Default::default()).await.expect("a ledger");
    let printyard::service::sessions::LogIn::In { session: secret, .. } = logged_in else { panic!("{logged_in:?}") };
    let request = server.bare(Method::GET, "/api/v1/me").header("Cookie", format!("printyard_session={secret}"));
    assert_eq!(answer(request).await.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn too_small_a_role_is_403_before_body_path_and_media_type_are_looked_at() {
    let server = TestServer::start().await;
    for (rank, role) in ROLES.iter().enumerate() {
        let token = server.token(role).await;
        for (verb, path, needed) in ROUTES {
            let enough = ROLES[..=rank].contains(&needed);
            let (status, body, _) = answer(server.bare(method(verb), path).bearer_auth(&token).body("{")).await;
            assert_eq!(status == StatusCode::FORBIDDEN, !enough, "{role}: {verb} {path}: {status} {body}");
            assert!(status.as_u16() < 500, "{role}: {verb} {path}: {status} {body}");
        }
    }
}

#[tokio::test]
async fn health_and_the_document_are_open_to_everybody() {
    let server = TestServer::start().await;
    for path in ["/healthz", "/readyz", "/api/openapi.json", "/api/docs", "/static/vendor/swagger-ui/swagger-ui.css"] {
        for verb in [Method::GET, Method::HEAD] {
            assert_eq!(answer(server.bare(verb, path)).await.0, StatusCode::OK, "{path}");
        }
    }
}

#[tokio::test]
async fn a_token_is_shown_once_and_works_until_it_is_revoked() {
    let server = TestServer::start().await;
    let wish = json!({"name": "erp", "role": "operator", "tags": ["hall-a"], "expires_at": null});
    let (status, made, headers) = server.post("/api/v1/tokens", wish).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    let secret = made["token"].as_str().expect("a secret");
    assert!(secret.starts_with("pyd_"));
    let path = headers["location"].to_str().expect("text").to_owned();
    let me = || answer(server.bare(Method::GET, "/api/v1/me").bearer_auth(secret));
    let who = json!({"name": "erp", "kind": "token", "role": "operator", "tags": ["hall-a"]});
    assert_eq!(me().await.1, who);
    let (_, list, _) = server.get("/api/v1/tokens").await;
    assert_eq!(list["items"][0]["id"], made["id"]);
    assert!(!list.to_string().contains(secret), "{list}");
    assert_eq!(server.delete(&path).await.0, StatusCode::NO_CONTENT);
    assert_eq!(me().await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(server.delete(&path).await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn tokens_are_held_against_the_rules() {
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
async fn what_a_limited_token_may_not_see_does_not_exist_for_it() {
    let (server, farm) = (TestServer::start().await, farm(2).await);
    let seen = server.register_as(&farm.printers()[0], json!({"tags": ["hall-a"]})).await;
    let hidden = server.register_as(&farm.printers()[1], json!({"tags": ["hall-b"]})).await;
    let token = server.token_for("manager", &["hall-a"]).await;
    let get = |path: String| answer(server.bare(Method::GET, &path).bearer_auth(&token));
    assert_eq!(get(format!("/api/v1/printers/{seen}")).await.0, StatusCode::OK);
    for path in ["", "/job", "/files", "/snapshot"] {
        assert_eq!(get(format!("/api/v1/printers/{hidden}{path}")).await.0, StatusCode::NOT_FOUND, "{path}");
    }
    let (_, list, _) = get("/api/v1/printers".to_owned()).await;
    assert_eq!(list["items"].as_array().map(Vec::len), Some(1));
    let command = json!({"command": "pause"});
    let job = server.bare(Method::POST, &format!("/api/v1/printers/{hidden}/job")).bearer_auth(&token).json(&command);
    assert_eq!(answer(job).await.0, StatusCode::NOT_FOUND);
    let batch = json!({"command": "pause", "select": {"printer_ids": [hidden]}});
    let (_, batch, _) = answer(server.bare(Method::POST, "/api/v1/batches").bearer_auth(&token).json(&batch)).await;
    assert_eq!(batch["commands"][0]["reason"], "forbidden", "{batch}");
    assert_eq!(batch["commands"][0]["printer_name"], "");
}

#[tokio::test]
async fn of_a_batch_a_limited_token_sees_the_rows_of_its_printers_alone() {
    let (server, farm) = (TestServer::start().await, farm(2).await);
    let seen = server.register_as(&farm.printers()[0], json!({"tags": ["hall-a"]})).await;
    let hidden = server.register_as(&farm.printers()[1], json!({"tags": ["hall-b"]})).await;
    let token = server.token_for("operator", &["hall-a"]).await;
    let get = |path: String| answer(server.bare(Method::GET, &path).bearer_auth(&token));
    let post = |path: String, body: Value| answer(server.bare(Method::POST, &path).bearer_auth(&token).json(&body));
    // One of both halls, one of the other hall; planned, so that there is something to stop.
    let plan = |printers: Vec<&String>| json!({"command": "pause", "select": {"printer_ids": printers}, "not_before": "2027-01-01T00:00:00Z"});
    let made = |answer: (StatusCode, Value, _)| answer.1["id"].as_str().expect("an id").to_owned();
    let both = made(server.post("/api/v1/batches", plan(vec![&seen, &hidden])).await);
    let other = made(server.post("/api/v1/batches", plan(vec![&hidden])).await);

    let (status, body, _) = get(format!("/api/v1/batches/{both}")).await;
    assert_eq!((status, &body["counts"]["total"]), (StatusCode::OK, &json!(1)), "{body}");
    assert_eq!(body["commands"][0]["printer_id"], json!(seen));
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
    let again = json!({"outcomes": ["skipped"]});
    assert_eq!(post(format!("/api/v1/batches/{other}/retry"), again.clone()).await.0, StatusCode::NOT_FOUND);
    let select = json!({"command": "pause", "select": {"batch_id": other, "outcomes": ["queued"]}});
    let (status, body, _) = post("/api/v1/batches".to_owned(), select).await;
    assert_eq!((status, &body["errors"][0]["code"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("not_found")));
    assert_eq!(server.post(&format!("/api/v1/batches/{both}/stop"), json!({})).await.0, StatusCode::OK);
    let (_, body, _) = post(format!("/api/v1/batches/{both}/retry"), again).await;
    assert_eq!(body["counts"]["total"], json!(1), "{body}");

    // Its own batch keeps the refusals that it was answered with.
    let (_, own, _) = post("/api/v1/batches".to_owned(), plan(vec![&seen, &hidden])).await;
    assert_eq!(own["counts"]["total"], json!(2));
    let (_, own, _) = get(format!("/api/v1/batches/{}", own["id"].as_str().expect("an id"))).await;
    assert_eq!((&own["counts"]["total"], &own["counts"]["rejected"]), (&json!(2), &json!(1)), "{own}");
}

#[tokio::test]
async fn a_token_that_asks_too_fast_is_told_when_to_come_again() {
    let every_1000_s = governor::Quota::with_period(std::time::Duration::from_secs(1_000)).expect("a period");
    let burst = std::num::NonZeroU32::new(3).expect("not zero");
    let limits = printyard::http::api::limits::Limits(every_1000_s.allow_burst(burst));
    let options = crate::support::server::Options { limits, ..Default::default() };
    let server = TestServer::with(options).await;
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
    let (again, reset) = (number(&headers, "retry-after"), number(&headers, "ratelimit-reset"));
    assert!(again > 100 && again <= 1_000 && reset > again, "{again} {reset}");
    assert_eq!(number(&headers, "ratelimit-remaining"), 0);
    let (status, _, headers) = answer(server.bare(Method::GET, "/healthz")).await;
    assert!(status == StatusCode::OK && !headers.contains_key("ratelimit-limit"));
}
