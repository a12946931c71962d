//! Accessibility of every page, checked with axe-core: names, roles, contrast and focus, in both themes, on a desktop
//! and on a phone.

use printyard::simulator::{Fault, MachineAction};
use serde_json::json;

use super::visit;
use crate::{
    cross_site_scripting::list_page_paths,
    support::{browser::Browser, needs, routes, server::start_server_with_farm},
};

const AXE: &str = include_str!("../vendor/axe.min.js");
/// Runs axe-core with the rules of WCAG 2.2 level AA and its best practices.
const RUN_AXE: &str = "return axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] })
    .then(({ violations }) => violations.map(({ id, help, nodes }) =>
        [id, help, ...nodes.slice(0, 3).map(({ html, failureSummary }) => `${html.slice(0, 200)}\\n      ${failureSummary.slice(0, 300)}`)]))";

/// Returns the violations on the current page, in each theme and at each width.
async fn find_violations(browser: &Browser, page: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (width, theme) in [(1280, "light"), (1280, "dark"), (390, "light"), (390, "dark")] {
        browser.set_screen_size(width, 900).await;
        let features = json!([{"name": "prefers-color-scheme", "value": theme}, {"name": "prefers-reduced-motion", "value": "reduce"}]);
        browser.send_devtools_command("Emulation.setEmulatedMedia", json!({ "features": features })).await;
        let report = browser.run(&format!("if (!window.axe) {{ {AXE} }} {RUN_AXE}"), Vec::new()).await;
        let report = report.unwrap_or_else(|error| panic!("{page}: {error}"));
        let report = report.as_array().unwrap_or_else(|| panic!("{page}: {report}"));
        found.extend(report.iter().map(|one| format!("{page} ({width} px, {theme}): {one:#}")));
    }
    found
}

/// Leaves a page by its button, and waits until the next page is loaded.
async fn leave_page(browser: &Browser, script: &str, arrived: &str) {
    browser.evaluate(script).await;
    browser.until_true(arrived, &format!("return {arrived}")).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser, which tests/run provides"]
async fn no_page_violates_an_axe_rule_in_either_theme() {
    let browser = needs!(Browser::start().await);
    let (server, farm, ids) = start_server_with_farm(5).await;
    let start = json!({"command": "start", "select": {"printer_ids": ids[..3]}});
    let batch = server.post_and_wait("/api/v1/batches", start).await.1;
    let batches = vec![batch["id"].as_str().expect("an id").to_owned()];
    farm.printers()[1].perform(MachineAction::Pause);
    farm.printers()[3].perform(MachineAction::FirmwareError("Thermal runaway".to_owned()));
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
    server.patch(&format!("/api/v1/printers/{}", ids[0]), json!({"notes": "belt is new"})).await;

    browser.open(&format!("{}/login", server.url)).await;
    let mut found = find_violations(&browser, "/login").await;
    visit(&browser, &server, "admin", "/").await;
    let shows_failures = "return document.querySelectorAll('.tile .needs').length >= 3";
    browser.until_true("the tiles show the failures", shows_failures).await;
    let mut checked = 0;
    let more = ["/?view=rows", "/?view=cameras", "/?q=nobody", "/nowhere"].map(str::to_owned);
    let pages = routes::list_page_routes()
        .into_iter()
        .flat_map(|(verb, route)| list_page_paths(&verb, &route, &ids[..1], &ids[..1], &[], &batches));
    for path in pages.chain(more).filter(|path| !path.ends_with(".csv") && !path.starts_with("/login/oidc")) {
        browser.open(&format!("{}{path}", server.url)).await;
        // A file, or a fragment of a page.
        if browser.evaluate("return document.contentType !== 'text/html'").await == true {
            continue;
        }
        found.extend(find_violations(&browser, &path).await);
        checked += 1;
    }
    assert!(checked > 10, "only {checked} pages were checked");

    browser.open(&format!("{}/", server.url)).await;
    browser.evaluate("document.querySelectorAll('.farm .pick').forEach((box) => box.click())").await;
    found.extend(find_violations(&browser, "the farm with a selection").await);
    leave_page(&browser, "document.querySelector('#act [value=cancel]').click()", "location.pathname === '/batches'")
        .await;
    found.extend(find_violations(&browser, "the page that asks").await);
    browser.open(&format!("{}/", server.url)).await;
    browser.evaluate("document.querySelectorAll('.farm .pick').forEach((box) => box.click())").await;
    leave_page(&browser, "document.querySelector('.retag').click()", "location.pathname === '/printers/tags'").await;
    found.extend(find_violations(&browser, "the tags of a selection").await);
    browser.open(&format!("{}/printers/import", server.url)).await;
    let list = "name,url,tags\\nA,http://a,petg\\nB,nowhere,\\n";
    let paste = format!(
        "document.querySelector('[name=text]').value = '{list}'; document.querySelector('main .primary').click()"
    );
    leave_page(&browser, &paste, "Boolean(document.querySelector('.looked'))").await;
    found.extend(find_violations(&browser, "a list that was looked at").await);
    assert!(found.is_empty(), "{} violations:\n{}", found.len(), found.join("\n"));
    browser.close().await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser, which tests/run provides"]
async fn a_page_with_a_fault_is_found() {
    let browser = needs!(Browser::start().await);
    let (server, _farm, _) = start_server_with_farm(1).await;
    visit(&browser, &server, "viewer", "/").await;
    let fault = "const button = document.createElement('button'); document.getElementById('main').append(button)";
    browser.evaluate(fault).await;
    let found: Vec<String> = find_violations(&browser, "/").await;
    assert!(found.iter().any(|one| one.contains("button-name")), "{found:?}");
    browser.close().await;
    server.stop().await;
}
