//! The planner in the server: it starts copies of orders on printers that were opted in and whose plates people cleared.

mod filament;
mod full_stack;
mod kept;
mod real_octoprint;
mod staff_hours;

use std::{collections::HashSet, time::Duration};

use printyard::simulator::{Farm, Fault, MachineAction};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::{
    orders::{OrderServer, text},
    parts::add_file,
    support::{
        server::{TestServer, send_request, start_server_with_farm},
        wait::until,
    },
};

const DEADLINE: Duration = Duration::from_secs(60);

/// A server with an order's part, and a farm of MK4.
struct Production {
    test: OrderServer,
    farm: Farm,
    ids: Vec<String>,
}

impl Production {
    /// Starts with printers that are not opted in.
    async fn start(printers: usize) -> Self {
        let (server, farm, ids) = start_server_with_farm(printers).await;
        for id in &ids {
            let (status, body, _) = server.patch(&format!("/api/v1/printers/{id}"), json!({"model": "MK4"})).await;
            assert_eq!(status, StatusCode::OK, "{body}");
        }
        Self { test: OrderServer::with(server).await, farm, ids }
    }

    /// Starts with printers that may be started.
    async fn start_ready(printers: usize) -> Self {
        let production = Self::start(printers).await;
        for id in &production.ids {
            production.opt_in(id).await;
        }
        production.clear_plates(&production.ids).await;
        production
    }

    async fn opt_in(&self, id: &str) {
        let body = json!({"production": {"auto": true}});
        let (status, printer, _) = self.test.server.patch(&format!("/api/v1/printers/{id}"), body).await;
        assert_eq!(status, StatusCode::OK, "{printer}");
    }

    /// Marks plates as clear, as a person does.
    async fn clear_plates(&self, ids: &[String]) -> Value {
        self.test.server.post("/api/v1/plates/clear", json!({"printer_ids": ids})).await.1
    }

    async fn copies(&self, order: &Value) -> Vec<Value> {
        let path = format!("/api/v1/orders/{}/copies", text(&order["id"]));
        self.test.server.get(&path).await.1["items"].as_array().expect("copies").clone()
    }

    /// Waits until an order is as expected. Checks its sums at each read.
    async fn until_order(&self, order: &Value, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let mut found = Value::Null;
        until(what, DEADLINE, async || {
            found = self.test.order(&order["id"]).await;
            check_sums(&found);
            if is_so(&found) { Ok(()) } else { Err(format!("{found}")) }
        })
        .await;
        found
    }

    /// Waits until a copy of the order prints.
    async fn until_printing(&self, order: &Value) {
        until("a copy prints", DEADLINE, async || {
            let copies = self.copies(order).await;
            let is_printing = copies.iter().any(|copy| copy["state"] == "printing");
            if is_printing { Ok(()) } else { Err(format!("{copies:?}")) }
        })
        .await;
    }

    /// Ends each print that the server observes, and waits until it observes the end. Then clears the plates. Each print is
    /// ended once: a second attempt could end the next print before anyone has seen it.
    async fn finish_prints(&self, order: &Value, ended: &mut HashSet<String>) {
        for copy in self.copies(order).await.iter().filter(|copy| copy["state"] == "printing") {
            if ended.insert(text(&copy["id"]).to_owned()) {
                let printer = self.ids.iter().position(|id| copy["printer_id"] == json!(id)).expect("a printer");
                self.farm.printers()[printer].perform(MachineAction::FinishPrint);
            }
        }
        until("the ends are observed", DEADLINE, async || {
            let copies = self.copies(order).await;
            let is_open = |copy: &&Value| copy["state"] == "printing" && ended.contains(text(&copy["id"]));
            if copies.iter().any(|copy| is_open(&copy)) { Err(format!("{copies:?}")) } else { Ok(()) }
        })
        .await;
        self.clear_plates(&self.ids).await;
    }

    /// Looks at the printers under attention, and gives up the copies that were not started, as a person does.
    async fn check_printers(&self, order: &Value) {
        let server = &self.test.server;
        let (_, tasks, _) = server.get("/api/v1/tasks").await;
        let copies = self.copies(order).await;
        for task in tasks["items"].as_array().expect("tasks").iter().filter(|task| task["kind"] == "attention") {
            let is_starting = |copy: &&Value| copy["state"] == "starting" && copy["printer_id"] == task["printer_id"];
            if let Some(copy) = copies.iter().find(is_starting) {
                let path = format!("/api/v1/copies/{}/lost", text(&copy["id"]));
                let (status, body, _) = server.post(&path, json!({"reason": "it stands still"})).await;
                assert_eq!(status, StatusCode::OK, "{body}");
            }
            let path = format!("/api/v1/printers/{}/attention/clear", text(&task["printer_id"]));
            let (status, body, _) = server.post(&path, json!({})).await;
            assert_eq!(status, StatusCode::OK, "{body}");
        }
    }

    /// Clears every plate whose print has ended until an order is completed.
    async fn print_to_the_end(&self, order: &Value) -> Value {
        let mut found = Value::Null;
        until("the order is completed", DEADLINE, async || {
            self.clear_plates(&self.ids).await;
            found = self.test.order(&order["id"]).await;
            check_sums(&found);
            if found["state"] == "completed" { Ok(()) } else { Err(format!("{found}")) }
        })
        .await;
        found
    }
}

/// Runs the planner until it has made another plan. After a long run it rests.
async fn run_planner(server: &TestServer) {
    let made_at = || server.services.latest_plan().map(|plan| plan.made_at);
    let before = made_at();
    until("another plan is made", DEADLINE, async || {
        server.services.background().run_now("planner").await.expect("a run");
        made_at() != before
    })
    .await;
}

fn check_sums(order: &Value) {
    let quantity = |name: &str| order["quantities"][name].as_i64().expect("a number");
    let open = quantity("ordered") - quantity("good") - quantity("unjudged") - quantity("printing");
    let is_open = ["queued", "running", "on_hold"].contains(&text(&order["state"]));
    assert_eq!(quantity("queued"), if is_open { open.max(0) } else { 0 }, "{order}");
    assert_eq!(quantity("surplus"), (-open).max(0), "{order}");
    assert_eq!(quantity("remaining"), (quantity("ordered") - quantity("good")).max(0), "{order}");
}

fn has_reason(order: &Value, code: &str, printers: u64) -> bool {
    let reasons = order["waiting_reasons"].as_array().expect("reasons");
    reasons.iter().any(|reason| reason["code"] == code && reason["printers"] == printers)
}

#[tokio::test(flavor = "multi_thread")]
async fn only_printers_that_were_opted_in_and_cleared_since_are_started() {
    let production = Production::start(3).await;
    let order = production.test.create_order(json!({"quantity": 4})).await;
    assert_eq!(order["feasible"]["printers"], 0, "{order}");
    production.until_order(&order, "nothing is opted in", |order| has_reason(order, "not_opted_in", 3)).await;
    let [first, second, third] = &production.ids[..] else { panic!("three printers") };
    // A plate that was cleared before the opt-in does not count.
    production.clear_plates(&production.ids).await;
    for id in [first, second] {
        production.opt_in(id).await;
    }
    production.until_order(&order, "no plate was cleared", |order| has_reason(order, "plate_never_cleared", 2)).await;
    assert_eq!(production.copies(&order).await, Vec::<Value>::new());
    production.clear_plates(std::slice::from_ref(first)).await;
    production.until_order(&order, "one copy is made", |order| order["quantities"]["good"] == 1).await;
    // The plate has a part on it. Nothing goes on until a person has cleared it.
    let waits = |order: &Value| has_reason(order, "plate_not_clear", 1) && has_reason(order, "plate_never_cleared", 1);
    production.until_order(&order, "the plate waits", waits).await;
    assert_eq!(production.copies(&order).await.len(), 1);

    let order = production.print_to_the_end(&order).await;
    assert_eq!(order["quantities"]["good"], 4, "{order}");
    let copies = production.copies(&order).await;
    assert_eq!(copies.len(), 4, "{copies:?}");
    let prints: HashSet<&str> = copies.iter().map(|copy| text(&copy["print_id"])).collect();
    assert_eq!(prints.len(), 4, "each copy has its own print");
    for copy in &copies {
        assert_eq!(
            (&copy["state"], &copy["quality"], &copy["good"]),
            (&json!("finished"), &json!("judged"), &json!(1))
        );
        assert_ne!(&copy["printer_id"], third.as_str(), "not opted in");
        assert!(copy["why"]["print_time_s"].is_number() && copy["why"]["rule"].is_string(), "{copy}");
        assert!(copy["result"]["print_time_s"].is_number(), "{copy}");
    }
    let (_, prints, _) = production.test.server.get(&format!("/api/v1/prints?printer_id={third}")).await;
    assert_eq!(prints["items"], json!([]));
    // The starts are batches of the planner.
    let (_, all, _) = production.test.server.get("/api/v1/batches").await;
    assert_eq!(all["items"], json!([]), "{all}");
    let (_, planned, _) = production.test.server.get("/api/v1/batches?origin=planner").await;
    assert_eq!(planned["items"].as_array().expect("batches").len(), 4);
    production.test.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_copy_is_made_again_and_two_failures_put_the_printer_under_attention() {
    let production = Production::start_ready(1).await;
    let printer = &production.farm.printers()[0];
    let long = add_file(&production.test.server, "long.gcode", &long_gcode(4_000)).await;
    let files = json!([{"file_id": long, "models": ["MK4"]}]);
    let on_failure = json!({"max_attempts": 5});
    let fields = json!({"part": null, "files": files, "on_failure": on_failure, "quantity": 1});
    let order = production.test.create_order(fields).await;
    for attempt in 1..=2 {
        production.until_printing(&order).await;
        printer.perform(MachineAction::FirmwareError("Thermal runaway".to_owned()));
        until("the copy failed", DEADLINE, async || {
            let copies = production.copies(&order).await;
            let failed = copies.iter().filter(|copy| copy["state"] == "failed").count();
            if failed == attempt { Ok(()) } else { Err(format!("{copies:?}")) }
        })
        .await;
        printer.perform(MachineAction::Connect);
        production.test.server.until_state(&production.ids[0], "operational").await;
        production.clear_plates(&production.ids).await;
    }
    production.until_order(&order, "attention", |order| has_reason(order, "attention", 1)).await;
    let path = format!("/api/v1/printers/{}", production.ids[0]);
    assert_eq!(production.test.server.get(&path).await.1["status"]["attention"]["reason"], "failed_twice");
    let copies = production.copies(&order).await;
    assert_eq!(copies.len(), 2, "{copies:?}");
    let second = copies.iter().find(|copy| copy["attempt"] == 2).expect("a second attempt");
    let first = copies.iter().find(|copy| copy["attempt"] == 1).expect("a first attempt");
    assert_eq!(second["replaces"], first["id"]);
    // A person has looked at it.
    let (status, body, _) = production.test.server.post(&format!("{path}/attention/clear"), json!({})).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    production.until_order(&order, "the third attempt", |order| order["quantities"]["printing"] == 1).await;
    production.test.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_printer_that_does_not_answer_keeps_its_copy_until_it_is_seen() {
    let production = Production::start_ready(1).await;
    let long = add_file(&production.test.server, "long.gcode", &long_gcode(1_200)).await;
    let files = json!([{"file_id": long, "models": ["MK4"]}]);
    let order = production.test.create_order(json!({"part": null, "files": files, "quantity": 2})).await;
    until("a copy prints", DEADLINE, async || {
        let copies = production.copies(&order).await;
        if copies.iter().any(|copy| copy["state"] == "printing") { Ok(()) } else { Err(format!("{copies:?}")) }
    })
    .await;
    let printer = &production.farm.printers()[0];
    printer.set_fault(Some(Fault::Refuse));
    until("the printer is unreachable", DEADLINE, async || {
        let status = production.test.server.get(&format!("/api/v1/printers/{}", production.ids[0])).await.1;
        if status["status"]["reachability"] == "unreachable" { Ok(()) } else { Err(status.to_string()) }
    })
    .await;
    assert_eq!(production.copies(&order).await.len(), 1, "nothing replaces it");
    printer.set_fault(None);
    let order = production.print_to_the_end(&order).await;
    assert_eq!(production.copies(&order).await.len(), 2);
    production.test.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_production_is_stopped_nothing_is_started_and_prints_go_on() {
    let production = Production::start(2).await;
    let server = &production.test.server;
    let limited = server.create_token_for("operator", &["hall-a"]).await;
    let request = server.request_without_auth(reqwest::Method::POST, "/api/v1/plan/stop").bearer_auth(limited);
    assert_eq!(
        send_request(request.json(&json!({}))).await.0,
        StatusCode::FORBIDDEN,
        "the switch is for the whole farm"
    );
    let long = add_file(server, "long.gcode", &long_gcode(1_200)).await;
    let files = json!([{"file_id": long, "models": ["MK4"]}]);
    let order = production.test.create_order(json!({"part": null, "files": files, "quantity": 3})).await;
    production.opt_in(&production.ids[0]).await;
    production.clear_plates(&production.ids[..1]).await;
    // A start that was not sent would be withdrawn at the stop.
    production.until_printing(&order).await;
    let (status, state, _) = server.post("/api/v1/plan/stop", json!({"reason": "fire alarm"})).await;
    assert_eq!((status, &state["state"], &state["reason"]), (StatusCode::OK, &json!("stopped"), &json!("fire alarm")));
    // A second printer becomes ready, and gets nothing.
    production.opt_in(&production.ids[1]).await;
    production.clear_plates(&production.ids[1..]).await;
    production.until_order(&order, "the reason", |order| has_reason(order, "production_stopped", 0)).await;
    production.until_order(&order, "the print has ended", |order| order["quantities"]["good"] == 1).await;
    assert_eq!(production.copies(&order).await.len(), 1, "nothing was started");
    let (_, tasks, _) = server.get("/api/v1/tasks").await;
    assert_eq!(tasks["items"][0]["kind"], "clear_plate", "{tasks}");
    assert_eq!(tasks["items"][0]["printer_id"], json!(production.ids[0]), "{tasks}");
    let (_, plan, _) = server.get("/api/v1/plan").await;
    assert_eq!(plan["waiting"][0]["reasons"][0]["code"], "production_stopped", "{plan}");

    assert_eq!(server.post("/api/v1/plan/go", json!({})).await.1["state"], "running");
    production.until_order(&order, "production goes on", |order| order["quantities"]["printing"] == 1).await;
    let (_, printer, _) = server.get(&format!("/api/v1/plan/printers/{}", production.ids[0])).await;
    assert_eq!(printer["reasons"][0]["code"], "plate_not_clear", "{printer}");
    assert_eq!(printer["next"]["order_id"], order["id"], "{printer}");
    let (_, events, _) = server.get("/api/v1/events?types=plan.stopped,plan.resumed").await;
    assert_eq!(events["items"].as_array().map(Vec::len), Some(2), "{events}");
    production.test.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_server_continues_its_orders_and_starts_no_copy_twice() {
    let mut production = Production::start_ready(2).await;
    // Ends only when the test says so: a print that ends while no server looks leaves its start unknown.
    let file = add_file(&production.test.server, "long.gcode", &long_gcode(200_000)).await;
    let files = json!([{"file_id": file, "models": ["MK4"]}]);
    let order = production.test.create_order(json!({"part": null, "files": files, "quantity": 6})).await;
    let mut ended = HashSet::new();
    for _ in 0..4 {
        production.clear_plates(&production.ids).await;
        let server = production.test.server.restart().await;
        production.test = OrderServer { server, file_id: production.test.file_id.clone() };
        for id in &production.ids {
            production.test.server.until_online(id).await;
        }
        production.finish_prints(&order, &mut ended).await;
    }
    // A stop waits for the reply to a start. If the machine is too slow for that, the start becomes unknown after a minute, and
    // a person looks at the printer.
    until("all copies are finished", 3 * DEADLINE, async || {
        production.finish_prints(&order, &mut ended).await;
        production.check_printers(&order).await;
        let found = production.test.order(&order["id"]).await;
        if found["state"] == "completed" { Ok(()) } else { Err(format!("{found}")) }
    })
    .await;
    let order = production.print_to_the_end(&order).await;
    assert_eq!(order["quantities"]["good"], 6, "{order}");
    let copies = production.copies(&order).await;
    let finished: Vec<&Value> = copies.iter().filter(|copy| copy["state"] == "finished").collect();
    assert_eq!(finished.len(), 6, "{copies:?}");
    let (_, prints, _) = production.test.server.get("/api/v1/prints?limit=500").await;
    let prints = prints["items"].as_array().expect("prints").len();
    let started = copies.iter().filter(|copy| !copy["print_id"].is_null()).count();
    assert_eq!(prints, started, "each print is the print of one copy");
    production.test.server.stop().await;
}

/// Returns G-code that takes half a second per line.
fn long_gcode(lines: usize) -> String {
    let head = "; generated by PrusaSlicer 2.8.0 on 2026-11-29\n; printer_model = MK4\n";
    format!("{head}{}", "G4 P500\n".repeat(lines))
}
