//! Misleading event sockets and states on real OctoPrints: Printyard still observes what the printer did.

use reqwest::Method;
use serde_json::{Value, json};

use super::{
    setup::{LONG_FILE, PrinterSetup, format_outcome, register_printer},
    subject::TestSubject,
};
use crate::support::{needs, octoprint::OctoPrintVersion, server::TestServer};

/// OctoPrint drops the login of a user whose name has a colon, and still answers pings on that socket.
async fn a_user_whose_login_is_dropped_is_polled_and_a_cancel_ends_the_print(mut subject: TestSubject) {
    let user = json!({
        "name": "hall:a", "password": "not needed", "active": true, "groups": ["admins", "users"], "permissions": [],
    });
    assert_eq!(subject.post("/api/access/users", user).await, 200, "{}", subject.name);
    let made = subject.request(Method::POST, "/api/access/users/hall%3Aa/apikey").body("").send().await;
    let key: Value = made.expect("an answer").json().await.expect("JSON");
    subject.upload(LONG_FILE, "G4 P100\n".repeat(6_000)).await;
    subject.select(LONG_FILE).await;
    subject.api_key = key["apikey"].as_str().expect("a key").to_owned();
    let server = TestServer::start().await;
    let id = register_printer(&server, &subject).await;
    let setup = PrinterSetup { server, subject, id };
    let unconfirmed = |printer: &Value| printer["status"]["channel_error"]["code"] == "login_not_confirmed";
    let printer = setup.until_printer("the login is not confirmed", unconfirmed).await;
    assert_eq!((&printer["status"]["channel"], &printer["status"]["reachability"]), (&json!("poll"), &json!("online")));
    assert_eq!(printer["status"]["state"], "operational");
    // The start goes directly to OctoPrint, and the cancel follows at once. So only a new poll shows the print.
    assert_eq!(setup.subject.post("/api/job", json!({"command": "start"})).await, 204);
    setup.subject.until_state("Printing").await;
    setup.expect_outcome("cancel", "confirmed").await;
    setup.subject.until_state("Operational").await;
    setup.expect_outcome("cancel", "unchanged").await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs real OctoPrint, which tests/run provides"]
async fn a_user_with_a_colon_is_polled_on_octoprint_1() {
    let subject = needs!(TestSubject::start_real(OctoPrintVersion::V1).await);
    a_user_whose_login_is_dropped_is_polled_and_a_cancel_ends_the_print(subject).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs real OctoPrint, which tests/run provides"]
async fn a_user_with_a_colon_is_polled_on_octoprint_2() {
    let subject = needs!(TestSubject::start_real(OctoPrintVersion::V2).await);
    a_user_whose_login_is_dropped_is_polled_and_a_cancel_ends_the_print(subject).await;
}

/// OctoPrint 2 has no upload to the SD card at this URL.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs real OctoPrint, which tests/run provides"]
async fn a_file_that_goes_to_the_sd_card_is_no_print_and_a_cancel_ends_the_transfer() {
    let setup = PrinterSetup::start(needs!(TestSubject::start_real(OctoPrintVersion::V1).await)).await;
    let file = reqwest::multipart::Part::text("G1 X1 Y1\n".repeat(50_000)).file_name("card.gco");
    let form = reqwest::multipart::Form::new().part("file", file);
    let sent = setup.subject.request(Method::POST, "/api/files/sdcard").multipart(form).send().await;
    assert_eq!(sent.expect("an answer").status(), 201);
    let printer = setup.until_state("transferring").await;
    assert_eq!(printer["status"]["state_text"], "Sending file to SD");
    assert_eq!((&printer["plate"]["state"], &printer["job"]["print_id"]), (&json!("clear"), &Value::Null));
    for (command, outcome) in
        [("start", "already_printing"), ("pause", "not_active"), ("resume", "not_active"), ("restart", "not_active")]
    {
        setup.expect_outcome(command, &format!("rejected/{outcome}")).await;
    }
    let body = json!({"command": "pause", "select": {"states": ["printing"]}});
    let (status, problem, _) = setup.server.post("/api/v1/batches", body).await;
    assert_eq!((status.as_u16(), &problem["code"]), (422, &json!("nothing_selected")), "{problem}");
    let row = setup.expect_outcome("cancel", "confirmed").await;
    assert_eq!((format_outcome(&row).as_str(), &row["state_before"]), ("confirmed", &json!("transferring")));
    setup.subject.until_state("Operational").await;
    assert!(setup.list_prints().await.is_empty(), "{:?}", setup.list_prints().await);
}

async fn temperatures_end_with_the_printer(subject: TestSubject) {
    let setup = PrinterSetup::start(subject).await;
    setup.subject.send_gcode(&["M104 S240"]).await;
    let id = setup.id.parse().expect("an id");
    let is_heating = |printer: &Value| {
        // Watches the printer as an open page does. An idle printer is otherwise polled only once a minute.
        setup.server.services.fleet().mark_viewed(id);
        printer["status"]["temperatures"]["tool0"]["target"] == 240.0
    };
    setup.until_printer("it heats", is_heating).await;
    setup.subject.send_gcode(&["!!DEBUG:trigger_fatal_error_marlin"]).await;
    let printer = setup.until_state("error").await;
    assert_eq!(printer["status"]["temperatures"], json!({}), "{printer}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs real OctoPrint, which tests/run provides"]
async fn temperatures_end_with_an_error_of_octoprint_1() {
    temperatures_end_with_the_printer(needs!(TestSubject::start_real(OctoPrintVersion::V1).await)).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs real OctoPrint, which tests/run provides"]
async fn temperatures_end_with_an_error_of_octoprint_2() {
    temperatures_end_with_the_printer(needs!(TestSubject::start_real(OctoPrintVersion::V2).await)).await;
}
