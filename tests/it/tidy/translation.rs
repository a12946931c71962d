//! Every text of the pages is there in every language, and no catalogue keeps what nobody says any more.

use std::collections::{BTreeMap, BTreeSet};

use polib::catalog::Catalog;
use printyard::domain::command::Reason;

use super::{files, source::Source};

/// The catalogue of what layers below the pages say.
const BELOW: &str = "/below.po";
/// Files below the pages whose sentences are for people.
const SENTENCES: [&str; 2] = ["src/http/diagnosis.rs", "src/service/webhooks/trouble.rs"];

/// A text with its plural, where it has one.
type Text = (String, Option<String>);

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

/// What a file of Rust says on pages.
fn said_in_code(file: &Source) -> Vec<Text> {
    let (text, code): (Vec<char>, Vec<char>) = (file.text.chars().collect(), file.code.chars().collect());
    let is_test = |at: usize| file.is_test(1 + text[..at].iter().filter(|character| **character == '\n').count());
    let mut said = Vec::new();
    for (name, nested) in [("t", true), ("Failure::new", false)] {
        let found = calls(&code, name).filter(|at| !is_test(*at)).flat_map(|at| arguments(&text, at, nested));
        said.extend(found.filter(|text| text.chars().any(char::is_alphabetic)).map(|text| (text, None)));
    }
    for at in calls(&code, "counted").filter(|at| !is_test(*at)) {
        if let [one, many] = arguments(&text, at, false).as_slice() {
            said.push((one.clone(), Some(many.clone())));
        }
    }
    // Pairs of singular and plural that a `match` hands to `counted`.
    for at in (0..text.len()).filter(|at| code[*at] == '(' && text.get(at + 1) == Some(&'"') && !is_test(*at)) {
        if let [one, many] = arguments(&text, at + 1, false).as_slice()
            && one.contains("{n}")
            && many.contains("{n}")
        {
            said.push((one.clone(), Some(many.clone())));
        }
    }
    said
}

/// What a template says.
fn said_in_template(text: &str) -> Vec<Text> {
    let text: Vec<char> = text.chars().collect();
    let starts = |at: usize, what: &str| text[at..].iter().take(what.len()).copied().eq(what.chars());
    let mut said = Vec::new();
    let mut at = 0;
    while at < text.len() {
        if starts(at, "|counted(") {
            let found = arguments(&text, at + "|counted(".len(), false);
            if let [one, many] = found.as_slice() {
                said.push((one.clone(), Some(many.clone())));
            }
            at += "|counted(".len();
        } else if text[at] == '"' {
            let (inner, end) = literal(&text, at);
            let is_filter =
                starts(end.min(text.len()), "|t") && !text.get(end + 2).is_some_and(|next| next.is_alphanumeric());
            if is_filter {
                said.push((inner, None));
                at = end;
            } else {
                at += 1;
            }
        } else {
            at += 1;
        }
    }
    said
}

/// What the script says.
fn said_in_script(text: &str) -> Vec<Text> {
    let text: Vec<char> = text.chars().collect();
    let said = calls(&text, "say").filter(|at| text.get(*at) == Some(&'"')).map(|at| literal(&text, at).0);
    said.map(|text| (text, None)).collect()
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

/// What layers below say to people: which rule a field breaks, and the sentences of the files that have some.
fn said_below() -> Vec<String> {
    let rules = ["src/domain", "src/service"].into_iter().flat_map(|folder| files(folder, &["rs"]));
    let rules = rules
        .flat_map(|file| literals(&file))
        .filter(|text| text.starts_with("must ") || text.starts_with("is ") && text.len() > 10);
    let sentences = files("src", &["rs"]).into_iter().filter(|file| SENTENCES.contains(&file.path.as_str()));
    let sentences = sentences.flat_map(|file| literals(&file)).filter(|text| text.contains(' ') && text.ends_with('.'));
    rules.chain(sentences).collect()
}

fn all_said() -> BTreeSet<Text> {
    let mut said: BTreeSet<Text> = files("src/http/dashboard", &["rs"]).iter().flat_map(said_in_code).collect();
    said.extend(files("templates", &["html"]).iter().flat_map(|file| said_in_template(&file.text)));
    said.extend(
        files("static", &["js"])
            .iter()
            .filter(|file| !file.path.contains("vendor"))
            .flat_map(|file| said_in_script(&file.text)),
    );
    said.extend(said_below().into_iter().map(|text| (text, None)));
    said.extend(Reason::ALL.iter().map(|reason| (reason.sentence().to_owned(), None)));
    said
}

/// The forms of every message of a language, by file.
fn catalogues(language: &str) -> BTreeMap<String, Catalog> {
    let read = |file: Source| {
        let catalogue = polib::po_file::parse_from_reader(file.text.as_bytes());
        (file.path.clone(), catalogue.unwrap_or_else(|error| panic!("{}: {error}", file.path)))
    };
    files(&format!("locales/{language}"), &["po"]).into_iter().map(read).collect()
}

fn places(text: &str) -> BTreeSet<&str> {
    text.split('{').skip(1).filter_map(|part| part.split_once('}')).map(|(name, _)| name).collect()
}

#[test]
fn every_text_of_the_pages_is_there_in_german() {
    let catalogues = catalogues("de");
    let known: BTreeSet<Text> = catalogues
        .values()
        .flat_map(Catalog::messages)
        .filter(|message| message.is_translated())
        .map(|message| (message.msgid().to_owned(), message.msgid_plural().ok().map(str::to_owned)))
        .collect();
    let missing: Vec<String> = all_said()
        .difference(&known)
        .map(|(one, many)| match many {
            None => format!("msgid {one:?}\nmsgstr \"\"\n"),
            Some(many) => format!("msgid {one:?}\nmsgid_plural {many:?}\nmsgstr[0] \"\"\nmsgstr[1] \"\"\n"),
        })
        .collect();
    assert!(missing.is_empty(), "{} texts have no translation in locales/de:\n\n{}", missing.len(), missing.join("\n"));
}

#[test]
fn no_translation_is_kept_for_a_text_that_is_gone() {
    let said: BTreeSet<String> = all_said().into_iter().map(|(one, _)| one).collect();
    let below: String = files("src", &["rs"]).iter().flat_map(literals).collect();
    // Values stand in the code by other names: what is around them has to be there.
    let is_below = |text: &str| text.split(['{', '}']).step_by(2).all(|part| below.contains(part));
    let mut seen = BTreeMap::new();
    for (path, catalogue) in catalogues("de") {
        for message in catalogue.messages() {
            let text = message.msgid();
            let is_said = said.contains(text) || path.ends_with(BELOW) && is_below(text);
            assert!(is_said, "{path}: nobody says {text:?} any more");
            if let Some(other) = seen.insert(text.to_owned(), path.clone()) {
                // The script's texts are handed to it from their own file.
                assert!(
                    path.ends_with("/script.po") || other.ends_with("/script.po"),
                    "{text:?} is in {other} and {path}"
                );
            }
        }
    }
}

#[test]
fn a_translation_has_the_places_of_its_text() {
    for (path, catalogue) in catalogues("de") {
        for message in catalogue.messages() {
            let forms =
                message.msgstr_plural().cloned().or_else(|_| message.msgstr().map(|text| vec![text.to_owned()]));
            for form in forms.expect("one kind of the two") {
                assert_eq!(places(&form), places(message.msgid()), "{path}: {form:?}");
            }
        }
    }
}

#[test]
fn texts_are_found_where_they_are_said() {
    let code = r#"fn a() { t("One"); t(match x { 1 => "Two", _ => "Three" }); counted(n, "{n} a", "{n} b"); fill(t("F {v}"), &[("v", &1)]);
        Failure::new(S, "Title", fill(t("Inner"), &[("q", &2)])); let pair = ("{n} c", "{n} d"); not("No"); let s = "t(\"No\")"; }"#;
    let said: Vec<String> = said_in_code(&Source::new("src/a.rs", code)).into_iter().map(|(one, _)| one).collect();
    assert_eq!(said, ["One", "Two", "Three", "F {v}", "Inner", "Title", "{n} a", "{n} c"]);
    let template = r#"<a title="{{ "Open it"|t }}" href="x">{{ n|counted("{n} x", "{n} y") }} {{ "By {n}"|t|with("n", "no") }}</a>"#;
    let said: Vec<String> = said_in_template(template).into_iter().map(|(one, _)| one).collect();
    assert_eq!(said, ["Open it", "{n} x", "By {n}"]);
    assert_eq!(said_in_script(r#"say("{n} s ago", { n }); essay("no");"#), [("{n} s ago".to_owned(), None)]);
}
