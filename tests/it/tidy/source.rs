//! Rust source for the rules: code without comments and strings, the strings themselves, and the lines of unit tests.
//!
//! A full parser would be another dependency, and the rules only need names and lines. This part of the lexical grammar
//! has not changed in ten years.

/// One parsed file. Every text keeps its line breaks, so that line numbers are known.
pub struct Source {
    /// The path below the project's root, with `/`.
    pub path: String,
    /// The original text.
    pub text: String,
    /// The text with blanks in place of comments and string contents.
    pub code: String,
    /// The contents of string literals, each with its first line number (from 1).
    pub strings: Vec<(usize, String)>,
    /// Identifiers and punctuation of the code, each with its line and its enclosing inline modules.
    pub tokens: Vec<Token>,
}

/// An identifier, or one punctuation character (`::` counts as one).
#[derive(Debug)]
pub struct Token {
    /// The text of the token.
    pub text: String,
    /// The line, from 1.
    pub line: usize,
    /// The enclosing inline modules, outermost first.
    pub modules: Vec<String>,
}

impl Source {
    /// Parses a file.
    pub fn new(path: &str, text: &str) -> Self {
        let (code, strings) = blank_comments_and_strings(text);
        let tokens = tokenize(&code);
        Self { path: path.into(), text: text.into(), code, strings, tokens }
    }

    /// Returns the first part of the path below `src/`, which is the layer. Returns `None` outside `src/`.
    pub fn layer(&self) -> Option<&str> {
        let inner = self.path.strip_prefix("src/")?;
        Some(inner.split('/').next().unwrap_or(inner).trim_end_matches(".rs"))
    }

    /// Returns the module path of the file, as in `crate::a::b`.
    pub fn module_path(&self) -> Vec<String> {
        let inner = self.path.strip_prefix("src/").unwrap_or(&self.path).trim_end_matches(".rs");
        let mut parts: Vec<String> = inner.split('/').map(str::to_owned).collect();
        if parts.last().is_some_and(|last| ["mod", "lib", "main"].contains(&last.as_str())) {
            parts.pop();
        }
        parts
    }

    /// Whether the line belongs to unit tests: an inline `mod tests`, or a file of that name.
    pub fn is_test(&self, line: usize) -> bool {
        self.path.ends_with("/tests.rs") || self.path.contains("/tests/") || self.test_lines().contains(&line)
    }

    fn test_lines(&self) -> std::collections::HashSet<usize> {
        self.tokens.iter().filter(|token| token.in_tests()).map(|token| token.line).collect()
    }
}

impl Token {
    /// Whether the token is in an inline `mod tests`.
    pub fn in_tests(&self) -> bool {
        self.modules.iter().any(|module| module == "tests")
    }

    /// Whether the token is a name or a number, not punctuation.
    pub fn is_word(&self) -> bool {
        self.text.starts_with(is_word)
    }
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// Replaces comments and strings by blanks, and returns the strings.
fn blank_comments_and_strings(text: &str) -> (String, Vec<(usize, String)>) {
    let characters: Vec<char> = text.chars().collect();
    let (mut code, mut strings) = (String::with_capacity(text.len()), Vec::new());
    let (mut at, mut line) = (0, 1);
    while at < characters.len() {
        let rest = &characters[at..];
        let before = at.checked_sub(1).map_or(' ', |previous| characters[previous]);
        let length = match rest {
            ['/', '/', ..] => rest.iter().position(|character| *character == '\n').unwrap_or(rest.len()),
            ['/', '*', ..] => block_comment_length(rest),
            ['"', ..] => string_length(rest),
            ['r', '"' | '#', ..] if !is_word(before) || before == 'b' || before == 'c' => raw_string_length(rest),
            ['\'', '\\', ..] => 2 + escaped_char_length(&rest[2..]),
            ['\'', _, '\'', ..] => 3,
            _ => 0,
        };
        if length == 0 {
            code.push(rest[0]);
            line += usize::from(rest[0] == '\n');
            at += 1;
            continue;
        }
        let taken: String = rest[..length].iter().collect();
        if rest[0] == '"' || rest[0] == 'r' {
            let inner = taken.trim_start_matches('r').trim_matches('#');
            strings.push((line, inner.strip_prefix('"').unwrap_or(inner).trim_end_matches('"').to_owned()));
        }
        code.extend(taken.chars().map(|character| if character == '\n' { '\n' } else { ' ' }));
        line += taken.matches('\n').count();
        at += length;
    }
    (code, strings)
}

fn block_comment_length(rest: &[char]) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at + 1 < rest.len() {
        match (rest[at], rest[at + 1]) {
            ('/', '*') => (depth, at) = (depth + 1, at + 2),
            ('*', '/') if depth == 1 => return at + 2,
            ('*', '/') => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
    }
    rest.len()
}

/// Returns the length of a string with escapes that begins at `rest[0]`.
fn string_length(rest: &[char]) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            '\\' => at += 1,
            '"' => return at + 1,
            _ => {}
        }
        at += 1;
    }
    rest.len()
}

/// Returns the length of `r"…"` or `r#"…"#`; 0 for a raw identifier such as `r#type`.
fn raw_string_length(rest: &[char]) -> usize {
    let hashes = rest[1..].iter().take_while(|character| **character == '#').count();
    let start = 2 + hashes;
    if rest.get(1 + hashes) != Some(&'"') {
        return 0;
    }
    let closes = |at: &usize| {
        rest[*at] == '"' && rest[at + 1..].iter().take_while(|character| **character == '#').count() >= hashes
    };
    (start..rest.len()).find(closes).map_or(rest.len(), |end| end + 1 + hashes)
}

/// Returns the length of an escaped character from after the backslash to after the closing quote.
fn escaped_char_length(rest: &[char]) -> usize {
    rest.iter().skip(1).position(|character| *character == '\'').map_or(rest.len(), |at| at + 2)
}

fn tokenize(code: &str) -> Vec<Token> {
    let mut tokens: Vec<Token> = Vec::new();
    // The enclosing inline modules, each with the depth of braces outside it.
    let (mut modules, mut depth): (Vec<(String, usize)>, usize) = (Vec::new(), 0);
    for (number, line) in code.lines().enumerate() {
        let mut rest = line.trim_start();
        while let Some(first) = rest.chars().next() {
            let length = if is_word(first) {
                rest.find(|character| !is_word(character)).unwrap_or(rest.len())
            } else if rest.starts_with("::") {
                2
            } else {
                first.len_utf8()
            };
            let text = &rest[..length];
            if text == "{" {
                if let [.., keyword, name] = &tokens[..]
                    && keyword.text == "mod"
                {
                    modules.push((name.text.clone(), depth));
                }
                depth += 1;
            }
            let enclosing = modules.iter().map(|(name, _)| name.clone()).collect();
            tokens.push(Token { text: text.into(), line: number + 1, modules: enclosing });
            if text == "}" {
                depth = depth.saturating_sub(1);
                modules.retain(|(_, outside)| *outside < depth);
            }
            rest = rest[length..].trim_start();
        }
    }
    tokens
}

#[test]
fn comments_and_strings_are_no_code() {
    let source = Source::new(
        "src/a.rs",
        "use x; // crate::no\n/* a /* nested */ crate::no */ let s = \"crate::no \\\" \" ; let r = r#\"crate \"no\" \"#;\n\
         let c = '\"'; let d = '\\''; let life: &'static str = b\"crate::no\"; // \"\nend",
    );
    assert!(!source.code.contains("no"), "{}", source.code);
    assert!(source.code.ends_with("\nend"));
    let strings: Vec<&str> = source.strings.iter().map(|(_, text)| text.as_str()).collect();
    assert_eq!(strings, ["crate::no \\\" ", "crate \"no\" ", "crate::no"]);
    assert_eq!(source.strings[2].0, 3);
}

#[test]
fn unit_tests_are_distinguished_from_code() {
    let source = Source::new("src/a.rs", "fn a() {}\nmod tests {\n    fn b() {}\n}\nfn c() {}\n");
    assert_eq!((1..=5).map(|line| source.is_test(line)).collect::<Vec<_>>(), [false, true, true, true, false]);
}
