//! Every text that users read has an id in every catalogue, and no catalogue keeps a text that no code uses.

use std::collections::{BTreeMap, BTreeSet};

use fluent_syntax::{
    ast::{Entry, Expression, InlineExpression, Pattern, PatternElement},
    parser,
};
use printyard::{
    domain::{command::Reason, event_channel::ChannelFailure},
    service::diagnosis::DiagnosisCode,
};

use super::{read_files, source::Source};

const LANGUAGES: [&str; 2] = ["en", "de"];
/// How the ids of the layers below `http` begin. Pages do not use such ids.
const LOWER_AREAS: [&str; 6] = ["rule-", "refusal-", "wait-", "cause-", "printer-error-", "delivery-"];
/// Labels of fields. Pages compute their ids from the names of fields, and show the name where there is no label.
const LABELS: &str = "field-";

/// What stands between the quotes that open at `at`, and where it ends.
fn read_literal(text: &[char], at: usize) -> (String, usize) {
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
fn read_arguments(text: &[char], at: usize, nested: bool) -> Vec<String> {
    let (mut found, mut depth, mut at) = (Vec::new(), 1, at);
    while at < text.len() && depth > 0 {
        match text[at] {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            '"' => {
                let (inner, end) = read_literal(text, at);
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
fn find_calls<'a>(code: &'a [char], name: &'a str) -> impl Iterator<Item = usize> + 'a {
    let call: Vec<char> = format!("{name}(").chars().collect();
    (0..code.len()).filter_map(move |at| {
        let before = at.checked_sub(1).map_or(' ', |before| code[before]);
        let is_whole = !before.is_alphanumeric() && before != '_' && before != '.';
        (is_whole && code[at..].starts_with(&call)).then_some(at + call.len())
    })
}

/// Every text between quotes of a file's code, tests aside.
fn read_literals(file: &Source) -> Vec<String> {
    let (text, code): (Vec<char>, Vec<char>) = (file.text.chars().collect(), file.code.chars().collect());
    let (mut found, mut at, mut line) = (Vec::new(), 0, 1);
    while at < text.len() {
        line += usize::from(text[at] == '\n');
        // The code has a blank where a text begins, and where a comment quotes something.
        let in_comment =
            || text[..at].iter().rev().take_while(|character| **character != '\n').collect::<String>().contains("//");
        if text[at] == '"' && code[at] == ' ' && !in_comment() {
            let (inner, end) = read_literal(&text, at);
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
        let ids = find_calls(&code, name).filter(|at| !is_test(*at)).flat_map(|at| read_arguments(&text, at, nested));
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

fn read_scripts() -> Vec<Source> {
    read_files("static", &["js"]).into_iter().filter(|file| !file.path.contains("vendor")).collect()
}

/// Every id, with the file that uses it.
fn collect_used_ids() -> BTreeMap<String, String> {
    let mut used = BTreeMap::new();
    let mut add = |file: &Source, ids: Vec<String>| {
        used.extend(ids.into_iter().map(|id| (id, file.path.clone())));
    };
    read_files("src/http", &["rs"]).iter().for_each(|file| add(file, ids_in_code(file)));
    read_files("templates", &["html"]).iter().for_each(|file| add(file, ids_in_template(&file.text)));
    read_scripts().iter().for_each(|file| add(file, ids_in_script(&file.text)));
    used
}

/// The messages of a language, by id: the names of their arguments, and the file.
fn read_catalogue(language: &str) -> BTreeMap<String, (BTreeSet<String>, String)> {
    let mut messages = BTreeMap::new();
    for file in read_files(&format!("locales/{language}"), &["ftl"]) {
        let resource =
            parser::parse(file.text.as_str()).unwrap_or_else(|(_, errors)| panic!("{}: {errors:?}", file.path));
        for entry in resource.body {
            let Entry::Message(message) = entry else { continue };
            let id = message.id.name.to_owned();
            let pattern = message.value.unwrap_or_else(|| panic!("{}: {id} has no text", file.path));
            let mut names = BTreeSet::new();
            collect_argument_names(&pattern, &mut names);
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
fn collect_argument_names(pattern: &Pattern<&str>, names: &mut BTreeSet<String>) {
    for element in &pattern.elements {
        let PatternElement::Placeable { expression } = element else { continue };
        let inline = match expression {
            Expression::Inline(inline) => inline,
            Expression::Select { selector, variants } => {
                variants.iter().for_each(|variant| collect_argument_names(&variant.value, names));
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
    let english = read_catalogue("en");
    let missing: Vec<_> = collect_used_ids().into_iter().filter(|(id, _)| !english.contains_key(id)).collect();
    assert!(missing.is_empty(), "{} ids are missing in locales/en: {missing:#?}", missing.len());
}

#[test]
fn texts_with_arguments_are_used_with_arguments() {
    let english = read_catalogue("en");
    let mut plain: Vec<String> = Vec::new();
    for file in read_files("src/http/dashboard", &["rs"]) {
        let (text, code): (Vec<char>, Vec<char>) = (file.text.chars().collect(), file.code.chars().collect());
        plain.extend(find_calls(&code, "t").flat_map(|at| read_arguments(&text, at, true)));
    }
    for file in read_files("templates", &["html"]) {
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
    let english = read_catalogue("en");
    for language in LANGUAGES {
        let other = read_catalogue(language);
        for (id, (names, path)) in &english {
            let translated = other.get(id).unwrap_or_else(|| panic!("locales/{language} lacks {id} of {path}"));
            assert_eq!(&translated.0, names, "{}: {id}", translated.1);
        }
        for (id, (_, path)) in &other {
            assert!(english.contains_key(id), "{path}: {id} is not in locales/en");
        }
    }
}

/// Ids that code computes from the codes of the API.
fn computed_ids() -> BTreeSet<String> {
    let reasons = Reason::ALL.iter().map(|reason| reason.message().id.into_owned());
    let channels = ChannelFailure::ALL.iter().map(|failure| failure.message().id.into_owned());
    let missing = read_files("src", &["rs"]).into_iter().flat_map(|file| {
        let (text, code): (Vec<char>, Vec<char>) = (file.text.chars().collect(), file.code.chars().collect());
        let things = find_calls(&code, "NotFound").flat_map(|at| read_arguments(&text, at, false));
        things.map(|thing| format!("not-found-{thing}")).collect::<Vec<_>>()
    });
    reasons.chain(channels).chain(missing).collect()
}

/// Ids in the layers below `http`, each with the file that uses it.
fn collect_lower_ids() -> BTreeMap<String, String> {
    let files = read_files("src", &["rs"]).into_iter().filter(|file| !file.path.starts_with("src/http/"));
    let is_id = |text: &String| {
        LOWER_AREAS.iter().any(|area| text.starts_with(area))
            && text.chars().all(|character| character.is_ascii_alphanumeric() || character == '-')
    };
    files
        .flat_map(|file| read_literals(&file).into_iter().filter(is_id).map(move |id| (id, file.path.clone())))
        .collect()
}

#[test]
fn every_message_of_the_lower_layers_has_a_text() {
    let english = read_catalogue("en");
    let used = collect_lower_ids();
    assert!(used.len() > 150, "the ids are found: {}", used.len());
    let computed = computed_ids().into_iter().map(|id| (id, "computed".to_owned()));
    let missing: Vec<_> = used.into_iter().chain(computed).filter(|(id, _)| !english.contains_key(id)).collect();
    assert!(missing.is_empty(), "{} ids are missing in locales/en: {missing:#?}", missing.len());
}

#[test]
fn messages_have_the_arguments_of_their_texts() {
    let english = read_catalogue("en");
    for file in read_files("src", &["rs"]).into_iter().filter(|file| !file.path.starts_with("src/http/")) {
        for call in file.text.split("Message::new(\"").skip(1) {
            let Some((id, rest)) = call.split_once('"') else { continue };
            let Some((names, _)) = english.get(id) else { continue };
            let statement = rest.split(';').next().unwrap_or_default();
            for argument in statement.split(".with").skip(1).filter_map(|part| part.split_once("(\"")) {
                let name = argument.1.split('"').next().unwrap_or_default();
                assert!(names.contains(name), "{}: {id} has no argument {name}", file.path);
            }
        }
    }
}

#[test]
fn no_catalogue_keeps_a_text_that_no_code_uses() {
    let mut used: BTreeSet<String> = collect_used_ids().into_keys().collect();
    used.extend(read_files("src/http", &["rs"]).iter().flat_map(read_literals));
    used.extend(collect_lower_ids().into_keys());
    used.extend(computed_ids());
    used.insert("verbatim".to_owned());
    // The ids of diagnoses are computed; a unit test of `http/diagnosis.rs` finds missing ones.
    let (computed, others): (Vec<_>, Vec<_>) =
        read_catalogue("en").into_iter().partition(|(id, _)| id.starts_with("diagnosis-"));
    assert_eq!(computed.len(), 2 * DiagnosisCode::ALL.len(), "a problem and a next step for each code");
    let code: String = read_files("src", &["rs"]).into_iter().map(|file| file.text).collect();
    for (id, (_, path)) in others.into_iter().filter(|(id, _)| !id.starts_with(LABELS) && !used.contains(id)) {
        assert!(code.contains(&format!("\"{id}\"")), "{path}: no code uses {id}");
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
