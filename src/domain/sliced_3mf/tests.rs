//! Archives as the slicers write them, and archives with wrong declarations.

use std::io::{Cursor, Write};

use zip::{ZipWriter, write::SimpleFileOptions};

use super::*;

const GCODE: &[u8] = b"; HEADER_BLOCK_START\n; BambuStudio 02.08.00.00\nG28\n";

/// Builds an archive with these entries. The order is kept.
fn archive(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (index, (name, data)) in entries.iter().enumerate() {
        let method = if index % 2 == 0 { CompressionMethod::Deflated } else { CompressionMethod::Stored };
        // BambuStudio writes zip64 fields.
        let options = SimpleFileOptions::default().compression_method(method).large_file(index % 3 == 0);
        writer.start_file(*name, options).expect("a new entry");
        writer.write_all(data).expect("a Vec accepts all");
    }
    writer.finish().expect("a complete archive").into_inner()
}

fn open(archive: &[u8]) -> Result<Sliced3mf<Cursor<&[u8]>>, Sliced3mfError> {
    Sliced3mf::open(Cursor::new(archive))
}

fn read_gcode(archive: &[u8], plate: u32, limit: u64) -> Result<Vec<u8>, String> {
    let mut file = open(archive).map_err(|error| error.to_string())?;
    let mut reader = file.gcode(plate, limit).map_err(|error| error.to_string())?;
    let mut text = Vec::new();
    reader.read_to_end(&mut text).map_err(|error| error.to_string())?;
    Ok(text)
}

/// Returns the position of `pattern` for the `count`-th time, from 0.
fn position(bytes: &[u8], pattern: &[u8], count: usize) -> usize {
    let mut positions = (0..bytes.len()).filter(|start| bytes[*start..].starts_with(pattern));
    positions.nth(count).expect("the pattern")
}

#[test]
fn plates_and_thumbnails_are_found_by_name() {
    let bytes = archive(&[
        ("[Content_Types].xml", b"<xml/>"),
        ("Metadata/plate_10.gcode", b"G10\n"),
        ("Metadata/plate_2.gcode", GCODE),
        ("Metadata/plate_2.gcode.md5", b"0123"),
        ("Metadata/plate_2.png", b"\x89PNG"),
        ("Metadata/plate_no_light_2.png", b"other"),
        ("Metadata/plate_02.gcode", b"not a plate"),
        ("Metadata/plate_x.gcode", b"not a plate"),
        ("Metadata/plate_99999999999.gcode", b"not a plate"),
        ("3D/Metadata/plate_3.gcode", b"not a plate"),
    ]);
    let mut file = open(&bytes).expect("a valid archive");
    assert_eq!(file.plates(), [2, 10]);
    assert_eq!(file.thumbnail(2).expect("a thumbnail"), Some(b"\x89PNG".to_vec()));
    assert_eq!(file.thumbnail(10).expect("no thumbnail"), None);
    assert_eq!(read_gcode(&bytes, 2, 100), Ok(GCODE.to_vec()));
    assert_eq!(read_gcode(&bytes, 10, 4), Ok(b"G10\n".to_vec()), "exactly the limit");
    assert!(matches!(file.gcode(3, 100).map(drop), Err(Sliced3mfError::NoSuchPlate(3))));
}

#[test]
fn an_archive_without_plates_is_open() {
    assert_eq!(open(&archive(&[("3D/3dmodel.model", b"<model/>")])).expect("a valid archive").plates(), [0; 0]);
}

#[test]
fn reading_stops_at_limits() {
    let large = vec![b'G'; 2 << 20];
    let bytes = archive(&[("Metadata/plate_1.gcode", &large), ("Metadata/plate_1.png", &large)]);
    let error = read_gcode(&bytes, 1, (2 << 20) - 1);
    assert_eq!(error, Err("the G-code of the plate is too large".to_owned()));
    let error = open(&bytes).expect("a valid archive").thumbnail(1);
    assert!(matches!(error, Err(Sliced3mfError::ThumbnailTooLarge(1))));
}

#[test]
fn declared_sizes_are_not_trusted() {
    let bytes = archive(&[("a", b""), ("Metadata/plate_1.gcode", GCODE), ("Metadata/plate_1.png", b"\x89PNG")]);
    // The sizes of the central directory's second entry.
    let header = position(&bytes, b"PK\x01\x02", 1);
    for (field, size) in [(20, 5_u32), (20, u32::MAX - 1), (24, 5), (24, u32::MAX - 1)] {
        let mut changed = bytes.clone();
        changed[header + field..header + field + 4].copy_from_slice(&size.to_le_bytes());
        let text = read_gcode(&changed, 1, 1 << 20);
        assert!(text.is_err() || text.as_deref() == Ok(GCODE), "{field} {size}: {text:?}");
    }
    let mut changed = bytes.clone();
    changed[header + 16] ^= 1;
    assert!(read_gcode(&changed, 1, 1 << 20).is_err(), "a wrong checksum");
}

#[test]
fn encrypted_and_unsupported_entries_are_errors() {
    let bytes = archive(&[("Metadata/plate_1.gcode", GCODE)]);
    let (local, central) = (position(&bytes, b"PK\x03\x04", 0), position(&bytes, b"PK\x01\x02", 0));
    let mut encrypted = bytes.clone();
    encrypted[local + 6] |= 1;
    encrypted[central + 8] |= 1;
    let error = open(&encrypted).expect("a valid archive").gcode(1, 100).map(drop);
    assert!(matches!(error, Err(Sliced3mfError::Encrypted)), "{error:?}");
    let mut unsupported = bytes.clone();
    unsupported[local + 8] = 14;
    unsupported[central + 10] = 14;
    let error = open(&unsupported).expect("a valid archive").gcode(1, 100).map(drop);
    assert!(matches!(error, Err(Sliced3mfError::Unsupported(_))), "{error:?}");
}

#[test]
fn a_file_that_is_no_archive_or_is_cut_is_an_error() {
    let bytes = archive(&[("Metadata/plate_1.gcode", GCODE)]);
    for cut in 0..bytes.len() {
        assert!(matches!(open(&bytes[..cut]), Err(Sliced3mfError::InvalidArchive(_))), "{cut}");
    }
    assert!(matches!(open(GCODE), Err(Sliced3mfError::InvalidArchive(_))));
}

/// Appends zip64 end records that declare `entries` entries to a file with `padding` bytes.
fn declare_entries(padding: usize, entries: u64) -> Vec<u8> {
    let mut bytes = vec![0; padding];
    bytes[..4].copy_from_slice(b"PK\x01\x02");
    bytes.extend(b"PK\x06\x06");
    bytes.extend(44_u64.to_le_bytes());
    bytes.extend([45, 0, 45, 0]);
    bytes.extend([0; 8]);
    for field in [entries, entries, entries * 46, 0] {
        bytes.extend(field.to_le_bytes());
    }
    bytes.extend(b"PK\x06\x07\0\0\0\0");
    bytes.extend((padding as u64).to_le_bytes());
    bytes.extend(1_u32.to_le_bytes());
    bytes.extend(b"PK\x05\x06\0\0\0\0");
    bytes.extend([0xFF; 12]);
    bytes.extend([0, 0]);
    bytes
}

#[test]
fn many_declared_entries_are_refused_before_memory_is_allocated() {
    let error = open(&declare_entries(65_536 * 46, 65_536)).map(drop);
    assert!(matches!(error, Err(Sliced3mfError::TooManyEntries)), "{error:?}");
    let error = open(&declare_entries(65_535 * 46, 65_535)).map(drop);
    assert!(matches!(error, Err(Sliced3mfError::InvalidArchive(_))), "the entries are missing: {error:?}");
}

#[test]
fn a_large_directory_is_refused() {
    let long_name = "n".repeat(60_000);
    let names: Vec<String> = (0..100).map(|index| format!("{long_name}{index}")).collect();
    let entries: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), [].as_slice())).collect();
    let error = open(&archive(&entries)).map(drop);
    assert!(matches!(error, Err(Sliced3mfError::TooManyEntries)), "{error:?}");
}
