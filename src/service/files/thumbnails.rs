//! Encodes the pictures in G-code files again, as PNG. Browsers never get bytes of an upload.

use std::io::Cursor;

use image::{ImageFormat, ImageReader, Limits, imageops::FilterType};

use crate::{
    domain::gcode::{Thumbnail, ThumbnailKind},
    storage,
};

/// Largest width and height of a picture, in pixels. Larger ones are left out.
const MAX_PIXELS: u32 = 2_048;
/// Largest width and height that is stored, in pixels. Larger pictures are scaled down.
const MAX_STORED_PIXELS: u32 = 640;
/// Maximum memory for decoding one picture, in bytes.
const MAX_MEMORY: u64 = 32 * 1024 * 1024;

/// Encodes pictures as PNG. A picture that cannot be decoded is left out. Blocks.
pub(super) fn encode_thumbnails(thumbnails: &[Thumbnail]) -> Vec<storage::files::Thumbnail> {
    let mut encoded: Vec<storage::files::Thumbnail> = thumbnails.iter().filter_map(encode).collect();
    encoded.sort_by_key(|thumbnail| (thumbnail.width, thumbnail.height));
    encoded.dedup_by_key(|thumbnail| (thumbnail.width, thumbnail.height));
    encoded
}

fn encode(thumbnail: &Thumbnail) -> Option<storage::files::Thumbnail> {
    let format = match thumbnail.kind {
        ThumbnailKind::Png => ImageFormat::Png,
        ThumbnailKind::Jpg => ImageFormat::Jpeg,
        ThumbnailKind::Qoi => ImageFormat::Qoi,
    };
    let mut reader = ImageReader::with_format(Cursor::new(&thumbnail.data), format);
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_PIXELS);
    limits.max_image_height = Some(MAX_PIXELS);
    limits.max_alloc = Some(MAX_MEMORY);
    reader.limits(limits);
    let mut picture = reader.decode().ok()?;
    if picture.width().max(picture.height()) > MAX_STORED_PIXELS {
        picture = picture.resize(MAX_STORED_PIXELS, MAX_STORED_PIXELS, FilterType::Triangle);
    }
    let mut png = Cursor::new(Vec::new());
    picture.to_rgba8().write_to(&mut png, ImageFormat::Png).ok()?;
    Some(storage::files::Thumbnail { width: picture.width(), height: picture.height(), png: png.into_inner() })
}

#[cfg(test)]
mod tests {
    use image::{DynamicImage, RgbaImage};

    use super::*;

    fn picture(width: u32, height: u32, format: ImageFormat) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        let image = DynamicImage::ImageRgba8(RgbaImage::new(width, height));
        let image = if format == ImageFormat::Jpeg { DynamicImage::ImageRgb8(image.to_rgb8()) } else { image };
        image.write_to(&mut bytes, format).expect("encoded");
        bytes.into_inner()
    }

    fn thumbnail(kind: ThumbnailKind, data: Vec<u8>) -> Thumbnail {
        Thumbnail { width: 1, height: 1, kind, data }
    }

    #[test]
    fn each_kind_becomes_a_png_with_its_own_size_and_broken_ones_are_left_out() {
        let encoded = encode_thumbnails(&[
            thumbnail(ThumbnailKind::Png, picture(16, 16, ImageFormat::Png)),
            thumbnail(ThumbnailKind::Jpg, picture(32, 24, ImageFormat::Jpeg)),
            thumbnail(ThumbnailKind::Qoi, picture(800, 400, ImageFormat::Qoi)),
            thumbnail(ThumbnailKind::Png, picture(3_000, 10, ImageFormat::Png)),
            thumbnail(ThumbnailKind::Png, b"not a picture".to_vec()),
            thumbnail(ThumbnailKind::Jpg, picture(16, 16, ImageFormat::Png)),
        ]);
        let sizes: Vec<(u32, u32)> = encoded.iter().map(|one| (one.width, one.height)).collect();
        assert_eq!(sizes, [(16, 16), (32, 24), (640, 320)]);
        assert!(encoded.iter().all(|one| one.png.starts_with(b"\x89PNG")));
    }
}
