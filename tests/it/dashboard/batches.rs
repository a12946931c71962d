//! The pages of batches: what they ask before, and what they report after.

use printyard::simulator::{Fault, MachineAction};
use reqwest::StatusCode;
use serde_json::Value;

use super::{DEADLINE, DashboardSite, header_value, send};
use crate::support::wait;

/// Waits until a page contains a text.
async fn until_shows(site: &DashboardSite, path: &str, text: &str) -> String {
    wait::until(&format!("{path} shows {text}"), DEADLINE, async || {
        let page = site.get_page(path).await;
        if page.contains(text) { Ok(page) } else { Err(page) }
    })
    .await
}

/// Waits until a batch has ended. Returns its page.
async fn until_ended(site: &DashboardSite, path: &str) -> String {
    until_shows(site, path, "data-state=\"final\"").await
}

/// Starts a print on a printer, and waits until its tile shows it.
async fn start_print(site: &DashboardSite, number: usize) {
    let printing = site.get_page("/").await.matches("body is-printing").count();
    let page = site.run_command(&[("printer_id", site.ids[number].as_str()), ("command", "start")]).await;
    assert!(page.contains("<b>1</b> started"), "{page}");
    let shown = || async { site.get_page("/").await.matches("body is-printing").count() > printing };
    wait::until("the tile shows the print", DEADLINE, shown).await;
}

/// Prints and cancels on a printer, so that its plate is occupied.
async fn occupy_plate(site: &DashboardSite, number: usize) {
    start_print(site, number).await;
    let id = site.ids[number].as_str();
    site.run_command(&[("printer_id", id), ("command", "cancel"), ("confirm", "1")]).await;
    until_shows(site, &format!("/printers/{id}"), "is-plate").await;
}

/// Returns a part of a page, from the element with this id to the end of its section.
fn section<'a>(page: &'a str, id: &str) -> &'a str {
    let from = page.find(&format!("id=\"{id}\"")).unwrap_or_else(|| panic!("no {id}: {page}"));
    let rest = &page[from..];
    &rest[..rest.find("</section>").unwrap_or(rest.len())]
}

async fn text_of(answer: reqwest::Response) -> String {
    answer.text().await.expect("a page")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_printer_that_is_left_as_it_is_is_no_failure_and_no_retry() {
    let site = DashboardSite::start(3).await;
    start_print(&site, 0).await;
    let fields: Vec<(&str, &str)> = site.ids.iter().map(|id| ("printer_id", id.as_str())).collect();
    let pause = [&fields[..], &[("command", "pause")]].concat();
    let preview = text_of(site.submit("/batches/preview", &fields).await).await;
    assert!(preview.contains("Pause 1 printer · 2 left as they are: not printing"), "{preview}");
    let page = site.run_command(&pause).await;
    assert!(page.contains("1 of 1 paused") && page.contains("2 left as they are: not printing"), "{page}");
    assert!(page.contains("<h1>Pause 1 printer</h1>") && page.contains("class=\"part-left\""), "{page}");
    for word in ["Retry", "Refused", "Problems", "part-failed"] {
        assert!(!page.contains(word), "{word}: {page}");
    }
    let page = site.run_command(&pause).await;
    assert!(page.contains("None paused") && page.contains("1 already paused"), "{page}");
    let list = site.get_page("/batches").await;
    assert!(list.contains("1 of 1 paused") && list.contains("None paused"), "{list}");
}

#[tokio::test(flavor = "multi_thread")]
async fn problems_are_grouped_by_reason_and_each_group_is_retried_alone() {
    let site = DashboardSite::start(4).await;
    for number in 0..4 {
        start_print(&site, number).await;
    }
    for number in 0..2 {
        site.farm.printers()[number].set_fault(Some(Fault::Refuse));
    }
    site.farm.printers()[2].set_fault(Some(Fault::WrongKey));
    let farm_page = "/?tag=all&sort=name";
    let fields = [("all", "1"), ("tag", "all"), ("show", "all"), ("command", "pause"), ("back", farm_page)];
    let answer = site.submit("/batches", &fields).await;
    let path = header_value(&answer, "location").to_owned();
    assert!(path.contains("?back=%2F%3Ftag%3Dall%26sort%3Dname"), "{path}");
    let page = until_ended(&site, &path).await;
    assert!(page.contains("1 of 4 paused") && page.contains("tag all (4 printers)"), "{page}");
    assert!(page.contains("<a href=\"/?tag=all&#38;sort=name\">"), "the way back keeps the filter: {page}");
    assert!(page.contains("Retry 3"), "{page}");
    let silent = section(&page, "g-unreachable");
    assert!(silent.contains("No answer <b>2</b>") && silent.contains("Retry these 2"), "{silent}");
    assert!(silent.contains("P-1") && silent.contains("P-2") && !silent.contains("P-3"), "{silent}");
    let denied = section(&page, "g-unauthorized");
    assert!(denied.contains("Request a key") && denied.contains(&format!("/printers/{}/settings", site.ids[2])));

    for printer in site.farm.printers() {
        printer.set_fault(None);
    }
    let id = path.split('?').next().expect("a path").to_owned();
    let retry = [("group", "unreachable"), ("back", farm_page)];
    let again = site.submit(&format!("{id}/retry"), &retry).await;
    let again = header_value(&again, "location").to_owned();
    let page = until_ended(&site, &again).await;
    assert!(page.contains("2 printers") && page.contains("retry of an earlier batch"), "{page}");
    assert!(!page.contains("P-3") && !page.contains("P-4"), "only the group is repeated: {page}");
    let none = site.submit(&format!("{id}/retry"), &[("group", "confirmed")]).await;
    assert_eq!(none.status(), StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test(flavor = "multi_thread")]
async fn plates_that_stopped_a_start_are_marked_clear_together_and_started() {
    let site = DashboardSite::start(3).await;
    occupy_plate(&site, 0).await;
    occupy_plate(&site, 1).await;
    let start = [("all", "1"), ("command", "start")];
    let confirmation = text_of(site.submit("/batches", &start).await).await;
    assert!(confirmation.contains("2 plates are not marked clear") && confirmation.contains("Start 1 printer<"));
    let page = site.run_command(&[&start[..], &[("confirm", "1")]].concat()).await;
    assert!(page.contains("1 of 1 started") && page.contains("2 left as they are: with an occupied plate"), "{page}");
    let group = section(&page, "g-rejected-plate_not_clear").to_owned();
    assert!(group.contains("Mark 2 plates clear") && group.contains("title=\"plate_not_clear\""), "{group}");
    let action = group.split("action=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a form").to_owned();
    let plates = group.split("name=\"plate\" value=\"").skip(1).map(|rest| rest.split('"').next().expect("a value"));
    let plates: Vec<(&str, &str)> = plates.map(|plate| ("plate", plate)).collect();
    assert!(plates.len() == 2 && plates.iter().all(|(_, plate)| plate.contains('/')), "{plates:?}");
    // Of a newer print, the plate stays occupied.
    let other = format!("{}/{}", site.ids[0], uuid::Uuid::nil());
    let kept = site.submit(&action, &[("plate", &other)]).await;
    let page = site.get_page(header_value(&kept, "location")).await;
    assert!(page.contains("1 plate was not marked clear") && page.contains("Mark 2 plates clear"), "{page}");
    let cleared = site.submit(&action, &plates).await;
    let page = site.get_page(header_value(&cleared, "location")).await;
    assert!(section(&page, "g-rejected-plate_not_clear").contains("Start 2 printers"), "{page}");
    let path = action.replace("/plates", "/retry");
    let again = site.submit(&path, &[("group", "rejected-plate_not_clear")]).await;
    let page = until_ended(&site, header_value(&again, "location")).await;
    assert!(page.contains("All 2 started"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_confirmation_without_a_reason_is_shown_again_with_all_that_was_typed() {
    let site = DashboardSite::start(2).await;
    occupy_plate(&site, 0).await;
    let id = site.ids[0].as_str();
    let fields = [("printer_id", id), ("command", "start"), ("max_in_flight", "3"), ("back", "/?tag=all")];
    let first = text_of(site.submit("/batches", &fields).await).await;
    assert!(first.contains("id=\"confirm\"") && first.contains("1 plate is not marked clear"), "{first}");
    let confirm = [&fields[..], &[("confirm", "1")]].concat();
    let unticked = site.submit("/batches", &confirm).await;
    assert_eq!(unticked.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let unticked = text_of(unticked).await;
    assert!(unticked.contains("aria-describedby=\"confirm-check-error\""), "{unticked}");
    let refused = site.submit("/batches", &[&confirm[..], &[("plates_clear", "1")]].concat()).await;
    assert_eq!(refused.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let page = text_of(refused).await;
    for kept in [
        "aria-invalid=\"true\" aria-describedby=\"confirm-reason-error\"",
        "Enter why the plates are clear.",
        "name=\"plates_clear\" value=\"1\" data-adds checked",
        "name=\"max_in_flight\" value=\"3\"",
        "name=\"back\" value=\"/?tag=all\"",
        &format!("name=\"printer_id\" value=\"{id}\""),
    ] {
        assert!(page.contains(kept), "{kept}: {page}");
    }
    let reason = [&confirm[..], &[("plates_clear", "1"), ("reason", "I stand in front of it")]].concat();
    let page = site.run_command(&reason).await;
    assert!(page.contains("Started") && page.contains("I stand in front of it"), "{page}");
    // A restart needs the same, because the print is on the plate.
    let restart = [("printer_id", id), ("command", "restart"), ("confirm", "1"), ("plates_clear", "1")];
    assert_eq!(site.submit("/batches", &restart).await.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let page = site.run_command(&[&restart[..], &[("reason", "It failed")]].concat()).await;
    assert!(page.contains("<b>1</b> restarted"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_prints_are_cancelled_only_after_their_number_was_typed() {
    let site = DashboardSite::start(22).await;
    site.run_command(&[("all", "1"), ("command", "start")]).await;
    let stopped = &site.farm.printers()[21];
    stopped.perform(MachineAction::Cancel);
    let shown = || async { site.get_page("/").await.matches("body is-printing").count() == 21 };
    wait::until("21 print", DEADLINE, shown).await;
    let fields = [("all", "1"), ("command", "cancel")];
    let page = text_of(site.submit("/batches", &fields).await).await;
    for text in [
        "Cancel 21 prints?",
        "<b>21 ×</b> <span class=\"path\">bracket.gcode</span>",
        "1 left as it is",
        "<b>1</b> without a print",
        "Type 21 to confirm",
        "<span>Cancel 21 prints</span></button>",
    ] {
        assert!(page.contains(text), "{text}: {page}");
    }
    let confirm = [&fields[..], &[("confirm", "1"), ("number", "21")]].concat();
    let wrong = site.submit("/batches", &[&confirm[..], &[("typed", "12")]].concat()).await;
    assert_eq!(wrong.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let wrong = text_of(wrong).await;
    assert!(wrong.contains("That is not 21.") && wrong.contains("value=\"12\""), "{wrong}");
    assert!(wrong.contains("aria-describedby=\"confirm-number-error\""), "{wrong}");
    let page = site.run_command(&[&confirm[..], &[("typed", "21")]].concat()).await;
    assert!(page.contains("21 of 21 cancelled") && page.contains("1 left as it is: without a print"), "{page}");
    assert!(page.contains("<details class=\"folded\" id=\"batch-done\">"), "what is done is folded: {page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_gets_the_new_batch_as_json_and_follows_its_summary() {
    let site = DashboardSite::start(3).await;
    for number in 0..2 {
        start_print(&site, number).await;
    }
    site.farm.printers()[1].set_fault(Some(Fault::Refuse));
    let fields = [("all", "1"), ("command", "pause"), ("back", "/?tag=all")];
    let created = send(
        site.post("/batches", &fields).header("accept", "application/json").header("sec-fetch-site", "same-origin"),
    )
    .await;
    assert_eq!(created.status(), StatusCode::OK);
    let created: Value = created.json().await.expect("JSON");
    let id = created["batch"].as_str().expect("an id");
    assert_eq!(created["href"], format!("/batches/{id}?back=%2F%3Ftag%3Dall"));
    let summary = until_shows(&site, &format!("/batches/{id}/summary?back=/"), "data-final=\"true\"").await;
    assert!(summary.starts_with("<section class=\"bar-batch\" id=\"bar-batch\""), "{summary}");
    assert!(summary.contains(&format!("data-failed=\"{}\"", site.ids[1])), "what failed stays selected: {summary}");
    let text = "1 of 2 paused · 1 without an answer · 1 left as it is: not printing";
    assert!(summary.contains(text) && summary.contains("Retry 1"), "{summary}");
    let retry = site.submit(&format!("/batches/{id}/retry"), &[("quick", "1")]).await;
    let retried: Value = retry.json().await.expect("JSON");
    assert_ne!(retried["batch"], created["batch"]);

    let sheet = text_of(site.submit("/batches/start", &[("printer_id", &site.ids[2])]).await).await;
    let mark = sheet.split("name=\"mark\" value=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a mark");
    let start = [("printer_id", site.ids[2].as_str()), ("file", "selected"), ("mark", mark), ("confirm", "1")];
    let started = site.submit("/batches/start", &[&start[..], &[("quick", "1")]].concat()).await;
    let started: Value = started.json().await.expect("JSON");
    let path = format!("/batches/{}/summary", started["batch"].as_str().expect("an id"));
    until_shows(&site, &path, "Started").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_of_batches_is_filtered_and_paged_at_clean_addresses() {
    let site = DashboardSite::start(2).await;
    assert!(site.get_page("/batches").await.contains("No batches yet"));
    start_print(&site, 0).await;
    let connect = [("printer_id", site.ids[1].as_str()), ("command", "connect")];
    for _ in 0..50 {
        assert_eq!(site.submit("/batches", &connect).await.status(), StatusCode::SEE_OTHER);
    }
    let page = site.get_page("/batches").await;
    assert!(!page.contains("Start 1 printer") && page.contains("P-2"), "{page}");
    let older = page.split('"').find(|part| part.starts_with("/batches?after=")).expect("a link to older ones");
    let last = site.get_page(older).await;
    assert!(last.contains("Start 1 printer") && last.contains("Newest") && !last.contains("?after="), "{last}");

    let form = "/batches?state=&command=start&by=&external_ref=&since=";
    let answer = send(site.get(form)).await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    assert_eq!(header_value(&answer, "location"), "/batches?command=start");
    let page = site.get_page("/batches?command=start").await;
    assert!(page.contains("Start 1 printer") && !page.contains("Connect 1 printer"), "{page}");
    assert!(page.contains("?back=%2Fbatches%3Fcommand%3Dstart\""), "the way back keeps the filter: {page}");
    assert!(site.get_page("/batches?by=ADMIN&command=start").await.contains("Start 1 printer"));
    for nothing in ["by=nobody", "state=scheduled", "since=2999-01-01", "external_ref=PP-1"] {
        let page = site.get_page(&format!("/batches?{nothing}")).await;
        assert!(page.contains("No batches match.") && page.contains("href=\"/batches\">"), "{nothing}: {page}");
    }
    assert!(site.get_page("/batches?since=tomorrow").await.contains("role=\"alert\""));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pages_of_batches_speak_german() {
    let mut site = DashboardSite::start(2).await;
    start_print(&site, 0).await;
    site.cookie += "; printyard_language=de";
    let fields = [("all", "1"), ("command", "pause")];
    let preview = text_of(site.submit("/batches/preview", &[("all", "1")]).await).await;
    assert!(preview.contains("1 Drucker pausieren · 1 bleibt unverändert: nicht im Druck"), "{preview}");
    let page = site.run_command(&fields).await;
    assert!(page.contains("1 von 1 pausiert") && page.contains("1 bleibt unverändert: nicht im Druck"), "{page}");
    assert!(site.get_page("/batches").await.contains("<h1>Sammelbefehle</h1>"));
}
