//! The switch of production on every page: who sees it, who may use it, and where its form leads back to.

use reqwest::{Method, StatusCode};
use serde_json::json;

use super::{
    DEADLINE, DashboardSite,
    orders::{assert_contains, start_site},
    read_until, send,
};
use crate::support::wait;

/// Pages of several areas, and one that does not exist.
const SOME_PAGES: [&str; 7] = ["/", "/queue", "/queue/new", "/files", "/printers/new", "/settings", "/nowhere"];
const STOP_BUTTON: &str = "name=\"act\" value=\"stop\"";
const GO_BUTTON: &str = "name=\"act\" value=\"resume\"";

impl DashboardSite {
    /// Opens a session of a role, limited to tags. Returns its cookie.
    pub(super) async fn open_session(&self, role: &str, tags: &[&str]) -> String {
        let token = self.api(Method::POST, "/tokens", json!({"name": role, "role": role, "tags": tags})).await;
        self.log_in(token["token"].as_str().expect("a secret")).await
    }

    /// Returns a page of any status, as the user of a cookie sees it.
    pub(super) async fn get_as(&self, cookie: &str, path: &str) -> String {
        let request = self.http.get(format!("{}{path}", self.base)).header("cookie", cookie);
        send(request).await.text().await.expect("a page")
    }

    /// Stops production from a page. Returns the place of the redirect.
    async fn stop_from(&self, back: &str) -> String {
        self.submit_change("/queue/switch", &[("act", "stop"), ("reason", "Smoke <hall A>"), ("back", back)]).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_farm_without_orders_and_opted_in_printers_has_the_switch_on_the_queue_only() {
    let (site, _) = start_site().await;
    assert!(!site.get_page("/").await.contains(STOP_BUTTON));
    assert_contains(&site.get_page("/queue").await, &[STOP_BUTTON]);
    site.api(Method::POST, "/orders", json!({"part": "BRKT-7", "quantity": 12})).await;
    let shown = async || if site.get_page("/").await.contains(STOP_BUTTON) { Ok(()) } else { Err("no button") };
    wait::until("the farm page has the switch", DEADLINE, shown).await;
    for path in SOME_PAGES {
        assert_contains(&site.get_as(&site.cookie, path).await, &[STOP_BUTTON, "action=\"/queue/switch\""]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_shows_who_stopped_production_and_why_at_once() {
    let (site, _) = start_site().await;
    let mut farm = send(site.get("/stream")).await;
    read_until(&mut farm, "event: production\ndata: \n\n").await;
    assert_eq!(site.stop_from("/files?folder=a%2Fb").await, "/files?folder=a%2Fb");
    read_until(&mut farm, "event: production\ndata: 1").await;
    for path in SOME_PAGES.into_iter().chain(["/wall"]) {
        let page = site.get_as(&site.cookie, path).await;
        let parts = ["Production is stopped.", "Smoke &#60;hall A&#62;", "Stopped by admin", GO_BUTTON];
        assert_contains(&page, &parts);
        assert!(!page.contains(STOP_BUTTON), "{path}");
    }
    let german = send(site.get("/files").header("accept-language", "de")).await.text().await.expect("a page");
    assert_contains(&german, &["Die Produktion ist angehalten.", "Angehalten von admin"]);
    site.submit_change("/queue/switch", &[("act", "resume"), ("back", "/")]).await;
    assert!(!site.get_page("/").await.contains("Production is stopped."));
}

#[tokio::test(flavor = "multi_thread")]
async fn users_who_may_not_use_the_switch_see_its_state_only() {
    let (site, _) = start_site().await;
    let viewer = site.open_session("viewer", &[]).await;
    let limited = site.open_session("operator", &["hall-a"]).await;
    for cookie in [&viewer, &limited] {
        assert!(!site.get_as(cookie, "/queue").await.contains(STOP_BUTTON));
    }
    site.stop_from("/").await;
    for cookie in [&viewer, &limited] {
        let page = site.get_as(cookie, "/files").await;
        assert_contains(&page, &["Production is stopped.", "Smoke &#60;hall A&#62;"]);
        assert!(!page.contains(GO_BUTTON), "{page}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_form_of_the_switch_leads_back_to_a_page_of_this_site_only() {
    let (site, _) = start_site().await;
    for (back, expected) in [
        ("/printers/new", "/printers/new"),
        ("", "/queue"),
        ("//evil.example", "/queue"),
        ("https://evil.example", "/queue"),
        ("/\\evil.example", "/queue"),
    ] {
        assert_eq!(site.stop_from(back).await, expected, "{back}");
        site.submit_change("/queue/switch", &[("act", "resume")]).await;
    }
    // The page that answers a form has no address of its own.
    let answer = site.submit("/queue/new", &[("quantity", "0")]).await;
    assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
    site.stop_from("/").await;
    let page = site.submit("/queue/new", &[("quantity", "0")]).await.text().await.expect("a page");
    assert_contains(&page, &["name=\"back\" value=\"/\""]);
    assert_contains(&site.get_page("/queue?state=on_hold").await, &["name=\"back\" value=\"/queue?state=on_hold\""]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reason_that_is_too_long_is_shown_again_with_its_error() {
    let (site, _) = start_site().await;
    let long = "<".repeat(501);
    let refused = site.submit_refused("/queue/switch", &[("act", "stop"), ("reason", &long)]).await;
    assert_contains(&refused, &["id=\"switch-reason-error\"", &format!("value=\"{}\"", "&#60;".repeat(501))]);
    assert_eq!(site.submit("/queue/switch", &[]).await.status(), StatusCode::BAD_REQUEST);
}
