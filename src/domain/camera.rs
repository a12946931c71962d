//! Pictures of printers' cameras.

use bytes::Bytes;

/// A picture of a camera.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CameraPicture {
    /// For example `image/jpeg`. Never SVG, which can contain scripts.
    pub content_type: String,
    /// The content of the picture's file.
    pub bytes: Bytes,
}
