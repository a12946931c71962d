//! Small farms, written by hand.

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use crate::domain::{
    planner::{
        Activity, FileTool, Plan, PlanFile, PlanInput, PlanOrder, PlanOrderFile, PlanPlate, PlanPrinter, PlanReason,
        PrinterFacts, plan,
    },
    printer_tool::PrinterTool,
    production::ServiceState,
    requirements::Requirements,
};

pub(super) const HOUR: u64 = 3_600;

/// Noon on a Friday.
pub(super) fn now() -> DateTime<Utc> {
    "2026-11-27T12:00:00Z".parse().expect("a time")
}

pub(super) fn hours(hours: i64) -> TimeDelta {
    TimeDelta::hours(hours)
}

pub(super) fn id(number: u32) -> Uuid {
    Uuid::from_u128(u128::from(number))
}

pub(super) fn tool(tool: u32, nozzle_mm: f64, material: &str, color: &str) -> PrinterTool {
    PrinterTool { tool, nozzle_mm: Some(nozzle_mm), material: Some(material.into()), color: Some(color.into()) }
}

pub(super) fn file_tool(tool: u32, nozzle_mm: f64, material: &str, color: &str) -> FileTool {
    FileTool { tool, nozzle_mm: Some(nozzle_mm), material: Some(material.into()), color: Some(color.into()) }
}

/// An MK4 with black PLA, ready since an hour.
pub(super) fn printer(number: u32) -> PlanPrinter {
    PlanPrinter {
        id: id(number),
        facts: PrinterFacts {
            model: Some("Original Prusa MK4".to_owned()),
            bed_mm: Some([250.0, 210.0, 220.0]),
            tags: vec!["hall-1".to_owned()],
            tools: vec![tool(0, 0.4, "PLA", "#000000")],
        },
        is_enabled: true,
        is_auto: true,
        service: ServiceState::InService,
        has_attention: false,
        plate: PlanPlate::Clear,
        is_online: true,
        activity: Activity::Idle { since: now() - hours(1) },
        active_order: None,
        staff: None,
    }
}

/// A file for the MK4 with PLA of any colour, that prints 3 hours.
pub(super) fn file() -> PlanFile {
    PlanFile {
        printer_model: Some("MK4".to_owned()),
        tools: vec![FileTool { color: None, ..file_tool(0, 0.4, "PLA", "") }],
        bounds: None,
        print_time_s: Some(3 * HOUR),
        is_available: true,
    }
}

/// An order of one copy of the first file, due in a day.
pub(super) fn order(number: u32) -> PlanOrder {
    PlanOrder {
        id: id(number),
        priority: 50,
        due_at: Some(now() + hours(24)),
        created_at: now() - hours(24),
        not_before: None,
        is_held: false,
        are_attempts_used_up: false,
        queued: 1,
        files: vec![offered(0, 1)],
        requirements: Requirements::default(),
        allowed_tags: Vec::new(),
        max_printers: None,
        active_printers: 0,
        max_surplus: None,
        prefer_other_printer: true,
        replacements: Vec::new(),
    }
}

pub(super) fn offered(file: usize, parts_per_plate: u32) -> PlanOrderFile {
    PlanOrderFile { file, models: Vec::new(), parts_per_plate }
}

pub(super) fn farm(printers: Vec<PlanPrinter>, orders: Vec<PlanOrder>) -> PlanInput {
    PlanInput { printers, orders, files: vec![file()], ..PlanInput::default() }
}

/// Returns the assigned pairs of order and printer, in the order of the plan.
pub(super) fn pairs(plan: &Plan) -> Vec<(u128, u128)> {
    plan.assignments.iter().map(|assignment| (assignment.order.as_u128(), assignment.printer.as_u128())).collect()
}

pub(super) fn assigned(input: &PlanInput) -> Vec<(u128, u128)> {
    pairs(&plan(input, now()))
}

/// Returns the reasons of an order with the counts of printers.
pub(super) fn waits(input: &PlanInput, order: u32) -> Vec<(PlanReason, u32)> {
    let plan = plan(input, now());
    plan.waiting_reasons(id(order)).iter().map(|reason| (reason.code, reason.printers)).collect()
}

/// Returns the reasons of a printer with the counts of orders.
pub(super) fn idles(input: &PlanInput, printer: u32) -> Vec<(PlanReason, u32)> {
    let plan = plan(input, now());
    plan.idle_reasons(id(printer)).iter().map(|reason| (reason.code, reason.orders)).collect()
}
