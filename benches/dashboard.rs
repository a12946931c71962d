//! Measures a farm page with many changes: 1,000 printers that are polled every 2 s and show a new percentage after
//! each poll. One real browser and 19 simulated browsers read the same stream. Compares the first paint of the page with
//! that of a static page with the same HTML, which a server without any work sends.
//!
//! `cargo bench --bench dashboard`, with PRINTYARD_TEST_CHROMIUM and PRINTYARD_TEST_CHROMEDRIVER set as `tests/run` does.
//!
//! Streams share their compressed bytes. Measured on two cores with 1,000 printing printers: 7.4 % of a core with 5 browsers and
//! 7.5 % with 20. Compressing each stream by itself would add 0.16 to 0.26 % for each browser (zlib, levels 1 and 4).

#[path = "../tests/it/support/mod.rs"]
#[expect(dead_code, unused_imports, unused_macros, reason = "only the browser of the test support is used")]
mod it;
#[expect(dead_code, reason = "each benchmark uses a part of it")]
mod support;

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use it::browser::Browser;
use serde_json::json;
use support::{Farm, Server, TOKEN, wait_until};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const PRINTERS: usize = 1_000;
/// Makes the print of four hours advance by one percent every 2 s.
const SPEED: u32 = 72;
const READERS: usize = 19;
/// Time until the page is at rest.
const SETTLE_TIME: Duration = Duration::from_secs(10);
const BASELINE_TIME: Duration = Duration::from_secs(20);
const MEASURED_TIME: Duration = Duration::from_secs(60);
/// How often each page is opened for its first paint.
const PAINTS: usize = 9;
const FIRST_PAINT: &str = "return performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? null";

/// Stores the state text of each tile by its element id, and records long tasks.
const START_RECORDING: &str = r#"
const said = () => new Map([...document.querySelectorAll(".tile")].map((tile) => [tile.id, tile.querySelector(".state").textContent]));
window.before = said();
window.others = () => { const now = said(); return [...before].filter(([id, text]) => now.get(id) !== text).length; };
window.tasks = [];
new PerformanceObserver((list) => { for (const entry of list.getEntries()) tasks.push(entry.duration); }).observe({ entryTypes: ["longtask"] });
"#;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let _ = rlimit::increase_nofile_limit(u64::MAX);
    let farm = Farm::start_at_speed(PRINTERS, 0, SPEED);
    runtime.block_on(measure(&farm));
}

async fn measure(farm: &Farm) {
    let Some(browser) = Browser::start().await else { return };
    let server = Server::start(farm).await;
    // Printers without an event socket are polled every 2 s.
    for printer in &farm.printers {
        farm.set_fault(&printer.name, "drop_socket").await;
    }
    let (status, batch) = server.post("/batches", &json!({"command": "start", "select": {"all": true}})).await;
    assert_eq!(status, 202, "{batch}");
    wait_until("every printer prints", || async { server.count_in_state("printing").await == PRINTERS }).await;
    tokio::time::sleep(SETTLE_TIME).await;
    let baseline = cpu_percent(&server, BASELINE_TIME).await;

    let cookie = log_in(&server).await;
    let page = server.client.get(format!("{}/", server.url)).header("cookie", &cookie).send().await.expect("the page");
    let page = page.text().await.expect("a text");
    let linked = |name: &str| page.split('"').find(|part| part.contains(name)).expect("a link").to_owned();
    let mut sizes = Vec::new();
    for path in ["/".to_owned(), linked("/static/app.css"), linked("/static/app.js")] {
        sizes.push(response_kilobytes(&server, &path, &cookie).await);
    }
    let stream = page.split("data-stream=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("its stream");
    let bytes = Arc::new(AtomicU64::new(0));
    let start_reader = || read_stream(server.url.clone(), stream.replace("&#38;", "&"), cookie.clone(), bytes.clone());
    let readers: Vec<_> = (0..READERS).map(|_| tokio::spawn(start_reader())).collect();
    browser.set_screen_size(1920, 1080).await;
    browser.open(&format!("{}/login?token={TOKEN}", server.url)).await;
    assert_eq!(browser.evaluate("return document.querySelectorAll('.tile').length").await, PRINTERS);
    assert_eq!(browser.evaluate("return document.visibilityState").await, "visible");
    tokio::time::sleep(SETTLE_TIME).await;

    browser.evaluate(START_RECORDING).await;
    let before = bytes.load(Ordering::Relaxed);
    let watched = cpu_percent(&server, MEASURED_TIME).await;
    let rate = (bytes.load(Ordering::Relaxed) - before) / READERS as u64 / MEASURED_TIME.as_secs();
    assert!(readers.iter().all(|reader| !reader.is_finished()), "a stream ended");
    let tasks = browser.evaluate("return tasks").await;
    let tasks: Vec<f64> = tasks.as_array().expect("a list").iter().filter_map(serde_json::Value::as_f64).collect();
    let changed = browser.evaluate("return others()").await;
    assert!(changed.as_u64().is_some_and(|n| n as usize > PRINTERS * 9 / 10), "too few tiles changed: {changed}");

    let static_url = serve_static_page(&server, &page, &cookie).await;
    let (mut ours, mut fixed) = (Vec::new(), Vec::new());
    for _ in 0..PAINTS {
        ours.push(first_paint(&browser, &server.url).await);
        fixed.push(first_paint(&browser, &static_url).await);
    }

    println!("{PRINTERS} printers that change every 2 s, {} pages that follow them", READERS + 1);
    println!("page, CSS, JavaScript     {:.1}, {:.1}, {:.1} kB as sent", sizes[0], sizes[1], sizes[2]);
    println!(
        "first paint               {:.0} ms, a static page {:.0} ms (medians of {PAINTS})",
        median(ours),
        median(fixed)
    );
    println!("longest task of the page  {:.0} ms  (target: at most 100)", tasks.iter().copied().fold(0.0, f64::max));
    println!("tasks over 50 ms          {}", tasks.len());
    println!("to each browser           {:.1} kB/s  (target: at most 60)", rate as f64 / 1_000.0);
    println!(
        "processor of the server   {watched:.1} % of a core over {} s  (target: at most 15)",
        MEASURED_TIME.as_secs()
    );
    println!("of that, nobody looking   {baseline:.1} %");
    browser.close().await;
}

/// Serves the HTML of a page and its styles from memory, without scripts. Returns the address.
async fn serve_static_page(server: &Server, page: &str, cookie: &str) -> String {
    let (mut html, mut rest) = (String::new(), page);
    while let Some((before, after)) = rest.split_once("<script") {
        html.push_str(before);
        rest = after.split_once("</script>").map_or("", |(_, rest)| rest);
    }
    html.push_str(rest);
    let is_asset = |part: &&str| part.starts_with("/static/");
    let links = html.split('"').filter(is_asset).map(str::to_owned);
    let mut files = HashMap::new();
    for path in links.chain(["/static/vendor/inter-latin.woff2".to_owned()]) {
        let request = server.client.get(format!("{}{path}", server.url)).header("cookie", cookie);
        let response = request.send().await.expect("an asset");
        let kind = response.headers().get("content-type").and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let kind = kind.to_owned();
        let path = path.split('?').next().unwrap_or_default().to_owned();
        files.insert(path, (kind, response.bytes().await.expect("its bytes")));
    }
    files.insert("/".to_owned(), ("text/html; charset=utf-8".to_owned(), html.into()));
    let router = Router::new()
        .fallback(serve_file)
        .layer(tower_http::compression::CompressionLayer::new())
        .with_state(Arc::new(files));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}")
}

type StaticFiles = HashMap<String, (String, bytes::Bytes)>;

async fn serve_file(State(files): State<Arc<StaticFiles>>, request: Request) -> Response {
    match files.get(request.uri().path()) {
        Some((kind, bytes)) => ([("content-type", kind.clone())], bytes.clone()).into_response(),
        None => axum::http::StatusCode::NOT_FOUND.into_response(),
    }
}

/// Opens a page and returns its first contentful paint in milliseconds.
async fn first_paint(browser: &Browser, url: &str) -> f64 {
    browser.open("about:blank").await;
    browser.open(&format!("{url}/")).await;
    browser
        .until_true("the page is painted", "return performance.getEntriesByName('first-contentful-paint').length > 0")
        .await;
    browser.evaluate(FIRST_PAINT).await.as_f64().expect("a number")
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Returns the percentage of a core that the server uses.
async fn cpu_percent(server: &Server, time: Duration) -> f64 {
    let before = server.cpu_ticks();
    tokio::time::sleep(time).await;
    (server.cpu_ticks() - before) as f64 / time.as_secs_f64()
}

/// Logs in and returns the session cookie.
async fn log_in(server: &Server) -> String {
    let login = it::http_client().get(format!("{}/login?token={TOKEN}", server.url)).send().await.expect("an answer");
    let cookie = login.headers().get("set-cookie").and_then(|value| value.to_str().ok()).expect("a cookie");
    cookie.split(';').next().expect("a name and a value").to_owned()
}

/// Returns the size of a response body in kilobytes, as it is sent to a browser.
async fn response_kilobytes(server: &Server, path: &str, cookie: &str) -> f64 {
    let request = it::http_client().get(format!("{}{path}", server.url)).header("cookie", cookie);
    let response = request.header("accept-encoding", "gzip, deflate").send().await.expect("a response");
    response.bytes().await.expect("a body").len() as f64 / 1_000.0
}

/// Follows a stream as a browser does, and counts the bytes that arrive.
async fn read_stream(url: String, path: String, cookie: String, bytes: Arc<AtomicU64>) {
    let host = url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(host).await.expect("a connection");
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}\r\nAccept: text/event-stream\r\nCache-Control: no-cache\r\n\
         Sec-Fetch-Site: same-origin\r\nAccept-Encoding: gzip, deflate\r\nAccept-Language: en-US,en;q=0.9\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.expect("a request");
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(n @ 1..) = stream.read(&mut buffer).await {
        bytes.fetch_add(n as u64, Ordering::Relaxed);
    }
}
