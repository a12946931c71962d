//! Cross-site request forgery: forms that another site sends with the user's cookie are refused.

use reqwest::{Method, StatusCode};

use crate::support::{
    routes,
    server::{ADMIN_TOKEN, TestServer},
};

/// Headers of a request that a page of another site started. The last one comes from an old browser over HTTP.
const FOREIGN_HEADERS: [(&str, &str); 4] = [
    ("Sec-Fetch-Site", "cross-site"),
    ("Sec-Fetch-Site", "same-site"),
    ("Origin", "https://evil.example"),
    ("Origin", "null"),
];

const UNKNOWN_ID: &str = "0193e1c7-7d1c-7a52-9a3e-2f3b5a0c9e11";

#[tokio::test(flavor = "multi_thread")]
async fn no_route_that_changes_anything_accepts_a_form_of_another_site() {
    let server = TestServer::start().await;
    let session = server.open_session(ADMIN_TOKEN).await;
    let mut checked = 0;
    for (verb, path) in routes::list_page_routes().into_iter().filter(|(verb, _)| verb != "GET") {
        let send = async |header: Option<(&str, &str)>| {
            let mut request =
                server.request_without_auth(verb.parse().expect("a method"), &path.replace("{id}", UNKNOWN_ID));
            request = request.header("Cookie", format!("printyard_session={session}"));
            request = request.header("Content-Type", "application/x-www-form-urlencoded");
            if let Some((name, value)) = header {
                request = request.header(name, value);
            }
            let response = request.body("token=x&key=x").send().await.expect("an answer");
            let cookie = response.headers().contains_key("set-cookie");
            (response.status(), cookie, response.text().await.expect("a page"))
        };
        for header in FOREIGN_HEADERS.into_iter().map(Some).chain([None]) {
            let (status, cookie, page) = send(header).await;
            assert!(
                status == StatusCode::FORBIDDEN && page.contains("Request from another site"),
                "{path}: {header:?}"
            );
            assert!(!cookie, "{path}: {header:?} changes the session");
        }
        // The same request from the server's own page is not refused as foreign, so the origin was the only reason.
        // Logout is left out, because it would end the session of the other requests.
        if path != "/logout" {
            let own = send(Some(("Sec-Fetch-Site", "same-origin"))).await;
            assert!(!own.2.contains("Request from another site"), "{path}");
        }
        checked += 1;
    }
    assert!(checked >= 10, "the router was not read: {checked}");
    assert_eq!(
        server
            .request_without_auth(Method::GET, "/account")
            .header("Cookie", format!("printyard_session={session}"))
            .send()
            .await
            .expect("an answer")
            .status(),
        StatusCode::OK,
        "the session is still valid"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_accepts_no_cookie() {
    let server = TestServer::start().await;
    let session = server.open_session(ADMIN_TOKEN).await;
    for (verb, path) in
        [(Method::GET, "/api/v1/me"), (Method::POST, "/api/v1/tokens"), (Method::POST, "/api/v1/batches")]
    {
        let request = server.request_without_auth(verb, path).header("Cookie", format!("printyard_session={session}"));
        let response = request.header("Sec-Fetch-Site", "same-origin").send().await.expect("an answer");
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{path}");
        assert!(!response.headers().contains_key("access-control-allow-origin"), "{path}");
    }
    let preflight =
        server.request_without_auth(Method::OPTIONS, "/api/v1/batches").header("Origin", "https://evil.example");
    let preflight = preflight.header("Access-Control-Request-Method", "POST").send().await.expect("an answer");
    assert!(!preflight.headers().keys().any(|name| name.as_str().starts_with("access-control-")));
}
