//! The wall screen without user input: it changes its pages, stays logged in, and recovers from failures without help.

use chrono::{DateTime, TimeDelta, Utc};
use printyard::{
    clock,
    domain::{
        access::Session,
        audit::{Action, ActorKind, Entry},
    },
    secrets,
    simulator::Act,
    storage::{Db, sessions},
};
use reqwest::Method;
use serde_json::json;

use super::visit;
use crate::support::{
    browser::Browser,
    needs,
    server::{Options, TestServer, yard},
};

const SHOWS: &str = "return document.querySelector('.wall .much').textContent.replace(/\\s+/g, ' ').trim()";

#[tokio::test(flavor = "multi_thread")]
async fn a_wall_says_what_needs_somebody_turns_its_leaves_and_outlives_its_server() {
    let browser = needs!(Browser::start().await);
    let (mut server, farm, ids) = yard(8).await;
    visit(&browser, &server, "viewer", "/wall").await;
    assert_eq!(browser.value(SHOWS).await, "Nobody is needed");
    for printer in farm.printers() {
        printer.at_printer(Act::FirmwareError("Thermal runaway".to_owned()));
    }
    browser.until("the wall counts them", &SHOWS.replace(".trim()", ".trim() === '8need you'")).await;
    let one = "return document.querySelectorAll('.leaf').length === 2 && document.querySelectorAll('.leaf:not([hidden])').length === 1";
    assert_eq!(browser.value(one).await, true, "six printers per page, one page at a time");
    browser.value("window.first = document.querySelector('.leaf:not([hidden])').innerText").await;
    browser.until("it turns", "return document.querySelector('.leaf:not([hidden])').innerText !== window.first").await;

    // The server stops, and returns as another version.
    browser.value("document.body.dataset.version = 'another'").await;
    server.go_away().await;
    browser.until("the wall shows that it is not live", "return !document.getElementById('lost').hidden").await;
    assert_eq!(browser.value("return window.first !== undefined").await, true, "the wall stays without a server");
    let server = server.come_back().await;
    browser
        .until("the wall reloads", "return window.first === undefined && document.querySelector('.wall') !== null")
        .await;
    farm.printers()[0].at_printer(Act::Connect);
    browser.until("the wall is live", &SHOWS.replace(".trim()", ".trim() === '7need you'")).await;
    assert_eq!(browser.value("return document.getElementById('lost').hidden").await, true);
    assert_eq!(ids.len(), 8);

    // A new login is required only when the session has ended.
    let (_, tokens, _) = server.get("/api/v1/tokens").await;
    for token in tokens["items"].as_array().expect("tokens") {
        server.delete(&format!("/api/v1/tokens/{}", token["id"].as_str().expect("an id"))).await;
    }
    browser.until("the wall redirects to the login", "return location.pathname === '/login'").await;
    browser.end().await;
    server.stop().await;
}

/// Opens the wall with a session of `life_h` hours that has `left_h` hours left. Returns the new end of the session,
/// and whether the response renews the cookie.
async fn use_session(server: &TestServer, db: &Db, role: &str, life_h: i64, left_h: i64) -> (DateTime<Utc>, bool) {
    let body = json!({"name": format!("{role} {life_h}"), "password": "correct horse battery", "role": role});
    let (status, user, _) = server.post("/api/v1/users", body).await;
    assert_eq!(status, 201, "{user}");
    let now = clock::now();
    let session = Session {
        id: clock::new_id(),
        user_id: user["id"].as_str().and_then(|id| id.parse().ok()),
        token_id: None,
        admin_hash: None,
        created_at: now - TimeDelta::hours(life_h - left_h),
        last_seen_at: now - TimeDelta::hours(1),
        expires_at: now + TimeDelta::hours(left_h),
        address: None,
        agent: String::new(),
    };
    let (secret, hash) = secrets::new_token().expect("a secret");
    let entry = Entry::unasked(ActorKind::Terminal, Action::SessionOpened, now);
    sessions::insert(db, &hash, &session, None, &entry).await.expect("inserted");
    let request = server.bare(Method::GET, "/wall").header("cookie", format!("printyard_session={secret}"));
    let answer = request.send().await.expect("an answer");
    assert_eq!(answer.status(), 200);
    let kept = answer.headers().get("set-cookie").is_some_and(|cookie| {
        let cookie = cookie.to_str().expect("a text");
        cookie.starts_with(&format!("printyard_session={secret};")) && cookie.contains("Max-Age=2592000")
    });
    (sessions::by_hash(db, &hash).await.expect("read").expect("a row").expires_at, kept)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewers_session_goes_on_with_its_use_and_nobody_elses_does() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("sqlite:{}", folder.path().join("wall.db").display());
    let server = TestServer::with(Options { database_url: Some(url.clone()), ..Options::default() }).await;
    let db = Db::connect(&url).await.expect("the database");
    let in_days = |days: i64| clock::now() + TimeDelta::days(days);
    let month_h = 30 * 24;
    let (ends, kept) = use_session(&server, &db, "viewer", month_h, 5).await;
    assert!(ends > in_days(29) && ends < in_days(31) && kept, "{ends}");
    let (ends, kept) = use_session(&server, &db, "operator", month_h, 5).await;
    assert!(ends < in_days(1) && !kept, "an operator's session is not extended: {ends}");
    let (ends, _) = use_session(&server, &db, "viewer", 12, 5).await;
    assert!(ends < in_days(1), "a 12 h session is not extended: {ends}");
    server.stop().await;
}
