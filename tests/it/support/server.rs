//! A whole Printyard in the test's own process, on its own port, used over HTTP.

use std::{path::PathBuf, time::Duration};

use printyard::{
    Server,
    config::{Config, RawConfig},
    domain::webhook::RetrySchedule,
    http::{api::middleware::rate_limit::RateLimit, limits::ServerLimits},
    service::{Services, sessions::LoginResult},
    simulator::{Farm, FarmConfig, SimulatedPrinter},
};
use reqwest::{
    Method, RequestBuilder, StatusCode,
    header::HeaderMap,
    multipart::{Form, Part},
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use super::wait;

/// The admin token, which is always valid.
pub const ADMIN_TOKEN: &str = "test-admin-token-0123456789";
/// Deadline for a printer to be online on a busy machine.
const ONLINE_WITHIN: Duration = Duration::from_secs(20);
/// Deadline for every request of a test. A longer request hangs.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// Settings that a test can choose.
#[derive(Clone)]
pub struct ServerOptions {
    /// Whether an occupied plate prevents a start.
    pub plate_gate: bool,
    /// The database URL. Without one the server uses SQLite in a temporary folder.
    pub database_url: Option<String>,
    /// The rate limit of a token.
    pub rate_limit: RateLimit,
    /// The limits of one client.
    pub server_limits: ServerLimits,
    /// Trusted proxies, as in the setting.
    pub trusted_proxies: Option<String>,
    /// Certificate and key, as PEM files.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// The retry schedule of webhooks.
    pub webhooks: RetrySchedule,
    /// An upload ends when its printer accepts no data for this long.
    pub upload_silence: Option<Duration>,
    /// Maximum size of the library, in bytes.
    pub files_quota: Option<u64>,
    /// Settings that the fields above do not cover.
    pub raw_config: RawConfig,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            plate_gate: true,
            database_url: None,
            rate_limit: RateLimit::unlimited(),
            server_limits: ServerLimits::default(),
            trusted_proxies: None,
            tls: None,
            webhooks: RetrySchedule::default(),
            upload_silence: None,
            files_quota: None,
            raw_config: RawConfig::default(),
        }
    }
}

/// A running server. Dropping it ends it.
pub struct TestServer {
    /// Has no slash at its end.
    pub url: String,
    pub services: Services,
    client: reqwest::Client,
    stop: CancellationToken,
    task: Option<JoinHandle<anyhow::Result<()>>>,
    folder: Option<TempDir>,
    options: ServerOptions,
}

/// A response: status, body as JSON (null without a body), and headers.
pub type JsonResponse = (StatusCode, Value, HeaderMap);

impl TestServer {
    /// Starts a server with a fresh database.
    pub async fn start() -> Self {
        Self::start_with(ServerOptions::default()).await
    }

    /// Starts a server with other settings.
    pub async fn start_with(options: ServerOptions) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        Self::start_in(folder, options, "127.0.0.1:0").await
    }

    async fn start_in(folder: TempDir, options: ServerOptions, listen: &str) -> Self {
        let server_config = build_config(&folder, &options);
        let mut server = Server::start(&server_config).await.expect("the server starts");
        server.rate_limits = options.rate_limit;
        server.client_limits = options.server_limits;
        let services = server.services.clone();
        let listener = TcpListener::bind(listen).await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let stop = CancellationToken::new();
        let task = tokio::spawn(server.serve(listener, stop.clone().cancelled_owned()));
        let client = super::http_client();
        Self { url, services, client, stop, task: Some(task), folder: Some(folder), options }
    }

    /// Stops the server cleanly.
    pub async fn stop(mut self) {
        self.stop_task().await;
    }

    /// Stops the server cleanly, and starts it again on the same data and another port.
    pub async fn restart(mut self) -> Self {
        self.stop_task().await;
        let folder = self.folder.take().expect("the folder of a server that runs");
        Self::start_in(folder, self.options.clone(), "127.0.0.1:0").await
    }

    /// Stops the server cleanly; `start_again` starts it again.
    pub async fn shut_down(&mut self) {
        self.stop_task().await;
    }

    /// Starts a server again after `shut_down`, on the same data and the same port.
    pub async fn start_again(mut self) -> Self {
        let folder = self.folder.take().expect("the folder of a server that went away");
        Self::start_in(folder, self.options.clone(), self.url.trim_start_matches("http://")).await
    }

    async fn stop_task(&mut self) {
        self.stop.cancel();
        if let Some(task) = self.task.take() {
            task.await.expect("no panic").expect("a clean end");
        }
    }

    /// Returns the data folder.
    pub fn data_dir(&self) -> PathBuf {
        self.folder.as_ref().expect("the folder of a server").path().to_owned()
    }

    /// Adds a file to the library.
    pub async fn upload_file(&self, folder: &str, name: &str, content: impl Into<Vec<u8>>) -> JsonResponse {
        let file = Part::bytes(content.into()).file_name(name.to_owned());
        let form = Form::new().text("folder", folder.to_owned()).part("file", file);
        send_request(self.request(Method::POST, "/api/v1/files").multipart(form)).await
    }

    /// Builds a request as the admin, for requests without a helper below.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.request_without_auth(method, path).bearer_auth(ADMIN_TOKEN)
    }

    /// Builds a request without credentials.
    pub fn request_without_auth(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url)).timeout(DEADLINE)
    }

    /// Sends a `GET` as the admin.
    pub async fn get(&self, path: &str) -> JsonResponse {
        send_request(self.request(Method::GET, path)).await
    }

    /// Sends a `POST` with JSON as the admin.
    pub async fn post(&self, path: &str, body: Value) -> JsonResponse {
        send_request(self.request(Method::POST, path).json(&body)).await
    }

    /// Sends a `POST` with JSON as the admin, and waits up to 30 s for the end of the batch.
    pub async fn post_and_wait(&self, path: &str, body: Value) -> JsonResponse {
        send_request(self.request(Method::POST, path).header("Prefer", "wait=30").json(&body)).await
    }

    /// Sends a `PATCH` with JSON as the admin.
    pub async fn patch(&self, path: &str, body: Value) -> JsonResponse {
        send_request(self.request(Method::PATCH, path).json(&body)).await
    }

    /// Sends a `DELETE` as the admin.
    pub async fn delete(&self, path: &str) -> JsonResponse {
        send_request(self.request(Method::DELETE, path)).await
    }

    /// Creates a token of a role for all printers.
    pub async fn create_token(&self, role: &str) -> String {
        self.create_token_for(role, &[]).await
    }

    /// Creates a token of a role for printers with any of these tags.
    pub async fn create_token_for(&self, role: &str, tags: &[&str]) -> String {
        let (status, body, _) = self.post("/api/v1/tokens", json!({"name": role, "role": role, "tags": tags})).await;
        assert_eq!(status, StatusCode::CREATED, "{body}");
        body["token"].as_str().expect("a secret").to_owned()
    }

    /// Opens a session with a token. Returns the secret of its cookie.
    pub async fn open_session(&self, token: &str) -> String {
        match self.services.log_in_by_token(token, Default::default()).await.expect("no error") {
            LoginResult::LoggedIn { session: secret, .. } => secret,
            other => panic!("{other:?}"),
        }
    }

    /// Returns an expired admin token, and the secret of a session that was opened with it before.
    pub async fn create_expired_admin(&self) -> (String, String) {
        let (status, body, _) = self.post("/api/v1/tokens", json!({"name": "expires", "role": "admin"})).await;
        assert_eq!(status, StatusCode::CREATED, "{body}");
        let token = body["token"].as_str().expect("a secret").to_owned();
        let cookie = self.open_session(&token).await;
        // Rotation without overlap ends the token now, so the test does not depend on the machine's speed.
        let path = format!("/api/v1/tokens/{}/rotate", body["id"].as_str().expect("an id"));
        assert_eq!(self.post(&path, json!({"overlap_s": 0})).await.0, StatusCode::CREATED);
        (token, cookie)
    }

    /// Registers a simulated printer. Returns its id.
    pub async fn register_printer(&self, printer: &SimulatedPrinter) -> String {
        self.register_printer_with(printer, json!({})).await
    }

    /// Registers a simulated printer with further fields. Returns its id.
    pub async fn register_printer_with(&self, printer: &SimulatedPrinter, fields: Value) -> String {
        let mut body = json!({"name": printer.name(), "url": printer.url(), "api_key": printer.api_key()});
        for (name, value) in fields.as_object().expect("fields") {
            body[name] = value.clone();
        }
        let (status, body, _) = self.post("/api/v1/printers", body).await;
        assert_eq!(status, StatusCode::CREATED, "{body}");
        body["id"].as_str().expect("an id").to_owned()
    }

    /// Waits until a printer is online.
    pub async fn until_online(&self, id: &str) {
        let path = format!("/api/v1/printers/{id}");
        wait::until("the printer is online", ONLINE_WITHIN, async || {
            let (_, body, _) = self.get(&path).await;
            if body["status"]["reachability"] == "online" { Ok(()) } else { Err(body["status"].clone()) }
        })
        .await;
    }

    /// Waits until a printer is in a state. Returns the printer.
    pub async fn until_state(&self, id: &str, state: &str) -> Value {
        let path = format!("/api/v1/printers/{id}");
        wait::until(&format!("the printer is {state}"), ONLINE_WITHIN, async || {
            let (_, body, _) = self.get(&path).await;
            if body["status"]["state"] == state { Ok(body) } else { Err(body["status"].clone()) }
        })
        .await
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn build_config(folder: &TempDir, options: &ServerOptions) -> Config {
    let database = || format!("sqlite:{}", folder.path().join("printyard.db").display());
    let raw_config = RawConfig {
        listen: Some("127.0.0.1:0".to_owned()),
        database_url: Some(options.database_url.clone().unwrap_or_else(database)),
        data_dir: Some(folder.path().to_owned()),
        admin_token: Some(ADMIN_TOKEN.to_owned()),
        // The webhook receivers of the tests are on this machine.
        webhook_networks: options.raw_config.webhook_networks.clone().or_else(|| Some("127.0.0.0/8".to_owned())),
        plate_gate: Some(if options.plate_gate { "on" } else { "off" }.to_owned()),
        trusted_proxies: options.trusted_proxies.clone(),
        tls_cert: options.tls.as_ref().map(|(certificate, _)| certificate.clone()),
        tls_key: options.tls.as_ref().map(|(_, key)| key.clone()),
        ..options.raw_config.clone()
    };
    let mut config = raw_config.validate().expect("valid settings");
    config.settings.webhook_schedule = options.webhooks;
    config.settings.upload_idle_timeout = options.upload_silence;
    config.settings.files_quota = options.files_quota.unwrap_or(config.settings.files_quota);
    config
}

/// Sends a request and reads its response.
pub async fn send_request(request: RequestBuilder) -> JsonResponse {
    let response = request.send().await.expect("an answer");
    let (status, headers) = (response.status(), response.headers().clone());
    let bytes = response.bytes().await.expect("a whole answer");
    let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
    (status, body, headers)
}

/// Starts a farm of simulated printers with sample files, of which `bracket.gcode` is selected. It runs a hundred times
/// faster than real printers.
pub async fn start_farm(printers: usize) -> Farm {
    Farm::start(FarmConfig {
        printers,
        with_sample_files: true,
        selected_file: Some("bracket.gcode".to_owned()),
        time_scale: 100.0,
        ..FarmConfig::default()
    })
    .await
    .expect("a farm")
}

/// Starts a server with a registered farm whose printers are online. The ids are in the order of the printers.
pub async fn start_server_with_farm(printers: usize) -> (TestServer, Farm, Vec<String>) {
    let (server, farm) = (TestServer::start().await, start_farm(printers).await);
    let mut ids = Vec::new();
    for printer in farm.printers() {
        ids.push(server.register_printer(printer).await);
    }
    for id in &ids {
        server.until_online(id).await;
    }
    (server, farm, ids)
}
