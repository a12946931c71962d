//! Connection test before a printer is added: each failure has its own sentence and its own next step.

use std::collections::HashSet;

use printyard::simulator::{Farm, FarmConfig};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::{DashboardSite, send};
use crate::support::{
    port,
    reverse_proxy::{ReverseProxy, basic_auth_header},
    server::{TestServer, start_farm},
};

/// Response of a web server that requires a login, but sends no `WWW-Authenticate` header and no page.
const LOGIN_REFUSAL: &str = "HTTP/1.1 401 Unauthorized\r\ncontent-type: application/json";

/// Starts a listener on loopback that passes each connection to `then`. Returns its address.
async fn start_listener<F, Fut>(handle: F) -> String
where
    F: Fn(tokio::net::TcpStream) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(handle(stream));
        }
    });
    address
}

/// Starts a web server that sends the same page for every path.
async fn start_web_server() -> String {
    start_listener(async |mut stream| {
        let _ = stream.read(&mut [0; 4096]).await;
        let page = "<html><title>Router</title></html>";
        let head = format!("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {}\r\n\r\n", page.len());
        let _ = stream.write_all(format!("{head}{page}").as_bytes()).await;
    })
    .await
}

/// Starts a TLS server with a self-signed certificate for these names.
async fn start_tls_server(names: &[&str]) -> String {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let made = rcgen::generate_simple_self_signed(names).expect("a certificate");
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("a key");
    let chain = vec![CertificateDer::from(made.cert)];
    let config = rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).expect("TLS");
    let acceptor = tokio_rustls::TlsAcceptor::from(std::sync::Arc::new(config));
    start_listener(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            let _ = acceptor.accept(stream).await;
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn each_connection_failure_has_its_own_message_and_next_step() {
    let (server, farm) = (TestServer::start().await, start_farm(4).await);
    let [wanted, wrong, limited, blind] = farm.printers() else { panic!("four printers") };
    limited.limit_permissions(&["STATUS", "PRINT"]);
    blind.limit_permissions(&["PRINT"]);
    let hanging = start_listener(|stream| async move {
        let _stream = stream;
        std::future::pending::<()>().await;
    })
    .await;
    let plain = start_web_server().await;
    let key = |printer: &printyard::simulator::SimulatedPrinter| json!(printer.api_key());
    let mut messages = HashSet::new();
    for (case, url, key, code, words, step) in [
        ("DNS", "http://nobody.invalid".to_owned(), json!("k"), "name_not_found", "nobody.invalid", "IP address"),
        (
            "refused",
            format!("http://127.0.0.1:{}", port::pick_free_port()),
            json!("k"),
            "connection_refused",
            "port",
            "5000",
        ),
        ("timeout", format!("http://{hanging}"), json!("k"), "timeout", "within 5 s", "restart"),
        (
            "TLS",
            format!("https://{}", start_tls_server(&["127.0.0.1"]).await),
            json!("k"),
            "tls_untrusted",
            "certificate",
            "http://",
        ),
        ("no TLS", format!("https://{plain}"), json!("k"), "tls_not_spoken", "HTTPS", "http://"),
        ("no OctoPrint", format!("http://{plain}"), json!("k"), "not_octoprint", "OctoPrint", "in a browser"),
        ("no key", wanted.url().to_owned(), Value::Null, "key_wanted", "API key", "Application Keys"),
        ("wrong key", wrong.url().to_owned(), json!("wrong"), "wrong_key", "does not accept", "Copy the whole key"),
        (
            "permissions",
            limited.url().to_owned(),
            key(limited),
            "missing_permissions",
            "CONNECTION, FILES_LIST",
            "Operator",
        ),
        ("no STATUS", blind.url().to_owned(), key(blind), "missing_permissions", "permissions: STATUS", "Operator"),
    ] {
        let (status, report, _) = server.post("/api/v1/printers/test", json!({"url": url, "api_key": key})).await;
        assert_eq!((status.as_u16(), &report["code"]), (200, &json!(code)), "{case}: {report}");
        let [detail, advice] = ["detail", "advice"].map(|name| report[name].as_str().unwrap_or_default());
        assert!(detail.contains(words) && advice.contains(step), "{case}: {report}");
        assert!(!detail.contains('{') && !advice.contains('{'), "{case}: {report}");
        messages.insert((detail.to_owned(), advice.to_owned()));
    }
    assert_eq!(messages.len(), 10, "each failure has its own sentence");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_result_page_of_a_connection_test_names_cause_and_next_step() {
    let site = DashboardSite::start(1).await;
    let url = site.farm.printers()[0].url();
    let fields = [("url", url), ("api_key", "wrong"), ("act", "test")];
    let answer = site.submit("/printers/new", &fields).await.text().await.expect("a page");
    assert!(answer.contains("does not accept this API key") && answer.contains("class=\"todo\""), "{answer}");
}

/// Returns the hidden field that keeps a key between two forms.
fn kept_key(page: &str) -> String {
    let from = page.split("name=\"kept_key\" value=\"").nth(1).unwrap_or_else(|| panic!("no kept key: {page}"));
    from.split('"').next().unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_survives_a_refused_form_and_is_never_readable() {
    let site = DashboardSite::start(1).await;
    let another = Farm::start(FarmConfig::default()).await.expect("a farm");
    let printer = &another.printers()[0];
    // The name is already in use, so the form is refused.
    let mut fields = vec![("name", "P-1"), ("url", printer.url()), ("api_key", printer.api_key()), ("act", "add")];
    let refused = site.submit("/printers/new", &fields).await;
    assert_eq!(refused.status(), 422);
    let page = refused.text().await.expect("a page");
    assert!(!page.contains(printer.api_key()), "{page}");
    let sealed = kept_key(&page);
    fields.retain(|(name, _)| *name != "api_key" && *name != "name");
    fields.extend([("kept_key", sealed.as_str()), ("name", "P-2")]);
    let tested: Vec<_> =
        fields.iter().map(|(name, value)| (*name, if *name == "act" { "test" } else { value })).collect();
    let answer = site.submit("/printers/new", &tested).await.text().await.expect("a page");
    assert!(answer.contains("accepts the API key of admin"), "{answer}");
    let added = site.submit("/printers/new", &fields).await;
    assert_eq!(added.status(), 303, "{}", added.text().await.expect("a page"));
    let (mut missing, mut tampered) = (fields.clone(), sealed.clone());
    tampered.replace_range(40..41, if &sealed[40..41] == "A" { "B" } else { "A" });
    for (name, value) in &mut missing {
        match *name {
            "kept_key" => *value = &tampered,
            "name" => *value = "P-3",
            _ => {}
        }
    }
    let refused = site.submit("/printers/new", &missing).await;
    assert_eq!(refused.status(), 422);
    let page = refused.text().await.expect("a page");
    assert!(page.contains("enter it again"), "{page}");
    assert!(!send(site.get("/")).await.text().await.expect("a page").contains("P-3"));
}

/// Returns the value of a hidden field.
fn hidden_field(page: &str, name: &str) -> String {
    let from = page.split(&format!("name=\"{name}\" value=\"")).nth(1).unwrap_or_else(|| panic!("no {name}: {page}"));
    from.split('"').next().unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn proxy_settings_survive_a_refused_form_and_are_changed_without_being_shown() {
    let site = DashboardSite::start(1).await;
    let (password, token) = ("form-password-1", "form-token-1");
    let headers = format!("X-Access-Token: {token}");
    let camera = "http://cam:form-camera-1@127.0.0.1:9/shot";
    // The name is already in use, so the form is refused.
    let fields = [
        ("name", "P-1"),
        ("url", "127.0.0.1:9/#temp"),
        ("has_access", "1"),
        ("proxy_user", "ann"),
        ("proxy_password", password),
        ("headers", &headers),
        ("camera_url", camera),
        ("act", "add"),
    ];
    let refused = site.submit("/printers/new", &fields).await;
    assert_eq!(refused.status(), 422);
    let page = refused.text().await.expect("a page");
    for secret in [password, token, "form-camera-1"] {
        assert!(!page.contains(secret), "{secret}: {page}");
    }
    assert!(page.contains("x-access-token: ••••••") && page.contains("<details class=\"more\" open>"), "{page}");
    let kept = hidden_field(&page, "kept_access");
    let masked = "x-access-token: ••••••";
    let again = [
        ("name", "P-2"),
        ("url", "127.0.0.1:9/#temp"),
        ("has_access", "1"),
        ("kept_access", &kept),
        ("proxy_user", "ann"),
        ("headers", masked),
        ("act", "add"),
    ];
    let added = site.submit("/printers/new", &again).await;
    assert_eq!(added.status(), 303, "{}", added.text().await.expect("a page"));
    let id = super::header_value(&added, "location").trim_start_matches("/printers/").to_owned();
    let shown = async || {
        let request = site.http.get(format!("{}/api/v1/printers/{id}", site.base)).bearer_auth(super::ADMIN_TOKEN);
        let body: Value = send(request).await.json().await.expect("JSON");
        ["proxy_user", "header_names", "camera_url_set"].map(|name| body[name].clone()).to_vec()
    };
    assert_eq!(shown().await, [json!("ann"), json!(["x-access-token"]), json!(true)]);

    let path = format!("/printers/{id}/settings");
    let settings = send(site.get(&path)).await.text().await.expect("a page");
    assert!(settings.contains(masked) && !settings.contains(token), "{settings}");
    let save = async |headers: &str, user: &str, remove_camera: bool| {
        let page = send(site.get(&path)).await.text().await.expect("a page");
        let version = hidden_field(&page, "version");
        let mut fields = vec![
            ("version", version.as_str()),
            ("name", "P-2"),
            ("url", "http://127.0.0.1:9"),
            ("enabled", "1"),
            ("has_access", "1"),
            ("proxy_user", user),
            ("headers", headers),
        ];
        if remove_camera {
            fields.push(("remove_camera", "1"));
        }
        let saved = site.submit(&path, &fields).await;
        assert_eq!(saved.status(), 303, "{}", saved.text().await.expect("a page"));
    };
    save(masked, "ann", false).await;
    assert_eq!(shown().await, [json!("ann"), json!(["x-access-token"]), json!(true)], "nothing was changed");
    save("x-access-token: ••••••\r\nX-Hall: 3", "bob", true).await;
    assert_eq!(shown().await, [json!("bob"), json!(["x-access-token", "x-hall"]), json!(false)]);
    save("X-Hall: ••••••", "", false).await;
    assert_eq!(shown().await, [Value::Null, json!(["x-hall"]), json!(false)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_settings_page_tests_what_was_typed_and_keeps_stored_secrets() {
    let site = DashboardSite::start(1).await;
    let printer = &site.farm.printers()[0];
    let proxy =
        ReverseProxy::start(printer.url(), &[&basic_auth_header("ann", "front-password-1")], LOGIN_REFUSAL, None).await;
    let url = format!("http://127.0.0.1:{}", proxy.port);
    let fields = [
        ("name", "behind"),
        ("url", url.as_str()),
        ("api_key", printer.api_key()),
        ("has_access", "1"),
        ("proxy_user", "ann"),
        ("proxy_password", "front-password-1"),
    ];
    let added = site.submit("/printers/new", &fields).await;
    assert_eq!(added.status(), 303, "{}", added.text().await.expect("a page"));
    let path = format!("{}/settings", super::header_value(&added, "location"));
    let settings = send(site.get(&path)).await.text().await.expect("a page");
    assert!(settings.contains("value=\"test\" formtarget=\"tested\"") && settings.contains("<iframe"), "{settings}");
    let version = hidden_field(&settings, "version");
    let test = async |more: &[(&str, &str)]| {
        let mut fields = vec![("version", version.as_str()), ("name", "behind"), ("has_access", "1"), ("act", "test")];
        fields.extend(more);
        site.submit(&path, &fields).await.text().await.expect("a page")
    };
    for (case, typed, words) in [
        (
            "stored secrets",
            [("url", url.as_str()), ("proxy_user", "ann"), ("api_key", "")],
            "accepts the API key of admin",
        ),
        ("another key", [("url", &url), ("proxy_user", "ann"), ("api_key", "wrong")], "does not accept this API key"),
        ("no user", [("url", &url), ("proxy_user", ""), ("api_key", "")], "refuses access"),
        (
            "another address",
            [("url", printer.url()), ("proxy_user", "ann"), ("api_key", "")],
            "accepts the API key of admin",
        ),
        ("no address", [("url", ""), ("proxy_user", "ann"), ("api_key", "")], "must be an address"),
    ] {
        let page = test(&typed).await;
        assert!(page.contains(words), "{case}: {page}");
    }
    let settings = send(site.get(&path)).await.text().await.expect("a page");
    assert!(settings.contains(&url) && hidden_field(&settings, "version") == version, "nothing was stored: {settings}");
}

/// Returns the hidden fields of a page, and the address on its button.
fn suggested_fields(page: &str) -> Vec<(String, String)> {
    let inputs = page.split("<input type=\"hidden\" name=\"").skip(1);
    let pair = |part: &str| {
        let (name, rest) = part.split_once("\" value=\"").unwrap_or_else(|| panic!("no value: {page}"));
        (name.to_owned(), rest.split('"').next().unwrap_or_default().to_owned())
    };
    inputs.map(pair).chain(std::iter::once(("use_url".to_owned(), hidden_field(page, "use_url")))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_target_of_a_redirect_is_a_button_that_keeps_everything_else() {
    let site = DashboardSite::start(1).await;
    let another = Farm::start(FarmConfig::default()).await.expect("a farm");
    let printer = &another.printers()[0];
    let target = printer.url().trim_end_matches('/');
    let refusal = format!("HTTP/1.1 301 Moved Permanently\r\nlocation: {target}/api/version");
    let proxy = ReverseProxy::start(target, &["x-never: sent"], &refusal, None).await;
    let url = format!("http://127.0.0.1:{}", proxy.port);
    let press = async |path: &str, page: &str| {
        assert!(page.contains(&format!(">Use {target}</button>")) && page.contains("target=\"_top\""), "{page}");
        assert!(page.contains(&format!("action=\"{path}\"")), "{page}");
        for secret in [printer.api_key(), "proxy-secret-1", "header-secret-1"] {
            assert!(!page.contains(secret), "{secret}: {page}");
        }
        let fields = suggested_fields(page);
        let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let page = site.submit(path, &fields).await.text().await.expect("a page");
        assert!(page.contains(&format!("name=\"url\" value=\"{target}\"")), "{page}");
        page
    };
    let typed = [
        ("name", "moved"),
        ("url", url.as_str()),
        ("api_key", printer.api_key()),
        ("tags", "hall-a"),
        ("has_access", "1"),
        ("proxy_user", "ann"),
        ("proxy_password", "proxy-secret-1"),
        ("headers", "X-Token: header-secret-1"),
    ];
    let tested: Vec<_> = typed.into_iter().chain([("act", "test")]).collect();
    let answer = site.submit("/printers/new", &tested).await;
    let policy = super::header_value(&answer, "content-security-policy").to_owned();
    assert!(policy.contains("form-action 'self'"), "{policy}");
    let page = press("/printers/new", &answer.text().await.expect("a page")).await;
    assert!(
        page.contains("value=\"moved\"") && page.contains("value=\"hall-a\"") && page.contains("x-token: •"),
        "{page}"
    );
    let (key, access) = (kept_key(&page), hidden_field(&page, "kept_access"));
    let fields = [
        ("name", "moved"),
        ("url", url.as_str()),
        ("kept_key", key.as_str()),
        ("has_access", "1"),
        ("kept_access", access.as_str()),
        ("proxy_user", "ann"),
        ("headers", "x-token: ••••••"),
        ("act", "add"),
    ];
    let added = site.submit("/printers/new", &fields).await;
    assert_eq!(added.status(), 303, "{}", added.text().await.expect("a page"));

    let path = format!("{}/settings", super::header_value(&added, "location"));
    let version = hidden_field(&send(site.get(&path)).await.text().await.expect("a page"), "version");
    let tested = [
        ("version", version.as_str()),
        ("name", "moved"),
        ("url", &url),
        ("notes", "beside the door"),
        ("has_access", "1"),
        ("proxy_user", "ann"),
        ("headers", "x-token: ••••••"),
        ("act", "test"),
    ];
    let answer = site.submit(&path, &tested).await.text().await.expect("a page");
    let page = press(&path, &answer).await;
    assert!(page.contains("beside the door") && page.contains("x-token: •"), "{page}");
}
