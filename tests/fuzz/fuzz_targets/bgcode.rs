//! Coverage-guided fuzzing of the decoder for binary G-code. It keeps its limits, and sends the same for any chunks.

#![no_main]

use libfuzzer_sys::fuzz_target;
use printyard_fuzz::domain::{
    bgcode::{
        BgcodeDecoder, BgcodeError, BgcodeSink, MAX_GCODE_PIECE_BYTES, MAX_THUMBNAIL_BYTES, MAX_THUMBNAILS,
        MetadataBlock,
    },
    gcode::ThumbnailKind,
};

/// Limit of the decoded text, in bytes.
const TEXT_LIMIT: u64 = 1 << 20;

#[derive(Default, PartialEq, Eq)]
struct Recorder {
    metadata: Vec<(MetadataBlock, String, String)>,
    thumbnails: Vec<(ThumbnailKind, u16, u16, Vec<u8>)>,
    text: Vec<u8>,
}

impl BgcodeSink for Recorder {
    fn metadata(&mut self, block: MetadataBlock, key: &str, value: &str) {
        self.metadata.push((block, key.to_owned(), value.to_owned()));
    }

    fn thumbnail(&mut self, kind: ThumbnailKind, width: u16, height: u16, data: Vec<u8>) {
        assert!(data.len() <= MAX_THUMBNAIL_BYTES as usize);
        self.thumbnails.push((kind, width, height, data));
        assert!(self.thumbnails.len() <= MAX_THUMBNAILS as usize);
    }

    fn gcode(&mut self, text: &[u8]) {
        assert!(text.len() <= MAX_GCODE_PIECE_BYTES);
        self.text.extend_from_slice(text);
        assert!(self.text.len() as u64 <= TEXT_LIMIT);
    }
}

fn decode(file: &[u8], size: usize) -> (Recorder, Result<(), BgcodeError>) {
    let mut recorder = Recorder::default();
    let mut decoder = BgcodeDecoder::with_limit(TEXT_LIMIT);
    let result = file.chunks(size).try_for_each(|chunk| decoder.push(chunk, &mut recorder));
    (recorder, result.and_then(|()| decoder.finish()))
}

fuzz_target!(|file: &[u8]| {
    // The last byte chooses the size of the chunks, so that fixtures are inputs as they are.
    let Some(last) = file.last() else { return };
    let whole = decode(file, file.len());
    let pieces = decode(file, usize::from(*last) + 1);
    match &whole.1 {
        Ok(()) => assert!(whole == pieces),
        // The text before an error may differ in length, because it is sent in pieces.
        Err(_) => assert!(pieces.1.is_err()),
    }
});
