//! Searches for leaked secrets: the test stores known secrets and uses all functions. It then searches every response,
//! every log line at the finest level, and every file except the key file.

use std::{fs::File, process::Stdio};

use base64::{Engine, engine::general_purpose::STANDARD};
use printyard::{
    config::RawConfig,
    domain::printer_access::PrinterAccess,
    octoprint::OctoPrint,
    outbound::{Networks, Outbound},
};
use reqwest::{Method, RequestBuilder, StatusCode, header};
use serde_json::{Value, json};

use crate::support::{
    process::{ADMIN_TOKEN, ServerProcess},
    server::start_farm,
};

const WRONG_KEY: &str = "CanaryWrongKey7d1f0c55aa";
const WRONG_TOKEN: &str = "pyd_CanaryWrongToken0123456789abcdefghijklmn";
const PASSWORD: &str = "CanaryPassword5512";
const PROXY_PASSWORD: &str = "CanaryProxyPassword81b2";
const HEADER_VALUE: &str = "CanaryHeaderValue4c9e";
const CAMERA_PASSWORD: &str = "CanaryCameraPassword77";
const SECRET_KEY: &str = "c0ffee11c0ffee22c0ffee33c0ffee44c0ffee55c0ffee66c0ffee77c0ffee88";

/// The stored secrets, each with a name for the report.
#[derive(Default)]
struct Canaries(Vec<(&'static str, String)>);

impl Canaries {
    fn plant(&mut self, name: &'static str, secret: &str) {
        assert!(secret.len() >= 8, "{name} is too short for a search");
        self.0.push((name, secret.to_owned()));
    }

    /// Returns the names of the secrets in these bytes: as plain text, in base64, or as a list of numbers.
    fn find_in(&self, bytes: &[u8]) -> Vec<&'static str> {
        let holds = |part: &str| bytes.windows(part.len()).any(|window| window == part.as_bytes());
        let is_leaked = |secret: &str| {
            let numbers = format!("{:?}", secret.as_bytes());
            let encoded = STANDARD.encode(secret);
            // The last base64 group depends on the bytes that follow.
            holds(secret) || holds(&encoded[..encoded.len() / 4 * 4 - 4]) || holds(numbers.trim_matches(['[', ']']))
        };
        self.0.iter().filter(|(_, secret)| is_leaked(secret)).map(|(name, _)| *name).collect()
    }
}

/// Sends requests and records secrets in their responses.
struct LeakProber {
    server: ServerProcess,
    canaries: Canaries,
    leaks: Vec<String>,
    cookie: String,
    requests: usize,
}

impl LeakProber {
    fn api_request(&self, method: Method, path: &str) -> RequestBuilder {
        self.server.request(method, path).bearer_auth(ADMIN_TOKEN)
    }

    fn page_request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.server.request(method, path).header("Sec-Fetch-Site", "same-origin");
        request.header(header::COOKIE, format!("printyard_session={}", self.cookie))
    }

    /// Sends a request and records a leak if the response contains a secret. Returns status and body.
    async fn send(&mut self, what: &str, request: RequestBuilder) -> (StatusCode, Value) {
        self.requests += 1;
        let mut answer = request.send().await.expect("an answer");
        let (status, headers) = (answer.status(), answer.headers().clone());
        let mut body = Vec::new();
        // A stream of events does not end, so only its beginning is read.
        let endless = headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/event"));
        while let Some(chunk) = answer.chunk().await.expect("a body") {
            body.extend_from_slice(&chunk);
            if endless {
                break;
            }
        }
        for name in self.canaries.find_in(&body) {
            self.leaks.push(format!("{name} in the body of {what} ({status})"));
        }
        for (header, value) in &headers {
            for name in self.canaries.find_in(value.as_bytes()) {
                self.leaks.push(format!("{name} in the header {header} of {what} ({status})"));
            }
        }
        (status, serde_json::from_slice(&body).unwrap_or_default())
    }

    async fn post(&mut self, path: &str, body: Value) -> (StatusCode, Value) {
        let request = self.api_request(Method::POST, path).json(&body);
        self.send(&format!("POST {path} {}", body.to_string().len()), request).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_in_an_answer_a_log_line_or_the_database() {
    let farm = start_farm(2).await;
    let dir = tempfile::tempdir().expect("a folder");
    let log = dir.path().join("log");
    let file = File::create(&log).expect("a file");
    let variables = [("RUST_LOG", "trace"), ("PRINTYARD_SECRET_KEY", SECRET_KEY)];
    let server = ServerProcess::start_with(dir.path(), &variables, Stdio::from(file)).await;
    let mut canaries = Canaries::default();
    canaries.plant("a wrong key", WRONG_KEY);
    canaries.plant("a wrong token", WRONG_TOKEN);
    canaries.plant("the password of an address", PASSWORD);
    canaries.plant("the password of a proxy", PROXY_PASSWORD);
    canaries.plant("the login of a proxy", &STANDARD.encode(format!("ann:{PROXY_PASSWORD}")));
    canaries.plant("the value of a header", HEADER_VALUE);
    canaries.plant("the password of a camera", CAMERA_PASSWORD);
    canaries.plant("the secret key", SECRET_KEY);
    canaries.plant("the admin token", ADMIN_TOKEN);
    for printer in farm.printers() {
        canaries.plant("a printer's key", printer.api_key());
    }
    let mut prober = LeakProber { server, canaries, leaks: Vec::new(), cookie: String::new(), requests: 0 };

    // The three responses that may show a secret to its owner. They are not checked for leaks.
    let request = prober.api_request(Method::POST, "/api/v1/tokens").json(&json!({"name": "erp", "role": "viewer"}));
    let token: Value = request.send().await.expect("an answer").json().await.expect("JSON");
    let token = token["token"].as_str().expect("a token").to_owned();
    prober.canaries.plant("a token", &token);
    let body = json!({"url": "http://127.0.0.1:9/", "types": ["printer.registered"]});
    let request = prober.api_request(Method::POST, "/api/v1/webhooks").json(&body);
    let hook: Value = request.send().await.expect("an answer").json().await.expect("JSON");
    prober.canaries.plant("what signs for a webhook", hook["secret"].as_str().expect("a secret"));
    let login = prober.server.request(Method::GET, &format!("/login?token={ADMIN_TOKEN}"));
    let login = send_without_redirects(login).await;
    let cookie = login[header::SET_COOKIE].to_str().expect("text");
    let cookie = cookie.split(['=', ';']).nth(1).expect("a value").to_owned();
    prober.canaries.plant("a session", &cookie);
    prober.cookie = cookie;

    let ids = drive_registry(&mut prober, farm.printers()).await;
    let path = format!("/api/v1/webhooks/{}", hook["id"].as_str().expect("an id"));
    assert_eq!(prober.post(&format!("{path}/test"), json!({})).await.0, StatusCode::OK);
    for path in [path.clone(), format!("{path}/deliveries"), "/api/v1/webhooks".to_owned()] {
        let request = prober.api_request(Method::GET, &path);
        prober.send(&path, request).await;
    }
    let request = prober.page_request(Method::GET, "/webhooks");
    prober.send("the page of webhooks", request).await;
    drive_errors(&mut prober, &token).await;
    drive_commands(&mut prober, &ids).await;
    drive_pages(&mut prober, &ids).await;

    let (mut leaks, canaries) = (std::mem::take(&mut prober.leaks), std::mem::take(&mut prober.canaries));
    let requests = prober.requests;
    prober.server.kill();
    let text = std::fs::read_to_string(&log).expect("a log");
    assert!(text.lines().count() > requests && text.contains("TRACE"), "the log has the level trace");
    for line in text.lines() {
        for name in canaries.find_in(line.as_bytes()) {
            leaks.push(format!("{name} in the log: {line}"));
        }
    }
    let uploads = std::fs::read_dir(dir.path().join("uploads")).expect("the folder of uploads");
    let entries = std::fs::read_dir(dir.path()).expect("read").chain(uploads);
    for path in entries.map(|entry| entry.expect("read").path()).filter(|path| !path.is_dir()) {
        for name in canaries.find_in(&std::fs::read(&path).expect("a file")).into_iter().filter(|_| path != log) {
            leaks.push(format!("{name} in {}", path.display()));
        }
    }
    leaks.dedup();
    assert!(leaks.is_empty(), "{} leaks:\n{}", leaks.len(), leaks.join("\n"));
}

/// Returns the headers of a response without following its redirect.
async fn send_without_redirects(request: RequestBuilder) -> reqwest::header::HeaderMap {
    let request = request.build().expect("a request");
    #[expect(clippy::disallowed_methods, reason = "the test is a browser, and looks at a redirect")]
    let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build();
    client.expect("a client").execute(request).await.expect("an answer").headers().clone()
}

/// Encodes a form as a browser does.
fn with_form(request: RequestBuilder, fields: &[(&str, &str)]) -> RequestBuilder {
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded").body(body)
}

/// Returns the credentials for a web server in front of OctoPrint, and a camera that does not exist.
fn proxy_settings() -> Value {
    json!({
        "proxy_auth": {"user": "ann", "password": PROXY_PASSWORD},
        "headers": {"X-Access-Token": HEADER_VALUE},
        "camera_url": format!("http://cam:{CAMERA_PASSWORD}@127.0.0.1:9/shot"),
    })
}

async fn drive_registry(prober: &mut LeakProber, printers: &[printyard::simulator::SimulatedPrinter]) -> Vec<String> {
    let mut ids = Vec::new();
    for printer in printers {
        let mut body = json!({"name": printer.name(), "url": printer.url(), "api_key": printer.api_key()});
        for (name, value) in proxy_settings().as_object().expect("fields") {
            body[name] = value.clone();
        }
        let (status, body) = prober.post("/api/v1/printers", body).await;
        assert_eq!(status, StatusCode::CREATED);
        ids.push(body["id"].as_str().expect("an id").to_owned());
        let body = json!({"name": printer.name(), "url": printer.url(), "api_key": printer.api_key()});
        assert_eq!(prober.post("/api/v1/printers", body).await.0, StatusCode::CONFLICT);
        for key in [printer.api_key(), WRONG_KEY] {
            let mut body = json!({"url": printer.url(), "api_key": key});
            prober.post("/api/v1/printers/test", body.clone()).await;
            for name in ["proxy_auth", "headers"] {
                body[name] = proxy_settings()[name].clone();
            }
            prober.post("/api/v1/printers/test", body).await;
        }
    }
    let path = format!("/api/v1/printers/{}", ids[1]);
    for key in [WRONG_KEY, printers[1].api_key()] {
        let request = prober.api_request(Method::PATCH, &path).json(&json!({"api_key": key}));
        assert_eq!(prober.send("PATCH of a key", request).await.0, StatusCode::OK);
        let request = prober.api_request(Method::GET, &format!("{path}/job"));
        prober.send("GET job", request).await;
        prober.post(&format!("{path}/job"), json!({"command": "pause"})).await;
    }
    for change in [
        json!({"proxy_auth": {"password": PROXY_PASSWORD}}),
        json!({"headers": {"X-Other": HEADER_VALUE}}),
        json!({"camera_url": format!("http://cam:{CAMERA_PASSWORD}@127.0.0.1:9/other")}),
    ] {
        let request = prober.api_request(Method::PATCH, &path).json(&change);
        assert_eq!(prober.send("PATCH of a secret", request).await.0, StatusCode::OK);
    }
    // Addresses without an OctoPrint.
    for url in ["http://127.0.0.1:9", "http://no-such-host.invalid", "http://169.254.169.254"] {
        prober.post("/api/v1/printers/test", json!({"url": url, "api_key": WRONG_KEY})).await;
    }
    let gone = json!({"name": "gone", "url": "http://127.0.0.1:9", "api_key": WRONG_KEY});
    let (_, gone) = prober.post("/api/v1/printers", gone).await;
    ids.push(gone["id"].as_str().expect("an id").to_owned());
    ids
}

async fn drive_errors(prober: &mut LeakProber, token: &str) {
    let with_password = format!("http://ann:{PASSWORD}@127.0.0.1:9/");
    let bodies = [
        json!({"name": "x", "url": with_password, "api_key": WRONG_KEY}),
        json!({"name": "x", "url": format!("http://ann:{PASSWORD}@127.0.0.1:x/")}),
        json!({"name": "x", "url": "http://h", "api_key": [WRONG_KEY]}),
        json!({"name": "x", "url": "http://h", "api_key": {"key": WRONG_KEY}}),
        json!({"name": "x", "url": "http://h", "api_key": format!("{WRONG_KEY} {WRONG_KEY}")}),
        json!({"name": "x", "url": "http://h", "enabled": WRONG_KEY}),
        json!({"name": "x", "url": "http://h", "nozzle_mm": WRONG_KEY}),
        json!({"name": "x", "url": "http://h", "bed_mm": WRONG_KEY}),
        json!({"name": "x", "url": "http://h", "color": WRONG_KEY}),
        json!({"name": "x", "url": WRONG_KEY}),
        json!({"name": "x", "url": "http://h", "tags": WRONG_KEY}),
        json!({"name": "x", "url": "http://h", "apikey": WRONG_KEY}),
        json!({"name": "x", "url": "http://h", "proxy_auth": {"user": "a:b", "password": PROXY_PASSWORD}}),
        json!({"name": "x", "url": "http://h", "proxy_auth": {"user": "a", "password": [PROXY_PASSWORD]}}),
        json!({"name": "x", "url": "http://h", "proxy_auth": PROXY_PASSWORD}),
        json!({"name": "x", "url": "http://h", "headers": {"Host": HEADER_VALUE}}),
        json!({"name": "x", "url": "http://h", "headers": {"X-A": format!("{HEADER_VALUE}\nx")}}),
        json!({"name": "x", "url": "http://h", "headers": HEADER_VALUE}),
        json!({"name": "x", "url": "http://h", "ca_certificate": HEADER_VALUE}),
        json!({"name": "x", "url": "http://h", "camera_url": format!("ftp://cam:{CAMERA_PASSWORD}@h")}),
        json!({"name": token, "role": WRONG_KEY}),
        json!({"command": WRONG_KEY, "select": {"printer_ids": [WRONG_KEY]}}),
        json!(WRONG_KEY),
        json!([WRONG_KEY]),
    ];
    for path in ["/api/v1/printers", "/api/v1/printers/test", "/api/v1/tokens", "/api/v1/batches"] {
        for body in &bodies {
            let (status, _) = prober.post(path, body.clone()).await;
            assert!(status.is_client_error(), "{path}: {status}");
        }
        for text in
            [format!("{{\"api_key\": \"{WRONG_KEY}\""), format!("{{{WRONG_KEY}"), format!("api_key={WRONG_KEY}")]
        {
            let request =
                prober.api_request(Method::POST, path).header(header::CONTENT_TYPE, "application/json").body(text);
            assert!(prober.send("POST of no JSON", request).await.0.is_client_error());
        }
    }
    for credentials in [format!("Bearer {WRONG_TOKEN}"), format!("Basic {}", STANDARD.encode(WRONG_TOKEN))] {
        let request = prober.server.request(Method::GET, "/api/v1/me").header(header::AUTHORIZATION, credentials);
        assert_eq!(prober.send("a wrong token", request).await.0, StatusCode::UNAUTHORIZED);
    }
    let request = prober.server.request(Method::POST, "/api/v1/tokens").bearer_auth(token).json(&json!({}));
    assert_eq!(prober.send("a role that is too small", request).await.0, StatusCode::FORBIDDEN);
    let request = prober.server.request(Method::GET, &format!("/login?token={WRONG_TOKEN}"));
    assert_eq!(prober.send("a wrong link", request).await.0, StatusCode::UNAUTHORIZED);
    let request = with_form(prober.page_request(Method::POST, "/login"), &[("token", WRONG_TOKEN)]);
    assert_eq!(prober.send("a wrong login", request).await.0, StatusCode::UNAUTHORIZED);
}

async fn drive_commands(prober: &mut LeakProber, ids: &[String]) {
    for command in ["start", "pause", "resume", "toggle", "restart", "cancel", "disconnect", "connect"] {
        for id in ids {
            let request =
                prober.api_request(Method::POST, &format!("/api/v1/printers/{id}/job")).header("Prefer", "wait=2");
            prober.send(command, request.json(&json!({"command": command}))).await;
        }
        let (_, body) = prober.post("/api/v1/batches", json!({"command": command, "select": {"all": true}})).await;
        if let Some(id) = body["id"].as_str() {
            for path in [format!("/api/v1/batches/{id}"), format!("/api/v1/batches/{id}/commands")] {
                let request = prober.api_request(Method::GET, &path);
                prober.send("a batch", request).await;
            }
        }
    }
    for path in ["me", "printers", "batches", "prints", "tokens"] {
        let request = prober.api_request(Method::GET, &format!("/api/v1/{path}"));
        assert_eq!(prober.send(path, request).await.0, StatusCode::OK, "{path}");
    }
    for id in ids {
        for part in ["", "/job", "/files", "/snapshot"] {
            let request = prober.api_request(Method::GET, &format!("/api/v1/printers/{id}{part}"));
            prober.send(part, request).await;
        }
    }
}

async fn drive_pages(prober: &mut LeakProber, ids: &[String]) {
    let printer = format!("/printers/{}", ids[0]);
    let settings = format!("{printer}/settings");
    for path in
        ["/", "/stream", "/batches", "/printers/new", &printer, &settings, "/audit", "/login", "/api/docs", "/nowhere"]
    {
        let request = prober.page_request(Method::GET, path);
        prober.send(path, request).await;
    }
    for path in ["/api/openapi.json", "/healthz", "/readyz", "/metrics"] {
        let request = prober.api_request(Method::GET, path);
        prober.send(path, request).await;
    }
    for act in ["test", "add"] {
        for url in ["http://127.0.0.1:9", "nowhere", &format!("http://ann:{PASSWORD}@127.0.0.1:9")] {
            let headers = format!("X-Access-Token: {HEADER_VALUE}");
            let camera = format!("http://cam:{CAMERA_PASSWORD}@127.0.0.1:9/shot");
            let fields = [
                ("name", "form"),
                ("url", url),
                ("api_key", WRONG_KEY),
                ("proxy_user", "ann"),
                ("proxy_password", PROXY_PASSWORD),
                ("headers", &headers),
                ("camera_url", &camera),
                ("act", act),
            ];
            let request = with_form(prober.page_request(Method::POST, "/printers/new"), &fields);
            prober.send("the form of a printer", request).await;
        }
    }
}

/// Checks `{:?}` of the types that hold secrets: their output must not contain a secret.
#[test]
fn no_debug_output_shows_a_secret() {
    let outbound = Outbound::new(Networks::default()).expect("a client");
    let base = format!("http://ann:{PASSWORD}@127.0.0.1/").parse().expect("an address");
    let access = PrinterAccess {
        headers: [("x-access-token".to_owned(), HEADER_VALUE.to_owned())].into(),
        ..PrinterAccess::with_api_key(WRONG_KEY)
    };
    let client = OctoPrint::new(base, &access, outbound).expect("a client");
    let vault = printyard::secrets::Vault::from_keys(SECRET_KEY).expect("a key");
    let change = printyard::storage::printers::ApiKeyChange::Set(WRONG_KEY.into());
    let principal =
        printyard::service::access::Principal::server_admin(printyard::domain::audit::ActorKind::AdminToken);
    let shown = format!("{client:?} {vault:?} {:?} {change:?} {principal:?}", vault.ring());
    for secret in [WRONG_KEY, PASSWORD, HEADER_VALUE, SECRET_KEY] {
        assert!(!shown.contains(secret), "{shown}");
    }
    // These types do not implement `Debug`, so the compiler ensures that they cannot be printed.
    let raw_config = RawConfig { secret_key: Some(SECRET_KEY.to_owned()), ..RawConfig::default() };
    let refused = raw_config.validate().map(|_| ()).err();
    assert!(refused.is_none());
}
