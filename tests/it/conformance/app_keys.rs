//! Application keys: a whole Printyard requests them, and a user of OctoPrint allows or denies them.

use printyard::{
    domain::{audit::ActorKind, printer_access::PrinterAccess},
    service::{access::Principal, app_keys::KeyRequestState},
};

use super::subject::{DEADLINE, TestSubject};
use crate::support::{needs, octoprint::OctoPrintVersion, server::TestServer, wait};

async fn a_key_is_requested_and_decided(subject: &TestSubject) {
    let server = TestServer::start().await;
    let principal = Principal::server_admin(ActorKind::AdminToken);
    for grant in [false, true] {
        let id =
            server.services.request_key(&principal, &subject.url, PrinterAccess::default()).await.expect("requested");
        wait::until("the request is pending", DEADLINE, async || subject.decide_app_key(grant).await).await;
        let decision =
            wait::until("a decision", DEADLINE, async || match server.services.key_request_state(&principal, id) {
                Some(KeyRequestState::Waiting) => Err("waiting"),
                other => Ok(other),
            })
            .await;
        match decision {
            Some(KeyRequestState::Denied) if !grant => {}
            Some(KeyRequestState::Granted { key, .. }) if grant => {
                let report = server
                    .services
                    .test_printer(&principal, &subject.url, PrinterAccess::with_api_key(key))
                    .await
                    .expect("tested");
                assert_eq!((report.diagnosis, report.user.as_deref()), (None, Some("admin")), "{}", subject.name);
            }
            _ => panic!("{}: granted {grant}, but the request ended otherwise", subject.name),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs real OctoPrint, which tests/run provides"]
async fn octoprint_1_grants_a_requested_key() {
    a_key_is_requested_and_decided(&needs!(TestSubject::start_real(OctoPrintVersion::V1).await)).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs real OctoPrint, which tests/run provides"]
async fn octoprint_2_grants_a_requested_key() {
    a_key_is_requested_and_decided(&needs!(TestSubject::start_real(OctoPrintVersion::V2).await)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_simulator_grants_a_requested_key() {
    a_key_is_requested_and_decided(&TestSubject::start_simulated(OctoPrintVersion::V1).await).await;
}
