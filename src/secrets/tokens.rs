//! Random tokens, which are shown once and stored as hashes.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::{Error, fill_random};

/// Prefix of every token, so that scanners for leaked secrets can find it.
const TOKEN_PREFIX: &str = "pyd_";

/// Returns a new token, which is shown once, and its hash, which is stored. A token is `pyd_` and 43 characters of 256
/// random bits. Errors: [`Error::NoRandom`].
pub fn new_token() -> Result<(String, [u8; 32]), Error> {
    let mut bytes = [0; 32];
    fill_random(&mut bytes)?;
    let token = format!("{TOKEN_PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes));
    let hash = token_hash(&token);
    Ok((token, hash))
}

/// Returns the hash under which a token is stored. Plain SHA-256 is enough, because 256 random bits cannot be guessed,
/// even with a fast hash.
pub fn token_hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// Compares two secrets in constant time, so that the time does not reveal where they differ.
pub fn is_equal(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_recognised_by_its_hash() {
        let (token, hash) = new_token().expect("random numbers");
        assert!(token.starts_with("pyd_") && token.len() == 47, "{token}");
        assert!(token[4..].bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
        assert_eq!(token_hash(&token), hash);
        assert_ne!(new_token().expect("random numbers").0, token);
        assert!(is_equal(b"abc", b"abc") && !is_equal(b"abc", b"abd") && !is_equal(b"abc", b"ab"));
    }
}
