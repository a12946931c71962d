//! What all parts of one run of the planner read.

use chrono::{DateTime, Utc};

use super::{
    class::{OrderClass, OrderClasses},
    gate::{Gate, OrderProgress, is_order_blocked},
    index::PrinterIndex,
    input::{PlanInput, PlanOrder},
    plan::{Assignment, BeatenOrder, Why},
    presence::Presence,
    rank::{RankContext, assumed_due, mean_print_time},
    state::StateSets,
};
use crate::domain::staff_hours::StaffHours;

/// Other orders that `why` names.
const MAX_BEATEN: usize = 3;

/// The input with what was computed from it.
pub(super) struct PlanContext<'a> {
    pub(super) input: &'a PlanInput,
    pub(super) now: DateTime<Utc>,
    pub(super) index: &'a PrinterIndex,
    pub(super) classes: &'a OrderClasses,
    /// The class of each order.
    pub(super) class_ids: Vec<usize>,
    pub(super) states: StateSets,
    /// By the position of the staff hours. The last entry: staff is always present.
    presence: Vec<Presence<'a>>,
    mean_print_time_s: u64,
}

/// An order that a printer may take.
#[derive(Clone, Copy)]
pub(super) struct Candidate {
    pub(super) value: f64,
    /// Position in the input.
    pub(super) order: usize,
    /// Position in the files of the order.
    pub(super) file: usize,
}

impl<'a> PlanContext<'a> {
    pub(super) fn new(
        input: &'a PlanInput,
        now: DateTime<Utc>,
        index: &'a PrinterIndex,
        classes: &'a OrderClasses,
        class_ids: Vec<usize>,
    ) -> Self {
        let always: &[StaffHours] = &[];
        let hours = input.staff.iter().map(Vec::as_slice).chain([always]);
        let presence = hours.map(|hours| Presence::new(hours, now)).collect();
        let files = input.orders.iter().flat_map(|order| &order.files);
        let mean_print_time_s = mean_print_time(files.filter_map(|offered| input.files[offered.file].print_time_s));
        let states = StateSets::new(&input.printers);
        Self { input, now, index, classes, class_ids, states, presence, mean_print_time_s }
    }

    pub(super) fn class(&self, order: usize) -> &'a OrderClass {
        self.classes.get(self.class_ids[order])
    }

    /// Returns the position of a printer's presence.
    pub(super) fn staff(&self, printer: usize) -> usize {
        let always = self.presence.len() - 1;
        self.input.printers[printer].staff.map_or(always, |staff| staff.min(always))
    }

    pub(super) fn rank_context(&self, staff: usize, at: DateTime<Utc>) -> RankContext<'_> {
        RankContext { at, mean_print_time_s: self.mean_print_time_s, presence: &self.presence[staff] }
    }

    pub(super) fn print_time_s(&self, order: &PlanOrder, file: usize) -> Option<u64> {
        self.input.files[order.files[file].file].print_time_s
    }

    pub(super) fn gate<'b>(&'b self, order: usize, progress: &'b [OrderProgress]) -> Gate<'b> {
        Gate {
            order: &self.input.orders[order],
            progress: &progress[order],
            class: self.class(order),
            usable: &self.states.usable,
            index: self.index,
        }
    }

    /// Returns whether an order has parts to assign at this time.
    pub(super) fn is_open(&self, order: usize, progress: &[OrderProgress], at: DateTime<Utc>) -> bool {
        progress[order].queued > 0 && !is_order_blocked(&self.input.orders[order], at)
    }

    /// Counts the copy of the first candidate, and returns it with the numbers of the rule. The others are beaten.
    pub(super) fn take(
        &self,
        printer: usize,
        candidates: &[Candidate],
        at: DateTime<Utc>,
        progress: &mut [OrderProgress],
    ) -> Option<Assignment> {
        let (chosen, others) = candidates.split_first()?;
        let order = &self.input.orders[chosen.order];
        let score = self.rank_context(self.staff(printer), at).score(order, self.print_time_s(order, chosen.file));
        let beaten = others.iter().take(MAX_BEATEN);
        let beaten =
            beaten.map(|other| BeatenOrder { order_id: self.input.orders[other.order].id, score: other.value });
        let (printer, parts) = (self.input.printers[printer].id, order.files[chosen.file].parts_per_plate);
        let replaces = progress[chosen.order].assign(order, parts, printer);
        let why = Why::new(score, assumed_due(order), order.due_at.is_none(), beaten.collect());
        Some(Assignment { order: order.id, printer, file: chosen.file, parts, replaces, why })
    }
}

/// The best candidates, at most as many as `why` names.
#[derive(Default)]
pub(super) struct BestCandidates(Vec<Candidate>);

impl BestCandidates {
    /// Returns whether a candidate with this value would be one of the best. Equal values might be.
    pub(super) fn admits(&self, value: f64) -> bool {
        self.0.len() <= MAX_BEATEN || self.0.last().is_none_or(|last| last.value <= value)
    }

    /// Adds a candidate if it is one of the best.
    pub(super) fn add(&mut self, candidate: Candidate, orders: &[PlanOrder]) {
        let key = |candidate: &Candidate| (candidate.value, &orders[candidate.order]);
        let at = self.0.partition_point(|other| super::rank::compare(key(other), key(&candidate)).is_lt());
        self.0.insert(at, candidate);
        self.0.truncate(MAX_BEATEN + 1);
    }

    pub(super) fn into_inner(self) -> Vec<Candidate> {
        self.0
    }
}
