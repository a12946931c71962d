//! Whether printers can make an order at all, whatever they do now.

use super::{
    class::OrderClass,
    gate::OrderProgress,
    index::PrinterIndex,
    input::{PlanInput, PlanOrder},
    reason::{PlanReason, WaitingReason},
    state::StateSets,
    waiting::count_mismatches,
};

/// How many printers can make an order, and why the others cannot.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct Feasibility {
    pub printers: u32,
    /// Every other printer is counted by one reason.
    pub reasons: Vec<WaitingReason>,
}

/// Counts the printers that match, are enabled and opted in. States that end do not count: busy, offline, a plate to be
/// cleared, attention, draining, out of service.
pub(super) fn find_feasibility(index: &PrinterIndex, input: &PlanInput, order: &PlanOrder) -> Feasibility {
    let class = OrderClass::new(index, &input.files, order);
    let states = StateSets::new(&input.printers);
    let progress = OrderProgress::new(order);
    let mut reasons = count_mismatches(&class);
    let mut able = super::bit_set::BitSet::empty(index.len());
    for (file, set) in order.files.iter().zip(&class.by_file) {
        if progress.is_within_surplus(order, file) {
            able.unite(set);
        }
    }
    let mut add = |code, printers| {
        if printers > 0 {
            reasons.push(WaitingReason { code, printers, detail: None, until: None });
        }
    };
    add(PlanReason::SurplusLimit, class.matching.count() - able.count());
    let configured = able.count_common(&states.configured);
    let disabled = able.iter().filter(|printer| !input.printers[*printer].is_enabled).count();
    let disabled = u32::try_from(disabled).unwrap_or(u32::MAX);
    add(PlanReason::Disabled, disabled);
    add(PlanReason::NotOptedIn, able.count() - configured - disabled);
    reasons.sort_by_key(|reason| reason.code);
    Feasibility { printers: configured, reasons }
}
