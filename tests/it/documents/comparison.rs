//! Compares what a document shows with what the programs print and answer.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{
    markdown::{Block, Document},
    terminal::Answer,
};

/// Checks that a value has the fields of the value in a document. Every item of a list must have the fields of the first
/// item there. A null stands for any value.
pub fn assert_same_fields(place: &str, shown: &Value, actual: &Value) {
    match (shown, actual) {
        (Value::Object(shown), Value::Object(actual)) => {
            let names = |fields: &serde_json::Map<String, Value>| fields.keys().cloned().collect::<BTreeSet<String>>();
            assert_eq!(names(shown), names(actual), "{place}");
            for (name, value) in shown {
                assert_same_fields(&format!("{place}/{name}"), value, &actual[name]);
            }
        }
        (Value::Array(shown), Value::Array(actual)) => {
            assert_eq!(shown.is_empty(), actual.is_empty(), "{place}");
            for item in actual {
                assert_same_fields(&format!("{place}/0"), &shown[0], item);
            }
        }
        (Value::Null, _) | (_, Value::Null) => {}
        _ => assert_eq!(std::mem::discriminant(shown), std::mem::discriminant(actual), "{place}: {shown} and {actual}"),
    }
}

/// Checks that each line of a document is in the output. `…` stands for any text.
pub fn assert_shown_lines(shown: &Block, text: &str, output: &str) {
    for line in text.lines() {
        let is_shown = output.lines().any(|printed| matches_line(line, printed));
        assert!(is_shown, "{}: the output has no line `{line}`:\n{output}", shown.place);
    }
}

fn matches_line(shown: &str, printed: &str) -> bool {
    let (mut parts, mut rest) = (shown.trim_end().split('…'), printed.trim_end());
    let first = parts.next().unwrap_or_default();
    let Some(after_first) = rest.strip_prefix(first) else { return false };
    rest = after_first;
    let mut ends_at_part = true;
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        ends_at_part = part.is_empty() || rest.ends_with(part);
        rest = &rest[at + part.len()..];
    }
    ends_at_part && (rest.is_empty() || shown.contains('…'))
}

/// Checks the status of the last answer and the fields of its body, as the document shows them below a block.
pub fn compare_last_answer(document: &mut Document, block: &Block, answers: &[Answer]) -> Value {
    let answer = answers.last().unwrap_or_else(|| panic!("{}: no answer", block.place));
    assert_eq!(Some(answer.status), block.promised_status(), "{}: {}", block.place, answer.body);
    let shown_block = document.next_block("json", "{");
    let shown: Value = serde_json::from_str(&shown_block.text).expect("JSON in the document");
    assert_same_fields(&shown_block.place, &shown, &answer.body);
    answer.body.clone()
}

#[test]
fn a_shown_line_is_compared_with_the_output() {
    assert!(matches_line("batch …: ok", "batch 01a2: ok"));
    assert!(matches_line("… batch.finished MO/00412", "2026-12-03T06:00:00Z batch.finished MO/00412 "));
    assert!(matches_line("{\"webhook_id\": \"…\"}", "{\"webhook_id\": \"01a2\"}"));
    assert!(matches_line("  SIM-0001: confirmed", "  SIM-0001: confirmed"));
    for printed in ["batch 01a2: failed", "a batch 01a2: ok", "batch 01a2: ok, or not"] {
        assert!(!matches_line("batch …: ok", printed), "{printed}");
    }
    assert!(!matches_line("SIM-0001: confirmed", "SIM-0001: confirmed again"));
}

#[test]
fn another_field_in_an_answer_is_found() {
    let shown = json!({"id": "1", "rows": [{"a": null}]});
    assert_same_fields("", &shown, &json!({"id": "2", "rows": [{"a": 1}, {"a": "x"}]}));
    for actual in [
        json!({"id": "2"}),
        json!({"id": "2", "rows": [], "new": 1}),
        json!({"id": 2, "rows": [{"a": 1}]}),
        json!({"id": "2", "rows": [{"a": 1}, {"b": 1}]}),
    ] {
        let compared = std::panic::catch_unwind(|| assert_same_fields("", &shown, &actual));
        assert!(compared.is_err(), "{actual}");
    }
}
