//! The language that somebody reads. English stands in the templates and in the code, where it is written;
//! other languages are catalogues beside them (`locales/`, gettext's format, which translators' tools know).
//!
//! Whose language it is follows the request without being handed on: it is set once around each request
//! (`of_request`) and around what outlives one (`keep`, `speaking`), and everything that makes text asks `t`.

use std::{collections::HashMap, fmt::Display, io::Cursor, sync::LazyLock};

use axum::{
    extract::Request,
    http::{Extensions, HeaderMap, HeaderValue, header},
    middleware::Next,
    response::{IntoResponse, Redirect, Response},
};
use rust_embed::RustEmbed;
use url::Url;

use super::{
    form::{Form, own_path},
    page::Failure,
};
pub(super) use crate::domain::text::fill;
use crate::http::auth;

/// A language that the pages speak.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) enum Language {
    #[default]
    English,
    German,
}

impl Language {
    /// Every language, in the order of the menu.
    pub const ALL: [Self; 2] = [Self::English, Self::German];

    /// Its tag (BCP 47).
    pub fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::German => "de",
        }
    }

    /// What it calls itself.
    pub fn name(self) -> &'static str {
        match self {
            Self::English => "English",
            Self::German => "Deutsch",
        }
    }

    /// The language of a tag; regions are not told apart.
    pub fn parse(tag: &str) -> Option<Self> {
        let primary = tag.split('-').next().unwrap_or(tag).trim();
        Self::ALL.into_iter().find(|language| primary.eq_ignore_ascii_case(language.tag()))
    }

    /// What somebody chose; otherwise the first that their browser asks for and that is spoken here.
    fn asked_for(headers: &HeaderMap) -> Self {
        let chosen = auth::language_cookie(headers).and_then(Self::parse);
        let accepted = headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        chosen.or_else(|| preferred(accepted)).unwrap_or_default()
    }

    fn catalogue(self) -> Option<&'static Catalogue> {
        match self {
            Self::English => None,
            Self::German => Some(&GERMAN),
        }
    }
}

/// The language of an `Accept-Language` (RFC 9110, 12.5.4) with the greatest weight; the first of equals.
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

tokio::task_local! {
    static SPOKEN: Language;
}

/// The language of the request that is being answered; English outside of any.
pub(super) fn current() -> Language {
    SPOKEN.try_with(|language| *language).unwrap_or_default()
}

/// Answers a request in the language of who asks.
pub(super) async fn of_request(request: Request, next: Next) -> Response {
    let language = Language::asked_for(request.headers());
    let mut response = SPOKEN.scope(language, next.run(request)).await;
    let html =
        response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
    if html {
        response.headers_mut().insert(header::CONTENT_LANGUAGE, HeaderValue::from_static(language.tag()));
    }
    response
}

/// Somebody chooses.
pub(super) async fn choose(extensions: Extensions, headers: HeaderMap, form: Form) -> Result<Response, Failure> {
    let language = form.text("language").and_then(Language::parse).ok_or_else(Failure::broken_form)?;
    let cookie = auth::keep_language(&extensions, language.tag());
    // Back to the page on which they chose; an address of somebody else's is only ever read as a path of ours.
    let from =
        headers.get(header::REFERER).and_then(|value| value.to_str().ok()).and_then(|text| Url::parse(text).ok());
    let path = from.as_ref().map(|url| &url[url::Position::BeforePath..url::Position::AfterQuery]);
    let back = own_path(path).unwrap_or("/");
    Ok(([(header::SET_COOKIE, cookie)], Redirect::to(back)).into_response())
}

/// Takes the language along into a task of its own.
pub(super) fn keep<F: Future>(task: F) -> impl Future<Output = F::Output> {
    SPOKEN.scope(current(), task)
}

/// Makes something in a given language.
pub(super) fn speaking<T>(language: Language, make: impl FnOnce() -> T) -> T {
    SPOKEN.sync_scope(language, make)
}

/// A text in the current language: its translation, or the text itself.
pub(super) fn t(english: &str) -> &str {
    let message = current().catalogue().and_then(|catalogue| catalogue.messages.get(english));
    message.and_then(|forms| forms.first()).map_or(english, String::as_str)
}

/// A text that depends on a number, which stands in it as `{n}`.
pub(super) fn counted(n: impl TryInto<i64> + Display, one: &str, many: &str) -> String {
    let value = n.to_string();
    let is_one = n.try_into().is_ok_and(|n| n == 1);
    let message = current().catalogue().and_then(|catalogue| catalogue.messages.get(one));
    // The languages that are here have two forms, one for 1 and one for everything else.
    let translated = message.and_then(|forms| forms.get(usize::from(!is_one)));
    let text = translated.map_or(if is_one { one } else { many }, String::as_str);
    fill(text, &[("n", &value)])
}

/// Causes within causes that are said in the reader's language. What a printer says of itself may look like one, too.
const CAUSES: usize = 3;

/// What a layer below says in English, with its values already in it, in the current language: found by the shape of
/// the text. What has no translation stays as it is.
pub(super) fn said(english: &str) -> String {
    current().catalogue().map_or_else(|| english.to_owned(), |catalogue| catalogue.said(english, CAUSES))
}

/// The values that make a shape into a text: `{a} of {b}` and `3 of 4`.
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

/// The texts of the script in the current language, as JSON from English to the translation.
pub(super) fn of_script() -> String {
    let words = current().catalogue().map(|catalogue| &catalogue.script);
    words.and_then(|words| serde_json::to_string(words).ok()).unwrap_or("{}".to_owned())
}

/// The catalogues: a folder per language, a file per area.
#[derive(RustEmbed)]
#[folder = "locales/"]
struct Files;

/// Translations by their English: one form, or two where a number decides.
struct Catalogue {
    messages: HashMap<String, Vec<String>>,
    /// Those that the script needs.
    script: HashMap<String, String>,
    /// Those that layers below fill, most literal first: English and translation, with their places.
    shapes: Vec<(String, String)>,
}

static GERMAN: LazyLock<Catalogue> = LazyLock::new(|| Catalogue::of(Language::German));

impl Catalogue {
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
        let mut read = Self { messages: HashMap::new(), script: HashMap::new(), shapes: Vec::new() };
        let folder = format!("{}/", language.tag());
        for path in Files::iter().filter(|path| path.starts_with(&folder)) {
            let Some(file) = Files::get(&path) else { continue };
            // The files are part of the program and a test reads every one: a broken one leaves English.
            let catalogue = match polib::po_file::parse_from_reader(Cursor::new(file.data)) {
                Ok(catalogue) => catalogue,
                Err(error) => {
                    tracing::error!(%error, %path, "a catalogue of translations cannot be read");
                    continue;
                }
            };
            for message in catalogue.messages().filter(|message| message.is_translated()) {
                let forms =
                    message.msgstr_plural().cloned().or_else(|_| message.msgstr().map(|text| vec![text.to_owned()]));
                let Ok(forms) = forms else { continue };
                if let (true, [only]) = (path.ends_with("/script.po"), forms.as_slice()) {
                    read.script.insert(message.msgid().to_owned(), only.clone());
                }
                if let (true, [only]) = (path.ends_with("/below.po") && message.msgid().contains('{'), forms.as_slice())
                {
                    read.shapes.push((message.msgid().to_owned(), only.clone()));
                }
                read.messages.insert(message.msgid().to_owned(), forms);
            }
        }
        read.shapes.sort_by_key(|(shape, _)| std::cmp::Reverse(shape.len()));
        read
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert!(!cause.contains("refused"), "a cause within it: {cause}");
        // A printer's own words may hold the same shape any number of times.
        let long = format!("{}x", "could not be reached: ".repeat(10_000));
        let german = speaking(Language::German, || said(&long));
        assert!(german.ends_with("could not be reached: x"), "as far as causes are followed");
    }

    #[test]
    fn every_catalogue_is_read_and_translates() {
        let german = |make: fn() -> String| speaking(Language::German, make);
        assert_eq!(german(|| t("Log in").to_owned()), "Anmelden");
        assert_eq!(t("Log in"), "Log in");
        assert_eq!(german(|| t("nobody has translated this").to_owned()), "nobody has translated this");
        assert_eq!(german(|| counted(1, "Cancel {n} print", "Cancel {n} prints")), "1 Druck abbrechen");
        assert_eq!(german(|| counted(17, "Cancel {n} print", "Cancel {n} prints")), "17 Drucke abbrechen");
        assert_eq!(counted(1, "Cancel {n} print", "Cancel {n} prints"), "Cancel 1 print");
    }
}
