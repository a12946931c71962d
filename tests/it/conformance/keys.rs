//! Application keys: a whole Printyard requests them, and a user of OctoPrint allows or denies them.

use printyard::{
    domain::{audit::ActorKind, printer_access::PrinterAccess},
    service::{access::Principal, app_keys::Asked},
};

use super::subject::{SOON, Subject};
use crate::support::{needs, octoprint::Version, server::TestServer, wait};

async fn a_key_is_asked_for(subject: &Subject) {
    let server = TestServer::start().await;
    let who = Principal::operator_of_the_server(ActorKind::AdminToken);
    for grant in [false, true] {
        let id = server.services.ask_for_key(&who, &subject.url, PrinterAccess::default()).await.expect("requested");
        wait::until("the request is pending", SOON, async || subject.decide_app_key(grant).await).await;
        let asked = wait::until("a decision", SOON, async || match server.services.asked_for_key(&who, id) {
            Some(Asked::Waiting) => Err("waiting"),
            other => Ok(other),
        })
        .await;
        match asked {
            Some(Asked::Denied) if !grant => {}
            Some(Asked::Granted { key, .. }) if grant => {
                let report = server
                    .services
                    .test_printer(&who, &subject.url, PrinterAccess::with_key(key))
                    .await
                    .expect("tested");
                assert_eq!((report.diagnosis, report.user.as_deref()), (None, Some("admin")), "{}", subject.name);
            }
            _ => panic!("{}: granted {grant}, but the request ended otherwise", subject.name),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_comes_from_an_octoprint_1() {
    a_key_is_asked_for(&needs!(Subject::real(Version::V1).await)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_comes_from_an_octoprint_2() {
    a_key_is_asked_for(&needs!(Subject::real(Version::V2).await)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_comes_from_the_simulator() {
    a_key_is_asked_for(&Subject::simulated(Version::V1).await).await;
}
