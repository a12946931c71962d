//! The farm page with 1,000 printing printers: its size, and that nothing moves while values change.

use std::io::Read;

use flate2::read::GzDecoder;
use reqwest::header::{ACCEPT_ENCODING, COOKIE};
use serde_json::json;

use super::visit;
use crate::support::{
    browser::Browser,
    needs,
    server::{ADMIN_TOKEN, TestServer, start_server_with_farm},
};

const PRINTERS: usize = 1_000;
/// The largest size of a page in bytes, compressed as browsers get it.
const MAX_PAGE: usize = 60_000;
/// The largest layout shift, as the browser measures it.
const MAX_SHIFT: f64 = 0.02;
/// Name and path of each density.
const DENSITIES: &[(&str, &str)] =
    &[("tiles", "/"), ("rows", "/?view=rows"), ("cameras", "/?view=cameras"), ("dots", "/?view=dots")];
/// Records layout shifts, and the contents of all tiles. It begins two frames after the page was shown.
const RECORD: &str = "const later = (act) => requestAnimationFrame(() => requestAnimationFrame(act));
    const contents = () => [...document.querySelectorAll('.tile')].map((tile) => tile.innerHTML);
    window.changed = () => contents().filter((text, at) => text !== window.first[at]).length;
    return new Promise((done) => later(() => {
        window.shift = 0;
        window.first = contents();
        new PerformanceObserver((list) => {
            for (const one of list.getEntries()) if (!one.hadRecentInput) window.shift += one.value;
        }).observe({ type: 'layout-shift' });
        done(window.first.length);
    }))";

/// Returns the bytes of a page as they are sent, and its text.
async fn compressed_page(server: &TestServer, path: &str, cookie: &str) -> (usize, String) {
    let request = server.request(reqwest::Method::GET, path).header(COOKIE, cookie).header(ACCEPT_ENCODING, "gzip");
    let bytes = request.send().await.expect("a response").bytes().await.expect("a body");
    let mut text = String::new();
    GzDecoder::new(&bytes[..]).read_to_string(&mut text).expect("a compressed page");
    (bytes.len(), text)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser, which tests/run provides"]
async fn a_thousand_printers_fit_a_small_page_and_nothing_moves_while_values_change() {
    let browser = needs!(Browser::start().await);
    let (server, _farm, _ids) = start_server_with_farm(PRINTERS).await;
    let file = json!({"path": "long/vase.gcode"});
    let start = json!({"command": "start", "select": {"all": true}, "file": file});
    server.post_and_wait("/api/v1/batches", start).await;
    let cookie = format!("printyard_session={}", server.open_session(ADMIN_TOKEN).await);
    for (name, path) in DENSITIES {
        let (size, text) = compressed_page(&server, path, &cookie).await;
        eprintln!("{name}: {size} bytes, {} plain", text.len());
        assert_eq!(text.matches("class=\"hit\"").count(), PRINTERS, "{name}");
        assert!(size <= MAX_PAGE, "{name}: {size} bytes");
    }
    for (name, path) in DENSITIES {
        visit(&browser, &server, "operator", path).await;
        let live = "return !document.body.classList.contains('stale')";
        browser.until_true("the page is live", live).await;
        assert_eq!(browser.evaluate(RECORD).await, PRINTERS, "{name}");
        browser.until_true("most tiles have changed", "return window.changed() > 600").await;
        let shift = browser.evaluate("return window.shift").await.as_f64().expect("a number");
        eprintln!("{name}: shift {shift}");
        assert!(shift <= MAX_SHIFT, "{name} shifts by {shift}");
    }
    browser.close().await;
    server.stop().await;
}
