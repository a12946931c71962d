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
    Error, KEY_FILE, Ring,
    key::{KeyId, Sealed},
};

/// Name of the environment variable with keys, for error messages.
const VARIABLE: &str = "PRINTYARD_SECRET_KEY";

/// Seals with the current key, and opens with every key.
pub struct Vault {
    held: RwLock<Held>,
    /// The data folder of the key file. `None` if the keys are from the environment, which does not change.
    dir: Option<PathBuf>,
}

struct Held {
    ring: Arc<Ring>,
    stamp: Option<Stamp>,
}

/// Identifies one version of the key file. The file is replaced and never overwritten, so its inode number changes.
#[derive(PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    len: u64,
    inode: u64,
}

impl Stamp {
    /// Must be called before the file is read. A change in between is then found the next time.
    fn of(dir: &Path) -> Option<Self> {
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
        Ok(Self { held: RwLock::new(Held { ring: Arc::new(Ring::parse(text, VARIABLE)?), stamp: None }), dir: None })
    }

    /// Returns a vault with the keys of a data folder. If there is no key file, it creates one, but only if `stored`,
    /// the number of sealed values, is 0. A new key could open none of them. Errors: [`Error::Missing`],
    /// [`Error::KeyFile`], [`Error::BadKey`], [`Error::NoRandom`].
    pub fn from_data_dir(dir: &Path, stored: usize) -> Result<Self, Error> {
        let stamp = Stamp::of(dir);
        let ring = match Ring::read(dir)? {
            Some(ring) => ring,
            None if stored == 0 => Ring::create(dir)?,
            None => return Err(Error::Missing { path: dir.join(KEY_FILE).display().to_string(), stored }),
        };
        Ok(Self { held: RwLock::new(Held { ring: Arc::new(ring), stamp }), dir: Some(dir.to_owned()) })
    }

    /// Returns the current keys.
    pub fn ring(&self) -> Arc<Ring> {
        // A panic cannot leave an incomplete ring, because the ring is replaced as a whole.
        Arc::clone(&self.held.read().unwrap_or_else(PoisonError::into_inner).ring)
    }

    /// Returns the source of the keys, for error messages.
    pub fn place(&self) -> String {
        self.dir.as_ref().map_or_else(|| VARIABLE.to_owned(), |dir| dir.join(KEY_FILE).display().to_string())
    }

    /// Reads the key file again if it changed. If it cannot be read, the current keys stay in use: they can still open
    /// what they sealed.
    fn refresh(&self) {
        let Some(dir) = &self.dir else { return };
        let is_new = |stamp: &Option<Stamp>, held: &Held| stamp.is_some() && *stamp != held.stamp;
        if !is_new(&Stamp::of(dir), &self.held.read().unwrap_or_else(PoisonError::into_inner)) {
            return;
        }
        // Compare again with the lock held. If two tasks read the file, the slower one must not restore older keys.
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        let stamp = Stamp::of(dir);
        if !is_new(&stamp, &held) {
            return;
        }
        match Ring::read(dir) {
            Ok(Some(ring)) => *held = Held { ring: Arc::new(ring), stamp },
            // The file was removed in the meantime.
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(%error, "cannot read the changed secret keys; the former keys stay in use");
            }
        }
    }

    /// Seals a text for the object with the id `context`, with the newest key. Errors: [`Error::NoRandom`].
    pub fn seal(&self, context: Uuid, plain: &str) -> Result<Vec<u8>, Error> {
        self.refresh();
        self.ring().current().seal(context, plain)
    }

    /// Opens a value that was sealed for the same id. Errors: [`Error::CannotOpen`], [`Error::UnknownKey`].
    pub fn open(&self, context: Uuid, stored: &[u8]) -> Result<String, Error> {
        let sealed = Sealed::read(stored)?;
        let ring = self.ring();
        let mut opened = open_with(&ring, context, &sealed);
        if opened.is_err() {
            self.refresh();
            // Another task may have read the file.
            let newer = self.ring();
            if !Arc::ptr_eq(&ring, &newer) {
                opened = open_with(&newer, context, &sealed);
            }
        }
        opened.map_err(|unknown| match unknown {
            Some(id) => Error::UnknownKey { id: id.to_string(), place: self.place() },
            None => Error::CannotOpen,
        })
    }

    /// Returns whether a value contains the id of the current key.
    pub fn is_current(&self, stored: &[u8]) -> bool {
        let current = self.ring().current().id();
        Sealed::read(stored).is_ok_and(|sealed| sealed.key == Some(current))
    }

    /// Checks at the start of the server that the keys belong to this database. Fails if a value names a missing key,
    /// or if values cannot be opened and no other value can. So a single damaged value is not an error. Errors:
    /// [`Error::WrongKey`].
    pub fn check<'a>(&self, stored: impl IntoIterator<Item = (Uuid, &'a [u8])>) -> Result<(), Error> {
        let (mut foreign, mut closed, mut opened) = (0, 0, 0);
        for (context, sealed) in stored {
            match self.open(context, sealed) {
                Ok(_) => opened += 1,
                Err(Error::UnknownKey { .. }) => foreign += 1,
                Err(_) => closed += 1,
            }
        }
        if foreign > 0 || (closed > 0 && opened == 0) {
            return Err(Error::WrongKey { place: self.place(), stored: foreign + closed });
        }
        Ok(())
    }
}

/// Opens a value with any key of a ring. The error is the id of a key that the ring does not contain.
fn open_with(ring: &Ring, context: Uuid, sealed: &Sealed<'_>) -> Result<String, Option<KeyId>> {
    let mut unknown = sealed.key;
    for key in ring.candidates(sealed.key) {
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
    use crate::secrets::RingLock;

    const HEX: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    const BASE64: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

    fn vault() -> Vault {
        Vault::from_keys(HEX).expect("a key")
    }

    fn other() -> Vault {
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
    fn what_is_no_key_is_refused() {
        for bad in ["", "secret", &HEX[2..], &format!("{HEX}00"), "ä", &"z".repeat(64)] {
            let error = Vault::from_keys(bad).expect_err("no key");
            assert!(matches!(error, Error::BadKey(_)), "{bad}");
            assert!(bad.is_empty() || !error.to_string().contains(bad), "the error shows what it was given: {error}");
        }
    }

    #[test]
    fn a_secret_opens_for_its_own_id_only_and_undamaged_only() {
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
    fn what_was_sealed_before_keys_had_names_opens_with_any_key_and_counts_as_not_current() {
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
    fn a_wrong_key_is_told_from_a_damaged_value() {
        let id = Uuid::from_u128(1);
        let good = vault().seal(id, "k").expect("sealed");
        let old = vault().ring().current().seal_without_id(id, "k");
        let damaged = [1; 60];
        for sealed in [good.as_slice(), old.as_slice()] {
            assert!(matches!(other().check([(id, sealed)]), Err(Error::WrongKey { stored: 1, .. })));
            assert!(vault().check([(id, damaged.as_slice()), (id, sealed)]).is_ok());
        }
        let half = [(id, other().seal(id, "k").expect("sealed")), (id, good)];
        let half = || half.iter().map(|(id, sealed)| (*id, sealed.as_slice()));
        assert!(matches!(vault().check(half()), Err(Error::WrongKey { stored: 1, .. })), "a key of two is missing");
        assert!(other().check([]).is_ok());
    }

    #[test]
    fn a_vault_follows_its_file_when_it_seals_and_when_it_meets_an_unknown_key() {
        let (dir, id) = (tempfile::tempdir().expect("a folder"), Uuid::from_u128(1));
        let sealing = Vault::from_data_dir(dir.path(), 0).expect("a vault");
        let opening = Vault::from_data_dir(dir.path(), 1).expect("a vault");
        let before = sealing.seal(id, "before").expect("sealed");
        let turned = sealing.ring().turned().expect("a key");
        RingLock::take(dir.path()).expect("free").replace(&turned).expect("written");
        let after = sealing.seal(id, "after").expect("sealed");
        assert!(sealing.is_current(&after) && !sealing.is_current(&before));
        assert_eq!(opening.open(id, &after).expect("opened"), "after");
        assert_eq!(opening.open(id, &before).expect("opened"), "before");
    }

    #[test]
    fn a_file_that_is_damaged_or_gone_under_a_running_server_costs_it_nothing() {
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
    fn no_key_is_made_where_something_was_sealed() {
        let dir = tempfile::tempdir().expect("a folder");
        let error = Vault::from_data_dir(dir.path(), 3).expect_err("the key is missing");
        assert!(matches!(error, Error::Missing { stored: 3, .. }));
        assert!(error.to_string().contains(&dir.path().join(KEY_FILE).display().to_string()), "{error}");
        assert_eq!(fs::read_dir(dir.path()).expect("read").count(), 0);
    }

    #[test]
    fn nothing_shows_the_key() {
        assert_eq!(format!("{:?}", vault()), "Vault(…)");
        let ring = format!("{:?}", vault().ring());
        assert!(!ring.contains(&HEX[..8]) && !ring.contains(&BASE64[..8]), "{ring}");
    }
}
