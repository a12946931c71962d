//! Compares the planner with first come first served and earliest due date in the same weeks.

use super::{
    generator::{Scenario, Week},
    simulation::{Achieved, Rule, simulate},
};

/// Mean weighted lateness of the planner, as a share of the others'.
const MAX_OF_FIRST_COME: f64 = 0.25;
const MAX_OF_EARLIEST_DUE: f64 = 0.7;
/// Utilisation above both.
const MIN_UTILISATION_GAIN: f64 = 0.03;
/// With staff always present: lateness as a share of either, and utilisation likewise.
const MAX_ALWAYS_PRESENT: f64 = 1.02;
const MIN_UTILISATION_ALWAYS_PRESENT: f64 = 0.98;

/// Runs the weeks of all seeds under every rule, prints the means, and asserts the targets.
pub fn compare(printers: usize, seeds: &[u64]) {
    for is_staff_always_present in [false, true] {
        let scenario = |seed| Scenario { printers, orders: printers * 10, load: 0.9, is_staff_always_present, seed };
        let weeks: Vec<Week> = seeds.iter().map(|seed| Week::generate(scenario(*seed))).collect();
        let copies: u32 = weeks.iter().map(Week::copies).sum();
        let staff = if is_staff_always_present { "always present" } else { "06-22" };
        println!(
            "{printers} printers, {} orders, {} copies, staff {staff}, seeds {seeds:?}",
            printers * 10,
            copies as usize / weeks.len()
        );
        let [planner, first_come, earliest_due] = [Rule::Planner, Rule::FirstComeFirstServed, Rule::EarliestDueDate]
            .map(|rule| {
                let results: Vec<Achieved> = weeks.iter().map(|week| simulate(week, rule)).collect();
                let mean = mean(&results);
                println!(
                    "  {:22} weighted lateness {:6.2} h, late {:4.1} %, utilisation {:4.1} %, failed {} of {}",
                    format!("{rule:?}"),
                    mean.weighted_lateness_h,
                    mean.late * 100.0,
                    mean.utilisation * 100.0,
                    mean.failed,
                    mean.copies,
                );
                mean
            });
        let of_first_come = planner.weighted_lateness_h / first_come.weighted_lateness_h;
        let of_earliest_due = planner.weighted_lateness_h / earliest_due.weighted_lateness_h;
        let gain = planner.utilisation - first_come.utilisation.max(earliest_due.utilisation);
        println!(
            "  lateness {of_first_come:.2} of first come, {of_earliest_due:.2} of earliest due; utilisation {:+.1} points",
            gain * 100.0
        );
        if is_staff_always_present {
            let share = planner.utilisation / first_come.utilisation.max(earliest_due.utilisation);
            assert!(of_first_come.max(of_earliest_due) <= MAX_ALWAYS_PRESENT, "seeds {seeds:?}");
            assert!(share >= MIN_UTILISATION_ALWAYS_PRESENT, "seeds {seeds:?}: utilisation");
        } else {
            assert!(of_first_come <= MAX_OF_FIRST_COME && of_earliest_due <= MAX_OF_EARLIEST_DUE, "seeds {seeds:?}");
            assert!(gain >= MIN_UTILISATION_GAIN, "seeds {seeds:?}: utilisation");
        }
    }
}

fn mean(results: &[Achieved]) -> Achieved {
    let count = results.len() as f64;
    let mean = |of: fn(&Achieved) -> f64| results.iter().map(of).sum::<f64>() / count;
    let whole = |of: fn(&Achieved) -> u32| results.iter().map(of).sum::<u32>() / results.len() as u32;
    Achieved {
        weighted_lateness_h: mean(|one| one.weighted_lateness_h),
        late: mean(|one| one.late),
        utilisation: mean(|one| one.utilisation),
        copies: whole(|one| one.copies),
        failed: whole(|one| one.failed),
    }
}
