//! A working day on a real OctoPrint with the pages only, from the empty farm to a cancelled print, and from a dropped file to
//! prints on three printers.

use std::time::Duration;

use serde_json::json;

use super::{
    files::{choose_file, choose_printers, click, drop_file, until_includes, until_started},
    visit,
};
use crate::support::{
    browser::Browser,
    needs,
    octoprint::{OctoPrintInstance, OctoPrintVersion},
    server::TestServer,
    wait::until,
};

/// Fills the field of a form.
const FILL_FIELD: &str = "const field = document.querySelector(`[name=${arguments[0]}]`); field.value = arguments[1];
    field.dispatchEvent(new Event('input', { bubbles: true })); return true";
/// Clicks the button of a command on a printer's page, and confirms it. The result is shown on the same page.
async fn run_command(browser: &Browser, word: &str, shown: &str) {
    let page = browser.url().await;
    let button = format!("document.querySelector('[name=command][value={word}]')");
    browser.until_true(&format!("{word} is offered"), &format!("return {button} !== null")).await;
    browser.evaluate(&format!("{button}.click()")).await;
    let answered =
        "return document.querySelector('dialog #confirm') !== null || !document.getElementById('done-line').hidden";
    browser.until_true("a question or a result", answered).await;
    browser.evaluate("document.querySelector('dialog #confirm button:not([disabled])')?.click()").await;
    let done = format!("return document.getElementById('done-line').innerText.includes('{shown}')");
    browser.until_true(&format!("the page shows that {word} is done"), &done).await;
    assert_eq!(browser.url().await, page);
    browser.evaluate("document.querySelector('#done-line .close').click()").await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser, which tests/run provides"]
async fn a_printer_is_added_controlled_maintained_and_stopped_with_the_pages_only() {
    let browser = needs!(Browser::start().await);
    let printer = needs!(OctoPrintInstance::start(OctoPrintVersion::V1).await);
    let server = TestServer::start().await;
    visit(&browser, &server, "manager", "/printers/new").await;
    let url = printer.url.as_str();
    for (name, value) in [("name", "Real-1"), ("url", url), ("api_key", printer.api_key.as_str()), ("tags", "hall-a")] {
        assert_eq!(browser.run(FILL_FIELD, vec![json!(name), json!(value)]).await, Ok(json!(true)));
    }
    browser.evaluate("document.querySelector('[value=test]').click()").await;
    let tested = "return frames[0].document.body?.innerText.includes('1.11.8') ?? false";
    browser.until_true("the test finds OctoPrint", tested).await;
    browser.evaluate("document.querySelector('[value=add]').click()").await;
    let shown =
        "return location.pathname.length > 30 && document.querySelector('.tile .state')?.innerText.includes('Ready')";
    browser.until_true("the printer's page shows it as ready", shown).await;

    let uploads = "return Boolean(document.querySelector('[data-upload]'))";
    browser.until_true("files can be uploaded, without a reload", uploads).await;
    let drop = "const dropped = new DataTransfer();
        dropped.items.add(new File(['G4 P200\\n'.repeat(900)], 'part.gcode'));
        const form = document.querySelector('[data-upload]');
        form.querySelector('[name=select]').checked = true;
        form.dispatchEvent(new DragEvent('drop', { dataTransfer: dropped, bubbles: true, cancelable: true }))";
    browser.evaluate(drop).await;
    let selected =
        "return document.querySelector('.mark-good')?.closest('tr')?.innerText.includes('part.gcode') ?? false";
    browser.until_true("the file is uploaded and selected", selected).await;

    let state = |word: &str| format!("return document.querySelector('.tile .state').innerText.includes('{word}')");
    run_command(&browser, "start", "Started").await;
    browser.until_true("the page shows the print", &state("Printing")).await;
    run_command(&browser, "pause", "Paused").await;
    browser.until_true("the page shows the pause", &state("Paused")).await;
    run_command(&browser, "resume", "Resumed").await;
    run_command(&browser, "pause", "Paused").await;
    run_command(&browser, "cancel", "Cancelled").await;
    browser.until_true("the plate is occupied", &state("Plate occupied")).await;
    browser.evaluate("document.querySelector('.act-now button').click()").await;
    browser.until_true("the plate is clear", &state("Ready")).await;

    // Maintenance: nothing can be started until the printer is back.
    let take_out = "document.querySelector('#service [name=note]').value = 'Change the nozzle';
        document.querySelector('#service [value=out_of_service]').click()";
    browser.evaluate(take_out).await;
    let text = "return document.querySelector('.tile').innerText.includes('Change the nozzle')";
    browser.until_true("the tile shows the reason", text).await;
    let starts = "return document.querySelectorAll('#commands .acts [value=start]').length";
    assert_eq!(browser.evaluate(starts).await, 0);
    browser.evaluate("document.querySelector('#service [value=in_service]').click()").await;
    browser.until_true("the printer is back", &state("Ready")).await;

    // An emergency stop closes the connection to the printer. Then it is connected again.
    run_command(&browser, "start", "Started").await;
    browser.until_true("the page shows the second print", &state("Printing")).await;
    run_command(&browser, "emergency_stop", "Stopped").await;
    browser
        .until_true(
            "connecting is the way back",
            "return Boolean(document.querySelector('#commands .acts [value=connect]'))",
        )
        .await;
    run_command(&browser, "connect", "Connected").await;
    browser.until_true("the plate has a part on it", &state("Plate occupied")).await;

    let count_rows = "return document.querySelectorAll('#history .log > li:not(.a-print)').length";
    assert_eq!(browser.evaluate(count_rows).await, 8, "each command is in the history, without a reload");
    let prints = browser
        .evaluate("return [...document.querySelectorAll('#history .a-print')].map((one) => one.innerText)")
        .await;
    let prints: Vec<&str> = prints.as_array().expect("a list").iter().filter_map(serde_json::Value::as_str).collect();
    assert_eq!(prints.len(), 2, "{prints:?}");
    assert!(prints[1].contains("part.gcode") && prints[1].contains("Cancelled"), "{prints:?}");
    assert!(prints[0].contains("part.gcode") && prints[0].contains("Failed"), "{prints:?}");
    browser.close().await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser and real OctoPrint, which tests/run provides"]
async fn a_dropped_file_is_printed_on_three_printers_also_without_scripts() {
    const DEADLINE: Duration = Duration::from_secs(60);
    let browser = needs!(Browser::start().await);
    let versions = [OctoPrintVersion::V1, OctoPrintVersion::V2, OctoPrintVersion::V1];
    let printers = needs!(OctoPrintInstance::start_many(&versions).await);
    let server = TestServer::start().await;
    let mut ids = Vec::new();
    for (n, printer) in printers.iter().enumerate() {
        let body = json!({"name": format!("Real-{n}"), "url": printer.url, "api_key": printer.api_key});
        let (status, body, _) = server.post("/api/v1/printers", body).await;
        assert_eq!(status, 201, "{body}");
        ids.push(body["id"].as_str().expect("an id").to_owned());
    }
    let until_idle = async || {
        until("the printers are idle", DEADLINE, async || {
            let list = server.get("/api/v1/printers").await.1;
            let states: Vec<_> =
                list["items"].as_array().expect("printers").iter().map(|item| &item["status"]["state"]).collect();
            if states.iter().all(|state| **state == "operational") { Ok(()) } else { Err(format!("{states:?}")) }
        })
        .await;
    };
    until_idle().await;

    visit(&browser, &server, "operator", "/files").await;
    drop_file(&browser, "vase.gcode").await;
    until_includes(&browser, ".library", "vase.gcode").await;
    click(&browser, ".item .name").await;
    choose_printers(&browser, &ids).await;
    until_includes(&browser, "dialog[open] #start-acts", "Start 3 prints").await;
    click(&browser, "dialog [name=confirm]").await;
    until_started(&browser, 3).await;
    until_idle().await;

    browser.send_devtools_command("Emulation.setScriptExecutionDisabled", json!({"value": true})).await;
    browser.open(&format!("{}/files", server.url)).await;
    choose_file(&browser, ".drop [type=file]", "bowl.gcode").await;
    click(&browser, ".drop button").await;
    until_includes(&browser, "h1", "bowl.gcode").await;
    choose_printers(&browser, &ids).await;
    // The plates have the first prints on them.
    until_includes(&browser, "#start-summary", "3 left as they are").await;
    click(&browser, "#start [name=plates_clear]").await;
    let reason = "document.querySelector('#start [name=reason]').value = 'Cleared by hand'; return true";
    assert_eq!(browser.run(reason, Vec::new()).await, Ok(json!(true)));
    click(&browser, "#start [value=update]").await;
    until_includes(&browser, "#start-summary", "3 printers get the file first").await;
    until_includes(&browser, "#start-acts", "Start 3 prints").await;
    click(&browser, "#start [name=confirm]").await;
    let is_batch_page = "return /^.batches.[0-9a-f-]{36}$/.test(location.pathname)";
    browser.until_true("the page of the batch", is_batch_page).await;
    until("the batch is done", DEADLINE, async || {
        let url = browser.url().await;
        browser.open(&url).await;
        let text = browser.evaluate("return document.querySelector('main').innerText").await;
        let text = text.as_str().unwrap_or_default().to_owned();
        if text.contains("All 3 started") { Ok(()) } else { Err(text) }
    })
    .await;
    for printer in &printers {
        let count = printer.count_log_lines("Print job started");
        assert_eq!(count, 2, "{}: each file was started once", printer.url);
    }
    browser.close().await;
    server.stop().await;
}
