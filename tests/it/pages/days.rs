//! Whole jobs of farm staff in a browser, with a count of their actions: clicks, keys, and texts that are pasted or typed.

use printyard::simulator::{Fault, SimulatedPrinter};
use serde_json::{Value, json};

use super::{
    files::{choose_file, click, until_includes},
    visit,
};
use crate::support::{
    browser::Browser,
    needs,
    server::{TestServer, start_farm, start_server_with_farm},
};

const CTRL: u8 = 2;
const SELECTED: &str = "return document.querySelectorAll('.farm .pick:checked').length";
/// Counts the pages that the browser loads, across pages of one site.
const COUNT_LOADS: &str =
    "if (window === top) sessionStorage.setItem('loads', Number(sessionStorage.getItem('loads') ?? 0) + 1);";

/// A user with a browser. Each method that acts counts as one action.
struct Day {
    browser: Browser,
    actions: usize,
}

impl Day {
    fn new(browser: Browser) -> Self {
        Self { browser, actions: 0 }
    }

    /// Clicks an element with the mouse.
    async fn click(&mut self, selector: &str) {
        self.actions += 1;
        click(&self.browser, selector).await;
    }

    async fn press(&mut self, key: &str, modifiers: u8) {
        self.actions += 1;
        self.browser.press(key, modifiers).await;
    }

    /// Pastes a text into a field.
    async fn paste(&mut self, selector: &str, text: &str) {
        self.actions += 1;
        let script = "const field = document.querySelector(arguments[0]); field.value = arguments[1];
            field.dispatchEvent(new Event('input', { bubbles: true })); return true";
        assert_eq!(self.browser.run(script, vec![json!(selector), json!(text)]).await, Ok(json!(true)), "{selector}");
    }

    /// Chooses an option of a menu.
    async fn choose(&mut self, selector: &str, value: &str) {
        self.actions += 1;
        let script = "const field = document.querySelector(arguments[0]); field.value = arguments[1];
            field.dispatchEvent(new Event('change', { bubbles: true })); return true";
        assert_eq!(self.browser.run(script, vec![json!(selector), json!(value)]).await, Ok(json!(true)), "{selector}");
    }

    /// Taps an element of a phone's page. Its target must be large enough for a finger.
    async fn tap(&mut self, selector: &str) {
        let size = "const box = document.querySelector(arguments[0]); box.scrollIntoView({ block: 'center' });
            const { width, height } = box.getBoundingClientRect(); return [width, height]";
        let size = self.browser.run(size, vec![json!(selector)]).await.expect("an element");
        let is_large = |side: &Value| side.as_f64().is_some_and(|pixels| pixels >= 43.9);
        assert!(is_large(&size[0]) && is_large(&size[1]), "{selector} is {size} pixels");
        self.click(selector).await;
    }

    async fn until_includes(&self, selector: &str, text: &str) {
        until_includes(&self.browser, selector, text).await;
    }

    async fn until_true(&self, what: &str, script: &str) {
        self.browser.until_true(what, script).await;
    }

    async fn end(self, server: TestServer) {
        self.browser.close().await;
        server.stop().await;
    }
}

/// Returns a list of printers as a user has it in a spreadsheet.
fn csv_of(printers: &[SimulatedPrinter]) -> String {
    let rows = printers.iter().map(|one| format!("{},{},{},hall-a\n", one.name(), one.url(), one.api_key()));
    std::iter::once("name,url,api_key,tags\n".to_owned()).chain(rows).collect()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser, which tests/run provides"]
async fn an_empty_farm_prints_one_file_on_twenty_imported_printers_in_twelve_actions_and_four_pages() {
    let mut day = Day::new(needs!(Browser::start().await));
    let (server, farm) = (TestServer::start().await, start_farm(20).await);
    visit(&day.browser, &server, "manager", "/").await;
    day.browser.evaluate("sessionStorage.clear()").await;
    day.browser.run_on_new_pages(COUNT_LOADS).await;
    day.click("main a[href='/printers/import']").await;
    day.until_includes("h1", "Import").await;
    day.paste("main [name=text]", &csv_of(farm.printers())).await;
    day.click("main form .primary").await;
    day.until_includes(".verdict", "20").await;
    day.click("main form .primary").await;
    day.until_includes("main", "20 printers were imported").await;
    day.click("main .say a[href='/']").await;
    day.until_true("all printers are ready", "return document.querySelectorAll('.farm .is-ready').length === 20").await;
    day.press("a", CTRL).await;
    day.click("#act [value=start]").await;
    day.until_includes("dialog[open] #start", "Print on 20 printers").await;
    choose_file(&day.browser, "dialog [data-upload-now] [type=file]", "vase.gcode").await;
    day.actions += 2;
    day.until_includes("dialog #start-acts", "Start 20 prints").await;
    day.click("dialog [name=confirm]").await;
    day.until_includes("#bar-batch", "All 20 started").await;
    assert_eq!(day.browser.evaluate("return location.pathname").await, "/", "the user stays on the farm page");
    let loads = day.browser.evaluate("return Number(sessionStorage.getItem('loads'))").await;
    assert!(loads.as_u64().is_some_and(|loads| (1..=4).contains(&loads)), "{loads} pages");
    assert!(day.actions <= 12, "{} actions", day.actions);
    day.end(server).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser, which tests/run provides"]
async fn thirty_eight_plates_are_cleared_in_two_actions_but_none_with_a_newer_print() {
    let mut day = Day::new(needs!(Browser::start().await));
    let (server, farm, ids) = start_server_with_farm(38).await;
    server.post_and_wait("/api/v1/batches", json!({"command": "start", "select": {"all": true}})).await;
    server.post_and_wait("/api/v1/batches", json!({"command": "cancel", "select": {"all": true}})).await;
    visit(&day.browser, &server, "operator", "/").await;
    day.until_includes("#strip .is-todo", "38").await;
    day.click("#strip .is-todo").await;
    day.until_includes(".all-plates", "all 38 plates").await;
    // The page has not seen this print, although it still counts as live: another user cleared the plate and used it again.
    day.browser.evaluate("leave(); follow = () => {}; setInterval(() => { heard = Date.now(); }, 200)").await;
    let other = ids[5].clone();
    server.post("/api/v1/plates/clear", json!({"printer_ids": [other]})).await;
    let again = json!({"command": "start", "select": {"printer_ids": [other]}});
    server.post_and_wait("/api/v1/batches", again).await;
    let stop = json!({"command": "cancel", "select": {"printer_ids": [other]}});
    server.post_and_wait("/api/v1/batches", stop).await;
    day.click(".all-plates button").await;
    day.until_includes("#done-line", "37 of 38 plates are clear").await;
    assert_eq!(day.actions, 2);
    let list = server.get("/api/v1/printers?limit=500").await.1;
    let occupied = list["items"].as_array().expect("printers").iter().filter(|one| one["plate"]["state"] == "occupied");
    let occupied: Vec<_> = occupied.map(|one| one["id"].as_str().expect("an id")).collect();
    assert_eq!(occupied, [other.as_str()], "the newer print stays on its plate");
    assert_eq!(day.browser.evaluate(SELECTED).await, 1, "the plate that was not cleared stays selected");
    drop(farm);
    day.end(server).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser, which tests/run provides"]
async fn a_tag_is_paused_and_its_failures_are_retried_without_leaving_the_farm_page() {
    let mut day = Day::new(needs!(Browser::start().await));
    let (server, farm, ids) = start_server_with_farm(4).await;
    for id in &ids[..3] {
        server.patch(&format!("/api/v1/printers/{id}"), json!({"tags": ["hall-a"]})).await;
    }
    let file = json!({"path": "long/vase.gcode"});
    let start = json!({"command": "start", "select": {"all": true}, "file": file});
    server.post_and_wait("/api/v1/batches", start).await;
    visit(&day.browser, &server, "operator", "/").await;
    day.choose("select[name=tag]", "hall-a").await;
    let filtered = "return document.querySelectorAll('.farm .is-printing').length === 3";
    day.until_true("only the printers with the tag", filtered).await;
    farm.printers()[1].set_fault(Some(Fault::Refuse));
    day.press("a", CTRL).await;
    day.click("#act [value=pause]").await;
    day.until_includes("#bar-batch[data-final=true]", "2 of 3 paused").await;
    assert_eq!(day.browser.evaluate("return location.search").await, "?tag=hall-a", "the filter is kept");
    assert_eq!(day.browser.evaluate(SELECTED).await, 1, "what failed stays selected");
    // A retry before the server knows that the printer answers again would fail again.
    day.until_true("the printer does not answer", "return Boolean(document.querySelector('.farm .is-silent'))").await;
    farm.printers()[1].set_fault(None);
    day.until_true("the printer answers again", "return !document.querySelector('.farm .is-silent')").await;
    day.click("#bar-batch form button").await;
    day.until_includes("#bar-batch[data-final=true]", "Paused").await;
    assert_eq!(day.browser.evaluate(SELECTED).await, 0);
    assert!(day.actions <= 4, "{} actions", day.actions);
    day.end(server).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser, which tests/run provides"]
async fn nothing_is_lost_while_the_server_is_away_the_session_ends_or_a_printer_is_removed() {
    let mut day = Day::new(needs!(Browser::start().await));
    let (mut server, _farm, ids) = start_server_with_farm(3).await;
    visit(&day.browser, &server, "operator", "/?sort=name").await;
    day.press("a", CTRL).await;
    day.until_true("the commands are shown", "return Boolean(document.querySelector('#acts [value=start]'))").await;
    // The stream is still believed to be live when the user presses.
    server.shut_down().await;
    day.click("#act [value=start]").await;
    day.until_includes("#forecast", "Not sent: the server does not answer. Your selection is kept").await;
    assert_eq!(day.browser.evaluate(SELECTED).await, 3);
    day.until_includes("#count", "Not live").await;
    let disabled = "return document.querySelector('#acts [value=start]').disabled";
    assert_eq!(day.browser.evaluate(disabled).await, true, "no command without a live page");
    let server = server.start_again().await;
    day.until_includes("#count", "3 selected").await;
    assert_eq!(day.browser.evaluate(disabled).await, false);

    // The session ends in another tab.
    day.browser.evaluate("return fetch('/logout', { method: 'POST' }).then(() => true)").await;
    day.click("#act [value=start]").await;
    day.until_includes("#forecast", "Log in again in another tab").await;
    assert_eq!(day.browser.evaluate(SELECTED).await, 3);
    let session = server.open_session(&server.create_token("operator").await).await;
    day.browser.set_cookie("printyard_session", &session).await;
    day.click("#act [value=start]").await;
    day.until_includes("dialog[open] #start", "Print on 3 printers").await;

    // A printer is removed while the sheet is open: the others are started, and the sheet says what is left out.
    assert_eq!(server.delete(&format!("/api/v1/printers/{}", ids[2])).await.0, 204);
    day.click("dialog [name=confirm]").await;
    let ended = "return Boolean(document.querySelector('#bar-batch[data-final=true]')) || document.querySelector('#start-error')?.innerText.includes('changed') === true";
    day.until_true("the batch or the changed sheet", ended).await;
    day.end(server).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser, which tests/run provides"]
async fn two_people_act_at_once_and_the_later_one_sees_what_was_left() {
    let mut day = Day::new(needs!(Browser::start().await));
    let (server, _farm, ids) = start_server_with_farm(3).await;
    let file = json!({"path": "long/vase.gcode"});
    let start = json!({"command": "start", "select": {"all": true}, "file": file});
    server.post_and_wait("/api/v1/batches", start).await;
    visit(&day.browser, &server, "operator", "/?sort=name").await;
    day.until_true("all print", "return document.querySelectorAll('.farm .is-printing').length === 3").await;
    day.press("a", CTRL).await;
    day.click("#act [value=cancel]").await;
    day.until_includes("dialog #confirm", "Cancel 3 prints?").await;
    // Another person cancels one of them while the question is open.
    let other = json!({"command": "cancel", "select": {"printer_ids": [ids[0]]}});
    server.post_and_wait("/api/v1/batches", other).await;
    server.until_state(&ids[0], "operational").await;
    day.click("dialog #confirm .danger").await;
    day.until_includes("#bar-batch[data-final=true] .verdict", "2 of 2 cancelled · 1 left as it is: without a print")
        .await;
    day.until_true("all ended", "return document.querySelectorAll('.farm .is-plate').length === 3").await;
    day.end(server).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser, which tests/run provides"]
async fn a_wrong_key_is_mended_and_the_printer_prints_without_a_dead_end() {
    let mut day = Day::new(needs!(Browser::start().await));
    let (server, farm, ids) = start_server_with_farm(1).await;
    let id = &ids[0];
    server.patch(&format!("/api/v1/printers/{id}"), json!({"api_key": "wrong"})).await;
    visit(&day.browser, &server, "manager", "/").await;
    day.until_includes(".farm .is-key .act-now", "Fix access").await;
    day.click(".farm .is-key .act-now a").await;
    day.until_includes("main", "Enter a key").await;
    day.click("main a[href*='/settings']").await;
    day.until_true("the settings", "return Boolean(document.querySelector('main [name=api_key]'))").await;
    day.paste("main [name=api_key]", farm.printers()[0].api_key()).await;
    day.click("main form .primary").await;
    day.until_includes("main", "Ready").await;
    // This button appears beside *Start*, and moves it.
    day.until_includes("#commands", "Print a file").await;
    day.click("#commands [value=start]").await;
    day.until_true(
        "the printer prints",
        "return location.pathname.startsWith('/batches/') || Boolean(document.querySelector('.is-printing, #bar-batch'))",
    )
    .await;
    server.until_state(id, "printing").await;
    day.end(server).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser, which tests/run provides"]
async fn on_a_phone_a_printer_that_waits_is_found_seen_and_cleared_in_five_taps() {
    let mut day = Day::new(needs!(Browser::start().await));
    let (server, _farm, ids) = start_server_with_farm(6).await;
    let one = json!({"command": "start", "select": {"printer_ids": [ids[2]]}});
    server.post_and_wait("/api/v1/batches", one).await;
    let stop = json!({"command": "cancel", "select": {"printer_ids": [ids[2]]}});
    server.post_and_wait("/api/v1/batches", stop).await;
    visit(&day.browser, &server, "operator", "/").await;
    day.browser.set_screen_size(390, 844).await;
    let touch = json!({"enabled": true, "maxTouchPoints": 1});
    day.browser.send_devtools_command("Emulation.setTouchEmulationEnabled", touch).await;
    day.browser.open(&format!("{}/", server.url)).await;
    day.until_includes("#strip .is-todo", "1").await;
    day.tap("#strip .is-todo").await;
    day.until_true("only that printer", "return document.querySelectorAll('.farm .tile').length === 1").await;
    day.tap(".farm .name").await;
    let camera = "const shot = document.querySelector('.shot img'); return Boolean(shot) && shot.getBoundingClientRect().top < 844";
    day.until_true("the camera", camera).await;
    day.tap(".act-now button").await;
    day.until_includes(".tile .state", "Ready").await;
    assert!(day.actions <= 5, "{} taps", day.actions);
    day.end(server).await;
}
