//! Compression and caching: which responses are compressed, and conditional requests for pages that the browser has
//! already.
//!
//! To measure the sent sizes with 300 printers: run `printyard demo --printers 300`, open its link with `curl -c jar`,
//! then `curl --compressed -b jar -so /dev/null -w '%{size_download}\n' http://127.0.0.1:8080/`.

use std::{io::Read, time::Duration};

use flate2::read::GzDecoder;
use reqwest::{
    Method, Response, StatusCode,
    header::{
        ACCEPT_ENCODING, ACCEPT_LANGUAGE, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, ETAG,
        HeaderName, IF_NONE_MATCH, RANGE, VARY,
    },
};
use serde_json::json;

use crate::support::{
    server::{ADMIN_TOKEN, TestServer, start_farm, start_server_with_farm},
    wait,
};

const DEADLINE: Duration = Duration::from_secs(20);
/// Smaller responses are never compressed, so a test needs a body of this size.
const MIN_COMPRESSED_SIZE: usize = 2_048;

fn header_value(response: &Response, name: HeaderName) -> String {
    let values = response.headers().get_all(name).iter().map(|value| value.to_str().expect("text"));
    values.collect::<Vec<_>>().join(", ")
}

fn gunzip(bytes: &[u8]) -> String {
    let mut text = String::new();
    GzDecoder::new(bytes).read_to_string(&mut text).expect("a whole gzip stream");
    text
}

/// A server and the cookie of a session.
struct CompressionSite {
    server: TestServer,
    cookie: String,
}

impl CompressionSite {
    async fn log_in(server: TestServer) -> Self {
        let cookie = format!("printyard_session={}", server.open_session(ADMIN_TOKEN).await);
        Self { server, cookie }
    }

    async fn send(&self, method: Method, path: &str, headers: &[(HeaderName, &str)]) -> Response {
        let request = self.server.request(method, path).header(COOKIE, &self.cookie);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(name, *value));
        request.send().await.expect("a response")
    }

    async fn get(&self, path: &str, accepted: &str) -> Response {
        self.send(Method::GET, path, &[(ACCEPT_ENCODING, accepted)]).await
    }

    /// Sends a form as from one of the server's own pages.
    async fn submit(&self, path: &str, form: &'static str) -> Response {
        let request = self.server.request_without_auth(Method::POST, path).header(COOKIE, &self.cookie);
        let request = request.header("Sec-Fetch-Site", "same-origin").header(ACCEPT_ENCODING, "gzip");
        let request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(form);
        request.send().await.expect("a response")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_and_json_are_compressed_where_that_is_accepted() {
    let (server, _farm, _) = start_server_with_farm(6).await;
    let site = CompressionSite::log_in(server).await;
    for path in ["/", "/batches", "/api/v1/printers", "/api/openapi.json"] {
        let compressed = site.get(path, "gzip, deflate").await;
        assert_eq!(compressed.status(), StatusCode::OK, "{path}");
        assert_eq!(header_value(&compressed, CONTENT_ENCODING), "gzip", "{path}");
        assert!(header_value(&compressed, VARY).to_lowercase().contains("accept-encoding"), "{path}");
        assert_eq!(header_value(&compressed, CONTENT_LENGTH), "", "{path}");
        let bytes = compressed.bytes().await.expect("a body");
        let text = gunzip(&bytes);
        assert!(text.len() > bytes.len() * 2, "{path}: {} of {}", bytes.len(), text.len());
        for accepted in ["identity", "gzip;q=0, identity", "br"] {
            let plain = site.get(path, accepted).await;
            assert_eq!(header_value(&plain, CONTENT_ENCODING), "", "{path}");
            assert!(header_value(&plain, VARY).to_lowercase().contains("accept-encoding"), "{path}");
            let length = header_value(&plain, CONTENT_LENGTH);
            let body = plain.text().await.expect("a body");
            assert_eq!(length, body.len().to_string(), "{path}");
            assert_eq!(body.trim_end().chars().last(), text.trim_end().chars().last(), "{path}");
        }
    }
    let small = site.get("/api/v1/me", "gzip").await;
    assert_eq!(header_value(&small, CONTENT_ENCODING), "");
    assert!(small.bytes().await.expect("a body").len() < MIN_COMPRESSED_SIZE);
}

#[tokio::test(flavor = "multi_thread")]
async fn responses_that_may_show_a_secret_are_not_compressed() {
    let site = CompressionSite::log_in(TestServer::start().await).await;
    let key = site.server.services.create_setup_link().await.expect("a database").expect("a link");
    let setup = site.get(&format!("/setup?key={key}"), "gzip").await;
    let hook = site.submit("/webhooks", "url=http%3A%2F%2F127.0.0.1%3A9%2F").await;
    let token = site.submit("/tokens", "name=erp&role=operator").await;
    let shown = [(setup, key.as_str(), 0), (hook, "whsec_", MIN_COMPRESSED_SIZE), (token, "pyd_", MIN_COMPRESSED_SIZE)];
    for (response, secret, least) in shown {
        assert_eq!((response.status(), header_value(&response, CONTENT_ENCODING)), (StatusCode::OK, String::new()));
        assert_eq!(
            (header_value(&response, CACHE_CONTROL), header_value(&response, ETAG)),
            ("no-store".to_owned(), String::new())
        );
        let page = response.text().await.expect("a page");
        assert!(page.contains(secret) && page.len() > least, "{page}");
    }
    // This fragment of a form contains a key that OctoPrint granted.
    let part = site.get("/printers/keys/0190a0a0-0000-7000-8000-000000000000", "gzip").await;
    assert_eq!((part.status(), header_value(&part, CACHE_CONTROL)), (StatusCode::OK, "no-store".to_owned()));
    // Responses to unsafe requests are not compressed, even when they are large.
    let body: Vec<_> = (0..40).map(|n| json!({"name": format!("p-{n}"), "url": format!("http://127.0.0.1:{n}"), "api_key": "k", "enabled": false})).collect();
    let request = site.server.request(Method::POST, "/api/v1/printers/bulk").header(ACCEPT_ENCODING, "gzip");
    let bulk = request.json(&json!({ "items": body })).send().await.expect("a response");
    assert_eq!(header_value(&bulk, CONTENT_ENCODING), "");
    let status = bulk.status();
    let text = bulk.text().await.expect("a body");
    assert!(status.is_success() && text.len() > MIN_COMPRESSED_SIZE, "{status} {text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_and_pictures_are_not_compressed_again() {
    let (server, _farm, ids) = start_server_with_farm(2).await;
    let site = CompressionSite::log_in(server).await;
    let feed = site.get("/api/v1/events/stream", "gzip").await;
    assert_eq!((feed.status(), header_value(&feed, CONTENT_ENCODING)), (StatusCode::OK, String::new()));
    let picture = site.get(&format!("/api/v1/printers/{}/snapshot", ids[0]), "gzip").await;
    assert_eq!((picture.status(), header_value(&picture, CONTENT_ENCODING)), (StatusCode::OK, String::new()));
    // A live page compresses its events itself and flushes after each, so the browser can read it at once.
    let mut live = site.get("/stream", "gzip").await;
    assert_eq!(header_value(&live, CONTENT_ENCODING), "gzip");
    let mut bytes = Vec::new();
    let first = wait::until("an event", DEADLINE, async || {
        bytes.extend(live.chunk().await.expect("a stream").unwrap_or_default());
        let mut text = Vec::new();
        // An error is expected here, because the stream has not ended.
        let _ = GzDecoder::new(&*bytes).read_to_end(&mut text);
        Some(String::from_utf8(text).expect("text")).filter(|text| text.ends_with("\n\n"))
    });
    assert!(first.await.starts_with("event: "));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_the_browser_has_is_not_sent_again() {
    let site = CompressionSite::log_in(TestServer::start().await).await;
    let page = site.get("/batches", "gzip").await;
    let tag = header_value(&page, ETAG);
    assert!(tag.starts_with("W/\""), "{tag}");
    assert_eq!(header_value(&page, CACHE_CONTROL), "private, max-age=0, must-revalidate");
    let vary = header_value(&page, VARY).to_lowercase();
    assert!(["cookie", "accept-language", "accept-encoding"].iter().all(|name| vary.contains(name)), "{vary}");
    let again = async |site: &CompressionSite, more: (HeaderName, &str)| {
        let response = site.send(Method::GET, "/batches", &[(IF_NONE_MATCH, &tag), more]).await;
        let (status, new) = (response.status(), header_value(&response, ETAG));
        let length = response.bytes().await.expect("a body").len();
        assert_eq!(status == StatusCode::NOT_MODIFIED, length == 0 && new == tag, "{status} {new}");
        status
    };
    for accepted in ["gzip", "identity"] {
        assert_eq!(again(&site, (ACCEPT_ENCODING, accepted)).await, StatusCode::NOT_MODIFIED);
    }
    assert_eq!(again(&site, (ACCEPT_LANGUAGE, "de")).await, StatusCode::OK, "another language");
    let viewer = site.server.create_token("viewer").await;
    let viewer = format!("printyard_session={}", site.server.open_session(&viewer).await);
    let site = CompressionSite { cookie: viewer, ..site };
    assert_eq!(again(&site, (ACCEPT_ENCODING, "gzip")).await, StatusCode::OK, "another user");
    let site = CompressionSite { cookie: "printyard_session=none".to_owned(), ..site };
    assert_eq!(again(&site, (ACCEPT_ENCODING, "gzip")).await, StatusCode::SEE_OTHER, "no session");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unchanged_farm_page_is_not_sent_again_and_a_changed_one_is() {
    let server = TestServer::start().await;
    let farm = start_farm(1).await;
    let id = server.register_printer(&farm.printers()[0]).await;
    server.until_online(&id).await;
    let site = CompressionSite::log_in(server).await;
    let tag = wait::until("the page is the same twice", DEADLINE, async || {
        let tag = header_value(&site.get("/", "gzip").await, ETAG);
        let again = site.send(Method::GET, "/", &[(IF_NONE_MATCH, &tag)]).await;
        (again.status() == StatusCode::NOT_MODIFIED).then_some(tag)
    })
    .await;
    let patch = site.server.patch(&format!("/api/v1/printers/{id}"), json!({"name": "renamed"})).await;
    assert_eq!(patch.0, StatusCode::OK, "{}", patch.1);
    let changed = site.send(Method::GET, "/", &[(IF_NONE_MATCH, &tag)]).await;
    assert_eq!(changed.status(), StatusCode::OK);
    assert!(changed.text().await.expect("a page").contains("renamed"));
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_with_personal_data_are_not_cached_by_the_browser() {
    let site = CompressionSite::log_in(TestServer::start().await).await;
    for path in ["/users", "/tokens", "/audit", "/account", "/webhooks", "/login"] {
        let page = site.get(path, "identity").await;
        assert_eq!(
            (header_value(&page, CACHE_CONTROL), header_value(&page, ETAG)),
            ("no-store".to_owned(), String::new()),
            "{path}"
        );
    }
    let out = site.submit("/logout", "").await;
    assert_eq!(header_value(&out, HeaderName::from_static("clear-site-data")), "\"cache\"");
}

#[tokio::test(flavor = "multi_thread")]
async fn static_files_are_sent_as_they_were_compressed_by_the_build() {
    let site = CompressionSite::log_in(TestServer::start().await).await;
    let page = site.get("/login", "identity").await.text().await.expect("a page");
    for name in ["app.css", "icon.svg"] {
        let from = page.find(&format!("/static/{name}?v=")).expect("a link");
        let path = page[from..].split('"').next().expect("an address");
        let compressed = site.get(path, "gzip").await;
        assert_eq!(header_value(&compressed, CONTENT_ENCODING), "gzip", "{name}");
        assert_eq!(header_value(&compressed, VARY), "Accept-Encoding", "{name}");
        assert!(header_value(&compressed, CACHE_CONTROL).contains("immutable"), "{name}");
        let (tag, length) = (header_value(&compressed, ETAG), header_value(&compressed, CONTENT_LENGTH));
        let bytes = compressed.bytes().await.expect("a body");
        assert_eq!(length, bytes.len().to_string(), "{name}");
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("static");
        let stored = std::fs::read_to_string(root.join(name)).expect("a file");
        assert_eq!(gunzip(&bytes), stored, "{name}");
        let plain = site.get(path, "identity").await;
        assert_eq!(header_value(&plain, CONTENT_ENCODING), "", "{name}");
        assert_eq!(plain.text().await.expect("a body"), stored, "{name}");
        let known = site.send(Method::GET, path, &[(IF_NONE_MATCH, &tag)]).await;
        assert_eq!(known.status(), StatusCode::NOT_MODIFIED, "{name}");
        // A range of the file is requested; the whole file is a valid response too. HEAD has the same headers.
        let part = site.send(Method::GET, path, &[(RANGE, "bytes=0-9"), (ACCEPT_ENCODING, "identity")]).await;
        assert_eq!((part.status(), header_value(&part, CONTENT_LENGTH)), (StatusCode::OK, stored.len().to_string()));
        let head = site.send(Method::HEAD, path, &[(ACCEPT_ENCODING, "gzip")]).await;
        assert_eq!((header_value(&head, CONTENT_LENGTH), header_value(&head, ETAG)), (length, tag), "{name}");
        // Without the hash in the URL the content may change.
        let (path_without_hash, _) = path.split_once('?').expect("a hash");
        assert!(
            !header_value(&site.get(path_without_hash, "gzip").await, CACHE_CONTROL).contains("immutable"),
            "{name}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_for_the_head_of_a_page_has_no_body() {
    let site = CompressionSite::log_in(TestServer::start().await).await;
    for path in ["/", "/api/openapi.json"] {
        for accepted in ["gzip", "identity"] {
            let head = site.send(Method::HEAD, path, &[(ACCEPT_ENCODING, accepted)]).await;
            let get = site.get(path, accepted).await;
            assert_eq!(head.status(), StatusCode::OK, "{path}");
            for name in [CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE] {
                assert_eq!(header_value(&head, name.clone()), header_value(&get, name), "{path} {accepted}");
            }
            assert!(head.bytes().await.expect("a body").is_empty());
        }
    }
}
