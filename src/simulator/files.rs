//! Files of one printer: bytes that printers share, and what OctoPrint reports about each file.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt::Write as _,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::{SystemTime, UNIX_EPOCH},
};

use sha1::{Digest, Sha1};

/// Bytes of a file. A thousand printers with the same file store them once.
#[derive(Debug)]
pub struct Blob {
    bytes: Box<[u8]>,
    hash: String,
}

impl Blob {
    /// Returns the content.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns the SHA-1 in hexadecimal digits, as OctoPrint 1.11 reports it.
    pub fn hash(&self) -> &str {
        &self.hash
    }
}

/// Finds bytes that a printer of the farm has already.
#[derive(Debug, Default)]
pub struct BlobStore(Mutex<HashMap<String, Weak<Blob>>>);

impl BlobStore {
    /// Returns the shared copy of these bytes.
    pub fn intern(&self, bytes: Vec<u8>) -> Arc<Blob> {
        let mut hash = String::with_capacity(40);
        for byte in Sha1::digest(&bytes) {
            let _ = write!(hash, "{byte:02x}");
        }
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(blob) = known.get(&hash).and_then(Weak::upgrade) {
            return blob;
        }
        known.retain(|_, blob| blob.strong_count() > 0);
        let blob = Arc::new(Blob { bytes: bytes.into_boxed_slice(), hash: hash.clone() });
        known.insert(hash, Arc::downgrade(&blob));
        blob
    }
}

/// Statistics about the prints of a file.
#[derive(Debug, Clone, Default)]
pub struct PrintStatistics {
    pub success: u32,
    pub failure: u32,
    /// The last print: seconds since 1970, and the print time in seconds of a success.
    pub last_print: Option<(f64, Option<f64>)>,
    /// Print time of the last success, in seconds.
    pub last_print_time: Option<f64>,
    total_print_time: f64,
}

impl PrintStatistics {
    /// Returns the mean print time of the successful prints, in seconds.
    pub fn average_print_time(&self) -> Option<f64> {
        (self.success > 0).then(|| self.total_print_time / f64::from(self.success))
    }
}

/// A stored file.
#[derive(Debug, Clone)]
pub struct StoredFile {
    pub blob: Arc<Blob>,
    /// Seconds since 1970.
    pub date: i64,
    pub prints: PrintStatistics,
    /// Data from the upload, returned with the entry.
    pub userdata: Option<serde_json::Value>,
}

/// All files of a printer, by path.
#[derive(Debug, Default)]
pub struct FileStore {
    entries: BTreeMap<String, StoredFile>,
    folders: BTreeSet<String>,
    version: u64,
}

impl FileStore {
    /// Returns the number of changes. The strong ETag of `GET /api/files` contains it.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Returns the file at a path.
    pub fn get(&self, path: &str) -> Option<&StoredFile> {
        self.entries.get(path)
    }

    /// Returns the files in the order of their paths.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &StoredFile)> {
        self.entries.iter().map(|(path, entry)| (path.as_str(), entry))
    }

    /// Returns the folders in the order of their paths.
    pub fn folders(&self) -> impl Iterator<Item = &str> {
        self.folders.iter().map(String::as_str)
    }

    /// Stores a file. Overwriting a file with the same path resets its counters.
    pub fn put(&mut self, path: &str, blob: Arc<Blob>, userdata: Option<serde_json::Value>) {
        if let Some((folder, _)) = path.rsplit_once('/') {
            self.put_folder(folder);
        }
        self.version += 1;
        let entry = StoredFile { blob, date: unix_seconds(), prints: PrintStatistics::default(), userdata };
        self.entries.insert(path.to_owned(), entry);
    }

    /// Creates a folder and its parents.
    pub fn put_folder(&mut self, path: &str) {
        for (at, _) in path.match_indices('/').chain([(path.len(), "")]) {
            let folder = path.get(..at).unwrap_or_default();
            if !folder.is_empty() && self.folders.insert(folder.to_owned()) {
                self.version += 1;
            }
        }
    }

    /// Deletes a file, or a folder with its content. Returns `false` if the path does not exist.
    pub fn remove(&mut self, path: &str) -> bool {
        let below = format!("{path}/");
        let before = self.entries.len() + self.folders.len();
        self.entries.retain(|name, _| name != path && !name.starts_with(&below));
        self.folders.retain(|name| name != path && !name.starts_with(&below));
        let removed = self.entries.len() + self.folders.len() < before;
        self.version += u64::from(removed);
        removed
    }

    /// Returns a file in the form that the machine selects.
    pub fn to_selected(&self, path: &str) -> Option<SelectedFile> {
        let entry = self.entries.get(path)?;
        Some(SelectedFile {
            name: file_name(path).to_owned(),
            path: path.to_owned(),
            date: entry.date,
            blob: entry.blob.clone(),
        })
    }

    /// Counts a print that has ended.
    pub fn count_print(&mut self, ended: &EndedPrint) {
        let Some(entry) = self.entries.get_mut(&ended.path) else { return };
        let prints = &mut entry.prints;
        if ended.success {
            prints.success += 1;
            prints.total_print_time += ended.print_time;
            prints.last_print_time = Some(ended.print_time);
        } else {
            prints.failure += 1;
        }
        prints.last_print = Some((unix_time(), ended.success.then_some(ended.print_time)));
        self.version += 1;
    }
}

/// Returns the part of a path after its last slash.
pub fn file_name(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}

/// Returns a name as OctoPrint stores it: letters of any script, digits and `-_.()[] `.
pub fn sanitise_name(name: &str) -> String {
    let allowed: String = name.chars().filter(|c| c.is_alphanumeric() || "-_.()[] ".contains(*c)).collect();
    allowed.trim().trim_start_matches('.').to_owned()
}

/// Returns seconds since 1970 with their fraction, as OctoPrint reports times of events.
pub fn unix_time() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

/// Returns whole seconds since 1970, as OctoPrint reports dates of files.
pub fn unix_seconds() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// A print that has ended, for the counters of its file.
#[derive(Debug, Clone, PartialEq)]
pub struct EndedPrint {
    pub path: String,
    pub success: bool,
    /// Print time of a success, in seconds.
    pub print_time: f64,
}

/// The selected file.
#[derive(Debug, Clone)]
pub struct SelectedFile {
    pub name: String,
    pub path: String,
    /// Seconds since 1970.
    pub date: i64,
    pub blob: Arc<Blob>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_bytes_are_stored_once() {
        let blobs = BlobStore::default();
        assert!(Arc::ptr_eq(&blobs.intern(b"G4".to_vec()), &blobs.intern(b"G4".to_vec())));
    }

    #[test]
    fn overwriting_a_file_drops_its_counters() {
        let (blobs, mut files) = (BlobStore::default(), FileStore::default());
        files.put("a/b.gcode", blobs.intern(b"G4".to_vec()), None);
        files.count_print(&EndedPrint { path: "a/b.gcode".to_owned(), success: true, print_time: 2.0 });
        assert_eq!(files.get("a/b.gcode").map(|entry| entry.prints.success), Some(1));
        files.put("a/b.gcode", blobs.intern(b"G4".to_vec()), None);
        assert_eq!(files.get("a/b.gcode").map(|entry| entry.prints.success), Some(0));
        assert_eq!(files.folders().collect::<Vec<_>>(), ["a"]);
    }

    #[test]
    fn names_lose_characters_that_octoprint_removes() {
        assert_eq!(sanitise_name("Ünï cödé & (1).gcode"), "Ünï cödé  (1).gcode");
    }
}
