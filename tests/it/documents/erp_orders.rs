//! Follows section 10 of docs/erp.md: orders.

use reqwest::Method;
use serde_json::{Value, json};

use super::{
    api::Api,
    as_text,
    comparison::compare_last_answer,
    items,
    markdown::Document,
    terminal::{Machine, Terminal},
};
use crate::{
    api::problems::assert_problem,
    support::server::{JsonResponse, send_request},
};

/// Section 10: from an item number to good parts, on a server without printers.
pub async fn order_good_parts(guide: &mut Document, machine: &Machine, terminal: &Terminal<'_>, api: &Api) {
    machine.take_answers();
    let upload = guide.next_block("sh", "/api/v1/files");
    terminal.run(&upload, &[]).await;
    let answers = machine.take_answers();
    let file = answers.last().expect("an answer");
    assert_eq!(Some(file.status), upload.promised_status(), "{}", file.body);
    let make = guide.next_block("sh", "/api/v1/orders");
    terminal.run(&make, &[("FILE", as_text(&file.body["id"]))]).await;
    let order = compare_last_answer(guide, &make, &machine.take_answers());
    let id = as_text(&order["id"]);

    check_business_key(guide, api, &make.request_body(), id).await;
    guide.assert_states("`\"require_feasible\": true` refuses an order that none can make");
    let mut infeasible = make.request_body();
    (infeasible["external_ref"], infeasible["require_feasible"]) = (json!("MO/00413"), json!(true));
    assert_problem(&api.post("/orders", &infeasible).await, 422, "no_printer_can");

    let adjust = guide.next_block("sh", "/adjust");
    terminal.run(&adjust, &[("ORDER", id)]).await;
    let answers = machine.take_answers();
    let completed = answers.last().expect("an answer");
    assert_eq!(Some(completed.status), adjust.promised_status(), "{}", completed.body);
    guide.assert_states("The order is `completed`.");
    assert_eq!(completed.body["state"], "completed", "{}", completed.body);
    assert_eq!(
        (&completed.body["quantities"]["good"], &completed.body["quantities"]["scrap"]),
        (&json!(120), &json!(2))
    );

    guide.assert_states("the events `order.*` and `copy.*` have your key and the `quantities` after the event.");
    let page = api.get("/events?types=order.completed").await;
    let event = &items(&page)[0]["data"];
    assert_eq!((&event["external_ref"], &event["quantities"]), (&json!("MO/00412"), &completed.body["quantities"]));
    let page = api.get("/orders?source=odoo&updated_since=2020-01-01T00:00:00Z").await;
    assert_eq!(items(&page)[0]["id"], order["id"]);
    check_changes(guide, api, id).await;
}

/// The same request makes one order.
async fn check_business_key(guide: &Document, api: &Api, request: &Value, id: &str) {
    guide.assert_states("the same request again is answered with the same order (200)");
    let (status, again, _) = api.post("/orders", request).await;
    assert_eq!((status.as_u16(), as_text(&again["id"])), (200, id), "{again}");
    guide.assert_states("and other content with `order_conflict` and `existing_id`.");
    let mut other = request.clone();
    other["quantity"] = json!(121);
    let conflict = api.post("/orders", &other).await;
    assert_problem(&conflict, 409, "order_conflict");
    assert_eq!(conflict.1["existing_id"], id, "{}", conflict.1);
}

/// Changes of a part, and the ends of orders.
async fn check_changes(guide: &Document, api: &Api, id: &str) {
    guide.assert_states("`MO/7` and `MO%2F7` are the same part. A change needs `If-Match`.");
    let file = api.get("/parts/BRKT-7").await["files"][0]["file_id"].clone();
    let put = async |path: &str, if_match: Option<&str>| -> JsonResponse {
        let body = json!({"revision": "D", "title": "Bracket", "files": [{"file_id": file}]});
        let mut request = api.request(Method::PUT, path).json(&body);
        if let Some(version) = if_match {
            request = request.header("If-Match", version);
        }
        send_request(request).await
    };
    assert_eq!(put("/parts/MO/7", None).await.0, 201);
    assert_eq!(api.get("/parts/MO%2F7").await["number"], "MO/7");
    assert_eq!(put("/parts/MO%2F7", None).await.0, 428);
    assert_eq!(put("/parts/BRKT-7", Some("\"v1\"")).await.0, 200);

    // Two good parts are missing: the order is open again, with the files of the part's earlier revision.
    let missing = json!({"good": -2, "scrap": 2, "reason": "warped"});
    let (_, reopened, _) = api.post(&format!("/orders/{id}/adjust"), &missing).await;
    assert_eq!((&reopened["state"], &reopened["quantities"]["remaining"]), (&json!("queued"), &json!(2)), "{reopened}");
    assert_eq!((&reopened["part_revision"], &reopened["files"][0]["parts_per_plate"]), (&json!("C"), &json!(4)));
    guide.assert_states("takes those of the part's current revision.");
    let version = format!("\"v{}\"", reopened["version"]);
    let patch = api.request(Method::PATCH, &format!("/orders/{id}")).header("If-Match", version);
    let (_, patched, _) = send_request(patch.json(&json!({"part_revision": "D"}))).await;
    assert_eq!((&patched["part_revision"], &patched["files"][0]["parts_per_plate"]), (&json!("D"), &json!(1)));

    guide.assert_states("`short-close` ends an order with fewer parts, and `cancel` ends it without any more.");
    let (_, closed, _) = api.post(&format!("/orders/{id}/short-close"), &json!({})).await;
    assert_eq!((&closed["state"], &closed["quantities"]["good"]), (&json!("short_closed"), &json!(118)), "{closed}");
    let body = json!({"part": "BRKT-7", "quantity": 1});
    let (_, other, _) = api.post("/orders", &body).await;
    let (_, cancelled, _) = api.post(&format!("/orders/{}/cancel", as_text(&other["id"])), &json!({})).await;
    assert_eq!(cancelled["state"], "cancelled", "{cancelled}");
}
