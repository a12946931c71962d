//! Headers, order of blocks, checksums and damaged data.

use super::{
    super::{BgcodeDecoder, BgcodeError, MetadataBlock},
    builder::{FILE, FileBuilder, GCODE, PRINT, PRINTER, Recorder, SLICER, THUMBNAIL, deflate},
};

/// Returns a file with one G-code block.
fn small_file() -> FileBuilder {
    FileBuilder::new().block(PRINTER, &[0], b"printer_model=MK4\n").block(GCODE, &[0], b"G28\n")
}

#[test]
fn blocks_are_read_in_the_order_of_the_specification() {
    let recorder = FileBuilder::new()
        .block(FILE, &[0], b"Producer=a\n")
        .block(PRINTER, &[0], b"a=b=c\nno entry\nempty=\nlast=1")
        .block(THUMBNAIL, &[0, 16, 9], b"png")
        .deflated(PRINT, &[0], "umlaut=ä\n".as_bytes())
        .deflated(SLICER, &[1], br#"{"a": "b = c"}"#)
        .block(GCODE, &[0], b"G28\nG1 X")
        .block(77, &[], b"a later version's block")
        .deflated(GCODE, &[0], b"1\n")
        .decode()
        .expect("a valid file");
    assert_eq!(recorder.text, b"G28\nG1 X1\n", "a line may continue in the next block");
    let entry = |block, key: &str, value: &str| (block, key.to_owned(), value.to_owned());
    assert_eq!(
        recorder.metadata,
        [
            entry(MetadataBlock::File, "Producer", "a"),
            entry(MetadataBlock::Printer, "a", "b=c"),
            entry(MetadataBlock::Printer, "empty", ""),
            entry(MetadataBlock::Printer, "last", "1"),
            entry(MetadataBlock::Print, "umlaut", "ä"),
            entry(MetadataBlock::Slicer, "", r#"{"a": "b = c"}"#),
        ]
    );
}

#[test]
fn a_header_has_8_bytes_and_12_if_the_block_is_compressed() {
    let stored = FileBuilder::new().block(GCODE, &[0], b"G28\n");
    let compressed = FileBuilder::new().deflated(GCODE, &[0], b"G28\n");
    let stored_size = deflate(b"G28\n").len();
    // The header of the file, the header of the block, the encoding, the data and the checksum.
    assert_eq!((stored.0.len(), compressed.0.len()), (10 + 8 + 2 + 4 + 4, 10 + 12 + 2 + stored_size + 4));
    for file in [stored, compressed] {
        assert_eq!(file.decode().expect("a valid file").text, b"G28\n");
    }
}

#[test]
fn blocks_out_of_order_are_refused() {
    for (first, second, number) in [(GCODE, PRINT, 4), (PRINT, PRINTER, 3), (PRINTER, PRINTER, 3), (PRINTER, FILE, 0)] {
        let file = FileBuilder::new().block(first, &[0], b"").block(second, &[0], b"");
        assert_eq!(file.decode(), Err(BgcodeError::WrongBlockOrder(number)));
    }
}

#[test]
fn unknown_values_in_headers_are_refused() {
    let with_byte = |index: usize, byte: u8| {
        let mut file = small_file();
        file.0[index] = byte;
        file.decode()
    };
    assert_eq!(with_byte(0, b'X'), Err(BgcodeError::WrongMagic));
    assert_eq!(with_byte(4, 0), Err(BgcodeError::UnsupportedVersion(0)));
    assert_eq!(with_byte(4, 2), Err(BgcodeError::UnsupportedVersion(2)));
    assert_eq!(with_byte(8, 2), Err(BgcodeError::UnsupportedChecksum(2)));
    assert_eq!(with_byte(18, 2), Err(BgcodeError::UnsupportedMetadataEncoding(2)));
    let compression = FileBuilder::new().raw_block(GCODE, 4, &[4, 4], &[0], b"G28\n");
    assert_eq!(compression.decode(), Err(BgcodeError::UnsupportedCompression(4)));
    let encoding = FileBuilder::new().block(GCODE, &[3], b"G28\n");
    assert_eq!(encoding.decode(), Err(BgcodeError::UnsupportedGcodeEncoding(3)));
}

#[test]
fn a_wrong_checksum_is_an_error_and_its_metadata_is_not_sent() {
    let mut file = FileBuilder::new().block(PRINTER, &[0], b"printer_model=MK4\n");
    let last = file.0.len() - 1;
    file.0[last] ^= 1;
    let mut recorder = Recorder::default();
    let mut decoder = BgcodeDecoder::new();
    let error = decoder.push(&file.0, &mut recorder).expect_err("a wrong checksum");
    assert!(matches!(error, BgcodeError::WrongChecksum { expected, found } if expected ^ found == 1 << 24));
    assert_eq!(recorder, Recorder::default());
    assert_eq!(decoder.push(b"more", &mut recorder), Err(error.clone()), "the error stays");
    assert_eq!(decoder.finish(), Err(error));
}

#[test]
fn each_changed_byte_is_detected() {
    let file = small_file();
    for index in 0..file.0.len() {
        for bit in 0..8 {
            let mut changed = FileBuilder(file.0.clone());
            changed.0[index] ^= 1 << bit;
            // Without checksums, the rest of the file is not understood.
            assert!(changed.decode().is_err(), "byte {index}, bit {bit}");
        }
    }
}

#[test]
fn a_file_without_gcode_is_refused() {
    let file = FileBuilder::new().block(PRINTER, &[0], b"a=b\n");
    assert_eq!(file.decode(), Err(BgcodeError::NoGcode));
    assert_eq!(FileBuilder(Vec::new()).decode(), Err(BgcodeError::Truncated));
}

#[test]
fn data_that_does_not_have_its_declared_size_is_refused() {
    let data = b"G28\nG1 X1\n";
    let compressed = deflate(data);
    let declared = |size: u32, stored: &[u8]| {
        FileBuilder::new().raw_block(GCODE, 1, &[size, stored.len() as u32], &[0], stored).decode().map(|_| ())
    };
    assert_eq!(declared(10, &compressed), Ok(()));
    assert_eq!(declared(9, &compressed), Err(BgcodeError::WrongSize { declared: 9 }));
    assert_eq!(declared(11, &compressed), Err(BgcodeError::WrongSize { declared: 11 }));
    assert_eq!(declared(10, &compressed[..compressed.len() - 1]), Err(BgcodeError::InvalidCompression));
    assert_eq!(declared(10, &[&compressed[..], b"x"].concat()), Err(BgcodeError::InvalidCompression));
    assert_eq!(declared(10, b"not deflate"), Err(BgcodeError::InvalidCompression));
    assert_eq!(declared(0, b""), Ok(()), "the reference library writes empty blocks like this");
}

#[test]
fn a_meatpack_pair_must_be_complete() {
    let file = FileBuilder::new().block(GCODE, &[1], &[0xFF, 0xFF, 251, 0x1F]);
    assert_eq!(file.decode(), Err(BgcodeError::InvalidMeatPack));
}
