//! Reader for sliced 3MF files (`.gcode.3mf`) of BambuStudio and OrcaSlicer: zip archives with the G-code of plates.
//!
//! Plate N has the entries `Metadata/plate_N.gcode` and `Metadata/plate_N.png`. Source: `GCODE_FILE_FORMAT` and
//! `THUMBNAIL_FILE_FORMAT` in `bbs_3mf.hpp` of github.com/bambulab/BambuStudio. Sizes that the archive declares are not
//! trusted: limits count the bytes that are read.

use std::io::{self, Read, Seek};

use zip::{
    CompressionMethod, ZipArchive,
    read::{ArchiveOffset, Config, ZipFile},
    result::ZipError,
};

use self::directory::DirectoryReader;

mod directory;

/// The largest thumbnail that is read, in bytes.
pub const MAX_PLATE_THUMBNAIL_BYTES: u64 = 1 << 20;

/// Why a sliced 3MF file could not be read. The texts are meant for users.
#[derive(Debug, thiserror::Error)]
pub enum Sliced3mfError {
    #[error("the file could not be read: {0}")]
    Io(#[source] io::Error),
    #[error("the file is not a valid zip archive: {0}")]
    InvalidArchive(String),
    #[error("the archive is encrypted")]
    Encrypted,
    #[error("the archive uses a feature that is not supported: {0}")]
    Unsupported(String),
    #[error("the archive has too many entries")]
    TooManyEntries,
    #[error("the archive has no G-code of plate {0}")]
    NoSuchPlate(u32),
    #[error("the thumbnail of plate {0} is larger than 1 MiB")]
    ThumbnailTooLarge(u32),
}

/// An open sliced 3MF file. It may have no plate: a project that is not sliced has the same format.
pub struct Sliced3mf<R> {
    archive: ZipArchive<DirectoryReader<R>>,
    plates: Vec<u32>,
}

impl<R: Read + Seek> Sliced3mf<R> {
    /// Reads the list of entries. Reads at most a few MiB, from the end of the file.
    pub fn open(reader: R) -> Result<Self, Sliced3mfError> {
        let mut reader = DirectoryReader::new(reader);
        reader.check_entry_count()?;
        let limit = reader.limit();
        // A fixed offset avoids a search over the whole file. 3MF files have no data before the archive.
        let config = Config { archive_offset: ArchiveOffset::Known(0) };
        let archive = ZipArchive::with_config(config, reader)?;
        limit.remove();
        let mut plates: Vec<u32> = archive.file_names_raw().filter_map(parse_plate_name).collect();
        plates.sort_unstable();
        Ok(Self { archive, plates })
    }

    /// Returns the numbers of the plates that have G-code, sorted.
    pub fn plates(&self) -> Vec<u32> {
        self.plates.clone()
    }

    /// Returns a reader for the G-code of a plate. Reading fails after `limit_bytes`, and if a checksum is wrong.
    pub fn gcode(&mut self, plate: u32, limit_bytes: u64) -> Result<impl Read + use<'_, R>, Sliced3mfError> {
        let file = self.entry(&gcode_name(plate))?.ok_or(Sliced3mfError::NoSuchPlate(plate))?;
        Ok(LimitedReader { inner: file, left: limit_bytes })
    }

    /// Returns the thumbnail of a plate, if it has one. It should be a PNG. Its data is not checked.
    pub fn thumbnail(&mut self, plate: u32) -> Result<Option<Vec<u8>>, Sliced3mfError> {
        let Some(file) = self.entry(&thumbnail_name(plate))? else { return Ok(None) };
        let mut data = Vec::new();
        file.take(MAX_PLATE_THUMBNAIL_BYTES + 1).read_to_end(&mut data).map_err(Sliced3mfError::Io)?;
        if data.len() as u64 > MAX_PLATE_THUMBNAIL_BYTES {
            return Err(Sliced3mfError::ThumbnailTooLarge(plate));
        }
        Ok(Some(data))
    }

    fn entry(&mut self, name: &str) -> Result<Option<ZipFile<'_, DirectoryReader<R>>>, Sliced3mfError> {
        match self.archive.by_name(name) {
            // The crate would report other methods at the first read only.
            Ok(file) => match file.compression() {
                CompressionMethod::Stored | CompressionMethod::Deflated => Ok(Some(file)),
                method => Err(Sliced3mfError::Unsupported(format!("compression method {method}"))),
            },
            Err(ZipError::FileNotFound) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

fn gcode_name(plate: u32) -> String {
    format!("Metadata/plate_{plate}.gcode")
}

fn thumbnail_name(plate: u32) -> String {
    format!("Metadata/plate_{plate}.png")
}

/// Returns the plate's number if `name` is exactly the name of a plate's G-code.
fn parse_plate_name(name: &[u8]) -> Option<u32> {
    let text = std::str::from_utf8(name).ok()?;
    let plate = text.strip_prefix("Metadata/plate_")?.strip_suffix(".gcode")?.parse().ok()?;
    (gcode_name(plate) == text).then_some(plate)
}

/// Fails after a number of bytes, so that truncated G-code is never taken for complete.
struct LimitedReader<T> {
    inner: T,
    left: u64,
}

impl<T: Read> Read for LimitedReader<T> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.left = self
            .left
            .checked_sub(count as u64)
            .ok_or_else(|| io::Error::new(io::ErrorKind::FileTooLarge, "the G-code of the plate is too large"))?;
        Ok(count)
    }
}

impl From<ZipError> for Sliced3mfError {
    fn from(error: ZipError) -> Self {
        match error {
            ZipError::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Self::InvalidArchive("it ends too early".to_owned())
            }
            ZipError::Io(error) if error.kind() == io::ErrorKind::FileTooLarge => Self::TooManyEntries,
            ZipError::Io(error) => Self::Io(error),
            ZipError::UnsupportedArchive(ZipError::PASSWORD_REQUIRED) | ZipError::InvalidPassword => Self::Encrypted,
            ZipError::UnsupportedArchive(feature) => Self::Unsupported(feature.to_owned()),
            ZipError::CompressionMethodNotSupported(method) => {
                Self::Unsupported(format!("compression method {method}"))
            }
            error => Self::InvalidArchive(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests;
