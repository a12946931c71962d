//! Secrets at rest: printers' keys are sealed, tokens are kept as hashes.
//!
//! The key that seals lives beside the database, not in it: a copy of the database alone opens no printer. A sealed
//! value is bound to the id that it belongs to, so that it cannot be moved to another printer's row.

use std::{
    fmt,
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    path::Path,
};

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD},
};
use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use rand::{TryRng, rngs::SysRng};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use uuid::Uuid;

/// The first byte of a sealed value; another cipher would be another number.
const VERSION: u8 = 1;

const NONCE_LEN: usize = 24;

/// The key's file within the data directory.
const KEY_FILE: &str = "secret.key";

/// What every token begins with, so that scanners of leaked secrets can find it.
const TOKEN_PREFIX: &str = "pyd_";

/// What can be wrong with a secret. No text holds any of it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the secret key must be 32 bytes, as 64 hexadecimal digits or as base64")]
    BadKey,
    /// The file of the key cannot be read or made.
    #[error("{path} cannot be used: {problem}")]
    KeyFile { path: String, problem: String },
    #[error("the system gives no random numbers")]
    NoRandom,
    /// Sealed with another key, for another id, or damaged.
    #[error("a stored secret cannot be opened: it was sealed with another key, or is damaged")]
    CannotOpen,
    #[error("the stored secrets were sealed with another key than this one")]
    WrongKey,
}

/// Seals and opens secrets with one key.
pub struct Vault {
    cipher: XChaCha20Poly1305,
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Vault(…)")
    }
}

impl Vault {
    /// A vault with this key: 32 bytes as 64 hexadecimal digits or as base64 (with or without padding, either
    /// alphabet). Errors: [`Error::BadKey`].
    pub fn from_key(text: &str) -> Result<Self, Error> {
        let key = read_key(text.trim()).ok_or(Error::BadKey)?;
        Ok(Self { cipher: XChaCha20Poly1305::new(&key.into()) })
    }

    /// A vault with the key in `dir`/secret.key, which is made when it is absent: readable by its owner only, and
    /// complete or not there at all. Errors: [`Error::KeyFile`], [`Error::BadKey`], [`Error::NoRandom`].
    pub fn from_data_dir(dir: &Path) -> Result<Self, Error> {
        let path = dir.join(KEY_FILE);
        let problem =
            |error: io::Error| Error::KeyFile { path: path.display().to_string(), problem: error.to_string() };
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let mut key = [0; 32];
                fill(&mut key)?;
                let scratch = dir.join(format!("{KEY_FILE}.{}", Uuid::now_v7().simple()));
                let made = make_key_file(&scratch, &path, &STANDARD.encode(key));
                // It is a second name of the key by now, or a failed attempt.
                let _ = fs::remove_file(&scratch);
                made.map_err(problem)?
            }
            Err(error) => return Err(problem(error)),
        };
        Self::from_key(&text)
    }

    /// Seals a text for the thing with the id `context`. Errors: [`Error::NoRandom`].
    pub fn seal(&self, context: Uuid, plain: &str) -> Result<Vec<u8>, Error> {
        let mut nonce = [0; NONCE_LEN];
        fill(&mut nonce)?;
        let payload = Payload { msg: plain.as_bytes(), aad: context.as_bytes() };
        let sealed = self.cipher.encrypt(&XNonce::from(nonce), payload).map_err(|_| Error::CannotOpen)?;
        Ok([&[VERSION], nonce.as_slice(), sealed.as_slice()].concat())
    }

    /// Opens what was sealed for the same id. Errors: [`Error::CannotOpen`].
    pub fn open(&self, context: Uuid, sealed: &[u8]) -> Result<String, Error> {
        let (&[VERSION], rest) = sealed.split_first_chunk::<1>().ok_or(Error::CannotOpen)? else {
            return Err(Error::CannotOpen);
        };
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>().ok_or(Error::CannotOpen)?;
        let payload = Payload { msg: sealed, aad: context.as_bytes() };
        let plain = self.cipher.decrypt(&XNonce::from(*nonce), payload).map_err(|_| Error::CannotOpen)?;
        String::from_utf8(plain).map_err(|_| Error::CannotOpen)
    }

    /// Tells a wrong key from a damaged value, at the start of the server: none of the stored secrets opens.
    /// Errors: [`Error::WrongKey`].
    pub fn check<'a>(&self, stored: impl IntoIterator<Item = (Uuid, &'a [u8])>) -> Result<(), Error> {
        let mut any = false;
        for (context, sealed) in stored {
            any = true;
            if self.open(context, sealed).is_ok() {
                return Ok(());
            }
        }
        if any { Err(Error::WrongKey) } else { Ok(()) }
    }
}

/// Writes the key to a scratch file and gives it its name, unless another process was faster. Returns the key that
/// stands there then.
fn make_key_file(scratch: &Path, path: &Path, text: &str) -> io::Result<String> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(scratch)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    // A link, because a rename would replace the key of the faster process.
    match fs::hard_link(scratch, path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    if let Some(dir) = path.parent() {
        // Without its name on the disk the key would be lost with the power, and with it every sealed secret.
        let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
        File::open(dir)?.sync_all()?;
    }
    let mut kept = String::new();
    File::open(path)?.read_to_string(&mut kept)?;
    Ok(kept)
}

fn read_key(text: &str) -> Option<[u8; 32]> {
    if text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit()) {
        let mut key = [0; 32];
        for (byte, digits) in key.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            *byte = u8::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()?;
        }
        return Some(key);
    }
    [STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD]
        .iter()
        .find_map(|engine| engine.decode(text).ok()?.try_into().ok())
}

fn fill(bytes: &mut [u8]) -> Result<(), Error> {
    SysRng.try_fill_bytes(bytes).map_err(|_| Error::NoRandom)
}

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
