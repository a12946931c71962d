//! Limits the memory that the list of a zip archive's entries needs.
//!
//! The crate `zip` keeps all entries in memory, and allocates for as many as the archive declares. So the declared
//! number is checked first, and the bytes that are read for the list are limited.

use std::{
    io::{self, Read, Seek, SeekFrom},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use super::Sliced3mfError;

/// The number of entries that an archive may have. Without the zip64 extension, a zip archive cannot have more.
const MAX_ENTRIES: u64 = 65_535;
/// The number of bytes that may be read for the list of entries. A sliced 3MF file needs less than 64 KiB.
const MAX_DIRECTORY_BYTES: u64 = 4 << 20;

const LOCATOR_SIGNATURE: &[u8] = b"PK\x06\x07";
const LOCATOR_BYTES: usize = 20;
const ZIP64_END_SIGNATURE: [u8; 4] = *b"PK\x06\x06";
/// The end of the file that may contain a locator: the locator, the end record (22 bytes) and its comment.
const TAIL_BYTES: u64 = LOCATOR_BYTES as u64 + 22 + 4 + 65_536;

/// A reader that fails after some bytes, until the limit is removed.
pub(super) struct DirectoryReader<R> {
    inner: R,
    left: Arc<AtomicU64>,
}

/// Removes the limit of a [`DirectoryReader`] that another owner has.
pub(super) struct DirectoryLimit(Arc<AtomicU64>);

impl DirectoryLimit {
    pub(super) fn remove(self) {
        self.0.store(u64::MAX, Ordering::Relaxed);
    }
}

impl<R: Read + Seek> DirectoryReader<R> {
    pub(super) fn new(inner: R) -> Self {
        Self { inner, left: Arc::new(AtomicU64::new(MAX_DIRECTORY_BYTES)) }
    }

    pub(super) fn limit(&self) -> DirectoryLimit {
        DirectoryLimit(Arc::clone(&self.left))
    }

    /// Fails if a zip64 end record declares too many entries. Checks each place where one may be.
    pub(super) fn check_entry_count(&mut self) -> Result<(), Sliced3mfError> {
        let length = self.inner.seek(SeekFrom::End(0)).map_err(Sliced3mfError::Io)?;
        let mut tail = Vec::new();
        self.inner.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES))).map_err(Sliced3mfError::Io)?;
        self.inner.by_ref().take(TAIL_BYTES).read_to_end(&mut tail).map_err(Sliced3mfError::Io)?;
        for locator in tail.windows(LOCATOR_BYTES).filter(|bytes| bytes.starts_with(LOCATOR_SIGNATURE)) {
            let [_, _, _, _, _, _, _, _, o0, o1, o2, o3, o4, o5, o6, o7, ..] = *locator else { continue };
            let offset = u64::from_le_bytes([o0, o1, o2, o3, o4, o5, o6, o7]);
            if offset < length && self.declared_entries(offset).map_err(Sliced3mfError::Io)? > MAX_ENTRIES {
                return Err(Sliced3mfError::TooManyEntries);
            }
        }
        Ok(())
    }

    /// Returns the number of entries that a zip64 end record at `offset` declares, or 0 if no such record is there.
    fn declared_entries(&mut self, offset: u64) -> io::Result<u64> {
        self.inner.seek(SeekFrom::Start(offset))?;
        // Signature, size (8 bytes), versions (4), disks (8), entries on this disk (8), entries (8).
        let mut record = [0; 40];
        match self.inner.read_exact(&mut record) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(0),
            result => result?,
        }
        let [s0, s1, s2, s3, .., n0, n1, n2, n3, n4, n5, n6, n7] = record;
        let entries = u64::from_le_bytes([n0, n1, n2, n3, n4, n5, n6, n7]);
        Ok(if [s0, s1, s2, s3] == ZIP64_END_SIGNATURE { entries } else { 0 })
    }
}

impl<R: Read> Read for DirectoryReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        let left = self.left.load(Ordering::Relaxed);
        if left != u64::MAX {
            let rest = left.checked_sub(count as u64).ok_or(io::ErrorKind::FileTooLarge)?;
            self.left.store(rest, Ordering::Relaxed);
        }
        Ok(count)
    }
}

impl<R: Seek> Seek for DirectoryReader<R> {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        self.inner.seek(position)
    }
}
