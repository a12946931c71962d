//! Checks names in the documents against the OpenAPI document and the server.

use std::collections::{BTreeMap, BTreeSet};

use reqwest::StatusCode;
use serde_json::Value;

use super::{
    DEADLINE, as_text,
    comparison::assert_same_fields,
    markdown::{Document, code_spans},
};
use crate::support::{server::TestServer, wait};

#[tokio::test]
async fn the_documents_name_paths_events_and_codes_of_the_api() {
    let server = TestServer::start().await;
    let (_, api, _) = server.get("/api/openapi.json").await;
    let event_types = enum_values(&api, "EventType");
    for path in ["README.md", "docs/erp.md", "docs/operations.md"] {
        let document = Document::read(path);
        for span in document.code_spans() {
            assert!(is_operation(&api, span).unwrap_or(true), "{path}: the API has no `{span}`");
            let is_event =
                ["printer.", "print.", "batch.", "command.", "plate."].iter().any(|area| span.starts_with(area));
            let is_whole = span.chars().all(|character| character.is_ascii_lowercase() || "._".contains(character));
            assert!(!is_event || !is_whole || event_types.contains(span), "{path}: no event has the type `{span}`");
        }
    }
    let guide = Document::read("docs/erp.md");
    let mut checked = 0;
    for row in guide.table_rows() {
        let status = row[0].split_whitespace().next().unwrap_or_default();
        if status.len() != 3 || status.parse::<u16>().is_err() {
            continue;
        }
        for code in code_spans(row[0]).into_iter().filter(|code| *code != "code") {
            assert!(is_documented(&api, status, code), "the OpenAPI document does not list {status} `{code}`");
            checked += 1;
        }
    }
    assert!(checked >= 12, "the table of responses has {checked} codes");
    server.stop().await;
}

#[tokio::test]
async fn the_guide_for_operators_shows_the_readiness_of_the_server() {
    let server = TestServer::start().await;
    let block = Document::read("docs/operations.md").only_block("json");
    let shown: Value = serde_json::from_str(&block.text).expect("JSON in the document");
    let parts = wait::until("the server is ready", DEADLINE, async || match server.get("/readyz").await {
        (StatusCode::OK, parts, _) => Ok(parts),
        (_, parts, _) => Err(parts),
    });
    assert_same_fields(&block.place, &shown, &parts.await);
    server.stop().await;
}

#[tokio::test]
async fn the_documents_list_every_outcome_with_its_effect() {
    let server = TestServer::start().await;
    let (_, api, _) = server.get("/api/openapi.json").await;
    let effects = enum_values(&api, "Effect");
    let mut final_outcomes = enum_values(&api, "Outcome");
    for outcome in ["queued", "sent", "accepted"] {
        assert!(final_outcomes.remove(outcome), "{outcome} is an outcome");
    }
    for path in ["README.md", "docs/erp.md"] {
        let document = Document::read(path);
        let mut outcomes: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for row in document.table_rows() {
            let [first, second, ..] = row[..] else { continue };
            for (effect, listed) in [(first, second), (second, first)] {
                if let [effect] = code_spans(effect)[..]
                    && effects.contains(effect)
                {
                    let listed = code_spans(listed).into_iter().map(str::to_owned);
                    outcomes.entry(effect.to_owned()).or_default().extend(listed);
                }
            }
        }
        assert_eq!(outcomes.keys().cloned().collect::<BTreeSet<String>>(), effects, "{path}");
        assert_eq!(outcomes["done"], BTreeSet::from(["confirmed", "unchanged"].map(str::to_owned)), "{path}");
        assert_eq!(outcomes["maybe"], BTreeSet::from(["unconfirmed", "unknown"].map(str::to_owned)), "{path}");
        assert_eq!(outcomes.into_values().flatten().collect::<BTreeSet<String>>(), final_outcomes, "{path}");
    }
    server.stop().await;
}

/// Returns the values of an enum of the OpenAPI document.
fn enum_values(api: &Value, name: &str) -> BTreeSet<String> {
    let values = api["components"]["schemas"][name]["enum"].as_array().unwrap_or_else(|| panic!("no enum {name}"));
    values.iter().map(|value| as_text(value).to_owned()).collect()
}

/// Whether a text such as `GET /prints?external_ref=` is an operation of the API. Returns `None` for another text. A path
/// after `…` may be the end of a longer one.
fn is_operation(api: &Value, text: &str) -> Option<bool> {
    let (method, rest) = text.split_once(' ')?;
    if !["GET", "POST", "PUT", "PATCH", "DELETE"].contains(&method) {
        return None;
    }
    let path = rest.split(['?', ' ']).next().unwrap_or_default();
    let paths = api["paths"].as_object().expect("paths");
    let is_named = |known: &str| match path.strip_prefix('…') {
        Some(end) => known.ends_with(end),
        None => known == path || known.strip_prefix("/api/v1") == Some(path),
    };
    Some(paths.iter().any(|(known, methods)| is_named(known) && methods.get(method.to_lowercase()).is_some()))
}

/// Whether an operation of the OpenAPI document has a code with a status.
fn is_documented(api: &Value, status: &str, code: &str) -> bool {
    let operations = api["paths"].as_object().expect("paths").values().filter_map(Value::as_object);
    let mut responses =
        operations.flat_map(|methods| methods.values()).map(|operation| &operation["responses"][status]);
    responses.any(|response| {
        response["description"].as_str().is_some_and(|description| description.contains(&format!("`{code}`")))
    })
}
