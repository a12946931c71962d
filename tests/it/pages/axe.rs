//! Accessibility of every page, checked with axe-core: names, roles, contrast and focus, in both themes, on a desktop
//! and on a phone.

use printyard::simulator::{Act, Fault};
use serde_json::json;

use super::visit;
use crate::{
    browser::addresses,
    support::{browser::Browser, needs, routes, server::yard},
};

const AXE: &str = include_str!("../vendor/axe.min.js");
/// Runs axe-core with the rules of WCAG 2.2 level AA and its best practices.
const RUN: &str = "return axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] })
    .then(({ violations }) => violations.map(({ id, help, nodes }) =>
        [id, help, ...nodes.slice(0, 3).map(({ html, failureSummary }) => `${html.slice(0, 200)}\\n      ${failureSummary.slice(0, 300)}`)]))";

/// Returns the violations on the current page, in each theme and at each width.
async fn violations(browser: &Browser, page: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (width, theme) in [(1280, "light"), (1280, "dark"), (390, "light"), (390, "dark")] {
        browser.screen(width, 900).await;
        let features = json!([{"name": "prefers-color-scheme", "value": theme}, {"name": "prefers-reduced-motion", "value": "reduce"}]);
        browser.own("Emulation.setEmulatedMedia", json!({ "features": features })).await;
        let told = browser.run(&format!("if (!window.axe) {{ {AXE} }} {RUN}"), Vec::new()).await;
        let told = told.unwrap_or_else(|error| panic!("{page}: {error}"));
        let told = told.as_array().unwrap_or_else(|| panic!("{page}: {told}"));
        found.extend(told.iter().map(|one| format!("{page} ({width} px, {theme}): {one:#}")));
    }
    found
}

/// Leaves a page by its button, and waits until the next page is loaded.
async fn go_on(browser: &Browser, script: &str, arrived: &str) {
    browser.value(script).await;
    browser.until(arrived, &format!("return {arrived}")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_page_violates_what_axe_knows_in_either_theme() {
    let browser = needs!(Browser::start().await);
    let (server, farm, ids) = yard(5).await;
    let start = json!({"command": "start", "select": {"printer_ids": ids[..3]}});
    let batch = server.post_and_wait("/api/v1/batches", start).await.1;
    let batches = vec![batch["id"].as_str().expect("an id").to_owned()];
    farm.printers()[1].at_printer(Act::Pause);
    farm.printers()[3].at_printer(Act::FirmwareError("Thermal runaway".to_owned()));
    farm.printers()[4].set_fault(Some(Fault::Refuse));
    // A batch that fails, so that the page of a batch shows a failure.
    let again = json!({"command": "start", "select": {"printer_ids": ids[..1]}});
    let failed = server.post_and_wait("/api/v1/batches", again).await.1;
    let batches = [batches, vec![failed["id"].as_str().expect("an id").to_owned()]].concat();
    // One webhook that fails and has a delivery, and one that is disabled.
    for enabled in [true, false] {
        let hook = json!({"url": "http://127.0.0.1:1/", "description": "ERP", "ordered": true, "enabled": enabled});
        assert_eq!(server.post("/api/v1/webhooks", hook).await.0, 201);
    }
    server.patch(&format!("/api/v1/printers/{}", ids[0]), json!({"notes": "told of"})).await;

    browser.open(&format!("{}/login", server.url)).await;
    let mut found = violations(&browser, "/login").await;
    visit(&browser, &server, "admin", "/").await;
    let troubled = "return document.querySelectorAll('.tile .needs').length >= 3";
    browser.until("the tiles show the failures", troubled).await;
    let mut seen = 0;
    let more = ["/?view=rows", "/?view=cameras", "/?q=nobody", "/nowhere"].map(str::to_owned);
    let pages =
        routes::of_pages().into_iter().flat_map(|(verb, route)| addresses(&verb, &route, &ids[..1], &[], &batches));
    for path in pages.chain(more).filter(|path| !path.ends_with(".csv") && !path.starts_with("/login/oidc")) {
        browser.open(&format!("{}{path}", server.url)).await;
        // A file, or a fragment of a page.
        if browser.value("return document.contentType !== 'text/html'").await == true {
            continue;
        }
        found.extend(violations(&browser, &path).await);
        seen += 1;
    }
    assert!(seen > 10, "only {seen} pages were checked");

    browser.open(&format!("{}/", server.url)).await;
    browser.value("document.querySelectorAll('.farm .pick').forEach((box) => box.click())").await;
    found.extend(violations(&browser, "the farm with a selection").await);
    go_on(&browser, "document.querySelector('#act [value=cancel]').click()", "location.pathname === '/batches'").await;
    found.extend(violations(&browser, "the page that asks").await);
    browser.open(&format!("{}/", server.url)).await;
    browser.value("document.querySelectorAll('.farm .pick').forEach((box) => box.click())").await;
    go_on(&browser, "document.querySelector('.retag').click()", "location.pathname === '/printers/tags'").await;
    found.extend(violations(&browser, "the tags of a selection").await);
    browser.open(&format!("{}/printers/import", server.url)).await;
    let list = "name,url,tags\\nA,http://a,petg\\nB,nowhere,\\n";
    let paste = format!(
        "document.querySelector('[name=text]').value = '{list}'; document.querySelector('main .primary').click()"
    );
    go_on(&browser, &paste, "Boolean(document.querySelector('.looked'))").await;
    found.extend(violations(&browser, "a list that was looked at").await);
    assert!(found.is_empty(), "{} violations:\n{}", found.len(), found.join("\n"));
    browser.end().await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_with_a_fault_is_found() {
    let browser = needs!(Browser::start().await);
    let (server, _farm, _) = yard(1).await;
    visit(&browser, &server, "viewer", "/").await;
    let fault = "const button = document.createElement('button'); document.getElementById('main').append(button)";
    browser.value(fault).await;
    let found: Vec<String> = violations(&browser, "/").await;
    assert!(found.iter().any(|one| one.contains("button-name")), "{found:?}");
    browser.end().await;
    server.stop().await;
}
