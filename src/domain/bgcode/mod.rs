//! Push decoder for binary G-code (`.bgcode`): bytes in, metadata, thumbnails and G-code text out.
//!
//! A file is a header and a sequence of blocks. A block has a header, parameters, data and a checksum. G-code is
//! decoded while it arrives, so memory grows neither with a block nor with the file. Source: `doc/specifications.md` of
//! github.com/prusa3d/libbgcode.

mod block;
mod decoder;
mod decompress;
mod error;
mod gcode;
mod heatshrink;
mod meatpack;
mod payload;

#[cfg(test)]
mod tests;

pub use self::{decoder::BgcodeDecoder, error::BgcodeError};
use super::gcode::ThumbnailKind;

/// The first bytes of a binary G-code file.
pub const BGCODE_MAGIC: [u8; 4] = *b"GCDE";
/// The limit of [`BgcodeDecoder::new`] for decoded data, in bytes.
pub const DEFAULT_DECODED_LIMIT_BYTES: u64 = 4 << 30;
/// The largest metadata block after decompression, in bytes. A larger one is an error.
pub const MAX_METADATA_BYTES: u32 = 1 << 20;
/// The largest thumbnail after decompression, in bytes. A larger one is skipped.
pub const MAX_THUMBNAIL_BYTES: u32 = 1 << 20;
/// The number of thumbnails that a file may have. Further ones are skipped.
pub const MAX_THUMBNAILS: u32 = 16;
/// The largest piece of text that [`BgcodeSink::gcode`] receives, in bytes.
pub const MAX_GCODE_PIECE_BYTES: usize = 64 * 1024;

/// A kind of metadata block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MetadataBlock {
    /// The program that made the file.
    File,
    /// Facts for the printer, such as its model and nozzle.
    Printer,
    /// Facts of the print, such as its time and filament.
    Print,
    /// The slicer's configuration.
    Slicer,
}

/// Receives the content of a binary G-code file.
///
/// Metadata and thumbnails arrive after their checksum was verified. G-code arrives before that. So discard the G-code
/// if the decoder fails.
pub trait BgcodeSink {
    /// Receives one entry of a metadata block, in the file's order. A block in JSON is one entry with an empty key.
    /// Bytes that are not UTF-8 are replaced.
    fn metadata(&mut self, block: MetadataBlock, key: &str, value: &str);
    /// Receives a thumbnail. Its size in pixels is the one that the file declares. Its data is not checked.
    fn thumbnail(&mut self, kind: ThumbnailKind, width: u16, height: u16, data: Vec<u8>);
    /// Receives the next bytes of the G-code as text, at most [`MAX_GCODE_PIECE_BYTES`]. Pieces may end within a line.
    fn gcode(&mut self, text: &[u8]);
}
