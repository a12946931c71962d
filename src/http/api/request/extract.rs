//! Extractors for path ids, query parameters and JSON bodies. Each rejects bad input with its own problem.

use std::time::Duration;

use axum::{
    extract::{FromRequest, FromRequestParts, RawPathParams, Request, rejection::RawPathParamsRejection},
    http::{HeaderMap, StatusCode, header, request::Parts},
};
use bytes::{Bytes, BytesMut};
use chrono::{DateTime, SubsecRound, Utc};
use futures_util::StreamExt;
use percent_encoding::percent_decode_str;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::json::decode_json;
use crate::{
    http::api::{
        list::{
            export::{ListFormat, ListRequest},
            page,
        },
        problem::Problem,
    },
    service::Error,
};

/// The largest JSON body, in bytes. A batch that names 5,000 printers with a job each needs less than a quarter of it.
const MAX_JSON_BYTES: usize = 2 * 1024 * 1024;
/// The server reads and discards this much more of a body that is too large. A client reads no response while it still
/// sends.
const MAX_DRAINED_BYTES: usize = 8 * 1024 * 1024;
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);
/// Deadline for a complete JSON body.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// The path parameters by name, percent-decoded.
pub struct PathParams(Vec<(String, String)>);

impl PathParams {
    /// Returns a path parameter, or an empty string if the route does not have it.
    pub fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    /// Returns the id in the path. Responds with 404 if it is not a UUID.
    pub fn id(&self) -> Result<Uuid, Problem> {
        Uuid::try_parse(self.get("id")).map_err(|_| Problem::not_found("id"))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for PathParams {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let params = RawPathParams::from_request_parts(parts, state).await.map_err(|rejection| match rejection {
            RawPathParamsRejection::InvalidUtf8InPathParam(_) => {
                Problem::malformed("malformed_path", "The path is not UTF-8.")
            }
            _ => Problem::not_found("path"),
        })?;
        Ok(Self(params.iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()))
    }
}

/// The id in the path.
pub struct PathId(pub Uuid);

impl<S: Send + Sync> FromRequestParts<S> for PathId {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        PathParams::from_request_parts(parts, state).await?.id().map(Self)
    }
}

/// Query parameters, taken one by one. [`QueryParams::finish`] rejects the rest, which catches typos.
pub struct QueryParams {
    pairs: Vec<(String, String)>,
    /// The format that the client accepts for a list.
    format: ListFormat,
    errors: Vec<(String, &'static str, String)>,
}

impl<S: Send + Sync> FromRequestParts<S> for QueryParams {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let mut pairs = Vec::new();
        for pair in parts.uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            pairs.push((percent_decode(name)?, percent_decode(value)?));
        }
        Ok(Self { pairs, format: ListFormat::from_accept(&parts.headers), errors: Vec::new() })
    }
}

fn percent_decode(text: &str) -> Result<String, Problem> {
    let spaced = text.replace('+', " ");
    let decoded = percent_decode_str(&spaced).decode_utf8();
    decoded
        .map(std::borrow::Cow::into_owned)
        .map_err(|_| Problem::malformed("malformed_query", "The query is not UTF-8."))
}

impl QueryParams {
    /// Records that a parameter breaks a rule.
    pub fn add_error(&mut self, name: &str, code: &'static str, rule: impl Into<String>) {
        self.errors.push((name.to_owned(), code, rule.into()));
    }

    fn take_param(&mut self, name: &str) -> Option<String> {
        let at = self.pairs.iter().position(|(key, _)| key == name)?;
        let (_, value) = self.pairs.remove(at);
        if self.pairs.iter().any(|(key, _)| key == name) {
            self.pairs.retain(|(key, _)| key != name);
            self.add_error(name, "repeated", "must be given only once");
        }
        Some(value)
    }

    /// Returns a reference of the client. An empty one is refused: treated as absent, it would match everything.
    pub fn client_reference(&mut self, name: &str) -> Option<String> {
        if self.pairs.iter().any(|(key, value)| key == name && value.is_empty()) {
            self.add_error(name, "empty", "must not be empty; leave it out to see everything");
        }
        self.text(name)
    }

    /// Returns a search text. An empty text does not restrict.
    pub fn text(&mut self, name: &str) -> Option<String> {
        let text = self.take_param(name).filter(|text| !text.is_empty())?;
        if text.chars().count() > 500 || text.chars().any(char::is_control) {
            self.add_error(name, "text", "must be at most 500 characters, without control characters");
            return None;
        }
        Some(text)
    }

    /// Returns a value from a fixed set of words.
    pub fn enum_value<T>(&mut self, name: &str, parse: impl Fn(&str) -> Option<T>, known: &[&str]) -> Option<T> {
        let word = self.take_param(name)?;
        let value = parse(&word);
        if value.is_none() {
            self.add_error(name, "unknown_value", format!("must be one of {}", known.join(", ")));
        }
        value
    }

    /// Returns values from a fixed set of words, separated by commas.
    pub fn enum_values<T>(&mut self, name: &str, parse: impl Fn(&str) -> Option<T>, known: &[&str]) -> Option<Vec<T>> {
        let list = self.take_param(name)?;
        let values: Option<Vec<T>> = list.split(',').map(|word| parse(word.trim())).collect();
        if values.is_none() {
            self.add_error(name, "unknown_value", format!("must be some of {}", known.join(", ")));
        }
        values
    }

    /// Returns an id.
    pub fn id(&mut self, name: &str) -> Option<Uuid> {
        let text = self.take_param(name)?;
        let id = Uuid::try_parse(&text).ok();
        if id.is_none() {
            self.add_error(name, "uuid", "must be a UUID");
        }
        id
    }

    /// Returns a time.
    pub fn time(&mut self, name: &str) -> Option<DateTime<Utc>> {
        let text = self.take_param(name)?;
        let time = parse_time(&text);
        if time.is_none() {
            self.add_error(name, "time", "must be a time as in RFC 3339: 2026-12-03T16:00:00Z");
        }
        time
    }

    /// Returns `true` or `false`.
    pub fn flag(&mut self, name: &str) -> Option<bool> {
        self.enum_value(name, |word| word.parse().ok(), &["true", "false"])
    }

    /// Returns a whole number in the given range.
    pub fn number(&mut self, name: &str, least: u64, most: u64) -> Option<u64> {
        let text = self.take_param(name)?;
        let number = text.parse().ok().filter(|number| (least..=most).contains(number));
        if number.is_none() {
            self.add_error(name, "range", format!("must be {least} to {most}"));
        }
        number
    }

    /// Returns the page size.
    pub fn limit(&mut self) -> usize {
        let Some(text) = self.take_param("limit") else { return page::DEFAULT_LIMIT };
        match text.parse() {
            Ok(limit) if (1..=page::MAX_LIMIT).contains(&limit) => limit,
            _ => {
                self.add_error("limit", "range", format!("must be 1 to {}", page::MAX_LIMIT));
                page::DEFAULT_LIMIT
            }
        }
    }

    /// Returns the position where a page starts. `list` is the list that the cursor was made for.
    pub fn cursor<T: DeserializeOwned>(&mut self, list: &str) -> Option<T> {
        let text = self.take_param("cursor")?;
        let position = page::decode_cursor(list, &text);
        if position.is_none() {
            self.add_error("cursor", "cursor", "must be the next_cursor of a page of this list");
        }
        position
    }

    /// Returns whether a parameter is present and has not been taken yet.
    pub fn contains(&self, name: &str) -> bool {
        self.pairs.iter().any(|(given, _)| given == name)
    }

    /// Returns the format that the client accepts for a list.
    pub fn format(&self) -> ListFormat {
        self.format
    }

    /// Returns format and range of a list request.
    pub fn list_request<T: DeserializeOwned>(&mut self, list: &str) -> ListRequest<T> {
        let is_whole = !self.contains("limit") && !self.contains("cursor");
        ListRequest { format: self.format, limit: self.limit(), after: self.cursor(list), is_whole }
    }

    /// Rejects the request if a parameter broke a rule or was not taken.
    pub fn finish(mut self) -> Result<(), Problem> {
        for (name, _) in std::mem::take(&mut self.pairs) {
            self.add_error(&name, "unknown_parameter", "is not known here");
        }
        if self.errors.is_empty() { Ok(()) } else { Err(Problem::bad_query(self.errors)) }
    }
}

/// For routes without query parameters. A parameter there is a mistake (`?dry_run=true`), so it is refused.
pub struct NoQuery;

impl<S: Send + Sync> FromRequestParts<S> for NoQuery {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        QueryParams::from_request_parts(parts, state).await?.finish().map(|()| Self)
    }
}

/// Parses an RFC 3339 time to UTC and whole microseconds.
pub fn parse_time(text: &str) -> Option<DateTime<Utc>> {
    // A plus sign that was not percent-encoded has become a space.
    let text = text.replace(' ', "+");
    DateTime::parse_from_rfc3339(&text).ok().map(|time| time.to_utc().trunc_subsecs(6))
}

/// A JSON body.
pub struct JsonBody<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        check_media_type(request.headers(), &["application/json"])?;
        decode_json(&read_json_body(request).await?).map(Self)
    }
}

/// A JSON body that may be left out.
pub struct OptionalJsonBody<T>(pub T);

impl<T: DeserializeOwned + Default, S: Send + Sync> FromRequest<S> for OptionalJsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if axum::body::HttpBody::is_end_stream(request.body()) {
            return Ok(Self(T::default()));
        }
        JsonBody::from_request(request, state).await.map(|JsonBody(body)| Self(body))
    }
}

/// A JSON merge patch (RFC 7396).
pub struct MergePatch<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for MergePatch<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        check_media_type(request.headers(), &["application/merge-patch+json", "application/json"])?;
        decode_json(&read_json_body(request).await?).map(Self)
    }
}

/// Returns whether `Content-Type` declares a JSON body.
pub fn is_json(headers: &HeaderMap) -> bool {
    check_media_type(headers, &["application/json", "application/merge-patch+json"]).is_ok()
}

fn check_media_type(headers: &HeaderMap, accepted: &[&str]) -> Result<(), Problem> {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = value.split(';').next().unwrap_or_default().trim();
    if accepted.iter().any(|accepted| accepted.eq_ignore_ascii_case(essence)) {
        return Ok(());
    }
    let detail = format!("The body must be sent as {}.", accepted.join(" or "));
    Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail))
}

/// Reads a whole JSON body.
pub async fn read_json_body(request: Request) -> Result<Bytes, Problem> {
    let declared = request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    let expects_continue = request.headers().contains_key(header::EXPECT);
    let mut stream = request.into_body().into_data_stream();
    if expects_continue && declared.is_some_and(|length: u64| length > MAX_JSON_BYTES as u64) {
        // With `Expect: 100-continue` the client has not sent the body yet, so there is nothing to drain.
        return Err(body_too_large());
    }
    let mut bytes = BytesMut::new();
    let read_all = async {
        while let Some(chunk) = stream.next().await {
            let chunk =
                chunk.map_err(|_| Problem::malformed("incomplete_body", "The body did not come to its end."))?;
            if bytes.len() + chunk.len() > MAX_JSON_BYTES {
                return Err(body_too_large());
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(())
    };
    match tokio::time::timeout(READ_TIMEOUT, read_all).await {
        Ok(Ok(())) => Ok(bytes.freeze()),
        Ok(Err(problem)) => {
            drain_body(stream).await;
            Err(problem)
        }
        Err(_) => Err(body_timeout()),
    }
}

fn body_too_large() -> Problem {
    Problem::too_large("A JSON body has at most 2 MiB.")
}

/// The problem for a body that stopped arriving.
pub fn body_timeout() -> Problem {
    Problem::new(StatusCode::REQUEST_TIMEOUT, "body_timeout", "The body did not come in time.")
}

/// Reads and discards the rest of the body for a while, so that the client gets to read the response.
async fn drain_body(mut stream: axum::body::BodyDataStream) {
    let mut read = 0;
    let rest = async {
        while let Some(Ok(chunk)) = stream.next().await {
            read += chunk.len();
            if read > MAX_DRAINED_BYTES {
                break;
            }
        }
    };
    // A client that keeps sending past the limit is disconnected.
    let _ = tokio::time::timeout(DRAIN_TIMEOUT, rest).await;
}

/// Checks `If-Match`. `version` reads the current version, and runs only if the header names versions. Returns the version
/// that the change must find, or `None` if any version matches.
pub async fn check_if_match(
    headers: &HeaderMap,
    version: impl Future<Output = Result<i64, Error>>,
) -> Result<Option<i64>, Error> {
    let Some(expected) = expected_versions(headers) else { return Ok(None) };
    let version = version.await?;
    if expected.contains(&version) { Ok(Some(version)) } else { Err(Error::Stale) }
}

/// Returns the versions in `If-Match`. `None`: any version matches. An unreadable value matches no version, because a
/// typo in a condition must not disable the condition.
pub(super) fn expected_versions(headers: &HeaderMap) -> Option<Vec<i64>> {
    let mut values = headers.get_all(header::IF_MATCH).iter().peekable();
    values.peek()?;
    let tags: Vec<&str> = values.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')).collect();
    if tags.iter().any(|tag| tag.trim() == "*") {
        return None;
    }
    let version = |tag: &&str| tag.trim().strip_prefix("\"v")?.strip_suffix('"')?.parse().ok();
    Some(tags.iter().filter_map(version).collect())
}
