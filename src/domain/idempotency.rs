//! Idempotency keys: let a client repeat a request without a second effect.

use uuid::Uuid;

/// Hours for which a key is stored.
pub const KEY_LIFETIME_H: i64 = 24;

/// A key with the request that uses it. The same transaction stores the request's result under the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyUse {
    /// The principal that may use the key again: a token and its successors. Nil: the server's own token.
    pub scope: Uuid,
    pub key: String,
    /// Id of this request. A request binds its key once, even if it writes several entries.
    pub use_id: Uuid,
    /// Hash of the method, the path and the parsed body.
    pub fingerprint: Vec<u8>,
}

/// The stored result of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyBinding {
    pub fingerprint: Vec<u8>,
    /// API path of the created or changed object.
    pub location: Option<String>,
    /// `None`: the status of the response was not stored.
    pub status: Option<u16>,
    pub body: Option<String>,
    /// The body of the response was stored, and removed later to keep the limit of its scope.
    pub body_gone: bool,
}

/// Parses the value of the header: 1 to 255 visible characters, bare or quoted. `None`: it is not a key.
pub fn parse_key(header: &str) -> Option<&str> {
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
        assert_eq!(parse_key("MO/1"), Some("MO/1"));
        assert_eq!(parse_key("\"MO/1\""), Some("MO/1"));
        let longest = "x".repeat(255);
        assert_eq!(parse_key(&longest), Some(longest.as_str()));
        for bad in ["", "\"\"", "\"a", "a\"", "a\tb", "ä", &"x".repeat(256)] {
            assert_eq!(parse_key(bad), None, "{bad}");
        }
    }
}
