//! OctoPrints that announce themselves: found by whoever looks, and added by the form.

use std::{net::IpAddr, time::Duration};

use mdns_sd::{IfKind, ServiceDaemon, ServiceEvent, ServiceInfo};
use printyard::config::Given;

use super::Site;
use crate::support::server::{Options, TestServer};

const SERVICE: &str = "_octoprint._tcp.local.";

/// Announces an OctoPrint as its plugin does, until it is dropped. None where this machine has no multicast, not even
/// for itself.
struct Announcer(ServiceDaemon);

impl Announcer {
    fn start(name: &str, url: &str) -> Option<Self> {
        let url: url::Url = url.parse().expect("a url");
        let (address, port): (IpAddr, u16) =
            (url.host_str()?.parse().expect("an address"), url.port_or_known_default().expect("a port"));
        let texts = [("path", "/"), ("version", "1.11.8")];
        let announced = format!("OctoPrint instance \"{name}\"");
        let info = ServiceInfo::new(SERVICE, &announced, &format!("h{port}.local."), address, port, &texts[..]);
        let one = Self(ServiceDaemon::new().expect("a thread"));
        // Nobody outside is to hear of it.
        one.0.disable_interface(IfKind::All).expect("told");
        one.0.enable_interface(IfKind::LoopbackV4).expect("told");
        one.0.register(info.expect("an announcement")).expect("announced");
        let ear = ServiceDaemon::new().expect("a thread");
        let events = ear.browse(SERVICE).expect("asked");
        let is_heard = std::iter::from_fn(|| events.recv_timeout(Duration::from_secs(10)).ok())
            .any(|event| matches!(event, ServiceEvent::ServiceResolved(found) if found.fullname.contains(name)));
        let _ = ear.shutdown();
        is_heard.then_some(one)
    }
}

impl Drop for Announcer {
    fn drop(&mut self) {
        let _ = self.0.shutdown();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_octoprint_that_announces_itself_is_found_and_known_again() {
    let site = Site::with(1).await;
    let (here, name) = (site.farm.printers()[0].url(), format!("MK4 <{}>", std::process::id()));
    let Some(_one) = Announcer::start(&name, here) else {
        eprintln!("left out: this machine has no multicast, not even on the loopback");
        return;
    };
    let page = site.page("/printers/discover").await;
    let shown = name.replace('<', "&#60;").replace('>', "&#62;");
    let row = page.split("<tr>").find(|row| row.contains(&shown)).unwrap_or_else(|| panic!("not heard: {page}"));
    assert!(row.contains(here) && row.contains("1.11.8") && row.contains("Registered as P-1"), "{row}");
    site.submit(&format!("/printers/{}/remove", site.ids[0]), &[("sure", "1")]).await;
    let page = site.page("/printers/discover").await;
    let row = page.split("<tr>").find(|row| row.contains(&shown)).unwrap_or_else(|| panic!("not heard: {page}"));
    let form = row.split("href=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a way to add it");
    let form = site.page(&form.replace("&#38;", "&").replace("&amp;", "&")).await;
    assert!(form.contains(&format!("value=\"{shown}\"")) && form.contains(&format!("value=\"{here}\"")), "{form}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_set_not_to_look_says_so() {
    let given = Given { discovery: Some("off".to_owned()), ..Given::default() };
    let server = TestServer::with(Options { given, ..Options::default() }).await;
    let session = server.session_of(crate::support::server::ADMIN).await;
    let request = server.bare(reqwest::Method::GET, "/printers/discover");
    let answer = request.header("cookie", format!("printyard_session={session}")).send().await.expect("an answer");
    assert!(answer.text().await.expect("a page").contains("PRINTYARD_DISCOVERY"));
}
