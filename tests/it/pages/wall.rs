//! The wall screen without user input: it changes its pages, stays logged in, and recovers from failures without help.

use chrono::{DateTime, TimeDelta, Utc};
use printyard::{
    clock,
    domain::{
        access::Session,
        audit::{Action, ActorKind, AuditEntry},
    },
    secrets,
    simulator::MachineAction,
    storage::{Db, sessions},
};
use reqwest::Method;
use serde_json::json;

use super::visit;
use crate::support::{
    browser::Browser,
    needs,
    server::{ServerOptions, TestServer, start_server_with_farm},
};

const WALL_TEXT: &str = "return document.querySelector('.wall .much').textContent.replace(/\\s+/g, ' ').trim()";

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser, which tests/run provides"]
async fn a_wall_counts_failures_changes_pages_and_survives_a_restart() {
    let browser = needs!(Browser::start().await);
    let (mut server, farm, ids) = start_server_with_farm(8).await;
    visit(&browser, &server, "viewer", "/wall").await;
    assert_eq!(browser.evaluate(WALL_TEXT).await, "All running");
    for printer in farm.printers() {
        printer.perform(MachineAction::FirmwareError("Thermal runaway".to_owned()));
    }
    browser.until_true("the wall counts them", &WALL_TEXT.replace(".trim()", ".trim() === '8need attention'")).await;
    let one = "return document.querySelectorAll('.leaf').length === 2 && document.querySelectorAll('.leaf:not([hidden])').length === 1";
    assert_eq!(browser.evaluate(one).await, true, "six printers per page, one page at a time");
    browser.evaluate("window.first = document.querySelector('.leaf:not([hidden])').innerText").await;
    browser
        .until_true("it turns", "return document.querySelector('.leaf:not([hidden])').innerText !== window.first")
        .await;

    // The server stops, and returns as another version.
    browser.evaluate("document.body.dataset.version = 'another'").await;
    server.shut_down().await;
    browser.until_true("the wall shows that it is not live", "return !document.getElementById('lost').hidden").await;
    assert_eq!(browser.evaluate("return window.first !== undefined").await, true, "the wall stays without a server");
    let server = server.start_again().await;
    browser
        .until_true("the wall reloads", "return window.first === undefined && document.querySelector('.wall') !== null")
        .await;
    farm.printers()[0].perform(MachineAction::Connect);
    browser.until_true("the wall is live", &WALL_TEXT.replace(".trim()", ".trim() === '7need attention'")).await;
    assert_eq!(browser.evaluate("return document.getElementById('lost').hidden").await, true);
    assert_eq!(ids.len(), 8);

    // A new login is required only when the session has ended.
    let (_, tokens, _) = server.get("/api/v1/tokens").await;
    for token in tokens["items"].as_array().expect("tokens") {
        server.delete(&format!("/api/v1/tokens/{}", token["id"].as_str().expect("an id"))).await;
    }
    browser.until_true("the wall redirects to the login", "return location.pathname === '/login'").await;
    browser.close().await;
    server.stop().await;
}

/// Opens the wall with a session of `life_h` hours that has `left_h` hours left. Returns the new end of the session,
/// and whether the response renews the cookie.
async fn open_wall_with_session(
    server: &TestServer,
    db: &Db,
    role: &str,
    lifetime_h: i64,
    left_h: i64,
) -> (DateTime<Utc>, bool) {
    let body = json!({"name": format!("{role} {lifetime_h}"), "password": "correct horse battery", "role": role});
    let (status, user, _) = server.post("/api/v1/users", body).await;
    assert_eq!(status, 201, "{user}");
    let now = clock::now();
    let session = Session {
        id: clock::new_id(),
        user_id: user["id"].as_str().and_then(|id| id.parse().ok()),
        token_id: None,
        admin_hash: None,
        created_at: now - TimeDelta::hours(lifetime_h - left_h),
        last_seen_at: now - TimeDelta::hours(1),
        expires_at: now + TimeDelta::hours(left_h),
        address: None,
        agent: String::new(),
    };
    let (secret, hash) = secrets::new_token().expect("a secret");
    let entry = AuditEntry::without_request(ActorKind::Terminal, Action::SessionOpened, now);
    sessions::insert(db, &hash, &session, None, &entry).await.expect("inserted");
    let request =
        server.request_without_auth(Method::GET, "/wall").header("cookie", format!("printyard_session={secret}"));
    let answer = request.send().await.expect("an answer");
    assert_eq!(answer.status(), 200);
    let is_renewed = answer.headers().get("set-cookie").is_some_and(|cookie| {
        let cookie = cookie.to_str().expect("a text");
        cookie.starts_with(&format!("printyard_session={secret};")) && cookie.contains("Max-Age=2592000")
    });
    (sessions::find_by_hash(db, &hash).await.expect("read").expect("a row").expires_at, is_renewed)
}

#[tokio::test(flavor = "multi_thread")]
async fn use_extends_a_viewers_session_and_no_other() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("sqlite:{}", folder.path().join("wall.db").display());
    let server =
        TestServer::start_with(ServerOptions { database_url: Some(url.clone()), ..ServerOptions::default() }).await;
    let db = Db::connect(&url).await.expect("the database");
    let in_days = |days: i64| clock::now() + TimeDelta::days(days);
    let month_h = 30 * 24;
    let (ends, is_renewed) = open_wall_with_session(&server, &db, "viewer", month_h, 5).await;
    assert!(ends > in_days(29) && ends < in_days(31) && is_renewed, "{ends}");
    let (ends, is_renewed) = open_wall_with_session(&server, &db, "operator", month_h, 5).await;
    assert!(ends < in_days(1) && !is_renewed, "an operator's session is not extended: {ends}");
    let (ends, _) = open_wall_with_session(&server, &db, "viewer", 12, 5).await;
    assert!(ends < in_days(1), "a 12 h session is not extended: {ends}");
    server.stop().await;
}
