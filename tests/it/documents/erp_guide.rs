//! Follows docs/erp.md.

use std::{collections::BTreeSet, time::Duration};

use printyard::domain::webhook::RetrySchedule;
use reqwest::{
    Method, StatusCode,
    multipart::{Form, Part},
};
use serde_json::{Value, json};
use sqlx::{Connection, SqliteConnection};

use super::{
    DEADLINE,
    api::{Api, row_values, until_prints, until_ready},
    as_text,
    comparison::{assert_shown_lines, compare_last_answer},
    erp_orders::order_good_parts,
    find_tools, find_word, items,
    markdown::{Block, Document},
    terminal::{Machine, RunningBlock, Terminal},
};
use crate::{
    api::problems::assert_problem,
    support::{needs, server::send_request, wait},
};

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
    let shell = receive_webhooks(&mut guide, &machine, &second, &third).await;
    // `erpnext.rs` runs it.
    guide.next_block("python", "frappe");
    second.run(&Block { text: "printf %s \"$PRINTYARD_TOKEN\" > token.txt\n".to_owned(), ..shell }, &[]).await;
    let token = std::fs::read_to_string(machine.folder().join("token.txt")).expect("the token");
    order_good_parts(&mut guide, &machine, &second, &Api::new(&machine, &token)).await;
    server.interrupt().await;
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

/// Section 6. Returns a block of the second terminal.
async fn receive_webhooks(
    guide: &mut Document,
    machine: &Machine,
    second: &Terminal<'_>,
    third: &Terminal<'_>,
) -> Block {
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
    test
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
