//! Production with the pages only: printers are opted in, an order is entered, its copies print on real OctoPrints, and a
//! person judges them on a phone.

use std::time::Duration;

use serde_json::{Value, json};

use super::{
    files::{click, drop_file, until_includes},
    maintenance::{fill, use_as_a_phone},
    visit,
};
use crate::support::{
    browser::Browser,
    needs,
    octoprint::{OctoPrintInstance, OctoPrintVersion},
    server::{TestServer, start_server_with_farm},
    wait::until,
};

const DEADLINE: Duration = Duration::from_secs(90);
const CTRL: u8 = 2;

/// Chooses an option of a menu by its text.
async fn choose(browser: &Browser, field: &str, text: &str) {
    let script = "const field = document.querySelector(arguments[0]);
        const option = [...field.options].find((one) => one.text.includes(arguments[1]));
        field.value = option.value; return option.value !== ''";
    assert_eq!(browser.run(script, vec![json!(field), json!(text)]).await, Ok(json!(true)), "{text}");
}

/// Taps a button of a phone's page. It must be large enough for a finger.
async fn tap(browser: &Browser, selector: &str) {
    let height = "const box = document.querySelector(arguments[0])?.getBoundingClientRect(); return box?.height ?? 0";
    let height = browser.run(height, vec![json!(selector)]).await.expect("a number");
    assert!(height.as_f64().is_some_and(|pixels| pixels >= 43.9), "{selector} is {height} pixels high");
    click(browser, selector).await;
}

/// Opens a page again until it contains a text, as a user who looks from time to time.
async fn until_page_has(browser: &Browser, url: &str, text: &str) {
    until(&format!("{url} with {text}"), DEADLINE, async || {
        browser.open(url).await;
        let shown = browser.evaluate("return document.querySelector('main').innerText").await;
        let shown = shown.as_str().unwrap_or_default().to_owned();
        if shown.contains(text) { Ok(()) } else { Err(shown) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser and real OctoPrint, which tests/run provides"]
async fn an_order_of_the_page_is_printed_on_two_printers_and_judged_on_a_phone() {
    let browser = needs!(Browser::start().await);
    let printers = needs!(OctoPrintInstance::start_many(&[OctoPrintVersion::V1, OctoPrintVersion::V2]).await);
    let server = TestServer::start().await;
    for (n, printer) in printers.iter().enumerate() {
        let body = json!({"name": format!("Real-{n}"), "url": printer.url, "api_key": printer.api_key, "model": "MK4"});
        let (status, body, _) = server.post("/api/v1/printers", body).await;
        assert_eq!(status, 201, "{body}");
    }
    visit(&browser, &server, "manager", "/").await;
    let ready = |count: usize| format!("return document.querySelectorAll('.farm .is-ready').length === {count}");
    browser.until_true("both are ready", &ready(2)).await;

    // Both are opted in. Nothing starts before their plates are checked.
    browser.press("a", CTRL).await;
    click(&browser, "#others-menu summary").await;
    click(&browser, "#more [formaction='/printers/production'][value=on]").await;
    until_includes(&browser, "h1", "automatic production of 2 printers").await;
    click(&browser, "main [name=act]").await;
    browser.until_true("both wait for a person", "return document.querySelectorAll('.is-check').length === 2").await;

    browser.open(&format!("{}/files", server.url)).await;
    drop_file(&browser, "bracket.gcode").await;
    until_includes(&browser, ".library", "bracket.gcode").await;
    browser.open(&format!("{}/queue/new", server.url)).await;
    choose(&browser, "main [name=file_id]", "bracket.gcode").await;
    for (field, value) in [("models", "MK4"), ("quantity", "2"), ("title", "Brackets")] {
        fill(&browser, field, value).await;
    }
    choose(&browser, "main [name=judgement]", "judges").await;
    click(&browser, "main form .primary").await;
    until_includes(&browser, "h1", "Brackets").await;
    let order_url = browser.url().await;
    until_page_has(&browser, &order_url, "2 plates were not marked clear").await;
    for printer in &printers {
        assert_eq!(printer.count_log_lines("Print job started"), 0, "no plate was checked");
    }

    browser.open(&format!("{}/?show=todo", server.url)).await;
    until_includes(&browser, ".all-plates", "all 2 plates").await;
    click(&browser, ".all-plates button").await;
    let work = "return [...document.querySelectorAll('.farm .tile, #done-line')].some((one) => /bracket|clear/i.test(one.innerText))";
    browser.until_true("the page shows what happens", work).await;

    // On the floor: a phone, the page To do.
    use_as_a_phone(&browser).await;
    let todo = format!("{}/todo", server.url);
    for good in 1..=2 {
        until_page_has(&browser, &todo, "Judge parts").await;
        tap(&browser, ".tasks a.button[href^='/queue/']").await;
        until_includes(&browser, "h1", "Brackets").await;
        tap(&browser, ".all-good").await;
        until("the copy is judged", DEADLINE, async || {
            let orders = server.get("/api/v1/orders").await.1;
            if orders["items"][0]["quantities"]["good"] == good { Ok(()) } else { Err(orders) }
        })
        .await;
    }
    until_page_has(&browser, &order_url, "Completed").await;
    until_page_has(&browser, &todo, "Clear plate").await;
    for left in [1, 0] {
        tap(&browser, ".tasks form .button").await;
        let rows = format!("return document.querySelectorAll('.tasks > li').length === {left}");
        browser.until_true("the plate is clear", &rows).await;
    }
    let copies = server.get("/api/v1/copies").await.1["items"].clone();
    let on: Vec<&Value> = copies.as_array().expect("copies").iter().map(|copy| &copy["printer_id"]).collect();
    assert!(on.len() == 2 && on[0] != on[1], "{copies}");
    for printer in &printers {
        assert_eq!(printer.count_log_lines("Print job started"), 1, "{}", printer.url);
    }
    browser.close().await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser, which tests/run provides"]
async fn the_page_of_a_printer_says_without_a_reload_why_production_waits() {
    let browser = needs!(Browser::start().await);
    let (server, _farm, ids) = start_server_with_farm(1).await;
    server.patch(&format!("/api/v1/printers/{}", ids[0]), json!({"production": {"auto": true}})).await;
    visit(&browser, &server, "operator", &format!("/printers/{}", ids[0])).await;
    browser.evaluate("window.loadedOnce = true").await;
    until_includes(&browser, "#plan", "Production starts once you have marked the plate clear").await;
    click(&browser, ".tile .act-now button").await;
    until_includes(&browser, "#plan", "No order waits").await;
    assert_eq!(browser.evaluate("return window.loadedOnce === true").await, true);
    browser.close().await;
    server.stop().await;
}
