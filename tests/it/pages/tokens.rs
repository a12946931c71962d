//! API tokens in the browser: without scripts, and on a phone.

use serde_json::json;

use super::{
    files::{click, until_includes},
    maintenance::{IS_USABLE_ON_A_PHONE, fill, use_as_a_phone},
    visit,
};
use crate::support::{browser::Browser, needs, server::TestServer};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser, which tests/run provides"]
async fn an_admin_creates_and_revokes_a_token_on_a_phone_without_scripts() {
    let browser = needs!(Browser::start().await);
    let server = TestServer::start().await;
    visit(&browser, &server, "admin", "/tokens").await;
    use_as_a_phone(&browser).await;
    browser.send_devtools_command("Emulation.setScriptExecutionDisabled", json!({"value": true})).await;
    browser.open(&format!("{}/tokens", server.url)).await;
    fill(&browser, "name", "a token with a very long name, as an ERP system would write it").await;
    fill(&browser, "tags", "hall-a").await;
    click(&browser, "form[action='/tokens'] .primary").await;
    until_includes(&browser, ".say.good", "pyd_").await;
    assert_eq!(browser.evaluate(IS_USABLE_ON_A_PHONE).await, "usable");
    let is_card = "return getComputedStyle(document.querySelector('.tokens tbody tr')).display";
    assert_eq!(browser.evaluate(is_card).await, "grid", "cards instead of a table");
    click(&browser, ".tokens tbody tr:first-child summary").await;
    assert_eq!(browser.evaluate(IS_USABLE_ON_A_PHONE).await, "usable");
    click(&browser, ".tokens tbody tr:first-child [name=sure]").await;
    click(&browser, ".tokens tbody tr:first-child .danger").await;
    let is_gone =
        "return document.querySelectorAll('.tokens tbody tr').length === 1 && !document.querySelector('.say.good')";
    browser.until_true("the token is gone", is_gone).await;
    browser.close().await;
    server.stop().await;
}
