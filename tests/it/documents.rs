//! Follows README.md and docs/erp.md as a reader would: runs their commands in order, and checks what they state.
//!
//! The blocks come from the documents at test time. Programs, ports and folders are replaced, and placeholders get the
//! values of earlier answers. A block that cannot run here has a comment with the reason above it.

use std::{
    collections::{BTreeMap, BTreeSet},
    process::Stdio,
    time::Duration,
};

use printyard::domain::webhook::RetrySchedule;
use reqwest::{
    Method, StatusCode,
    multipart::{Form, Part},
};
use serde_json::{Value, json};
use sqlx::{Connection, SqliteConnection};

use crate::{
    api::problems::assert_problem,
    support::{
        env_or_skip, http_client, needs,
        server::{ADMIN_TOKEN, JsonResponse, TestServer, send_request, start_farm},
        wait,
    },
};

mod markdown;
mod terminal;

use markdown::{Block, Document, code_spans};
use terminal::{Answer, Machine, RunningBlock, Terminal};

/// Deadline for the server and for each request on a busy machine.
const DEADLINE: Duration = Duration::from_secs(60);

/// Returns the programs that the documents need besides Printyard.
fn find_tools() -> Option<String> {
    env_or_skip("PRINTYARD_TEST_EXAMPLES", "bash, Python 3 and curl")
}

// --- What a reader compares -------------------------------------------------------------------------------------------

/// Checks that a value has the fields of the value in a document. Every item of a list must have the fields of the first
/// item there. A null stands for any value.
fn assert_same_fields(place: &str, shown: &Value, actual: &Value) {
    match (shown, actual) {
        (Value::Object(shown), Value::Object(actual)) => {
            let names = |fields: &serde_json::Map<String, Value>| fields.keys().cloned().collect::<BTreeSet<String>>();
            assert_eq!(names(shown), names(actual), "{place}");
            for (name, value) in shown {
                assert_same_fields(&format!("{place}/{name}"), value, &actual[name]);
            }
        }
        (Value::Array(shown), Value::Array(actual)) => {
            assert_eq!(shown.is_empty(), actual.is_empty(), "{place}");
            for item in actual {
                assert_same_fields(&format!("{place}/0"), &shown[0], item);
            }
        }
        (Value::Null, _) | (_, Value::Null) => {}
        _ => assert_eq!(std::mem::discriminant(shown), std::mem::discriminant(actual), "{place}: {shown} and {actual}"),
    }
}

/// Checks that each line of a document is in the output. `…` stands for any text.
fn assert_shown_lines(shown: &Block, text: &str, output: &str) {
    for line in text.lines() {
        let is_shown = output.lines().any(|printed| matches_line(line, printed));
        assert!(is_shown, "{}: the output has no line `{line}`:\n{output}", shown.place);
    }
}

fn matches_line(shown: &str, printed: &str) -> bool {
    let (mut parts, mut rest) = (shown.trim_end().split('…'), printed.trim_end());
    let first = parts.next().unwrap_or_default();
    let Some(after_first) = rest.strip_prefix(first) else { return false };
    rest = after_first;
    let mut ends_at_part = true;
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        ends_at_part = part.is_empty() || rest.ends_with(part);
        rest = &rest[at + part.len()..];
    }
    ends_at_part && (rest.is_empty() || shown.contains('…'))
}

/// Checks the status of the last answer and the fields of its body, as the document shows them below a block.
fn compare_last_answer(document: &mut Document, block: &Block, answers: &[Answer]) -> Value {
    let answer = answers.last().unwrap_or_else(|| panic!("{}: no answer", block.place));
    assert_eq!(Some(answer.status), block.promised_status(), "{}: {}", block.place, answer.body);
    let shown_block = document.next_block("json", "{");
    let shown: Value = serde_json::from_str(&shown_block.text).expect("JSON in the document");
    assert_same_fields(&shown_block.place, &shown, &answer.body);
    answer.body.clone()
}

/// Returns the first word of a text that begins with `beginning`.
fn find_word<'a>(text: &'a str, beginning: &str) -> &'a str {
    let at = text.find(beginning).unwrap_or_else(|| panic!("`{beginning}` is missing in: {text}"));
    text[at..].split(|end: char| end.is_whitespace() || end == '\'').next().unwrap_or_default()
}

fn as_text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("not a text: {value}"))
}

fn items(page: &Value) -> &Vec<Value> {
    page["items"].as_array().unwrap_or_else(|| panic!("no items: {page}"))
}

// --- The API of the server that the reader runs -----------------------------------------------------------------------

/// The API of a server, with a token.
#[derive(Clone)]
struct Api {
    client: reqwest::Client,
    base: String,
    token: String,
}

impl Api {
    fn new(machine: &Machine, token: &str) -> Self {
        let base = format!("http://{}/api/v1", machine.address);
        Self { client: http_client(), base, token: token.to_owned() }
    }

    fn with_token(&self, token: &str) -> Self {
        Self { token: token.to_owned(), ..self.clone() }
    }

    fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method, format!("{}{path}", self.base)).bearer_auth(&self.token).timeout(DEADLINE)
    }

    async fn try_get(&self, path: &str) -> JsonResponse {
        send_request(self.request(Method::GET, path)).await
    }

    async fn get(&self, path: &str) -> Value {
        let (status, body, _) = self.try_get(path).await;
        assert_eq!(status, StatusCode::OK, "{path}: {body}");
        body
    }

    async fn post(&self, path: &str, body: &Value) -> JsonResponse {
        send_request(self.request(Method::POST, path).json(body)).await
    }

    async fn post_with_key(&self, path: &str, key: &str, body: &Value) -> JsonResponse {
        send_request(self.request(Method::POST, path).header("Idempotency-Key", key).json(body)).await
    }

    /// Like [`Self::post_with_key`], and waits for the end of the batch.
    async fn finish_with_key(&self, path: &str, key: &str, body: &Value) -> JsonResponse {
        let request = self.request(Method::POST, path).header("Prefer", "wait=30").header("Idempotency-Key", key);
        send_request(request.json(body)).await
    }

    /// Sends a batch, and waits for its end.
    async fn finish_batch(&self, path: &str, body: &Value) -> Value {
        let request = self.request(Method::POST, path).header("Prefer", "wait=30").json(body);
        let (status, batch, _) = send_request(request).await;
        assert_eq!(status, StatusCode::MULTI_STATUS, "{batch}");
        batch
    }

    async fn list_printer_ids(&self, tag: &str) -> Vec<String> {
        let page = self.get("/printers?limit=500").await;
        let tagged = items(&page).iter().filter(|printer| has_text(&printer["tags"], tag));
        tagged.map(|printer| as_text(&printer["id"]).to_owned()).collect()
    }
}

fn has_text(list: &Value, text: &str) -> bool {
    list.as_array().is_some_and(|list| list.iter().any(|item| item == text))
}

/// Returns the values of a field of every row of a batch.
fn row_values<'a>(batch: &'a Value, field: &str) -> BTreeSet<&'a str> {
    let rows = batch["commands"].as_array().unwrap_or_else(|| panic!("no rows: {batch}"));
    rows.iter().map(|row| as_text(&row[field])).collect()
}

/// Waits until a list of prints has `count` prints, either all running or all ended. The server stores the outcome of a
/// command before the print.
async fn until_prints(api: &Api, query: &str, count: usize, have_ended: bool) -> Vec<Value> {
    wait::until("the prints are stored", DEADLINE, async || {
        let page = api.get(&format!("/prints?limit=500&{query}")).await;
        let prints = items(&page).clone();
        let is_stored = prints.len() == count && prints.iter().all(|print| print["ended_at"].is_null() != have_ended);
        if is_stored { Ok(prints) } else { Err(page) }
    })
    .await
}

async fn until_ready(machine: &Machine) {
    let (client, url) = (http_client(), format!("http://{}/readyz", machine.address));
    wait::until("the server is ready", DEADLINE, async || {
        let answer = client.get(&url).send().await.map_err(|error| error.to_string())?;
        if answer.status() == StatusCode::OK { Ok(()) } else { Err(answer.status().to_string()) }
    })
    .await;
}

/// Opens a link as a browser without cookies. Returns the status and the cookie.
async fn open_link(link: &str) -> (StatusCode, String) {
    let answer = http_client().get(link).timeout(DEADLINE).send().await.expect("an answer");
    let cookie = answer.headers().get("set-cookie").and_then(|value| value.to_str().ok()).unwrap_or_default();
    (answer.status(), cookie.to_owned())
}

// --- README.md --------------------------------------------------------------------------------------------------------

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs bash, curl and Python, which tests/run provides"]
async fn the_readme_can_be_followed() {
    needs!(find_tools());
    let mut readme = Document::read("README.md");
    let machine = Machine::new();
    let (first, second, third) = (machine.open_terminal(), machine.open_terminal(), machine.open_terminal());

    let demo = first.start(&readme.next_block("sh", "-- demo"), &[]);
    let output = demo.until_output("Ctrl-C").await;
    readme.assert_states("a server with twelve simulated printers. It prints a link that logs you in.");
    let link = find_word(&output, "http://");
    let (status, cookie) = open_link(link).await;
    assert!(status == StatusCode::SEE_OTHER && cookie.contains("session"), "{link}: {status} {cookie}");
    let api = Api::new(&machine, find_word(&output, "pyd_"));
    assert_eq!(items(&api.get("/printers?limit=500").await).len(), 12);
    readme.assert_states("Ctrl-C stops the demo and deletes its data.");
    assert_eq!(count_demo_folders(&machine), 1);
    demo.interrupt().await;
    assert_eq!(count_demo_folders(&machine), 0);

    let serve = readme.next_block("sh", "printyard serve");
    let server = first.start(&serve, &[]);
    readme.assert_states("It prints a link that creates the first admin.");
    let output = server.until_output("/setup?key=").await;
    until_ready(&machine).await;
    assert_eq!(open_link(find_word(&output, "http://")).await.0, StatusCode::OK);

    readme.assert_states("In a second terminal, with the same two variables, create an API token.");
    second.run(&serve.only_lines("export "), &[]).await;
    let token = second.run(&readme.next_block("sh", "printyard token create"), &[]).await;

    let simulator = third.start(&readme.next_block("sh", "printyard simulate --printers 3"), &[]);
    let printed: Value = serde_json::from_str(&simulator.until_output("]").await).expect("JSON");
    let shown_block = readme.next_block("json", "api_key");
    let shown: Value = serde_json::from_str(&shown_block.text).expect("JSON in the document");
    assert_same_fields(&shown_block.place, &shown, &printed);
    assert_eq!(printed.as_array().map(Vec::len), Some(3));

    let ids = add_two_printers(&mut readme, &machine, &second, token.trim(), &printed).await;
    let named = format!("{:?}, {:?}", ids[0], ids[1]);
    second.run(&readme.next_block("sh", "assume_clear"), &[("\"…\", \"…\"", named.as_str())]).await;
    let answers = machine.take_answers();
    let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    assert_eq!(statuses, [207, 207, 200], "start, pause, dry run: {answers:?}");
    for batch in answers[..2].iter().map(|answer| &answer.body) {
        assert_eq!((&batch["result"], &batch["counts"]["confirmed"]), (&json!("ok"), &json!(2)), "{batch}");
    }
    assert_eq!(row_values(&answers[2].body, "would"), BTreeSet::from(["send"]), "{answers:?}");

    readme.assert_complete();
    server.interrupt().await;
    simulator.interrupt().await;
}

fn count_demo_folders(machine: &Machine) -> usize {
    let names =
        std::fs::read_dir(machine.folder()).expect("a folder").map(|entry| entry.expect("an entry").file_name());
    names.filter(|name| name.to_string_lossy().starts_with("printyard-demo-")).count()
}

/// Adds two simulated printers with the commands of the next block. Returns their ids.
async fn add_two_printers(
    readme: &mut Document,
    machine: &Machine,
    terminal: &Terminal<'_>,
    token: &str,
    simulated: &Value,
) -> Vec<String> {
    let block = readme.next_block("sh", "$API/printers/test");
    let mut ids = Vec::new();
    for (printer, name) in simulated.as_array().expect("printers").iter().zip(["MK4-017", "MK4-018"]) {
        let key = format!("\"api_key\": {}", printer["api_key"]);
        let url = as_text(&printer["url"]);
        let values =
            [("pyd_…", token), ("http://10.0.3.17", url), ("\"api_key\": \"…\"", key.as_str()), ("MK4-017", name)];
        terminal.run(&block, &values).await;
        let answers = machine.take_answers();
        let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
        assert_eq!(statuses, [200, 201], "test, add: {answers:?}");
        assert_eq!(answers[0].body["ok"], true, "{answers:?}");
        ids.push(as_text(&answers[1].body["id"]).to_owned());
    }
    ids
}

// --- docs/erp.md ------------------------------------------------------------------------------------------------------

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs bash, curl and Python, which tests/run provides"]
async fn the_guide_for_erp_systems_can_be_followed() {
    needs!(find_tools());
    let mut guide = Document::read("docs/erp.md");
    let machine = Machine::new();
    let (first, second, third) = (machine.open_terminal(), machine.open_terminal(), machine.open_terminal());

    let demo = first.start(&guide.next_block("sh", "demo --printers 12"), &[]);
    let output = demo.until_output("Ctrl-C").await;
    let api = Api::new(&machine, find_word(&output, "pyd_"));
    let limited = take_first_steps(&mut guide, &machine, &second, &api).await;
    let start = start_the_order(&mut guide, &machine, &second, &api).await;
    command_and_follow(&mut guide, &machine, &second).await;
    check_selections_and_keys(&guide, &api, &start).await;
    check_plates_and_retries(&guide, &api, &start).await;
    check_other_refusals(&guide, &api, &limited).await;
    check_the_feed(&guide, &api).await;
    demo.interrupt().await;

    let server = first.start(&guide.next_block("sh", "PRINTYARD_WEBHOOK_NETWORKS"), &[]);
    server.until_output("/setup?key=").await;
    until_ready(&machine).await;
    receive_webhooks(&mut guide, &machine, &second, &third).await;
    server.interrupt().await;

    // The test below runs it.
    guide.next_block("python", "frappe");
    guide.assert_complete();
}

/// Section 1. Returns the API with the token that is limited to a hall.
async fn take_first_steps(guide: &mut Document, machine: &Machine, terminal: &Terminal<'_>, api: &Api) -> Api {
    let block = guide.next_block("sh", "examples/erp/first_steps.sh");
    guide.assert_states("Run it twice: the second run has no second effect.");
    for _ in 0..2 {
        terminal.run(&block, &[("pyd_…", api.token.as_str())]).await;
        let answers = machine.take_answers();
        assert!(answers.len() == 5 && answers.iter().all(|answer| answer.status < 300), "{answers:?}");
        let batches = api.get("/batches").await;
        assert_eq!((items(&batches).len(), &batches["items"][0]["external_ref"]), (1, &json!("MO/00001")), "{batches}");
    }
    let block = guide.next_block("sh", "/api/v1/tokens");
    terminal.run(&block, &[]).await;
    let token = compare_last_answer(guide, &block, &machine.take_answers());
    guide.assert_states("`tags` limits a token to a part of the farm.");
    let limited = api.with_token(as_text(&token["token"]));
    assert_eq!(items(&limited.get("/printers").await).len(), 6);
    limited
}

/// Section 3: the start. Returns its body.
async fn start_the_order(guide: &mut Document, machine: &Machine, terminal: &Terminal<'_>, api: &Api) -> Value {
    guide.assert_states("Six of the twelve demo printers have the tag `hall-a`, and each has the file:");
    assert_eq!(items(&api.get("/printers?limit=500").await).len(), 12);
    let hall = api.list_printer_ids("hall-a").await;
    assert_eq!(hall.len(), 6);
    for id in hall {
        let files = api.get(&format!("/printers/{id}/files?limit=500")).await;
        assert!(items(&files).iter().any(|file| file["path"] == "bracket.gcode"), "{files}");
    }

    let block = guide.next_block("sh", "Idempotency-Key: MO/00412-start");
    terminal.run(&block, &[]).await;
    guide.assert_states("with a row for each of the six printers.");
    let batch = compare_last_answer(guide, &block, &machine.take_answers());
    assert_eq!((&batch["result"], &batch["counts"]["confirmed"]), (&json!("ok"), &json!(6)), "{batch}");
    assert_eq!(row_values(&batch, "effect"), BTreeSet::from(["done"]));
    guide.assert_states("`GET /prints?external_ref=MO/00412` lists the prints of an order.");
    for print in until_prints(api, "external_ref=MO/00412", 6, false).await {
        assert_eq!((&print["file"]["path"], &print["batch_id"]), (&json!("bracket.gcode"), &batch["id"]), "{print}");
    }
    block.request_body()
}

/// Sections 4 and 5: the example programs.
async fn command_and_follow(guide: &mut Document, machine: &Machine, terminal: &Terminal<'_>) {
    let output = terminal.run(&guide.next_block("sh", "command_farm.py"), &[]).await;
    let shown = guide.next_block("text", "batch …: ok");
    assert_shown_lines(&shown, &shown.text, &output);
    assert_eq!(shown.text.lines().count(), output.lines().count(), "{output}");

    let follower = terminal.start(&guide.next_block("sh", "follow_events.py cursor.txt"), &[]);
    let output = follower.until_output("batch.finished MO/00412").await;
    let shown = guide.next_block("text", "batch.finished");
    assert_shown_lines(&shown, &shown.text, &output);
    wait::until("the cursor is stored", DEADLINE, async || machine.folder().join("cursor.txt").exists()).await;
}

/// Section 3 and 4: the selection, and idempotency keys. At the end, the printers of `hall-b` have printed.
async fn check_selections_and_keys(guide: &Document, api: &Api, start: &Value) {
    let count_batches = async || items(&api.get("/batches?limit=500").await).len();
    let batches = count_batches().await;
    guide.assert_states(
        "If another number is selected, the answer is 409 `selection_changed`, and nothing is sent. If none is selected, it \
         is 422 `nothing_selected`.",
    );
    let mut hall_b = start.clone();
    hall_b["select"]["tags_all"] = json!(["hall-b"]);
    let mut five = hall_b.clone();
    five["expect_total"] = json!(5);
    assert_problem(&api.post_with_key("/batches", "hall-b", &five).await, 409, "selection_changed");
    // The printers of `hall-a` print.
    assert_problem(&api.post_with_key("/batches", "hall-b", start).await, 422, "nothing_selected");
    assert_eq!(count_batches().await, batches);

    guide.assert_states("A refused request has no effect, and its key is not kept, whatever the status");
    guide.assert_states("Always name it: a `start` without `file` prints the file that is selected on the printer");
    let ids = api.list_printer_ids("hall-b").await;
    let select_cube = async || {
        let path = format!("/printers/{}/files/select", ids[0]);
        assert_eq!(api.post(&path, &json!({"path": "calibration/cube.gcode"})).await.0, StatusCode::NO_CONTENT);
    };
    select_cube().await;
    let (status, first, headers) = api.post_with_key("/batches", "hall-b", &hall_b).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{first}");
    guide.assert_states("The header `Location` has the path of the batch.");
    let location = headers.get("location").and_then(|value| value.to_str().ok());
    assert_eq!(location, Some(format!("/api/v1/batches/{}", as_text(&first["id"])).as_str()));
    guide.assert_states("To wait longer, send the same request with the same key again: it also waits.");
    let (status, again, headers) = api.finish_with_key("/batches", "hall-b", &hall_b).await;
    assert_eq!(status, StatusCode::MULTI_STATUS, "{again}");
    assert_eq!((&again["id"], &again["result"]), (&first["id"], &json!("ok")), "{again}");
    guide.assert_states("with `Idempotent-Replayed: true`.");
    assert!(headers.get("idempotent-replayed").is_some_and(|value| value == "true"));
    let prints_of_first = format!("batch_id={}", as_text(&first["id"]));
    let prints = until_prints(api, &prints_of_first, 6, false).await;
    assert!(prints.iter().all(|print| print["file"]["path"] == "bracket.gcode"), "{prints:?}");
    assert_problem(&api.post_with_key("/batches", "hall-b", start).await, 422, "idempotency_key_reused");

    let cancel = json!({"command": "cancel", "select": {"tags_all": ["hall-b"]}, "external_ref": "another order"});
    assert_eq!(api.finish_batch("/batches", &cancel).await["result"], "ok");
    until_prints(api, &prints_of_first, 6, true).await;
    let cleared = api.post("/plates/clear", &json!({"printer_ids": [ids[0]]})).await;
    assert!(cleared.0.is_success(), "{}", cleared.1);
    select_cube().await;
    let unnamed = api.finish_batch("/batches", &json!({"command": "start", "select": {"printer_ids": [ids[0]]}})).await;
    let prints_of_unnamed = format!("batch_id={}", as_text(&unnamed["id"]));
    let prints = until_prints(api, &prints_of_unnamed, 1, false).await;
    assert_eq!(prints[0]["file"]["path"], "calibration/cube.gcode");
    assert_eq!(api.finish_batch("/batches", &cancel).await["result"], "ok");
    until_prints(api, &prints_of_unnamed, 1, true).await;

    guide.assert_states("with at most 255 characters");
    let pause = json!({"command": "pause", "select": {"tags_all": ["hall-b"]}});
    assert_eq!(api.finish_with_key("/batches", &"k".repeat(255), &pause).await.0, StatusCode::MULTI_STATUS);
    let refused = api.post_with_key("/batches", &"k".repeat(256), &pause).await;
    assert_problem(&refused, 400, "malformed_idempotency_key");

    guide.assert_states("A secret that is shown once is not shown again.");
    let body = json!({"name": "careful", "role": "operator", "require_idempotency_key": true});
    let (_, created, _) = api.post_with_key("/tokens", "careful", &body).await;
    let (_, replayed, _) = api.post_with_key("/tokens", "careful", &body).await;
    assert_eq!((&replayed["id"], replayed.get("token")), (&created["id"], None), "{replayed}");
    guide.assert_states("refuses every POST without a key with 400 `idempotency_key_required`, also a dry run");
    let careful = api.with_token(as_text(&created["token"]));
    let dry_run = json!({"command": "cancel", "select": {"all": true}, "dry_run": true});
    assert_problem(&careful.post("/batches", &dry_run).await, 400, "idempotency_key_required");
}

/// Section 3: plates, the expected job, and retries.
async fn check_plates_and_retries(guide: &Document, api: &Api, start: &Value) {
    guide.assert_states(
        "`start` needs a clear plate. After a print, the plate is *occupied* until a person marks it as clear",
    );
    let mut hall_b = start.clone();
    hall_b["select"]["tags_all"] = json!(["hall-b"]);
    let refused = api.finish_batch("/batches", &hall_b).await;
    assert_eq!((&refused["result"], &refused["counts"]["rejected"]), (&json!("failed"), &json!(6)), "{refused}");
    assert_eq!(row_values(&refused, "effect"), BTreeSet::from(["none"]));
    assert_eq!(row_values(&refused, "reason"), BTreeSet::from(["plate_not_clear"]));

    guide.assert_states("Remove the cause in `reason`, then send `POST /batches/{id}/retry` with these outcomes");
    let ids = api.list_printer_ids("hall-b").await;
    assert!(api.post("/plates/clear", &json!({"printer_ids": ids})).await.0.is_success());
    let retry = format!("/batches/{}/retry", as_text(&refused["id"]));
    let retried = api.finish_batch(&retry, &json!({"outcomes": ["rejected"]})).await;
    assert_eq!((&retried["result"], &retried["counts"]["confirmed"]), (&json!("ok"), &json!(6)), "{retried}");

    guide.assert_states("the retry of a start needs `\"operator_checked\": true`");
    let unchecked = json!({"outcomes": ["unknown"]});
    assert_problem(&api.post(&retry, &unchecked).await, 409, "needs_operator_check");
    let checked = json!({"outcomes": ["unknown"], "operator_checked": true});
    assert_problem(&api.post(&retry, &checked).await, 422, "nothing_selected");

    guide.assert_states("If it has another one, the row ends as `job_changed`, and nothing is sent.");
    let other_job =
        json!({"command": "pause", "select": {"tags_all": ["hall-b"]}, "expected_job": {"path": "other.gcode"}});
    let refused = api.finish_batch("/batches", &other_job).await;
    assert_eq!(row_values(&refused, "reason"), BTreeSet::from(["job_changed"]));
    assert_eq!(row_values(&refused, "effect"), BTreeSet::from(["none"]));
}

/// Section 4: the other refusals of the table that can be caused here.
async fn check_other_refusals(guide: &Document, api: &Api, limited: &Api) {
    assert_problem(&api.with_token("pyd_unknown").try_get("/me").await, 401, "unauthenticated");
    let webhook = json!({"url": "http://127.0.0.1:1/", "types": ["batch.finished"]});
    assert_problem(&limited.post("/webhooks", &webhook).await, 403, "forbidden");
    let expired = api.try_get("/events?after=AAAAAAAAAAGaPi87WgyeEQ").await;
    assert_problem(&expired, 410, "cursor_expired");
    assert!(expired.1["restart_cursor"].is_string(), "{}", expired.1);
    assert_problem(&api.try_get("/printers?limit=0").await, 422, "invalid_query");
    let unknown_command = api.post("/batches", &json!({"command": "jump", "select": {"all": true}})).await;
    assert_problem(&unknown_command, 422, "invalid_input");
    guide.assert_states("The request breaks a rule; `errors` names each field");
    assert_eq!(unknown_command.1["errors"][0]["pointer"], "/command");

    let ids = api.list_printer_ids("hall-b").await;
    let id = ids[0].as_str();
    let twice = json!({"command": "pause", "select": {"printer_ids": [id, id]}});
    assert_problem(&api.post("/batches", &twice).await, 422, "duplicate_target");
    let patch = api.request(Method::PATCH, &format!("/printers/{id}")).header("If-Match", "\"v999\"");
    assert_problem(&send_request(patch.json(&json!({"notes": "late"}))).await, 412, "stale");
    let form = Form::new().part("file", Part::text("text").file_name("a.txt"));
    let upload = api.request(Method::POST, &format!("/printers/{id}/files")).multipart(form);
    assert_problem(&send_request(upload).await, 422, "file_type_refused");

    guide.assert_states("Your token has 16 open event streams");
    let mut streams = Vec::new();
    for _ in 0..16 {
        let stream = limited.request(Method::GET, "/events/stream").send().await.expect("an answer");
        assert_eq!(stream.status(), StatusCode::OK);
        streams.push(stream);
    }
    assert_problem(&limited.try_get("/events/stream").await, 429, "too_many_streams");
}

/// Section 5.
async fn check_the_feed(guide: &Document, api: &Api) {
    guide.assert_states(
        "The lists of printers, batches, commands of a batch and prints have the header `X-Events-Cursor`.",
    );
    let batches = api.get("/batches?external_ref=MO/00412").await;
    let rows = format!("/batches/{}/commands", as_text(&batches["items"][0]["id"]));
    for list in ["/printers", "/batches", rows.as_str(), "/prints"] {
        assert!(api.try_get(list).await.2.contains_key("x-events-cursor"), "{list}");
    }
    guide.assert_states("`next_cursor` is always present, also when `items` is empty.");
    let page = api.get("/events?types=printer.noisy").await;
    assert!(items(&page).is_empty() && page["next_cursor"].is_string(), "{page}");

    guide.assert_states("`batch.finished` has the same complete `counts` as `GET /batches/{id}`, including `total`.");
    let page = api.get("/events?types=batch.finished&limit=500").await;
    let finished = items(&page).iter().find(|event| event["external_ref"] == "MO/00412").expect("an event");
    let batch = api.get(&format!("/batches/{}", as_text(&finished["data"]["batch_id"]))).await;
    assert_eq!(finished["data"]["counts"], batch["counts"]);
    guide.assert_states("`batch.finished` with `result` `ok` sets the order in progress.");
    assert_eq!(finished["data"]["result"], "ok");

    guide.assert_states("of the command that *started* the print, also if a person paused or cancelled it.");
    let page = api.get("/events?types=print.cancelled&limit=500").await;
    let ends: Vec<&Value> = items(&page).iter().filter(|event| event["data"]["external_ref"] == "MO/00412").collect();
    assert_eq!(ends.len(), 6, "the batch that cancelled them has another reference: {page}");
    for end in ends {
        assert!(end["data"]["command_id"].is_string() && end["data"]["batch_id"].is_string(), "{end}");
    }
}

/// Section 6.
async fn receive_webhooks(guide: &mut Document, machine: &Machine, second: &Terminal<'_>, third: &Terminal<'_>) {
    let block = guide.next_block("sh", "/api/v1/webhooks");
    second.run(&block, &[]).await;
    let webhook = compare_last_answer(guide, &block, &machine.take_answers());
    let (id, secret) = (format!("/{}/", as_text(&webhook["id"])), as_text(&webhook["secret"]));

    let receiver_block = guide.next_block("sh", "webhook_receiver.py");
    let start_receiver = async || {
        let receiver = third.start(&receiver_block, &[("whsec_…", secret)]);
        receiver.until_output("listening on").await;
        receiver
    };
    let receiver = start_receiver().await;
    let test = guide.next_block("sh", "/test");
    second.run(&test, &[("/ID/", id.as_str())]).await;
    let report = compare_last_answer(guide, &test, &machine.take_answers());
    assert_eq!(report["delivered"], true, "{report}");
    let output = receiver.until_output("webhook.test").await;
    let shown = guide.next_block("text", "webhook.test");
    assert_shown_lines(&shown, &machine.adapt(&shown.text), &output);

    let send_test = async || {
        second.run(&test, &[("/ID/", id.as_str())]).await;
        machine.take_answers().last().expect("an answer").body["delivered"] == true
    };
    check_the_inbox(guide, machine, send_test, &receiver).await;
    drop(receiver);
    let receiver = start_receiver().await;
    let both = async || receiver.read_output().matches("webhook.test").count() == 2;
    wait::until("the stored events are handled after the start", DEADLINE, both).await;

    let schedule = RetrySchedule::default();
    let mut pauses: Vec<String> = schedule.pauses.iter().map(|pause| format_duration(*pause)).collect();
    let last = pauses.pop().expect("a pause");
    guide.assert_states(&format!("Printyard sends the event again after {} and {last}.", pauses.join(", ")));
    guide.assert_states(&format!("then answer 2xx within {} s", schedule.timeout.as_secs()));
}

/// Checks that the receiver answers 2xx only after it has stored an event. Marks the stored events as not handled.
async fn check_the_inbox(
    guide: &Document,
    machine: &Machine,
    send_test: impl AsyncFn() -> bool,
    receiver: &RunningBlock,
) {
    guide.assert_states("**Store the event, then answer 2xx within 15 s, then do the work.**");
    let url = format!("sqlite:{}", machine.folder().join("inbox.db").display());
    let mut inbox = SqliteConnection::connect(&url).await.expect("the inbox");
    wait::until("the first event is handled", DEADLINE, async || count_handled(&mut inbox).await == (1, 1)).await;
    sqlx::query("begin exclusive").execute(&mut inbox).await.expect("a lock");
    assert!(!send_test().await, "an event that cannot be stored is not accepted");
    sqlx::query("rollback").execute(&mut inbox).await.expect("no lock");
    assert_eq!(count_handled(&mut inbox).await, (1, 1), "{}", receiver.read_output());
    assert!(send_test().await, "{}", receiver.read_output());
    assert_eq!(count_handled(&mut inbox).await.0, 2, "an accepted event is stored");
    wait::until("the second event is handled", DEADLINE, async || count_handled(&mut inbox).await == (2, 2)).await;
    sqlx::query("update inbox set handled = 0").execute(&mut inbox).await.expect("an update");
}

/// Returns the numbers of stored and of handled events of the receiver.
async fn count_handled(inbox: &mut SqliteConnection) -> (i64, i64) {
    let count = sqlx::query_as::<_, (i64, i64)>("select count(*), coalesce(sum(handled), 0) from inbox");
    count.fetch_one(inbox).await.expect("the table of the receiver")
}

/// Returns a duration as the guide writes it.
fn format_duration(duration: Duration) -> String {
    match duration.as_secs() {
        seconds if seconds.is_multiple_of(3_600) => format!("{} h", seconds / 3_600),
        seconds if seconds.is_multiple_of(60) => format!("{} min", seconds / 60),
        seconds => format!("{seconds} s"),
    }
}

/// Stands in for Frappe: one open job card, and `frappe` with the functions that the script calls.
const FRAPPE: &str = r#"
import json, os, sys, urllib.request

class Card(dict):
    __getattr__ = dict.__getitem__

card = Card(name="PO-JOB00412", workstation="cnc-1", custom_printyard_file="bracket.gcode")

class Database:
    def get_single_value(self, doctype, field):
        return os.environ["PRINTYARD_TOKEN"]
    def set_value(self, doctype, name, field, value):
        assert (doctype, name) == ("Job Card", card.name)
        card[field] = value
        print(value)
    def commit(self):
        pass

class Frappe:
    db = Database()
    def get_all(self, doctype, filters, fields):
        return [] if card.get("custom_printyard_batch") else [card]
    def make_post_request(self, url, headers, data):
        request = urllib.request.Request(url, data.encode(), headers, method="POST")
        with urllib.request.urlopen(request, timeout=60) as response:
            return json.load(response)

frappe = Frappe()
script = sys.stdin.read()
exec(script)
exec(script)
# As after a crash between the request and the commit.
del card["custom_printyard_batch"]
exec(script)
"#;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs bash, curl and Python, which tests/run provides"]
async fn the_script_for_erpnext_starts_each_job_card_once() {
    needs!(find_tools());
    let guide = Document::read("docs/erp.md");
    let (server, farm) = (TestServer::start().await, start_farm(1).await);
    let id = server.register_printer_with(&farm.printers()[0], json!({"tags": ["cnc-1"]})).await;
    server.until_online(&id).await;
    let block = guide.only_block("python");
    assert!(block.text.contains("http://printyard:8080"), "{}", block.text);
    let script = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(script.path(), block.text.replace("http://printyard:8080", &server.url)).expect("a written file");
    let output = tokio::process::Command::new("python3")
        .args(["-c", FRAPPE])
        .env("PRINTYARD_TOKEN", ADMIN_TOKEN)
        .stdin(Stdio::from(script.reopen().expect("an open file")))
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(DEADLINE, output).await.expect("an end").expect("Python starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout);
    let (_, batches, _) = server.get("/api/v1/batches?external_ref=PO-JOB00412").await;
    let [batch] = &items(&batches)[..] else { panic!("one batch for the job card: {batches}") };
    let stored: Vec<&str> = text.lines().collect();
    assert_eq!(stored, [as_text(&batch["id"]); 2], "the first run, and the run after a crash");
    server.stop().await;
}

// --- Names in the documents -------------------------------------------------------------------------------------------

#[tokio::test]
async fn the_documents_name_paths_events_and_codes_of_the_api() {
    let server = TestServer::start().await;
    let (_, api, _) = server.get("/api/openapi.json").await;
    let event_types = enum_values(&api, "EventType");
    for path in ["README.md", "docs/erp.md", "docs/operations.md"] {
        let document = Document::read(path);
        for span in document.code_spans() {
            assert!(is_operation(&api, span).unwrap_or(true), "{path}: the API has no `{span}`");
            let is_event =
                ["printer.", "print.", "batch.", "command.", "plate."].iter().any(|area| span.starts_with(area));
            let is_whole = span.chars().all(|character| character.is_ascii_lowercase() || "._".contains(character));
            assert!(!is_event || !is_whole || event_types.contains(span), "{path}: no event has the type `{span}`");
        }
    }
    let guide = Document::read("docs/erp.md");
    let mut checked = 0;
    for row in guide.table_rows() {
        let status = row[0].split_whitespace().next().unwrap_or_default();
        if status.len() != 3 || status.parse::<u16>().is_err() {
            continue;
        }
        for code in code_spans(row[0]).into_iter().filter(|code| *code != "code") {
            assert!(is_documented(&api, status, code), "the OpenAPI document does not list {status} `{code}`");
            checked += 1;
        }
    }
    assert!(checked >= 12, "the table of responses has {checked} codes");
    server.stop().await;
}

#[tokio::test]
async fn the_guide_for_operators_shows_the_readiness_of_the_server() {
    let server = TestServer::start().await;
    let block = Document::read("docs/operations.md").only_block("json");
    let shown: Value = serde_json::from_str(&block.text).expect("JSON in the document");
    let parts = wait::until("the server is ready", DEADLINE, async || match server.get("/readyz").await {
        (StatusCode::OK, parts, _) => Ok(parts),
        (_, parts, _) => Err(parts),
    });
    assert_same_fields(&block.place, &shown, &parts.await);
    server.stop().await;
}

#[tokio::test]
async fn the_documents_list_every_outcome_with_its_effect() {
    let server = TestServer::start().await;
    let (_, api, _) = server.get("/api/openapi.json").await;
    let effects = enum_values(&api, "Effect");
    let mut final_outcomes = enum_values(&api, "Outcome");
    for outcome in ["queued", "sent", "accepted"] {
        assert!(final_outcomes.remove(outcome), "{outcome} is an outcome");
    }
    for path in ["README.md", "docs/erp.md"] {
        let document = Document::read(path);
        let mut outcomes: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for row in document.table_rows() {
            let [first, second, ..] = row[..] else { continue };
            for (effect, listed) in [(first, second), (second, first)] {
                if let [effect] = code_spans(effect)[..]
                    && effects.contains(effect)
                {
                    let listed = code_spans(listed).into_iter().map(str::to_owned);
                    outcomes.entry(effect.to_owned()).or_default().extend(listed);
                }
            }
        }
        assert_eq!(outcomes.keys().cloned().collect::<BTreeSet<String>>(), effects, "{path}");
        assert_eq!(outcomes["done"], BTreeSet::from(["confirmed", "unchanged"].map(str::to_owned)), "{path}");
        assert_eq!(outcomes["maybe"], BTreeSet::from(["unconfirmed", "unknown"].map(str::to_owned)), "{path}");
        assert_eq!(outcomes.into_values().flatten().collect::<BTreeSet<String>>(), final_outcomes, "{path}");
    }
    server.stop().await;
}

/// Returns the values of an enum of the OpenAPI document.
fn enum_values(api: &Value, name: &str) -> BTreeSet<String> {
    let values = api["components"]["schemas"][name]["enum"].as_array().unwrap_or_else(|| panic!("no enum {name}"));
    values.iter().map(|value| as_text(value).to_owned()).collect()
}

/// Whether a text such as `GET /prints?external_ref=` is an operation of the API. Returns `None` for another text. A path
/// after `…` may be the end of a longer one.
fn is_operation(api: &Value, text: &str) -> Option<bool> {
    let (method, rest) = text.split_once(' ')?;
    if !["GET", "POST", "PUT", "PATCH", "DELETE"].contains(&method) {
        return None;
    }
    let path = rest.split(['?', ' ']).next().unwrap_or_default();
    let paths = api["paths"].as_object().expect("paths");
    let is_named = |known: &str| match path.strip_prefix('…') {
        Some(end) => known.ends_with(end),
        None => known == path || known.strip_prefix("/api/v1") == Some(path),
    };
    Some(paths.iter().any(|(known, methods)| is_named(known) && methods.get(method.to_lowercase()).is_some()))
}

/// Whether an operation of the OpenAPI document has a code with a status.
fn is_documented(api: &Value, status: &str, code: &str) -> bool {
    let operations = api["paths"].as_object().expect("paths").values().filter_map(Value::as_object);
    let mut responses =
        operations.flat_map(|methods| methods.values()).map(|operation| &operation["responses"][status]);
    responses.any(|response| {
        response["description"].as_str().is_some_and(|description| description.contains(&format!("`{code}`")))
    })
}

#[test]
fn a_shown_line_is_compared_with_the_output() {
    assert!(matches_line("batch …: ok", "batch 01a2: ok"));
    assert!(matches_line("… batch.finished MO/00412", "2026-12-03T06:00:00Z batch.finished MO/00412 "));
    assert!(matches_line("{\"webhook_id\": \"…\"}", "{\"webhook_id\": \"01a2\"}"));
    assert!(matches_line("  SIM-0001: confirmed", "  SIM-0001: confirmed"));
    for printed in ["batch 01a2: failed", "a batch 01a2: ok", "batch 01a2: ok, or not"] {
        assert!(!matches_line("batch …: ok", printed), "{printed}");
    }
    assert!(!matches_line("SIM-0001: confirmed", "SIM-0001: confirmed again"));
}

#[test]
fn another_field_in_an_answer_is_found() {
    let shown = json!({"id": "1", "rows": [{"a": null}]});
    assert_same_fields("", &shown, &json!({"id": "2", "rows": [{"a": 1}, {"a": "x"}]}));
    for actual in [
        json!({"id": "2"}),
        json!({"id": "2", "rows": [], "new": 1}),
        json!({"id": 2, "rows": [{"a": 1}]}),
        json!({"id": "2", "rows": [{"a": 1}, {"b": 1}]}),
    ] {
        let compared = std::panic::catch_unwind(|| assert_same_fields("", &shown, &actual));
        assert!(compared.is_err(), "{actual}");
    }
}
