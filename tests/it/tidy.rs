//! Checks of rules that the compiler does not know: module dependencies, the place of SQL, and documentation.
//!
//! A rule in a document is forgotten, and a rule that fails the build is followed. Each rule is a function over the
//! text of one file. A second test shows that the rule can fail.

use std::path::Path;

use source::Source;

mod layers;
mod prose;
mod restricted_crates;
mod source;
mod table_limits;
mod translation;

/// Files of `src/` that may be longer than `LONGEST`, each with the reason.
const LONG_FOR_A_REASON: [(&str, &str); 2] = [
    (
        "src/domain/print/tests/interleaving.rs",
        "the random histories, and what no client can tell about them, belong together",
    ),
    ("src/domain/print/tests/interleaving/client.rs", "a whole client in one place, as the actor and the recorder are"),
];
/// Files of `src/` with more lines need a reason.
const LONGEST: usize = 400;

/// Returns every file below a folder of the project, sorted. Returns nothing if the folder does not exist.
fn read_files(folder: &str, extensions: &[&str]) -> Vec<Source> {
    fn collect(root: &Path, folder: &Path, extensions: &[&str], found: &mut Vec<Source>) {
        let Ok(entries) = std::fs::read_dir(folder) else { return };
        let mut paths: Vec<_> = entries.map(|entry| entry.expect("a readable folder").path()).collect();
        paths.sort();
        for path in paths {
            if path.is_dir() {
                collect(root, &path, extensions, found);
            } else if path.extension().is_some_and(|extension| extensions.iter().any(|one| extension == *one)) {
                let text = std::fs::read_to_string(&path).expect("a readable file");
                let inside = path.strip_prefix(root).expect("below the root");
                found.push(Source::new(&inside.to_string_lossy().replace('\\', "/"), &text));
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    collect(root, &root.join(folder), extensions, &mut found);
    found
}

/// Fails with all violations at once, so that one run shows them all.
fn assert_holds(folders: &[&str], rule: impl Fn(&Source) -> Vec<String>) {
    let extension = if folders == ["templates"] { ["html", "svg", "txt"].as_slice() } else { &["rs"] };
    let violations: Vec<String> =
        folders.iter().flat_map(|folder| read_files(folder, extension)).flat_map(|file| rule(&file)).collect();
    assert!(violations.is_empty(), "\n{}\n", violations.join("\n"));
}

/// Asserts that a rule finds a violation in each text.
#[track_caller]
fn assert_fails(rule: impl Fn(&Source) -> Vec<String>, path: &str, texts: &[&str]) {
    for text in texts {
        assert_ne!(rule(&Source::new(path, text)), Vec::<String>::new(), "passed, in {path}: {text}");
    }
}

/// Asserts that a rule finds no violation in any text.
#[track_caller]
fn assert_passes(rule: impl Fn(&Source) -> Vec<String>, path: &str, texts: &[&str]) {
    for text in texts {
        assert_eq!(rule(&Source::new(path, text)), Vec::<String>::new(), "failed, in {path}: {text}");
    }
}

// --- Headers ---------------------------------------------------------------------------------------------------------

fn check_header(file: &Source) -> Vec<String> {
    let has_header = file.text.lines().next().is_some_and(|line| line.starts_with("//! ") && line.len() > 8);
    if has_header { vec![] } else { vec![format!("{}:1: no `//!` header that says why it exists", file.path)] }
}

#[test]
fn every_file_has_a_header() {
    assert_holds(&["src", "tests", "benches"], check_header);
}

#[test]
fn a_file_without_a_header_is_found() {
    assert_fails(
        check_header,
        "src/a.rs",
        &["", "use std::fmt;\n//! Late.", "//!\n", "// Not a header of the module.\n"],
    );
    assert_passes(check_header, "src/a.rs", &["//! Why it is.\nuse std::fmt;\n"]);
}

// --- Documentation ---------------------------------------------------------------------------------------------------

fn check_documentation(file: &Source) -> Vec<String> {
    let lines: Vec<&str> = file.text.lines().map(str::trim).collect();
    let code: Vec<&str> = file.code.lines().map(str::trim).collect();
    let undocumented = |at: &usize| is_public_item(code[*at]) && !file.is_test(at + 1) && !has_doc(&lines[..*at]);
    (0..code.len())
        .filter(undocumented)
        .map(|at| format!("{}:{}: no doc comment above `{}`", file.path, at + 1, lines[at]))
        .collect()
}

fn is_public_item(line: &str) -> bool {
    let Some(rest) = line.strip_prefix("pub ") else { return false };
    let mut words = rest.split_whitespace().skip_while(|word| ["async", "unsafe", "extern"].contains(word));
    let kinds = ["fn", "struct", "enum", "trait", "const", "type", "static", "union"];
    words.next().is_some_and(|word| kinds.contains(&word))
}

/// Whether the lines above an item end in a doc comment, even with attributes in between.
fn has_doc(above: &[&str]) -> bool {
    let mut above = above.iter().rev();
    while let Some(line) = above.next() {
        if line.starts_with("///") || line.ends_with("*/") || line.starts_with("#[doc") || line.starts_with("$(#[") {
            return true;
        }
        // Skips an attribute up to its first line, because it can have several lines. A plain comment is allowed too.
        let attribute = line.starts_with("#[") || line.ends_with(']') && above.any(|line| line.starts_with("#["));
        if !attribute && !line.starts_with("//") {
            return false;
        }
    }
    false
}

#[test]
fn every_public_item_is_documented() {
    assert_holds(&["src"], check_documentation);
}

#[test]
fn a_public_item_without_documentation_is_found() {
    assert_fails(
        check_documentation,
        "src/a.rs",
        &[
            "pub fn a() {}",
            "#[derive(Debug)]\npub struct A;",
            "/// Words.\npub struct A;\n\npub enum B {}",
            "impl A {\n    pub async fn a(&self) {}\n}",
            "let x = a[1]\npub const A: u8 = 1;",
            "mod tests {\n}\npub type A = u8;",
        ],
    );
    assert_passes(
        check_documentation,
        "src/a.rs",
        &[
            "/// Words.\n#[derive(\n    Debug,\n)]\n#[cfg(unix)]\npub struct A;",
            "pub(crate) fn a() {}\npub(super) fn b() {}\nfn c() {}\npub mod d;\npub use e::F;",
            "mod tests {\n    pub fn helper() {}\n}",
            "const TEXT: &str = \"\npub fn a() {}\n\";",
        ],
    );
}

// --- Size ------------------------------------------------------------------------------------------------------------

fn check_size(file: &Source) -> Vec<String> {
    let lines = file.text.lines().count();
    let excused = LONG_FOR_A_REASON.iter().any(|(path, reason)| *path == file.path && !reason.is_empty());
    if lines <= LONGEST || excused {
        return vec![];
    }
    vec![format!("{}:{lines}: {lines} lines; split it, or say why not in LONG_FOR_A_REASON", file.path)]
}

#[test]
fn a_long_file_has_a_reason() {
    assert_holds(&["src"], check_size);
}

#[test]
fn a_long_file_is_found() {
    assert_fails(check_size, "src/a.rs", &["x\n".repeat(LONGEST + 1).as_str()]);
    assert_passes(check_size, "src/a.rs", &["x\n".repeat(LONGEST).as_str()]);
}

// --- Waiting ---------------------------------------------------------------------------------------------------------

/// Functions that wait for a time.
const SLEEPS: [&str; 2] = ["sleep", "sleep_until"];

fn check_no_sleep(file: &Source) -> Vec<String> {
    if file.path == "tests/it/support/wait.rs" {
        return vec![];
    }
    let sleeps = file.tokens.windows(2).filter(|pair| SLEEPS.contains(&&*pair[0].text) && pair[1].text == "(");
    sleeps.map(|pair| format!("{}:{}: a guessed time; use support::wait", file.path, pair[0].line)).collect()
}

#[test]
fn no_test_waits_for_a_guessed_time() {
    assert_holds(&["tests"], check_no_sleep);
}

#[test]
fn a_sleeping_test_is_found() {
    assert_fails(check_no_sleep, "tests/it/a.rs", &["fn a() { std::thread::sleep(second); }", "sleep_until(at).await"]);
    assert_passes(check_no_sleep, "tests/it/a.rs", &["// sleep(1)\nlet a = \"sleep(1)\"; asleep(1)"]);
    assert_passes(check_no_sleep, "tests/it/support/wait.rs", &["tokio::time::sleep(second).await"]);
}

// --- Templates -------------------------------------------------------------------------------------------------------

/// Finds code and styles that a Content-Security-Policy without `unsafe-inline` would block in the browser.
fn check_no_inline_code(file: &Source) -> Vec<String> {
    let text = file.text.to_ascii_lowercase();
    let mut found = Vec::new();
    let mut report = |at: usize, what: &str| {
        found.push(format!("{}:{}: {what}", file.path, text[..at].matches('\n').count() + 1));
    };
    for (at, _) in text.match_indices('=') {
        let name: String = text[..at]
            .chars()
            .rev()
            .take_while(|character| !character.is_whitespace() && !"\"'<>{}".contains(*character))
            .collect();
        let name: String = name.chars().rev().collect();
        let handler = name.strip_prefix("on").is_some_and(|event| event.len() > 2 && event.is_ascii())
            && name.chars().all(|character| character.is_ascii_lowercase());
        let quoted = text[at + 1..].starts_with(['"', '\'']);
        if name == "style" {
            report(at, "a `style=` attribute: use a class");
        } else if name.starts_with("hx-on") || name.starts_with("data-hx-on") {
            report(at, "`hx-on`: put the code into static/app.js");
        } else if handler && quoted {
            report(at, "an inline event handler: put the code into static/app.js");
        } else if quoted && (text[at + 2..].starts_with("js:") || text[at + 2..].starts_with("javascript:")) {
            report(at, "a script as a value: put the code into static/app.js");
        }
    }
    for (at, _) in text.match_indices("<script") {
        let (tag, rest) = text[at..].split_once('>').unwrap_or((&text[at..], ""));
        let body = rest.split("</script").next().unwrap_or_default();
        if !body.trim().is_empty() && !tag.contains("application/json") {
            report(at, "a script with inline code: put the code into static/app.js");
        }
    }
    for (at, _) in text.match_indices("<style") {
        report(at, "an inline style sheet: put it into static/app.css");
    }
    found
}

#[test]
fn no_template_has_inline_code_or_style() {
    assert_holds(&["templates"], check_no_inline_code);
}

#[test]
fn inline_code_and_style_are_found() {
    assert_fails(
        check_no_inline_code,
        "templates/a.html",
        &[
            "<p style=\"width: {{ percent }}%\">",
            "<p\n style='x'>",
            "<p hx-on:click=\"go()\">",
            "<p hx-on--after-request=\"go()\">",
            "<p onclick=\"go()\">",
            "<p hx-vals=\"js:{a: 1}\">",
            "<a href='javascript:go()'>",
            "<script>go()</script>",
            "<script src=\"/static/a.js\">go()</script>",
            "<style>p { color: red }</style>",
        ],
    );
    assert_passes(
        check_no_inline_code,
        "templates/a.html",
        &[
            "<script src=\"/static/app.js\" defer></script>",
            "<script type=\"application/json\">{\"a\": 1}</script>",
            "<p class=\"style\" data-style=\"a\" hx-get=\"/on\" hx-trigger=\"load\"> {% if one==\"a\" %}",
        ],
    );
}
