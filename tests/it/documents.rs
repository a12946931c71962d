//! Follows README.md and docs/erp.md as a reader would: runs their commands in order, and checks what they state.
//!
//! The blocks come from the documents at test time. Programs, ports and folders are replaced, and placeholders get the
//! values of earlier answers. A block that cannot run here has a comment with the reason above it.

use std::time::Duration;

use serde_json::Value;

use crate::support::env_or_skip;

mod api;
mod comparison;
mod erp_guide;
mod erp_orders;
mod erpnext;
mod markdown;
mod names;
mod readme;
mod terminal;

/// Deadline for the server and for each request on a busy machine.
const DEADLINE: Duration = Duration::from_secs(60);

/// Returns the programs that the documents need besides Printyard.
fn find_tools() -> Option<String> {
    env_or_skip("PRINTYARD_TEST_EXAMPLES", "bash, Python 3 and curl")
}

/// Returns the first word of a text that begins with `beginning`.
fn find_word<'a>(text: &'a str, beginning: &str) -> &'a str {
    let at = text.find(beginning).unwrap_or_else(|| panic!("`{beginning}` is missing in: {text}"));
    text[at..].split(|end: char| end.is_whitespace() || end == '\'').next().unwrap_or_default()
}

fn as_text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("not a text: {value}"))
}

fn items(page: &Value) -> &Vec<Value> {
    page["items"].as_array().unwrap_or_else(|| panic!("no items: {page}"))
}
