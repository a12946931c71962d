//! Contents on disk: `<data>/files/<sha256>`. A content is written to a temporary file, synced and renamed.
//!
//! The database has a row for each content that is in use. A kill between the rename and the row leaves a content without
//! a row, which the reconciler deletes after an hour.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use tokio::sync::{Mutex, MutexGuard};

use crate::domain::printer_content::is_sha256;

/// The folder of contents. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct ContentStore(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    folder: PathBuf,
    /// Held while a content gets its name and its row, and while an unused content is deleted.
    names: Mutex<()>,
    /// Bytes of uploads that are not stored yet. They count for the quota.
    incoming: AtomicU64,
}

/// Bytes of an upload that count for the quota until this value is dropped.
#[derive(Debug)]
pub(super) struct IncomingBytes {
    store: ContentStore,
    bytes: u64,
}

impl ContentStore {
    /// Creates the folder `files` in the data folder. If this fails, everything except the library works.
    pub fn open(data_dir: &Path) -> Self {
        let folder = data_dir.join("files");
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        if let Err(error) = builder.create(&folder) {
            tracing::error!(%error, folder = %folder.display(), "the folder of the library cannot be used");
        }
        Self(Arc::new(Shared { folder, names: Mutex::default(), incoming: AtomicU64::default() }))
    }

    /// Returns the path of a content.
    pub fn path(&self, sha256: &str) -> PathBuf {
        self.0.folder.join(sha256)
    }

    /// Waits until no other content gets its name or is deleted.
    pub(super) async fn lock_names(&self) -> MutexGuard<'_, ()> {
        self.0.names.lock().await
    }

    /// Gives a synced temporary file the name of its content, and syncs the folder. Blocks.
    pub(super) fn adopt(&self, temporary: &Path, sha256: &str) -> io::Result<()> {
        fs::rename(temporary, self.path(sha256))?;
        #[cfg(unix)]
        fs::File::open(&self.0.folder)?.sync_all()?;
        Ok(())
    }

    /// Starts to count the bytes of an upload.
    pub(super) fn count_incoming(&self) -> IncomingBytes {
        IncomingBytes { store: self.clone(), bytes: 0 }
    }

    /// Returns the bytes of uploads that are not stored yet.
    pub(super) fn incoming_bytes(&self) -> u64 {
        self.0.incoming.load(Ordering::Relaxed)
    }

    /// Returns the contents on disk that are older than `age`. Other names in the folder are ignored. Blocks.
    pub(super) fn list_older_than(&self, age: Duration) -> io::Result<Vec<String>> {
        let mut old = Vec::new();
        for entry in fs::read_dir(&self.0.folder)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            if is_sha256(&name) && self.is_older_than(&name, age) {
                old.push(name);
            }
        }
        Ok(old)
    }

    /// Returns whether a content was written more than `age` ago. A time in the future is not old. Blocks.
    fn is_older_than(&self, sha256: &str, age: Duration) -> bool {
        let modified = fs::metadata(self.path(sha256)).and_then(|metadata| metadata.modified());
        modified.is_ok_and(|at| SystemTime::now().duration_since(at).is_ok_and(|since| since > age))
    }

    /// Deletes a content that is older than `age`. Call it with the names locked. Blocks.
    pub(super) fn delete_older_than(&self, sha256: &str, age: Duration) -> io::Result<bool> {
        if !self.is_older_than(sha256, age) {
            return Ok(false);
        }
        fs::remove_file(self.path(sha256))?;
        Ok(true)
    }

    /// Returns whether the bytes of a content are on disk. Blocks.
    pub(super) fn exists(&self, sha256: &str) -> bool {
        self.path(sha256).is_file()
    }
}

impl IncomingBytes {
    /// Adds bytes. Returns the bytes of all uploads that are not stored yet.
    pub fn add(&mut self, bytes: u64) -> u64 {
        self.bytes += bytes;
        self.store.0.incoming.fetch_add(bytes, Ordering::Relaxed) + bytes
    }
}

impl Drop for IncomingBytes {
    fn drop(&mut self) {
        self.store.0.incoming.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
