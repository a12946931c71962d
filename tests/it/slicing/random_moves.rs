//! Random moves, modes and origins against OctoPrint's analysis.

use std::fmt::Write;

use super::octoprint_analysis::assert_moves_match;
use crate::support::{
    needs,
    seeded_rng::{SeededRng, repeat_count, test_seed},
};

/// Lines of a file.
const LINES: u64 = 200;
/// Commands that change how moves are read.
const MODES: [&str; 26] = [
    "G90",
    "G90",
    "G91",
    "M82",
    "M83",
    "G92",
    "G92 E0",
    "G92 X5 Y6",
    "G92 Z1.5",
    "G92 E2.5 X1",
    "G28",
    "G28 X0",
    "G28 Y0 Z0",
    "G28 W",
    "T0",
    "T1",
    "T3",
    "G20",
    "G21",
    "G10",
    "G11",
    "M605 S2",
    "M605 S1",
    "M117 G1 X999 E9",
    "; G1 X999 E9",
    "  G1 X5 Y5 E1 ; X999",
];

/// Returns a number as slicers write it: with 0 to 5 decimals, and sometimes without the zero before them.
fn write_number(rng: &mut SeededRng, min: f64, max: f64) -> String {
    let value = min + (max - min) * rng.below(1_000_000) as f64 / 1e6;
    let decimals = rng.below(6) as usize;
    let text = format!("{value:.decimals$}");
    if rng.below(3) == 0 { text.replacen("0.", ".", usize::from(value.abs() < 1.0)) } else { text }
}

fn generate(rng: &mut SeededRng) -> String {
    let mut text = "G1 X1 Y1 Z1\nG1 X2 Y2 E1\n".to_owned();
    for _ in 0..LINES {
        if rng.below(12) == 0 {
            let _ = writeln!(text, "{}", MODES[rng.below(MODES.len() as u64) as usize]);
            continue;
        }
        text.push_str(["G1", "G1", "G0", "G01"][rng.below(4) as usize]);
        for (letter, share, min, max) in [
            ('X', 8, -20.0, 250.0),
            ('Y', 8, -20.0, 250.0),
            ('Z', 1, 0.0, 50.0),
            ('E', 7, -2.0, 6.0),
            ('F', 2, 1.0, 9e3),
        ] {
            if rng.below(10) < share {
                let _ = write!(text, " {letter}{}", write_number(rng, min, max));
            }
        }
        text.push_str(if rng.below(10) == 0 { " ; X500 E9\r\n" } else { "\n" });
    }
    text
}

/// `PRINTYARD_FUZZ_RUNS` sets the number of files.
#[test]
#[ignore = "needs OctoPrint, which tests/run provides"]
fn random_moves_match_octoprint() {
    let mut rng = SeededRng::new(test_seed("random_moves"));
    for _ in 0..repeat_count("PRINTYARD_FUZZ_RUNS", 20).min(1_000) {
        needs!(assert_moves_match(&generate(&mut rng)));
    }
}
