//! A secret key and the format of sealed values.
//!
//! A sealed value is bound to the id that it belongs to, so that it cannot be moved to another printer's row.
//! Since version 2 it also contains the id of its key, so that a farm can change its key while it runs:
//!
//! ```text
//! 1 | nonce (24) | sealed               bound to: the id
//! 2 | key id (4) | nonce (24) | sealed  bound to: the id, the version, the key id
//! ```

use std::fmt;

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD},
};
use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{Error, fill_random};

/// Version without a key id. It is opened, but no longer written.
const VERSION_WITHOUT_ID: u8 = 1;
/// The version that is written now.
const VERSION_WITH_ID: u8 = 2;
const NONCE_LEN: usize = 24;
/// Prefix that separates the hash for a key id from all other uses of the hash.
const ID_DOMAIN: &[u8] = b"printyard secret key id v1\0";

/// A short id of a key. It reveals nothing about the key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct KeyId([u8; 4]);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A secret key. It has no `Debug`, and its text is written only to the key file.
#[derive(Clone)]
pub(super) struct Key {
    id: KeyId,
    bytes: [u8; 32],
}

/// A parsed sealed value.
pub(super) struct SealedValue<'a> {
    /// The id of its key; `None` in version 1.
    pub key_id: Option<KeyId>,
    nonce: [u8; NONCE_LEN],
    body: &'a [u8],
}

impl<'a> SealedValue<'a> {
    /// Parses a stored value. Errors: [`Error::CannotOpen`].
    pub fn parse(stored: &'a [u8]) -> Result<Self, Error> {
        let (&version, rest) = stored.split_first().ok_or(Error::CannotOpen)?;
        let (key_id, rest) = match version {
            VERSION_WITHOUT_ID => (None, rest),
            VERSION_WITH_ID => {
                let (id, rest) = rest.split_first_chunk::<4>().ok_or(Error::CannotOpen)?;
                (Some(KeyId(*id)), rest)
            }
            _ => return Err(Error::CannotOpen),
        };
        let (nonce, body) = rest.split_first_chunk::<NONCE_LEN>().ok_or(Error::CannotOpen)?;
        Ok(Self { key_id, nonce: *nonce, body })
    }
}

impl Key {
    /// Returns a new random key. Errors: [`Error::NoRandom`].
    pub fn random() -> Result<Self, Error> {
        let mut bytes = [0; 32];
        fill_random(&mut bytes)?;
        Ok(Self::new(bytes))
    }

    fn new(bytes: [u8; 32]) -> Self {
        let hash: [u8; 32] = Sha256::new().chain_update(ID_DOMAIN).chain_update(bytes).finalize().into();
        Self { id: KeyId([hash[0], hash[1], hash[2], hash[3]]), bytes }
    }

    /// Parses a key: 64 hexadecimal digits, or base64 (with or without padding, either alphabet).
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit()) {
            let mut key = [0; 32];
            for (byte, digits) in key.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
                *byte = u8::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()?;
            }
            return Some(Self::new(key));
        }
        [STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD]
            .iter()
            .find_map(|engine| engine.decode(text).ok()?.try_into().ok())
            .map(Self::new)
    }

    /// Returns the key as text for the key file.
    pub fn to_base64(&self) -> String {
        STANDARD.encode(self.bytes)
    }

    /// Returns the id of the key.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// Returns whether both keys are equal.
    pub fn is_same(&self, other: &Self) -> bool {
        super::is_equal(&self.bytes, &other.bytes)
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(&self.bytes.into())
    }

    /// Seals a text for the object with the id `context`. Errors: [`Error::NoRandom`].
    pub fn seal(&self, context: Uuid, plain: &str) -> Result<Vec<u8>, Error> {
        let mut nonce = [0; NONCE_LEN];
        fill_random(&mut nonce)?;
        let aad = associated_data(context, Some(self.id));
        let payload = Payload { msg: plain.as_bytes(), aad: &aad };
        let body = self.cipher().encrypt(&XNonce::from(nonce), payload).map_err(|_| Error::CannotOpen)?;
        Ok([&[VERSION_WITH_ID], self.id.0.as_slice(), nonce.as_slice(), body.as_slice()].concat())
    }

    /// Opens a value that was sealed for the same id. Errors: [`Error::CannotOpen`].
    pub fn open(&self, context: Uuid, sealed: &SealedValue<'_>) -> Result<String, Error> {
        let aad = associated_data(context, sealed.key_id);
        let payload = Payload { msg: sealed.body, aad: &aad };
        let plain = self.cipher().decrypt(&XNonce::from(sealed.nonce), payload).map_err(|_| Error::CannotOpen)?;
        String::from_utf8(plain).map_err(|_| Error::CannotOpen)
    }

    /// Seals a text in version 1, without a key id. For tests.
    #[cfg(test)]
    pub fn seal_without_id(&self, context: Uuid, plain: &str) -> Vec<u8> {
        let mut nonce = [0; NONCE_LEN];
        fill_random(&mut nonce).expect("random numbers");
        let payload = Payload { msg: plain.as_bytes(), aad: context.as_bytes() };
        let body = self.cipher().encrypt(&XNonce::from(nonce), payload).expect("sealed");
        [&[VERSION_WITHOUT_ID], nonce.as_slice(), body.as_slice()].concat()
    }
}

/// Returns the associated data of a sealed value.
fn associated_data(context: Uuid, key_id: Option<KeyId>) -> Vec<u8> {
    let mut bound = context.as_bytes().to_vec();
    if let Some(KeyId(id)) = key_id {
        bound.push(VERSION_WITH_ID);
        bound.extend(id);
    }
    bound
}
