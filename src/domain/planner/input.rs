//! What the planner reads: printers, orders and files, as plain values.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::domain::{
    gcode::{Bounds, GcodeFacts},
    printer_tool::PrinterTool,
    production::ServiceState,
    requirements::Requirements,
    staff_hours::StaffHours,
};

/// The farm at one moment. The order of its lists has no influence on the plan.
#[derive(Debug, Clone, Default)]
pub struct PlanInput {
    /// The farm's switch is at stop: nothing is assigned.
    pub is_stopped: bool,
    pub printers: Vec<PlanPrinter>,
    /// Open orders. Ids are unique.
    pub orders: Vec<PlanOrder>,
    /// Files of the orders, addressed by their position.
    pub files: Vec<PlanFile>,
    /// Staff hours that apply together: a plate is cleared as soon as one of them has staff. An empty entry means that
    /// staff is always present. Addressed by position.
    pub staff: Vec<Vec<StaffHours>>,
}

/// A printer.
#[derive(Debug, Clone)]
pub struct PlanPrinter {
    pub id: Uuid,
    pub facts: PrinterFacts,
    pub is_enabled: bool,
    /// The printer was opted in (`production.auto`).
    pub is_auto: bool,
    pub service: ServiceState,
    /// The printer waits for a person after failures.
    pub has_attention: bool,
    pub plate: PlanPlate,
    pub is_online: bool,
    pub activity: Activity,
    /// The order of its active copy.
    pub active_order: Option<Uuid>,
    /// Position in [`PlanInput::staff`]. `None`: staff is always present.
    pub staff: Option<usize>,
}

/// What a printer has. It changes rarely, so the planner keeps what it computed from it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PrinterFacts {
    pub model: Option<String>,
    /// Width, depth and height.
    pub bed_mm: Option<[f64; 3]>,
    pub tags: Vec<String>,
    /// A printer with at most one entry is a single-tool printer.
    pub tools: Vec<PrinterTool>,
}

/// A plate, as the planner may use it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlanPlate {
    /// Cleared by a person since the opt-in.
    Clear,
    /// No print was observed on it, and no person cleared it since the opt-in.
    NeverCleared,
    Occupied,
}

/// What a printer does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activity {
    Idle {
        since: DateTime<Utc>,
    },
    /// Printing, paused or cancelling.
    Busy {
        /// Estimated end of the print.
        until: Option<DateTime<Utc>>,
    },
    /// A file is transferred for something other than a copy.
    Transferring,
    /// The file of an assigned copy is uploaded.
    Uploading,
    /// An assigned copy is being started.
    Starting,
    /// The effect of a start is unknown.
    StartUnknown,
}

/// An open order.
#[derive(Debug, Clone)]
pub struct PlanOrder {
    pub id: Uuid,
    /// 0 to 100. Higher first.
    pub priority: u8,
    pub due_at: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
    pub not_before: Option<DateTime<Utc>>,
    pub is_held: bool,
    pub are_attempts_used_up: bool,
    /// Parts that no copy makes yet.
    pub queued: u32,
    /// In order of preference: a printer gets the first file that fits it.
    pub files: Vec<PlanOrderFile>,
    pub requirements: Requirements,
    /// Tags of the principal that created the order: a printer needs one of them. Empty: no limit.
    pub allowed_tags: Vec<String>,
    pub max_printers: Option<u32>,
    /// Printers that have an active copy of the order.
    pub active_printers: u32,
    pub max_surplus: Option<u32>,
    pub prefer_other_printer: bool,
    /// Failed copies that are still to be made again, oldest first. Their parts are part of `queued`.
    pub replacements: Vec<Replacement>,
}

/// A file that makes parts of an order.
#[derive(Debug, Clone)]
pub struct PlanOrderFile {
    /// Position in [`PlanInput::files`].
    pub file: usize,
    /// Printer models that the file is for. Empty: the model that the file names.
    pub models: Vec<String>,
    pub parts_per_plate: u32,
}

/// A failed copy that is to be made again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replacement {
    pub copy: Uuid,
    /// The printer that failed it.
    pub printer: Uuid,
    pub parts: u32,
}

/// What is known of a file.
#[derive(Debug, Clone, Default)]
pub struct PlanFile {
    pub printer_model: Option<String>,
    /// The tools that the file uses. Empty: unknown, which is read as tool 0 without any need.
    pub tools: Vec<FileTool>,
    pub bounds: Option<Bounds>,
    pub print_time_s: Option<u64>,
    /// The library has the content.
    pub is_available: bool,
}

/// A tool that a file uses. Absent fields require nothing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FileTool {
    pub tool: u32,
    pub nozzle_mm: Option<f64>,
    pub material: Option<String>,
    pub color: Option<String>,
}

impl PlanFile {
    /// Converts the facts of a parsed file. Slicers list every tool of the printer; only the used ones are kept.
    pub fn from_facts(facts: &GcodeFacts, is_available: bool) -> Self {
        let nozzle = |tool: u32| facts.nozzle_mm.get(usize::try_from(tool).ok()?).copied();
        let extruded = |tool: u32| facts.extruded_mm.get(usize::try_from(tool).ok()?).copied();
        let mut tools: Vec<FileTool> = facts
            .tools
            .iter()
            .filter(|used| used.filament_mm.or(extruded(used.tool)).is_none_or(|mm| mm > 0.0))
            .map(|used| FileTool {
                tool: used.tool,
                nozzle_mm: nozzle(used.tool),
                material: used.material.clone(),
                color: used.color.clone(),
            })
            .collect();
        if tools.is_empty() {
            tools.push(FileTool { nozzle_mm: nozzle(0), ..FileTool::default() });
        }
        Self {
            printer_model: facts.printer_model.clone(),
            tools,
            bounds: facts.bounds_after_first_layer_mm.or(facts.bounds_mm),
            print_time_s: facts.estimated_print_time_s,
            is_available,
        }
    }
}
