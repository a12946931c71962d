//! Why each printer is idle: its own state, or counts of orders by reason.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};

use super::{
    context::PlanContext,
    gate::{OrderProgress, find_order_reasons},
    input::Activity,
    plan::IdlePrinter,
    reason::{IdleReason, PlanReason},
    state::find_state_reason,
    waiting::Explanation,
};

/// Number of orders by reason.
type OrderCounts = BTreeMap<PlanReason, u32>;

impl Explanation<'_> {
    /// Returns every printer without an assignment, with its reasons. Sorted by id.
    pub(super) fn explain_printers(&self) -> Vec<IdlePrinter> {
        let printers = &self.context.input.printers;
        let mut refused = self.count_orders();
        let without = (0..printers.len()).filter(|printer| !self.assigned.contains(*printer));
        let mut idle: Vec<IdlePrinter> = without
            .map(|position| IdlePrinter {
                printer: printers[position].id,
                reasons: self.explain_printer(position, refused.remove(&position).unwrap_or_default()),
            })
            .collect();
        idle.sort_unstable_by_key(|idle| idle.printer);
        idle
    }

    fn explain_printer(&self, position: usize, refused: OrderCounts) -> Vec<IdleReason> {
        let printer = &self.context.input.printers[position];
        if let Some(code) = find_state_reason(printer) {
            let until = match printer.activity {
                Activity::Busy { until } if code == PlanReason::Busy => until,
                Activity::Busy { .. }
                | Activity::Idle { .. }
                | Activity::Transferring
                | Activity::Uploading
                | Activity::Starting
                | Activity::StartUnknown => None,
            };
            return vec![IdleReason::of_printer(code, until)];
        }
        if self.context.input.is_stopped {
            return vec![IdleReason::of_printer(PlanReason::ProductionStopped, None)];
        }
        to_reasons(refused)
    }

    /// Counts the waiting orders for each printer that is ready and gets no copy, by the position of the printer.
    fn count_orders(&self) -> HashMap<usize, OrderCounts> {
        let mut without = self.context.states.ready.clone();
        without.subtract(&self.assigned);
        let mut counts: HashMap<usize, OrderCounts> = HashMap::new();
        if without.is_empty() || self.context.input.is_stopped {
            return counts;
        }
        for (class_id, group) in group_by_class(self.context, self.progress, self.context.now) {
            let class = self.context.classes.get(class_id);
            let mut add = |printer: usize, code, orders| {
                *counts.entry(printer).or_default().entry(code).or_default() += orders;
            };
            for mismatch in &class.mismatches {
                let mut printers = mismatch.printers.clone();
                printers.intersect(&without);
                printers.iter().for_each(|printer| add(printer, mismatch.code, group.orders));
            }
            let mut matching = class.matching.clone();
            matching.intersect(&without);
            for printer in matching.iter() {
                group.for_all.iter().for_each(|(code, orders)| add(printer, *code, *orders));
                let id = self.context.input.printers[printer].id;
                let refusal = |order: &usize| self.context.gate(*order, self.progress).check(printer, id).err();
                group.to_check.iter().filter_map(refusal).for_each(|code| add(printer, code, 1));
            }
        }
        counts
    }
}

/// The waiting orders of a class.
struct ClassGroup {
    orders: u32,
    /// Orders that no printer may take, by reason.
    for_all: OrderCounts,
    /// Orders that some printers may take.
    to_check: Vec<usize>,
}

fn group_by_class(
    context: &PlanContext<'_>,
    progress: &[OrderProgress],
    at: DateTime<Utc>,
) -> BTreeMap<usize, ClassGroup> {
    let mut groups: BTreeMap<usize, ClassGroup> = BTreeMap::new();
    for (position, order) in
        context.input.orders.iter().enumerate().filter(|(position, _)| progress[*position].queued > 0)
    {
        let group = groups.entry(context.class_ids[position]).or_insert_with(|| ClassGroup {
            orders: 0,
            for_all: BTreeMap::new(),
            to_check: Vec::new(),
        });
        group.orders += 1;
        match find_refusal(order, &progress[position], at) {
            Some(code) => *group.for_all.entry(code).or_default() += 1,
            None => group.to_check.push(position),
        }
    }
    groups
}

/// Returns why no printer may take an order.
fn find_refusal(order: &super::input::PlanOrder, progress: &OrderProgress, at: DateTime<Utc>) -> Option<PlanReason> {
    let of_order = find_order_reasons(order, at).first().map(|(code, _)| *code);
    of_order.or_else(|| progress.is_at_max_printers(order).then_some(PlanReason::MaxPrinters))
}

/// Counts the orders that a printer may not take at a time, whatever its own state is. Without those that it may take.
pub(super) fn count_refused(
    context: &PlanContext<'_>,
    progress: &[OrderProgress],
    printer: usize,
    at: DateTime<Utc>,
) -> Vec<IdleReason> {
    let id = context.input.printers[printer].id;
    let mut counts = OrderCounts::new();
    for (position, order) in
        context.input.orders.iter().enumerate().filter(|(position, _)| progress[*position].queued > 0)
    {
        let mismatch = context.class(position).find_mismatch(printer);
        let refusal = mismatch.or_else(|| find_refusal(order, &progress[position], at));
        let refusal = refusal.or_else(|| context.gate(position, progress).check(printer, id).err());
        if let Some(code) = refusal {
            *counts.entry(code).or_default() += 1;
        }
    }
    counts.into_iter().map(|(code, orders)| IdleReason { code, orders, until: None }).collect()
}

fn to_reasons(counts: OrderCounts) -> Vec<IdleReason> {
    if counts.is_empty() {
        return vec![IdleReason::of_printer(PlanReason::NoOrders, None)];
    }
    counts.into_iter().map(|(code, orders)| IdleReason { code, orders, until: None }).collect()
}
