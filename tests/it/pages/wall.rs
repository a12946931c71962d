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

const BROKEN_COUNT: &str = "return document.querySelector('.counter.is-broken b').textContent";
const TO_DO_COUNT: &str = "return document.querySelector('.counter.is-to-do b').textContent";
/// Returns what sticks out of the screen: the page itself, and each element of the summary and of the current page.
const OVERFLOWING: &str = "const flow = document.querySelector('.flow');
    const page = flow?.parentElement.getBoundingClientRect();
    const isShown = (box) => box.left < page.right && box.right > page.left;
    const inside = (box) => box.right <= innerWidth + 1 && box.bottom <= innerHeight + 1 && box.left >= -1 && box.width > 0;
    const shown = [...document.querySelectorAll('.sum > *, .row, .plate-chip, .spot')]
        .filter((one) => !flow?.contains(one) || isShown(one.getBoundingClientRect()));
    const root = document.documentElement;
    return [
        ...(root.scrollWidth > innerWidth || root.scrollHeight > innerHeight ? ['the page scrolls'] : []),
        ...shown.filter((one) => !inside(one.getBoundingClientRect())).map((one) => one.className + ' ' + one.textContent),
    ]";
const SCREENS: [(u32, u32); 4] = [(390, 844), (1280, 720), (1920, 1080), (3840, 2160)];

/// Fails if parts of the page have moved, as the browser measures it.
async fn assert_steady(browser: &Browser) {
    let shift = browser.evaluate("return window.shift").await.as_f64().expect("a number");
    assert!(shift <= 0.02, "the wall shifts by {shift}");
}

/// Waits until a script returns a text.
async fn until_equal(browser: &Browser, script: &str, expected: &str) {
    let expression = script.strip_prefix("return ").expect("a script that returns a value");
    browser.until_true(expected, &format!("return ({expression}) === '{expected}'")).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser, which tests/run provides"]
async fn a_wall_counts_failures_changes_pages_and_survives_a_restart() {
    let browser = needs!(Browser::start().await);
    let (mut server, farm, ids) = start_server_with_farm(8).await;
    visit(&browser, &server, "viewer", "/wall").await;
    assert_eq!(browser.evaluate("return document.querySelector('.much').textContent.trim()").await, "All running");
    assert_eq!(browser.evaluate("return document.querySelectorAll('.dots .spot.is-ready').length").await, 8);
    for printer in farm.printers() {
        printer.perform(MachineAction::FirmwareError("Thermal runaway".to_owned()));
    }
    until_equal(&browser, BROKEN_COUNT, "8").await;
    assert_eq!(browser.evaluate("return document.getElementById('place').hidden").await, true, "all rows fit");
    browser.set_screen_size(390, 500).await;
    until_equal(&browser, "return String(document.getElementById('place').hidden)", "false").await;
    browser.evaluate("window.first = document.querySelector('.flow').style.transform").await;
    browser.until_true("it turns", "return document.querySelector('.flow').style.transform !== window.first").await;

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
    until_equal(&browser, BROKEN_COUNT, "7").await;
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

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser, which tests/run provides"]
async fn a_wall_fits_every_screen_and_only_broken_printers_make_it_red() {
    let browser = needs!(Browser::start().await);
    let (server, farm, ids) = start_server_with_farm(60).await;
    let fits = async |what: &str| {
        for (width, height) in SCREENS {
            browser.set_screen_size(width, height).await;
            let overflowing = browser.evaluate(OVERFLOWING).await;
            assert_eq!(overflowing, json!([]), "{what}, {width} px");
        }
    };
    let counter_class = |name: &str| format!("return document.querySelector('.counter.{name}').className");
    visit(&browser, &server, "viewer", "/wall").await;
    fits("calm").await;

    // Every print ends with an occupied plate. That is something to do, and nothing is broken.
    let file = json!({"path": "long/vase.gcode"});
    let start = json!({"command": "start", "select": {"all": true}, "file": file});
    server.post_and_wait("/api/v1/batches", start).await;
    until_equal(&browser, "return String(document.querySelectorAll('.spot.is-printing').length)", "60").await;
    let known = "return String(document.querySelectorAll('.until time').length)";
    until_equal(&browser, known, "2").await;
    // The new size of the screen moves everything: what counts begins two frames later.
    let shifts = "const later = (act) => requestAnimationFrame(() => requestAnimationFrame(act));
        return new Promise((done) => later(() => {
            window.shift = 0;
            new PerformanceObserver((list) => {
                for (const one of list.getEntries()) if (!one.hadRecentInput) window.shift += one.value;
            }).observe({ type: 'layout-shift' });
            done(true);
        }))";
    browser.set_screen_size(1280, 720).await;
    browser.evaluate(shifts).await;
    let cancel = json!({"command": "cancel", "select": {"printer_ids": ids[..30]}, "reason": "end of the shift"});
    server.post_and_wait("/api/v1/batches", cancel).await;
    until_equal(&browser, TO_DO_COUNT, "30").await;
    let plates = "return document.querySelectorAll('.plate-chip .what').length";
    assert_eq!(browser.evaluate(plates).await, 30, "a chip per plate, with its file");
    assert_eq!(browser.evaluate(&counter_class("is-broken")).await, "counter is-broken");
    assert_eq!(browser.evaluate(&counter_class("is-to-do")).await, "counter is-to-do on");
    assert_steady(&browser).await;
    fits("plates").await;
    browser.set_screen_size(1280, 720).await;
    let reset = "return new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => {
        window.shift = 0; done(true); })))";
    browser.evaluate(reset).await;

    for printer in &farm.printers()[30..50] {
        printer.perform(MachineAction::FirmwareError("Thermal runaway on heater 0, the printer was halted".to_owned()));
    }
    until_equal(&browser, BROKEN_COUNT, "20").await;
    assert_eq!(browser.evaluate(&counter_class("is-broken")).await, "counter is-broken on");
    assert_eq!(browser.evaluate("return document.querySelectorAll('.row.is-ending').length").await, 10);
    assert_steady(&browser).await;
    fits("trouble").await;
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
