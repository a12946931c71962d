//! Maintenance in the browser: without scripts, and on a phone.

use serde_json::json;

use super::{
    files::{click, until_includes},
    visit,
};
use crate::support::{browser::Browser, needs, server::start_server_with_farm};

/// Whether the page fits its width, and every visible control is large enough for a finger.
pub(super) const IS_USABLE_ON_A_PHONE: &str =
    "const small = [...document.querySelectorAll('main :is(button, select, summary, input:not([type=hidden], [type=checkbox]))')]
        .filter((control) => control.checkVisibility() && control.getBoundingClientRect().height < 43.5);
    const wide = document.documentElement.scrollWidth > innerWidth;
    return wide || small.length > 0 ? [wide, ...small.map((control) => control.outerHTML)].join(' ') : 'usable'";

pub(super) async fn fill(browser: &Browser, name: &str, text: &str) {
    let script = "document.querySelector(`main [name=${arguments[0]}]`).value = arguments[1]; return true";
    assert_eq!(browser.run(script, vec![json!(name), json!(text)]).await, Ok(json!(true)));
}

pub(super) async fn use_as_a_phone(browser: &Browser) {
    browser.set_screen_size(390, 844).await;
    browser.send_devtools_command("Emulation.setTouchEmulationEnabled", json!({"enabled": true})).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser, which tests/run provides"]
async fn an_operator_takes_a_printer_out_of_service_and_returns_it_without_scripts() {
    let browser = needs!(Browser::start().await);
    let (server, _farm, ids) = start_server_with_farm(1).await;
    visit(&browser, &server, "operator", "/").await;
    use_as_a_phone(&browser).await;
    browser.send_devtools_command("Emulation.setScriptExecutionDisabled", json!({"value": true})).await;
    browser.open(&format!("{}/printers/{}", server.url, ids[0])).await;
    click(&browser, "#service summary").await;
    assert_eq!(browser.evaluate(IS_USABLE_ON_A_PHONE).await, "usable");
    fill(&browser, "note", "Nozzle change").await;
    fill(&browser, "until", "4").await;
    click(&browser, "#service [value=out_of_service]").await;
    until_includes(&browser, ".tile", "Out of service").await;
    until_includes(&browser, "#service", "Nozzle change").await;
    click(&browser, "#service [value=in_service]").await;
    until_includes(&browser, ".tile", "Ready").await;
    until_includes(&browser, "#service", "In service").await;
    browser.close().await;
    server.stop().await;
}
