//! Requests that a client may repeat without a second effect, by the key that it gave them.

use uuid::Uuid;

/// How long a key is kept, in hours.
pub const KEPT_H: i64 = 24;

/// A key with the request that uses it. It is bound to what came of the request, in the same transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyUse {
    /// Who may use the key again: a token, and those that came in its place. Nil: the server's own token.
    pub scope: Uuid,
    pub key: String,
    /// This very request: it binds its key once, whatever it writes.
    pub use_id: Uuid,
    /// Of the method, the path and the body as it was read.
    pub fingerprint: Vec<u8>,
}

/// What is known of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bound {
    pub fingerprint: Vec<u8>,
    /// The path of what it made or changed.
    pub location: Option<String>,
    /// None: the answer was not delivered.
    pub status: Option<u16>,
    pub body: Option<String>,
    /// The answer was stored, and dropped to keep the bound of its scope.
    pub body_gone: bool,
}

/// Reads the value of the header: 1 to 255 visible characters, bare or quoted. None: it is no key.
pub fn key_of(header: &str) -> Option<&str> {
    let text = header.trim();
    let text = match text.strip_prefix('"') {
        Some(quoted) => quoted.strip_suffix('"')?,
        None => text,
    };
    let is_good =
        (1..=255).contains(&text.len()) && text.bytes().all(|byte| (0x20..0x7f).contains(&byte) && byte != b'"');
    is_good.then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_bare_or_quoted_and_has_1_to_255_characters() {
        assert_eq!(key_of("MO/1"), Some("MO/1"));
        assert_eq!(key_of("\"MO/1\""), Some("MO/1"));
        let longest = "x".repeat(255);
        assert_eq!(key_of(&longest), Some(longest.as_str()));
        for bad in ["", "\"\"", "\"a", "a\"", "a\tb", "ä", &"x".repeat(256)] {
            assert_eq!(key_of(bad), None, "{bad}");
        }
    }
}
