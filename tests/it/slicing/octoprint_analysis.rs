//! OctoPrint's own analysis of a G-code file: `octoprint analysis gcode`.

use std::{fs, process::Command};

use printyard::domain::gcode::GcodeParser;

use crate::support::octoprint::{OctoPrintVersion, find_executable};

/// Allowed difference in mm.
const TOLERANCE_MM: f64 = 0.01;

/// Asserts that the parser finds the bounds and the filament that OctoPrint finds. `None`: OctoPrint is missing. The text
/// must have no arcs, because OctoPrint's bounds of arcs are wrong (`domain/gcode/motion.rs`).
pub fn assert_moves_match(text: &str) -> Option<()> {
    let executable = find_executable(OctoPrintVersion::V1)?;
    let has_arc = |line: &str| ["G2 ", "G3 "].into_iter().any(|command| line.starts_with(command));
    assert!(!text.lines().any(has_arc), "the text has arcs");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("part.gcode");
    fs::write(&path, text).expect("written");
    let output = Command::new(executable).args(["analysis", "gcode"]).arg(&path).output().expect("OctoPrint starts");
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{printed}\n{}", String::from_utf8_lossy(&output.stderr));
    let (area, extruded) = parse_analysis(&printed);

    let mut parser = GcodeParser::new();
    text.as_bytes().chunks(65_536).for_each(|chunk| parser.push(chunk));
    let facts = parser.finish();
    let bounds = facts.bounds_mm.expect("bounds");
    assert_near("bounds", &[bounds.min, bounds.max].concat(), &area);
    assert_near("filament", &facts.extruded_mm, &extruded);
    Some(())
}

/// Returns the printed area (minima, then maxima of X, Y and Z), and the filament of each tool, in mm.
fn parse_analysis(printed: &str) -> (Vec<f64>, Vec<f64>) {
    let (_, results) = printed.split_once("RESULTS:").expect("results");
    // The lines below `key:`, which are indented or begin with a dash.
    let section = |key: &str| -> Vec<&str> {
        let lines = results.lines().skip_while(|line| line.strip_suffix(':') != Some(key)).skip(1);
        lines.take_while(|line| line.starts_with([' ', '-'])).map(str::trim).collect()
    };
    let number = |text: &str| text.parse::<f64>().expect("a number");
    let area = section("printing_area");
    let limit = |name: &str| {
        let start = format!("{name}: ");
        number(area.iter().find_map(|line| line.strip_prefix(&start)).expect("a limit"))
    };
    let extruded = section("extrusion_length").into_iter().map(|line| number(line.trim_start_matches("- ")));
    (["minX", "minY", "minZ", "maxX", "maxY", "maxZ"].map(limit).to_vec(), extruded.collect())
}

#[track_caller]
fn assert_near(what: &str, found: &[f64], expected: &[f64]) {
    let is_near = found.iter().zip(expected).all(|(a, b)| (a - b).abs() <= TOLERANCE_MM);
    assert!(is_near && found.len() == expected.len(), "{what}: {found:?}, OctoPrint: {expected:?}");
}
