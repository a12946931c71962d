//! Random numbers from a seed that is printed, so that a failure can be repeated.

/// A generator of small random numbers.
pub struct SeededRng(u64);

impl SeededRng {
    /// Creates a generator from a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(7_919).wrapping_add(1))
    }

    /// Returns a number below `n`.
    pub fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

/// Returns the seed of a test and prints it: `PRINTYARD_TEST_SEED`, or a random one.
pub fn test_seed(test: &str) -> u64 {
    let given = std::env::var("PRINTYARD_TEST_SEED").ok().and_then(|text| text.parse().ok());
    let seed = given.unwrap_or_else(|| rand::random::<u64>() % 1_000_000);
    println!("{test}: PRINTYARD_TEST_SEED={seed}");
    seed
}

/// Returns how often a test repeats: from a variable, or the number for CI.
pub fn repeat_count(variable: &str, in_ci: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(in_ci)
}
