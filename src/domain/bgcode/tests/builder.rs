//! Builds binary G-code files, and records what the decoder sends.

use std::io::Write;

use flate2::{Compression, Crc, write::ZlibEncoder};

use super::super::{BgcodeDecoder, BgcodeError, BgcodeSink, MetadataBlock, ThumbnailKind};

pub const FILE: u16 = 0;
pub const GCODE: u16 = 1;
pub const SLICER: u16 = 2;
pub const PRINTER: u16 = 3;
pub const PRINT: u16 = 4;
pub const THUMBNAIL: u16 = 5;

/// Builds a file, with a CRC-32 for each block.
pub struct FileBuilder(pub Vec<u8>);

impl FileBuilder {
    pub fn new() -> Self {
        Self(b"GCDE\x01\0\0\0\x01\0".to_vec())
    }

    /// Adds a block that is not compressed.
    pub fn block(self, kind: u16, parameters: &[u16], data: &[u8]) -> Self {
        let size = data.len() as u32;
        self.raw_block(kind, 0, &[size], parameters, data)
    }

    /// Adds a block in deflate.
    pub fn deflated(self, kind: u16, parameters: &[u16], data: &[u8]) -> Self {
        let compressed = deflate(data);
        let sizes = [data.len() as u32, compressed.len() as u32];
        self.raw_block(kind, 1, &sizes, parameters, &compressed)
    }

    /// Adds a block with the given header fields, and the right checksum.
    pub fn raw_block(mut self, kind: u16, compression: u16, sizes: &[u32], parameters: &[u16], data: &[u8]) -> Self {
        let start = self.0.len();
        self.0.extend(kind.to_le_bytes());
        self.0.extend(compression.to_le_bytes());
        self.0.extend(sizes.iter().flat_map(|size| size.to_le_bytes()));
        self.0.extend(parameters.iter().flat_map(|parameter| parameter.to_le_bytes()));
        self.0.extend(data);
        let mut crc = Crc::new();
        crc.update(&self.0[start..]);
        self.0.extend(crc.sum().to_le_bytes());
        self
    }

    pub fn decode(&self) -> Result<Recorder, BgcodeError> {
        Recorder::decode_chunks([self.0.as_slice()])
    }
}

pub fn deflate(data: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(data).expect("a Vec accepts all");
    encoder.finish().expect("a Vec accepts all")
}

/// Records events. Consecutive pieces of text are joined.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Recorder {
    pub metadata: Vec<(MetadataBlock, String, String)>,
    pub thumbnails: Vec<(ThumbnailKind, u16, u16, Vec<u8>)>,
    pub text: Vec<u8>,
}

impl Recorder {
    pub fn decode_chunks<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> Result<Self, BgcodeError> {
        let mut recorder = Self::default();
        let mut decoder = BgcodeDecoder::new();
        for chunk in chunks {
            decoder.push(chunk, &mut recorder)?;
        }
        decoder.finish()?;
        Ok(recorder)
    }
}

impl BgcodeSink for Recorder {
    fn metadata(&mut self, block: MetadataBlock, key: &str, value: &str) {
        self.metadata.push((block, key.to_owned(), value.to_owned()));
    }

    fn thumbnail(&mut self, kind: ThumbnailKind, width: u16, height: u16, data: Vec<u8>) {
        self.thumbnails.push((kind, width, height, data));
    }

    fn gcode(&mut self, text: &[u8]) {
        self.text.extend_from_slice(text);
    }
}
