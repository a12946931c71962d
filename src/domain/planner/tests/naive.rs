//! What the planner computes with sets, written again as plain questions about one printer and one order.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::farm::now;
use crate::domain::{
    planner::{
        Activity, FileTool, Plan, PlanInput, PlanOrder, PlanOrderFile, PlanPlate, PlanPrinter, PlanReason as Reason,
    },
    printer_tool::PrinterTool,
    production::ServiceState,
};

/// Comparisons in the order in which they explain.
const COMPARED: [Reason; 8] = [
    Reason::PrinterIds,
    Reason::Tags,
    Reason::Model,
    Reason::BedSize,
    Reason::Nozzle,
    Reason::Material,
    Reason::Color,
    Reason::FileMissing,
];

/// Returns how many comparisons a printer passes with a file.
fn passed(input: &PlanInput, order: &PlanOrder, offered: &PlanOrderFile, printer: &PlanPrinter) -> usize {
    let passes = |reason: &Reason| is_passed(input, order, offered, printer, *reason);
    COMPARED.iter().position(|reason| !passes(reason)).unwrap_or(COMPARED.len())
}

fn is_passed(
    input: &PlanInput,
    order: &PlanOrder,
    offered: &PlanOrderFile,
    printer: &PlanPrinter,
    reason: Reason,
) -> bool {
    let (file, needs, facts) = (&input.files[offered.file], &order.requirements, &printer.facts);
    let has_tag = |tag: &String| facts.tags.contains(tag);
    let tools = if file.tools.is_empty() { vec![FileTool::default()] } else { file.tools.clone() };
    let loaded = |tool: &FileTool| -> PrinterTool {
        let number = if facts.tools.len() <= 1 && tools.len() == 1 { 0 } else { tool.tool };
        facts.tools.iter().find(|loaded| loaded.tool == number).cloned().unwrap_or_default()
    };
    let lower = |text: &String| text.to_lowercase();
    // In these farms, "MK4" and "Original Prusa MK4" are one model.
    let short = |model: &str| model.replace("Original Prusa ", "");
    let model = facts.model.as_deref().map(short);
    match reason {
        Reason::PrinterIds => needs.printer_ids.is_empty() || needs.printer_ids.contains(&printer.id),
        Reason::Tags => {
            needs.tags_all.iter().all(has_tag)
                && (needs.tags_any.is_empty() || needs.tags_any.iter().any(has_tag))
                && (order.allowed_tags.is_empty() || order.allowed_tags.iter().any(has_tag))
        }
        Reason::Model => {
            let own: Vec<String> = file.printer_model.iter().cloned().collect();
            let named = if offered.models.is_empty() { &own } else { &offered.models };
            model.is_some_and(|model| named.iter().any(|named| short(named) == model))
        }
        Reason::BedSize => {
            let is_own = file.printer_model.as_deref().map(short) == model && model.is_some();
            let width = file.bounds.map_or(0.0, |bounds| bounds.max[0]);
            is_own || facts.bed_mm.is_none_or(|bed| width <= bed[0])
        }
        Reason::Nozzle => tools
            .iter()
            .all(|tool| needs.nozzle_mm.or(tool.nozzle_mm).is_none_or(|nozzle| loaded(tool).nozzle_mm == Some(nozzle))),
        Reason::Material => tools.iter().all(|tool| {
            let needed = needs.material.as_ref().or(tool.material.as_ref()).map(lower);
            needed.is_none() || loaded(tool).material.as_ref().map(lower) == needed
        }),
        Reason::Color => tools.iter().all(|tool| {
            let loaded = loaded(tool).color.as_ref().map(lower);
            match (needs.color.as_ref().map(lower), tool.color.as_ref().map(lower)) {
                (Some(required), _) => loaded == Some(required),
                (None, Some(of_file)) => loaded.is_none_or(|loaded| loaded == of_file),
                (None, None) => true,
            }
        }),
        Reason::FileMissing => file.is_available,
        other => panic!("{other} is no comparison"),
    }
}

pub(super) fn is_match(input: &PlanInput, order: &PlanOrder, file: usize, printer: &PlanPrinter) -> bool {
    passed(input, order, &order.files[file], printer) == COMPARED.len()
}

fn mismatch(input: &PlanInput, order: &PlanOrder, printer: &PlanPrinter) -> Option<Reason> {
    let passed = order.files.iter().map(|offered| passed(input, order, offered, printer)).max()?;
    COMPARED.get(passed).copied()
}

pub(super) fn state(printer: &PlanPrinter) -> Option<Reason> {
    let is_out = printer.service == ServiceState::OutOfService;
    let activity = match printer.activity {
        Activity::Idle { .. } => None,
        Activity::Busy { .. } => Some(Reason::Busy),
        Activity::Transferring => Some(Reason::Transferring),
        Activity::Uploading => Some(Reason::Uploading),
        Activity::Starting => Some(Reason::Starting),
        Activity::StartUnknown => Some(Reason::StartUnknown),
    };
    let found = [
        (!printer.is_enabled).then_some(Reason::Disabled),
        is_out.then_some(Reason::OutOfService),
        (printer.service == ServiceState::Draining).then_some(Reason::Draining),
        (!printer.is_auto).then_some(Reason::NotOptedIn),
        printer.has_attention.then_some(Reason::Attention),
        activity.filter(|reason| *reason == Reason::StartUnknown),
        (!printer.is_online).then_some(Reason::Offline),
        activity,
        (printer.plate == PlanPlate::Occupied).then_some(Reason::PlateNotClear),
        (printer.plate == PlanPlate::NeverCleared).then_some(Reason::PlateNeverCleared),
    ];
    found.into_iter().flatten().next()
}

/// An order after the assignments of a plan.
pub(super) struct OrderAfter<'a> {
    pub(super) input: &'a PlanInput,
    pub(super) order: &'a PlanOrder,
    pub(super) plan: &'a Plan,
}

impl OrderAfter<'_> {
    pub(super) fn queued(&self) -> u32 {
        self.own().fold(self.order.queued, |queued, (_, parts)| queued.saturating_sub(parts))
    }

    /// Printers that get a copy of the order, with its parts.
    pub(super) fn own(&self) -> impl Iterator<Item = (Uuid, u32)> {
        let own = self.plan.assignments.iter().filter(|assignment| assignment.order == self.order.id);
        own.map(|assignment| (assignment.printer, assignment.parts))
    }

    /// Reasons of the order itself.
    pub(super) fn own_reasons(&self) -> Vec<Reason> {
        let is_early = self.order.not_before.is_some_and(|not_before| not_before > now());
        [
            (self.input.is_stopped, Reason::ProductionStopped),
            (self.order.is_held, Reason::OnHold),
            (self.order.are_attempts_used_up, Reason::AttemptsUsedUp),
            (is_early, Reason::NotBefore),
        ]
        .into_iter()
        .filter(|(applies, _)| *applies)
        .map(|(_, reason)| reason)
        .collect()
    }

    /// Returns why a printer does not take a further copy, whatever it does now.
    pub(super) fn refusal(&self, printer: &PlanPrinter) -> Option<Reason> {
        let at_max = |max| self.order.active_printers as usize + self.own().count() >= max as usize;
        if let Some(reason) = mismatch(self.input, self.order, printer) {
            Some(reason)
        } else if self.order.max_printers.is_some_and(at_max) {
            Some(Reason::MaxPrinters)
        } else if !self.is_within_surplus(printer) {
            Some(Reason::SurplusLimit)
        } else {
            self.is_left_to_others(printer).then_some(Reason::FailedHere)
        }
    }

    fn is_within_surplus(&self, printer: &PlanPrinter) -> bool {
        let within = |offered: &PlanOrderFile| {
            self.order.max_surplus.is_none_or(|max| offered.parts_per_plate.saturating_sub(self.queued()) <= max)
        };
        let mut files = 0..self.order.files.len();
        files.any(|file| within(&self.order.files[file]) && is_match(self.input, self.order, file, printer))
    }

    fn is_left_to_others(&self, printer: &PlanPrinter) -> bool {
        let made: Vec<Uuid> = self.plan.assignments.iter().filter_map(|assignment| assignment.replaces).collect();
        let open: Vec<_> = self.order.replacements.iter().filter(|failed| !made.contains(&failed.copy)).collect();
        let here: u32 = open.iter().filter(|failed| failed.printer == printer.id).map(|failed| failed.parts).sum();
        let can = |other: &PlanPrinter| {
            let routine = [
                None,
                Some(Reason::Busy),
                Some(Reason::Starting),
                Some(Reason::Uploading),
                Some(Reason::Transferring),
                Some(Reason::PlateNotClear),
                Some(Reason::PlateNeverCleared),
            ];
            self.is_within_surplus(other)
                && routine.contains(&state(other))
                && open.iter().all(|failed| failed.printer != other.id)
        };
        self.order.prefer_other_printer && here > 0 && self.queued() <= here && self.input.printers.iter().any(can)
    }

    /// Returns every reason with its number of printers.
    pub(super) fn reasons(&self) -> BTreeMap<Reason, u32> {
        let own = self.own_reasons();
        if !own.is_empty() {
            return own.into_iter().map(|reason| (reason, 0)).collect();
        }
        let mut counts = BTreeMap::new();
        for printer in &self.input.printers {
            *counts.entry(self.reason_of(printer)).or_default() += 1;
        }
        let can = |printer: &PlanPrinter| {
            printer.is_enabled && printer.is_auto && mismatch(self.input, self.order, printer).is_none()
        };
        if !self.input.printers.iter().any(can) {
            counts.insert(Reason::NoPrinterCan, 0);
        }
        counts
    }

    fn reason_of(&self, printer: &PlanPrinter) -> Reason {
        if self.own().any(|(own, _)| own == printer.id) {
            return Reason::Starting;
        }
        let refusal = self.refusal(printer);
        let is_assigned = self.plan.assignments.iter().any(|assignment| assignment.printer == printer.id);
        match (refusal, state(printer)) {
            // The state comes before what would keep a printer from the order if it were ready.
            (Some(Reason::MaxPrinters | Reason::FailedHere) | None, Some(state)) if self.is_within_surplus(printer) => {
                state
            }
            (Some(Reason::MaxPrinters), _) if !self.is_within_surplus(printer) => Reason::SurplusLimit,
            (Some(Reason::MaxPrinters), None) => Reason::MaxPrinters,
            (Some(Reason::FailedHere) | None, None) if is_assigned => Reason::BehindOthers,
            (Some(reason), _) => reason,
            (None, _) => panic!("printer {} could take order {}", printer.id, self.order.id),
        }
    }
}
