//! The decoder against the reference library.

use printyard::domain::{
    bgcode::{BgcodeDecoder, BgcodeSink, MetadataBlock},
    gcode::ThumbnailKind,
};
use serde_json::{Map, Value, json};

use super::{add_characters, assert_same_commands, generate_source, make_reference_files};
use crate::support::needs;

/// The content of a file, in the form of `make_bgcode.py`.
#[derive(Default)]
struct DecodedFile {
    blocks: [Map<String, Value>; 4],
    thumbnails: Vec<Value>,
    text: Vec<u8>,
}

impl BgcodeSink for DecodedFile {
    fn metadata(&mut self, block: MetadataBlock, key: &str, value: &str) {
        self.blocks[block as usize].insert(key.to_owned(), value.into());
    }

    fn thumbnail(&mut self, kind: ThumbnailKind, width: u16, height: u16, data: Vec<u8>) {
        let mut crc = flate2::Crc::new();
        crc.update(&data);
        self.thumbnails.push(json!({
            "format": kind as u16, "width": width, "height": height, "size": data.len(), "crc32": crc.sum(),
        }));
    }

    fn gcode(&mut self, text: &[u8]) {
        self.text.extend_from_slice(text);
    }
}

impl DecodedFile {
    fn to_json(&self) -> Value {
        let [file, printer, print, slicer] = &self.blocks;
        json!({
            "file": file, "printer": printer, "print": print, "slicer": slicer, "thumbnails": self.thumbnails,
        })
    }
}

#[test]
#[ignore = "needs the library pybgcode, which tests/run provides"]
fn the_decoder_reads_what_the_reference_library_reads() {
    let files = needs!(make_reference_files(add_characters(&generate_source())));
    for variant in &files.variants {
        let mut decoded = DecodedFile::default();
        let mut decoder = BgcodeDecoder::new();
        for chunk in files.read(variant, "bgcode").chunks(4_099) {
            decoder.push(chunk, &mut decoded).expect("valid binary G-code");
        }
        decoder.finish().expect("complete binary G-code");
        let expected: Value = serde_json::from_slice(&files.read(variant, "json")).expect("JSON");
        assert_eq!(decoded.to_json(), expected, "{variant}");
        assert!(decoded.text == files.read(variant, "blocks"), "{variant}: the text of the blocks differs");
        let text = String::from_utf8(decoded.text).expect("UTF-8");
        let converted = String::from_utf8(files.read(variant, "gcode")).expect("UTF-8");
        assert_same_commands(variant, &text, &converted, true);
        assert_same_commands(variant, &text, &files.source, variant.contains(".text."));
    }
}
