//! Guessing passwords and tokens is slow, and never locks out the people and programs that need not guess.

use printyard::config::Given;
use reqwest::{Method, StatusCode, header};
use serde_json::json;

use crate::support::server::{ADMIN, TestServer};

const GOOD: &str = "correct horse battery";

/// Logs in with a password. Returns the status and the device's cookie, if one was set.
async fn log_in(server: &TestServer, password: &str, device: Option<&str>) -> (StatusCode, Option<String>) {
    let body = format!("name=ann&password={}", password.replace(' ', "+"));
    let mut request = server.bare(Method::POST, "/login").header("Sec-Fetch-Site", "same-origin").body(body);
    if let Some(device) = device {
        request = request.header(header::COOKIE, format!("printyard_device={device}"));
    }
    let response = request.send().await.expect("an answer");
    let cookies = response.headers().get_all(header::SET_COOKIE).iter().filter_map(|value| value.to_str().ok());
    let device = cookies.filter_map(|cookie| cookie.strip_prefix("printyard_device=")).next();
    let value = device.and_then(|cookie| cookie.split(';').next()).map(str::to_owned);
    (response.status(), value)
}

#[tokio::test(flavor = "multi_thread")]
async fn guesses_of_others_keep_no_device_out_that_has_logged_in_before() {
    let server = TestServer::start().await;
    let user = json!({"name": "ann", "password": GOOD, "role": "operator"});
    assert_eq!(server.post("/api/v1/users", user).await.0, StatusCode::CREATED);
    let (status, device) = log_in(&server, GOOD, None).await;
    assert_eq!(status, StatusCode::SEE_OTHER);
    let device = device.expect("a device");
    while log_in(&server, "wrong password here", None).await.0 != StatusCode::TOO_MANY_REQUESTS {}
    assert_eq!(log_in(&server, GOOD, None).await.0, StatusCode::TOO_MANY_REQUESTS, "a stranger has to wait");
    assert_eq!(log_in(&server, GOOD, Some("forged")).await.0, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(log_in(&server, GOOD, Some(&device)).await.0, StatusCode::SEE_OTHER);
    // A device that was stolen guesses no faster than a stranger.
    let mut tries = 0;
    while log_in(&server, "wrong password here", Some(&device)).await.0 != StatusCode::TOO_MANY_REQUESTS {
        tries += 1;
        assert!(tries < 10, "the device is not slowed down");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_tokens_are_slowed_down_by_address_and_known_ones_are_not() {
    let server = TestServer::start().await;
    let token = server.token("viewer").await;
    let ask = async |token: &str| {
        let response = server.bare(Method::GET, "/api/v1/me").bearer_auth(token).send().await.expect("an answer");
        (response.status(), response.headers().contains_key(header::RETRY_AFTER))
    };
    for _ in 0..25 {
        assert_eq!(ask("pyd_guess").await.0, StatusCode::UNAUTHORIZED, "one after the other they are only slowed down");
    }
    // Many at once are refused before they are compared.
    let guesses = futures_util::future::join_all((0..60).map(|_| ask("pyd_guess")));
    let (guesses, known) = futures_util::future::join(guesses, ask(&token)).await;
    let refused = guesses.iter().filter(|guess| **guess == (StatusCode::TOO_MANY_REQUESTS, true)).count();
    assert!(refused > 10, "{refused} of 60 guesses at once were refused: {guesses:?}");
    assert_eq!(known.0, StatusCode::OK, "a token that Printyard made cannot be guessed");
}

#[test]
fn an_admin_token_that_is_easy_to_guess_is_refused_at_the_start() {
    let given = |token: &str| Given { admin_token: Some(token.to_owned()), ..Given::default() };
    for weak in ["aaaaaaaaaaaaaaaa", "1234567890123456", "passwordpassword", "qwertyuiopasdfgh"] {
        let error = given(weak).checked().map(|_| ()).expect_err(weak).to_string();
        assert!(error.contains("PRINTYARD_ADMIN_TOKEN") && error.contains("too easy to guess"), "{error}");
    }
    for strong in [ADMIN, "f3a9c1d27be84056", "9d8fb4c6e0a1473cb5a2f6"] {
        assert!(given(strong).checked().is_ok(), "{strong}");
    }
}
