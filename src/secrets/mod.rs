//! Secrets at rest: printer secrets are sealed, tokens are stored as hashes.
//!
//! The secret keys are stored outside the database, so a copy of the database alone gives no access to printers.
//! `key.rs` is one key and the sealed format, `key_ring.rs` the keys of a farm and their file. `vault.rs` holds the
//! keys of a running server.

mod key;
mod key_ring;
pub mod password;
mod signing;
mod tokens;
mod vault;

use rand::{TryRng, rngs::SysRng};

pub use key_ring::{KEY_FILE, KeyFileLock, KeyRing};
pub use signing::{new_signing_secret, sign_webhook};
pub use tokens::{is_equal, new_token, token_hash};
pub use vault::Vault;

/// Errors of secrets. No message contains any part of a secret.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The value is the place that the keys were read from.
    #[error(
        "{0} must hold keys of 32 bytes each, as 64 hexadecimal digits or as base64 (a file: one per line; the \
         variable: separated by commas)"
    )]
    BadKey(String),
    /// The key file cannot be read or written.
    #[error("{path} cannot be used: {problem}")]
    KeyFile { path: String, problem: String },
    /// The database contains sealed values, but there is no key.
    #[error(
        "{path} is missing, and {stored} stored secret(s) were sealed with a key that lay there: restore the file from \
         a backup, or give the key as PRINTYARD_SECRET_KEY. No new key was made and nothing was changed"
    )]
    MissingKey { path: String, stored: usize },
    #[error("the system gives no random numbers")]
    NoRandom,
    /// The value was sealed for another id, or is damaged.
    #[error("a stored secret cannot be opened: it was sealed with another key, or is damaged")]
    CannotOpen,
    /// The value was sealed with a missing key. The key id reveals nothing about the key.
    #[error("a stored secret was sealed with the key {id}, which {place} does not hold")]
    UnknownKey { id: String, place: String },
    /// The stored values were sealed with keys that are missing.
    #[error(
        "{place} is not the key of this database: {stored} stored secret(s) were sealed with another one. Restore \
         the right key; nothing was changed"
    )]
    WrongKey { place: String, stored: usize },
}

/// Fills the buffer with random bytes of the operating system.
fn fill_random(bytes: &mut [u8]) -> Result<(), Error> {
    SysRng.try_fill_bytes(bytes).map_err(|_| Error::NoRandom)
}
