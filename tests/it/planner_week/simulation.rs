//! Simulates the week of a farm under a rule, with a virtual clock.

use std::{cmp::Reverse, collections::BinaryHeap};

use chrono::{DateTime, TimeDelta, Utc};
use printyard::domain::{
    calendar::Calendar,
    planner::{
        Activity, FileTool, PlanFile, PlanInput, PlanOrder, PlanOrderFile, PlanPlate, PlanPrinter, Planner,
        PrinterFacts, Replacement,
    },
    printer_tool::PrinterTool,
    production::ServiceState,
    requirements::Requirements,
    staff_hours::StaffHours,
};
use uuid::Uuid;

use super::generator::{HOUR, WEEK, Week};

/// The clock advances in whole minutes.
const STEP: i64 = 60;
/// Time that a person needs to repair a printer that failed twice in a row.
const REPAIR: i64 = 4 * HOUR;

/// How ready printers choose an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    Planner,
    FirstComeFirstServed,
    EarliestDueDate,
}

/// What a rule achieved.
#[derive(Debug, Clone, Copy, Default)]
pub struct Achieved {
    /// Mean lateness of orders in hours, weighted by priority.
    pub weighted_lateness_h: f64,
    /// Share of orders that were late.
    pub late: f64,
    /// Share of the printers' time of the week in which they printed.
    pub utilisation: f64,
    pub copies: u32,
    pub failed: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Arrived(usize),
    Ended { printer: usize, order: usize, is_good: bool },
    Cleared(usize),
}

#[derive(Debug, Clone, Default)]
struct PrinterLuck {
    prints: u32,
    failures_in_a_row: u32,
    is_repaired: bool,
}

/// The state of a simulated week.
struct Simulation<'a> {
    week: &'a Week,
    rule: Rule,
    start: DateTime<Utc>,
    input: PlanInput,
    planner: Planner,
    events: BinaryHeap<Reverse<(i64, Event)>>,
    luck: Vec<PrinterLuck>,
    /// Copies that were started of each order.
    started: Vec<u32>,
    good: Vec<u32>,
    completed: Vec<Option<i64>>,
    printed_s: i64,
    failed: u32,
}

/// Runs the week until every order is complete.
pub fn simulate(week: &Week, rule: Rule) -> Achieved {
    let mut simulation = Simulation::new(week, rule);
    while let Some(Reverse((at, event))) = simulation.events.pop() {
        simulation.apply(at, event);
        let is_step_over = simulation.events.peek().is_none_or(|Reverse((next, _))| *next != at);
        if is_step_over {
            simulation.assign(at);
        }
    }
    simulation.result()
}

impl<'a> Simulation<'a> {
    fn new(week: &'a Week, rule: Rule) -> Self {
        // A Monday.
        let start: DateTime<Utc> = "2026-11-23T00:00:00Z".parse().expect("a time");
        let hours = StaffHours::parse("daily 06:00-22:00", Calendar::UTC).expect("hours");
        let staff = if week.scenario.is_staff_always_present { Vec::new() } else { vec![hours] };
        let count = week.orders.len();
        let input = PlanInput {
            printers: (0..week.scenario.printers)
                .map(|number| build_printer(number, week.loadout_of_printer(number), start))
                .collect(),
            files: week.orders.iter().map(build_file).collect(),
            staff: vec![staff],
            ..PlanInput::default()
        };
        let arrivals = week.orders.iter().enumerate();
        Self {
            week,
            rule,
            start,
            events: arrivals.map(|(order, of)| Reverse((round_up(of.arrives), Event::Arrived(order)))).collect(),
            luck: vec![PrinterLuck::default(); input.printers.len()],
            input,
            planner: Planner::default(),
            started: vec![0; count],
            good: vec![0; count],
            completed: vec![None; count],
            printed_s: 0,
            failed: 0,
        }
    }

    fn time(&self, at: i64) -> DateTime<Utc> {
        self.start + TimeDelta::seconds(at)
    }

    /// Returns when staff is present, from a time on.
    fn presence(&self, at: i64) -> i64 {
        let next = self.input.staff[0].first().map(|hours| hours.next_presence(self.time(at)));
        next.map_or(at, |next| (next - self.start).num_seconds())
    }

    fn apply(&mut self, at: i64, event: Event) {
        match event {
            Event::Arrived(order) => {
                self.input.orders.push(build_order(order, &self.week.orders[order], self.start));
            }
            Event::Ended { printer, order, is_good } => self.end(at, printer, order, is_good),
            Event::Cleared(printer) => {
                let since = self.time(at);
                let printer = &mut self.input.printers[printer];
                printer.plate = PlanPlate::Clear;
                printer.has_attention = false;
                printer.activity = Activity::Idle { since };
            }
        }
    }

    fn end(&mut self, at: i64, printer: usize, order: usize, is_good: bool) {
        let luck = &mut self.luck[printer];
        luck.prints += 1;
        luck.failures_in_a_row = if is_good { 0 } else { luck.failures_in_a_row + 1 };
        let needs_repair = luck.failures_in_a_row >= 2;
        if needs_repair {
            luck.failures_in_a_row = 0;
            luck.is_repaired |= self.week.breaks[printer].is_some_and(|breaks| breaks <= at);
        }
        let clearing = self.week.draw_clearing(printer, luck.prints) + if needs_repair { REPAIR } else { 0 };
        self.events.push(Reverse((round_up(self.presence(at) + clearing), Event::Cleared(printer))));
        let state = &mut self.input.printers[printer];
        state.activity = Activity::Idle { since: self.start + TimeDelta::seconds(at) };
        state.plate = PlanPlate::Occupied;
        state.has_attention = needs_repair;
        let id = state.id;
        if is_good {
            self.count_good(at, order);
        } else {
            self.failed += 1;
            let copy = Uuid::from_u128(u128::from(self.failed));
            let open = self.input.orders.iter_mut().find(|open| open.id == order_id(order)).expect("an open order");
            open.queued += 1;
            open.replacements.push(Replacement { copy, printer: id, parts: 1 });
        }
    }

    fn count_good(&mut self, at: i64, order: usize) {
        self.good[order] += 1;
        if self.good[order] == self.week.orders[order].copies {
            self.completed[order] = Some(at);
            self.input.orders.retain(|open| open.id != order_id(order));
        }
    }

    fn assign(&mut self, at: i64) {
        let is_ready = |printer: &PlanPrinter| {
            printer.plate == PlanPlate::Clear && matches!(printer.activity, Activity::Idle { .. })
        };
        if !self.input.printers.iter().any(is_ready) {
            return;
        }
        let now = self.time(at);
        if self.rule == Rule::Planner {
            for assignment in self.planner.plan(&self.input, now).assignments {
                self.start(at, number(assignment.printer), number(assignment.order), assignment.replaces);
            }
            return;
        }
        let mut ready: Vec<usize> =
            (0..self.input.printers.len()).filter(|n| is_ready(&self.input.printers[*n])).collect();
        ready.sort_by_key(|printer| match self.input.printers[*printer].activity {
            Activity::Idle { since } => since,
            _ => now,
        });
        for printer in ready {
            let fits = |order: &&PlanOrder| {
                order.queued > 0 && self.week.orders[number(order.id)].loadout == self.week.loadout_of_printer(printer)
            };
            let orders = self.input.orders.iter().filter(fits);
            let chosen = orders.min_by_key(|order| match self.rule {
                Rule::EarliestDueDate => (order.due_at, order.id),
                Rule::FirstComeFirstServed | Rule::Planner => (Some(order.created_at), order.id),
            });
            if let Some(order) = chosen.map(|order| number(order.id)) {
                self.start(at, printer, order, None);
            }
        }
    }

    fn start(&mut self, at: i64, printer: usize, order: usize, replaces: Option<Uuid>) {
        let open = self.input.orders.iter_mut().find(|open| open.id == order_id(order)).expect("an open order");
        open.queued -= 1;
        open.replacements.retain(|failed| Some(failed.copy) != replaces);
        let is_broken = self.week.breaks[printer].is_some_and(|breaks| breaks <= at) && !self.luck[printer].is_repaired;
        let failure = self.week.draw_failure(order, self.started[order], is_broken);
        self.started[order] += 1;
        let print_time_s = self.week.orders[order].print_time_s;
        let end = at + failure.map_or(print_time_s, |share| (share * print_time_s as f64) as i64);
        self.printed_s += (end.min(WEEK) - at.min(WEEK)).max(0);
        let end = round_up(end);
        self.input.printers[printer].activity = Activity::Busy { until: Some(self.time(end)) };
        self.events.push(Reverse((end, Event::Ended { printer, order, is_good: failure.is_none() })));
    }

    fn result(&self) -> Achieved {
        let (mut lateness, mut weights, mut late) = (0.0, 0.0, 0);
        for (order, completed) in self.week.orders.iter().zip(&self.completed) {
            let completed = completed.expect("every order is complete");
            let weight = 3_f64.powf((f64::from(order.priority) - 50.0) / 25.0);
            lateness += weight * (completed - order.due).max(0) as f64 / HOUR as f64;
            weights += weight;
            late += usize::from(completed > order.due);
        }
        let capacity = WEEK * self.input.printers.len() as i64;
        Achieved {
            weighted_lateness_h: lateness / weights,
            late: late as f64 / self.week.orders.len() as f64,
            utilisation: self.printed_s as f64 / capacity as f64,
            copies: self.started.iter().sum(),
            failed: self.failed,
        }
    }
}

fn round_up(at: i64) -> i64 {
    (at + STEP - 1) / STEP * STEP
}

fn order_id(number: usize) -> Uuid {
    Uuid::from_u128(number as u128)
}

fn number(id: Uuid) -> usize {
    usize::try_from(id.as_u128()).expect("a number")
}

/// Material, colour and nozzle as text: the planner compares them as those of a real farm.
fn loadout(number: usize) -> (String, String, f64) {
    let material = ["PLA", "PETG", "ASA", "TPU"][number % 4];
    let color = ["#000000", "#ffffff", "#ff0000", "#00ff00", "#0000ff", "#808080"][number / 4 % 6];
    (material.to_owned(), color.to_owned(), [0.4, 0.6][number / 24])
}

fn build_printer(number: usize, loadout_number: usize, start: DateTime<Utc>) -> PlanPrinter {
    let (material, color, nozzle) = loadout(loadout_number);
    let tool = PrinterTool { tool: 0, nozzle_mm: Some(nozzle), material: Some(material), color: Some(color) };
    PlanPrinter {
        id: order_id(number),
        facts: PrinterFacts { model: Some("MK4".to_owned()), tools: vec![tool], ..PrinterFacts::default() },
        is_enabled: true,
        is_auto: true,
        service: ServiceState::InService,
        has_attention: false,
        plate: PlanPlate::Clear,
        is_online: true,
        activity: Activity::Idle { since: start },
        active_order: None,
        staff: Some(0),
    }
}

fn build_file(order: &super::generator::WeekOrder) -> PlanFile {
    let (material, color, nozzle) = loadout(order.loadout);
    PlanFile {
        printer_model: Some("MK4".to_owned()),
        tools: vec![FileTool { tool: 0, nozzle_mm: Some(nozzle), material: Some(material), color: Some(color) }],
        bounds: None,
        print_time_s: u64::try_from(order.print_time_s).ok(),
        is_available: true,
    }
}

fn build_order(number: usize, order: &super::generator::WeekOrder, start: DateTime<Utc>) -> PlanOrder {
    PlanOrder {
        id: order_id(number),
        priority: order.priority,
        due_at: Some(start + TimeDelta::seconds(order.due)),
        created_at: start + TimeDelta::seconds(order.arrives),
        not_before: None,
        is_held: false,
        are_attempts_used_up: false,
        queued: order.copies,
        files: vec![PlanOrderFile { file: number, models: Vec::new(), parts_per_plate: 1 }],
        requirements: Requirements::default(),
        allowed_tags: Vec::new(),
        max_printers: None,
        active_printers: 0,
        max_surplus: None,
        prefer_other_printer: true,
        replacements: Vec::new(),
    }
}
