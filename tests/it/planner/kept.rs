//! What the planner keeps between runs equals what a new server reads.

use printyard::domain::{attention::AttentionReason, planner::PlanInput};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::run_planner;
use crate::{
    orders::{OrderServer, text},
    parts::{MK4_FILE, add_file, put_part},
    support::server::{TestServer, send_request},
};

/// Runs the planner. Returns what the plan was made of.
async fn plan_input(server: &TestServer) -> PlanInput {
    run_planner(server).await;
    server.services.latest_plan().expect("a plan").input.clone()
}

/// Describes printers and orders without the order of the lists.
fn describe(input: &PlanInput) -> Vec<String> {
    let order = |order: &printyard::domain::planner::PlanOrder| {
        let mut order = order.clone();
        let files: Vec<String> = order.files.iter().map(|file| format!("{:?}", input.files[file.file])).collect();
        order.files.iter_mut().for_each(|file| file.file = 0);
        format!("{order:?} {files:?}")
    };
    let printers = input.printers.iter().map(|printer| format!("{printer:?}"));
    let mut all: Vec<String> = input.orders.iter().map(order).chain(printers).collect();
    all.sort();
    all
}

/// Changes one order after the other, each in another way. The planner runs after each change.
async fn change_orders(test: &OrderServer) {
    let server = &test.server;
    let mut orders = Vec::new();
    for quantity in 1..=9 {
        orders.push(test.create_order(json!({"quantity": quantity})).await);
    }
    plan_input(server).await;
    let path = |order: &Value, action: &str| format!("/api/v1/orders/{}{action}", text(&order["id"]));
    let patch = async |order: &Value, body: Value| {
        let request = server.request(Method::PATCH, &path(order, "")).header("If-Match", "\"v1\"");
        let (status, body, _) = send_request(request.json(&body)).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        plan_input(server).await;
    };
    let post = async |order: &Value, action: &str, body: Value| {
        let (status, body, _) = server.post(&path(order, action), body).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        plan_input(server).await;
    };
    patch(&orders[0], json!({"priority": 90})).await;
    patch(&orders[1], json!({"quantity": 20, "due_at": "2027-01-02T03:04:05Z"})).await;
    patch(&orders[2], json!({"requirements": {"material": "PETG"}, "max_printers": 2})).await;
    post(&orders[3], "/hold", json!({})).await;
    post(&orders[4], "/cancel", json!({})).await;
    post(&orders[5], "/adjust", json!({"good": 2, "scrap": 0, "reason": "counted"})).await;
    post(&orders[6], "/adjust", json!({"good": 7, "scrap": 0, "reason": "counted"})).await;
    post(&orders[7], "/hold", json!({})).await;
    post(&orders[7], "/release", json!({})).await;
    // The part gets another file, and one order takes it.
    let other = add_file(server, "other.gcode", &MK4_FILE.replace('4', "5")).await;
    let body = json!({"revision": "D", "title": "Bracket", "files": [{"file_id": other, "models": ["MK4"]}]});
    let (status, part, _) = put_part(server, "BRKT-7", Some("\"v1\""), body).await;
    assert_eq!(status, StatusCode::OK, "{part}");
    patch(&orders[8], json!({"part_revision": "D"})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_planner_keeps_equals_what_a_new_server_reads() {
    let mut test = OrderServer::start().await;
    let server = &test.server;
    let mut printers = Vec::new();
    for name in ["a", "b", "c"] {
        let body = json!({"name": name, "url": format!("http://{name}.test"), "enabled": false, "model": "MK4"});
        let (status, printer, _) = server.post("/api/v1/printers", body).await;
        assert_eq!(status, StatusCode::CREATED, "{printer}");
        printers.push(text(&printer["id"]).to_owned());
    }
    change_orders(&test).await;

    let printer = |input: &PlanInput, n: usize| {
        input.printers.iter().find(|printer| printer.id.to_string() == printers[n]).cloned().expect("a printer")
    };
    let path = |n: usize| format!("/api/v1/printers/{}", printers[n]);
    server.patch(&path(0), json!({"tags": ["hall-a"], "material": "PETG"})).await;
    let facts = printer(&plan_input(server).await, 0).facts;
    assert_eq!((facts.tags, facts.tools[0].material.as_deref()), (vec!["hall-a".to_owned()], Some("PETG")));
    let id = printers[1].parse().expect("an id");
    server.services.set_attention(id, AttentionReason::FailedTwice).await.expect("no error");
    assert!(printer(&plan_input(server).await, 1).has_attention);
    server.post(&format!("{}/attention/clear", path(1)), json!({})).await;
    assert!(!printer(&plan_input(server).await, 1).has_attention);
    server.delete(&path(2)).await;
    assert_eq!(plan_input(server).await.printers.len(), 2);

    let file = format!("/api/v1/files/{}", test.file_id);
    let (_, _, headers) = server.get(&file).await;
    let version = headers.get("etag").expect("a version").to_str().expect("text").to_owned();
    let change = json!({"overrides": {"printer_model": "MK4S"}});
    let request = server.request(Method::PATCH, &file).header("If-Match", version);
    let (status, body, _) = send_request(request.json(&change)).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    let kept = plan_input(server).await;
    assert!(kept.files.iter().any(|file| file.printer_model.as_deref() == Some("MK4S")), "{:?}", kept.files);

    test.server = test.server.restart().await;
    let read = plan_input(&test.server).await;
    assert_eq!(describe(&kept), describe(&read));
    assert_eq!(read.orders.len(), 7, "one was cancelled, and one needs no more parts");
    test.server.stop().await;
}
