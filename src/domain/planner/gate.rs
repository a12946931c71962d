//! What an order still needs during a plan, and whether a printer that matches may take it.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{
    bit_set::BitSet,
    class::OrderClass,
    index::PrinterIndex,
    input::{PlanOrder, PlanOrderFile, Replacement},
    reason::PlanReason,
};

/// What remains of an order while copies are assigned.
#[derive(Debug, Clone)]
pub(super) struct OrderProgress {
    /// Parts that no copy makes yet.
    pub(super) queued: u32,
    /// Copies that were assigned in this plan.
    pub(super) assigned: u32,
    /// Active or assigned copies that are taken to have ended, when the next copy of their printer is looked for.
    pub(super) ended: u32,
    /// Failed copies without a new one.
    pub(super) replacements: Vec<Replacement>,
}

impl OrderProgress {
    pub(super) fn new(order: &PlanOrder) -> Self {
        Self { queued: order.queued, assigned: 0, ended: 0, replacements: order.replacements.clone() }
    }

    /// Counts a copy. Returns the failed copy that it replaces: the oldest that another printer failed. A copy that this
    /// printer failed comes last, unless the order has no preference.
    pub(super) fn assign(&mut self, order: &PlanOrder, parts: u32, printer: Uuid) -> Option<Uuid> {
        let of_other = self.replacements.iter().position(|replacement| replacement.printer != printer);
        let any = (!order.prefer_other_printer || self.has_only_failed_on(printer)).then_some(0);
        let replaced = if order.prefer_other_printer { of_other.or(any) } else { any };
        self.assigned += 1;
        self.queued = self.queued.saturating_sub(parts);
        let index = replaced.filter(|index| *index < self.replacements.len())?;
        Some(self.replacements.remove(index).copy)
    }

    /// Returns the parts of copies that this printer failed and that are still to be made again.
    fn parts_failed_on(&self, printer: Uuid) -> u32 {
        let failed_here = self.replacements.iter().filter(|replacement| replacement.printer == printer);
        failed_here.fold(0, |sum, replacement| sum.saturating_add(replacement.parts))
    }

    /// Returns whether a copy with this file makes no more parts than allowed.
    pub(super) fn is_within_surplus(&self, order: &PlanOrder, file: &PlanOrderFile) -> bool {
        order.max_surplus.is_none_or(|max| file.parts_per_plate.saturating_sub(self.queued) <= max)
    }

    /// Returns whether the order has copies on as many printers as allowed.
    pub(super) fn is_at_max_printers(&self, order: &PlanOrder) -> bool {
        order
            .max_printers
            .is_some_and(|max| order.active_printers.saturating_add(self.assigned).saturating_sub(self.ended) >= max)
    }

    /// Returns whether only copies are left that this printer failed.
    pub(super) fn has_only_failed_on(&self, printer: Uuid) -> bool {
        self.replacements.iter().any(|replacement| replacement.printer == printer)
            && self.queued <= self.parts_failed_on(printer)
    }
}

/// Returns why an order waits, whatever the printers do. Empty if it does not.
pub(super) fn find_order_reasons(order: &PlanOrder, at: DateTime<Utc>) -> Vec<(PlanReason, Option<DateTime<Utc>>)> {
    let not_before = order.not_before.filter(|not_before| *not_before > at);
    let reasons = [
        order.is_held.then_some((PlanReason::OnHold, None)),
        order.are_attempts_used_up.then_some((PlanReason::AttemptsUsedUp, None)),
        not_before.map(|_| (PlanReason::NotBefore, not_before)),
    ];
    reasons.into_iter().flatten().collect()
}

/// Returns whether an order has nothing to assign at this time.
pub(super) fn is_order_blocked(order: &PlanOrder, at: DateTime<Utc>) -> bool {
    order.is_held || order.are_attempts_used_up || order.not_before.is_some_and(|not_before| not_before > at)
}

/// An order with what decides whether a printer may take it.
#[derive(Clone, Copy)]
pub(super) struct Gate<'a> {
    pub(super) order: &'a PlanOrder,
    pub(super) progress: &'a OrderProgress,
    pub(super) class: &'a OrderClass,
    /// Printers that are ready, or will be without a decision of a person.
    pub(super) usable: &'a BitSet,
    pub(super) index: &'a PrinterIndex,
}

impl Gate<'_> {
    /// Returns the position of the file that a printer would print, or why it may not take the order. The printer
    /// matches, and the order has queued parts.
    pub(super) fn check(&self, position: usize, printer: Uuid) -> Result<usize, PlanReason> {
        if self.progress.is_at_max_printers(self.order) {
            return Err(PlanReason::MaxPrinters);
        }
        let mut files = self.order.files.iter().zip(&self.class.by_file);
        let fits = |(file, set): (&PlanOrderFile, &BitSet)| {
            set.contains(position) && self.progress.is_within_surplus(self.order, file)
        };
        let file = files.position(fits).ok_or(PlanReason::SurplusLimit)?;
        if self.is_left_to_others(printer) { Err(PlanReason::FailedHere) } else { Ok(file) }
    }

    /// Returns whether only copies are left that this printer failed, and another printer can make them.
    pub(super) fn is_left_to_others(&self, printer: Uuid) -> bool {
        self.order.prefer_other_printer && self.progress.has_only_failed_on(printer) && self.has_other_printer()
    }

    /// Returns whether a printer that failed none of the waiting copies can make them.
    fn has_other_printer(&self) -> bool {
        let mut others = BitSet::empty(self.index.len());
        for (file, set) in self.order.files.iter().zip(&self.class.by_file) {
            if self.progress.is_within_surplus(self.order, file) {
                others.unite(set);
            }
        }
        others.intersect(self.usable);
        let failed =
            self.progress.replacements.iter().filter_map(|replacement| self.index.position(replacement.printer));
        failed.for_each(|position| others.remove(position));
        !others.is_empty()
    }
}
