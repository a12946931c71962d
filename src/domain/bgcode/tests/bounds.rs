//! Sizes that are absurd, and data that grows when it is decoded.

use super::{
    super::{
        BgcodeDecoder, BgcodeError, BgcodeSink, MAX_GCODE_PIECE_BYTES, MAX_METADATA_BYTES, MAX_THUMBNAIL_BYTES,
        MetadataBlock, ThumbnailKind,
    },
    builder::{FileBuilder, GCODE, PRINTER, SLICER, THUMBNAIL},
};

/// Counts text and keeps the longest piece.
#[derive(Default)]
struct Counter {
    bytes: u64,
    longest: usize,
}

impl BgcodeSink for Counter {
    fn metadata(&mut self, _block: MetadataBlock, _key: &str, _value: &str) {}

    fn thumbnail(&mut self, _kind: ThumbnailKind, _width: u16, _height: u16, _data: Vec<u8>) {}

    fn gcode(&mut self, text: &[u8]) {
        self.bytes += text.len() as u64;
        self.longest = self.longest.max(text.len());
    }
}

#[test]
fn metadata_is_bounded_before_it_is_read() {
    let size = MAX_METADATA_BYTES + 1;
    let error = BgcodeError::MetadataTooLarge { size: size.into(), limit: MAX_METADATA_BYTES.into() };
    assert_eq!(FileBuilder::new().raw_block(SLICER, 0, &[size], &[0], b"").decode(), Err(error.clone()));
    assert_eq!(FileBuilder::new().raw_block(SLICER, 1, &[size, 5], &[0], b"").decode(), Err(error));
    let largest = vec![b'='; MAX_METADATA_BYTES as usize];
    let recorder = FileBuilder::new().deflated(SLICER, &[0], &largest).block(GCODE, &[0], b"").decode();
    assert_eq!(recorder.expect("the largest block").metadata[0].2.len(), largest.len() - 1);
}

#[test]
fn metadata_that_grows_beyond_its_declared_size_is_refused() {
    let compressed = super::builder::deflate(&vec![b'='; 64 << 20]);
    let sizes = [100, compressed.len() as u32];
    let file = FileBuilder::new().raw_block(PRINTER, 1, &sizes, &[0], &compressed);
    assert_eq!(file.decode(), Err(BgcodeError::WrongSize { declared: 100 }));
}

#[test]
fn large_unknown_and_surplus_thumbnails_are_skipped() {
    let large = vec![7; MAX_THUMBNAIL_BYTES as usize + 1];
    let mut file = FileBuilder::new()
        .block(THUMBNAIL, &[0, 9, 9], &large)
        .deflated(THUMBNAIL, &[0, 8, 8], &large)
        .block(THUMBNAIL, &[3, 7, 7], b"an unknown format");
    for width in 100..120 {
        file = file.block(THUMBNAIL, &[2, width, 1], &large[1..]);
    }
    let recorder = file.block(GCODE, &[0], b"").decode().expect("a valid file");
    let widths: Vec<_> = recorder.thumbnails.iter().map(|(_, width, ..)| *width).collect();
    assert_eq!(widths, (100..116).collect::<Vec<_>>());
}

#[test]
fn a_declared_size_of_4_gib_needs_no_memory() {
    for kind in [GCODE, THUMBNAIL, 99] {
        let parameters: &[u16] = if kind == GCODE { &[0] } else { &[0, 1, 1] };
        let file = FileBuilder::new().raw_block(kind, 0, &[u32::MAX], parameters, b"G28\n");
        assert_eq!(file.decode(), Err(BgcodeError::Truncated));
    }
}

#[test]
fn gcode_arrives_in_bounded_pieces_and_stops_at_the_limit() {
    let zeros = vec![0; 8 << 20];
    // In MeatPack, a zero byte stands for two characters.
    let packed = [&[0xFF, 0xFF, 251], zeros.as_slice()].concat();
    for (encoding, data, decoded) in [(0, &zeros, 8 << 20), (1, &packed, 16 << 20)] {
        for file in
            [FileBuilder::new().block(GCODE, &[encoding], data), FileBuilder::new().deflated(GCODE, &[encoding], data)]
        {
            let mut counter = Counter::default();
            let mut decoder = BgcodeDecoder::with_limit(16 << 20);
            decoder.push(&file.0, &mut counter).expect("the data is within the limit");
            decoder.finish().expect("a complete file");
            assert_eq!(counter.bytes, decoded);
            assert!(counter.longest <= MAX_GCODE_PIECE_BYTES);

            let (limit, mut counter) = (5 << 20, Counter::default());
            let error = BgcodeDecoder::with_limit(limit).push(&file.0, &mut counter);
            assert_eq!(error, Err(BgcodeError::TooLarge { limit }));
            assert!(counter.bytes <= limit);
        }
    }
}

#[test]
fn decompressed_data_that_decodes_to_no_text_counts() {
    let data = [0xFF, 0xFF, 251].repeat(1 << 20);
    let file = FileBuilder::new().deflated(GCODE, &[1], &data);
    let error = BgcodeDecoder::with_limit(1 << 20).push(&file.0, &mut Counter::default());
    assert_eq!(error, Err(BgcodeError::TooLarge { limit: 1 << 20 }));
}

#[test]
fn many_tiny_blocks_are_read_in_linear_time() {
    let block = FileBuilder(Vec::new()).deflated(GCODE, &[1], b"\xFF\xFF\xFB\x1D\xCC");
    let file = [FileBuilder::new().0, block.0.repeat(200_000)].concat();
    let mut counter = Counter::default();
    let mut decoder = BgcodeDecoder::new();
    decoder.push(&file, &mut counter).expect("valid blocks");
    decoder.finish().expect("a complete file");
    assert_eq!(counter.bytes, 200_000 * 3);
}
