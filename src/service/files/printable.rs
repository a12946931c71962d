//! The text that printers get of a content. Binary G-code and sliced projects are decoded first, once for all transfers
//! that run at the same time.

use std::{
    collections::HashMap,
    fs,
    io::{self, BufWriter, Read, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, Weak},
};

use futures_util::StreamExt;
use tokio::{fs::File, sync::Mutex as AsyncMutex};
use tokio_util::io::ReaderStream;

use super::{
    content_missing,
    incoming::{disk_error, panicked},
};
use crate::{
    clock,
    domain::{
        bgcode::{BgcodeDecoder, BgcodeSink, MetadataBlock},
        file::{FileFormat, MAX_FILE_BYTES},
        gcode::ThumbnailKind,
        sliced_3mf::Sliced3mf,
    },
    outbound::Body,
    service::{Services, error::Error},
    storage::files::PrintText,
};

/// Bytes that are read from disk at once.
const PIECE_BYTES: usize = 64 * 1024;

/// Decoded texts of running transfers, by content.
#[derive(Debug, Default)]
pub(crate) struct DecodedTexts(Mutex<HashMap<String, Arc<AsyncMutex<Weak<DecodedText>>>>>);

/// A decoded text on disk. It is deleted with its last transfer, or else at the next start.
#[derive(Debug)]
struct DecodedText(PathBuf);

impl Drop for DecodedText {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

impl DecodedTexts {
    /// Returns the slot of a content. The holder of its lock decodes.
    fn slot(&self, sha256: &str) -> Arc<AsyncMutex<Weak<DecodedText>>> {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        slots
            .retain(|_, slot| Arc::strong_count(slot) > 1 || slot.try_lock().is_ok_and(|text| text.strong_count() > 0));
        slots.entry(sha256.to_owned()).or_default().clone()
    }
}

impl Services {
    /// Returns the text of a content as a body. It is streamed from disk and never kept in memory.
    pub(in crate::service) async fn print_text_body(&self, sha256: &str, text: &PrintText) -> Result<Body, Error> {
        let (path, decoded) = match text.format {
            FileFormat::Gcode => (self.contents.path(sha256), None),
            FileFormat::Bgcode | FileFormat::Gcode3mf => {
                let decoded = self.decoded_text(sha256, text.format).await?;
                (decoded.0.clone(), Some(decoded))
            }
        };
        let file = match File::open(path).await {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(content_missing()),
            Err(error) => return Err(disk_error(error)),
        };
        let pieces = ReaderStream::with_capacity(file, PIECE_BYTES).map(move |piece| {
            // Keeps the decoded text until the body ends.
            let _ = &decoded;
            piece
        });
        Ok(Body::wrap_stream(pieces))
    }

    async fn decoded_text(&self, sha256: &str, format: FileFormat) -> Result<Arc<DecodedText>, Error> {
        let slot = self.decoded_texts.slot(sha256);
        let mut decoded = slot.lock().await;
        if let Some(text) = decoded.upgrade() {
            return Ok(text);
        }
        let (source, target) = (self.contents.path(sha256), self.uploads.folder().join(clock::new_id().to_string()));
        let text = Arc::new(DecodedText(target.clone()));
        let work = tokio::task::spawn_blocking(move || decode(&source, &target, format));
        match work.await.map_err(panicked)? {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(content_missing()),
            Err(error) => return Err(disk_error(error)),
        }
        *decoded = Arc::downgrade(&text);
        Ok(text)
    }
}

/// Writes the text of a content to a new file. Blocks.
fn decode(source: &Path, target: &Path, format: FileFormat) -> io::Result<()> {
    let mut source = fs::File::open(source)?;
    let mut options = fs::File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut target = TextFile { file: BufWriter::new(options.open(target)?), error: None };
    match format {
        FileFormat::Gcode => drop(io::copy(&mut source, &mut target.file)?),
        FileFormat::Gcode3mf => {
            let mut archive = Sliced3mf::open(source).map_err(io::Error::other)?;
            let plate = archive.plates().first().copied().unwrap_or_default();
            let mut plate = archive.gcode(plate, MAX_FILE_BYTES).map_err(io::Error::other)?;
            io::copy(&mut plate, &mut target.file)?;
        }
        FileFormat::Bgcode => {
            let mut decoder = BgcodeDecoder::with_limit(MAX_FILE_BYTES);
            let mut piece = vec![0; PIECE_BYTES];
            loop {
                let read = source.read(&mut piece)?;
                if read == 0 {
                    break;
                }
                decoder.push(&piece[..read], &mut target).map_err(io::Error::other)?;
                if let Some(error) = target.error.take() {
                    return Err(error);
                }
            }
            decoder.finish().map_err(io::Error::other)?;
        }
    }
    target.file.flush()
}

/// Receives the text of binary G-code.
struct TextFile {
    file: BufWriter<fs::File>,
    error: Option<io::Error>,
}

impl BgcodeSink for TextFile {
    fn metadata(&mut self, _: MetadataBlock, _: &str, _: &str) {}

    fn thumbnail(&mut self, _: ThumbnailKind, _: u16, _: u16, _: Vec<u8>) {}

    fn gcode(&mut self, text: &[u8]) {
        if self.error.is_none() {
            self.error = self.file.write_all(text).err();
        }
    }
}
