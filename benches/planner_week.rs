//! Generated weeks of a farm of 500 printers with a virtual clock: the planner beside first come first served and earliest
//! due date. It asserts the targets.
//!
//! `cargo bench --bench planner_week`
//!
//! Means of five seeds, 27,634 copies each (weighted lateness, late orders, utilisation):
//!
//! | rule | staff 06-22 | staff always present |
//! |-|-|-|
//! | planner | 0.31 h, 5.4 %, 73.0 % | 0.07 h, 1.2 %, 79.7 % |
//! | first come, first served | 8.24 h, 28.6 %, 67.8 % | 1.57 h, 10.3 %, 79.9 % |
//! | earliest due date | 2.92 h, 15.3 %, 67.2 % | 0.13 h, 1.3 %, 79.7 % |
//!
//! Takes about a minute.

#[path = "../tests/it/planner_week/mod.rs"]
mod planner_week;

fn main() {
    planner_week::comparison::compare(500, &[1, 2, 3, 4, 5]);
}
