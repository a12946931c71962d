//! Error responses: `application/problem+json` (RFC 9457) with a stable `code`.
//!
//! A [`Problem`] is an extension of its response. The outermost layer, [`render_problem`], knows the request's id and path, and
//! writes the body. So every error below `/api` has this format, also errors of the router and of other layers.

mod body;

use axum::{
    body::Body,
    extract::Request,
    http::{HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use uuid::Uuid;

pub use self::body::{ItemProblem, ProblemBody, ProblemError};
use super::health_parts::HealthParts;
use crate::{
    domain::validation::ValidationErrors,
    http::{
        messages::{t, text_of},
        request_id::RequestId,
    },
    service::{
        Error,
        error::{PrinterFailure, StorageFailure, StorageSpace},
    },
};

/// The media type of a problem.
pub const MEDIA_TYPE: &str = "application/problem+json";
/// `Retry-After` of a busy server, in seconds.
const BUSY_RETRY_S: u32 = 5;

/// A refusal or an error for the client. Its texts are for the client; causes are in the log.
#[derive(Debug, Clone)]
pub struct Problem(Box<ProblemFields>);

#[derive(Debug, Clone)]
struct ProblemFields {
    status: StatusCode,
    code: &'static str,
    detail: String,
    errors: Vec<ProblemError>,
    total: Option<usize>,
    existing_id: Option<Uuid>,
    retry_after_s: Option<u32>,
    restart_cursor: Option<String>,
    parts: Option<HealthParts>,
}

impl Problem {
    /// Creates a problem with a code and a sentence.
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self(Box::new(ProblemFields {
            status,
            code,
            detail,
            errors: Vec::new(),
            total: None,
            existing_id: None,
            retry_after_s: None,
            restart_cursor: None,
            parts: None,
        }))
    }

    /// Returns the status, the sentence, and the errors of single fields, for a page.
    pub fn page_texts(&self) -> (StatusCode, &str, impl Iterator<Item = &str>) {
        (self.0.status, &self.0.detail, self.0.errors.iter().map(|error| error.detail.as_str()))
    }

    /// Nothing exists at this path, or the caller may not see it.
    pub fn not_found(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", format!("There is no such {what}."))
    }

    /// The request has no valid bearer token.
    pub fn unauthenticated() -> Self {
        let detail = "A valid token is needed: send `Authorization: Bearer <token>`.";
        Self::new(StatusCode::UNAUTHORIZED, "unauthenticated", detail)
    }

    /// The server cannot parse the request, for example because its bytes are not UTF-8.
    pub fn malformed(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, detail)
    }

    /// The body is larger than the limit.
    pub fn too_large(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail)
    }

    /// Query parameters that broke a rule: name, code and rule of each.
    pub fn bad_query(errors: Vec<(String, &'static str, String)>) -> Self {
        let errors = errors.into_iter().map(|(parameter, code, detail)| ProblemError {
            pointer: None,
            parameter: Some(parameter),
            code,
            detail,
        });
        let mut problem = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_query", "The query breaks a rule.");
        problem.0.errors = errors.collect();
        problem
    }

    /// Converts to the problem of one item of a body. `item_pointer` is the JSON pointer of that item.
    pub fn into_item(mut self, item_pointer: &str) -> (StatusCode, ItemProblem) {
        for pointer in self.0.errors.iter_mut().filter_map(|error| error.pointer.as_mut()) {
            pointer.insert_str(0, item_pointer);
        }
        if !self.0.errors.is_empty() {
            self.0.detail = summarize_errors(&self.0.errors);
        }
        let ProblemFields { status, code, detail, errors, existing_id, .. } = *self.0;
        (status, ItemProblem { code, detail, errors, existing_id })
    }

    /// A part of the server does not work: `detail` says which one, and what to do.
    pub fn not_ready(detail: &str, parts: HealthParts) -> Self {
        let mut problem = Self::new(StatusCode::SERVICE_UNAVAILABLE, "not_ready", detail);
        problem.0.parts = Some(parts);
        problem
    }

    /// The database failed or did not respond.
    pub fn database_unavailable() -> Self {
        let detail = t("refusal-database-unavailable");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail).retry_after(BUSY_RETRY_S)
    }

    /// Adds `Retry-After`.
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.0.retry_after_s = Some(seconds);
        self
    }

    fn into_body(self, instance: String, request_id: String) -> ProblemBody {
        let parameter = self.0.errors.iter().find_map(|error| error.parameter.clone());
        ProblemBody {
            kind: format!("urn:printyard:problem:{}", self.0.code),
            title: self.0.status.canonical_reason().unwrap_or("Error"),
            status: self.0.status.as_u16(),
            detail: self.0.detail,
            instance,
            code: self.0.code,
            request_id,
            errors: self.0.errors,
            parameter,
            total: self.0.total,
            existing_id: self.0.existing_id,
            restart_cursor: self.0.restart_cursor,
            parts: self.0.parts,
        }
    }
}

impl From<ValidationErrors> for Problem {
    fn from(invalid: ValidationErrors) -> Self {
        // The API documents these as codes of the response. Every other rule is reported in `errors`.
        let has = |code: &str| invalid.0.iter().any(|error| error.code == code);
        let documented = ["duplicate_target", "ambiguous"].into_iter().find(|code| has(code));
        let code = documented.unwrap_or("invalid_input");
        let errors = invalid.0.into_iter().map(|error| ProblemError {
            pointer: Some(error.pointer),
            parameter: None,
            code: error.code,
            detail: text_of(&error.detail),
        });
        let errors: Vec<ProblemError> = errors.collect();
        let mut problem = Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, summarize_errors(&errors));
        problem.0.errors = errors;
        problem
    }
}

fn summarize_errors(errors: &[ProblemError]) -> String {
    match errors {
        [ProblemError { pointer: Some(pointer), detail, .. }] if !pointer.is_empty() => format!("{pointer}: {detail}."),
        [only] => format!("The body {}.", only.detail),
        several => format!("{} fields break a rule.", several.len()),
    }
}

impl From<Error> for Problem {
    /// Maps all errors of use cases to HTTP.
    fn from(error: Error) -> Self {
        let detail = text_of(&error.message());
        let new = |status, code| Self::new(status, code, detail);
        match error {
            Error::Invalid(invalid) => invalid.into(),
            Error::Unprocessable { code, .. } => new(StatusCode::UNPROCESSABLE_ENTITY, code),
            Error::NotFound(_) => new(StatusCode::NOT_FOUND, "not_found"),
            Error::Conflict { code: code @ "request_in_progress", .. } => {
                new(StatusCode::CONFLICT, code).retry_after(1)
            }
            Error::Conflict { code, .. } => new(StatusCode::CONFLICT, code),
            Error::SelectionChanged { total } => {
                let mut problem = new(StatusCode::CONFLICT, "selection_changed");
                problem.0.total = Some(total);
                problem
            }
            Error::OrderConflict { existing_id } => {
                let mut problem = new(StatusCode::CONFLICT, "order_conflict");
                problem.0.existing_id = Some(existing_id);
                problem
            }
            Error::CursorExpired { restart } => {
                let mut problem = new(StatusCode::GONE, "cursor_expired");
                problem.0.restart_cursor = Some(restart.to_string());
                problem
            }
            Error::Stale => new(StatusCode::PRECONDITION_FAILED, "stale"),
            Error::Forbidden(_) => new(StatusCode::FORBIDDEN, "forbidden"),
            Error::TooLarge(_) => new(StatusCode::PAYLOAD_TOO_LARGE, "too_large"),
            Error::UnknownFormat(_) => new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unknown_format"),
            Error::NoSpace { space: StorageSpace::Quota, .. } => {
                new(StatusCode::INSUFFICIENT_STORAGE, "files_quota_exceeded")
            }
            Error::NoSpace { space: StorageSpace::Disk, .. } => new(StatusCode::INSUFFICIENT_STORAGE, "disk_full"),
            Error::ContentMissing(_) => new(StatusCode::SERVICE_UNAVAILABLE, "content_missing"),
            Error::Busy(_) => new(StatusCode::SERVICE_UNAVAILABLE, "busy").retry_after(BUSY_RETRY_S),
            Error::TooManyAttempts(wait) => {
                let seconds = u32::try_from(wait.as_secs()).unwrap_or(u32::MAX).max(1);
                new(StatusCode::TOO_MANY_REQUESTS, "rate_limited").retry_after(seconds)
            }
            Error::Printer { failure, .. } => match failure {
                PrinterFailure::Unreachable => new(StatusCode::GATEWAY_TIMEOUT, "printer_unreachable"),
                PrinterFailure::Unauthorized => new(StatusCode::BAD_GATEWAY, "printer_unauthorized"),
                PrinterFailure::Protocol => new(StatusCode::BAD_GATEWAY, "printer_protocol"),
            },
            Error::Storage { failure, cause } => {
                tracing::error!(cause, "the database failed");
                match failure {
                    StorageFailure::Superseded => {
                        new(StatusCode::SERVICE_UNAVAILABLE, "standby").retry_after(BUSY_RETRY_S)
                    }
                    StorageFailure::Unavailable => Self::database_unavailable(),
                    StorageFailure::Unreadable | StorageFailure::Internal => internal_error(),
                }
            }
            Error::Internal(cause) => {
                tracing::error!(cause, "a request failed");
                internal_error()
            }
        }
    }
}

fn internal_error() -> Problem {
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", t("refusal-internal"))
}

/// The response of a handler that panicked. The panic itself is in the log.
pub fn panic_response(_: Box<dyn std::any::Any + Send + 'static>) -> Response {
    tracing::error!("a handler panicked");
    internal_error().into_response()
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.0.status.into_response();
        if let Some(seconds) = self.0.retry_after_s {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        if self.0.status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Bearer realm=\"printyard\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        response.extensions_mut().insert(self);
        response
    }
}

/// Writes the bodies of problems, and of errors by the router, which have no body.
pub async fn render_problem(request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let id = request.extensions().get::<RequestId>().map(|id| id.0.clone()).unwrap_or_default();
    let mut response = next.run(request).await;
    let Some(problem) = response.extensions_mut().remove::<Problem>().or_else(|| default_problem(&response)) else {
        return response;
    };
    write_problem(response, problem, path, id)
}

/// Replaces the body of a response by the problem.
pub(in crate::http) fn write_problem(response: Response, problem: Problem, path: String, id: String) -> Response {
    let (mut parts, _) = response.into_parts();
    parts.status = problem.0.status;
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    parts.headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Infallible for these types. Otherwise the body would be empty.
    let body = serde_json::to_string(&problem.into_body(path, id)).unwrap_or_default();
    Response::from_parts(parts, Body::from(body))
}

/// Returns the problem for an error response that no Printyard handler created.
pub(in crate::http) fn default_problem(response: &Response) -> Option<Problem> {
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() {
        return None;
    }
    Some(match status {
        StatusCode::METHOD_NOT_ALLOWED => {
            let detail = "This path does not take this method: see `Allow`.";
            Problem::new(status, "method_not_allowed", detail)
        }
        StatusCode::NOT_FOUND => Problem::not_found("path"),
        StatusCode::PAYLOAD_TOO_LARGE => Problem::too_large("The body is too large."),
        StatusCode::UNSUPPORTED_MEDIA_TYPE => {
            Problem::new(status, "unsupported_media_type", "The body is of the wrong media type.")
        }
        _ if status.is_client_error() => Problem::new(status, "bad_request", "The request cannot be read."),
        _ => internal_error(),
    })
}
