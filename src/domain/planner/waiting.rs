//! Why each order waits: counts of printers by reason.

use std::{cell::OnceCell, collections::HashMap, sync::Arc};

use super::{
    bit_set::BitSet,
    class::OrderClass,
    context::PlanContext,
    gate::{OrderProgress, find_order_reasons},
    plan::{Assignment, WaitingOrder},
    reason::{PlanReason, WaitingReason},
};

/// Printers of a class, counted by what keeps them from an order.
#[derive(Clone)]
struct PrinterCounts {
    reasons: Vec<WaitingReason>,
    /// Printers that nothing of this keeps from the order.
    ready: u32,
    /// Those of them that get a copy, of any order.
    assigned: u32,
}

/// What the reasons are computed from, after the assignments.
pub(super) struct Explanation<'a> {
    pub(super) context: &'a PlanContext<'a>,
    pub(super) progress: &'a [OrderProgress],
    /// Printers that get a copy.
    pub(super) assigned: BitSet,
    /// Printers of orders with a surplus limit that get a copy of that order, by the position of the order.
    of_limited: HashMap<usize, Vec<usize>>,
    by_class: Vec<OnceCell<PrinterCounts>>,
}

impl<'a> Explanation<'a> {
    pub(super) fn new(
        context: &'a PlanContext<'a>,
        progress: &'a [OrderProgress],
        assignments: &[(usize, &Assignment)],
    ) -> Self {
        let mut assigned = BitSet::empty(context.index.len());
        let mut of_limited: HashMap<usize, Vec<usize>> = HashMap::new();
        for (order, assignment) in assignments {
            let Some(printer) = context.index.position(assignment.printer) else { continue };
            assigned.insert(printer);
            if context.input.orders[*order].max_surplus.is_some() {
                of_limited.entry(*order).or_default().push(printer);
            }
        }
        let by_class = (0..context.classes.len()).map(|_| OnceCell::new()).collect();
        Self { context, progress, assigned, of_limited, by_class }
    }

    /// Returns every order that still has queued parts, with its reasons. Sorted by id.
    pub(super) fn explain_orders(&self) -> Vec<WaitingOrder> {
        let mut shared: HashMap<usize, Arc<[WaitingReason]>> = HashMap::new();
        let orders = self.context.input.orders.iter().enumerate();
        let waiting = orders.filter(|(position, _)| self.progress[*position].queued > 0);
        let mut waiting: Vec<WaitingOrder> = waiting
            .map(|(position, order)| {
                let reasons = if self.is_typical(position) {
                    let class = self.context.class_ids[position];
                    Arc::clone(shared.entry(class).or_insert_with(|| self.explain(position)))
                } else {
                    self.explain(position)
                };
                WaitingOrder { order: order.id, reasons }
            })
            .collect();
        waiting.sort_unstable_by_key(|waiting| waiting.order);
        waiting
    }

    /// Returns whether an order has the reasons that every such order of its class has.
    fn is_typical(&self, position: usize) -> bool {
        let (order, progress) = (&self.context.input.orders[position], &self.progress[position]);
        progress.assigned == 0
            && order.max_printers.is_none()
            && order.max_surplus.is_none()
            && order.replacements.is_empty()
            && self.context.is_open(position, self.progress, self.context.now)
    }

    fn explain(&self, position: usize) -> Arc<[WaitingReason]> {
        let mut reasons = self.find_order_reasons(position);
        if reasons.is_empty() {
            reasons = self.count_printers(position);
        }
        reasons.sort_by_key(|reason| reason.code);
        reasons.into()
    }

    fn find_order_reasons(&self, position: usize) -> Vec<WaitingReason> {
        let stopped = self.context.input.is_stopped.then_some((PlanReason::ProductionStopped, None));
        let reasons = find_order_reasons(&self.context.input.orders[position], self.context.now);
        stopped.into_iter().chain(reasons).map(|(code, until)| WaitingReason::of_order(code, until)).collect()
    }

    /// Counts every printer by one reason.
    fn count_printers(&self, position: usize) -> Vec<WaitingReason> {
        let class = self.context.class(position);
        let counts = match self.find_within_surplus(position, class) {
            Some(within) => PrinterCounts::new(self, class, &within),
            None => self.class_counts(position).clone(),
        };
        let mut reasons = counts.reasons;
        let progress = &self.progress[position];
        // A printer that takes a copy of this order is about to start it.
        let own = progress.assigned;
        add_count(&mut reasons, PlanReason::Starting, own);
        if progress.is_at_max_printers(&self.context.input.orders[position]) {
            add_count(&mut reasons, PlanReason::MaxPrinters, counts.ready - own);
        } else {
            add_count(&mut reasons, PlanReason::BehindOthers, counts.assigned - own);
            add_count(&mut reasons, PlanReason::FailedHere, counts.ready - counts.assigned);
        }
        reasons
    }

    fn class_counts(&self, position: usize) -> &PrinterCounts {
        let (id, class) = (self.context.class_ids[position], self.context.class(position));
        self.by_class[id].get_or_init(|| PrinterCounts::new(self, class, &class.matching))
    }

    /// Returns the printers for which a file of the order makes no more parts than allowed, and those that make a copy of
    /// the order. `None`: all that match.
    fn find_within_surplus(&self, position: usize, class: &OrderClass) -> Option<BitSet> {
        let (order, progress) = (&self.context.input.orders[position], &self.progress[position]);
        if order.files.iter().all(|file| progress.is_within_surplus(order, file)) {
            return None;
        }
        let mut within = BitSet::empty(self.context.index.len());
        for (file, set) in order.files.iter().zip(&class.by_file) {
            if progress.is_within_surplus(order, file) {
                within.unite(set);
            }
        }
        self.of_limited.get(&position).into_iter().flatten().for_each(|printer| within.insert(*printer));
        Some(within)
    }
}

/// Counts the printers that do not match, by what does not match.
pub(super) fn count_mismatches(class: &OrderClass) -> Vec<WaitingReason> {
    let reasons = class.mismatches.iter().map(|mismatch| WaitingReason {
        code: mismatch.code,
        printers: mismatch.count,
        detail: mismatch.detail.clone(),
        until: None,
    });
    reasons.collect()
}

/// Adds printers to the count of a reason.
fn add_count(reasons: &mut Vec<WaitingReason>, code: PlanReason, printers: u32) {
    if printers == 0 {
        return;
    }
    match reasons.iter_mut().find(|reason| reason.code == code) {
        Some(reason) => reason.printers += printers,
        None => reasons.push(WaitingReason { code, printers, detail: None, until: None }),
    }
}

impl PrinterCounts {
    /// Counts the printers, of which `candidates` match and make no more parts than allowed.
    fn new(explanation: &Explanation<'_>, class: &OrderClass, candidates: &BitSet) -> Self {
        let states = &explanation.context.states;
        let mut reasons = count_mismatches(class);
        if class.matching.is_disjoint(&states.configured) {
            reasons.push(WaitingReason::of_order(PlanReason::NoPrinterCan, None));
        }
        add_count(&mut reasons, PlanReason::SurplusLimit, class.matching.count() - candidates.count());
        for (code, set) in &states.blocked {
            add_count(&mut reasons, *code, candidates.count_common(set));
        }
        if let Some(busy) = reasons.iter_mut().find(|reason| reason.code == PlanReason::Busy) {
            busy.until = states.first_end(candidates);
        }
        let ready = candidates.count_common(&states.ready);
        Self { reasons, ready, assigned: candidates.count_common(&explanation.assigned) }
    }
}
