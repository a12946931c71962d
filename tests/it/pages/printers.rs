//! Adding printers in the pages: from a list, from network discovery, and with a key that OctoPrint grants. Also the
//! tags of many printers at once.

use printyard::simulator::{Farm, FarmConfig};
use serde_json::json;

use super::visit;
use crate::support::{
    announcer::Announcer,
    browser::Browser,
    needs,
    reverse_proxy::{ReverseProxy, basic_auth_header},
    server::{TestServer, start_server_with_farm},
};

/// Fills a field of a form, with the event that typing causes.
async fn fill_field(browser: &Browser, name: &str, value: &str) {
    let script = "const field = document.querySelector(`main [name=${arguments[0]}]`); field.value = arguments[1];
        field.dispatchEvent(new Event('input', { bubbles: true })); return true";
    assert_eq!(browser.run(script, vec![json!(name), json!(value)]).await, Ok(json!(true)), "{name}");
}

/// Clicks an element.
async fn click(browser: &Browser, selector: &str) {
    let script = "document.querySelector(arguments[0]).click(); return true";
    assert_eq!(browser.run(script, vec![json!(selector)]).await, Ok(json!(true)), "{selector}");
}

/// Waits until the page shows this text in its main part.
async fn until_shows(browser: &Browser, text: &str) {
    let script = format!("return document.querySelector('main')?.innerText.includes({}) ?? false", json!(text));
    browser.until_true(&format!("the page says {text}"), &script).await;
}

async fn start_farm(printers: usize) -> Farm {
    Farm::start(FarmConfig { printers, ..FarmConfig::default() }).await.expect("a farm")
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser, which tests/run provides"]
async fn a_list_is_chosen_previewed_and_imported() {
    let browser = needs!(Browser::start().await);
    let (server, farm) = (TestServer::start().await, start_farm(2).await);
    let [one, two] = farm.printers() else { panic!("two printers") };
    visit(&browser, &server, "manager", "/printers/new").await;
    click(&browser, "main a[href='/printers/import']").await;
    until_shows(&browser, "Save a spreadsheet as CSV").await;
    let list = format!(
        "name,url,api_key,tags\nMK4-1,{},{},hall-a\nMK4-2,{},{},hall-a\nMK4-3,ftp://elsewhere,,\n",
        one.url(),
        one.api_key(),
        two.url(),
        two.api_key()
    );
    let choose = "const files = new DataTransfer(); files.items.add(new File([arguments[0]], 'printers.csv'));
        document.querySelector('main [type=file]').files = files.files; return true";
    assert_eq!(browser.run(choose, vec![json!(list)]).await, Ok(json!(true)));
    click(&browser, "main form button").await;
    until_shows(&browser, "2 printers will be added").await;
    until_shows(&browser, "Address must begin with http").await;
    assert_eq!(server.get("/api/v1/printers").await.1["items"], json!([]), "the preview stores nothing");
    click(&browser, "main form button").await;
    until_shows(&browser, "2 printers were imported").await;
    browser.open(&format!("{}/?tag=hall-a", server.url)).await;
    let ready = "return document.querySelectorAll('.farm .is-ready').length === 2";
    browser.until_true("both printers are registered and online", ready).await;
    browser.close().await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser, which tests/run provides"]
async fn a_discovered_printer_is_added_with_a_granted_key() {
    let browser = needs!(Browser::start().await);
    let (server, farm) = (TestServer::start().await, start_farm(1).await);
    let printer = &farm.printers()[0];
    let name = format!("Found-{}", std::process::id());
    visit(&browser, &server, "manager", "/printers/new").await;
    if let Some(_announcer) = Announcer::start(&name, printer.url()) {
        click(&browser, "main a[href='/printers/discover']").await;
        until_shows(&browser, &name).await;
        let add = format!(
            "[...document.querySelectorAll('main tr')].find((row) => row.innerText.includes('{name}'))
            .querySelector('a.button').click()"
        );
        browser.evaluate(&add).await;
        let filled = format!("return document.querySelector('main [name=url]')?.value === '{}'", printer.url());
        browser.until_true("the form has the printer's address", &filled).await;
    } else {
        eprintln!("left out: this machine has no multicast, so the address is typed");
        fill_field(&browser, "name", &name).await;
        fill_field(&browser, "url", printer.url()).await;
    }
    fill_field(&browser, "tags", "hall-b").await;
    click(&browser, "main [value=ask]").await;
    until_shows(&browser, "A key was requested from OctoPrint").await;
    let kept = "return document.querySelector('main [name=tags]').value === 'hall-b'";
    browser.until_true("the form keeps the typed text", kept).await;
    assert!(printer.decide_app_key(true), "Printyard has requested a key");
    until_shows(&browser, "OctoPrint granted a key").await;
    click(&browser, "main [value=add]").await;
    let ready = "return location.pathname.length > 30 && Boolean(document.querySelector('.tile .is-ready'))";
    browser.until_true("the printer's page shows it as ready", ready).await;
    browser.close().await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser, which tests/run provides"]
async fn the_selected_printers_get_a_tag_and_lose_another() {
    let browser = needs!(Browser::start().await);
    let (server, _farm, ids) = start_server_with_farm(3).await;
    for id in &ids {
        assert_eq!(server.patch(&format!("/api/v1/printers/{id}"), json!({"tags": ["day"]})).await.0, 200);
    }
    visit(&browser, &server, "manager", "/?sort=name").await;
    for id in &ids[..2] {
        browser.drag_over(&[format!("#p-{id} .hit").as_str()], 0).await;
    }
    click(&browser, "[formaction='/printers/tags']").await;
    until_shows(&browser, "Tags of 2 printers").await;
    fill_field(&browser, "add", "night").await;
    click(&browser, "main [name=remove]").await;
    click(&browser, "main [value=save]").await;
    until_shows(&browser, "2 printers were changed").await;
    browser.open(&format!("{}/?tag=night", server.url)).await;
    let shown = "return document.querySelectorAll('.farm .tile').length";
    assert_eq!(browser.evaluate(shown).await, 2);
    let old = server.get(&format!("/api/v1/printers/{}", ids[0])).await;
    assert_eq!(old.1["tags"], json!(["night"]));
    browser.close().await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser, which tests/run provides"]
async fn a_printer_behind_a_login_is_tested_and_added_with_the_folded_settings() {
    let browser = needs!(Browser::start().await);
    let (server, farm) = (TestServer::start().await, start_farm(1).await);
    let printer = &farm.printers()[0];
    let refusal = "HTTP/1.1 401 Unauthorized\r\nwww-authenticate: Basic realm=\"farm\"";
    let front =
        ReverseProxy::start(printer.url(), &[&basic_auth_header("ann", "page-password-1")], refusal, None).await;
    visit(&browser, &server, "manager", "/printers/new").await;
    let open = "return document.querySelector('main details.more').open";
    assert_eq!(browser.evaluate(open).await, json!(false), "proxy settings are collapsed");
    fill_field(&browser, "name", "Behind").await;
    fill_field(&browser, "url", &format!("127.0.0.1:{}/#temp", front.port)).await;
    fill_field(&browser, "api_key", printer.api_key()).await;
    let found = |text: &str| {
        format!(
            "return document.querySelector('iframe.tested').contentDocument.body.innerText.includes({})",
            json!(text)
        )
    };
    click(&browser, "main [value=test]").await;
    browser.until_true("the test names the web server", &found("it requires a user and a password")).await;
    click(&browser, "main details.more summary").await;
    fill_field(&browser, "proxy_user", "ann").await;
    fill_field(&browser, "proxy_password", "page-password-1").await;
    click(&browser, "main [value=test]").await;
    browser.until_true("the test finds OctoPrint", &found("accepts the API key")).await;
    click(&browser, "main [value=add]").await;
    let ready = "return location.pathname.length > 30 && Boolean(document.querySelector('.tile .is-ready'))";
    browser.until_true("the printer's page shows it as ready", ready).await;
    let settings = format!("{}/settings", browser.url().await);
    browser.open(&settings).await;
    assert_eq!(browser.evaluate(open).await, json!(true), "existing settings are shown");
    let shown = "return [...document.querySelectorAll('main [name=proxy_user], main [name=proxy_password]')].map((one) => one.value)";
    assert_eq!(browser.evaluate(shown).await, json!(["ann", ""]));
    browser.close().await;
    server.stop().await;
}
