//! Cross-site request forgery: forms that another site sends with the user's cookie are refused.

use reqwest::{Method, StatusCode};

use crate::support::{
    routes,
    server::{ADMIN, TestServer},
};

/// Headers of a request that a page of another site started. The last one comes from an old browser over HTTP.
const FOREIGN: [(&str, &str); 4] = [
    ("Sec-Fetch-Site", "cross-site"),
    ("Sec-Fetch-Site", "same-site"),
    ("Origin", "https://evil.example"),
    ("Origin", "null"),
];

const NOWHERE: &str = "0193e1c7-7d1c-7a52-9a3e-2f3b5a0c9e11";

#[tokio::test(flavor = "multi_thread")]
async fn no_route_that_changes_anything_takes_a_form_of_another_site() {
    let server = TestServer::start().await;
    let session = server.session_of(ADMIN).await;
    let mut seen = 0;
    for (verb, path) in routes::of_pages().into_iter().filter(|(verb, _)| verb != "GET") {
        let send = async |header: Option<(&str, &str)>| {
            let mut request = server.bare(verb.parse().expect("a method"), &path.replace("{id}", NOWHERE));
            request = request.header("Cookie", format!("printyard_session={session}"));
            request = request.header("Content-Type", "application/x-www-form-urlencoded");
            if let Some((name, value)) = header {
                request = request.header(name, value);
            }
            let response = request.body("token=x&key=x").send().await.expect("an answer");
            let cookie = response.headers().contains_key("set-cookie");
            (response.status(), cookie, response.text().await.expect("a page"))
        };
        for header in FOREIGN.into_iter().map(Some).chain([None]) {
            let (status, cookie, page) = send(header).await;
            assert!(status == StatusCode::FORBIDDEN && page.contains("came from another site"), "{path}: {header:?}");
            assert!(!cookie, "{path}: {header:?} changes the session");
        }
        // The same request from the server's own page is not refused as foreign, so the origin was the only reason.
        // Logout is left out, because it would end the session of the other requests.
        if path != "/logout" {
            let own = send(Some(("Sec-Fetch-Site", "same-origin"))).await;
            assert!(!own.2.contains("came from another site"), "{path}");
        }
        seen += 1;
    }
    assert!(seen >= 10, "the router was not read: {seen}");
    assert_eq!(
        server
            .bare(Method::GET, "/account")
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
async fn the_api_takes_no_cookie_so_there_is_nothing_to_forge() {
    let server = TestServer::start().await;
    let session = server.session_of(ADMIN).await;
    for (verb, path) in
        [(Method::GET, "/api/v1/me"), (Method::POST, "/api/v1/tokens"), (Method::POST, "/api/v1/batches")]
    {
        let request = server.bare(verb, path).header("Cookie", format!("printyard_session={session}"));
        let response = request.header("Sec-Fetch-Site", "same-origin").send().await.expect("an answer");
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{path}");
        assert!(!response.headers().contains_key("access-control-allow-origin"), "{path}");
    }
    let preflight = server.bare(Method::OPTIONS, "/api/v1/batches").header("Origin", "https://evil.example");
    let preflight = preflight.header("Access-Control-Request-Method", "POST").send().await.expect("an answer");
    assert!(!preflight.headers().keys().any(|name| name.as_str().starts_with("access-control-")));
}
