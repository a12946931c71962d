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
pub struct Ring {
    keys: Vec<Key>,
}

impl std::fmt::Debug for Ring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Ring(current: {}, former: {})", self.current().id(), self.former())
    }
}

impl Ring {
    /// Parses keys that are separated by commas, white space or line breaks. Errors name `place`. Errors:
    /// [`Error::BadKey`].
    pub fn parse(text: &str, place: &str) -> Result<Self, Error> {
        let mut keys: Vec<Key> = Vec::new();
        for word in text.split(|c: char| c == ',' || c.is_whitespace()).filter(|word| !word.is_empty()) {
            let key = Key::parse(word).ok_or_else(|| Error::BadKey(place.to_owned()))?;
            if !keys.iter().any(|known| known.is(&key)) {
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
            Err(error) => Err(problem(&path, &error)),
        }
    }

    /// Creates a key and its file. If another process created the file first, returns the keys of that file. Errors:
    /// [`Error::KeyFile`], [`Error::BadKey`], [`Error::NoRandom`].
    pub fn create(dir: &Path) -> Result<Self, Error> {
        let path = dir.join(KEY_FILE);
        let ring = Self { keys: vec![Key::random()?] };
        let scratch = scratch(dir);
        let made = make(&scratch, &path, &ring.text());
        // The scratch file is now a second name of the key file, or belongs to a failed attempt.
        let _ = fs::remove_file(&scratch);
        Self::parse(&made.map_err(|error| problem(&path, &error))?, &path.display().to_string())
    }

    /// Returns this ring with a new key in front. Errors: [`Error::NoRandom`].
    pub fn turned(&self) -> Result<Self, Error> {
        let mut keys = vec![Key::random()?];
        keys.extend(self.keys.iter().cloned());
        Ok(Self { keys })
    }

    /// Returns a ring with the current key only.
    pub fn pruned(&self) -> Self {
        Self { keys: vec![self.current().clone()] }
    }

    /// Returns the number of keys in addition to the current one.
    pub fn former(&self) -> usize {
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

    fn text(&self) -> String {
        self.keys.iter().map(|key| key.text() + "\n").collect()
    }
}

/// A lock on the key file of a data folder. Without it, two simultaneous rotations would lose one of the new keys and
/// the values that it sealed.
pub struct RingLock {
    dir: PathBuf,
    _lock: File,
}

impl RingLock {
    /// Takes the lock. Errors: [`Error::KeyFile`], also if another process holds the lock.
    pub fn take(dir: &Path) -> Result<Self, Error> {
        let path = dir.join(LOCK_FILE);
        let lock = private().create(true).truncate(false).open(&path).map_err(|error| problem(&path, &error))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { dir: dir.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(Error::KeyFile {
                path: dir.join(KEY_FILE).display().to_string(),
                problem: "another process is changing the keys".to_owned(),
            }),
            Err(TryLockError::Error(error)) => Err(problem(&path, &error)),
        }
    }

    /// Replaces the keys in the file. Errors: [`Error::KeyFile`]; the file is then unchanged.
    pub fn replace(&self, ring: &Ring) -> Result<(), Error> {
        let path = self.dir.join(KEY_FILE);
        let scratch = scratch(&self.dir);
        let replaced = replace(&scratch, &path, &ring.text());
        if replaced.is_err() {
            let _ = fs::remove_file(&scratch);
        }
        replaced.map_err(|error| problem(&path, &error))
    }
}

fn problem(path: &Path, error: &io::Error) -> Error {
    Error::KeyFile { path: path.display().to_string(), problem: error.to_string() }
}

fn scratch(dir: &Path) -> PathBuf {
    dir.join(format!("{KEY_FILE}.{}", Uuid::now_v7().simple()))
}

/// Returns options for writing. Only the owner can read a file that is created with them.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Writes a scratch file and syncs it to disk.
fn write(scratch: &Path, text: &str) -> io::Result<File> {
    let mut file = private().create_new(true).open(scratch)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    Ok(file)
}

/// Syncs the folder of a file. Without this, a power failure could lose the new file name, and with it the key and all
/// values that it sealed.
fn sync_names(path: &Path) -> io::Result<()> {
    let Some(dir) = path.parent() else { return Ok(()) };
    let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
    File::open(dir)?.sync_all()
}

/// Gives the scratch file the target name, unless the target exists. Returns the content of the target.
fn make(scratch: &Path, path: &Path, text: &str) -> io::Result<String> {
    write(scratch, text)?;
    // A hard link, because a rename would replace the key file of a faster process.
    match fs::hard_link(scratch, path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    sync_names(path)?;
    let mut kept = String::new();
    File::open(path)?.read_to_string(&mut kept)?;
    Ok(kept)
}

/// Replaces the target by the scratch file.
fn replace(scratch: &Path, path: &Path, text: &str) -> io::Result<()> {
    let file = write(scratch, text)?;
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
    sync_names(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(dir)
            .expect("read")
            .map(|entry| entry.expect("read").file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    #[cfg(unix)]
    fn mode(path: &Path) -> u32 {
        std::os::unix::fs::PermissionsExt::mode(&fs::metadata(path).expect("a file").permissions()) & 0o777
    }

    #[test]
    fn a_file_of_one_line_is_a_ring_of_one_key_and_doubles_count_once() {
        for (text, former) in [
            (HEX.to_owned(), 0),
            (format!("{HEX}\n"), 0),
            (format!("{HEX},{HEX}"), 0),
            (format!("{}, {HEX}\r\n", "a".repeat(64)), 1),
        ] {
            assert_eq!(Ring::parse(&text, "test").expect("keys").former(), former, "{text}");
        }
        for bad in ["", " ,\n", "secret", &HEX[2..], &format!("{HEX},x")] {
            assert!(matches!(Ring::parse(bad, "test"), Err(Error::BadKey(place)) if place == "test"), "{bad}");
        }
    }

    #[test]
    fn the_key_file_is_made_once_for_its_owner_only_and_leaves_nothing_beside_it() {
        let dir = tempfile::tempdir().expect("a folder");
        assert!(Ring::read(dir.path()).expect("read").is_none());
        let made: Vec<Ring> = std::thread::scope(|scope| {
            let makers: Vec<_> = (0..8).map(|_| scope.spawn(|| Ring::create(dir.path()))).collect();
            makers.into_iter().map(|maker| maker.join().expect("no panic").expect("a key ring")).collect()
        });
        assert!(made.iter().all(|ring| ring.current().is(made[0].current())), "all have the one key");
        assert_eq!(names(dir.path()), [KEY_FILE]);
        #[cfg(unix)]
        assert_eq!(mode(&dir.path().join(KEY_FILE)), 0o600);
        fs::write(dir.path().join(KEY_FILE), "").expect("written");
        assert!(matches!(Ring::read(dir.path()), Err(Error::BadKey(_))), "an empty file is no key");
        assert!(matches!(Ring::create(&dir.path().join("no")), Err(Error::KeyFile { .. })));
    }

    #[test]
    fn a_turned_ring_keeps_the_former_keys_until_it_is_pruned_and_stays_private() {
        let dir = tempfile::tempdir().expect("a folder");
        let first = Ring::create(dir.path()).expect("a key ring");
        #[cfg(unix)]
        {
            let open = std::os::unix::fs::PermissionsExt::from_mode(0o644);
            fs::set_permissions(dir.path().join(KEY_FILE), open).expect("made readable for all users");
        }
        let lock = RingLock::take(dir.path()).expect("free");
        let second = first.turned().expect("a key");
        lock.replace(&second).expect("written");
        let read = Ring::read(dir.path()).expect("read").expect("a key file");
        assert!(read.current().is(second.current()) && !read.current().is(first.current()));
        assert_eq!(read.candidates(Some(first.current().id())).count(), 1, "the former key is kept");
        lock.replace(&read.pruned()).expect("written");
        let read = Ring::read(dir.path()).expect("read").expect("a key file");
        assert!(read.current().is(second.current()) && read.former() == 0);
        assert_eq!(names(dir.path()), [KEY_FILE, LOCK_FILE]);
        #[cfg(unix)]
        assert_eq!((mode(&dir.path().join(KEY_FILE)), mode(&dir.path().join(LOCK_FILE))), (0o600, 0o600));
    }

    #[test]
    fn only_one_process_changes_the_keys_at_a_time() {
        let dir = tempfile::tempdir().expect("a folder");
        let lock = RingLock::take(dir.path()).expect("free");
        assert!(matches!(RingLock::take(dir.path()), Err(Error::KeyFile { .. })));
        drop(lock);
        assert!(RingLock::take(dir.path()).is_ok());
    }
}
