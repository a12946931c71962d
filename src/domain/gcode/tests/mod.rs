//! Tests of the G-code parser. Samples for each slicer are in `tests/gcode-samples`.

mod bounded;
mod moves;
mod numbers;
mod robust;
mod slicers;
mod thumbnails;
mod traps;

use super::{GcodeFacts, GcodeParser};

macro_rules! sample {
    ($name:literal) => {
        include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/gcode-samples/", $name, ".gcode"))
    };
}

/// All samples, with their names.
const SAMPLES: [(&str, &[u8]); 10] = [
    ("bambustudio", sample!("bambustudio")),
    ("cura", sample!("cura")),
    ("cura-griffin", sample!("cura-griffin")),
    ("curaengine", sample!("curaengine")),
    ("fork", sample!("fork")),
    ("ideamaker", sample!("ideamaker")),
    ("orcaslicer", sample!("orcaslicer")),
    ("prusaslicer", sample!("prusaslicer")),
    ("simplify3d", sample!("simplify3d")),
    ("superslicer", sample!("superslicer")),
];

fn sample(name: &str) -> GcodeFacts {
    let (_, text) = SAMPLES.into_iter().find(|(known, _)| *known == name).expect("a known sample");
    parse(text)
}

fn parse(text: impl AsRef<[u8]>) -> GcodeFacts {
    parse_in_chunks(text.as_ref(), usize::MAX)
}

fn parse_in_chunks(text: &[u8], size: usize) -> GcodeFacts {
    let mut parser = GcodeParser::new();
    text.chunks(size).for_each(|chunk| parser.push(chunk));
    parser.finish()
}

/// Panics unless the lists are equal within 0.001.
#[track_caller]
fn assert_near(actual: impl AsRef<[f64]>, expected: impl AsRef<[f64]>) {
    let (actual, expected) = (actual.as_ref(), expected.as_ref());
    let near = actual.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-3);
    assert!(near && actual.len() == expected.len(), "{actual:?} instead of {expected:?}");
}

/// Returns minimum and maximum of X and Y.
fn area(text: &str) -> [f64; 4] {
    let bounds = parse(text).bounds_mm.expect("bounds");
    [bounds.min[0], bounds.min[1], bounds.max[0], bounds.max[1]]
}
