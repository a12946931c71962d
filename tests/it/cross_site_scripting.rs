//! Cross-site scripting in a real browser. No text from a user, a program or a printer may run as script on any page,
//! before or after live updates.
//!
//! The places for texts are read from the OpenAPI document, the router and the forms of the pages. So the tests cover
//! later additions.

mod api_fields;
mod detector;
mod forms;
mod payloads;
mod printers;

use std::time::Duration;

use printyard::{
    clock,
    service::sessions::{Browser as Comes, LoginResult},
};
use serde_json::{Value, json};

use crate::support::{browser::Browser, needs, routes, server::TestServer, wait};

use detector::ScriptDetector;
use payloads::{PAYLOADS, PayloadLog, join_payloads};
use printers::{MODES, PayloadPrinters};

/// Deadline for a page to show something on a busy machine.
const DEADLINE: Duration = Duration::from_secs(60);
const PASSWORD: &str = "correct horse battery";

/// Places whose text must appear on some page. Otherwise the test proves nothing about them.
const SHOWN_PLACES: &[&str] = &[
    "PATCH /api/v1/files/{id} /folder",
    "PATCH /api/v1/files/{id} /name",
    "PATCH /api/v1/files/{id} /overrides/printer_model",
    "PATCH /api/v1/printers/{id} /material",
    "PATCH /api/v1/printers/{id} /model",
    "PATCH /api/v1/printers/{id} /name",
    "PATCH /api/v1/printers/{id} /notes",
    "PATCH /api/v1/printers/{id} /power_group",
    "PATCH /api/v1/printers/{id} /tags/*",
    "PATCH /api/v1/users/{id} /name",
    "PATCH /api/v1/users/{id} /tags/*",
    "PATCH /api/v1/webhooks/{id} /description",
    "POST /api/v1/plan/stop /reason",
    "POST /api/v1/printers /name",
    "POST /api/v1/printers /tags/*",
    "POST /api/v1/users /name",
    "POST /api/v1/webhooks /description",
    "a form: get /",
    "a form: post /login",
    "a form: post /printers/new act test",
    "a form: post /setup",
    "a tag of a user",
    "failed: its error",
    "moved: where it moved",
    "printing: its file",
    "printing: its heater",
    "ready: its file",
    "ready: its refusal",
    "ready: its user",
    "ready: its version",
    "refusing: its refusal",
    "strange: its state",
    "the name of a library file",
    "the name of a printer",
    "the name of an operator",
    "the name of the admin",
    "the reason of a batch",
];

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser, which tests/run provides"]
async fn no_text_runs_as_script_on_any_page() {
    let browser = needs!(Browser::start().await);
    let server = TestServer::start().await;
    let payloads = PayloadLog::default();
    let detector = ScriptDetector::new(browser, payloads.clone()).await;

    // Before the first user exists: the set-up link and the login by token.
    let key = server.services.create_setup_link().await.expect("no error").expect("a link");
    for path in ["/login".to_owned(), format!("/setup?key={key}")] {
        detector.visit(&format!("{}{path}", server.url)).await;
        forms::send_each_form(&detector, &format!("{}{path}", server.url), &[]).await;
    }

    let printers = PayloadPrinters::start(payloads.clone()).await;
    let ids = printers.register(&server).await;
    let pages = api_fields::send_payloads(&server, &payloads, &printers).await;
    printers.until_read(&server).await;
    let batches = send_batches(&server, &payloads, &ids).await;

    // Pages as seen by an admin and by an operator, whose name and tags are texts too. The admin sees the page of every
    // printer. All other pages of printers, and all pages as the operator sees them, are those of one printer of each mode
    // and of each kind of text.
    let sample: Vec<String> =
        (0..PAYLOADS.len()).map(|kind| ids[kind * MODES.len() + kind % MODES.len()].clone()).collect();
    let visits = [
        (log_in_admin(&server, &payloads).await, &ids, &pages[..]),
        (log_in_operator(&server, &payloads).await, &sample, &pages[..1]),
    ];
    for (session, ids, pages) in visits {
        detector.browser.open(&format!("{}/login", server.url)).await;
        detector.browser.set_cookie("printyard_session", &session).await;
        for (verb, route) in routes::list_page_routes() {
            for path in list_page_paths(&verb, &route, ids, &sample, pages, &batches) {
                detector.visit(&format!("{}{path}", server.url)).await;
            }
        }
    }
    let session = log_in_admin(&server, &payloads).await;
    detector.browser.set_cookie("printyard_session", &session).await;
    let (_, files, _) = server.get("/api/v1/files?limit=500").await;
    for file in files["items"].as_array().expect("files") {
        let folder: String =
            url::form_urlencoded::byte_serialize(file["folder"].as_str().unwrap_or_default().as_bytes()).collect();
        let page = format!("/files/{}", file["id"].as_str().expect("an id"));
        for path in [format!("/files?folder={folder}&view=grid"), format!("{page}/places"), page] {
            detector.visit(&format!("{}{path}", server.url)).await;
        }
    }
    for path in list_payload_paths() {
        detector.visit(&format!("{}{path}", server.url)).await;
    }
    check_live_updates(&server, &detector, &printers, &ids, &payloads).await;
    for path in [
        "/",
        "/account",
        "/files",
        "/users",
        "/webhooks",
        "/printers/new",
        "/printers/import",
        &format!("/printers/{}", ids[0]),
        &format!("/printers/{}/settings", ids[0]),
        &format!("/batches/{}", batches[0]),
        // May revoke the token of the session.
        "/todo",
        "/tokens",
        "/login",
    ] {
        // A connection test needs valid values.
        let known = [
            ("url", format!("{}/1/ready/of-forms", printers.url)),
            ("api_key", "K3Y".to_owned()),
            ("proxy_user", "ann".to_owned()),
            ("camera_url", String::new()),
        ];
        forms::send_each_form(&detector, &format!("{}{path}", server.url), &known).await;
    }
    detector.assert_shown(SHOWN_PLACES);
    detector.close().await;
    server.stop().await;
}

/// Returns the addresses of a route, or no address if the route is not a page. Each case states the reason. The pages below
/// that of a printer are visited for a sample of the printers.
pub fn list_page_paths(
    verb: &str,
    route: &str,
    printers: &[String],
    sample: &[String],
    other_printers: &[String],
    batches: &[String],
) -> Vec<String> {
    if verb != "GET" {
        // Forms are sent from the pages that contain them.
        return Vec::new();
    }
    let each = |ids: &[String], before: &str| ids.iter().map(|id| format!("{before}{id}")).collect();
    match route {
        "/printers/{id}/settings" => {
            [sample, other_printers].concat().iter().map(|id| format!("/printers/{id}/settings")).collect()
        }
        // These return a picture and fragments of pages.
        "/printers/{id}/camera"
        | "/printers/{id}/commands"
        | "/printers/{id}/production"
        | "/printers/keys/{id}"
        | "/printers/import/answers"
        | "/batches/{id}/summary" => Vec::new(),
        // The tests that upload a file visit its page.
        "/files/{id}" => Vec::new(),
        // `tests/it/dashboard/orders.rs` visits these, with markup in each text.
        "/queue/{id}" | "/parts/{number}" | "/parts/{number}/edit" => Vec::new(),
        // A download, a picture, and a fragment of a page.
        "/files/{id}/content" | "/files/contents/{sha256}/thumbnail" | "/files/{id}/places" => Vec::new(),
        // Redirects to another page.
        "/printers/discover" => Vec::new(),
        "/printers/{id}/files" => {
            [sample, other_printers].concat().iter().map(|id| format!("/printers/{id}/files")).collect()
        }
        "/printers/{id}" => each(&[printers, other_printers].concat(), "/printers/"),
        "/batches/{id}" => each(batches, "/batches/"),
        // Pages load these themselves.
        "/stream" | "/wall/stream" | "/batches/{id}/stream" | "/static/{*path}" => Vec::new(),
        plain => {
            assert!(!plain.contains('{'), "no addresses are listed for {plain}");
            vec![plain.to_owned()]
        }
    }
}

/// Returns pages with texts in their URLs.
fn list_payload_paths() -> Vec<String> {
    let text: String = url::form_urlencoded::byte_serialize(join_payloads(0).as_bytes()).collect();
    let names = ["q", "tag", "show", "view", "next", "key", "back", "since", "name", "id", "x"];
    let query: Vec<String> = names.iter().map(|name| format!("{name}={text}")).collect();
    let query = query.join("&");
    let mut all: Vec<String> = ["/", "/login", "/setup", "/batches", "/users", "/account", "/printers/new", "/nowhere"]
        .iter()
        .map(|path| format!("{path}?{query}"))
        .collect();
    for path in ["/", "/printers/", "/batches/", "/static/", "/api/v1/", "/api/v1/printers/"] {
        all.push(format!("{path}{}", text.replace('+', "%20")));
    }
    all.extend(PAYLOADS.iter().map(|kind| {
        let text: String = url::form_urlencoded::byte_serialize(kind(0).as_bytes()).collect();
        format!("/?q={text}&tag={text}&view=rows")
    }));
    all.push(format!("/login?token={text}"));
    all.push("/api/docs/".to_owned());
    all
}

/// Creates a user and logs in with a browser whose `User-Agent` is a text. Returns the session cookie.
async fn create_session(server: &TestServer, payloads: &PayloadLog, name: &str, body: Value) -> String {
    let (status, user, _) = server.post("/api/v1/users", body).await;
    assert_eq!(status, 201, "{user}");
    let browser = Comes { agent: payloads.create(1, "the name of a browser"), ..Comes::default() };
    match server.services.log_in(name, PASSWORD, browser).await.expect("no error") {
        LoginResult::LoggedIn { session: secret, .. } => secret,
        other => panic!("{other:?}"),
    }
}

async fn log_in_admin(server: &TestServer, payloads: &PayloadLog) -> String {
    let name = payloads.create(0, "the name of the admin");
    create_session(server, payloads, &name, json!({"name": name, "password": PASSWORD, "role": "admin"})).await
}

async fn log_in_operator(server: &TestServer, payloads: &PayloadLog) -> String {
    let name = payloads.create(1, "the name of an operator");
    let mut tags: Vec<String> = (0..PAYLOADS.len()).map(|kind| payloads.create(kind, "a tag of a user")).collect();
    tags.push("seen-by-all".to_owned());
    let body = json!({"name": name, "password": PASSWORD, "role": "operator", "tags": tags});
    create_session(server, payloads, &name, body).await
}

/// Sends batches to printers whose refusals contain texts. Returns the ids after all batches have ended.
async fn send_batches(server: &TestServer, payloads: &PayloadLog, ids: &[String]) -> Vec<String> {
    let mut batches = Vec::new();
    for (kind, command) in (0..PAYLOADS.len()).zip(["start", "pause", "cancel"].into_iter().cycle()) {
        let body = json!({"command": command, "select": {"printer_ids": ids}, "expires_in_s": 20,
            "reason": payloads.create(kind, "the reason of a batch"), "external_ref": payloads.create(kind, "an external_ref")});
        let (status, batch, _) = server.post("/api/v1/batches", body).await;
        assert_eq!(status, 202, "{batch}");
        batches.push(batch["id"].as_str().expect("an id").to_owned());
    }
    for id in &batches {
        wait::until("a batch has ended", DEADLINE, async || {
            let (_, batch, _) = server.get(&format!("/api/v1/batches/{id}")).await;
            if batch["result"].is_null() { Err(batch) } else { Ok(()) }
        })
        .await;
    }
    batches
}

/// Checks the texts that streams insert into open pages.
async fn check_live_updates(
    server: &TestServer,
    detector: &ScriptDetector,
    printers: &PayloadPrinters,
    ids: &[String],
    payloads: &PayloadLog,
) {
    let changing = ["printing: its file", "strange: its state", "failed: its error"];
    let until_texts_change = async |what: &[&str], since: usize, kinds: usize| {
        wait::until("the page shows the new texts", DEADLINE, async || {
            let seen = detector.check_page().await?;
            let fresh = |field: &str| payloads.numbers_at(field).filter(|n| *n >= since && seen.contains(n)).count();
            let counts: Vec<usize> = what.iter().map(|field| fresh(field)).collect();
            if counts.iter().all(|count| *count >= kinds) { Ok(()) } else { Err(format!("{counts:?}")) }
        })
        .await;
    };
    detector.visit(&format!("{}/", server.url)).await;
    let since = printers.change_texts();
    until_texts_change(&changing, since, PAYLOADS.len()).await;
    // The dry run before a batch is HTML too.
    let tick = "document.querySelectorAll('.farm .pick').forEach((box) => { if (!box.checked) box.click(); })";
    detector.browser.run(tick, Vec::new()).await.expect("ticked");
    wait::until("the buttons show the dry run", DEADLINE, async || {
        let titles = "return [...document.querySelectorAll('.bar .act')].some((button) => button.title)";
        detector.browser.run(titles, Vec::new()).await.map(|there| there == true).unwrap_or(false)
    })
    .await;
    detector.check_page().await.expect("a page");

    let printing = MODES.iter().position(|mode| *mode == "printing").expect("a mode");
    detector.visit(&format!("{}/printers/{}", server.url, ids[printing])).await;
    let since = printers.change_texts();
    until_texts_change(&changing[..1], since, 1).await;

    let tomorrow = (clock::now() + chrono::TimeDelta::days(1)).to_rfc3339();
    let body = json!({"command": "start", "select": {"printer_ids": ids}, "not_before": tomorrow,
        "reason": payloads.create(2, "the reason of a batch")});
    let (status, batch, _) = server.post("/api/v1/batches", body).await;
    assert_eq!(status, 202, "{batch}");
    let id = batch["id"].as_str().expect("an id");
    detector.visit(&format!("{}/batches/{id}", server.url)).await;
    assert_eq!(server.post(&format!("/api/v1/batches/{id}/stop"), json!({})).await.0, 200);
    wait::until("the page shows the end of the batch", DEADLINE, async || {
        let state = "return document.getElementById('live').dataset.state";
        let state = detector.browser.run(state, Vec::new()).await?;
        if state == "final" { Ok(()) } else { Err(state.to_string()) }
    })
    .await;
    detector.check_page().await.expect("a page");
}
