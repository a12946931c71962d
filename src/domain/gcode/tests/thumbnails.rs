//! Thumbnails: formats, limits, damage.

use base64::{Engine, prelude::BASE64_STANDARD};

use super::{parse, sample};
use crate::domain::gcode::{GcodeParser, MAX_THUMBNAIL_BYTES, MAX_THUMBNAILS, Thumbnail, ThumbnailKind};

/// Returns the comments of a thumbnail.
fn comments(tag: &str, size: &str, data: &[u8]) -> String {
    let base64 = BASE64_STANDARD.encode(data);
    let lines: Vec<&str> = base64.as_bytes().chunks(78).map(|line| std::str::from_utf8(line).expect("ASCII")).collect();
    format!("; {tag} begin {size} {}\n; {}\n; {tag} end\n", base64.len(), lines.join("\n; "))
}

fn png(bytes: usize) -> Vec<u8> {
    let mut data = b"\x89PNG\r\n\x1a\n".to_vec();
    data.resize(bytes, 7);
    data
}

#[test]
fn formats() {
    let facts = sample("prusaslicer");
    let kinds: Vec<_> = facts.thumbnails.iter().map(|image| (image.width, image.height, image.kind)).collect();
    assert_eq!(kinds, [(4, 2, ThumbnailKind::Qoi), (16, 16, ThumbnailKind::Png)]);
    assert!(facts.thumbnails[1].data.ends_with(b"IEND\xaeB`\x82"), "complete");
    assert_eq!(sample("superslicer").thumbnails[0].kind, ThumbnailKind::Jpg);
    assert_eq!(parse(comments("thumbnail", "32 24", &png(500))).thumbnails[0].height, 24, "a space instead of x");
}

#[test]
fn facts_behind_a_thumbnail_count() {
    let facts = parse(format!("{}; layer_height = 0.2\n", comments("thumbnail", "16x16", &png(40_000))));
    assert_eq!((facts.thumbnails.len(), facts.layer_height_mm), (1, Some(0.2)));
}

#[test]
fn unknown_and_damaged_images_are_skipped() {
    let unknown = comments("thumbnail_BTT", "16x16", &png(500));
    let text = comments("thumbnail", "16x16", b"this is no image at all");
    let no_size = comments("thumbnail", "x", &png(500));
    let no_base64 = "; thumbnail begin 1x1 5\n; abcde\n; thumbnail end\n";
    let no_end = "; thumbnail begin 1x1 5\n; abcd\n; layer_height = 0.2\n";
    let facts = parse([&unknown, &text, &no_size, no_base64, no_end].concat());
    assert_eq!((facts.thumbnails.len(), facts.layer_height_mm), (0, Some(0.2)));
}

#[test]
fn large_images_and_too_many_are_skipped_whole() {
    let large = comments("thumbnail", "16x16", &png(MAX_THUMBNAIL_BYTES + 1));
    let largest = comments("thumbnail", "17x17", &png(MAX_THUMBNAIL_BYTES));
    let facts = parse(format!("{large}{largest}"));
    assert_eq!(facts.thumbnails.iter().map(|image| image.width).collect::<Vec<_>>(), [17]);
    assert_eq!(parse(comments("thumbnail", "1x1", &png(99)).repeat(20)).thumbnails.len(), MAX_THUMBNAILS);
    let mut parser = GcodeParser::new();
    for bytes in [MAX_THUMBNAIL_BYTES + 1, 100] {
        parser.push_thumbnail(Thumbnail { width: 1, height: 1, kind: ThumbnailKind::Png, data: png(bytes) });
    }
    assert_eq!(parser.finish().thumbnails.len(), 1);
}
