//! Chooses the language of a request, and translates English texts of the layers below `http`.

use std::{collections::HashMap, fmt::Display, io::Cursor, sync::LazyLock};

use axum::{
    extract::Request,
    http::{Extensions, HeaderMap, HeaderValue, header},
    middleware::Next,
    response::{IntoResponse, Redirect, Response},
};
use url::Url;

use super::{
    form::{Form, own_path},
    page::Failure,
};
use crate::{
    domain::interpolate::fill,
    http::{
        auth,
        messages::{Files, Language, current, in_language},
    },
};

/// Returns the language that the user chose. Otherwise returns the browser's preferred language among those with a
/// catalogue.
fn asked_for(headers: &HeaderMap) -> Language {
    let chosen = auth::language_cookie(headers).and_then(Language::parse);
    let accepted = headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    chosen.or_else(|| preferred(accepted)).unwrap_or_default()
}

/// Returns the known language with the greatest weight in an `Accept-Language` header (RFC 9110, 12.5.4). The first of
/// equal weights wins.
fn preferred(accepted: &str) -> Option<Language> {
    let mut best: Option<(Language, f32)> = None;
    for part in accepted.split(',').take(20) {
        let (tag, weight) = part.split_once(';').unwrap_or((part, "q=1"));
        let weight: f32 = weight.trim().strip_prefix("q=").and_then(|text| text.parse().ok()).unwrap_or(0.0);
        if let Some(language) = Language::parse(tag)
            && weight > best.map_or(0.0, |(_, weight)| weight)
        {
            best = Some((language, weight));
        }
    }
    best.map(|(language, _)| language)
}

/// Middleware that handles a request in its language.
pub(super) async fn of_request(request: Request, next: Next) -> Response {
    let language = asked_for(request.headers());
    let mut response = in_language(language, next.run(request)).await;
    let html =
        response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
    if html {
        response.headers_mut().insert(header::CONTENT_LANGUAGE, HeaderValue::from_static(language.tag()));
    }
    response
}

/// Handles the language menu: stores the user's choice in a cookie.
pub(super) async fn choose(extensions: Extensions, headers: HeaderMap, form: Form) -> Result<Response, Failure> {
    let language = form.text("language").and_then(Language::parse).ok_or_else(Failure::broken_form)?;
    let cookie = auth::keep_language(&extensions, language.tag());
    // Redirects to the page with the menu. Only the path of the referrer is used, so it cannot lead to another site.
    let from =
        headers.get(header::REFERER).and_then(|value| value.to_str().ok()).and_then(|text| Url::parse(text).ok());
    let path = from.as_ref().map(|url| &url[url::Position::BeforePath..url::Position::AfterQuery]);
    let back = own_path(path).unwrap_or("/");
    Ok(([(header::SET_COOKIE, cookie)], Redirect::to(back)).into_response())
}

/// Maximum depth of translated values within values. It bounds the work for texts of printers that match a shape.
const CAUSES: usize = 3;

/// Translates an English text of a layer below `http` into the current language. The text already contains its values,
/// so its translation is found by its shape. Returns the text unchanged if there is no translation.
pub(super) fn said(english: &str) -> String {
    match current() {
        Language::English => english.to_owned(),
        Language::German => GERMAN_BELOW.said(english, CAUSES),
    }
}

/// Returns the values with which a text matches a shape. The shape `{a} of {b}` matches `3 of 4` with `a` = 3 and `b` = 4.
fn values_in<'a>(text: &'a str, shape: &'a str) -> Option<Vec<(&'a str, &'a str)>> {
    let (before, mut shape) = shape.split_once('{')?;
    let mut rest = text.strip_prefix(before)?;
    let mut values = Vec::new();
    loop {
        let (name, after) = shape.split_once('}')?;
        let (literal, next) = after.split_once('{').map_or((after, None), |(literal, next)| (literal, Some(next)));
        let end = match next {
            None => rest.strip_suffix(literal)?.len(),
            Some(_) => rest.find(literal)?,
        };
        values.push((name, &rest[..end]));
        let Some(next) = next else { return Some(values) };
        (rest, shape) = (&rest[end + literal.len()..], next);
    }
}

/// The translations of texts from the layers below `http` into one language.
struct Below {
    messages: HashMap<String, Vec<String>>,
    /// Messages with placeholders, as pairs of English text and translation. Longer texts come first: they match more precisely.
    shapes: Vec<(String, String)>,
}

static GERMAN_BELOW: LazyLock<Below> = LazyLock::new(|| Below::of(Language::German));

impl Below {
    fn said(&self, english: &str, causes: usize) -> String {
        if let Some(exact) = self.messages.get(english).and_then(|forms| forms.first()) {
            return exact.clone();
        }
        let known = |(shape, translated): &(String, String)| {
            let values = values_in(english, shape)?.into_iter();
            let values: Vec<_> = values.map(|(name, value)| (name, self.said(value, causes - 1))).collect();
            let values: Vec<(&str, &dyn Display)> = values.iter().map(|(name, value)| (*name, value as _)).collect();
            Some(fill(translated, &values))
        };
        let found = if causes > 0 { self.shapes.iter().find_map(known) } else { None };
        found.unwrap_or_else(|| english.to_owned())
    }

    fn of(language: Language) -> Self {
        let mut read = Self { messages: HashMap::new(), shapes: Vec::new() };
        let path = format!("{}/below.po", language.tag());
        let Some(file) = Files::get(&path) else { return read };
        // The files are embedded, and a test reads each of them. If one is broken, the texts stay English.
        let catalogue = match polib::po_file::parse_from_reader(Cursor::new(file.data)) {
            Ok(catalogue) => catalogue,
            Err(error) => {
                tracing::error!(%error, %path, "a catalogue of translations cannot be read");
                return read;
            }
        };
        for message in catalogue.messages().filter(|message| message.is_translated()) {
            let Ok(text) = message.msgstr() else { continue };
            if message.msgid().contains('{') {
                read.shapes.push((message.msgid().to_owned(), text.to_owned()));
            }
            read.messages.insert(message.msgid().to_owned(), vec![text.to_owned()]);
        }
        read.shapes.sort_by_key(|(shape, _)| std::cmp::Reverse(shape.len()));
        read
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::messages::speaking;

    #[test]
    fn the_browsers_first_choice_that_is_spoken_here_counts() {
        assert_eq!(preferred("de-AT,de;q=0.9,en;q=0.8"), Some(Language::German));
        assert_eq!(preferred("fr, en;q=0.5, de;q=0.7"), Some(Language::German));
        assert_eq!(preferred("en-US,de"), Some(Language::English));
        assert_eq!(preferred("fr;q=1, de;q=0"), None);
        assert_eq!(preferred(""), None);
        assert_eq!(preferred(";;q=,,=;de;q=x"), None);
    }

    #[test]
    fn a_value_is_not_read_for_places() {
        assert_eq!(fill("{a} and {b}", &[("a", &"{b}"), ("b", &1)]), "{b} and 1");
        assert_eq!(fill("{unknown} {", &[("a", &1)]), "{unknown} {");
    }

    #[test]
    fn a_text_from_below_is_found_by_its_shape() {
        assert_eq!(values_in("3 of 4", "{a} of {b}"), Some(vec![("a", "3"), ("b", "4")]));
        assert_eq!(values_in("at most 4", "at most {b}"), Some(vec![("b", "4")]));
        assert_eq!(values_in("at least 4", "at most {b}"), None);
        assert_eq!(values_in("3 of 4 too", "{a} of {b} more"), None);
        assert_eq!(values_in("no places", "no places"), None);
        let german = speaking(Language::German, || said("must be 1 to 64 characters long, and is 70"));
        assert_eq!(german, "muss 1 bis 64 Zeichen lang sein und hat 70");
        let cause = speaking(Language::German, || said("could not be reached: it refused the connection"));
        assert!(!cause.contains("refused"), "the nested cause is translated too: {cause}");
        // A text from a printer may repeat the same shape any number of times.
        let long = format!("{}x", "could not be reached: ".repeat(10_000));
        let german = speaking(Language::German, || said(&long));
        assert!(german.ends_with("could not be reached: x"), "values deeper than the limit stay English");
    }
}
