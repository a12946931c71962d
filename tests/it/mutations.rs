//! Mutated and cut files: the readers of binary G-code and of archives do not panic and keep their limits. The unit tests
//! of the G-code parser have their own.
//!
//! `PRINTYARD_TEST_SEED` repeats a run, and `PRINTYARD_FUZZ_RUNS` sets the number of files.

use std::{
    fs,
    io::{Cursor, Read, Write},
};

use printyard::domain::{
    bgcode::{BgcodeDecoder, BgcodeSink, MAX_GCODE_PIECE_BYTES, MAX_THUMBNAIL_BYTES, MAX_THUMBNAILS, MetadataBlock},
    gcode::ThumbnailKind,
    sliced_3mf::{MAX_PLATE_THUMBNAIL_BYTES, Sliced3mf},
};
use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

use crate::support::seeded_rng::{SeededRng, repeat_count, test_seed};

/// Limit of the decoded text, in bytes.
const TEXT_LIMIT: u64 = 1 << 20;

/// Checks the limits of everything that the decoder sends.
#[derive(Default)]
struct LimitCheck {
    text_bytes: u64,
    thumbnails: u32,
}

impl BgcodeSink for LimitCheck {
    fn metadata(&mut self, _: MetadataBlock, key: &str, value: &str) {
        // A replacement character has three bytes.
        assert!(key.len() + value.len() <= 3 << 20);
    }

    fn thumbnail(&mut self, _: ThumbnailKind, _: u16, _: u16, data: Vec<u8>) {
        assert!(data.len() <= MAX_THUMBNAIL_BYTES as usize);
        self.thumbnails += 1;
        assert!(self.thumbnails <= MAX_THUMBNAILS);
    }

    fn gcode(&mut self, text: &[u8]) {
        assert!(text.len() <= MAX_GCODE_PIECE_BYTES);
        self.text_bytes += text.len() as u64;
        assert!(self.text_bytes <= TEXT_LIMIT);
    }
}

fn below(rng: &mut SeededRng, limit: usize) -> usize {
    rng.below(limit as u64) as usize
}

/// Changes bits, bytes and integers, removes, repeats and moves ranges, or cuts the end.
fn mutate(rng: &mut SeededRng, bytes: &mut Vec<u8>) {
    for _ in 0..=below(rng, 6) {
        if bytes.len() < 8 {
            return;
        }
        let at = below(rng, bytes.len() - 4);
        let end = at + below(rng, (bytes.len() - at).min(64));
        match below(rng, 8) {
            0 => bytes[at] ^= 1 << below(rng, 8),
            1 => bytes[at] = below(rng, 256) as u8,
            2 => bytes[at..at + 4].copy_from_slice(&[0xFF; 4]),
            3 => bytes[at..at + 4].copy_from_slice(&(below(rng, 1 << 24) as u32).to_le_bytes()),
            4 => drop(bytes.drain(at..end)),
            5 => {
                let range = bytes[at..end].to_vec();
                bytes.splice(at..at, range);
            }
            6 => {
                let to = below(rng, bytes.len() - (end - at));
                bytes.copy_within(at..end, to);
            }
            _ => bytes.truncate(at),
        }
    }
}

#[test]
fn mutated_binary_gcode_does_not_panic() {
    let runs = repeat_count("PRINTYARD_FUZZ_RUNS", 10_000);
    let mut rng = SeededRng::new(test_seed("mutated_binary_gcode"));
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/bgcode");
    let entries = fs::read_dir(folder).expect("fixtures").map(|entry| entry.expect("an entry").path());
    let mut paths: Vec<_> = entries.filter(|path| path.extension().is_some_and(|end| end == "bgcode")).collect();
    paths.sort();
    let files: Vec<Vec<u8>> = paths.iter().map(|path| fs::read(path).expect("a fixture")).collect();
    let mut accepted = 0;
    for _ in 0..runs {
        let mut bytes = files[below(&mut rng, files.len())].clone();
        mutate(&mut rng, &mut bytes);
        let mut check = LimitCheck::default();
        let mut decoder = BgcodeDecoder::with_limit(TEXT_LIMIT);
        let size = 1 + below(&mut rng, bytes.len().max(1));
        let result = bytes.chunks(size).try_for_each(|chunk| decoder.push(chunk, &mut check));
        accepted += u64::from(result.is_ok() && decoder.finish().is_ok());
    }
    println!("{accepted} of {runs} files were accepted");
    assert!(accepted > 0 && accepted < runs, "some mutations damage a file, and some do not");
}

/// Builds an archive as BambuStudio does.
fn build_sliced_3mf() -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let names = ["[Content_Types].xml", "Metadata/plate_1.gcode", "Metadata/plate_1.png", "Metadata/plate_2.gcode"];
    for (index, name) in names.into_iter().enumerate() {
        let method = if index % 2 == 1 { CompressionMethod::Deflated } else { CompressionMethod::Stored };
        let options = SimpleFileOptions::default().compression_method(method).large_file(index == 3);
        writer.start_file(name, options).expect("a new entry");
        writer.write_all("G1 X10.5 Y20.25 E.05\n".repeat(20).as_bytes()).expect("a Vec accepts all");
    }
    writer.finish().expect("a complete archive").into_inner()
}

#[test]
fn mutated_sliced_3mf_files_do_not_panic() {
    let runs = repeat_count("PRINTYARD_FUZZ_RUNS", 10_000);
    let mut rng = SeededRng::new(test_seed("mutated_sliced_3mf"));
    let archive = build_sliced_3mf();
    let mut opened = 0;
    for _ in 0..runs {
        let mut bytes = archive.clone();
        mutate(&mut rng, &mut bytes);
        let Ok(mut file) = Sliced3mf::open(Cursor::new(bytes)) else { continue };
        opened += 1;
        for plate in file.plates().into_iter().take(5) {
            if let Ok(Some(data)) = file.thumbnail(plate) {
                assert!(data.len() as u64 <= MAX_PLATE_THUMBNAIL_BYTES);
            }
            let Ok(mut reader) = file.gcode(plate, TEXT_LIMIT) else { continue };
            let mut text = Vec::new();
            if reader.read_to_end(&mut text).is_ok() {
                assert!(text.len() as u64 <= TEXT_LIMIT);
            }
        }
    }
    println!("{opened} of {runs} archives were opened");
    assert!(opened > 0 && opened < runs, "some mutations damage an archive, and some do not");
}
