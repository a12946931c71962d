//! Decides which copy of which order each printer makes now, with a reason for every order that waits and every printer
//! that is idle.
//!
//! The plan depends on its input and the time alone: the same input gives the same plan, in whatever order it is listed.
//! There is no search: printers choose one after the other, the longest idle first, each the allowed order with the
//! highest score (`rank`). What is allowed:
//!
//! * `class`: model, bed, nozzle, material, colour, tags and named printers of an order, compared with a printer's facts
//! * `state`: what the printer does, its plate, its service state, and whether it was opted in
//! * `gate`: hold, `max_printers`, `max_surplus`, and copies that the printer failed
//!
//! Each printer is counted by exactly one reason of a waiting order: the first in the order of this list.

mod assign;
mod bit_set;
mod class;
mod context;
mod feasible;
mod gate;
mod idle;
mod index;
mod input;
mod next;
mod plan;
mod presence;
mod rank;
mod reason;
mod state;
mod switch;
#[cfg(test)]
mod tests;
mod waiting;

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use uuid::Uuid;

pub use feasible::Feasibility;
pub use input::{
    Activity, FileTool, PlanFile, PlanInput, PlanOrder, PlanOrderFile, PlanPlate, PlanPrinter, PrinterFacts,
    Replacement,
};
pub use next::NextCopy;
pub use plan::{Assignment, BeatenOrder, IdlePrinter, Plan, PlanRule, WaitingOrder, Why};
pub use reason::{IdleReason, PlanReason, WaitingReason};
pub use switch::PlanSwitch;

use class::OrderClasses;
use context::PlanContext;
use gate::OrderProgress;
use index::PrinterIndex;
use waiting::Explanation;

/// Order classes that are kept although no order uses them.
const MAX_UNUSED_CLASSES: usize = 1_000;

/// Makes plans, and keeps between them which printers match which orders. It has no influence on the plans.
#[derive(Default)]
pub struct Planner {
    index: PrinterIndex,
    classes: OrderClasses,
}

/// Makes one plan.
pub fn plan(input: &PlanInput, now: DateTime<Utc>) -> Plan {
    Planner::default().plan(input, now)
}

impl Planner {
    /// Returns what each printer makes now, and the reasons for the rest.
    pub fn plan(&mut self, input: &PlanInput, now: DateTime<Utc>) -> Plan {
        let context = self.prepare(input, now);
        let mut progress: Vec<OrderProgress> = input.orders.iter().map(OrderProgress::new).collect();
        let assignments = assign::assign(&context, &mut progress);
        let located = locate(input, &assignments);
        let explanation = Explanation::new(&context, &progress, &located);
        let (waiting, idle) = (explanation.explain_orders(), explanation.explain_printers());
        Plan { assignments, waiting, idle }
    }

    /// Returns what these printers take after a plan of the same input, the first to be ready first. Each copy is promised
    /// once, so all printers that need the answer belong into one call. Unknown ids are left out.
    pub fn next(&mut self, input: &PlanInput, plan: &Plan, printers: &[Uuid], now: DateTime<Utc>) -> Vec<NextCopy> {
        let context = self.prepare(input, now);
        let mut progress: Vec<OrderProgress> = input.orders.iter().map(OrderProgress::new).collect();
        for (position, assignment) in locate(input, &plan.assignments) {
            progress[position].assign(&input.orders[position], assignment.parts, assignment.printer);
        }
        next::find_next(&context, &mut progress, plan, printers)
    }

    /// Returns how many printers can make an order, whatever they do now. The order's files are positions in
    /// `input.files`; the orders of the input have no influence.
    pub fn feasibility(&mut self, input: &PlanInput, order: &PlanOrder) -> Feasibility {
        self.update_index(input);
        feasible::find_feasibility(&self.index, input, order)
    }

    fn prepare<'a>(&'a mut self, input: &'a PlanInput, now: DateTime<Utc>) -> PlanContext<'a> {
        self.update_index(input);
        if self.classes.len() > input.orders.len() + MAX_UNUSED_CLASSES {
            self.classes = OrderClasses::default();
        }
        let class_ids = self.classes.classify(&self.index, input);
        PlanContext::new(input, now, &self.index, &self.classes, class_ids)
    }

    fn update_index(&mut self, input: &PlanInput) {
        if !self.index.is_current(&input.printers) {
            self.index = PrinterIndex::new(&input.printers);
            self.classes = OrderClasses::default();
        }
    }
}

/// Returns the assignments with the positions of their orders.
fn locate<'a>(input: &PlanInput, assignments: &'a [Assignment]) -> Vec<(usize, &'a Assignment)> {
    if assignments.is_empty() {
        return Vec::new();
    }
    let positions = input.orders.iter().enumerate().map(|(position, order)| (order.id, position));
    let positions: HashMap<Uuid, usize> = positions.collect();
    assignments.iter().filter_map(|assignment| Some((*positions.get(&assignment.order)?, assignment))).collect()
}
