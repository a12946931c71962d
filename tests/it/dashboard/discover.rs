//! Discovery in the dashboard: the page finds OctoPrints that announce themselves, and a form adds them.

use printyard::config::Given;

use super::Site;
use crate::support::{
    announcer::Announcer,
    server::{Options, TestServer},
};

#[tokio::test(flavor = "multi_thread")]
async fn an_octoprint_that_announces_itself_is_found_and_known_again() {
    let site = Site::with(1).await;
    let (here, name) = (site.farm.printers()[0].url(), format!("MK4 <{}>", std::process::id()));
    let Some(_one) = Announcer::start(&name, here) else {
        eprintln!("left out: this machine has no multicast, not even on the loopback");
        return;
    };
    let page = site.page("/printers/discover/found").await;
    let shown = name.replace('<', "&#60;").replace('>', "&#62;");
    let row = page.split("<tr>").find(|row| row.contains(&shown)).unwrap_or_else(|| panic!("not found: {page}"));
    assert!(row.contains(here) && row.contains("1.11.8") && row.contains("Registered as P-1"), "{row}");
    site.submit(&format!("/printers/{}/remove", site.ids[0]), &[("sure", "1")]).await;
    let page = site.page("/printers/discover/found").await;
    let row = page.split("<tr>").find(|row| row.contains(&shown)).unwrap_or_else(|| panic!("not found: {page}"));
    let form = row.split("href=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a link to add it");
    let form = site.page(&form.replace("&#38;", "&").replace("&amp;", "&")).await;
    assert!(form.contains(&format!("value=\"{shown}\"")) && form.contains(&format!("value=\"{here}\"")), "{form}");
}

#[tokio::test(flavor = "multi_thread")]
async fn looking_is_told_at_once_and_goes_on_by_itself() {
    let site = Site::with(0).await;
    let answer = site.get("/printers/discover").send().await.expect("an answer");
    assert_eq!(answer.headers()["refresh"], "0; url=/printers/discover/found");
    let page = answer.text().await.expect("a page");
    assert!(page.contains("That takes three seconds") && page.contains("href=\"/printers/discover/found\""), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_set_not_to_look_says_so() {
    let given = Given { discovery: Some("off".to_owned()), ..Given::default() };
    let server = TestServer::with(Options { given, ..Options::default() }).await;
    let session = server.session_of(crate::support::server::ADMIN).await;
    let request = server.bare(reqwest::Method::GET, "/printers/discover/found");
    let answer = request.header("cookie", format!("printyard_session={session}")).send().await.expect("an answer");
    assert!(answer.text().await.expect("a page").contains("PRINTYARD_DISCOVERY"));
}
