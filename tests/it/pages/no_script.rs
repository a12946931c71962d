//! The pages without scripts: every page is readable, and forms cover the daily work.

use printyard::simulator::{Farm, FarmConfig};
use serde_json::json;

use crate::{
    cross_site_scripting::list_page_paths,
    support::{browser::Browser, needs, routes, server::start_server_with_farm},
};

/// Sets the value of a form field.
async fn fill_field(browser: &Browser, name: &str, text: &str) {
    let script = "document.querySelector(`main [name=${arguments[0]}]`).value = arguments[1]; return true";
    assert_eq!(browser.run(script, vec![json!(name), json!(text)]).await, Ok(json!(true)));
}

/// Clicks an element with the mouse, and waits until the next page shows a text.
async fn click_and_wait(browser: &Browser, selector: &str, shown: &str) {
    let view = "document.querySelector(arguments[0]).scrollIntoView({ block: 'center' }); return true";
    assert_eq!(browser.run(view, vec![json!(selector)]).await, Ok(json!(true)));
    browser.drag_over(&[selector], 0).await;
    let shows_text = format!("return document.querySelector('main').innerText.includes('{shown}')");
    browser.until_true(&format!("{selector} leads to a page with {shown}"), &shows_text).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser, which tests/run provides"]
async fn without_scripts_every_page_is_readable_and_forms_work() {
    let browser = needs!(Browser::start().await);
    let (server, _farm, ids) = start_server_with_farm(3).await;
    browser.set_screen_size(1280, 900).await;
    browser.send_devtools_command("Emulation.setScriptExecutionDisabled", json!({"value": true})).await;
    browser.open(&format!("{}/login", server.url)).await;
    let token = server.create_token("admin").await;
    fill_field(&browser, "token", &token).await;
    click_and_wait(&browser, "main button", "Ready").await;
    let untouched = "return typeof follow === 'undefined' && !document.querySelector('#picker button')";
    assert_eq!(browser.evaluate(untouched).await, true, "no script has run");

    // Selects two of three printers, starts them, and follows their batch by reloading its page.
    for id in &ids[..2] {
        browser.drag_over(&[format!("#p-{id} .hit").as_str()], 0).await;
    }
    click_and_wait(&browser, "#act [value=start]", "Print on 2 printers").await;
    click_and_wait(&browser, "#start [name=confirm]", "Start 2 printers").await;
    let batch = browser.url().await;
    let done = async |n: usize| {
        let all = format!(
            "return document.querySelectorAll('#live .ended li').length === {n} && document.getElementById('live').innerText.includes('All {n} started')"
        );
        crate::support::wait::until("the batch is done", std::time::Duration::from_secs(30), async || {
            browser.open(&batch).await;
            if browser.evaluate(&all).await == true {
                Ok(())
            } else {
                Err(browser.evaluate("return document.querySelector('main').innerText").await)
            }
        })
        .await;
    };
    done(2).await;

    // Selects all printers with one box. The page asks for confirmation, and leaves out the printer without a print.
    browser.open(&format!("{}/", server.url)).await;
    browser.drag_over(&["#picker [name=all]"], 0).await;
    click_and_wait(&browser, "#act [value=cancel]", "Cancel 2 prints?").await;
    click_and_wait(&browser, "main form .danger", "all 3 printers").await;

    let farm = Farm::start(FarmConfig { printers: 1, ..FarmConfig::default() }).await.expect("a farm");
    let printer = &farm.printers()[0];
    browser.open(&format!("{}/printers/new", server.url)).await;
    for (name, text) in [("name", "By hand"), ("url", printer.url()), ("api_key", printer.api_key())] {
        fill_field(&browser, name, text).await;
    }
    click_and_wait(&browser, "[value=add]", "By hand").await;

    let batches = [batch.rsplit('/').next().expect("an id").to_owned()];
    let pages = routes::list_page_routes()
        .into_iter()
        .flat_map(|(verb, route)| list_page_paths(&verb, &route, &ids[..1], &ids[..1], &[], &batches));
    for path in pages.filter(|path| !path.ends_with(".csv") && !path.starts_with("/login/oidc")) {
        browser.open(&format!("{}{path}", server.url)).await;
        let is_readable = "return document.querySelector('main, body.framed')?.innerText.trim().length > 20
            && document.querySelectorAll('main form:not([action])').length === 0";
        assert_eq!(browser.evaluate(is_readable).await, true, "{path}");
    }
    browser.close().await;
    server.stop().await;
}
