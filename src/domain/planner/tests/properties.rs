//! Rules that hold in every farm: 10,000 random small ones.

use std::collections::BTreeMap;

use super::{
    farm::now,
    naive::{OrderAfter, is_match, state},
    random_farm::RandomFarm,
};
use crate::domain::planner::{Plan, PlanInput, PlanReason, Planner, plan};

const FARMS: u64 = 10_000;

/// Calls the check for each farm, with its seed.
fn for_all(mut check: impl FnMut(u64, &mut RandomFarm, &PlanInput)) {
    for seed in 0..FARMS {
        let mut random = RandomFarm::new(seed);
        let input = random.input();
        check(seed, &mut random, &input);
    }
}

fn order_after<'a>(input: &'a PlanInput, plan: &'a Plan, index: usize) -> OrderAfter<'a> {
    OrderAfter { input, order: &input.orders[index], plan }
}

#[test]
fn nothing_forbidden_is_assigned_and_each_printer_gets_one_copy() {
    let (mut assigned, mut replaced) = (0, 0);
    for_all(|seed, _, input| {
        let plan = plan(input, now());
        let mut printers: Vec<_> = plan.assignments.iter().map(|assignment| assignment.printer).collect();
        let count = printers.len();
        printers.sort_unstable();
        printers.dedup();
        assert_eq!(printers.len(), count, "seed {seed}: one copy for each printer");
        assert!(!input.is_stopped || count == 0, "seed {seed}: stopped");
        for order in &input.orders {
            let mut queued = order.queued;
            let own: Vec<_> = plan.assignments.iter().filter(|assignment| assignment.order == order.id).collect();
            let is_within_max = order.max_printers.is_none_or(|max| order.active_printers + own.len() as u32 <= max);
            assert!(own.is_empty() || is_within_max, "seed {seed}: max_printers");
            for assignment in own {
                let printer = input.printers.iter().find(|printer| printer.id == assignment.printer);
                let printer = printer.expect("a printer of the farm");
                let surplus = assignment.parts.saturating_sub(queued);
                assert!(is_match(input, order, assignment.file, printer), "seed {seed}: {assignment:?}");
                assert_eq!(state(printer), None, "seed {seed}: {assignment:?}");
                assert!(queued > 0 && order.max_surplus.is_none_or(|max| surplus <= max), "seed {seed}: surplus");
                assert!(!order.is_held && !order.are_attempts_used_up, "seed {seed}: {assignment:?}");
                assert!(order.not_before.is_none_or(|not_before| not_before <= now()), "seed {seed}: not_before");
                queued = queued.saturating_sub(assignment.parts);
                assigned += 1;
                replaced += u64::from(assignment.replaces.is_some());
            }
        }
    });
    assert!(assigned > FARMS / 2 && replaced > FARMS / 20, "the farms are too empty: {assigned}, {replaced}");
}

#[test]
fn every_waiting_order_has_its_true_reasons() {
    let mut seen: BTreeMap<PlanReason, u64> = BTreeMap::new();
    for_all(|seed, _, input| {
        let plan = plan(input, now());
        for (index, order) in input.orders.iter().enumerate() {
            let after = order_after(input, &plan, index);
            let found = plan.waiting_reasons(order.id);
            let counts: BTreeMap<_, _> = found.iter().map(|reason| (reason.code, reason.printers)).collect();
            assert_eq!(counts.len(), found.len(), "seed {seed}: each reason once");
            assert!(found.is_sorted_by_key(|reason| reason.code), "seed {seed}: sorted");
            let expected = if after.queued() > 0 { after.reasons() } else { BTreeMap::new() };
            assert_eq!(counts, expected, "seed {seed}, order {}", order.id);
            assert_eq!(found.is_empty(), after.queued() == 0, "seed {seed}: a reason for each waiting order");
            counts.keys().for_each(|code| *seen.entry(*code).or_default() += 1);
        }
    });
    let missing: Vec<_> = PlanReason::ALL.iter().filter(|code| !seen.contains_key(code)).collect();
    assert_eq!(missing, [&PlanReason::NoOrders], "{seen:?}");
}

#[test]
fn every_idle_printer_has_its_true_reasons() {
    let mut ready = 0;
    for_all(|seed, _, input| {
        let plan = plan(input, now());
        for printer in &input.printers {
            let found = plan.idle_reasons(printer.id);
            let counts: BTreeMap<_, _> = found.iter().map(|reason| (reason.code, reason.orders)).collect();
            let is_assigned = plan.assignments.iter().any(|assignment| assignment.printer == printer.id);
            let stopped = input.is_stopped.then_some(PlanReason::ProductionStopped);
            let mut expected = BTreeMap::new();
            if let Some(reason) = state(printer).or(stopped) {
                expected.insert(reason, 0);
            } else if !is_assigned {
                ready += 1;
                let waiting = (0..input.orders.len()).map(|index| order_after(input, &plan, index));
                for after in waiting.filter(|after| after.queued() > 0) {
                    let refusal = after.refusal(printer);
                    let of_order = after.own_reasons().first().copied();
                    let mismatch = refusal.filter(|reason| is_mismatch(*reason));
                    let reason = mismatch.or(of_order).or(refusal).expect("a reason");
                    *expected.entry(reason).or_default() += 1;
                }
                if expected.is_empty() {
                    expected.insert(PlanReason::NoOrders, 0);
                }
            }
            assert_eq!(counts, expected, "seed {seed}, printer {}", printer.id);
        }
    });
    assert!(ready > FARMS / 2, "few printers were idle: {ready}");
}

fn is_mismatch(reason: PlanReason) -> bool {
    !matches!(reason, PlanReason::MaxPrinters | PlanReason::SurplusLimit | PlanReason::FailedHere)
}

#[test]
fn the_same_farm_gives_the_same_plan_in_any_order() {
    let mut kept = Planner::default();
    for_all(|seed, random, input| {
        let first = plan(input, now());
        let shuffled = random.shuffle(input);
        assert_eq!(plan(&shuffled, now()), first, "seed {seed}");
        assert_eq!(kept.plan(&shuffled, now()), first, "seed {seed}: a planner that is kept");
        let ids: Vec<_> = input.printers.iter().map(|printer| printer.id).collect();
        let next = kept.next(&shuffled, &first, &ids, now());
        assert_eq!(Planner::default().next(input, &first, &ids, now()), next, "seed {seed}: next");
    });
}

#[test]
fn each_assignment_has_the_highest_score_of_what_its_printer_could_take() {
    let mut beaten = 0;
    for_all(|seed, _, input| {
        for assignment in plan(input, now()).assignments {
            let scores: Vec<f64> = assignment.why.beaten.iter().map(|beaten| beaten.score).collect();
            assert!(scores.iter().all(|score| *score <= assignment.why.score), "seed {seed}: {assignment:?}");
            assert!(scores.is_sorted_by(|a, b| a >= b) && scores.len() <= 3, "seed {seed}: {assignment:?}");
            beaten += scores.len() as u64;
        }
    });
    assert!(beaten > FARMS / 4, "few assignments beat an order: {beaten}");
}
