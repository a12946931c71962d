//! Lists in three forms: a page of JSON, or the whole of what the filters let through, as CSV or as lines of JSON.
//!
//! A whole list is read page by page while it is sent, so neither side holds more than a page, and whoever reads slowly
//! is read for slowly. What goes wrong on the way cuts the answer off: a file that ends well is whole.

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

/// Items that are read at once for a whole list.
const AT_ONCE: usize = page::MOST;
/// The media type of lines of JSON.
pub const NDJSON: &str = "application/x-ndjson";
/// The media type of CSV.
pub const CSV: &str = "text/csv";

/// The form of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Json,
    Csv,
    Ndjson,
}

/// What a request asks of a list.
#[derive(Debug)]
pub struct Asked<P> {
    pub form: Form,
    pub limit: usize,
    /// The page begins after this.
    pub after: Option<P>,
    /// Neither a limit nor a cursor was named: in CSV and lines of JSON that means all of it.
    pub whole: bool,
}

/// An item as a line of a spreadsheet.
pub trait Line: Serialize {
    /// The names of its cells, in their order.
    const COLUMNS: &'static [&'static str];

    /// Its cells: by default the fields of these names, what is nested as JSON.
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
    /// The form that a client likes best. What it names that is not there is passed over.
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
            // Infallible for the items of lists.
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

/// Answers with a list in the form asked for. `page` reads so many items after a position.
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

/// A page of a list as a file.
pub fn part<B: Line>(list: &str, form: Form, items: &[B], next_cursor: Option<&str>) -> Response {
    let text = form.head::<B>() + &form.lines(items);
    let mut headers = form.headers(list);
    if let Some(cursor) = next_cursor.and_then(|cursor| cursor.parse().ok()) {
        headers.insert("x-next-cursor", cursor);
    }
    (headers, text).into_response()
}

/// A whole list as a file, read as it is sent. Fails where its first page cannot be read; after that it is too late to say
/// anything, and the answer breaks off.
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
            tracing::error!(cause, "a list broke off while it was sent");
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
