//! The bodies of problems.

use serde::Serialize;
use utoipa::ToSchema;

use super::HealthParts;

/// What went wrong (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem, example = json!({
    "type": "urn:printyard:problem:name_taken", "title": "Conflict", "status": 409,
    "detail": "Another printer has this name.", "instance": "/api/v1/printers", "code": "name_taken",
    "request_id": "0193e1c7-7d1c-7a52-9a3e-2f3b5a0c9e11"
}))]
pub struct ProblemBody {
    /// A name for this kind of problem, made of its code.
    #[serde(rename = "type")]
    pub kind: String,
    /// The status in words.
    pub title: &'static str,
    pub status: u16,
    /// What went wrong here, in a sentence for people.
    pub detail: String,
    /// The path that was asked for.
    pub instance: String,
    /// A stable word for programs.
    pub code: &'static str,
    /// As in `X-Request-Id`: what to look for in the server's log.
    pub request_id: String,
    /// Every part of the input that broke a rule.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub errors: Vec<ProblemError>,
    /// The query parameter that is wrong; the first one where there are several.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    pub parameter: Option<String>,
    /// With `selection_changed`: how many printers are selected now.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    pub total: Option<usize>,
    /// With `cursor_expired`: before the oldest event that is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    pub restart_cursor: Option<String>,
    /// With `not_ready`: every part, as readiness has them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    pub parts: Option<HealthParts>,
}

/// What went wrong with one item of several.
#[derive(Debug, Serialize, ToSchema)]
pub struct ItemProblem {
    /// A stable word for programs.
    pub(super) code: &'static str,
    /// What went wrong here, in a sentence for people.
    pub(super) detail: String,
    /// Every part of the item that broke a rule.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub(super) errors: Vec<ProblemError>,
}

/// One part of the input that broke a rule.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ProblemError {
    /// JSON pointer into the body: `/select/printer_ids/3`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    pub pointer: Option<String>,
    /// The name of the query parameter.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    pub parameter: Option<String>,
    /// A stable word for programs.
    pub code: &'static str,
    /// The rule, in one sentence.
    pub detail: String,
}
