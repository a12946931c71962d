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

use super::page::{self, RawPage};
use crate::{
    http::{api::problem::Problem, csv},
    service::Error,
};

/// Number of items per read of a whole list.
const ITEMS_PER_READ: usize = page::MAX_LIMIT;
/// The media type of NDJSON (one JSON object per line).
pub const NDJSON: &str = "application/x-ndjson";
/// The media type of CSV.
pub const CSV: &str = "text/csv";

/// The format of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListFormat {
    Json,
    Csv,
    Ndjson,
}

/// Format and range of a list request.
#[derive(Debug)]
pub struct ListRequest<P> {
    pub format: ListFormat,
    pub limit: usize,
    /// The page starts after this position.
    pub after: Option<P>,
    /// The request has neither a limit nor a cursor. As CSV or NDJSON it gets the whole list.
    pub is_whole: bool,
}

/// An item that can be a row of a spreadsheet.
pub trait CsvRow: Serialize {
    /// The names of the body's own columns, in order.
    const COLUMNS: &'static [&'static str];

    /// The names of all columns, in order.
    fn columns() -> Vec<&'static str> {
        Self::COLUMNS.to_vec()
    }

    /// The cells of the row. By default the fields with these names; nested values are JSON.
    fn cells(&self) -> Vec<String> {
        let value = serde_json::to_value(self).unwrap_or_default();
        Self::columns().into_iter().map(|name| format_cell(value.get(name))).collect()
    }
}

fn format_cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

impl ListFormat {
    /// Returns the supported format that the `Accept` header prefers. Unknown media types are ignored.
    pub fn from_accept(headers: &HeaderMap) -> Self {
        let mut best = (0.0, Self::Json);
        let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
        for range in accepted.flat_map(|value| value.split(',')) {
            let mut parts = range.split(';').map(str::trim);
            let format = match parts.next().unwrap_or_default().to_ascii_lowercase().as_str() {
                CSV => Self::Csv,
                NDJSON => Self::Ndjson,
                "application/json" | "application/*" | "*/*" => Self::Json,
                _ => continue,
            };
            let weight = parts.find_map(|part| part.strip_prefix("q=")?.parse().ok()).unwrap_or(1.0);
            if weight > best.0 {
                best = (weight, format);
            }
        }
        best.1
    }

    fn format_items<B: CsvRow>(self, items: &[B]) -> String {
        let line = |item: &B| match self {
            Self::Csv => csv::format_row(&item.cells()),
            // Infallible for list items.
            Self::Ndjson | Self::Json => serde_json::to_string(item).unwrap_or_default() + "\n",
        };
        items.iter().map(line).collect()
    }

    fn format_header<B: CsvRow>(self) -> String {
        if self == Self::Csv { csv::format_row(&B::columns()) } else { String::new() }
    }

    fn response_headers(self, list: &str) -> HeaderMap {
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
pub async fn respond_with_list<B, P, F, A>(list: &str, request: ListRequest<P>, page: F) -> Result<Response, Problem>
where
    B: CsvRow + Send + 'static,
    P: Serialize + Send + 'static,
    F: Fn(Option<P>, usize) -> A + Send + 'static,
    A: Future<Output = Result<RawPage<B, P>, Error>> + Send + 'static,
{
    if request.is_whole && request.format != ListFormat::Json {
        return Ok(export_list(list, request.format, page).await?);
    }
    let page = page(request.after, request.limit).await?.into_page(list);
    if request.format == ListFormat::Json {
        return Ok(Json(page).into_response());
    }
    Ok(export_page(list, request.format, &page.items, page.next_cursor.as_deref()))
}

/// Returns one page of a list as a file.
pub fn export_page<B: CsvRow>(list: &str, format: ListFormat, items: &[B], next_cursor: Option<&str>) -> Response {
    let text = format.format_header::<B>() + &format.format_items(items);
    let mut headers = format.response_headers(list);
    if let Some(cursor) = next_cursor.and_then(|cursor| cursor.parse().ok()) {
        headers.insert("x-next-cursor", cursor);
    }
    (headers, text).into_response()
}

/// Returns a whole list as a file that is read while it is sent. Fails if the first page cannot be read. A later error
/// can only abort the response.
pub async fn export_list<B, P, F, A>(list: &str, format: ListFormat, page: F) -> Result<Response, Error>
where
    B: CsvRow + Send + 'static,
    P: Send + 'static,
    F: Fn(Option<P>, usize) -> A + Send + 'static,
    A: Future<Output = Result<RawPage<B, P>, Error>> + Send + 'static,
{
    let first = page(None, ITEMS_PER_READ).await?;
    let text = format.format_header::<B>() + &format.format_items(&first.items);
    let rest = stream::try_unfold((first.next, page), move |(next, page)| async move {
        let Some(next) = next else { return Ok(None) };
        let next_page = page(Some(next), ITEMS_PER_READ);
        let part = next_page.await.inspect_err(|error| {
            let cause = error.to_string();
            tracing::error!(cause, "a list response was aborted: the next page could not be read");
        })?;
        Ok::<_, Error>(Some((format.format_items(&part.items), (part.next, page))))
    });
    let body = Body::from_stream(stream::once(async { Ok(text) }).chain(rest));
    Ok((format.response_headers(list), body).into_response())
}

#[cfg(test)]
mod tests {
    use crate::http::api::list::export::*;

    #[test]
    fn the_preferred_format_is_used() {
        for (accept, format) in [
            ("", ListFormat::Json),
            ("*/*", ListFormat::Json),
            ("text/html", ListFormat::Json),
            ("text/csv", ListFormat::Csv),
            ("TEXT/CSV; charset=utf-8", ListFormat::Csv),
            ("application/x-ndjson, */*;q=0.1", ListFormat::Ndjson),
            ("text/csv;q=0.5, application/json", ListFormat::Json),
            ("text/csv;q=0", ListFormat::Json),
            ("text/html, text/csv", ListFormat::Csv),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
            assert_eq!(ListFormat::from_accept(&headers), format, "{accept}");
        }
    }
}
