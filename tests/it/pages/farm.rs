//! The farm page in use: selection, order, and its notice while it is not live.

use printyard::simulator::{Fault, MachineAction};
use serde_json::json;

use super::visit;
use crate::support::{browser::Browser, needs, server::start_server_with_farm};

const SHIFT: u8 = 8;
const CTRL: u8 = 2;
/// Returns the positions of the selected printers, in the order of the page.
const SELECTED: &str =
    "return [...document.querySelectorAll('.farm .pick')].map((box, at) => box.checked ? at + 1 : 0).filter(Boolean)";

fn tile_selector(id: &str) -> String {
    format!("#p-{id} .hit")
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser, which tests/run provides"]
async fn printers_are_selected_by_shift_by_dragging_and_by_keyboard() {
    let browser = needs!(Browser::start().await);
    let (server, _farm, ids) = start_server_with_farm(6).await;
    visit(&browser, &server, "operator", "/?sort=name&view=rows").await;
    let tiles: Vec<String> = ids.iter().map(|id| tile_selector(id)).collect();
    let at = |n: usize| tiles[n - 1].as_str();

    browser.drag_over(&[at(2)], 0).await;
    browser.drag_over(&[at(4)], SHIFT).await;
    assert_eq!(browser.evaluate(SELECTED).await, json!([2, 3, 4]), "a click, then a click with Shift");
    browser.drag_over(&[at(3)], 0).await;
    assert_eq!(browser.evaluate(SELECTED).await, json!([2, 4]), "a click deselects");
    browser.drag_over(&[at(1), at(6), at(5)], 0).await;
    assert_eq!(browser.evaluate(SELECTED).await, json!([1, 2, 3, 4, 5]), "dragging back deselects");
    browser.drag_over(&[at(6), at(5), at(6)], 0).await;
    assert_eq!(browser.evaluate(SELECTED).await, json!([1, 2, 3, 4, 5, 6]), "dragging forward and back");
    browser.drag_over(&[at(2), at(3)], 0).await;
    assert_eq!(browser.evaluate(SELECTED).await, json!([1, 4, 5, 6]), "dragging from a selected printer deselects");

    browser.press("Escape", 0).await;
    assert_eq!(browser.evaluate(SELECTED).await, json!([]));
    browser.press("a", CTRL).await;
    assert_eq!(browser.evaluate(SELECTED).await, json!([1, 2, 3, 4, 5, 6]));
    assert_eq!(browser.evaluate("return document.getElementById('count').textContent").await, "6 selected");
    browser.press("Escape", 0).await;
    browser.evaluate("document.activeElement.blur()").await;
    for key in ["ArrowDown", "ArrowDown", " "] {
        browser.press(key, 0).await;
    }
    assert_eq!(browser.evaluate(SELECTED).await, json!([2]), "from the first visible printer");
    for key in ["ArrowDown", "ArrowDown", "ArrowUp"] {
        browser.press(key, SHIFT).await;
    }
    assert_eq!(browser.evaluate(SELECTED).await, json!([2, 3]), "with Shift, up to the last arrow key");
    // From the selected tile to the commands in one key, and back.
    browser
        .until_true(
            "the commands are shown",
            "return document.querySelector('#acts .act').checkVisibility({ visibilityProperty: true })",
        )
        .await;
    browser.press("b", 0).await;
    assert_eq!(browser.evaluate("return document.getElementById('acts').contains(document.activeElement)").await, true);
    browser.press("b", 0).await;
    assert_eq!(browser.evaluate("return document.activeElement.matches('.farm .pick')").await, true);
    browser.press("/", 0).await;
    assert_eq!(browser.evaluate("return document.activeElement.name").await, "q");
    browser.evaluate("document.activeElement.blur()").await;
    browser.press("?", SHIFT).await;
    assert_eq!(browser.evaluate("return document.getElementById('keys').open").await, true);
    browser.press("Escape", 0).await;
    browser.until_true("the list of keys is closed", "return !document.getElementById('keys').open").await;
    assert_eq!(browser.evaluate(SELECTED).await, json!([2, 3]), "the key that closed the list has no other effect");
    browser.close().await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser, which tests/run provides"]
async fn an_urgent_tile_moves_up_unless_the_list_is_in_use() {
    let browser = needs!(Browser::start().await);
    let (server, farm, ids) = start_server_with_farm(3).await;
    visit(&browser, &server, "operator", "/").await;
    let in_list = |id: &str, list: &str| format!("return Boolean(document.querySelector('#{list} > #p-{id}'))");

    browser.drag_over(&[tile_selector(&ids[0]).as_str()], 0).await;
    farm.printers()[2].perform(MachineAction::FirmwareError("Thermal runaway".to_owned()));
    let shows = format!("return document.querySelector('#p-{} .needs')?.innerText.includes('Thermal')", ids[2]);
    browser.until_true("the tile shows the failure", &shows).await;
    // The page has received further ticks, and has not moved the tile.
    let ticks = "window.beats ??= (() => { let n = 0; const on = putAges; putAges = (ages) => { n += 1; on(ages); };
        return () => n; })(); return window.beats() > 2";
    browser.until_true("some ticks", ticks).await;
    assert_eq!(browser.evaluate(&in_list(&ids[2], "idle")).await, true, "nothing moves while the list is used");
    assert_eq!(browser.evaluate(SELECTED).await, json!([1]), "the selection is kept");

    browser.press("Escape", 0).await;
    browser.evaluate("document.activeElement.blur()").await;
    browser.until_true("the tile moves up", &in_list(&ids[2], "needy")).await;
    farm.printers()[2].perform(MachineAction::Connect);
    browser.until_true("the tile moves back", &in_list(&ids[2], "idle")).await;
    let last = format!("return document.querySelector('#idle').lastElementChild.id === 'p-{}'", ids[2]);
    assert_eq!(browser.evaluate(&last).await, true, "back in the order by name");
    browser.close().await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser, which tests/run provides"]
async fn a_tile_shows_its_last_command_if_it_failed_also_after_a_restart() {
    let browser = needs!(Browser::start().await);
    let (server, farm, ids) = start_server_with_farm(2).await;
    visit(&browser, &server, "operator", "/?sort=name").await;
    farm.printers()[1].set_fault(Some(Fault::Refuse));
    let batch =
        server.post_and_wait("/api/v1/batches", json!({"command": "cancel", "select": {"printer_ids": ids}})).await;
    let last = |id: &str, says: &str| {
        format!("return document.querySelector('#p-{id} .last')?.innerText.includes('{says}') ?? false")
    };
    let all = async || {
        browser.until_true("one printer did not answer", &last(&ids[1], "Cancel print: No answer")).await;
        let shown = format!("return document.querySelector('#p-{} .last') === null", ids[0]);
        assert_eq!(browser.evaluate(&shown).await, true, "on the other one, there was nothing to do");
    };
    all().await;
    let server = server.restart().await;
    visit(&browser, &server, "operator", "/?sort=name").await;
    all().await;
    browser.evaluate(&format!("document.querySelector('#p-{} .last a').click()", ids[1])).await;
    let shows_batch = format!("return location.pathname === '/batches/{}'", batch.1["id"].as_str().expect("an id"));
    browser.until_true("its batch", &shows_batch).await;
    browser.close().await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser, which tests/run provides"]
async fn a_page_that_is_not_live_shows_it_and_recovers_with_its_selection() {
    let browser = needs!(Browser::start().await);
    let (mut server, farm, ids) = start_server_with_farm(2).await;
    visit(&browser, &server, "operator", "/").await;
    browser.drag_over(&[tile_selector(&ids[1]).as_str()], 0).await;
    server.shut_down().await;
    browser.until_true("the page shows that it is not live", "return !document.getElementById('lost').hidden").await;
    farm.printers()[0].set_fault(Some(Fault::Refuse));
    let server = server.start_again().await;
    browser.until_true("the page is live again", "return document.getElementById('lost').hidden").await;
    let shows = format!("return Boolean(document.querySelector('#p-{} .is-silent'))", ids[0]);
    browser.until_true("the page shows the missed changes", &shows).await;
    assert_eq!(browser.evaluate(SELECTED).await, json!([2]));
    browser.close().await;
    server.stop().await;
}
