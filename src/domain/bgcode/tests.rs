//! Tests with files of the reference library and with files that are built here.

mod bounds;
mod builder;
mod structure;

use proptest::prelude::*;

use self::builder::Recorder;
use super::{BgcodeDecoder, MetadataBlock, ThumbnailKind};

macro_rules! fixture {
    ($name:literal) => {
        include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/bgcode/", $name)).as_slice()
    };
}

const TEXT: &[u8] = fixture!("text.gcode");
const MEATPACK: &[u8] = fixture!("meatpack.gcode");
const MEATPACK_COMMENTS: &[u8] = fixture!("meatpack-comments.gcode");

/// Files that the reference library made of `source.gcode`, and the G-code that it decodes from them.
const FILES: [(&[u8], &[u8]); 7] = [
    (fixture!("deflate.meatpack-comments.crc32.bgcode"), MEATPACK_COMMENTS),
    (fixture!("deflate.meatpack-comments.unchecked.bgcode"), MEATPACK_COMMENTS),
    (fixture!("heatshrink-11.meatpack.crc32.bgcode"), MEATPACK),
    (fixture!("heatshrink-11.meatpack.unchecked.bgcode"), MEATPACK),
    (fixture!("heatshrink-12.text.crc32.bgcode"), TEXT),
    (fixture!("heatshrink-12.text.unchecked.bgcode"), TEXT),
    (fixture!("stored.meatpack.unchecked.bgcode"), MEATPACK),
];

#[test]
fn files_of_the_reference_library_are_decoded() {
    for (file, text) in FILES {
        let recorder = Recorder::decode_chunks([file]).expect("a valid file");
        assert_eq!(String::from_utf8_lossy(&recorder.text), String::from_utf8_lossy(text));
        for (block, key, value) in [
            (MetadataBlock::File, "Producer", "PrusaSlicer 2.8.1+linux-x64"),
            (MetadataBlock::Printer, "printer_model", "MK4"),
            (MetadataBlock::Printer, "objects_info", r#"{"objects":[{"name":"cube=1"},{"name":"cube=2"}]}"#),
            (MetadataBlock::Print, "total filament used [g]", "3.69"),
            (MetadataBlock::Print, "estimated printing time (normal mode)", "1d 2h 3m 4s"),
            (MetadataBlock::Slicer, "start_gcode", r"G28\nG1 Z5 ; a = b"),
            (MetadataBlock::Slicer, "empty_key", ""),
        ] {
            assert!(recorder.metadata.contains(&(block, key.to_owned(), value.to_owned())), "{key}");
        }
        let kinds: Vec<_> =
            recorder.thumbnails.iter().map(|(kind, width, height, _)| (*kind, *width, *height)).collect();
        assert_eq!(kinds, [(ThumbnailKind::Png, 16, 16), (ThumbnailKind::Qoi, 4, 3), (ThumbnailKind::Jpg, 2, 1)]);
        assert!(recorder.thumbnails[0].3.starts_with(b"\x89PNG\r\n\x1a\n"));
    }
}

#[test]
fn a_file_that_is_cut_anywhere_is_incomplete() {
    for (file, _) in FILES {
        let mut recorder = Recorder::default();
        let mut decoder = BgcodeDecoder::new();
        let mut complete = Vec::new();
        for length in 0..file.len() {
            let mut cut = BgcodeDecoder::new();
            cut.push(&file[..length], &mut Recorder::default()).expect("a valid beginning");
            if cut.finish().is_ok() {
                complete.push(length);
            }
            decoder.push(&file[length..=length], &mut recorder).expect("a valid byte");
        }
        assert_eq!(complete, [0; 0]);
        decoder.finish().expect("a complete file");
    }
}

proptest! {
    #[test]
    fn chunks_may_be_cut_anywhere(index in 0..FILES.len(), cuts in prop::collection::vec(0..2_000_usize, 0..12)) {
        let (file, _) = FILES[index];
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(file.len())).collect();
        cuts.extend([0, file.len()]);
        cuts.sort_unstable();
        let chunks = cuts.windows(2).map(|cut| &file[cut[0]..cut[1]]);
        prop_assert_eq!(Recorder::decode_chunks(chunks), Recorder::decode_chunks([file]));
    }
}
