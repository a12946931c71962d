//! Errors of the binary G-code decoder.

/// Why a binary G-code file could not be decoded. The texts are meant for users.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BgcodeError {
    #[error("the file is not binary G-code: it does not begin with GCDE")]
    WrongMagic,
    #[error("version {0} of binary G-code is not supported (only version 1 is)")]
    UnsupportedVersion(u32),
    #[error("checksum type {0} is not supported")]
    UnsupportedChecksum(u16),
    #[error("compression type {0} is not supported")]
    UnsupportedCompression(u16),
    #[error("G-code encoding {0} is not supported")]
    UnsupportedGcodeEncoding(u16),
    #[error("metadata encoding {0} is not supported")]
    UnsupportedMetadataEncoding(u16),
    #[error("a metadata block declares {size} bytes; the limit is {limit}")]
    MetadataTooLarge { size: u64, limit: u64 },
    #[error("a block of type {0} is out of order or repeated")]
    WrongBlockOrder(u16),
    #[error("a block contains invalid compressed data")]
    InvalidCompression,
    #[error("a block contains more or fewer than the {declared} bytes that its header declares")]
    WrongSize { declared: u32 },
    #[error("a block ends in the middle of a MeatPack character pair")]
    InvalidMeatPack,
    #[error("a block has the wrong checksum: expected {expected:08x}, found {found:08x}")]
    WrongChecksum { expected: u32, found: u32 },
    #[error("the file contains more than {limit} bytes of decoded data")]
    TooLarge { limit: u64 },
    #[error("the file ends in the middle of a block")]
    Truncated,
    #[error("the file contains no G-code")]
    NoGcode,
}
