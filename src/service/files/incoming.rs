//! Receives a file of the library: writes, hashes and analyses it in one pass, within the quota.

use std::{
    io::{self, Write},
    path::PathBuf,
};

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::{
    analysis::{AnalysisError, AnalyzedContent, ContentAnalyzer},
    content_store::IncomingBytes,
    hex,
};
use crate::{
    domain::{file::MAX_FILE_BYTES, message::Message},
    service::{
        Services,
        error::{Error, StorageSpace},
        uploads::UploadSlot,
    },
    storage,
};

/// Bytes that are written, hashed and analysed at once, on a thread for blocking work.
const PIECE_BYTES: usize = 256 * 1024;

/// A file that is being received. Dropping it deletes what was received.
pub struct IncomingFile {
    /// `None` while a piece is processed, and after an error.
    writer: Option<Box<ContentWriter>>,
    /// Bytes that are not processed yet.
    pending: Vec<u8>,
    size: u64,
    slot: UploadSlot,
    counted: IncomingBytes,
    /// Bytes that the quota still allows.
    allowed: u64,
}

struct ContentWriter {
    file: std::fs::File,
    hash: Sha256,
    analyzer: ContentAnalyzer,
}

/// A content that was received whole and is synced to disk.
pub struct ReceivedContent {
    /// 64 hexadecimal digits.
    pub sha256: String,
    pub(super) size: u64,
    pub(super) analyzed: AnalyzedContent,
    /// Path of the temporary file.
    pub(super) path: PathBuf,
    /// Deletes the temporary file if the content is not stored.
    _slot: UploadSlot,
    _counted: IncomingBytes,
}

impl ContentWriter {
    fn push(&mut self, piece: &[u8]) -> Result<(), AnalysisError> {
        self.hash.update(piece);
        self.file.write_all(piece)?;
        self.analyzer.push(piece)
    }

    fn finish(self) -> Result<(String, AnalyzedContent), AnalysisError> {
        let Self { mut file, hash, analyzer } = self;
        file.sync_all()?;
        io::Seek::rewind(&mut file)?;
        let analyzed = analyzer.finish(io::BufReader::new(file))?;
        Ok((hex(&hash.finalize()), analyzed))
    }
}

impl Services {
    /// Starts to receive a file with this name. `length` is the length of the request, if it is known: a file that cannot
    /// fit is refused before it is sent. The caller takes the slot before it reads the body.
    pub async fn receive_file(&self, slot: UploadSlot, name: &str, length: Option<u64>) -> Result<IncomingFile, Error> {
        let counted = self.contents.count_incoming();
        let allowed = self.check_library_space(length).await?;
        let file = slot.create().await.map_err(disk_error)?.into_std().await;
        let writer = ContentWriter { file, hash: Sha256::new(), analyzer: ContentAnalyzer::new(name) };
        Ok(IncomingFile { writer: Some(Box::new(writer)), pending: Vec::new(), size: 0, slot, counted, allowed })
    }

    /// Returns the bytes that the quota still allows. Fails if a request of this length cannot fit.
    pub async fn check_library_space(&self, length: Option<u64>) -> Result<u64, Error> {
        let exceeds = |limit: u64| length.is_some_and(|length| length > limit.saturating_add(PIECE_BYTES as u64));
        if exceeds(MAX_FILE_BYTES) {
            return Err(Error::TooLarge(Message::new("refusal-file-too-large")));
        }
        let used = storage::files::total_size(&self.db).await? + self.contents.incoming_bytes();
        let allowed = self.settings.files_quota.saturating_sub(used);
        if allowed == 0 || exceeds(allowed) { Err(self.quota_exceeded()) } else { Ok(allowed) }
    }

    fn quota_exceeded(&self) -> Error {
        let gigabytes = self.settings.files_quota / 1_000_000_000;
        let detail = Message::new("refusal-files-quota").with("gigabytes", gigabytes);
        Error::NoSpace { space: StorageSpace::Quota, detail }
    }

    /// Appends bytes to a file that is being received.
    pub async fn push_to_file(&self, incoming: &mut IncomingFile, bytes: Bytes) -> Result<(), Error> {
        let length = bytes.len() as u64;
        incoming.size += length;
        if incoming.size > MAX_FILE_BYTES {
            return Err(Error::TooLarge(Message::new("refusal-file-too-large")));
        }
        if incoming.size > incoming.allowed {
            return Err(self.quota_exceeded());
        }
        incoming.slot.reserve(length)?;
        incoming.counted.add(length);
        incoming.pending.extend_from_slice(&bytes);
        if incoming.pending.len() >= PIECE_BYTES { incoming.process_pending().await } else { Ok(()) }
    }
}

impl IncomingFile {
    /// Writes, hashes and analyses the pending bytes.
    async fn process_pending(&mut self) -> Result<(), Error> {
        let Some(mut writer) = self.writer.take() else {
            return Err(Error::Internal("a file is received after an error".to_owned()));
        };
        let mut piece = std::mem::take(&mut self.pending);
        let work = tokio::task::spawn_blocking(move || {
            let result = writer.push(&piece);
            piece.clear();
            (writer, piece, result)
        });
        let (writer, piece, result) = work.await.map_err(panicked)?;
        result.map_err(analysis_error)?;
        (self.writer, self.pending) = (Some(writer), piece);
        Ok(())
    }

    /// Processes the rest, and syncs the content to disk.
    pub async fn finish(mut self) -> Result<ReceivedContent, Error> {
        if !self.pending.is_empty() {
            self.process_pending().await?;
        }
        let Some(writer) = self.writer.take() else {
            return Err(Error::Internal("a file is finished after an error".to_owned()));
        };
        let work = tokio::task::spawn_blocking(move || writer.finish());
        let (sha256, analyzed) = work.await.map_err(panicked)?.map_err(analysis_error)?;
        let path = self.slot.path().to_owned();
        Ok(ReceivedContent { sha256, size: self.size, analyzed, path, _slot: self.slot, _counted: self.counted })
    }
}

fn analysis_error(error: AnalysisError) -> Error {
    match error {
        AnalysisError::UnknownFormat(detail) => Error::UnknownFormat(detail),
        AnalysisError::TooLarge => Error::TooLarge(Message::new("refusal-file-too-large")),
        AnalysisError::Io(error) => disk_error(error),
    }
}

/// Returns the error for a failure of the disk.
pub(super) fn disk_error(error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            Error::NoSpace { space: StorageSpace::Disk, detail: Message::new("refusal-disk-full") }
        }
        _ => Error::Internal(format!("a file cannot be kept on disk: {error}")),
    }
}

pub(super) fn panicked(error: tokio::task::JoinError) -> Error {
    Error::Internal(format!("a task that reads a file ended: {error}"))
}
