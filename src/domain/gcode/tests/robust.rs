//! Chunks cut anywhere, and damaged input.

use proptest::prelude::*;

use super::{SAMPLES, parse};
use crate::domain::gcode::GcodeParser;

/// Mutated inputs per run. `PRINTYARD_FUZZ_RUNS` sets another number.
const FUZZ_RUNS: u64 = 10_000;
/// Texts that mutations insert.
const FRAGMENTS: [&str; 24] = [
    "\n",
    "\r",
    ";",
    " ",
    "-",
    ".",
    "e",
    "=",
    ":",
    ",",
    "\"",
    "\\",
    "; thumbnail begin 1x1 1\n",
    "G1 X",
    "G2 R",
    "G3 I1 J",
    "G92 E",
    "1e308",
    "99999999999999999999",
    "-0.0000000000001",
    "T63\n",
    "G91\n",
    "M486 S",
    "\u{0}\u{ff}",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn chunks_do_not_change_the_facts(
        sample in 0..SAMPLES.len(),
        cuts in proptest::collection::vec(any::<u16>(), 0..40),
    ) {
        let (name, text) = SAMPLES[sample];
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| usize::from(cut) % (text.len() + 1)).collect();
        cuts.sort_unstable();
        let mut parser = GcodeParser::new();
        let mut start = 0;
        for cut in cuts.into_iter().chain([text.len()]) {
            parser.push(&text[start..cut]);
            start = cut;
        }
        prop_assert_eq!(parser.finish(), parse(text), "{}", name);
    }
}

#[test]
fn single_bytes_do_not_change_the_facts() {
    for (name, text) in SAMPLES {
        let mut parser = GcodeParser::new();
        text.iter().for_each(|byte| parser.push(std::slice::from_ref(byte)));
        assert_eq!(parser.finish(), parse(text), "{name}");
    }
}

#[test]
fn long_files_do_not_depend_on_chunks() {
    let text: String = (0..40_000)
        .map(|i| {
            format!("G1 X{}.{:03} Y{} E{}.{:05} ; {}\n", i % 250, i % 1_000, i % 210, i / 7, i, "c".repeat(i % 90))
        })
        .collect();
    let whole = parse(&text);
    for size in [1, 7, 4_096, 65_535, 65_536, 65_537, 1_000_000] {
        assert_eq!(super::parse_in_chunks(text.as_bytes(), size), whole, "chunks of {size}");
    }
}

#[test]
fn mutated_inputs_do_not_panic() {
    let variable = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let runs = variable("PRINTYARD_FUZZ_RUNS").unwrap_or(FUZZ_RUNS);
    let seed = variable("PRINTYARD_TEST_SEED").unwrap_or_else(|| rand::random::<u64>() % 1_000_000);
    println!("mutated_inputs: PRINTYARD_TEST_SEED={seed}");
    let mut random = Random(2 * seed + 1);
    for run in 0..runs {
        let text = mutate(&mut random);
        let mut parser = GcodeParser::new();
        text.chunks(1 + random.below(2_000)).for_each(|chunk| parser.push(chunk));
        let facts = parser.finish();
        let finite = facts.extruded_mm.iter().chain(&facts.nozzle_mm).all(|value| value.is_finite());
        let bounded = facts.bounds_mm.iter().flat_map(|bounds| bounds.min.into_iter().chain(bounds.max));
        assert!(finite && bounded.into_iter().all(f64::is_finite), "seed {seed}, run {run}");
        assert!(
            facts.bounds_mm.is_none_or(|bounds| (0..3).all(|i| bounds.min[i] <= bounds.max[i])),
            "seed {seed}, run {run}"
        );
    }
}

/// Returns a part of a sample with a few changed bytes.
fn mutate(random: &mut Random) -> Vec<u8> {
    let (_, sample) = SAMPLES[random.below(SAMPLES.len())];
    let start = random.below(sample.len() / 2);
    let length = 1 + random.below((sample.len() - start).min(6_000));
    let mut text = sample[start..start + length].to_vec();
    for _ in 0..1 + random.below(12) {
        let at = random.below(text.len());
        match random.below(5) {
            0 => text[at] = random.below(256) as u8,
            1 => text[at] ^= 1 << random.below(8),
            2 => drop(text.splice(at..at, FRAGMENTS[random.below(FRAGMENTS.len())].bytes())),
            3 => text.truncate(at + 1),
            _ => {
                let end = (at + random.below(40)).min(text.len());
                let piece = text[at..end].to_vec();
                let to = random.below(text.len());
                drop(text.splice(to..to, piece));
            }
        }
    }
    text
}

/// A small generator of pseudo-random numbers (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit.max(1) as u64) as usize
    }
}
