//! The secret keys of a running server.
//!
//! The keys may change while the server runs (`printyard secrets rotate`). Before it seals, the server compares the
//! stamp of the key file. So it never seals with a key that is about to be removed. If it cannot open a value, it reads
//! the file again. So it can open values that were sealed with a new key.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::SystemTime,
};

use uuid::Uuid;

use super::{
    Error, KEY_FILE, KeyRing,
    key::{KeyId, SealedValue},
};

/// Name of the environment variable with keys, for error messages.
const KEY_VARIABLE: &str = "PRINTYARD_SECRET_KEY";

/// Seals with the current key, and opens with every key.
pub struct Vault {
    loaded: RwLock<LoadedKeys>,
    /// The data folder of the key file. `None` if the keys are from the environment, which does not change.
    dir: Option<PathBuf>,
}

struct LoadedKeys {
    ring: Arc<KeyRing>,
    stamp: Option<KeyFileStamp>,
}

/// Identifies one version of the key file. The file is replaced and never overwritten, so its inode number changes.
#[derive(PartialEq, Eq)]
struct KeyFileStamp {
    modified: Option<SystemTime>,
    len: u64,
    inode: u64,
}

impl KeyFileStamp {
    /// Must be called before the file is read. A change in between is then found the next time.
    fn read(dir: &Path) -> Option<Self> {
        let meta = fs::metadata(dir.join(KEY_FILE)).ok()?;
        #[cfg(unix)]
        let inode = std::os::unix::fs::MetadataExt::ino(&meta);
        #[cfg(not(unix))]
        let inode = 0;
        Some(Self { modified: meta.modified().ok(), len: meta.len(), inode })
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Vault(…)")
    }
}

impl Vault {
    /// Returns a vault with the keys of the environment variable: 32 bytes each, as 64 hexadecimal digits or as base64
    /// (with or without padding, either alphabet). They are separated by commas, the current one first. Errors:
    /// [`Error::BadKey`].
    pub fn from_keys(text: &str) -> Result<Self, Error> {
        Ok(Self {
            loaded: RwLock::new(LoadedKeys { ring: Arc::new(KeyRing::parse(text, KEY_VARIABLE)?), stamp: None }),
            dir: None,
        })
    }

    /// Returns a vault with the keys of a data folder. If there is no key file, it creates one, but only if `stored`,
    /// the number of sealed values, is 0. A new key could open none of them. Errors: [`Error::MissingKey`],
    /// [`Error::KeyFile`], [`Error::BadKey`], [`Error::NoRandom`].
    pub fn from_data_dir(dir: &Path, stored: usize) -> Result<Self, Error> {
        let stamp = KeyFileStamp::read(dir);
        let ring = match KeyRing::read(dir)? {
            Some(ring) => ring,
            None if stored == 0 => KeyRing::create(dir)?,
            None => return Err(Error::MissingKey { path: dir.join(KEY_FILE).display().to_string(), stored }),
        };
        Ok(Self { loaded: RwLock::new(LoadedKeys { ring: Arc::new(ring), stamp }), dir: Some(dir.to_owned()) })
    }

    /// Returns the current keys.
    pub fn ring(&self) -> Arc<KeyRing> {
        // A panic cannot leave an incomplete key ring, because the key ring is replaced as a whole.
        Arc::clone(&self.loaded.read().unwrap_or_else(PoisonError::into_inner).ring)
    }

    /// Returns the source of the keys, for error messages.
    pub fn key_source(&self) -> String {
        self.dir.as_ref().map_or_else(|| KEY_VARIABLE.to_owned(), |dir| dir.join(KEY_FILE).display().to_string())
    }

    /// Reads the key file again if it changed. If it cannot be read, the current keys stay in use: they can still open
    /// what they sealed.
    fn reload_if_changed(&self) {
        let Some(dir) = &self.dir else { return };
        let is_new = |stamp: &Option<KeyFileStamp>, loaded: &LoadedKeys| stamp.is_some() && *stamp != loaded.stamp;
        if !is_new(&KeyFileStamp::read(dir), &self.loaded.read().unwrap_or_else(PoisonError::into_inner)) {
            return;
        }
        // Compare again with the lock held. If two tasks read the file, the slower one must not restore older keys.
        let mut loaded = self.loaded.write().unwrap_or_else(PoisonError::into_inner);
        let stamp = KeyFileStamp::read(dir);
        if !is_new(&stamp, &loaded) {
            return;
        }
        match KeyRing::read(dir) {
            Ok(Some(ring)) => *loaded = LoadedKeys { ring: Arc::new(ring), stamp },
            // The file was removed in the meantime.
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(%error, "cannot read the changed secret keys; the former keys stay in use");
            }
        }
    }

    /// Seals a text for the object with the id `context`, with the newest key. Errors: [`Error::NoRandom`].
    pub fn seal(&self, context: Uuid, plain: &str) -> Result<Vec<u8>, Error> {
        self.reload_if_changed();
        self.ring().current().seal(context, plain)
    }

    /// Opens a value that was sealed for the same id. Errors: [`Error::CannotOpen`], [`Error::UnknownKey`].
    pub fn open(&self, context: Uuid, stored: &[u8]) -> Result<String, Error> {
        let sealed = SealedValue::parse(stored)?;
        let ring = self.ring();
        let mut opened = open_with(&ring, context, &sealed);
        if opened.is_err() {
            self.reload_if_changed();
            // Another task may have read the file.
            let newer = self.ring();
            if !Arc::ptr_eq(&ring, &newer) {
                opened = open_with(&newer, context, &sealed);
            }
        }
        opened.map_err(|unknown| match unknown {
            Some(id) => Error::UnknownKey { id: id.to_string(), place: self.key_source() },
            None => Error::CannotOpen,
        })
    }

    /// Returns whether a value contains the id of the current key.
    pub fn is_current(&self, stored: &[u8]) -> bool {
        let current = self.ring().current().id();
        SealedValue::parse(stored).is_ok_and(|sealed| sealed.key_id == Some(current))
    }

    /// Checks at the start of the server that the keys belong to this database. Fails if a value names a missing key,
    /// or if values cannot be opened and no other value can. So a single damaged value is not an error. Errors:
    /// [`Error::WrongKey`].
    pub fn check_stored_values<'a>(&self, stored: impl IntoIterator<Item = (Uuid, &'a [u8])>) -> Result<(), Error> {
        let (mut unknown_key, mut unreadable, mut opened) = (0, 0, 0);
        for (context, sealed) in stored {
            match self.open(context, sealed) {
                Ok(_) => opened += 1,
                Err(Error::UnknownKey { .. }) => unknown_key += 1,
                Err(_) => unreadable += 1,
            }
        }
        if unknown_key > 0 || (unreadable > 0 && opened == 0) {
            return Err(Error::WrongKey { place: self.key_source(), stored: unknown_key + unreadable });
        }
        Ok(())
    }
}

/// Opens a value with any key of a key ring. The error is the id of a key that the key ring does not contain.
fn open_with(ring: &KeyRing, context: Uuid, sealed: &SealedValue<'_>) -> Result<String, Option<KeyId>> {
    let mut unknown = sealed.key_id;
    for key in ring.candidates(sealed.key_id) {
        unknown = None;
        if let Ok(plain) = key.open(context, sealed) {
            return Ok(plain);
        }
    }
    Err(unknown)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secrets::KeyFileLock;

    const HEX: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    const BASE64: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

    fn vault() -> Vault {
        Vault::from_keys(HEX).expect("a key")
    }

    fn other_vault() -> Vault {
        Vault::from_keys(&HEX.replace('0', "f")).expect("a key")
    }

    #[test]
    fn one_key_in_any_spelling_opens_what_it_sealed() {
        let id = Uuid::from_u128(1);
        let sealed = vault().seal(id, "the key äöü").expect("sealed");
        for spelling in [HEX, BASE64, BASE64.trim_end_matches('='), &HEX.to_uppercase(), &format!(" {BASE64}\n")] {
            let opened = Vault::from_keys(spelling).expect("a key").open(id, &sealed).expect("opened");
            assert_eq!(opened, "the key äöü", "{spelling}");
        }
    }

    #[test]
    fn invalid_keys_are_refused() {
        for bad in ["", "secret", &HEX[2..], &format!("{HEX}00"), "ä", &"z".repeat(64)] {
            let error = Vault::from_keys(bad).expect_err("no key");
            assert!(matches!(error, Error::BadKey(_)), "{bad}");
            assert!(bad.is_empty() || !error.to_string().contains(bad), "the error shows what it was given: {error}");
        }
    }

    #[test]
    fn a_secret_opens_only_undamaged_and_only_for_its_own_id() {
        let (one, two) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let old = vault().ring().current().seal_without_id(one, "k");
        for sealed in [old, vault().seal(one, "k").expect("sealed")] {
            assert!(matches!(vault().open(two, &sealed), Err(Error::CannotOpen)));
            for i in 0..sealed.len() {
                let mut damaged = sealed.clone();
                damaged[i] ^= 1;
                assert!(vault().open(one, &damaged).is_err(), "byte {i}");
                assert!(matches!(vault().open(one, &sealed[..i]), Err(Error::CannotOpen)), "cut at {i}");
            }
        }
    }

    #[test]
    fn the_same_secret_is_sealed_differently_each_time() {
        let id = Uuid::from_u128(1);
        assert_ne!(vault().seal(id, "k").expect("sealed"), vault().seal(id, "k").expect("sealed"));
    }

    #[test]
    fn a_value_without_key_id_opens_with_any_key_and_is_not_current() {
        let id = Uuid::from_u128(1);
        let old = vault().ring().current().seal_without_id(id, "k");
        let both = Vault::from_keys(&format!("{},{HEX}", "a".repeat(64))).expect("keys");
        assert_eq!(both.open(id, &old).expect("opened"), "k");
        assert!(!vault().is_current(&old) && !both.is_current(&old));
    }

    #[test]
    fn a_ring_seals_with_its_first_key_and_opens_with_all() {
        let id = Uuid::from_u128(1);
        let both = Vault::from_keys(&format!("{},{HEX}", "a".repeat(64))).expect("keys");
        let (by_former, by_current) = (vault().seal(id, "k").expect("sealed"), both.seal(id, "k").expect("sealed"));
        assert_eq!(both.open(id, &by_former).expect("opened"), "k");
        assert!(both.is_current(&by_current) && !both.is_current(&by_former));
        assert!(matches!(vault().open(id, &by_current), Err(Error::UnknownKey { .. })));
    }

    #[test]
    fn the_check_distinguishes_a_wrong_key_from_a_damaged_value() {
        let id = Uuid::from_u128(1);
        let good = vault().seal(id, "k").expect("sealed");
        let old = vault().ring().current().seal_without_id(id, "k");
        let damaged = [1; 60];
        for sealed in [good.as_slice(), old.as_slice()] {
            assert!(matches!(
                other_vault().check_stored_values([(id, sealed)]),
                Err(Error::WrongKey { stored: 1, .. })
            ));
            assert!(vault().check_stored_values([(id, damaged.as_slice()), (id, sealed)]).is_ok());
        }
        let half = [(id, other_vault().seal(id, "k").expect("sealed")), (id, good)];
        let half = || half.iter().map(|(id, sealed)| (*id, sealed.as_slice()));
        assert!(
            matches!(vault().check_stored_values(half()), Err(Error::WrongKey { stored: 1, .. })),
            "a key of two is missing"
        );
        assert!(other_vault().check_stored_values([]).is_ok());
    }

    #[test]
    fn a_vault_reloads_its_file_to_seal_and_after_an_unknown_key() {
        let (dir, id) = (tempfile::tempdir().expect("a folder"), Uuid::from_u128(1));
        let sealing = Vault::from_data_dir(dir.path(), 0).expect("a vault");
        let opening = Vault::from_data_dir(dir.path(), 1).expect("a vault");
        let before = sealing.seal(id, "before").expect("sealed");
        let rotated = sealing.ring().rotated().expect("a key");
        KeyFileLock::acquire(dir.path()).expect("free").replace(&rotated).expect("written");
        let after = sealing.seal(id, "after").expect("sealed");
        assert!(sealing.is_current(&after) && !sealing.is_current(&before));
        assert_eq!(opening.open(id, &after).expect("opened"), "after");
        assert_eq!(opening.open(id, &before).expect("opened"), "before");
    }

    #[test]
    fn a_vault_keeps_its_keys_if_the_file_is_damaged_or_removed() {
        let (dir, id) = (tempfile::tempdir().expect("a folder"), Uuid::from_u128(1));
        let vault = Vault::from_data_dir(dir.path(), 0).expect("a vault");
        let sealed = vault.seal(id, "k").expect("sealed");
        fs::write(dir.path().join(KEY_FILE), "no key").expect("written");
        assert!(vault.is_current(&vault.seal(id, "k").expect("sealed")));
        fs::remove_file(dir.path().join(KEY_FILE)).expect("removed");
        assert!(vault.is_current(&vault.seal(id, "k").expect("sealed")));
        assert_eq!(vault.open(id, &sealed).expect("opened"), "k");
        assert!(!dir.path().join(KEY_FILE).exists(), "no key is made for it");
    }

    #[test]
    fn no_key_is_created_if_sealed_values_exist() {
        let dir = tempfile::tempdir().expect("a folder");
        let error = Vault::from_data_dir(dir.path(), 3).expect_err("the key is missing");
        assert!(matches!(error, Error::MissingKey { stored: 3, .. }));
        assert!(error.to_string().contains(&dir.path().join(KEY_FILE).display().to_string()), "{error}");
        assert_eq!(fs::read_dir(dir.path()).expect("read").count(), 0);
    }

    #[test]
    fn debug_output_contains_no_key() {
        assert_eq!(format!("{:?}", vault()), "Vault(…)");
        let ring = format!("{:?}", vault().ring());
        assert!(!ring.contains(&HEX[..8]) && !ring.contains(&BASE64[..8]), "{ring}");
    }
}
