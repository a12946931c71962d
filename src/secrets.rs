//! Secrets at rest: printers' keys are sealed, tokens are kept as hashes.
//!
//! The key that seals lives beside the database, not in it: a copy of the database alone opens no printer. A sealed
//! value is bound to the id that it belongs to, so that it cannot be moved to another printer's row.

pub mod password;

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

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    const BASE64: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

    fn vault() -> Vault {
        Vault::from_key(HEX).expect("a key")
    }

    #[test]
    fn one_key_in_any_spelling_opens_what_it_sealed() {
        let id = Uuid::from_u128(1);
        let sealed = vault().seal(id, "the key äöü").expect("sealed");
        for spelling in [HEX, BASE64, BASE64.trim_end_matches('='), &HEX.to_uppercase(), &format!(" {BASE64}\n")] {
            let opened = Vault::from_key(spelling).expect("a key").open(id, &sealed).expect("opened");
            assert_eq!(opened, "the key äöü", "{spelling}");
        }
    }

    #[test]
    fn what_is_no_key_is_refused() {
        for bad in ["", "secret", &HEX[2..], &format!("{HEX}00"), "ä", &"z".repeat(64)] {
            assert!(matches!(Vault::from_key(bad), Err(Error::BadKey)), "{bad}");
        }
    }

    #[test]
    fn a_secret_opens_for_its_own_id_only_and_undamaged_only() {
        let (one, two) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let sealed = vault().seal(one, "k").expect("sealed");
        assert!(matches!(vault().open(two, &sealed), Err(Error::CannotOpen)));
        for i in 0..sealed.len() {
            let mut damaged = sealed.clone();
            damaged[i] ^= 1;
            assert!(matches!(vault().open(one, &damaged), Err(Error::CannotOpen)), "byte {i}");
            assert!(matches!(vault().open(one, &sealed[..i]), Err(Error::CannotOpen)), "cut at {i}");
        }
    }

    #[test]
    fn the_same_secret_is_sealed_differently_each_time() {
        let id = Uuid::from_u128(1);
        assert_ne!(vault().seal(id, "k").expect("sealed"), vault().seal(id, "k").expect("sealed"));
    }

    #[test]
    fn a_wrong_key_is_told_from_a_damaged_value() {
        let id = Uuid::from_u128(1);
        let (good, bad) = (vault().seal(id, "k").expect("sealed"), [VERSION; 60]);
        let other = Vault::from_key(&HEX.replace('0', "f")).expect("a key");
        assert!(matches!(other.check([(id, good.as_slice())]), Err(Error::WrongKey)));
        assert!(vault().check([(id, bad.as_slice()), (id, good.as_slice())]).is_ok());
        assert!(other.check([]).is_ok());
    }

    #[test]
    fn the_key_file_is_made_once_for_its_owner_only_and_leaves_nothing_beside_it() {
        let dir = tempfile::tempdir().expect("a directory");
        let made: Vec<Vault> = std::thread::scope(|scope| {
            let makers: Vec<_> = (0..8).map(|_| scope.spawn(|| Vault::from_data_dir(dir.path()))).collect();
            makers.into_iter().map(|maker| maker.join().expect("no panic").expect("a vault")).collect()
        });
        let sealed = made[0].seal(Uuid::nil(), "k").expect("sealed");
        assert!(made.iter().all(|vault| vault.open(Uuid::nil(), &sealed).is_ok()), "all have the one key");
        let names: Vec<_> =
            fs::read_dir(dir.path()).expect("read").map(|entry| entry.expect("read").file_name()).collect();
        assert_eq!(names, [KEY_FILE]);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = fs::metadata(dir.path().join(KEY_FILE)).expect("there").permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        fs::write(dir.path().join(KEY_FILE), "").expect("written");
        assert!(matches!(Vault::from_data_dir(dir.path()), Err(Error::BadKey)), "an empty key is no key");
        assert!(matches!(Vault::from_data_dir(&dir.path().join("no")), Err(Error::KeyFile { .. })));
    }

    #[test]
    fn nothing_shows_the_key() {
        assert_eq!(format!("{:?}", vault()), "Vault(…)");
    }

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
