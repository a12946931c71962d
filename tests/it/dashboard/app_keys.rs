//! Application keys in the dashboard: Printyard requests a key, a user of OctoPrint allows it, and Printyard stores it.

use printyard::simulator::{Farm, FarmConfig, Fault};
use reqwest::StatusCode;

use super::{SOON, Site, header};
use crate::support::wait;

async fn text(answer: reqwest::Response) -> String {
    answer.text().await.expect("a page")
}

/// Returns the value of a hidden field.
fn hidden(page: &str, name: &str) -> String {
    let from = page.split(&format!("name=\"{name}\" value=\"")).nth(1).unwrap_or_else(|| panic!("no {name}: {page}"));
    from.split('"').next().unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_asked_for_allowed_and_stored_and_nobody_sees_it() {
    let site = Site::with(0).await;
    let farm = Farm::start(FarmConfig::default()).await.expect("a farm");
    let printer = &farm.printers()[0];
    let mut fields = vec![("name", "MK4"), ("url", printer.url()), ("tags", "hall-a"), ("act", "ask")];
    let page = text(site.submit("/printers/new", &fields).await).await;
    assert!(page.contains("was asked for a key") && page.contains("value=\"hall-a\""), "{page}");
    let asked = hidden(&page, "asked");
    // A reload of the page sends the form again. It must find the same request.
    let page = text(site.submit("/printers/new", &fields).await).await;
    assert_eq!(hidden(&page, "asked"), asked);
    // The key is not granted yet.
    fields.retain(|(name, _)| *name != "act");
    fields.push(("asked", asked.as_str()));
    let early = site.submit("/printers/new", &fields).await;
    assert_eq!(early.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert!(text(early).await.contains("is not given yet"));

    let part = format!("/printers/keys/{asked}");
    assert!(site.page(&part).await.contains("data-again"));
    assert!(printer.decide_app_key(true));
    let part = wait::until("the page shows the key", SOON, async || {
        let part = site.page(&part).await;
        if part.contains("gave a key") { Ok(part) } else { Err(part) }
    })
    .await;
    assert!(!part.contains("data-again"), "the page must not poll any more");
    // A page without scripts uses the button.
    let page = text(site.submit("/printers/new", &[&fields[..], &[("act", "check")]].concat()).await).await;
    assert!(page.contains("gave a key"), "{page}");
    let sealed = hidden(&page, "kept_key");
    let elsewhere = [("name", "MK4"), ("url", "http://127.0.0.1:9"), ("kept_key", sealed.as_str())];
    assert!(text(site.submit("/printers/new", &elsewhere).await).await.contains("at another address"));

    let fields = [("name", "MK4"), ("url", printer.url()), ("kept_key", sealed.as_str())];
    let added = site.submit("/printers/new", &fields).await;
    assert_eq!(added.status(), StatusCode::SEE_OTHER);
    let path = header(&added, "location").to_owned();
    wait::until("the printer accepts the key", SOON, async || {
        let page = site.page(&path).await;
        if page.contains("is-ready") { Ok(()) } else { Err(page) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_key_is_replaced_on_the_page_of_the_settings() {
    let site = Site::with(1).await;
    let (printer, id) = (&site.farm.printers()[0], &site.ids[0]);
    printer.revoke_key();
    let path = format!("/printers/{id}/settings");
    let mut fields = vec![("version", "1"), ("name", "P-1"), ("url", printer.url()), ("enabled", "1"), ("act", "ask")];
    let page = text(site.submit(&path, &fields).await).await;
    let asked = hidden(&page, "asked");
    assert!(printer.decide_app_key(true));
    fields.retain(|(name, _)| *name != "act");
    fields.push(("asked", asked.as_str()));
    // The form is saved before the page shows the key. Only OctoPrint's response counts.
    wait::until("the form is saved", SOON, async || {
        let answer = site.submit(&path, &fields).await;
        if answer.status() == StatusCode::SEE_OTHER { Ok(()) } else { Err(text(answer).await) }
    })
    .await;
    site.command(&[("printer_id", id), ("command", "start")]).await;
    wait::until("it obeys", SOON, async || site.page("/?show=printing").await.contains("class=\"tile\"")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denial_and_an_octoprint_that_cannot_be_asked_are_told() {
    let site = Site::with(1).await;
    let printer = &site.farm.printers()[0];
    let fields = [("name", "MK4"), ("url", printer.url()), ("act", "ask")];
    let asked = hidden(&text(site.submit("/printers/new", &fields).await).await, "asked");
    assert!(printer.decide_app_key(false));
    wait::until("the page shows the denial", SOON, async || {
        let part = site.page(&format!("/printers/keys/{asked}")).await;
        if part.contains("denied there") && !part.contains("data-again") { Ok(()) } else { Err(part) }
    })
    .await;
    for (fault, words) in [
        (Fault::Status(404), "switch on its bundled plugin"),
        (Fault::Status(429), "too often"),
        (Fault::Status(403), "finish its set-up"),
        (Fault::Refuse, "nothing listens"),
    ] {
        printer.set_fault(Some(fault.clone()));
        let page = text(site.submit("/printers/new", &fields).await).await;
        assert!(page.contains(words) && !page.contains("data-again"), "{fault:?}: {page}");
        assert!(!page.contains("kept_key"), "{page}");
    }
    let typed = [&fields[..], &[("api_key", "typed")]].concat();
    let page = text(site.submit("/printers/new", &typed).await).await;
    assert!(page.contains("kept_key"), "the typed key is kept after a failed request: {page}");
    let nowhere = [("url", "nowhere"), ("act", "ask")];
    assert!(text(site.submit("/printers/new", &nowhere).await).await.contains("must be an address"));
}
