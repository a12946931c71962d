//! Tag limits: a limited client sees and makes orders for its printers only.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::{OrderServer, text};
use crate::{
    api::problems::assert_problem,
    support::server::{JsonResponse, send_request},
};

async fn send(test: &OrderServer, token: &str, method: Method, path: &str, body: Option<Value>) -> JsonResponse {
    let mut request = test.server.request_without_auth(method, path).bearer_auth(token);
    if let Some(body) = body {
        request = request.json(&body);
    }
    send_request(request).await
}

#[tokio::test]
async fn a_limited_client_sees_and_makes_orders_for_its_printers_only() {
    let test = OrderServer::start().await;
    let key = json!({"source": "odoo", "external_ref": "MO/1"});
    let hidden = test.create_order(key.clone()).await;
    let a = test.server.create_token_for("operator", &["hall-a"]).await;
    let both = test.server.create_token_for("operator", &["hall-a", "hall-b"]).await;
    let path = format!("/api/v1/orders/{}", text(&hidden["id"]));
    for (method, path, body) in [
        (Method::GET, path.clone(), None),
        (Method::GET, format!("{path}/copies"), None),
        (Method::POST, format!("{path}/hold"), Some(json!({}))),
        (Method::POST, format!("{path}/cancel"), Some(json!({"running": "cancel"}))),
        (Method::POST, format!("{path}/adjust"), Some(json!({"good": 1, "reason": "x"}))),
        (Method::PATCH, path.clone(), Some(json!({"quantity": 1}))),
    ] {
        assert_problem(&send(&test, &a, method, &path, body).await, 404, "not_found");
    }
    assert_eq!(send(&test, &a, Method::GET, "/api/v1/orders", None).await.1["items"], json!([]));
    let mut same = json!({"quantity": 3, "part": "BRKT-7"});
    same["source"] = key["source"].clone();
    same["external_ref"] = key["external_ref"].clone();
    let refused = send(&test, &a, Method::POST, "/api/v1/orders", Some(same)).await;
    assert_problem(&refused, 409, "order_conflict");
    let body = json!({"quantity": 3, "part": "BRKT-7"});
    let (status, own, _) = send(&test, &a, Method::POST, "/api/v1/orders", Some(body.clone())).await;
    assert_eq!(status, StatusCode::CREATED, "{own}");
    let (_, of_both, _) = send(&test, &both, Method::POST, "/api/v1/orders", Some(body)).await;
    let ids = async |token: &str| {
        let (_, list, _) = send(&test, token, Method::GET, "/api/v1/orders", None).await;
        list["items"].as_array().expect("items").iter().map(|order| order["id"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(ids(&a).await, [own["id"].clone()], "printers of hall B may make the other order");
    assert_eq!(ids(&both).await, [of_both["id"].clone(), own["id"].clone()]);
    let (_, events, _) = send(&test, &a, Method::GET, "/api/v1/events?types=order.created", None).await;
    let seen: Vec<&Value> = events["items"].as_array().expect("items").iter().map(|e| &e["data"]["order_id"]).collect();
    assert_eq!(seen, [&own["id"]]);
}
