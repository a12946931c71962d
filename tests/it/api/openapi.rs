//! The contract as a document: what changes in it shows in the diff.

use reqwest::Method;
use serde_json::Value;

use crate::support::server::{TestServer, send_request};

#[tokio::test]
async fn the_document_matches_its_snapshot() {
    let server = TestServer::start().await;
    let (_, document, _) = send_request(server.request_without_auth(Method::GET, "/api/openapi.json")).await;
    let text = serde_json::to_string_pretty(&document).expect("JSON");
    insta::assert_snapshot!("openapi", text);
}

#[tokio::test]
async fn every_operation_has_a_name_a_tag_and_a_description() {
    let server = TestServer::start().await;
    let (_, document, _) = send_request(server.request_without_auth(Method::GET, "/api/openapi.json")).await;
    assert_eq!(document["openapi"], "3.1.0");
    let mut names = std::collections::BTreeSet::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations") {
            let name = operation["operationId"].as_str().expect("a name").to_owned();
            assert!(name.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{name}");
            assert!(names.insert(name), "{method} {path} has a name that another one has");
            assert!(operation["description"].is_string(), "{method} {path} has no description");
            assert!(operation["tags"].as_array().is_some_and(|tags| tags.len() == 1), "{method} {path}");
            assert!(operation["summary"].is_string(), "{method} {path}");
            let needs_token = path.starts_with("/api/v1");
            assert!(!needs_token || operation["responses"]["401"].is_object(), "{method} {path}");
            assert!(!path.contains('*'), "{path}");
        }
    }
}

/// What is wrong with a value, by its schema: fields that are unknown or missing, words and types that are others.
fn find_schema_mismatches(document: &Value, schema: &Value, value: &Value, place: &str) -> Vec<String> {
    let array = |key: &str| schema[key].as_array().cloned().unwrap_or_default();
    if let Some(reference) = schema["$ref"].as_str() {
        let schema = document.pointer(reference.trim_start_matches('#')).expect("what is referred to");
        return find_schema_mismatches(document, schema, value, place);
    }
    if !array("oneOf").is_empty() {
        let all: Vec<_> =
            array("oneOf").iter().map(|schema| find_schema_mismatches(document, schema, value, place)).collect();
        return if all.iter().any(Vec::is_empty) { Vec::new() } else { all.concat() };
    }
    if !array("allOf").is_empty() {
        // Each part knows its own fields only.
        let parts: Vec<_> =
            array("allOf").iter().map(|schema| find_schema_mismatches(document, schema, value, place)).collect();
        let unknown = |name: &String| name.ends_with(" is unknown");
        let known_nowhere =
            parts[0].iter().filter(|name| unknown(name) && parts.iter().all(|part| part.contains(name)));
        return parts.iter().flatten().filter(|name| !unknown(name)).chain(known_nowhere).cloned().collect();
    }
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let mut wrong = Vec::new();
    let mut types = array("type");
    types.extend(schema.get("type").filter(|kind| kind.is_string()).cloned());
    let fits =
        types.is_empty() || types.contains(&kind.into()) || kind == "integer" && types.contains(&"number".into());
    if !fits {
        wrong.push(format!("{place} is {kind}, not {types:?}"));
    }
    if !array("enum").is_empty() && !array("enum").contains(value) {
        wrong.push(format!("{place} is {value}, no word of its vocabulary"));
    }
    let items = value.as_array().into_iter().flatten();
    wrong.extend(items.flat_map(|item| find_schema_mismatches(document, &schema["items"], item, place)));
    if let (Value::Object(fields), Some(properties)) = (value, schema["properties"].as_object()) {
        for (name, value) in fields {
            let place = format!("{place}.{name}");
            match properties.get(name) {
                Some(schema) => wrong.extend(find_schema_mismatches(document, schema, value, &place)),
                None => wrong.push(format!("{place} is unknown")),
            }
        }
        let missing = array("required").into_iter().filter(|name| !fields.contains_key(name.as_str().expect("a name")));
        wrong.extend(missing.map(|name| format!("{place} lacks {name}")));
    }
    wrong
}

#[tokio::test]
async fn every_body_has_a_valid_example_and_every_enum_value_is_described() {
    let server = TestServer::start().await;
    let (_, document, _) = send_request(server.request_without_auth(Method::GET, "/api/openapi.json")).await;
    let schemas = document["components"]["schemas"].as_object().expect("schemas");
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations") {
            for (media_type, content) in operation["requestBody"]["content"].as_object().into_iter().flatten() {
                let name = content["schema"]["$ref"].as_str().expect("a schema with a name").rsplit('/').next();
                let schema = &schemas[name.expect("a name")];
                if media_type.ends_with("json") {
                    let wrong = find_schema_mismatches(
                        &document,
                        schema,
                        content.get("example").unwrap_or(&schema["example"]),
                        "",
                    );
                    assert!(wrong.is_empty(), "{method} {path}: {wrong:?}");
                }
            }
            for (status, response) in operation["responses"].as_object().expect("responses") {
                assert!(
                    response["description"].as_str().is_some_and(|text| !text.is_empty()),
                    "{method} {path} {status}"
                );
                let Some(content) = response["content"].get("application/json") else { continue };
                let schema = &content["schema"];
                let named = schema["$ref"].as_str().and_then(|name| schemas[name.rsplit('/').next()?].get("example"));
                let example = content.get("example").or(named);
                let example = example.unwrap_or_else(|| panic!("{method} {path} {status} has no example"));
                let wrong = find_schema_mismatches(&document, schema, example, "");
                assert!(wrong.is_empty(), "{method} {path} {status}: {wrong:?}");
            }
        }
    }
    for (name, schema) in schemas {
        let description = schema["description"].as_str().unwrap_or_else(|| panic!("{name} has no description"));
        for word in schema["enum"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            assert!(description.contains(&format!("\n* `{word}`: ")), "{name} does not say what {word} means");
        }
    }
}

#[tokio::test]
async fn the_docs_page_has_no_inline_or_external_resources() {
    let server = TestServer::start().await;
    for path in ["/api/docs", "/api/docs/"] {
        let response = server.request_without_auth(Method::GET, path).send().await.expect("an answer");
        let policy = response.headers()["content-security-policy"].to_str().expect("text").to_owned();
        assert!(policy.contains("default-src 'self'") && !policy.contains("unsafe"), "{policy}");
        let page = response.text().await.expect("a page");
        assert!(!page.contains("//") && !page.contains("<style"), "{page}");
        for asset in page.split('"').filter(|part| part.ends_with(".js") || part.ends_with(".css")) {
            assert_eq!(
                server.request_without_auth(Method::GET, asset).send().await.expect("an answer").status(),
                200,
                "{asset}"
            );
        }
    }
}
