//! Changes of orders: patches, hold and release, cancel and short close, adjustments.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::{OrderServer, text};
use crate::{api::problems::assert_problem, support::server::send_request};

#[tokio::test]
async fn a_patch_needs_the_current_version() {
    let test = OrderServer::start().await;
    let order = test.create_order(json!({"metadata": {"a": 1, "b": 2}, "max_printers": 2})).await;
    let id = &order["id"];
    let patch = json!({
        "quantity": 5, "title": "More", "due_at": "2026-12-03T16:00:00Z", "max_printers": null, "priority": 70,
        "metadata": {"a": null, "c": 3}, "requirements": {"tags_all": ["x"]}, "on_failure": {"max_attempts": 1},
        "judgement": "manual",
    });
    assert_problem(&test.patch(id, None, patch.clone()).await, 428, "precondition_required");
    assert_problem(&test.patch(id, Some("\"v2\""), patch.clone()).await, 412, "stale");
    let (status, patched, headers) = test.patch(id, Some("\"v1\""), patch.clone()).await;
    assert_eq!((status, headers["etag"].to_str().expect("text")), (StatusCode::OK, "\"v2\""), "{patched}");
    for name in ["quantity", "title", "due_at", "max_printers", "priority", "judgement"] {
        assert_eq!(patched[name], patch[name], "{name}");
    }
    assert_eq!(patched["metadata"], json!({"b": 2, "c": 3}));
    assert_eq!(patched["on_failure"], json!({"max_attempts": 1, "prefer_other_printer": true}));
    assert_eq!((&patched["quantities"]["queued"], &patched["requirements"]["tags_all"]), (&json!(5), &json!(["x"])));
    assert_problem(&test.patch(id, Some("\"v1\""), patch.clone()).await, 412, "stale");
    let (_, same, _) = test.patch(id, Some("\"v2\""), patch).await;
    assert_eq!((&same["version"], &same["updated_at"]), (&json!(2), &patched["updated_at"]), "nothing changed");
    for (patch, pointer) in [
        (json!({"quantity": null}), "/quantity"),
        (json!({"judgement": null}), "/judgement"),
        (json!({"quantity": 0}), "/quantity"),
        (json!({"requirements": {"nozzle_mm": -1}}), "/requirements/nozzle_mm"),
        (json!({"source": "x"}), "/source"),
    ] {
        let refused = test.patch(id, Some("*"), patch).await;
        assert_problem(&refused, 422, "invalid_input");
        assert_eq!(refused.1["errors"][0]["pointer"], pointer, "{}", refused.1);
    }
    let (_, events, _) = test.server.get("/api/v1/events?types=order.updated").await;
    let event = &events["items"][0];
    assert_eq!(event["data"]["changes"]["quantity"], json!([3, 5]));
    assert_eq!(event["data"]["quantities"]["ordered"], 5);
}

#[tokio::test]
async fn an_order_is_held_and_released() {
    let test = OrderServer::start().await;
    let order = test.create_order(json!({})).await;
    let id = &order["id"];
    for (action, state) in [("hold", "on_hold"), ("hold", "on_hold"), ("release", "queued"), ("release", "queued")] {
        let (status, changed, _) = test.act(id, action, Value::Null).await;
        assert_eq!((status, &changed["state"]), (StatusCode::OK, &json!(state)), "{action}: {changed}");
        let (_, list, _) = test.server.get(&format!("/api/v1/orders?state={state}")).await;
        assert_eq!(list["items"][0]["id"], *id, "{action}");
    }
    assert_eq!(test.event_types().await, ["order.created", "order.held", "order.released"]);
    let unknown = json!("0193e1c7-7d1c-7a52-9a3e-2f3b5a0c9e11");
    assert_problem(&test.act(&unknown, "hold", Value::Null).await, 404, "not_found");
}

#[tokio::test]
async fn a_cancelled_or_short_closed_order_stays_so() {
    let test = OrderServer::start().await;
    for (action, other, state) in [("cancel", "short-close", "cancelled"), ("short-close", "cancel", "short_closed")] {
        let order = test.create_order(json!({})).await;
        let id = &order["id"];
        let (status, ended, _) = test.act(id, action, json!({"running": "cancel"})).await;
        assert_eq!((status, &ended["state"]), (StatusCode::OK, &json!(state)), "{ended}");
        assert_eq!((&ended["quantities"]["queued"], &ended["quantities"]["remaining"]), (&json!(0), &json!(3)));
        assert!(ended["completed_at"].is_string(), "{ended}");
        // The body may be left out, and a repetition changes nothing.
        let path = format!("/api/v1/orders/{}/{action}", text(id));
        let (status, again, _) = send_request(test.server.request(Method::POST, &path)).await;
        assert_eq!((status, &again["updated_at"]), (StatusCode::OK, &ended["updated_at"]), "{again}");
        for refused in [
            test.act(id, other, json!({})).await,
            test.act(id, "hold", Value::Null).await,
            test.act(id, "release", Value::Null).await,
            test.patch(id, Some("*"), json!({"quantity": 9})).await,
        ] {
            assert_problem(&refused, 409, "order_ended");
        }
        let (_, adjusted, _) = test.act(id, "adjust", json!({"good": 9, "reason": "found"})).await;
        assert_eq!((&adjusted["state"], &adjusted["quantities"]["good"]), (&json!(state), &json!(9)), "{adjusted}");
    }
}

#[tokio::test]
async fn parts_counted_by_hand_complete_and_reopen_an_order() {
    let test = OrderServer::start().await;
    let order = test.create_order(json!({"source": "odoo", "external_ref": "MO/9", "line": "10"})).await;
    let id = &order["id"];
    let (status, complete, _) = test.act(id, "adjust", json!({"good": 3, "reason": "made elsewhere"})).await;
    assert_eq!((status, &complete["state"]), (StatusCode::OK, &json!("completed")), "{complete}");
    let reopened = test.act(id, "adjust", json!({"good": -2, "scrap": 2, "reason": "broken"})).await.1;
    assert_eq!((&reopened["state"], &reopened["completed_at"]), (&json!("queued"), &Value::Null), "{reopened}");
    let quantities = json!({
        "ordered": 3, "good": 1, "scrap": 2, "unjudged": 0, "printing": 0, "queued": 2, "remaining": 2, "surplus": 0,
    });
    assert_eq!(reopened["quantities"], quantities);
    // A smaller quantity completes it, and a larger one reopens it.
    let (_, smaller, _) = test.patch(id, Some("*"), json!({"quantity": 1})).await;
    assert_eq!(smaller["state"], "completed", "{smaller}");
    let (_, larger, _) = test.patch(id, Some("*"), json!({"quantity": 2})).await;
    assert_eq!((&larger["state"], &larger["quantities"]["queued"]), (&json!("queued"), &json!(1)), "{larger}");
    for (body, pointer) in [
        (json!({"good": -2, "reason": "x"}), "/good"),
        (json!({"scrap": -3, "reason": "x"}), "/scrap"),
        (json!({"reason": "x"}), "/good"),
        (json!({"good": 1, "reason": ""}), "/reason"),
        (json!({"good": 1}), "/reason"),
        (json!({"good": 2_000_000, "reason": "x"}), "/good"),
    ] {
        let refused = test.act(id, "adjust", body).await;
        assert_problem(&refused, 422, "invalid_input");
        assert_eq!(refused.1["errors"][0]["pointer"], pointer, "{}", refused.1);
    }
    let expected = [
        "order.created",
        "order.updated",
        "order.completed",
        "order.updated",
        "order.reopened",
        "order.updated",
        "order.completed",
        "order.updated",
        "order.reopened",
    ];
    assert_eq!(test.event_types().await, expected);
    let (_, events, _) = test.server.get("/api/v1/events?types=order.reopened").await;
    let event = &events["items"][0];
    assert_eq!(event["external_ref"], "MO/9");
    for (name, value) in
        [("order_id", id), ("source", &json!("odoo")), ("external_ref", &json!("MO/9")), ("line", &json!("10"))]
    {
        assert_eq!(event["data"][name], *value, "{name}");
    }
    assert_eq!(event["data"]["quantities"], quantities, "the quantities after the event");
}

#[tokio::test]
async fn an_adjustment_is_counted_once_for_an_idempotency_key() {
    let test = OrderServer::start().await;
    let order = test.create_order(json!({"quantity": 10})).await;
    let adjust = async || {
        let path = format!("/api/v1/orders/{}/adjust", text(&order["id"]));
        let request = test.server.request(Method::POST, &path).header("Idempotency-Key", "count-1");
        send_request(request.json(&json!({"good": 2, "reason": "counted"}))).await
    };
    let (first, again) = (adjust().await, adjust().await);
    assert_eq!((first.0, again.0), (StatusCode::OK, StatusCode::OK), "{}", again.1);
    assert_eq!(again.1["quantities"]["good"], 2, "{}", again.1);
}
