//! Users: the first admin, logins, password changes, and slow guessing.

use reqwest::{Method, Response, StatusCode, header};
use serde_json::{Value, json};

use crate::support::server::{ADMIN_TOKEN, TestServer, send_request};

const PASSWORD: &str = "correct horse battery";

/// Encodes a form as browsers do.
fn encode_form<T: AsRef<str>>(fields: &[(&str, T)]) -> String {
    let pairs = fields.iter().map(|(name, value)| (name, value.as_ref()));
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

async fn post_form(server: &TestServer, path: &str, cookie: &str, fields: &[(&str, &str)]) -> Response {
    let request = server
        .request_without_auth(Method::POST, path)
        .header("Sec-Fetch-Site", "same-origin")
        .body(encode_form(fields));
    request.header("Cookie", format!("printyard_session={cookie}")).send().await.expect("an answer")
}

async fn log_in(server: &TestServer, name: &str, password: &str) -> Response {
    post_form(server, "/login", "", &[("name", name), ("password", password)]).await
}

fn read_session_cookie(response: &Response) -> Option<String> {
    let cookie = response.headers().get(header::SET_COOKIE)?.to_str().ok()?;
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"), "{cookie}");
    Some(cookie.split(';').next()?.split_once('=')?.1.to_owned())
}

async fn page_status(server: &TestServer, path: &str, cookie: &str) -> StatusCode {
    let request =
        server.request_without_auth(Method::GET, path).header("Cookie", format!("printyard_session={cookie}"));
    request.send().await.expect("an answer").status()
}

async fn add_user(server: &TestServer, body: Value) -> Value {
    let (status, user, _) = server.post("/api/v1/users", body).await;
    assert_eq!(status, StatusCode::CREATED, "{user}");
    assert!(!user.to_string().contains(PASSWORD), "{user}");
    user
}

#[tokio::test(flavor = "multi_thread")]
async fn the_setup_link_creates_the_first_admin_and_works_once() {
    let server = TestServer::start().await;
    let key = server.services.create_setup_link().await.expect("no error").expect("a link");
    assert_eq!(page_status(&server, "/setup?key=wrong", "").await, StatusCode::GONE);
    assert_eq!(page_status(&server, &format!("/setup?key={key}"), "").await, StatusCode::OK);
    let fields = |password: &'static str, again: &'static str| {
        vec![
            ("key", key.clone()),
            ("name", "ann".to_owned()),
            ("password", password.to_owned()),
            ("again", again.to_owned()),
        ]
    };
    let send = async |fields: Vec<(&str, String)>| {
        let request = server
            .request_without_auth(Method::POST, "/setup")
            .header("Sec-Fetch-Site", "same-origin")
            .body(encode_form(&fields));
        request.send().await.expect("an answer")
    };
    for (password, again) in [("short", "short"), (PASSWORD, "another long password")] {
        assert_eq!(send(fields(password, again)).await.status(), StatusCode::UNPROCESSABLE_ENTITY);
    }
    let created = send(fields(PASSWORD, PASSWORD)).await;
    assert_eq!(created.status(), StatusCode::SEE_OTHER);
    let session = read_session_cookie(&created).expect("logged in");
    assert_eq!(page_status(&server, "/users", &session).await, StatusCode::OK);
    let (_, users, _) = server.get("/api/v1/users").await;
    assert!(users["items"][0]["last_login_at"].is_string(), "the link logged them in: {users}");
    assert_eq!(send(fields(PASSWORD, PASSWORD)).await.status(), StatusCode::GONE, "a used link is refused");
    assert_eq!(page_status(&server, &format!("/setup?key={key}"), "").await, StatusCode::GONE);
    assert_eq!(server.services.create_setup_link().await.expect("no error"), None);
    // After the first user exists, a token no longer opens a session.
    assert_eq!(post_form(&server, "/login", "", &[("token", ADMIN_TOKEN)]).await.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_login_does_not_show_whether_the_user_exists() {
    let server = TestServer::start().await;
    add_user(&server, json!({"name": "Ann", "password": PASSWORD, "role": "operator"})).await;
    let logged_in = log_in(&server, "ann", PASSWORD).await;
    assert_eq!(logged_in.status(), StatusCode::SEE_OTHER);
    assert_eq!(
        page_status(&server, "/account", &read_session_cookie(&logged_in).expect("a session")).await,
        StatusCode::OK
    );
    let (wrong, unknown) =
        (log_in(&server, "ann", "wrong password here").await, log_in(&server, "ben", PASSWORD).await);
    assert_eq!((wrong.status(), unknown.status()), (StatusCode::UNAUTHORIZED, StatusCode::UNAUTHORIZED));
    let (wrong, unknown) = (wrong.text().await.expect("a page"), unknown.text().await.expect("a page"));
    assert_eq!(wrong.replace("ann", "ben"), unknown);
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_logins_are_limited_with_retry_after() {
    let server = TestServer::start().await;
    add_user(&server, json!({"name": "ann", "password": PASSWORD, "role": "operator"})).await;
    let mut refused = None;
    for _ in 0..20 {
        let answer = log_in(&server, "ann", "not the right password").await;
        if answer.status() == StatusCode::TOO_MANY_REQUESTS {
            refused = Some(answer);
            break;
        }
    }
    let refused = refused.expect("a limit within 20 attempts");
    assert!(refused.headers()[header::RETRY_AFTER].to_str().expect("text").parse::<u64>().is_ok_and(|s| s >= 1));
    add_user(&server, json!({"name": "ben", "password": PASSWORD, "role": "operator"})).await;
    assert_eq!(
        log_in(&server, "ben", PASSWORD).await.status(),
        StatusCode::SEE_OTHER,
        "another account is not limited"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_replaces_a_planted_session() {
    let server = TestServer::start().await;
    add_user(&server, json!({"name": "ann", "password": PASSWORD, "role": "operator"})).await;
    let fields = [("name", "ann"), ("password", PASSWORD)];
    let planted = read_session_cookie(&log_in(&server, "ann", PASSWORD).await).expect("a session");
    let new = read_session_cookie(&post_form(&server, "/login", &planted, &fields).await).expect("a session");
    assert_ne!(planted, new);
    assert_eq!(page_status(&server, "/account", &planted).await, StatusCode::SEE_OTHER);
    assert_eq!(page_status(&server, "/account", &new).await, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_password_ends_all_other_sessions() {
    let server = TestServer::start().await;
    add_user(&server, json!({"name": "ann", "password": PASSWORD, "role": "operator"})).await;
    let (one, two) = (log_in(&server, "ann", PASSWORD).await, log_in(&server, "ann", PASSWORD).await);
    let (one, two) = (read_session_cookie(&one).expect("a session"), read_session_cookie(&two).expect("a session"));
    let new = "another four words";
    let change = |old| [("old_password", old), ("password", new), ("again", new)];
    let wrong = post_form(&server, "/account/password", &one, &change("not that one at all")).await;
    assert_eq!(wrong.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(page_status(&server, "/account", &two).await, StatusCode::OK);
    assert_eq!(post_form(&server, "/account/password", &one, &change(PASSWORD)).await.status(), StatusCode::OK);
    assert_eq!(page_status(&server, "/account", &one).await, StatusCode::OK, "the session of the change stays valid");
    assert_eq!(page_status(&server, "/account", &two).await, StatusCode::SEE_OTHER);
    assert_eq!(log_in(&server, "ann", PASSWORD).await.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(log_in(&server, "ann", new).await.status(), StatusCode::SEE_OTHER);
}

#[tokio::test(flavor = "multi_thread")]
async fn disabling_a_user_ends_their_sessions_and_the_last_admin_stays() {
    let server = TestServer::start().await;
    let ann = add_user(&server, json!({"name": "ann", "password": PASSWORD, "role": "admin"})).await;
    let session = read_session_cookie(&log_in(&server, "ann", PASSWORD).await).expect("a session");
    let path = format!("/api/v1/users/{}", ann["id"].as_str().expect("an id"));
    let (status, body, _) = server.patch(&path, json!({"enabled": false})).await;
    assert_eq!((status, &body["code"]), (StatusCode::CONFLICT, &json!("last_admin")));
    assert_eq!(server.patch(&path, json!({"role": "viewer"})).await.0, StatusCode::CONFLICT);
    add_user(&server, json!({"name": "ben", "password": PASSWORD, "role": "admin"})).await;
    // A lower role takes effect with the next request.
    assert_eq!(page_status(&server, "/users", &session).await, StatusCode::OK);
    assert_eq!(server.patch(&path, json!({"role": "viewer"})).await.0, StatusCode::OK);
    assert_eq!(page_status(&server, "/users", &session).await, StatusCode::FORBIDDEN);
    let (_, sessions, _) = server.get(&format!("{path}/sessions")).await;
    assert_eq!(sessions["items"].as_array().map(Vec::len), Some(1), "{sessions}");
    assert_eq!(server.patch(&path, json!({"enabled": false})).await.0, StatusCode::OK);
    assert_eq!(page_status(&server, "/account", &session).await, StatusCode::SEE_OTHER);
    assert_eq!(log_in(&server, "ann", PASSWORD).await.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_can_be_ended_by_its_user_and_by_an_admin() {
    let server = TestServer::start().await;
    let ann = add_user(&server, json!({"name": "ann", "password": PASSWORD, "role": "operator"})).await;
    let path = format!("/api/v1/users/{}/sessions", ann["id"].as_str().expect("an id"));
    let one = read_session_cookie(&log_in(&server, "ann", PASSWORD).await).expect("a session");
    let (_, sessions, _) = server.get(&path).await;
    let id = sessions["items"][0]["id"].as_str().expect("an id").to_owned();
    let two = read_session_cookie(&log_in(&server, "ann", PASSWORD).await).expect("a session");
    let end = post_form(&server, &format!("/account/sessions/{id}/end"), &two, &[]).await;
    assert_eq!(end.status(), StatusCode::SEE_OTHER);
    assert_eq!(page_status(&server, "/account", &one).await, StatusCode::SEE_OTHER);
    let (_, sessions, _) = server.get(&path).await;
    let id = sessions["items"][0]["id"].as_str().expect("an id").to_owned();
    assert_eq!(server.delete(&format!("{path}/{id}")).await.0, StatusCode::NO_CONTENT);
    assert_eq!(server.delete(&format!("{path}/{id}")).await.0, StatusCode::NOT_FOUND);
    assert_eq!(page_status(&server, "/account", &two).await, StatusCode::SEE_OTHER);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_user_is_refused_with_the_name_of_the_field() {
    let server = TestServer::start().await;
    add_user(&server, json!({"name": "ann", "password": PASSWORD, "role": "viewer"})).await;
    for (body, pointer) in [
        (json!({"name": "", "role": "viewer"}), "/name"),
        (json!({"name": " x", "role": "viewer"}), "/name"),
        (json!({"name": "b", "role": "boss"}), "/role"),
        (json!({"name": "b", "role": "viewer", "password": "too short"}), "/password"),
        (json!({"name": "b", "role": "viewer", "tags": ["a,b"]}), "/tags/0"),
        (json!({"name": "b", "role": "admin", "tags": ["a"]}), "/tags"),
    ] {
        let (status, answer, _) = server.post("/api/v1/users", body.clone()).await;
        assert_eq!(
            (status, &answer["errors"][0]["pointer"]),
            (StatusCode::UNPROCESSABLE_ENTITY, &json!(pointer)),
            "{body}"
        );
    }
    let (status, answer, _) = server.post("/api/v1/users", json!({"name": "ANN", "role": "viewer"})).await;
    assert_eq!((status, &answer["code"]), (StatusCode::CONFLICT, &json!("name_taken")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotated_token_stays_valid_for_the_overlap() {
    let server = TestServer::start().await;
    let (_, old, _) = server.post("/api/v1/tokens", json!({"name": "erp", "role": "operator", "tags": ["a"]})).await;
    let id = old["id"].as_str().expect("an id");
    let me = async |token: &Value| {
        let token = token["token"].as_str().expect("a secret");
        send_request(server.request_without_auth(Method::GET, "/api/v1/me").bearer_auth(token)).await
    };
    let path = format!("/api/v1/tokens/{id}/rotate");
    let (status, body, _) = server.post(&path, json!({"overlap_s": 99_999_999})).await;
    assert_eq!((status, &body["errors"][0]["pointer"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("/overlap_s")));
    let (status, new, headers) = server.post(&path, json!({"overlap_s": 3600})).await;
    assert_eq!(status, StatusCode::CREATED, "{new}");
    assert!(headers["location"].to_str().expect("text").ends_with(new["id"].as_str().expect("an id")));
    let (status, identity, _) = me(&new).await;
    assert_eq!((status, &identity["role"], &identity["tags"]), (StatusCode::OK, &json!("operator"), &json!(["a"])));
    assert_eq!(me(&old).await.0, StatusCode::OK);
    assert_eq!(server.post(&path, json!({"overlap_s": 0})).await.0, StatusCode::CREATED);
    assert_eq!(me(&old).await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(me(&new).await.0, StatusCode::OK);
    server.delete(&format!("/api/v1/tokens/{id}")).await;
    assert_eq!(server.post(&path, json!({"overlap_s": 0})).await.0, StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_is_in_the_audit_with_its_actor_and_request() {
    let server = TestServer::start().await;
    let token = server.create_token("manager").await;
    let printer = json!({"name": "MK4-001", "url": "http://127.0.0.1:9", "api_key": "K3Y-OF-THE-PRINTER"});
    let request = server
        .request_without_auth(Method::POST, "/api/v1/printers")
        .bearer_auth(&token)
        .header("X-Request-Id", "req-1");
    let (_, printer, _) = send_request(request.json(&printer)).await;
    let id = printer["id"].as_str().expect("an id");
    server.patch(&format!("/api/v1/printers/{id}"), json!({"notes": "belt is worn", "api_key": null})).await;
    let batch = json!({"command": "pause", "select": {"printer_ids": [id]}, "not_before": "2027-01-01T00:00:00Z"});
    let (_, batch, _) = server.post("/api/v1/batches", batch).await;
    server.post(&format!("/api/v1/batches/{}/stop", batch["id"].as_str().expect("an id")), json!({})).await;
    server.delete(&format!("/api/v1/printers/{id}")).await;
    let (_, audit, _) = server.get("/api/v1/audit").await;
    let items = audit["items"].as_array().expect("items");
    let actions: Vec<&str> = items.iter().rev().filter_map(|item| item["action"].as_str()).collect();
    assert_eq!(
        actions,
        [
            "token.created",
            "printer.registered",
            "printer.changed",
            "batch.created",
            "batch.stopped",
            "batch.finished",
            "printer.removed"
        ]
    );
    let registered = &items[5];
    assert_eq!((&registered["actor"]["kind"], &registered["actor"]["name"]), (&json!("token"), &json!("manager")));
    assert_eq!((&registered["request_id"], &registered["printer_ids"]), (&json!("req-1"), &json!([id])));
    assert_eq!(items[4]["changes"], json!({"notes": ["", "belt is worn"], "api_key": "changed"}));
    let text = audit.to_string();
    assert!(!text.contains("K3Y-OF-THE-PRINTER"), "{text}");
    let (_, of_printer, _) = server.get(&format!("/api/v1/audit?printer_id={id}&action=batch.created")).await;
    assert_eq!(of_printer["items"].as_array().map(Vec::len), Some(1));
    let csv = server.request(Method::GET, "/api/v1/audit?limit=2").header("Accept", "text/csv");
    let csv = csv.send().await.expect("an answer");
    assert!(csv.headers().contains_key("x-next-cursor"));
    assert_eq!(csv.text().await.expect("text").lines().count(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_refused_login_costs_one_hash_whether_the_name_exists_or_not() {
    let server = TestServer::start().await;
    for (name, password) in [("ann", Some(PASSWORD)), ("away", Some(PASSWORD)), ("fresh", None)] {
        add_user(&server, json!({"name": name, "password": password, "role": "viewer"})).await;
    }
    let (_, users, _) = server.get("/api/v1/users").await;
    let users = users["items"].as_array().expect("users");
    let away = users.iter().find(|user| user["name"] == "away").and_then(|user| user["id"].as_str()).expect("an id");
    assert_eq!(server.patch(&format!("/api/v1/users/{away}"), json!({"enabled": false})).await.0, StatusCode::OK);
    let long = "x".repeat(1_000);
    for (case, name, password) in [
        ("a wrong password", "ann", "wrong password here"),
        ("nobody of that name", "nobody", PASSWORD),
        ("a disabled user and their own password", "away", PASSWORD),
        ("a user without a password", "fresh", PASSWORD),
        ("a password too long to be one", "ann", long.as_str()),
        ("no name", "", PASSWORD),
    ] {
        let before = server.services.passwords_hashed();
        assert_eq!(log_in(&server, name, password).await.status(), StatusCode::UNAUTHORIZED, "{case}");
        assert_eq!(server.services.passwords_hashed() - before, 1, "{case}");
    }
    let metrics = server.request(Method::GET, "/metrics").send().await.expect("an answer").text().await.expect("text");
    let line = format!("printyard_password_hashings_total {}", server.services.passwords_hashed());
    assert!(metrics.contains(&line), "{metrics}");
}
