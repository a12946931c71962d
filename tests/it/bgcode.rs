//! Binary G-code of the reference library: all compressions, encodings and checksums.
//!
//! `bgcode/make_bgcode.py` runs in the Python of `PRINTYARD_TEST_BGCODE_PYTHON`, which has the library.

use std::{fmt::Write, fs, path::Path, process::Command};

use tempfile::TempDir;

use crate::support::env_or_skip;

mod reference;
mod transfer;

/// 4 compressions, 3 encodings, 2 checksums.
const VARIANTS: usize = 24;

/// Files that the library made of one source.
struct ReferenceFiles {
    source: String,
    folder: TempDir,
    /// Names as in `deflate.meatpack.crc32`.
    variants: Vec<String>,
}

impl ReferenceFiles {
    /// Returns a file of a variant. Kinds: `bgcode`; `gcode` and `blocks`, texts; `json`, metadata and thumbnails.
    fn read(&self, variant: &str, kind: &str) -> Vec<u8> {
        fs::read(self.folder.path().join(format!("{variant}.{kind}"))).expect("a file of the library")
    }
}

/// Runs the library; `None` if it is missing.
fn make_reference_files(source: String) -> Option<ReferenceFiles> {
    let python = env_or_skip("PRINTYARD_TEST_BGCODE_PYTHON", "the library pybgcode")?;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("source.gcode");
    fs::write(&path, &source).expect("written");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/bgcode/make_bgcode.py");
    let output = Command::new(python).arg(script).arg(&path).arg(folder.path()).output().expect("Python starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let names = String::from_utf8(output.stdout).expect("names");
    let variants: Vec<String> = names.lines().map(str::to_owned).collect();
    assert_eq!(variants.len(), VARIANTS);
    Some(ReferenceFiles { source, folder, variants })
}

/// Returns the fixture with 20,000 more lines, so that it has several G-code blocks.
fn generate_source() -> String {
    let fixture = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/bgcode/source.gcode");
    let source = fs::read_to_string(fixture).expect("the fixture");
    let mut moves = String::new();
    for index in 0..20_000_u32 {
        let (x, y) = (f64::from(index * 7_919 % 250_000) / 1_000.0, f64::from(index * 104_729 % 210_000) / 1_000.0);
        let line = match index % 50 {
            0 => writeln!(moves, ";LAYER_CHANGE {index}"),
            1 => writeln!(moves, "G2 X{x} Y{y} I-{x:.2} J.5 E.{index} ; arc"),
            2 => writeln!(moves, "M204 S{index}"),
            3 => writeln!(moves, "G1 E-.8 F{index}"),
            _ => writeln!(moves, "G1 X{x:.3} Y{y:.3} E{:.5}", x / 100.0),
        };
        line.expect("a String accepts all");
    }
    // The library computes checksums of lines again, and differently: the lib tests have this line.
    source.replace(";LAYER_CHANGE\n", &moves).replace("N10 G1 X3*22\n", "")
}

/// Adds each character as a parameter. This checks where MeatPack inserts spaces. Such commands change their meaning.
fn add_characters(source: &str) -> String {
    let commands = ('!'..='~').filter(|c| !";*".contains(*c)).map(|c| format!("G1 0{c}1\nM9 {c}1\n"));
    source.replacen("T0\n", &format!("T0\n{}", commands.collect::<String>()), 1)
}

/// Returns the lines that a printer executes. Exact where the variant stores the text; MeatPack drops comments behind
/// commands and spaces, and changes the case of letters.
fn commands(text: &str, is_exact: bool) -> Vec<String> {
    let lines = text.lines().filter(|line| !matches!(line.trim_start().chars().next(), None | Some(';')));
    if is_exact {
        return lines.map(str::to_owned).collect();
    }
    let code = lines.map(|line| line.split_once(';').map_or(line, |(code, _)| code));
    code.map(|code| code.split_whitespace().collect::<String>().to_uppercase()).collect()
}

#[track_caller]
fn assert_same_commands(what: &str, text: &str, expected: &str, is_exact: bool) {
    let (found, expected) = (commands(text, is_exact), commands(expected, is_exact));
    assert!(found.len() > 19_000, "{what}: {} commands", found.len());
    for (index, pair) in found.iter().zip(&expected).enumerate() {
        assert_eq!(pair.0, pair.1, "{what}, command {index}");
    }
    assert_eq!(found.len(), expected.len(), "{what}");
}
