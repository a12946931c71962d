//! The keys of a farm: the first one seals, the others only open what was sealed before.
//!
//! In the data folder they are a file with one key per line, readable by its owner only. The file is whole or not there
//! at all: every change writes another file, brings it to the disk, and gives it the name.

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

/// The keys' file within the data folder.
pub const KEY_FILE: &str = "secret.key";
/// Locked while the file is changed; empty, and left where it is.
const LOCK_FILE: &str = "secret.key.lock";

/// The keys, the current one first. Never empty.
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
    /// Reads keys that are separated by commas, white space or lines; `place` is what an error names.
    /// Errors: [`Error::BadKey`].
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

    /// The ring in the file of a data folder; None: there is no file. Errors: [`Error::KeyFile`], [`Error::BadKey`].
    pub fn read(dir: &Path) -> Result<Option<Self>, Error> {
        let path = dir.join(KEY_FILE);
        match fs::read_to_string(&path) {
            Ok(text) => Self::parse(&text, &path.display().to_string()).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(problem(&path, &error)),
        }
    }

    /// Makes a key and its file, unless another process was faster: then the key that stands there.
    /// Errors: [`Error::KeyFile`], [`Error::BadKey`], [`Error::NoRandom`].
    pub fn create(dir: &Path) -> Result<Self, Error> {
        let path = dir.join(KEY_FILE);
        let ring = Self { keys: vec![Key::random()?] };
        let scratch = scratch(dir);
        let made = make(&scratch, &path, &ring.text());
        // It is a second name of the key by now, or a failed attempt.
        let _ = fs::remove_file(&scratch);
        Self::parse(&made.map_err(|error| problem(&path, &error))?, &path.display().to_string())
    }

    /// This ring with a new key at its head. Errors: [`Error::NoRandom`].
    pub fn turned(&self) -> Result<Self, Error> {
        let mut keys = vec![Key::random()?];
        keys.extend(self.keys.iter().cloned());
        Ok(Self { keys })
    }

    /// The current key alone.
    pub fn pruned(&self) -> Self {
        Self { keys: vec![self.current().clone()] }
    }

    /// How many keys there are beside the current one.
    pub fn former(&self) -> usize {
        self.keys.len() - 1
    }

    /// The one that seals. There always is one: every way to make a ring sees to it.
    pub(super) fn current(&self) -> &Key {
        &self.keys[0]
    }

    /// The keys that may have sealed what names `id`: all of them where it names none.
    pub(super) fn candidates(&self, id: Option<KeyId>) -> impl Iterator<Item = &Key> {
        self.keys.iter().filter(move |key| id.is_none_or(|id| key.id() == id))
    }

    fn text(&self) -> String {
        self.keys.iter().map(|key| key.text() + "\n").collect()
    }
}

/// The right to change the file of a data folder. Two rotations at once would lose one of the new keys, and with it
/// what was sealed by it.
pub struct RingLock {
    dir: PathBuf,
    _lock: File,
}

impl RingLock {
    /// Takes the right. Errors: [`Error::KeyFile`], also while another process has it.
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

    /// Puts a ring in the place of the one that is in the file. Errors: [`Error::KeyFile`]; the file is then as it was.
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

/// Opens for writing; what it creates only its owner may read.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Writes a scratch file that is on the disk when this returns.
fn write(scratch: &Path, text: &str) -> io::Result<File> {
    let mut file = private().create_new(true).open(scratch)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    Ok(file)
}

/// Without its name on the disk a key would be lost with the power, and with it what it sealed.
fn sync_names(path: &Path) -> io::Result<()> {
    let Some(dir) = path.parent() else { return Ok(()) };
    let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
    File::open(dir)?.sync_all()
}

/// Gives the scratch file the name unless there is such a file. Returns what stands there then.
fn make(scratch: &Path, path: &Path, text: &str) -> io::Result<String> {
    write(scratch, text)?;
    // A link, because a rename would replace the key of the faster process.
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

/// Gives the scratch file the name of the file that is there.
fn replace(scratch: &Path, path: &Path, text: &str) -> io::Result<()> {
    let file = write(scratch, text)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::{MetadataExt, fchown};
        // Run by root, the file has to stay readable for the server's user.
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
        std::os::unix::fs::PermissionsExt::mode(&fs::metadata(path).expect("there").permissions()) & 0o777
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
            makers.into_iter().map(|maker| maker.join().expect("no panic").expect("a ring")).collect()
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
        let first = Ring::create(dir.path()).expect("a ring");
        #[cfg(unix)]
        {
            let open = std::os::unix::fs::PermissionsExt::from_mode(0o644);
            fs::set_permissions(dir.path().join(KEY_FILE), open).expect("opened to everybody");
        }
        let lock = RingLock::take(dir.path()).expect("free");
        let second = first.turned().expect("a key");
        lock.replace(&second).expect("written");
        let read = Ring::read(dir.path()).expect("read").expect("there");
        assert!(read.current().is(second.current()) && !read.current().is(first.current()));
        assert_eq!(read.candidates(Some(first.current().id())).count(), 1, "the former key is kept");
        lock.replace(&read.pruned()).expect("written");
        let read = Ring::read(dir.path()).expect("read").expect("there");
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
