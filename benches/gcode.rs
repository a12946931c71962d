//! Parses 500 MB of generated G-code in chunks. Measures the time beside SHA-256 of the same bytes, and the growth of peak
//! memory.
//!
//! `cargo bench --bench gcode`

use std::{fmt::Write, hint::black_box, time::Instant};

use printyard::domain::gcode::GcodeParser;
use sha2::{Digest, Sha256};

/// Size of the generated block, in bytes. It is repeated.
const BLOCK_BYTES: usize = 8_000_000;
const TOTAL_BYTES: usize = 500_000_000;
/// Size of a chunk, like that of an upload.
const CHUNK_BYTES: usize = 64 * 1024;
/// Speed of the parser, as a share of the speed of SHA-256: an upload needs both.
const MIN_RATIO: f64 = 0.5;
/// Allowed growth of peak memory, in bytes.
const MAX_GROWTH_BYTES: u64 = 16 * 1024 * 1024;

fn main() {
    for (name, absolute) in [("relative E (PrusaSlicer)", false), ("absolute E (Cura)", true)] {
        let block = generate(absolute);
        let before = peak_bytes();
        let sha_s = time(
            &block,
            Sha256::new(),
            |hash, chunk| hash.update(chunk),
            |hash| {
                black_box(hash.finalize());
            },
        );
        let parser_s = time(&block, GcodeParser::new(), GcodeParser::push, |parser| {
            black_box(parser.finish());
        });
        let growth = peak_bytes().saturating_sub(before);
        let speed = |seconds: f64| TOTAL_BYTES as f64 / 1e6 / seconds;
        println!("{name}, {} bytes per line", block.len() / block.split(|byte| *byte == b'\n').count());
        println!("  SHA-256        {sha_s:5.2} s  {:4.0} MB/s", speed(sha_s));
        println!("  parser         {parser_s:5.2} s  {:4.0} MB/s", speed(parser_s));
        println!("  ratio          {:5.2}    (target: at least {MIN_RATIO})", sha_s / parser_s);
        println!("  memory growth  {:5.1} MB (target: at most 16)", growth as f64 / (1024.0 * 1024.0));
        assert!(growth <= MAX_GROWTH_BYTES, "the memory grew by {growth} bytes");
    }
}

/// Returns the seconds for all bytes.
fn time<T>(block: &[u8], mut state: T, push: fn(&mut T, &[u8]), finish: fn(T)) -> f64 {
    let started = Instant::now();
    let mut left = TOTAL_BYTES;
    while left > 0 {
        for chunk in block[..left.min(block.len())].chunks(CHUNK_BYTES) {
            push(&mut state, black_box(chunk));
        }
        left -= left.min(block.len());
    }
    finish(state);
    started.elapsed().as_secs_f64()
}

/// Returns the peak of resident memory in bytes.
fn peak_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("VmHWM");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
}

/// Generates moves as slicers write them: perimeters, travels, retractions, comments.
fn generate(absolute: bool) -> Vec<u8> {
    let mut text = String::with_capacity(BLOCK_BYTES + 4096);
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = |range: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % range
    };
    let (mut layer, mut e) = (0u64, 0.0);
    text.push_str(if absolute { "M82\nG92 E0\n" } else { "M83\n" });
    while text.len() < BLOCK_BYTES {
        layer += 1;
        let z = layer as f64 * 0.2;
        let _ = write!(text, ";LAYER_CHANGE\n;Z:{z:.1}\n;HEIGHT:0.2\nG1 Z{z:.1} F9000\n");
        for path in 0..40 {
            let kind = ["External perimeter", "Perimeter", "Internal infill", "Solid infill"][path % 4];
            let _ = write!(text, ";TYPE:{kind}\n;WIDTH:0.4{}\n", next(10));
            let (x, y) = (next(250_000) as f64 / 1e3, next(210_000) as f64 / 1e3);
            let _ = writeln!(text, "G1 X{x:.3} Y{y:.3} F10800");
            let _ = writeln!(text, "G1 F{}", 1200 + next(3000));
            for _ in 0..20 + next(60) {
                let (x, y) = (next(250_000) as f64 / 1e3, next(210_000) as f64 / 1e3);
                let step = next(400_000) as f64 / 1e5;
                e += step;
                let value = if absolute { e } else { step };
                let precision = 3 - usize::from(next(4) == 0);
                let _ = writeln!(text, "G1 X{x:.precision$} Y{y:.precision$} E{value:.5}");
            }
            if absolute {
                e -= 0.8;
                let _ = writeln!(text, "G1 E{e:.5} F2700");
            } else {
                let _ = writeln!(text, "G1 E-.8 F2700\nG1 E.8 F2700");
            }
        }
    }
    text.truncate(text.rfind('\n').map_or(0, |end| end + 1));
    text.into_bytes()
}
