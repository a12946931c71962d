//! Coverage-guided fuzzing of the G-code parser. The facts are finite and do not depend on the chunks.

#![no_main]

use libfuzzer_sys::fuzz_target;
use printyard_fuzz::domain::gcode::{GcodeFacts, GcodeParser};

fuzz_target!(|text: &[u8]| {
    // The last byte chooses the size of the chunks, so that samples are inputs as they are.
    let Some(last) = text.last() else { return };
    let facts = parse(text, usize::from(*last) + 1);
    assert_eq!(facts, parse(text, text.len()), "the facts depend on the chunks");
    assert!(facts.extruded_mm.iter().all(|mm| mm.is_finite()));
    for bounds in facts.bounds_mm.iter().chain(&facts.bounds_after_first_layer_mm) {
        assert!((0..3).all(|axis| bounds.min[axis] <= bounds.max[axis] && bounds.max[axis].is_finite()));
    }
});

fn parse(text: &[u8], size: usize) -> GcodeFacts {
    let mut parser = GcodeParser::new();
    text.chunks(size).for_each(|chunk| parser.push(chunk));
    parser.finish()
}
