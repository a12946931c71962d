//! Orders over HTTP: one order for each business key, derived quantities, actions, copies and events.

mod actions;
mod copies;
mod limited;
mod printers;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{
    api::problems::assert_problem,
    parts::{MK4_FILE, add_file, put_part},
    support::server::{JsonResponse, TestServer, send_request},
};

/// A server with a part `BRKT-7` that makes one part at a time.
pub struct OrderServer {
    pub server: TestServer,
    pub file_id: String,
}

impl OrderServer {
    pub async fn start() -> Self {
        Self::with(TestServer::start().await).await
    }

    pub async fn with(server: TestServer) -> Self {
        let file_id = add_file(&server, "bracket.gcode", MK4_FILE).await;
        let body = json!({"revision": "C", "title": "Bracket", "files": [{"file_id": file_id}]});
        let (status, part, _) = put_part(&server, "BRKT-7", None, body).await;
        assert_eq!(status, StatusCode::CREATED, "{part}");
        Self { server, file_id }
    }

    /// Makes an order of the part. Returns it.
    pub async fn create_order(&self, fields: Value) -> Value {
        let (status, order, _) = self.post_order(fields).await;
        assert_eq!(status, StatusCode::CREATED, "{order}");
        order
    }

    /// Posts an order of the part, with further fields.
    pub async fn post_order(&self, fields: Value) -> JsonResponse {
        let mut body = json!({"quantity": 3, "part": "BRKT-7"});
        for (name, value) in fields.as_object().expect("fields") {
            body[name] = value.clone();
        }
        self.server.post("/api/v1/orders", body).await
    }

    /// Reads an order.
    pub async fn order(&self, id: &Value) -> Value {
        let (status, order, _) = self.server.get(&format!("/api/v1/orders/{}", text(id))).await;
        assert_eq!(status, StatusCode::OK, "{order}");
        order
    }

    /// Patches an order that has the version.
    pub async fn patch(&self, id: &Value, tag: Option<&str>, body: Value) -> JsonResponse {
        let mut request = self.server.request(Method::PATCH, &format!("/api/v1/orders/{}", text(id)));
        if let Some(tag) = tag {
            request = request.header("If-Match", tag);
        }
        send_request(request.json(&body)).await
    }

    /// Does an action of an order.
    pub async fn act(&self, id: &Value, action: &str, body: Value) -> JsonResponse {
        self.server.post(&format!("/api/v1/orders/{}/{action}", text(id)), body).await
    }

    /// Returns the events of orders and copies by type.
    pub async fn event_types(&self) -> Vec<String> {
        let (_, events, _) = self.server.get("/api/v1/events?limit=500").await;
        let kinds = events["items"].as_array().expect("items").iter().filter_map(|event| event["type"].as_str());
        let of_orders = kinds.filter(|kind| kind.starts_with("order.") || kind.starts_with("copy."));
        of_orders.map(str::to_owned).collect()
    }
}

/// Returns the text of a value.
pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value}"))
}

#[tokio::test]
async fn an_order_has_the_fields_of_the_contract() {
    let test = OrderServer::start().await;
    let body = json!({
        "source": "odoo", "external_ref": "MO/00412", "line": "10", "title": "Left brackets", "quantity": 120,
        "requirements": {"material": "PETG", "tags_any": ["hall-a"]}, "priority": 80,
        "not_before": "2026-12-01T08:00:00Z", "due_at": "2026-12-03T17:00:00+01:00", "max_printers": 3, "max_surplus": 0,
        "on_failure": {"max_attempts": 5}, "judgement": "manual", "metadata": {"cost_centre": 7, "deep": {"a": null}},
    });
    let (status, order, headers) = test.post_order(body.clone()).await;
    assert_eq!(status, StatusCode::CREATED, "{order}");
    let id = text(&order["id"]);
    assert_eq!(headers["location"].to_str().expect("text"), format!("/api/v1/orders/{id}"));
    assert_eq!(headers["etag"].to_str().expect("text"), "\"v1\"");
    for name in ["source", "external_ref", "line", "title", "quantity", "priority", "not_before", "max_printers"] {
        assert_eq!(order[name], body[name], "{name}");
    }
    assert_eq!((&order["part"], &order["part_revision"]), (&json!("BRKT-7"), &json!("C")));
    assert_eq!((&order["max_surplus"], &order["judgement"]), (&json!(0), &json!("manual")));
    assert_eq!(order["due_at"], "2026-12-03T16:00:00Z");
    assert_eq!(order["on_failure"], json!({"max_attempts": 5, "prefer_other_printer": true}));
    assert_eq!(order["metadata"], body["metadata"]);
    assert_eq!(order["requirements"]["tags_any"], json!(["hall-a"]));
    assert_eq!((&order["files"][0]["models"], &order["files"][0]["parts_per_plate"]), (&json!(["MK4"]), &json!(1)));
    assert_eq!(order["files"][0]["estimated_print_time_s"], 3_723);
    let quantities = json!({
        "ordered": 120, "good": 0, "scrap": 0, "unjudged": 0, "printing": 0, "queued": 120, "remaining": 120, "surplus": 0,
    });
    assert_eq!((&order["state"], &order["quantities"]), (&json!("queued"), &quantities));
    assert_eq!((&order["waiting_reasons"], &order["completed_at"]), (&json!([]), &Value::Null));
    assert_eq!(order["feasible"], json!({"printers": 0, "reasons": []}));
    let mut read = test.order(&order["id"]).await;
    assert_eq!(read.as_object_mut().and_then(|fields| fields.remove("feasible")), None);
    let mut made = order.clone();
    made.as_object_mut().expect("an order").remove("feasible");
    assert_eq!(read, made);
}

#[tokio::test]
async fn the_same_business_key_makes_one_order() {
    let test = OrderServer::start().await;
    let body = json!({"source": "odoo", "external_ref": "MO/1", "due_at": "2026-12-03T16:00:00Z"});
    let order = test.create_order(body.clone()).await;
    // The time is the same in another zone, and an empty line is the default.
    let again = json!({"source": "odoo", "external_ref": "MO/1", "due_at": "2026-12-03T17:00:00+01:00", "line": ""});
    let (status, same, headers) = test.post_order(again.clone()).await;
    assert_eq!((status, &same["id"]), (StatusCode::OK, &order["id"]));
    assert_eq!(headers["location"].to_str().expect("text"), format!("/api/v1/orders/{}", text(&order["id"])));
    let other = test.post_order(json!({"source": "odoo", "external_ref": "MO/1", "quantity": 4})).await;
    assert_problem(&other, 409, "order_conflict");
    assert_eq!(other.1["existing_id"], order["id"]);
    // The content is compared with the first request, whatever changed since.
    let (status, ..) = test.patch(&order["id"], Some("*"), json!({"quantity": 9})).await;
    assert_eq!(status, StatusCode::OK);
    let (status, same, _) = test.post_order(again).await;
    assert_eq!((status, &same["quantity"]), (StatusCode::OK, &json!(9)), "the current body");
    let line = test.create_order(json!({"source": "odoo", "external_ref": "MO/1", "line": "20"})).await;
    assert_ne!(line["id"], order["id"]);
    // Without a reference there is no key.
    let [a, b] = [test.create_order(json!({})).await, test.create_order(json!({})).await];
    assert_ne!(a["id"], b["id"]);
    let (_, list, _) = test.server.get("/api/v1/orders?external_ref=MO/1&source=odoo&line=20").await;
    assert_eq!(list["items"].as_array().map(Vec::len), Some(1), "{list}");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_requests_with_one_business_key_make_one_order() {
    let test = OrderServer::start().await;
    let body = json!({"source": "odoo", "external_ref": "MO/1"});
    let responses = futures_util::future::join_all((0..20).map(|_| test.post_order(body.clone()))).await;
    let created = responses.iter().filter(|(status, ..)| *status == StatusCode::CREATED).count();
    assert_eq!(created, 1);
    assert!(responses.iter().all(|(status, order, _)| status.is_success() && order["id"] == responses[0].1["id"]));
}

#[tokio::test]
async fn an_idempotency_key_repeats_an_order_without_a_reference() {
    let test = OrderServer::start().await;
    let post = async || {
        let body = json!({"quantity": 3, "part": "BRKT-7"});
        let request = test.server.request(Method::POST, "/api/v1/orders").header("Idempotency-Key", "MO-1");
        send_request(request.json(&body)).await
    };
    let (first, again) = (post().await, post().await);
    assert_eq!((first.0, again.0), (StatusCode::CREATED, StatusCode::CREATED));
    assert_eq!((&again.1["id"], &again.2["idempotent-replayed"]), (&first.1["id"], &"true".parse().expect("a header")));
    let (_, list, _) = test.server.get("/api/v1/orders").await;
    assert_eq!(list["items"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn an_invalid_order_names_its_fields() {
    let test = OrderServer::start().await;
    let nameless = add_file(&test.server, "nameless.gcode", "G28\n").await;
    for (body, pointer) in [
        (json!({"quantity": 0}), "/quantity"),
        (json!({"quantity": 1_000_001}), "/quantity"),
        (json!({"part": "UNKNOWN"}), "/part"),
        (json!({"part": null}), "/part"),
        (json!({"files": [{"file_id": test.file_id}]}), "/files"),
        (json!({"part": null, "files": [{"file_id": uuid::Uuid::nil(), "models": ["a"]}]}), "/files/0/file_id"),
        (json!({"priority": 101}), "/priority"),
        (json!({"due_at": "1999-12-31T00:00:00Z"}), "/due_at"),
        (json!({"due_at": "tomorrow"}), "/due_at"),
        (json!({"requirements": {"color": "red"}}), "/requirements/color"),
        (json!({"requirements": {"printer_ids": [uuid::Uuid::nil()]}}), "/requirements/printer_ids/0"),
        (json!({"on_failure": {"max_attempts": 0}}), "/on_failure/max_attempts"),
        (json!({"metadata": {"a": "\u{0}"}}), "/metadata"),
        (json!({"metadata": {"a": "x".repeat(9_000)}}), "/metadata"),
        (json!({"external_ref": ""}), "/external_ref"),
        (json!({"deadline": "x"}), "/deadline"),
    ] {
        let refused = test.post_order(body.clone()).await;
        assert_problem(&refused, 422, "invalid_input");
        assert_eq!(refused.1["errors"][0]["pointer"], pointer, "{body}: {}", refused.1);
    }
    let refused = test.post_order(json!({"part": null, "files": [{"file_id": nameless}]})).await;
    assert_problem(&refused, 422, "models_required");
    assert_eq!(test.event_types().await, [""; 0]);
}

#[tokio::test]
async fn an_order_that_no_printer_can_make_is_refused_if_the_client_asks_for_it() {
    let test = OrderServer::start().await;
    let register = async |name: &str, fields: Value| {
        let mut body = json!({"name": name, "url": format!("http://{name}.test")});
        for (field, value) in fields.as_object().expect("fields") {
            body[field] = value.clone();
        }
        let (status, printer, _) = test.server.post("/api/v1/printers", body).await;
        assert_eq!(status, StatusCode::CREATED, "{printer}");
        printer["id"].clone()
    };
    let other = register("ender", json!({"model": "Ender 3"})).await;
    let refused = test.post_order(json!({"require_feasible": true})).await;
    assert_problem(&refused, 422, "no_printer_can");
    let order = test.create_order(json!({})).await;
    let reason = json!({"code": "model", "printers": 1, "detail": "MK4", "until": null});
    assert_eq!(order["feasible"], json!({"printers": 0, "reasons": [reason]}));
    register("mk4", json!({"model": "Original Prusa MK4", "tags": ["hall-a"], "production": {"auto": true}})).await;
    let order = test.create_order(json!({"require_feasible": true})).await;
    assert_eq!(order["feasible"]["printers"], 1);
    for requirements in [json!({"printer_ids": [other]}), json!({"tags_all": ["hall-a", "hall-b"]})] {
        let refused = test.post_order(json!({"require_feasible": true, "requirements": requirements})).await;
        assert_problem(&refused, 422, "no_printer_can");
    }
}

#[tokio::test]
async fn an_order_keeps_the_files_and_requirements_of_its_part() {
    let test = OrderServer::start().await;
    let order = test.create_order(json!({"requirements": {"nozzle_mm": 0.6}})).await;
    let sha256 = order["files"][0]["sha256"].clone();
    // The same name with other content, and another revision of the part.
    add_file(&test.server, "bracket.gcode", &MK4_FILE.replace("X1", "X2")).await;
    let body = json!({
        "revision": "D", "title": "Bracket", "requirements": {"material": "PLA", "nozzle_mm": 0.4},
        "files": [{"file_id": test.file_id, "parts_per_plate": 2}],
    });
    assert_eq!(put_part(&test.server, "BRKT-7", Some("*"), body).await.0, StatusCode::OK);
    let kept = test.order(&order["id"]).await;
    assert_eq!((&kept["files"][0]["sha256"], &kept["part_revision"]), (&sha256, &json!("C")));
    assert_eq!(kept["requirements"]["nozzle_mm"], 0.6);
    let later = test.create_order(json!({"requirements": {"nozzle_mm": 0.6}})).await;
    assert_eq!((&later["requirements"]["material"], &later["requirements"]["nozzle_mm"]), (&json!("PLA"), &json!(0.6)));
    let refused = test.patch(&order["id"], Some("*"), json!({"part_revision": "C"})).await;
    assert_problem(&refused, 422, "invalid_input");
    assert_eq!(refused.1["errors"][0]["pointer"], "/part_revision");
    let (status, taken, _) = test.patch(&order["id"], Some("*"), json!({"part_revision": "D"})).await;
    assert_eq!(status, StatusCode::OK, "{taken}");
    assert_ne!(taken["files"][0]["sha256"], sha256);
    assert_eq!((&taken["files"][0]["parts_per_plate"], &taken["part_revision"]), (&json!(2), &json!("D")));
    assert_eq!((&taken["requirements"]["material"], &taken["requirements"]["nozzle_mm"]), (&json!("PLA"), &json!(0.4)));
}

#[tokio::test]
async fn each_order_of_a_bulk_request_has_its_own_result() {
    let test = OrderServer::start().await;
    let order = |line: &str, quantity: u32| json!({"source": "odoo", "external_ref": "MO/1", "line": line, "quantity": quantity, "part": "BRKT-7"});
    let items = json!([order("1", 3), order("2", 0), order("1", 3), order("1", 4), {"quantity": "x"}, order("3", 1)]);
    let (status, body, _) = test.server.post("/api/v1/orders/bulk", json!({"items": items})).await;
    assert_eq!(status, StatusCode::MULTI_STATUS, "{body}");
    let items = body["items"].as_array().expect("items");
    let statuses: Vec<u64> = items.iter().filter_map(|item| item["status"].as_u64()).collect();
    assert_eq!(statuses, [201, 422, 200, 409, 422, 201]);
    assert_eq!(items[2]["id"], items[0]["id"]);
    assert_eq!(items[3]["problem"]["existing_id"], items[0]["id"]);
    assert_eq!(items[1]["problem"]["errors"][0]["pointer"], "/items/1/quantity");
    assert_eq!(items[5]["order"]["quantities"]["queued"], 1);
    for count in [0, 501] {
        let items: Vec<Value> = (0..count).map(|_| order("9", 1)).collect();
        let refused = test.server.post("/api/v1/orders/bulk", json!({"items": items})).await;
        assert_problem(&refused, 422, "invalid_input");
    }
}
