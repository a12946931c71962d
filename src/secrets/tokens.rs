//! Tokens: shown once, kept as hashes.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::{Error, fill};

/// What every token begins with, so that scanners of leaked secrets can find it.
const TOKEN_PREFIX: &str = "pyd_";

/// A new token, to be shown once, and its hash, to be kept: `pyd_` and 43 characters of 256 random bits.
/// Errors: [`Error::NoRandom`].
pub fn new_token() -> Result<(String, [u8; 32]), Error> {
    let mut bytes = [0; 32];
    fill(&mut bytes)?;
    let token = format!("{TOKEN_PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes));
    let hash = token_hash(&token);
    Ok((token, hash))
}

/// The hash under which a token is kept. Plain SHA-256: nobody guesses 256 random bits, however fast the hash.
pub fn token_hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// Whether two secrets are equal, in a time that does not tell where they differ.
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
