//! The rule that chooses an order, and the limits of orders.

use super::farm::{HOUR, assigned, farm, file, hours, id, idles, now, offered, order, pairs, printer, waits};
use crate::domain::{
    calendar::Calendar,
    planner::{Activity, PlanFile, PlanOrder, PlanPlate, PlanPrinter, PlanReason, PlanRule, Replacement, plan},
    production::ServiceState,
    staff_hours::StaffHours,
};

/// A change that keeps a printer from work.
type Change = fn(&mut PlanPrinter);

#[test]
fn each_state_keeps_a_printer_from_work_and_is_the_reason() {
    let changes: [(PlanReason, Change); 13] = [
        (PlanReason::Disabled, |printer| printer.is_enabled = false),
        (PlanReason::OutOfService, |printer| printer.service = ServiceState::OutOfService),
        (PlanReason::Draining, |printer| printer.service = ServiceState::Draining),
        (PlanReason::NotOptedIn, |printer| printer.is_auto = false),
        (PlanReason::Attention, |printer| printer.has_attention = true),
        (PlanReason::Offline, |printer| printer.is_online = false),
        (PlanReason::Busy, |printer| printer.activity = Activity::Busy { until: None }),
        (PlanReason::StartUnknown, |printer| printer.activity = Activity::StartUnknown),
        (PlanReason::Starting, |printer| printer.activity = Activity::Starting),
        (PlanReason::Uploading, |printer| printer.activity = Activity::Uploading),
        (PlanReason::Transferring, |printer| printer.activity = Activity::Transferring),
        (PlanReason::PlateNotClear, |printer| printer.plate = PlanPlate::Occupied),
        (PlanReason::PlateNeverCleared, |printer| printer.plate = PlanPlate::NeverCleared),
    ];
    for (reason, change) in changes {
        let mut blocked = printer(7);
        change(&mut blocked);
        let input = farm(vec![blocked], vec![order(1)]);
        assert_eq!(assigned(&input), [], "{reason}");
        assert!(waits(&input, 1).contains(&(reason, 1)), "{reason}");
        assert_eq!(idles(&input, 7), [(reason, 0)]);
    }
}

#[test]
fn a_stopped_production_assigns_nothing() {
    let mut input = farm(vec![printer(7)], vec![order(1), PlanOrder { is_held: true, ..order(2) }]);
    input.is_stopped = true;
    assert_eq!(assigned(&input), []);
    assert_eq!(waits(&input, 1), [(PlanReason::ProductionStopped, 0)]);
    assert_eq!(waits(&input, 2), [(PlanReason::ProductionStopped, 0), (PlanReason::OnHold, 0)]);
    assert_eq!(idles(&input, 7), [(PlanReason::ProductionStopped, 0)]);
}

#[test]
fn held_used_up_and_early_orders_wait() {
    let later = now() + hours(2);
    let held = PlanOrder { is_held: true, ..order(1) };
    let used_up = PlanOrder { are_attempts_used_up: true, ..order(2) };
    let early = PlanOrder { not_before: Some(later), ..order(3) };
    let input = farm(vec![printer(7)], vec![held, used_up, early]);
    let plan = plan(&input, now());
    assert_eq!(pairs(&plan), []);
    assert_eq!(plan.waiting_reasons(id(3))[0].until, Some(later));
    assert_eq!(
        idles(&input, 7),
        [(PlanReason::OnHold, 1), (PlanReason::AttemptsUsedUp, 1), (PlanReason::NotBefore, 1)]
    );
    let on_time = farm(vec![printer(7)], vec![PlanOrder { not_before: Some(now()), ..order(3) }]);
    assert_eq!(assigned(&on_time), [(3, 7)]);
}

#[test]
fn the_printer_that_was_idle_longest_chooses_first() {
    let since = |hours_ago| Activity::Idle { since: now() - hours(hours_ago) };
    let printers = [(7, 1), (8, 5), (9, 3)].map(|(id, ago)| PlanPrinter { activity: since(ago), ..printer(id) });
    let input = farm(printers.to_vec(), vec![PlanOrder { queued: 2, ..order(1) }]);
    assert_eq!(assigned(&input), [(1, 8), (1, 9)]);
}

#[test]
fn the_highest_score_wins_and_names_the_beaten() {
    let urgent = PlanOrder { due_at: Some(now() + hours(4)), ..order(1) };
    let important = PlanOrder { priority: 100, ..order(2) };
    let orders = vec![order(5), order(4), urgent, important, order(3)];
    let plan = plan(&farm(vec![printer(7)], orders), now());
    assert_eq!(pairs(&plan), [(2, 7)]);
    let why = &plan.assignments[0].why;
    let beaten: Vec<u128> = why.beaten.iter().map(|beaten| beaten.order_id.as_u128()).collect();
    assert_eq!((why.rule, beaten), (PlanRule::HighestScore, vec![1, 3, 4]));
    // ln(9 / t · (p / t)² · exp(−slack / (4 · p̄))) with p = 3 h, t = 3 h 10 min, slack = 21 h, p̄ = 3 h.
    let (p, t) = (3.0_f64, 3.0 + 10.0 / 60.0);
    let expected = (9.0 / t * (p / t).powi(2) * (-21.0_f64 / 12.0).exp()).ln();
    assert!((why.score - expected).abs() < 1e-9, "{} instead of {expected}", why.score);
    assert!((why.weight - 9.0).abs() < 1e-9);
    assert_eq!((why.print_time_s, why.plate_time_s, why.slack_s), (3 * HOUR, 3 * HOUR + 600, 21 * HOUR));
    assert!(why.beaten.windows(2).all(|pair| pair[0].score >= pair[1].score) && why.score > why.beaten[0].score);
}

#[test]
fn equal_scores_are_decided_by_due_date_creation_and_id() {
    let overdue = |number, due: i64, created: i64| PlanOrder {
        due_at: Some(now() - hours(due)),
        created_at: now() - hours(created),
        ..order(number)
    };
    let orders = vec![overdue(1, 1, 9), overdue(2, 2, 8), overdue(4, 2, 9), overdue(3, 2, 9)];
    let printers = (7..11).map(printer).collect();
    assert_eq!(assigned(&farm(printers, orders)), [(3, 7), (4, 8), (2, 9), (1, 10)]);
}

#[test]
fn an_order_without_a_due_date_is_due_14_days_after_its_creation() {
    let undated = PlanOrder { due_at: None, ..order(1) };
    let plan = plan(&farm(vec![printer(7)], vec![undated]), now());
    let why = &plan.assignments[0].why;
    assert!(why.is_due_assumed);
    assert_eq!((why.due_at, why.rule), (now() + hours(13 * 24), PlanRule::OnlyOrder));
}

#[test]
fn an_unknown_print_time_is_the_mean_and_says_so() {
    let mut input = farm(vec![printer(7), printer(8)], vec![order(1), order(2), order(3)]);
    let of_time = |print_time_s| PlanFile { print_time_s, ..file() };
    input.files = vec![of_time(Some(HOUR)), of_time(Some(3 * HOUR)), of_time(None)];
    (0..3).for_each(|file| input.orders[file].files = vec![offered(file, 1)]);
    input.orders.remove(2).id = id(9);
    input.orders.push(PlanOrder { priority: 100, files: vec![offered(2, 1)], ..order(9) });
    let plan = plan(&input, now());
    let why = &plan.assignments.iter().find(|assignment| assignment.order == id(9)).expect("assigned").why;
    assert_eq!((why.print_time_s, why.is_print_time_known, why.mean_print_time_s), (2 * HOUR, false, 2 * HOUR));
}

#[test]
fn a_file_that_claims_centuries_does_not_change_the_rule_for_other_orders() {
    let mut input = farm(vec![printer(7), printer(8)], vec![order(1), order(2)]);
    input.files =
        vec![PlanFile { print_time_s: Some(HOUR), ..file() }, PlanFile { print_time_s: Some(u64::MAX), ..file() }];
    (0..2).for_each(|file| input.orders[file].files = vec![offered(file, 1)]);
    let plan = plan(&input, now());
    assert_eq!(plan.assignments.len(), 2);
    assert!(plan.assignments.iter().all(|assignment| assignment.why.mean_print_time_s == (HOUR + 60 * 24 * HOUR) / 2));
}

#[test]
fn a_long_copy_goes_into_the_night() {
    let hours_of_staff = StaffHours::parse("daily 06:00-22:00", Calendar::UTC).expect("hours");
    let (short, long) =
        (PlanFile { print_time_s: Some(2 * HOUR), ..file() }, PlanFile { print_time_s: Some(9 * HOUR), ..file() });
    let mut second = order(2);
    second.files = vec![offered(1, 1)];
    let mut printer = printer(7);
    let mut take_at = |hour: i64, staff| {
        let at = now() + hours(hour - 12);
        printer.staff = staff;
        let orders = [order(1), second.clone()].map(|order| PlanOrder { due_at: Some(at + hours(100)), ..order });
        let mut input = farm(vec![printer.clone()], orders.to_vec());
        input.files = vec![short.clone(), long.clone()];
        input.staff = vec![vec![hours_of_staff.clone()]];
        let plan = plan(&input, at);
        (plan.assignments[0].order.as_u128(), plan.assignments[0].why.plate_time_s)
    };
    assert_eq!(take_at(10, Some(0)), (1, 2 * HOUR + 600));
    assert_eq!(take_at(21, Some(0)), (2, 9 * HOUR + 600));
    assert_eq!(take_at(21, None), (1, 2 * HOUR + 600), "staff is always present");
}

#[test]
fn an_order_uses_no_more_printers_than_allowed() {
    let limited = PlanOrder { queued: 9, max_printers: Some(3), active_printers: 1, ..order(1) };
    let input = farm((5..9).map(printer).collect(), vec![limited]);
    assert_eq!(assigned(&input), [(1, 5), (1, 6)]);
    assert_eq!(waits(&input, 1), [(PlanReason::MaxPrinters, 2), (PlanReason::Starting, 2)]);
    assert_eq!(idles(&input, 8), [(PlanReason::MaxPrinters, 1)]);
}

#[test]
fn a_copy_that_makes_too_many_parts_is_not_assigned_and_another_file_is_used() {
    let mut limited = PlanOrder { queued: 5, max_surplus: Some(1), ..order(1) };
    limited.files = vec![offered(0, 4)];
    let mut input = farm(vec![printer(7), printer(8)], vec![limited]);
    assert_eq!(assigned(&input), [(1, 7)]);
    assert_eq!(waits(&input, 1), [(PlanReason::SurplusLimit, 1), (PlanReason::Starting, 1)]);
    assert_eq!(idles(&input, 8), [(PlanReason::SurplusLimit, 1)]);
    input.orders[0].files.push(offered(0, 2));
    let plan = plan(&input, now());
    let files: Vec<_> = plan.assignments.iter().map(|assignment| (assignment.file, assignment.parts)).collect();
    assert_eq!((files, plan.waiting.len()), (vec![(0, 4), (1, 2)], 0));
}

#[test]
fn a_replacement_goes_to_another_printer_if_one_fits() {
    let failed = |copy, printer| Replacement { copy: id(copy), printer: id(printer), parts: 1 };
    let replaced = PlanOrder { replacements: vec![failed(90, 7)], ..order(1) };
    let busy = PlanPrinter { activity: Activity::Busy { until: None }, ..printer(8) };
    let mut input = farm(vec![printer(7), busy.clone()], vec![replaced.clone()]);
    assert_eq!(assigned(&input), []);
    assert_eq!(waits(&input, 1), [(PlanReason::FailedHere, 1), (PlanReason::Busy, 1)]);
    assert_eq!(idles(&input, 7), [(PlanReason::FailedHere, 1)]);
    // Fresh copies of the order are no replacement.
    input.orders[0].queued = 2;
    assert_eq!(plan(&input, now()).assignments[0].replaces, None);
    // No other printer fits, or its return is uncertain.
    let attention = PlanPrinter { has_attention: true, ..busy.clone() };
    let offline = PlanPrinter { is_online: false, ..busy.clone() };
    for other in [attention, offline, PlanPrinter { is_auto: false, ..busy }] {
        let plan = plan(&farm(vec![printer(7), other], vec![replaced.clone()]), now());
        assert_eq!((pairs(&plan), plan.assignments[0].replaces), (vec![(1, 7)], Some(id(90))));
    }
    let no_preference = PlanOrder { prefer_other_printer: false, ..replaced };
    assert_eq!(assigned(&farm(vec![printer(7), printer(8)], vec![no_preference])), [(1, 7)]);
    let swapped = PlanOrder { queued: 2, replacements: vec![failed(90, 7), failed(91, 8)], ..order(1) };
    let plan = plan(&farm(vec![printer(7), printer(8)], vec![swapped]), now());
    let replaces: Vec<_> = plan.assignments.iter().map(|assignment| assignment.replaces).collect();
    assert_eq!((pairs(&plan), replaces), (vec![(1, 7), (1, 8)], vec![Some(id(91)), Some(id(90))]));
}
