//! What the planner knows of printers: the opt-in, the tools, and attention.

use printyard::domain::attention::AttentionReason;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::text;
use crate::{
    api::problems::assert_problem,
    support::server::{TestServer, send_request},
};

async fn register(server: &TestServer, fields: Value) -> Value {
    let mut body = json!({"name": "mk4", "url": "http://mk4.test", "enabled": false});
    for (name, value) in fields.as_object().expect("fields") {
        body[name] = value.clone();
    }
    let (status, printer, _) = server.post("/api/v1/printers", body).await;
    assert_eq!(status, StatusCode::CREATED, "{printer}");
    printer
}

#[tokio::test]
async fn only_a_manager_opts_a_printer_in() {
    let server = TestServer::start().await;
    let printer = register(&server, json!({})).await;
    assert_eq!(printer["production"], json!({"auto": false, "service": "in_service", "until": null, "note": null}));
    let path = format!("/api/v1/printers/{}", text(&printer["id"]));
    let patch = async |role: &str, body: Value| {
        let token = server.create_token(role).await;
        let request = server.request_without_auth(Method::PATCH, &path).bearer_auth(token);
        send_request(request.json(&body)).await
    };
    let opt_in = json!({"production": {"auto": true}});
    assert_problem(&patch("operator", opt_in.clone()).await, 403, "forbidden");
    let (status, opted_in, _) = patch("manager", opt_in).await;
    assert_eq!((status, &opted_in["production"]["auto"]), (StatusCode::OK, &json!(true)), "{opted_in}");
    // A change of the service state keeps the opt-in, and operators may make it.
    let out = json!({"production": {"service": "out_of_service", "note": "nozzle"}});
    let (_, out, _) = patch("operator", out).await;
    assert_eq!((&out["production"]["auto"], &out["production"]["note"]), (&json!(true), &json!("nozzle")), "{out}");
    let (_, back, _) = patch("operator", json!({"production": {"service": "in_service"}})).await;
    assert_eq!(back["production"], json!({"auto": true, "service": "in_service", "until": null, "note": null}));
    assert_problem(&patch("manager", json!({"production": {"auto": null}})).await, 422, "invalid_input");
    let (_, opted_out, _) = patch("manager", json!({"production": {"auto": false}})).await;
    assert_eq!(opted_out["production"]["auto"], false);
}

#[tokio::test]
async fn tool_0_has_the_flat_fields_of_the_printer() {
    let server = TestServer::start().await;
    let tool = |n: u32, material: &str| json!({"tool": n, "nozzle_mm": 0.4, "material": material, "color": null});
    let printer = register(&server, json!({"tools": [tool(1, "PLA"), tool(0, "PETG")]})).await;
    assert_eq!((&printer["material"], &printer["nozzle_mm"]), (&json!("PETG"), &json!(0.4)));
    assert_eq!(printer["tools"], json!([tool(0, "PETG"), tool(1, "PLA")]));
    let path = format!("/api/v1/printers/{}", text(&printer["id"]));
    let (_, patched, _) = server.patch(&path, json!({"material": "ASA"})).await;
    assert_eq!(patched["tools"], json!([tool(0, "ASA"), tool(1, "PLA")]), "{patched}");
    for body in [json!({"material": "PLA", "tools": []}), json!({"tools": [tool(0, "PLA")], "nozzle_mm": null})] {
        assert_problem(&server.patch(&path, body).await, 422, "ambiguous");
    }
    for (tools, pointer) in [
        (json!([tool(1, "PLA"), tool(1, "PLA")]), "/tools"),
        (json!([tool(64, "PLA")]), "/tools"),
        (json!([tool(1, "")]), "/tools/material"),
        (json!([{"tool": 0, "nozzle": 1}]), "/tools/0/nozzle"),
    ] {
        let refused = server.patch(&path, json!({"tools": tools})).await;
        assert_problem(&refused, 422, "invalid_input");
        assert_eq!(refused.1["errors"][0]["pointer"], pointer, "{}", refused.1);
    }
    let (_, cleared, _) = server.patch(&path, json!({"tools": null})).await;
    assert_eq!((&cleared["tools"], &cleared["material"]), (&json!([]), &Value::Null), "{cleared}");
}

#[tokio::test]
async fn a_printer_under_attention_stays_so_until_a_person_clears_it() {
    let server = TestServer::start().await;
    let printer = register(&server, json!({})).await;
    assert_eq!(printer["status"]["attention"], Value::Null);
    let id = text(&printer["id"]).parse().expect("an id");
    for reason in [AttentionReason::FailedTwice, AttentionReason::UploadFailed] {
        server.services.set_attention(id, reason).await.expect("no error");
    }
    let (_, shown, _) = server.get(&format!("/api/v1/printers/{id}")).await;
    assert_eq!(shown["status"]["attention"]["reason"], "failed_twice", "the first reason stays: {shown}");
    assert_eq!(shown["version"], printer["version"], "no change by a client");
    for _ in 0..2 {
        let (status, cleared, _) = server.post(&format!("/api/v1/printers/{id}/attention/clear"), json!({})).await;
        assert_eq!((status, &cleared["status"]["attention"]), (StatusCode::OK, &Value::Null), "{cleared}");
    }
    let (_, events, _) = server.get("/api/v1/events?types=printer.attention,printer.attention_cleared").await;
    let items = events["items"].as_array().expect("items");
    let kinds: Vec<&str> = items.iter().filter_map(|event| event["type"].as_str()).collect();
    assert_eq!(kinds, ["printer.attention", "printer.attention_cleared"]);
    for event in items {
        assert_eq!((&event["data"]["reason"], &event["data"]["printer_name"]), (&json!("failed_twice"), &json!("mk4")));
    }
}
