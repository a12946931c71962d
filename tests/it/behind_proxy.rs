//! OctoPrint behind a reverse proxy: basic authentication, extra headers, private certificates, cameras on other hosts,
//! and pasted addresses.

mod nginx;

use std::{io::Write as _, time::Duration};

use axum::{
    Router,
    extract::Query,
    http::{StatusCode as Status, header},
    response::IntoResponse,
    routing::get,
};
use printyard::config::RawConfig;
use reqwest::{Method, StatusCode, multipart};
use serde_json::{Value, json};

use crate::support::{
    certificate_authority::CertificateAuthority,
    port,
    reverse_proxy::{ReverseProxy, basic_auth_header},
    server::{ADMIN_TOKEN, DEADLINE, ServerOptions, TestServer, send_request, start_farm},
    wait,
};

const TOKEN_HEADER: &str = "x-access-token: front-token-1";
const LOGIN_REQUIRED: &str = "HTTP/1.1 401 Unauthorized\r\nwww-authenticate: Basic realm=\"farm\"";

/// Returns the proxy settings for a `ReverseProxy` that requires `ann`, `front-password-1` and the token.
fn proxy_settings() -> Value {
    json!({
        "proxy_auth": {"user": "ann", "password": "front-password-1"},
        "headers": {"X-Access-Token": "front-token-1"},
    })
}

fn merge(mut body: Value, more: &Value) -> Value {
    for (name, value) in more.as_object().expect("fields") {
        body[name] = value.clone();
    }
    body
}

async fn test_printer(server: &TestServer, body: Value) -> Value {
    let (status, report, _) = server.post("/api/v1/printers/test", body).await;
    assert_eq!(status, StatusCode::OK, "{report}");
    report
}

/// Pauses, uploads and loads a camera picture, after the event socket is open.
async fn use_printer(server: &TestServer, id: &str) {
    let path = format!("/api/v1/printers/{id}");
    wait::until("the event socket is open", Duration::from_secs(20), async || {
        let (_, body, _) = server.get(&path).await;
        if body["status"]["channel"] == "push" { Ok(()) } else { Err(body["status"].clone()) }
    })
    .await;
    let (status, row, _) = server.post_and_wait(&format!("{path}/job"), json!({"command": "start"})).await;
    assert_eq!((status, &row["outcome"]), (StatusCode::OK, &json!("confirmed")), "{row}");
    let form = multipart::Form::new().part("file", multipart::Part::bytes(b"G28\n".to_vec()).file_name("a.gcode"));
    let upload = server.request(Method::POST, &format!("{path}/files")).multipart(form);
    let (status, body, _) = send_request(upload).await;
    assert_eq!(status, StatusCode::CREATED, "{body}");
    let picture = server.request(Method::GET, &format!("{path}/snapshot")).send().await.expect("an answer");
    assert_eq!(picture.status(), StatusCode::OK, "{}", picture.text().await.unwrap_or_default());
}

#[tokio::test(flavor = "multi_thread")]
async fn proxy_user_and_headers_are_sent_with_every_request_and_never_shown() {
    let (server, farm) = (TestServer::start().await, start_farm(1).await);
    let printer = &farm.printers()[0];
    let login = basic_auth_header("ann", "front-password-1");
    let proxy = ReverseProxy::start(printer.url(), &[&login, TOKEN_HEADER], LOGIN_REQUIRED, None).await;
    let url = format!("http://127.0.0.1:{}", proxy.port);
    let target = json!({"url": url, "api_key": printer.api_key()});

    let report = test_printer(&server, target.clone()).await;
    assert_eq!((&report["code"], &report["reachability"]), (&json!("proxy_login"), &json!("unauthorized")), "{report}");
    let wrong = merge(target.clone(), &json!({"proxy_auth": {"user": "ann", "password": "wrong"}}));
    assert_eq!(test_printer(&server, wrong).await["code"], "proxy_refused");
    let report = test_printer(&server, merge(target.clone(), &proxy_settings())).await;
    assert_eq!(report["ok"], true, "{report}");

    let refused = proxy.request_heads(false).len();
    let (status, made, _) =
        server.post("/api/v1/printers", merge(merge(target, &proxy_settings()), &json!({"name": "front"}))).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    let id = made["id"].as_str().expect("an id");
    use_printer(&server, id).await;
    assert_eq!(
        proxy.request_heads(false).len(),
        refused,
        "every request has the headers: {:?}",
        proxy.request_heads(false).last()
    );
    let heads = proxy.request_heads(true);
    for (what, start) in
        [("socket", "GET /sockjs/websocket"), ("upload", "POST /api/files/local"), ("camera", "GET /webcam/")]
    {
        let head = heads.iter().find(|head| head.starts_with(start)).unwrap_or_else(|| panic!("no {what}: {heads:?}"));
        assert_eq!(head.to_lowercase().contains("x-api-key"), what == "upload", "{head}");
    }

    let (_, read, _) = server.get(&format!("/api/v1/printers/{id}")).await;
    assert_eq!((&read["proxy_user"], &read["header_names"]), (&json!("ann"), &json!(["x-access-token"])));
    assert_eq!((&read["ca_certificate"], &read["camera_url_set"]), (&Value::Null, &json!(false)));
    let (_, audit, _) = server.get("/api/v1/audit").await;
    for text in [read.to_string(), made.to_string(), audit.to_string()] {
        assert!(!text.contains("front-password-1") && !text.contains("front-token-1"), "{text}");
    }
    assert!(audit.to_string().contains("\"proxy_password\":\"set\""), "{audit}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_401_without_a_header_or_page_is_attributed_to_the_web_server() {
    let (server, farm) = (TestServer::start().await, start_farm(1).await);
    let printer = &farm.printers()[0];
    let login = basic_auth_header("ann", "front-password-1");
    for (number, refusal) in
        ["401 Unauthorized\r\ncontent-type: application/json", "403 Forbidden"].into_iter().enumerate()
    {
        let proxy = ReverseProxy::start(printer.url(), &[&login], &format!("HTTP/1.1 {refusal}"), None).await;
        let url = format!("http://127.0.0.1:{}", proxy.port);
        let target = json!({"url": url, "api_key": printer.api_key()});
        assert_eq!(test_printer(&server, target.clone()).await["code"], "proxy_login", "{refusal}");
        let body = merge(target, &json!({"name": format!("P{number}")}));
        let (_, made, _) = server.post("/api/v1/printers", body).await;
        let path = format!("/api/v1/printers/{}", made["id"].as_str().expect("an id"));
        let status = wait::until("the printer was asked", DEADLINE, async || {
            let (_, printer, _) = server.get(&path).await;
            let status = printer["status"].clone();
            if status["reachability"] == "unauthorized" { Ok(status) } else { Err(status) }
        })
        .await;
        assert!(status["error"].as_str().unwrap_or_default().contains("behind a web server"), "{status}");
        for resource in ["files", "snapshot", "job"] {
            let (status, problem, _) = server.get(&format!("{path}/{resource}")).await;
            assert_eq!((status, &problem["code"]), (StatusCode::BAD_GATEWAY, &json!("printer_unauthorized")));
            let detail = problem["detail"].as_str().unwrap_or_default();
            assert!(detail.contains("behind a web server"), "{resource}: {detail}");
        }
        let (_, row, _) = server.post_and_wait(&format!("{path}/job"), json!({"command": "cancel"})).await;
        let detail = row["detail"].as_str().unwrap_or_default();
        assert!(row["outcome"] == "unauthorized" && detail.contains("behind a web server"), "{row}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_proxy_password_applies_at_once() {
    let (server, farm) = (TestServer::start().await, start_farm(1).await);
    let printer = &farm.printers()[0];
    let login = basic_auth_header("ann", "front-password-1");
    let proxy = ReverseProxy::start(printer.url(), &[&login, TOKEN_HEADER], LOGIN_REQUIRED, None).await;
    let url = format!("http://127.0.0.1:{}", proxy.port);
    let fields = merge(
        json!({"url": url}),
        &merge(proxy_settings(), &json!({"proxy_auth": {"user": "ann", "password": "old"}})),
    );
    let id = server.register_printer_with(printer, fields).await;
    let path = format!("/api/v1/printers/{id}");
    wait::until("the proxy refuses", Duration::from_secs(20), async || {
        let (_, body, _) = server.get(&path).await;
        let status = &body["status"];
        if status["reachability"] == "unauthorized" { Ok(status["error"].clone()) } else { Err(status.clone()) }
    })
    .await;
    let (_, row, _) = server.post_and_wait(&format!("{path}/job"), json!({"command": "pause"})).await;
    assert_eq!((&row["outcome"], &row["effect"]), (&json!("unauthorized"), &json!("none")), "{row}");
    assert!(row["detail"].as_str().unwrap_or_default().contains("web server"), "{row}");
    let (status, body, _) = server.patch(&path, json!({"proxy_auth": {"password": "front-password-1"}})).await;
    assert_eq!((status, &body["proxy_user"]), (StatusCode::OK, &json!("ann")), "{body}");
    server.until_online(&id).await;
}

#[tokio::test]
async fn a_patch_keeps_absent_fields_and_null_clears_them() {
    let server = TestServer::start().await;
    let authority = CertificateAuthority::new("Farm CA").pem();
    let body = merge(
        json!({"name": "P", "url": "http://127.0.0.1:9", "enabled": false, "ca_certificate": format!("text\n{authority}"),
            "camera_url": "http://cam:pass@127.0.0.1:9/shot"}),
        &proxy_settings(),
    );
    let (status, made, headers) = server.post("/api/v1/printers", body).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    assert_eq!(made["ca_certificate"].as_str().map(str::trim), Some(authority.replace("\r\n", "\n").trim()));
    let path = headers["location"].to_str().expect("text").to_owned();
    let shown = |body: &Value| ["proxy_user", "header_names", "camera_url_set"].map(|name| body[name].clone()).to_vec();
    let patch = async |change: Value| {
        let (status, body, _) = server.patch(&path, change).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        body
    };
    let body = patch(json!({"notes": "moved"})).await;
    assert_eq!(shown(&body), [json!("ann"), json!(["x-access-token"]), json!(true)]);
    assert_eq!(body["ca_certificate"], made["ca_certificate"]);
    let body = patch(json!({"headers": {"X-Hall": "3"}, "proxy_auth": {"user": "bob"}})).await;
    assert_eq!(shown(&body), [json!("bob"), json!(["x-access-token", "x-hall"]), json!(true)]);
    let body = patch(json!({"headers": {"x-access-token": null}, "camera_url": null, "ca_certificate": null})).await;
    assert_eq!(shown(&body), [json!("bob"), json!(["x-hall"]), json!(false)]);
    assert_eq!(body["ca_certificate"], Value::Null);
    let body = patch(json!({"headers": null, "proxy_auth": null})).await;
    assert_eq!(shown(&body), [Value::Null, json!([]), json!(false)]);
    let (_, audit, _) = server.get("/api/v1/audit").await;
    assert!(audit.to_string().contains("\"headers\":\"changed\""), "{audit}");

    for (change, pointer) in [
        (json!({"proxy_auth": {"user": "ann"}}), "/proxy_auth/password"),
        (json!({"proxy_auth": {"password": "x"}}), "/proxy_auth/user"),
        (json!({"proxy_auth": {"user": null, "password": "x"}}), "/proxy_auth/user"),
        (json!({"proxy_auth": {"user": "a:b", "password": "x"}}), "/proxy_auth/user"),
        (json!({"proxy_auth": ["ann", "x"]}), "/proxy_auth"),
        (json!({"headers": {"Host": "x"}}), "/headers/host"),
        (json!({"headers": {"Transfer-Encoding": "x"}}), "/headers/transfer-encoding"),
        (json!({"headers": {"x-a": "a\nb"}}), "/headers/x-a"),
        (json!({"ca_certificate": "none"}), "/ca_certificate"),
        (json!({"ca_certificate": format!("{authority}-----BEGIN PRIVATE KEY-----")}), "/ca_certificate"),
        (json!({"camera_url": "ftp://cam"}), "/camera_url"),
    ] {
        let (status, problem, _) = server.patch(&path, change.clone()).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{change}: {problem}");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{change}: {problem}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_authority_is_trusted_for_http_events_files_and_cameras() {
    let (server, farm, authority) =
        (TestServer::start().await, start_farm(1).await, CertificateAuthority::new("Farm CA"));
    let printer = &farm.printers()[0];
    let proxy =
        ReverseProxy::start(printer.url(), &[], LOGIN_REQUIRED, Some(authority.server_acceptor("localhost", false)))
            .await;
    let target = json!({"url": format!("https://localhost:{}", proxy.port), "api_key": printer.api_key()});
    let code = async |ca: Value| {
        test_printer(&server, merge(target.clone(), &json!({"ca_certificate": ca}))).await["code"].clone()
    };
    assert_eq!(code(Value::Null).await, "tls_untrusted");
    assert_eq!(code(json!(CertificateAuthority::new("Other CA").pem())).await, "tls_other_authority");
    let both = format!("{}{}", CertificateAuthority::new("Other CA").pem(), authority.pem());
    assert_eq!(code(json!(both)).await, Value::Null);

    let fields = merge(target, &json!({"ca_certificate": authority.pem()}));
    let id = server.register_printer_with(printer, fields).await;
    use_printer(&server, &id).await;
    assert!(proxy.request_heads(true).iter().any(|head| head.starts_with("GET /sockjs/websocket")));
}

#[tokio::test(flavor = "multi_thread")]
async fn expired_wrongly_named_and_self_signed_certificates_are_distinguished() {
    let (server, farm, authority) =
        (TestServer::start().await, start_farm(1).await, CertificateAuthority::new("Farm CA"));
    let printer = &farm.printers()[0];
    for (tls, code) in [
        (authority.server_acceptor("localhost", true), json!("tls_out_of_time")),
        (authority.server_acceptor("octopi-9.local", false), json!("tls_other_name")),
        (authority.own_acceptor(), Value::Null),
    ] {
        let proxy = ReverseProxy::start(printer.url(), &[], LOGIN_REQUIRED, Some(tls)).await;
        let url = format!("https://localhost:{}", proxy.port);
        let body = json!({"url": url, "api_key": printer.api_key(), "ca_certificate": authority.pem()});
        let report = test_printer(&server, body).await;
        assert_eq!(report["code"], code, "{report}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_authority_file_applies_to_every_printer() {
    let (farm, authority) = (start_farm(1).await, CertificateAuthority::new("Farm CA"));
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(authority.pem().as_bytes()).expect("written");
    let raw_config = RawConfig { ca_file: Some(file.path().to_owned()), ..RawConfig::default() };
    let server = TestServer::start_with(ServerOptions { raw_config, ..ServerOptions::default() }).await;
    let printer = &farm.printers()[0];
    let proxy =
        ReverseProxy::start(printer.url(), &[], LOGIN_REQUIRED, Some(authority.server_acceptor("localhost", false)))
            .await;
    let id = server.register_printer_with(printer, json!({"url": format!("https://localhost:{}", proxy.port)})).await;
    server.until_online(&id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pasted_addresses_and_keys_are_understood_and_a_redirect_is_offered() {
    let (server, farm) = (TestServer::start().await, start_farm(1).await);
    let printer = &farm.printers()[0];
    let host = printer.url().trim_start_matches("http://").trim_end_matches('/');
    let key = format!(" {}\n", printer.api_key());
    for url in [format!("http://{host}/#temp"), host.to_owned(), format!(" http://{host}/?#files\r\n")] {
        let report = test_printer(&server, json!({"url": url, "api_key": key})).await;
        assert_eq!(report["ok"], true, "{url}: {report}");
    }
    let id = server.register_printer_with(printer, json!({"url": format!("{host}/#temp\n"), "api_key": key})).await;
    server.until_online(&id).await;
    assert_eq!(server.get(&format!("/api/v1/printers/{id}")).await.1["url"], format!("http://{host}"));

    for (location, code, suggested) in [
        (format!("http://{host}/api/version"), "redirected", json!(format!("http://{host}"))),
        ("https://login.example/start?secret=1".to_owned(), "redirected_elsewhere", Value::Null),
    ] {
        let refusal = format!("HTTP/1.1 301 Moved Permanently\r\nlocation: {location}");
        let proxy = ReverseProxy::start(printer.url(), &["x-never: sent"], &refusal, None).await;
        let report = test_printer(&server, json!({"url": format!("127.0.0.1:{}", proxy.port), "api_key": "k"})).await;
        assert_eq!((&report["code"], &report["suggested_url"]), (&json!(code), &suggested), "{report}");
        assert!(!report.to_string().contains("secret"), "{report}");
        assert_eq!(
            proxy.request_heads(false).len(),
            1,
            "the redirect is not followed, and the request is not repeated"
        );
    }
}

/// Starts an OctoPrint that answers only its settings, with its camera under the same address. Returns its port and its
/// task.
async fn start_camera(snapshot: String, stream: &'static str) -> (u16, tokio::task::JoinHandle<()>) {
    let settings = json!({"webcam": {"webcamEnabled": true, "snapshotUrl": snapshot, "streamUrl": stream}});
    let webcam = async |Query(query): Query<Vec<(String, String)>>| {
        if query.iter().any(|(name, value)| name == "action" && value == "snapshot") {
            ([(header::CONTENT_TYPE, "image/jpeg")], "picture").into_response()
        } else {
            Status::NOT_FOUND.into_response()
        }
    };
    let router = Router::new()
        .route("/api/settings", get(move || std::future::ready(axum::Json(settings.clone()))))
        .route("/webcam/", get(webcam));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    (port, tokio::spawn(async move { drop(axum::serve(listener, router).await) }))
}

async fn get_snapshot(server: &TestServer, id: &str) -> (StatusCode, String) {
    let request = server.request(Method::GET, &format!("/api/v1/printers/{id}/snapshot"));
    let picture = request.send().await.expect("an answer");
    (picture.status(), picture.text().await.expect("a body"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_or_a_camera_url_replaces_the_snapshot_address() {
    let server = TestServer::start().await;
    let closed = format!("http://127.0.0.1:{}/?action=snapshot", port::pick_free_port());
    for (number, at) in [String::new(), closed].into_iter().enumerate() {
        let (port, task) = start_camera(at.clone(), "/webcam/?action=stream").await;
        let body = json!({"name": format!("P{number}"), "url": format!("http://127.0.0.1:{port}"), "enabled": false});
        let (_, made, _) = server.post("/api/v1/printers", body).await;
        let picture = get_snapshot(&server, made["id"].as_str().expect("an id")).await;
        assert_eq!(picture, (StatusCode::OK, "picture".to_owned()), "{at:?}");
        task.abort();
    }
    // A camera address that the operator sets takes precedence over OctoPrint's. The address guard checks both.
    let (port, task) = start_camera(String::new(), "").await;
    let own = format!("http://127.0.0.1:{port}/webcam/?action=snapshot");
    let body = json!({"name": "own", "url": "http://127.0.0.1:9", "enabled": false, "camera_url": own,
        "headers": {"x-access-token": "front-token-1"}});
    let (_, made, _) = server.post("/api/v1/printers", body).await;
    let id = made["id"].as_str().expect("an id");
    assert_eq!(get_snapshot(&server, id).await, (StatusCode::OK, "picture".to_owned()));
    task.abort();
    let metadata = json!({"camera_url": "http://169.254.169.254/latest"});
    assert_eq!(server.patch(&format!("/api/v1/printers/{id}"), metadata).await.0, StatusCode::OK);
    let (status, text) = get_snapshot(&server, id).await;
    assert!(status == StatusCode::BAD_GATEWAY || status == StatusCode::GATEWAY_TIMEOUT, "{status}: {text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_are_never_sent_to_a_camera_on_another_host() {
    let (server, farm) = (TestServer::start().await, start_farm(1).await);
    let printer = &farm.printers()[0];
    let other_proxy = ReverseProxy::start(printer.url(), &[], LOGIN_REQUIRED, None).await;
    let camera = format!("http://cam:cam-pass@127.0.0.1:{}/webcam/?action=snapshot", other_proxy.port);
    let body = merge(json!({"camera_url": camera}), &proxy_settings());
    let id = server.register_printer_with(printer, body).await;
    assert_eq!(get_snapshot(&server, &id).await.0, StatusCode::OK);
    let head = other_proxy.request_heads(true).pop().expect("a request");
    assert!(!head.contains("front-token-1") && !head.to_lowercase().contains("x-api-key"), "{head}");
    assert!(
        head.to_lowercase().lines().any(|line| line == basic_auth_header("cam", "cam-pass").to_lowercase()),
        "{head}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn many_printers_are_registered_with_proxy_settings() {
    let server = TestServer::start().await;
    let item = |name: &str, more: Value| {
        merge(json!({"name": name, "url": format!("http://{name}.test"), "enabled": false}), &more)
    };
    let items = [item("a", proxy_settings()), item("b", json!({"headers": {"host": "x"}}))];
    let request = server.request(Method::POST, "/api/v1/printers/bulk").json(&json!({"items": items}));
    let (status, body, _) = send_request(request.bearer_auth(ADMIN_TOKEN)).await;
    assert_eq!(status, StatusCode::MULTI_STATUS, "{body}");
    assert_eq!(body["items"][0]["printer"]["proxy_user"], "ann", "{body}");
    assert_eq!(body["items"][1]["problem"]["errors"][0]["pointer"], "/items/1/headers/host", "{body}");
    assert!(!body.to_string().contains("front-"), "{body}");
}
