//! Application keys in the dashboard: Printyard requests a key, a user of OctoPrint allows it, and Printyard stores it.

use printyard::simulator::{Farm, FarmConfig, Fault};
use reqwest::StatusCode;

use super::{DEADLINE, DashboardSite, header_value};
use crate::support::wait;

async fn read_text(answer: reqwest::Response) -> String {
    answer.text().await.expect("a page")
}

/// Returns the value of a hidden field.
fn hidden_field(page: &str, name: &str) -> String {
    let from = page.split(&format!("name=\"{name}\" value=\"")).nth(1).unwrap_or_else(|| panic!("no {name}: {page}"));
    from.split('"').next().unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_requested_granted_and_stored_without_being_shown() {
    let site = DashboardSite::start(0).await;
    let farm = Farm::start(FarmConfig::default()).await.expect("a farm");
    let printer = &farm.printers()[0];
    let mut fields = vec![("name", "MK4"), ("url", printer.url()), ("tags", "hall-a"), ("act", "ask")];
    let page = read_text(site.submit("/printers/new", &fields).await).await;
    assert!(page.contains("A key was requested from OctoPrint") && page.contains("value=\"hall-a\""), "{page}");
    let request_id = hidden_field(&page, "asked");
    // A reload of the page sends the form again. It must find the same request.
    let page = read_text(site.submit("/printers/new", &fields).await).await;
    assert_eq!(hidden_field(&page, "asked"), request_id);
    // The key is not granted yet.
    fields.retain(|(name, _)| *name != "act");
    fields.push(("asked", request_id.as_str()));
    let early = site.submit("/printers/new", &fields).await;
    assert_eq!(early.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert!(read_text(early).await.contains("is not granted yet"));

    let part = format!("/printers/keys/{request_id}");
    assert!(site.get_page(&part).await.contains("data-again"));
    assert!(printer.decide_app_key(true));
    let part = wait::until("the page shows the key", DEADLINE, async || {
        let part = site.get_page(&part).await;
        if part.contains("OctoPrint granted a key") { Ok(part) } else { Err(part) }
    })
    .await;
    assert!(!part.contains("data-again"), "the page must not poll any more");
    // A page without scripts uses the button.
    let page = read_text(site.submit("/printers/new", &[&fields[..], &[("act", "check")]].concat()).await).await;
    assert!(page.contains("OctoPrint granted a key"), "{page}");
    let sealed = hidden_field(&page, "kept_key");
    let elsewhere = [("name", "MK4"), ("url", "http://127.0.0.1:9"), ("kept_key", sealed.as_str())];
    assert!(read_text(site.submit("/printers/new", &elsewhere).await).await.contains("at another address"));

    let fields = [("name", "MK4"), ("url", printer.url()), ("kept_key", sealed.as_str())];
    let added = site.submit("/printers/new", &fields).await;
    assert_eq!(added.status(), StatusCode::SEE_OTHER);
    let path = header_value(&added, "location").to_owned();
    wait::until("the printer accepts the key", DEADLINE, async || {
        let page = site.get_page(&path).await;
        if page.contains("is-ready") { Ok(()) } else { Err(page) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_key_is_replaced_on_the_settings_page() {
    let site = DashboardSite::start(1).await;
    let (printer, id) = (&site.farm.printers()[0], &site.ids[0]);
    printer.revoke_key();
    let path = format!("/printers/{id}/settings");
    let mut fields = vec![("version", "1"), ("name", "P-1"), ("url", printer.url()), ("enabled", "1"), ("act", "ask")];
    let page = read_text(site.submit(&path, &fields).await).await;
    let request_id = hidden_field(&page, "asked");
    assert!(printer.decide_app_key(true));
    fields.retain(|(name, _)| *name != "act");
    fields.push(("asked", request_id.as_str()));
    // The form is saved before the page shows the key. Only OctoPrint's response counts.
    wait::until("the form is saved", DEADLINE, async || {
        let answer = site.submit(&path, &fields).await;
        if answer.status() == StatusCode::SEE_OTHER { Ok(()) } else { Err(read_text(answer).await) }
    })
    .await;
    site.run_command(&[("printer_id", id), ("command", "start")]).await;
    wait::until("it obeys", DEADLINE, async || site.get_page("/?show=printing").await.contains("class=\"tile\"")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denial_and_a_failed_request_are_shown() {
    let site = DashboardSite::start(1).await;
    let printer = &site.farm.printers()[0];
    let fields = [("name", "MK4"), ("url", printer.url()), ("act", "ask")];
    let request_id = hidden_field(&read_text(site.submit("/printers/new", &fields).await).await, "asked");
    assert!(printer.decide_app_key(false));
    wait::until("the page shows the denial", DEADLINE, async || {
        let part = site.get_page(&format!("/printers/keys/{request_id}")).await;
        if part.contains("denied there") && !part.contains("data-again") { Ok(()) } else { Err(part) }
    })
    .await;
    for (fault, words) in [
        (Fault::Status(404), "enable its bundled plugin"),
        (Fault::Status(429), "too many key requests"),
        (Fault::Status(403), "finish its setup"),
        (Fault::Refuse, "nothing listens"),
    ] {
        printer.set_fault(Some(fault.clone()));
        let page = read_text(site.submit("/printers/new", &fields).await).await;
        assert!(page.contains(words) && !page.contains("data-again"), "{fault:?}: {page}");
        assert!(!page.contains("kept_key"), "{page}");
    }
    let typed = [&fields[..], &[("api_key", "typed")]].concat();
    let page = read_text(site.submit("/printers/new", &typed).await).await;
    assert!(page.contains("kept_key"), "the typed key is kept after a failed request: {page}");
    let nowhere = [("url", "nowhere"), ("act", "ask")];
    assert!(read_text(site.submit("/printers/new", &nowhere).await).await.contains("must be an address"));
}
