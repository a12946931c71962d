//! File header and block headers of binary G-code. All integers are little-endian.

use super::{BgcodeError, MetadataBlock};

/// Magic (4 bytes), version (4), checksum type (2).
pub(super) const FILE_HEADER_BYTES: usize = 10;
/// Type (2 bytes), compression (2), uncompressed size (4).
pub(super) const SHORT_HEADER_BYTES: usize = 8;
/// A short header and the compressed size (4 bytes).
pub(super) const LONG_HEADER_BYTES: usize = 12;
pub(super) const CRC32_BYTES: usize = 4;

/// Slicers write at most two slicer metadata blocks: one in INI and one in JSON.
const MAX_SLICER_BLOCKS: u8 = 2;

/// Parses the file header. Returns whether each block has a CRC-32.
pub(super) fn parse_file_header(header: &[u8; FILE_HEADER_BYTES]) -> Result<bool, BgcodeError> {
    let [magic @ .., v0, v1, v2, v3, c0, c1] = *header;
    if magic != *b"GCDE" {
        return Err(BgcodeError::WrongMagic);
    }
    match u32::from_le_bytes([v0, v1, v2, v3]) {
        1 => {}
        version => return Err(BgcodeError::UnsupportedVersion(version)),
    }
    match u16::from_le_bytes([c0, c1]) {
        0 => Ok(false),
        1 => Ok(true),
        checksum => Err(BgcodeError::UnsupportedChecksum(checksum)),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BlockKind {
    Metadata(MetadataBlock),
    Thumbnail,
    Gcode,
    Unknown,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct BlockHeader {
    pub(super) kind: BlockKind,
    /// The block type as the file has it, for errors.
    pub(super) number: u16,
    pub(super) compression: u16,
    /// Size of the data after decompression, in bytes.
    pub(super) decoded_size: u32,
    /// Size of the data in the file, in bytes.
    pub(super) stored_size: u32,
}

impl BlockHeader {
    /// Returns the length of the header, in bytes, from its first 8 bytes.
    pub(super) fn length(start: &[u8; SHORT_HEADER_BYTES]) -> usize {
        let [_, _, c0, c1, ..] = *start;
        if u16::from_le_bytes([c0, c1]) == 0 { SHORT_HEADER_BYTES } else { LONG_HEADER_BYTES }
    }

    /// Parses a header. The last four bytes are ignored if the block is not compressed.
    pub(super) fn parse(bytes: &[u8; LONG_HEADER_BYTES]) -> Self {
        let [t0, t1, c0, c1, u0, u1, u2, u3, s0, s1, s2, s3] = *bytes;
        let number = u16::from_le_bytes([t0, t1]);
        let compression = u16::from_le_bytes([c0, c1]);
        let decoded_size = u32::from_le_bytes([u0, u1, u2, u3]);
        let stored_size = if compression == 0 { decoded_size } else { u32::from_le_bytes([s0, s1, s2, s3]) };
        let kind = match number {
            0 => BlockKind::Metadata(MetadataBlock::File),
            1 => BlockKind::Gcode,
            2 => BlockKind::Metadata(MetadataBlock::Slicer),
            3 => BlockKind::Metadata(MetadataBlock::Printer),
            4 => BlockKind::Metadata(MetadataBlock::Print),
            5 => BlockKind::Thumbnail,
            _ => BlockKind::Unknown,
        };
        Self { kind, number, compression, decoded_size, stored_size }
    }

    /// Returns the length of the parameters between the header and the data, in bytes. It is not known for unknown
    /// block types. The reference library assumes none.
    pub(super) fn parameter_bytes(&self) -> usize {
        match self.kind {
            BlockKind::Metadata(_) | BlockKind::Gcode => 2,
            BlockKind::Thumbnail => 6,
            BlockKind::Unknown => 0,
        }
    }
}

/// Checks the order of blocks: file, printer, thumbnails, print, slicer, G-code. Missing metadata blocks are accepted.
#[derive(Debug, Default)]
pub(super) struct BlockOrder {
    position: u8,
    /// The number of blocks at this position. It stops at 255, which means any number.
    count: u8,
}

impl BlockOrder {
    /// Fails if `header` may not follow the blocks that were checked before.
    pub(super) fn check(&mut self, header: &BlockHeader) -> Result<(), BgcodeError> {
        let (position, max_count) = match header.kind {
            BlockKind::Metadata(MetadataBlock::File) => (1, 1),
            BlockKind::Metadata(MetadataBlock::Printer) => (2, 1),
            BlockKind::Thumbnail => (3, u8::MAX),
            BlockKind::Metadata(MetadataBlock::Print) => (4, 1),
            BlockKind::Metadata(MetadataBlock::Slicer) => (5, MAX_SLICER_BLOCKS),
            BlockKind::Gcode => (6, u8::MAX),
            BlockKind::Unknown => return Ok(()),
        };
        if position > self.position {
            *self = Self { position, count: 0 };
        }
        self.count = self.count.saturating_add(1);
        if position < self.position || self.count > max_count {
            return Err(BgcodeError::WrongBlockOrder(header.number));
        }
        Ok(())
    }

    /// Returns whether a G-code block was checked.
    pub(super) fn has_gcode(&self) -> bool {
        self.position == 6
    }
}
