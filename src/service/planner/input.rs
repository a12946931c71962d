//! Reads what the planner needs.

use std::{
    collections::{HashMap, HashSet},
    time::Instant,
};

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::{PlannerTask, follow::ActiveCopy, staff::PlanStaff};
use crate::{
    clock,
    domain::{
        command::{CommandRow, Effect},
        copy::CopyState,
        order::{FailedCopy, HoldReason, OpenOrder, Order, OrderFile},
        planner::{
            Activity, PlanFile, PlanInput, PlanOrder, PlanOrderFile, PlanPlate, PlanPrinter, PlanSwitch, PrinterFacts,
            Replacement,
        },
        plate::{Plate, PlateState},
        printer::Printer,
        state::{PrinterState, Reachability},
    },
    fleet::view::LivePrinter,
    service::{Services, error::Error},
    storage,
};

/// The files of a plan, by content.
#[derive(Default)]
pub(in crate::service) struct PlanFiles {
    positions: HashMap<String, usize>,
    pub files: Vec<PlanFile>,
}

impl PlanFiles {
    /// Returns the files that orders name. `known` has what is known of each content. A print time of an order counts more
    /// than that of the file.
    fn new<'a>(orders: impl Iterator<Item = &'a Order>, known: &HashMap<String, PlanFile>) -> Self {
        let mut files = Self::default();
        for wanted in orders.flat_map(|order| &order.files) {
            if files.positions.contains_key(&wanted.sha256) {
                continue;
            }
            let mut file = known.get(&wanted.sha256).cloned().unwrap_or_default();
            file.print_time_s = wanted.estimated_print_time_s.or(file.print_time_s);
            files.positions.insert(wanted.sha256.clone(), files.files.len());
            files.files.push(file);
        }
        files
    }
}

impl PlannerTask {
    /// Reads what a plan is made of.
    pub(super) async fn gather(
        &mut self,
        switch: &PlanSwitch,
        active: &HashMap<Uuid, ActiveCopy>,
    ) -> Result<PlanInput, Error> {
        self.farm.refresh(&self.services).await?;
        let printers = self.farm.printers();
        let ids: Vec<Uuid> = printers.keys().copied().collect();
        let plates: HashMap<Uuid, Plate> =
            storage::plates::get_many(&self.services.db, &ids).await?.into_iter().collect();
        let files = PlanFiles::new(self.farm.open_orders().map(|one| &one.counted.order), self.farm.files());
        let transferring = self.services.transferring_printers();
        let now = Instant::now();
        self.pauses.retain(|id, _| printers.contains_key(id));
        let mut staff = PlanStaff::new(&self.services.staff);
        let observe = |printer: &Printer| {
            let live = self.services.fleet.view().get(printer.id);
            let paused_for = self.pauses.get(&printer.id).and_then(|pause| pause.until.checked_duration_since(now));
            let paused_until = paused_for.and_then(|time| Some(clock::now() + TimeDelta::from_std(time).ok()?));
            PlanPrinter {
                plate: plan_plate(printer, live.as_deref(), plates.get(&printer.id)),
                is_online: live.as_deref().is_some_and(is_ready_online),
                activity: activity(
                    printer,
                    live.as_deref(),
                    active.get(&printer.id),
                    transferring.contains(&printer.id),
                    paused_until,
                ),
                active_order: active.get(&printer.id).map(|active| active.copy.order_id),
                staff: staff.position_of(&printer.details.tags),
                ..plan_printer(printer)
            }
        };
        Ok(PlanInput {
            is_stopped: switch.is_stopped,
            printers: printers.values().map(observe).collect(),
            orders: self.farm.open_orders().map(|one| plan_order(one, &files)).collect(),
            files: files.files,
            staff: staff.hours,
        })
    }
}

impl Services {
    /// Reads the files of one order.
    pub(in crate::service) async fn plan_files(&self, order: &Order) -> Result<PlanFiles, Error> {
        let contents: Vec<String> = order.files.iter().map(|file| file.sha256.clone()).collect();
        Ok(PlanFiles::new(std::iter::once(order), &self.read_plan_files(&contents).await?))
    }

    /// Reads what is known of contents.
    pub(super) async fn read_plan_files(&self, contents: &[String]) -> Result<HashMap<String, PlanFile>, Error> {
        let stored = storage::files::list_by_content(&self.db, contents).await?;
        let facts: HashMap<&str, _> = stored.iter().map(|file| (file.content.sha256.as_str(), file.facts())).collect();
        let known: HashSet<String> = storage::files::known_contents(&self.db, contents).await?.into_iter().collect();
        let file = |sha256: &String| {
            let is_available = known.contains(sha256);
            let file = match facts.get(sha256.as_str()) {
                Some(facts) => PlanFile::from_facts(facts, is_available),
                None => PlanFile { is_available, ..PlanFile::default() },
            };
            (sha256.clone(), file)
        };
        Ok(contents.iter().map(file).collect())
    }
}

/// Converts an order that is open.
pub(in crate::service) fn plan_order(one: &OpenOrder, files: &PlanFiles) -> PlanOrder {
    let order = &one.counted.order;
    let parts = order.files.first().map_or(1, |file| file.parts_per_plate);
    let replacement = |failed: &FailedCopy| Replacement { copy: failed.id, printer: failed.printer_id, parts };
    let file = |file: &OrderFile| {
        Some(PlanOrderFile {
            file: *files.positions.get(&file.sha256)?,
            models: file.models.clone(),
            parts_per_plate: file.parts_per_plate,
        })
    };
    PlanOrder {
        id: order.id,
        priority: u8::try_from(order.details.priority).unwrap_or(u8::MAX),
        due_at: order.details.due_at,
        created_at: order.created_at,
        not_before: order.details.not_before,
        is_held: order.hold == Some(HoldReason::OnHold),
        are_attempts_used_up: order.hold == Some(HoldReason::AttemptsUsedUp),
        queued: u32::try_from(one.counted.quantities().queued).unwrap_or(u32::MAX),
        files: order.files.iter().filter_map(file).collect(),
        requirements: order.details.requirements.clone(),
        allowed_tags: order.tag_limit.clone(),
        max_printers: order.details.max_printers,
        active_printers: u32::try_from(one.printers.len()).unwrap_or(u32::MAX),
        max_surplus: order.details.max_surplus,
        prefer_other_printer: order.details.on_failure.prefer_other_printer,
        replacements: one.failed.iter().map(replacement).collect(),
    }
}

/// Converts a printer, as it is registered. What it does now is not known.
pub(in crate::service) fn plan_printer(printer: &Printer) -> PlanPrinter {
    let details = &printer.details;
    let facts = PrinterFacts {
        model: details.profile.model.clone(),
        bed_mm: details.profile.bed_mm,
        tags: details.tags.clone(),
        tools: details.tools(),
    };
    PlanPrinter {
        id: printer.id,
        facts,
        is_enabled: details.enabled,
        is_auto: details.production.auto,
        service: details.production.service,
        has_attention: printer.attention.is_some(),
        plate: PlanPlate::NeverCleared,
        is_online: false,
        activity: Activity::Idle { since: printer.created_at },
        active_order: None,
        staff: None,
    }
}

/// Returns the plate as the planner may use it: fleet and database must agree that it is clear, and a person must have said
/// so since the opt-in.
fn plan_plate(printer: &Printer, live: Option<&LivePrinter>, stored: Option<&Plate>) -> PlanPlate {
    let is_occupied = |plate: &Plate| plate.state == PlateState::Occupied;
    if stored.is_some_and(is_occupied) || live.is_some_and(|live| is_occupied(&live.plate)) {
        return PlanPlate::Occupied;
    }
    let cleared_at = stored.filter(|plate| plate.cleared_by.is_some()).and_then(|plate| plate.since);
    let opted_in_at = printer.details.production.auto_since;
    match (cleared_at, opted_in_at) {
        (Some(cleared), Some(opted_in)) if cleared >= opted_in => PlanPlate::Clear,
        _ => PlanPlate::NeverCleared,
    }
}

/// Returns whether a printer answers and is connected to its machine.
fn is_ready_online(live: &LivePrinter) -> bool {
    live.reachability == Reachability::Online && live.state.is_operational()
}

fn activity(
    printer: &Printer,
    live: Option<&LivePrinter>,
    active: Option<&ActiveCopy>,
    is_transferring: bool,
    paused_until: Option<DateTime<Utc>>,
) -> Activity {
    let ends_at = live.and_then(|live| {
        let left = live.job.as_ref()?.progress.print_time_left_s?;
        live.observed_at()?.checked_add_signed(TimeDelta::try_seconds(left)?)
    });
    if let Some(active) = active {
        return match active.copy.state {
            CopyState::Uploading => Activity::Uploading,
            CopyState::Printing => Activity::Busy { until: ends_at },
            _ if active.command.as_ref().is_some_and(has_unknown_effect) => Activity::StartUnknown,
            _ => Activity::Starting,
        };
    }
    if let Some(until) = paused_until {
        return Activity::Busy { until: Some(until) };
    }
    let since = live.and_then(|live| live.plate.since).unwrap_or(printer.created_at);
    match live {
        Some(live) if live.state.is_active() => Activity::Busy { until: ends_at },
        Some(live) if live.in_flight.is_some() => Activity::Busy { until: None },
        Some(live) if is_transferring || live.state == PrinterState::Transferring => Activity::Transferring,
        Some(_) | None => Activity::Idle { since },
    }
}

fn has_unknown_effect(command: &CommandRow) -> bool {
    command.outcome.effect() == Some(Effect::Maybe)
        && command.settled.as_ref().is_none_or(|settled| settled.effect == Effect::Maybe)
}
