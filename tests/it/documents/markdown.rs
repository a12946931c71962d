//! Fenced blocks, code spans and statements of a Markdown document.

use std::{collections::VecDeque, path::Path};

/// Begins the comment above a block that the tests do not run. The reason follows.
const NOT_RUN: &str = "<!-- not run by tests:";

/// A fenced block.
#[derive(Debug, Clone)]
pub struct Block {
    /// The document and the line of the opening fence.
    pub place: String,
    /// The language after the opening fence.
    pub language: String,
    /// The lines between the fences, without the indentation of a list.
    pub text: String,
    /// The text up to the next block or heading, in one line.
    pub after: String,
    /// The reason why the tests do not run the block.
    pub not_run: Option<String>,
}

impl Block {
    /// Returns the HTTP status of the sentence "The answer is …" below the block.
    pub fn promised_status(&self) -> Option<u16> {
        let (_, rest) = self.after.split_once("The answer is ")?;
        rest.get(..3)?.parse().ok()
    }

    /// Returns the JSON body that its last curl sends with `-d`.
    pub fn request_body(&self) -> serde_json::Value {
        let (_, rest) = self.text.rsplit_once("-d '").unwrap_or_else(|| panic!("{}: no body", self.place));
        let (body, _) = rest.split_once('\'').unwrap_or_else(|| panic!("{}: the body has no end", self.place));
        serde_json::from_str(body).unwrap_or_else(|error| panic!("{}: {error}", self.place))
    }

    /// Returns a block with only the lines that begin with a text.
    pub fn only_lines(&self, beginning: &str) -> Self {
        let lines: Vec<&str> = self.text.lines().filter(|line| line.starts_with(beginning)).collect();
        assert!(!lines.is_empty(), "{}: no line begins with `{beginning}`", self.place);
        Self { text: lines.join("\n") + "\n", ..self.clone() }
    }
}

/// A document. Its blocks are taken in their order.
pub struct Document {
    path: String,
    prose: String,
    tables: Vec<String>,
    blocks: VecDeque<Block>,
}

impl Document {
    /// Reads a document of the project.
    pub fn read(path: &str) -> Self {
        let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect("a document");
        Self::parse(path, &text)
    }

    fn parse(path: &str, text: &str) -> Self {
        let (blocks, prose) = parse_blocks(path, text);
        let tables = prose.iter().filter(|line| line.starts_with('|')).cloned().collect();
        let document = Self { path: path.to_owned(), prose: join_words(&prose.join(" ")), tables, blocks };
        for block in &document.blocks {
            assert_ne!(block.not_run.as_deref(), Some(""), "{}: `{NOT_RUN}` has no reason", block.place);
        }
        // A curl command in the text would not be run.
        for span in document.code_spans() {
            assert!(!span.starts_with("curl "), "{path}: put this command into a block: {span}");
        }
        document
    }

    /// Returns the next block, without those that are marked as not run.
    ///
    /// # Panics
    /// If it has another language, or does not contain `part`: then the test leaves out a block.
    pub fn next_block(&mut self, language: &str, part: &str) -> Block {
        self.skip_marked();
        let Some(block) = self.blocks.pop_front() else { panic!("{}: no block with `{part}` is left", self.path) };
        assert!(
            block.language == language && block.text.contains(part),
            "{}: the test does not run this block. It expects a block of `{language}` with `{part}`. Run the block in \
             tests/it/documents.rs, or write `{NOT_RUN} REASON -->` above it:\n{}",
            block.place,
            block.text
        );
        block
    }

    /// Returns the only block of a language.
    pub fn only_block(&self, language: &str) -> Block {
        let blocks: Vec<&Block> = self.blocks.iter().filter(|block| block.language == language).collect();
        let [block] = blocks[..] else { panic!("{} has {} blocks of `{language}`", self.path, blocks.len()) };
        block.clone()
    }

    /// Checks that every block was taken or is marked.
    pub fn assert_complete(mut self) {
        self.skip_marked();
        let left: Vec<&str> = self.blocks.iter().map(|block| block.place.as_str()).collect();
        assert!(left.is_empty(), "the test does not run these blocks, and no comment says why: {left:?}");
    }

    fn skip_marked(&mut self) {
        while self.blocks.front().is_some_and(|block| block.not_run.is_some()) {
            self.blocks.pop_front();
        }
    }

    /// Checks that the text outside the blocks contains a statement, so that the test checks what the reader reads.
    pub fn assert_states(&self, statement: &str) {
        assert!(self.prose.contains(statement), "{} does not state any more: {statement}", self.path);
    }

    /// Returns the texts in backticks outside the blocks.
    pub fn code_spans(&self) -> Vec<&str> {
        code_spans(&self.prose)
    }

    /// Returns the rows of the tables, each as its cells.
    pub fn table_rows(&self) -> Vec<Vec<&str>> {
        self.tables.iter().map(|row| row.trim_matches('|').split('|').map(str::trim).collect()).collect()
    }
}

/// Returns the texts in backticks.
pub fn code_spans(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// Returns a text with one space between its words.
fn join_words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<&str>>().join(" ")
}

/// Returns the blocks of a document, and the lines outside them.
fn parse_blocks(path: &str, text: &str) -> (VecDeque<Block>, Vec<String>) {
    let (mut blocks, mut prose): (VecDeque<Block>, Vec<String>) = (VecDeque::new(), Vec::new());
    let (mut indent, mut is_open, mut follows_block, mut previous) = (0, false, false, "");
    for (number, line) in text.lines().enumerate() {
        let trimmed = line.trim_start();
        if let Some(language) = trimmed.strip_prefix("```") {
            if !is_open {
                indent = line.len() - trimmed.len();
                let not_run = previous.trim().strip_prefix(NOT_RUN).and_then(|rest| rest.strip_suffix("-->"));
                blocks.push_back(Block {
                    place: format!("{path}:{}", number + 1),
                    language: language.trim().to_owned(),
                    text: String::new(),
                    after: String::new(),
                    not_run: not_run.map(|reason| reason.trim().to_owned()),
                });
            }
            is_open = !is_open;
            follows_block = !is_open;
        } else if let Some(block) = blocks.back_mut().filter(|_| is_open) {
            block.text.push_str(line.get(indent..).unwrap_or(trimmed));
            block.text.push('\n');
        } else {
            follows_block &= !trimmed.starts_with('#');
            if let Some(block) = blocks.back_mut().filter(|_| follows_block) {
                block.after = join_words(&format!("{} {trimmed}", block.after));
            }
            prose.push(trimmed.to_owned());
        }
        previous = line;
    }
    assert!(!is_open, "{path}: the last block has no end");
    (blocks, prose)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# Title\n\n1. First:\n\n   <!-- not run by tests: it installs -->\n   ```sh\n   sudo a\n\n     b\n   ```\n\n\
                        Then `x\ny`.\n\n```sh\ncurl -d '{\"a\": 1}'\n```\n\nThe answer\nis 201, with:\n\n```json\n{}\n```\n\n## End\nThe answer is 204.\n";

    #[test]
    fn blocks_have_their_text_their_mark_and_their_status() {
        let mut document = Document::parse("a.md", TEXT);
        let marked = &document.blocks[0];
        assert_eq!((marked.not_run.as_deref(), marked.text.as_str()), (Some("it installs"), "sudo a\n\n  b\n"));
        let block = document.next_block("sh", "curl");
        assert_eq!((block.place.as_str(), block.promised_status()), ("a.md:15", Some(201)));
        assert_eq!(block.request_body(), serde_json::json!({"a": 1}));
        assert_eq!(document.next_block("json", "{}").promised_status(), None, "the sentence is below another heading");
        document.assert_states("Then `x y`.");
        assert_eq!(document.code_spans(), ["x y"]);
        document.assert_complete();
    }

    #[test]
    #[should_panic(expected = "a.md:2: the test does not run this block")]
    fn a_block_that_the_test_leaves_out_is_found() {
        Document::parse("a.md", "\n```sh\nfirst\n```\n\n```sh\nsecond\n```\n").next_block("sh", "second");
    }

    #[test]
    #[should_panic(expected = "[\"a.md:1\"]")]
    fn a_block_at_the_end_that_the_test_leaves_out_is_found() {
        Document::parse("a.md", "```python\nx = 1\n```\n").assert_complete();
    }

    #[test]
    #[should_panic(expected = "has no reason")]
    fn a_mark_without_a_reason_is_refused() {
        Document::parse("a.md", "<!-- not run by tests: -->\n```sh\ndocker compose up\n```\n");
    }

    #[test]
    #[should_panic(expected = "put this command into a block: curl localhost")]
    fn a_curl_command_outside_the_blocks_is_found() {
        Document::parse("a.md", "Run `curl localhost`.\n");
    }
}
