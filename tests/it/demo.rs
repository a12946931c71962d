//! `printyard demo`: its farm at the start, its history, and the faults of its panel.

mod faults;
pub mod process;
mod start;

use crate::support::server::TestServer;

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_a_demo_has_no_panel_and_no_line() {
    let server = TestServer::start().await;
    let cookie = server.open_session(&server.create_token("admin").await).await;
    let cookie = format!("printyard_session={cookie}");
    for method in [reqwest::Method::GET, reqwest::Method::POST] {
        let request = server.request_without_auth(method, "/demo").header("Cookie", &cookie);
        let answer = request.header("Sec-Fetch-Site", "same-origin").send().await.expect("an answer");
        assert_eq!(answer.status(), reqwest::StatusCode::NOT_FOUND);
    }
    let page = server.request_without_auth(reqwest::Method::GET, "/").header("Cookie", &cookie);
    assert!(!page.send().await.expect("an answer").text().await.expect("a page").contains("/demo"));
}
