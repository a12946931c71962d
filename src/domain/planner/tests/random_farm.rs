//! Random small farms.

use chrono::TimeDelta;
use rand::{RngExt, SeedableRng, rngs::StdRng, seq::SliceRandom};
use uuid::Uuid;

use super::farm::{id, now};
use crate::domain::{
    calendar::Calendar,
    gcode::Bounds,
    planner::{
        Activity, FileTool, PlanFile, PlanInput, PlanOrder, PlanOrderFile, PlanPlate, PlanPrinter, PrinterFacts,
        Replacement,
    },
    printer_tool::PrinterTool,
    production::ServiceState,
    requirements::Requirements,
    staff_hours::StaffHours,
};

const MODELS: [&str; 8] =
    ["MK4", "MK4", "MK4", "MK4", "Original Prusa MK4", "Original Prusa MK4", "Original Prusa MK4", "MK4S"];
const MATERIALS: [&str; 2] = ["PLA", "pla"];
const COLORS: [&str; 4] = ["#ffffff", "#FFFFFF", "#ffffff", "#000000"];
const TAGS: [&str; 3] = ["hall-1", "hall-2", "abs"];

/// Draws farms. Most facts are alike, so that most printers match some orders.
pub(super) struct RandomFarm(StdRng);

impl RandomFarm {
    pub(super) fn new(seed: u64) -> Self {
        Self(StdRng::seed_from_u64(seed))
    }

    pub(super) fn input(&mut self) -> PlanInput {
        let hours = StaffHours::parse("mo-fr 06:00-22:00", Calendar::UTC).expect("hours");
        let (printers, orders) = (self.0.random_range(0..8), self.0.random_range(0..8));
        PlanInput {
            is_stopped: self.chance(0.05),
            printers: (0..printers).map(|number| self.printer(10 + number)).collect(),
            orders: (0..orders).map(|number| self.order(50 + number)).collect(),
            files: (0..4).map(|_| self.file()).collect(),
            staff: vec![vec![hours], Vec::new()],
        }
    }

    /// Returns the same farm, listed in another order.
    pub(super) fn shuffle(&mut self, input: &PlanInput) -> PlanInput {
        let mut shuffled = input.clone();
        shuffled.printers.shuffle(&mut self.0);
        shuffled.orders.shuffle(&mut self.0);
        shuffled
    }

    fn printer(&mut self, number: u32) -> PlanPrinter {
        let tools = self.0.random_range(0..3);
        let minutes = TimeDelta::minutes(self.0.random_range(0..3));
        PlanPrinter {
            id: id(number),
            facts: PrinterFacts {
                model: self.maybe(&MODELS, 0.95),
                bed_mm: self.chance(0.8).then_some([250.0, 210.0, 220.0]),
                tags: self.some_tags(0.6),
                tools: (0..tools).map(|tool| self.tool(tool)).collect(),
            },
            is_enabled: self.chance(0.95),
            is_auto: self.chance(0.95),
            service: match self.0.random_range(0..30) {
                0 => ServiceState::Draining,
                1 => ServiceState::OutOfService,
                _ => ServiceState::InService,
            },
            has_attention: self.chance(0.05),
            plate: match self.0.random_range(0..12) {
                0 => PlanPlate::Occupied,
                1 => PlanPlate::NeverCleared,
                _ => PlanPlate::Clear,
            },
            is_online: self.chance(0.95),
            activity: match self.0.random_range(0..20) {
                0 => Activity::Busy { until: None },
                1 => Activity::Busy { until: Some(now() + minutes) },
                2 => Activity::Transferring,
                3 => Activity::Uploading,
                4 => Activity::Starting,
                5 => Activity::StartUnknown,
                _ => Activity::Idle { since: now() - minutes },
            },
            active_order: None,
            staff: [None, Some(0), Some(1)][self.0.random_range(0..3)],
        }
    }

    fn tool(&mut self, tool: u32) -> PrinterTool {
        PrinterTool {
            tool,
            nozzle_mm: self.nozzle(0.95),
            material: self.maybe(&MATERIALS, 0.95),
            color: self.maybe(&COLORS, 0.7),
        }
    }

    fn file(&mut self) -> PlanFile {
        let tools = self.0.random_range(0..3);
        let width = if self.chance(0.1) { 300.0 } else { 100.0 };
        let first_tool = self.0.random_range(0..2);
        PlanFile {
            printer_model: self.maybe(&MODELS, 0.95),
            tools: (0..tools)
                .map(|tool| FileTool {
                    tool: first_tool + tool,
                    nozzle_mm: self.nozzle(0.6),
                    material: self.maybe(&MATERIALS, 0.6),
                    color: self.maybe(&COLORS, 0.3),
                })
                .collect(),
            bounds: self.chance(0.6).then_some(Bounds { min: [0.0; 3], max: [width, 10.0, 5.0] }),
            print_time_s: self.chance(0.8).then(|| self.0.random_range(0..40_000)),
            is_available: self.chance(0.95),
        }
    }

    fn order(&mut self, number: u32) -> PlanOrder {
        let files = self.0.random_range(1..4);
        let failed = if self.chance(0.4) { self.0.random_range(1..4) } else { 0 };
        let mut replacements: Vec<Replacement> = (0..failed).map(|copy| self.replacement(number * 10 + copy)).collect();
        let failed_parts: u32 = replacements.iter().map(|replacement| replacement.parts).sum();
        let queued = if self.chance(0.5) { failed_parts.max(1) } else { failed_parts + self.0.random_range(0..7) };
        replacements.truncate(queued as usize);
        PlanOrder {
            id: id(number),
            priority: self.0.random_range(0..=100),
            due_at: self.chance(0.7).then(|| now() + TimeDelta::hours(self.0.random_range(-3..48))),
            created_at: now() - TimeDelta::hours(self.0.random_range(0..3)),
            not_before: self.chance(0.1).then(|| now() + TimeDelta::hours(self.0.random_range(-1..2))),
            is_held: self.chance(0.05),
            are_attempts_used_up: self.chance(0.05),
            queued,
            files: (0..files).map(|_| self.offered()).collect(),
            requirements: self.requirements(),
            allowed_tags: self.some_tags(0.05),
            max_printers: self.chance(0.2).then(|| self.0.random_range(1..4)),
            active_printers: self.0.random_range(0..2),
            max_surplus: self.chance(0.3).then(|| self.0.random_range(0..3)),
            prefer_other_printer: self.chance(0.8),
            replacements,
        }
    }

    fn replacement(&mut self, copy: u32) -> Replacement {
        Replacement { copy: id(copy), printer: id(self.0.random_range(10..14)), parts: self.0.random_range(1..3) }
    }

    fn offered(&mut self) -> PlanOrderFile {
        let models = if self.chance(0.2) { self.maybe(&MODELS, 1.0).into_iter().collect() } else { Vec::new() };
        PlanOrderFile { file: self.0.random_range(0..4), models, parts_per_plate: self.0.random_range(1..4) }
    }

    fn requirements(&mut self) -> Requirements {
        Requirements {
            material: self.maybe(&MATERIALS, 0.2),
            color: self.maybe(&COLORS, 0.1),
            nozzle_mm: self.nozzle(0.1),
            tags_all: self.some_tags(0.05),
            tags_any: self.some_tags(0.1),
            printer_ids: if self.chance(0.1) {
                (10..14).map(id).filter(|_| self.chance(0.6)).collect()
            } else {
                Vec::<Uuid>::new()
            },
        }
    }

    fn nozzle(&mut self, chance: f64) -> Option<f64> {
        let nozzle = if self.chance(0.97) { 0.4 } else { 0.6 };
        self.chance(chance).then_some(nozzle)
    }

    fn some_tags(&mut self, chance: f64) -> Vec<String> {
        TAGS.iter().filter(|_| self.0.random_bool(chance)).map(ToString::to_string).collect()
    }

    fn maybe(&mut self, values: &[&str], chance: f64) -> Option<String> {
        let value = values[self.0.random_range(0..values.len())];
        self.chance(chance).then(|| value.to_owned())
    }

    fn chance(&mut self, chance: f64) -> bool {
        self.0.random_bool(chance)
    }
}
