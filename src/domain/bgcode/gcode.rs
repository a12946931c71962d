//! Decodes the data of G-code blocks to text, in pieces of bounded size.

use super::{
    BgcodeError, BgcodeSink, MAX_GCODE_PIECE_BYTES,
    meatpack::{MAX_CHARACTERS_PER_BYTE, MeatPackDecoder},
};

/// Decodes the data of one G-code block.
pub(super) enum GcodeDecoder {
    Plain,
    MeatPack(MeatPackDecoder),
}

impl GcodeDecoder {
    /// Creates the decoder for a block's encoding. MeatPack with and without comments is decoded in the same way.
    pub(super) fn new(encoding: u16) -> Result<Self, BgcodeError> {
        match encoding {
            0 => Ok(Self::Plain),
            1 | 2 => Ok(Self::MeatPack(MeatPackDecoder::default())),
            _ => Err(BgcodeError::UnsupportedGcodeEncoding(encoding)),
        }
    }

    /// Decodes decompressed data and sends full pieces of text.
    pub(super) fn push(
        &mut self,
        data: &[u8],
        output: &mut GcodeOutput,
        sink: &mut dyn BgcodeSink,
    ) -> Result<(), BgcodeError> {
        match self {
            Self::Plain => data.chunks(MAX_GCODE_PIECE_BYTES).try_for_each(|piece| output.send(piece, sink)),
            Self::MeatPack(state) => {
                for byte in data {
                    if output.buffer.len() + MAX_CHARACTERS_PER_BYTE > MAX_GCODE_PIECE_BYTES {
                        output.flush(sink)?;
                    }
                    state.decode(*byte, &mut output.buffer);
                }
                Ok(())
            }
        }
    }

    /// Sends the rest of the text at the end of the block. Fails if a MeatPack pair is not complete.
    pub(super) fn finish(&self, output: &mut GcodeOutput, sink: &mut dyn BgcodeSink) -> Result<(), BgcodeError> {
        match self {
            Self::MeatPack(state) if !state.is_complete() => Err(BgcodeError::InvalidMeatPack),
            _ => output.flush(sink),
        }
    }
}

/// Sends text to the sink, within a limit.
pub(super) struct GcodeOutput {
    /// Text that is not sent yet.
    buffer: Vec<u8>,
    budget: Budget,
}

impl GcodeOutput {
    pub(super) fn new(limit_bytes: u64) -> Self {
        Self { buffer: Vec::new(), budget: Budget::new(limit_bytes) }
    }

    fn flush(&mut self, sink: &mut dyn BgcodeSink) -> Result<(), BgcodeError> {
        let text = std::mem::take(&mut self.buffer);
        self.send(&text, sink)?;
        self.buffer = text;
        self.buffer.clear();
        Ok(())
    }

    fn send(&mut self, text: &[u8], sink: &mut dyn BgcodeSink) -> Result<(), BgcodeError> {
        self.budget.take(text.len())?;
        if !text.is_empty() {
            sink.gcode(text);
        }
        Ok(())
    }
}

/// The number of bytes that may still be decoded.
#[derive(Debug)]
pub(super) struct Budget {
    limit: u64,
    left: u64,
}

impl Budget {
    pub(super) fn new(limit: u64) -> Self {
        Self { limit, left: limit }
    }

    /// Counts decoded bytes. Fails if they exceed the limit.
    pub(super) fn take(&mut self, bytes: usize) -> Result<(), BgcodeError> {
        self.left = self.left.checked_sub(bytes as u64).ok_or(BgcodeError::TooLarge { limit: self.limit })?;
        Ok(())
    }
}
