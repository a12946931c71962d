//! Memory limits: long lines, many tools, many labels, long names, large files.

use super::{parse, parse_in_chunks};
use crate::domain::gcode::{
    MAX_LINE_BYTES, MAX_TEXT_CHARS, MAX_TOOLS,
    curve::{CurveBuilder, FIRST_STRIDE_BYTES},
};

#[test]
fn a_line_without_end_is_cut() {
    let mut text = format!("G1 X5 Y5 E1 ;{}\n", "x".repeat(3 * MAX_LINE_BYTES)).into_bytes();
    text.extend_from_slice(b"; layer_height = 0.2\n");
    for size in [1_000, 70_000, usize::MAX] {
        let facts = parse_in_chunks(&text, size);
        assert_eq!((facts.extruded_mm.as_slice(), facts.layer_height_mm), ([1.0].as_slice(), Some(0.2)));
    }
    let cut = format!("; printer_model = {}\n; layer_height = 0.2\n", "y".repeat(MAX_LINE_BYTES));
    let facts = parse(cut);
    assert_eq!((facts.printer_model, facts.layer_height_mm), (None, Some(0.2)), "a long value does not count");
}

#[test]
fn names_are_cut_and_tools_are_bounded() {
    let facts = parse(format!("; printer_model = {}\n", "é".repeat(1_000)));
    assert_eq!(facts.printer_model.map(|name| name.chars().count()), Some(MAX_TEXT_CHARS));
    let facts = parse(format!("; filament_type = {}\n", "PLA;".repeat(1_000)));
    assert_eq!(facts.tools.len(), MAX_TOOLS);
    let facts = parse(format!("; filament used [mm] = {}\n", "1.0, ".repeat(1_000)));
    assert_eq!(facts.tools.len(), MAX_TOOLS);
    let text: String =
        (0..1_000).map(|tool| format!("T{tool}\n;Filament Type #{tool}: PLA\nG1 X{tool} E{tool}\n")).collect();
    let facts = parse(text);
    assert_eq!((facts.tools.len(), facts.extruded_mm.len()), (MAX_TOOLS, MAX_TOOLS));
}

#[test]
fn too_many_labels_are_not_counted() {
    let labels = |count: u32| (0..count).map(|i| format!("; printing object a id:{i} copy 0\n")).collect::<String>();
    assert_eq!(parse(labels(4_096)).objects, Some(4_096));
    assert_eq!(parse(labels(4_097)).objects, None);
}

#[test]
fn the_curve_doubles_its_stride() {
    let mut curve = CurveBuilder::default();
    for entry in 1..=40_000u32 {
        while !curve.advance(curve.bytes_to_next().min(FIRST_STRIDE_BYTES)) {}
        curve.add_entry(f64::from(entry));
    }
    let curve = curve.finish(50_000.0);
    assert!(curve.mm.len() <= 16_384 && curve.stride_bytes > FIRST_STRIDE_BYTES);
    assert!(curve.mm.is_sorted());
    assert_eq!(curve.mm.last(), Some(&50_000.0));
}
