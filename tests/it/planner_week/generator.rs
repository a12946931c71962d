//! Generates a week of a farm: printers with fixed filament, and orders that arrive during the week.

use rand::{Rng, RngExt, SeedableRng, rngs::StdRng};

pub const HOUR: i64 = 3_600;
pub const WEEK: i64 = 7 * 24 * HOUR;
/// 4 materials, 6 colours, 2 nozzles.
const MAX_LOADOUTS: usize = 4 * 6 * 2;
/// A smaller farm has fewer loadouts: with two printers for each, single orders would decide the week.
const MIN_PRINTERS_OF_LOADOUT: usize = 5;
/// Mean time from the presence of staff to a clear plate.
const CLEARING_MEAN_S: f64 = 12.0 * 60.0;
/// Before the print times are scaled to the load: about 2 h after it.
const MEDIAN_PRINT_TIME_S: f64 = 3.0 * 3_600.0;
/// Standard deviation of the logarithm of print times.
const PRINT_TIME_SIGMA: f64 = 0.8;
const FAILING_COPIES: f64 = 0.03;
const BROKEN_PRINTERS: f64 = 0.01;
const FAILING_COPIES_OF_BROKEN: f64 = 0.9;

/// What is generated.
#[derive(Debug, Clone, Copy)]
pub struct Scenario {
    pub printers: usize,
    pub orders: usize,
    /// Print time of all copies, as a share of the printers' time.
    pub load: f64,
    pub is_staff_always_present: bool,
    pub seed: u64,
}

impl Scenario {
    fn loadouts(&self) -> usize {
        (self.printers / MIN_PRINTERS_OF_LOADOUT).min(MAX_LOADOUTS)
    }
}

/// An order of the week. Times are seconds after its beginning.
#[derive(Debug, Clone)]
pub struct WeekOrder {
    pub loadout: usize,
    pub arrives: i64,
    pub due: i64,
    /// 50, 75 or 100: weights 1, 3 and 9.
    pub priority: u8,
    pub copies: u32,
    pub print_time_s: i64,
}

/// Everything that does not depend on the rule.
pub struct Week {
    pub scenario: Scenario,
    pub orders: Vec<WeekOrder>,
    /// When each printer breaks, if it does.
    pub breaks: Vec<Option<i64>>,
}

impl Week {
    pub fn generate(scenario: Scenario) -> Self {
        let mut random = StdRng::seed_from_u64(scenario.seed);
        let mut orders: Vec<WeekOrder> =
            (0..scenario.orders).map(|_| generate_order(&mut random, scenario.loadouts())).collect();
        fit_load(&mut orders, &scenario);
        orders.sort_by_key(|order| order.arrives);
        let breaks = |_| random.random_bool(BROKEN_PRINTERS).then(|| random.random_range(0..WEEK));
        Self { scenario, orders, breaks: (0..scenario.printers).map(breaks).collect() }
    }

    /// Returns the filament and nozzle of a printer. They stay for the week.
    pub fn loadout_of_printer(&self, printer: usize) -> usize {
        printer % self.scenario.loadouts()
    }

    pub fn copies(&self) -> u32 {
        self.orders.iter().map(|order| order.copies).sum()
    }

    /// Returns after which share of its time a copy fails. `None`: it succeeds. The same copy of the same order has the
    /// same luck under every rule.
    pub fn draw_failure(&self, order: usize, copy: u32, is_broken: bool) -> Option<f64> {
        let mut random = self.random_of(1, order as u64, u64::from(copy));
        let chance = if is_broken { FAILING_COPIES_OF_BROKEN } else { FAILING_COPIES };
        random.random_bool(chance).then(|| random.random_range(0.05..1.0))
    }

    /// Returns the seconds that staff needs to clear a plate.
    pub fn draw_clearing(&self, printer: usize, print: u32) -> i64 {
        let mut random = self.random_of(2, printer as u64, u64::from(print));
        (exponential(&mut random) * CLEARING_MEAN_S) as i64
    }

    fn random_of(&self, kind: u64, a: u64, b: u64) -> StdRng {
        StdRng::seed_from_u64((self.scenario.seed << 50) ^ (kind << 48) ^ (a << 24) ^ b)
    }
}

fn generate_order(random: &mut StdRng, loadouts: usize) -> WeekOrder {
    let print_time_s = MEDIAN_PRINT_TIME_S * (normal(random) * PRINT_TIME_SIGMA).exp();
    let arrives = random.random_range(0..WEEK);
    let print_time_s = (print_time_s as i64).clamp(600, 40 * HOUR);
    WeekOrder {
        loadout: random.random_range(0..loadouts),
        arrives,
        due: arrives + 2 * print_time_s + (random.random_range(0.0..1.0) * 96.0 * 3_600.0) as i64,
        priority: [50, 75, 100][random.random_range(0..3)],
        copies: 1 + (exponential(random) * 5.0) as u32,
        print_time_s,
    }
}

/// Scales the print times to the load.
fn fit_load(orders: &mut [WeekOrder], scenario: &Scenario) {
    let sum: i64 = orders.iter().map(|order| i64::from(order.copies) * order.print_time_s).sum();
    let factor = scenario.load * (WEEK * scenario.printers as i64) as f64 / sum as f64;
    orders.iter_mut().for_each(|order| order.print_time_s = (order.print_time_s as f64 * factor) as i64);
}

/// A value of the standard normal distribution.
fn normal(random: &mut impl Rng) -> f64 {
    let (a, b): (f64, f64) = (random.random_range(f64::EPSILON..1.0), random.random());
    (-2.0 * a.ln()).sqrt() * (std::f64::consts::TAU * b).cos()
}

/// A value of the exponential distribution with mean 1.
fn exponential(random: &mut impl Rng) -> f64 {
    -random.random_range(f64::EPSILON..1.0_f64).ln()
}
