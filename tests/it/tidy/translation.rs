//! Every text that a page uses has an id in every catalogue, and no catalogue keeps a text that no page uses.

use std::collections::{BTreeMap, BTreeSet};

use fluent_syntax::{
    ast::{Entry, Expression, InlineExpression, Pattern, PatternElement},
    parser,
};
use polib::catalog::Catalog;
use printyard::{domain::command::Reason, service::diagnosis::Code};

use super::{files, source::Source};

const LANGUAGES: [&str; 2] = ["en", "de"];
/// Sentences of the layers below `http`, which do not have ids yet.
const BELOW: &str = "locales/de/below.po";
/// A file below `http` with sentences for users.
const SENTENCES: &str = "src/service/webhooks/trouble.rs";

/// What stands between the quotes that open at `at`, and where it ends.
fn literal(text: &[char], at: usize) -> (String, usize) {
    let (mut found, mut at) = (String::new(), at + 1);
    while at < text.len() && text[at] != '"' {
        if text[at] != '\\' {
            found.push(text[at]);
            at += 1;
            continue;
        }
        match text.get(at + 1) {
            Some('n') => found.push('\n'),
            Some('u') => {
                let end = text[at..].iter().position(|character| *character == '}').map_or(at, |length| at + length);
                let code: String = text[at + 3..end].iter().collect();
                found.extend(u32::from_str_radix(&code, 16).ok().and_then(char::from_u32));
                at = end + 1;
                continue;
            }
            // A line that goes on: its indent is not part of the text.
            Some('\n') => {
                at += 2;
                at += text[at..].iter().take_while(|character| character.is_whitespace()).count();
                continue;
            }
            Some(other) => found.push(*other),
            None => {}
        }
        at += 2;
    }
    (found, at + 1)
}

/// The texts between quotes in a call whose bracket opens before `at`: all of them, or only its own arguments.
fn arguments(text: &[char], at: usize, nested: bool) -> Vec<String> {
    let (mut found, mut depth, mut at) = (Vec::new(), 1, at);
    while at < text.len() && depth > 0 {
        match text[at] {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            '"' => {
                let (inner, end) = literal(text, at);
                if nested || depth == 1 {
                    found.push(inner);
                }
                at = end;
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    found
}

/// Where calls of a function open their brackets, as far as code goes.
fn calls<'a>(code: &'a [char], name: &'a str) -> impl Iterator<Item = usize> + 'a {
    let call: Vec<char> = format!("{name}(").chars().collect();
    (0..code.len()).filter_map(move |at| {
        let before = at.checked_sub(1).map_or(' ', |before| code[before]);
        let is_whole = !before.is_alphanumeric() && before != '_' && before != '.';
        (is_whole && code[at..].starts_with(&call)).then_some(at + call.len())
    })
}

/// Every text between quotes of a file's code, tests aside.
fn literals(file: &Source) -> Vec<String> {
    let (text, code): (Vec<char>, Vec<char>) = (file.text.chars().collect(), file.code.chars().collect());
    let (mut found, mut at, mut line) = (Vec::new(), 0, 1);
    while at < text.len() {
        line += usize::from(text[at] == '\n');
        // The code has a blank where a text begins, and where a comment quotes something.
        let in_comment =
            || text[..at].iter().rev().take_while(|character| **character != '\n').collect::<String>().contains("//");
        if text[at] == '"' && code[at] == ' ' && !in_comment() {
            let (inner, end) = literal(&text, at);
            line += text[at..end.min(text.len())].iter().filter(|character| **character == '\n').count();
            if !file.is_test(line) {
                found.push(inner);
            }
            at = end;
        } else {
            at += 1;
        }
    }
    found
}

/// Ids in the calls of a file that take one, tests aside.
fn ids_in_code(file: &Source) -> Vec<String> {
    let (text, code): (Vec<char>, Vec<char>) = (file.text.chars().collect(), file.code.chars().collect());
    let is_test = |at: usize| file.is_test(1 + text[..at].iter().filter(|character| **character == '\n').count());
    let mut found = Vec::new();
    for (name, nested) in [("t", true), ("t_with", false), ("Failure::new", false)] {
        let ids = calls(&code, name).filter(|at| !is_test(*at)).flat_map(|at| arguments(&text, at, nested));
        found.extend(ids.filter(|id| id.chars().any(char::is_alphabetic)));
    }
    found
}

/// Ids in the filters of a template.
fn ids_in_template(text: &str) -> Vec<String> {
    let filters = ["|t}", "|t ", "|t|", "|t)", "|t,", "|message|"];
    let is_filter = |at: usize| filters.iter().any(|filter| text[at + 1..].starts_with(filter));
    let ends = text.match_indices('"').map(|(at, _)| at).filter(|at| is_filter(*at));
    let ids = ends.map(|at| text[..at].rsplit_once('"').map_or("", |(_, id)| id).to_owned());
    let mut found: Vec<String> = ids.collect();
    found.extend(text.split("|counted(\"").skip(1).filter_map(|rest| rest.split('"').next()).map(str::to_owned));
    found
}

/// Ids that the script uses.
fn ids_in_script(text: &str) -> Vec<String> {
    text.split("say(\"").skip(1).filter_map(|rest| rest.split('"').next()).map(str::to_owned).collect()
}

fn scripts() -> Vec<Source> {
    files("static", &["js"]).into_iter().filter(|file| !file.path.contains("vendor")).collect()
}

/// Every id, with the file that uses it.
fn used() -> BTreeMap<String, String> {
    let mut used = BTreeMap::new();
    let mut add = |file: &Source, ids: Vec<String>| {
        used.extend(ids.into_iter().map(|id| (id, file.path.clone())));
    };
    files("src/http", &["rs"]).iter().for_each(|file| add(file, ids_in_code(file)));
    files("templates", &["html"]).iter().for_each(|file| add(file, ids_in_template(&file.text)));
    scripts().iter().for_each(|file| add(file, ids_in_script(&file.text)));
    used
}

/// The messages of a language, by id: the names of their arguments, and the file.
fn catalogue(language: &str) -> BTreeMap<String, (BTreeSet<String>, String)> {
    let mut messages = BTreeMap::new();
    for file in files(&format!("locales/{language}"), &["ftl"]) {
        let resource =
            parser::parse(file.text.as_str()).unwrap_or_else(|(_, errors)| panic!("{}: {errors:?}", file.path));
        for entry in resource.body {
            let Entry::Message(message) = entry else { continue };
            let id = message.id.name.to_owned();
            let pattern = message.value.unwrap_or_else(|| panic!("{}: {id} has no text", file.path));
            let mut names = BTreeSet::new();
            collect(&pattern, &mut names);
            assert!(
                messages.insert(id.clone(), (names, file.path.clone())).is_none(),
                "{}: {id} is there twice",
                file.path
            );
        }
    }
    messages
}

/// Adds the names of a text's arguments.
fn collect(pattern: &Pattern<&str>, names: &mut BTreeSet<String>) {
    for element in &pattern.elements {
        let PatternElement::Placeable { expression } = element else { continue };
        let inline = match expression {
            Expression::Inline(inline) => inline,
            Expression::Select { selector, variants } => {
                variants.iter().for_each(|variant| collect(&variant.value, names));
                selector
            }
        };
        if let InlineExpression::VariableReference { id } = inline {
            names.insert(id.name.to_owned());
        }
    }
}

#[test]
fn every_text_of_the_pages_has_an_id_in_english() {
    let english = catalogue("en");
    let missing: Vec<_> = used().into_iter().filter(|(id, _)| !english.contains_key(id)).collect();
    assert!(missing.is_empty(), "{} ids are missing in locales/en: {missing:#?}", missing.len());
}

#[test]
fn texts_with_arguments_are_used_with_arguments() {
    let english = catalogue("en");
    let mut plain: Vec<String> = Vec::new();
    for file in files("src/http/dashboard", &["rs"]) {
        let (text, code): (Vec<char>, Vec<char>) = (file.text.chars().collect(), file.code.chars().collect());
        plain.extend(calls(&code, "t").flat_map(|at| arguments(&text, at, true)));
    }
    for file in files("templates", &["html"]) {
        plain.extend(
            ids_in_template(&file.text.replace("|message|", "|"))
                .into_iter()
                .filter(|id| !file.text.contains(&format!("|counted(\"{id}\")"))),
        );
    }
    for (id, (names, path)) in english.iter().filter(|(id, _)| plain.contains(id)) {
        assert!(names.is_empty(), "{path}: {id} is used without its arguments {names:?}");
    }
}

#[test]
fn the_catalogues_have_the_same_ids_and_arguments() {
    let english = catalogue("en");
    for language in LANGUAGES {
        let other = catalogue(language);
        for (id, (names, path)) in &english {
            let translated = other.get(id).unwrap_or_else(|| panic!("locales/{language} lacks {id} of {path}"));
            assert_eq!(&translated.0, names, "{}: {id}", translated.1);
        }
        for (id, (_, path)) in &other {
            assert!(english.contains_key(id), "{path}: {id} is not in locales/en");
        }
    }
}

#[test]
fn no_catalogue_keeps_a_text_that_no_page_uses() {
    let mut used: BTreeSet<String> = used().into_keys().collect();
    used.extend(files("src/http", &["rs"]).iter().flat_map(literals));
    // The ids of diagnoses are computed; a unit test of `http/diagnosis.rs` finds missing ones.
    let (computed, others): (Vec<_>, Vec<_>) =
        catalogue("en").into_iter().partition(|(id, _)| id.starts_with("diagnosis-"));
    assert_eq!(computed.len(), 2 * Code::ALL.len(), "a problem and a next step for each code");
    for (id, (_, path)) in others {
        assert!(used.contains(&id), "{path}: no page uses {id}");
    }
}

/// Texts that layers below `http` show to users: rules of fields, sentences of a webhook's failures, reasons, and the names of
/// things that do not exist.
fn texts_below() -> Vec<String> {
    let rules = ["src/domain", "src/service"].into_iter().flat_map(|folder| files(folder, &["rs"]));
    let rules = rules
        .flat_map(|file| literals(&file))
        .filter(|text| text.starts_with("must ") || text.starts_with("is ") && text.len() > 10);
    let sentences = files("src", &["rs"]).into_iter().filter(|file| file.path == SENTENCES);
    let sentences = sentences.flat_map(|file| literals(&file)).filter(|text| text.contains(' ') && text.ends_with('.'));
    let reasons = Reason::ALL.iter().map(|reason| reason.sentence().to_owned());
    let missing = files("src/service", &["rs"]).into_iter().flat_map(|file| {
        let (text, code): (Vec<char>, Vec<char>) = (file.text.chars().collect(), file.code.chars().collect());
        let found: Vec<String> = calls(&code, "NotFound").flat_map(|at| arguments(&text, at, false)).collect();
        found
    });
    rules.chain(sentences).chain(reasons).chain(missing).collect()
}

fn below() -> Catalog {
    let text = std::fs::read_to_string(format!("{}/{BELOW}", env!("CARGO_MANIFEST_DIR"))).expect("the catalogue");
    polib::po_file::parse_from_reader(text.as_bytes()).unwrap_or_else(|error| panic!("{BELOW}: {error}"))
}

#[test]
fn texts_of_the_layers_below_are_there_in_german() {
    let known: BTreeSet<String> = below().messages().map(|message| message.msgid().to_owned()).collect();
    let texts = texts_below();
    assert!(texts.len() > 100, "the texts are found");
    let missing: BTreeSet<String> = texts.into_iter().filter(|text| !known.contains(text)).collect();
    assert!(missing.is_empty(), "{BELOW} lacks: {missing:#?}");
}

#[test]
fn texts_of_the_layers_below_keep_their_places() {
    let places = |text: &str| -> BTreeSet<String> {
        text.split('{').skip(1).filter_map(|part| part.split_once('}')).map(|(name, _)| name.to_owned()).collect()
    };
    for message in below().messages() {
        assert_eq!(places(message.msgid()), places(message.msgstr().expect("one form")), "{}", message.msgid());
    }
}

#[test]
fn ids_are_found_where_they_are_used() {
    let code = r#"fn a() { t("a-one"); t(match x { 1 => "a-two", _ => "a-three" }); t_with("a-four", &[("n", &"no")]);
        Failure::new(S, "a-title", t_with("a-inner", &[("q", &2)])); not("no"); let s = "t(\"no\")"; }"#;
    assert_eq!(
        ids_in_code(&Source::new("src/a.rs", code)),
        ["a-one", "a-two", "a-three", "a-four", "a-inner", "a-title"]
    );
    let template =
        r#"<a title="{{ "b-open"|t }}" href="x">{{ n|counted("b-count") }} {{ "b-by"|message|with("n", "no") }}</a>"#;
    assert_eq!(ids_in_template(template), ["b-open", "b-by", "b-count"]);
    assert_eq!(ids_in_script(r#"say("c-ago", { n }); esay("no");"#), ["c-ago", "no"]);
}
