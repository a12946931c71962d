//! Reasons, and whether an order is feasible.

use super::farm::{farm, hours, id, idles, now, offered, order, printer, tool, waits};
use crate::domain::{
    planner::{Activity, PlanOrder, PlanPlate, PlanPrinter, PlanReason, Planner, plan},
    production::ServiceState,
    requirements::Requirements,
};

#[test]
fn every_printer_is_counted_once_and_what_a_person_can_change_comes_first() {
    let mut printers: Vec<PlanPrinter> = (10..16).map(printer).collect();
    printers[1].activity = Activity::Busy { until: Some(now() + hours(5)) };
    printers[2].activity = Activity::Busy { until: Some(now() + hours(2)) };
    printers[3].plate = PlanPlate::Occupied;
    printers[4].facts.tools = vec![tool(0, 0.4, "PETG", "#000000")];
    printers[5].facts.model = Some("XL".to_owned());
    let first = PlanOrder { priority: 90, ..order(1) };
    let input = farm(printers, vec![first, order(2)]);
    assert_eq!(
        waits(&input, 2),
        [
            (PlanReason::PlateNotClear, 1),
            (PlanReason::BehindOthers, 1),
            (PlanReason::Busy, 2),
            (PlanReason::Material, 1),
            (PlanReason::Model, 1),
        ]
    );
    let plan = plan(&input, now());
    let reasons = plan.waiting_reasons(id(2));
    assert_eq!(reasons[2].until, Some(now() + hours(2)), "the first print to end");
    assert_eq!((reasons[3].detail.as_deref(), reasons[4].detail.as_deref()), (Some("PLA"), Some("MK4")));
}

#[test]
fn an_order_that_no_printer_can_make_says_so() {
    let not_opted_in = PlanPrinter { is_auto: false, ..printer(7) };
    let input = farm(vec![not_opted_in], vec![order(1)]);
    assert_eq!(waits(&input, 1), [(PlanReason::NoPrinterCan, 0), (PlanReason::NotOptedIn, 1)]);
    assert_eq!(waits(&farm(Vec::new(), vec![order(1)]), 1), [(PlanReason::NoPrinterCan, 0)]);
}

#[test]
fn an_idle_printer_without_waiting_orders_says_so() {
    assert_eq!(idles(&farm(vec![printer(7)], Vec::new()), 7), [(PlanReason::NoOrders, 0)]);
    let input = farm(vec![printer(7), printer(8)], vec![order(1)]);
    assert_eq!(idles(&input, 8), [(PlanReason::NoOrders, 0)], "the other printer makes the last copy");
}

#[test]
fn feasibility_ignores_states_that_end() {
    let mut printers: Vec<PlanPrinter> = (10..18).map(printer).collect();
    printers[0].activity = Activity::Busy { until: None };
    printers[1].is_online = false;
    printers[2].plate = PlanPlate::NeverCleared;
    printers[3].has_attention = true;
    printers[4].service = ServiceState::OutOfService;
    printers[5].is_auto = false;
    printers[6].is_enabled = false;
    printers[7].facts.model = Some("XL".to_owned());
    let input = farm(printers, Vec::new());
    let feasible = Planner::default().feasibility(&input, &order(1));
    let reasons: Vec<_> = feasible.reasons.iter().map(|reason| (reason.code, reason.printers)).collect();
    assert_eq!(feasible.printers, 5);
    assert_eq!(reasons, [(PlanReason::NotOptedIn, 1), (PlanReason::Disabled, 1), (PlanReason::Model, 1)]);
    let tagged = Requirements { tags_all: vec!["x".to_owned()], ..Requirements::default() };
    let none = Planner::default().feasibility(&input, &PlanOrder { requirements: tagged, ..order(1) });
    assert_eq!((none.printers, none.reasons[0].detail.as_deref()), (0, Some("x")));
    let mut limited = PlanOrder { max_surplus: Some(0), ..order(1) };
    limited.files = vec![offered(0, 4)];
    assert_eq!(Planner::default().feasibility(&input, &limited).printers, 0);
}

#[test]
fn a_planner_that_is_kept_follows_changes() {
    let mut planner = Planner::default();
    let mut input = farm(vec![printer(7), printer(8)], vec![order(1), order(2)]);
    let mut check = |change: &dyn Fn(&mut crate::domain::planner::PlanInput)| {
        change(&mut input);
        assert_eq!(planner.plan(&input, now()), plan(&input, now()));
    };
    check(&|_| {});
    check(&|input| input.printers[0].facts.tools[0].material = Some("PETG".to_owned()));
    check(&|input| input.orders[0].requirements.material = Some("PETG".to_owned()));
    check(&|input| input.printers.swap(0, 1));
    check(&|input| input.files[0].is_available = false);
    check(&|input| drop(input.orders.remove(0)));
    check(&|input| input.printers.push(printer(9)));
}
