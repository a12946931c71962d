//! Words that are not allowed in comments, documents, texts of pages and commit subjects.
//!
//! The first versions were written in private words. The list catches symptoms of that language; it does not replace its
//! rules: name the thing that acts, use the field's term, one idea a sentence.

use std::process::Command;

use super::{read_files, source::Source};

/// Words and phrases without an exception.
const BANNED: [&str; 16] = [
    "whoever",
    "somebody",
    "anybody",
    "told",
    "tells of",
    "hears",
    "what became",
    "what came",
    "came about",
    "comes about",
    "wears",
    "of ours",
    "is none",
    "once more",
    "lies there",
    "as a maybe",
];
/// Since this commit, subjects follow the rules.
const SUBJECTS_SINCE: &str = "fef7754";

/// Returns the banned words of a text, outside quotations and code.
fn find_banned_words(text: &str) -> Vec<String> {
    let text = strip_quotations(text).to_lowercase();
    let words: Vec<&str> =
        text.split(|character: char| !character.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let joined = format!(" {} ", words.join(" "));
    let mut found: Vec<String> = BANNED
        .iter()
        .filter(|phrase| joined.contains(&format!(" {phrase} ")))
        .map(|phrase| (*phrase).to_owned())
        .collect();
    if joined.replace(" falls back ", " ").contains(" falls ") {
        found.push("falls".to_owned());
    }
    found
}

/// Returns a text without its parts in backticks and in quotation marks.
fn strip_quotations(text: &str) -> String {
    let mut outside = String::new();
    let mut closing = None;
    for character in text.chars() {
        match closing {
            Some(end) if character == end => closing = None,
            Some(_) => {}
            None => match character {
                '`' => closing = Some('`'),
                '"' => closing = Some('"'),
                '\u{201c}' => closing = Some('\u{201d}'),
                _ => outside.push(character),
            },
        }
    }
    outside
}

/// Returns the comments of a Rust file with their line numbers.
fn read_comments(file: &Source) -> Vec<(usize, String)> {
    let lines = file.text.lines().zip(file.code.lines()).enumerate();
    lines
        .filter_map(|(number, (text, code))| {
            // A string may contain slashes; the code has blanks in place of a comment only up to the end of its line.
            let is_comment = |at: &usize| code.chars().skip(text[..*at].chars().count()).all(char::is_whitespace);
            let start = text.match_indices("//").map(|(at, _)| at).find(is_comment)?;
            Some((number + 1, text[start..].to_owned()))
        })
        .collect()
}

/// Returns the paragraphs of a document without its code blocks.
fn read_paragraphs(text: &str) -> Vec<(usize, String)> {
    let mut is_code = false;
    let lines = text.lines().enumerate().filter(|(_, line)| {
        if line.trim_start().starts_with("```") {
            is_code = !is_code;
        }
        !is_code
    });
    lines.map(|(number, line)| (number + 1, line.to_owned())).collect()
}

fn report_banned_words(path: &str, lines: Vec<(usize, String)>) -> Vec<String> {
    let found = lines
        .into_iter()
        .flat_map(|(number, line)| find_banned_words(&line).into_iter().map(move |word| (number, word)));
    found.map(|(number, word)| format!("{path}:{number}: “{word}”")).collect()
}

#[test]
fn comments_have_no_private_words() {
    let files = ["src", "tests/it", "benches"].iter().flat_map(|folder| read_files(folder, &["rs"]));
    let found: Vec<String> = files.flat_map(|file| report_banned_words(&file.path, read_comments(&file))).collect();
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn documents_have_no_private_words() {
    let root = ["README.md", "ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"].iter().map(|path| {
        Source::new(
            path,
            &std::fs::read_to_string(format!("{}/{path}", env!("CARGO_MANIFEST_DIR"))).expect("a document"),
        )
    });
    let documents = root.chain(read_files("docs", &["md"]));
    let found: Vec<String> =
        documents.flat_map(|file| report_banned_words(&file.path, read_paragraphs(&file.text))).collect();
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn texts_of_pages_have_no_private_words() {
    let catalogues = read_files("locales/en", &["ftl"]).into_iter();
    let texts = catalogues.flat_map(|file| {
        let lines = file.text.lines().map(|line| line.split_once(" = ").map_or(line, |(_, text)| text));
        let lines = lines.enumerate().map(|(number, line)| (number + 1, line.to_owned())).collect();
        report_banned_words(&file.path, lines)
    });
    let found: Vec<String> = texts.collect();
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn commit_subjects_have_no_private_words() {
    let range = format!("{SUBJECTS_SINCE}..HEAD");
    let log = Command::new("git").args(["log", "--format=%s", &range]).current_dir(env!("CARGO_MANIFEST_DIR")).output();
    // A source archive and a shallow clone have no history.
    let Some(log) = log.ok().filter(|log| log.status.success()) else { return };
    let subjects = String::from_utf8_lossy(&log.stdout).into_owned();
    let found: Vec<&str> = subjects.lines().filter(|subject| !find_banned_words(subject).is_empty()).collect();
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn private_words_are_found() {
    assert_eq!(find_banned_words("// Whoever is told, falls."), ["whoever", "told", "falls"]);
    assert_eq!(find_banned_words("What became of it"), ["what became"]);
    assert!(find_banned_words("It falls back to `told`; the page shows “whoever”. Retold.").is_empty());
    let file = Source::new("src/a.rs", "let url = \"http://somebody\"; // Somebody\n/// once more\nlet a = 1;");
    assert_eq!(report_banned_words("a", read_comments(&file)), ["a:1: “somebody”", "a:2: “once more”"]);
    assert_eq!(report_banned_words("a", read_paragraphs("told\n```\ntold\n```\n`told`")), ["a:1: “told”"]);
}
