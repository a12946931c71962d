//! Copies over HTTP: listed, judged, given up, and cancelled with their order.

use printyard::{domain::copy::CopyState, service::copies::CopyStep, storage::copies::AssignmentResult};
use reqwest::StatusCode;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{OrderServer, text};
use crate::{api::problems::assert_problem, support::server::start_server_with_farm};

impl OrderServer {
    /// Registers a printer that is disabled, so nothing is sent to it. Returns its id.
    async fn add_printer(&self, name: &str) -> Uuid {
        let body = json!({"name": name, "url": format!("http://{name}.test"), "enabled": false, "model": "MK4"});
        let (status, printer, _) = self.server.post("/api/v1/printers", body).await;
        assert_eq!(status, StatusCode::CREATED, "{printer}");
        text(&printer["id"]).parse().expect("an id")
    }

    /// Assigns a copy as the planner does. Returns its id.
    async fn assign(&self, order: &Value, printer_id: Uuid) -> Uuid {
        let services = &self.server.services;
        let admin = printyard::service::access::Principal::server_admin(printyard::domain::audit::ActorKind::Terminal);
        let id = text(&order["id"]).parse().expect("an id");
        let order = services.order(&admin, id).await.expect("an order").counted.order;
        let printer = services.printer(&admin, printer_id).await.expect("a printer").printer;
        let why = Map::from_iter([("rule".to_owned(), json!("atc"))]);
        match services.assign_copy(&order, &order.files[0], &printer, why).await.expect("no error") {
            AssignmentResult::Assigned(copy) => copy.id,
            other => panic!("{other:?}"),
        }
    }

    async fn advance(&self, copy: Uuid, state: CopyState) {
        let moved = self.server.services.advance_copy(copy, CopyStep::to(state)).await.expect("no error");
        assert_eq!(moved.state, state);
    }

    async fn copy(&self, id: Uuid) -> Value {
        let (status, copy, _) = self.server.get(&format!("/api/v1/copies/{id}")).await;
        assert_eq!(status, StatusCode::OK, "{copy}");
        copy
    }
}

#[tokio::test]
async fn a_copy_has_the_fields_of_the_contract() {
    let test = OrderServer::start().await;
    let order = test.create_order(json!({"judgement": "manual", "external_ref": "MO/5"})).await;
    let printer = test.add_printer("mk4").await;
    let id = test.assign(&order, printer).await;
    let copy = test.copy(id).await;
    let expected = json!({
        "order_id": order["id"], "part": "BRKT-7", "replaces": null, "attempt": 1, "state": "assigned",
        "printer_id": printer, "file_id": test.file_id, "print_id": null, "parts": 1, "started_at": null,
        "finished_at": null, "result": null, "quality": "unjudged", "good": 0, "scrap": 0, "reason": null,
        "why": {"rule": "atc"},
    });
    for (name, value) in expected.as_object().expect("fields") {
        assert_eq!(copy[name], *value, "{name}");
    }
    for path in
        [format!("/api/v1/orders/{}/copies", text(&order["id"])), format!("/api/v1/copies?printer_id={printer}")]
    {
        assert_eq!(test.server.get(&path).await.1["items"], json!([copy]), "{path}");
    }
    let (_, none, _) = test.server.get("/api/v1/copies?state=finished").await;
    assert_eq!(none["items"], json!([]));
    assert_eq!(test.order(&order["id"]).await["state"], "running");
    // The list of batches has the start only on request.
    assert_eq!(test.server.get("/api/v1/batches").await.1["items"], json!([]));
    let (_, batches, _) = test.server.get("/api/v1/batches?origin=planner").await;
    let batch = &batches["items"][0];
    assert_eq!((&batch["created_by"], &batch["external_ref"]), (&json!("planner"), &json!("MO/5")), "{batch}");
    let (_, audit, _) = test.server.get("/api/v1/audit?action=batch.created").await;
    assert_eq!(audit["items"][0]["actor"]["kind"], "planner", "{audit}");
}

#[tokio::test]
async fn a_finished_copy_is_judged_and_the_judgement_corrected() {
    let test = OrderServer::start().await;
    let order = test.create_order(json!({"quantity": 1, "judgement": "manual"})).await;
    let id = test.assign(&order, test.add_printer("mk4").await).await;
    let judge = async |body: Value| test.server.post(&format!("/api/v1/copies/{id}/judge"), body).await;
    assert_problem(&judge(json!({"good": 1, "scrap": 0})).await, 409, "copy_not_finished");
    test.advance(id, CopyState::Printing).await;
    test.advance(id, CopyState::Finished).await;
    let waiting = test.order(&order["id"]).await;
    assert_eq!((&waiting["state"], &waiting["quantities"]["unjudged"]), (&json!("queued"), &json!(1)), "{waiting}");
    let refused = judge(json!({"good": 1, "scrap": 1})).await;
    assert_problem(&refused, 422, "invalid_input");
    assert_eq!(refused.1["errors"][0]["pointer"], "/good");
    let (status, judged, _) = judge(json!({"good": 1, "scrap": 0})).await;
    assert_eq!((status, &judged["quality"]), (StatusCode::OK, &json!("judged")), "{judged}");
    assert_eq!(test.order(&order["id"]).await["state"], "completed");
    // The same judgement again changes nothing.
    judge(json!({"good": 1, "scrap": 0})).await;
    let (_, corrected, _) = judge(json!({"good": 0, "scrap": 1, "reason": "warped"})).await;
    assert_eq!((&corrected["scrap"], &corrected["reason"]), (&json!(1), &json!("warped")), "{corrected}");
    let reopened = test.order(&order["id"]).await;
    assert_eq!((&reopened["state"], &reopened["quantities"]["queued"]), (&json!("queued"), &json!(1)));
    let (_, events, _) = test.server.get("/api/v1/events?types=copy.judged").await;
    let events = events["items"].as_array().expect("items");
    assert_eq!(events.len(), 2);
    let data = &events[1]["data"];
    assert_eq!(data["before"], json!({"quality": "judged", "good": 1, "scrap": 0}));
    assert_eq!((&data["good"], &data["scrap"], &data["copy_id"]), (&json!(0), &json!(1), &json!(id)));
    assert_eq!((&data["printer_name"], &data["quantities"]["scrap"]), (&json!("mk4"), &json!(1)));
}

#[tokio::test]
async fn a_copy_that_cannot_be_observed_is_given_up_and_replaced() {
    let test = OrderServer::start().await;
    let order = test.create_order(json!({"quantity": 1})).await;
    let printer = test.add_printer("mk4").await;
    let first = test.assign(&order, printer).await;
    test.advance(first, CopyState::Printing).await;
    let lose = async |id: Uuid| test.server.post(&format!("/api/v1/copies/{id}/lost"), json!({"reason": "fire"})).await;
    let (status, lost, _) = lose(first).await;
    assert_eq!((status, &lost["state"], &lost["reason"]), (StatusCode::OK, &json!("lost"), &json!("fire")), "{lost}");
    assert_eq!(lose(first).await.1["state"], "lost", "again changes nothing");
    assert_eq!(test.order(&order["id"]).await["quantities"]["queued"], 1);
    let second = test.assign(&order, printer).await;
    let copy = test.copy(second).await;
    assert_eq!((&copy["replaces"], &copy["attempt"]), (&json!(first), &json!(2)));
    test.advance(second, CopyState::Finished).await;
    assert_eq!(test.order(&order["id"]).await["state"], "completed");
    // The part is gone after all.
    assert_eq!(lose(second).await.1["good"], 0);
    let reopened = test.order(&order["id"]).await;
    assert_eq!((&reopened["state"], &reopened["quantities"]["queued"]), (&json!("queued"), &json!(1)));
    let third = test.assign(&order, printer).await;
    test.advance(third, CopyState::Released).await;
    assert_problem(&lose(third).await, 409, "copy_ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_on_a_printer_that_replies_is_not_given_up() {
    let (server, _farm, ids) = start_server_with_farm(1).await;
    let test = OrderServer::with(server).await;
    let order = test.create_order(json!({"quantity": 1})).await;
    let id = test.assign(&order, ids[0].parse().expect("an id")).await;
    let refused = test.server.post(&format!("/api/v1/copies/{id}/lost"), json!({})).await;
    assert_problem(&refused, 409, "copy_running");
}

#[tokio::test]
async fn a_start_that_was_not_sent_is_withdrawn_with_its_order() {
    let test = OrderServer::start().await;
    for (n, (action, running, state)) in
        [("cancel", "cancel", "released"), ("short-close", "cancel", "released"), ("cancel", "finish", "assigned")]
            .into_iter()
            .enumerate()
    {
        let order = test.create_order(json!({"quantity": 1})).await;
        // The printer never replies, so its start waits for the file.
        let body = json!({"name": format!("away {n}"), "url": format!("http://127.0.0.1:1/{n}"), "model": "MK4"});
        let (status, printer, _) = test.server.post("/api/v1/printers", body).await;
        assert_eq!(status, StatusCode::CREATED, "{printer}");
        let id = test.assign(&order, text(&printer["id"]).parse().expect("an id")).await;
        let (status, ended, _) = test.act(&order["id"], action, json!({"running": running})).await;
        assert_eq!(status, StatusCode::OK, "{ended}");
        let copy = test.copy(id).await;
        assert_eq!(copy["state"], state, "{action}, {running}: {copy}");
        assert_eq!(ended["quantities"]["printing"], u64::from(state == "assigned"), "{ended}");
        if state == "assigned" {
            // The repetition cancels what still runs.
            test.act(&order["id"], action, json!({"running": "cancel"})).await;
            assert_eq!(test.copy(id).await["state"], "released");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_print_is_cancelled_by_its_identity() {
    let (server, _farm, ids) = start_server_with_farm(1).await;
    let test = OrderServer::with(server).await;
    let printer = &ids[0];
    test.server.post_and_wait(&format!("/api/v1/printers/{printer}/job"), json!({"command": "start"})).await;
    let body = test.server.until_state(printer, "printing").await;
    let order = test.create_order(json!({"quantity": 2})).await;
    let id = test.assign(&order, printer.parse().expect("an id")).await;
    let print_id = text(&body["job"]["print_id"]).parse().expect("an id");
    let step = CopyStep { print_id: Some(print_id), ..CopyStep::to(CopyState::Printing) };
    test.server.services.advance_copy(id, step).await.expect("no error");
    let (status, ended, _) = test.act(&order["id"], "cancel", json!({"running": "cancel"})).await;
    assert_eq!((status, &ended["state"]), (StatusCode::OK, &json!("cancelled")), "{ended}");
    let (_, batches, _) = test.server.get("/api/v1/batches?command=cancel").await;
    assert_eq!(batches["items"][0]["counts"]["total"], 1, "{batches}");
    test.server.until_state(printer, "operational").await;
}
