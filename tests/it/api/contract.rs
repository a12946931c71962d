//! API compatibility: compares the current OpenAPI document with that of the last release, and fails on changes that
//! would break a client.
//!
//! A release stores the current document with `PRINTYARD_RELEASE_CONTRACT=1 cargo test api::contract`.

use std::collections::{BTreeMap, BTreeSet};

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::server::{TestServer, send_request};

const RELEASED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/api/released.json");
/// Enums that clients act on. No value may be added to them.
const CLOSED_ENUMS: [&str; 2] = ["Effect", "BatchResult"];

/// The direction of a value decides which changes are compatible. A server may accept more in requests, and may return
/// less optional data in responses.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Request,
    Response,
}

/// A schema after its references are resolved and its parts are merged.
#[derive(Default)]
struct MergedSchema<'a> {
    /// Empty means any type.
    types: BTreeSet<&'a str>,
    enum_values: BTreeSet<&'a str>,
    /// No word may be added to this enum.
    is_closed: bool,
    properties: BTreeMap<&'a str, &'a Value>,
    required: BTreeSet<&'a str>,
    items: Option<&'a Value>,
    bounds: BTreeMap<&'a str, f64>,
}

const LOWER_BOUNDS: [&str; 4] = ["minimum", "minLength", "minItems", "exclusiveMinimum"];
const UPPER_BOUNDS: [&str; 4] = ["maximum", "maxLength", "maxItems", "exclusiveMaximum"];

impl<'a> MergedSchema<'a> {
    fn resolve(document: &'a Value, schema: &'a Value) -> Self {
        let mut shape = Self::default();
        shape.merge(document, schema);
        if shape.types.contains("number") {
            shape.types.insert("integer");
        }
        shape
    }

    fn merge(&mut self, document: &'a Value, schema: &'a Value) {
        if let Some(reference) = schema["$ref"].as_str() {
            self.is_closed |= CLOSED_ENUMS.iter().any(|name| reference.ends_with(&format!("/{name}")));
            self.merge(document, document.pointer(reference.trim_start_matches('#')).expect("a resolved reference"));
        }
        for part in ["allOf", "oneOf", "anyOf"].iter().flat_map(|key| array_items(&schema[*key])) {
            self.merge(document, part);
        }
        self.types.extend(schema["type"].as_str().into_iter().chain(array_strings(&schema["type"])));
        self.enum_values.extend(array_strings(&schema["enum"]));
        self.required.extend(array_strings(&schema["required"]));
        let properties = schema["properties"].as_object().into_iter().flatten();
        self.properties.extend(properties.map(|(name, schema)| (name.as_str(), schema)));
        self.items = self.items.or(schema.get("items"));
        let bounds = LOWER_BOUNDS.iter().chain(&UPPER_BOUNDS).filter_map(|name| Some((*name, schema[*name].as_f64()?)));
        self.bounds.extend(bounds);
    }
}

fn array_items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn array_strings(value: &Value) -> impl Iterator<Item = &str> {
    array_items(value).filter_map(Value::as_str)
}

fn object_entries(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value.as_object().into_iter().flatten().map(|(name, value)| (name.as_str(), value))
}

struct ContractComparison<'a> {
    old: &'a Value,
    new: &'a Value,
    /// References that are being compared. They stop the recursion at types that contain themselves.
    open_references: BTreeSet<String>,
    breaking_changes: Vec<String>,
}

/// Lists every change that would break a client of the old document.
fn find_breaking_changes(old: &Value, new: &Value) -> Vec<String> {
    let mut comparison =
        ContractComparison { old, new, open_references: BTreeSet::new(), breaking_changes: Vec::new() };
    for (path, item) in object_entries(&old["paths"]) {
        for (method, operation) in object_entries(item) {
            let place = format!("{} {path}", method.to_uppercase());
            match new["paths"][path].get(method) {
                Some(now) => comparison.compare_operation(&place, operation, now),
                None => comparison.breaking_changes.push(format!("{place} is gone")),
            }
        }
    }
    comparison.breaking_changes
}

impl<'a> ContractComparison<'a> {
    fn compare_operation(&mut self, place: &str, old: &'a Value, new: &'a Value) {
        if old["operationId"] != new["operationId"] {
            self.breaking_changes
                .push(format!("{place} is called {} and was {}", new["operationId"], old["operationId"]));
        }
        self.compare_parameters(place, old, new);
        let (old_body, new_body) = (&old["requestBody"], &new["requestBody"]);
        if new_body["required"] == true && old_body["required"] != true {
            self.breaking_changes.push(format!("{place} needs a body now"));
        }
        self.compare_contents(&format!("{place} body"), Direction::Request, old_body, new_body);
        for (status, response) in object_entries(&old["responses"]).filter(|(status, _)| status.starts_with('2')) {
            let place = format!("{place} {status}");
            let Some(now) = new["responses"].get(status) else {
                self.breaking_changes.push(format!("{place} is gone"));
                continue;
            };
            for (name, _) in
                object_entries(&response["headers"]).filter(|(name, _)| now["headers"].get(*name).is_none())
            {
                self.breaking_changes.push(format!("{place} has no header {name} any more"));
            }
            self.compare_contents(&place, Direction::Response, response, now);
        }
    }

    fn compare_parameters(&mut self, place: &str, old: &'a Value, new: &'a Value) {
        let key = |parameter: &Value| (parameter["in"].clone(), parameter["name"].clone());
        for now in array_items(&new["parameters"]).filter(|now| now["required"] == true) {
            if !array_items(&old["parameters"]).any(|was| key(was) == key(now) && was["required"] == true) {
                self.breaking_changes.push(format!("{place} needs the parameter {} now", now["name"]));
            }
        }
        for was in array_items(&old["parameters"]) {
            match array_items(&new["parameters"]).find(|now| key(now) == key(was)) {
                Some(now) => {
                    self.compare_schema(
                        &format!("{place} ?{}", was["name"]),
                        Direction::Request,
                        &was["schema"],
                        &now["schema"],
                    );
                }
                None => self.breaking_changes.push(format!("{place} has no parameter {} any more", was["name"])),
            }
        }
    }

    fn compare_contents(&mut self, place: &str, direction: Direction, old: &'a Value, new: &'a Value) {
        for (media_type, content) in object_entries(&old["content"]) {
            match new["content"].get(media_type) {
                Some(now) => self.compare_schema(place, direction, &content["schema"], &now["schema"]),
                None => self.breaking_changes.push(format!("{place} knows no {media_type} any more")),
            }
        }
    }

    fn compare_schema(&mut self, place: &str, direction: Direction, old: &'a Value, new: &'a Value) {
        let open_reference = (old["$ref"].as_str()).map(|reference| format!("{} {reference}", direction as u8));
        if open_reference.as_ref().is_some_and(|reference| !self.open_references.insert(reference.clone())) {
            return;
        }
        let (was, now) = (MergedSchema::resolve(self.old, old), MergedSchema::resolve(self.new, new));
        // A request may only accept more types than before. A response may only return types that it had before.
        let (less, more) =
            if direction == Direction::Request { (&was.types, &now.types) } else { (&now.types, &was.types) };
        if !more.is_empty() && (less.is_empty() || !less.is_subset(more)) {
            self.breaking_changes.push(format!("{place} is {:?} and was {:?}", now.types, was.types));
        }
        if was.enum_values.is_empty() && !now.enum_values.is_empty() && direction == Direction::Request {
            self.breaking_changes.push(format!("{place} takes only certain words now"));
        }
        if !was.enum_values.is_empty() && !now.enum_values.is_empty() {
            for word in was.enum_values.difference(&now.enum_values) {
                self.breaking_changes.push(format!("{place} knows no {word:?} any more"));
            }
        }
        for word in
            now.enum_values.difference(&was.enum_values).filter(|_| was.is_closed && direction == Direction::Response)
        {
            self.breaking_changes.push(format!("{place} has {word:?} now, in a vocabulary that is closed"));
        }
        if direction == Direction::Request {
            for (names, worse) in [(LOWER_BOUNDS, f64::gt as fn(&f64, &f64) -> bool), (UPPER_BOUNDS, f64::lt)] {
                for name in names {
                    let (was, now) = (was.bounds.get(name), now.bounds.get(name));
                    if now.is_some_and(|now| was.is_none_or(|was| worse(now, was))) {
                        self.breaking_changes.push(format!("{place} has a narrower {name}"));
                    }
                }
            }
        }
        let (old_required, new_required) = (&was.required, &now.required);
        let (missing, what) = match direction {
            Direction::Request => (new_required.difference(old_required), "needs"),
            Direction::Response => (old_required.difference(new_required), "may lack"),
        };
        for name in missing.filter(|name| direction == Direction::Request || now.properties.contains_key(*name)) {
            self.breaking_changes.push(format!("{place} {what} {name} now"));
        }
        for (name, schema) in &was.properties {
            let place = format!("{place}.{name}");
            match now.properties.get(name) {
                Some(now) => self.compare_schema(&place, direction, schema, now),
                None => self.breaking_changes.push(format!("{place} is gone")),
            }
        }
        if let (Some(was), Some(now)) = (was.items, now.items) {
            self.compare_schema(&format!("{place}[]"), direction, was, now);
        }
        if let Some(reference) = open_reference {
            self.open_references.remove(&reference);
        }
    }
}

#[tokio::test]
async fn the_current_api_is_compatible_with_the_last_release() {
    let server = TestServer::start().await;
    let (_, now, _) = send_request(server.request_without_auth(Method::GET, "/api/openapi.json")).await;
    if std::env::var_os("PRINTYARD_RELEASE_CONTRACT").is_some() {
        std::fs::write(RELEASED, serde_json::to_string_pretty(&now).expect("JSON") + "\n").expect("a written file");
    }
    let released = std::fs::read_to_string(RELEASED).expect("the document of the last release");
    let released: Value = serde_json::from_str(&released).expect("JSON");
    assert!(object_entries(&released["paths"]).count() > 20, "the document is complete");
    let changes = find_breaking_changes(&released, &now);
    assert!(changes.is_empty(), "clients of the last release would break:\n{}", changes.join("\n"));
}

/// Returns the breaking changes when one place of a small document changes.
fn breaking_changes_after(pointer: &str, value: Value) -> Vec<String> {
    let old = json!({
        "paths": {"/things": {"post": {
            "operationId": "make_thing",
            "parameters": [
                {"in": "query", "name": "kind", "schema": {"type": "string", "enum": ["a", "b"]}},
                {"in": "query", "name": "limit", "schema": {"type": ["integer", "null"], "minimum": 1, "maximum": 500}},
            ],
            "requestBody": {"required": false, "content": {"application/json": {"schema": {"$ref": "#/components/schemas/New"}}}},
            "responses": {
                "201": {"headers": {"Location": {}}, "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Thing"}}}},
                "409": {},
            },
        }}},
        "components": {"schemas": {
            "New": {"type": "object", "required": ["name"], "properties": {
                "name": {"type": "string", "maxLength": 100}, "size": {"type": "number"},
            }},
            "Thing": {"allOf": [{"type": "object", "required": ["id"], "properties": {"id": {"type": "string"}}}, {
                "type": "object", "properties": {
                    "state": {"type": "string", "enum": ["open", "done"]},
                    "effect": {"oneOf": [{"$ref": "#/components/schemas/Effect"}, {"type": "null"}]},
                    "parts": {"type": "array", "items": {"$ref": "#/components/schemas/Thing"}},
                },
            }]},
            "Effect": {"type": "string", "enum": ["done", "none"]},
        }},
    });
    let mut new = old.clone();
    assert_eq!(find_breaking_changes(&old, &new), [""; 0], "an unchanged document breaks nothing");
    let (parent, name) = pointer.rsplit_once('/').expect("a pointer");
    let parent = new.pointer_mut(parent).unwrap_or_else(|| panic!("{pointer}"));
    match (parent, value) {
        (Value::Object(parent), Value::Null) => drop(parent.remove(&name.replace("~1", "/")).expect(pointer)),
        (Value::Object(parent), value) => drop(parent.insert(name.replace("~1", "/"), value)),
        (Value::Array(parent), Value::Null) => drop(parent.remove(name.parse().expect(pointer))),
        (Value::Array(parent), value) => parent.push(value),
        (other, _) => panic!("{pointer}: {other}"),
    }
    find_breaking_changes(&old, &new)
}

const OPERATION: &str = "/paths/~1things/post";
const SCHEMAS: &str = "/components/schemas";

#[test]
fn every_breaking_change_is_detected() {
    for (pointer, value, expected) in [
        ("/paths/~1things".to_owned(), Value::Null, "is gone"),
        (OPERATION.to_owned(), Value::Null, "is gone"),
        (format!("{OPERATION}/operationId"), json!("create_thing"), "is called"),
        (format!("{OPERATION}/parameters/0"), Value::Null, "no parameter \"kind\""),
        (
            format!("{OPERATION}/parameters/-"),
            json!({"in": "query", "name": "x", "required": true}),
            "needs the parameter",
        ),
        (format!("{OPERATION}/parameters/0/required"), json!(true), "needs the parameter"),
        (format!("{OPERATION}/parameters/0/schema/enum/1"), Value::Null, "knows no \"b\""),
        (format!("{OPERATION}/parameters/1/schema/type"), json!("integer"), "is {\"integer\"}"),
        (format!("{OPERATION}/parameters/1/schema/maximum"), json!(100), "narrower maximum"),
        (format!("{OPERATION}/parameters/1/schema/minimum"), json!(2), "narrower minimum"),
        (format!("{OPERATION}/requestBody/required"), json!(true), "needs a body"),
        (format!("{OPERATION}/requestBody/content/application~1json"), Value::Null, "knows no application/json"),
        (format!("{OPERATION}/responses/201"), Value::Null, "201 is gone"),
        (format!("{OPERATION}/responses/201/headers/Location"), Value::Null, "no header Location"),
        (format!("{OPERATION}/responses/201/content/application~1json"), Value::Null, "knows no application/json"),
        (format!("{SCHEMAS}/New/required/-"), json!("size"), "needs size"),
        (format!("{SCHEMAS}/New/properties/size"), Value::Null, ".size is gone"),
        (format!("{SCHEMAS}/New/properties/size/type"), json!("integer"), "is {\"integer\"}"),
        (format!("{SCHEMAS}/New/properties/name/maxLength"), json!(50), "narrower maxLength"),
        (format!("{SCHEMAS}/New/properties/name/minLength"), json!(1), "narrower minLength"),
        (format!("{SCHEMAS}/New/properties/name/enum"), json!(["a"]), "certain words"),
        (format!("{SCHEMAS}/Thing/allOf/0/required/0"), Value::Null, "may lack id"),
        (format!("{SCHEMAS}/Thing/allOf/0/properties/id"), Value::Null, ".id is gone"),
        (format!("{SCHEMAS}/Thing/allOf/0/properties/id/type"), json!(["string", "null"]), "was {\"string\"}"),
        (format!("{SCHEMAS}/Thing/allOf/1/properties/state/enum/0"), Value::Null, "knows no \"open\""),
        (format!("{SCHEMAS}/Effect/enum/-"), json!("maybe"), "vocabulary that is closed"),
    ] {
        let changes = breaking_changes_after(&pointer, value);
        assert!(changes.iter().any(|line| line.contains(expected)), "{pointer}: {changes:?}");
    }
}

#[test]
fn compatible_changes_are_accepted() {
    for (pointer, value) in [
        ("/paths/~1others".to_owned(), json!({"get": {"operationId": "list_others"}})),
        (format!("{OPERATION}/parameters/-"), json!({"in": "query", "name": "x", "schema": {"type": "string"}})),
        (format!("{OPERATION}/parameters/0/schema/enum/-"), json!("c")),
        (format!("{OPERATION}/parameters/1/schema/maximum"), json!(1_000)),
        (format!("{OPERATION}/responses/409"), Value::Null),
        (format!("{OPERATION}/responses/202"), json!({})),
        (format!("{SCHEMAS}/New/properties/colour"), json!({"type": "string"})),
        (format!("{SCHEMAS}/New/required/0"), Value::Null),
        (format!("{SCHEMAS}/New/properties/size/type"), json!(["number", "null"])),
        (format!("{SCHEMAS}/Thing/allOf/1/properties/state/enum/-"), json!("paused")),
        (format!("{SCHEMAS}/Thing/allOf/1/properties/colour"), json!({"type": "string"})),
        (format!("{SCHEMAS}/Thing/allOf/1/required"), json!(["state"])),
    ] {
        assert_eq!(breaking_changes_after(&pointer, value), [""; 0], "{pointer}");
    }
}
