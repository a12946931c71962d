//! Lists in three formats: a page of JSON, or all matching items as CSV or NDJSON.
//!
//! A whole list is read page by page while it is sent, so both sides hold at most one page. A slow client slows down
//! the reads. An error during the transfer aborts the response, so a file that ends correctly is complete.

use std::future::Future;

use axum::{
    Json,
    body::Body,
    http::{HeaderMap, HeaderValue, header},
    response::{IntoResponse, Response},
};
use futures_util::{StreamExt, stream};
use serde::Serialize;
use serde_json::Value;

use super::{
    page::{self, Part},
    problem::Problem,
};
use crate::{http::csv, service::Error};

/// Number of items per read of a whole list.
const AT_ONCE: usize = page::MOST;
/// The media type of NDJSON (one JSON object per line).
pub const NDJSON: &str = "application/x-ndjson";
/// The media type of CSV.
pub const CSV: &str = "text/csv";

/// The format of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Json,
    Csv,
    Ndjson,
}

/// Format and range of a list request.
#[derive(Debug)]
pub struct Asked<P> {
    pub form: Form,
    pub limit: usize,
    /// The page starts after this position.
    pub after: Option<P>,
    /// The request has neither a limit nor a cursor. As CSV or NDJSON it gets the whole list.
    pub whole: bool,
}

/// An item that can be a row of a spreadsheet.
pub trait Line: Serialize {
    /// The column names, in order.
    const COLUMNS: &'static [&'static str];

    /// The cells of the row. By default the fields with these names; nested values are JSON.
    fn cells(&self) -> Vec<String> {
        let value = serde_json::to_value(self).unwrap_or_default();
        Self::COLUMNS.iter().map(|name| cell(value.get(name))).collect()
    }
}

fn cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

impl Form {
    /// Returns the supported format that the `Accept` header prefers. Unknown media types are ignored.
    pub fn accepted(headers: &HeaderMap) -> Self {
        let mut best = (0.0, Self::Json);
        let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
        for range in accepted.flat_map(|value| value.split(',')) {
            let mut parts = range.split(';').map(str::trim);
            let form = match parts.next().unwrap_or_default().to_ascii_lowercase().as_str() {
                CSV => Self::Csv,
                NDJSON => Self::Ndjson,
                "application/json" | "application/*" | "*/*" => Self::Json,
                _ => continue,
            };
            let weight = parts.find_map(|part| part.strip_prefix("q=")?.parse().ok()).unwrap_or(1.0);
            if weight > best.0 {
                best = (weight, form);
            }
        }
        best.1
    }

    fn lines<B: Line>(self, items: &[B]) -> String {
        let line = |item: &B| match self {
            Self::Csv => csv::line(&item.cells()),
            // Infallible for list items.
            Self::Ndjson | Self::Json => serde_json::to_string(item).unwrap_or_default() + "\n",
        };
        items.iter().map(line).collect()
    }

    fn head<B: Line>(self) -> String {
        if self == Self::Csv { csv::line(B::COLUMNS) } else { String::new() }
    }

    fn headers(self, list: &str) -> HeaderMap {
        let (media_type, ending) = match self {
            Self::Csv => ("text/csv; charset=utf-8", "csv"),
            Self::Ndjson | Self::Json => (NDJSON, "ndjson"),
        };
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
        if let Ok(name) = format!("attachment; filename=\"printyard-{list}.{ending}\"").try_into() {
            headers.insert(header::CONTENT_DISPOSITION, name);
        }
        headers
    }
}

/// Responds with a list in the requested format. `page` reads up to a number of items after a position.
pub async fn list<B, P, F, A>(list: &str, asked: Asked<P>, page: F) -> Result<Response, Problem>
where
    B: Line + Send + 'static,
    P: Serialize + Send + 'static,
    F: Fn(Option<P>, usize) -> A + Send + 'static,
    A: Future<Output = Result<Part<B, P>, Error>> + Send + 'static,
{
    if asked.whole && asked.form != Form::Json {
        return Ok(whole(list, asked.form, page).await?);
    }
    let page = page(asked.after, asked.limit).await?.page(list);
    if asked.form == Form::Json {
        return Ok(Json(page).into_response());
    }
    Ok(part(list, asked.form, &page.items, page.next_cursor.as_deref()))
}

/// Returns one page of a list as a file.
pub fn part<B: Line>(list: &str, form: Form, items: &[B], next_cursor: Option<&str>) -> Response {
    let text = form.head::<B>() + &form.lines(items);
    let mut headers = form.headers(list);
    if let Some(cursor) = next_cursor.and_then(|cursor| cursor.parse().ok()) {
        headers.insert("x-next-cursor", cursor);
    }
    (headers, text).into_response()
}

/// Returns a whole list as a file that is read while it is sent. Fails if the first page cannot be read. A later error
/// can only abort the response.
pub async fn whole<B, P, F, A>(list: &str, form: Form, page: F) -> Result<Response, Error>
where
    B: Line + Send + 'static,
    P: Send + 'static,
    F: Fn(Option<P>, usize) -> A + Send + 'static,
    A: Future<Output = Result<Part<B, P>, Error>> + Send + 'static,
{
    let first = page(None, AT_ONCE).await?;
    let text = form.head::<B>() + &form.lines(&first.items);
    let rest = stream::try_unfold((first.next, page), move |(next, page)| async move {
        let Some(next) = next else { return Ok(None) };
        let coming = page(Some(next), AT_ONCE);
        let part = coming.await.inspect_err(|error| {
            let cause = error.to_string();
            tracing::error!(cause, "a list response was aborted: the next page could not be read");
        })?;
        Ok::<_, Error>(Some((form.lines(&part.items), (part.next, page))))
    });
    let body = Body::from_stream(stream::once(async { Ok(text) }).chain(rest));
    Ok((form.headers(list), body).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_that_is_liked_best_is_taken() {
        for (accept, form) in [
            ("", Form::Json),
            ("*/*", Form::Json),
            ("text/html", Form::Json),
            ("text/csv", Form::Csv),
            ("TEXT/CSV; charset=utf-8", Form::Csv),
            ("application/x-ndjson, */*;q=0.1", Form::Ndjson),
            ("text/csv;q=0.5, application/json", Form::Json),
            ("text/csv;q=0", Form::Json),
            ("text/html, text/csv", Form::Csv),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
            assert_eq!(Form::accepted(&headers), form, "{accept}");
        }
    }
}
