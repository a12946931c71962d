//! Changes that need the version that they change.

use axum::http::{HeaderMap, StatusCode, header};

use super::extract::expected_versions;
use crate::{http::api::problem::Problem, service::Error};

/// Checks an `If-Match` that must be given. `version` is the current version; `None`: the resource does not exist. Returns the
/// version that the change must find. Fails with 428 without the header, and with 412 for another version.
pub fn require_if_match(headers: &HeaderMap, version: Option<i64>) -> Result<i64, Problem> {
    if !headers.contains_key(header::IF_MATCH) {
        let detail = "Send the ETag of the version to change as If-Match.";
        return Err(Problem::new(StatusCode::PRECONDITION_REQUIRED, "precondition_required", detail));
    }
    let is_expected = |version: &i64| expected_versions(headers).is_none_or(|expected| expected.contains(version));
    Ok(version.filter(is_expected).ok_or(Error::Stale)?)
}
