//! Access matrix: checks every route of the API and of the pages with every role and with missing or invalid
//! credentials. The table below lists the role that each route needs; a route without a row fails the test.

use std::collections::BTreeSet;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{
    routes,
    server::{ADMIN_TOKEN, TestServer, send_request},
};

/// Method, path as in the OpenAPI document or the router, and the lowest role. `open` routes need no credentials.
pub const ROUTE_ROLES: &[(&str, &str, &str)] = &[
    ("GET", "/healthz", "open"),
    ("GET", "/readyz", "open"),
    ("GET", "/metrics", "viewer"),
    ("GET", "/api/v1/me", "viewer"),
    ("GET", "/api/v1/printers", "viewer"),
    ("POST", "/api/v1/printers", "manager"),
    ("POST", "/api/v1/printers/test", "manager"),
    ("POST", "/api/v1/printers/bulk", "manager"),
    ("GET", "/api/v1/printers/{id}", "viewer"),
    // Fields other than `production` need the role manager (`maintenance.rs`).
    ("PATCH", "/api/v1/printers/{id}", "operator"),
    ("DELETE", "/api/v1/printers/{id}", "manager"),
    ("POST", "/api/v1/printers/{id}/attention/clear", "operator"),
    ("GET", "/api/v1/printers/{id}/job", "viewer"),
    ("POST", "/api/v1/printers/{id}/job", "operator"),
    ("GET", "/api/v1/printers/{id}/files", "viewer"),
    ("POST", "/api/v1/printers/{id}/files", "operator"),
    ("POST", "/api/v1/printers/{id}/files/select", "operator"),
    ("DELETE", "/api/v1/printers/{id}/files/{origin}/{path}", "operator"),
    ("GET", "/api/v1/printers/{id}/snapshot", "viewer"),
    ("GET", "/api/v1/files", "viewer"),
    ("POST", "/api/v1/files", "operator"),
    ("GET", "/api/v1/files/folders", "viewer"),
    ("GET", "/api/v1/files/{id}", "viewer"),
    ("PATCH", "/api/v1/files/{id}", "operator"),
    ("DELETE", "/api/v1/files/{id}", "operator"),
    ("GET", "/api/v1/files/{id}/content", "viewer"),
    ("GET", "/api/v1/files/{id}/thumbnail", "viewer"),
    ("GET", "/api/v1/batches", "viewer"),
    ("POST", "/api/v1/batches", "operator"),
    ("GET", "/api/v1/batches/{id}", "viewer"),
    ("GET", "/api/v1/batches/{id}/commands", "viewer"),
    ("POST", "/api/v1/batches/{id}/stop", "operator"),
    ("POST", "/api/v1/batches/{id}/retry", "operator"),
    ("POST", "/api/v1/emergency-stop", "operator"),
    ("POST", "/api/v1/printers/{id}/emergency-stop", "operator"),
    ("POST", "/api/v1/plates/clear", "operator"),
    ("GET", "/api/v1/prints", "viewer"),
    ("GET", "/api/v1/prints/{id}", "viewer"),
    ("GET", "/api/v1/parts", "viewer"),
    ("GET", "/api/v1/parts/{number}", "viewer"),
    ("PUT", "/api/v1/parts/{number}", "manager"),
    ("DELETE", "/api/v1/parts/{number}", "manager"),
    ("GET", "/api/v1/orders", "viewer"),
    ("POST", "/api/v1/orders", "operator"),
    ("POST", "/api/v1/orders/bulk", "operator"),
    ("GET", "/api/v1/orders/{id}", "viewer"),
    ("PATCH", "/api/v1/orders/{id}", "operator"),
    ("GET", "/api/v1/orders/{id}/copies", "viewer"),
    ("GET", "/api/v1/plan", "viewer"),
    ("GET", "/api/v1/plan/printers/{id}", "viewer"),
    ("GET", "/api/v1/plan/state", "viewer"),
    ("POST", "/api/v1/plan/stop", "operator"),
    ("POST", "/api/v1/plan/go", "operator"),
    ("GET", "/api/v1/tasks", "viewer"),
    ("POST", "/api/v1/orders/{id}/hold", "operator"),
    ("POST", "/api/v1/orders/{id}/release", "operator"),
    ("POST", "/api/v1/orders/{id}/cancel", "operator"),
    ("POST", "/api/v1/orders/{id}/short-close", "operator"),
    ("POST", "/api/v1/orders/{id}/adjust", "operator"),
    ("GET", "/api/v1/copies", "viewer"),
    ("GET", "/api/v1/copies/{id}", "viewer"),
    ("POST", "/api/v1/copies/{id}/judge", "operator"),
    ("POST", "/api/v1/copies/{id}/lost", "operator"),
    ("GET", "/api/v1/tokens", "admin"),
    ("POST", "/api/v1/tokens", "admin"),
    ("GET", "/api/v1/tokens/{id}", "admin"),
    ("DELETE", "/api/v1/tokens/{id}", "admin"),
    ("POST", "/api/v1/tokens/{id}/rotate", "admin"),
    ("GET", "/api/v1/users", "admin"),
    ("POST", "/api/v1/users", "admin"),
    ("GET", "/api/v1/users/{id}", "admin"),
    ("PATCH", "/api/v1/users/{id}", "admin"),
    ("GET", "/api/v1/users/{id}/sessions", "admin"),
    ("DELETE", "/api/v1/users/{id}/sessions/{session_id}", "admin"),
    ("GET", "/api/v1/audit", "admin"),
    ("GET", "/api/v1/background", "viewer"),
    ("GET", "/api/v1/events", "viewer"),
    ("GET", "/api/v1/events/stream", "viewer"),
    ("GET", "/api/v1/webhooks", "manager"),
    ("POST", "/api/v1/webhooks", "manager"),
    ("GET", "/api/v1/webhooks/{id}", "manager"),
    ("PATCH", "/api/v1/webhooks/{id}", "manager"),
    ("DELETE", "/api/v1/webhooks/{id}", "manager"),
    ("POST", "/api/v1/webhooks/{id}/test", "manager"),
    ("POST", "/api/v1/webhooks/{id}/rotate-secret", "manager"),
    ("GET", "/api/v1/webhooks/{id}/deliveries", "manager"),
    ("POST", "/api/v1/webhooks/{id}/deliveries/{delivery_id}/redeliver", "manager"),
    // Pages.
    ("GET", "/", "viewer"),
    ("GET", "/todo", "viewer"),
    ("POST", "/printers/{id}/attention", "operator"),
    ("GET", "/queue", "viewer"),
    ("GET", "/queue/new", "operator"),
    ("POST", "/queue/new", "operator"),
    ("POST", "/queue/priority", "operator"),
    ("POST", "/queue/switch", "operator"),
    ("POST", "/queue/copies/{id}", "operator"),
    ("GET", "/queue/{id}", "viewer"),
    ("POST", "/queue/{id}", "operator"),
    ("GET", "/parts", "viewer"),
    ("GET", "/parts/{number}", "viewer"),
    ("GET", "/parts/new", "manager"),
    ("POST", "/parts/new", "manager"),
    ("GET", "/parts/{number}/edit", "manager"),
    ("POST", "/parts/{number}/edit", "manager"),
    ("POST", "/parts/{number}/remove", "manager"),
    ("GET", "/files", "viewer"),
    ("POST", "/files/upload", "operator"),
    ("GET", "/files/contents/{sha256}/thumbnail", "viewer"),
    ("GET", "/files/{id}", "viewer"),
    ("POST", "/files/{id}", "operator"),
    ("POST", "/files/{id}/remove", "operator"),
    ("GET", "/files/{id}/content", "viewer"),
    ("GET", "/files/{id}/places", "viewer"),
    ("GET", "/printers/{id}/camera", "viewer"),
    ("GET", "/stream", "viewer"),
    ("GET", "/wall", "viewer"),
    ("GET", "/wall/stream", "viewer"),
    ("GET", "/login", "open"),
    ("POST", "/login", "open"),
    ("POST", "/language", "open"),
    ("GET", "/login/oidc", "open"),
    ("GET", "/login/oidc/callback", "open"),
    ("GET", "/setup", "open"),
    ("POST", "/setup", "open"),
    ("POST", "/logout", "open"),
    ("GET", "/account", "viewer"),
    ("POST", "/account/password", "viewer"),
    ("POST", "/account/sessions/{id}/end", "viewer"),
    ("GET", "/users", "admin"),
    ("POST", "/users", "admin"),
    ("POST", "/users/{id}", "admin"),
    ("GET", "/tokens", "admin"),
    ("POST", "/tokens", "admin"),
    ("POST", "/tokens/{id}/revoke", "admin"),
    ("GET", "/webhooks", "manager"),
    ("POST", "/webhooks", "manager"),
    ("POST", "/webhooks/{id}", "manager"),
    ("POST", "/webhooks/{id}/remove", "manager"),
    ("GET", "/settings", "viewer"),
    ("GET", "/audit", "admin"),
    ("GET", "/audit.csv", "admin"),
    ("GET", "/prints", "viewer"),
    ("GET", "/statistics", "viewer"),
    ("GET", "/statistics.csv", "viewer"),
    ("GET", "/batches", "viewer"),
    ("POST", "/batches", "operator"),
    ("POST", "/batches/preview", "operator"),
    ("POST", "/batches/start", "operator"),
    ("GET", "/batches/{id}", "viewer"),
    ("GET", "/batches/{id}/stream", "viewer"),
    ("GET", "/batches/{id}/summary", "viewer"),
    ("POST", "/batches/{id}/plates", "operator"),
    ("POST", "/batches/{id}/stop", "operator"),
    ("POST", "/batches/{id}/retry", "operator"),
    ("GET", "/printers/new", "manager"),
    ("POST", "/printers/new", "manager"),
    ("GET", "/printers/keys/{id}", "manager"),
    ("GET", "/printers/{id}/commands", "viewer"),
    ("POST", "/printers/tags", "manager"),
    ("POST", "/printers/service", "operator"),
    ("POST", "/printers/production", "manager"),
    ("GET", "/printers/{id}/production", "viewer"),
    ("POST", "/printers/{id}/production", "manager"),
    ("GET", "/printers/discover", "manager"),
    ("GET", "/printers/discover/found", "manager"),
    ("GET", "/printers/import", "manager"),
    ("POST", "/printers/import", "manager"),
    ("POST", "/printers/import/confirm", "manager"),
    ("GET", "/printers/import/answers", "manager"),
    ("GET", "/printers/{id}", "viewer"),
    ("GET", "/printers/{id}/settings", "manager"),
    ("POST", "/printers/{id}/settings", "manager"),
    ("POST", "/printers/{id}/remove", "manager"),
    ("POST", "/printers/{id}/service", "operator"),
    ("POST", "/printers/{id}/plate", "operator"),
    ("POST", "/printers/{id}/act", "operator"),
    ("POST", "/plates/clear", "operator"),
    ("GET", "/printers/{id}/files", "viewer"),
    ("POST", "/printers/{id}/files", "operator"),
    ("POST", "/printers/{id}/files/delete", "operator"),
    ("POST", "/printers/{id}/select", "operator"),
    ("GET", "/static/{*path}", "open"),
];

/// Routes that return figures of the whole farm. They refuse a token that is limited by tags.
const WHOLE_FARM: [&str; 4] = ["/metrics", "/api/v1/background", "/api/v1/plan/stop", "/api/v1/plan/go"];
const ROLES: [&str; 4] = ["viewer", "operator", "manager", "admin"];
const UNKNOWN_ID: &str = "0193e1c7-7d1c-7a52-9a3e-2f3b5a0c9e11";

fn is_api(path: &str) -> bool {
    path.starts_with("/api/") || path == "/metrics"
}

/// Replaces the parameters of a path by values.
fn fill_path(path: &str) -> String {
    let mut path = path
        .replace("{*path}", "app.css")
        .replace("{origin}", "local")
        .replace("{path}", "a.gcode")
        .replace("{number}", "BRKT-7");
    for id in ["{id}", "{session_id}", "{delivery_id}"] {
        path = path.replace(id, UNKNOWN_ID);
    }
    path
}

fn parse_method(name: &str) -> Method {
    name.parse().expect("a method")
}

/// Sends a request as from a page of the same origin: with the token to the API, with the cookie to a page. Returns the
/// status and the redirect target.
async fn send_with_credentials(
    server: &TestServer,
    verb: &str,
    path: &str,
    credentials: Option<(&str, &str)>,
) -> (StatusCode, String) {
    let mut request =
        server.request_without_auth(parse_method(verb), &fill_path(path)).header("Sec-Fetch-Site", "same-origin");
    if let Some((token, cookie)) = credentials {
        request = if is_api(path) {
            request.bearer_auth(token)
        } else {
            request.header("Cookie", format!("printyard_session={cookie}"))
        };
    }
    if verb != "GET" {
        request = request.body("");
    }
    let response = request.send().await.expect("an answer");
    let location = response.headers().get("location").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let location = location.to_owned();
    // The body is not read to its end, because a stream has no end.
    (response.status(), location)
}

/// Whether the request was refused for missing or invalid credentials: 401 in the API, a redirect to the login on a
/// page.
fn is_unauthenticated(path: &str, (status, location): &(StatusCode, String)) -> bool {
    if is_api(path) { *status == StatusCode::UNAUTHORIZED } else { location.starts_with("/login") }
}

#[tokio::test]
async fn the_table_has_every_route_and_no_other() {
    let server = TestServer::start().await;
    let (_, document, _) = send_request(server.request_without_auth(Method::GET, "/api/openapi.json")).await;
    let mut routes = routes::list_page_routes();
    for (path, methods) in document["paths"].as_object().expect("paths") {
        for verb in methods.as_object().expect("methods").keys().filter(|key| key.len() <= 6) {
            routes.insert((verb.to_uppercase(), path.clone()));
        }
    }
    let table: BTreeSet<(String, String)> =
        ROUTE_ROLES.iter().map(|(verb, path, _)| ((*verb).to_owned(), (*path).to_owned())).collect();
    assert_eq!(table.len(), ROUTE_ROLES.len(), "no row occurs twice");
    assert_eq!(routes.difference(&table).collect::<Vec<_>>(), Vec::<&(String, String)>::new(), "every route has a row");
    assert_eq!(table.difference(&routes).collect::<Vec<_>>(), Vec::<&(String, String)>::new(), "every row has a route");
}

/// Creates a token and opens a session with it. Returns the token's id, the token and the cookie.
async fn create_token_and_session(server: &TestServer, token_body: Value) -> (String, String, String) {
    let (status, body, _) = server.post("/api/v1/tokens", token_body).await;
    assert_eq!(status, StatusCode::CREATED, "{body}");
    let token = body["token"].as_str().expect("a secret").to_owned();
    let cookie = server.open_session(&token).await;
    (body["id"].as_str().expect("an id").to_owned(), token, cookie)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_requires_exactly_its_role() {
    let server = TestServer::start().await;
    let token_body = |role: &str, tags: &[&str]| json!({"name": role, "role": role, "tags": tags});
    let mut callers = Vec::new();
    for (rank, role) in ROLES.iter().enumerate() {
        let (_, token, cookie) = create_token_and_session(&server, token_body(role, &[])).await;
        callers.push((*role, rank, token, cookie));
        if *role != "admin" {
            let (_, token, cookie) = create_token_and_session(&server, token_body(role, &["hall-a"])).await;
            callers.push(("limited", rank, token, cookie));
        }
    }
    let (id, revoked, revoked_cookie) = create_token_and_session(&server, token_body("admin", &[])).await;
    assert_eq!(server.delete(&format!("/api/v1/tokens/{id}")).await.0, StatusCode::NO_CONTENT);
    let (expired, expired_cookie) = server.create_expired_admin().await;
    for (verb, path, needed) in ROUTE_ROLES {
        let invalid_credentials = [
            ("nobody", None),
            ("a wrong one", Some(("pyd_wrong", "pyd_wrong"))),
            ("a revoked one", Some((revoked.as_str(), revoked_cookie.as_str()))),
            ("an expired one", Some((expired.as_str(), expired_cookie.as_str()))),
        ];
        for (name, credentials) in invalid_credentials {
            let response = send_with_credentials(&server, verb, path, credentials).await;
            let is_refused = is_unauthenticated(path, &response) && *path != "/logout";
            assert_eq!(is_refused, *needed != "open", "{name}: {verb} {path}: {response:?}");
        }
        // `open` routes include the login and the logout, which would end the session of the request.
        if *needed == "open" {
            continue;
        }
        let rank = ROLES.iter().position(|role| role == needed).expect("a role");
        for (name, caller_rank, token, cookie) in &callers {
            let response = send_with_credentials(&server, verb, path, Some((token, cookie))).await;
            let case = format!("{name} of rank {caller_rank}: {verb} {path}: {response:?}");
            assert!(!is_unauthenticated(path, &response), "{case}");
            assert!(response.0.as_u16() < 500, "{case}");
            let is_refused = *caller_rank < rank || (*name == "limited" && WHOLE_FARM.contains(path));
            assert_eq!(response.0 == StatusCode::FORBIDDEN, is_refused, "{case}");
        }
    }
    // The admin token is still valid, so the refusals above have no other cause.
    assert_eq!(
        send_request(server.request_without_auth(Method::GET, "/api/v1/me").bearer_auth(ADMIN_TOKEN)).await.0,
        StatusCode::OK
    );
}
