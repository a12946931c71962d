//! Guessing of passwords and tokens is slowed down. It never locks out users and programs with valid credentials.

use futures_util::{
    StreamExt,
    future::{join, join_all},
    stream::FuturesUnordered,
};
use printyard::{
    config::RawConfig,
    http::limits::{Capacity, ServerLimits},
};
use reqwest::{Method, StatusCode, header};
use serde_json::json;

use crate::support::server::{ADMIN_TOKEN, ServerOptions, TestServer};

const PASSWORD: &str = "correct horse battery";

/// Logs in with a password. Returns the status and the device's cookie, if one was set.
async fn log_in(server: &TestServer, password: &str, device: Option<&str>) -> (StatusCode, Option<String>) {
    let body = format!("name=ann&password={}", password.replace(' ', "+"));
    let mut request =
        server.request_without_auth(Method::POST, "/login").header("Sec-Fetch-Site", "same-origin").body(body);
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
async fn guesses_by_others_do_not_block_a_known_device() {
    let server = TestServer::start().await;
    let user = json!({"name": "ann", "password": PASSWORD, "role": "operator"});
    assert_eq!(server.post("/api/v1/users", user).await.0, StatusCode::CREATED);
    let (status, device) = log_in(&server, PASSWORD, None).await;
    assert_eq!(status, StatusCode::SEE_OTHER);
    let device = device.expect("a device");
    while log_in(&server, "wrong password here", None).await.0 != StatusCode::TOO_MANY_REQUESTS {}
    assert_eq!(log_in(&server, PASSWORD, None).await.0, StatusCode::TOO_MANY_REQUESTS, "an unknown device has to wait");
    assert_eq!(log_in(&server, PASSWORD, Some("forged")).await.0, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(log_in(&server, PASSWORD, Some(&device)).await.0, StatusCode::SEE_OTHER);
    // A stolen device cookie allows no faster guessing than a request without one.
    let mut tries = 0;
    while log_in(&server, "wrong password here", Some(&device)).await.0 != StatusCode::TOO_MANY_REQUESTS {
        tries += 1;
        assert!(tries < 10, "the device is not slowed down");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_tokens_are_slowed_down_by_address_and_known_ones_are_not() {
    let server = TestServer::start().await;
    let token = server.create_token("viewer").await;
    let get_me = async |token: &str| {
        let response =
            server.request_without_auth(Method::GET, "/api/v1/me").bearer_auth(token).send().await.expect("an answer");
        (response.status(), response.headers().contains_key(header::RETRY_AFTER))
    };
    for _ in 0..25 {
        assert_eq!(get_me("pyd_guess").await.0, StatusCode::UNAUTHORIZED, "sequential guesses are only slowed down");
    }
    // Many guesses at once are refused before they are compared.
    let guesses = join_all((0..60).map(|_| get_me("pyd_guess")));
    let (guesses, known) = join(guesses, get_me(&token)).await;
    let refused = guesses.iter().filter(|guess| **guess == (StatusCode::TOO_MANY_REQUESTS, true)).count();
    assert!(refused > 10, "{refused} of 60 guesses at once were refused: {guesses:?}");
    assert_eq!(known.0, StatusCode::OK, "a valid token is never refused");
}

#[tokio::test(flavor = "multi_thread")]
async fn delayed_refusals_use_no_capacity_of_other_requests() {
    let places = 16;
    let server_limits =
        ServerLimits { requests: Capacity { total: places, per_key: places }, ..ServerLimits::default() };
    let trusted_proxies = Some("127.0.0.1".to_owned());
    let server =
        TestServer::start_with(ServerOptions { server_limits, trusted_proxies, ..ServerOptions::default() }).await;
    let known = server.create_token("viewer").await;
    let guess = async |address: String, n: usize| {
        let guess = server.request_without_auth(Method::GET, "/api/v1/me").bearer_auth(format!("pyd_guess{n}"));
        guess.header("X-Forwarded-For", &address).send().await.expect("an answer").status()
    };
    let addresses: Vec<String> = (1..=3).map(|n| format!("10.0.0.{n}")).collect();
    for address in &addresses {
        for n in 0..20 {
            assert_eq!(guess(address.clone(), n).await, StatusCode::UNAUTHORIZED, "the first guesses do not wait");
        }
    }
    let (mut guesses, mut most) = (FuturesUnordered::new(), 0);
    for n in 0..18 {
        for address in &addresses {
            guesses.push(guess(address.clone(), n));
            let request = server.request_without_auth(Method::GET, "/api/v1/me").bearer_auth(&known).send();
            let mut request = std::pin::pin!(request);
            let answer = loop {
                tokio::select! {
                    answer = &mut request => break answer.expect("an answer"),
                    Some(status) = guesses.next() => assert_eq!(status, StatusCode::UNAUTHORIZED),
                }
            };
            assert_eq!(answer.status(), StatusCode::OK, "while {} guesses wait", guesses.len());
            most = most.max(guesses.len());
        }
    }
    assert!(most > places, "only {most} guesses waited at once");
    let statuses: Vec<StatusCode> = guesses.collect().await;
    assert!(statuses.iter().all(|status| *status == StatusCode::UNAUTHORIZED), "{statuses:?}");
}

#[test]
fn an_admin_token_that_is_easy_to_guess_is_refused_at_the_start() {
    let raw_config = |token: &str| RawConfig { admin_token: Some(token.to_owned()), ..RawConfig::default() };
    for weak in ["aaaaaaaaaaaaaaaa", "1234567890123456", "passwordpassword", "qwertyuiopasdfgh"] {
        let error = raw_config(weak).validate().map(|_| ()).expect_err(weak).to_string();
        assert!(error.contains("PRINTYARD_ADMIN_TOKEN") && error.contains("too easy to guess"), "{error}");
    }
    for strong in [ADMIN_TOKEN, "f3a9c1d27be84056", "9d8fb4c6e0a1473cb5a2f6"] {
        assert!(raw_config(strong).validate().is_ok(), "{strong}");
    }
}
