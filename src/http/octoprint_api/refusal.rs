//! Errors for slicers: one sentence as `text/plain`.
//!
//! PrusaSlicer shows the body of an error as it is. The plugin of Cura shows the first 100 characters, and only if the
//! `Content-Type` is exactly `text/plain`. It has its own texts for 401, 403 and 409.

use axum::{
    body::Body,
    extract::Request,
    http::{HeaderValue, StatusCode, header},
    middleware::Next,
    response::Response,
};

use crate::http::api::problem::{self, Problem};

const MEDIA_TYPE: &str = "text/plain";
/// The sentence for a missing or unknown key. The problem of the API names another header.
const UNKNOWN_KEY: &str = "The API key is missing or unknown. Enter a Printyard token of role operator as API key.";
/// The sentence for a token whose role is too low.
const LOW_ROLE: &str = "This token may not upload files. Enter a Printyard token of role operator as API key.";

/// Writes the bodies of problems, and of errors by the router, which have no body.
pub(in crate::http) async fn render_text(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let found = response.extensions_mut().remove::<Problem>();
    let Some(problem) = found.or_else(|| problem::default_problem(&response)) else { return response };
    let sentence = sentence_of(&problem);
    let (mut parts, _) = response.into_parts();
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    Response::from_parts(parts, Body::from(sentence))
}

/// Returns the sentence that a slicer shows.
fn sentence_of(problem: &Problem) -> String {
    let (status, detail, _) = problem.page_texts();
    match status {
        StatusCode::UNAUTHORIZED => UNKNOWN_KEY.to_owned(),
        StatusCode::FORBIDDEN => LOW_ROLE.to_owned(),
        _ => detail.to_owned(),
    }
}
