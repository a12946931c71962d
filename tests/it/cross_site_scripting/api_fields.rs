//! Sends texts in every API field that accepts text, as the OpenAPI document lists them.

use std::cell::Cell;

use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{PASSWORD, PAYLOADS, PayloadLog, PayloadPrinters};
use crate::support::server::{TestServer, send_request};

/// Resources that receive one kind of text.
struct Targets {
    printer: String,
    user: String,
    webhook: String,
    file: String,
    order: String,
    /// Number for the address of the next printer, so that each body has a new address.
    next: Cell<u32>,
}

/// Sends every body of the API once for each text field and each kind of text. Returns the ids of printers that
/// accepted some.
pub async fn send_payloads(server: &TestServer, payloads: &PayloadLog, printers: &PayloadPrinters) -> Vec<String> {
    let (_, document, _) = send_request(server.request_without_auth(Method::GET, "/api/openapi.json")).await;
    let mut pages = Vec::new();
    let mut fields = 0;
    for kind in 0..PAYLOADS.len() {
        let printer_body = json!({"name": payloads.create(kind, "a name"), "url": format!("http://127.0.0.1:1/{kind}"), "enabled": false});
        let (_, printer, _) = server.post("/api/v1/printers", printer_body).await;
        let name = payloads.create(kind, "the name of a user");
        let (_, user, _) = server.post("/api/v1/users", json!({"name": name, "role": "viewer"})).await;
        let id = |resource: &Value| resource["id"].as_str().unwrap_or_else(|| panic!("{resource}")).to_owned();
        let hook = json!({"url": "http://127.0.0.1:1", "enabled": false, "description": payloads.create(kind, "of a webhook")});
        let (_, webhook, _) = server.post("/api/v1/webhooks", hook).await;
        // The name of the first file may be refused, because it contains a slash.
        let name = format!("{}.gcode", payloads.create(kind, "the name of a library file"));
        server.upload_file("", &name, "G28\n").await;
        let (_, file, _) = server.upload_file("", &format!("{kind}.gcode"), format!("G4 P{kind}\n")).await;
        let order = json!({"quantity": 1, "files": [{"file_id": file["id"], "models": ["MK4"]}]});
        let (_, order, _) = server.post("/api/v1/orders", order).await;
        let targets = Targets {
            printer: id(&printer),
            user: id(&user),
            webhook: id(&webhook),
            file: id(&file),
            order: id(&order),
            next: Cell::new(0),
        };
        pages.push(targets.printer.clone());
        for (path, verb, schema) in list_json_bodies(&document) {
            for pointer in list_text_fields(&document, schema) {
                let place = format!("{} {path} {pointer}", verb.to_uppercase());
                let mut body = valid_body(&verb, &path, &targets, kind);
                set_text(&mut body, &pointer, payloads.create(kind, &place));
                // A stopped printer would make the commands of other fields wait.
                let address =
                    path.replace("/printers/{id}/emergency-stop", &format!("/printers/{}/emergency-stop", Uuid::nil()));
                let address = address.replace("/printers/{id}", &format!("/printers/{}", targets.printer));
                let address = address.replace("/v1/files/{id}", &format!("/v1/files/{}", targets.file));
                let address = address.replace("/orders/{id}", &format!("/orders/{}", targets.order));
                let address = address.replace("/parts/{number}", &format!("/parts/PART-{kind}-{}", targets.next.get()));
                let address = address.replace("/users/{id}", &format!("/users/{}", targets.user));
                let address = address.replace("/webhooks/{id}", &format!("/webhooks/{}", targets.webhook));
                let request = server.request(verb.to_uppercase().parse().expect("a verb"), &address);
                let request = if address.contains("/orders/") { request.header("If-Match", "*") } else { request };
                let (status, response, _) = send_request(request.json(&body)).await;
                assert!(![500, 503].contains(&status.as_u16()), "{place}: {body}: {response}");
                fields += 1;
            }
        }
        upload_file(server, payloads, kind, printers).await;
    }
    assert!(fields > 300, "the document was not read: {fields}");
    // This user sorts before all others. So the page's forms act on a user that no other test step needs.
    let first = json!({"name": "!", "role": "viewer", "password": PASSWORD});
    assert_eq!(server.post("/api/v1/users", first).await.0, 201);
    pages
}

/// Returns path, method and schema of every JSON body.
fn list_json_bodies(document: &Value) -> Vec<(String, String, &Value)> {
    let mut bodies = Vec::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (verb, operation) in item.as_object().expect("operations") {
            for (kind, content) in operation["requestBody"]["content"].as_object().into_iter().flatten() {
                if kind.contains("json") {
                    bodies.push((path.clone(), verb.clone(), &content["schema"]));
                }
            }
        }
    }
    bodies
}

/// Returns pointers to the free-text strings of a schema; `*` stands for any item of a list.
fn list_text_fields(document: &Value, schema: &Value) -> Vec<String> {
    fn walk(document: &Value, schema: &Value, at: &str, found: &mut Vec<String>) {
        if let Some(name) = schema["$ref"].as_str() {
            return walk(document, document.pointer(name.trim_start_matches('#')).expect("a schema"), at, found);
        }
        for word in ["oneOf", "anyOf", "allOf"] {
            schema[word].as_array().into_iter().flatten().for_each(|one| walk(document, one, at, found));
        }
        let kinds = [&schema["type"]]
            .into_iter()
            .flat_map(|kind| kind.as_array().cloned().unwrap_or_else(|| vec![kind.clone()]));
        let is_text = kinds.into_iter().any(|kind| kind == "string");
        let is_free = schema["enum"].is_null() && schema["const"].is_null();
        if is_text && is_free && !matches!(schema["format"].as_str(), Some("uuid" | "date-time")) {
            found.push(at.to_owned());
        }
        if schema["items"].is_object() {
            walk(document, &schema["items"], &format!("{at}/*"), found);
        }
        for (name, field) in schema["properties"].as_object().into_iter().flatten() {
            walk(document, field, &format!("{at}/{name}"), found);
        }
    }
    let mut found = Vec::new();
    walk(document, schema, "", &mut found);
    found
}

/// Returns a valid body. A new operation must be added here so that its texts are tested.
fn valid_body(verb: &str, path: &str, targets: &Targets, kind: usize) -> Value {
    let printer = &targets.printer;
    targets.next.set(targets.next.get() + 1);
    let new = targets.next.get();
    match (verb, path) {
        ("post", "/api/v1/printers") => {
            json!({"name": format!("x {kind} {new}"), "url": format!("http://127.0.0.1:1/{kind}/{new}"), "enabled": false})
        }
        ("post", "/api/v1/printers/bulk") => {
            let url = format!("http://127.0.0.1:1/{kind}/{new}");
            json!({"items": [{"name": format!("x {kind} {new}"), "url": url, "enabled": false}]})
        }
        ("post", "/api/v1/printers/test") => json!({"url": "http://127.0.0.1:1", "api_key": "x"}),
        ("post", "/api/v1/batches") => json!({"command": "start", "select": {}}),
        ("post", "/api/v1/printers/{id}/job") => json!({"command": "start"}),
        ("post", "/api/v1/printers/{id}/files/select") => json!({"path": "a.gcode"}),
        ("post", "/api/v1/emergency-stop") => json!({"select": {"printer_ids": [Uuid::nil()]}}),
        ("post", "/api/v1/printers/{id}/emergency-stop") => json!({}),
        ("post", "/api/v1/plates/clear") => json!({"printer_ids": [printer]}),
        ("post", "/api/v1/tokens") => json!({"name": "x", "role": "viewer"}),
        ("post", "/api/v1/users") => json!({"name": format!("x {kind} {new}"), "role": "viewer"}),
        ("patch", "/api/v1/files/{id}" | "/api/v1/printers/{id}" | "/api/v1/users/{id}" | "/api/v1/webhooks/{id}") => {
            json!({})
        }
        ("put", "/api/v1/parts/{number}") => json!({"files": [{"file_id": targets.file, "models": ["MK4"]}]}),
        ("post", "/api/v1/orders") => {
            json!({"quantity": 1, "files": [{"file_id": targets.file, "models": ["MK4"]}]})
        }
        ("post", "/api/v1/orders/bulk") => {
            json!({"items": [{"quantity": 1, "files": [{"file_id": targets.file, "models": ["MK4"]}]}]})
        }
        ("patch", "/api/v1/orders/{id}") => json!({}),
        ("post", "/api/v1/orders/{id}/cancel" | "/api/v1/orders/{id}/short-close") => json!({}),
        ("post", "/api/v1/plan/stop" | "/api/v1/plan/go") => json!({}),
        ("post", "/api/v1/orders/{id}/adjust") => json!({"good": 1, "reason": "x"}),
        ("post", "/api/v1/copies/{id}/judge") => json!({"good": 1, "scrap": 0}),
        ("post", "/api/v1/copies/{id}/lost") => json!({}),
        ("post", "/api/v1/webhooks") => json!({"url": "http://127.0.0.1:1", "enabled": false}),
        ("post", "/api/v1/webhooks/{id}/rotate-secret") => json!({}),
        ("post", "/api/v1/batches/{id}/retry" | "/api/v1/batches/{id}/stop" | "/api/v1/tokens/{id}/rotate") => {
            json!({})
        }
        other => panic!("no body for {other:?}: add one here"),
    }
}

/// Sets the text at a pointer, and creates missing parents.
fn set_text(body: &mut Value, pointer: &str, text: String) {
    let mut at = body;
    for part in pointer.split('/').skip(1) {
        at = match part {
            "*" => {
                if !at.is_array() {
                    *at = json!([null]);
                }
                &mut at[0]
            }
            name => {
                if !at.is_object() {
                    *at = json!({});
                }
                &mut at[name]
            }
        };
    }
    *at = text.into();
}

/// Sends the only body that is not JSON.
async fn upload_file(server: &TestServer, payloads: &PayloadLog, kind: usize, printers: &PayloadPrinters) {
    let body = json!({"name": format!("uploads {kind}"), "url": format!("{}/{kind}/ready/of-uploads", printers.url), "api_key": "K3Y", "enabled": false});
    let (_, printer, _) = server.post("/api/v1/printers", body).await;
    let file = reqwest::multipart::Part::text("G28").file_name(payloads.create(kind, "the name of an upload"));
    let form = reqwest::multipart::Form::new()
        .text("path", payloads.create(kind, "the folder of an upload"))
        .part("file", file);
    let path = format!("/api/v1/printers/{}/files", printer["id"].as_str().unwrap_or_else(|| panic!("{printer}")));
    let status = server.request(Method::POST, &path).multipart(form).send().await.expect("an answer").status();
    assert!(![500, 503].contains(&status.as_u16()), "{status}");
}
