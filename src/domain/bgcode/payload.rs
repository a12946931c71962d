//! Receives the data of one block and makes events of it.

use super::{
    BgcodeError, BgcodeSink, MAX_METADATA_BYTES, MAX_THUMBNAIL_BYTES, MAX_THUMBNAILS, MetadataBlock, ThumbnailKind,
    block::{BlockHeader, BlockKind},
    decompress::Decompressor,
    gcode::{Budget, GcodeDecoder, GcodeOutput},
};

const INI: u16 = 0;
const JSON: u16 = 1;

/// The data of the current block.
pub(super) enum Payload {
    /// The data is read for the checksum only.
    Skipped,
    Metadata {
        block: MetadataBlock,
        encoding: u16,
        data: Vec<u8>,
    },
    Thumbnail {
        kind: ThumbnailKind,
        width: u16,
        height: u16,
        data: Vec<u8>,
    },
    Gcode(GcodeDecoder),
}

/// Buffers and limits that all blocks of a file share.
pub(super) struct Workspace {
    decompressor: Decompressor,
    /// The decompressed data that is still allowed.
    decompressed: Budget,
    /// The G-code text has its own limit, as it may be larger than its decompressed data.
    output: GcodeOutput,
    thumbnails_left: u32,
}

impl Workspace {
    pub(super) fn new(limit_bytes: u64) -> Self {
        Self {
            decompressor: Decompressor::default(),
            decompressed: Budget::new(limit_bytes),
            output: GcodeOutput::new(limit_bytes),
            thumbnails_left: MAX_THUMBNAILS,
        }
    }
}

impl Payload {
    /// Starts a block. `parameters` are the bytes between the block's header and its data.
    pub(super) fn start(
        header: &BlockHeader,
        parameters: [u8; 6],
        workspace: &mut Workspace,
    ) -> Result<Self, BgcodeError> {
        let [p0, p1, w0, w1, h0, h1] = parameters;
        let parameter = u16::from_le_bytes([p0, p1]);
        let payload = match header.kind {
            BlockKind::Unknown => return Ok(Self::Skipped),
            BlockKind::Gcode => Self::Gcode(GcodeDecoder::new(parameter)?),
            BlockKind::Metadata(_) if header.decoded_size > MAX_METADATA_BYTES => {
                let (size, limit) = (header.decoded_size.into(), MAX_METADATA_BYTES.into());
                return Err(BgcodeError::MetadataTooLarge { size, limit });
            }
            BlockKind::Metadata(block) => match parameter {
                INI | JSON => Self::Metadata { block, encoding: parameter, data: Vec::new() },
                _ => return Err(BgcodeError::UnsupportedMetadataEncoding(parameter)),
            },
            BlockKind::Thumbnail => {
                let kind = match parameter {
                    0 => ThumbnailKind::Png,
                    1 => ThumbnailKind::Jpg,
                    2 => ThumbnailKind::Qoi,
                    _ => return Ok(Self::Skipped),
                };
                if workspace.thumbnails_left == 0 || header.decoded_size > MAX_THUMBNAIL_BYTES {
                    return Ok(Self::Skipped);
                }
                workspace.thumbnails_left -= 1;
                let (width, height) = (u16::from_le_bytes([w0, w1]), u16::from_le_bytes([h0, h1]));
                Self::Thumbnail { kind, width, height, data: Vec::new() }
            }
        };
        workspace.decompressor.start(header)?;
        Ok(payload)
    }

    /// Decodes the next bytes of the block's data. Sends G-code at once and keeps other data.
    pub(super) fn push(
        &mut self,
        bytes: &[u8],
        workspace: &mut Workspace,
        sink: &mut dyn BgcodeSink,
    ) -> Result<(), BgcodeError> {
        if matches!(self, Self::Skipped) {
            return Ok(());
        }
        let Workspace { decompressor, decompressed, output, .. } = workspace;
        decompressor.push(bytes, |piece| {
            decompressed.take(piece.len())?;
            match self {
                Self::Gcode(gcode) => gcode.push(piece, output, sink)?,
                // The decompressor stops at the declared size, which was checked.
                Self::Metadata { data, .. } | Self::Thumbnail { data, .. } => data.extend_from_slice(piece),
                Self::Skipped => {}
            }
            Ok(())
        })
    }

    /// Checks at the end of the data that it is complete, and sends the rest of the G-code.
    pub(super) fn finish(&self, workspace: &mut Workspace, sink: &mut dyn BgcodeSink) -> Result<(), BgcodeError> {
        match self {
            Self::Skipped => Ok(()),
            Self::Metadata { .. } | Self::Thumbnail { .. } => workspace.decompressor.finish(),
            Self::Gcode(gcode) => {
                workspace.decompressor.finish()?;
                gcode.finish(&mut workspace.output, sink)
            }
        }
    }

    /// Sends metadata or a thumbnail, after the block's checksum was verified.
    pub(super) fn deliver(self, sink: &mut dyn BgcodeSink) {
        match self {
            Self::Metadata { block, encoding, data } => {
                send_metadata(block, encoding, &String::from_utf8_lossy(&data), sink);
            }
            Self::Thumbnail { kind, width, height, data } => sink.thumbnail(kind, width, height, data),
            Self::Gcode(_) | Self::Skipped => {}
        }
    }
}

/// Sends the entries of a metadata block. Lines without `=` are ignored.
fn send_metadata(block: MetadataBlock, encoding: u16, text: &str, sink: &mut dyn BgcodeSink) {
    if encoding == JSON {
        return sink.metadata(block, "", text);
    }
    for (key, value) in text.split('\n').filter_map(|line| line.split_once('=')) {
        sink.metadata(block, key, value);
    }
}
