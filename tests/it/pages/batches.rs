//! The page of a batch, live in a browser.

use serde_json::json;

use super::{
    files::{click, until_includes},
    visit,
};
use crate::support::{browser::Browser, needs, server::start_server_with_farm};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser, which tests/run provides"]
async fn what_is_open_on_the_page_of_a_batch_stays_open_when_it_is_updated() {
    let browser = needs!(Browser::start().await);
    let (server, _farm, ids) = start_server_with_farm(2).await;
    let start = json!({"command": "start", "select": {"printer_ids": ids}, "interval_ms": 600_000});
    let (_, batch, _) = server.post("/api/v1/batches", start).await;
    let id = batch["id"].as_str().expect("an id");
    visit(&browser, &server, "operator", &format!("/batches/{id}?back=/?tag=a")).await;
    until_includes(&browser, "#live", "1 started").await;
    click(&browser, "#batch-done summary").await;
    click(&browser, "#live form button").await;
    until_includes(&browser, ".verdict", "Stopped · 1 of 2 started").await;
    assert_eq!(browser.evaluate("return location.search").await, "?back=%2F%3Ftag%3Da", "the way back is kept");
    until_includes(&browser, "#g-skipped-batch_stopped", "Not sent").await;

    // The same over the live stream.
    browser.open(&format!("{}/batches/{id}", server.url)).await;
    click(&browser, "#batch-done summary").await;
    let update =
        "const live = document.getElementById('live'); const html = live.outerHTML.replace(/ open(=\"\")?/g, '');
        putPart('live', html.replace('class=\"verdict\"', 'class=\"verdict updated\"'));
        return Boolean(document.querySelector('.updated')) && document.getElementById('batch-done').open
            && document.activeElement.matches('#batch-done summary')";
    assert_eq!(browser.evaluate(update).await, true, "the list and the focus stay");
    browser.close().await;
    server.stop().await;
}
