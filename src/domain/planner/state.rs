//! The momentary state of printers: which reason keeps each of them from work.

use chrono::{DateTime, Utc};

use super::{
    bit_set::BitSet,
    input::{Activity, PlanPlate, PlanPrinter},
    reason::PlanReason,
};
use crate::domain::production::ServiceState;

/// Returns why a printer takes no copy now, whatever the orders are. What lasts longest comes first.
pub(super) fn find_state_reason(printer: &PlanPrinter) -> Option<PlanReason> {
    if !printer.is_enabled {
        return Some(PlanReason::Disabled);
    }
    match printer.service {
        ServiceState::OutOfService => return Some(PlanReason::OutOfService),
        ServiceState::Draining => return Some(PlanReason::Draining),
        ServiceState::InService => {}
    }
    if !printer.is_auto {
        return Some(PlanReason::NotOptedIn);
    }
    if printer.has_attention {
        return Some(PlanReason::Attention);
    }
    if !printer.is_online && printer.activity != Activity::StartUnknown {
        return Some(PlanReason::Offline);
    }
    match printer.activity {
        Activity::Busy { .. } => return Some(PlanReason::Busy),
        Activity::Starting => return Some(PlanReason::Starting),
        Activity::Uploading => return Some(PlanReason::Uploading),
        Activity::Transferring => return Some(PlanReason::Transferring),
        Activity::StartUnknown => return Some(PlanReason::StartUnknown),
        Activity::Idle { .. } => {}
    }
    match printer.plate {
        PlanPlate::Clear => None,
        PlanPlate::NeverCleared => Some(PlanReason::PlateNeverCleared),
        PlanPlate::Occupied => Some(PlanReason::PlateNotClear),
    }
}

/// Returns whether a reachable printer takes copies again without a decision of a person. A plate to be cleared is
/// routine, and no decision.
fn comes_back(reason: PlanReason) -> bool {
    use PlanReason as Reason;
    matches!(
        reason,
        Reason::Busy
            | Reason::Starting
            | Reason::Uploading
            | Reason::Transferring
            | Reason::PlateNotClear
            | Reason::PlateNeverCleared
    )
}

/// Sets of printers by their state.
pub(super) struct StateSets {
    /// Printers by the reason that keeps them from work. Only reasons that occur.
    pub(super) blocked: Vec<(PlanReason, BitSet)>,
    /// Printers that take a copy now.
    pub(super) ready: BitSet,
    /// Printers that are ready, or will be without a decision of a person.
    pub(super) usable: BitSet,
    /// Printers that are enabled and opted in.
    pub(super) configured: BitSet,
    /// Busy printers with an estimate, the first to end first.
    busy: Vec<(DateTime<Utc>, usize)>,
}

impl StateSets {
    pub(super) fn new(printers: &[PlanPrinter]) -> Self {
        let len = printers.len();
        let mut sets = Self {
            blocked: Vec::new(),
            ready: BitSet::empty(len),
            usable: BitSet::empty(len),
            configured: BitSet::empty(len),
            busy: Vec::new(),
        };
        for (position, printer) in printers.iter().enumerate() {
            sets.add(position, printer, len);
        }
        sets.busy.sort_unstable();
        sets
    }

    fn add(&mut self, position: usize, printer: &PlanPrinter, len: usize) {
        if printer.is_enabled && printer.is_auto {
            self.configured.insert(position);
        }
        let Some(reason) = find_state_reason(printer) else {
            self.ready.insert(position);
            self.usable.insert(position);
            return;
        };
        if comes_back(reason) {
            self.usable.insert(position);
        }
        if let (PlanReason::Busy, Activity::Busy { until: Some(until) }) = (reason, printer.activity) {
            self.busy.push((until, position));
        }
        let found = self.blocked.iter().position(|(other, _)| *other == reason);
        let index = found.unwrap_or_else(|| {
            self.blocked.push((reason, BitSet::empty(len)));
            self.blocked.len() - 1
        });
        self.blocked[index].1.insert(position);
    }

    /// Returns the estimated end of the first print on one of these printers.
    pub(super) fn first_end(&self, printers: &BitSet) -> Option<DateTime<Utc>> {
        self.busy.iter().find(|(_, position)| printers.contains(*position)).map(|(until, _)| *until)
    }
}
