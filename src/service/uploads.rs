//! Uploads in transit to printers. They are kept in a folder until they are sent. Their number and size are limited.

use std::{
    collections::HashMap,
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::{
    fs::File,
    sync::{OwnedSemaphorePermit, Semaphore},
};
use uuid::Uuid;

use super::{access::Principal, error::Error, transfer_locks::TransferLocks};
use crate::{clock, domain::message::Message};

/// Maximum number of concurrent uploads: of all principals, and of one.
const MAX_UPLOADS: usize = 64;
const MAX_UPLOADS_EACH: usize = 16;
/// Maximum number of stored bytes: of all uploads, and of those of one principal.
const MAX_BYTES: u64 = 16 * GIB;
const MAX_BYTES_EACH: u64 = 4 * GIB;
const GIB: u64 = 1024 * 1024 * 1024;

/// The folder of uploads, and its current use.
#[derive(Debug)]
pub(crate) struct Uploads {
    folder: PathBuf,
    slots: Arc<Semaphore>,
    principals: Mutex<HashMap<Option<Uuid>, Arc<PrincipalUsage>>>,
    bytes: AtomicU64,
    /// One upload is sent to a printer at a time.
    pub transfer_locks: TransferLocks,
}

/// Current use by the uploads of one principal.
#[derive(Debug)]
struct PrincipalUsage {
    slots: Arc<Semaphore>,
    bytes: AtomicU64,
}

/// Reserved slot of one upload. Its file is deleted when this value is dropped.
#[derive(Debug)]
pub struct UploadSlot {
    uploads: Arc<Uploads>,
    usage: Arc<PrincipalUsage>,
    bytes: u64,
    path: PathBuf,
    _permits: [OwnedSemaphorePermit; 2],
}

impl Uploads {
    /// Creates the folder `uploads` in the data folder, and deletes the leftovers of a previous run. If this fails,
    /// everything except uploads works.
    pub fn open(data_dir: &Path) -> Self {
        let folder = data_dir.join("uploads");
        if let Err(error) = prepare_folder(&folder) {
            tracing::error!(%error, folder = %folder.display(), "the upload folder cannot be used");
        }
        Self {
            folder,
            slots: Arc::new(Semaphore::new(MAX_UPLOADS)),
            principals: Mutex::default(),
            bytes: AtomicU64::default(),
            transfer_locks: TransferLocks::default(),
        }
    }

    /// Returns the folder. It is emptied at every start.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns a slot for one upload of a principal. The caller takes it before it reads the body.
    pub fn admit(self: &Arc<Self>, who: &Principal) -> Result<UploadSlot, Error> {
        let usage = {
            let mut principals = self.principals.lock().unwrap_or_else(PoisonError::into_inner);
            principals.retain(|_, usage| Arc::strong_count(usage) > 1);
            let new = || {
                Arc::new(PrincipalUsage {
                    slots: Arc::new(Semaphore::new(MAX_UPLOADS_EACH)),
                    bytes: AtomicU64::default(),
                })
            };
            principals.entry(who.owner()).or_insert_with(new).clone()
        };
        let own = usage.slots.clone().try_acquire_owned();
        let own = own.map_err(|_| Error::Busy(Message::new("refusal-too-many-own-uploads")))?;
        let permit = self.slots.clone().try_acquire_owned();
        let permit = permit.map_err(|_| Error::Busy(Message::new("refusal-too-many-uploads")))?;
        let path = self.folder.join(clock::new_id().to_string());
        Ok(UploadSlot { uploads: self.clone(), usage, bytes: 0, path, _permits: [own, permit] })
    }
}

fn prepare_folder(folder: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

impl UploadSlot {
    /// Creates the file of the upload.
    pub async fn create(&self) -> io::Result<File> {
        let mut options = File::options();
        options.read(true).write(true).create_new(true);
        #[cfg(unix)]
        options.mode(0o600);
        options.open(&self.path).await
    }

    /// Returns the path of the file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Reserves space for more bytes, before they are written.
    pub fn reserve(&mut self, bytes: u64) -> Result<(), Error> {
        self.bytes += bytes;
        let own = self.usage.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let all = self.uploads.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if own > MAX_BYTES_EACH || all > MAX_BYTES {
            return Err(Error::Busy(Message::new("refusal-no-upload-space")));
        }
        Ok(())
    }
}

impl Drop for UploadSlot {
    fn drop(&mut self) {
        self.usage.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
        self.uploads.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
        // A file that remains is deleted at the next start.
        let _ = std::fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::audit::ActorKind;

    fn principal(id: u128) -> Principal {
        Principal { user_id: Some(Uuid::from_u128(id)), ..Principal::server_admin(ActorKind::User) }
    }

    #[tokio::test]
    async fn uploads_are_bounded_in_number_and_bytes_for_each_principal_and_in_all() {
        let data = tempfile::tempdir().expect("a temporary folder");
        let uploads = Arc::new(Uploads::open(data.path()));
        let mut held = Vec::new();
        for owner in 1..=4 {
            held.extend((0..20).filter_map(|_| uploads.admit(&principal(owner)).ok()));
            assert_eq!(held.len(), MAX_UPLOADS_EACH * usize::try_from(owner).expect("small"));
        }
        assert!(uploads.admit(&principal(5)).is_err(), "the server is full");
        held.truncate(1);
        let mut other = uploads.admit(&principal(5)).expect("there is room again");
        held[0].reserve(MAX_BYTES_EACH).expect("within its share");
        assert!(held[0].reserve(1).is_err());
        other.reserve(1).expect("another principal has its own share");
        drop(held);
        assert_eq!(uploads.bytes.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn files_are_deleted_with_their_slot_and_leftovers_at_the_next_start() {
        let data = tempfile::tempdir().expect("a temporary folder");
        let left = data.path().join("uploads/left");
        let files = || std::fs::read_dir(data.path().join("uploads")).expect("the folder exists").count();
        std::fs::create_dir_all(&left).expect("a leftover folder");
        let uploads = Arc::new(Uploads::open(data.path()));
        assert_eq!(files(), 0);
        let slot = uploads.admit(&principal(1)).expect("a free slot");
        slot.create().await.expect("the file is created");
        assert_eq!(files(), 1);
        drop(slot);
        assert_eq!(files(), 0);
    }
}
