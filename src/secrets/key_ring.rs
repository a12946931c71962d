//! The secret keys of a farm and their file. The first key seals, the others only open older values.
//!
//! The file in the data folder contains one key per line, and only its owner can read it. The file is never incomplete:
//! every change writes another file, syncs it to disk, and renames it.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use uuid::Uuid;

use super::{
    Error,
    key::{Key, KeyId},
};

/// Name of the key file in the data folder.
pub const KEY_FILE: &str = "secret.key";
/// Locked while the key file is changed. The lock file is empty and is never removed.
const LOCK_FILE: &str = "secret.key.lock";

/// The secret keys, the current one first. Never empty.
#[derive(Clone)]
pub struct KeyRing {
    keys: Vec<Key>,
}

impl std::fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Ring(current: {}, former: {})", self.current().id(), self.former_count())
    }
}

impl KeyRing {
    /// Parses keys that are separated by commas, white space or line breaks. Errors name `place`. Errors:
    /// [`Error::BadKey`].
    pub fn parse(text: &str, place: &str) -> Result<Self, Error> {
        let mut keys: Vec<Key> = Vec::new();
        for word in text.split(|c: char| c == ',' || c.is_whitespace()).filter(|word| !word.is_empty()) {
            let key = Key::parse(word).ok_or_else(|| Error::BadKey(place.to_owned()))?;
            if !keys.iter().any(|known| known.is_same(&key)) {
                keys.push(key);
            }
        }
        if keys.is_empty() { Err(Error::BadKey(place.to_owned())) } else { Ok(Self { keys }) }
    }

    /// Reads the key file of a data folder. `None`: there is no file. Errors: [`Error::KeyFile`], [`Error::BadKey`].
    pub fn read(dir: &Path) -> Result<Option<Self>, Error> {
        let path = dir.join(KEY_FILE);
        match fs::read_to_string(&path) {
            Ok(text) => Self::parse(&text, &path.display().to_string()).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(key_file_error(&path, &error)),
        }
    }

    /// Creates a key and its file. If another process created the file first, returns the keys of that file. Errors:
    /// [`Error::KeyFile`], [`Error::BadKey`], [`Error::NoRandom`].
    pub fn create(dir: &Path) -> Result<Self, Error> {
        let path = dir.join(KEY_FILE);
        let ring = Self { keys: vec![Key::random()?] };
        let scratch = scratch_path(dir);
        let created = create_or_read(&scratch, &path, &ring.to_file_text());
        // The scratch file is now a second name of the key file, or belongs to a failed attempt.
        let _ = fs::remove_file(&scratch);
        Self::parse(&created.map_err(|error| key_file_error(&path, &error))?, &path.display().to_string())
    }

    /// Returns this key ring with a new key in front. Errors: [`Error::NoRandom`].
    pub fn rotated(&self) -> Result<Self, Error> {
        let mut keys = vec![Key::random()?];
        keys.extend(self.keys.iter().cloned());
        Ok(Self { keys })
    }

    /// Returns a key ring with the current key only.
    pub fn pruned(&self) -> Self {
        Self { keys: vec![self.current().clone()] }
    }

    /// Returns the number of keys in addition to the current one.
    pub fn former_count(&self) -> usize {
        self.keys.len() - 1
    }

    /// Returns the key that seals. Every constructor makes sure that there is one.
    pub(super) fn current(&self) -> &Key {
        &self.keys[0]
    }

    /// Returns the keys that may have sealed a value with this key id. Without a key id, returns all keys.
    pub(super) fn candidates(&self, id: Option<KeyId>) -> impl Iterator<Item = &Key> {
        self.keys.iter().filter(move |key| id.is_none_or(|id| key.id() == id))
    }

    fn to_file_text(&self) -> String {
        self.keys.iter().map(|key| key.to_base64() + "\n").collect()
    }
}

/// A lock on the key file of a data folder. Without it, two simultaneous rotations would lose one of the new keys and
/// the values that it sealed.
pub struct KeyFileLock {
    dir: PathBuf,
    _lock: File,
}

impl KeyFileLock {
    /// Takes the lock. Errors: [`Error::KeyFile`], also if another process holds the lock.
    pub fn acquire(dir: &Path) -> Result<Self, Error> {
        let path = dir.join(LOCK_FILE);
        let lock = private_options()
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|error| key_file_error(&path, &error))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { dir: dir.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(Error::KeyFile {
                path: dir.join(KEY_FILE).display().to_string(),
                problem: "another process is changing the keys".to_owned(),
            }),
            Err(TryLockError::Error(error)) => Err(key_file_error(&path, &error)),
        }
    }

    /// Replaces the keys in the file. Errors: [`Error::KeyFile`]; the file is then unchanged.
    pub fn replace(&self, ring: &KeyRing) -> Result<(), Error> {
        let path = self.dir.join(KEY_FILE);
        let scratch = scratch_path(&self.dir);
        let replaced = replace_file(&scratch, &path, &ring.to_file_text());
        if replaced.is_err() {
            let _ = fs::remove_file(&scratch);
        }
        replaced.map_err(|error| key_file_error(&path, &error))
    }
}

fn key_file_error(path: &Path, error: &io::Error) -> Error {
    Error::KeyFile { path: path.display().to_string(), problem: error.to_string() }
}

fn scratch_path(dir: &Path) -> PathBuf {
    dir.join(format!("{KEY_FILE}.{}", Uuid::now_v7().simple()))
}

/// Returns options for writing. Only the owner can read a file that is created with them.
fn private_options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Writes a scratch file and syncs it to disk.
fn write_scratch(scratch: &Path, text: &str) -> io::Result<File> {
    let mut file = private_options().create_new(true).open(scratch)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    Ok(file)
}

/// Syncs the folder of a file. Without this, a power failure could lose the new file name, and with it the key and all
/// values that it sealed.
fn sync_folder(path: &Path) -> io::Result<()> {
    let Some(dir) = path.parent() else { return Ok(()) };
    let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
    File::open(dir)?.sync_all()
}

/// Gives the scratch file the target name, unless the target exists. Returns the content of the target.
fn create_or_read(scratch: &Path, path: &Path, text: &str) -> io::Result<String> {
    write_scratch(scratch, text)?;
    // A hard link, because a rename would replace the key file of a faster process.
    match fs::hard_link(scratch, path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    sync_folder(path)?;
    let mut content = String::new();
    File::open(path)?.read_to_string(&mut content)?;
    Ok(content)
}

/// Replaces the target by the scratch file.
fn replace_file(scratch: &Path, path: &Path, text: &str) -> io::Result<()> {
    let file = write_scratch(scratch, text)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::{MetadataExt, fchown};
        // If root runs this, the file must stay readable for the server's user.
        let (before, after) = (fs::metadata(path)?, file.metadata()?);
        if (before.uid(), before.gid()) != (after.uid(), after.gid()) {
            fchown(&file, Some(before.uid()), Some(before.gid()))?;
            file.sync_all()?;
        }
    }
    drop(file);
    fs::rename(scratch, path)?;
    sync_folder(path)
}

#[cfg(test)]
mod tests {
    use crate::secrets::key_ring::*;

    const HEX: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

    fn file_names(dir: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(dir)
            .expect("read")
            .map(|entry| entry.expect("read").file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    #[cfg(unix)]
    fn file_mode(path: &Path) -> u32 {
        std::os::unix::fs::PermissionsExt::mode(&fs::metadata(path).expect("a file").permissions()) & 0o777
    }

    #[test]
    fn key_files_have_one_or_more_keys_and_duplicates_count_once() {
        for (text, former) in [
            (HEX.to_owned(), 0),
            (format!("{HEX}\n"), 0),
            (format!("{HEX},{HEX}"), 0),
            (format!("{}, {HEX}\r\n", "a".repeat(64)), 1),
        ] {
            assert_eq!(KeyRing::parse(&text, "test").expect("keys").former_count(), former, "{text}");
        }
        for bad in ["", " ,\n", "secret", &HEX[2..], &format!("{HEX},x")] {
            assert!(matches!(KeyRing::parse(bad, "test"), Err(Error::BadKey(place)) if place == "test"), "{bad}");
        }
    }

    #[test]
    fn the_key_file_is_created_once_and_only_for_its_owner() {
        let dir = tempfile::tempdir().expect("a folder");
        assert!(KeyRing::read(dir.path()).expect("read").is_none());
        let rings: Vec<KeyRing> = std::thread::scope(|scope| {
            let creators: Vec<_> = (0..8).map(|_| scope.spawn(|| KeyRing::create(dir.path()))).collect();
            creators.into_iter().map(|maker| maker.join().expect("no panic").expect("a key ring")).collect()
        });
        assert!(rings.iter().all(|ring| ring.current().is_same(rings[0].current())), "all have the one key");
        assert_eq!(file_names(dir.path()), [KEY_FILE]);
        #[cfg(unix)]
        assert_eq!(file_mode(&dir.path().join(KEY_FILE)), 0o600);
        fs::write(dir.path().join(KEY_FILE), "").expect("written");
        assert!(matches!(KeyRing::read(dir.path()), Err(Error::BadKey(_))), "an empty file is no key");
        assert!(matches!(KeyRing::create(&dir.path().join("no")), Err(Error::KeyFile { .. })));
    }

    #[test]
    fn a_rotated_ring_keeps_its_former_keys_until_it_is_pruned() {
        let dir = tempfile::tempdir().expect("a folder");
        let first = KeyRing::create(dir.path()).expect("a key ring");
        #[cfg(unix)]
        {
            let open = std::os::unix::fs::PermissionsExt::from_mode(0o644);
            fs::set_permissions(dir.path().join(KEY_FILE), open).expect("made readable for all users");
        }
        let lock = KeyFileLock::acquire(dir.path()).expect("free");
        let second = first.rotated().expect("a key");
        lock.replace(&second).expect("written");
        let read = KeyRing::read(dir.path()).expect("read").expect("a key file");
        assert!(read.current().is_same(second.current()) && !read.current().is_same(first.current()));
        assert_eq!(read.candidates(Some(first.current().id())).count(), 1, "the former key is kept");
        lock.replace(&read.pruned()).expect("written");
        let read = KeyRing::read(dir.path()).expect("read").expect("a key file");
        assert!(read.current().is_same(second.current()) && read.former_count() == 0);
        assert_eq!(file_names(dir.path()), [KEY_FILE, LOCK_FILE]);
        #[cfg(unix)]
        assert_eq!((file_mode(&dir.path().join(KEY_FILE)), file_mode(&dir.path().join(LOCK_FILE))), (0o600, 0o600));
    }

    #[test]
    fn only_one_process_changes_the_keys_at_a_time() {
        let dir = tempfile::tempdir().expect("a folder");
        let lock = KeyFileLock::acquire(dir.path()).expect("free");
        assert!(matches!(KeyFileLock::acquire(dir.path()), Err(Error::KeyFile { .. })));
        drop(lock);
        assert!(KeyFileLock::acquire(dir.path()).is_ok());
    }
}
