//! A working day on a real OctoPrint with the pages only, from the empty farm to a cancelled print.

use serde_json::json;

use super::visit;
use crate::support::{
    browser::Browser,
    needs,
    octoprint::{OctoPrintInstance, Version},
    server::TestServer,
};

/// Fills the field of a form.
const FILL: &str = "const field = document.querySelector(`[name=${arguments[0]}]`); field.value = arguments[1];
    field.dispatchEvent(new Event('input', { bubbles: true })); return true";
/// Clicks the button of a command on a printer's page, and confirms it.
async fn command(browser: &Browser, page: &str, word: &str, seen: &str) {
    browser.open(page).await;
    browser.value(&format!("document.querySelector('#act [value={word}]').click()")).await;
    let asked = "return location.pathname.startsWith('/batches')";
    browser.until("the page of the batch or its confirmation", asked).await;
    if browser.value("return !document.getElementById('live')").await == true {
        browser.value("document.querySelector('main form button:not([disabled])').click()").await;
    }
    let done = format!("return document.getElementById('live')?.innerText.includes('{seen}') ?? false");
    browser.until(&format!("the batch tells that {word} is done"), &done).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_printer_is_added_fed_and_commanded_with_nothing_but_the_pages() {
    let browser = needs!(Browser::start().await);
    let printer = needs!(OctoPrintInstance::start(Version::V1).await);
    let server = TestServer::start().await;
    visit(&browser, &server, "manager", "/printers/new").await;
    let url = printer.url.as_str();
    for (name, value) in [("name", "Real-1"), ("url", url), ("api_key", printer.api_key.as_str()), ("tags", "hall-a")] {
        assert_eq!(browser.run(FILL, vec![json!(name), json!(value)]).await, Ok(json!(true)));
    }
    browser.value("document.querySelector('[value=test]').click()").await;
    let tested = "return frames[0].document.body?.innerText.includes('1.11.8') ?? false";
    browser.until("the test finds OctoPrint", tested).await;
    browser.value("document.querySelector('[value=add]').click()").await;
    let shown =
        "return location.pathname.length > 30 && document.querySelector('.tile .state')?.innerText.includes('Ready')";
    browser.until("the printer's page shows it as ready", shown).await;
    let page = browser.url().await;

    let choose = "const files = new DataTransfer();
        files.items.add(new File(['G4 P200\\n'.repeat(900)], 'part.gcode'));
        const form = document.querySelector('[data-upload]');
        form.querySelector('[type=file]').files = files.files;
        form.querySelector('[name=select]').checked = true;
        form.querySelector('button').click()";
    browser.value(choose).await;
    let selected =
        "return document.querySelector('.mark-good')?.closest('tr')?.innerText.includes('part.gcode') ?? false";
    browser.until("the file is uploaded and selected", selected).await;

    command(&browser, &page, "start", "Started").await;
    browser.open(&page).await;
    let state = |word: &str| format!("return document.querySelector('.tile .state').innerText.includes('{word}')");
    browser.until("the page shows the print", &state("Printing")).await;
    command(&browser, &page, "pause", "Paused").await;
    browser.open(&page).await;
    browser.until("the page shows the pause", &state("Paused")).await;
    command(&browser, &page, "resume", "Resumed").await;
    command(&browser, &page, "toggle", "Paused").await;
    command(&browser, &page, "cancel", "Cancelled").await;
    browser.open(&page).await;
    browser.until("the plate is occupied", &state("Plate to clear")).await;
    browser.value("document.querySelector('.plate button').click()").await;
    browser.until("the plate is clear", &state("Ready")).await;

    browser.open(&page).await;
    let told = "return document.querySelectorAll('#commands tbody tr').length";
    assert_eq!(browser.value(told).await, 5, "each command is in the history");
    let print = browser.value("return document.querySelector('#prints tbody').innerText").await;
    let print = print.as_str().expect("a text");
    assert!(print.contains("part.gcode") && print.contains("Cancelled"), "{print}");
    browser.end().await;
    server.stop().await;
}
