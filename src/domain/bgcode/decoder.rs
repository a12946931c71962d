//! The state machine over the file header and the parts of blocks.

use flate2::Crc;

use super::{
    BgcodeError, BgcodeSink, DEFAULT_DECODED_LIMIT_BYTES,
    block::{
        BlockHeader, BlockOrder, CRC32_BYTES, FILE_HEADER_BYTES, LONG_HEADER_BYTES, SHORT_HEADER_BYTES,
        parse_file_header,
    },
    payload::{Payload, Workspace},
};

/// Decodes one binary G-code file. It needs about 150 KiB of memory for G-code, and at most 5 MiB for metadata.
pub struct BgcodeDecoder {
    part: Part,
    field: Field,
    has_checksums: bool,
    crc: Crc,
    order: BlockOrder,
    workspace: Workspace,
    error: Option<BgcodeError>,
}

/// The part of the file that is read next.
enum Part {
    FileHeader,
    BlockHeader,
    Parameters(BlockHeader),
    Data { payload: Payload, left: u32 },
    Checksum(Payload),
}

/// Collects a header, parameters or a checksum. These may be cut anywhere.
#[derive(Default)]
struct Field {
    bytes: [u8; LONG_HEADER_BYTES],
    filled: usize,
}

impl Field {
    /// Moves bytes from `input` until `length` bytes are collected. Returns whether they are.
    fn fill(&mut self, input: &mut &[u8], length: usize) -> bool {
        let count = length.saturating_sub(self.filled).min(input.len());
        let (taken, rest) = input.split_at(count);
        self.bytes[self.filled..self.filled + count].copy_from_slice(taken);
        self.filled += count;
        *input = rest;
        self.filled >= length
    }

    /// Returns the first `N` bytes. `N` is at most 12.
    fn start<const N: usize>(&self) -> [u8; N] {
        std::array::from_fn(|index| self.bytes[index])
    }
}

impl Default for BgcodeDecoder {
    fn default() -> Self {
        Self::new()
    }
}

impl BgcodeDecoder {
    /// Creates a decoder that decodes at most [`DEFAULT_DECODED_LIMIT_BYTES`].
    pub fn new() -> Self {
        Self::with_limit(DEFAULT_DECODED_LIMIT_BYTES)
    }

    /// Creates a decoder that fails if the G-code text, or all decompressed data, is larger than `limit_bytes`.
    pub fn with_limit(limit_bytes: u64) -> Self {
        Self {
            part: Part::FileHeader,
            field: Field::default(),
            has_checksums: false,
            crc: Crc::new(),
            order: BlockOrder::default(),
            workspace: Workspace::new(limit_bytes),
            error: None,
        }
    }

    /// Decodes the next bytes of the file, which may be cut anywhere. After an error, each call returns this error.
    pub fn push(&mut self, bytes: &[u8], sink: &mut dyn BgcodeSink) -> Result<(), BgcodeError> {
        if let Some(error) = &self.error {
            return Err(error.clone());
        }
        let mut input = bytes;
        loop {
            match self.read_part(&mut input, sink) {
                Ok(true) => {}
                Ok(false) => return Ok(()),
                Err(error) => return Err(self.error.insert(error).clone()),
            }
        }
    }

    /// Checks that the file is complete. Fails if it ends within a block or has no G-code block, or if `push` failed.
    pub fn finish(self) -> Result<(), BgcodeError> {
        match self.part {
            _ if let Some(error) = self.error => Err(error),
            Part::BlockHeader if self.field.filled > 0 => Err(BgcodeError::Truncated),
            Part::BlockHeader if self.order.has_gcode() => Ok(()),
            Part::BlockHeader => Err(BgcodeError::NoGcode),
            _ => Err(BgcodeError::Truncated),
        }
    }

    /// Reads from the current part. Returns whether the part is complete and the next one follows.
    fn read_part(&mut self, input: &mut &[u8], sink: &mut dyn BgcodeSink) -> Result<bool, BgcodeError> {
        match &mut self.part {
            Part::FileHeader => {
                if !self.field.fill(input, FILE_HEADER_BYTES) {
                    return Ok(false);
                }
                self.has_checksums = parse_file_header(&self.field.start())?;
                self.enter(Part::BlockHeader);
            }
            Part::BlockHeader => {
                if !self.field.fill(input, SHORT_HEADER_BYTES) {
                    return Ok(false);
                }
                let length = BlockHeader::length(&self.field.start());
                if !self.field.fill(input, length) {
                    return Ok(false);
                }
                let header = BlockHeader::parse(&self.field.bytes);
                self.order.check(&header)?;
                self.crc = Crc::new();
                self.crc.update(&self.field.bytes[..length]);
                self.enter(Part::Parameters(header));
            }
            Part::Parameters(header) => {
                let length = header.parameter_bytes();
                if !self.field.fill(input, length) {
                    return Ok(false);
                }
                self.crc.update(&self.field.bytes[..length]);
                let payload = Payload::start(header, self.field.start(), &mut self.workspace)?;
                let left = header.stored_size;
                self.enter(Part::Data { payload, left });
            }
            Part::Data { payload, left } => {
                let count = input.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                let (bytes, rest) = input.split_at(count);
                *input = rest;
                *left -= count as u32;
                self.crc.update(bytes);
                payload.push(bytes, &mut self.workspace, sink)?;
                if *left > 0 {
                    return Ok(false);
                }
                payload.finish(&mut self.workspace, sink)?;
                self.leave_data();
            }
            Part::Checksum(_) => {
                let length = if self.has_checksums { CRC32_BYTES } else { 0 };
                if !self.field.fill(input, length) {
                    return Ok(false);
                }
                let (expected, found) = (u32::from_le_bytes(self.field.start()), self.crc.sum());
                if self.has_checksums && expected != found {
                    return Err(BgcodeError::WrongChecksum { expected, found });
                }
                if let Part::Checksum(payload) = self.enter(Part::BlockHeader) {
                    payload.deliver(sink);
                }
            }
        }
        Ok(true)
    }

    /// Starts the next part. Returns the previous one.
    fn enter(&mut self, part: Part) -> Part {
        self.field = Field::default();
        std::mem::replace(&mut self.part, part)
    }

    /// Moves the payload of a block from its data to its checksum.
    fn leave_data(&mut self) {
        if let Part::Data { payload, .. } = self.enter(Part::BlockHeader) {
            self.enter(Part::Checksum(payload));
        }
    }
}
