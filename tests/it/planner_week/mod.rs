//! A generated week of a small farm: the planner beside first come first served and earliest due date.
//!
//! `benches/planner_week.rs` runs larger farms with more seeds.

pub mod comparison;
mod generator;
mod simulation;

#[test]
fn the_planner_delivers_earlier_and_uses_printers_more_than_simpler_rules() {
    comparison::compare(100, &[1]);
}
