//! What printers take next.

use super::farm::{farm, hours, id, now, order, printer};
use crate::domain::{
    calendar::Calendar,
    planner::{Activity, NextCopy, PlanInput, PlanOrder, PlanPlate, PlanPrinter, PlanReason, Planner},
    staff_hours::StaffHours,
};

fn next(input: &PlanInput, printers: &[u32]) -> Vec<NextCopy> {
    let mut planner = Planner::default();
    let plan = planner.plan(input, now());
    let ids: Vec<_> = printers.iter().map(|number| id(*number)).collect();
    planner.next(input, &plan, &ids, now())
}

fn taken(next: &[NextCopy]) -> Vec<(u128, Option<u128>)> {
    let order = |next: &NextCopy| next.takes.as_ref().map(|taken| taken.order.as_u128());
    next.iter().map(|next| (next.printer.as_u128(), order(next))).collect()
}

fn busy(number: u32, until: i64) -> PlanPrinter {
    PlanPrinter { activity: Activity::Busy { until: Some(now() + hours(until)) }, ..printer(number) }
}

#[test]
fn each_copy_is_promised_once_the_first_printer_to_be_ready_first() {
    let important = PlanOrder { priority: 100, ..order(1) };
    let input = farm(vec![busy(7, 5), busy(8, 2), busy(9, 9)], vec![order(2), important]);
    let next = next(&input, &[7, 8, 9]);
    assert_eq!(taken(&next), [(8, Some(1)), (7, Some(2)), (9, None)]);
    assert_eq!((next[0].could_take, next[1].could_take, next[2].could_take), (2, 1, 0));
}

#[test]
fn a_waiting_plate_is_clear_when_staff_is_present() {
    let waiting = PlanPrinter { plate: PlanPlate::Occupied, staff: Some(0), ..printer(7) };
    let mut input = farm(vec![waiting], vec![PlanOrder { not_before: Some(now() + hours(3)), ..order(1) }]);
    input.staff = vec![vec![StaffHours::parse("daily 16:00-22:00", Calendar::UTC).expect("hours")]];
    let next = next(&input, &[7]);
    assert_eq!(next[0].at, now() + hours(4) + chrono::TimeDelta::minutes(10));
    assert_eq!(taken(&next), [(7, Some(1))], "the order may begin by then");
}

#[test]
fn the_next_copy_comes_after_the_one_that_is_assigned_now() {
    let input = farm(vec![printer(7)], vec![PlanOrder { priority: 100, ..order(1) }, order(2)]);
    let next = next(&input, &[7]);
    assert_eq!((taken(&next), next[0].at), (vec![(7, Some(2))], now() + chrono::TimeDelta::minutes(190)));
}

#[test]
fn a_printer_may_continue_an_order_that_is_limited_to_it() {
    let own = PlanOrder { max_printers: Some(1), active_printers: 1, ..order(1) };
    let continuing = PlanPrinter { active_order: Some(id(1)), ..busy(7, 2) };
    let next = next(&farm(vec![continuing, busy(8, 1)], vec![own]), &[7, 8]);
    assert_eq!(taken(&next), [(8, None), (7, Some(1))]);
    let refused: Vec<_> = next[0].refused.iter().map(|reason| (reason.code, reason.orders)).collect();
    assert_eq!(refused, [(PlanReason::MaxPrinters, 1)]);
}
