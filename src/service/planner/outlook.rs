//! What production does with each printer next, in the words that pages need.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{PlannerTask, kept::KeptFarm};
use crate::domain::{
    planner::{Activity, NextCopy, Plan, PlanInput, PlanPlate, PlanPrinter, PlanReason},
    production::ServiceState,
};

/// Orders that are compared with printers in a run. In a farm with more of them, the printers whose plates wait come first.
const MAX_COMPARISONS: usize = 1_000_000;

/// What production does with a printer next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outlook {
    /// The printer prints this file of the library next. Not the order: a user who sees the printer may not see every order.
    Prints { file: String },
    /// The printer is ready, or its plate is not, and it takes nothing.
    Waits {
        code: PlanReason,
        /// Orders to which the reason applies. 0 if it concerns the printer itself.
        orders: u32,
    },
}

impl Outlook {
    /// Returns whether a person must first check the plate: the last check was before the opt-in.
    pub fn needs_plate_check(&self) -> bool {
        matches!(self, Self::Waits { code: PlanReason::PlateNeverCleared, .. })
    }
}

impl PlannerTask {
    /// Returns what printers take next: those that print or whose plates wait.
    pub(super) fn find_next(&mut self, input: &PlanInput, plan: &Plan, now: DateTime<Utc>) -> Vec<NextCopy> {
        if input.is_stopped {
            return Vec::new();
        }
        let mut printers: Vec<&PlanPrinter> = input.printers.iter().filter(|printer| has_next(printer)).collect();
        // Plates that wait come first. By id, so that each run looks ahead for the same printers.
        printers.sort_by_key(|printer| (!matches!(printer.activity, Activity::Idle { .. }), printer.id));
        printers.truncate(MAX_COMPARISONS / input.orders.len().max(1));
        let ids: Vec<Uuid> = printers.iter().map(|printer| printer.id).collect();
        if ids.is_empty() { Vec::new() } else { self.planner.next(input, plan, &ids, now) }
    }

    /// Makes pages show the printers whose outlook has changed.
    pub(super) fn show_outlooks(&self, input: &PlanInput, plan: &Plan, next: &[NextCopy]) {
        let outlooks = find_outlooks(input, &self.farm, plan, next);
        let before = self.services.planner.replace_outlooks(outlooks.clone());
        let ids = outlooks.keys().chain(before.keys()).filter(|id| outlooks.get(*id) != before.get(*id));
        self.services.fleet.view().touch(ids.copied().collect::<HashSet<_>>());
    }
}

/// Returns whether a printer takes a copy later, if one fits: after its print, or when its plate is clear.
fn has_next(printer: &PlanPrinter) -> bool {
    let will_be_ready = match printer.activity {
        Activity::Idle { .. } => printer.plate != PlanPlate::Clear,
        Activity::Busy { .. } | Activity::Starting => true,
        Activity::Transferring | Activity::Uploading | Activity::StartUnknown => false,
    };
    printer.is_auto
        && printer.is_enabled
        && printer.service == ServiceState::InService
        && !printer.has_attention
        && printer.is_online
        && will_be_ready
}

fn find_outlooks(input: &PlanInput, farm: &KeptFarm, plan: &Plan, next: &[NextCopy]) -> HashMap<Uuid, Outlook> {
    let mut outlooks = HashMap::new();
    for printer in input.printers.iter().filter(|printer| printer.is_auto && printer.is_enabled) {
        if let Some(reason) = plan.idle_reasons(printer.id).first().filter(|reason| is_wait(reason.code)) {
            outlooks.insert(printer.id, Outlook::Waits { code: reason.code, orders: reason.orders });
        }
    }
    for copy in next {
        let Some(takes) = &copy.takes else { continue };
        let file = farm.order(takes.order).and_then(|order| order.files.get(takes.file));
        let Some(file) = file else { continue };
        // The plate comes first: it needs a person.
        if !outlooks.get(&copy.printer).is_some_and(Outlook::needs_plate_check) {
            outlooks.insert(copy.printer, Outlook::Prints { file: file.name.clone() });
        }
    }
    outlooks
}

/// Returns whether a reason says more than the state of the printer, which pages show anyway.
fn is_wait(code: PlanReason) -> bool {
    use PlanReason as Reason;
    match code {
        Reason::Busy
        | Reason::Starting
        | Reason::Uploading
        | Reason::Transferring
        | Reason::StartUnknown
        | Reason::Attention
        | Reason::Offline
        | Reason::Disabled
        | Reason::NotOptedIn
        | Reason::OutOfService
        | Reason::Draining
        | Reason::PlateNotClear
        | Reason::ProductionStopped => false,
        Reason::OnHold
        | Reason::AttemptsUsedUp
        | Reason::NotBefore
        | Reason::NoPrinterCan
        | Reason::SurplusLimit
        | Reason::PlateNeverCleared
        | Reason::BehindOthers
        | Reason::MaxPrinters
        | Reason::FailedHere
        | Reason::FileMissing
        | Reason::Color
        | Reason::Material
        | Reason::Nozzle
        | Reason::BedSize
        | Reason::Model
        | Reason::Tags
        | Reason::PrinterIds
        | Reason::NoOrders => true,
    }
}
