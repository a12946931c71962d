//! Texts by message id and language, for pages, and for the messages of the layers below.
//!
//! The catalogues in `locales/` have one folder per language and one file per area. Their format is Fluent, which supports
//! plurals and which translators' tools can read. If a language lacks a text, the English text is used.
//!
//! A request to a page runs in its language. Work that continues after a request sets the language again (`keep_language`,
//! `with_language`).

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
    fmt::{self, Display, Formatter},
    sync::LazyLock,
};

use fluent_bundle::{FluentArgs, FluentResource, FluentValue, concurrent::FluentBundle};
use fluent_syntax::ast::{Entry, Expression, InlineExpression, PatternElement};
use rust_embed::RustEmbed;
use unic_langid::{LanguageIdentifier, langid};

use crate::domain::message::{Argument, Message};

/// A language with a catalogue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(in crate::http) enum Language {
    #[default]
    English,
    German,
}

impl Language {
    /// All languages, in the order of the menu.
    pub const ALL: [Self; 2] = [Self::English, Self::German];

    /// Returns the BCP 47 tag.
    pub fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::German => "de",
        }
    }

    /// Returns the name of the language in that language.
    pub fn name(self) -> &'static str {
        match self {
            Self::English => "English",
            Self::German => "Deutsch",
        }
    }

    /// Returns the language of a tag. The region of the tag is ignored.
    pub fn parse(tag: &str) -> Option<Self> {
        let primary = tag.split('-').next().unwrap_or(tag).trim();
        Self::ALL.into_iter().find(|language| primary.eq_ignore_ascii_case(language.tag()))
    }

    /// Returns whether nouns begin with a capital letter wherever they are.
    pub fn capitalizes_nouns(self) -> bool {
        match self {
            Self::English => false,
            Self::German => true,
        }
    }

    fn catalogue(self) -> &'static Catalogue {
        match self {
            Self::English => &ENGLISH,
            Self::German => &GERMAN,
        }
    }

    fn identifier(self) -> LanguageIdentifier {
        match self {
            Self::English => langid!("en"),
            Self::German => langid!("de"),
        }
    }
}

tokio::task_local! {
    static CURRENT: Language;
}

/// Returns the language of the current request to a page, or English elsewhere.
pub(in crate::http) fn current_language() -> Language {
    CURRENT.try_with(|language| *language).unwrap_or_default()
}

/// Runs a future in a language.
pub(in crate::http) fn in_language<F: Future>(language: Language, future: F) -> impl Future<Output = F::Output> {
    CURRENT.scope(language, future)
}

/// Runs the future of a separate task in the current language.
pub(in crate::http) fn keep_language<F: Future>(task: F) -> impl Future<Output = F::Output> {
    CURRENT.scope(current_language(), task)
}

/// Calls a function in a language.
pub(in crate::http) fn with_language<T>(language: Language, make: impl FnOnce() -> T) -> T {
    CURRENT.sync_scope(language, make)
}

/// Returns the text of an id without arguments, in the current language. Returns the id if no catalogue has it.
pub(in crate::http) fn t(id: &'static str) -> &'static str {
    find_text(id).unwrap_or(id)
}

/// Returns the text of an id without arguments, in the current language. Returns `None` if no catalogue has it.
pub(in crate::http) fn find_text(id: &str) -> Option<&'static str> {
    current_language().catalogue().plain.get(id).or_else(|| ENGLISH.plain.get(id)).copied()
}

/// Returns the text of an id with arguments, in the current language. Returns the id if no catalogue has it.
pub(in crate::http) fn t_with(id: &str, arguments: &[(&'static str, &dyn Display)]) -> String {
    let mut values = FluentArgs::with_capacity(arguments.len());
    for (name, value) in arguments {
        values.set(*name, parse_argument(value.to_string()));
    }
    format(id, &values)
}

/// Returns the text of a message of a lower layer, in the current language.
pub(in crate::http) fn text_of(message: &Message) -> String {
    let mut values = FluentArgs::with_capacity(message.arguments.len());
    for (name, value) in &message.arguments {
        values.set(
            name.clone(),
            match value {
                Argument::Value(value) => parse_argument(value.clone()),
                Argument::Message(message) => FluentValue::String(Cow::Owned(text_of(message))),
            },
        );
    }
    format(&message.id, &values)
}

/// Returns the English text of a message, for programs that read the API or receive webhooks.
pub fn english(message: &Message) -> String {
    with_language(Language::English, || text_of(message))
}

fn format(id: &str, values: &FluentArgs<'_>) -> String {
    let found = current_language().catalogue().format(id, values).or_else(|| ENGLISH.format(id, values));
    found.unwrap_or_else(|| id.to_owned())
}

/// Returns whether the catalogue of a language has an id.
#[cfg(test)]
pub(in crate::http) fn has_message(language: Language, id: &str) -> bool {
    language.catalogue().bundle.has_message(id)
}

/// Converts a value into an argument. A whole number selects a plural form; any other text, such as `05`, is shown unchanged.
fn parse_argument(value: String) -> FluentValue<'static> {
    match value.parse::<i32>() {
        Ok(number) if number.to_string() == value => number.into(),
        _ => FluentValue::String(Cow::Owned(value)),
    }
}

/// The text of a message. `Display` writes it in the current language.
pub(in crate::http) struct Text(pub Message);

impl Display for Text {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&text_of(&self.0))
    }
}

/// Returns the texts of the browser script in the current language: JSON from id to text, with `{name}` for arguments.
pub(in crate::http) fn script_texts() -> &'static str {
    &current_language().catalogue().script
}

/// The embedded catalogues: one folder per language, one file per area.
#[derive(RustEmbed)]
#[folder = "locales/"]
pub(in crate::http) struct CatalogueFiles;

/// The texts of one language.
struct Catalogue {
    bundle: FluentBundle<&'static FluentResource>,
    /// Texts without arguments, by id.
    plain: HashMap<&'static str, &'static str>,
    /// Texts of the browser script, as JSON.
    script: String,
}

static ENGLISH: LazyLock<Catalogue> = LazyLock::new(|| Catalogue::load(Language::English));
static GERMAN: LazyLock<Catalogue> = LazyLock::new(|| Catalogue::load(Language::German));

impl Catalogue {
    fn load(language: Language) -> Self {
        let mut bundle = FluentBundle::new_concurrent(vec![language.identifier()]);
        // Fluent would mark each value to separate writing directions. All languages here are written from left to right.
        bundle.set_use_isolating(false);
        let (mut plain, mut script) = (HashMap::new(), BTreeMap::new());
        let folder = format!("{}/", language.tag());
        for path in CatalogueFiles::iter().filter(|path| path.starts_with(&folder) && path.ends_with(".ftl")) {
            let Some(file) = CatalogueFiles::get(&path) else { continue };
            let source = String::from_utf8_lossy(&file.data).into_owned();
            // The files are embedded, and a test reads each of them.
            let resource = FluentResource::try_new(source).unwrap_or_else(|(resource, errors)| {
                tracing::error!(?errors, %path, "a catalogue of texts has errors");
                resource
            });
            let resource: &'static FluentResource = Box::leak(Box::new(resource));
            plain.extend(resource.entries().filter_map(plain_text));
            if path.ends_with("/script.ftl") {
                script.extend(resource.entries().filter_map(script_text));
            }
            if let Err(errors) = bundle.add_resource(resource) {
                tracing::error!(?errors, %path, "a catalogue of texts repeats ids");
            }
        }
        Self { bundle, plain, script: serde_json::to_string(&script).unwrap_or_default() }
    }

    fn format(&self, id: &str, arguments: &FluentArgs<'_>) -> Option<String> {
        let pattern = self.bundle.get_message(id)?.value()?;
        let mut errors = Vec::new();
        let text = self.bundle.format_pattern(pattern, Some(arguments), &mut errors);
        if !errors.is_empty() {
            tracing::error!(?errors, id, "a text lacks an argument");
        }
        Some(text.into_owned())
    }
}

/// Returns the id and the text of a message without arguments.
fn plain_text(entry: &'static Entry<&'static str>) -> Option<(&'static str, &'static str)> {
    let Entry::Message(message) = entry else { return None };
    let elements = &message.value.as_ref()?.elements;
    if let [PatternElement::TextElement { value }] = elements.as_slice() {
        return Some((message.id.name, value));
    }
    // A space at an end of a text is written as a literal.
    let parts = elements.iter().map(|element| match element {
        PatternElement::TextElement { value }
        | PatternElement::Placeable { expression: Expression::Inline(InlineExpression::StringLiteral { value }) } => {
            Some(*value)
        }
        PatternElement::Placeable { .. } => None,
    });
    Some((message.id.name, String::leak(parts.collect::<Option<String>>()?)))
}

/// Returns the id and the text of a message of the browser script, with `{name}` for arguments. These texts have no plurals.
fn script_text(entry: &'static Entry<&'static str>) -> Option<(&'static str, String)> {
    let Entry::Message(message) = entry else { return None };
    let elements = message.value.as_ref()?.elements.iter().map(|element| match element {
        PatternElement::TextElement { value } => Some((*value).to_owned()),
        PatternElement::Placeable { expression: Expression::Inline(InlineExpression::VariableReference { id }) } => {
            Some(format!("{{{}}}", id.name))
        }
        PatternElement::Placeable { .. } => None,
    });
    Some((message.id.name, elements.collect::<Option<String>>()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_use_the_current_language() {
        let german = |make: fn() -> String| with_language(Language::German, make);
        assert_eq!(german(|| t("account-log-in").to_owned()), "Anmelden");
        assert_eq!(t("account-log-in"), "Log in");
        assert_eq!((t("farm-bed"), german(|| t("farm-bed").to_owned())), ("bed ", "Bett ".to_owned()));
        assert_eq!(t("no-such-id"), "no-such-id");
        assert_eq!(german(|| t_with("word-cancel-count", &[("n", &1)])), "1 Druck abbrechen");
        assert_eq!(german(|| t_with("word-cancel-count", &[("n", &17)])), "17 Drucke abbrechen");
        assert_eq!(t_with("word-cancel-count", &[("n", &1)]), "Cancel 1 print");
    }

    #[test]
    fn a_text_may_choose_words_by_a_code() {
        let busy = Message::new("refusal-printer-busy").with("command", "cancel");
        let german = with_language(Language::German, || text_of(&busy));
        assert_eq!(german, "Der Drucker ist beschäftigt (Abbrechen). Warten Sie, bis das beendet ist.");
        assert_eq!(english(&busy), "The printer is busy with cancel. Wait until that has ended.");
    }

    #[test]
    fn a_value_is_shown_unchanged() {
        for value in ["05", "1.50", "99999999999", "{ $n }", "-3", "1e3"] {
            assert_eq!(t_with("batch-by", &[("name", &value)]), format!("by {value}"));
        }
    }
}
