//! Automatic production on the pages: printers are opted in, checked, and show what they do next or why nothing.

use std::time::Duration;

use printyard::domain::attention::AttentionReason;
use reqwest::{Method, StatusCode};
use serde_json::json;

use super::{
    DashboardSite, header_value,
    library::{sliced_gcode, upload_one},
};
use crate::support::wait;

impl DashboardSite {
    /// Waits until a page contains a text.
    async fn page_with(&self, path: &str, text: &str) -> String {
        wait::until(&format!("{path} with {text}"), Duration::from_secs(30), async || {
            let page = self.get_page(path).await;
            if page.contains(text) { Ok(page) } else { Err(page) }
        })
        .await
    }

    async fn is_auto(&self, n: usize) -> bool {
        let printer = self.api(Method::GET, &format!("/printers/{}", self.ids[n]), json!(null)).await;
        printer["production"]["auto"].as_bool().expect("a boolean")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_selection_is_opted_in_after_a_page_that_explains_it_and_each_plate_is_checked_before_a_start() {
    let site = DashboardSite::start(2).await;
    let ids = site.ids.clone();
    let select = |last: Vec<(&'static str, &'static str)>| {
        let ids = ids.clone();
        let site = &site;
        async move {
            let mut fields: Vec<(&str, &str)> = ids.iter().map(|id| ("printer_id", id.as_str())).collect();
            fields.extend(last);
            site.submit("/printers/production", &fields).await
        }
    };
    let page = select(vec![("auto", "on")]).await.text().await.expect("a page");
    for part in ["Turn on automatic production of 2 printers", "P-1", "P-2", "someone has marked clear since then"] {
        assert!(page.contains(part), "{part}: {page}");
    }
    assert!(!site.is_auto(0).await && !site.is_auto(1).await, "the page only asks");
    assert_eq!(select(vec![("auto", "maybe")]).await.status(), StatusCode::BAD_REQUEST);
    assert_eq!(select(vec![("auto", "on"), ("act", "save")]).await.status(), StatusCode::SEE_OTHER);
    assert!(site.is_auto(0).await && site.is_auto(1).await);
    assert!(site.get_page("/audit").await.contains("turned on automatic production of 2 printers"));

    // Nothing starts on a plate that nobody has checked: both printers wait for a person.
    let page = upload_one(&site, "bracket.gcode", sliced_gcode("MK4")).await;
    let file_id = page.strip_prefix("/files/").expect("the page of a file").to_owned();
    for id in &ids {
        site.api(
            Method::PATCH,
            &format!("/printers/{id}"),
            json!({"model": "MK4", "nozzle_mm": 0.4, "material": "PETG", "color": "#f2711c"}),
        )
        .await;
    }
    let order = json!({"files": [{"file_id": file_id}], "title": "Brackets", "quantity": 2,
        "requirements": {"printer_ids": [ids[0]]}});
    site.api(Method::POST, "/orders", order).await;
    let farm = site.page_with("/?show=todo", "Check the plate").await;
    let todo = site.page_with("/todo", "Clear plate").await;
    for id in &ids {
        assert!(farm.contains(&format!("id=\"p-{id}\"")) && todo.contains(id.as_str()), "{farm}");
    }
    let printer_page = site.page_with(&format!("/printers/{}", ids[0]), "Production starts once").await;
    assert!(printer_page.contains("name=\"auto\" value=\"off\""), "{printer_page}");
    let plates: Vec<String> = ids.iter().map(|id| format!("{id}:")).collect();
    let fields = [("shown", "1"), ("plate", plates[0].as_str()), ("plate", plates[1].as_str())];
    assert_eq!(site.submit("/plates/clear", &fields).await.status(), StatusCode::SEE_OTHER);
    // One takes the order, and its tile names the next file. The other says why it takes nothing. The name of the order is on
    // the page of the printer, for those who may see the order.
    let farm = site.page_with("/", "Next: bracket.gcode").await;
    assert!(!farm.contains("Brackets"), "{farm}");
    site.page_with("/", "1 order waits: for other printers").await;
    let plan = format!("/printers/{}/production", ids[0]);
    site.page_with(&plan, "Brackets</a>").await;
    // A user with a tag limit sees the printer, but not an order of the whole farm.
    site.api(Method::PATCH, &format!("/printers/{}", ids[0]), json!({"tags": ["hall-a"]})).await;
    let cookie = site.open_session("operator", &["hall-a"]).await;
    let shown = site.get_as(&cookie, &plan).await;
    assert!(shown.contains("An order of another area") && !shown.contains("Brackets"), "{shown}");
    let farm = site.get_as(&cookie, "/").await;
    assert!(farm.contains("Next: bracket.gcode") && !farm.contains("Brackets"), "{farm}");

    let form = format!("/printers/{}/production", ids[1]);
    let answer = site.submit(&form, &[("auto", "off")]).await;
    assert_eq!(
        (answer.status(), header_value(&answer, "location")),
        (StatusCode::SEE_OTHER, form.strip_suffix("/production").expect("a path"))
    );
    assert!(site.is_auto(0).await && !site.is_auto(1).await);
    site.page_with(&form, "The planner starts no prints on it").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_printer_under_attention_is_to_do_until_a_person_has_checked_it() {
    let site = DashboardSite::start(1).await;
    let id = site.ids[0].clone();
    site.api(Method::PATCH, &format!("/printers/{id}"), json!({"production": {"auto": true}})).await;
    let clear = json!({"printer_ids": [id]});
    site.api(Method::POST, "/plates/clear", clear).await;
    site.page_with("/", "No order waits").await;
    site.services.set_attention(id.parse().expect("an id"), AttentionReason::FailedTwice).await.expect("stored");
    let farm = site.page_with("/?show=todo", "is-check").await;
    assert!(farm.contains("Two copies in a row failed") && farm.contains("Check printer"), "{farm}");
    assert!(site.get_page("/wall").await.contains("Two copies in a row failed"));
    let page = site.page_with(&format!("/printers/{id}"), "Check the printer first.").await;
    assert!(page.contains("I checked it"), "{page}");
    let back = format!("/printers/{id}");
    let checked = site.submit(&format!("{back}/attention"), &[("back", back.as_str())]).await;
    assert_eq!((checked.status(), header_value(&checked, "location")), (StatusCode::SEE_OTHER, back.as_str()));
    let farm = site.page_with("/", "No order waits").await;
    assert!(!farm.contains("is-check"), "{farm}");
    let tasks = site.api(Method::GET, "/tasks", json!(null)).await;
    assert_eq!(tasks["items"], json!([]));
}
