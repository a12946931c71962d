//! Thumbnails in comments: `; thumbnail begin 220x124 12345`, base64 lines, `; thumbnail end`.

use base64::{Engine, prelude::BASE64_STANDARD};

use super::facts::{Thumbnail, ThumbnailKind};

/// Thumbnails that are kept per file.
pub const MAX_THUMBNAILS: usize = 8;
/// Size of an encoded image that is kept, in bytes. Larger ones are skipped.
pub const MAX_THUMBNAIL_BYTES: usize = 1024 * 1024;
/// Characters of base64 for such an image.
const MAX_BASE64_CHARS: usize = MAX_THUMBNAIL_BYTES.div_ceil(3) * 4;

/// Collects the thumbnails of a file.
#[derive(Debug, Default)]
pub struct Thumbnails {
    done: Vec<Thumbnail>,
    open: Option<OpenThumbnail>,
}

#[derive(Debug)]
struct OpenThumbnail {
    size: Option<(u32, u32)>,
    base64: Vec<u8>,
}

impl Thumbnails {
    /// Returns whether the next comment may be a line of a thumbnail.
    pub fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Starts a thumbnail if the comment announces one.
    pub fn begin_thumbnail(&mut self, comment: &str) -> bool {
        let Some((kind, size)) = comment.split_once(" begin ") else { return false };
        if !kind.starts_with("thumbnail") || kind.contains(' ') {
            return false;
        }
        let known = matches!(kind, "thumbnail" | "thumbnail_PNG" | "thumbnail_JPG" | "thumbnail_QOI");
        let keep = known && self.done.len() < MAX_THUMBNAILS;
        let size = parse_size(size).filter(|_| keep);
        self.open = Some(OpenThumbnail { size, base64: Vec::new() });
        true
    }

    /// Processes a comment inside a thumbnail. Returns false if the comment is no part of it. The thumbnail is then
    /// incomplete, and is dropped.
    pub fn continue_thumbnail(&mut self, comment: &[u8]) -> bool {
        let Some(open) = &mut self.open else { return false };
        if comment.starts_with(b"thumbnail") && comment.ends_with(b" end") {
            let open = self.open.take();
            self.done.extend(open.and_then(OpenThumbnail::decode));
            return true;
        }
        if !comment.iter().all(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(byte)) {
            self.open = None;
            return false;
        }
        if open.size.is_some() {
            if open.base64.len() + comment.len() > MAX_BASE64_CHARS {
                *open = OpenThumbnail { size: None, base64: Vec::new() };
            } else {
                open.base64.extend_from_slice(comment);
            }
        }
        true
    }

    /// Adds a thumbnail from elsewhere, unless it is too large or there are enough.
    pub fn add_thumbnail(&mut self, thumbnail: Thumbnail) {
        if self.done.len() < MAX_THUMBNAILS && thumbnail.data.len() <= MAX_THUMBNAIL_BYTES {
            self.done.push(thumbnail);
        }
    }

    /// Returns the complete thumbnails.
    pub fn finish(self) -> Vec<Thumbnail> {
        self.done
    }
}

impl OpenThumbnail {
    /// Decodes the image. `None` if it was skipped, is damaged, or has an unknown format.
    fn decode(self) -> Option<Thumbnail> {
        let (width, height) = self.size?;
        let data = BASE64_STANDARD.decode(&self.base64).ok()?;
        let kind = detect_kind(&data)?;
        (data.len() <= MAX_THUMBNAIL_BYTES).then_some(Thumbnail { width, height, kind, data })
    }
}

/// Returns the format by the first bytes of the image.
fn detect_kind(data: &[u8]) -> Option<ThumbnailKind> {
    match data {
        [0x89, b'P', b'N', b'G', ..] => Some(ThumbnailKind::Png),
        [0xff, 0xd8, 0xff, ..] => Some(ThumbnailKind::Jpg),
        [b'q', b'o', b'i', b'f', ..] => Some(ThumbnailKind::Qoi),
        _ => None,
    }
}

/// Returns width and height of `WxH LEN` or `W H LEN`.
fn parse_size(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split(['x', ' ']).map(|part| part.parse::<u32>().ok().filter(|pixels| *pixels > 0));
    Some((numbers.next()??, numbers.next()??))
}
