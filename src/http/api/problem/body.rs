//! The bodies of problems.

use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::HealthParts;

/// An error (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem, example = json!({
    "type": "urn:printyard:problem:name_taken", "title": "Conflict", "status": 409,
    "detail": "Another printer has this name.", "instance": "/api/v1/printers", "code": "name_taken",
    "request_id": "0193e1c7-7d1c-7a52-9a3e-2f3b5a0c9e11"
}))]
pub struct ProblemBody {
    /// URI of this kind of problem, derived from its code.
    #[serde(rename = "type")]
    pub kind: String,
    /// The status in words.
    pub title: &'static str,
    pub status: u16,
    /// What failed, in a sentence for people.
    pub detail: String,
    /// The path of the request.
    pub instance: String,
    /// A stable code for programs.
    pub code: &'static str,
    /// Same as `X-Request-Id`. Search for it in the server's log.
    pub request_id: String,
    /// Every part of the input that broke a rule.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub errors: Vec<ProblemError>,
    /// The first invalid query parameter.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    pub parameter: Option<String>,
    /// With `selection_changed`: the number of printers that are selected now.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    pub total: Option<usize>,
    /// With `order_conflict`: the order that has the business key.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    pub existing_id: Option<Uuid>,
    /// With `cursor_expired`: a cursor before the oldest event that is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    pub restart_cursor: Option<String>,
    /// With `not_ready`: every part, as in the readiness response.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    pub parts: Option<HealthParts>,
}

/// The error of one item of several.
#[derive(Debug, Serialize, ToSchema)]
pub struct ItemProblem {
    /// A stable code for programs.
    pub(super) code: &'static str,
    /// What failed, in a sentence for people.
    pub(super) detail: String,
    /// Every part of the item that broke a rule.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub(super) errors: Vec<ProblemError>,
    /// With `order_conflict`: the order that has the business key.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    pub(super) existing_id: Option<Uuid>,
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
    /// A stable code for programs.
    pub code: &'static str,
    /// The rule, in one sentence.
    pub detail: String,
}
