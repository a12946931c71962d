//! The contract as a document: what changes in it shows in the diff.

use reqwest::Method;

use crate::support::server::{TestServer, answer};

#[tokio::test]
async fn the_document_is_the_one_that_was_agreed() {
    let server = TestServer::start().await;
    let (_, document, _) = answer(server.bare(Method::GET, "/api/openapi.json")).await;
    let text = serde_json::to_string_pretty(&document).expect("JSON");
    insta::assert_snapshot!("openapi", text);
}

#[tokio::test]
async fn every_operation_is_named_tagged_and_says_what_can_go_wrong() {
    let server = TestServer::start().await;
    let (_, document, _) = answer(server.bare(Method::GET, "/api/openapi.json")).await;
    assert_eq!(document["openapi"], "3.1.0");
    let mut names = std::collections::BTreeSet::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations") {
            let name = operation["operationId"].as_str().expect("a name").to_owned();
            assert!(names.insert(name), "{method} {path} has a name that another one has");
            assert!(operation["tags"].as_array().is_some_and(|tags| tags.len() == 1), "{method} {path}");
            assert!(operation["summary"].is_string(), "{method} {path}");
            let closed = path.starts_with("/api/v1");
            assert!(!closed || operation["responses"]["401"].is_object(), "{method} {path}");
            assert!(!path.contains('*'), "{path}");
        }
    }
}

#[tokio::test]
async fn the_page_of_the_document_needs_nothing_inline_and_nothing_from_elsewhere() {
    let server = TestServer::start().await;
    for path in ["/api/docs", "/api/docs/"] {
        let response = server.bare(Method::GET, path).send().await.expect("an answer");
        let policy = response.headers()["content-security-policy"].to_str().expect("text").to_owned();
        assert!(policy.contains("default-src 'self'") && !policy.contains("unsafe"), "{policy}");
        let page = response.text().await.expect("a page");
        assert!(!page.contains("//") && !page.contains("<style"), "{page}");
        for asset in page.split('"').filter(|part| part.ends_with(".js") || part.ends_with(".css")) {
            let asset = format!("/api/docs/{}", asset.trim_start_matches("./"));
            assert_eq!(server.bare(Method::GET, &asset).send().await.expect("an answer").status(), 200, "{asset}");
        }
    }
}
