//! Discovery in the dashboard: the page finds OctoPrints that announce themselves, and a form adds them.

use printyard::config::RawConfig;

use super::DashboardSite;
use crate::support::{
    announcer::Announcer,
    server::{ServerOptions, TestServer},
};

#[tokio::test(flavor = "multi_thread")]
async fn an_octoprint_that_announces_itself_is_found_and_recognized() {
    let site = DashboardSite::start(1).await;
    let (here, name) = (site.farm.printers()[0].url(), format!("MK4 <{}>", std::process::id()));
    let Some(_announcer) = Announcer::start(&name, here) else {
        eprintln!("left out: this machine has no multicast, not even on the loopback");
        return;
    };
    let page = site.get_page("/printers/discover/found").await;
    let shown = name.replace('<', "&#60;").replace('>', "&#62;");
    let row = page.split("<tr>").find(|row| row.contains(&shown)).unwrap_or_else(|| panic!("not found: {page}"));
    assert!(row.contains(here) && row.contains("1.11.8") && row.contains("Already added as P-1"), "{row}");
    site.submit(&format!("/printers/{}/remove", site.ids[0]), &[("sure", "1")]).await;
    let page = site.get_page("/printers/discover/found").await;
    let row = page.split("<tr>").find(|row| row.contains(&shown)).unwrap_or_else(|| panic!("not found: {page}"));
    let form = row.split("href=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a link to add it");
    let form = site.get_page(&form.replace("&#38;", "&").replace("&amp;", "&")).await;
    assert!(form.contains(&format!("value=\"{shown}\"")) && form.contains(&format!("value=\"{here}\"")), "{form}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_is_shown_at_once_and_continues_by_itself() {
    let site = DashboardSite::start(0).await;
    let answer = site.get("/printers/discover").send().await.expect("an answer");
    assert_eq!(answer.headers()["refresh"], "0; url=/printers/discover/found");
    let page = answer.text().await.expect("a page");
    assert!(page.contains("This takes three seconds") && page.contains("href=\"/printers/discover/found\""), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn disabled_discovery_is_shown() {
    let raw_config = RawConfig { discovery: Some("off".to_owned()), ..RawConfig::default() };
    let server = TestServer::start_with(ServerOptions { raw_config, ..ServerOptions::default() }).await;
    let session = server.open_session(crate::support::server::ADMIN_TOKEN).await;
    let request = server.request_without_auth(reqwest::Method::GET, "/printers/discover/found");
    let answer = request.header("cookie", format!("printyard_session={session}")).send().await.expect("an answer");
    assert!(answer.text().await.expect("a page").contains("PRINTYARD_DISCOVERY"));
}
