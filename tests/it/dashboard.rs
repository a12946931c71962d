//! The dashboard over HTTP, as a browser without scripts uses it, and its live streams.

mod app_keys;
mod batches;
mod connection_test;
mod discover;
mod import;
mod languages;
mod library;
mod maintenance;
mod notice;
mod orders;
mod parts;
mod printer;
mod production;
mod queue;
mod statistics;
mod switch;
mod tags;
mod todo;
mod tokens;

use std::time::Duration;

use printyard::{
    Server,
    config::RawConfig,
    domain::{audit::ActorKind, printer::PrinterDetails, printer_access::PrinterAccess, state::PrinterState},
    service::{access::Principal, tokens::NewToken},
    simulator::{Farm, FarmConfig},
};
use reqwest::{RequestBuilder, Response, StatusCode};
use tokio::{net::TcpListener, sync::oneshot};

use crate::support::wait;

const ADMIN_TOKEN: &str = "a-token-for-the-tests";
const DEADLINE: Duration = Duration::from_secs(60);

/// A server with simulated printers, and a browser that follows no redirects and keeps its own cookie.
struct DashboardSite {
    base: String,
    http: reqwest::Client,
    cookie: String,
    services: printyard::service::Services,
    farm: Farm,
    ids: Vec<String>,
    end: Option<oneshot::Sender<()>>,
    _folder: tempfile::TempDir,
}

impl DashboardSite {
    async fn start(printers: usize) -> Self {
        let farm = Farm::start(FarmConfig {
            printers,
            with_sample_files: true,
            selected_file: Some("bracket.gcode".to_owned()),
            ..FarmConfig::default()
        });
        let farm = farm.await.expect("a simulated farm");
        let folder = tempfile::tempdir().expect("a folder");
        let config = RawConfig {
            listen: Some("127.0.0.1:0".to_owned()),
            database_url: Some(format!("sqlite:{}", folder.path().join("test.db").display())),
            data_dir: Some(folder.path().to_owned()),
            admin_token: Some(ADMIN_TOKEN.to_owned()),
            ..RawConfig::default()
        };
        let config = config.validate().expect("valid settings");
        let listener = TcpListener::bind(config.listen).await.expect("a port");
        let base = format!("http://{}", listener.local_addr().expect("an address"));
        let server = Server::start(&config).await.expect("a server");
        let services = server.services.clone();
        let (end, ended) = oneshot::channel::<()>();
        tokio::spawn(server.serve(listener, async {
            let _ = ended.await;
        }));
        let mut site = Self {
            base,
            http: build_client(),
            cookie: String::new(),
            services,
            farm,
            ids: Vec::new(),
            end: Some(end),
            _folder: folder,
        };
        for number in 0..printers {
            let id = site.register_printer(number, &format!("P-{}", number + 1), "all").await;
            site.ids.push(id);
        }
        site.cookie = site.log_in(ADMIN_TOKEN).await;
        // Waits until all data of an idle printer are read: its state, then its temperatures.
        let principal = Principal::server_admin(ActorKind::AdminToken);
        let online = || async {
            for id in &site.ids {
                let view = site.services.printer(&principal, id.parse().expect("an id")).await.expect("registered");
                if view.live.state != PrinterState::Operational || view.live.temperatures.is_empty() {
                    return Err(id.clone());
                }
            }
            Ok(())
        };
        wait::until("every printer is ready", DEADLINE, online).await;
        site
    }

    async fn register_printer(&self, number: usize, name: &str, tag: &str) -> String {
        let simulated = &self.farm.printers()[number];
        let mut details = PrinterDetails::new(name, simulated.url());
        details.tags = vec![tag.to_owned()];
        let principal = Principal::server_admin(ActorKind::AdminToken);
        let access = PrinterAccess::with_api_key(simulated.api_key());
        let view = self.services.register_printer(&principal, details, access).await.expect("registered");
        view.printer.id.to_string()
    }

    async fn log_in(&self, token: &str) -> String {
        let answer = send(self.http.get(format!("{}/login?token={token}", self.base))).await;
        assert_eq!(answer.status(), StatusCode::SEE_OTHER);
        let cookie = header_value(&answer, "set-cookie").to_owned();
        cookie.split(';').next().expect("a cookie").to_owned()
    }

    fn get(&self, path: &str) -> RequestBuilder {
        self.http.get(format!("{}{path}", self.base)).header("cookie", &self.cookie)
    }

    /// Builds a form request to a page.
    fn post(&self, path: &str, fields: &[(&str, &str)]) -> RequestBuilder {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        self.http
            .post(format!("{}{path}", self.base))
            .header("cookie", &self.cookie)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body)
    }

    async fn submit(&self, path: &str, fields: &[(&str, &str)]) -> Response {
        send(self.post(path, fields).header("sec-fetch-site", "same-origin")).await
    }

    async fn get_page(&self, path: &str) -> String {
        let answer = send(self.get(path)).await;
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        answer.text().await.expect("a page")
    }

    /// Sends a command to printers and waits until the page of its batch shows the end.
    async fn run_command(&self, fields: &[(&str, &str)]) -> String {
        let answer = self.submit("/batches", fields).await;
        assert_eq!(answer.status(), StatusCode::SEE_OTHER, "{fields:?}");
        let path = header_value(&answer, "location").to_owned();
        assert!(path.starts_with("/batches/"), "{path}");
        let ended = || async {
            let page = self.get_page(&path).await;
            if page.contains("data-state=\"final\"") { Ok(page) } else { Err("in progress") }
        };
        wait::until("the batch has ended", DEADLINE, ended).await
    }
}

impl Drop for DashboardSite {
    fn drop(&mut self) {
        drop(self.end.take());
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the tests look at the server from outside, past the guard of `outbound`"
)]
fn build_client() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
    builder.build().expect("a client")
}

async fn send(request: RequestBuilder) -> Response {
    request.send().await.expect("an answer")
}

fn header_value<'a>(answer: &'a Response, name: &str) -> &'a str {
    answer.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// Reads a stream until the received data contains `text`.
async fn read_until(stream: &mut Response, text: &str) -> String {
    let mut seen = String::new();
    let read = async {
        while let Some(bytes) = stream.chunk().await.expect("a stream") {
            seen.push_str(&String::from_utf8_lossy(&bytes));
            if seen.contains(text) {
                return;
            }
        }
    };
    let timely = tokio::time::timeout(DEADLINE, read).await;
    assert!(timely.is_ok() && seen.contains(text), "no {text} in: {seen}");
    seen
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_session_every_page_leads_to_the_login() {
    let site = DashboardSite::start(0).await;
    for path in ["/", "/batches", "/printers/new", "/stream", "/nowhere"] {
        let answer = send(site.http.get(format!("{}{path}", site.base))).await;
        assert_eq!(answer.status(), StatusCode::SEE_OTHER, "{path}");
        assert!(header_value(&answer, "location").starts_with("/login"), "{path}");
    }
    let answer = send(site.http.get(format!("{}/batches", site.base))).await;
    assert_eq!(header_value(&answer, "location"), "/login?next=%2Fbatches");
    let login = send(site.http.get(format!("{}/login", site.base))).await;
    assert_eq!(login.status(), StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_with_a_token_logs_in_and_leaves_no_trace_of_it() {
    let site = DashboardSite::start(0).await;
    let answer = send(site.http.get(format!("{}/login?token={ADMIN_TOKEN}", site.base))).await;
    assert_eq!((answer.status(), header_value(&answer, "location")), (StatusCode::SEE_OTHER, "/"));
    let cookie = header_value(&answer, "set-cookie");
    for part in ["printyard_session=", "HttpOnly", "SameSite=Lax", "Path=/", "Max-Age="] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert!(!cookie.contains(ADMIN_TOKEN));
    assert_eq!(header_value(&answer, "referrer-policy"), "no-referrer");
    assert_eq!(header_value(&answer, "cache-control"), "no-store");
    let wrong = send(site.http.get(format!("{}/login?token=wrong", site.base))).await;
    assert_eq!(wrong.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(header_value(&wrong, "set-cookie"), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_logout_the_session_is_over_on_the_server() {
    let site = DashboardSite::start(0).await;
    assert_eq!(site.submit("/logout", &[]).await.status(), StatusCode::SEE_OTHER);
    assert_eq!(send(site.get("/")).await.status(), StatusCode::SEE_OTHER);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_never_redirects_to_another_site() {
    let site = DashboardSite::start(0).await;
    for (next, expected) in [("/batches", "/batches"), ("//evil.example", "/"), ("https://evil.example", "/")] {
        let answer = site.submit("/login", &[("token", ADMIN_TOKEN), ("next", next)]).await;
        assert_eq!(header_value(&answer, "location"), expected, "{next}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_of_another_site_is_refused() {
    let site = DashboardSite::start(1).await;
    let fields = [("command", "start"), ("printer_id", site.ids[0].as_str())];
    let host = site.base.trim_start_matches("http://");
    let evil = [
        vec![],
        vec![("sec-fetch-site", "cross-site")],
        vec![("sec-fetch-site", "same-site")],
        vec![("origin", "http://evil.example")],
        vec![("origin", "null")],
    ];
    for headers in evil {
        let request = headers.iter().fold(site.post("/batches", &fields), |r, (name, value)| r.header(*name, *value));
        assert_eq!(send(request).await.status(), StatusCode::FORBIDDEN, "{headers:?}");
    }
    assert!(site.get_page("/batches").await.contains("No batches yet"), "no batch was created");
    let own = site.post("/batches", &fields).header("origin", format!("http://{host}"));
    assert_eq!(send(own).await.status(), StatusCode::SEE_OTHER);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_farm_lists_every_printer_and_escapes_their_names() {
    let site = DashboardSite::start(2).await;
    let name = "<script>alert('x')</script> & \"co\"";
    let mut details = PrinterDetails::new(name, "http://192.0.2.7");
    details.enabled = false;
    let principal = Principal::server_admin(ActorKind::AdminToken);
    let odd = site
        .services
        .register_printer(&principal, details, PrinterAccess::default())
        .await
        .expect("registered")
        .printer
        .id;
    let page = site.get_page("/").await;
    for id in &site.ids {
        assert!(page.contains(&format!("value=\"{id}\"")), "a checkbox for {id}");
    }
    assert!(!page.contains("<script>alert"), "a name is text, never markup");
    assert!(page.contains("&#60;script&#62;alert"), "{page}");
    assert!(!site.get_page(&format!("/printers/{odd}")).await.contains("<script>alert"));
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_narrow_the_farm() {
    let site = DashboardSite::start(3).await;
    let count = async |path: &str| site.get_page(path).await.matches("class=\"tile\"").count();
    assert_eq!(count("/").await, 3);
    assert_eq!(count("/?q=p-2").await, 1);
    assert_eq!(count("/?show=ready&tag=all").await, 3);
    assert_eq!(count("/?show=printing").await, 0);
    assert_eq!(count("/?tag=other").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_response_forbids_inline_and_external_resources() {
    let site = DashboardSite::start(1).await;
    for path in ["/", "/login", "/nowhere", "/batches", "/static/app.css", "/batches/none"] {
        let answer = send(site.get(path)).await;
        let policy = header_value(&answer, "content-security-policy");
        assert!(policy.contains("default-src 'self'") && policy.contains("frame-ancestors 'none'"), "{path}");
        assert!(!policy.contains("unsafe"), "{path}");
        assert_eq!(header_value(&answer, "x-content-type-options"), "nosniff", "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn assets_with_a_content_hash_are_cached_permanently() {
    let site = DashboardSite::start(0).await;
    let page = site.get_page("/").await;
    for name in ["app.css", "app.js"] {
        let from = page.find(&format!("/static/{name}?v=")).expect("a link");
        let path = page[from..].split('"').next().expect("an address");
        let answer = send(site.http.get(format!("{}{path}", site.base))).await;
        assert_eq!(answer.status(), StatusCode::OK);
        assert!(header_value(&answer, "cache-control").contains("immutable"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_page_has_links_and_is_json_for_programs() {
    let site = DashboardSite::start(0).await;
    let answer = send(site.get("/nowhere").header("accept", "text/html")).await;
    assert_eq!(answer.status(), StatusCode::NOT_FOUND);
    assert!(answer.text().await.expect("a page").contains("href=\"/\""));
    let answer = send(site.get("/nowhere").header("accept", "application/json")).await;
    assert_eq!(answer.status(), StatusCode::NOT_FOUND);
    assert_eq!(header_value(&answer, "content-type"), "application/problem+json");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_by_form_ends_in_confirmed_outcomes() {
    let site = DashboardSite::start(3).await;
    let mut fields: Vec<(&str, &str)> = site.ids.iter().map(|id| ("printer_id", id.as_str())).collect();
    fields.push(("command", "start"));
    let page = site.run_command(&fields).await;
    assert!(page.contains("All 3 started"), "{page}");
    assert!(page.contains("<b>3</b> started"), "{page}");
    let page = site.get_page("/?show=printing").await;
    assert_eq!(page.matches("class=\"tile\"").count(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_needs_confirmation_and_names_the_number_of_prints() {
    let site = DashboardSite::start(2).await;
    let all = [("all", "1"), ("command", "start")];
    site.run_command(&all).await;
    let printing = || async { site.get_page("/").await.matches("body is-printing").count() == 2 };
    wait::until("both print", DEADLINE, printing).await;
    let confirmation = site.submit("/batches", &[("all", "1"), ("command", "cancel")]).await;
    assert_eq!(confirmation.status(), StatusCode::OK);
    assert!(confirmation.text().await.expect("a page").contains("Cancel 2 prints?"));
    let page = site.run_command(&[("all", "1"), ("command", "cancel"), ("confirm", "1")]).await;
    assert!(page.contains("<b>2</b> cancelled"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_emergency_stop_asks_one_question_and_needs_no_number() {
    let site = DashboardSite::start(25).await;
    // Limits of the command bar do not concern it, whatever they contain.
    let form = [("all", "1"), ("command", "emergency_stop"), ("interval_s", "fast"), ("reason", "smoke")];
    let confirmation = site.submit("/batches", &form).await;
    assert_eq!(confirmation.status(), StatusCode::OK);
    let page = confirmation.text().await.expect("a page");
    assert!(page.contains("Emergency stop of 25 printers?"), "{page}");
    assert!(page.contains("M112 stops motors and heaters at once. Prints cannot be continued."), "{page}");
    assert_eq!(page.matches("name=\"printer_id\"").count(), 25);
    assert!(!page.contains("name=\"typed\""), "{page}");
    let mut fields: Vec<(&str, &str)> = site.ids.iter().map(|id| ("printer_id", id.as_str())).collect();
    fields.extend([("command", "emergency_stop"), ("confirm", "1"), ("reason", "smoke")]);
    let page = site.run_command(&fields).await;
    assert!(page.contains("<b>25</b> stopped") && page.contains("smoke"), "{page}");
    let again = [("printer_id", site.ids[0].as_str()), ("command", "emergency_stop"), ("confirm", "1")];
    let page = site.run_command(&again).await;
    assert!(page.contains("not_operational") && page.contains("power supply"), "{page}");
    let audit = site.get_page("/audit").await;
    assert!(audit.contains("made an emergency stop of 25 printers"), "{audit}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_preview_says_what_each_command_would_do() {
    let site = DashboardSite::start(2).await;
    let fields = [("printer_id", site.ids[0].as_str()), ("printer_id", site.ids[1].as_str())];
    let answer = site.submit("/batches/preview", &fields).await.text().await.expect("a fragment");
    assert!(answer.contains("Start 2 printers"), "{answer}");
    assert!(answer.contains("Pause 0 printers · 2 left as they are: not printing"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stream_sends_heartbeats_and_changed_tiles() {
    let site = DashboardSite::start(2).await;
    let page = site.get_page("/").await;
    let address = page.split("data-stream=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a stream");
    let mut stream = send(site.get(&address.replace("&#38;", "&"))).await;
    assert_eq!(header_value(&stream, "content-type"), "text/event-stream");
    read_until(&mut stream, "event: heartbeat").await;
    site.run_command(&[("printer_id", site.ids[0].as_str()), ("command", "start")]).await;
    let seen = read_until(&mut stream, "body is-printing").await;
    assert!(seen.contains("event: tiles") && seen.contains(&format!("p-{}", site.ids[0])), "{seen}");
    assert!(!seen.contains(&format!("id=\"p-{}\"", site.ids[1])), "the other printer has not changed");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_numbers_of_the_farm_are_sent_only_when_they_changed() {
    let site = DashboardSite::start(1).await;
    let mut stream = send(site.get("/stream")).await;
    let mut seen = read_until(&mut stream, "event: tiles").await;
    let principal = Principal::server_admin(ActorKind::AdminToken);
    let id = site.ids[0].parse().expect("an id");
    for name in ["P-first", "P-second"] {
        let patch = printyard::service::printers::PrinterPatch { name: Some(name.to_owned()), ..Default::default() };
        site.services.patch_printer(&principal, id, None, patch).await.expect("renamed");
        seen += &read_until(&mut stream, &format!(">{name}</a>")).await;
    }
    assert_eq!(seen.matches("event: strip").count(), 1, "{seen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_with_its_server() {
    let mut site = DashboardSite::start(0).await;
    let mut stream = send(site.get("/stream")).await;
    read_until(&mut stream, "event: heartbeat").await;
    drop(site.end.take());
    let to_the_end = async { while stream.chunk().await.ok().flatten().is_some() {} };
    assert!(tokio::time::timeout(DEADLINE, to_the_end).await.is_ok(), "the stream ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tag_limit_hides_other_printers_and_their_outcomes() {
    let mut site = DashboardSite::start(2).await;
    let principal = Principal::server_admin(ActorKind::AdminToken);
    let new = |tag: &str| NewToken {
        name: tag.to_owned(),
        role: printyard::domain::access::Role::Operator,
        tags: vec![tag.to_owned()],
        expires_at: None,
        requires_key: false,
    };
    let patch =
        printyard::service::printers::PrinterPatch { tags: Some(vec!["mine".to_owned()]), ..Default::default() };
    let mine = site.ids[0].parse().expect("an id");
    site.services.patch_printer(&principal, mine, None, patch).await.expect("tagged");
    let fields = [("all", "1"), ("command", "start")];
    let answer = site.submit("/batches", &fields).await;
    let batch = header_value(&answer, "location").to_owned();
    let (_, limited) =
        site.services.create_token(&Principal::server_admin(ActorKind::Terminal), new("mine")).await.expect("a token");
    let (_, stranger) = site
        .services
        .create_token(&Principal::server_admin(ActorKind::Terminal), new("others"))
        .await
        .expect("a token");
    site.cookie = site.log_in(&limited).await;
    let page = site.get_page("/").await;
    assert!(page.contains(&site.ids[0]) && !page.contains(&site.ids[1]));
    assert_eq!(send(site.get(&format!("/printers/{}", site.ids[1]))).await.status(), StatusCode::NOT_FOUND);
    let page = site.get_page(&batch).await;
    assert!(page.contains("P-1") && !page.contains("P-2"), "{page}");
    assert_eq!(site.submit(&format!("{batch}/stop"), &[]).await.status(), StatusCode::FORBIDDEN);
    site.cookie = site.log_in(&stranger).await;
    assert_eq!(send(site.get(&batch)).await.status(), StatusCode::NOT_FOUND);
    assert!(site.get_page("/batches").await.contains("No batches yet"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_cannot_send_commands() {
    let mut site = DashboardSite::start(1).await;
    let new = NewToken {
        name: "wall".to_owned(),
        role: printyard::domain::access::Role::Viewer,
        tags: Vec::new(),
        expires_at: None,
        requires_key: false,
    };
    let (_, token) =
        site.services.create_token(&Principal::server_admin(ActorKind::Terminal), new).await.expect("a token");
    site.cookie = site.log_in(&token).await;
    assert!(!site.get_page("/").await.contains("value=\"start\""));
    let fields = [("printer_id", site.ids[0].as_str()), ("command", "start")];
    assert_eq!(site.submit("/batches", &fields).await.status(), StatusCode::FORBIDDEN);
}
