//! Streaming decompression of blocks: stored, deflate (in zlib format) or heatshrink.

use flate2::{Decompress, FlushDecompress, Status};

use super::{BgcodeError, block::BlockHeader, heatshrink::HeatshrinkDecoder};

/// Size of the buffer for decompressed data, in bytes.
const BUFFER_BYTES: usize = 16 * 1024;

/// Decompresses the data of blocks, one after the other. Checks that each has exactly its declared size.
///
/// It keeps its buffers between blocks: a file may have millions of tiny blocks.
#[derive(Default)]
pub(super) struct Decompressor {
    method: Method,
    declared: u32,
    produced: u64,
    inflate: Option<Decompress>,
    buffer: Vec<u8>,
}

#[derive(Default)]
enum Method {
    #[default]
    Stored,
    Deflate {
        is_finished: bool,
    },
    Heatshrink(HeatshrinkDecoder),
}

impl Decompressor {
    /// Starts a block. Fails if its compression type is unknown.
    pub(super) fn start(&mut self, header: &BlockHeader) -> Result<(), BgcodeError> {
        self.method = match header.compression {
            0 => Method::Stored,
            1 => {
                self.inflate.get_or_insert_with(|| Decompress::new(true)).reset(true);
                Method::Deflate { is_finished: false }
            }
            2 => Method::Heatshrink(HeatshrinkDecoder::new(11)),
            3 => Method::Heatshrink(HeatshrinkDecoder::new(12)),
            compression => return Err(BgcodeError::UnsupportedCompression(compression)),
        };
        self.declared = header.decoded_size;
        self.produced = 0;
        Ok(())
    }

    /// Decompresses the next bytes of the block. Calls `receive` with each piece of decompressed data.
    pub(super) fn push(
        &mut self,
        mut input: &[u8],
        mut receive: impl FnMut(&[u8]) -> Result<(), BgcodeError>,
    ) -> Result<(), BgcodeError> {
        self.buffer.resize(BUFFER_BYTES, 0);
        loop {
            let (consumed, decompressed) = self.method.step(input, &mut self.inflate, &mut self.buffer)?;
            self.produced += decompressed.len() as u64;
            if self.produced > u64::from(self.declared) {
                return Err(BgcodeError::WrongSize { declared: self.declared });
            }
            let is_stalled = consumed == 0 && decompressed.is_empty();
            receive(decompressed)?;
            input = &input[consumed..];
            match (is_stalled, input) {
                (false, _) => {}
                (true, []) => return Ok(()),
                (true, _) => return Err(BgcodeError::InvalidCompression),
            }
        }
    }

    /// Fails unless the block's data is complete.
    pub(super) fn finish(&self) -> Result<(), BgcodeError> {
        if self.produced != u64::from(self.declared) {
            return Err(BgcodeError::WrongSize { declared: self.declared });
        }
        match self.method {
            // The reference library writes an empty block without a deflate stream.
            Method::Deflate { is_finished: false } if self.declared > 0 => Err(BgcodeError::InvalidCompression),
            _ => Ok(()),
        }
    }
}

impl Method {
    /// Decompresses one piece. Returns how many bytes it read, and the piece. Without progress, more input is needed.
    fn step<'a>(
        &mut self,
        input: &'a [u8],
        inflate: &mut Option<Decompress>,
        buffer: &'a mut [u8],
    ) -> Result<(usize, &'a [u8]), BgcodeError> {
        match self {
            Self::Stored => Ok((input.len(), input)),
            Self::Deflate { is_finished: true } if input.is_empty() => Ok((0, &[])),
            Self::Deflate { is_finished: true } => Err(BgcodeError::InvalidCompression),
            Self::Deflate { is_finished } => {
                let state = inflate.get_or_insert_with(|| Decompress::new(true));
                let (read_before, written_before) = (state.total_in(), state.total_out());
                let status = state
                    .decompress(input, buffer, FlushDecompress::None)
                    .map_err(|_| BgcodeError::InvalidCompression)?;
                *is_finished = status == Status::StreamEnd;
                let consumed = (state.total_in() - read_before) as usize;
                let produced = (state.total_out() - written_before) as usize;
                Ok((consumed, &buffer[..produced]))
            }
            Self::Heatshrink(state) => {
                let (consumed, produced) = state.decode(input, buffer);
                Ok((consumed, &buffer[..produced]))
            }
        }
    }
}
