//! Secrets at rest: printers' keys are sealed, tokens are kept as hashes.
//!
//! The keys that seal lie beside the database, not in it: a copy of the database alone opens no printer. `key.rs` is
//! one key and what it seals, `ring.rs` the keys of a farm and their file, `vault.rs` what a running server holds.

mod key;
pub mod password;
mod ring;
mod signing;
mod tokens;
mod vault;

use rand::{TryRng, rngs::SysRng};

pub use ring::{KEY_FILE, Ring, RingLock};
pub use signing::{new_signing_secret, sign};
pub use tokens::{is_equal, new_token, token_hash};
pub use vault::Vault;

/// What can be wrong with a secret. No text holds any of it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Where it was read from.
    #[error(
        "{0} must hold keys of 32 bytes each, as 64 hexadecimal digits or as base64 (a file: one per line; the \
         variable: separated by commas)"
    )]
    BadKey(String),
    /// The file of the keys cannot be read or written.
    #[error("{path} cannot be used: {problem}")]
    KeyFile { path: String, problem: String },
    /// There are sealed values, and no key.
    #[error(
        "{path} is missing, and {stored} stored secret(s) were sealed with a key that lay there: restore the file from \
         a backup, or give the key as PRINTYARD_SECRET_KEY. No new key was made and nothing was changed"
    )]
    Missing { path: String, stored: usize },
    #[error("the system gives no random numbers")]
    NoRandom,
    /// Sealed for another id, or damaged.
    #[error("a stored secret cannot be opened: it was sealed with another key, or is damaged")]
    CannotOpen,
    /// Sealed with a key that is not there. An id tells nothing about its key.
    #[error("a stored secret was sealed with the key {id}, which {place} does not hold")]
    UnknownKey { id: String, place: String },
    /// What is stored was sealed with keys that are not there.
    #[error(
        "{place} is not the key of this database: {stored} stored secret(s) were sealed with another one. Restore \
         the right key; nothing was changed"
    )]
    WrongKey { place: String, stored: usize },
}

/// Fills with random bytes of the system.
fn fill(bytes: &mut [u8]) -> Result<(), Error> {
    SysRng.try_fill_bytes(bytes).map_err(|_| Error::NoRandom)
}
